"""What was known of profiles when a month was closed is what the month takes when it is closed again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestration.close import record_closed
from orchestration.months import months_between
from tests.end_to_end.closing import WAREHOUSE, Rows, bring_in, close, closed_tables, first_difference, query
from tests.end_to_end.raw_base import RawBase, Row

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
VARIABLES = {"reporting_timezone": "Europe/Paris"}
# The first ingest, within the grace of February: only January could have been closed before it.
FIRST_SEEN, SEEN_AGAIN = datetime(2024, 3, 1, 9, tzinfo=UTC), datetime(2024, 3, 20, 9, tzinfo=UTC)
STATE = "core.int_customer_months"
KEPT = (STATE, "core.int_contact_months", "core.int_profile_history", "core.int_coordinate_history")
MADE = ["fill_rate_monthly", "optin_rate_monthly"]


@dataclass(frozen=True)
class Closed:
    """A folder with a warehouse, and the state of its first two months as they were closed first."""

    folder: Path
    first_closes: Rows

    def query(self, sql: str) -> Rows:
        return query(self.folder / WAREHOUSE, sql)


def _profile(customer_id: str, **values: Any) -> Row:
    return {"customer_id": customer_id, "created_at": datetime(2024, 1, 5), "source": "web", **values}


FIRST_DELIVERY = [
    _profile("emptied", email="a@example.org", birth_date=date(1980, 2, 29), gender="F"),
    _profile("filled", email=None, birth_date=date(1980, 2, 28)),
    _profile("moves", email="c@example.org", birth_date=date(1890, 1, 1)),
    _profile("leaves", email="d@example.org"),
    # A number that is none: filled, and of no use to a channel.
    _profile("stays", email="e@example.org", phone="12"),
]
SECOND_DELIVERY = [
    _profile("emptied", email="n/a", birth_date=None),
    _profile("filled", email="b@example.org", birth_date=date(1980, 2, 28), created_at=datetime(2024, 2, 5)),
    _profile("moves", email="c@example.org", birth_date=date(1980, 1, 1), source="till"),
    _profile("stays", email="e@example.org", phone="0612345678"),
    _profile("appears", email="f@example.org"),
]


def _deliver(folder: Path, customers: list[Row], now: datetime) -> None:
    """Replace the customers' file: who is no longer in it is gone."""
    RawBase(customers=customers).write(folder / "raw")
    bring_in(folder / "raw", folder / WAREHOUSE, JANUARY, VARIABLES, now)


def _close(folder: Path, first: date, last: date) -> None:
    """Close months and record that, as the orchestrator does."""
    close(folder / WAREHOUSE, first, last, VARIABLES, made=MADE)
    record_closed(folder / WAREHOUSE, months_between(first, last), SEEN_AGAIN, "run")


def _state(folder: Path) -> Rows:
    return query(folder / WAREHOUSE, f"select * from {STATE} order by all")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Closed:
    """January and February closed on the first delivery, March on the second."""
    folder = tmp_path_factory.mktemp("history")
    _deliver(folder, FIRST_DELIVERY, FIRST_SEEN)
    _close(folder, JANUARY, FEBRUARY)
    first_closes = _state(folder)
    _deliver(folder, SECOND_DELIVERY, SEEN_AGAIN)
    _close(folder, MARCH, MARCH)
    return Closed(folder, first_closes)


def test_later_observations_change_no_closed_month(closed: Closed) -> None:
    assert [row for row in _state(closed.folder) if row[0] != MARCH] == closed.first_closes
    changes = f"select customer_id, movement, has_email, source from {STATE} where snapshot_month = '2024-03-01' order by all"
    assert closed.query(changes) == [
        ("appears", "restored", True, "web"),
        ("emptied", "stable", False, "web"),
        ("filled", "stable", True, "web"),
        ("leaves", "deleted", False, "web"),
        ("moves", "reassigned", True, "till"),
        ("stays", "stable", True, "web"),
    ]


def test_history_has_a_row_for_each_profile_and_one_more_for_each_change(closed: Closed) -> None:
    history = closed.query("select snapshot_month, customer_id, is_gone, has_email, source from core.int_profile_history")
    assert sorted(history, key=str) == [
        (JANUARY, "emptied", False, True, "web"),
        (JANUARY, "filled", False, False, "web"),
        (JANUARY, "leaves", False, True, "web"),
        (JANUARY, "moves", False, True, "web"),
        (JANUARY, "stays", False, True, "web"),
        (MARCH, "appears", False, True, "web"),
        (MARCH, "emptied", False, False, "web"),
        (MARCH, "filled", False, True, "web"),
        (MARCH, "leaves", True, None, None),
        (MARCH, "moves", False, True, "till"),
    ]


def test_months_that_could_be_closed_before_the_first_ingest_are_reconstructed(closed: Closed) -> None:
    for table in (*(f"marts.{mart}" for mart in MADE), "core.fct_customer_months"):
        found = closed.query(f"select distinct snapshot_month, is_reconstructed from {table} order by 1")
        assert found == [(JANUARY, True), (FEBRUARY, False), (MARCH, False)], table


@pytest.mark.parametrize("last", [FEBRUARY, MARCH], ids=["months of the first run", "all months"])
def test_month_closed_again_takes_what_was_known_at_its_close(closed: Closed, last: date) -> None:
    tables = closed_tables(closed.folder / WAREHOUSE, *KEPT)
    _close(closed.folder, JANUARY, last)
    assert not first_difference(tables, closed_tables(closed.folder / WAREHOUSE, *KEPT))
