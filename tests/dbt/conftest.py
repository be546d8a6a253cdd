"""dbt on a warehouse of its own, away from the user's folders and settings."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pytest

from orchestration.contract import raw_tables
from orchestration.month_files import months_dir
from orchestration.settings import DBT_PROJECT_DIR
from tests.end_to_end.closing import invoke, manifest_of

OPS_TABLES = """
create schema ops;
create table ops.warehouse (raw_dir varchar, history_loaded_until timestamp, first_month date);
create table ops.ingested_tables (
    table_name varchar, rows_read bigint, rows_kept bigint, rows_quarantined bigint, rows_superseded bigint
);
"""


@dataclass(frozen=True)
class DbtRun:
    """How a dbt command ended: its exit code, what it printed, and the results of the nodes it ran by unique id."""

    code: int
    output: str
    results: dict[str, dict[str, Any]]


def run_dbt(
    folder: Path,
    *args: str,
    variables: Mapping[str, str] | None = None,
    program: Sequence[str] = (),
) -> DbtRun:
    """Run `dbt *args` with further environment variables, by default on the warehouse `folder/bathtub.duckdb`.

    dbt's target and logs stay in `folder`. It runs in this process, on the project parsed once; `program` runs as a process of
    its own instead, which parses the project for its target.
    """
    results = folder / "target" / "run_results.json"
    results.unlink(missing_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("BATHTUB_", "DBT_"))} | {
        "BATHTUB_DBT_DUCKDB": str(folder / "bathtub.duckdb"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        **(variables or {}),
    }
    if program:
        where = ("--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR))
        command = [*program, "--no-use-colors", *args, *where]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        code, output = done.returncode, done.stdout + done.stderr
    else:
        code, output = _run_warm(args, env)
    nodes = json.loads(results.read_text(encoding="utf-8"))["results"] if results.exists() else []
    return DbtRun(code, output, {node["unique_id"]: node for node in nodes})


def _run_warm(args: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
    manifest, said = manifest_of(DBT_PROJECT_DIR), io.StringIO()
    with patch.dict(os.environ, env, clear=True), redirect_stdout(said):
        result = invoke(DBT_PROJECT_DIR, ["--no-use-colors", *args], manifest)
    return 0 if result.success else 1, said.getvalue()


def make_warehouse(folder: Path, first_month: str = "2024-01-01") -> Path:
    """Make `folder/bathtub.duckdb` with the raw contract's tables, all empty, and what the ingest records."""
    warehouse = folder / "bathtub.duckdb"
    months_dir(warehouse).mkdir()
    with duckdb.connect(str(warehouse)) as con:
        con.execute("create schema raw")
        for table in raw_tables():
            con.execute(f"create table raw.{table.name} ({', '.join(f'{c.name} {c.data_type}' for c in table.columns)})")
        con.execute(OPS_TABLES)
        con.execute("insert into ops.warehouse values ('raw', '2024-01-31', cast(? as date))", [first_month])
    return warehouse


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a warehouse where every seed and model exists, without a row."""
    folder = tmp_path_factory.mktemp("dbt")
    make_warehouse(folder)
    kinds = ("--resource-type", "seed", "--resource-type", "model")
    month = ("--event-time-start", "2024-01-01", "--event-time-end", "2024-02-01")
    run = run_dbt(folder, "build", *kinds, *month)
    assert run.code == 0, run.output
    return folder
