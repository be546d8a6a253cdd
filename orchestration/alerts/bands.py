"""What a feed or a share is expected to be on a day, and how far from that chance and habit explain (docs/alert-bands.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from orchestration.alerts.calendar import LOWERING, RAISING, Calendar

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]
Period = Literal["day", "week"]

DAY = timedelta(days=1)
WEEK = 7
# The standard deviation of a normal distribution, in median absolute deviations.
DEVIATIONS = 1.4826
# Values further than so many deviations from the middle count as if they stood there (Huber's location, one step).
HUBER = 1.5
# The standard deviation of a normal distribution without what lies beyond three of them.
KEPT = 0.9866
# A weekday that would be as empty with more than this chance, if it were like the others, is not known to be closed.
CLOSED_BY_CHANCE = 0.001
# The median of weekly sums with fewer rows moves by whole rows: their mean is taken.
FEW = 30.0
# A source that expects fewer rows is judged as if it expected these.
LEAST_EXPECTED = 5.0
# Beyond this expectation the normal approximation of a count is as good as the exact one.
EXACT_UP_TO = 500.0


@dataclass(frozen=True)
class BandParams:
    """How a band is made. `min_change`, `training_days` and `warm_up_days` are business vars, the rest was measured."""

    training_days: int = 91
    warm_up_days: int = 28
    # Fewer observed days (or shares) are nothing to judge from.
    least_days: int = 14
    # No band is narrower than this change of what is expected.
    min_change: float = 0.3
    # Half width, in standard deviations.
    width: float = 3.8
    # No series is steadier than this from day to day, as a share of its level.
    least_scatter: float = 0.06
    # Usual days whose mean is the recent level.
    level_days: int = 14
    # Fewer rows than this on an open day: sums of seven days are judged.
    small: float = 100.0
    # Chance of a false alarm by pure counting, on one side of the band or of a silence.
    chance: float = 1e-5
    # No share's band is narrower than this, up or down.
    min_share_change: float = 0.01

    @classmethod
    def of(cls, training_days: int, warm_up_days: int, bounds: Mapping[str, float]) -> BandParams:
        """Return the parameters that `vars.alerts` of the dbt project ask for."""
        return cls(training_days, warm_up_days, min_change=bounds.get("band_min_change", cls.min_change))


@dataclass(frozen=True)
class Band:
    """Least and most that is allowed, both included, and what is expected.

    Counts are of the judged day, or of the seven days that end with it when `period` is week. Their bounds are whole numbers;
    `high` is infinite where more is never an alarm. Shares lie between 0 and 1.
    """

    expected: float
    low: float
    high: float
    period: Period
    is_warming_up: bool


@dataclass(frozen=True)
class Silence:
    """Open days without a row up to the judged one, and from how many on chance does not explain them."""

    days: int
    limit: int

    @property
    def is_missing(self) -> bool:
        """True when the source should have delivered by now."""
        return self.days >= self.limit


def volume_band(
    series: Mapping[date, int], judged: date, first_day: date, calendar: Calendar, params: BandParams
) -> Band | None:
    """Return the band of the rows of one source on a day, or of the week that ends with it when the source is small.

    `series` holds rows by day; a day from `first_day` (the first observed one) on that is not in it had none. Only days before
    the judged one count, and the level of a week comes from the weeks before it. `calendar` is that of the source
    (`Calendar.of`): its days are not learnt from; less is no alarm on holidays and closures, more is none on promotions and
    imports. None: there is nothing to judge from yet, or the source has not delivered for most of the training days.
    """
    past = _past(series, judged, first_day, calendar, params)
    if past is None:
        return None
    is_warming_up = (judged - first_day).days < params.warm_up_days
    if past.typical >= params.small:
        return _day_band(past, judged, calendar, params, is_warming_up)
    return _week_band(past, judged, calendar, params, is_warming_up)


def silence(
    series: Mapping[date, int], judged: date, first_day: date, calendar: Calendar, params: BandParams
) -> Silence | None:
    """Return how long a source has been without a row, and how long it may be: one day for a large one, longer for a small one.

    Days on which the source is always closed, and holidays and closures, do not count. The limit is where the chance of so many
    empty days is below `params.chance`, for a negative binomial count with the mean and scatter of the training days. None as
    for `volume_band`.
    """
    past = _past(series, judged, first_day, calendar, params)
    # A small source without one whole week among its usual days has no band either.
    if past is None or volume_band(series, judged, first_day, calendar, params) is None:
        return None
    limit = _longest_gap(past.counts[past.usable], params.chance)
    days, day = 0, judged
    while day >= past.first_day and series.get(day, 0) == 0:
        days += bool(past.is_open[day.weekday()] and not calendar.kinds(day) & LOWERING)
        day -= DAY
    return Silence(days, limit)


def share_band(history: Sequence[tuple[int, int]], params: BandParams, denominator: int | None = None) -> Band:
    """Return the band of a share from the (numerator, denominator) of past days or months, without the judged one.

    Shares are compared as the arc sine of their square root, on which a binomial share scatters alike at any level. The fewer
    rows, the wider the band: `denominator` is that of the judged share; without it, it is taken as small as one in four of the
    past. Entries without rows say nothing. Without any, everything is allowed.
    """
    counted = np.array([pair for pair in history if pair[1] > 0], dtype=np.float64).reshape(-1, 2)
    rows = counted[:, 1]
    is_warming_up = len(counted) < params.warm_up_days
    if not len(counted) or denominator == 0:
        return Band(0.0, 0.0, 1.0, "day", is_warming_up=True)
    angles = np.arcsin(np.sqrt((counted[:, 0] + 0.375) / (rows + 0.75)).clip(0, 1))
    middle = _weighted_median(angles, rows)
    chance = 0.25 / rows
    # What scatters beyond the chance of each denominator is added to the chance of the judged one.
    noise = (DEVIATIONS * float(np.median(np.abs(angles - middle) / np.sqrt(chance)))) ** 2
    n_rows = denominator or int(np.quantile(rows, 0.25, method="lower"))
    scatter = math.sqrt(0.25 / n_rows + max(noise - 1, 0.0) * float(np.median(chance)))
    low = math.sin(max(middle - params.width * scatter, 0.0)) ** 2
    high = math.sin(min(middle + params.width * scatter, math.pi / 2)) ** 2
    least_share, most_share = _binomial(math.sin(middle) ** 2, n_rows, params.chance)
    expected = _weighted_median(counted[:, 0] / rows, rows)
    change = max(params.min_change * min(expected, 1 - expected), params.min_share_change)
    low, high = min(low, least_share, expected - change), max(high, most_share, expected + change)
    return Band(expected, max(low, 0.0), min(high, 1.0), "day", is_warming_up)


@dataclass(frozen=True)
class _Past:
    """The observed days before the judged one, oldest first, and what a weekday is."""

    first_day: date
    counts: Floats
    weekdays: Whole
    # Usual days on which the source is open and did not stand still.
    usable: Bools
    # By weekday, Monday first.
    is_open: Bools
    # Rows of a usual open day.
    typical: float


def _past(series: Mapping[date, int], judged: date, first_day: date, calendar: Calendar, params: BandParams) -> _Past | None:
    n_days = min((judged - first_day).days, params.training_days)
    if n_days < params.least_days:
        return None
    days = [judged - step * DAY for step in range(n_days, 0, -1)]
    counts = np.array([series.get(day, 0) for day in days], dtype=np.float64)
    usual = np.array([not calendar.kinds(day) for day in days])
    weekdays = (np.arange(n_days) + days[0].weekday()) % WEEK
    is_open = _open_weekdays(counts, weekdays, usual)
    usable = usual & is_open[weekdays]
    usable &= ~_standstills(counts, usable, params.chance)
    if np.count_nonzero(usable) < min(params.least_days, n_days) // 2 or not counts[usable].any():
        return None
    recent = counts[usable][-2 * params.level_days :]
    return _Past(days[0], _without_peaks(counts, usable), weekdays, usable, is_open, float(np.median(recent)))


def _open_weekdays(counts: Floats, weekdays: Whole, usual: Bools) -> Bools:
    """A weekday is closed when it is all but always empty, and not by chance: the others are filled too often for that."""
    filled = usual & (counts > 0)
    n_usual = np.bincount(weekdays[usual], minlength=WEEK)
    n_filled = np.bincount(weekdays[filled], minlength=WEEK)
    others = (n_filled.sum() - n_filled) / np.maximum(n_usual.sum() - n_usual, 1)
    is_chance = (1 - others) ** (n_usual - n_filled) > CLOSED_BY_CHANCE
    is_open: Bools = (n_usual < 2) | (n_filled > 0.2 * others * n_usual) | is_chance
    return is_open


def _standstills(counts: Floats, usable: Bools, chance: float) -> Bools:
    """Days without a row that belong to an outage: more of them in a row than a source of this size has by chance."""
    still = np.zeros(len(counts), dtype=np.bool_)
    places = np.flatnonzero(usable)
    if not counts[places].any():
        return still
    limit = _longest_gap(counts[places], chance)
    run: list[int] = []
    for place in [*places.tolist(), None]:
        if place is not None and counts[place] == 0:
            run.append(place)
            continue
        if len(run) >= limit:
            still[run] = True
        run = []
    return still


def _longest_gap(counts: Floats, chance: float) -> int:
    """Return how many empty days in a row a negative binomial count of this mean and scatter has with less than `chance`."""
    mean = float(np.mean(counts))
    scatter = max((float(np.var(counts)) - mean) / mean**2, 0.01)
    return math.ceil(-math.log(chance) * scatter / math.log1p(mean * scatter))


def _without_peaks(counts: Floats, usable: Bools) -> Floats:
    """Counts with peaks cut off that come once or twice in the training days: an import nobody announced."""
    usual = np.sort(counts[usable])
    third = float(usual[-min(3, len(usual))])
    return np.minimum(counts, max(3 * float(np.median(usual)) + 10, third))


def _day_band(past: _Past, judged: date, calendar: Calendar, params: BandParams, is_warming_up: bool) -> Band:
    kinds = calendar.kinds(judged)
    if not past.is_open[judged.weekday()]:
        # A closed day may have a few rows; as many as a change of an open one allows.
        most = math.inf if kinds & RAISING else math.floor(params.min_change * past.typical)
        return Band(0.0, 0.0, most, "day", is_warming_up)
    used = past.usable & (past.counts > 0)
    logs = np.where(used, np.log(np.maximum(past.counts, 1.0)), np.nan)
    weekdays, own = past.weekdays, judged.weekday()
    factors = _weekday_factors(logs, weekdays, params.level_days)
    level, scatter = _level((logs - factors[weekdays])[used], params)
    # Chance weighs more on a weekday with few rows: its part of the scatter is that of the judged day.
    chance = float(np.mean(np.exp(-level - factors[weekdays[used]])))
    scatter = math.sqrt(max(scatter**2 - chance, 0.0) + math.exp(-level - factors[own]))
    # The factor of a weekday is known from as many values as it has.
    n_known = int((used & (weekdays == own)).sum())
    scatter *= math.sqrt(1 + 1 / max(n_known, 1))
    expected = math.exp(level + factors[own])
    low, high = _bounds(expected, scatter, params)
    return Band(expected, 0.0 if kinds & LOWERING else low, math.inf if kinds & RAISING else high, "day", is_warming_up)


def _weekday_factors(logs: Floats, weekdays: Whole, level_days: int) -> Floats:
    """Log distance of each weekday from the level around it; 0 for one that was never seen."""
    factors = np.zeros(WEEK)
    weeks = np.full((len(logs) // WEEK + 2) * WEEK, np.nan)
    place = slice(weekdays[0], weekdays[0] + len(logs))
    for _ in range(3):
        weeks[place] = logs - _running_median(logs - factors[weekdays], level_days // 2)
        factors = np.nan_to_num(_locations(weeks.reshape(-1, WEEK).T))
    return factors


def _level(steady: Floats, params: BandParams) -> tuple[float, float]:
    """Return the recent level and the scatter of a day around the level of the days before it."""
    span = params.level_days
    level = float(_locations(steady[np.newaxis, -span:])[0])
    if len(steady) < span + WEEK:
        return level, _scatter(steady - np.median(steady))
    before = np.lib.stride_tricks.sliding_window_view(steady[:-1], span)
    misses = steady[span:] - _locations(before)
    return level, _scatter(misses)


def _bounds(expected: float, scatter: float, params: BandParams) -> tuple[float, float]:
    """Return least and most whole counts: log scatter, floors, smallest change and the chance of counting."""
    # A few rows more than next to none are no news.
    expected = max(expected, LEAST_EXPECTED)
    scatter = max(scatter, params.least_scatter, 1 / math.sqrt(expected))
    width = params.width * scatter
    low = min(expected * math.exp(-width), expected * (1 - params.min_change))
    high = max(expected * math.exp(width), expected * (1 + params.min_change))
    if expected < EXACT_UP_TO:
        fewest, most = _poisson(expected, params.chance)
        low, high = min(low, fewest), max(high, most)
    return float(math.ceil(low)), float(math.floor(high))


def _poisson(mean: float, chance: float) -> tuple[int, int]:
    """Return the counts outside which a Poisson count falls with at most `chance` on either side."""
    return _quantiles(math.exp(-mean), lambda count: mean / (count + 1), chance)


def _binomial(share: float, n_rows: int, chance: float) -> tuple[float, float]:
    """Return the shares outside which a binomial share falls with at most `chance` on either side."""
    rare = min(share, 1 - share)
    if rare * n_rows >= EXACT_UP_TO:
        return share, share
    odds = rare / (1 - rare)
    fewest, most = _quantiles((1 - rare) ** n_rows, lambda count: (n_rows - count) / (count + 1) * odds, chance)
    low, high = fewest / n_rows, most / n_rows
    return (low, high) if share == rare else (1 - high, 1 - low)


def _quantiles(first: float, ratio: Callable[[int], float], chance: float) -> tuple[int, int]:
    """Return the counts that leave at most `chance` below and above, from the first term and the ratio of one to the next."""
    term = below = first
    count = 0
    while below <= chance:
        term *= ratio(count)
        count += 1
        below += term
    fewest = count
    while 1 - below > chance:
        term *= ratio(count)
        count += 1
        below += term
    return fewest, count


def _week_band(past: _Past, judged: date, calendar: Calendar, params: BandParams, is_warming_up: bool) -> Band | None:
    shares = _weekday_shares(past)
    sums = _weekly_sums(past, shares)
    # The last sum may share no day with the judged week, which holds the six days before the judged one.
    sums = sums[: len(sums) - WEEK + 1]
    known = sums[~np.isnan(sums)]
    if not len(known):
        return None
    level = _weekly_level(sums, len(sums) - 1)
    scatter = _weekly_scatter(sums)
    week = [judged - step * DAY for step in range(WEEK)]
    fallen = sum(shares[day.weekday()] for day in week if calendar.kinds(day) & LOWERING)
    low, high = _bounds(level, scatter, params)
    if fallen > 0.5:
        low = 0.0
    elif fallen:
        low, _ = _bounds(level * (1 - float(fallen)), scatter, params)
    if any(calendar.kinds(day) & RAISING for day in week):
        high = math.inf
    return Band(level, low, high, "week", is_warming_up)


def _weekday_shares(past: _Past) -> Floats:
    """Share of each weekday in a week; the fewer rows it was seen with, the nearer to that of the others."""
    rows = np.bincount(past.weekdays[past.usable], past.counts[past.usable], minlength=WEEK)
    days = np.bincount(past.weekdays[past.usable], minlength=WEEK).astype(np.float64)
    mean = float(np.mean(past.counts[past.usable]))
    more_days = 1 + 10 / mean
    means: Floats = np.where(past.is_open, (rows + more_days * mean) / (days + more_days), 0.0)
    shares: Floats = means / means.sum()
    return shares


def _weekly_sums(past: _Past, shares: Floats) -> Floats:
    """Rows of each seven days in a row, as if days that cannot be used were usual; NaN where they are most of the week."""
    used = np.where(past.usable, past.counts, 0.0)
    weights = np.where(past.usable, shares[past.weekdays], 0.0)
    rows = np.convolve(used, np.ones(WEEK), "valid")
    covered = np.convolve(weights, np.ones(WEEK), "valid")
    return np.where(covered >= 0.5, rows / np.maximum(covered, 0.5), np.nan)


def _weekly_level(sums: Floats, last: int) -> float:
    """Median of the four latest known sums that share no day, up to an index; of few rows, the mean of eight."""
    own = sums[last::-WEEK]
    own = own[~np.isnan(own)]
    if not len(own):
        # Sums of other weekdays are known, or there would be no band.
        own = sums[: last + 1][~np.isnan(sums[: last + 1])][-1:]
    level = float(np.median(own[:4]))
    return level if level >= FEW else float(np.mean(own[:8]))


def _weekly_scatter(sums: Floats) -> float:
    """Scatter of a sum around the middle of the weeks before it, on the log scale; wide where hardly any is known."""
    misses = [
        math.log((sums[index] + LEAST_EXPECTED) / (_weekly_level(sums, index - WEEK) + LEAST_EXPECTED))
        for index in range(WEEK, len(sums))
        if not np.isnan(sums[index]) and not np.isnan(sums[: index - WEEK + 1]).all()
    ]
    return _scatter(np.array(misses)) if len(misses) >= WEEK else 0.15


def _locations(rows: Floats) -> Floats:
    """Huber's location of the known values of each row, in one step from the median.

    It is nearly as steady as the mean and as deaf to outliers as the median. NaN where nothing is known.
    """
    middle = _medians(rows)[:, np.newaxis]
    reach = HUBER * DEVIATIONS * _medians(np.abs(rows - middle))[:, np.newaxis]
    near = np.clip(rows, middle - reach, middle + reach)
    known = ~np.isnan(rows)
    n_known = np.count_nonzero(known, axis=1)
    sums = np.where(known, near, 0.0).sum(axis=1)
    located: Floats = np.where(n_known > 0, sums / np.maximum(n_known, 1), np.nan)
    return located


def _medians(rows: Floats) -> Floats:
    """Median of the known values of each row; NaN where nothing is known."""
    ordered = np.sort(rows, axis=1)
    n_known = np.count_nonzero(~np.isnan(rows), axis=1)
    each = np.arange(len(rows))
    middles: Floats = (ordered[each, (n_known - 1) // 2] + ordered[each, n_known // 2]) / 2
    return middles


def _scatter(misses: Floats) -> float:
    """Standard deviation around 0 of what lies within three of those that the median absolute deviation gives."""
    rough = DEVIATIONS * float(np.median(np.abs(misses)))
    kept = misses[np.abs(misses) <= 3 * rough]
    return float(np.sqrt(np.mean(kept**2))) / KEPT


def _running_median(values: Floats, reach: int) -> Floats:
    """Median of each value and its neighbours, fewer of them at the ends."""
    padded = np.pad(values, reach, constant_values=np.nan)
    return _medians(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1))


def _weighted_median(values: Floats, weights: Floats) -> float:
    order: Any = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
