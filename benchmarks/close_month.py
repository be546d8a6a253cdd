"""One more month closed by the project, against the same month closed by hand in one DuckDB query.

Ratios compare figures of one run on one machine: seconds alone say little.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from orchestration.close import dbt_close_args, record_first_month
from orchestration.dbt import DBT, dbt_environment
from orchestration.demo import generate
from orchestration.ingest import ingest
from orchestration.month_files import months_dir
from orchestration.months import add_months, closable_from, month_text, months_between
from orchestration.settings import DBT_PROJECT_DIR, Settings, load_settings

BY_HAND = Path(__file__).with_name("close_month_by_hand.sql")
# What closing a month asks of the engine before the marts: the state of each profile.
STATE_MODELS = ("int_first_traces", "int_profiles", "int_customer_months")


@dataclass(frozen=True)
class Close:
    """One close through dbt: engine seconds by model, wall seconds of the command, peak memory in bytes."""

    by_model: Mapping[str, float]
    wall: float
    peak_bytes: int

    @property
    def state_seconds(self) -> float:
        return sum(self.by_model[name] for name in STATE_MODELS)

    @property
    def models_seconds(self) -> float:
        return sum(self.by_model.values())


def bench_settings(home: Path) -> Settings:
    """Return settings for a bench base below `home`."""
    return load_settings(
        {
            **os.environ,
            "BATHTUB_RAW_DIR": str(home / "raw"),
            "BATHTUB_WAREHOUSE": str(home / "bathtub.duckdb"),
            "BATHTUB_VARS": "",
        }
    )


def close_with_dbt(settings: Settings, months: list[date]) -> Close:
    """Close months in the bench's warehouse, without its tests, and measure it.

    Raises:
        RuntimeError: dbt failed.
    """
    target = settings.warehouse.parent / "target"
    env = {
        **os.environ,
        **dbt_environment(settings),
        "BATHTUB_DBT_DUCKDB": str(settings.warehouse),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target / "logs"),
    }
    command = [DBT, "--quiet", *dbt_close_args(months), "--exclude-resource-type", "test"]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=DBT_PROJECT_DIR, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"dbt failed; see {target / 'logs' / 'dbt.log'}")
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    by_model = {
        result["unique_id"].split(".")[2]: _seconds_in_engine(result)
        for result in results
        if result["unique_id"].startswith("model.")
    }
    return Close(by_model, wall, usage.ru_maxrss * 1024)


def _seconds_in_engine(result: Mapping[str, Any]) -> float:
    return float(result["execution_time"])


def by_hand_sql(settings: Settings, month: date, first: date) -> str:
    """Return the hand-written query for one month of a bench base."""
    words, next_month = settings.vars, add_months(month, 1)
    fields = [field.name for field in words.profile_fields]
    consents = [(channel, kind) for channel in words.channels for kind in ("in", "out")]
    return BY_HAND.read_text(encoding="utf-8").format(
        raw=settings.raw_dir,
        events=f"{settings.raw_dir}/events/**/*.parquet"
        if (settings.raw_dir / "events").is_dir()
        else f"{settings.raw_dir}/events.parquet",
        state=f"{settings.warehouse.stem}.core.int_customer_months",
        month=month,
        next=next_month,
        as_of=next_month - timedelta(days=1),
        first_month=first,
        start=_utc_text(month, settings),
        end=_utc_text(next_month, settings),
        activities=list(words.activity_event_types),
        placeholders="|".join(map(re.escape, words.placeholders.values)),
        local_parts="|".join(map(re.escape, words.placeholders.email_local_parts)),
        birth_dates=_sql_list([f"{day:%Y-%m-%d}" for day in words.placeholders.birth_dates]),
        flags=", ".join(f"coalesce(p.has_{name}, false) as has_{name}" for name in fields),
        flag_names=", ".join(f"has_{name}" for name in fields),
        aggregated=", ".join(
            f"max(case when channel = '{channel}' and status {'=' if kind == 'in' else '<>'} 'opt_in' then consent_at end) "
            f"as {channel}_opt_{kind}_at"
            for channel, kind in consents
        ),
        latest=", ".join(
            f"greatest(o.{channel}_opt_{kind}_at, h.{channel}_opt_{kind}_at) as {channel}_opt_{kind}_at"
            for channel, kind in consents
        ),
        channel_names=", ".join(f"{channel}_opt_{kind}_at" for channel, kind in consents),
    )


def _utc_text(month: date, settings: Settings) -> str:
    """Return the instant at which a month begins, as UTC."""
    begins = closable_from(add_months(month, -1), settings.vars.zone, 0)
    return f"{begins:%Y-%m-%d %H:%M:%S}"


def _sql_list(values: list[str]) -> str:
    return "(" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + ")"


def close_by_hand(settings: Settings, month: date, first: date) -> tuple[float, int]:
    """Run the hand-written query into a table of its own file; return seconds and the number of rows that differ."""
    state = f"{settings.warehouse.stem}.core.int_customer_months"
    with _beside(settings) as connection:
        seconds = _timed(connection, f"create table closed as {by_hand_sql(settings, month, first)}")
        columns = ", ".join(row[0] for row in connection.execute("describe closed").fetchall())
        row = connection.execute(
            f"with project as (select {columns} from {state} where snapshot_month = date '{month}') "
            f"select count(*) from ((from project except all select {columns} from closed) "
            f"union all (select {columns} from closed except all from project))"
        ).fetchone()
    return seconds, row[0] if row else -1


def growth(settings: Settings, month: date, repetitions: int) -> float:
    """Return the seconds of a month's query with all earlier months in the table, over those with the month before alone."""
    compiled = settings.warehouse.parent / "target" / "compiled"
    (path,) = compiled.glob(f"**/int_customer_months_{month_text(month)}.sql")
    catalog = settings.warehouse.stem
    query = path.read_text(encoding="utf-8")
    state = f'"{catalog}"."core"."int_customer_months"'
    ratios = []
    with _beside(settings) as connection:
        connection.execute(f"create table month_before as from {state} where snapshot_month = date '{add_months(month, -1)}'")
        for _ in range(repetitions):
            all_months, one_month = (
                _timed(connection, f"create or replace table closed as {text}")
                for text in (query, query.replace(state, "month_before"))
            )
            ratios.append(all_months / one_month)
    return statistics.median(ratios)


