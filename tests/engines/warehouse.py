"""The project's relations on a Spark cluster, each without a row: what dbt's unit tests look up names and types in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from orchestration.contract import raw_tables
from orchestration.settings import PROJECT_ROOT
from orchestration.spark.cluster import Cluster
from orchestration.spark.connection import end_sessions_quietly, session_settings
from tests.dbt.conftest import DbtRun, run_dbt

# dbt, in a process in which the end of a session does not fail.
DBT_ON_SPARK = (
    "from orchestration.spark.connection import end_sessions_quietly; end_sessions_quietly()\n"
    "from dbt.cli.main import cli; cli()"
)


@contextmanager
def spark(cluster: Cluster) -> Iterator[Any]:
    """Yield a cursor on the cluster's Thrift server, with the session settings of the dbt profile."""
    from pyhive import hive

    end_sessions_quietly()
    where = {"host": cluster.host, "port": cluster.port, "auth": "NOSASL", "username": "tests"}
    with (
        closing(hive.connect(**where, configuration=session_settings())) as connection,
        closing(connection.cursor()) as cursor,
    ):
        yield cursor


def rows(cursor: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query; its dates as dates, which the driver leaves as text."""
    is_date = [column[1] == "DATE_TYPE" for column in cursor.description]
    return [
        tuple(date.fromisoformat(value) if value and of_date else value for value, of_date in zip(row, is_date, strict=True))
        for row in cursor.fetchall()
    ]


def spark_type(data_type: str) -> str:
    """Return the name in Spark of a type of the raw contract."""
    return "string" if data_type == "varchar" else data_type


def run_dbt_on_spark(cluster: Cluster, folder: Path, *args: str) -> DbtRun:
    """Run `dbt *args` on the cluster; dbt's target and logs stay in `folder`."""
    variables = {**cluster.environment, "PYTHONPATH": str(PROJECT_ROOT)}
    return run_dbt(folder, *args, variables=variables, program=(sys.executable, "-c", DBT_ON_SPARK))


def make_relations(cluster: Cluster, folder: Path) -> None:
    """Make the raw tables, the seeds, and each model as a table with the columns of what dbt compiles for Spark."""
    compiled = run_dbt_on_spark(cluster, folder, "compile", "--no-introspect", "--no-populate-cache")
    assert compiled.code == 0, compiled.output
    manifest = json.loads((folder / "target" / "manifest.json").read_text(encoding="utf-8"))
    relations = [*manifest["nodes"].values(), *manifest["sources"].values()]
    with spark(cluster) as cursor:
        for schema in sorted({relation["schema"] for relation in relations if relation["resource_type"] != "test"}):
            cursor.execute(f"drop schema if exists {schema} cascade")
            cursor.execute(f"create schema {schema}")
        for table in raw_tables():
            columns = ", ".join(f"{c.name} {spark_type(c.data_type)}" for c in table.columns)
            cursor.execute(f"create table {raw_schema(manifest)}.{table.name} ({columns})")
        # What a close prepares, for the tables of seeds.
        for schema in ("building_ops", "storage"):
            cursor.execute(f"drop schema if exists {schema} cascade")
            cursor.execute(f"create schema {schema}")
        cursor.execute("create view building_ops.this_run as select '00000000' as closed_by")
    seeded = run_dbt_on_spark(cluster, folder, "seed")
    assert seeded.code == 0, seeded.output
    with spark(cluster) as cursor:
        for node in in_order(manifest):
            if node["config"]["materialized"] == "ephemeral":
                continue
            # A table: views on views would make each later query larger.
            cursor.execute(f"describe query {node['compiled_code']}")
            columns = ", ".join(f"{name} {kind}" for name, kind, *_ in cursor.fetchall())
            cursor.execute(f"create table {node['relation_name']} ({columns}) using parquet")


def raw_schema(manifest: dict[str, Any]) -> str:
    """Return the schema of the raw tables."""
    return next(str(source["schema"]) for source in manifest["sources"].values() if source["source_name"] == "raw")


def in_order(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the models of a manifest, each after those it reads."""
    models = {name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    reads = {name: models.keys() & set(node["depends_on"]["nodes"]) - {name} for name, node in models.items()}
    return [models[name] for name in TopologicalSorter(reads).static_order()]
