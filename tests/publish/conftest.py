"""A real PostgreSQL server, and marts of any version to publish to it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from psycopg import Connection

from orchestration.dbt import ensure_manifest
from orchestration.months import add_months
from orchestration.publish import postgres
from orchestration.publish.catalog import IS_LATEST, MONTH, Column, Mart, published_marts
from orchestration.publish.embedded import embedded_server, reader_dsn
from orchestration.publish.extract import Extract, Row
from orchestration.publish.labels import label
from orchestration.publish.postgres import Publication
from orchestration.settings import PROJECT_ROOT, load_settings

OURS = ("BATHTUB_", "DAGSTER_", "DBT_")
FIRST = date(2026, 1, 1)
NOW = datetime(2026, 11, 4, 5, 0, tzinfo=UTC)


def _value(column: Column, month: date, i: int, version: int) -> Any:
    """A value of a column: keys tell rows apart, and every count is the version."""
    if column.name == MONTH:
        return month
    if column.name == "definition_version":
        return f"v{version}"
    if column.label_of and column.language:
        return label(column.label_of, f"é {i}", column.language)
    return {
        "date": add_months(month, i),
        "bigint": version,
        "double": version + 0.1,
        "varchar": f"é {i}",
        "boolean": i % 2 == 0,
    }[column.data_type]


def version_of(marts: Sequence[Mart], version: int, months: int = 3, rows_a_month: int = 4) -> Extract:
    """Return marts whose counts are all `version`, so that a reader can tell versions, and mixtures of them, apart."""
    latest = add_months(FIRST, months - 1)
    rows: dict[str, list[Row]] = {}
    for mart in marts:
        rows[mart.name] = [
            tuple(month == latest if c.name == IS_LATEST else _value(c, month, i, version) for c in mart.columns)
            for month in (add_months(FIRST, n) for n in range(months))
            for i in range(rows_a_month)
        ]
    return Extract(tuple(marts), rows, latest, datetime(2026, 11, 3, 4, tzinfo=UTC), f"v{version}")


def with_rows(content: Extract, mart: str, rows: list[Row]) -> Extract:
    """Return the same with other rows of a mart."""
    return replace(content, rows={**content.rows, mart: rows})


@dataclass(frozen=True)
class Server:
    """A server, as its publisher and as `bi_reader`."""

    dsn: str
    reader: str = field(repr=False)
    folder: Path

    def publish(self, content: Extract, patience_seconds: float = 5) -> Publication:
        """Publish, with no incident open."""
        return postgres.publish(self.dsn, lambda: content, NOW, lambda: 0, lambda _: None, patience_seconds)

    def reading(self) -> Connection:
        """Open a connection of a BI tool."""
        return psycopg.connect(self.reader, autocommit=True)

    def read(self, query: str) -> list[Row]:
        """Ask as a BI tool."""
        with self.reading() as connection:
            return connection.execute(query.encode()).fetchall()

    def administer(self, *statements: str) -> None:
        """Run statements as the administrator."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The variables of a deployment of its own, without a warehouse."""
    folder = tmp_path_factory.mktemp("publishing")
    return {
        "BATHTUB_WAREHOUSE": str(folder / "bathtub.duckdb"),
        "BATHTUB_POSTGRES_DIR": str(folder / "postgres"),
        "BATHTUB_LOCK_WAIT_SECONDS": "5",
        "DAGSTER_HOME": str(folder / "dagster"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }


@pytest.fixture(scope="session")
def manifest(environment: Mapping[str, str]) -> Path:
    """The manifest of the dbt project as it is."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        return ensure_manifest(load_settings(environment))


@pytest.fixture(scope="session")
def marts(manifest: Path) -> tuple[Mart, ...]:
    """The marts that the exposure lists."""
    return published_marts(manifest)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded server, for the whole session."""
    folder = tmp_path_factory.mktemp("pg") / "postgres"
    with embedded_server(folder) as dsn:
        yield Server(dsn, reader_dsn(dsn, folder), folder)


@pytest.fixture
def server(running: Server) -> Server:
    """The server with nothing published yet."""
    running.administer("drop schema if exists marts cascade", "drop schema if exists marts_staging cascade")
    return running


def write_warehouse(path: Path, content: Extract) -> None:
    """Write a warehouse file that holds marts, and says when their months were closed."""
    path.unlink(missing_ok=True)
    months = sorted({row[0] for row in content.rows["base_overview_monthly"]})
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts; create schema ops")
        connection.execute("create table ops.warehouse as select ?::date as first_month", [months[0]])
        connection.execute("create table ops.closed_months (snapshot_month date, closed_at timestamp, run_id varchar)")
        closed_at = content.closed_at.replace(tzinfo=None)
        connection.executemany("insert into ops.closed_months values (?, ?, 'run')", [(m, closed_at) for m in months])
        for mart in content.marts:
            stored = [column for column in mart.columns if column.name in mart.stored]
            columns = ", ".join(f"{column.name} {column.data_type}" for column in stored)
            connection.execute(f"create table marts.{mart.name} ({columns})")
            places = ", ".join("?" for _ in stored)
            connection.executemany(
                f"insert into marts.{mart.name} values ({places})", [r[: len(stored)] for r in content.rows[mart.name]]
            )


@pytest.fixture
def deployment(environment: Mapping[str, str], marts: tuple[Mart, ...]) -> Mapping[str, str]:
    """The variables of a deployment whose warehouse holds version 1 of the marts; at one place, so that dbt parses once."""
    write_warehouse(Path(environment["BATHTUB_WAREHOUSE"]), version_of(marts, 1))
    return environment


def varied(marts: Sequence[Mart], months: int = 3, rows_a_month: int = 12) -> Extract:
    """Return marts whose figures differ from row to row; sources, movements and the like are words that the queries know."""
    chance, content = random.Random(7), version_of(marts, 1, months, rows_a_month)
    words = {"source": ["all", "web", "till"], "status": ["customer", "prospect", "all"], "scope": ["base", "active"]}
    words |= {"gender": ["F", "M", "X", "missing"], "channel": ["email", "any"], "scenario": ["as_is", "more_acquisition"]}
    rows: dict[str, list[Row]] = {}
    for mart in marts:
        of_grain = {}
        for i, row in enumerate(content.rows[mart.name]):
            new = tuple(_varied(column, value, i, words, chance) for column, value in zip(mart.columns, row, strict=True))
            of_grain[tuple(new[mart.position(name)] for name in mart.grain)] = new
        rows[mart.name] = list(of_grain.values())
    return replace(content, rows=rows)


def _varied(column: Column, value: Any, i: int, words: Mapping[str, list[str]], chance: random.Random) -> Any:
    if column.name in words:
        return words[column.name][i % len(words[column.name])]
    if column.data_type == "bigint":
        return chance.randrange(1, 1000)
    return chance.uniform(0.001, 1000) if column.data_type == "double" else value


def command(deployment: Mapping[str, str], *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m orchestration …` in a deployment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(
        [sys.executable, "-m", "orchestration", *args],
        cwd=PROJECT_ROOT,
        env={**inherited, **deployment, **more},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


MAKE_BASE = """
import sys
from datetime import date
from pathlib import Path
from orchestration.demo import generate
generate(Path(sys.argv[1]), profiles=2_000, months=13, end=date(2024, 12, 1))
"""


@pytest.fixture(scope="session")
def closed_base(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The variables of a deployment with a generated base, its thirteen months closed; not to be written to."""
    folder = tmp_path_factory.mktemp("closed")
    variables = {
        "BATHTUB_WAREHOUSE": str(folder / "bathtub.duckdb"),
        "BATHTUB_POSTGRES_DIR": str(folder / "postgres"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "BATHTUB_RAW_DIR": str(folder / "raw"),
        "BATHTUB_PUBLISH_DIR": str(folder / "files"),
        "BATHTUB_VARS": "{first_month: 2023-12}",
    }
    made = subprocess.run(
        [sys.executable, "-c", MAKE_BASE, str(folder / "raw")], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    built = command(variables, "build", "--to", "2024-12")
    assert built.returncode == 0, built.stdout + built.stderr
    return variables
