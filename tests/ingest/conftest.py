"""A raw folder, an empty warehouse, and the ingest between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.ingest import IngestResult, ingest
from orchestration.settings import load_settings

CUSTOMERS = "customer_id,created_at\nC1,2026-01-05 10:00:00\nC2,2026-02-01 10:00:00\n"
ORDERS = "order_id,customer_id,ordered_at,amount\nO1,C1,2026-01-06 10:00:00,20\n"
EVENTS = "event_id,customer_id,occurred_at,event_type\nE1,C1,2026-01-07 10:00:00,site_visit\n"
CONSENTS = "consent_id,customer_id,channel,status,occurred_at\nK1,C1,email,opt_in,2026-01-05 10:00:00\n"


def night_of(number: int) -> datetime:
    """When the ingest of a night runs."""
    return datetime(2026, 10, number, 3, tzinfo=UTC)


@dataclass
class Bench:
    """The raw folder and the warehouse of one test."""

    raw: Path
    warehouse: Path
    env: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, content: str | bytes) -> Path:
        """Put a raw file in place."""
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_parquet(self, name: str, query: str) -> Path:
        """Put a Parquet file with the rows of a query in place."""
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as con:
            con.execute("set TimeZone = 'UTC'")
            con.execute(f"copy ({query}) to '{path}' (format parquet, row_group_size 2048)")
        return path

    def ingest(self, night: int = 1, **overrides: str) -> IngestResult:
        """Run the ingest of a night, the first by default, as the environment says."""
        env = {"BATHTUB_RAW_DIR": str(self.raw), "BATHTUB_WAREHOUSE": str(self.warehouse), **self.env, **overrides}
        return ingest(load_settings(env), self.warehouse, now=night_of(night))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the warehouse, read under a session zone that is not UTC."""
        with duckdb.connect(str(self.warehouse), read_only=True) as con:
            con.execute("set TimeZone = 'America/New_York'")
            return con.execute(query).fetchall()

    def forget(self, table: str) -> None:
        """Drop a table of the books."""
        with duckdb.connect(str(self.warehouse)) as con:
            con.execute(f"drop table {table}")

    def quarantine(self, table: str) -> list[tuple[Any, ...]]:
        """File, line, reason, column and fate of what went to quarantine."""
        return self.rows(f"""
            select file, line, reason, column_name, is_row_kept from quarantine.{table} order by file, line, reason""")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A small clean raw base in CSV."""
    raw = tmp_path / "raw"
    raw.mkdir()
    made = Bench(raw, tmp_path / "warehouse.duckdb")
    for name, content in (("customers", CUSTOMERS), ("orders", ORDERS), ("events", EVENTS), ("consents", CONSENTS)):
        made.write(f"{name}.csv", content)
    yield made
