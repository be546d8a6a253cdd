"""Which months a close takes, and the dbt command that closes them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.close import (
    CloseError,
    WarehouseState,
    dbt_close_args,
    first_month,
    plan,
    read_state,
    record_closed,
    record_first_month,
)
from orchestration.months import add_months, last_closable, months_between
from orchestration.settings import Vars, load_settings, parse_month
from orchestration.warehouse import WarehouseError

# Four days after the end of June: its grace of two days is over.
NOW = datetime(2024, 7, 5, tzinfo=UTC)
ONE_SECOND = timedelta(seconds=1)
DEFAULTS = load_settings({}).vars


def _vars(**overrides: object) -> Vars:
    return load_settings({"BATHTUB_VARS": json.dumps(overrides)}).vars


def _state(began: str | None, closed: str = "") -> WarehouseState:
    """A base that began in a month, closed from there up to another."""
    first = parse_month(began) if began else None
    return WarehouseState(first, tuple(months_between(first, parse_month(closed))) if first and closed else ())


def _span(first: str, last: str) -> list[date]:
    return months_between(parse_month(first), parse_month(last))


CASES: dict[str, tuple[WarehouseState, str | None, str | None, list[date]]] = {
    "nothing is known": (WarehouseState(), None, None, []),
    "nothing is known, whatever is asked": (WarehouseState(), "2024-01", "2024-03", []),
    "nothing is closed": (_state("2024-01"), None, None, _span("2024-01", "2024-06")),
    "nothing is closed, up to a month": (_state("2024-01"), None, "2024-02", _span("2024-01", "2024-02")),
    "asked for before the base began": (_state("2024-01"), "2020-01", "2024-02", _span("2024-01", "2024-02")),
    "up to before the base began": (_state("2024-01"), None, "2023-12", []),
    "all before the base began": (_state("2024-01"), "2023-01", "2023-12", []),
    "three months were missed": (_state("2024-01", "2024-03"), None, None, _span("2024-04", "2024-06")),
    "one of the missed months": (_state("2024-01", "2024-03"), None, "2024-04", _span("2024-04", "2024-04")),
    "from the first open month": (_state("2024-01", "2024-03"), "2024-04", None, _span("2024-04", "2024-06")),
    "all is closed": (_state("2024-01", "2024-06"), None, None, []),
    "up to a month that is closed": (_state("2024-01", "2024-03"), None, "2024-02", []),
    "the past again": (_state("2024-01", "2024-06"), "2024-02", "2024-03", _span("2024-02", "2024-03")),
    "the past again and what is open": (_state("2024-01", "2024-03"), "2024-02", None, _span("2024-02", "2024-06")),
    "the past again, from before the base began": (
        _state("2024-01", "2024-03"),
        "2023-01",
        "2024-01",
        _span("2024-01", "2024-01"),
    ),
    "the base begins after what can be closed": (_state("2024-07"), None, None, []),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    state, first, last, expected = CASES[name]
    assert plan(_vars(), state, NOW, _month(first), _month(last)) == expected


def _month(text: str | None) -> date | None:
    return parse_month(text) if text else None


@pytest.mark.parametrize(
    ("state", "first", "last", "sentence"),
    [
        (_state("2024-01", "2024-03"), "2024-05", None, "2024-05 cannot be closed before 2024-04, the first open month; "),
        (_state("2024-01"), "2024-02", "2024-03", "make build FROM=2024-01 TO=2024-03"),
        (_state("2024-01", "2024-03"), "2024-06", "2024-05", "make build FROM=2024-04 TO=2024-06"),
        (_state("2024-01", "2024-06"), "2024-03", "2024-02", "FROM=2024-03 lies after TO=2024-02."),
        (_state("2024-01"), "2023-03", "2023-02", "FROM=2023-03 lies after TO=2023-02."),
        (_state("2024-01"), None, "2024-07", "2024-07 can be closed from 2024-08-03 00:00 Europe/Paris on, after a grace of 2"),
        (_state("2024-01", "2024-06"), None, "2024-07", "the last month that can be closed now is 2024-06."),
        (_state("2024-01", "2024-06"), None, "2031-01", "2031-01 can be closed from 2031-02-03 00:00"),
    ],
)
def test_months_that_cannot_be_closed(state: WarehouseState, first: str | None, last: str | None, sentence: str) -> None:
    with pytest.raises(CloseError) as error:
        plan(_vars(), state, NOW, _month(first), _month(last))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("zone", "grace_days", "last_moment_before"),
    [
        ("Europe/Paris", 2, datetime(2024, 4, 2, 21, 59, 59, tzinfo=UTC)),
        ("UTC", 0, datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC)),
        ("Pacific/Kiritimati", 2, datetime(2024, 4, 2, 9, 59, 59, tzinfo=UTC)),
        ("America/New_York", 5, datetime(2024, 4, 6, 3, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_month_opens_in_the_reporting_zone_when_its_grace_is_over(
    zone: str, grace_days: int, last_moment_before: datetime
) -> None:
    variables, state = _vars(reporting_timezone=zone, closing_grace_days=grace_days), _state("2024-01")
    assert plan(variables, state, last_moment_before)[-1] == date(2024, 2, 1)
    assert plan(variables, state, last_moment_before + ONE_SECOND)[-1] == date(2024, 3, 1)
    with pytest.raises(CloseError, match=rf"2024-03 can be closed from 2024-04-0{1 + grace_days} 00:00 {zone}"):
        plan(variables, state, last_moment_before, last=date(2024, 3, 1))


# Where clocks turn at midnight: 2017-10-01 began at 01:00 in Asuncion, 2020-11-01 had two midnights in Havana.
@pytest.mark.parametrize(
    ("zone", "month", "begins", "shown"),
    [
        ("America/Asuncion", date(2017, 9, 1), datetime(2017, 10, 1, 4, tzinfo=UTC), "2017-10-01 01:00"),
        ("America/Havana", date(2020, 10, 1), datetime(2020, 11, 1, 4, tzinfo=UTC), "2020-11-01 00:00"),
    ],
)
def test_a_month_ends_once_where_clocks_turn_at_midnight(zone: str, month: date, begins: datetime, shown: str) -> None:
    variables, state = _vars(reporting_timezone=zone, closing_grace_days=0), WarehouseState(month)
    assert plan(variables, state, begins - ONE_SECOND) == []
    assert plan(variables, state, begins) == [month]
    with pytest.raises(CloseError, match=f"can be closed from {shown} {zone}"):
        plan(variables, state, begins - ONE_SECOND, last=month)


def test_a_base_that_seems_to_be_400_months_old_asks_where_it_begins() -> None:
    state = WarehouseState(add_months(date(2024, 6, 1), -399))
    with pytest.raises(CloseError) as error:
        plan(_vars(), state, NOW)
    assert "The first activity in the raw files is of 1991-03, 400 months ago: most likely a wrong date." in str(error.value)
    assert "BATHTUB_VARS='{first_month: 2021-07}'" in str(error.value)
    assert len(plan(_vars(first_month="1991-03"), state, NOW)) == 400
    assert plan(_vars(first_month="2021-07"), state, NOW) == _span("2021-07", "2024-06")


def test_a_history_of_360_months_is_closed_unasked() -> None:
    assert len(plan(_vars(), WarehouseState(add_months(date(2024, 6, 1), -359)), NOW)) == 360


@pytest.mark.parametrize(
    ("variable", "state", "expected"),
    [
        (None, WarehouseState(), None),
        ("2024-03", WarehouseState(), None),
        (None, _state("2024-01"), "2024-01"),
        ("2024-03", _state("2024-01"), "2024-03"),
        ("2020-01", _state("2024-01"), "2024-01"),
        # Closed months decide: nobody moves the beginning of a history by a setting.
        ("2024-03", _state("2024-01", "2024-02"), "2024-01"),
        ("2020-01", _state("2024-01", "2024-02"), "2024-01"),
    ],
)
def test_the_first_month(variable: str | None, state: WarehouseState, expected: str | None) -> None:
    assert first_month(_vars(first_month=variable), state) == _month(expected)


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.none() | st.integers(-5, 30),
    st.none() | st.integers(-5, 30),
    st.datetimes(datetime(2024, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)),
)
def test_a_plan_never_leaves_a_gap_nor_reaches_into_the_grace(
    began: int, n_closed: int, first: int | None, last: int | None, now: datetime
) -> None:
    variables, begin = DEFAULTS, add_months(date(2023, 1, 1), began)
    state = WarehouseState(begin, tuple(months_between(begin, add_months(begin, n_closed - 1))))
    try:
        months = plan(variables, state, now, _shifted(begin, first), _shifted(begin, last))
    except CloseError:
        return
    assert months == sorted({*months})
    if months:
        assert months == months_between(months[0], months[-1])
        assert begin <= months[0] <= add_months(begin, n_closed)
        assert months[-1] <= last_closable(now, variables.zone, variables.closing_grace_days)


def _shifted(begin: date, count: int | None) -> date | None:
    return None if count is None else add_months(begin, count)


def test_one_dbt_command_closes_consecutive_months() -> None:
    assert dbt_close_args(_span("2023-11", "2024-02")) == [
        "build",
        "--event-time-start",
        "2023-11-01",
        "--event-time-end",
        "2024-03-01",
        "--exclude-resource-type",
        "unit_test",
    ]


def test_overridden_vars_go_to_dbt_and_the_first_month_does_not() -> None:
    args = dbt_close_args(_span("2024-01", "2024-01"), {"active_within_days": 180, "first_month": "2024-01"})
    assert args[-2] == "--vars"
    assert json.loads(args[-1]) == {"active_within_days": 180}
    assert "--vars" not in dbt_close_args(_span("2024-01", "2024-01"), {"first_month": "2024-01"})


# ---- the state that a warehouse file holds ---------------------------------------------------------------------------


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create schema ops; create table ops.warehouse (raw_dir varchar, first_month date)")
        con.execute("insert into ops.warehouse values ('raw', '2024-01-01')")
    return path


def test_an_absent_warehouse_knows_nothing(tmp_path: Path) -> None:
    assert read_state(tmp_path / "none.duckdb") == WarehouseState()
    assert list(tmp_path.iterdir()) == []


def test_a_warehouse_without_the_ingests_accounts_knows_nothing(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "w.duckdb")).close()
    assert read_state(tmp_path / "w.duckdb") == WarehouseState()


def test_a_file_that_is_no_warehouse_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_text("no database" * 1000, encoding="utf-8")
    with pytest.raises(WarehouseError, match=r"w\.duckdb cannot be opened as a DuckDB file"):
        read_state(tmp_path / "w.duckdb")


def test_what_is_recorded_is_read_back(warehouse: Path) -> None:
    assert read_state(warehouse) == _state("2024-01")
    record_first_month(warehouse, date(2023, 11, 1))
    record_closed(warehouse, _span("2023-11", "2023-12"), NOW, "first")
    record_closed(warehouse, _span("2023-12", "2024-01"), NOW, "second")
    assert read_state(warehouse) == _state("2023-11", "2024-01")
    with duckdb.connect(str(warehouse), read_only=True) as con:
        found = con.execute("select run_id, closed_at from ops.closed_months order by snapshot_month").fetchall()
    assert found == [(run, NOW.replace(tzinfo=None)) for run in ("first", "second", "second")]
