"""The observation tables, read for a judged day: rows by feed, source and day, missing values, deliveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

# Rows of a query.
Rows = Callable[[str], Sequence[tuple[Any, ...]]]
Series = Mapping[date, int]

DAY = timedelta(days=1)
# The source that rows of an unknown customer have in the observations.
ORPHAN = "(orphan)"
COUNTS = (
    "n_rows",
    "n_late",
    "n_orphans",
    "n_sent",
    "n_hard_bounces",
    "n_soft_bounces",
    "n_complaints",
    "n_opt_ins",
    "n_opt_outs",
)


@dataclass(frozen=True)
class Delivery:
    """What one ingest read of one table."""

    ingested_at: datetime
    n_read: int
    n_quarantined: int
    n_superseded: int
    n_future_dates: int
    missing_columns: frozenset[str]
    unknown_columns: frozenset[str]


class Observations:
    """What the nights observed up to a judged day; each table is read once, when it is first asked for.

    `rows` answers queries on the warehouse file that the ingest writes. `night` is the instant (UTC) from which deliveries
    belong to the judged night; by default the midnight after the judged day.
    """

    def __init__(self, rows: Rows, judged: date, zone: ZoneInfo, night: datetime | None = None) -> None:
        self._rows = rows
        self._judged = judged
        self._night = _utc_naive(night) if night else _midnight(judged + DAY, zone)
        self._end = _midnight(judged + 2 * DAY, zone)

    @cached_property
    def _days(self) -> Mapping[tuple[str, str], Mapping[str, Series]]:
        found = self._rows(
            f"select feed, source, day, {', '.join(COUNTS)} from observations.feed_days "
            f"where day <= cast('{self._judged}' as date)"
        )
        places: dict[tuple[str, str], dict[str, dict[date, int]]] = {}
        for feed, source, day, *counts in found:
            place = places.setdefault((str(feed), str(source)), {name: {} for name in COUNTS})
            for name, count in zip(COUNTS, counts, strict=True):
                if count is not None:
                    place[name][day] = int(count)
        return places

    @property
    def feeds(self) -> list[str]:
        """The feeds that were ever observed."""
        return sorted({feed for feed, _ in self._days})

    def sources(self, feed: str) -> list[str]:
        """The sources of a feed, without the rows of unknown customers."""
        return sorted(source for name, source in self._days if name == feed and source != ORPHAN)

    def first_day(self, feed: str, source: str | None = None) -> date:
        """Return the first observed day of a feed, or of one of its sources."""
        return min(self.series("n_rows", feed, source), default=self._judged)

    def series(self, name: str, feed: str, source: str | None = None) -> Series:
        """Return a count by day, of one source or of the whole feed; a day on which it does not apply is not in it."""
        total: dict[date, int] = {}
        for (own_feed, own_source), counts in self._days.items():
            if own_feed == feed and source in (None, own_source):
                for day, count in counts[name].items():
                    total[day] = total.get(day, 0) + count
        return total

    @cached_property
    def nulls(self) -> Mapping[tuple[str, str], Mapping[date, tuple[int, int]]]:
        """Missing values and rows by day, of each feed and column."""
        found = self._rows(
            "select feed, column_name, day, n_null, n_rows from observations.feed_columns "
            f"where day <= cast('{self._judged}' as date)"
        )
        columns: dict[tuple[str, str], dict[date, tuple[int, int]]] = {}
        for feed, column, day, n_null, n_rows in found:
            columns.setdefault((str(feed), str(column)), {})[day] = (int(n_null), int(n_rows))
        return columns

    @cached_property
    def deliveries(self) -> Mapping[str, Sequence[Delivery]]:
        """Deliveries up to the end of the judged night by feed, oldest first."""
        found = self._rows(
            "select feed, ingested_at, n_read, n_quarantined, n_superseded, n_future_dates, missing_columns, unknown_columns "
            f"from ops.feed_deliveries where ingested_at < cast('{self._end}' as timestamp) order by ingested_at"
        )
        feeds: dict[str, list[Delivery]] = {}
        for feed, at, n_read, n_quarantined, n_superseded, n_future, missing, unknown in found:
            delivery = Delivery(
                _utc_naive(at),
                int(n_read or 0),
                int(n_quarantined or 0),
                int(n_superseded or 0),
                int(n_future or 0),
                frozenset(missing or ()),
                frozenset(unknown or ()),
            )
            feeds.setdefault(str(feed), []).append(delivery)
        return feeds

    def tonight(self, feed: str) -> Sequence[Delivery]:
        """Return the deliveries of the judged night."""
        return [delivery for delivery in self.deliveries[feed] if delivery.ingested_at >= self._night]

    def before_tonight(self, feed: str, days: int = 0) -> Sequence[Delivery]:
        """Return the deliveries before the judged night, or before the one so many days earlier."""
        end = self._night - days * DAY
        return [delivery for delivery in self.deliveries[feed] if delivery.ingested_at < end]


def _utc_naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Local midnight, as a naive timestamp in UTC."""
    return _utc_naive(datetime.combine(day, time(), tzinfo=zone))
