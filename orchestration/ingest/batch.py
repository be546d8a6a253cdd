"""Rows of new files, typed and judged, in the temporary table `batch`; broken ones go to quarantine from here.

`batch` holds the delivered columns and: `_file` (number of the file in path order), `_row` (row number in a Parquet
file), `_problems` (two bits a column, see values.py), `_record` (the row as delivered, where it has problems),
`_is_dated` (false when `loaded_at` was not delivered).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration.contract import Table
from orchestration.ingest.files import RawFile
from orchestration.ingest.layouts import Layout, incomplete_parquet
from orchestration.ingest.locate import UNIT, records
from orchestration.ingest.result import IngestError
from orchestration.ingest.scan import Scan, scan
from orchestration.ingest.values import EMPTY, UNREADABLE, Value, literal, problems_sql, quoted, reason

FILE_COLUMN = "_bathtub_file"
MOST_TEXT = 10_000
MOST_LINE_BYTES = 2_097_152
CHUNK_ROWS = 50_000
READ_PARQUET = "hive_partitioning = false, binary_as_string = true"


@dataclass
class Batch:
    """The files being read, by number, and how many rows each one holds."""

    con: duckdb.DuckDBPyConnection
    table: Table
    scratch: Path
    now: datetime
    files: dict[int, RawFile] = field(default_factory=dict)
    layouts: dict[int, Layout] = field(default_factory=dict)
    scans: dict[int, Scan] = field(default_factory=dict)
    rows_read: dict[int, int] = field(default_factory=dict)

    @property
    def required_mask(self) -> int:
        """The bits of `_problems` that send a row to quarantine."""
        columns = enumerate(self.table.delivered)
        return sum((EMPTY | UNREADABLE) << 2 * place for place, column in columns if column.required)

    @property
    def is_good(self) -> str:
        return f"_problems & {self.required_mask} = 0"


def rows_into(con: duckdb.DuckDBPyConnection, target: str, types: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Insert Python rows into a table, a chunk at a time."""
    places = ", ".join(f"unnest(cast(? as {kind}[]))" for kind in types)
    for start in range(0, len(rows), CHUNK_ROWS):
        columns = [list(column) for column in zip(*rows[start : start + CHUNK_ROWS], strict=True)]
        con.execute(f"insert into {target} select {places}", columns)


def file_list(paths: Iterable[Path | str]) -> str:
    """Paths as a SQL list."""
    return "[" + ", ".join(literal(path) for path in paths) + "]"


def values_of(table: Table, layout: Layout, path_sql: str) -> list[Value]:
    """The delivered columns as a layout brings them; `path_sql` is SQL for the file's path (for Hive keys)."""
    sources: dict[str, tuple[str, str]] = {}
    for key in layout.hive_columns:
        found = f"url_decode(regexp_extract({path_sql}, {literal(f'(?:.*/)?{re.escape(key)}=([^/]*)/')}, 1))"
        sources[key.lower()] = (f"nullif({found}, '__HIVE_DEFAULT_PARTITION__')", "VARCHAR")
    for place, (name, (raw_name, kind)) in enumerate(zip(layout.names, layout.columns, strict=True)):
        sources[name] = (quoted(raw_name) if layout.is_parquet else f"c{place}", kind)
    return [Value(column, *sources.get(column.name, (None, "VARCHAR"))) for column in table.delivered]


