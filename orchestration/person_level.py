"""How long the customer-level months are kept: those older than `person_level_months` leave at the end of a close.

They are the month files with a `customer_id`. Marts are tables of counts and stay. A history of changes is folded, since later
months still hold by what changed long ago: its older rows become one per profile, under the oldest month kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from orchestration.month_files import BOOK
from orchestration.months import add_months, month_text
from orchestration.warehouse import Report

OF_PERSONS = "customer_id"
# The column by which a history says that a profile left: only histories of changes have it.
OF_HISTORIES = "is_gone"


def retire(copy: Path, months: Sequence[date], person_level_months: int, report: Report) -> None:
    """Drop the customer-level months of a working copy that are no longer kept after closing `months`.

    Their files are named no more; the next writer deletes them, once no reader of the state before begins on them.
    """
    with duckdb.connect(str(copy)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        last = max([*months, *_closed(connection)])
        oldest = add_months(last, 1 - person_level_months)
        dropped: set[date] = set()
        for model, is_history in _models(connection):
            older = _files(connection, model, f"< date '{oldest}'")
            if older and is_history:
                _fold(connection, model, oldest)
            elif older:
                _drop(connection, model, oldest)
                dropped |= {month for month, _ in older}
    if dropped:
        report(told(sorted(dropped), person_level_months))


def told(dropped: Sequence[date], person_level_months: int) -> str:
    """Return a sentence on the months, at least one and in order, whose rows of customers were dropped."""
    return (
        f"Customer-level months before {month_text(add_months(dropped[-1], 1))} deleted ({len(dropped)} of them): "
        f"person_level_months = {person_level_months}. The marts keep all months."
    )


def _closed(connection: duckdb.DuckDBPyConnection) -> list[date]:
    """Return the months closed before; the first close has no table of them yet."""
    if not connection.execute(
        "select 1 from duckdb_tables() where schema_name = 'ops' and table_name = 'closed_months'"
    ).fetchone():
        return []
    return [row[0] for row in connection.execute("select snapshot_month from ops.closed_months").fetchall()]


def _models(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, bool]]:
    """Return the models whose month files are about persons, and whether each is a history."""
    return connection.execute(
        "select table_name, bool_or(column_name = ?) from duckdb_columns() "
        f"where database_name = current_database() and table_name in (select model from {BOOK}) "
        "group by table_name having bool_or(column_name = ?) order by table_name",
        [OF_HISTORIES, OF_PERSONS],
    ).fetchall()


def _files(connection: duckdb.DuckDBPyConnection, model: str, condition: str) -> list[tuple[date, str]]:
    """Return the files of a model, as its view names them, and their months."""
    return connection.execute(
        f"select snapshot_month, folder || '/' || file from {BOOK} where model = ? and snapshot_month {condition} order by all",
        [model],
    ).fetchall()


def _drop(connection: duckdb.DuckDBPyConnection, model: str, oldest: date) -> None:
    connection.execute(f"delete from {BOOK} where model = ? and snapshot_month < ?", [model, oldest])
    _show(connection, model)


def _fold(connection: duckdb.DuckDBPyConnection, model: str, oldest: date) -> None:
    """Put what holds in the oldest month kept, one row per profile, in place of all that led to it."""
    ((folder,),) = connection.execute(f"select folder from {BOOK} where model = ? limit 1", [model]).fetchall()
    file = f"snapshot_month={oldest}/{model}_{uuid.uuid4()}.parquet"
    path = Path(folder) / file
    path.parent.mkdir(exist_ok=True)
    quoted = str(path).replace("'", "''")
    schema, _ = _view(connection, model)
    connection.execute(
        f"""
        copy (
            select * exclude (snapshot_month) from "{schema}"."{model}" where snapshot_month <= date '{oldest}'
            qualify row_number() over (partition by customer_id order by snapshot_month desc) = 1 and not is_gone
        ) to '{quoted}' (format parquet, compression zstd, compression_level 1)
        """
    )
    connection.execute(f"delete from {BOOK} where model = ? and snapshot_month <= ?", [model, oldest])
    connection.execute(f"insert into {BOOK} values (?, ?, ?, ?)", [model, oldest, folder, file])
    _show(connection, model)


def _view(connection: duckdb.DuckDBPyConnection, model: str) -> tuple[str, str]:
    ((schema, sql),) = connection.execute(
        "select schema_name, sql from duckdb_views() where view_name = ? and database_name = current_database()", [model]
    ).fetchall()
    return str(schema), str(sql)


def _show(connection: duckdb.DuckDBPyConnection, model: str) -> None:
    """Have the view of a model read the files that the book names now; dbt's `view_over_month_files` writes it likewise."""
    schema, sql = _view(connection, model)
    columns = [
        row[0]
        for row in connection.execute(
            "select column_name from duckdb_columns() where database_name = current_database() and schema_name = ? "
            "and table_name = ? order by column_index",
            [schema, model],
        ).fetchall()
    ]
    paths = ["'" + path.replace("'", "''") + "'" for _, path in _files(connection, model, "is not null")]
    mixed = ", union_by_name = true" if "union_by_name" in sql else ""
    connection.execute(
        f'create or replace view "{schema}"."{model}" as select {", ".join(f"{chr(34)}{name}{chr(34)}" for name in columns)} '
        f"from read_parquet([{', '.join(paths)}], hive_partitioning = true, hive_types = {{'snapshot_month': date}}{mixed})"
    )
