"""Profiles that are merged, in chains, late, in a circle, into nobody: who leaves, and what the survivor has, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from orchestration.close import record_closed
from orchestration.months import add_months, months_between
from orchestration.restatement import Restatement, enter_range
from tests.end_to_end.closing import WAREHOUSE, Rows, bring_in, close, closed_tables, copied, first_difference, query
from tests.end_to_end.merged_base import FIRST, LAST, VARIABLES, merged_base
from tests.end_to_end.random_base import Shape, random_base
from tests.end_to_end.raw_base import RawBase
from tests.end_to_end.test_months_one_by_one import many, shapes

MADE = ["flows_monthly", "consent_flows_monthly", "optin_rate_monthly", "accounts_monthly"]
STATE = ("core.int_customer_months", "core.int_contact_months")


@pytest.fixture(scope="module")
def base() -> RawBase:
    return merged_base()


@pytest.fixture(scope="module")
def closed(base: RawBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of all months closed in one run; not to be written to."""
    folder = tmp_path_factory.mktemp("merges")
    bring_in(base.write(folder / "raw"), folder / WAREHOUSE, FIRST, VARIABLES)
    close(folder / WAREHOUSE, FIRST, LAST, VARIABLES, made=MADE)
    return folder / WAREHOUSE


def _moved(warehouse: Path, movement: str) -> Rows:
    return query(
        warehouse,
        "select strftime(snapshot_month, '%m'), source, status, n_profiles from marts.flows_monthly "
        f"where scope = 'base' and movement = '{movement}' and n_profiles > 0 order by all",
    )


def _of(warehouse: Path, customer_id: str, columns: str) -> Rows:
    return query(
        warehouse,
        f"select {columns} from core.int_customer_months as s "
        "join core.int_contact_months as c using (customer_id, snapshot_month) "
        f"where customer_id = '{customer_id}' order by snapshot_month",
    )


def test_merged_profiles_leave_in_the_month_in_which_it_became_known(closed: Path) -> None:
    assert _moved(closed, "merged") == [
        ("02", "till", "customer", 1),
        ("02", "web", "prospect", 1),
        ("03", "till", "prospect", 1),
        ("03", "web", "customer", 1),
        ("04", "till", "customer", 1),
        ("04", "till", "prospect", 1),
        ("04", "web", "prospect", 1),
    ]
    assert _moved(closed, "deleted") == [("03", "till", "prospect", 1)]
    assert _moved(closed, "transient") == [("03", "app", "prospect", 1)]
    # The second of a circle is not followed: its profile stays.
    assert [row[0] for row in _of(closed, "circle_2", "s.is_in_base")] == [True] * 4


def test_survivors_have_the_activities_of_the_chain(closed: Path) -> None:
    became = "s.movement, s.status, cast(s.first_order_date as varchar), cast(s.last_activity_date as varchar)"
    assert _of(closed, "second", became)[1:] == [
        ("converted", "customer", "2023-07-10", "2023-07-10"),
        ("merged", "customer", "2023-07-10", "2023-07-10"),
    ]
    assert _of(closed, "third", became)[1:] == [
        ("stable", "prospect", None, "2023-06-01"),
        ("converted", "customer", "2023-07-10", "2024-03-20"),
        ("stable", "customer", "2023-07-10", "2024-03-20"),
    ]
    assert [row[1:3] for row in _of(closed, "late_survivor", became)] == [("prospect", None)] * 3 + [("customer", "2024-01-10")]


def test_survivors_have_the_consents_for_their_own_coordinate(closed: Path) -> None:
    assert [row[0] for row in _of(closed, "third", "email_stage")] == ["no_optin", "no_optin", "contactable", "contactable"]
    assert [row[0] for row in _of(closed, "opted_in", "email_stage")] == ["no_optin", "contactable", "no_optin", "no_optin"]
    assert [row[0] for row in _of(closed, "keeps_its_own", "email_stage")] == ["no_optin"] * 4
    left = query(
        closed,
        "select strftime(snapshot_month, '%m'), source, n_profiles from marts.consent_flows_monthly "
        "where channel = 'email' and movement = 'merged' and n_profiles > 0 order by all",
    )
    assert left == [("02", "till", 1), ("03", "web", 1), ("04", "till", 1)]


