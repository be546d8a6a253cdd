"""Calendar months of the reporting zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.months import add_months, closable_from, last_closable, month_text, months_between

MONTHS = st.builds(date, st.integers(1900, 2200), st.integers(1, 12), st.just(1))
ZONES = st.sampled_from(
    ["UTC", "Europe/Paris", "America/New_York", "Pacific/Kiritimati", "Pacific/Niue", "America/Havana", "America/Asuncion"]
).map(ZoneInfo)
INSTANTS = st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("month", "count", "expected"),
    [
        (date(2024, 1, 1), 0, date(2024, 1, 1)),
        (date(2024, 12, 1), 1, date(2025, 1, 1)),
        (date(2024, 1, 1), -1, date(2023, 12, 1)),
        (date(2024, 3, 1), 22, date(2026, 1, 1)),
        (date(2024, 3, 31), 1, date(2024, 4, 1)),
    ],
)
def test_add_months(month: date, count: int, expected: date) -> None:
    assert add_months(month, count) == expected


@given(MONTHS, st.integers(-500, 500))
def test_adding_months_can_be_undone(month: date, count: int) -> None:
    assert add_months(add_months(month, count), -count) == month


def test_months_between_includes_both_ends() -> None:
    assert months_between(date(2023, 11, 1), date(2024, 1, 1)) == [date(2023, 11, 1), date(2023, 12, 1), date(2024, 1, 1)]


def test_no_month_lies_between_a_month_and_an_earlier_one() -> None:
    assert months_between(date(2024, 2, 1), date(2024, 1, 1)) == []


def test_month_text() -> None:
    assert month_text(date(2024, 3, 1)) == "2024-03"


@pytest.mark.parametrize(
    ("month", "zone", "grace_days", "expected"),
    [
        (date(2024, 3, 1), "UTC", 0, datetime(2024, 4, 1)),
        (date(2024, 3, 1), "UTC", 2, datetime(2024, 4, 3)),
        (date(2024, 2, 1), "Europe/Paris", 2, datetime(2024, 3, 2, 23)),
        (date(2024, 3, 1), "Europe/Paris", 2, datetime(2024, 4, 2, 22)),
        (date(2024, 12, 1), "America/New_York", 2, datetime(2025, 1, 3, 5)),
        (date(2024, 1, 1), "Pacific/Kiritimati", 0, datetime(2024, 1, 31, 10)),
        # 2017-10-01 began at 01:00 in Asuncion: there was no midnight.
        (date(2017, 9, 1), "America/Asuncion", 0, datetime(2017, 10, 1, 4)),
        # 2020-11-01 had two midnights in Havana: the day began at the first.
        (date(2020, 10, 1), "America/Havana", 0, datetime(2020, 11, 1, 4)),
    ],
)
def test_a_month_can_be_closed_from_the_local_midnight_that_ends_its_grace(
    month: date, zone: str, grace_days: int, expected: datetime
) -> None:
    assert closable_from(month, ZoneInfo(zone), grace_days) == expected.replace(tzinfo=UTC)


@given(INSTANTS, ZONES, st.integers(0, 27))
def test_the_last_closable_month_is_the_latest_whose_grace_is_over(now: datetime, zone: ZoneInfo, grace_days: int) -> None:
    month = last_closable(now, zone, grace_days)
    assert closable_from(month, zone, grace_days) <= now < closable_from(add_months(month, 1), zone, grace_days)


def test_a_month_can_be_closed_at_the_instant_itself_and_not_a_moment_before() -> None:
    zone, instant = ZoneInfo("Europe/Paris"), datetime(2024, 4, 2, 22, tzinfo=UTC)
    assert last_closable(instant, zone, 2) == date(2024, 3, 1)
    assert last_closable(instant - timedelta(microseconds=1), zone, 2) == date(2024, 2, 1)
