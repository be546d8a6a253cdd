"""Measured comparisons: `python -m benchmarks --help`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchmarks.close_month import measure
from orchestration.settings import PROJECT_ROOT


@click.command()
@click.option("--profiles", default=200_000, show_default=True, help="How many people; 2,000,000 gives the published figures.")
@click.option("--months", default=60, show_default=True, help="Months of history.")
@click.option(
    "--checkpoint", "checkpoints", multiple=True, type=int, help="Measure the close of the n-th month. [default: 12 and last]"
)
@click.option("--repetitions", default=3, show_default=True, help="Counted runs of each; the median is printed.")
@click.option(
    "--home", type=click.Path(path_type=Path), default=PROJECT_ROOT / "data" / "bench", help="Folder for base and warehouse."
)
def main(profiles: int, months: int, checkpoints: tuple[int, ...], repetitions: int, home: Path) -> None:
    """Close one more month with the project and by hand in one query, and print the ratio as JSON."""
    home.mkdir(parents=True, exist_ok=True)
    wanted = sorted(checkpoints) or [n for n in (12, months) if n <= months]
    click.echo(json.dumps(measure(home, profiles, months, wanted, repetitions), indent=2))


main(prog_name="python -m benchmarks")
