"""Clean Parquet files are read where they lie; what needs repair is copied."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.ingest.conftest import Bench, night_of

EVENTS = """
    select 'E' || i as event_id, 'C' || i % 9 as customer_id, {time} as occurred_at, 'site_visit' as event_type
    from range({start}, {stop}) as r(i)"""
PLAIN = "timestamp '2026-01-01' + i * interval 1 minute"


def events(start: int, stop: int, time: str = PLAIN) -> str:
    """A query for events."""
    return EVENTS.format(start=start, stop=stop, time=time)


def kind(bench: Bench) -> str:
    """`VIEW` or `BASE TABLE`."""
    ((found,),) = bench.rows(
        "select table_type from information_schema.tables where table_schema = 'raw' and table_name = 'events'"
    )
    return str(found)


@pytest.fixture
def parquet(bench: Bench) -> Bench:
    """The small base with its events in Parquet."""
    (bench.raw / "events.csv").unlink()
    bench.write_parquet("events/1.parquet", events(0, 10_000))
    return bench


def test_clean_files_are_not_copied(parquet: Bench) -> None:
    table = parquet.ingest().tables["events"]
    assert kind(parquet) == "VIEW" and table.is_view
    assert (table.rows_read, table.rows_kept, table.n_files_read) == (10_000, 10_000, 1)
    assert not parquet.ingest(2).changed
    ((definition,),) = parquet.rows("select sql from duckdb_views() where schema_name = 'raw'")
    assert "trim" not in definition and "CASE" not in definition and "*.parquet" not in definition


@pytest.mark.parametrize(
    "time", [PLAIN, f"cast({PLAIN} as timestamp_ns)", f"timezone('UTC', {PLAIN})", f"cast({PLAIN} as timestamp_s)"]
)
def test_row_groups_are_pruned_and_times_are_utc_for_every_reader(parquet: Bench, time: str) -> None:
    parquet.write_parquet("events/1.parquet", events(0, 10_000, time))
    parquet.ingest()
    condition = "occurred_at >= timestamp '2026-01-07 10:00:00'"
    assert parquet.rows(f"select count(*), min(occurred_at) from raw.events where {condition}") == [
        (10_000 - (6 * 24 + 10) * 60, datetime(2026, 1, 7, 10))
    ]
    ((_, plan),) = parquet.rows(f"explain analyze select count(customer_id), min(event_id) from raw.events where {condition}")
    assert "Row Groups Scanned: 1 / 5" in plan


def test_a_file_that_arrives_later_joins_the_view_after_its_check(parquet: Bench) -> None:
    parquet.ingest()
    parquet.write_parquet("events/2.parquet", events(10_000, 10_100))
    assert parquet.rows("select count(*) from raw.events") == [(10_000,)]
    table = parquet.ingest(2).tables["events"]
    assert (table.is_view, table.n_files_read, table.rows_read, table.rows_kept) == (True, 1, 10_100, 10_100)
    loaded = parquet.rows("select loaded_at, count(*) from raw.events group by 1 order by 1 nulls first")
    assert loaded == [(None, 10_000), (night_of(2).replace(tzinfo=None), 100)]


def test_a_duplicate_that_arrives_turns_the_view_into_a_table(parquet: Bench) -> None:
    parquet.ingest()
    parquet.write_parquet("events/2.parquet", events(9_999, 10_010))
    table = parquet.ingest(2).tables["events"]
    assert kind(parquet) == "BASE TABLE" and not table.is_view
    assert (table.rows_read, table.rows_kept, table.rows_superseded) == (10_011, 10_010, 1)
    later = night_of(2).replace(tzinfo=None)
    assert parquet.rows("select count(*) from raw.events where loaded_at = timestamp '2026-10-02 03:00:00'") == [(11,)]
    assert parquet.rows("select loaded_at from raw.events where event_id = 'E9999'") == [(later,)]
    parquet.write_parquet("events/3.parquet", events(20_000, 20_001))
    table = parquet.ingest(3).tables["events"]
    assert (table.n_files_read, table.rows_read, table.rows_kept) == (1, 10_012, 10_011)


def test_a_bad_value_copies_the_table_and_names_the_row(parquet: Bench) -> None:
    bad = f"case when i = 30 then null else {PLAIN} end"
    parquet.write_parquet("events/1.parquet", events(0, 50, bad))
    table = parquet.ingest().tables["events"]
    assert kind(parquet) == "BASE TABLE"
    assert (table.rows_read, table.rows_kept, table.rows_quarantined) == (50, 49, 1)
    assert parquet.quarantine("events") == [("events/1.parquet", 31, "occurred_at is empty", "occurred_at", False)]
    ((text,),) = parquet.rows("select raw_text from quarantine.events")
    assert '"event_id":"E30"' in text


def test_duplicates_within_files_are_superseded(parquet: Bench) -> None:
    parquet.write_parquet("events/0.parquet", events(5, 7))
    table = parquet.ingest().tables["events"]
    assert (table.is_view, table.rows_kept, table.rows_superseded) == (False, 10_000, 2)


def test_ids_may_be_numbers_and_differ_between_files(parquet: Bench) -> None:
    parquet.write_parquet("events/1.parquet", events(1, 2).replace("'E' || i", "i").replace("'C' || i % 9", "17850.0::double"))
    parquet.write_parquet("events/2.parquet", events(2, 3).replace("'E' || i", "' E2 '").replace("'C' || i % 9", "7::int"))
    assert parquet.ingest().tables["events"].is_view
    assert parquet.rows("select event_id, customer_id from raw.events order by 1") == [("1", "17850.0"), ("E2", "7")]


def test_customers_are_always_copied(parquet: Bench) -> None:
    (parquet.raw / "customers.csv").unlink()
    parquet.write_parquet("customers.parquet", "select i as customer_id from range(5) as r(i)")
    assert not parquet.ingest().tables["customers"].is_view


def test_text_times_in_parquet_follow_the_rules_of_csv(parquet: Bench) -> None:
    parquet.write_parquet("events/1.parquet", events(0, 2, "['2026-01-01T00:00:00+02:00', 'soon'][i + 1]"))
    table = parquet.ingest().tables["events"]
    assert (table.rows_kept, table.rows_quarantined) == (1, 1)
    assert parquet.rows("select occurred_at from raw.events") == [(datetime(2025, 12, 31, 22),)]


def test_a_rewritten_file_without_load_times_is_copied_to_tell_new_rows_apart(parquet: Bench) -> None:
    parquet.ingest()
    parquet.write_parquet("events/1.parquet", events(0, 10_001))
    assert not parquet.ingest(2).tables["events"].is_view
    parquet.write_parquet("events/1.parquet", events(0, 10_003))
    parquet.ingest(3)
    assert parquet.rows("select loaded_at, count(*) from raw.events group by 1 order by 1 nulls first") == [
        (None, 10_001),
        (night_of(3).replace(tzinfo=None), 2),
    ]
