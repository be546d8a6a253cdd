"""Each dialect macro gives the same values on every engine, also where engines disagree by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.spark.cluster import Cluster
from tests.dbt.conftest import run_dbt
from tests.engines.dialect_cases import Case, cases
from tests.engines.warehouse import rows, spark

Answers = dict[Case, Any]
SPARK = pytest.param("spark", marks=pytest.mark.engines)
CASES = cases()
RULES = "org.apache.spark.sql.catalyst.optimizer."


def compiled(folder: Path, target: str) -> str:
    """Return a query of one row, with the value of each case, as dbt writes it for an engine."""
    columns = ", ".join(f"{{{{ {case.jinja} }}}} as c{number}" for number, case in enumerate(CASES))
    inline = ("--quiet", "compile", "--no-introspect", "--no-populate-cache", "--inline", f"select {columns}")
    run = run_dbt(folder, *inline, variables={"BATHTUB_TARGET": target})
    assert run.code == 0, run.output
    return run.output


def on_duckdb(folder: Path) -> Answers:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        row = connection.execute(compiled(folder, "duckdb")).fetchone()
    assert row is not None
    return dict(zip(CASES, row, strict=True))


def on_spark(folder: Path, cluster: Cluster) -> Answers:
    with spark(cluster) as cursor:
        # Without these, Spark answers while it plans, and not in the code that reads tables.
        rules = ("ConvertToLocalRelation", "ConstantFolding", "NullPropagation", "SimplifyConditionals", "OptimizeOneRowPlan")
        cursor.execute(f"set spark.sql.optimizer.excludedRules={','.join(RULES + rule for rule in rules)}")
        cursor.execute(compiled(folder, "spark"))
        (row,) = rows(cursor)
    return dict(zip(CASES, row, strict=True))


@pytest.fixture(scope="module", params=["duckdb", SPARK])
def answers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """The answers of an engine, all from one query."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "duckdb":
        return on_duckdb(folder)
    return on_spark(folder, request.getfixturevalue("cluster"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value(answers: Answers, case: Case) -> None:
    value = answers[case]
    assert (value, type(value)) == (case.value, type(case.value))
