"""The small frames on which Great Expectations judges: a row per place, what was observed there and its band.

Frames hold counts and names of places (feed, source, column, field, channel), never a value of a person.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestration.alerts.bands import Band, BandParams, share_band, silence, volume_band
from orchestration.alerts.calendar import Calendar, read_calendar
from orchestration.alerts.observations import DAY, Observations, Rows, Series
from orchestration.close import WarehouseState, first_month
from orchestration.months import add_months, month_text
from orchestration.settings import Vars

if TYPE_CHECKING:
    import pandas as pd

# Columns that name a place; a frame fills those that its checks name.
SCOPE = ("feed", "source", "column", "channel", "field", "month", "scope")
# Values shown beside the judged one, which is the last of them.
SHOWN = 14
WEEK = 7
# Days of sends that a bounce or a complaint of a day can answer.
ANSWERED_DAYS = 3
# Days before the judged night whose delivery the columns are compared with: so long a change of columns is told.
SCHEMA_DAYS = 7
# Weeks whose same weekday the mix of sources is compared with.
MIX_WEEKS = 4
# Deliveries that it takes to know how many rows of one are usually in quarantine, or superseded.
LEAST_DELIVERIES = 5
SHOWN_DELIVERIES = 60
# How far back the begin of a failure is looked for.
LONGEST_FAILURE = 60
DEADLINES_SHOWN = 12


@dataclass(frozen=True)
class Row:
    """What is judged in one place. `low` and `high` are infinite where there is no bound.

    `n` counts the rows that speak (the late ones, the empty ones …): a check can ask for a least number of them. `history` ends
    with the judged value. `since` is the first day of the failure, None where it began on the judged day or there is none.
    """

    place: Mapping[str, str]
    observed: float
    low: float = -math.inf
    high: float = math.inf
    n: float = 0
    history: tuple[float | None, ...] = ()
    since: date | None = None
    is_warming_up: bool = False
    period: str = "day"
    silent_days: float = 0
    silence_limit: float = math.inf
    is_silent: bool = False
    is_confirmed: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Unbuilt:
    """A frame that could not be built, and the class of the exception that said so."""

    error: str


COLUMNS = (*SCOPE, *(field.name for field in dataclasses.fields(Row) if field.name != "place"))

Frames = Mapping[str, "pd.DataFrame | Unbuilt"]


def feed_frames(
    rows: Rows,
    variables: Vars,
    judged: date,
    *,
    marts: Rows | None = None,
    closed: Sequence[date] = (),
    calendar: Calendar | None = None,
    night: datetime | None = None,
) -> Frames:
    """Return the frames of the feeds for a judged local day.

    `rows` answers queries on the warehouse file, where the observations are; `marts` on the engine that holds the `closed`
    months, by default the same. `calendar` is that of the project by default. Deliveries from `night` (UTC) on are judged, by
    default those from the midnight after the judged day on. A frame that cannot be built is `Unbuilt`.
    """
    feeds = _Feeds(rows, marts or rows, variables, judged, tuple(closed), calendar, night)
    return {
        "feed_silences": _built(feeds.feed_silences),
        "sources": _built(feeds.silent_sources),
        "volumes": _built(feeds.volumes),
        "lateness": _built(feeds.lateness),
        "schemas": _built(feeds.schemas),
        "duplicates": _built(feeds.duplicates),
        "orphans": _built(feeds.orphans),
        "nulls": _built(feeds.nulls),
        "quarantine": _built(feeds.quarantine),
        "bounces": _built(feeds.bounces),
        "complaints": _built(feeds.complaints),
        "unsubscribes": _built(feeds.unsubscribes),
        "optin_stock": _built(feeds.optin_stock),
        "departures": _built(feeds.departures),
        "mix": _built(feeds.mix),
        "future_dates": _built(feeds.future_dates),
    }


def mart_frames(rows: Rows, variables: Vars, judged: date, *, state: WarehouseState, months: Sequence[date] = ()) -> Frames:
    """Return the frames of the marts: of the `months` that are being closed, or of the last closed one.

    `rows` answers queries on the engine (in a close, on its working copy); `state` is that before the close. A frame that
    cannot be built is `Unbuilt`.
    """
    marts = _Marts(rows, variables, judged, state, tuple(sorted(months)))
    return {
        "deadlines": _built(marts.deadlines),
        "flow_gaps": _built(lambda: marts.gaps("flows_gap", "scope")),
        "waterfall_gaps": _built(lambda: marts.gaps("waterfall_gap", "channel")),
        "fill_rates": _built(lambda: marts.rates("fill_rate", "field", {f.name for f in variables.profile_fields if f.key})),
        "optin_rates": _built(lambda: marts.rates("optin_rate", "channel", {*variables.channels, "any"})),
    }


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows as a frame of all `COLUMNS`; the parts of a place that a row does not name are empty."""
    import pandas as pd

    values = [name for name in COLUMNS if name not in SCOPE]
    lines = [
        {**{part: row.place.get(part, "") for part in SCOPE}, **{name: getattr(row, name) for name in values}} for row in rows
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _built(rows: Callable[[], Sequence[Row]]) -> pd.DataFrame | Unbuilt:
    # One broken table must not silence the checks of the others; judging reports it as unknown.
    try:
        return frame_of(rows())
    except Exception as error:
        return Unbuilt(type(error).__name__)


@dataclass(frozen=True)
class _Reading:
    """A value of a day with its band."""

    observed: float
    low: float
    high: float
    n: float = 0
    is_warming_up: bool = False
    period: str = "day"

    @property
    def is_outside(self) -> bool:
        return not self.low <= self.observed <= self.high


Read = Callable[[date], "_Reading | None"]


@dataclass(frozen=True)
class _Feeds:
    rows: Rows
    marts: Rows
    variables: Vars
    judged: date
    closed: tuple[date, ...]
    given_calendar: Calendar | None
    night: datetime | None

    @cached_property
    def observed(self) -> Observations:
        return Observations(self.rows, self.judged, self.variables.zone, self.night)

    @cached_property
    def calendar(self) -> Calendar:
        return read_calendar() if self.given_calendar is None else self.given_calendar

    @cached_property
    def params(self) -> BandParams:
        alerts = self.variables.alerts
        return BandParams.of(alerts.training_days, alerts.warm_up_days, alerts.bounds)

    @property
    def bounds(self) -> Mapping[str, float]:
        return self.variables.alerts.bounds

    def feed_silences(self) -> list[Row]:
        return [row for feed in self.observed.feeds if (row := self._silent(feed, None))]

    def silent_sources(self) -> list[Row]:
        return [row for feed, source in self._places() if (row := self._silent(feed, source))]

    def volumes(self) -> list[Row]:
        return [row for feed, source in self._places() if (row := self._volume(feed, source))]

    def _places(self) -> list[tuple[str, str]]:
        return [(feed, source) for feed in self.observed.feeds for source in self.observed.sources(feed)]

    def _silent(self, feed: str, source: str | None) -> Row | None:
        """Rows of the judged day, and for how many open days there were none."""
        series, first = self.observed.series("n_rows", feed, source), self.observed.first_day(feed, source)
        quiet = silence(series, self.judged, first, self.calendar.of(feed, source), self.params)
        if quiet is None:
            return None
        since = self.judged
        while quiet.days and since > first and not series.get(since - DAY, 0):
            since -= DAY
        return Row(
            _place(feed=feed, source=source),
            series.get(self.judged, 0),
            low=1 if quiet.is_missing else 0,
            history=_days(series, self.judged, first),
            since=since if quiet.is_missing else None,
            is_warming_up=self._is_warming_up(first),
            silent_days=quiet.days,
            is_silent=quiet.is_missing,
            silence_limit=quiet.limit,
        )

    def _volume(self, feed: str, source: str) -> Row | None:
        series, first = self.observed.series("n_rows", feed, source), self.observed.first_day(feed, source)
        calendar = self.calendar.of(feed, source)
        quiet = silence(series, self.judged, first, calendar, self.params)
        read = self._volume_reader(series, first, calendar)
        row = self._row(_place(feed=feed, source=source), read, lambda period: _counted(series, self.judged, first, period))
        if row is None or quiet is None:
            return None
        return replace(row, is_silent=quiet.is_missing)

    def _volume_reader(self, series: Series, first: date, calendar: Calendar) -> Read:
        def read(day: date) -> _Reading | None:
            band = volume_band(series, day, first, calendar, self.params)
            if band is None:
                return None
            observed = _count(series, day, band.period)
            return _Reading(observed, band.low, band.high, observed, band.is_warming_up, band.period)

        return read

    def lateness(self) -> list[Row]:
        """Late rows of the seven days before the judged one, whose own late rows are still to come."""
        found = []
        for feed in self.observed.feeds:
            late, on_time = self.observed.series("n_late", feed), self.observed.series("n_rows", feed)
            days = [self.judged - step * DAY for step in range(1, WEEK + 1)]
            n_late, n_rows = sum(late.get(day, 0) for day in days), sum(on_time.get(day, 0) for day in days)
            if n_late + n_rows:
                history = [_share(late.get(day, 0), late.get(day, 0) + on_time.get(day, 0)) for day in _shown(self.judged)]
                row = Row(_place(feed=feed), n_late / (n_late + n_rows), n=n_late, history=tuple(history))
                found.append(replace(row, is_warming_up=self._is_warming_up(self.observed.first_day(feed))))
        return found

    def orphans(self) -> list[Row]:
        found = []
        for feed in self.observed.feeds:
            parts, wholes = self.observed.series("n_orphans", feed), self.observed.series("n_rows", feed)
            if parts:
                pairs = {day: (parts.get(day, 0), n) for day, n in wholes.items()}
                found.append(self._share_row(_place(feed=feed), pairs, self.params))
        return [row for row in found if row]

    def nulls(self) -> list[Row]:
        columns = self.observed.nulls.items()
        found = [self._share_row(_place(feed=feed, column=name), days, self.params) for (feed, name), days in columns]
        return [row for row in found if row]

    def bounces(self) -> list[Row]:
        return self._answers("n_hard_bounces", "n_soft_bounces")

    def complaints(self) -> list[Row]:
        # A share of two in a thousand is already much: the narrowest band of other shares would hide it.
        params = replace(self.params, min_share_change=self.bounds["complaint_change"])
        return self._answers("n_complaints", params=params)

    def _answers(self, *names: str, params: BandParams | None = None) -> list[Row]:
        """Answers of a day to the sends of that day and the two before."""
        sent = self.observed.series("n_sent", "events")
        counts = [self.observed.series(name, "events") for name in names]
        days: dict[date, tuple[int, int]] = {}
        for day in {*sent, *(day for series in counts for day in series)}:
            n_sent = sum(sent.get(day - step * DAY, 0) for step in range(ANSWERED_DAYS))
            days[day] = (min(sum(series.get(day, 0) for series in counts), n_sent), n_sent)
        row = self._share_row(_place(feed="events"), days, params or self.params)
        return [row] if row else []

    def _share_row(self, place: Mapping[str, str], days: Mapping[date, tuple[int, int]], params: BandParams) -> Row | None:
        """A share of the judged day against its band over the training days; None where there is nothing to judge (yet)."""
        first = min(days, default=self.judged)

        def read(day: date) -> _Reading | None:
            part, whole = days.get(day, (0, 0))
            begin = day - params.training_days * DAY
            history = [pair for other, pair in days.items() if begin <= other < day and pair[1]]
            if not whole or len(history) < params.least_days:
                return None
            band = share_band(history, params, whole)
            return _Reading(part / whole, -math.inf, band.high, part, self._is_warming_up(first))

        return self._row(place, read, lambda _: tuple(_share(*days.get(day, (0, 0))) for day in _shown(self.judged)))

    def unsubscribes(self) -> list[Row]:
        series, calendar = self.observed.series("n_opt_outs", "consents"), self.calendar.of("consents")
        first = self.observed.first_day("consents")
        read = self._volume_reader(series, first, calendar)

        def read_high(day: date) -> _Reading | None:
            reading = read(day)
            return reading and replace(reading, low=-math.inf)

        row = self._row(_place(feed="consents"), read_high, lambda period: _counted(series, self.judged, first, period))
        return [row] if row else []

    def optin_stock(self) -> list[Row]:
        """Net opt-outs of the day against the opt-ins of the latest close, both by person and channel."""
        if not self.closed:
            return []
        found = self.marts(
            "select sum(n_opted_in) from marts.optin_rate_monthly "
            f"where snapshot_month = cast('{max(self.closed)}' as date) and channel <> 'any'"
        )
        stock = int(found[0][0] or 0) if found else 0
        if not stock:
            return []
        outs, ins = self.observed.series("n_opt_outs", "consents"), self.observed.series("n_opt_ins", "consents")
        shares = [(outs.get(day, 0) - ins.get(day, 0)) / stock for day in _shown(self.judged)]
        net = outs.get(self.judged, 0) - ins.get(self.judged, 0)
        return [Row(_place(feed="consents"), shares[-1], n=net, history=tuple(shares))]

    def departures(self) -> list[Row]:
        """Profiles of the latest close that are gone, unless somebody confirmed that they are."""
        if not self.closed:
            return []
        from orchestration.alerts.deletions import departures

        found = departures(self.marts)
        if found is None or not found.n_base:
            return []
        confirmed = self._most_confirmed(max(self.closed))
        row = Row(_place(feed="customers"), found.n_gone / found.n_base, n=found.n_gone, is_confirmed=found.n_gone <= confirmed)
        return [row]

    def _most_confirmed(self, month: date) -> int:
        there = self.rows(
            "select 1 from information_schema.tables where table_schema = 'ops' and table_name = 'confirmed_deletions'"
        )
        if not there:
            return 0
        found = self.rows(f"select max(n_profiles) from ops.confirmed_deletions where snapshot_month = cast('{month}' as date)")
        return int(found[0][0] or 0)

    def mix(self) -> list[Row]:
        """Distance between the shares of the sources on the day and on the same weekday of the weeks before."""
        feed = "customers"
        if feed not in self.observed.feeds:
            return []
        calendar = self.calendar.of(feed)
        # A missing source is told as such: it must not count as a shift of the others.
        silent = {row.place["source"] for row in self.silent_sources() if row.is_silent}
        series = {source: self.observed.series("n_rows", feed, source) for source in self.observed.sources(feed)}
        present = [counts for source, counts in series.items() if source not in silent]

        def read(day: date) -> _Reading | None:
            before = [day - week * WEEK * DAY for week in range(1, MIX_WEEKS + 1)]
            usual = [other for other in before if not calendar.kinds(other)]
            own = [counts.get(day, 0) for counts in present]
            reference = [sum(counts.get(other, 0) for other in usual) for counts in present]
            if calendar.kinds(day) or len(usual) < 2 or not sum(own) or not sum(reference):
                return None
            distance, noise = _distance(own, reference)
            return _Reading(distance, -math.inf, max(self.bounds["mix_shift"], 2 * noise), sum(own))

        def history(_: str) -> tuple[float | None, ...]:
            return tuple(reading.observed if (reading := read(day)) else None for day in _shown(self.judged))

        row = self._row(_place(feed=feed), read, history)
        first = self.observed.first_day(feed)
        if row is None or (self.judged - first).days < MIX_WEEKS * WEEK:
            return []
        return [replace(row, is_warming_up=self._is_warming_up(first))]

    def schemas(self) -> list[Row]:
        found = []
        for feed, deliveries in self.observed.deliveries.items():
            last = deliveries[-1]
            known = (self.observed.before_tonight(feed, SCHEMA_DAYS) or deliveries[:1])[-1]
            missing, unknown = last.missing_columns ^ known.missing_columns, last.unknown_columns ^ known.unknown_columns
            # Columns of the contract have names; others are counted, since the header of a wrong file may hold anything.
            parts = [*sorted(missing), *([f"+{len(unknown)}"] if unknown else [])]
            found.append(Row(_place(feed=feed), len(missing) + len(unknown), detail=", ".join(parts)))
        return found

    def quarantine(self) -> list[Row]:
        bound = self.bounds["quarantine_share"]
        return self._delivered(lambda delivery: delivery.n_quarantined, without_history=bound)

    def duplicates(self) -> list[Row]:
        return self._delivered(lambda delivery: delivery.n_superseded, without_history=None)

    def _delivered(self, count: Callable[[Any], int], without_history: float | None) -> list[Row]:
        """Share of the rows read in the night, against that of the deliveries before."""
        found = []
        for feed in self.observed.deliveries:
            tonight = self.observed.tonight(feed)
            part, whole = sum(map(count, tonight)), sum(delivery.n_read for delivery in tonight)
            pairs = [(count(delivery), delivery.n_read) for delivery in self.observed.before_tonight(feed)]
            history = [pair for pair in pairs if pair[1]][-SHOWN_DELIVERIES:]
            high = without_history
            if len(history) >= LEAST_DELIVERIES:
                high = share_band(history, self.params, whole).high
            if whole and high is not None:
                shown = [_share(*pair) for pair in [*history[1 - SHOWN :], (part, whole)]]
                found.append(Row(_place(feed=feed), part / whole, high=high, n=part, history=tuple(shown)))
        return found

    def future_dates(self) -> list[Row]:
        """Rows with a date in the future that the deliveries of the night added to those of the history."""
        found = []
        for feed, deliveries in self.observed.deliveries.items():
            before = self.observed.before_tonight(feed)
            if not before:
                continue
            added = deliveries[-1].n_future_dates - before[-1].n_future_dates
            shown = tuple(float(delivery.n_future_dates) for delivery in deliveries[-SHOWN:])
            found.append(Row(_place(feed=feed), max(added, 0), n=max(added, 0), history=shown))
        return found

    def _row(self, place: Mapping[str, str], read: Read, history: Callable[[str], tuple[float | None, ...]]) -> Row | None:
        reading = read(self.judged)
        if reading is None:
            return None
        return Row(
            place,
            reading.observed,
            reading.low,
            reading.high,
            n=reading.n,
            history=history(reading.period),
            since=_since(read, self.judged) if reading.is_outside else None,
            is_warming_up=reading.is_warming_up,
            period=reading.period,
        )

    def _is_warming_up(self, first: date) -> bool:
        return (self.judged - first).days < self.variables.alerts.warm_up_days


@dataclass(frozen=True)
class _Marts:
    rows: Rows
    variables: Vars
    judged: date
    state: WarehouseState
    months: tuple[date, ...]

    @cached_property
    def closed(self) -> list[date]:
        return sorted({*self.state.closed, *self.months})

    def deadlines(self) -> list[Row]:
        """The oldest open month that has ended, and the closed ones before it."""
        high = self.variables.alerts.close_deadline_days
        shown = self.closed[-DEADLINES_SHOWN:]
        found = [Row(_place(month=month_text(month)), 0, high=high) for month in shown]
        open_month = add_months(self.closed[-1], 1) if self.closed else first_month(self.variables, self.state)
        # The night runs on the day after the judged one.
        today = self.judged + DAY
        if open_month is not None and add_months(open_month, 1) <= today:
            last_day = add_months(open_month, 1) - DAY
            days = (today - last_day).days
            since = last_day + timedelta(days=high + 1) if days > high else None
            found.append(Row(_place(month=month_text(open_month)), days, high=high, since=since))
        return found

    def gaps(self, measure: str, part: str) -> list[Row]:
        """Profiles that a sum is wrong by, the most in any of the judged months."""
        months = self._judged_months()
        if not months:
            return []
        names = ", ".join(f"cast('{month}' as date)" for month in months)
        found = self.rows(
            "select snapshot_month, source, item, numerator from observations.month_shares "
            f"where measure = '{measure}' and snapshot_month in ({names})"
        )
        if {_as_date(row[0]) for row in found} != set(months):
            raise LookupError(measure)
        worst: dict[tuple[str, str], tuple[float, date]] = {}
        for month, source, item, gap in found:
            place = (str(item), str(source))
            worst[place] = max(worst.get(place, (-1.0, months[0])), (abs(float(gap)), _as_date(month)))
        return [
            Row(_place(**{part: item}, source=source), gap, n=gap, detail=month_text(month) if gap else "")
            for (item, source), (gap, month) in sorted(worst.items())
        ]

    def rates(self, measure: str, part: str, items: set[str]) -> list[Row]:
        """Rates of the last judged month over the whole base, against the twelve months before."""
        months = self._judged_months()
        if not months:
            return []
        judged = months[-1]
        found = self.rows(
            "select snapshot_month, item, numerator, denominator from observations.month_shares "
            f"where measure = '{measure}' and source = 'all' and snapshot_month <= cast('{judged}' as date) "
            f"and snapshot_month >= cast('{add_months(judged, -SHOWN + 1)}' as date)"
        )
        if not any(_as_date(row[0]) == judged for row in found):
            raise LookupError(measure)
        rates: dict[str, dict[date, tuple[int, int]]] = {}
        for month, item, numerator, denominator in found:
            if str(item) in items:
                rates.setdefault(str(item), {})[_as_date(month)] = (int(numerator or 0), int(denominator or 0))
        rows = [self._rate(_place(**{part: item}), pairs, judged) for item, pairs in sorted(rates.items())]
        return [row for row in rows if row]

    def _rate(self, place: Mapping[str, str], pairs: Mapping[date, tuple[int, int]], judged: date) -> Row | None:
        bounds = self.variables.alerts.bounds
        before = [pairs[month] for month in (add_months(judged, -step) for step in range(1, 13)) if month in pairs]
        history = [pair for pair in before if pair[1]]
        part, whole = pairs.get(judged, (0, 0))
        if not whole or len(history) < bounds["months_least"]:
            return None
        params = replace(BandParams(), min_change=bounds["month_min_change"])
        band: Band = share_band(history, params, whole)
        shown = [_share(*pairs.get(add_months(judged, -step), (0, 0))) for step in range(SHOWN - 1, -1, -1)]
        return Row(place, part / whole, band.low, band.high, n=part, history=tuple(shown), detail=month_text(judged))

    def _judged_months(self) -> list[date]:
        return list(self.months) or self.closed[-1:]


def _place(**parts: str | None) -> dict[str, str]:
    return {part: name for part, name in parts.items() if name is not None}


def _as_date(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shown(judged: date) -> list[date]:
    return [judged - step * DAY for step in range(SHOWN - 1, -1, -1)]


def _days(series: Series, judged: date, first: date) -> tuple[float | None, ...]:
    return tuple(float(series.get(day, 0)) if day >= first else None for day in _shown(judged))


def _count(series: Series, day: date, period: str) -> int:
    """Rows of a day, or of the seven days that end with it."""
    return sum(series.get(day - step * DAY, 0) for step in range(WEEK if period == "week" else 1))


def _counted(series: Series, judged: date, first: date, period: str) -> tuple[float | None, ...]:
    return tuple(float(_count(series, day, period)) if day >= first else None for day in _shown(judged))


def _since(read: Read, judged: date) -> date:
    """Return the first day of the unbroken run of days outside their own bands that ends with the judged day."""
    day = judged
    while (judged - day).days < LONGEST_FAILURE and (before := read(day - DAY)) and before.is_outside:
        day -= DAY
    return day


def _distance(own: Sequence[int], reference: Sequence[int]) -> tuple[float, float]:
    """Return half the sum of differences of two sets of shares, and what it is on average when only chance differs."""
    n_own, n_reference = sum(own), sum(reference)
    shares = [(a / n_own, b / n_reference) for a, b in zip(own, reference, strict=True)]
    distance = sum(abs(a - b) for a, b in shares) / 2
    chance = 2 / math.pi * (1 / n_own + 1 / n_reference)
    noise = sum(math.sqrt(chance * b * (1 - b)) for _, b in shares) / 2
    return distance, noise
