"""From the judged rows of `batch` to the table `raw.<table>`: one row per key."""

from __future__ import annotations

import duckdb

from orchestration.contract import Column, Table
from orchestration.ingest.accounts import kind_of
from orchestration.ingest.batch import Batch
from orchestration.ingest.values import quoted

EARLIEST = "timestamp '-infinity'"


def key_sql(table: Table, alias: str = "") -> str:
    """The key columns, comma-separated."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(f"{prefix}{quoted(name)}" for name in table.key)


def create_empty(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Create `raw.<table>` without rows, in place of a table or view of that name."""
    drop(con, table)
    columns = ", ".join(f"{quoted(column.name)} {column.data_type}" for column in table.columns)
    con.execute(f"create table raw.{table.name} ({columns})")


def drop(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Drop `raw.<table>`, table or view."""
    if kind := kind_of(con, "raw", table.name):
        con.execute(f"drop {kind} raw.{table.name}")


def _rank(table: Table, alias: str) -> str:
    """What decides between rows of one key, the larger wins: load time, then business time; null is earliest."""
    return ", ".join(f"coalesce({alias}.{quoted(name)}, {EARLIEST})" for name in ("loaded_at", table.latest))


def _judge_batch(batch: Batch) -> None:
    """List in `losers` the rows of the batch that another row of the batch supersedes."""
    key = key_sql(batch.table)
    order = ", ".join(f"coalesce({quoted(n)}, {EARLIEST}) desc" for n in ("loaded_at", batch.table.latest))
    batch.con.execute(f"""
        create or replace temp table losers as
        with doubled as (
            select hash({key}) as h from batch where {batch.is_good} group by 1 having count(*) > 1
        ),
        ranked as (
            select rowid as _rid, row_number() over (partition by {key} order by {order}, _file, rowid) as place
            from batch
            where {batch.is_good} and hash({key}) in (select h from doubled)
        )
        select _rid from ranked where place > 1""")


def _judge_against_raw(batch: Batch) -> int:
    """Delete rows of the raw table that the batch supersedes, list the others' rivals as losers; return the deleted."""
    table, con = batch.table, batch.con
    con.execute(f"""
        create or replace temp table conflicts as
        select b.rowid as _rid, r.rowid as _raw_rid,
            row({_rank(table, "b")}) > row({_rank(table, "r")}) as is_batch_later
        from batch as b
        join raw.{table.name} as r using ({key_sql(table)})
        where {batch.is_good} and b.rowid not in (select _rid from losers)""")
    con.execute("insert into losers select _rid from conflicts where not is_batch_later")
    deleted = con.execute(
        f"delete from raw.{table.name} where rowid in (select _raw_rid from conflicts where is_batch_later)"
    ).fetchone()
    return int(deleted[0]) if deleted else 0


def remember(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Keep, in `remembered`, when the rows of the present raw table were loaded, before they are read again."""
    columns = ["loaded_at", *(column.name for column in table.columns if column.added_by_ingest)]
    if "deletion_loaded_at" in columns:
        columns.append("deleted_at")
    watched = [name for column in table.columns for name in column.changed_with]
    columns += [name for name in (table.latest, *watched) if watched and name not in columns]
    con.execute(f"""
        create or replace temp table remembered as
        select {key_sql(table)}, true as is_remembered, {", ".join(quoted(name) for name in columns)}
        from raw.{table.name}""")


def _first_loads(batch: Batch) -> None:
    """For each profile of the batch, in `first_loads`, when it and its deletion were first loaded.

    Null is the earliest: with the initial history. Every version counts, the superseded ones too.
    """
    key = key_sql(batch.table)

    def earliest(condition: str) -> str:
        undated = f"count(*) filter ({condition} and loaded_at is null)"
        return f"case when {undated} = 0 then min(loaded_at) filter ({condition}) end"

    def least(known: str, column: str) -> str:
        return (
            f"case when {known} then case when r.{column} is not null and v.{column} is not null "
            f"then least(r.{column}, v.{column}) end else v.{column} end"
        )

    batch.con.execute(f"""
        create or replace temp table first_loads as
        with versions as (
            select {key}, {earliest("true")} as first_loaded_at,
                {earliest("deleted_at is not null")} as deletion_loaded_at,
                bool_or(deleted_at is not null) as has_deletion
            from batch where {batch.is_good} group by {key}
        )
        select {key_sql(batch.table, "v")}, {least("r.is_remembered", "first_loaded_at")} as first_loaded_at,
            case when not v.has_deletion then r.deletion_loaded_at
                else {least("r.deleted_at is not null", "deletion_loaded_at")} end as deletion_loaded_at
        from versions as v left join remembered as r using ({key})""")


def _changes(batch: Batch) -> None:
    """For each profile of the batch with several versions, in `changes`, when what its `changed_with` columns hold came about.

    The versions stand in the order in which they supersede each other, the remembered one among them. How a value is written
    does not matter: case, blanks, punctuation.
    """
    key = key_sql(batch.table)
    dated = [column for column in batch.table.columns if column.changed_with]
    watched = ", ".join(quoted(name) for column in dated for name in column.changed_with)

    def written(column: Column) -> str:
        text = " || ' ' || ".join(f"coalesce({quoted(name)}, '')" for name in column.changed_with)
        return f"lower(regexp_replace({text}, '[\\s./()-]', '', 'g'))"

    def changed(column: Column) -> str:
        is_other = f"nth > 1 and {written(column)} <> lag({written(column)}) over versions"
        return f"coalesce({quoted(column.name)}, case when {is_other} then came_at end) as {quoted(column.name)}"

    batch.con.execute(f"""
        create or replace temp table changes as
        with versions as (
            select {key}, loaded_at, {quoted(batch.table.latest)}, {watched}, false as is_remembered,
                {", ".join(f"null::timestamp as {quoted(column.name)}" for column in dated)}
            from batch where {batch.is_good}
            union all by name
            select {key}, loaded_at, {quoted(batch.table.latest)}, {watched}, is_remembered,
                {", ".join(quoted(column.name) for column in dated)}
            from remembered where ({key}) in (select {key} from batch where {batch.is_good})
        ),
        several as (
            select *, coalesce({quoted(batch.table.latest)}, loaded_at) as came_at,
                row_number() over versions as nth
            from versions where ({key}) in (select {key} from versions group by all having count(*) > 1)
            window versions as (partition by {key} order by {_rank(batch.table, "versions")}, is_remembered)
        ),
        dated as (
            select {key}, {", ".join(changed(column) for column in dated)}
            from several window versions as (partition by {key} order by nth)
        )
        select {key}, {", ".join(f"max({quoted(column.name)}) as {quoted(column.name)}" for column in dated)}
        from dated group by {key}""")


def _insert(batch: Batch, is_reread: bool) -> None:
    table = batch.table
    columns = []
    joins = ""
    if is_reread:
        joins += f" left join remembered as r using ({key_sql(table)})"
    if any(column.added_by_ingest for column in table.columns):
        joins += f" left join first_loads as f using ({key_sql(table)}) left join changes as h using ({key_sql(table)})"
    for column in table.columns:
        if column.name == "loaded_at" and is_reread:
            # A row without a load time of its own keeps the one it was given when it was first read.
            columns.append("case when not b._is_dated and r.is_remembered then r.loaded_at else b.loaded_at end")
        elif column.name == "deletion_loaded_at":
            columns.append("case when b.deleted_at is not null then f.deletion_loaded_at end")
        elif column.changed_with:
            columns.append(f"h.{quoted(column.name)}")
        elif column.added_by_ingest:
            columns.append(f"f.{quoted(column.name)}")
        else:
            columns.append(f"b.{quoted(column.name)}")
    batch.con.execute(f"""
        insert into raw.{table.name}
        select {", ".join(columns)} from batch as b{joins}
        where {batch.is_good} and b.rowid not in (select _rid from losers)
        order by b._file, b.rowid""")


def _update_first_loads(batch: Batch) -> None:
    """An older version that arrives later loses, and yet says when its profile was first loaded."""
    key = " and ".join(f"c.{quoted(name)} = f.{quoted(name)}" for name in batch.table.key)
    batch.con.execute(f"""
        update raw.{batch.table.name} as c
        set first_loaded_at = f.first_loaded_at,
            deletion_loaded_at = case when c.deleted_at is not null then f.deletion_loaded_at end
        from first_loads as f
        where {key} and (c.first_loaded_at is distinct from f.first_loaded_at
            or (c.deleted_at is not null and c.deletion_loaded_at is distinct from f.deletion_loaded_at))""")
    dated = [quoted(column.name) for column in batch.table.columns if column.changed_with]
    batch.con.execute(f"""
        update raw.{batch.table.name} as c set {", ".join(f"{name} = f.{name}" for name in dated)}
        from changes as f where {key} and ({" or ".join(f"c.{name} is distinct from f.{name}" for name in dated)})""")


def _has_undated_rows(batch: Batch) -> bool:
    return batch.con.execute("select 1 from batch where not _is_dated limit 1").fetchone() is not None


def load(batch: Batch, is_append: bool, has_memory: bool) -> int:
    """Write the batch to `raw.<table>`, in addition to its rows or instead of them; return the rows superseded.

    `has_memory` says that `raw.<table>` holds the rows of the ingest before.
    """
    table, con = batch.table, batch.con
    has_first_loads = any(column.added_by_ingest for column in table.columns)
    if not has_memory or not (is_append or has_first_loads or _has_undated_rows(batch)):
        create_empty(con, table)
    if has_first_loads or not is_append:
        remember(con, table)
    _judge_batch(batch)
    if has_first_loads:
        _first_loads(batch)
        _changes(batch)
    n_deleted = 0
    if is_append:
        n_deleted = _judge_against_raw(batch)
    else:
        create_empty(con, table)
    _insert(batch, is_reread=not is_append)
    if is_append and has_first_loads:
        _update_first_loads(batch)
    lost = con.execute("select count(*) from losers").fetchone()
    return n_deleted + (int(lost[0]) if lost else 0)