def stage(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    groups: Mapping[Layout, Sequence[RawFile]],
    assumed: Mapping[str, datetime | None],
    scratch: Path,
    now: datetime,
) -> Batch:
    """Read files into `batch` and write their defects to quarantine.

    `assumed` gives, by path, the `loaded_at` of rows that have none.

    Raises:
        IngestError: a file cannot be read, or rows would get lost.
    """
    batch = Batch(con, table, scratch, now)
    ordered = sorted(((file, layout) for layout, files in groups.items() for file in files), key=lambda f: f[0].path)
    for number, (file, layout) in enumerate(ordered):
        batch.files[number], batch.layouts[number] = file, layout
        if not layout.is_parquet:
            batch.scans[number] = scan(file, layout, scratch / f"{table.name}-{number}.csv")
    _create(batch)
    _register(batch, assumed)
    for layout in groups:
        numbers = [number for number, other in batch.layouts.items() if other == layout]
        if layout.is_parquet:
            _read_parquet(batch, layout, numbers)
        else:
            _read_csv(batch, layout, numbers)
            _read_lost_again(batch, layout, numbers)
    _count(batch)
    _quarantine(batch)
    return batch


def _create(batch: Batch) -> None:
    columns = ", ".join(f"{quoted(column.name)} {column.data_type}" for column in batch.table.delivered)
    extra = "_file integer, _row bigint, _problems bigint, _record varchar, _is_dated boolean"
    batch.con.execute(f"create or replace temp table batch ({columns}, {extra})")
    batch.con.execute("create or replace temp table rejects (_file integer, _offset bigint, text varchar, error varchar)")
    batch.con.execute("create or replace temp table located (_rid bigint, line bigint, text varchar)")


def _register(batch: Batch, assumed: Mapping[str, datetime | None]) -> None:
    batch.con.execute(
        "create or replace temp table batch_files (_file integer, path varchar, readable varchar, assumed timestamp)"
    )
    rows = []
    for number, file in batch.files.items():
        readable = batch.scans[number].path if number in batch.scans else file.absolute
        rows.append((number, file.path, str(readable), assumed[file.path]))
    rows_into(batch.con, "batch_files", ("integer", "varchar", "varchar", "timestamp"), rows)


def _insert(batch: Batch, layout: Layout, source: str, row: str, record: str) -> None:
    values = values_of(batch.table, layout, "f.path")
    typed = [value.sql() for value in values]
    problems = problems_sql(values, typed)
    columns = [quoted(value.column.name) for value in values]
    inner = ", ".join(f"{sql} as {name}" for sql, name in zip(typed, columns, strict=True))
    outer = ", ".join(f"coalesce({name}, assumed) as {name}" if name == '"loaded_at"' else name for name in columns)
    batch.con.execute(f"""
        insert into batch
        select {outer}, _file, _row, _problems, _record, loaded_at is not null
        from (
            select {inner}, f._file, {row} as _row, {problems} as _problems,
                case when {problems} <> 0 then {record} end as _record, f.assumed
            from {source} as r join batch_files as f on f.readable = r.{FILE_COLUMN}
        )""")


def _read_parquet(batch: Batch, layout: Layout, numbers: Sequence[int]) -> None:
    paths = [batch.files[number].absolute for number in numbers]
    source = f"read_parquet({file_list(paths)}, {READ_PARQUET}, filename = '{FILE_COLUMN}')"
    members = ", ".join(f"{literal(name)}: {quoted(name)}" for name, _ in layout.columns)
    try:
        _insert(batch, layout, source, "file_row_number + 1", f"cast(to_json({{{members}}}) as varchar)")
    except duckdb.Error as error:
        raise unreadable_parquet(batch.con, [batch.files[number] for number in numbers], error) from error


def unreadable_parquet(con: duckdb.DuckDBPyConnection, files: Sequence[RawFile], error: Exception) -> IngestError:
    """Find the file that made reading fail; without one, pass the reader's own words on."""
    with duckdb.connect() as probe:
        for file in files:
            try:
                query = f"select * from read_parquet({literal(file.absolute)}, {READ_PARQUET})"
                reader = probe.execute(query)
                while reader.fetchmany(CHUNK_ROWS):
                    pass
            except duckdb.Error:
                return incomplete_parquet(file)
    return IngestError(f"The Parquet files of {files[0].table} cannot be read: {str(error).splitlines()[0]}")


