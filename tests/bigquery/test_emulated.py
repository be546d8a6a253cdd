"""dbt runs the project through dbt-bigquery on an emulator, and every row is the one that DuckDB gives.

The emulator runs on DuckDB too: that the SQL means the same in GoogleSQL is for `test_analysed` and `test_evaluated`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.months import add_months
from tests.bigquery.emulator import LOAD_TYPES, Emulator, running_emulator
from tests.bigquery.emulator_process import MENDED
from tests.bigquery.googlesql import GoogleSql
from tests.bigquery.on_duckdb import BUILT, MAY_BE_EMPTY, OF_DUCKDB, OF_ONE_RUN, OnDuckDB, close_traps
from tests.bigquery.project import DBT_PROJECT, PROJECT_ID, Dbt, sources
from tests.end_to_end.traps import FIRST

ZONE = "America/New_York"


@dataclass(frozen=True)
class Closed:
    """The same months closed on DuckDB and on the emulator."""

    duck: OnDuckDB
    emulator: Emulator
    dbt: Dbt
    statements: list[str] = field(default_factory=list)

    def close(self, first: date, end: date) -> None:
        """Close months on the emulator, tests included."""
        self.dbt_command("build", first, end, "--exclude-resource-type", "unit_test")

    def dbt_command(self, command: str, first: date, end: date, *args: str) -> None:
        """Run a dbt command for the months from `first` until before `end`, and fail when a node does."""
        months = ("--event-time-start", f"{first}", "--event-time-end", f"{end}")
        done = self.dbt.invoke(command, *months, *args, variables={"reporting_timezone": ZONE})
        results = getattr(done.result, "results", [])
        assert done.success, done.exception or [
            (r.node.name, r.message) for r in results if r.status not in ("success", "pass")
        ]
        for file in sorted((self.dbt.folder / "target" / "run").rglob("*.sql")):
            self.statements.append(file.read_text(encoding="utf-8"))


# Telephones that the emulator reads otherwise than GoogleSQL (test_evaluated.py has them): it gives the whole match in place of
# the captured group, and leaves `\u` escapes as they are.
MISREAD = ("phone-10", "phone-12")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("closed")
    duck = close_traps(folder, ZONE, *MISREAD)
    with running_emulator(folder) as emulator:
        both = Closed(duck, emulator, Dbt(folder / "dbt", endpoint=emulator.endpoint))
        _land(both, folder)
        both.close(FIRST, add_months(FIRST, 2))
        both.close(add_months(FIRST, 2), add_months(FIRST, 3))
        yield both


def _land(both: Closed, folder: Path) -> None:
    """The raw tables and facts of the DuckDB warehouse as tables of the emulator."""
    for (schema, table), columns in sources().items():
        file = folder / f"{schema}.{table}.parquet"
        # Parquet tells an instant from a wall clock; UTC's wall clock is the instant.
        names = ", ".join(f"{n}::timestamptz as {n}" if word == "timestamp" else n for n, word in columns.items())
        with duckdb.connect(str(both.duck.warehouse), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"copy (select {names} from {schema}.{table}) to '{file}' (format parquet)")
        both.emulator.load(schema, table, columns, file)


def test_every_row_is_that_of_duckdb(closed: Closed) -> None:
    relations = closed.duck.relations()
    assert {relation.partition(".")[0] for relation in relations} == set(BUILT)
    for relation in sorted(set(relations) - OF_ONE_RUN):
        columns = ", ".join(name for name in closed.duck.columns(relation) if name not in OF_DUCKDB)
        here = Counter(closed.duck.query(f"select {columns} from {relation}"))
        there = Counter(closed.emulator.rows(f"select {columns} from {relation}"))
        assert here or relation in MAY_BE_EMPTY, f"{relation} is empty"
        assert here == there, f"{relation}: {list((here - there).items())[:2]} / {list((there - here).items())[:2]}"


def test_every_model_of_the_project_was_compared(closed: Closed) -> None:
    # The rules of the challenges are ephemeral.
    models = {path.stem for path in (DBT_PROJECT / "models").rglob("*.sql") if path.parent.name != "challenges"}
    assert models <= {relation.partition(".")[2] for relation in closed.duck.relations()}


def test_statements_that_dbt_sends_resolve_too(closed: Closed) -> None:
    sql, known = GoogleSql(PROJECT_ID), sources()
    for relation in [*closed.duck.relations(), *(f"{schema}.{table}" for schema, table in known)]:
        schema, _, table = relation.partition(".")
        columns = known.get((schema, table)) or closed.duck.columns(relation)
        sql.declare(schema, table, columns)
        for name in re.findall(rf"\b{table}__dbt_tmp\w+", "".join(closed.statements)):
            sql.declare(schema, name, columns)
    for statement in closed.statements:
        sql.check(statement)
    # The logs of restatements are views.
    marts = len(closed.duck.query("select 1 from duckdb_tables() where schema_name = 'marts'"))
    with_contract = [statement for statement in closed.statements if re.search(r"create or replace table \S+\s+\(", statement)]
    assert len(with_contract) >= marts
    assert len([statement for statement in closed.statements if "merge into" in statement]) > marts


def test_month_closed_again_replaces_its_rows(closed: Closed) -> None:
    month, end = add_months(FIRST, 2), add_months(FIRST, 3)
    before = _rows_by_month(closed)
    # Without the state of the month, the mart's month has no rows.
    closed.emulator.rows(f"delete from core.int_customer_months where snapshot_month = date '{month}'")
    closed.dbt_command("run", month, end, "--select", "recency_monthly")
    recency = "marts.recency_monthly"
    assert _rows_by_month(closed)[recency] == [
        (closed_month, n) for closed_month, n in before[recency] if closed_month != month
    ]
    closed.close(month, end)
    assert _rows_by_month(closed) == before


def _rows_by_month(closed: Closed) -> dict[str, list[tuple[object, ...]]]:
    marts = [relation for relation in closed.duck.relations() if relation.startswith("marts.")]
    return {
        mart: sorted(closed.emulator.rows(f"select snapshot_month, count(*) as n from {mart} group by 1")) for mart in marts
    }


def test_what_was_mended_in_the_emulator_is_in_the_documentation() -> None:
    page = (DBT_PROJECT.parent / "docs" / "bigquery.md").read_text(encoding="utf-8")
    assert [sentence for sentence in MENDED.values() if sentence not in page] == []


def test_sources_have_a_type_for_the_load() -> None:
    assert {word for columns in sources().values() for word in columns.values()} <= LOAD_TYPES.keys()
