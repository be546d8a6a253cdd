"""Readers of the cluster see a month as it was or as it is, whatever happens to a close."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestration.close import CloseError, plan
from orchestration.engine import engine_of
from orchestration.settings import PROJECT_ROOT
from orchestration.spark.cluster import Cluster
from orchestration.spark.connection import connecting
from orchestration.warehouse import WarehouseError
from tests.engines.closes import LONG_PLANNED, NO_TESTS, Base, clear, closed_months
from tests.orchestration.conftest import write_base

if TYPE_CHECKING:
    import psutil

pytestmark = pytest.mark.engines

JANUARY, FEBRUARY, MARCH, APRIL = (date(2024, month, 1) for month in (1, 2, 3, 4))


@pytest.fixture
def base(cluster: Cluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A tiny base of four months, none closed."""
    clear(cluster, tmp_path)
    write_base(tmp_path / "raw")
    # What is left out is published in the same way.
    base = Base(cluster, tmp_path, tmp_path_factory.getbasetemp() / "readers-target", {}, LONG_PLANNED)
    base.bring_in(JANUARY)
    return base


def seen(base: Base) -> dict[str, list[tuple[Any, ...]]]:
    """What one query each says of every table."""
    return {table: base.rows(f"select count(*), sum(hash(*)) from {table}") for table in base.tables()}


def stored_runs(base: Base) -> set[str]:
    with connecting(base.settings) as session:
        partitions = session.rows("show partitions storage.core__int_customer_months")
    return {partition.split("closed_by=")[1] for (partition,) in partitions}