def _timed(connection: duckdb.DuckDBPyConnection, query: str) -> float:
    started = time.perf_counter()
    connection.execute(query)
    return time.perf_counter() - started


@contextmanager
def _beside(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to a file of its own that reads the warehouse, with the project's settings."""
    scratch = settings.warehouse.parent / "beside.duckdb"
    scratch.unlink(missing_ok=True)
    with duckdb.connect(str(scratch)) as connection:
        connection.execute(
            f"set TimeZone = 'UTC'; set enable_progress_bar = false; set threads = {settings.threads}; "
            f"set memory_limit = '{settings.memory_limit}'; set preserve_insertion_order = false"
        )
        connection.execute(f"attach '{settings.warehouse}' (read_only)")
        yield connection
    scratch.unlink()


def measure(home: Path, profiles: int, months: int, checkpoints: list[int], repetitions: int) -> dict[str, Any]:
    """Make a base, close its months, and measure the close of each checkpoint (the n-th month); return the figures."""
    settings = bench_settings(home)
    last = date(2026, 10, 1)
    first = add_months(last, 1 - months)
    generate(settings.raw_dir, profiles=profiles, months=months, end=last, layout="bench", report=_say)
    figures: dict[str, Any] = {"profiles": profiles, "months": months, "machine": _machine()}

    settings.warehouse.unlink(missing_ok=True)
    shutil.rmtree(months_dir(settings.warehouse), ignore_errors=True)
    months_dir(settings.warehouse).mkdir()
    started = time.perf_counter()
    ingest(settings, settings.warehouse, report=_say)
    figures["ingest_seconds"] = time.perf_counter() - started
    record_first_month(settings.warehouse, first)

    closed, build_seconds = 0, 0.0
    for checkpoint in checkpoints:
        before = months_between(add_months(first, closed), add_months(first, checkpoint - 2))
        if before:
            _say(f"closing {month_text(before[0])} to {month_text(before[-1])}")
            build_seconds += close_with_dbt(settings, before).wall
        month = add_months(first, checkpoint - 1)
        figures[f"month_{checkpoint}"] = _compare(settings, month, first, repetitions)
        closed = checkpoint
    figures["all_months_to_one_month"] = growth(settings, month, repetitions)
    figures["first_build_seconds"] = build_seconds
    figures["warehouse_bytes"] = settings.warehouse.stat().st_size
    figures["month_files_bytes"] = sum(file.stat().st_size for file in months_dir(settings.warehouse).rglob("*.parquet"))
    return figures


def _compare(settings: Settings, month: date, first: date, repetitions: int) -> dict[str, Any]:
    closes, by_hand, different = [], [], 0
    for i in range(repetitions + 1):
        close = close_with_dbt(settings, [month])
        seconds, different = close_by_hand(settings, month, first)
        if i:  # the first of each warms the page cache
            closes.append(close)
            by_hand.append(seconds)
        _say(f"{month_text(month)}: project {close.state_seconds:.2f} s, by hand {seconds:.2f} s")
    return {
        "state_seconds": statistics.median(c.state_seconds for c in closes),
        "models_seconds": statistics.median(c.models_seconds for c in closes),
        "wall_seconds": statistics.median(c.wall for c in closes),
        "by_hand_seconds": statistics.median(by_hand),
        "state_to_by_hand": statistics.median(c.state_seconds / s for c, s in zip(closes, by_hand, strict=True)),
        "models_to_by_hand": statistics.median(c.models_seconds / s for c, s in zip(closes, by_hand, strict=True)),
        "peak_gb": max(c.peak_bytes for c in closes) / 1e9,
        "rows_that_differ": different,
        "by_model": {name: round(seconds, 2) for name, seconds in closes[-1].by_model.items()},
    }


def _machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": sys.version.split()[0],
        "duckdb": duckdb.__version__,
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
