"""Real commands killed at random instants: what readers see then, and what the next commands make of it.

A trial starts from the base of the last good state, kills one command with SIGKILL, its whole process group at once, looks at
everything a reader can look at, and runs the plain commands to their end. Both must give what an undisturbed run gives: before
that, the last good state is as good.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from orchestration.months import add_months, month_text
from orchestration.publish.embedded import embedded_server, reader_dsn
from orchestration.settings import PROJECT_ROOT, parse_month
from orchestration.warehouse import reading
from tests.orchestration.conftest import MONTHS, Home

LIMIT_SECONDS = 900
# When a file was read, or months were restated and by which run, which is not the same in two runs.
CLOCK_COLUMNS = (
    "loaded_at", "first_loaded_at", "first_loaded_at_now", "deletion_loaded_at", "late_date", "late_date_now", "restatement_id",
    "restated_at", "run_id",
)  # fmt: skip
# Published tables that hold such moments.
CLOCK_TABLES = ("bi_refresh_status", "restatements_monthly")
CLOSING_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00")

CLOSE, CLOSE_AGAIN, RESTATE = "ingest and close", "close again", "restate"
OTHER_DEFINITION = {"BATHTUB_VARS": "{active_within_days: 60}"}
Fingerprint = Mapping[str, tuple[int, str]]


@dataclass(frozen=True)
class Phase:
    """What is killed, from which state it starts and to which it leads, and the settings it runs with."""

    name: str
    command: tuple[str, ...]
    starts: str = "after"
    ends: str = "after"
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instant:
    """When to kill: some seconds after the start, or after the n-th line that the command says."""

    seconds: float
    after_line: int | None = None


@dataclass
class Outcome:
    """What a trial found; `faults` are empty when all is well."""

    phase: str
    instant: Instant
    was_running: bool
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Good:
    """Everything that readers may see of one state."""

    marts: Fingerprint
    tables: Fingerprint
    page: str
    files: str
    published: Fingerprint


def add_month(raw: Path, month: date) -> None:
    """Deliver the files of a further month, of people new and known."""
    text, known = month_text(month), month_text(add_months(month, -1))
    tables: dict[str, list[str]] = {"customers": ["customer_id,created_at,source,email"]}
    tables["orders"] = ["order_id,customer_id,ordered_at,amount"]
    tables["events"] = ["event_id,customer_id,occurred_at,event_type"]
    for i in range(10):
        at = f"{text}-{i + 5:02d} 10:00:00"
        tables["customers"].append(f"{text}/{i},{at},{'web' if i % 2 else 'till'},person{i}@example.org")
        person = f"{known if i % 3 else text}/{i}"
        tables["orders"].append(f"O{text}/{i},{person},{at},20")
        tables["events"].append(f"E{text}/{i},{person},{at},site_visit")
    for name, lines in tables.items():
        (raw / f"{name}_{text}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def fingerprint(connection: duckdb.DuckDBPyConnection, *schemas: str) -> Fingerprint:
    """Return the number of rows and a hash of them, in any order, of each table and view of some schemas.

    But for the states of profiles, which are of the months of the last run.
    """
    columns = connection.execute(
        "select table_schema, table_name, list(column_name order by column_name) from information_schema.columns "
        "where table_schema in (select unnest(?)) and not ends_with(table_name, '_states') group by all order by all",
        [list(schemas)],
    ).fetchall()
    prints = {}
    for schema, table, names in columns:
        kept = ", ".join(f'"{name}"' for name in names if name not in CLOCK_COLUMNS)
        query = f'select count(*), coalesce(sum(hash({kept})::hugeint), 0)::varchar from "{schema}"."{table}"'
        prints[f"{schema}.{table}"] = connection.execute(query).fetchall()[0]
    return prints


class Deployment:
    """A deployment closed up to a month, before and after the files of the next month, and restated."""

    def __init__(self, home: Home, keep: Path, closed_until: str, phases: Sequence[str] = ()) -> None:
        """`home` holds a warehouse closed up to that month; copies are kept in `keep`; no phase stands for all."""
        self.home, self._keep = home, keep
        self.month = add_months(parse_month(closed_until), 1)
        to = ("--to", month_text(self.month))
        again = ("build", "--from", closed_until, *to)
        restate = ("restate", "--from", MONTHS[0], "--yes")
        known = (
            Phase(CLOSE, ("build", *to), starts="before"),
            Phase(CLOSE_AGAIN, again),
            Phase(RESTATE, restate, ends="restated", more=OTHER_DEFINITION),
            Phase("report", ("report",)),
            Phase("publish", ("publish",)),
            Phase("backup", ("backup",)),
        )
        self.phases = tuple(phase for phase in known if not phases or phase.name in phases)
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, int] = {}

    @property
    def _more(self) -> dict[str, str]:
        folder = self.home.folder
        places = {"BATHTUB_PUBLISH_DIR": str(folder / "files"), "BATHTUB_POSTGRES_DIR": str(folder / "postgres")}
        return {**places, "PYTHONUNBUFFERED": "1"}

    # ---- the states -------------------------------------------------------------------------------------------------

    def prepare(self, say: Callable[[str], None]) -> None:
        """Make the states by undisturbed runs, and measure each phase."""
        self.states: dict[str, Good] = {}
        self._finish("report")
        self._finish("publish")
        self.states["before"] = self.look()
        add_month(self.home.raw, self.month)
        self._save("before")
        self._measure(say, lambda phase: phase.name not in (CLOSE_AGAIN, RESTATE))
        # The job of the close writes the report; without a month that is new the command writes it too.
        self.states["after"] = self.look()
        self._save("after")
        self._measure(say, lambda phase: phase.name == CLOSE_AGAIN)
        if (again := self.look()) != self.states["after"]:
            raise AssertionError(f"Closing again gave other rows: {self._difference(again, self.states['after'])}")
        self._measure(say, lambda phase: phase.name == RESTATE)
        self._finish("report", more=OTHER_DEFINITION)
        self.states["restated"] = self.look()

    def _measure(self, say: Callable[[str], None], is_meant: Callable[[Phase], bool]) -> None:
        for phase in filter(is_meant, self.phases):
            self._finish(*phase.command, measured=phase.name, more=phase.more)
            say(f"undisturbed {phase.name}: {self.seconds[phase.name]:.1f} s")

    def _save(self, name: str) -> None:
        shutil.rmtree(self._keep / name, ignore_errors=True)
        self._copy(self.home.folder, self._keep / name)

    def reset(self, phase: Phase) -> None:
        """Put the deployment into the state that a phase starts from."""
        for path in self.home.folder.iterdir():
            if path.name != "postgres":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._copy(self._keep / phase.starts, self.home.folder)
        if phase.name == "report":
            shutil.copytree(self._keep / "before" / "reports", self.home.folder / "reports", dirs_exist_ok=True)
        if phase.name == "publish":
            shutil.rmtree(self.home.folder / "files")
            shutil.copytree(self._keep / "before" / "files", self.home.folder / "files")

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        # A server of its own runs in there; what is published in it stays from trial to trial.
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("postgres"), dirs_exist_ok=True)

    # ---- running and killing ----------------------------------------------------------------------------------------

    def _finish(self, *command: str, measured: str = "", more: Mapping[str, str] | None = None) -> None:
        started = time.monotonic()
        done = self.home.command(*command, **self._more, **(more or {}))
        if done.returncode:
            raise AssertionError(f"{' '.join(command)} failed: {done.stdout[-1500:]} {done.stderr[-1500:]}")
        if measured:
            self.seconds[measured] = time.monotonic() - started
            self.lines[measured] = len(done.stdout.splitlines())

    def instant(self, phase: Phase, dice: random.Random) -> Instant:
        """Draw when to kill: anywhere in the run, or, every second time, within a second after any of its lines."""
        if dice.random() < 0.5 and self.lines[phase.name] > 5:
            return Instant(dice.uniform(0, 1.0), dice.randrange(self.lines[phase.name]))
        return Instant(dice.uniform(0, self.seconds[phase.name]))

    def kill(self, phase: Phase, instant: Instant) -> bool:
        """Run the command of a phase and kill it; False when it had ended before."""
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", *phase.command],
            cwd=PROJECT_ROOT,
            env=self.home.environ(**self._more, **phase.more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        lines = process.stdout
        if instant.after_line is not None:
            for _ in range(instant.after_line + 1):
                if not lines.readline():
                    break
        threading.Thread(target=lines.read, daemon=True).start()
        try:
            process.wait(instant.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return process.returncode == -signal.SIGKILL

    # ---- what readers see -------------------------------------------------------------------------------------------

    def look(self) -> Good:
        """Read everything that is shown to anybody."""
        with reading(self.home.warehouse) as connection:
            marts, tables = fingerprint(connection, "marts"), fingerprint(connection, "core")
        page = (self.home.folder / "reports" / "latest.html").read_text(encoding="utf-8")
        shown = hashlib.sha256(CLOSING_TIME.sub("", page).encode()).hexdigest()
        return Good(marts, tables, shown, self._files(), self._published())

    def _files(self) -> str:
        """A hash of what the manifest of the published files names, all of it checked."""
        latest: dict[str, Any] = {}
        for manifest in sorted((self.home.folder / "files").glob("2*/manifest.json")):
            latest = json.loads(manifest.read_text(encoding="utf-8"))
            for mart in latest["marts"]:
                for file in mart["files"]:
                    content = (manifest.parent / file["path"]).read_bytes()
                    assert hashlib.sha256(content).hexdigest() == file["sha256"], file["path"]
        sums = {m["name"]: [f["sha256"] for f in m["files"]] for m in latest["marts"] if m["name"] not in CLOCK_TABLES}
        return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()

    def _published(self) -> Fingerprint:
        """The published tables as bi_reader sees them."""
        folder = self.home.folder / "postgres"
        with embedded_server(folder) as dsn, psycopg.connect(reader_dsn(dsn, folder), autocommit=True) as connection:
            names = connection.execute(
                "select table_name from information_schema.tables where table_schema = 'marts' "
                "and table_name <> all(%s) order by 1",
                [list(CLOCK_TABLES)],
            ).fetchall()
            prints = {}
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read")
                for (name,) in names:
                    query = (
                        f"select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from marts.{name} t"
                    )
                    row = connection.execute(query.encode()).fetchone()
                    assert row is not None
                    prints[name] = (row[0], row[1])
            return prints

    # ---- a trial ----------------------------------------------------------------------------------------------------

    def trial(self, phase: Phase, instant: Instant) -> Outcome:
        """Kill a phase at an instant, look, run the plain commands to their end, and look again."""
        self.reset(phase)
        outcome = Outcome(phase.name, instant, self.kill(phase, instant))
        try:
            outcome.faults += self._seen_wrong(self.look(), phase)
            if phase.name in (CLOSE, CLOSE_AGAIN, RESTATE):
                self._finish("build", "--to", month_text(self.month), more=phase.more)
            if phase.name not in (CLOSE, CLOSE_AGAIN):
                self._finish(*phase.command, more=phase.more)
            self._finish("report", more=phase.more)
            seen, wanted = self.look(), self.states[phase.ends]
            if phase.name in (CLOSE, RESTATE):
                # What is published elsewhere is as it was: the build publishes through its job where it is configured.
                wanted = replace(wanted, files=seen.files, published=seen.published)
            if seen != wanted:
                outcome.faults.append(f"the next run gave something else: {self._difference(seen, wanted)}")
            outcome.faults += self._leftovers()
        except Exception as error:
            outcome.faults.append(f"{type(error).__name__}: {' '.join(str(error).split())[:1500]}")
        return outcome

    def _seen_wrong(self, seen: Good, phase: Phase) -> list[str]:
        # What a phase has nothing to do with may be from before.
        states = [self.states[name] for name in ("before", phase.starts, phase.ends)]
        return [
            f"readers saw another {part} than before or after"
            for part in ("marts", "page", "files", "published")
            if getattr(seen, part) not in [getattr(state, part) for state in states]
        ]

    @staticmethod
    def _difference(seen: Good, wanted: Good) -> str:
        parts = [part for part in ("page", "files") if getattr(seen, part) != getattr(wanted, part)]
        for part in ("marts", "tables", "published"):
            left, right = getattr(seen, part), getattr(wanted, part)
            parts += [name for name in sorted({*left, *right}) if left.get(name) != right.get(name)]
        return ", ".join(parts)

    def _leftovers(self) -> list[str]:
        found = [
            path.relative_to(self.home.folder).as_posix()
            for path in self.home.folder.rglob("*")
            if "postgres" not in path.parts
            and "dagster" not in path.parts
            and (
                path.suffix in (".part", ".wal") or path.name in (".bathtub.building", ".bathtub.backup", ".bathtub.restoring")
            )
        ]
        return [f"left behind: {', '.join(sorted(found)[:5])}"] if found else []


def draw(deployment: Deployment, kills: int, seed: int) -> list[tuple[Phase, Instant]]:
    """Return which phase to kill when, the phases in turn."""
    dice = random.Random(seed)
    turns = [deployment.phases[i % len(deployment.phases)] for i in range(kills)]
    return [(phase, deployment.instant(phase, dice)) for phase in turns]
