"""Raw tables landed on the cluster: what the ingest keeps in its DuckDB file, as Parquet that the cluster reads.

Each table is a folder of batches. A landing writes a new batch, then the view `raw.<table>` shows it in one change; batches
that the view no longer names are removed at the next landing, since a reader may still be using them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb

from orchestration.ingest.views import read_files
from orchestration.settings import Settings
from orchestration.spark.connection import Cluster
from orchestration.warehouse import Report

BOOK = "landed.json"
# A view names its batches, and the smallest catalogs keep 32,000 characters of it.
MOST_BATCHES = 500
TYPES = {
    "VARCHAR": "string",
    "TIMESTAMP": "timestamp_ltz",
    "DATE": "date",
    "DOUBLE": "double",
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "VARCHAR[]": "array<string>",
}
OPS_TABLES = ("ingested_files", "ingested_tables")


@dataclass(frozen=True)
class Landed:
    """What a table's view shows: its batches, and the version of each source that they hold."""

    columns: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    batches: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """A table of the DuckDB file: its parts with their versions, and, for a view over files, the select list on each."""

    schema: str
    name: str
    versions: Mapping[str, str]
    selects: Mapping[Path, str] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        return f"{self.schema}.{self.name}"


def land(settings: Settings, cluster: Cluster, report: Report) -> None:
    """Land the tables of `raw`, `quarantine` and `ops` that changed since the last landing.

    Raises:
        WarehouseError: the cluster refused a statement; the views show what they showed.
    """
    book_file = settings.spark_storage / BOOK
    book = _read_book(book_file)
    with closing(duckdb.connect(str(settings.warehouse), read_only=True)) as con:
        con.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
        con.execute(f"set memory_limit = '{settings.memory_limit}'; set threads = {settings.threads}")
        stored = cluster.tables("storage")
        for source in _sources(con, settings.raw_dir):
            before = book.get(source.relation, Landed())
            is_there = _table_name(source, before.columns) in stored
            if is_there and before.sources == source.versions:
                continue
            landed = _land(settings.spark_storage, con, cluster, source, before if is_there else Landed(), stored)
            book[source.relation] = landed
            _write_book(book_file, book)
            if source.schema == "raw":
                report(f"  {source.name}: landed on the cluster")


def _sources(con: duckdb.DuckDBPyConnection, raw_dir: Path) -> list[_Source]:
    """List the tables; files that a view reads as they are can be landed one by one."""
    tables = con.execute(
        "select table_name, is_view and is_present, concat_ws('|', ingested_at, contract) from ops.ingested_tables order by 1"
    ).fetchall()
    sources = []
    for name, is_view, version in tables:
        files = con.execute(
            "select path, concat_ws('|', size_bytes, modified_ns, view_select), view_select from ops.ingested_files "
            "where table_name = ? order by path",
            [name],
        ).fetchall()
        if is_view:
            versions = {str(raw_dir / path): _short(version) for path, version, _ in files}
            sources.append(_Source("raw", name, versions, {raw_dir / path: select for path, _, select in files}))
        else:
            sources.append(_Source("raw", name, {"": version}))
        sources.append(_Source("quarantine", name, {"": version}))
    latest = str(max((version for _, _, version in tables), default=""))
    return sources + [_Source("ops", name, {"": latest}) for name in OPS_TABLES]


def _land(
    storage: Path,
    con: duckdb.DuckDBPyConnection,
    cluster: Cluster,
    source: _Source,
    before: Landed,
    stored: set[str],
) -> Landed:
    columns = {name: TYPES[kind] for name, kind, *_ in con.execute(f"describe {source.relation}").fetchall()}
    table = _table_name(source, columns)
    folder = storage / "landed" / table
    _remove_unused(cluster, table, folder, before)
    for other in stored:
        if other.startswith(f"{source.schema}__{source.name}__") and other not in (table, _table_name(source, before.columns)):
            cluster.run(f"drop table storage.{other}")
            shutil.rmtree(folder.parent / other, ignore_errors=True)
    is_more = (
        bool(source.selects)
        and before.columns == columns
        and before.sources.items() <= source.versions.items()
        and len(before.batches) < MOST_BATCHES
    )
    batch = uuid.uuid4().hex[:8]
    query = _new_rows(source, before.sources if is_more else {})
    _copy(con, query, columns, folder / f"batch={batch}")
    cluster.run(
        f"create table if not exists storage.{table} ({', '.join(f'`{n}` {t}' for n, t in columns.items())}, batch string) "
        f"using parquet partitioned by (batch) location '{_quoted(folder)}'"
    )
    cluster.run(f"alter table storage.{table} add if not exists partition (batch = '{batch}')")
    batches = (*before.batches, batch) if is_more else (batch,)
    names = ", ".join(f"'{name}'" for name in batches)
    cluster.show(
        source.relation,
        f"select {', '.join(f'`{name}`' for name in columns)} from storage.{table} where batch in ({names})",
    )
    return Landed(columns, source.versions, batches)


def _new_rows(source: _Source, landed: Mapping[str, str]) -> str:
    if not source.selects:
        return f"from {source.relation}"
    by_select: dict[str, list[Path]] = {}
    for path, select in source.selects.items():
        if str(path) not in landed:
            by_select.setdefault(select, []).append(path)
    return " union all ".join(read_files(select, paths) for select, paths in by_select.items())


def _copy(con: duckdb.DuckDBPyConnection, query: str, columns: Mapping[str, str], folder: Path) -> None:
    """Write a query as Parquet whose timestamps are instants, as Spark reads and writes them."""
    items = [f'"{n}"::timestamptz as "{n}"' if kind == "timestamp_ltz" else f'"{n}"' for n, kind in columns.items()]
    folder.mkdir(parents=True)
    con.execute(f"copy (select {', '.join(items)} from ({query})) to '{_quoted(folder / 'part.parquet')}' (format parquet)")


def _remove_unused(cluster: Cluster, table: str, folder: Path, shown: Landed) -> None:
    for path in folder.glob("batch=*"):
        batch = path.name.removeprefix("batch=")
        if batch not in shown.batches:
            cluster.run(f"alter table storage.{table} drop if exists partition (batch = '{batch}')")
            shutil.rmtree(path)


def _table_name(source: _Source, columns: Mapping[str, str]) -> str:
    """Return the table's name in `storage`: another one when its columns change."""
    return f"{source.schema}__{source.name}__{_short(json.dumps(dict(columns)))}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _read_book(path: Path) -> dict[str, Landed]:
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {name: Landed(entry["columns"], entry["sources"], tuple(entry["batches"])) for name, entry in kept.items()}


def _write_book(path: Path, book: Mapping[str, Landed]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps({name: asdict(landed) for name, landed in book.items()}), encoding="utf-8")
    new.replace(path)