def _read_csv(batch: Batch, layout: Layout, numbers: Sequence[int], is_parallel: bool = True) -> None:
    numbers = [number for number in numbers if batch.scans[number].n_records > 0]
    if not numbers:
        return
    names = [f"c{place}" for place in range(len(layout.columns))]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    source = f"""read_csv({file_list(batch.scans[number].path for number in numbers)}, auto_detect = false,
        header = true, delim = {literal(layout.delimiter)}, quote = '"', escape = '"', columns = {{{columns}}},
        store_rejects = true, rejects_limit = 0, rejects_table = 'csv_errors', rejects_scan = 'csv_scans',
        filename = '{FILE_COLUMN}', strict_mode = true, max_line_size = {MOST_LINE_BYTES}, parallel = {is_parallel})"""
    record = f" || chr({ord(UNIT)}) || ".join(f"coalesce({name}, '')" for name in names)
    _insert(batch, layout, source, "cast(null as bigint)", record)
    # A line may have several errors; it is one rejected row. After a CRLF its position may be the LF's.
    batch.con.execute("""
        insert into rejects
        select f._file, e.line_byte_position - if(starts_with(e.csv_line, chr(10)), 0, 1),
            first(ltrim(e.csv_line, chr(10))), first(e.error_type order by e.error_type)
        from csv_errors as e
        join csv_scans as s on s.scan_id = e.scan_id and s.file_id = e.file_id
        join batch_files as f on f.readable = s.file_path
        group by 1, 2""")
    batch.con.execute("drop table csv_errors")
    batch.con.execute("drop table csv_scans")


def _rows_by_file(batch: Batch) -> Counter[int]:
    counts: Counter[int] = Counter()
    for name in ("batch", "rejects"):
        counts.update(dict(batch.con.execute(f"select _file, count(*) from {name} group by 1").fetchall()))
    return counts


def _lost(batch: Batch, numbers: Sequence[int]) -> list[int]:
    counts = _rows_by_file(batch)
    return [number for number in numbers if counts[number] != max(batch.scans[number].n_records, 0)]


def _read_lost_again(batch: Batch, layout: Layout, numbers: Sequence[int]) -> None:
    """Read files again, by the strictest means, whose rows do not add up to their records."""
    lost = _lost(batch, numbers)
    if not lost:
        return
    for number in lost:
        copy = batch.scratch / f"{batch.table.name}-{number}-again.csv"
        batch.scans[number] = scan(batch.files[number], layout, copy, is_thorough=True)
        batch.con.execute("delete from batch where _file = ?", [number])
        batch.con.execute("delete from rejects where _file = ?", [number])
        batch.con.execute("update batch_files set readable = ? where _file = ?", [str(batch.scans[number].path), number])
    _read_csv(batch, layout, lost, is_parallel=False)
    if lost := _lost(batch, lost):
        raise IngestError(
            f"{batch.files[lost[0]].path} holds {batch.scans[lost[0]].n_records:,} records and "
            f"{_rows_by_file(batch)[lost[0]]:,} could be told apart; export the file again with every quote doubled."
        )


def _count(batch: Batch) -> None:
    counts = _rows_by_file(batch)
    for number, file in batch.files.items():
        broken = len(batch.scans[number].broken) if number in batch.scans else 0
        batch.rows_read[number] = counts[number] + broken
        if file.is_parquet:
            found = batch.con.execute("select num_rows from parquet_file_metadata(?)", [str(file.absolute)]).fetchone()
            if found is None or found[0] != counts[number]:
                raise incomplete_parquet(file)


