"""What readers of the cluster see: the months that were published, all marts at once.

Rows lie in the schema `storage`, in partitions (month, closed_by) that a run writes once. dbt's views, in
`building_core` and the like, show the published months and those of the run. Readers' views, in `core` and the like, show what
`ops.published_months` names; publishing is one change of that view.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from graphlib import TopologicalSorter

from orchestration.close import WarehouseState
from orchestration.months import add_months
from orchestration.person_level import OF_HISTORIES, OF_PERSONS
from orchestration.settings import Settings
from orchestration.spark.connection import Cluster, values

BUILDING = "building_"
LAYERS = ("staging", "core", "marts", "observations")
# Coordinates, for dbt alone.
PRIVATE = "private"
MONTHS = ("snapshot_month date", "closed_by string")
RUNS = ("closed_by string", "closed_at timestamp_ltz", "run_id string")
# The part of a schema's name that dbt's relations have and readers' have not, in a query.
OF_DBT = re.compile(rf"\b{BUILDING}(?=(?:{'|'.join((*LAYERS, 'ops'))})\.)")
OF_READERS = re.compile(rf"\b(?=(?:{'|'.join(LAYERS)})\.)")
RELATION = re.compile(r"\b\w+\.\w+\b")
# A table that a run makes anew, as against one that keeps months.
WHOLE_TABLE = re.compile(r"\w+__([0-9a-f]{8})")
# Each month is computed from the month before in it.
CUSTOMER_MONTHS = "core__int_customer_months"


@dataclass(frozen=True)
class Run:
    """A close: its name, and when and by whom it was published."""

    closed_by: str
    closed_at: datetime
    run_id: str


def prepare(settings: Settings, cluster: Cluster) -> None:
    """Make the schemas and the accounts that are missing."""
    existing = cluster.schemas()
    if "storage" not in existing:
        folder = str(settings.spark_storage / "months").replace("'", "\\'")
        cluster.run(f"create schema storage location '{folder}'")
    building = [f"{BUILDING}{layer}" for layer in (*LAYERS, PRIVATE, "ops")]
    for schema in ("raw", "quarantine", "ops", *LAYERS, *building):
        if schema not in existing:
            cluster.run(f"create schema {schema}")
    ops = cluster.tables("ops")
    if "published_months" not in ops:
        cluster.run(f"create view ops.published_months as {values([], MONTHS)}")
    if "close_runs" not in ops:
        cluster.run(f"create view ops.close_runs as {values([], RUNS)}")
    if "closed_months" not in ops:
        cluster.run(
            "create view ops.closed_months as select m.snapshot_month, r.closed_at, r.run_id "
            "from ops.published_months as m inner join ops.close_runs as r on m.closed_by = r.closed_by"
        )


def read_state(cluster: Cluster) -> WarehouseState:
    """Return the first month of the base and the months that are published; none of them on a new cluster."""
    ops = cluster.tables("ops")
    first = cluster.rows("select first_month from ops.warehouse") if "warehouse" in ops else []
    closed = _published(cluster) if "published_months" in ops else {}
    kept = closed.items() & _partitions(cluster, CUSTOMER_MONTHS) if CUSTOMER_MONTHS in cluster.tables("storage") else set()
    return WarehouseState(first[0][0] if first else None, tuple(sorted(closed)), min(kept)[0] if kept else None)


def show_facts(cluster: Cluster, raw_dir: str, history_loaded_until: datetime | None, first_month: date | None) -> None:
    """Write what the ingest and the orchestrator found out, for the models."""
    until = f"timestamp_ltz '{history_loaded_until:%Y-%m-%d %H:%M:%S.%f}'" if history_loaded_until else "null"
    row = [_text(raw_dir), until, _month(first_month) if first_month else "null"]
    columns = ("raw_dir string", "history_loaded_until timestamp_ltz", "first_month date")
    casts = ", ".join(
        f"cast({value} as {column.split()[1]}) as {column.split()[0]}" for value, column in zip(row, columns, strict=True)
    )
    cluster.show("ops.warehouse", f"select {casts}")


class Close:
    """A close under way, in partitions of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.closed_by = uuid.uuid4().hex[:8]
        self._before = _published(cluster)

    def begin(self, cluster: Cluster, months: Sequence[date], person_level_months: int) -> list[date]:
        """Let dbt build months; what earlier runs left and nobody reads any more is removed.

        So are the rows of customers that are older than the `person_level_months` published last, but for the month that the
        first of `months` is computed from. Returns the months that lost them.
        """
        replaced = _pairs(cluster, "building_ops.replaced_months")
        last = max(self._before, default=months[0])
        oldest = min(add_months(last, 1 - person_level_months), add_months(months[0], -1))
        retired = _remove_unused(cluster, {*self._before.items(), *replaced}, oldest)
        cluster.show("building_ops.this_run", f"select '{self.closed_by}' as closed_by")
        cluster.show("building_ops.published_months", _months_query(self._after(months)))
        return retired

    def publish(self, cluster: Cluster, months: Sequence[date], closed_at: datetime, run_id: str) -> None:
        """Show readers what dbt has built: first new relations and changed definitions, then the months, all at once."""
        cluster.show("building_ops.replaced_months", _months_query(self._before))
        after = self._after(months)
        kept = {run for run in _runs(cluster) if run.closed_by in {*after.values(), *self._before.values()}}
        runs = sorted({*kept, Run(self.closed_by, closed_at, run_id)}, key=lambda run: run.closed_at)
        cluster.show("ops.close_runs", _runs_query(runs))
        _show_relations(cluster)
        cluster.show("ops.published_months", _months_query(after))

    def _after(self, months: Sequence[date]) -> dict[date, str]:
        return {**self._before, **dict.fromkeys(months, self.closed_by)}


