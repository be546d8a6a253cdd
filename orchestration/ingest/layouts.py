"""How a raw file is laid out: its columns, found from its header or footer before anything is read."""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from orchestration.contract import Column, Table
from orchestration.ingest.files import RawFile
from orchestration.ingest.result import IngestError
from orchestration.ingest.values import literal

DELIMITERS = ",;\t|"
PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Layout:
    """Columns of a file in file order with their DuckDB types, the CSV delimiter, and the Hive keys on its path."""

    columns: tuple[tuple[str, str], ...]
    delimiter: str | None = None
    hive_keys: tuple[str, ...] = ()

    @property
    def is_parquet(self) -> bool:
        return self.delimiter is None

    @property
    def names(self) -> tuple[str, ...]:
        """Names as the contract writes them: trimmed, lower case."""
        return tuple(name.strip().lower() for name, _ in self.columns)

    @property
    def hive_columns(self) -> tuple[str, ...]:
        """Hive keys that no column of the file holds."""
        return tuple(key for key in self.hive_keys if key.lower() not in self.names)

    @property
    def available(self) -> tuple[str, ...]:
        return (*self.names, *(key.lower() for key in self.hive_columns))

    def missing(self, table: Table) -> tuple[Column, ...]:
        """Contract columns that the file does not bring."""
        return tuple(column for column in table.delivered if column.name not in self.available)

    def unknown(self, table: Table) -> tuple[str, ...]:
        """Columns of the file that the contract does not know."""
        known = {column.name for column in table.delivered}
        return tuple(name for name in self.available if name not in known)


def open_csv(file: RawFile) -> gzip.GzipFile | io.BufferedReader:
    """Open a CSV file, decompressed when it is a gzip."""
    return gzip.GzipFile(file.absolute, "rb") if file.is_gzip else file.absolute.open("rb")


def incomplete_gzip(file: RawFile, error: Exception) -> IngestError:
    """The error for a gzip that ends too early or is none."""
    return IngestError(f"{file.path} is not a complete gzip file ({error}); deliver it again.")


def _csv_header(file: RawFile, table: Table) -> Layout:
    if file.size_bytes == 0:
        raise IngestError(f"{file.path} is empty (0 bytes); deliver it again, with at least its header line.")
    try:
        with open_csv(file) as stream:
            start = stream.read(4096)
            while b"\n" not in start and b"\r" not in start and (more := stream.read(65536)):
                start += more
    except (EOFError, gzip.BadGzipFile) as error:
        raise incomplete_gzip(file, error) from error
    except OSError as error:
        raise IngestError(f"{file.path} cannot be read ({error.strerror}); give the ingest the right to read it.") from error
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start.splitlines()[0]:
        raise IngestError(f"{file.path} is not UTF-8 text (it looks like UTF-16); export it again as UTF-8.")
    known = {column.name for column in table.delivered}

    def fields(delimiter: str) -> list[str]:
        text = io.StringIO(start.decode("utf-8-sig", "replace"), newline="")
        return next(csv.reader(text, delimiter=delimiter), [])

    def fit(delimiter: str) -> tuple[int, int]:
        names = [name.strip().lower() for name in fields(delimiter)]
        return sum(name in known for name in names), len(names)

    delimiter = max(DELIMITERS, key=fit)
    names = fields(delimiter)
    if any("\ufffd" in name for name in names):
        raise IngestError(f"The header of {file.path} is not UTF-8; export the file again as UTF-8.")
    return Layout(tuple((name, "VARCHAR") for name in names), delimiter, file.hive_keys)


def _check_footer(file: RawFile) -> None:
    try:
        with file.absolute.open("rb") as stream:
            head = stream.read(4)
            stream.seek(-min(8, file.size_bytes), io.SEEK_END)
            tail = stream.read()
    except OSError as error:
        raise IngestError(f"{file.path} cannot be read ({error.strerror}); give the ingest the right to read it.") from error
    footer_bytes = int.from_bytes(tail[:4], "little")
    if head != PARQUET_MAGIC or tail[4:] != PARQUET_MAGIC or footer_bytes + 12 > file.size_bytes:
        raise incomplete_parquet(file)


def incomplete_parquet(file: RawFile) -> IngestError:
    """The error for a Parquet file that is cut or broken."""
    return IngestError(f"{file.path} is not a complete Parquet file ({file.size_bytes:,} bytes); deliver it again.")


def _parquet_layouts(con: duckdb.DuckDBPyConnection, files: Sequence[RawFile]) -> dict[RawFile, Layout]:
    if not files:
        return {}
    for file in files:
        _check_footer(file)
    by_path = {str(file.absolute): file for file in files}
    footers: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    query = "select file_name, name, type, num_children, duckdb_type from parquet_schema(?) order by column_id"
    try:
        rows = con.execute(query, [list(by_path)]).fetchall()
    except duckdb.Error as error:
        raise _broken_footer(con, files, error) from error
    for path, *column in rows:
        footers[path].append(tuple(column))
    described: dict[tuple[object, ...], tuple[tuple[str, str], ...]] = {}
    layouts = {}
    for path, footer in footers.items():
        signature = tuple(footer)
        if signature not in described:
            source = f"read_parquet({literal(path)}, hive_partitioning = false, binary_as_string = true)"
            columns = con.execute(f"describe select * from {source}").fetchall()
            described[signature] = tuple((column[0], column[1]) for column in columns)
        layouts[by_path[path]] = Layout(described[signature], None, by_path[path].hive_keys)
    return layouts


def _broken_footer(con: duckdb.DuckDBPyConnection, files: Sequence[RawFile], error: Exception) -> IngestError:
    for file in files:
        try:
            con.execute("select count(*) from parquet_schema(?)", [str(file.absolute)])
        except duckdb.Error:
            return incomplete_parquet(file)
    return IngestError(f"The Parquet files of {files[0].table} cannot be read: {str(error).splitlines()[0]}")


def _check(file: RawFile, table: Table, layout: Layout) -> None:
    names = layout.names
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise IngestError(f"{file.path} has the column {', '.join(doubled)} twice; deliver each column once.")
    if missing := [column.name for column in layout.missing(table) if column.required]:
        raise IngestError(
            f"{file.path} lacks the required column{'s' * (len(missing) > 1)} {', '.join(missing)} of {table.name}; "
            f"its columns are {', '.join(names) or 'none'}."
        )


def read_layouts(con: duckdb.DuckDBPyConnection, table: Table, files: Iterable[RawFile]) -> dict[Layout, list[RawFile]]:
    """Return the files of a table grouped by layout.

    Raises:
        IngestError: a file cannot be read, is cut, or lacks a required column.
    """
    files = list(files)
    parquet = _parquet_layouts(con, [file for file in files if file.is_parquet])
    groups: dict[Layout, list[RawFile]] = defaultdict(list)
    for file in files:
        layout = parquet[file] if file.is_parquet else _csv_header(file, table)
        if layout not in groups:
            _check(file, table, layout)
        groups[layout].append(file)
    return dict(groups)
