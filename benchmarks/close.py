"""One month more: the project against the floor, a Polars script, and PostgreSQL asked from raw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from benchmarks import postgres
from benchmarks.base import LAST_MONTH, Base, say
from benchmarks.by_hand import ByHand, rows_that_differ, seconds
from benchmarks.close_month_polars import config_of
from benchmarks.figures import Figure, Line, Note, differences, ratios
from benchmarks.project import MARTS, STATE, BenchError, Close, Project
from orchestration.months import add_months, month_text
from orchestration.settings import PROJECT_ROOT

# As the project writes its month files.
AS_FILE = "format parquet, compression zstd, compression_level 1"
# Gender and age go through the project's state for one mart, whose like is not made by hand.
NOT_BY_HAND = ("definition_version", "gender", "age_years", "is_birth_date_implausible")
BEFORE = add_months(LAST_MONTH, -1)


class Exported:
    """What the project made of the month and of the month before, as Parquet: to be compared with, and to start from."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.before, self.closed, self.status_before = (folder / f"{name}.parquet" for name in ("before", "closed", "status"))
        self.keeps_files = False

    def mart(self, name: str) -> str:
        return f"'{self._folder / name}.parquet'"

    def take(self, warehouse: Path) -> None:
        """Write the files from a warehouse in which the last month is closed, and see how it keeps the state."""
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            state = "core.int_customer_months"
            for month, path in ((BEFORE, self.before), (LAST_MONTH, self.closed)):
                connection.execute(f"copy (from {state} where snapshot_month = date '{month}') to '{path}' ({AS_FILE})")
            connection.execute(
                f"copy (from marts.status_monthly where snapshot_month = date '{BEFORE}') to '{self.status_before}'"
            )
            for mart in MARTS:
                query = f"from marts.{mart} where snapshot_month = date '{LAST_MONTH}'"
                connection.execute(f"copy ({query}) to {self.mart(mart)}")
            kind = connection.execute(
                "select table_type from information_schema.tables "
                "where table_schema = 'core' and table_name = 'int_customer_months'"
            ).fetchall()
        self.keeps_files = kind == [("VIEW",)]


@dataclass
class _Runs:
    """Seconds of each contender, repetition by repetition."""

    closes: list[Close] = field(default_factory=list)
    state_by_hand: list[float] = field(default_factory=list)
    marts_by_hand: list[float] = field(default_factory=list)
    polars: list[float] = field(default_factory=list)
    commands: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)


