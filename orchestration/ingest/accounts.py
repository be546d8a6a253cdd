"""The ingest's own books, schema `ops`: which files were read, what each table holds, where the history ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import duckdb

from orchestration.contract import Table
from orchestration.ingest.batch import rows_into
from orchestration.ingest.result import TableResult
from orchestration.ingest.values import literal, quoted
from orchestration.settings import Vars

TABLES = """
create schema if not exists raw;
create schema if not exists quarantine;
create schema if not exists ops;
create table if not exists ops.ingested_files (
    table_name varchar, path varchar, size_bytes bigint, modified_ns bigint, first_seen_at timestamp,
    rows_read bigint, view_layout varchar, view_select varchar
);
create table if not exists ops.ingested_tables (
    table_name varchar, rows_read bigint, rows_kept bigint, rows_quarantined bigint, rows_superseded bigint,
    n_defects bigint, n_future_dates bigint, n_orphans bigint, n_files bigint, is_view boolean, is_present boolean,
    missing_columns varchar[], unknown_columns varchar[], ingested_at timestamp, contract varchar
);
create table if not exists ops.feed_deliveries (
    ingested_at timestamp, feed varchar, n_files_read bigint, n_read bigint, n_kept_change bigint, n_quarantined bigint,
    n_superseded bigint, n_defects bigint, n_future_dates bigint, n_orphans bigint, missing_columns varchar[],
    unknown_columns varchar[], is_full boolean
);
create table if not exists ops.orphans (table_name varchar, customer_id varchar, n_rows bigint);
create table if not exists ops.warehouse (raw_dir varchar, history_loaded_until timestamp, first_month date);
"""
COUNTS = (
    "rows_read", "rows_kept", "rows_quarantined", "rows_superseded", "n_defects", "n_future_dates", "n_orphans", "n_files"
)  # fmt: skip
FILE_TYPES = ("varchar", "varchar", "bigint", "bigint", "timestamp", "bigint", "varchar", "varchar")


@dataclass(frozen=True)
class KnownFile:
    """A file as an earlier ingest saw it; the view columns say how a view reads it (null: its rows were copied)."""

    path: str
    size_bytes: int
    modified_ns: int
    first_seen_at: datetime
    rows_read: int
    view_layout: str | None = None
    view_select: str | None = None


@dataclass(frozen=True)
class Books:
    """What earlier ingests wrote; empty for a new warehouse."""

    raw_dir: Path | None
    history_loaded_until: datetime | None
    tables: Mapping[str, TableResult]
    contracts: Mapping[str, str]
    files: Mapping[str, Mapping[str, KnownFile]]


def contract_of(table: Table) -> str:
    """The table's contract as one text, to see that it changed."""
    return ", ".join(f"{c.name} {c.data_type}{' required' * c.required}" for c in table.columns)