def test_an_account_has_the_orders_of_those_merged_into_its_customers_from_the_merge_on(closed: Path) -> None:
    bought = query(
        closed,
        "select account_id, strftime(snapshot_month, '%m'), paid_amount, paid_amount_12m from marts.accounts_monthly "
        "order by all",
    )
    assert bought == [
        ("one", "01", 0, 10), ("one", "02", 0, 0), ("one", "03", 0, 0), ("one", "04", 0, 0),
        ("three", "01", 0, 0), ("three", "02", 0, 0), ("three", "03", 20, 30), ("three", "04", 0, 30),
    ]  # fmt: skip


def test_months_closed_one_by_one_with_merges_as_they_come_equal_the_range(base: RawBase, closed: Path, tmp_path: Path) -> None:
    merges, warehouse = base.merges, tmp_path / WAREHOUSE
    for month in months_between(FIRST, LAST):
        end = add_months(month, 1)
        known = [row for row in merges if row["loaded_at"].date() <= end]
        RawBase(**{**base.tables, "merges": known}).write(tmp_path / "raw")
        bring_in(tmp_path / "raw", warehouse, FIRST, VARIABLES)
        close(warehouse, month, month, VARIABLES, made=MADE)
    assert not first_difference(closed_tables(closed, *STATE), closed_tables(warehouse, *STATE))


def test_a_restatement_from_the_month_of_a_late_merge_counts_it_there(closed: Path, tmp_path: Path) -> None:
    warehouse, months = copied(closed, tmp_path), months_between(date(2024, 2, 1), LAST)
    record_closed(warehouse, months_between(FIRST, LAST), datetime(2024, 5, 3, 9, tzinfo=UTC), "run")
    enter_range(warehouse, Restatement(tuple(months), datetime(2024, 5, 4, 9, tzinfo=UTC), "0123456789", FIRST, True))
    close(warehouse, months[0], LAST, VARIABLES, made=MADE)
    assert ("02", "till", "customer", 2) in _moved(warehouse, "merged")
    assert [row[0] for row in _of(warehouse, "late_survivor", "s.status")] == ["prospect", "customer", "customer", "customer"]


def _with_merges(base: RawBase, shape: Shape) -> RawBase:
    """A third of the profiles of a random base are merged, into any other: chains and circles come about."""
    rng, ids = Random(shape.seed), sorted({row["customer_id"] for row in base.customers})
    for merged in rng.sample(ids, len(ids) // 3):
        at = shape.instant(shape.first) + timedelta(hours=rng.randrange(-30 * 24, 31 * 24 * shape.n_months))
        loaded_at = at + timedelta(hours=rng.choice((0, 5, 900)))
        base.merges.append(
            {"merged_customer_id": merged, "customer_id": rng.choice(ids), "merged_at": at, "loaded_at": loaded_at}
        )
    return base


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(many, max_examples=2)
@given(shape=shapes)
def test_random_merges_close_month_by_month_as_in_one_run(shape: Shape) -> None:
    base = _with_merges(random_base(shape), shape)
    with TemporaryDirectory() as name:
        at_once, stepwise = Path(name) / "at_once" / WAREHOUSE, Path(name) / "stepwise" / WAREHOUSE
        for warehouse in (at_once, stepwise):
            warehouse.parent.mkdir()
            bring_in(base.write(Path(name) / "raw"), warehouse, shape.first, shape.variables)
        close(at_once, shape.first, shape.last, shape.variables, made=MADE)
        for month in months_between(shape.first, shape.last):
            close(stepwise, month, month, shape.variables, made=MADE)
        assert _moved(at_once, "merged")
        assert not first_difference(closed_tables(at_once, *STATE), closed_tables(stepwise, *STATE))
