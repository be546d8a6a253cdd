"""Look for texts in everything below a folder: bytes of files, rows of databases, values of Parquet files."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import duckdb


def traces(folder: Path, texts: Sequence[str], but: Sequence[Path] = ()) -> list[str]:
    """Return where the texts are: the file, and the table or the text; nothing below the folders `but`."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        if any(file.is_relative_to(other) for other in but):
            continue
        found += [f"{file.relative_to(folder)}: {where}" for where in _traces_in(file, texts)]
    return found


def _traces_in(file: Path, texts: Sequence[str]) -> Iterator[str]:
    content = file.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    for text in texts:
        if any(text.encode(code) in content for code in ("utf-8", "utf-16-le")):
            yield f"bytes of {text}"
    if content[8:12] == b"DUCK":
        yield from _in_duckdb(file, texts)
    elif content[:4] == b"PAR1":
        with duckdb.connect() as con:
            yield from _in_rows(con, f"read_parquet('{file}', hive_partitioning = false)", texts)
    elif content[:15] == b"SQLite format 3":
        yield from _in_sqlite(file, texts)


def _in_duckdb(file: Path, texts: Sequence[str]) -> Iterator[str]:
    with duckdb.connect(str(file), read_only=True) as con:
        names = con.execute(
            "select schema_name, table_name from duckdb_tables() where not internal "
            "union all select schema_name, view_name from duckdb_views() where not internal order by all"
        ).fetchall()
        for schema, name in names:
            yield from _in_rows(con, f'"{schema}"."{name}"', texts)


def _in_rows(con: duckdb.DuckDBPyConnection, relation: str, texts: Sequence[str]) -> Iterator[str]:
    # One reading of a view for all texts.
    conditions = ", ".join(f"count(*) filter (contains(t, '{text}'))" for text in texts)
    counts = con.execute(f"select {conditions} from (select cast(r as varchar) as t from {relation} as r)").fetchone() or ()
    yield from (f"{relation} has {text}" for text, n in zip(texts, counts, strict=True) if n)


def _in_sqlite(file: Path, texts: Sequence[str]) -> Iterator[str]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as con:
        for (name,) in con.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in con.execute(f'select * from "{name}"'):
                yield from (f"{name} has {text}" for text in texts if text in str(row))
