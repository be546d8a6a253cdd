"""How well the bands of the alerts tell a broken feed from a usual one: `python -m benchmarks.alert_bands --help`.

Series of daily counts are simulated: weekday cycle, trend, season, overdispersed noise, promotions and holidays that are in the
calendar. Faults are put into each clean day in turn, so a recall is over all days. The parameters of the bands were chosen on
series of the seeds below `EVALUATION`; what is printed comes from others, which nothing was chosen on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import click
import numpy as np
import numpy.typing as npt

from benchmarks.figures import Figure, Line, Note, table
from orchestration.alerts.bands import BandParams, silence, volume_band
from orchestration.alerts.calendar import Calendar, Entry, Kind

Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PART = "alert_bands"
START = date(2025, 1, 6)
DAY = timedelta(days=1)
# Series are numbered from these seeds on.
TUNING, EVALUATION = 1, 10_000
FAULTS = {"outage": 0.0, "halving": 0.5, "doubling": 2.0}
MOST_FALSE_ALARMS = 0.4
LEAST_RECALL = {"outage": 1.0, "halving": 0.99, "doubling": 0.99}


@dataclass(frozen=True)
class Simulated:
    """Counts by day from `START` on, and what the calendar knows of them."""

    counts: Counts
    calendar: Calendar
    is_usual: Bools

    def days(self) -> dict[date, int]:
        """Return the counts by day."""
        return {START + step * DAY: int(count) for step, count in enumerate(self.counts)}

    def with_day(self, day: int, count: int) -> Simulated:
        """Return the same series with another count on one day."""
        counts = self.counts.copy()
        counts[day] = count
        return replace(self, counts=counts)

    def with_faults(self, seed: int) -> Simulated:
        """Return the series with faults of one to three days that nobody entered in the calendar; they are no usual days."""
        random = np.random.default_rng([seed, len(self.counts)])
        counts, is_usual = self.counts.copy(), self.is_usual.copy()
        for number, first in enumerate(range(20, len(counts) - 5, 40)):
            span = slice(first, first + int(random.integers(1, 4)))
            counts[span] = np.round(counts[span] * list(FAULTS.values())[number % len(FAULTS)])
            is_usual[span] = False
        return replace(self, counts=counts, is_usual=is_usual)


def simulate(rows: int, n_days: int, seed: int) -> Simulated:
    """Make one series of about `rows` a day."""
    random = np.random.default_rng([seed, rows])
    days = np.arange(n_days)
    level = np.full(n_days, np.log(rows))
    level += random.normal(0, 0.2, 7)[days % 7]
    # Up to a third more or less within the year, a yearly wave, and a level that drifts.
    level += random.uniform(-0.3, 0.3) * days / n_days
    level += random.uniform(0, 0.2) * np.sin(2 * np.pi * (days / 365 + random.uniform()))
    level += np.cumsum(random.normal(0, 0.01, n_days))
    entries: list[Entry] = []
    is_usual = np.ones(n_days, dtype=np.bool_)

    def mark(first: int, length: int, kind: Kind, factor: float) -> None:
        span = slice(first, min(first + length, n_days))
        level[span] += np.log(factor)
        is_usual[span] = False
        entries.append(Entry(START + first * DAY, START + (int(span.stop) - 1) * DAY, kind))

    for first in random.choice(n_days, 8, replace=False):
        mark(int(first), int(random.integers(1, 5)), "promotion", random.uniform(1.3, 3))
    for first in random.choice(n_days, 8, replace=False):
        mark(int(first), 1, "holiday", random.uniform(0.02, 0.7))
    # Days differ by more than chance: a gamma-mixed Poisson count, its coefficient of variation apart from chance 5 to 10 %.
    shape = 1 / random.uniform(0.05, 0.10) ** 2
    counts = random.poisson(np.exp(level) * random.gamma(shape, 1 / shape, n_days))
    return Simulated(counts.astype(np.int64), Calendar(entries), is_usual)


Bounds = tuple[float, float]
# None where a detector has not seen enough days yet.
Detector = Callable[[Simulated, int], Bounds | None]
PARAMS = BandParams()


def three_sigma_14_days_in(series: Simulated, day: int) -> Bounds:
    """Mean and three standard deviations of 14 days, the judged one among them: a common default."""
    return _three_sigma(series.counts[day - 13 : day + 1])


def three_sigma_weekday_in(series: Simulated, day: int) -> Bounds | None:
    """The same weekday 14 times, the judged day among them."""
    return _three_sigma(series.counts[day % 7 : day + 1 : 7][-14:]) if day >= 13 * 7 else None


def three_sigma_weekday_out(series: Simulated, day: int) -> Bounds | None:
    """The same weekday 14 times before the judged day."""
    return _three_sigma(series.counts[day % 7 : day : 7][-14:]) if day >= 14 * 7 else None


def _three_sigma(counts: Counts) -> Bounds:
    mean, deviation = float(np.mean(counts)), float(np.std(counts))
    return mean - 3 * deviation, mean + 3 * deviation


def weekday_medians(series: Simulated, day: int) -> Bounds:
    """Weekday medians and the median of 14 days on the log scale, k = 4, floors of 6 % and of chance, at least 30 % change."""
    first = max(day - 91, 0)
    usual = series.is_usual[first:day] & (series.counts[first:day] > 0)
    logs = np.log(np.maximum(series.counts[first:day], 1))[usual]
    weekdays = (np.arange(first, day) % 7)[usual]
    middle = np.median(logs)
    factors = np.array([np.median(logs[weekdays == w]) - middle if (weekdays == w).any() else 0.0 for w in range(7)])
    steady = logs - factors[weekdays]
    expected = float(np.exp(np.median(steady[-14:]) + factors[day % 7]))
    scatter = max(1.4826 * float(np.median(np.abs(steady - np.median(steady)))), 0.06, 1 / expected**0.5)
    width = max(4 * scatter, -np.log(0.7))
    return expected * float(np.exp(-width)), max(expected * float(np.exp(4 * scatter)), 1.3 * expected)


def bands(series: Simulated, day: int) -> Bounds:
    """The bands of the alerts, on days."""
    band = volume_band(series.days(), START + day * DAY, START, series.calendar, PARAMS)
    if band is None:
        raise ValueError(f"Day {day} has no band; judge days from {PARAMS.least_days} on.")
    return band.low, band.high


@dataclass(frozen=True)
class Score:
    """False alarms per series and year of usual days, and the share of the days on which a fault is seen."""

    false_alarms: float
    recall: dict[str, float]


def score(detector: Detector, series: Sequence[Simulated], sees_judged: bool = False) -> Score:
    """Judge each usual day after the warm-up as it is, then with each fault put into it.

    `sees_judged` says that the bounds depend on the judged day, and are to be made anew for each fault.
    """
    n_days = n_alarms = 0
    seen = dict.fromkeys(FAULTS, 0)
    for one in series:
        for day in range(PARAMS.warm_up_days, len(one.counts)):
            count, bounds = int(one.counts[day]), detector(one, day)
            if not one.is_usual[day] or bounds is None:
                continue
            n_days += 1
            n_alarms += _is_out(count, bounds)
            for fault, factor in FAULTS.items():
                value = round(count * factor)
                seen[fault] += _is_out(value, detector(one.with_day(day, value), day) if sees_judged else bounds)
    return Score(n_alarms / n_days * 365, {fault: n / n_days for fault, n in seen.items()})


def _is_out(value: float, bounds: Bounds | None) -> bool:
    return bounds is not None and not bounds[0] <= value <= bounds[1]


@dataclass(frozen=True)
class Lasting:
    """How soon a fault that stays is seen: the share within so many nights, and the median night."""

    within: dict[str, list[float]]
    nights: dict[str, float]
    false_alarms: float
    incidents: float


def score_small(series: Sequence[Simulated], nights: int = 7) -> Lasting:
    """Judge a small source by its weekly sums and its silence, and let faults last for some nights from every other Monday on.

    False alarms count nights, incidents those that follow two clean nights.
    """
    n_days = n_alarms = n_incidents = 0
    found: dict[str, list[int]] = {fault: [] for fault in FAULTS}
    for one in series:
        days, clean = one.days(), 2
        for day in np.flatnonzero(one.is_usual)[np.flatnonzero(one.is_usual) >= PARAMS.warm_up_days].tolist():
            is_alarm = _fires(one, days, day)
            n_days += 1
            n_alarms += is_alarm
            n_incidents += is_alarm and clean >= 2
            clean = 0 if is_alarm else clean + 1
        for first in range(5 * 7, len(one.counts) - nights, 14):
            if one.is_usual[first : first + nights].all():
                for fault, factor in FAULTS.items():
                    found[fault].append(_nights_until(one, days, first, factor, nights))
    return Lasting(
        {fault: [sum(night <= n for night in all_) / len(all_) for n in range(1, nights + 1)] for fault, all_ in found.items()},
        {fault: float(np.median(all_)) for fault, all_ in found.items()},
        n_alarms / n_days * 365,
        n_incidents / n_days * 365,
    )


def _nights_until(series: Simulated, days: dict[date, int], first: int, factor: float, nights: int) -> int:
    """Return the night on which a fault is seen; one more than there are when it is not."""
    broken = dict(days)
    for night in range(1, nights + 1):
        day = first + night - 1
        broken[START + day * DAY] = round(int(series.counts[day]) * factor)
        if _fires(series, broken, day):
            return night
    return nights + 1


def _fires(series: Simulated, days: dict[date, int], day: int) -> bool:
    judged = START + day * DAY
    band = volume_band(days, judged, START, series.calendar, PARAMS)
    missing = silence(days, judged, START, series.calendar, PARAMS)
    if band is None or missing is None:
        raise ValueError(f"Day {day} has no band; judge days from {PARAMS.least_days} on.")
    span = 7 if band.period == "week" else 1
    value = sum(days[judged - step * DAY] for step in range(span))
    return missing.is_missing or _is_out(value, (band.low, band.high))


def measure_alert_bands(n_series: int = 60, n_days: int = 300, first_seed: int = EVALUATION) -> list[Line]:
    """Score the bands beside other detectors on series that nothing was chosen on."""
    large = [simulate(400, n_days, first_seed + number) for number in range(n_series)]
    faulty = [one.with_faults(number) for number, one in enumerate(large)]
    contenders: dict[str, Score] = {
        "three sigma, 14 days, judged day in": score(three_sigma_14_days_in, large, sees_judged=True),
        "three sigma, weekday, judged day in": score(three_sigma_weekday_in, large, sees_judged=True),
        "three sigma, weekday, judged day out": score(three_sigma_weekday_out, large),
        "weekday medians, k = 4": score(weekday_medians, large),
        "bands": score(bands, large),
        "bands, earlier faults in the history": score(bands, faulty),
    }
    lines: list[Line] = [Note(PART, f"{n_series} series, {n_days} days, seeds from {first_seed}; 400 rows a day")]
    for name, result in contenders.items():
        own = name == "bands"
        lines.append(_figure(f"{name}: false alarms", "a year", result.false_alarms, MOST_FALSE_ALARMS if own else None))
        for fault, recall in result.recall.items():
            most = 100 * (1 - LEAST_RECALL[fault]) if own else None
            lines.append(_figure(f"{name}: {fault} missed", "%", 100 * (1 - recall), most))
    small = score_small([simulate(40, n_days, first_seed + number) for number in range(n_series)])
    lines.append(Note(PART, "40 rows a day: sums of seven days and silences, faults that last"))
    lines.append(_figure("weekly bands: nights with a false alarm", "a year", small.false_alarms))
    lines.append(_figure("weekly bands: false incidents", "a year", small.incidents, MOST_FALSE_ALARMS))
    for fault, shares in small.within.items():
        most = 0.0 if fault == "outage" else None
        lines.append(_figure(f"weekly bands: {fault} missed after 7 nights", "%", 100 * (1 - shares[-1]), most))
        lines.append(_figure(f"weekly bands: {fault} seen, median", "nights", small.nights[fault]))
    return lines


def _figure(what: str, unit: str, value: float, most: float | None = None) -> Figure:
    # Shares of whole counts: what is 1 % by name is not to fail by the last bit.
    return Figure(PART, what, unit, (round(value, 6),), None if most is None else round(most, 6))


@click.command()
@click.option("--series", default=60, show_default=True, help="How many series.")
@click.option("--days", default=300, show_default=True, help="Days of each, 100 or more.")
@click.option("--tuning", is_flag=True, help="Use the series on which the parameters were chosen.")
def main(series: int, days: int, tuning: bool) -> None:
    """Score the bands of the alerts beside the usual three-sigma detectors."""
    if series < 1 or days < 100:
        raise click.BadParameter("at least 1 series of 100 days.", param_hint="--series, --days")
    click.echo(table(measure_alert_bands(series, days, TUNING if tuning else EVALUATION)))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.alert_bands")
