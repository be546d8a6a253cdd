"""Erasure: a profile that was deleted in the source leaves every table and file that holds rows of persons.

It runs in the working copy after each ingest. In closed months an anonymous row with a random id takes the place of the
person's, so that the X kept out by a list of keyed hashes. docs/decisions/0019-erasure-in-the-working-copy.md says why.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import duckdb

from orchestration.alerts.deletions import Rows, confirmed_in, departures, refusal
from orchestration.ingest.accounts import has_table
from orchestration.ingest.batch import MOST_TEXT, rows_into
from orchestration.month_files import BOOK, months_dir
from orchestration.months import add_months
from orchestration.private_lists import clear_lists, has_expired_lists
from orchestration.settings import Settings
from orchestration.warehouse import Report, reading

BOOKS = """
create table if not exists ops.erasures (erasure_id varchar, known_at timestamp, source varchar, n_profiles bigint);
create table if not exists ops.suppressed (hash varchar, last_seen_at timestamp);
create table if not exists ops.suppression_key (key varchar);
create table if not exists ops.erased_files (file varchar);
"""
HOW_TO_ERASE = "erasure there is by hand (docs/operations.md#erasure)"
ANONYMOUS = "erased-[0-9a-f]{32}"
# What an anonymous row keeps: what the next month's bridges open with, and what tells which month and definition it is of.
KEPT = (
    "as_of_date", "source", "status", "movement", "opening_source", "opening_status", "is_in_base", "is_active",
    "opening_is_active", "definition_version",
)  # fmt: skip
KEPT_ENDINGS = ("_is_opted_in", "_was_opted_in")
HASH = "sha256((select key from ops.suppression_key) || {})"
SUPPRESSED = f"exists (select 1 from ops.suppressed as s where s.hash = {HASH.format('{}')})"


@dataclass(frozen=True)
class Erasure:
    """How many profiles were erased; whether some that had been are back, so that their raw rows must be read again."""

    n_profiles: int = 0
    has_returned: bool = False


@dataclass(frozen=True)
class _Relation:
    """A table, or the view over a model's month files, with the columns that hold ids of persons."""

    schema: str
    name: str
    is_view: bool
    ids: tuple[str, ...]

    @property
    def sql(self) -> str:
        return f'"{self.schema}"."{self.name}"'

    def is_about(self, query: str) -> str:
        """Return the condition that a row is about one of the ids that a query gives."""
        return " or ".join(f'coalesce("{column}" in ({query}), false)' for column in self.ids)


def is_due(settings: Settings, now: datetime) -> bool:
    """Whether somebody is to be erased, or a list of people has expired, though no raw file is new; `now` is aware."""
    if settings.target != "duckdb" or not settings.warehouse.exists():
        return False
    with reading(settings.warehouse) as con:
        if has_expired_lists(con, settings, now):
            return True
        _find(con, settings, now)
        return _number(con, "select count(*) from found") > 0


def erase(copy: Path, settings: Settings, now: datetime, report: Report) -> Erasure:
    """Erase in a working copy whoever is gone from the source, and end the lists of people that are too old.

    Nothing is erased while more profiles are gone than the guard against mass deletions lets through. `now` is aware.
    """
    if settings.target != "duckdb":
        return Erasure()
    with duckdb.connect(str(copy), config={"memory_limit": settings.memory_limit, "threads": settings.threads}) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(BOOKS)
        at = _utc(now)
        _find(con, settings, now)
        if settings.warehouse.exists() and not _is_guarded(con, settings):
            _find_never_closed(con, settings, now)
        has_returned = _readmit(con, settings, now)
        n_profiles = _count(con, at)
        _suppress(con, at)
        n_rows = _remove_rows(con) if _number(con, "select count(*) from erased") else 0
        n_files = _rewrite_months(con, settings.warehouse)
        _filter_raw_views(con)
        _forget_hashes(con)
        # A warehouse has its accounts of lists even where nobody left.
        gone = {str(row[0]) for row in con.execute("select customer_id from erased").fetchall()}
        clear_lists(con, settings, now, gone)
    if n_profiles:
        report(
            f"  Erased {n_profiles:,} profiles that were deleted in the source: their rows left {n_files:,} files of months."
        )
    if n_profiles or n_rows:
        _rewrite_database(copy, settings)
    return Erasure(n_profiles, has_returned)


