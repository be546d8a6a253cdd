"""Random bases with late rows: however their months are closed, the marts say what a count by hand says."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestration.months import add_months, months_between
from tests.end_to_end.closing import WAREHOUSE, Rows, bring_in, close, closed_tables, first_difference, query
from tests.end_to_end.oracle import Figures, Oracle
from tests.end_to_end.random_base import Shape, random_base
from tests.end_to_end.raw_base import RawBase, Row

STATE = "core.int_customer_months"
SEGMENT = "snapshot_month, source, status, registered_within_12m"
# What the oracle counts, read from the marts.
FIGURES = {
    "recency": f"select {SEGMENT}, is_new, recency_band_rank, n_profiles from marts.recency_monthly",
    "status": f"""
        select {SEGMENT}, is_active, measure, n
        from (unpivot marts.status_monthly on n_profiles, n_new, n_converted, n_optin_any into name measure value n)""",
    "optin": f"select {SEGMENT}, channel, n_opted_in from marts.optin_rate_monthly",
    "flows": "select snapshot_month, source, status, scope, movement, n_profiles from marts.flows_monthly",
    "retention": """
        select snapshot_month, source, status, measure, n
        from (
            unpivot marts.retention_monthly
            on n_profiles, n_overdue, n_newly_overdue, n_due_1m, n_due_3m, n_due_12m, n_deleted
            into name measure value n
        )""",
}

ZONES = ("Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
shapes = st.builds(
    Shape,
    seed=st.integers(0, 2**32 - 1),
    # A leap February, the turns of the clock in both hemispheres, a turn of the year.
    first=st.sampled_from([date(2024, 1, 1), date(2024, 2, 1), date(2023, 3, 1), date(2023, 9, 1), date(2023, 12, 1)]),
    n_months=st.integers(3, 4),
    zone=st.sampled_from(ZONES),
    grace_days=st.sampled_from([0, 1, 2, 5, 27]),
    history_month=st.sampled_from([2, 1, 0]),
)
# Bases that stay the same, with a leap February and a turn of the clock in each hemisphere; the slow tests draw theirs.
LEAP_FEBRUARY = Shape(seed=20240229, first=date(2024, 1, 1), n_months=3, zone="America/New_York", grace_days=2, history_month=1)
SOUTHERN_SPRING = Shape(
    seed=20230924, first=date(2023, 9, 1), n_months=3, zone="Pacific/Auckland", grace_days=5, history_month=1
)
# Profiles do not depend on each other: the message names the one that differs, which no shrinking would make smaller.
many = settings(
    max_examples=3,
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _by_hand(base: RawBase, shape: Shape, warehouse: Path) -> None:
    """Compare each mart with the oracle."""
    expected = Oracle(base, shape).figures()
    for name, sql in FIGURES.items():
        found: Figures = Counter()
        for *key, n in query(warehouse, sql):
            found[tuple(key)] += n
        wrong = sorted((key for key in expected[name].keys() | found.keys() if expected[name][key] != found[key]), key=str)
        told = [(*key, f"by hand {expected[name][key]}", f"mart {found[key]}") for key in wrong[:3]]
        assert not wrong, f"{name}: {len(wrong)} figures differ under {shape}, first {told}"


def _first_person(base: RawBase, one: dict[str, Rows], other: dict[str, Rows]) -> RawBase | None:
    """The raw rows of the first id whose states differ."""
    ids = {row[2] for row in set(one[STATE]) ^ set(other[STATE])}
    return base.of(min(ids)) if ids else None


def _assert_equal(base: RawBase, one: dict[str, Rows], other: dict[str, Rows]) -> None:
    difference = first_difference(one, other)
    assert not difference, f"{difference}\nraw rows of the first person: {_first_person(base, one, other)}"


def _check_shape(shape: Shape) -> None:
    """One range, by hand; the same months one by one; and a range in the middle once more."""
    base = random_base(shape)
    with TemporaryDirectory() as name:
        folder = Path(name)
        raw_dir = base.write(folder / "raw")
        at_once, stepwise = folder / "at_once" / WAREHOUSE, folder / "stepwise" / WAREHOUSE
        at_once.parent.mkdir()
        stepwise.parent.mkdir()
        bring_in(raw_dir, at_once, shape.first, shape.variables)
        shutil.copyfile(at_once, stepwise)

        close(at_once, shape.first, shape.last, shape.variables)
        _by_hand(base, shape, at_once)
        expected = closed_tables(at_once, STATE)

        # The data tests have passed on the same rows.
        for month in months_between(shape.first, shape.last):
            close(stepwise, month, month, shape.variables, with_tests=False)
        _assert_equal(base, expected, closed_tables(stepwise, STATE))

        close(at_once, add_months(shape.first, 1), add_months(shape.last, -1), shape.variables, with_tests=False)
        _assert_equal(base, expected, closed_tables(at_once, STATE))


def test_months_one_by_one_are_the_range_and_the_count_by_hand() -> None:
    _check_shape(LEAP_FEBRUARY)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@many
@given(shape=shapes)
def test_many_bases_one_by_one_are_the_range_and_the_count_by_hand(shape: Shape) -> None:
    _check_shape(shape)


def _with_known_creation(base: RawBase) -> RawBase:
    """Where a profile has no creation date, its traces all come with the history: a later one would move its creation."""
    undated = {row["customer_id"] for row in base.customers if row["created_at"] is None}
    for row, _ in base.traces:
        if row["customer_id"] in undated:
            row["loaded_at"] = None
    return base


def _after(instant: datetime) -> datetime:
    return instant + timedelta(microseconds=1)


def _check_feed(shape: Shape) -> None:
    """Close each month on the files that were there at its close, then all of them at once on all files."""
    base = _with_known_creation(random_base(shape))
    with TemporaryDirectory() as name:
        folder = Path(name)
        nightly, late = folder / "nightly" / WAREHOUSE, folder / "late" / WAREHOUSE
        nightly.parent.mkdir()
        late.parent.mkdir()
        raw_dir, delivered = folder / "raw", datetime.min
        for month in months_between(shape.first, shape.last):
            # The first delivery is the whole history.
            until = max(shape.instant(add_months(month, 1) + timedelta(days=shape.grace_days)), _after(shape.history_until))

            def is_new(row: Row, since: datetime = delivered, until: datetime = until) -> bool:
                return since <= (row["loaded_at"] or datetime.min) < until

            base.filtered(is_new).write(raw_dir, part=f"{month:%Y-%m}")
            bring_in(raw_dir, nightly, shape.first, shape.variables)
            close(nightly, month, month, shape.variables)
            delivered = until
        base.filtered(lambda row: (row["loaded_at"] or datetime.min) >= delivered).write(raw_dir, part="rest")
        bring_in(raw_dir, late, shape.first, shape.variables)
        close(late, shape.first, shape.last, shape.variables)
        # Without the ids outside the base: of a profile that is still to come, only its traces were known.
        one, other = (closed_tables(warehouse, "core.fct_customer_months") for warehouse in (nightly, late))
        difference = first_difference(one, other)
        assert not difference, f"{shape}: {difference}"
        _by_hand(base, shape, nightly)


def test_month_closed_at_its_time_is_the_month_rebuilt_later() -> None:
    _check_feed(SOUTHERN_SPRING)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(many, max_examples=5)
@given(shape=shapes)
def test_many_months_closed_at_their_time_are_the_months_rebuilt_later(shape: Shape) -> None:
    _check_feed(shape)


def test_random_bases_hold_what_they_are_for() -> None:
    """Every movement and every kind of row occurs: a generator that went tame would prove nothing."""
    shape = Shape(seed=1, first=date(2024, 1, 1), n_months=4, zone="Europe/Paris", grace_days=2)
    base = random_base(shape)
    movements = {key[4] for key in Oracle(base, shape).figures()["flows"]}
    assert movements >= {
        "opening", "closing", "new", "restored", "deleted", "transient", "lapsed", "reactivated", "stable",
        "converted_in", "converted_out",
    }  # fmt: skip
    versions: Counter[Any] = Counter(row["customer_id"] for row in base.customers)
    assert max(versions.values()) == 2
    assert {row["created_at"] is None for row in base.customers} == {True, False}
    assert any(row["loaded_at"] and row["loaded_at"] > shape.history_until for row, _ in base.traces)