class Contest:
    """The last month of a base, open in the project's warehouse, for all contenders to close."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.project = Project(base, base.first_month)
        self.by_hand = ByHand(base, self.project.settings, base.first_month)
        self.exported = Exported(base.home / "exported")
        self.project.prepare(base.months - 1)

    def state_by_hand(self, connection: duckdb.DuckDBPyConnection) -> float:
        """Close the month by hand, kept as the project keeps it: in a Parquet file or in a table."""
        out, query = self.base.home / "by_hand.parquet", self.by_hand.month_sql(LAST_MONTH, "before")
        if self.exported.keeps_files:
            taken = seconds(connection, f"copy ({query}) to '{out}' ({AS_FILE})")
            connection.execute(f"create or replace temp view closed as from '{out}'")
            return taken
        connection.execute("drop table if exists closed")
        return seconds(connection, f"create table closed as {query}")

    def before_by_hand(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give the hand-written queries the month before alone, kept in the same way, and its small mart."""
        kind = "view" if self.exported.keeps_files else "table"
        connection.execute(f"create {kind} before as from '{self.exported.before}'")
        connection.execute(f"create table status_before as from '{self.exported.status_before}'")

    def marts_by_hand(self, connection: duckdb.DuckDBPyConnection) -> float:
        return seconds(connection, self.by_hand.marts_sql(LAST_MONTH, "closed"))

    def polars(self) -> float:
        """Run the Polars script in a process of its own; return the seconds that it took by itself, imports not counted."""
        settings, config = self.project.settings, self.base.home / "polars.json"
        spans = self.by_hand.start_of(LAST_MONTH), self.by_hand.start_of(add_months(LAST_MONTH, 1))
        words = config_of(self.base.files, settings.vars, LAST_MONTH, self.base.first_month, spans)
        config.write_text(
            json.dumps({**words, "before": str(self.exported.before), "out": str(self.polars_file)}), encoding="utf-8"
        )
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.close_month_polars", str(config)],
            cwd=PROJECT_ROOT,
            env={**os.environ, "POLARS_MAX_THREADS": str(settings.threads)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError("The Polars script failed; its reason stands above.")
        return float(done.stdout)

    @property
    def polars_file(self) -> Path:
        return self.base.home / "polars.parquet"

    def by_segment(self) -> list[tuple[object, ...]]:
        """Return what PostgreSQL is asked, from the project's own rows."""
        words = self.project.settings.vars
        opted_in = " or ".join(
            f"coalesce({name}_opt_in_at > {name}_opt_out_at, {name}_opt_in_at is not null)" for name in words.channels
        )
        filled = ", ".join(f"count_if(has_{field.name})" for field in words.profile_fields)
        with duckdb.connect() as connection:
            return connection.execute(
                f"select source, status, count(*), count_if(is_active), count_if({opted_in}), {filled} "
                f"from '{self.exported.closed}' where is_in_base group by all order by source, status"
            ).fetchall()


def measure_close(base: Base, repetitions: int) -> list[Line]:
    """Close one month more in each way, turn by turn; the first turn warms the caches and is not counted."""
    contest, runs = Contest(base), _Runs()
    project, different = contest.project, {}
    for turn in range(repetitions + 1):
        close = project.try_close([LAST_MONTH], contest.exported.take if turn == 0 else None)
        with contest.by_hand.connect(base.home / "by_hand.duckdb") as connection:
            contest.before_by_hand(connection)
            state = contest.state_by_hand(connection)
            marts = contest.marts_by_hand(connection)
            polars = contest.polars()
            if turn == 0:
                different = _differences(contest, connection)
        command = project.command(LAST_MONTH)
        say(
            f"close, turn {turn}: state {close.state_seconds:.2f} s, by hand {state:.2f} s, Polars {polars:.2f} s; "
            f"with marts {close.models_seconds:.2f} s, by hand {state + marts:.2f} s; command {command.seconds:.1f} s"
        )
        if turn:
            runs.closes.append(close)
            runs.state_by_hand.append(state)
            runs.marts_by_hand.append(marts)
            runs.polars.append(polars)
            runs.commands.append(command.seconds)
            runs.peak_bytes.append(command.peak_bytes)
    return _close_lines(contest, runs, different)


def _differences(contest: Contest, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    # Who left is an anonymous row in the project alone; the marts compare how many they are.
    closed = f"(from '{contest.exported.closed}' where is_in_base)"
    pairs = {"by hand": "(from closed where is_in_base)", "Polars": f"(from '{contest.polars_file}' where is_in_base)"}
    found = {name: rows_that_differ(connection, other, closed, NOT_BY_HAND) for name, other in pairs.items()}
    marts = sum(rows_that_differ(connection, contest.exported.mart(mart), mart) for mart in MARTS)
    return {**found, "marts by hand": marts}


def _close_lines(contest: Contest, runs: _Runs, different: dict[str, int]) -> list[Line]:
    part = "close"
    state = [close.state_seconds for close in runs.closes]
    models = [close.models_seconds for close in runs.closes]
    both = [s + m for s, m in zip(runs.state_by_hand, runs.marts_by_hand, strict=True)]

    def figure(what: str, unit: str, values: list[float] | tuple[float, ...], most: float | None = None) -> Figure:
        return Figure(part, what, unit, tuple(values), most)

    lines: list[Line] = [
        Note(part, f"one month more, {month_text(LAST_MONTH)}: {contest.base.volume()}"),
        figure("project, state, in the engine", "s", state),
        figure("by hand, state, one DuckDB query", "s", runs.state_by_hand),
        figure("Polars script, state", "s", runs.polars),
        figure("state: project to by hand", "times", ratios(state, runs.state_by_hand), 1.3),
        figure("state: project to Polars", "times", ratios(state, runs.polars), 1.0),
        figure("project, state and marts, in the engine", "s", models),
        figure("by hand, state and marts", "s", both),
        figure("state and marts: project to by hand", "times", ratios(models, both), 1.3),
        figure("project, all models, contactability too", "s", [close.all_models_seconds for close in runs.closes]),
        figure("project, state and marts, with dbt's own work in between", "s", [close.dbt_seconds for close in runs.closes]),
        figure("whole command", "s", runs.commands),
        figure("whole command, less by hand", "s", differences(runs.commands, both), 15),
        figure("whole command, less the project in the engine", "s", differences(runs.commands, models)),
        figure("peak memory of the whole command", "GB", [peak / 1e9 for peak in runs.peak_bytes], 4),
        *(figure(f"rows that differ: project and {name}", "rows", [float(n)], 0) for name, n in different.items()),
    ]
    others = runs.closes[-1].names - {*STATE, *MARTS}
    if others:
        lines.append(Note(part, f"without a hand-written twin, in `all models` alone: {', '.join(sorted(others))}"))
    kept = "a Parquet file" if contest.exported.keeps_files else "a DuckDB table"
    return [*lines, Note(part, f"the state is kept as {kept} by project and hand, as a Parquet file by Polars")]


def measure_postgres(base: Base, repetitions: int) -> list[Line]:
    """Ask PostgreSQL from raw, turn by turn with the project's close of the same month; the first turn is not counted."""
    contest, part = Contest(base), "postgres"
    settings = contest.project.settings
    closes: list[Close] = []
    asked: list[float] = []
    with postgres.server(base.home, settings) as connection:
        load_seconds = postgres.load(connection, base)
        query = postgres.question(settings, LAST_MONTH, base.first_month)
        is_same = False
        for turn in range(repetitions + 1):
            close = contest.project.try_close([LAST_MONTH], contest.exported.take if turn == 0 else None)
            taken, rows = postgres.ask(connection, query)
            say(f"postgres, turn {turn}: project {close.models_seconds:.2f} s, PostgreSQL {taken:.2f} s")
            if turn == 0:
                is_same = rows == contest.by_segment()
            else:
                closes.append(close)
                asked.append(taken)
    state, models = (tuple(getattr(close, name) for close in closes) for name in ("state_seconds", "models_seconds"))
    lines: list[Line] = [
        Note(part, f"the same question from raw at the end of {month_text(LAST_MONTH)}: {base.volume()}"),
        Figure(part, "PostgreSQL, from raw", "s", tuple(asked)),
        Figure(part, "project, state and marts, in the engine", "s", models),
        Figure(part, "state: project to PostgreSQL", "times", ratios(state, asked), 1.0),
        Figure(part, "state and marts: project to PostgreSQL", "times", ratios(models, asked), 1.0),
        Figure(part, "segments that differ", "rows", (0.0 if is_same else 1.0,), 0),
    ]
    if load_seconds is None:
        return [*lines, Note(part, "loaded by an earlier run")]
    return [*lines, Figure(part, "loading and indexing PostgreSQL, not counted above", "s", (load_seconds,))]
