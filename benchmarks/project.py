"""The project as a contender: months closed by its models in the engine, or by its whole command."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import psutil

from benchmarks.base import Base, say
from orchestration.close import dbt_close_args, read_state, record_closed, record_first_month
from orchestration.dbt import DBT, environment
from orchestration.months import add_months, month_text, months_between
from orchestration.raw import refresh_raw
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, load_settings
from orchestration.warehouse import reading, writing

CODE = ("orchestration/**/*.py", "orchestration/**/*.sql", "dbt_project/*.yml", "dbt_project/m*/**/*", "dbt_project/seeds/*")
Interval = tuple[float, float]

# The models that are also written by hand.
STATE = ("int_traces", "int_first_traces", "int_profiles", "int_profile_history", "int_profile_states", "int_customer_months")
MARTS = (
    "base_overview_monthly", "recency_monthly", "status_monthly", "fill_rate_monthly", "optin_rate_monthly", "flows_monthly",
)  # fmt: skip


class BenchError(Exception):
    """A contender failed; the message says which and where its log is."""


class _DiscardError(Exception):
    """Leaves the working copy unpublished, so that the next repetition closes the same open month."""


@dataclass(frozen=True)
class Close:
    """One close by the models: when the engine worked on each, by schema and name, in seconds since the epoch."""

    statements: Mapping[tuple[str, str], Sequence[Interval]]
    wall_seconds: float

    @property
    def state_seconds(self) -> float:
        """Seconds in which the engine worked on a model of the state that has a twin by hand."""
        return union(span for (_, name), spans in self.statements.items() if name in STATE for span in spans)

    @property
    def models_seconds(self) -> float:
        """Seconds in which the engine worked on a model that has a twin by hand."""
        return union(span for (_, name), spans in self.statements.items() if name in (*STATE, *MARTS) for span in spans)

    @property
    def all_models_seconds(self) -> float:
        """Seconds in which the engine worked on any model."""
        return union(span for spans in self.statements.values() for span in spans)

    @property
    def dbt_seconds(self) -> float:
        """Seconds from the first statement to the last: the engine's, and dbt's own between them."""
        spans = [span for spans in self.statements.values() for span in spans]
        return max(end for _, end in spans) - min(start for start, _ in spans)

    @property
    def names(self) -> set[str]:
        """Names of the models that ran."""
        return {name for _, name in self.statements}


def union(intervals: Iterable[Interval]) -> float:
    """Return the length of the union: models run side by side, and the sum of their times would count seconds twice."""
    total, end = 0.0, float("-inf")
    for started, completed in sorted(intervals):
        total += max(0.0, completed - max(started, end))
        end = max(end, completed)
    return total


@dataclass(frozen=True)
class Run:
    """One run of a command: wall seconds and the most memory that its processes held together."""

    seconds: float
    peak_bytes: int


def run_command(command: Sequence[str], env: Mapping[str, str], log: Path) -> Run:
    """Run a command from the project's root and measure it; its output goes to a file.

    Raises:
        BenchError: it failed.
    """
    with log.open("w", encoding="utf-8") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        peak = _PeakMemory(process.pid)
        code = process.wait()
        seconds = time.perf_counter() - started
        peak_bytes = peak.stop()
    if code != 0:
        raise BenchError(f"{' '.join(command)} failed; see {log}.")
    return Run(seconds, peak_bytes)


class _PeakMemory:
    """Samples the resident memory of a process and all below it, twenty times a second."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._ended = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._ended.wait(0.05):
            with suppress(psutil.NoSuchProcess):
                root = psutil.Process(self._pid)
                self._peak = max(self._peak, sum(map(_resident, [root, *root.children(recursive=True)])))

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._peak


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


