"""A base of two closed months, written by hand: raw files through the ingest, month files, and a mart that must stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from orchestration.ingest import ingest
from orchestration.month_files import months_dir
from orchestration.settings import Settings, load_settings
from tests.end_to_end.raw_base import RawBase, Row

NOW = datetime(2024, 3, 20, 4, tzinfo=UTC)
LOADED = datetime(2024, 2, 1)
MONTHS = (date(2024, 1, 1), date(2024, 2, 1))
AS_OF = {MONTHS[0]: date(2024, 1, 31), MONTHS[1]: date(2024, 2, 29)}
STATE = (
    "as_of_date date, customer_id varchar, source varchar, status varchar, movement varchar, opening_source varchar, "
    "is_in_base boolean, is_active boolean, has_email boolean, gender varchar, created_date date, last_act_at timestamp, "
    "definition_version varchar"
)
CONTACT = (
    "as_of_date date, customer_id varchar, source varchar, movement varchar, is_in_base boolean, email_is_opted_in boolean, "
    "email_opt_in_at timestamp, email_stage varchar"
)
HISTORY = "customer_id varchar, source varchar, birth_month date, is_gone boolean"


def profile(customer_id: str, **more: object) -> Row:
    """A raw profile with an address that tells who it is."""
    return {
        "customer_id": customer_id,
        "created_at": datetime(2023, 12, 5),
        "source": "web",
        "email": f"{customer_id}@people.example",
        "last_name": f"Name of {customer_id}",
        "loaded_at": LOADED,
        **more,
    }


def order(customer_id: str, number: int = 1) -> Row:
    """A raw order."""
    at = datetime(2024, 1, 10)
    return {
        "order_id": f"{customer_id}-{number}",
        "customer_id": customer_id,
        "ordered_at": at,
        "amount": 10.0,
        "loaded_at": LOADED,
    }


@dataclass(frozen=True)
class SmallBase:
    """The base, with the commands of a run on it."""

    folder: Path

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    @property
    def warehouse(self) -> Path:
        return self.folder / "bathtub.duckdb"

    def settings(self, **variables: object) -> Settings:
        return load_settings(
            {
                "BATHTUB_RAW_DIR": str(self.raw),
                "BATHTUB_WAREHOUSE": str(self.warehouse),
                "BATHTUB_VARS": json.dumps(variables),
                "BATHTUB_THREADS": "1",
                "BATHTUB_MEMORY_LIMIT": "500MB",
            }
        )

    def deliver(self, customers: list[Row], form: str = "csv", **tables: list[Row]) -> None:
        """Write the raw files anew, all of them."""
        for file in self.raw.rglob("part.*"):
            file.unlink()
        RawBase(customers=customers, **tables).write(self.raw, form)

    def begin(self, ids: list[str], orphans: tuple[str, ...] = ()) -> None:
        """Ingest what was delivered and close two months of these profiles, with the traces of ids without a profile."""
        ingest(self.settings(), self.warehouse, now=NOW)
        months_dir(self.warehouse).mkdir()
        with duckdb.connect(str(self.warehouse)) as con:
            con.execute("create schema core; create schema marts")
            con.execute(
                "create table ops.closed_months (snapshot_month date, closed_at timestamp, run_id varchar);"
                "create table ops.month_files (model varchar, snapshot_month date, folder varchar, file varchar);"
                "create table core.int_profiles (customer_id varchar, source varchar);"
                "create table marts.flows_monthly as select 1 as n_profiles"
            )
            con.executemany("insert into core.int_profiles values (?, 'web')", [(i,) for i in ids])
            for month in MONTHS:
                con.execute("insert into ops.closed_months values (?, ?, 'run')", [month, datetime(2024, 3, 3)])
                told = [
                    (
                        AS_OF[month],
                        i,
                        "web",
                        "customer",
                        "stable",
                        "web",
                        True,
                        True,
                        True,
                        "F",
                        date(2023, 12, 5),
                        LOADED,
                        "v1",
                    )
                    for i in ids
                ]
                left = [
                    (AS_OF[month], i, None, "prospect", None, None, False, False, None, None, None, LOADED, "v1")
                    for i in orphans
                ]
                self._month(con, "int_customer_months", STATE, month, [*told, *left])
                contacts = [(AS_OF[month], i, "web", "stable", True, True, LOADED, "contactable") for i in ids]
                self._month(con, "int_contact_months", CONTACT, month, contacts)
                history = [(i, "web", date(1980, 5, 1), False) for i in ids] if month == MONTHS[0] else []
                self._month(con, "int_profile_history", HISTORY, month, history)
            for model in ("int_customer_months", "int_contact_months", "int_profile_history"):
                files = con.execute(
                    "select folder || '/' || file from ops.month_files where model = ? order by all", [model]
                ).fetchall()
                names = ", ".join(f"'{file}'" for (file,) in files)
                con.execute(
                    f"create view core.{model} as select * from read_parquet([{names}], hive_partitioning = true, "
                    "hive_types = {'snapshot_month': date})"
                )
            con.execute("create view core.fct_customer_months as select * from core.int_customer_months where is_in_base")

    def _month(
        self, con: duckdb.DuckDBPyConnection, model: str, columns: str, month: date, rows: Sequence[tuple[object, ...]]
    ) -> None:
        file = f"snapshot_month={month}/{model}_first.parquet"
        path = months_dir(self.warehouse) / file
        path.parent.mkdir(exist_ok=True)
        con.execute(f"create or replace temp table written ({columns})")
        if rows:
            con.executemany(f"insert into written values ({', '.join('?' * len(rows[0]))})", rows)
        con.execute(f"copy written to '{path}' (format parquet)")
        con.execute("insert into ops.month_files values (?, ?, ?, ?)", [model, month, str(months_dir(self.warehouse)), file])

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Return the rows of a query on what readers see."""
        with duckdb.connect(str(self.warehouse), read_only=True) as con:
            return con.execute(sql).fetchall()

    def ids(self, relation: str) -> list[str]:
        """Return the ids in a table, sorted; those of anonymous rows as `erased`."""
        found = self.rows(f"select customer_id from {relation} order by 1")
        return [str(row[0]).split("-")[0] if str(row[0]).startswith("erased-") else str(row[0]) for row in found]
