"""What a warehouse was made with, `ops.versions`, and how one of an earlier version is brought up to date.

A change of the tables in `ops`, of the columns of a mart, or of what the month files hold, is a new `SCHEMA_VERSION` and a
function in `MIGRATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import duckdb

from orchestration import __version__
from orchestration.months import add_months, last_closable
from orchestration.settings import Vars

TABLE = "ops.versions"
SCHEMA_VERSION = 2
# What commands that only read can still make sense of.
OLDEST_READABLE = 0

Migration = Callable[[duckdb.DuckDBPyConnection, Vars], None]


class MigrationError(Exception):
    """A warehouse cannot be brought up to date as it is; the message says why, and the command to run."""


def _record_versions(connection: duckdb.DuckDBPyConnection, _: Vars) -> None:
    """From 0, before versions were recorded: all else is as it was."""
    _begin_versions(connection)


def _say_what_is_reconstructed(connection: duckdb.DuckDBPyConnection, variables: Vars) -> None:
    """From 1, when marts did not say which months were closed before anybody observed them."""
    marts = connection.execute(
        "select table_name from duckdb_columns() where database_name = current_database() and schema_name = 'marts' "
        "and table_name in (select table_name from duckdb_tables() where schema_name = 'marts') "
        "group by table_name having bool_or(column_name = 'snapshot_month') and not bool_or(column_name = 'is_reconstructed')"
    ).fetchall()
    if not marts:
        return
    # As the macro `first_observed_month`.
    ((observed,),) = connection.execute("select max(history_loaded_until) from ops.warehouse").fetchall()
    observed = observed or variables.history_loaded_until or datetime(9000, 1, 1)
    until = observed.replace(tzinfo=UTC) - timedelta(microseconds=1)
    first_observed = add_months(last_closable(until, variables.zone, variables.closing_grace_days), 1)
    for (mart,) in marts:
        connection.execute(f'alter table marts."{mart}" add column is_reconstructed boolean')
        connection.execute(f"update marts.\"{mart}\" set is_reconstructed = snapshot_month < date '{first_observed}'")


def _begin_versions(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create schema if not exists ops")
    connection.execute(
        f"create table {TABLE} (recorded_at timestamp, schema_version integer, bathtub varchar, dbt varchar, duckdb varchar)"
    )


# The migration at index n leads from version n to n + 1. Each runs on the working copy: after an error nothing has changed.
MIGRATIONS: Sequence[Migration] = (_record_versions, _say_what_is_reconstructed)


def recorded(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the schema version of a warehouse; 0 is from before versions were recorded."""
    schema, table = TABLE.split(".")
    found = connection.execute("select 1 from duckdb_tables() where schema_name = ? and table_name = ?", [schema, table])
    if found.fetchone() is None:
        return 0
    row = connection.execute(f"select max(schema_version) from {TABLE}").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def refusal(schema_version: int) -> str | None:
    """Return why this version of Bathtub cannot use a warehouse of that schema version, the words after its name; else None."""
    if schema_version > SCHEMA_VERSION:
        return (
            f"was written by a later version of Bathtub (schema version {schema_version}, and {__version__} knows up to "
            f"{SCHEMA_VERSION}); install that version or a later one, or go back to a backup: make restore FROM=…"
        )
    if schema_version < OLDEST_READABLE:
        return (
            f"was written by an earlier version of Bathtub (schema version {schema_version}, and this one reads from "
            f"{OLDEST_READABLE} on); bring it up to date with: make build"
        )
    return None


def migrate(connection: duckdb.DuckDBPyConnection, variables: Vars) -> None:
    """Bring a working copy up to the schema version of today, step by step.

    Raises:
        MigrationError: one step needs something else first; the message says what.
    """
    for step in MIGRATIONS[recorded(connection) :]:
        step(connection, variables)


def record(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Enter what writes the warehouse now, where that differs from the last entry; `now` is aware."""
    if recorded(connection) == 0:
        connection.execute(f"drop table if exists {TABLE}")
        _begin_versions(connection)
    current = (SCHEMA_VERSION, __version__, version("dbt-core"), duckdb.__version__)
    query = f"select schema_version, bathtub, dbt, duckdb from {TABLE} order by recorded_at desc limit 1"
    if connection.execute(query).fetchone() != current:
        at = now.astimezone(UTC).replace(tzinfo=None)
        connection.execute(f"insert into {TABLE} values (?, ?, ?, ?, ?)", [at, *current])
