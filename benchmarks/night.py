"""The night: a day's file of events arrives, is read and observed, beside one scan of all events."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.base import Base, say
from benchmarks.figures import Figure, Line, Note, ratios
from orchestration.alerts.observe import observe_file
from orchestration.close import record_closed
from orchestration.ingest import ingest
from orchestration.months import add_months
from orchestration.settings import Settings, load_settings
from orchestration.warehouse import writing

MOST = 0.1
# The history ends with the last month: nights go on from there.
HISTORY_READ_AT = datetime(2026, 11, 1, 3, tzinfo=UTC)


@dataclass
class _Times:
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], object]) -> None:
        before, started = time.process_time(), time.perf_counter()
        work()
        self.cpu.append(time.process_time() - before)
        self.wall.append(time.perf_counter() - started)

    def drop_first(self) -> None:
        del self.cpu[:1], self.wall[:1]


def measure_night(base: Base, repetitions: int) -> list[Line]:
    """Read and observe one night after the other, each followed by a scan; the first turn is not counted."""
    home = base.home / "night"
    shutil.rmtree(home, ignore_errors=True)
    raw = home / "raw"
    raw.mkdir(parents=True)
    for path in base.raw.iterdir():
        if not path.name.startswith((".", "_")):
            # Files that arrive join those of the base without changing them.
            (raw / path.name).symlink_to(path, target_is_directory=path.is_dir())
    settings = load_settings({**base.environment(home / "bathtub.duckdb", base.first_month), "BATHTUB_RAW_DIR": str(raw)})
    last = add_months(base.first_month, base.months) - timedelta(days=1)
    _night(settings, last, HISTORY_READ_AT, _Times(), _Times())
    _close_last_month(settings, base)
    night, read, observed, scan = _Times(), _Times(), _Times(), _Times()
    for turn in range(repetitions + 1):
        day = last + timedelta(days=turn + 1)
        _deliver(base, raw, day, turn)
        arrives = HISTORY_READ_AT + timedelta(days=turn + 1)
        night.measure(partial(_night, settings, day, arrives, read, observed))
        scan.measure(lambda: _scan(settings))
        say(f"night, turn {turn}: CPU {night.cpu[-1]:.2f} s (ingest {read.cpu[-1]:.2f} s), one scan {scan.cpu[-1]:.2f} s")
    for times in (night, read, observed, scan):
        times.drop_first()
    part = "night"
    return [
        Note(part, f"a day's events arrive: {base.volume()}"),
        Figure(part, "one scan of all events, CPU", "s", tuple(scan.cpu)),
        Figure(part, "one scan of all events", "s", tuple(scan.wall)),
        Figure(part, "the night's ingest, CPU", "s", tuple(read.cpu)),
        Figure(part, "the night's observation, CPU", "s", tuple(observed.cpu)),
        Figure(part, "the night, CPU", "s", tuple(night.cpu)),
        Figure(part, "the night", "s", tuple(night.wall)),
        Figure(part, "CPU: the night to one scan", "times", ratios(night.cpu, scan.cpu), MOST),
    ]


def _night(settings: Settings, day: date, arrives: datetime, read: _Times, observed: _Times) -> None:
    """Do what `refresh_raw` does at night, at a time of its own."""
    with writing(settings, "benchmark") as copy:
        read.measure(lambda: ingest(settings, copy, now=arrives))
        observed.measure(lambda: observe_file(copy, settings, day))


def _close_last_month(settings: Settings, base: Base) -> None:
    """Note the last month as closed, without its marts: a base in use has its first month no longer looked for each night."""
    with writing(settings, "benchmark") as copy:
        record_closed(copy, [add_months(base.first_month, base.months - 1)], HISTORY_READ_AT, "benchmark")


def _scan(settings: Settings) -> None:
    """Read every value of every event."""
    config: dict[str, str | bool | int | float | list[str]] = {"threads": settings.threads}
    with duckdb.connect(str(settings.warehouse), read_only=True, config=config) as connection:
        columns = ", ".join(f'"{row[0]}"' for row in connection.execute("describe raw.events").fetchall())
        connection.execute(f"select bit_xor(hash({columns})) from raw.events").fetchall()


def _deliver(base: Base, raw: Path, day: date, turn: int) -> None:
    """Write the events of the same day of the last month as those of a new day, under ids of their own."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        source = f"read_parquet('{base.files['events']}', hive_partitioning = false)"
        old = date(2026, 10, 1) + timedelta(days=turn)
        shift = (day - old).days
        columns = {row[0] for row in connection.execute(f"describe from {source}").fetchall()}
        moved = ", ".join(
            f"{name} + interval {shift} day as {name}" for name in ("occurred_at", "loaded_at") if name in columns
        )
        connection.execute(
            f"copy (select * replace (event_id || '-{turn}' as event_id, {moved}) from {source} "
            f"where occurred_at >= timestamp '{old}' and occurred_at < timestamp '{old}' + interval 1 day "
            f"order by occurred_at) to '{raw}/events_{day}.parquet' (format parquet)"
        )
