"""What is observed of the feeds: rows by source and local day, what came late, what is missing."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.alerts.observe import DAYS_AGAIN, is_observed, observe
from orchestration.contract import raw_tables
from orchestration.ingest.accounts import TABLES
from orchestration.settings import load_settings

VARS = load_settings({}).vars
JUDGED = date(2026, 5, 20)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with the raw tables, three customers, and one ingest."""
    con = duckdb.connect()
    con.execute(TABLES)
    for table in raw_tables():
        con.execute(f"create table raw.{table.name} ({', '.join(f'{c.name} {c.data_type}' for c in table.columns)})")
    con.execute("insert into ops.ingested_tables (table_name, ingested_at) values ('orders', '2026-05-21 04:00')")
    customers = [("web1", " Web "), ("web2", "web"), ("nowhere", None)]
    con.executemany("insert into raw.customers (customer_id, source, created_at) values (?, ?, '2026-05-01 10:00')", customers)
    return con


def _order(con: duckdb.DuckDBPyConnection, key: str, at: str, loaded: str | None = None, customer: str = "web1") -> None:
    con.execute("delete from raw.orders where order_id = ?", [key])
    con.execute(
        "insert into raw.orders (order_id, customer_id, ordered_at, amount, loaded_at) values (?, ?, ?, 1, ?)",
        [key, customer, at, loaded],
    )


def _orders(con: duckdb.DuckDBPyConnection, columns: str = "source, day, n_rows, n_late") -> list[tuple[Any, ...]]:
    query = f"select {columns} from observations.feed_days where feed = 'orders' order by day, source"
    return con.execute(query).fetchall()


def test_days_are_local_and_sources_are_those_of_the_profiles(con: duckdb.DuckDBPyConnection) -> None:
    # 22:30 UTC is half past midnight in Paris in May.
    _order(con, "a", "2026-05-19 22:30", customer="web1")
    _order(con, "b", "2026-05-20 21:59", customer="web2")
    _order(con, "c", "2026-05-20 12:00", customer="nowhere")
    _order(con, "after", "2026-05-20 22:00")
    observe(con, VARS, JUDGED)
    assert _orders(con) == [("unknown", JUDGED, 1, 0), ("web", JUDGED, 2, 0)]


@pytest.mark.parametrize(("day", "offset"), [(date(2026, 3, 29), 1), (date(2026, 10, 25), 2)])
def test_a_day_of_23_or_25_hours_holds_its_own_rows(con: duckdb.DuckDBPyConnection, day: date, offset: int) -> None:
    begins = datetime(day.year, day.month, day.day) - timedelta(hours=offset)
    hours = 23 if offset == 1 else 25
    for hour in range(-1, hours + 1):
        _order(con, str(hour), f"{begins + timedelta(hours=hour)}")
    observe(con, VARS, day)
    assert [(d, n) for _, d, n, _ in _orders(con)] == [(day - timedelta(days=1), 1), (day, hours)]


def test_what_is_known_by_the_end_of_the_next_day_is_in_time(con: duckdb.DuckDBPyConnection) -> None:
    _order(con, "with the history", "2026-05-19 10:00")
    _order(con, "in time", "2026-05-19 10:00", "2026-05-20 21:59")
    _order(con, "late", "2026-05-19 10:00", "2026-05-20 22:00")
    observe(con, VARS, JUDGED)
    assert _orders(con) == [("web", date(2026, 5, 19), 2, 1)]


def test_of_days_long_past_all_rows_count(con: duckdb.DuckDBPyConnection) -> None:
    long_past = JUDGED - timedelta(days=DAYS_AGAIN + 1)
    _order(con, "a", f"{long_past} 10:00", "2026-05-20 04:00")
    observe(con, VARS, JUDGED)
    assert _orders(con) == [("web", long_past, 1, 0)]


def test_a_row_that_was_in_time_stays_so_when_it_comes_again(con: duckdb.DuckDBPyConnection) -> None:
    _order(con, "a", "2026-05-19 10:00", "2026-05-20 04:00")
    observe(con, VARS, date(2026, 5, 19))
    # The same order, refunded.
    _order(con, "a", "2026-05-19 10:00", "2026-05-23 04:00")
    _order(con, "b", "2026-05-19 10:00", "2026-05-23 04:00")
    observe(con, VARS, date(2026, 5, 22))
    assert _orders(con) == [("web", date(2026, 5, 19), 1, 1)]


