"""The guard against a mass deletion: a truncated feed must never turn into thousands of deleted profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb

from orchestration.ingest.accounts import has_table
from orchestration.months import add_months, month_text
from orchestration.settings import Settings, Vars
from orchestration.warehouse import writing

Rows = Callable[[str], Sequence[tuple[Any, ...]]]
BOOK = "confirmed_deletions"


@dataclass(frozen=True)
class Departures:
    """How many profiles of the latest closed month are gone from the customers' feed, or were deleted in the month after it."""

    month: date
    n_base: int
    n_gone: int
    by_source: dict[str, int] = field(default_factory=dict)


def departures(rows: Rows) -> Departures | None:
    """Compare the profiles of the latest closed month with the raw customers of now; None before any close.

    Profiles that were merged into another one are not gone, nor those deleted later than in the first open month: a close of
    several months at once counts each in its own. `rows` answers queries on what readers see, or on a close under
    way before it built anything.
    """
    latest = rows("select max(snapshot_month) from ops.closed_months")
    if not latest or latest[0][0] is None:
        return None
    month: date = latest[0][0]
    found = rows(
        f"""
        select m.snapshot_month, m.source, count(*) as n_base,
            sum(case when (c.customer_id is null or c.deleted_at < timestamp '{add_months(month, 2)} 00:00:00')
                and g.merged_customer_id is null then 1 else 0 end) as n_gone
        from core.fct_customer_months as m
        left join raw.customers as c on m.customer_id = c.customer_id
        left join (select distinct merged_customer_id from raw.merges) as g on m.customer_id = g.merged_customer_id
        where m.snapshot_month = date '{month}'
        group by m.snapshot_month, m.source"""
    )
    if not found:
        return None
    gone = {str(source): int(n_gone) for _, source, _, n_gone in found if n_gone}
    return Departures(found[0][0], sum(int(row[2]) for row in found), sum(gone.values()), gone)


def is_mass_deletion(found: Departures, variables: Vars) -> bool:
    """Whether so many profiles are gone that it is more likely a truncated feed."""
    bounds = variables.alerts.bounds
    return found.n_gone > bounds["mass_deletion_share"] * found.n_base and found.n_gone > bounds["mass_deletion_least"]


def confirmed(settings: Settings, month: date) -> int:
    """Return how many departures since the close of a month somebody confirmed."""
    if not settings.warehouse.exists():
        return 0
    with closing(duckdb.connect(str(settings.warehouse), read_only=True)) as con:
        return confirmed_in(con, month)


def confirmed_in(con: duckdb.DuckDBPyConnection, month: date) -> int:
    """Return the same from a warehouse that is open."""
    if not has_table(con, "ops", BOOK):
        return 0
    found = con.execute(f"select max(n_profiles) from ops.{BOOK} where snapshot_month = ?", [month]).fetchone()
    return int(found[0] or 0) if found else 0


def refusal(found: Departures | None, variables: Vars, n_confirmed: int) -> str | None:
    """Return the sentence that stops a close, or None where nothing speaks against it."""
    if found is None or not is_mass_deletion(found, variables) or found.n_gone <= n_confirmed:
        return None
    return (
        f"{found.n_gone:,} of the {found.n_base:,} profiles of {month_text(found.month)} are gone from the customers' feed: "
        "most likely a truncated file. Nothing was closed, and readers keep the last good state. Have the file sent again; "
        "if the deletion is real, confirm it with: make confirm-deletion"
    )


def confirm(settings: Settings, found: Departures, by: str, at: datetime) -> None:
    """Record that the departures are real: closes go on while no more profiles than these are gone.

    Raises:
        WarehouseError: the warehouse cannot be written now.
    """
    with writing(settings, "confirmation of a deletion") as copy, closing(duckdb.connect(str(copy))) as con:
        con.execute(
            f"create table if not exists ops.{BOOK} "
            "(confirmed_at timestamp, confirmed_by varchar, snapshot_month date, n_profiles bigint)"
        )
        con.execute(f"insert into ops.{BOOK} values (?, ?, ?, ?)", [at.replace(tzinfo=None), by, found.month, found.n_gone])
