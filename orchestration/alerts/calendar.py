"""The days on which a feed is not itself: public holidays, promotions, imports, closures, from the seed `calendar`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, get_args

from orchestration.settings import DBT_PROJECT_DIR

Kind = Literal["holiday", "promotion", "import", "closure"]

CALENDAR_CSV = DBT_PROJECT_DIR / "seeds" / "calendar.csv"
COLUMNS = ("first_day", "last_day", "kind", "feed", "source", "note")
# Fewer rows than usual are no surprise on the first, more are none on the others.
LOWERING: frozenset[Kind] = frozenset({"holiday", "closure"})
RAISING: frozenset[Kind] = frozenset({"promotion", "import"})
KINDS: Mapping[str, Kind] = {kind: kind for kind in get_args(Kind)}
# An entry is a span of days, not an age.
LONGEST = timedelta(days=3_660)


class CalendarError(Exception):
    """The calendar cannot be read; the message names file, line, column and what is allowed."""


@dataclass(frozen=True)
class Entry:
    """Days, both ends included, of one kind; no feed stands for all feeds, no source for all of them."""

    first_day: date
    last_day: date
    kind: Kind
    feed: str = ""
    source: str = ""
    note: str = ""


class Calendar:
    """What is known beforehand about days. `of` narrows it to one feed and source, which is what a band asks for."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = tuple(entries)
        days: dict[date, frozenset[Kind]] = {}
        for entry in self._entries:
            for step in range((entry.last_day - entry.first_day).days + 1):
                day = entry.first_day + timedelta(days=step)
                days[day] = days.get(day, frozenset()) | {entry.kind}
        self._days = days

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries, in the order of the file."""
        return self._entries

    def of(self, feed: str, source: str | None = None) -> Calendar:
        """Return the part that concerns a feed and one of its sources (as in the observations: trimmed, lower case).

        Without a source, the feed as a whole: what raises one of its sources raises it too, but a source that is closed does
        not excuse an empty feed.
        """

        def concerns(entry: Entry) -> bool:
            if entry.feed not in ("", feed):
                return False
            return entry.source in ("", source) or (source is None and entry.kind in RAISING)

        return Calendar(entry for entry in self._entries if concerns(entry))

    def kinds(self, day: date) -> frozenset[Kind]:
        """Return what a day is; nothing for a usual one."""
        return self._days.get(day, frozenset())


def read_calendar(path: Path = CALENDAR_CSV) -> Calendar:
    """Read the calendar from a CSV file with the columns of the seed.

    Raises:
        CalendarError: the file is missing, lacks a column, or a line has a value that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CalendarError(f"{path} cannot be read as UTF-8 text; put the seed's CSV file there.") from error
    lines = csv.DictReader(text.splitlines())
    if missing := [column for column in COLUMNS if column not in (lines.fieldnames or ())]:
        raise CalendarError(f"{path} lacks the column {', '.join(missing)}; its columns are {', '.join(COLUMNS)}.")
    return Calendar(_entry(line, f"{path}, line {lines.line_num}") for line in lines)


def _entry(line: Mapping[str, str | None], where: str) -> Entry:
    def text(column: str) -> str:
        return (line.get(column) or "").strip()

    def day(column: str) -> date:
        try:
            return date.fromisoformat(text(column))
        except ValueError:
            raise CalendarError(f"{where}: {column} = {text(column)!r}; allowed: a day written YYYY-MM-DD.") from None

    first, last, kind = day("first_day"), day("last_day"), KINDS.get(text("kind").lower())
    if kind is None:
        raise CalendarError(f"{where}: kind = {text('kind')!r}; allowed: {', '.join(KINDS)}.")
    if not first <= last <= first + LONGEST:
        raise CalendarError(f"{where}: last_day = {last}; allowed: from first_day ({first}) to ten years later.")
    return Entry(first, last, kind, text("feed").lower(), text("source").lower(), text("note"))