def _quarantine(batch: Batch) -> None:
    target = f"quarantine.{batch.table.name}"
    con = batch.con
    broken: list[tuple[object, ...]] = [
        (batch.files[number].path, line.number, line.text[:MOST_TEXT], line.reason, None, False, batch.now)
        for number, scanned in batch.scans.items()
        for line in scanned.broken
    ]
    con.execute("""
        create or replace temp table suspects as
        select _file, rowid as _rid, _record from batch where _problems <> 0 and _row is null order by _file, rowid""")
    files = con.execute("select distinct _file from suspects union select distinct _file from rejects order by 1")
    for (number,) in files.fetchall():
        broken.extend(_find_lines(batch, number))
    rows_into(con, target, ("varchar", "bigint", "varchar", "varchar", "varchar", "boolean", "timestamp"), broken)
    _write_reasons(batch)
    con.execute(
        f"""
        insert into {target}
        select f.path, coalesce(b._row, l.line), left(coalesce(l.text, b._record), {MOST_TEXT}), r.reason,
            r.column_name, r.is_row_kept, ?
        from batch as b
        join problem_reasons as r on r.problems = b._problems
        join batch_files as f on f._file = b._file
        left join located as l on l._rid = b.rowid
        where b._problems <> 0
        order by b._file, b.rowid""",
        [batch.now],
    )


def _find_lines(batch: Batch, number: int) -> list[tuple[object, ...]]:
    """Find the lines of a file's rows with problems, and return its rejected records as quarantine rows."""
    con, layout = batch.con, batch.layouts[number]
    path, delimiter = batch.files[number].path, layout.delimiter or ","
    wanted: dict[str, list[int]] = {}
    for rid, record in con.execute("select _rid, _record from suspects where _file = ?", [number]).fetchall():
        wanted.setdefault(record, []).append(rid)
    rejects = {
        offset: (text, error)
        for offset, text, error in con.execute("select _offset, text, error from rejects where _file = ?", [number]).fetchall()
    }
    for rids in wanted.values():
        rids.reverse()
    found: list[tuple[int, int, str]] = []
    rejected: list[tuple[object, ...]] = []
    width = len(layout.columns)
    for located in records(batch.scans[number].path, delimiter):
        text = located.text[:MOST_TEXT].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if located.offset in rejects:
            _, error = rejects.pop(located.offset)
            sentence = _structural_reason(error, located.width, width)
            rejected.append((path, located.line, text, sentence, None, False, batch.now))
        elif places := wanted.get(located.record):
            found.append((places.pop(), located.line, text))
    for text, error in rejects.values():
        rejected.append((path, None, text, _structural_reason(error, None, width), None, False, batch.now))
    rows_into(con, "located", ("bigint", "bigint", "varchar"), found)
    return rejected


def _structural_reason(error: str, found: int | None, expected: int) -> str:
    if error == "INVALID ENCODING":
        return "the line is not UTF-8"
    if error == "UNQUOTED VALUE":
        return "a quoted value is followed by more text"
    if error == "LINE SIZE OVER MAXIMUM":
        return f"the line is longer than {MOST_LINE_BYTES:,} bytes"
    if found is None or found == expected:
        return "the line cannot be split into columns"
    return f"{found} columns where {expected} are expected"


def _write_reasons(batch: Batch) -> None:
    """One row for each combination of problems and each sentence it gives."""
    con, columns = batch.con, batch.table.delivered
    rows: list[tuple[object, ...]] = []
    for (problems,) in con.execute("select distinct _problems from batch where _problems <> 0").fetchall():
        found = [(column, problems >> 2 * place & 3) for place, column in enumerate(columns)]
        defects = [(column, problem) for column, problem in found if problem]
        required = [(column, problem) for column, problem in defects if column.required]
        if required:
            sentence = "; ".join(reason(column, problem) for column, problem in required)
            rows.append((problems, required[0][0].name, sentence, False))
        else:
            rows.extend((problems, column.name, reason(column, problem), True) for column, problem in defects)
    con.execute(
        "create or replace temp table problem_reasons "
        "(problems bigint, column_name varchar, reason varchar, is_row_kept boolean)"
    )
    rows_into(con, "problem_reasons", ("bigint", "varchar", "varchar", "boolean"), rows)