class Project:
    """A warehouse of a base whose history begins with a month; it stays on disk for the next run of the same code."""

    def __init__(self, base: Base, first_month: date, name: str = "closed") -> None:
        self.base, self.first_month = base, first_month
        self.home = base.home / f"{name}-from-{month_text(first_month)}"
        self.warehouse = self.home / "bathtub.duckdb"
        self._before = self.home / "before.duckdb"
        self._marker = self.home / "code.sha256"
        self.environment = base.environment(self.warehouse, first_month)
        self.settings = load_settings(self.environment)

    def prepare(self, closed: int) -> float:
        """Bring the warehouse to `closed` months after a new ingest, or leave it when it is there.

        Return the seconds of the ingest, 0 without one.
        """
        self.recover()
        months = months_between(self.first_month, add_months(self.first_month, closed - 1))
        if self._is_made_by_this_code() and list(read_state(self.warehouse).closed) == months:
            return 0.0
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        started = time.perf_counter()
        refresh_raw(self.settings, say)
        seconds = time.perf_counter() - started
        if months:
            say(f"closing {month_text(months[0])} to {month_text(months[-1])}")
            self._close(months)
            # The run after a close erases who was deleted in the months closed: a command that is measured finds it done.
            refresh_raw(self.settings, say)
        self._marker.write_text(_code_hash(), encoding="utf-8")
        return seconds

    def _is_made_by_this_code(self) -> bool:
        return self._marker.exists() and self._marker.read_text(encoding="utf-8") == _code_hash()

    def _close(self, months: Sequence[date]) -> None:
        with writing(self.settings, "benchmark") as copy, environment(self.settings):
            record_first_month(copy, self.first_month)
            self._dbt(months)
            record_closed(copy, months, datetime.now(UTC), "benchmark")

    def try_close(self, months: Sequence[date], look: Callable[[Path], None] | None = None) -> Close:
        """Close months in a working copy, without tests, show the copy to `look`, and leave the warehouse as it was."""
        with suppress(_DiscardError), writing(self.settings, "benchmark") as copy, environment(self.settings):
            record_first_month(copy, self.first_month)
            close = self._dbt(months)
            if look is not None:
                look(copy)
            raise _DiscardError
        return close

    def try_model(self, model: str, month: date, statements: Iterable[str], *columns: str) -> tuple[list[Close], Sequence[int]]:
        """Build a model, and what it reads, again and again in one working copy, each time after a statement.

        Return the builds, with the rows of the table and how many of some columns are filled at the end; the warehouse is left
        as it was.
        """
        builds = []
        with suppress(_DiscardError), writing(self.settings, "benchmark") as copy, environment(self.settings):
            record_first_month(copy, self.first_month)
            for statement in statements:
                with duckdb.connect(str(copy)) as connection:
                    connection.execute(statement)
                builds.append(self._dbt([month], "--select", f"+{model}"))
            counted = ", ".join(f"count({column})" for column in columns)
            with duckdb.connect(str(copy), read_only=True) as connection:
                (counts,) = connection.execute(f"select count(*), {counted} from private.{model}").fetchall()
            raise _DiscardError
        return builds, counts

    def _dbt(self, months: Sequence[date], *more: str) -> Close:
        target = self.home / "target-engine"
        paths = {"DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(self.home)}
        command = [
            DBT,
            "--quiet",
            "--log-format-file",
            "json",
            *dbt_close_args(months),
            "--exclude-resource-type",
            "test",
            *more,
        ]
        log = self.home / "dbt.log"
        log.unlink(missing_ok=True)
        started = time.perf_counter()
        done = subprocess.run(command, cwd=DBT_PROJECT_DIR, env={**os.environ, **paths}, check=False)
        wall_seconds = time.perf_counter() - started
        if done.returncode != 0:
            raise BenchError(f"dbt failed; see {log}.")
        nodes = json.loads((target / "manifest.json").read_text(encoding="utf-8"))["nodes"]
        models = {key: (node["schema"], node["name"]) for key, node in nodes.items() if node["resource_type"] == "model"}
        return Close(_statements(log, models), wall_seconds)

    def command(self, last: date) -> Run:
        """Close up to a month with the whole command, as a user does, measure it, and put the warehouse back as it was."""
        # The command renames a new file over the warehouse; a second name keeps the one before.
        os.link(self.warehouse, self._before)
        try:
            command = [sys.executable, "-m", "orchestration", "build", "--to", month_text(last)]
            return run_command(command, self.environment, self.home / "build.log")
        finally:
            self.recover()

    def recover(self) -> None:
        """Put back the warehouse that a command, perhaps an interrupted one, has replaced."""
        if self._before.exists():
            # Renaming one name of a file over another of the same file does nothing.
            self._before.replace(self.warehouse)
            self._before.unlink(missing_ok=True)

    def profile_months(self) -> int:
        """Return the rows of the closed months, one per customer id and month."""
        with reading(self.warehouse) as connection:
            return int(connection.execute("select count(*) from core.int_customer_months").fetchall()[0][0])

    def bytes_on_disk(self) -> int:
        """Return the bytes of the warehouse and of the files that belong to it."""
        # A writer begins by deleting what runs that were thrown away left behind.
        with suppress(_DiscardError), writing(self.settings, "benchmark"):
            raise _DiscardError
        others = sum(path.stat().st_size for path in self.home.glob("bathtub*/**/*") if path.is_file())
        return others + self.warehouse.stat().st_size


def _statements(log: Path, models: Mapping[str, tuple[str, str]]) -> dict[tuple[str, str], list[Interval]]:
    """Return when the engine worked on each model, from the log of dbt, which names a statement's model as it is sent."""
    found: dict[tuple[str, str], list[Interval]] = {}
    sent: dict[str, str] = {}
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            thread = event["info"]["thread"]
            if event["info"]["name"] == "SQLQuery":
                sent[thread] = event["data"]["conn_name"]
            elif event["info"]["name"] == "SQLQueryStatus" and (model := models.get(sent.get(thread, ""))):
                ended = datetime.fromisoformat(event["info"]["ts"]).timestamp()
                found.setdefault(model, []).append((ended - event["data"]["elapsed"], ended))
    return found


def _code_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in CODE for path in PROJECT_ROOT.glob(pattern)}):
        if path.is_file() and "target" not in path.parts:
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()
