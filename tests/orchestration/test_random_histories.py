"""Random histories of one base, lived through with the real commands: what has to stay true, whatever happens to it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestration.months import add_months, month_text
from orchestration.settings import PROJECT_ROOT
from tests.end_to_end.raw_base import RawBase, Row
from tests.orchestration.conftest import Home, Import

FIRST = date(2024, 1, 1)
FIRST_CLOSES = 2
FIRST_CLOSE_ENDS = add_months(FIRST, FIRST_CLOSES - 1)
PEOPLE = 12
SOURCES = ("web", "till")
STEPS = ("late", "merge", "erase", "restate", "crash")
OF_PEOPLE = """
    select schema_name || '.' || table_name from duckdb_columns()
    where column_name = 'customer_id' and database_name = current_database() and schema_name not in ('raw', 'quarantine')"""
OPEN_BRIDGES = """
    with segments as (
        select
            snapshot_month, source, status, scope,
            sum(case movement when 'opening' then n_profiles else sign * n_profiles end) as n_reached,
            sum(case movement when 'opening' then n_profiles else 0 end) as n_opening,
            sum(case movement when 'closing' then n_profiles else 0 end) as n_closing
        from marts.flows_monthly
        group by all
    )
    select month.*, before.n_closing
    from segments as month
    left join segments as before
        on before.snapshot_month = month.snapshot_month - interval 1 month
        and (before.source, before.status, before.scope) = (month.source, month.status, month.scope)
    where
        month.n_reached <> month.n_closing
        or (month.n_opening <> coalesce(before.n_closing, 0) and month.snapshot_month > date '2024-01-01')"""
# Of the kinds above, in CI; each is one command or more.
N_STEPS = int(os.environ.get("BATHTUB_TEST_STEPS", "3"))
Rows = list[tuple[Any, ...]]


@dataclass
class Life:
    """A deployment, its raw base as it is now, and what its readers saw last."""

    home: Home
    rng: random.Random
    base: RawBase = field(default_factory=RawBase)
    last: date = FIRST_CLOSE_ENDS
    erased: list[str] = field(default_factory=list)
    published: dict[str, Rows] = field(default_factory=dict)

    # ---- what happens to the raw files ---------------------------------------------------------------------------

    def load(self, month: date) -> None:
        """New people, and what all of them do in a month, delivered on the day."""
        for _ in range(PEOPLE):
            name = f"{month:%Y%m}-{len(self.base.customers)}"
            self._add(
                "customers", customer_id=name, source=self.rng.choice(SOURCES), created_at=self._within(month), email="x@y.eu"
            )
        for _ in range(PEOPLE * 2):
            self.trace(self._within(month), None)

    def trace(self, at: datetime, loaded_at: datetime | None) -> None:
        """An order, a visit or a consent of somebody."""
        who, rng = self.rng.choice(self.base.customers)["customer_id"], self.rng
        table = rng.choice(("orders", "events", "consents"))
        count = len(self.base.tables[table])
        rows: dict[str, Row] = {
            "orders": {"order_id": f"o{count}", "ordered_at": at, "amount": 10.0},
            "events": {"event_id": f"e{count}", "occurred_at": at, "event_type": "site_visit"},
            "consents": {
                "consent_id": f"k{count}",
                "occurred_at": at,
                "channel": rng.choice(("email", "sms")),
                "status": rng.choice(("opt_in", "opt_out")),
            },
        }
        self._add(table, customer_id=who, loaded_at=loaded_at or at, **rows[table])

    def late(self) -> None:
        """Rows of a closed month that come after its grace, within the month that is closed next."""
        for _ in range(3):
            at = self._within(add_months(self.last, -self.rng.randrange(FIRST_CLOSES)))
            self.trace(at, self._within(add_months(self.last, 1)) + timedelta(days=4))

    def merge(self) -> None:
        """Somebody is found to be somebody else, maybe through a third."""
        merged = {row["merged_customer_id"] for row in self.base.merges}
        whole = [row["customer_id"] for row in self.base.customers if row["customer_id"] not in merged]
        for one, other in zip(*[iter(self.rng.sample(whole, 4))] * 2, strict=True):
            at = self._within(add_months(self.last, 1))
            self.base.merges.append({"merged_customer_id": one, "customer_id": other, "merged_at": at, "loaded_at": at})

    def erase(self) -> None:
        """Somebody is deleted in the source, from every file, with all profiles found to be the same person."""
        merged = {row["merged_customer_id"] for row in self.base.merges}
        gone = {self.rng.choice([row["customer_id"] for row in self.base.customers if row["customer_id"] not in merged])}
        for _ in self.base.merges:
            gone |= {row["merged_customer_id"] for row in self.base.merges if row["customer_id"] in gone}
        self.erased += gone
        self.base = self.base.filtered(lambda row: row["customer_id"] not in gone)

    def write(self) -> None:
        """Deliver the base as it is now."""
        self.base.write(self.home.raw)

    def _add(self, table: str, **row: Any) -> None:
        self.base.tables[table].append({"loaded_at": row.get("created_at"), **row})

    def _within(self, month: date) -> datetime:
        return datetime(month.year, month.month, 1) + timedelta(minutes=self.rng.randrange(27 * 24 * 60))

    # ---- what the commands do ------------------------------------------------------------------------------------

    def command(self, *args: str) -> str:
        """Run a command to its end."""
        done = self.home.command(*args, BATHTUB_VARS=self.variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def variables(self) -> str:
        """What came until the end of the first closes is the history; months are told in UTC."""
        return f"{{reporting_timezone: UTC, first_month: 2024-01, history_loaded_until: {add_months(FIRST, 1):%Y-%m-%d}}}"

    def killed(self, *args: str) -> None:
        """Start a command and kill it somewhere on its way, its children too."""
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", *args],
            cwd=PROJECT_ROOT,
            env=self.home.environ(BATHTUB_VARS=self.variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(self.rng.uniform(1, 15))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def live(self, step: str) -> None:
        """One more thing happens, then the command that a user would give, and its checks."""
        if step == "restate":
            first = add_months(FIRST, self.rng.randrange(FIRST_CLOSES))
            self.command("restate", "--from", month_text(first), "--yes")
        else:
            self.load(add_months(self.last, 1))
            if step != "crash":
                getattr(self, step)()
            self.write()
            build = ("build", "--to", month_text(add_months(self.last, 1)))
            if step == "crash":
                self.killed(*build)
                self.check()
            self.command(*build)
            self.last = add_months(self.last, 1)
        self.check()

    def is_as_counted_at_once(self, folder: Path) -> None:
        """Restate from the first month on, and compare with the same files closed at once, all of them known at the time."""
        if self.erased:
            return
        self.command("restate", "--from", month_text(FIRST), "--yes")
        self.check()
        other = Home(folder, self.home.dbt_target)
        self.base.write(other.raw)
        known = self.variables.replace("history_loaded_until: 2024-02-01", "history_loaded_until: 2030-01-01")
        done = other.command("build", "--to", month_text(self.last), BATHTUB_VARS=known)
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.marts(other) == self.marts()

    # ---- what has to be true -------------------------------------------------------------------------------------

    def marts(self, home: Home | None = None) -> dict[str, Rows]:
        """Every row of the marts, but for the log."""
        with duckdb.connect(str((home or self.home).warehouse), read_only=True) as con:
            names = con.execute("select 'marts.' || table_name from duckdb_tables() where schema_name = 'marts' order by 1")
            return {name: con.execute(f"select * from {name} order by all").fetchall() for (name,) in names.fetchall()}

    def check(self) -> None:
        """Look at all that readers see: bridges, the erased, and what was published before."""
        now = self.marts()
        with duckdb.connect(str(self.home.warehouse), read_only=True) as con:
            logged = set(con.execute("select distinct 'marts.' || mart, snapshot_month from marts.restatements").fetchall())
            assert con.execute(OPEN_BRIDGES).fetchall() == []
            for (table,) in con.execute(OF_PEOPLE).fetchall():
                of_erased = con.execute(
                    f"select count(*) from {table} where list_contains(?, cast(customer_id as varchar))", [self.erased]
                )
                assert (table, of_erased.fetchone()) == (table, (0,))
        for name, rows in self.published.items():
            before = {row[0] for row in rows}
            changed = {row[0] for row in {*rows} ^ {row for row in now[name] if row[0] in before}}
            assert {(name, month) for month in changed} <= logged
        self.published = now


@pytest.mark.soak
# Each step is a command that takes seconds; a history that fails is printed as it is.
@settings(
    max_examples=int(os.environ.get("BATHTUB_TEST_HISTORIES", "1")),
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32), steps=st.permutations(STEPS).map(lambda steps: steps[:N_STEPS]))
def test_whatever_happens_bridges_close_and_what_was_published_changes_only_with_a_record(
    imported: Import, dbt_target: Path, seed: int, steps: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Home(Path(folder) / "home", dbt_target), random.Random(seed))
        for i in range(FIRST_CLOSES):
            life.load(add_months(FIRST, i))
        life.write()
        life.command("build", "--to", month_text(life.last))
        life.check()
        for step in steps:
            life.live(step)
            if step == "restate":
                life.is_as_counted_at_once(Path(folder) / "at_once")