class Reader(threading.Thread):
    """Asks again and again which definition each month of each table was computed under, in one query on all tables."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self._base, self._stop_asked = base, threading.Event()
        # The logs of restatements have no rows here.
        marts = [table for table in base.tables() if table.startswith("marts.") and "restatements" not in table]
        tables = [*marts, *(table for table in base.tables() if table.endswith("_customer_months"))]
        self._sql = " union all ".join(
            f"select '{table}', snapshot_month, definition_version, count(*) from {table} group by all" for table in tables
        )
        self.n_tables = len(tables)
        self.answers: list[list[tuple[Any, ...]]] = []
        self.errors: list[Exception] = []

    def run(self) -> None:
        with connecting(self._base.settings) as session:
            is_last = False
            while not is_last:
                # Once more after the end, whenever that came.
                is_last = self._stop_asked.is_set()
                try:
                    self.answers.append(session.rows(self._sql))
                except Exception as error:
                    self.errors.append(error)

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asked.set()
        self.join()

    def states(self) -> list[frozenset[tuple[date, str]]]:
        """The months and their definitions in each answer, one after the other; fails when tables disagree within one."""
        states: list[frozenset[tuple[date, str]]] = []
        for answer in self.answers:
            by_month: dict[date, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
            for table, month, version, _ in answer:
                # A mart with vars of its own adds their hash after a dot.
                by_month[month][version.partition(".")[0]].add(table)
            for month, versions in by_month.items():
                ((version, tables),) = versions.items()
                assert len(tables) == self.n_tables, (month, version, tables)
            state = frozenset((month, next(iter(versions))) for month, versions in by_month.items())
            if not states or states[-1] != state:
                states.append(state)
        return states


def test_readers_see_old_or_new_during_a_close_and_a_re_close(base: Base) -> None:
    base.close_on_spark(JANUARY, JANUARY, *NO_TESTS)
    with Reader(base) as reader:
        base.close_on_spark(FEBRUARY, FEBRUARY, *NO_TESTS)
        # Under another definition, so that what the re-close writes can be told from what was there.
        changed = replace(base, variables={"active_within_days": 30})
        changed.close_on_spark(JANUARY, FEBRUARY, *NO_TESTS)
    assert reader.errors == []
    states = reader.states()
    assert [len(state) for state in states] == [1, 2, 2]
    assert not states[1] & states[2]


def test_old_customer_level_months_leave_when_the_next_close_begins_and_marts_stay(base: Base) -> None:
    two = replace(base, variables={"person_level_months": 2})
    two.close(JANUARY, MARCH, *NO_TESTS)
    assert two.differences() == []
    two.close(APRIL, APRIL, *NO_TESTS)
    # The comparison keeps them.
    kept = ("core.int_customer_months", "core.fct_customer_months", "core.fct_contact_months", "core.int_contact_months")
    assert [problem for problem in two.differences() if not problem.startswith(kept)] == []
    months = two.rows("select distinct snapshot_month from core.fct_customer_months order by 1")
    assert months == [(FEBRUARY,), (MARCH,), (APRIL,)]
    state = engine_of(two.settings).read_state()
    assert state.person_level_from == FEBRUARY
    with pytest.raises(CloseError, match=r"2024-02 cannot be closed again: .* the earliest that can be is 2024-03"):
        plan(two.settings.vars, state, datetime(2024, 6, 1, tzinfo=UTC), FEBRUARY)


def test_a_failed_close_changes_nothing_and_leaves_nothing(base: Base) -> None:
    base.close(JANUARY, JANUARY, *NO_TESTS)
    before, (published,) = seen(base), stored_runs(base)
    with connecting(base.settings) as session:
        kept = session.views("ops")["ingested_tables"]
        counts = "rows_read + 1 as rows_read, rows_kept, rows_quarantined, rows_superseded"
        session.show("ops.ingested_tables", f"select table_name, {counts} from ({kept})")
        with pytest.raises(pytest.fail.Exception, match="raw_rows_reconcile"):
            base.close_on_spark(FEBRUARY, FEBRUARY)
        session.show("ops.ingested_tables", kept)
    assert seen(base) == before
    assert closed_months(base) == [JANUARY]
    (failed,) = stored_runs(base) - {published}
    base.close(FEBRUARY, FEBRUARY, *NO_TESTS)
    assert failed not in stored_runs(base)
    assert published in stored_runs(base)
    base.close(JANUARY, FEBRUARY, *NO_TESTS)
    assert base.differences() == []


@pytest.fixture
def worker(cluster: Cluster) -> Iterator[psutil.Process]:
    """A worker that is started again afterwards."""
    import psutil

    pid_file = cluster.folder / "pids" / "worker-2"
    process = psutil.Process(int(pid_file.read_text(encoding="utf-8")))
    command, environ, folder = process.cmdline(), process.environ(), process.cwd()
    yield process
    again = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    pid_file.write_text(str(again.pid), encoding="utf-8")


def test_a_worker_killed_in_the_middle_changes_nothing(base: Base, worker: psutil.Process) -> None:
    base.close(JANUARY, JANUARY, *NO_TESTS)

    def kill() -> None:
        february = "select count(*) from building_core.int_customer_months where snapshot_month = date '2024-02-01'"
        with connecting(base.settings) as session:
            found = [(0,)]
            while found == [(0,)]:
                # dbt drops its own views before it makes them anew.
                with suppress(WarehouseError):
                    found = session.rows(february)
        for process in [*worker.children(recursive=True), worker]:
            process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    base.close(FEBRUARY, MARCH, *NO_TESTS)
    killer.join()
    assert not worker.is_running() or worker.status() == "zombie"
    assert base.differences() == []


def build(base: Base, *args: str) -> str:
    done = attempt(base, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def attempt(base: Base, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestration", "build", *args]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("BATHTUB_", "DAGSTER_", "DBT_"))}
    return subprocess.run(
        command, cwd=PROJECT_ROOT, env={**environ, **base.environ}, capture_output=True, text=True, check=False
    )


def test_the_command_closes_through_dagster_and_finds_nothing_the_second_time(base: Base) -> None:
    tasks = {executor["id"]: executor["completedTasks"] for executor in base.cluster.executors()}
    assert "10 active, 4 customers, 6 prospects, 10 new in the month" in build(base, "--to", "2024-01")
    assert closed_months(base) == [JANUARY]
    assert "Nothing to close" in build(base, "--to", "2024-01")
    # What the cluster itself recorded: both executors took part.
    worked = [e["id"] for e in base.cluster.executors() if e["completedTasks"] > tasks.get(e["id"], 0)]
    assert len(worked) == 2
    # Figures of two definitions are not compared here either.
    changed = attempt(replace(base, variables={**base.variables, "active_within_days": 180}), "--to", "2024-02")
    assert changed.returncode == 1
    assert "make build FROM=2024-01" in changed.stderr + changed.stdout
    assert closed_months(base) == [JANUARY]
