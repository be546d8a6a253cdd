"""dbt as a command on a warehouse of its own, away from the user's folders and settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.contract import raw_tables
from orchestration.month_files import months_dir
from orchestration.settings import DBT_PROJECT_DIR

DBT = Path(sys.executable).with_name("dbt")
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
    project: Path = DBT_PROJECT_DIR,
    variables: Mapping[str, str] | None = None,
    program: Sequence[str] = (str(DBT),),
) -> DbtRun:
    """Run `dbt *args` with further environment variables, by default on the warehouse `folder/bathtub.duckdb`.

    dbt's target and logs stay in `folder`.
    """
    results = folder / "target" / "run_results.json"
    results.unlink(missing_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("BATHTUB_", "DBT_"))} | {
        "BATHTUB_DBT_DUCKDB": str(folder / "bathtub.duckdb"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        **(variables or {}),
    }
    command = [*program, "--no-use-colors", *args, "--project-dir", str(project), "--profiles-dir", str(project)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    nodes = json.loads(results.read_text(encoding="utf-8"))["results"] if results.exists() else []
    return DbtRun(done.returncode, done.stdout + done.stderr, {node["unique_id"]: node for node in nodes})


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
