"""Measured comparisons: `python -m benchmarks --help`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.base import Base, say
from benchmarks.figures import Line, Note, as_json, machine, table
from benchmarks.project import BenchError
from orchestration.settings import PROJECT_ROOT

PARTS = ("close", "postgres", "growth", "first_build", "memory", "reachability", "overhead", "night", "alert_bands", "spark")


def _parts(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    chosen = [part.strip() for part in value.split(",") if part.strip()]
    if unknown := [part for part in chosen if part not in PARTS]:
        raise click.BadParameter(f"{', '.join(unknown)}; allowed: {', '.join(PARTS)}.")
    return chosen


def _sizes(_: click.Context, __: click.Parameter, value: str | None) -> list[int]:
    try:
        return [int(size) for size in (value or "").split(",") if size.strip()]
    except ValueError:
        raise click.BadParameter(f"{value}; allowed: whole numbers separated by commas.") from None


@click.command()
@click.option("--profiles", default=200_000, show_default=True, help="How many people; 2000000 gives the published figures.")
@click.option("--months", default=60, show_default=True, help="Months of history, 13 or more.")
@click.option("--only", callback=_parts, default=",".join(PARTS), show_default=True, help="Which parts, separated by commas.")
@click.option("--repetitions", default=3, show_default=True, help="Counted runs of each contender; the median is printed.")
@click.option("--first-build-repetitions", default=1, show_default=True, help="Counted runs of the first build.")
@click.option("--postgres-profiles", type=int, help="Size of the base for PostgreSQL, when loading all would take too long.")
@click.option("--big-profiles", type=int, help="Size of the second base: memory, reachability. [default: 5 × --profiles]")
@click.option("--big-months", default=12, show_default=True, help="Months of the second base, with a fifth of the events each.")
@click.option(
    "--spark-profiles", callback=_sizes, help="Sizes for Spark, separated by commas. [default: 1/4, 1/2, 1 of --profiles]"
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures, with every run, to a file.")
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    default=PROJECT_ROOT / "data" / "bench",
    help="Folder for bases and warehouses, kept for the next run. [default: data/bench]",
)
def main(
    profiles: int,
    months: int,
    only: list[str],
    repetitions: int,
    first_build_repetitions: int,
    postgres_profiles: int | None,
    big_profiles: int | None,
    big_months: int,
    spark_profiles: list[int],
    json_file: Path | None,
    home: Path,
) -> None:
    """Measure the project against other ways to close the same month, and print a table of ratios."""
    if months < 13:
        raise click.BadParameter("13 or more: growth is measured against the twelfth month.", param_hint="--months")
    facts = machine()
    base = Base(home.resolve(), profiles, months)
    asked = Base(home.resolve(), postgres_profiles or profiles, months)
    sizes = spark_profiles or [profiles // 4, profiles // 2, profiles]
    big = Base(home.resolve(), big_profiles or 5 * profiles, big_months, events_per_profile=10)
    lines: list[Line] = []
    try:
        for part in only:
            say(f"== {part}")
            lines += _measure(part, base, asked, big, sizes, repetitions, first_build_repetitions)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    finally:
        click.echo(table(lines))
        click.echo("\n" + ", ".join(f"{name} {value}" for name, value in facts.items()))
        if json_file is not None:
            json_file.write_text(json.dumps(as_json(lines, facts), indent=2, default=str) + "\n", encoding="utf-8")
    if any(line.is_met is False for line in lines if not isinstance(line, Note)):
        say("Some targets are not met.")
        sys.exit(1)


def _measure(
    part: str, base: Base, asked: Base, big: Base, sizes: list[int], repetitions: int, first_build_repetitions: int
) -> list[Line]:
    # Each part imports what only it needs: PostgreSQL and Spark come with `make .venv/.engines`.
    from benchmarks import alert_bands, close, first_build, growth, memory, night, overhead, reachability, spark

    if part not in ("alert_bands", "spark"):
        (asked if part == "postgres" else base).make()
    measures: dict[str, Callable[[], list[Line]]] = {
        "close": lambda: close.measure_close(base, repetitions),
        "postgres": lambda: close.measure_postgres(asked, repetitions),
        "growth": lambda: growth.measure_growth(base, repetitions),
        "first_build": lambda: first_build.measure_first_build(base, first_build_repetitions),
        "memory": lambda: memory.measure_memory([base, big], repetitions),
        "reachability": lambda: reachability.measure_reachability(base, [base.profiles, big.profiles], repetitions),
        "overhead": lambda: overhead.measure_overhead(base, repetitions),
        "night": lambda: night.measure_night(base, repetitions),
        "alert_bands": alert_bands.measure_alert_bands,
        "spark": lambda: spark.measure_spark(base.root, sizes, repetitions),
    }
    return measures[part]()


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
