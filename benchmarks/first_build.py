"""All months of a base closed for the first time: by the project, and by hand in two ways."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from benchmarks.base import LAST_MONTH, Base, say
from benchmarks.by_hand import ROWS_PER_PART, ByHand
from benchmarks.figures import Figure, Line, Note, ratios
from benchmarks.project import Close, Project
from orchestration.months import months_between

Fingerprints = dict[date, tuple[int, int]]


def measure_first_build(base: Base, repetitions: int) -> list[Line]:
    """Build all months in each way, turn by turn; all turns count: nothing stays in memory over runs this long."""
    months = months_between(base.first_month, LAST_MONTH)
    project = Project(base, base.first_month, name="ingested")
    ingest_seconds = project.prepare(0)
    by_hand = ByHand(base, project.settings, base.first_month)
    ways = {"month by month": _month_by_month, "in one pass": _in_one_pass}
    closes: list[Close] = []
    hands: dict[str, list[float]] = {way: [] for way in ways}
    prints: dict[str, Fingerprints] = {}

    def look(warehouse: Path) -> None:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            prints["project"] = fingerprints(connection, "core.int_customer_months", by_hand.state_columns)

    for turn in range(repetitions):
        closes.append(project.try_close(months, look))
        say(f"first build, turn {turn + 1}: project {closes[-1].models_seconds:.1f} s")
        for way, build in ways.items():
            with by_hand.connect(base.home / "by_hand.duckdb") as connection:
                started = time.perf_counter()
                build(connection, by_hand, months, base.profiles)
                hands[way].append(time.perf_counter() - started)
                prints[way] = fingerprints(connection, "states", by_hand.state_columns)
            say(f"first build, turn {turn + 1}: by hand, {way}: {hands[way][-1]:.1f} s")
    return _lines(base, ingest_seconds, closes, hands, prints)


def _month_by_month(connection: duckdb.DuckDBPyConnection, by_hand: ByHand, months: Sequence[date], profiles: int) -> None:
    by_hand.prepare(connection)
    _no_status(connection)
    connection.execute(f"create temp view before as {by_hand.no_month()}")
    for month in months:
        query = by_hand.month_sql(month, "before", "from prepared", "from first_traces")
        verb = "create table states as" if month == months[0] else "insert into states"
        connection.execute(f"{verb} {query}")
        connection.execute(f"create or replace temp view before as from states where snapshot_month = date '{month}'")
        _marts(connection, by_hand, month, "before")


def _in_one_pass(connection: duckdb.DuckDBPyConnection, by_hand: ByHand, months: Sequence[date], profiles: int) -> None:
    by_hand.prepare(connection)
    _no_status(connection)
    connection.execute(f"create temp table months as {by_hand.months_sql(months[-1])}")
    parts = -(-profiles * len(months) // ROWS_PER_PART)
    for part in range(parts):
        query = by_hand.all_months_sql(months[-1], f"hash(customer_id) % {parts} = {part}")
        connection.execute(f"{'insert into states' if part else 'create table states as'} {query}")
    for month in months:
        connection.execute(f"create or replace temp view closed as from states where snapshot_month = date '{month}'")
        _marts(connection, by_hand, month, "closed")


def _no_status(connection: duckdb.DuckDBPyConnection) -> None:
    """Before the first month there is no mart of the month before."""
    connection.execute(
        "create table status_before (snapshot_month date, source varchar, status varchar, is_active boolean, "
        "n_profiles bigint, n_new bigint, n_optin_any bigint)"
    )


def _marts(connection: duckdb.DuckDBPyConnection, by_hand: ByHand, month: date, closed: str) -> None:
    connection.execute(by_hand.marts_sql(month, closed))
    connection.execute("create or replace table status_before as from status_monthly")


def fingerprints(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str]) -> Fingerprints:
    """Return, by month, how many rows a relation has and the sum of their hashes: equal rows give equal sums, in any order."""
    hashed = ", ".join(columns)
    rows = connection.execute(
        f"select snapshot_month, count(*), sum(hash({hashed})::hugeint) from {relation} group by snapshot_month"
    ).fetchall()
    return {month: (int(count), int(total)) for month, count, total in rows}


def _lines(
    base: Base,
    ingest_seconds: float,
    closes: Sequence[Close],
    hands: dict[str, list[float]],
    prints: dict[str, Fingerprints],
) -> list[Line]:
    part = "first build"
    fastest = min(hands, key=lambda way: min(hands[way]))
    models = [close.models_seconds for close in closes]
    expected = prints["project"]
    return [
        Note(part, f"{base.months} months with their marts; {base.volume()}; reading the raw files is not counted"),
        Figure(part, "project, state, in the engine", "s", tuple(close.state_seconds for close in closes)),
        Figure(part, "project, state and marts, in the engine", "s", tuple(models)),
        Figure(part, "project, the dbt command from start to end", "s", tuple(close.wall_seconds for close in closes)),
        *(Figure(part, f"by hand, {way}, state and marts", "s", tuple(runs)) for way, runs in hands.items()),
        Figure(part, f"project to by hand, {fastest}", "times", ratios(models, hands[fastest]), 1.5),
        *(
            Figure(
                part,
                f"months whose rows differ: project and by hand, {way}",
                "months",
                (_months_that_differ(expected, found),),
                0,
            )
            for way, found in prints.items()
            if way != "project"
        ),
        *([Figure(part, "reading the raw files, not counted above", "s", (ingest_seconds,))] if ingest_seconds else []),
    ]


def _months_that_differ(expected: Fingerprints, found: Fingerprints) -> float:
    return float(sum(expected.get(month) != found.get(month) for month in expected.keys() | found.keys()))
