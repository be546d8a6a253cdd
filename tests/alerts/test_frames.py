"""Frames of the observations: what is judged, against what, and from which days."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.alerts.frames import COLUMNS, Frames, Unbuilt, feed_frames
from orchestration.alerts.observations import Observations
from orchestration.close import WarehouseState
from tests.alerts.observed_base import JUDGED, MONTHS, VARS, Base, healthy_base

DAY = timedelta(days=1)
OWN_DAY = f"day = date '{JUDGED}'"


@pytest.fixture(autouse=True)
def departed(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = SimpleNamespace(n_base=10_000, n_gone=400)
    monkeypatch.setitem(sys.modules, "orchestration.alerts.deletions", SimpleNamespace(departures=lambda rows: gone))


def _rows(frames: Frames, name: str, *columns: str) -> list[tuple[Any, ...]]:
    frame = frames[name]
    assert not isinstance(frame, Unbuilt), f"{name}: {frame.error}"
    return list(frame[list(columns)].itertuples(index=False, name=None))


def _bands(frames: Frames) -> dict[str, list[tuple[Any, ...]]]:
    place = ("feed", "source", "column", "channel", "field", "low", "high")
    return {name: _rows(frames, name, *place) for name in frames if name != "sources"}


def test_the_judged_day_is_not_in_its_own_window() -> None:
    base = healthy_base()
    before = _bands(base.feeds())
    # Rows of customers only: those of the others are what their shares are of, and a band is as wide as its denominator asks.
    base.change(
        f"update observations.feed_days set n_rows = n_rows * 3 where feed = 'customers' and {OWN_DAY}",
        f"update observations.feed_days set n_orphans = n_orphans * 9, n_opt_outs = n_opt_outs * 9, "
        f"n_hard_bounces = n_hard_bounces * 9, n_complaints = n_complaints * 9 where {OWN_DAY}",
        f"update observations.feed_columns set n_null = n_rows where {OWN_DAY}",
        "update ops.feed_deliveries set n_quarantined = 90, n_superseded = 90 where ingested_at >= {night}",
    )
    assert _bands(base.feeds()) == before


def test_the_judged_month_is_not_in_its_own_window() -> None:
    base = healthy_base()
    before = _bands(base.marts())
    base.change(f"update observations.month_shares set numerator = numerator * 0.5 where snapshot_month = '{MONTHS[-1]}'")
    assert _bands(base.marts()) == before


def test_later_days_and_deliveries_change_nothing() -> None:
    base = healthy_base()
    earlier = JUDGED - 7 * DAY
    before = base.feeds(earlier)
    base.change(
        f"delete from observations.feed_days where day > date '{earlier}'",
        f"delete from observations.feed_columns where day > date '{earlier}'",
        f"delete from ops.feed_deliveries where ingested_at >= date '{earlier + 2 * DAY}'",
    )
    after = base.feeds(earlier)
    for name in before:
        assert _rows(after, name, *COLUMNS) == _rows(before, name, *COLUMNS)


def test_a_small_source_is_judged_by_the_week_and_a_large_one_by_the_day() -> None:
    found = _rows(healthy_base().feeds(), "volumes", "feed", "source", "period", "observed")
    assert ("customers", "web", "day", 196) in found
    assert ("customers", "partner", "week", 37) in found


def test_rows_of_unknown_customers_are_no_source() -> None:
    frames = healthy_base().feeds()
    assert "(orphan)" not in {source for name in ("sources", "volumes") for (source,) in _rows(frames, name, "source")}
    assert ("orders", 294 + 392 + 2) in _rows(frames, "feed_silences", "feed", "observed")


def test_late_rows_are_those_of_the_seven_days_before_the_judged_one() -> None:
    base = healthy_base()
    for days, count in ((0, 1_000), (1, 30), (7, 12), (8, 1_000)):
        base.change(
            f"update observations.feed_days set n_late = {count} "
            f"where feed = 'orders' and source = 'web' and day = date '{JUDGED - days * DAY}'"
        )
    ((n, share),) = [row[1:] for row in _rows(base.feeds(), "lateness", "feed", "n", "observed") if row[0] == "orders"]
    assert n == 42
    assert share == pytest.approx(42 / (42 + 7 * 700), rel=0.1)


def test_a_bounce_counts_against_the_sends_of_three_days() -> None:
    base = healthy_base().change(
        f"update observations.feed_days set n_sent = case when day = date '{JUDGED - 2 * DAY}' then 600 else 0 end, "
        f"n_hard_bounces = 6, n_soft_bounces = 3 where feed = 'events' and source = 'web' and day >= date '{JUDGED - 2 * DAY}'",
        "delete from observations.feed_days where feed = 'events' and source = 'store'",
    )
    assert _rows(base.feeds(), "bounces", "feed", "observed", "n") == [("events", 9 / 600, 9)]


def test_deliveries_of_the_judged_night_begin_at_local_midnight() -> None:
    base = healthy_base()
    # 22:00 UTC is midnight in Paris in summer.
    for at, quarantined in (("21:59:59", 100), ("22:00:00", 7)):
        base.change(
            f"insert into ops.feed_deliveries select timestamp '{JUDGED} {at}', 'orders', 1, 100, 100, {quarantined}, 0, 0, 3, "
            "0, [], [], false"
        )
    assert ("orders", 7) in _rows(base.feeds(), "quarantine", "feed", "n")
    since = datetime(2026, 5, 20, 21, 30, tzinfo=UTC)
    frames = feed_frames(base.rows, VARS, JUDGED, calendar=base.calendar, night=since)
    assert ("orders", 107) in _rows(frames, "quarantine", "feed", "n")


def test_the_first_delivery_is_judged_by_the_bound_of_the_quarantine() -> None:
    base = healthy_base().change("delete from ops.feed_deliveries where ingested_at < {night}")
    frames = base.feeds()
    assert {high for (high,) in _rows(frames, "quarantine", "high")} == {VARS.alerts.bounds["quarantine_share"]}
    assert _rows(frames, "duplicates", "feed") == []


def test_columns_are_compared_with_those_of_a_week_before() -> None:
    base = healthy_base().change(
        "update ops.feed_deliveries set missing_columns = ['email', 'city'], unknown_columns = ['x', 'y'] "
        "where feed = 'customers' and ingested_at >= {night} - interval 7 day"
    )
    found = {feed: (count, detail) for feed, count, detail in _rows(base.feeds(), "schemas", "feed", "observed", "detail")}
    assert found["customers"] == (4, "city, email, +2")
    assert found["orders"] == (0, "")


def test_before_any_close_nothing_is_compared_with_the_marts() -> None:
    base = replace(healthy_base(), state=WarehouseState()).change("drop schema marts cascade", "drop schema core cascade")
    frames = base.feeds()
    assert _rows(frames, "optin_stock", "feed") == []
    assert _rows(frames, "departures", "feed") == []
    marts = base.marts()
    assert {len(_rows(marts, name, "observed")) for name in marts} == {0}


@pytest.mark.parametrize(
    ("judged", "days"), [(date(2026, 5, 5), []), (date(2026, 5, 30), []), (date(2026, 5, 31), [1]), (date(2026, 6, 5), [6])]
)
def test_a_month_is_due_from_the_day_after_its_last(judged: date, days: Sequence[int]) -> None:
    from orchestration.alerts.frames import mart_frames

    base = healthy_base()
    frames = mart_frames(base.rows, VARS, judged, state=base.state)
    found = _rows(frames, "deadlines", "month", "observed")
    assert [observed for month, observed in found if month == "2026-05"] == days
    assert [observed for month, observed in found if month != "2026-05"] == [0] * 12


def test_a_wrong_sum_of_any_month_of_a_close_is_judged() -> None:
    base = healthy_base().change(
        f"update observations.month_shares set numerator = -2 where measure = 'waterfall_gap' and source = 'web' "
        f"and item = 'sms' and snapshot_month = '{MONTHS[-3]}'"
    )
    frames = base.marts(MONTHS[-3:])
    assert ("sms", "web", 2, "2026-02") in _rows(frames, "waterfall_gaps", "channel", "source", "observed", "detail")


def test_a_broken_table_breaks_only_its_own_frames() -> None:
    frames = healthy_base().change("drop table ops.feed_deliveries").feeds()
    broken = {name: frame.error for name, frame in frames.items() if isinstance(frame, Unbuilt)}
    assert broken == dict.fromkeys(("schemas", "duplicates", "quarantine", "future_dates"), "CatalogException")


def test_each_table_of_observations_is_read_once() -> None:
    base, asked = healthy_base(), list[str]()

    def rows(sql: str) -> list[tuple[Any, ...]]:
        asked.append(sql)
        return base.rows(sql)

    feed_frames(rows, VARS, JUDGED, marts=base.rows, closed=base.state.closed, calendar=base.calendar)
    assert len([sql for sql in asked if "observations." in sql or "feed_deliveries" in sql]) == 3


def test_a_feed_that_was_never_observed_has_no_rows() -> None:
    observed = Observations(Base(healthy_base().connection).rows, JUDGED, VARS.zone)
    assert observed.series("n_rows", "accounts") == {}
    assert observed.first_day("accounts") == JUDGED
