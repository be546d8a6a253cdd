"""Command line of the demo generator: `python -m orchestration.demo --out DIR`."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path

import click
import duckdb

from orchestration.demo.generator import LAYOUTS, DemoError, generate
from orchestration.months import last_closable
from orchestration.params import Month
from orchestration.settings import load_settings


def _last_closable() -> date:
    words = load_settings().vars
    return last_closable(datetime.now(UTC), words.zone, words.closing_grace_days)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New or empty folder, or one made before.")
@click.option("--profiles", default=20_000, show_default=True, help="Profiles ever in the base, 100 to 20,000,000.")
@click.option("--months", default=36, show_default=True, help="Months up to and including --end.")
@click.option("--end", type=Month(), help="Last month. Default: the last whose grace is over.")
@click.option("--seed", default=7, show_default=True, help="Another seed makes another base.")
@click.option("--events-per-profile", type=float, help="Default: 20 for feed, 50 for bench.")
@click.option("--orders-per-profile", type=float, help="Default: 3 for feed, 5 for bench.")
@click.option("--consents-per-profile", default=4.0, show_default=True)
@click.option("--layout", type=click.Choice(LAYOUTS), default="feed", show_default=True)
def main(
    out: Path,
    profiles: int,
    months: int,
    end: date | None,
    seed: int,
    events_per_profile: float | None,
    orders_per_profile: float | None,
    consents_per_profile: float,
    layout: str,
) -> None:
    """Make a synthetic raw base: nightly feed files with a few defects, or clean Parquet."""
    try:
        generate(
            out,
            profiles=profiles,
            months=months,
            end=end or _last_closable(),
            seed=seed,
            layout=layout,
            events_per_profile=events_per_profile,
            orders_per_profile=orders_per_profile,
            consents_per_profile=consents_per_profile,
            report=click.echo,
        )
    except DemoError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except (OSError, duckdb.Error) as error:
        cause = str(error).splitlines()[0]
        click.echo(f"{out} is incomplete ({cause}); repair that and run the same command again.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
