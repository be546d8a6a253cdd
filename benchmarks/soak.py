"""What ten years of closes leave on disk, year by year: `python -m benchmarks.soak`.

A base is closed by the whole command, twelve months a run, each run in a process of its own, once with the default of
`person_level_months` and once with every customer-level month kept.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import perf_counter

import click

from benchmarks.base import LAST_MONTH, Base, say
from orchestration.month_files import months_dir, named_files
from orchestration.months import month_text, months_between
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import reading

YEAR = 12


@dataclass(frozen=True)
class Year:
    """What is on disk after a run of one or more years; sizes in bytes."""

    last: date
    seconds: float
    n_profiles: int
    n_person_level_months: int
    person_level_bytes: int
    warehouse_bytes: int
    dagster_bytes: int


def close_years(base: Base, folder: Path, person_level_months: int, n_years: int = 1) -> Iterator[Year]:
    """Close all months of a base in a warehouse of its own in `folder`, and tell what each run of `n_years` leaves.

    Raises:
        RuntimeError: a close failed; the message holds what it said.
    """
    base.make()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    warehouse = folder / "bathtub.duckdb"
    environment = base.environment(warehouse, base.first_month)
    variables = {"first_month": month_text(base.first_month), "person_level_months": person_level_months}
    environment["BATHTUB_VARS"] = json.dumps(variables)
    for last in months_between(base.first_month, LAST_MONTH)[n_years * YEAR - 1 :: n_years * YEAR]:
        start = perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "orchestration", "build", "--to", month_text(last)],
            cwd=PROJECT_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{month_text(last)}: {done.stdout}{done.stderr}")
        yield _look(warehouse, last, perf_counter() - start)


def _look(warehouse: Path, last: date, seconds: float) -> Year:
    with reading(warehouse) as connection:
        n_profiles, n_months = connection.execute(
            "select count(*) filter (snapshot_month = ?), count(distinct snapshot_month) from core.int_customer_months "
            "where is_in_base",
            [last],
        ).fetchall()[0]
        named = named_files(connection)
    # Those that are named no more are deleted by the next run that writes.
    person_level = sum((months_dir(warehouse) / file).stat().st_size for file in named)
    return Year(
        last=last,
        seconds=seconds,
        n_profiles=n_profiles,
        n_person_level_months=n_months,
        person_level_bytes=person_level,
        warehouse_bytes=warehouse.stat().st_size,
        dagster_bytes=sum(path.stat().st_size for path in (warehouse.parent / "dagster").rglob("*") if path.is_file()),
    )


@click.command()
@click.option("--profiles", default=20_000, show_default=True, help="How many people the base is made of.")
@click.option("--months", default=120, show_default=True, help="Months of history, a multiple of 12.")
@click.option("--kept", default=25, show_default=True, help="person_level_months; beside it, all are kept.")
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    default=PROJECT_ROOT / "data" / "bench",
    help="Folder for the base and the warehouses. [default: data/bench]",
)
def main(profiles: int, months: int, kept: int, home: Path) -> None:
    """Print the years."""
    base = Base(home, profiles, months, events_per_profile=20)
    found: dict[int, list[Year]] = {kept: [], months: []}
    for kept_months, years in found.items():
        for year in close_years(base, base.home / f"soak-{kept_months}", kept_months):
            years.append(year)
            say(f"{kept_months} kept: {month_text(year.last)} closed in {year.seconds:.0f} s")
    click.echo(base.volume())
    click.echo("| Closed months | Profiles in the base | Customer-level months kept | On disk | All kept | On disk |")
    click.echo("|---|---|---|---|---|---|")
    for number, (short, whole) in enumerate(zip(found[kept], found[months], strict=True), start=1):
        cells = [f"{number * YEAR}", f"{short.n_profiles:,}"]
        for year in (short, whole):
            cells += [f"{year.n_person_level_months}", f"{(year.person_level_bytes + year.warehouse_bytes) / 1e6:.1f} MB"]
        click.echo(f"| {' | '.join(cells)} |")
    last = found[kept][-1]
    click.echo(
        f"At the end, {kept} kept: {last.person_level_bytes / 1e6:.1f} MB of customers' months, the warehouse file "
        f"{last.warehouse_bytes / 1e6:.1f} MB, Dagster's folder {last.dagster_bytes / 1e6:.1f} MB."
    )


if __name__ == "__main__":
    main()
