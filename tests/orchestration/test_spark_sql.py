"""What the orchestrator says to a Spark cluster, without one."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.engine import engine_of
from orchestration.settings import load_settings
from orchestration.spark.connection import values
from orchestration.spark.publication import OF_DBT, WHOLE_TABLE
from orchestration.warehouse import WarehouseError

COLUMNS = ("snapshot_month date", "closed_by string")


def test_literal_rows_are_a_query_with_types() -> None:
    sql = values([("date'2024-01-01'", "'a'"), ("date'2024-02-01'", "'b'")], COLUMNS)
    # DuckDB wants `values` in parentheses.
    with duckdb.connect() as connection:
        found = connection.execute(sql.replace("from values", "from (values").replace(") as literal", ")) as literal"))
        assert found.fetchall() == [(date(2024, 1, 1), "a"), (date(2024, 2, 1), "b")]


def test_no_rows_are_a_query_with_types_too() -> None:
    assert values([], COLUMNS).endswith("where 1 = 0")


def test_readers_views_read_readers_relations() -> None:
    text = "select 'building_x.y' from building_core.int_profiles join building_ops.published_months join raw.orders"
    assert OF_DBT.sub("", text) == "select 'building_x.y' from core.int_profiles join ops.published_months join raw.orders"


@pytest.mark.parametrize(
    ("table", "is_whole"), [("core__int_profiles__0a1b2c3d", True), ("core__int_customer_months", False), ("marts__a", False)]
)
def test_a_table_made_for_one_run_is_told_from_one_that_keeps_months(table: str, is_whole: bool) -> None:
    assert bool(WHOLE_TABLE.fullmatch(table)) is is_whole


def test_missing_packages_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyhive", None)
    settings = load_settings({"BATHTUB_TARGET": "spark", "BATHTUB_SPARK_STORAGE": str(tmp_path)})
    with pytest.raises(WarehouseError, match=r"run: make \.venv/\.engines"):
        engine_of(settings).read_state()


def test_an_absent_cluster_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("pyhive")
    settings = load_settings({"BATHTUB_TARGET": "spark", "BATHTUB_SPARK_PORT": "1", "BATHTUB_SPARK_STORAGE": str(tmp_path)})
    with pytest.raises(WarehouseError, match=r"No Spark Thrift server answers at 127\.0\.0\.1:1 .*make spark-up"):
        engine_of(settings).read_state()
