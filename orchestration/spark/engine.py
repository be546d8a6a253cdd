"""The Spark cluster as the engine of a close."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from orchestration import close
from orchestration.close import WarehouseState
from orchestration.engine import Query
from orchestration.ingest import IngestResult
from orchestration.person_level import told
from orchestration.raw import refresh_raw
from orchestration.relations import Name, Relation
from orchestration.settings import Settings
from orchestration.spark import publication
from orchestration.spark.connection import Cluster, connecting
from orchestration.spark.landing import land
from orchestration.warehouse import Report, locked, reading, remember_first_month


@dataclass(frozen=True)
class SparkEngine:
    """A cluster; the raw files are read by the ingest into BATHTUB_WAREHOUSE and landed from there."""

    settings: Settings

    @property
    def place(self) -> str:
        """The Thrift server that readers connect to."""
        return f"Spark at {self.settings.spark_host}:{self.settings.spark_port}"

    @property
    def rejected(self) -> str:
        """The schemas in which dbt works; the partitions stay until the next close."""
        return "the schemas building_core and building_marts of the cluster"

    @property
    def publishes_parts(self) -> bool:
        """False: one change shows a month in all tables, those that were not built would be empty."""
        return False

    def settle(self, report: Report) -> None:
        """Do nothing: the catalog knows where the tables are."""

    def read_state(self) -> WarehouseState:
        """Return the first month and the published months."""
        with connecting(self.settings) as cluster:
            return publication.read_state(cluster)

    def refresh_raw(self, report: Report, judged: date | None = None) -> IngestResult:
        """Read what is new in the raw folder, and land the tables that changed on the cluster."""
        result = refresh_raw(self.settings, report, judged)
        with self._writing("landing of raw tables", report), connecting(self.settings) as cluster:
            publication.prepare(self.settings, cluster)
            land(self.settings, cluster, report)
            _show_facts(self.settings, cluster)
        return result

    @contextmanager
    def closing(self, purpose: str, report: Report) -> Iterator[_SparkClose]:
        """Keep other writers out and yield a close."""
        with self._writing(purpose, report):
            yield _SparkClose(self.settings, report)
        remember_first_month(self.settings.warehouse)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on what readers see."""
        with connecting(self.settings) as cluster:
            return cluster.rows(sql)

    @contextmanager
    def querying(self) -> Iterator[Query]:
        """Yield a way to ask several queries in one session; each sees what is published when it is asked."""
        with connecting(self.settings) as cluster:
            yield cluster.rows

    @contextmanager
    def _writing(self, purpose: str, report: Report) -> Iterator[None]:
        storage = self.settings.spark_storage
        with locked(storage / "writer.lock", storage / "writer.json", self.settings, purpose, report):
            yield


def _show_facts(settings: Settings, cluster: Cluster) -> None:
    with reading(settings.warehouse) as connection:
        row = connection.execute("select raw_dir, history_loaded_until, first_month from ops.warehouse").fetchone()
    if row is not None:
        publication.show_facts(cluster, *row)


class _SparkClose:
    """Each step has a session of its own: dbt may work for hours in between."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings, self._report = settings, report
        with connecting(settings) as cluster:
            publication.prepare(settings, cluster)
            self._publication = publication.Close(cluster)

    @property
    def file(self) -> None:
        return None

    @property
    def state(self) -> WarehouseState:
        with connecting(self._settings) as cluster:
            return publication.read_state(cluster)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with connecting(self._settings) as cluster:
            return cluster.rows(publication.of_dbt(sql))

    def begin(self, first_month: date, months: Sequence[date]) -> None:
        close.record_first_month(self._settings.warehouse, first_month)
        with connecting(self._settings) as cluster:
            _show_facts(self._settings, cluster)
            kept = self._settings.vars.person_level_months
            if retired := self._publication.begin(cluster, months, kept):
                self._report(told(retired, kept))

    def relations(self, counted: Collection[Name]) -> Mapping[Name, Relation]:
        schemas = ["raw", "ops", *(publication.BUILDING + layer for layer in (*publication.LAYERS, publication.PRIVATE))]
        counts = [f"select '{schema}' as s, '{name}' as t, count(*) as n from {schema}.{name}" for schema, name in counted]
        with connecting(self._settings) as cluster:
            found = {(schema, name): held for schema in schemas for name, held in cluster.relations(schema).items()}
            for schema, name, n_rows in cluster.rows(" union all ".join(counts)) if counts else []:
                found[schema, name].n_rows = n_rows
        return found

    def publish(self, months: Sequence[date], closed_at: datetime, run_id: str) -> None:
        with connecting(self._settings) as cluster:
            self._publication.publish(cluster, months, closed_at.replace(tzinfo=None), run_id)
        # The ingest keeps the first month once months are closed.
        close.record_closed(self._settings.warehouse, months, closed_at, run_id)
