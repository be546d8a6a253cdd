"""Close months as the orchestrator does, without Dagster: the ingest, then a dbt that stays warm in this process."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import CompiledNode

from orchestration import versions
from orchestration.close import dbt_close_args, record_first_month
from orchestration.dbt import dbt_environment, failure_sentence
from orchestration.ingest import IngestResult, ingest
from orchestration.month_files import follow, months_dir
from orchestration.months import months_between
from orchestration.restatement import prepare_books
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, Settings, load_settings

# dbt takes the catalog's name from the file's, and one parsed project serves all warehouses of that name.
WAREHOUSE = "bathtub.duckdb"
Rows = list[tuple[Any, ...]]


def project_dir() -> Path:
    """The dbt project under test; BATHTUB_TEST_DBT_PROJECT names another, to see that a changed model is noticed."""
    return Path(os.environ.get("BATHTUB_TEST_DBT_PROJECT", DBT_PROJECT_DIR)).resolve()


def _settings(raw_dir: Path, warehouse: Path, variables: Mapping[str, object]) -> Settings:
    return load_settings(
        {
            "BATHTUB_RAW_DIR": str(raw_dir),
            "BATHTUB_WAREHOUSE": str(warehouse),
            "BATHTUB_VARS": json.dumps(variables, default=str),
            "BATHTUB_MEMORY_LIMIT": "1GB",
            "BATHTUB_THREADS": "2",
        }
    )


@cache
def parsed(project: Path) -> tuple[Manifest, Path]:
    """The project, parsed once for all tests, and the folder of what dbt writes of it; not to be written to."""
    target = Path(mkdtemp(prefix="bathtub-parsed-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_TARGET_PATH", str(target))
        manifest = _invoke(project, ["parse"]).result
    assert isinstance(manifest, Manifest)
    return manifest, target


def manifest_of(project: Path) -> Manifest:
    """The parsed project. dbt marks the queries that it has put ephemeral models into, and would not do so again."""
    manifest, _ = parsed(project)
    for node in manifest.nodes.values():
        if isinstance(node, CompiledNode):
            node.compiled, node.extra_ctes_injected, node.extra_ctes = False, False, []
    return manifest


def invoke(project: Path, args: Sequence[str], manifest: Manifest | None = None) -> Any:
    """Run a dbt command in this process, and leave the warehouse closed."""
    result = dbtRunner(manifest=manifest).invoke([*args, "--project-dir", str(project), "--profiles-dir", str(project)])
    # DuckDB takes one writer, and the test reads next.
    connections: Any = DuckDBConnectionManager
    connections.close_all_connections()
    return result


def _invoke(project: Path, args: list[str], manifest: Manifest | None = None) -> Any:
    result = invoke(project, ["--quiet", "--log-level-file", "none", *args], manifest)
    assert result.exception is None, result.exception
    return result


def bring_in(
    raw_dir: Path, warehouse: Path, first: date, variables: Mapping[str, object], now: datetime | None = None
) -> IngestResult:
    """Ingest a raw folder into a warehouse whose history begins with the month `first`."""
    result = ingest(_settings(raw_dir, warehouse, variables), warehouse, now=now)
    record_first_month(warehouse, first)
    prepare_books(warehouse)
    with duckdb.connect(str(warehouse)) as connection:
        versions.record(connection, now or datetime.now(UTC))
    return result


def close(
    warehouse: Path,
    first: date,
    last: date,
    variables: Mapping[str, object],
    with_tests: bool = True,
    copy: Path | None = None,
    made: Sequence[str] = (),
) -> None:
    """Close a range of months of a warehouse, or of its working copy, in one dbt run; fail when a model or a test does.

    With `made`, only these models are made, with what they read and their tests: a close spends most of its time on the others.
    """
    settings = _settings(warehouse.parent, warehouse, variables)
    project, target = project_dir(), warehouse.parent / "target"
    months_dir(warehouse).mkdir(exist_ok=True)
    environment = {
        **dbt_environment(settings),
        "BATHTUB_DBT_DUCKDB": str(copy or warehouse),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(warehouse.parent / "logs"),
    }
    args = dbt_close_args(months_between(first, last), settings.overrides)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        no_tests = [] if with_tests else ["--exclude-resource-type", "test"]
        only = ["--indirect-selection", "cautious", "--select", *(f"+{model}" for model in made)] if made else []
        result = _invoke(project, [*args, *no_tests, *only], manifest_of(project))
    if not result.success:
        run_results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))
        pytest.fail(f"Closing {first:%Y-%m} to {last:%Y-%m}: {failure_sentence(run_results)}")


def close_months(
    raw_dir: Path, warehouse: Path, first: date, last: date, variables: Mapping[str, object], made: Sequence[str] = ()
) -> None:
    """Ingest a raw folder and close its months `first` to `last` in one run."""
    bring_in(raw_dir, warehouse, first, variables)
    close(warehouse, first, last, variables, made=made)


def copied(warehouse: Path, folder: Path) -> Path:
    """Copy a warehouse with its closed months to a folder, and return the copy."""
    copy = folder / warehouse.name
    folder.mkdir(exist_ok=True)
    shutil.copy2(warehouse, copy)
    shutil.copytree(months_dir(warehouse), months_dir(copy))
    with duckdb.connect(str(copy)) as connection:
        follow(connection, copy)
    return copy


def query(warehouse: Path, sql: str) -> Rows:
    """The rows of a query on a warehouse."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def closed_tables(warehouse: Path, *others: str) -> dict[str, Rows]:
    """All rows, in order, of every mart and of the tables in `others`."""
    marts = query(
        warehouse, "select 'marts.' || table_name from information_schema.tables where table_schema = 'marts' order by 1"
    )
    names = [*(str(row[0]) for row in marts), *others]
    assert len(names) > len(others), f"{warehouse} has no marts"
    return {name: query(warehouse, f"select * from {name} order by all") for name in names}


def first_difference(one: Mapping[str, Rows], other: Mapping[str, Rows]) -> str:
    """A sentence on the first rows that two sets of tables do not share; empty when they are equal."""
    for name in sorted(one.keys() | other.keys()):
        here, there = one.get(name, []), other.get(name, [])
        if here != there:
            only = [row for row in here if row not in there], [row for row in there if row not in here]
            return f"{name}: {len(only[0])} rows only in one, {len(only[1])} only in the other: {only[0][:2]} {only[1][:2]}"
    return ""


def recount(warehouse: Path, raw_dir: Path, zone: str) -> None:
    """Recount the marts from the raw files with the tool of that purpose, and fail when a figure differs."""
    tool = (PROJECT_ROOT / os.environ.get("BATHTUB_RECOUNT", "../shared/tools/recount.py")).resolve()
    if not tool.exists():
        pytest.skip(f"{tool} is absent: BATHTUB_RECOUNT says where the recount tool is.")
    command = [sys.executable, str(tool), str(warehouse), str(raw_dir), "--timezone", zone]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
