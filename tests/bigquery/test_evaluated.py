"""GoogleSQL's reference implementation computes every model, and every row is the one that DuckDB gives.

It runs the compiled queries, month after month. How dbt writes them into tables is for `test_emulated`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestration.months import add_months
from tests.bigquery.googlesql import GoogleSql, Rows
from tests.bigquery.on_duckdb import MAY_BE_EMPTY, OF_DUCKDB, OF_ONE_RUN, OnDuckDB, close_traps
from tests.bigquery.project import PROJECT_ID, Dbt, compile_months, sources
from tests.end_to_end.traps import FIRST

ZONE = "Europe/Paris"
MONTHS = (FIRST, add_months(FIRST, 1))
# Its rows are those of the months of one run, and DuckDB's last run was of another month.
OF_LAST_RUN = OF_ONE_RUN | {"core.int_first_traces", "private.retention_due_profiles"}


class _Evaluation:
    """The rows of each relation after some closes; `failed` holds the data tests that found rows."""

    def __init__(self, duck: OnDuckDB, folder: Path) -> None:
        self.sql = GoogleSql(PROJECT_ID)
        self.rows: dict[str, Rows] = {}
        self.failed: dict[str, Rows] = {}
        for (schema, table), columns in sources().items():
            self.sql.declare(schema, table, columns)
            self.rows[f"{schema}.{table}"] = duck.query(f"select {', '.join(columns)} from {schema}.{table}")
        ((history,),) = duck.query("select history_loaded_until from ops.warehouse")
        facts = {"first_month": f"{FIRST:%Y-%m}", "history_loaded_until": f"{history}", "reporting_timezone": ZONE}
        dbt = Dbt(folder)
        for month in MONTHS:
            for node in compile_months(dbt, month, add_months(month, 1), facts).nodes:
                self._add(node, duck, month)

    def _add(self, node: Any, duck: OnDuckDB, month: date) -> None:
        relation = f"{node.schema}.{node.alias}"
        if node.resource_type == "seed":
            self.sql.declare(node.schema, node.alias, duck.columns(relation))
            self.rows[relation] = duck.query(f"select * from {relation}")
            return
        found = self.sql.rows(node.compiled_code, self.rows)
        if node.resource_type == "test":
            self.failed |= {f"{node.name}, {month:%Y-%m}": found} if found else {}
            return
        self.sql.declare(node.schema, node.alias, self.sql.columns(node.compiled_code))
        kept = self.rows.get(relation, []) if node.config.materialized == "incremental" else []
        self.rows[relation] = kept + found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OnDuckDB, _Evaluation]]:
    folder = tmp_path_factory.mktemp("evaluated")
    duck = close_traps(folder, ZONE)
    yield duck, _Evaluation(duck, folder / "dbt")


def test_every_row_is_that_of_duckdb(both: tuple[OnDuckDB, _Evaluation]) -> None:
    duck, evaluation = both
    relations = set(duck.relations())
    assert {name for name in evaluation.rows if name.split(".")[0] not in ("raw", "ops")} == relations
    for relation in sorted(relations - OF_LAST_RUN):
        declared = list(evaluation.sql.declared(relation))
        columns = [name for name in declared if name not in OF_DUCKDB]
        months = f"where snapshot_month in {tuple(map(str, MONTHS))}" if "snapshot_month" in columns else ""
        here = Counter(duck.query(f"select {', '.join(columns)} from {relation} {months}"))
        there = Counter(tuple(row[declared.index(name)] for name in columns) for row in evaluation.rows[relation])
        assert here or relation in MAY_BE_EMPTY, f"{relation} is empty"
        assert here == there, f"{relation}: {list((here - there).items())[:2]} / {list((there - here).items())[:2]}"


def test_data_tests_find_nothing(both: tuple[OnDuckDB, _Evaluation]) -> None:
    assert both[1].failed == {}
