"""Turn an example's files, as published, into Parquet files of the raw contract.

`python -m examples.prepare EXAMPLE DATA_DIR OUT_DIR`
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

from orchestration.contract import Table, raw_tables

EXAMPLES_DIR = Path(__file__).resolve().parent


class ExampleError(Exception):
    """An example cannot run; the message says what is missing or wrong, where, and what to do."""


@dataclass(frozen=True)
class Example:
    """An example's settings, read from its `example.yml`."""

    name: str
    files: Sequence[str]
    first_month: str
    last_month: str
    vars: Mapping[str, Any]

    @property
    def mapping(self) -> Path:
        return EXAMPLES_DIR / self.name / "mapping.sql"


def example_names() -> list[str]:
    """Return the names of the examples in this folder."""
    return sorted(path.parent.name for path in EXAMPLES_DIR.glob("*/example.yml"))


def load_example(name: str) -> Example:
    """Return the settings of the example `name`, one of `example_names()`."""
    settings = yaml.safe_load((EXAMPLES_DIR / name / "example.yml").read_text(encoding="utf-8"))
    return Example(name, settings["files"], settings["from"], settings["to"], settings["vars"])


def _check_files(example: Example, data_dir: Path) -> None:
    missing = [pattern for pattern in example.files if not any(data_dir.glob(pattern))]
    if missing:
        problem = f"has no {', no '.join(missing)}" if data_dir.is_dir() else "is not a folder"
        raise ExampleError(f"{data_dir} {problem}; examples/{example.name}/README.md says which files to put there.")


def _write(connection: duckdb.DuckDBPyConnection, table: Table, out_dir: Path) -> int:
    """Write a mapped table, or an empty one with the contract's columns, and return its number of rows."""
    columns = ", ".join(f"{column.name} {column.data_type}" for column in table.delivered)
    connection.execute(f"create table if not exists {table.name} ({columns})")
    rows = connection.table(table.name)
    rows.write_parquet(str(out_dir / f"{table.name}.parquet"))
    return len(rows)


def prepare(name: str, data_dir: Path, out_dir: Path) -> dict[str, int]:
    """Map the files in `data_dir` and write `customers`, `orders`, `events` and `consents` as Parquet into `out_dir`.

    Args:
        name: one of `example_names()`.
        data_dir: the folder with the files as published; it is only read.
        out_dir: made when missing; files of the same names are replaced.

    Returns:
        The number of rows of each table.

    Raises:
        ExampleError: a file is missing, or its content is not what the mapping expects.
    """
    example = load_example(name)
    _check_files(example, data_dir)
    with duckdb.connect() as connection:
        try:
            connection.execute("set variable data_dir = ?", [str(data_dir)])
            connection.execute(example.mapping.read_text(encoding="utf-8"))
        except duckdb.Error as error:
            # DuckDB quotes the value it could not read, which may be personal.
            problem = re.sub(r"string ('.*?'|\".*?\")", "a value", str(error).splitlines()[0]).rstrip(".!")
            raise ExampleError(
                f"The files in {data_dir} do not fit examples/{name}/mapping.sql ({problem}); "
                "correct the files, or the mapping if they changed."
            ) from error
        out_dir.mkdir(parents=True, exist_ok=True)
        return {table.name: _write(connection, table, out_dir) for table in raw_tables() if not table.optional}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 when the example cannot run."""
    parser = argparse.ArgumentParser(prog="python -m examples.prepare", description="Map an example to the raw contract.")
    parser.add_argument("example", choices=example_names())
    parser.add_argument("data_dir", type=Path, help="folder with the files as published")
    parser.add_argument("out_dir", type=Path, help="folder for the Parquet files")
    options = parser.parse_args(arguments)
    try:
        counts = prepare(options.example, options.data_dir, options.out_dir)
    except ExampleError as error:
        print(error, file=sys.stderr)
        return 2
    for table, rows in counts.items():
        print(f"{table}: {rows:,} rows")
    print(f"Written to {options.out_dir}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
