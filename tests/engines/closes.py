"""Closes of one base on DuckDB and on a Spark cluster, and what the two differ in."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.close import dbt_close_args, record_closed
from orchestration.dbt import ensure_manifest, environment, failure_sentence, run_dbt
from orchestration.engine import engine_of
from orchestration.months import months_between
from orchestration.settings import Settings, load_settings
from orchestration.spark.cluster import Cluster
from orchestration.spark.connection import connecting
from orchestration.spark.publication import BUILDING, LAYERS, PRIVATE
from tests.end_to_end.closing import WAREHOUSE, bring_in
from tests.end_to_end.closing import close as close_on_duckdb

# What a reader sees, and what the cluster keeps for it.
SCHEMAS = ("raw", "quarantine", "ops", *LAYERS, *(f"{BUILDING}{layer}" for layer in (*LAYERS, PRIVATE, "ops")), "storage")

# Readers of the cluster do not see them. The hash of the rules is for DuckDB, which alone keeps what it judged.
COORDINATES = {"private.int_judged_coordinates": ["rules_hash"], "private.int_coordinates": []}

# To dbt: data tests apart, whose queries take longer than the months of a tiny base.
NO_TESTS = ("--exclude-resource-type", "test")

# Contactability, projection and companies, whose queries take Spark longer to plan than all others together.
LONG_PLANNED = ("int_coordinates_to_judge", "int_transitions", "int_accounts", "retention_monthly")
# Compares coordinates where there are merges, and reads none in a base without.
NEEDS_NONE = "model.bathtub.int_merges"


@dataclass(frozen=True)
class Base:
    """A base on both engines, which read the same ingested tables."""

    cluster: Cluster
    folder: Path
    target: Path
    variables: Mapping[str, object]
    # Models that are left out on Spark, with all that is made of them.
    left_out: tuple[str, ...] = ()

    @property
    def settings(self) -> Settings:
        """The settings of the base on Spark."""
        return load_settings(self.environ)

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the base on Spark."""
        return {
            **self.cluster.environment,
            "BATHTUB_RAW_DIR": str(self.folder / "raw"),
            "BATHTUB_WAREHOUSE": str(self.folder / "spark" / WAREHOUSE),
            "BATHTUB_SPARK_STORAGE": str(self.folder / "storage"),
            "BATHTUB_VARS": json.dumps(self.variables, default=str),
            "BATHTUB_THREADS": "2",
            "BATHTUB_MEMORY_LIMIT": "1GB",
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.target / "logs"),
        }

    @property
    def on_duckdb(self) -> Path:
        """The DuckDB warehouse that Spark is compared with."""
        return self.folder / WAREHOUSE

    def bring_in(self, first: date) -> None:
        """Ingest the raw files once and land them on the cluster."""
        bring_in(self.folder / "raw", self.on_duckdb, first, self.variables)
        (self.folder / "spark").mkdir()
        shutil.copyfile(self.on_duckdb, self.folder / "spark" / WAREHOUSE)
        engine_of(self.settings).refresh_raw(lambda line: None)

    def close(self, first: date, last: date, *more: str) -> None:
        """Close months on both engines; `more` goes to dbt on Spark."""
        close_on_duckdb(self.on_duckdb, first, last, self.variables, with_tests=False)
        record_closed(self.on_duckdb, months_between(first, last), datetime.now(UTC), uuid.uuid4().hex)
        self.close_on_spark(first, last, *more)

    def close_on_spark(self, first: date, last: date, *more: str) -> None:
        """Close months on Spark; `more` goes to dbt."""
        months = months_between(first, last)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environ.items():
                patch.setenv(name, value)
            ensure_manifest(self.settings)
            with engine_of(self.settings).closing("test", lambda line: None) as close, environment(self.settings):
                close.begin(close.state.closed[0] if close.state.closed else first, months)
                left_out = ["--exclude", *(node["name"] for node in self._without().values())] if self.left_out else []
                args = [*dbt_close_args(months, self.settings.overrides), *left_out, *more]
                run = run_dbt(args, self.folder / "artefacts", lambda event: None)
                if not run.succeeded:
                    pytest.fail(failure_sentence(run.results, {}, run.error))
                close.publish(months, datetime.now(UTC), uuid.uuid4().hex)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query on what readers of the cluster see."""
        return engine_of(self.settings).rows(sql)

    def tables(self) -> list[str]:
        """Every model and seed that readers see, from dbt's manifest, and the coordinates; without what is left out."""
        made, without = self._manifest()["nodes"], self._without()
        kept = [made[key] for key in made.keys() - without.keys() if made[key]["resource_type"] in ("model", "seed")]
        nodes = [node for node in kept if node["config"]["materialized"] != "ephemeral"]
        names = sorted(f"{node['schema'].removeprefix(BUILDING)}.{node['alias']}" for node in nodes)
        return [name for name in names if name.startswith(("core.", "marts.", "observations.")) or name in COORDINATES]

    def _manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.target / "manifest.json").read_text(encoding="utf-8"))
        return found

    def _without(self) -> dict[str, dict[str, Any]]:
        """What is left out, with all that is made of it, tests included."""
        manifest, found = self._manifest(), [f"model.bathtub.{model}" for model in self.left_out]
        for key in found:
            found.extend(child for child in manifest["child_map"].get(key, []) if child not in (*found, NEEDS_NONE))
        return {key: manifest["nodes"][key] for key in found if key in manifest["nodes"]}

    def differences(self) -> list[str]:
        """A sentence for each table whose rows differ; none when the engines agree."""
        tables = self.tables()
        assert "core.int_customer_months" in tables
        assert "marts.recency_monthly" in tables
        folder = self.folder / "shown"
        shutil.rmtree(folder, ignore_errors=True)
        with connecting(self.settings) as cluster:
            for table in tables:
                shown = BUILDING + table if table in COORDINATES else table
                cluster.run(f"insert overwrite directory '{folder / table}' using parquet select * from {shown}")
        with closing(duckdb.connect(str(self.on_duckdb), read_only=True)) as con:
            con.execute("set TimeZone = 'UTC'")
            return [problem for table in tables if (problem := _difference(con, table, folder / table))]


