"""What is published at once: the rows of all marts, of one state of the warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import duckdb

from orchestration.engine import Engine, Query
from orchestration.publish import PublishError
from orchestration.publish.catalog import MONTH, Column, Mart
from orchestration.publish.labels import label
from orchestration.warehouse import WarehouseError

Row = tuple[Any, ...]

# A close that is published while the marts are read, twice in a row, is no chance.
ATTEMPTS = 3


@dataclass(frozen=True)
class Extract:
    """The rows of each mart, with `is_latest_month` and the labels at their end, and what the latest close says of itself."""

    marts: tuple[Mart, ...]
    rows: Mapping[str, list[Row]]
    latest_month: date
    closed_at: datetime
    definition_version: str

    @property
    def n_rows(self) -> int:
        """How many rows all marts have."""
        return sum(len(rows) for rows in self.rows.values())


def extract(engine: Engine, marts: Sequence[Mart]) -> Extract:
    """Read the marts, all of one state: a close that is published meanwhile has them read again.

    Raises:
        PublishError: no month is closed, a mart is missing, or months are being closed one after the other.
        WarehouseError: the warehouse cannot be read.
    """
    if not engine.read_state().closed:
        raise PublishError(f"No month is closed in {engine.place}; close one with: make build (or: make demo).")
    for _ in range(ATTEMPTS):
        with engine.querying() as query:
            before = _closed_months(query)
            rows = {mart.name: _rows(query, mart) for mart in marts}
            if _closed_months(query) == before:
                return _extract(marts, rows, before)
    raise PublishError("Months were closed again and again while the marts were read; publish when the close is done.")


def _closed_months(query: Query) -> list[Row]:
    return sorted(query("select snapshot_month, closed_at, run_id from ops.closed_months"))


def _rows(query: Query, mart: Mart) -> list[Row]:
    try:
        return query(f"select {', '.join(mart.stored)} from marts.{mart.name}")
    except (duckdb.Error, WarehouseError) as error:
        raise PublishError(
            f"marts.{mart.name} cannot be read as the dbt project describes it ({str(error).splitlines()[0]}); "
            "close the months with this version of the project: make build"
        ) from error


def _extract(marts: Sequence[Mart], rows: Mapping[str, list[Row]], closed: list[Row]) -> Extract:
    latest, closed_at, _ = closed[-1]
    marked = {}
    for mart in marts:
        month = mart.position(MONTH)
        coded = [(column, mart.position(column.label_of)) for column in mart.labels if column.label_of]
        words = {column.name: _words(column, {row[at] for row in rows[mart.name]}) for column, at in coded}
        marked[mart.name] = [
            (*row, row[month] == latest, *(words[column.name][row[at]] for column, at in coded)) for row in rows[mart.name]
        ]
    # Spark's Thrift protocol gives timestamps as text.
    at = closed_at if isinstance(closed_at, datetime) else datetime.fromisoformat(closed_at)
    return Extract(tuple(marts), marked, latest, at.replace(tzinfo=UTC), _version(marts, marked, latest))


def _words(column: Column, codes: set[str | None]) -> dict[str | None, str | None]:
    return {code: label(str(column.label_of), code, str(column.language)) for code in codes}


def _version(marts: Sequence[Mart], rows: Mapping[str, list[Row]], latest: date) -> str:
    """Return the definition that the latest month was computed under: the part that all marts share."""
    for mart in marts:
        month, version = mart.position(MONTH), mart.position("definition_version")
        for row in rows[mart.name]:
            if row[month] == latest:
                return str(row[version]).split(".")[0]
    raise PublishError(f"No mart has a row of {latest:%Y-%m}, the latest closed month; close it again with: make build")
