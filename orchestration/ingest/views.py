"""Parquet files that need no repair are not copied: `raw.<table>` becomes a view over exactly these files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration.contract import Table
from orchestration.ingest.batch import FILE_COLUMN, READ_PARQUET, file_list, unreadable_parquet, values_of
from orchestration.ingest.files import RawFile
from orchestration.ingest.layouts import Layout
from orchestration.ingest.load import drop, key_sql
from orchestration.ingest.values import Value, literal, problems_sql, quoted


@dataclass(frozen=True)
class ViewPart:
    """How a view reads some files: they share the layout and the select list."""

    layout: str
    select: str


def read_files(select: str, paths: Iterable[Path]) -> str:
    """Return the query with a select list on some Parquet files."""
    file_column = f", filename = '{FILE_COLUMN}'" if FILE_COLUMN in select else ""
    return f"select {select} from read_parquet({file_list(paths)}, {READ_PARQUET}{file_column})"


def _query(select: str, files: Iterable[RawFile]) -> str:
    return read_files(select, (file.absolute for file in files))


def _rows_are_clean(
    con: duckdb.DuckDBPyConnection, values: Sequence[Value], files: Sequence[RawFile], n_rows: int
) -> set[str] | None:
    """One scan: None when a row has a problem, else the text ids that are neither padded nor empty anywhere."""
    ids = [value for value in values if value.is_id and value.is_text and value.source]
    padded = [f"count(*) filter ({v.source} is distinct from nullif(trim({v.source}), ''))" for v in ids]
    problems = problems_sql(values, [value.sql() for value in values])
    counts = ", ".join(["count(*)", f"count(*) filter ({problems} <> 0)", *padded])
    found = con.execute(_query(counts, files)).fetchone()
    if found is None or found[0] != n_rows or found[1]:
        return None
    return {value.column.name for value, count in zip(ids, found[2:], strict=True) if count == 0}


def _select(values: Sequence[Value], trimmed: set[str], assumed: datetime | None) -> str:
    items = []
    for value in values:
        name = value.column.name
        sql = value.unchecked_sql(is_trimmed=name in trimmed)
        if name == "loaded_at" and assumed is not None:
            constant = f"timestamp {literal(assumed)}"
            sql = constant if value.source is None else f"coalesce({sql}, {constant})"
        items.append(f"{sql} as {quoted(name)}")
    return ", ".join(items)


def check(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    groups: Mapping[Layout, Sequence[RawFile]],
    assumed: Mapping[str, datetime | None],
    has_earlier: bool,
) -> tuple[dict[str, ViewPart], dict[str, int]] | None:
    """Check Parquet files; return how a view reads each path and its number of rows, or None when rows need repair.

    With `has_earlier`, the keys must not occur in the present view `raw.<table>` either.

    Raises:
        IngestError: a file is broken.
    """
    parts: dict[str, ViewPart] = {}
    n_rows: dict[str, int] = {}
    keys = []
    for layout, files in groups.items():
        paths = [str(file.absolute) for file in files]
        by_path = {str(file.absolute): file.path for file in files}
        counted = con.execute("select file_name, num_rows from parquet_file_metadata(?)", [paths]).fetchall()
        n_rows.update({by_path[path]: rows for path, rows in counted})
        values = values_of(table, layout, quoted(FILE_COLUMN))
        try:
            trimmed = _rows_are_clean(con, values, files, sum(n_rows[file.path] for file in files))
        except duckdb.Error as error:
            raise unreadable_parquet(con, files, error) from error
        if trimmed is None:
            return None
        for file in files:
            parts[file.path] = ViewPart(str(layout.columns), _select(values, trimmed, assumed[file.path]))
        keys.append(f"select {key_sql(table)} from ({_query(_select(values, trimmed, None), files)})")
    return (parts, n_rows) if _keys_are_unique(con, table, " union all ".join(keys), has_earlier) else None


def _keys_are_unique(con: duckdb.DuckDBPyConnection, table: Table, keys: str, has_earlier: bool) -> bool:
    key = key_sql(table)
    # Hashes of equal size, grouped: fits in memory for a hundred million keys, and spills to disk beyond. Two keys that
    # share a hash by chance only cost a copy.
    doubled = f"select 1 from (select hash({key}) as h from ({keys}) group by h having count(*) > 1) limit 1"
    if con.execute(doubled).fetchone() is not None:
        return False
    if not has_earlier:
        return True
    known = f"select 1 from raw.{table.name} as r semi join ({keys}) as n using ({key}) limit 1"
    return con.execute(known).fetchone() is None


def create(con: duckdb.DuckDBPyConnection, table: Table, files: Sequence[RawFile], parts: Mapping[str, ViewPart]) -> None:
    """Put the view over these files, named one by one: a file that arrives later does not leak in unchecked."""
    by_part: dict[ViewPart, list[RawFile]] = {}
    for file in files:
        by_part.setdefault(parts[file.path], []).append(file)
    selects = [_query(part.select, own) for part, own in by_part.items()]
    drop(con, table)
    con.execute(f"create view raw.{table.name} as {' union all '.join(selects)}")
