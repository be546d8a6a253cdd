"""A raw base in memory, and its files."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.contract import Table, raw_tables
from orchestration.ingest.batch import rows_into

Row = dict[str, Any]


@dataclass
class RawBase:
    """Rows by raw table; a column that a row lacks is empty."""

    customers: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    consents: list[Row] = field(default_factory=list)
    merges: list[Row] = field(default_factory=list)
    mail_domains: list[Row] = field(default_factory=list)
    accounts: list[Row] = field(default_factory=list)
    contracts: list[Row] = field(default_factory=list)
    account_contacts: list[Row] = field(default_factory=list)

    @property
    def tables(self) -> dict[str, list[Row]]:
        return {
            "customers": self.customers,
            "orders": self.orders,
            "events": self.events,
            "consents": self.consents,
            "merges": self.merges,
            "mail_domains": self.mail_domains,
            "accounts": self.accounts,
            "contracts": self.contracts,
            "account_contacts": self.account_contacts,
        }

    @property
    def traces(self) -> list[tuple[Row, datetime]]:
        """Orders, events and consents with their time."""
        orders = [(row, row["ordered_at"]) for row in self.orders]
        return [*orders, *((row, row["occurred_at"]) for row in [*self.events, *self.consents])]

    def filtered(self, keeps: Callable[[Row], bool]) -> RawBase:
        """The rows that `keeps` accepts, and those that are of no customer."""
        return RawBase(
            **{name: [row for row in rows if "customer_id" not in row or keeps(row)] for name, rows in self.tables.items()}
        )

    def of(self, customer_id: str) -> RawBase:
        """The rows of one id."""
        return self.filtered(lambda row: row["customer_id"] == customer_id)

    def write(self, raw_dir: Path, form: str = "parquet", part: str = "part") -> Path:
        """Write each table that has rows as `<table>/<part>.<form>` (parquet, csv or csv.gz), and return the folder."""
        for table in raw_tables():
            rows = self.tables.get(table.name, [])
            if rows or (part == "part" and not table.optional):
                folder = raw_dir / table.name
                folder.mkdir(parents=True, exist_ok=True)
                names = [c.name for c in table.delivered if c.required or any(c.name in row for row in rows)]
                if form == "parquet":
                    _write_parquet(folder / f"{part}.parquet", table, names, rows)
                else:
                    _write_csv(folder / f"{part}.{form}", names, rows)
        return raw_dir


def _write_parquet(path: Path, table: Table, names: list[str], rows: list[Row]) -> None:
    types = {column.name: column.data_type for column in table.delivered if column.name in names}
    with duckdb.connect() as connection:
        connection.execute(f"create table written ({', '.join(f'{name} {kind}' for name, kind in types.items())})")
        rows_into(connection, "written", list(types.values()), [[row.get(name) for name in types] for row in rows])
        connection.table("written").write_parquet(str(path))


def _write_csv(path: Path, names: list[str], rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
