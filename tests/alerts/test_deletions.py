"""The guard against mass deletion: who counts as gone, from when on a close is refused, and what a confirmation allows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.alerts.deletions import Departures, Rows, confirm, confirmed, departures, refusal
from orchestration.settings import Settings, load_settings

MONTH = date(2026, 4, 1)
NOW = datetime(2026, 5, 3, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment with 200 profiles in the latest closed month and one in the month before."""
    settings = load_settings({"BATHTUB_WAREHOUSE": str(tmp_path / "bathtub.duckdb")})
    with duckdb.connect(str(settings.warehouse)) as con:
        con.execute(f"""
            create schema core; create schema raw; create schema ops;
            create table ops.closed_months as select date '{MONTH}' as snapshot_month;
            create table core.fct_customer_months as
            select date '{MONTH}' as snapshot_month, 'c' || i as customer_id, if(i < 150, 'web', 'till') as source
            from range(200) as r (i)
            union all select date '2026-03-01', 'gone long ago', 'web';
            create table raw.customers as
            select customer_id, null::timestamp as deleted_at from core.fct_customer_months where customer_id like 'c%';
            create table raw.merges (merged_customer_id varchar, customer_id varchar, merged_at timestamp)""")
    return settings


def _rows(settings: Settings) -> Rows:
    def rows(sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(settings.warehouse)) as con:
            return con.execute(sql).fetchall()

    return rows


def _change(settings: Settings, statement: str) -> None:
    _rows(settings)(statement)


def test_absent_and_deleted_profiles_of_the_latest_month_are_gone(settings: Settings) -> None:
    assert departures(_rows(settings)) == Departures(MONTH, 200, 0, {})
    _change(settings, "delete from raw.customers where customer_id in ('c1', 'c2')")
    _change(settings, "update raw.customers set deleted_at = '2026-05-01' where customer_id in ('c3', 'c199')")
    assert departures(_rows(settings)) == Departures(MONTH, 200, 4, {"web": 3, "till": 1})


def test_who_was_deleted_later_than_in_the_first_open_month_is_not_gone_yet(settings: Settings) -> None:
    _change(settings, "update raw.customers set deleted_at = '2026-05-31 23:00' where customer_id = 'c1'")
    _change(settings, "update raw.customers set deleted_at = '2026-06-01 00:00' where customer_id in ('c2', 'c3')")
    found = departures(_rows(settings))
    assert found is not None
    assert found.n_gone == 1


def test_a_merged_profile_is_not_gone(settings: Settings) -> None:
    _change(settings, "delete from raw.customers where customer_id = 'c1'")
    _change(settings, "insert into raw.merges values ('c1', 'c2', '2026-05-01')")
    found = departures(_rows(settings))
    assert found is not None
    assert found.n_gone == 0


def test_without_a_close_nobody_can_be_gone(settings: Settings) -> None:
    _change(settings, "delete from ops.closed_months")
    assert departures(_rows(settings)) is None


@pytest.mark.parametrize(
    ("n_base", "n_gone", "is_refused"),
    [(10_000, 500, False), (10_000, 501, True), (100, 50, False), (100, 51, True), (10_000, 0, False)],
)
def test_a_close_is_refused_above_the_share_and_above_the_least(n_base: int, n_gone: int, is_refused: bool) -> None:
    variables = load_settings({}).vars
    reason = refusal(Departures(MONTH, n_base, n_gone), variables, 0)
    assert (reason is not None) == is_refused
    if reason is not None:
        assert f"{n_gone:,} of the {n_base:,} profiles of 2026-04" in reason
        assert "make confirm-deletion" in reason


def test_no_base_no_refusal() -> None:
    assert refusal(None, load_settings({}).vars, 0) is None


def test_a_confirmation_holds_for_as_many_profiles_and_for_its_month(settings: Settings) -> None:
    variables = settings.vars
    _change(settings, "delete from raw.customers where customer_id like 'c1%'")
    found = departures(_rows(settings))
    assert found is not None
    assert refusal(found, variables, confirmed(settings, MONTH)) is not None
    confirm(settings, found, "dpo", NOW)
    assert confirmed(settings, MONTH) == found.n_gone
    assert refusal(found, variables, confirmed(settings, MONTH)) is None
    assert refusal(Departures(MONTH, 200, found.n_gone + 1), variables, confirmed(settings, MONTH)) is not None
    assert confirmed(settings, date(2026, 5, 1)) == 0
    assert _rows(settings)("select confirmed_by, snapshot_month, n_profiles from ops.confirmed_deletions") == [
        ("dpo", MONTH, found.n_gone)
    ]


def test_nothing_is_confirmed_where_there_is_no_warehouse(tmp_path: Path) -> None:
    assert confirmed(load_settings({"BATHTUB_WAREHOUSE": str(tmp_path / "none.duckdb")}), MONTH) == 0
