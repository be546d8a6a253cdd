"""The schedule of the close: when it ticks and what it asks for."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from dagster import DagsterInstance, DefaultScheduleStatus, RunRequest, SkipReason, build_schedule_context

from orchestration.close import CloseError, record_closed
from orchestration.jobs import CLOSE_HOUR, monthly_schedule, partition_range
from orchestration.months import add_months, closable_from, last_closable, months_between
from orchestration.partitions import monthly_partitions
from orchestration.settings import Settings
from orchestration.warehouse import remember_first_month
from tests.orchestration.conftest import Home

ZONES = ["UTC", "Europe/Paris", "America/New_York", "Pacific/Kiritimati", "America/Havana"]


def _base(path: Path, first: date, closed: list[date]) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("create schema ops; create table ops.warehouse (first_month date)")
        con.execute("insert into ops.warehouse values (?)", [first])
    if closed:
        record_closed(path, closed, datetime(2024, 1, 1, tzinfo=UTC), "run")


def _tick(settings: Settings, at: datetime) -> object:
    with (
        DagsterInstance.ephemeral() as instance,
        build_schedule_context(instance, scheduled_execution_time=at) as context,
    ):
        return monthly_schedule(settings)(context)


def _paris(*at: int) -> datetime:
    year, month, day, hour = at
    return datetime(year, month, day, hour, tzinfo=ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize(("grace_days", "cron"), [(0, "0 4 1 * *"), (2, "0 4 3 * *"), (27, "0 4 28 * *")])
@pytest.mark.parametrize("zone", ZONES)
def test_it_ticks_the_night_after_the_grace_in_the_reporting_zone(home: Home, zone: str, grace_days: int, cron: str) -> None:
    schedule = monthly_schedule(home.settings(BATHTUB_VARS=f"{{reporting_timezone: {zone}, closing_grace_days: {grace_days}}}"))
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, zone)
    assert schedule.default_status is DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "monthly_close"


@pytest.mark.parametrize("grace_days", [0, 2, 27])
@pytest.mark.parametrize("zone", ZONES)
def test_at_the_tick_the_month_that_ended_can_be_closed_and_a_day_before_it_cannot(zone: str, grace_days: int) -> None:
    for month in months_between(date(2024, 1, 1), date(2024, 12, 1)):
        after = add_months(month, 1)
        tick = datetime(after.year, after.month, 1 + grace_days, CLOSE_HOUR, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert last_closable(tick, ZoneInfo(zone), grace_days) == month
        assert 0 <= (tick - closable_from(month, ZoneInfo(zone), grace_days)).total_seconds() <= 5 * 3600


def test_the_month_that_ended_is_asked_for(home: Home) -> None:
    _base(home.warehouse, date(2024, 1, 1), months_between(date(2024, 1, 1), date(2024, 3, 1)))
    request = _tick(home.settings(), _paris(2024, 5, 3, 4))
    assert isinstance(request, RunRequest)
    assert request.run_key == "2024-04"
    assert request.tags == {
        "dagster/asset_partition_range_start": "2024-04",
        "dagster/asset_partition_range_end": "2024-04",
    }


def test_the_months_that_were_missed_are_asked_for_in_one_run(home: Home) -> None:
    _base(home.warehouse, date(2023, 11, 1), [date(2023, 11, 1)])
    request = _tick(home.settings(), _paris(2024, 3, 3, 4))
    assert isinstance(request, RunRequest)
    assert request.run_key == "2024-02"
    assert request.tags == {
        "dagster/asset_partition_range_start": "2023-12",
        "dagster/asset_partition_range_end": "2024-02",
    }


def test_a_base_of_which_nothing_is_closed_begins_with_its_first_month(home: Home) -> None:
    _base(home.warehouse, date(2023, 11, 1), [])
    request = _tick(home.settings(), _paris(2024, 3, 3, 4))
    assert isinstance(request, RunRequest)
    assert request.tags == partition_range(months_between(date(2023, 11, 1), date(2024, 2, 1)))


def test_a_tick_in_the_grace_leaves_the_month_open(home: Home) -> None:
    _base(home.warehouse, date(2024, 1, 1), [date(2024, 1, 1)])
    assert isinstance(_tick(home.settings(), _paris(2024, 3, 2, 23)), SkipReason)
    assert isinstance(_tick(home.settings(), _paris(2024, 3, 3, 0)), RunRequest)


def test_nothing_is_asked_for_when_all_is_closed(home: Home) -> None:
    _base(home.warehouse, date(2024, 1, 1), months_between(date(2024, 1, 1), date(2024, 4, 1)))
    skipped = _tick(home.settings(), _paris(2024, 5, 3, 4))
    assert isinstance(skipped, SkipReason)
    assert "No month is open" in str(skipped.skip_message)


def test_nothing_is_asked_for_before_there_is_a_warehouse(home: Home) -> None:
    assert isinstance(_tick(home.settings(), _paris(2024, 5, 3, 4)), SkipReason)
    assert not home.warehouse.exists()


def test_a_first_month_that_is_most_likely_wrong_is_said_at_the_tick(home: Home) -> None:
    _base(home.warehouse, date(1970, 1, 1), [])
    with pytest.raises(CloseError, match="most likely a wrong date"):
        _tick(home.settings(), _paris(2024, 5, 3, 4))


# ---- the months that Dagster shows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "variables", "expected"),
    [
        ("2024-02", "{}", "2024-02"),
        ("2024-02", "{first_month: 2024-05}", "2024-05"),
        ("2024-02", "{first_month: 2020-05}", "2024-02"),
        (None, "{first_month: 2020-05}", "2020-05"),
    ],
)
def test_the_months_begin_where_the_base_does(home: Home, found: str | None, variables: str, expected: str) -> None:
    if found:
        _base(home.warehouse, date.fromisoformat(f"{found}-01"), [])
        remember_first_month(home.warehouse)
    assert monthly_partitions(home.settings(BATHTUB_VARS=variables)).get_partition_keys()[0] == expected


def test_three_years_are_shown_before_anything_is_known(home: Home) -> None:
    settings = home.settings()
    last = last_closable(datetime.now(UTC), settings.vars.zone, settings.vars.closing_grace_days)
    assert monthly_partitions(settings).get_partition_keys()[0] == f"{add_months(last, -35):%Y-%m}"


def test_the_months_are_local_months(home: Home) -> None:
    partitions = monthly_partitions(home.settings(BATHTUB_VARS="{first_month: 2024-03, reporting_timezone: America/New_York}"))
    window = partitions.time_window_for_partition_key("2024-03")
    assert window.start.astimezone(UTC) == datetime(2024, 3, 1, 5, tzinfo=UTC)
    assert window.end.astimezone(UTC) == datetime(2024, 4, 1, 4, tzinfo=UTC)
