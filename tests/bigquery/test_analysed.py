"""Every model and every data test is GoogleSQL that Google's own analyser resolves, with the types that are promised."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.bigquery.impl import BigQueryAdapter
from dbt_common.clients.agate_helper import from_csv

from tests.bigquery.googlesql import TYPES, Columns, GoogleSql, GoogleSqlError
from tests.bigquery.project import DBT_PROJECT, PROJECT_ID, Compiled, Dbt, compile_months, sources

FIRST, LATER, END = date(2024, 1, 1), date(2024, 2, 1), date(2024, 4, 1)
FACTS = {"first_month": "2024-01", "history_loaded_until": "2024-01-31 00:00:00"}


def _seed_columns(dbt_project: Path, seed: Any) -> dict[str, str]:
    """The columns as dbt-bigquery loads the file."""
    rows = from_csv(dbt_project / seed.original_file_path, (), ",")
    words = {"string": "varchar", "int64": "bigint", "bool": "boolean", "float64": "double", "date": "date"}
    return {name: words[BigQueryAdapter.convert_agate_type(rows, i) or ""] for i, name in enumerate(rows.column_names)}


class _Analysis:
    """The columns of each relation, and a sentence for each node that does not resolve."""

    def __init__(self, dbt_project: Path, folder: Path, months: Sequence[date]) -> None:
        self.dbt_project = dbt_project
        self.sql = GoogleSql(PROJECT_ID)
        self.columns: dict[str, Columns] = {}
        self.errors: dict[str, str] = {}
        for (schema, table), columns in sources(dbt_project).items():
            self.sql.declare(schema, table, columns)
        dbt = Dbt(folder, dbt_project)
        for month in months:
            self.compiled = compile_months(dbt, month, END, FACTS)
            self._add(self.compiled)

    def _add(self, compiled: Compiled) -> None:
        for node in compiled.nodes:
            try:
                columns = self._columns_of(node)
            except GoogleSqlError as error:
                self.errors[node.name] = str(error)
            else:
                self.columns[node.name] = columns
                self.sql.declare(node.schema, node.alias, columns)

    def _columns_of(self, node: Any) -> Columns:
        if node.resource_type == "seed":
            return _seed_columns(self.dbt_project, node)
        return self.sql.columns(node.compiled_code)

    def promised(self) -> dict[str, Columns]:
        """The columns of each contract that is enforced, text under the raw contract's word for it."""
        models = [node for node in self.compiled.nodes if node.resource_type == "model" and node.config.contract.enforced]
        words = {"string": "varchar"}
        return {
            node.name: {name: words.get(column.data_type, column.data_type) for name, column in node.columns.items()}
            for node in models
        }


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> _Analysis:
    # The first month of the base reads no month before; a later one reads its own table.
    return _Analysis(DBT_PROJECT, tmp_path_factory.mktemp("analysed"), (FIRST, LATER))


def test_every_model_and_every_data_test_resolves(analysis: _Analysis) -> None:
    assert analysis.errors == {}


def test_no_model_and_no_data_test_is_left_out(analysis: _Analysis) -> None:
    nodes = [node for node in analysis.compiled.manifest.nodes.values() if node.config.materialized != "ephemeral"]
    assert {node.name for node in nodes} == set(analysis.columns)
    assert {"model", "seed", "test"} <= {node.resource_type for node in nodes}


def test_marts_have_the_columns_and_types_of_their_contracts(analysis: _Analysis) -> None:
    promised = analysis.promised()
    assert promised
    # A contract binds names and types; BigQuery takes the order from it.
    assert {name: dict(analysis.columns[name]) for name in promised} == promised


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> _Analysis:
    """The project with models that are wrong on BigQuery, and right ones, of which nothing else tells the gate."""
    folder = tmp_path_factory.mktemp("broken")
    project = shutil.copytree(DBT_PROJECT, folder / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    for name, expression in WRONG.items():
        _write_model(project, name, expression)
    _write_model(project, "int_right", "date_trunc(date(created_at), month)")
    contract = "{config: {contract: {enforced: true}}, name: %s, columns: [{name: value, data_type: bigint}]}"
    models = ", ".join(contract % name for name in ("int_counted", "int_shared"))
    (project / "models" / "intermediate" / "_new.yml").write_text(f"models: [{models}]\n", encoding="utf-8")
    _write_model(project, "int_counted", "count(*)")
    _write_model(project, "int_shared", "count(*) / 2")
    (project / "tests" / "wrong.sql").write_text("select stranger from {{ ref('int_counted') }}\n", encoding="utf-8")
    return _Analysis(project, folder, (FIRST,))


WRONG = {
    "int_function_of_duckdb": "to_months(3)",
    "int_order_of_arguments": "date_trunc('month', created_at)",
    "int_syntax_of_duckdb": "customer_id::varchar",
    "int_type_of_duckdb": "cast(customer_id as varchar)",
    "int_filter": "count(*) filter (where source = 'web')",
    "int_name": "birth_day",
    "int_types_compared": "created_at = birth_date",
    "int_escape_of_a_quote": "'it''s'",
    "int_zone": "timezone('Europe/Paris', created_at)",
    "int_match": "regexp_full_match(email, 'x')",
    "int_no_name": "lower(source), 1",
}


def _write_model(project: Path, name: str, expression: str) -> None:
    text = f"select {expression} as value from {{{{ ref('stg_customers') }}}}\n".replace(", 1 as value", ", 1")
    (project / "models" / "intermediate" / f"{name}.sql").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", WRONG)
def test_new_model_that_is_wrong_is_found(broken: _Analysis, name: str) -> None:
    assert name in broken.errors


def test_new_model_that_is_right_passes(broken: _Analysis) -> None:
    assert broken.columns["int_right"] == {"value": "date"}
    assert set(broken.errors) == {*WRONG, "wrong"}


def test_type_that_is_not_the_promised_one_is_found(broken: _Analysis) -> None:
    wrong = {name: columns for name, columns in broken.promised().items() if dict(broken.columns[name]) != columns}
    assert wrong == {"int_shared": {"value": "bigint"}}
    assert broken.columns["int_shared"] == {"value": "double"}


def test_every_type_of_the_sources_has_a_word_in_googlesql() -> None:
    words: Mapping[tuple[str, str], Columns] = sources()
    assert {word for columns in words.values() for word in columns.values()} <= TYPES.keys()


def test_statements_of_the_documentation_resolve() -> None:
    page = (DBT_PROJECT.parent / "docs" / "bigquery.md").read_text(encoding="utf-8")
    sql = GoogleSql(PROJECT_ID)
    for (schema, table), columns in sources().items():
        sql.declare(schema, table, columns)
    blocks = re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    statements = [statement for block in blocks for statement in re.split(r";\n", block) if statement.strip()]
    created = [statement for statement in statements if statement.startswith("create table")]
    assert len(created) == len(sources())
    for statement in statements:
        sql.check(statement)
