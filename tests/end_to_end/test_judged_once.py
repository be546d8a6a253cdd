"""Coordinates are judged when they are written anew or the rules change, not at each close."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.end_to_end.closing import WAREHOUSE, bring_in, close, copied
from tests.orchestration.conftest import write_base

JANUARY, FEBRUARY, MARCH = (date(2024, month, 1) for month in (1, 2, 3))
# What no rule says: where it is still there, nothing was judged.
MARK = "judged before"


@pytest.fixture(scope="module")
def january(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with January closed, in which the verdict on every e-mail address is marked; not to be written to."""
    folder = tmp_path_factory.mktemp("january")
    write_base(folder / "raw")
    warehouse = folder / WAREHOUSE
    bring_in(folder / "raw", warehouse, JANUARY, {})
    close(warehouse, JANUARY, JANUARY, {}, with_tests=False, made=["int_coordinates"])
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update private.int_judged_coordinates set email_reason = ?", [MARK])
    return warehouse


@pytest.fixture
def warehouse(january: Path, tmp_path: Path) -> Path:
    """A copy of it to write to."""
    return copied(january, tmp_path)


def marked(warehouse: Path) -> dict[str, bool]:
    """Whether each profile's verdict is still the one of before."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select customer_id, email_reason is not distinct from ? from private.int_coordinates", [MARK]
        ).fetchall()
    return dict(rows)


def close_february(warehouse: Path, change: str = "", variables: Mapping[str, object] | None = None) -> dict[str, bool]:
    if change:
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(change)
    close(warehouse, FEBRUARY, FEBRUARY, variables or {}, with_tests=False, made=["int_coordinates"])
    return marked(warehouse)


def test_what_is_written_as_before_is_not_judged_again(warehouse: Path) -> None:
    found = close_february(warehouse)
    assert len(found) > 10
    assert all(found.values())


def test_a_profile_whose_coordinate_is_written_anew_is_judged_again(warehouse: Path) -> None:
    columns = ("email", "phone", "address_line", "postal_code", "city", "country")
    # A profile for each column.
    profiles = sorted(marked(warehouse))
    of = dict(zip(columns, profiles, strict=False))
    changes = [f"update raw.customers set {column} = 'X1' where customer_id = '{profile}'" for column, profile in of.items()]
    found = close_february(warehouse, "; ".join(changes))
    assert [column for column, profile in of.items() if found[profile]] == []
    assert [profile for profile in profiles[len(columns) :] if not found[profile]] == []
    assert len(found) == len(profiles) > 2 * len(columns)


def test_other_rules_judge_everything_again(warehouse: Path) -> None:
    found = close_february(warehouse, variables={"phone_regions": ["DE"]})
    assert not any(found.values())


def test_a_profile_that_is_gone_leaves_nothing_behind(warehouse: Path) -> None:
    (first, *others) = sorted(marked(warehouse))
    assert sorted(close_february(warehouse, f"delete from raw.customers where customer_id = '{first}'")) == others
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        kept = connection.execute("select customer_id from private.int_judged_coordinates order by 1").fetchall()
        listed = connection.execute("select customer_id from private.int_coordinates_to_judge").fetchall()
    assert [customer for (customer,) in kept] == others
    assert listed == []
