"""Which months to close, and the dbt command that closes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from orchestration.months import add_months, closable_from, last_closable, month_text, months_between
from orchestration.settings import Vars
from orchestration.warehouse import reading

# A base whose first row lies this far back more likely has a wrong date than so long a history.
LONGEST_UNASKED_HISTORY = 360
PERSON_LEVEL_FROM = "select min(snapshot_month) from ops.month_files where model = 'int_customer_months'"


class CloseError(Exception):
    """The months asked for cannot be closed; the message says why and which can."""


@dataclass(frozen=True)
class WarehouseState:
    """What the warehouse knows of the base: its first month (None without any activity), the months closed and kept so far."""

    first_month: date | None = None
    closed: tuple[date, ...] = ()
    # The oldest month whose customer-level rows are kept; None where all are.
    person_level_from: date | None = None


def read_state(warehouse: Path) -> WarehouseState:
    """Read the state of a warehouse file; an absent file has no months.

    Raises:
        WarehouseError: the file cannot be opened.
    """
    if not warehouse.exists():
        return WarehouseState()
    with reading(warehouse) as connection:
        tables = {
            row[0]
            for row in connection.execute(
                "select table_name from information_schema.tables where table_schema = 'ops'"
            ).fetchall()
        }
        found = connection.execute("select first_month from ops.warehouse").fetchone() if "warehouse" in tables else None
        closed = (
            connection.execute("select snapshot_month from ops.closed_months order by 1").fetchall()
            if "closed_months" in tables
            else []
        )
        kept = connection.execute(PERSON_LEVEL_FROM).fetchone() if "month_files" in tables else None
    return WarehouseState(found[0] if found else None, tuple(row[0] for row in closed), kept[0] if kept else None)


def first_month(variables: Vars, state: WarehouseState) -> date | None:
    """Return the first month of the base: the first one closed; before any close the var, but no month without an activity."""
    if state.closed:
        return state.closed[0]
    if state.first_month is None:
        return None
    return max(state.first_month, variables.first_month or state.first_month)


def plan(
    variables: Vars, state: WarehouseState, now: datetime, first: date | None = None, last: date | None = None
) -> list[date]:
    """Return the months to close, in order: those asked for, by default from the first open one to the last closable.

    Raises:
        CloseError: the range is empty, reaches into the future, or would leave a gap.
    """
    begin = first_month(variables, state)
    if begin is None:
        return []
    zone, grace = variables.zone, variables.closing_grace_days
    next_open = add_months(state.closed[-1], 1) if state.closed else begin
    closable = last_closable(now, zone, grace)
    if last is not None and last > closable:
        when = closable_from(last, zone, grace).astimezone(zone)
        raise CloseError(
            f"{month_text(last)} can be closed from {when:%Y-%m-%d %H:%M} {variables.reporting_timezone} on, after a grace of "
            f"{grace} days for late rows; the last month that can be closed now is {month_text(closable)}."
        )
    wanted_last = last or closable
    wanted_first = max(first or next_open, begin)
    if wanted_first > next_open:
        raise CloseError(
            f"{month_text(wanted_first)} cannot be closed before {month_text(next_open)}, the first open month; "
            f"close from there with: make build FROM={month_text(next_open)} TO={month_text(max(wanted_first, wanted_last))}"
        )
    if first is not None and last is not None and first > last:
        raise CloseError(f"FROM={month_text(first)} lies after TO={month_text(last)}.")
    _refuse_without_the_month_before(variables, state, wanted_first)
    months = months_between(wanted_first, wanted_last)
    if len(months) > LONGEST_UNASKED_HISTORY and variables.first_month is None:
        raise CloseError(
            f"The first activity in the raw files is of {month_text(begin)}, {len(months)} months ago: "
            "most likely a wrong date. Say where the history begins, for example: "
            f"BATHTUB_VARS='{{first_month: {month_text(add_months(closable, -35))}}}'"
        )
    return months


def _refuse_without_the_month_before(variables: Vars, state: WarehouseState, first: date) -> None:
    kept_from = state.person_level_from
    if kept_from is None or not state.closed or kept_from <= state.closed[0] or first > kept_from:
        return
    raise CloseError(
        f"{month_text(first)} cannot be closed again: the customer-level months before {month_text(kept_from)} were deleted "
        f"after person_level_months = {variables.person_level_months}; the earliest that can be is "
        f"{month_text(add_months(kept_from, 1))}. For earlier ones, build a new base: another BATHTUB_WAREHOUSE."
    )


def dbt_close_args(months: Sequence[date], overrides: Mapping[str, object] | None = None) -> list[str]:
    """Return the dbt command line that closes consecutive months, tests included."""
    args = [
        "build",
        "--event-time-start",
        f"{months[0]:%Y-%m-%d}",
        "--event-time-end",
        f"{add_months(months[-1], 1):%Y-%m-%d}",
        # Unit tests prove the models' rules; the suite runs them, not each close.
        "--exclude-resource-type",
        "unit_test",
    ]
    return [*args, *vars_args(overrides or {})]


def vars_args(overrides: Mapping[str, object]) -> list[str]:
    """Return `--vars` for the overridden vars, nothing without any; dbt reads the first month from the warehouse."""
    passed = {name: value for name, value in overrides.items() if name != "first_month"}
    return ["--vars", json.dumps(passed, default=str)] if passed else []


def record_first_month(warehouse: Path, month: date) -> None:
    """Record in a warehouse file which month its history begins with; the models read it there."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update ops.warehouse set first_month = ?", [month])


def record_closed(warehouse: Path, months: Sequence[date], closed_at: datetime, run_id: str) -> None:
    """Record in a warehouse file that months were closed; a month closed again keeps its last record."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "create table if not exists ops.closed_months "
            "(snapshot_month date primary key, closed_at timestamp, run_id varchar)"
        )
        connection.executemany(
            "insert or replace into ops.closed_months values (?, ?, ?)",
            [(month, closed_at.replace(tzinfo=None), run_id) for month in months],
        )
