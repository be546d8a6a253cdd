"""The queries of the documentation, run as written by `bi_reader` on PostgreSQL and on DuckDB: the same figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from orchestration.publish.catalog import Mart
from orchestration.publish.embedded import embedded_server, reader_dsn
from orchestration.publish.extract import Row
from orchestration.settings import PROJECT_ROOT
from tests.publish.conftest import Server, command, varied, write_warehouse

BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)
# What readers of the marts have not.
NOT_PUBLISHED = re.compile(r"\b(accounts_monthly|restatements)\b|\b(core|ops|private|raw)\.")


def documented() -> list[tuple[str, str]]:
    """Return the queries on marts, each with the page and its place there."""
    found = []
    for page in sorted((PROJECT_ROOT / "docs").rglob("*.md")):
        for n, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
            is_query = re.match(r"(--.*\n)*(select|with)\b", block)
            if is_query and "marts." in block and not NOT_PUBLISHED.search(block):
                found.append((f"{page.relative_to(PROJECT_ROOT)}:{n}", block))
    return found


def alike(rows: list[Row]) -> list[str]:
    """Return rows as sorted texts: numbers rounded, since each engine has types of its own for sums."""
    return sorted(str([_alike(value) for value in row]) for row in rows)


def _alike(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date()
    return round(float(value), 6) if hasattr(value, "__float__") and not isinstance(value, bool) else value


def on_duckdb(warehouse: Path, query: str) -> list[Row]:
    """Run a query on the warehouse, where `is_latest_month` is not stored."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_queries_are_found() -> None:
    pages = {name.split(":")[0] for name, _ in documented()}
    assert {"docs/marts.md", "docs/case-study.md", "docs/contactability.md", "docs/retention.md"} <= pages


@pytest.fixture(scope="module")
def filled(running: Server, marts: tuple[Mart, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, Path]:
    """The same made-up figures, published and in a warehouse."""
    content = varied(marts)
    running.administer("drop schema if exists marts cascade", "drop schema if exists marts_staging cascade")
    running.publish(content)
    warehouse = tmp_path_factory.mktemp("varied") / "bathtub.duckdb"
    write_warehouse(warehouse, content)
    with duckdb.connect(str(warehouse)) as connection:
        # What the pages of the BI tool ask for, as it is published.
        for mart in marts:
            connection.execute(f"alter table marts.{mart.name} add column is_latest_month boolean")
            connection.execute(f"update marts.{mart.name} set is_latest_month = snapshot_month = '2026-03-01'")
    return running, warehouse


@pytest.mark.parametrize(("name", "query"), documented(), ids=[name for name, _ in documented()])
def test_a_documented_query_runs_on_postgresql_as_on_duckdb(filled: tuple[Server, Path], name: str, query: str) -> None:
    server, warehouse = filled
    # PostgreSQL reads the published status; DuckDB has none.
    if "bi_refresh_status" in query:
        server.read(query)
        return
    assert alike(server.read(query)) == alike(on_duckdb(warehouse, query))


@pytest.mark.slow
def test_the_documented_queries_give_the_figures_of_a_closed_base(closed_base: Mapping[str, str]) -> None:
    folder = Path(closed_base["BATHTUB_POSTGRES_DIR"])
    n_with_rows = 0
    with embedded_server(folder) as dsn:
        published = command(closed_base, "publish")
        assert published.returncode == 0, published.stderr
        with psycopg.connect(reader_dsn(dsn, folder), autocommit=True) as reader:
            for name, query in documented():
                if "is_latest_month" in query or "bi_refresh_status" in query:
                    continue
                shown = reader.execute(query.encode()).fetchall()
                assert alike(shown) == alike(on_duckdb(Path(closed_base["BATHTUB_WAREHOUSE"]), query)), name
                n_with_rows += bool(shown)
    assert n_with_rows >= 14
