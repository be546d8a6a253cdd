"""SQL on a Spark cluster, through its Thrift server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import date
from functools import cache
from typing import Any

import yaml

from orchestration.relations import Relation
from orchestration.settings import DBT_PROJECT_DIR, Settings
from orchestration.warehouse import WarehouseError

# The view's query in what `show table extended` says of it.
VIEW_TEXT = re.compile(r"^View Text: (.*?)^View Original Text: ", re.MULTILINE | re.DOTALL)
# A column in the schema at the end of it.
COLUMN = re.compile(r"^ \|-- (\w+): (\w+)", re.MULTILINE)


class Cluster:
    """A session on the cluster."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def run(self, sql: str) -> None:
        """Run a statement.

        Raises:
            WarehouseError: the cluster refused it.
        """
        from pyhive.exc import Error

        try:
            self._cursor.execute(sql)
        except Error as error:
            raise WarehouseError(f"The Spark cluster refused a statement: {_reason(error)}") from None

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            WarehouseError: the cluster refused it.
        """
        self.run(sql)
        found = self._cursor.fetchall()
        # The Thrift protocol has no dates.
        dates = [column[1] == "DATE_TYPE" for column in self._cursor.description]
        return [tuple(_date(v) if is_date else v for v, is_date in zip(row, dates, strict=True)) for row in found]

    def schemas(self) -> set[str]:
        """Return the names of the schemas."""
        return {row[0] for row in self.rows("show databases")}

    def tables(self, schema: str) -> set[str]:
        """Return the names of the tables and views of a schema; none when the schema is absent."""
        return {row[1] for row in self.rows(f"show tables in {schema}")} if schema in self.schemas() else set()

    def views(self, schema: str) -> dict[str, str]:
        """Return the query of each view of a schema."""
        found = {row[1]: VIEW_TEXT.search(row[3]) for row in self.rows(f"show table extended in {schema} like '*'")}
        return {name: text[1].rstrip("\n") for name, text in found.items() if text}

    def relations(self, schema: str) -> dict[str, Relation]:
        """Return the columns of each table and view of a schema, by name."""
        return {
            name: Relation(dict(COLUMN.findall(text)))
            for _, name, _, text in self.rows(f"show table extended in {schema} like '*'")
        }

    def show(self, view: str, query: str) -> None:
        """Make `schema.view` show a query, in one change of the catalog.

        `create or replace view` would drop the view first, and a reader would meet the gap.
        """
        schema, name = view.split(".")
        verb = "alter" if self.rows(f"show tables in {schema} like '{name}'") else "create"
        self.run(f"{verb} view {view} as {query}")


@cache
def session_settings() -> dict[str, str]:
    """Return what a session is told, as the dbt profile says it: dbt's statements and ours mean the same."""
    profiles = yaml.safe_load((DBT_PROJECT_DIR / "profiles.yml").read_text(encoding="utf-8"))
    settings: dict[str, str] = profiles["bathtub"]["outputs"]["spark"]["server_side_parameters"]
    return settings


@contextmanager
def connecting(settings: Settings) -> Iterator[Cluster]:
    """Yield a session on the configured cluster.

    Raises:
        WarehouseError: no Thrift server answers there, or its client is not installed.
    """
    try:
        from pyhive import hive
        from thrift.transport.TTransport import TTransportException
    except ModuleNotFoundError as error:
        raise WarehouseError("The packages for Spark are not installed; run: make .venv/.engines") from error

    where = f"{settings.spark_host}:{settings.spark_port}"
    try:
        connection = hive.connect(
            host=settings.spark_host,
            port=settings.spark_port,
            auth="NOSASL",
            username="bathtub",
            configuration=session_settings(),
        )
    except TTransportException as error:
        raise WarehouseError(
            f"No Spark Thrift server answers at {where} (BATHTUB_SPARK_HOST, BATHTUB_SPARK_PORT); "
            "start one on this machine with: make spark-up"
        ) from error
    end_sessions_quietly()
    with closing(connection):
        yield Cluster(connection.cursor())


@cache
def end_sessions_quietly() -> None:
    """Keep work that is done from failing at the end of its session, in this process: dbt's sessions too.

    Spark's Thrift server fails at times to end one, for want of a class of Hive's that Spark leaves out
    (`LlapSigner$Signable`, https://github.com/apache/spark/pull/49736). Its connection is closed by then.
    """
    from pyhive import exc, hive

    end = hive.Connection.close

    def close(connection: hive.Connection) -> None:
        with suppress(exc.OperationalError):
            end(connection)

    hive.Connection.close = close


def values(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """Return a query of some literal rows, also of none; each column is written `name type`."""
    named = [column.split() for column in columns]
    casts = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in named)
    literals = ", ".join(f"({', '.join(row)})" for row in rows or [["null"] * len(columns)])
    none = "" if rows else " where 1 = 0"
    return f"select {casts} from values {literals} as literal ({', '.join(name for name, _ in named)}){none}"


def _date(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None


def _reason(error: Exception) -> str:
    """Spark's own sentence, without the stack of the server."""
    found = re.search(
        r"Error running query: (?:\[\w+\] )?[\w.]*(?:Exception|Error): (.*?)(?:\\n|\n|', ')", str(error), re.DOTALL
    )
    return (found[1] if found else str(error))[:500]
