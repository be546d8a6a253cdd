"""The bands of the alerts: each rule, on series where its answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestration.alerts.bands import Band, BandParams, Silence, share_band, silence, volume_band
from orchestration.alerts.calendar import Calendar, Entry, Kind
from orchestration.settings import load_settings

DAY = timedelta(days=1)
# A Monday.
START = date(2026, 1, 5)
PARAMS = BandParams()
NONE = Calendar()
SHAPE = (1.2, 1.0, 0.9, 1.0, 1.1, 1.4, 0.4)


def series_of(
    n_days: int, rows: float = 400, seed: int = 1, shape: tuple[float, ...] = SHAPE, noise: float = 0.08
) -> dict[date, int]:
    """Make counts with a weekday cycle, steady but for chance and noise."""
    random = np.random.default_rng(seed)
    means = [rows * shape[step % 7] * random.gamma(1 / noise**2, noise**2) for step in range(n_days)]
    return {START + step * DAY: int(random.poisson(mean)) for step, mean in enumerate(means)}


def marked(kind: Kind, first: int, last: int | None = None) -> Calendar:
    return Calendar([Entry(START + first * DAY, START + (first if last is None else last) * DAY, kind)])


def band_on(series: Mapping[date, int], day: int, calendar: Calendar = NONE, params: BandParams = PARAMS) -> Band:
    band = volume_band(series, START + day * DAY, START, calendar, params)
    assert band is not None
    return band


def silence_on(series: Mapping[date, int], day: int, calendar: Calendar = NONE) -> Silence:
    found = silence(series, START + day * DAY, START, calendar, PARAMS)
    assert found is not None
    return found


def near(band: Band, expected: float, share: float) -> bool:
    return abs(band.expected / expected - 1) < share


def test_each_weekday_is_expected_at_its_own_level() -> None:
    series = series_of(120)
    for day in range(98, 105):
        assert near(band_on(series, day), 400 * SHAPE[day % 7], 0.1)


def test_half_and_double_lie_outside_and_usual_days_inside() -> None:
    series = series_of(160, seed=2)
    for day in range(60, 160):
        band, count = band_on(series, day), series[START + day * DAY]
        assert band.low <= count <= band.high
        assert count // 2 < band.low
        assert 2 * count > band.high


def test_the_bounds_of_counts_are_whole_numbers() -> None:
    for rows in (5, 40, 400, 40_000):
        band = band_on(series_of(100, rows), 95)
        assert (band.low, band.high) == (math.floor(band.low), math.floor(band.high))


def test_no_band_is_narrower_than_the_smallest_change() -> None:
    steady = {START + step * DAY: 100_000 for step in range(100)}
    band = band_on(steady, 95)
    assert [band.low, band.high] == pytest.approx([70_000, 130_000], abs=1)
    wider = band_on(steady, 95, params=BandParams(min_change=0.5))
    assert [wider.low, wider.high] == pytest.approx([50_000, 150_000], abs=1)


def test_a_noisy_source_has_a_wider_band_than_a_steady_one() -> None:
    steady, noisy = band_on(series_of(100), 95), band_on(series_of(100, noise=0.3), 95)
    assert noisy.high / noisy.expected > 1.5 * steady.high / steady.expected


def test_a_level_that_rises_is_followed() -> None:
    rising = {START + step * DAY: round(400 * 1.01**step) for step in range(120)}
    assert near(band_on(rising, 110), 400 * 1.01**110, 0.1)


def test_a_new_level_is_the_usual_one_after_two_weeks() -> None:
    series = series_of(120)
    doubled = {day: 2 * count if day >= START + 80 * DAY else count for day, count in series.items()}
    assert doubled[START + 80 * DAY] > band_on(doubled, 80).high
    assert near(band_on(doubled, 96), 2 * 400 * SHAPE[96 % 7], 0.15)


@settings(deadline=None, max_examples=40)
@given(value=st.integers(0, 100_000), day=st.integers(15, 119), rows=st.sampled_from([3, 40, 400]))
def test_the_judged_day_never_moves_its_own_band(value: int, day: int, rows: int) -> None:
    series = series_of(120, rows)
    judged = START + day * DAY
    assert band_on({**series, judged: value}, day) == band_on(series, day)
    assert silence_on({**series, judged: value}, day).limit == silence_on(series, day).limit


@settings(deadline=None, max_examples=30)
@given(later=st.lists(st.integers(0, 100_000), min_size=1, max_size=10), rows=st.sampled_from([3, 40, 400]))
def test_later_days_change_nothing(later: list[int], rows: int) -> None:
    series = series_of(100, rows)
    more = {**series, **{START + (100 + step) * DAY: count for step, count in enumerate(later)}}
    assert band_on(more, 99) == band_on(series, 99)
    assert silence_on(more, 99) == silence_on(series, 99)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1_000), day=st.integers(30, 99))
def test_twice_the_rows_have_twice_the_band(seed: int, day: int) -> None:
    # Large counts: the chance of counting does not scale.
    series = series_of(100, 1_000_000, seed)
    one, two = band_on(series, day), band_on({day: 2 * count for day, count in series.items()}, day)
    assert two.expected == pytest.approx(2 * one.expected)
    assert [two.low, two.high] == pytest.approx([2 * one.low, 2 * one.high], rel=0.002)


def test_a_day_that_is_absent_had_no_row() -> None:
    series = series_of(100)
    missing = {day: count for day, count in series.items() if day.weekday() != 5}
    assert band_on(missing, 96) == band_on({**missing, **{day: 0 for day in series if day.weekday() == 5}}, 96)


def test_a_weekday_that_is_always_closed_expects_nothing() -> None:
    closed = {day: count for day, count in series_of(120).items() if day.weekday() != 5}
    saturday = band_on(closed, 103)
    assert (START + 103 * DAY).weekday() == 5
    assert (saturday.expected, saturday.low) == (0, 0)
    assert saturday.high < 200
    assert near(band_on(closed, 102), 400 * SHAPE[4], 0.1)
    assert silence_on(closed, 103).days == 0


def test_one_odd_saturday_does_not_open_a_closed_weekday() -> None:
    closed = {day: count for day, count in series_of(120).items() if day.weekday() != 5}
    assert band_on({**closed, START + 75 * DAY: 300}, 103).expected == 0


def test_a_small_source_without_rows_on_a_weekday_is_not_closed_on_it() -> None:
    # Twelve rows in three months, all of them on Mondays by chance: nothing is known of the other days.
    rare = {START + week * 7 * DAY: 1 for week in range(0, 13, 2)}
    assert band_on(rare, 95).high >= 5


def test_a_long_stop_in_the_calendar_does_not_move_the_level() -> None:
    series = {day: 0 if 70 <= (day - START).days < 84 else count for day, count in series_of(120).items()}
    for day in (84, 85, 90):
        assert near(band_on(series, day, marked("closure", 70, 83)), 400 * SHAPE[day % 7], 0.12)


@pytest.mark.parametrize("rows", [40, 400])
def test_an_outage_in_the_past_does_not_poison_the_band(rows: int) -> None:
    series = series_of(120, rows)
    broken = {day: 0 if 82 <= (day - START).days < 92 else count for day, count in series.items()}
    whole, after = band_on(series, 100), band_on(broken, 100)
    assert near(after, whole.expected, 0.12)
    assert after.low > 0.5 * whole.low


def test_a_peak_in_the_past_does_not_widen_the_band() -> None:
    series = series_of(120)
    peaked = {**series, START + 90 * DAY: 40_000}
    assert band_on(peaked, 97).high < 1.1 * band_on(series, 97).high


def test_a_peak_in_the_past_does_not_allow_a_longer_silence() -> None:
    series = series_of(100, 5)
    assert silence_on({**series, START + 60 * DAY: 10_000}, 95).limit <= silence_on(series, 95).limit + 1


def test_days_of_the_calendar_are_not_learnt_from() -> None:
    series = series_of(120)
    raised = {day: 3 * count if 88 <= (day - START).days < 97 else count for day, count in series.items()}
    known, unknown = band_on(raised, 98, marked("promotion", 88, 96)), band_on(raised, 98)
    assert near(known, band_on(series, 98).expected, 0.1)
    assert unknown.expected > 1.5 * known.expected


@pytest.mark.parametrize("kind", ["holiday", "closure"])
@pytest.mark.parametrize("rows", [40, 400])
def test_less_is_no_alarm_on_holidays_and_closures(kind: Kind, rows: int) -> None:
    series = {**series_of(120, rows), START + 98 * DAY: 0}
    usual, band = band_on(series, 98), band_on(series, 98, marked(kind, 98))
    assert band.low < usual.low
    assert band.high == usual.high
    assert not silence_on(series, 98, marked(kind, 98)).is_missing
    assert silence_on(series, 98).is_missing


@pytest.mark.parametrize("kind", ["promotion", "import"])
@pytest.mark.parametrize("rows", [40, 400])
def test_more_is_no_alarm_on_promotions_and_imports(kind: Kind, rows: int) -> None:
    series = series_of(120, rows)
    band = band_on(series, 98, marked(kind, 98))
    assert band.high == math.inf
    assert band.low == band_on(series, 98).low > 0


def test_small_sources_are_judged_by_the_week() -> None:
    assert band_on(series_of(100, 40), 95).period == "week"
    assert band_on(series_of(100, 400), 95).period == "day"
    assert near(band_on(series_of(100, 40), 95), 40 * sum(SHAPE), 0.1)


def test_a_small_source_that_halves_is_seen_within_a_week() -> None:
    series = series_of(120, 40)
    halved = {day: count // 2 if day >= START + 98 * DAY else count for day, count in series.items()}
    week = [START + step * DAY for step in range(98, 105)]
    assert sum(halved[day] for day in week) < band_on(halved, 104).low


def test_the_level_of_a_week_comes_from_the_weeks_before_it() -> None:
    series = {START + step * DAY: 30 if step >= 99 else 3 for step in range(106)}
    assert band_on(series, 105).expected == pytest.approx(21)


def test_a_week_that_is_mostly_closed_has_no_least() -> None:
    assert band_on(series_of(120, 40), 98, marked("closure", 93, 98)).low == 0


def test_next_to_no_rows_never_alarm_by_one_or_two_more() -> None:
    rare = {START + step * DAY: 1 for step in range(3, 120, 20)}
    band = band_on(rare, 98)
    # The median of such weeks is 0, their mean is not.
    assert band.expected == pytest.approx(7 / 20, abs=0.15)
    assert band.low == 0
    assert 5 <= band.high <= 30


@pytest.mark.parametrize(("rows", "nights"), [(400, 1), (40, 1), (5, 3), (1, 11)])
def test_a_silence_is_an_outage_once_chance_does_not_explain_it(rows: int, nights: int) -> None:
    series = {day: count for day, count in series_of(120, rows, shape=(1,) * 7).items() if day < START + 85 * DAY}
    last = max(step for step in range(85) if series[START + step * DAY])
    missing = [step - last for step in range(85, 120) if silence_on(series, step).is_missing]
    assert nights <= missing[0] <= 1.5 * nights
    # It goes on until the rows come back.
    assert missing == list(range(missing[0], 120 - last))


def test_a_source_of_a_few_rows_a_quarter_is_never_missing() -> None:
    rare = {START + step * DAY: 1 for step in range(3, 60, 20)}
    assert not any(silence_on(rare, day).is_missing for day in range(20, 120))


def test_a_silence_goes_on_over_a_closed_weekday() -> None:
    series = {day: n for day, n in series_of(120).items() if day.weekday() != 5 and day < START + 102 * DAY}
    assert [silence_on(series, day).days for day in (101, 102, 103, 104)] == [0, 1, 1, 2]
    assert silence_on(series, 103).is_missing


def test_within_the_warm_up_a_band_says_so() -> None:
    series = series_of(60)
    assert band_on(series, 27).is_warming_up
    assert not band_on(series, 28).is_warming_up


def test_two_weeks_are_the_least_to_judge_from() -> None:
    series = series_of(60)
    assert volume_band(series, START + 13 * DAY, START, NONE, PARAMS) is None
    assert silence(series, START + 13 * DAY, START, NONE, PARAMS) is None
    assert near(band_on(series, 14), 400 * SHAPE[0], 0.35)


def test_a_source_that_has_been_silent_for_the_training_days_is_not_expected() -> None:
    assert volume_band({START: 400}, START + 100 * DAY, START, NONE, PARAMS) is None
    assert silence({START: 400}, START + 100 * DAY, START, NONE, PARAMS) is None


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=150)
@given(
    counts=st.lists(st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 1_000_000)), min_size=14, max_size=110),
    spans=st.lists(st.tuples(st.integers(0, 110), st.integers(0, 40), st.sampled_from(["holiday", "import"])), max_size=3),
)
@example(counts=[*[0] * 13, 1], spans=[(0, 4, "holiday")])
def test_whatever_came_a_band_holds_what_it_expects(counts: list[int], spans: list[tuple[int, int, Kind]]) -> None:
    series = {START + step * DAY: count for step, count in enumerate(counts)}
    calendar = Calendar(Entry(START + first * DAY, START + (first + days) * DAY, kind) for first, days, kind in spans)
    judged = START + len(counts) * DAY
    band = volume_band(series, judged, START, calendar, PARAMS)
    found = silence(series, judged, START, calendar, PARAMS)
    assert (band is None) == (found is None)
    assert band is None or (0 <= band.low <= band.high and band.low <= band.expected <= band.high)
    assert found is None or (found.days >= 0 and found.limit >= 1)


def test_the_vars_of_the_project_set_the_parameters() -> None:
    alerts = load_settings({}).vars.alerts
    assert BandParams.of(alerts.training_days, alerts.warm_up_days, alerts.bounds) == BandParams()
    assert BandParams.of(60, 7, {"band_min_change": 0.5}) == BandParams(60, 7, min_change=0.5)


Shares = Callable[..., list[tuple[int, int]]]


def shares_of(share: float, rows: int, n_days: int = 60, scatter: float = 0.0) -> list[tuple[int, int]]:
    random = np.random.default_rng(7)
    levels = np.clip(random.normal(share, scatter, n_days), 0, 1)
    return [(int(random.binomial(rows, level)), rows) for level in levels]


def test_a_share_is_expected_where_it_was() -> None:
    band = share_band(shares_of(0.2, 2_000), PARAMS)
    assert band.expected == pytest.approx(0.2, abs=0.01)
    # The smallest change of 30 % is wider than chance on so many rows.
    assert [band.low, band.high] == pytest.approx([0.7 * band.expected, 1.3 * band.expected])
    assert not band.is_warming_up


def test_usual_shares_lie_inside_their_band() -> None:
    for share, rows in ((0.002, 500), (0.02, 500), (0.2, 20), (0.3, 50), (0.95, 1_000), (0.5, 10)):
        history = shares_of(share, rows, 1_060)
        band = share_band(history[:60], PARAMS)
        assert sum(not band.low <= n / rows <= band.high for n, _ in history[60:]) <= 1


def test_fewer_rows_make_the_band_of_a_share_wider() -> None:
    history = shares_of(0.2, 2_000)
    few, many = share_band(history, PARAMS, denominator=20), share_band(history, PARAMS, denominator=20_000)
    assert few.low < 0.02
    assert few.high > 0.45
    assert many.high < 0.3


def test_a_share_that_scatters_has_a_wider_band_than_chance_gives() -> None:
    assert share_band(shares_of(0.4, 5_000, scatter=0.08), PARAMS).high > 0.6
    assert share_band(shares_of(0.4, 5_000), PARAMS).high < 0.55


@pytest.mark.parametrize("share", [0, 1])
def test_a_share_that_never_moved_may_move_by_a_point(share: int) -> None:
    band = share_band([(share * 100_000, 100_000)] * 40, PARAMS)
    assert (band.expected, band.low, band.high) == pytest.approx((share, max(share - 0.01, 0), min(share + 0.01, 1)), abs=1e-6)


def test_one_wild_day_does_not_widen_the_band_of_a_share() -> None:
    history = shares_of(0.2, 2_000)
    assert share_band([*history, (2_000, 2_000)], PARAMS).high == pytest.approx(share_band(history, PARAMS).high, abs=0.01)


def test_without_rows_every_share_is_allowed() -> None:
    for history in ([], [(0, 0)] * 40):
        band = share_band(history, PARAMS)
        assert (band.low, band.high, band.is_warming_up) == (0, 1, True)
    assert share_band(shares_of(0.2, 100), PARAMS, denominator=0).high == 1


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=60)
)
def test_the_band_of_a_share_holds_what_is_expected_between_0_and_1(pairs: list[tuple[int, int]]) -> None:
    band = share_band(pairs, PARAMS)
    assert 0 <= band.low <= band.expected <= band.high <= 1