def of_dbt(query: str) -> str:
    """Return a query that names readers' schemas as one on what dbt has built, months under way included."""
    return OF_READERS.sub(BUILDING, query)


def _show_relations(cluster: Cluster) -> None:
    """Give readers what dbt's views show now, with readers' schemas in place of dbt's: each after those it reads."""
    queries = {
        f"{layer}.{name}": OF_DBT.sub("", text) for layer in LAYERS for name, text in cluster.views(BUILDING + layer).items()
    }
    shown = {f"{layer}.{name}": text for layer in LAYERS for name, text in cluster.views(layer).items()}
    reads = {view: queries.keys() & set(RELATION.findall(query)) for view, query in queries.items()}
    for view in TopologicalSorter(reads).static_order():
        if shown.get(view) != queries[view]:
            cluster.show(view, queries[view])


def _remove_unused(cluster: Cluster, used: set[tuple[date, str]], oldest: date) -> list[date]:
    """Drop the partitions of runs that are not used, and customers' of months before `oldest`; return these months."""
    latest = [run.closed_by for run in sorted(_runs(cluster), key=lambda run: run.closed_at)][-2:]
    # By what a history says of old months, later ones still hold.
    of_persons = {
        name
        for name, held in cluster.relations("storage").items()
        if OF_PERSONS in held.columns and OF_HISTORIES not in held.columns
    }
    retired = set[date]()
    for table in sorted(cluster.tables("storage")):
        if not table.startswith(tuple(f"{layer}__" for layer in (*LAYERS, PRIVATE))):
            continue
        if whole := WHOLE_TABLE.fullmatch(table):
            if whole[1] not in latest:
                cluster.run(f"drop table storage.{table}")
            continue
        for month, closed_by in _partitions(cluster, table):
            is_old = table in of_persons and month < oldest
            if is_old or (month, closed_by) not in used:
                where = f"month = '{month}', closed_by = '{closed_by}'"
                cluster.run(f"alter table storage.{table} drop if exists partition ({where})")
            if is_old:
                retired.add(month)
    return sorted(retired)


def _partitions(cluster: Cluster, table: str) -> set[tuple[date, str]]:
    """Return month and run of each partition of a stored table."""
    found = [[part.split("=")[1] for part in row[0].split("/")] for row in cluster.rows(f"show partitions storage.{table}")]
    return {(date.fromisoformat(month), closed_by) for month, closed_by in found}


def _published(cluster: Cluster) -> dict[date, str]:
    return dict(_pairs(cluster, "ops.published_months"))


def _pairs(cluster: Cluster, view: str) -> set[tuple[date, str]]:
    schema, name = view.split(".")
    if name not in cluster.tables(schema):
        return set()
    return {(month, closed_by) for month, closed_by in cluster.rows(f"select snapshot_month, closed_by from {view}")}


def _runs(cluster: Cluster) -> list[Run]:
    return [Run(*row) for row in cluster.rows("select closed_by, closed_at, run_id from ops.close_runs")]


def _months_query(months: dict[date, str]) -> str:
    return values([(_month(month), _text(closed_by)) for month, closed_by in sorted(months.items())], MONTHS)


def _runs_query(runs: Sequence[Run]) -> str:
    rows = [(_text(r.closed_by), f"timestamp_ltz '{r.closed_at:%Y-%m-%d %H:%M:%S.%f}'", _text(r.run_id)) for r in runs]
    return values(rows, RUNS)


def _month(month: date) -> str:
    return f"date'{month:%Y-%m-%d}'"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