def _difference(con: duckdb.DuckDBPyConnection, table: str, folder: Path) -> str:
    here = dict(con.execute(f"select column_name, column_type from (describe {table})").fetchall())
    there = f"read_parquet('{folder}/*.parquet')"
    # Spark keeps instants where DuckDB keeps UTC wall time.
    columns = dict(con.execute(f"select column_name, column_type from (describe from {there})").fetchall())
    for name in COORDINATES.get(table, []):
        del columns[name], here[name]
    typed = {name: kind.replace(" WITH TIME ZONE", "") for name, kind in columns.items()}
    # A seed's whole numbers have the type that the engine's adapter gives them.
    if _wide(typed) != _wide(here):
        return f"{table}: the columns are {typed} on Spark, {here} on DuckDB"
    items = ", ".join(f'"{name}"::{kind} as "{name}"' for name, kind in typed.items())
    on_spark, on_duckdb = f"select {items} from {there}", f"select {', '.join(here)} from {table}"
    only = [
        con.execute(f"select * from ({a} except all {b}) order by all limit 3").fetchall()
        for a, b in ((on_spark, on_duckdb), (on_duckdb, on_spark))
    ]
    return f"{table}: only on Spark {only[0]}, only on DuckDB {only[1]}" if any(only) else ""


def _wide(types: Mapping[str, str]) -> dict[str, str]:
    return {name: kind.replace("INTEGER", "BIGINT") for name, kind in types.items()}


def clear(cluster: Cluster, folder: Path) -> None:
    """Drop all that the project keeps on a cluster."""
    with connecting(load_settings(cluster.environment)) as session:
        for schema in session.schemas() & set(SCHEMAS):
            session.run(f"drop schema {schema} cascade")


def closed_months(base: Base) -> Sequence[date]:
    """The months that readers see."""
    return [row[0] for row in base.rows("select snapshot_month from ops.closed_months order by 1")]
