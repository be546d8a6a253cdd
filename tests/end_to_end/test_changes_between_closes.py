"""Profiles that a feed changes between two closes: the closed months stay, the next one shows the movement."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from tests.end_to_end.closing import WAREHOUSE, bring_in, close, closed_tables, query
from tests.end_to_end.raw_base import RawBase, Row

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
VARIABLES = {"reporting_timezone": "Europe/Paris", "history_loaded_until": "2023-12-31"}
MOVEMENTS = """
    select snapshot_month, source, status, scope, movement, n_profiles from marts.flows_monthly
    where movement not in ('opening', 'closing', 'stable') order by all"""


def _profile(customer_id: str, month: date, source: str = "web", deleted_at: datetime | None = None) -> Row:
    """A profile of 5 January as the feed of a month says it is."""
    return {
        "customer_id": customer_id,
        "created_at": datetime(2024, 1, 5),
        "deleted_at": deleted_at,
        "source": source,
        "loaded_at": datetime(month.year, month.month, 20),
    }


def _deliver(folder: Path, month: date, customers: list[Row], orders: list[Row] | None = None) -> None:
    RawBase(customers=customers, orders=orders or []).write(folder / "raw", part=f"{month:%Y-%m}")
    bring_in(folder / "raw", folder / WAREHOUSE, JANUARY, VARIABLES)
    close(folder / WAREHOUSE, month, month, VARIABLES, made=["flows_monthly"])


def test_source_change_and_conversion_leave_one_segment_and_enter_the_other(tmp_path: Path) -> None:
    RawBase().write(tmp_path / "raw")
    _deliver(tmp_path, JANUARY, [_profile("moves", JANUARY), _profile("buys", JANUARY), _profile("stays", JANUARY)])
    bought_at = datetime(2024, 2, 5)
    order = {"order_id": "1", "customer_id": "buys", "ordered_at": bought_at, "amount": 10.0, "loaded_at": bought_at}
    _deliver(tmp_path, FEBRUARY, [_profile("moves", FEBRUARY, "till"), _profile("buys", FEBRUARY, "till")], [order])
    found = [row for row in query(tmp_path / WAREHOUSE, MOVEMENTS) if row[0] == FEBRUARY]
    assert found == [
        (FEBRUARY, source, status, scope, movement, 1)
        for source, status, movements in (
            ("till", "customer", ["converted_in"]),
            ("till", "prospect", ["reassigned_in"]),
            ("web", "prospect", ["converted_out", "reassigned_out"]),
        )
        for scope in ("active", "base")
        for movement in movements
    ]


def test_profile_deleted_and_given_back_is_restored_and_closed_months_stay(tmp_path: Path) -> None:
    RawBase().write(tmp_path / "raw")
    gone = _profile("back", FEBRUARY, deleted_at=datetime(2024, 2, 10))
    _deliver(tmp_path, JANUARY, [_profile("back", JANUARY), _profile("stays", JANUARY)])
    _deliver(tmp_path, FEBRUARY, [gone])
    before = closed_tables(tmp_path / WAREHOUSE)["marts.flows_monthly"]
    _deliver(tmp_path, MARCH, [_profile("back", MARCH)])
    after = closed_tables(tmp_path / WAREHOUSE)["marts.flows_monthly"]
    assert [row for row in after if row[0] != MARCH] == before
    assert query(tmp_path / WAREHOUSE, MOVEMENTS) == [
        (month, "web", "prospect", scope, movement, n)
        for month, movement, n in ((JANUARY, "new", 2), (FEBRUARY, "deleted", 1), (MARCH, "restored", 1))
        for scope in ("active", "base")
    ]
