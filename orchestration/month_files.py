"""The closed months of the carried state: Parquet files in a folder beside the warehouse file, which says which ones count.

dbt writes them (`macros/materializations/month_files.sql`) under names of their own and never changes one. What the warehouse
file names is kept; the rest is of a run that failed, or of a month that was closed again.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

BOOK = "ops.month_files"


def months_dir(warehouse: Path) -> Path:
    """Return the folder of the month files of a warehouse file."""
    return warehouse.with_name(warehouse.name + ".months")


def named_files(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the files that count, relative to the folder, as the warehouse of a connection names them."""
    if not _has_book(connection):
        return set()
    return {row[0] for row in connection.execute(f"select file from {BOOK}").fetchall()}


def _has_book(connection: duckdb.DuckDBPyConnection) -> bool:
    schema, table = BOOK.split(".")
    found = connection.execute("select 1 from duckdb_tables() where schema_name = ? and table_name = ?", [schema, table])
    return found.fetchone() is not None


def missing_files(warehouse: Path, named: set[str]) -> list[str]:
    """Return those of some named files that are not in the folder of a warehouse."""
    folder = months_dir(warehouse)
    return sorted(file for file in named if not (folder / file).exists())


def remove_others(warehouse: Path, named: set[str]) -> None:
    """Delete the files of the folder that the warehouse does not name."""
    folder = months_dir(warehouse)
    for file in folder.glob("*/*.parquet*"):
        if file.relative_to(folder).as_posix() not in named:
            file.unlink()


def flush(warehouse: Path, named: set[str]) -> None:
    """Have the system put the files and their names on the disk; those that are there already cost nothing."""
    folder = months_dir(warehouse)
    for path in {folder, *(folder / file for file in named), *((folder / file).parent for file in named)}:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def is_moved(connection: duckdb.DuckDBPyConnection, warehouse: Path) -> bool:
    """True when the views of a warehouse look for their files elsewhere than beside it."""
    return bool(_other_folders(connection, warehouse))


def _other_folders(connection: duckdb.DuckDBPyConnection, warehouse: Path) -> list[str]:
    if not _has_book(connection):
        return []
    here = str(months_dir(warehouse))
    return [row[0] for row in connection.execute(f"select distinct folder from {BOOK} where folder <> ?", [here]).fetchall()]


def follow(connection: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    """Have the views of a warehouse read the files beside it, wherever they were when it was made."""
    here = str(months_dir(warehouse))
    for folder in _other_folders(connection, warehouse):
        old, new = ("'" + path.replace("'", "''") + "/" for path in (folder, here))
        views = connection.execute("select sql from duckdb_views() where contains(sql, ?)", [old]).fetchall()
        for (sql,) in views:
            connection.execute(sql.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1).replace(old, new))
        connection.execute(f"update {BOOK} set folder = ? where folder = ?", [here, folder])
