"""Projections that a warehouse made in the past, beside what came: `python -m benchmarks.projection WAREHOUSE`."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click
import duckdb

QUERY = Path(__file__).with_name("projection_backtest.sql")
HEADINGS = ("Level", "Status", "Months ahead", "Projections", "Projection", "Too high", "Last value", "Last growth", "Within")
Row = tuple[str, str, int, int, float, float, float, float, float]


def backtest(warehouse: Path, last: date) -> list[Row]:
    """Compare the projections of a closed warehouse with the levels closed later, up to the month `last`.

    A row for each scope, status and number of months ahead: how many projections, then in percent the mean absolute error of
    the projection, its mean error, those of the last value and of the last value with the mean growth of twelve
    months, and how often the interval held.

    Raises:
        duckdb.Error: the file is no warehouse of this project.
    """
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(QUERY.read_text(encoding="utf-8"), [last]).fetchall()


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS)]
    for scope, status, months_ahead, n, *errors, within in rows:
        figures = [f"{error:.2f} %" for error in errors]
        lines.append(f"| {' | '.join([scope, status, str(months_ahead), str(n), *figures, f'{within:.0f} %'])} |")
    return "\n".join(lines)


@click.command()
@click.argument("warehouse", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "last", type=click.DateTime(["%Y-%m"]), default="9000-01", help="Last target month that counts, YYYY-MM.")
def main(warehouse: Path, last: datetime) -> None:
    """Print how far the past projections of a closed WAREHOUSE were from the levels that came."""
    try:
        rows = backtest(warehouse, last.date())
    except duckdb.Error as error:
        raise click.ClickException(f"{warehouse} cannot be read as a warehouse of closed months: {error}") from error
    if not rows:
        raise click.ClickException(f"{warehouse} has no projection whose target month is closed; 14 closed months are needed.")
    click.echo(table(rows))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.projection")
