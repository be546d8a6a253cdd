"""The raw base that all contenders read, and where a benchmark keeps its files."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import duckdb

from orchestration.demo import generate
from orchestration.months import add_months

LAST_MONTH = date(2026, 10, 1)


def say(line: str) -> None:
    """Report progress beside the table, which alone goes to standard output."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Base:
    """A synthetic base of a size, in a folder of that size below `root`; all of it is initial history."""

    root: Path
    profiles: int
    months: int
    events_per_profile: float = 50

    @property
    def home(self) -> Path:
        return self.root / f"{self.profiles}x{self.months}"

    @property
    def raw(self) -> Path:
        return self.home / "raw"

    @property
    def first_month(self) -> date:
        return add_months(LAST_MONTH, 1 - self.months)

    def make(self) -> None:
        """Make the files, unless they are there."""
        self.home.mkdir(parents=True, exist_ok=True)
        generate(
            self.raw,
            profiles=self.profiles,
            months=self.months,
            end=LAST_MONTH,
            layout="bench",
            events_per_profile=self.events_per_profile,
            report=say,
        )

    @cached_property
    def rows(self) -> dict[str, int]:
        """Rows of each raw table."""
        counts = {}
        with duckdb.connect() as connection:
            for table, files in self.files.items():
                counted = connection.execute(f"select sum(num_rows)::bigint from parquet_file_metadata('{files}')").fetchall()
                counts[table] = int(counted[0][0])
        return counts

    @property
    def files(self) -> dict[str, str]:
        """File or glob of each raw table."""
        single = {table: f"{self.raw}/{table}.parquet" for table in ("customers", "orders", "consents")}
        return {**single, "events": f"{self.raw}/events/*/events.parquet"}

    def volume(self) -> str:
        """Return the size in words."""
        return ", ".join(f"{count:,} {table}" for table, count in self.rows.items()) + f", {self.months} months"

    def environment(self, warehouse: Path, first_month: date) -> dict[str, str]:
        """Return the environment in which the project closes this base's months into a warehouse."""
        return {
            **os.environ,
            "BATHTUB_TARGET": "duckdb",
            "BATHTUB_RAW_DIR": str(self.raw),
            "BATHTUB_WAREHOUSE": str(warehouse),
            "BATHTUB_VARS": f'{{"first_month": "{first_month:%Y-%m}"}}',
            "DAGSTER_HOME": str(warehouse.parent / "dagster"),
            # The manifest holds the warehouse's path: contenders that take turns must not parse for each other.
            "DBT_TARGET_PATH": str(warehouse.parent / "target"),
        }
