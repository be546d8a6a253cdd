"""The engine that holds the base, chosen by BATHTUB_TARGET: what a close and the commands ask of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from orchestration.close import WarehouseState, read_state, record_closed, record_first_month
from orchestration.ingest import IngestResult
from orchestration.raw import refresh_raw
from orchestration.relations import Name, Relation, relations
from orchestration.settings import Settings
from orchestration.warehouse import Report, building_dir, reading, remember_first_month, settle, writing

# Runs a query and returns its rows.
Query = Callable[[str], list[tuple[Any, ...]]]


class Close(Protocol):
    """A close under way: nobody else writes, and readers see nothing of it until it is published."""

    @property
    def file(self) -> Path | None:
        """The DuckDB file that is being written; None where the base is on a cluster."""

    @property
    def state(self) -> WarehouseState:
        """The months closed before."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on what the close built so far; schemas are named as readers name them."""

    def begin(self, first_month: date, months: Sequence[date]) -> None:
        """Prepare for dbt, which is to build `months`."""

    def relations(self, counted: Collection[Name]) -> Mapping[Name, Relation]:
        """Return what dbt built, by schema and name: columns, and the rows of those in `counted`."""

    def publish(self, months: Sequence[date], closed_at: datetime, run_id: str) -> None:
        """Show the months to readers, at the latest when the close ends without an error."""


class Engine(Protocol):
    """Where the base is kept and computed."""

    @property
    def place(self) -> str:
        """Where readers find the base, in words."""

    @property
    def rejected(self) -> str:
        """Where what a failed close built can be looked at."""

    @property
    def publishes_parts(self) -> bool:
        """Whether a run of some models shows readers what it built."""

    def settle(self, report: Report) -> None:
        """See that what was closed is where it is looked for."""

    def read_state(self) -> WarehouseState:
        """Return what readers see: the first month and the closed ones."""

    def refresh_raw(self, report: Report, judged: date | None = None) -> IngestResult:
        """Bring what is new in the raw folder in; with `judged`, observe the feeds up to that local day."""

    def closing(self, purpose: str, report: Report) -> AbstractContextManager[Close]:
        """Keep other writers out and yield a close."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on what readers see."""

    def querying(self) -> AbstractContextManager[Query]:
        """Yield a way to ask several queries over one connection."""


def engine_of(settings: Settings) -> Engine:
    """Return the configured engine; no connection is opened yet."""
    if settings.target == "spark":
        from orchestration.spark.engine import SparkEngine

        return SparkEngine(settings)
    return DuckDBEngine(settings)


@dataclass(frozen=True)
class DuckDBEngine:
    """A DuckDB file, replaced as a whole."""

    settings: Settings

    @property
    def place(self) -> str:
        return str(self.settings.warehouse)

    @property
    def rejected(self) -> str:
        return str(building_dir(self.settings.warehouse))

    @property
    def publishes_parts(self) -> bool:
        return True

    def settle(self, report: Report) -> None:
        settle(self.settings, report)

    def read_state(self) -> WarehouseState:
        return read_state(self.settings.warehouse)

    def refresh_raw(self, report: Report, judged: date | None = None) -> IngestResult:
        return refresh_raw(self.settings, report, judged)

    @contextmanager
    def closing(self, purpose: str, report: Report) -> Iterator[Close]:
        with writing(self.settings, purpose, report) as copy:
            yield _DuckDBClose(copy)
        remember_first_month(self.settings.warehouse)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.querying() as query:
            return query(sql)

    @contextmanager
    def querying(self) -> Iterator[Query]:
        with reading(self.settings.warehouse) as connection:
            yield lambda sql: connection.execute(sql).fetchall()


@dataclass(frozen=True)
class _DuckDBClose:
    copy: Path

    @property
    def file(self) -> Path:
        return self.copy

    @property
    def state(self) -> WarehouseState:
        return read_state(self.copy)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with reading(self.copy) as connection:
            return connection.execute(sql).fetchall()

    def begin(self, first_month: date, months: Sequence[date]) -> None:
        record_first_month(self.copy, first_month)

    def relations(self, counted: Collection[Name]) -> Mapping[Name, Relation]:
        return relations(self.copy, counted)

    def publish(self, months: Sequence[date], closed_at: datetime, run_id: str) -> None:
        record_closed(self.copy, months, closed_at, run_id)