def has_table(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """True when a table or view of that name exists."""
    return kind_of(con, schema, name) is not None


def kind_of(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> str | None:
    """`table` or `view`, or None when there is neither."""
    found = con.execute(
        """
        select 'table' from duckdb_tables() where schema_name = $schema and table_name = $name
        union all
        select 'view' from duckdb_views() where schema_name = $schema and view_name = $name""",
        {"schema": schema, "name": name},
    ).fetchone()
    return str(found[0]) if found else None


def read_books(con: duckdb.DuckDBPyConnection) -> Books:
    """Read what earlier ingests wrote."""
    if not has_table(con, "ops", "warehouse"):
        return Books(None, None, {}, {}, {})
    warehouse = con.execute("select raw_dir, history_loaded_until from ops.warehouse").fetchone()
    tables: dict[str, TableResult] = {}
    contracts: dict[str, str] = {}
    query = f"select {', '.join(COUNTS)}, missing_columns, unknown_columns, is_view, is_present, contract, table_name"
    for row in con.execute(f"{query} from ops.ingested_tables").fetchall():
        *counts, missing, unknown, is_view, is_present, contract, name = row
        table = TableResult(name, missing_columns=tuple(missing), unknown_columns=tuple(unknown))
        numbers = dict(zip(COUNTS, counts, strict=True))
        tables[name] = replace(table, is_view=is_view, is_present=is_present, **numbers)
        contracts[name] = contract
    files: dict[str, dict[str, KnownFile]] = {}
    for name, *rest in con.execute("select * from ops.ingested_files").fetchall():
        files.setdefault(name, {})[rest[0]] = KnownFile(*rest)
    raw_dir, until = warehouse or (None, None)
    return Books(Path(raw_dir) if raw_dir else None, until, tables, contracts, files)


def write_files(con: duckdb.DuckDBPyConnection, table: str, files: Iterable[KnownFile], is_all: bool) -> None:
    """Add files to the books; with `is_all` they replace the table's earlier ones."""
    if is_all:
        con.execute("delete from ops.ingested_files where table_name = ?", [table])
    rows = [
        (table, f.path, f.size_bytes, f.modified_ns, f.first_seen_at, f.rows_read, f.view_layout, f.view_select) for f in files
    ]
    rows_into(con, "ops.ingested_files", FILE_TYPES, rows)


def write_table(con: duckdb.DuckDBPyConnection, table: Table, result: TableResult, now: datetime) -> None:
    """Replace a table's line in the books."""
    con.execute("delete from ops.ingested_tables where table_name = ?", [table.name])
    row = [
        result.name, result.rows_read, result.rows_kept, result.rows_quarantined, result.rows_superseded,
        result.n_defects, result.n_future_dates, result.n_orphans, result.n_files, result.is_view, result.is_present,
        list(result.missing_columns), list(result.unknown_columns), now, contract_of(table),
    ]  # fmt: skip
    con.execute(f"insert into ops.ingested_tables values ({', '.join('?' * len(row))})", row)


def write_delivery(
    con: duckdb.DuckDBPyConnection, before: TableResult | None, after: TableResult, now: datetime, is_full: bool
) -> None:
    """Add a line to the book of deliveries: what this ingest read of a table, as the difference with the state before."""
    known = before or TableResult(after.name)

    def more(name: str) -> int:
        return max(int(getattr(after, name)) - int(getattr(known, name)), 0)

    row = [
        now, after.name, after.n_files_read, more("rows_read"), after.rows_kept - known.rows_kept, more("rows_quarantined"),
        more("rows_superseded"), more("n_defects"), after.n_future_dates, after.n_orphans, list(after.missing_columns),
        list(after.unknown_columns), is_full,
    ]  # fmt: skip
    con.execute(f"insert into ops.feed_deliveries values ({', '.join('?' * len(row))})", row)


def write_warehouse(con: duckdb.DuckDBPyConnection, raw_dir: Path, now: datetime, settings_vars: Vars) -> None:
    """Write where the files are and the first month; the end of the history is written once and then stays."""
    if con.execute("select 1 from ops.warehouse").fetchone() is None:
        con.execute("insert into ops.warehouse values (null, ?, null)", [now])
    con.execute("update ops.warehouse set raw_dir = ?", [str(raw_dir)])
    if not _has_closed_months(con):
        con.execute("update ops.warehouse set first_month = ?", [_first_month(con, settings_vars)])


def _has_closed_months(con: duckdb.DuckDBPyConnection) -> bool:
    if not has_table(con, "ops", "closed_months"):
        return False
    return con.execute("select 1 from ops.closed_months limit 1").fetchone() is not None


def _first_month(con: duckdb.DuckDBPyConnection, settings_vars: Vars) -> date | None:
    found = con.execute(
        """
        with activities as (
            select min(created_at) as first_at from raw.customers
            union all
            select min(ordered_at) from raw.orders
            where amount > 0 and not list_contains(cast($not_counted as varchar[]), lower(trim(coalesce(status, ''))))
            union all
            select min(occurred_at) from raw.events
            where list_contains(cast($activities as varchar[]), lower(trim(event_type)))
        )
        select cast(date_trunc('month', timezone($zone, timezone('UTC', min(first_at)))) as date) from activities""",
        {
            "not_counted": settings_vars.order_statuses_not_counted,
            "activities": settings_vars.activity_event_types,
            "zone": settings_vars.reporting_timezone,
        },
    ).fetchone()
    return found[0] if found else None


def count_rows(con: duckdb.DuckDBPyConnection, table: Table) -> int:
    """Rows of the raw table."""
    return _number(con, f"select count(*) from raw.{table.name}")


def count_quarantine(con: duckdb.DuckDBPyConnection, table: Table) -> tuple[int, int]:
    """Rows in quarantine, and defects of rows that stayed."""
    name = f"quarantine.{table.name}"
    return (
        _number(con, f"select count(*) from {name} where not is_row_kept"),
        _number(con, f"select count(*) from {name} where is_row_kept"),
    )


def count_future_dates(con: duckdb.DuckDBPyConnection, table: Table, now: datetime) -> int:
    """Business timestamps after `now`; a contract's start and end may lie there."""
    columns = future_columns(table)
    if not columns:
        return 0
    limit = f"timestamp {literal(now)}"
    is_future = [f"{quoted(name)} > {limit}" for name in columns]
    counts = " + ".join(f"count(*) filter ({condition})" for condition in is_future)
    # The where clause lets DuckDB skip what lies in the past.
    return _number(con, f"select {counts} from raw.{table.name} where {' or '.join(is_future)}")


def has_orphans(table: Table) -> bool:
    """Whether rows of the table are about a customer."""
    return table.name != "customers" and any(column.name == "customer_id" for column in table.columns)


def recount_orphans(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Write anew which rows of a table are about a customer whom raw.customers does not know; they count for nobody."""
    con.execute("delete from ops.orphans where table_name = ?", [table.name])
    if has_orphans(table):
        add_orphans(con, table, f"select customer_id from raw.{table.name}")


def add_orphans(con: duckdb.DuckDBPyConnection, table: Table, rows: str) -> None:
    """Add the orphans among rows (a query) that came to a table."""
    con.execute(f"""
        insert into ops.orphans
        select '{table.name}', customer_id, count(*) from ({rows}) as found anti join raw.customers as known using (customer_id)
        where customer_id is not null group by customer_id""")


def keep_customers(con: duckdb.DuckDBPyConnection) -> None:
    """Remember in `customers_before` who is known before an ingest: whoever goes leaves orphans."""
    con.execute("create or replace temp table customers_before (customer_id varchar)")
    if has_table(con, "raw", "customers"):
        con.execute("insert into customers_before select customer_id from raw.customers")


def claim_orphans(con: duckdb.DuckDBPyConnection, tables: Iterable[Table]) -> None:
    """Follow a change of raw.customers: new ones claim their orphans, those of `customers_before` that went leave theirs."""
    con.execute("delete from ops.orphans where customer_id in (select customer_id from raw.customers)")
    con.execute(
        "create or replace temp table customers_gone as select customer_id from customers_before anti join raw.customers "
        "using (customer_id)"
    )
    if _number(con, "select count(*) from customers_gone"):
        for table in tables:
            if has_orphans(table):
                add_orphans(
                    con, table, f"select customer_id from raw.{table.name} semi join customers_gone using (customer_id)"
                )
    con.execute("drop table customers_gone")


def count_orphans(con: duckdb.DuckDBPyConnection, table: Table) -> int:
    """Return how many rows of a table `ops.orphans` holds."""
    return _number(con, f"select coalesce(sum(n_rows), 0)::bigint from ops.orphans where table_name = '{table.name}'")


def future_columns(table: Table) -> Sequence[str]:
    """Timestamps that name something that has happened."""
    planned = {"loaded_at", "started_at", "ends_at"}
    return [c.name for c in table.delivered if c.data_type == "timestamp" and c.name not in planned]


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    found = con.execute(query).fetchone()
    return int(found[0]) if found else 0
