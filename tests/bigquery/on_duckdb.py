"""The base of traps, closed on DuckDB by the project's own environment, as what BigQuery's side is compared with."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tests.bigquery.googlesql import Rows
from tests.bigquery.project import DBT_PROJECT

PYTHON = DBT_PROJECT.parent / ".venv" / "bin" / "python"
BUILT = ("staging", "private", "core", "marts", "observations")
# Of coordinates, DuckDB's views hold only those that the next run judges; the hash of the rules is DuckDB's own.
OF_ONE_RUN = {
    f"private.{name}" for name in ("int_coordinates_to_judge", "int_emails", "int_phone_numbers", "int_phones", "int_addresses")
}
OF_DUCKDB = {"rules_hash"}
# The base of traps has no companies and no merges, too few profiles for a finding, and here too few months for a projection.
# Nothing of it is restated.
MAY_BE_EMPTY = {
    *(f"staging.stg_{name}" for name in ("accounts", "contracts", "account_contacts", "merges")),
    *(
        f"core.int_{name}"
        for name in ("accounts", "account_orders", "account_contracts", "account_contacts", "account_coverage")
    ),
    *(f"core.{name}" for name in ("int_merges", "int_merge_steps", "int_late_rows")),
    *(f"marts.{name}" for name in ("restatements", "restatements_monthly")),
    *(f"core.int_projection_{name}" for name in ("months", "moves", "entries", "errors")),
    *(f"marts.{name}_monthly" for name in ("accounts", "projection", "challenges")),
    "private.retention_due_profiles",
}


@dataclass(frozen=True)
class OnDuckDB:
    """A warehouse of DuckDB."""

    warehouse: Path

    def query(self, sql: str) -> Rows:
        """The rows of a query, instants in UTC."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def relations(self) -> list[str]:
        """What dbt built, as `schema.table`."""
        names = self.query(
            f"select table_schema || '.' || table_name from information_schema.tables where table_schema in {BUILT}"
        )
        return sorted(str(name) for (name,) in names)

    def columns(self, relation: str) -> dict[str, str]:
        """The columns of a table or view, with their types in the words of the contracts."""
        words = {"integer": "bigint"}
        return {str(row[0]): words.get(str(row[1]).lower(), str(row[1]).lower()) for row in self.query(f"describe {relation}")}


def close_traps(folder: Path, zone: str, *left_out: str) -> OnDuckDB:
    """Close three months of the base of traps, but for the customers `left_out`: two at once, then one."""
    command = [str(PYTHON), "-m", "tests.bigquery.close_on_duckdb", str(folder), zone, *left_out]
    done: Any = subprocess.run(command, cwd=DBT_PROJECT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return OnDuckDB(folder / "bathtub.duckdb")