def test_rows_of_an_unknown_customer_are_a_place_of_their_own(con: duckdb.DuckDBPyConnection) -> None:
    _order(con, "a", "2026-05-20 10:00", customer="nobody")
    _order(con, "b", "2026-05-20 10:00")
    observe(con, VARS, JUDGED)
    assert _orders(con, "source, n_rows, n_orphans") == [("(orphan)", 1, 1), ("web", 1, 0)]


def test_missing_values_are_counted_by_column_and_day(con: duckdb.DuckDBPyConnection) -> None:
    _order(con, "a", "2026-05-20 10:00")
    _order(con, "b", "2026-05-20 10:00")
    con.execute("update raw.orders set currency = 'EUR' where order_id = 'a'")
    observe(con, VARS, JUDGED)
    found = con.execute("select day, n_rows, n_null from observations.feed_columns where column_name = 'currency'").fetchall()
    assert found == [(JUDGED, 2, 1)]
    assert con.execute("from observations.feed_columns where column_name in ('amount', 'order_id')").fetchall() == []


def test_events_and_consents_are_counted_by_kind(con: duckdb.DuckDBPyConnection) -> None:
    kinds = ["campaign_sent", "campaign_sent", "hard_bounce", "soft_bounce", "complaint", "undeliverable", " Complaint "]
    for number, kind in enumerate(kinds):
        con.execute(
            "insert into raw.events (event_id, customer_id, occurred_at, event_type) values (?, 'web1', '2026-05-20 10:00', ?)",
            [str(number), kind],
        )
    for number, status in enumerate(["opt_in", "opt_out", "opt_out"]):
        con.execute(
            "insert into raw.consents (consent_id, customer_id, channel, status, occurred_at) "
            "values (?, 'web1', 'email', ?, '2026-05-20 10:00')",
            [str(number), status],
        )
    observe(con, VARS, JUDGED)
    events = "n_rows, n_sent, n_hard_bounces, n_soft_bounces, n_complaints, n_undeliverable, n_opt_ins"
    assert con.execute(f"select {events} from observations.feed_days where feed = 'events'").fetchall() == [
        (7, 2, 1, 1, 2, 1, None)
    ]
    consents = "n_rows, n_opt_ins, n_opt_outs, n_sent"
    assert con.execute(f"select {consents} from observations.feed_days where feed = 'consents'").fetchall() == [(3, 1, 2, None)]


def test_a_night_observed_again_gives_the_same_rows(con: duckdb.DuckDBPyConnection) -> None:
    for day in range(1, 21):
        _order(con, f"a{day}", f"2026-05-{day:02d} 10:00", f"2026-05-{day + day % 4:02d} 12:00")
    observe(con, VARS, JUDGED)
    before = _orders(con), con.execute("from observations.feed_columns order by all").fetchall()
    observe(con, VARS, JUDGED)
    assert (_orders(con), con.execute("from observations.feed_columns order by all").fetchall()) == before


def test_a_later_night_looks_at_one_week_again_and_leaves_older_days(con: duckdb.DuckDBPyConnection) -> None:
    _order(con, "old", "2026-05-01 10:00")
    observe(con, VARS, JUDGED)
    _order(con, "older than a week", "2026-05-12 10:00")
    _order(con, "of the week", f"{JUDGED - timedelta(days=DAYS_AGAIN)} 10:00")
    observe(con, VARS, JUDGED + timedelta(days=1))
    assert [day for _, day, _, _ in _orders(con)] == [date(2026, 5, 1), JUDGED - timedelta(days=DAYS_AGAIN)]


def test_days_that_no_band_learns_from_any_more_go(con: duckdb.DuckDBPyConnection) -> None:
    _order(con, "a", "2026-05-20 10:00")
    observe(con, VARS, JUDGED)
    observe(con, VARS, JUDGED + timedelta(days=VARS.alerts.training_days + 61))
    assert _orders(con) == []


def test_a_night_is_observed_once_for_each_ingest(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    path = tmp_path / "warehouse.duckdb"
    assert not is_observed(path, JUDGED)
    observe(con, VARS, JUDGED)
    con.execute(f"attach '{path}' as file; copy from database memory to file; detach file")
    assert is_observed(path, JUDGED)
    assert not is_observed(path, JUDGED + timedelta(days=1))
    with duckdb.connect(str(path)) as file:
        file.execute("update ops.ingested_tables set ingested_at = '2026-05-21 09:00'")
    assert not is_observed(path, JUDGED)
