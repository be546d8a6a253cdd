"""The real nights of Online Retail."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from benchmarks.alert_walk import CALENDAR, Fired, read_series, walk
from orchestration.alerts.bands import BandParams
from orchestration.alerts.calendar import Calendar, read_calendar
from orchestration.settings import PROJECT_ROOT

DATA = (PROJECT_ROOT / os.environ.get("BATHTUB_TEST_DATA", "../shared/data")).resolve() / "online_retail" / "by-day"
LAST_DAY = date(2011, 12, 9)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"The files of Online Retail are not in {DATA}; BATHTUB_TEST_DATA says where.")
def test_closed_saturdays_and_the_christmas_stop_are_no_outage(tmp_path: Path) -> None:
    series = {(one.feed, one.source): one for one in read_series(DATA, tmp_path)}
    orders = series["orders", ""]
    assert (len(orders.counts), sum(orders.counts.values())) == (305, 22_190)

    def nights(calendar: Calendar) -> list[Fired]:
        return list(walk(orders, LAST_DAY, calendar, BandParams()))

    known = nights(read_calendar(CALENDAR))
    assert not [night for night in known if night.check == "source_missing"]
    # The last file ends at 12:50.
    assert [night.judged for night in known if not night.band.is_warming_up] == [LAST_DAY]
    missing = [night.judged for night in nights(Calendar()) if night.check == "source_missing"]
    assert date(2010, 12, 24) in missing