def sweep(settings: Settings) -> None:
    """Delete the month files that an erasure replaced; readers that opened the warehouse before it lose them."""
    if not settings.warehouse.exists():
        return
    folder = months_dir(settings.warehouse)
    with suppress(duckdb.Error), duckdb.connect(str(settings.warehouse), read_only=True) as con:
        if has_table(con, "ops", "erased_files"):
            for (file,) in con.execute(f"select file from ops.erased_files anti join {BOOK} using (file)").fetchall():
                (folder / file).unlink(missing_ok=True)


def count_left(rows: Rows, now: datetime) -> int:
    """Return how many deleted profiles are still in the closed months of an engine whose months are not rewritten."""
    found = rows(
        "select count(distinct m.customer_id) from core.fct_customer_months as m "
        "left join raw.customers as c on m.customer_id = c.customer_id "
        "left join (select distinct merged_customer_id from raw.merges) as g on m.customer_id = g.merged_customer_id "
        f"where (c.customer_id is null or c.deleted_at <= timestamp '{_utc(now):%Y-%m-%d %H:%M:%S}') "
        "and g.merged_customer_id is null"
    )
    return int(found[0][0]) if found else 0


# ---- who ---------------------------------------------------------------------------------------------------------------


def _find(con: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> None:
    """Put into `found` the profiles of closed months that are gone from the source, unless the guard holds."""
    con.execute("create or replace temp table found (customer_id varchar)")
    if not has_table(con, "raw", "customers") or not has_table(con, "ops", "closed_months"):
        return
    _live(con, now)
    profiles = [
        # Without a source, it is what an id left that no profile ever had.
        f"select customer_id from {r.sql}" + (" where source is not null" if _has_column(con, r, "source") else "")
        for r in _month_relations(con)
    ]
    if not profiles or _is_guarded(con, settings):
        return
    con.execute(
        f"insert into found select distinct customer_id from ({' union all '.join(profiles)}) as seen "
        f"anti join live using (customer_id) where not regexp_full_match(customer_id, '{ANONYMOUS}')"
    )


def _find_never_closed(con: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> None:
    """Add the profiles that the last ingest knew, that came since the last close and are gone."""
    if not has_table(con, "raw", "customers"):
        return
    _live(con, now)
    path = str(settings.warehouse).replace("'", "''")
    con.execute(f"attach '{path}' as published (read_only)")
    try:
        known = con.execute(
            "select 1 from duckdb_tables() where database_name = 'published' and schema_name = 'raw' "
            "and table_name = 'customers'"
        ).fetchone()
        if known is not None:
            con.execute(
                "insert into found select customer_id from published.raw.customers anti join live using (customer_id) "
                "anti join raw.customers as here using (customer_id) anti join found using (customer_id) "
                f"where {HASH.format('customer_id')} is null or not {SUPPRESSED.format('customer_id')}"
            )
    finally:
        con.execute("detach published")


def _live(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Put into `live` who is not deleted, with those merged into them.

    A date of deletion counts once the next close will count it, as the guard has it: the months closed before that still have
    the profile.
    """
    last = _last_closed(con)
    counted = f"deleted_at < timestamp '{add_months(last, 2)} 00:00:00'" if last else "false"
    con.execute(
        "create or replace temp table live as select customer_id from raw.customers "
        f"where not coalesce(deleted_at <= timestamp '{_utc(now)}' and {counted}, false)"
    )
    if has_table(con, "raw", "merges"):
        con.execute(
            """
            insert into live
            with recursive chain as (
                select merged_customer_id, customer_id from raw.merges
                union
                select chain.merged_customer_id, m.customer_id
                from chain join raw.merges as m on chain.customer_id = m.merged_customer_id
            )
            select distinct merged_customer_id from chain semi join live using (customer_id)
            """
        )


def _last_closed(con: duckdb.DuckDBPyConnection) -> date | None:
    if not has_table(con, "ops", "closed_months"):
        return None
    row = con.execute("select max(snapshot_month) from ops.closed_months").fetchone()
    return row[0] if row else None


def _is_guarded(con: duckdb.DuckDBPyConnection, settings: Settings) -> bool:
    """Whether so many profiles are gone that somebody must confirm it first."""
    if _last_closed(con) is None:
        return False
    found = departures(lambda sql: con.execute(sql).fetchall())
    return found is not None and refusal(found, settings.vars, confirmed_in(con, found.month)) is not None


def _readmit(con: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> bool:
    """Put into `erased` who is to leave, those on the list whom the source still delivers among them.

    Whoever is back leaves the list; the raw rows that were removed have to be read again for them.
    """
    con.execute("create or replace temp table erased as select customer_id from found")
    if not has_table(con, "raw", "customers") or not _number(con, "select count(*) from ops.suppressed"):
        return False
    _live(con, now)
    back = f"select {HASH.format('customer_id')} from live"
    n_back = _number(con, f"select count(*) from ops.suppressed where hash in ({back})")
    if n_back:
        con.execute(f"delete from ops.suppressed where hash in ({back})")
        # An ingest reads a table anew whose contract is another one.
        names = ", ".join(f"'{r.name}'" for r in _tables(con) if r.schema == "raw")
        con.execute(f"update ops.ingested_tables set contract = '' where not is_view and table_name in ({names})")
    delivered = " union all ".join(
        ids for r in _relations(con) if r.schema == "raw" or (r.schema, r.name) == ("ops", "orphans") for ids in _ids(con, r)
    )
    con.execute(
        f"insert into erased select distinct customer_id from ({delivered}) as d "
        f"where {SUPPRESSED.format('d.customer_id')} and customer_id not in (select customer_id from erased)"
    )
    return bool(n_back)


# ---- what leaves -------------------------------------------------------------------------------------------------------


def _count(con: duckdb.DuckDBPyConnection, at: datetime) -> int:
    """Enter into the book how many profiles leave, by source; no id."""
    n_profiles = _number(con, "select count(*) from found")
    if not n_profiles:
        return 0
    months = [r for r in _month_relations(con) if _has_column(con, r, "source")]
    seen = [f"select customer_id, source, snapshot_month as seen_in from {r.sql}" for r in months]
    seen.append("select null as customer_id, null as source, null as seen_in where false")
    con.execute(
        f"""
        insert into ops.erasures
        select ?, ?, coalesce(source, 'unknown'), count(*) from found left join (
            select customer_id, arg_max(source, seen_in) as source from ({" union all ".join(seen)}) as seen
            group by customer_id
        ) as latest using (customer_id)
        group by all""",
        [f"{at:%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}", at],
    )
    return n_profiles


def _suppress(con: duckdb.DuckDBPyConnection, at: datetime) -> None:
    if not _number(con, "select count(*) from erased"):
        return
    if not _number(con, "select count(*) from ops.suppression_key"):
        con.execute("insert into ops.suppression_key values (?)", [secrets.token_hex(32)])
    con.execute(f"delete from ops.suppressed where hash in (select {HASH.format('customer_id')} from erased)")
    con.execute(f"insert into ops.suppressed select {HASH.format('customer_id')}, ? from erased", [at])


def _remove_rows(con: duckdb.DuckDBPyConnection) -> int:
    """Delete the rows of all tables, and the text of rejected raw rows that may tell of a person; return how many rows."""
    erased, n_rows = "select customer_id from erased", 0
    for relation in _tables(con):
        condition = relation.is_about(erased)
        if (relation.schema, relation.name) == ("raw", "contracts"):
            # A contract of a company stays its contract.
            con.execute(f"update {relation.sql} set customer_id = null where account_id is not null and ({condition})")
        removed = _number(con, f"select count(*) from {relation.sql} where {condition}")
        if removed:
            con.execute(f"delete from {relation.sql} where {condition}")
            n_rows += removed
            if relation.schema == "raw":
                con.execute(
                    "update ops.ingested_tables set rows_kept = rows_kept - ?, rows_superseded = rows_superseded + ? "
                    "where table_name = ?",
                    [removed, removed, relation.name],
                )
    con.execute(
        "update ops.ingested_tables as t set n_orphans = "
        "(select coalesce(sum(n_rows), 0) from ops.orphans as o where o.table_name = t.table_name)"
    )
    return n_rows + _blank_quarantine(con)


def _blank_quarantine(con: duckdb.DuckDBPyConnection) -> int:
    """A text that was cut may have lost the id, and keeps the rest of the row."""
    n_rows = 0
    tables = con.execute("select table_name from duckdb_tables() where schema_name = 'quarantine'").fetchall()
    for (name,) in tables:
        condition = (
            f"raw_text is not null and (length(raw_text) >= {MOST_TEXT} "
            "or exists (select 1 from erased where contains(raw_text, erased.customer_id)))"
        )
        n_rows += _number(con, f"select count(*) from quarantine.{name} where {condition}")
        con.execute(f"update quarantine.{name} set raw_text = null where {condition}")
    return n_rows


def _rewrite_months(con: duckdb.DuckDBPyConnection, warehouse: Path) -> int:
    """Write the month files that hold rows of erased profiles without them, under other names; return how many."""
    for (file,) in con.execute("select file from ops.erased_files").fetchall():
        if not (months_dir(warehouse) / file).exists():
            con.execute("delete from ops.erased_files where file = ?", [file])
    months = _month_relations(con)
    if not months or not _number(con, "select count(*) from erased"):
        return 0
    _name_anonymous(con, months)
    replaced: dict[str, str] = {}
    for relation in months:
        holding = f"select distinct snapshot_month from {relation.sql} where customer_id in (select customer_id from erased)"
        files = con.execute(
            f"select folder, file, snapshot_month from {BOOK} where model = ? and snapshot_month in ({holding})",
            [relation.name],
        ).fetchall()
        for folder, file, month in files:
            new = f"{Path(file).parent}/{relation.name}_{uuid4()}.parquet"
            _rewrite(con, months_dir(warehouse) / file, months_dir(warehouse) / new, month)
            con.execute(f"update {BOOK} set file = ? where file = ?", [new, file])
            con.execute("insert into ops.erased_files values (?)", [file])
            replaced[f"'{_text(f'{folder}/{file}')}'"] = f"'{_text(f'{folder}/{new}')}'"
    _point_views(con, replaced)
    return len(replaced)


def _name_anonymous(con: duckdb.DuckDBPyConnection, months: list[_Relation]) -> None:
    """Give each row that the bridges need a random id: one for a person and month, so that nothing links the months."""
    con.execute("create or replace temp table anonymous (customer_id varchar, snapshot_month date, anonymous_id varchar)")
    needed = [
        f"select customer_id, snapshot_month from {r.sql} semi join erased using (customer_id) "
        "where is_in_base or movement is not null"
        for r in months
        if _has_column(con, r, "is_in_base")
    ]
    if needed:
        rows = con.execute(" union ".join(needed)).fetchall()
        named = [(customer, month, f"erased-{secrets.token_hex(16)}") for customer, month in rows]
        rows_into(con, "anonymous", ("varchar", "date", "varchar"), named)


def _rewrite(con: duckdb.DuckDBPyConnection, old: Path, new: Path, month: date) -> None:
    """Write a month file anew: without the erased, or with anonymous rows in their place where it says who is in the base."""
    source = f"read_parquet('{_text(str(old))}', hive_partitioning = false)"
    columns = [(str(row[0]), str(row[1])) for row in con.execute(f"describe select * from {source}").fetchall()]
    others = f"select * from {source} where customer_id not in (select customer_id from erased)"
    if any(name == "is_in_base" for name, _ in columns):
        kept = ", ".join(_kept(name, kind) for name, kind in columns)
        others += (
            f" union all select {kept} from {source} as r join anonymous as a "
            f"on r.customer_id = a.customer_id and a.snapshot_month = date '{month}'"
        )
    con.execute(f"copy ({others}) to '{_text(str(new))}' (format parquet, compression zstd, compression_level 1)")


def _kept(name: str, kind: str) -> str:
    if name == "customer_id":
        return "a.anonymous_id"
    return f'r."{name}"' if name in KEPT or name.endswith(KEPT_ENDINGS) else f'cast(null as {kind}) as "{name}"'


def _point_views(con: duckdb.DuckDBPyConnection, replaced: dict[str, str]) -> None:
    for (sql,) in con.execute("select sql from duckdb_views() where not internal and contains(sql, 'read_parquet')").fetchall():
        new = sql
        for before, after in replaced.items():
            new = new.replace(before, after)
        if new != sql:
            con.execute(new.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))


# ---- what the source goes on delivering --------------------------------------------------------------------------------


def _filter_raw_views(con: duckdb.DuckDBPyConnection) -> None:
    """Have the views over raw Parquet files leave out who is on the list; an ingest makes them without that."""
    if not _number(con, "select count(*) from ops.suppressed"):
        return
    for relation in _relations(con):
        if relation.schema != "raw" or not relation.is_view:
            continue
        conditions = " and ".join(f'not {SUPPRESSED.format(f"""d."{column}" """)}' for column in relation.ids)
        con.execute(
            f"create or replace view {relation.sql} as select * from ({_delivered(con, relation)}) as d where {conditions}"
        )


def _ids(con: duckdb.DuckDBPyConnection, relation: _Relation) -> list[str]:
    """Return queries on the ids of a raw table as the source delivers them."""
    rows = f"({_delivered(con, relation)})" if relation.is_view else relation.sql
    return [f'select "{column}" as customer_id from {rows}' for column in relation.ids]


def _delivered(con: duckdb.DuckDBPyConnection, relation: _Relation) -> str:
    """Return the query of a view over raw files, without the filter that an erasure put around it."""
    row = con.execute(
        "select sql from duckdb_views() where database_name = current_database() and schema_name = ? and view_name = ?",
        [relation.schema, relation.name],
    ).fetchone()
    query = str(row[0]).split(" AS ", 1)[1].rstrip().rstrip(";") if row else ""
    if "ops.suppressed" not in query:
        return query
    return query[query.index("(") + 1 : query.rindex(") AS d WHERE")]


def _forget_hashes(con: duckdb.DuckDBPyConnection) -> None:
    """Take off the list whom no raw file can hold any more: all tables of copied rows were read anew since they were seen."""
    copied = [r.name for r in _tables(con) if r.schema == "raw"]
    if not copied or not has_table(con, "ops", "feed_deliveries"):
        return
    names = ", ".join(f"'{name}'" for name in copied)
    con.execute(
        f"""
        delete from ops.suppressed where last_seen_at < (
            select min(coalesce(read_at, timestamp '1000-01-01')) from (
                select t.table_name, max(d.ingested_at) as read_at
                from ops.ingested_tables as t
                left join ops.feed_deliveries as d on d.feed = t.table_name and d.is_full
                where t.table_name in ({names}) and t.is_present
                group by t.table_name
            ) as readings
        )"""
    )


# ---- the file ----------------------------------------------------------------------------------------------------------


def _rewrite_database(copy: Path, settings: Settings) -> None:
    """Write the file anew: DuckDB leaves deleted rows in free blocks."""
    fresh = copy.with_name(f"{copy.stem}.rewritten")
    fresh.unlink(missing_ok=True)
    with duckdb.connect(config={"memory_limit": settings.memory_limit, "threads": settings.threads}) as con:
        con.execute(f"attach '{_text(str(copy))}' as \"{copy.stem}\"")
        con.execute(f"attach '{_text(str(fresh))}' as rewritten")
        con.execute(f'copy from database "{copy.stem}" to rewritten')
        con.execute("checkpoint rewritten")
    fresh.replace(copy)


# ---- tables and columns ------------------------------------------------------------------------------------------------


def _relations(con: duckdb.DuckDBPyConnection) -> list[_Relation]:
    """Return all tables and views of the warehouse with a column of ids of persons."""
    found = con.execute(
        """
        select c.schema_name, c.table_name, v.view_name is not null, list(c.column_name order by c.column_index)
        from duckdb_columns() as c
        left join duckdb_views() as v
            on v.database_name = c.database_name and v.schema_name = c.schema_name and v.view_name = c.table_name
        where c.database_name = current_database() and not c.internal
            and (c.column_name = 'customer_id' or c.column_name like '%\\_customer\\_id' escape '\\')
        group by all order by all"""
    ).fetchall()
    return [_Relation(schema, name, is_view, tuple(ids)) for schema, name, is_view, ids in found]


def _tables(con: duckdb.DuckDBPyConnection) -> list[_Relation]:
    return [r for r in _relations(con) if not r.is_view]


def _month_relations(con: duckdb.DuckDBPyConnection) -> list[_Relation]:
    """Return the views over month files that hold persons."""
    schema, table = BOOK.split(".")
    if not has_table(con, schema, table):
        return []
    models = {row[0] for row in con.execute(f"select distinct model from {BOOK}").fetchall()}
    return [r for r in _relations(con) if r.is_view and r.name in models]


def _has_column(con: duckdb.DuckDBPyConnection, relation: _Relation, column: str) -> bool:
    found = con.execute(
        "select 1 from duckdb_columns() where database_name = current_database() "
        "and schema_name = ? and table_name = ? and column_name = ?",
        [relation.schema, relation.name, column],
    )
    return found.fetchone() is not None


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _text(value: str) -> str:
    return value.replace("'", "''")


def _utc(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(tzinfo=None)
