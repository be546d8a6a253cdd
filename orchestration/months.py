"""Calendar months of the reporting zone, as the first day of each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def add_months(month: date, count: int) -> date:
    """Return the first day of the month `count` months after `month`."""
    index = month.year * 12 + month.month - 1 + count
    return date(index // 12, index % 12 + 1, 1)


def months_between(first: date, last: date) -> list[date]:
    """Return the months from `first` to `last`, both included; none when `last` is earlier."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [add_months(first, i) for i in range(count)]


def month_text(month: date) -> str:
    """Return a month as `YYYY-MM`."""
    return f"{month:%Y-%m}"


def closable_from(month: date, zone: ZoneInfo, grace_days: int) -> datetime:
    """Return the instant (UTC) from which a month can be closed: its end, plus the grace for late rows."""
    day = add_months(month, 1) + timedelta(days=grace_days)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def last_closable(now: datetime, zone: ZoneInfo, grace_days: int) -> date:
    """Return the latest month that can be closed at `now` (aware)."""
    month = now.astimezone(zone).date().replace(day=1)
    while closable_from(month, zone, grace_days) > now:
        month = add_months(month, -1)
    return month
