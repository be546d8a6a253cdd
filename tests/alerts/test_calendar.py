"""The calendar of the alerts: what is read, what it concerns, what is refused."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from orchestration.alerts.calendar import Calendar, CalendarError, Entry, read_calendar

HEADER = "first_day,last_day,kind,feed,source,note\n"
MAY = date(2026, 5, 4)


def calendar_of(tmp_path: Path, *lines: str) -> Calendar:
    file = tmp_path / "calendar.csv"
    file.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    return read_calendar(file)


# From the almanac.
EASTER = (date(2023, 4, 9), date(2024, 3, 31), date(2025, 4, 20), date(2026, 4, 5), date(2027, 3, 28), date(2028, 4, 16))


def test_the_shipped_calendar_holds_the_public_holidays_of_france() -> None:
    expected = set()
    for sunday in EASTER:
        moving = {sunday + timedelta(days=days) for days in (1, 39, 50)}
        fixed = {(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)}
        expected |= moving | {date(sunday.year, month, day) for month, day in fixed}
    shipped = read_calendar()
    assert {entry.first_day for entry in shipped.entries} == expected
    assert all(shipped.of("orders", "web").kinds(day) == {"holiday"} for day in expected)


def test_both_ends_of_a_span_belong_to_it(tmp_path: Path) -> None:
    calendar = calendar_of(tmp_path, "2026-05-04,2026-05-06,promotion,,,spring")
    marked = [day for day in range(1, 10) if calendar.kinds(date(2026, 5, day))]
    assert marked == [4, 5, 6]


def test_a_day_may_be_of_two_kinds(tmp_path: Path) -> None:
    calendar = calendar_of(tmp_path, "2026-05-04,2026-05-04,promotion,,,", "2026-05-04,2026-05-04,holiday,,,")
    assert calendar.kinds(MAY) == {"promotion", "holiday"}


@pytest.mark.parametrize(
    ("feed", "source", "concerned"),
    [
        ("orders", "web", True),
        ("orders", "till", False),
        ("customers", "web", False),
    ],
)
def test_an_entry_concerns_its_feed_and_source_alone(tmp_path: Path, feed: str, source: str, concerned: bool) -> None:
    calendar = calendar_of(tmp_path, "2026-05-04,2026-05-04,closure,Orders, Web ,")
    assert bool(calendar.of(feed, source).kinds(MAY)) is concerned


def test_an_entry_without_feed_and_source_concerns_all(tmp_path: Path) -> None:
    calendar = calendar_of(tmp_path, "2026-05-04,2026-05-04,holiday,,,")
    assert calendar.of("events", "app").kinds(MAY) == {"holiday"}
    assert calendar.of("events").kinds(MAY) == {"holiday"}


def test_a_closed_source_does_not_excuse_its_whole_feed_but_a_promotion_raises_it() -> None:
    calendar = Calendar([Entry(MAY, MAY, "closure", "orders", "web"), Entry(MAY, MAY, "import", "orders", "till")])
    assert calendar.of("orders").kinds(MAY) == {"import"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2026-05-32,2026-05-31,holiday,,,", r"line 2: first_day = '2026-05-32'; allowed: a day written YYYY-MM-DD"),
        ("2026-05-01,,holiday,,,", r"line 2: last_day = ''"),
        ("2026-05-02,2026-05-01,holiday,,,", r"line 2: last_day = 2026-05-01; allowed: from first_day"),
        ("2026-05-01,2226-05-01,holiday,,,", r"line 2: last_day = 2226-05-01"),
        ("2026-05-01,2026-05-01,sale,,,", r"line 2: kind = 'sale'; allowed: holiday, promotion, import, closure"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(CalendarError, match=told):
        calendar_of(tmp_path, line)


def test_a_missing_column_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match=r"nowhere\.csv cannot be read"):
        read_calendar(tmp_path / "nowhere.csv")
    (tmp_path / "short.csv").write_text("first_day,last_day,kind\n", encoding="utf-8")
    with pytest.raises(CalendarError, match="lacks the column feed, source, note"):
        read_calendar(tmp_path / "short.csv")


def test_a_calendar_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    file = tmp_path / "calendar.csv"
    file.write_bytes(b"\xef\xbb\xbf" + (HEADER + "2026-05-04,2026-05-04,holiday,,,f\u00eate\n").replace("\n", "\r\n").encode())
    assert [entry.note for entry in read_calendar(file).entries] == ["f\u00eate"]
