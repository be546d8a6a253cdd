"""The same folder night after night: what is read, what wins, what is remembered."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.ingest import IngestError
from tests.ingest.conftest import ORDERS, Bench, night_of

ORDER_HEADER = ORDERS.splitlines()[0]
LOADED_HEADER = "customer_id,email,deleted_at,updated_at,loaded_at"
EVENT_ROWS = """
    select 'E' || i as event_id, 'C1' as customer_id, timestamp '2026-01-01' + i * interval 1 minute as occurred_at,
        'site_visit' as event_type from range({}, {}) as r(i)"""


def naive(night: int) -> datetime:
    """The time of a night as the warehouse holds it."""
    return night_of(night).replace(tzinfo=None)


def touch(path: Path, seconds: int) -> None:
    """Give a file another modification time."""
    os.utime(path, (seconds, seconds))


def test_a_second_run_without_news_writes_nothing(bench: Bench) -> None:
    assert bench.ingest().changed
    before = bench.warehouse.read_bytes()
    result = bench.ingest(2)
    assert not result.changed and result.warnings == []
    assert result.tables["customers"].rows_kept == 2
    assert bench.warehouse.read_bytes() == before


def test_only_new_files_are_read(bench: Bench) -> None:
    bench.ingest()
    bench.write("orders-2.csv", f"{ORDER_HEADER}\nO2,C1,2026-03-01,7\nO1,C1,2026-01-06,bad\n")
    result = bench.ingest(2)
    table = result.tables["orders"]
    assert (table.n_files, table.n_files_read, table.changed) == (2, 1, True)
    assert (table.rows_read, table.rows_kept, table.rows_quarantined, table.rows_superseded) == (3, 2, 1, 0)
    assert not result.tables["events"].changed and result.tables["events"].n_files_read == 0
    assert bench.rows("select order_id, loaded_at from raw.orders order by 1") == [("O1", None), ("O2", naive(2))]


def test_a_later_file_supersedes_an_older_row(bench: Bench) -> None:
    bench.ingest()
    bench.write("orders-2.csv", f"{ORDER_HEADER}\nO1,C1,2026-01-06,99\n")
    table = bench.ingest(2).tables["orders"]
    assert bench.rows("select amount, loaded_at from raw.orders") == [(99.0, naive(2))]
    assert (table.rows_read, table.rows_kept, table.rows_superseded) == (2, 1, 1)


def test_the_latest_load_wins_then_the_latest_business_time_then_the_first_row(bench: Bench) -> None:
    rows = [
        "A,first,,2026-01-09,2026-01-01",
        "A,latest load,,2026-01-01,2026-01-02",
        "A,no load time,,2026-05-01,",
        "B,early,,2026-01-01,",
        "B,late,,2026-01-02,",
        "C,first of two,,,",
        "C,second of two,,,",
    ]
    bench.write("customers.csv", "\n".join([LOADED_HEADER, *rows]) + "\n")
    table = bench.ingest().tables["customers"]
    assert bench.rows("select email from raw.customers order by customer_id") == [
        ("latest load",),
        ("late",),
        ("first of two",),
    ]
    assert table.rows_superseded == 4


def test_an_older_row_in_a_later_file_loses(bench: Bench) -> None:
    bench.write("customers.csv", f"{LOADED_HEADER}\nA,new,,,2026-05-01\n")
    bench.ingest()
    bench.write("customers-2.csv", f"{LOADED_HEADER}\nA,old,,,2026-04-01\n")
    table = bench.ingest(2).tables["customers"]
    assert bench.rows("select email, first_loaded_at from raw.customers") == [("new", datetime(2026, 4, 1))]
    assert (table.rows_kept, table.rows_superseded) == (1, 1)


def test_a_profile_delivered_every_night_keeps_its_first_load(bench: Bench) -> None:
    bench.write("customers.csv", f"{LOADED_HEADER}\nA,a,,,2026-10-01\nB,b,,,\n")
    bench.ingest(1)
    for night in (2, 3):
        deleted = "2026-10-02 12:00:00" if night == 3 else ""
        bench.write("customers.csv", f"{LOADED_HEADER}\nA,a{night},{deleted},,2026-10-0{night}\nB,b,,,2026-10-0{night}\n")
        bench.ingest(night)
    assert bench.rows(
        "select customer_id, email, loaded_at, first_loaded_at, deletion_loaded_at from raw.customers order by 1"
    ) == [
        ("A", "a3", datetime(2026, 10, 3), datetime(2026, 10, 1), datetime(2026, 10, 3)),
        ("B", "b", datetime(2026, 10, 3), None, None),
    ]


def test_the_first_load_of_a_deletion_is_remembered(bench: Bench) -> None:
    bench.write("customers.csv", f"{LOADED_HEADER}\nA,a,2026-09-01,,2026-10-01\n")
    bench.ingest(1)
    bench.write("customers-2.csv", f"{LOADED_HEADER}\nA,a,2026-09-01,,2026-10-02\n")
    bench.ingest(2)
    assert bench.rows("select loaded_at, deletion_loaded_at from raw.customers") == [
        (datetime(2026, 10, 2), datetime(2026, 10, 1))
    ]
    bench.write("customers-3.csv", f"{LOADED_HEADER}\nA,a,,,2026-10-03\n")
    bench.ingest(3)
    assert bench.rows("select deletion_loaded_at from raw.customers") == [(None,)]


def test_new_rows_of_a_file_that_is_delivered_anew_are_known_from_then_on(bench: Bench) -> None:
    bench.ingest()
    bench.write("customers.csv", "customer_id,created_at\nC1,2026-01-05\nC2,2026-02-01\nC3,2026-02-01\n")
    bench.write("orders.csv", ORDERS + "O2,C1,2026-02-01,1\n")
    bench.ingest(2)
    bench.write("orders.csv", ORDERS + "O2,C1,2026-02-01,1\nO3,C1,2026-02-01,1\n")
    bench.ingest(3)
    assert bench.rows("select customer_id, loaded_at, first_loaded_at from raw.customers order by 1") == [
        ("C1", None, None),
        ("C2", None, None),
        ("C3", naive(2), naive(2)),
    ]
    assert bench.rows("select order_id, loaded_at from raw.orders order by 1") == [
        ("O1", None),
        ("O2", naive(2)),
        ("O3", naive(3)),
    ]


def test_a_changed_file_is_read_again_with_a_warning(bench: Bench) -> None:
    bench.write("orders-2.csv", f"{ORDER_HEADER}\nO2,C1,2026-03-01,7\n")
    bench.ingest()
    bench.write("orders-2.csv", f"{ORDER_HEADER}\nO2,C1,2026-03-01,8\nO9,C1,2026-03-01,?\n")
    result = bench.ingest(2)
    assert "orders: 1 files changed" in result.warnings[0]
    assert bench.rows("select order_id, amount from raw.orders order by 1") == [("O1", 20.0), ("O2", 8.0)]
    assert (result.tables["orders"].rows_quarantined, result.tables["orders"].n_files_read) == (1, 2)


def test_a_vanished_file_takes_its_rows_with_it_and_says_so(bench: Bench) -> None:
    path = bench.write("orders-2.csv", f"{ORDER_HEADER}\nO2,C1,2026-03-01,7\nO3,,,\n")
    bench.ingest()
    path.unlink()
    result = bench.ingest(2)
    assert "orders: 1 files of the last ingest vanished" in result.warnings[0]
    assert bench.rows("select order_id, loaded_at from raw.orders") == [("O1", None)]
    assert bench.quarantine("orders") == []


def test_the_end_of_the_history_and_the_first_month(bench: Bench) -> None:
    bench.write("customers.csv", "customer_id,created_at\nC1,2025-12-31 23:30:00\n")
    bench.ingest()
    assert bench.rows("select * from ops.warehouse") == [(str(bench.raw), naive(1), datetime(2026, 1, 1).date())]
    bench.write("events-2.csv", "event_id,customer_id,occurred_at,event_type\nE9,C1,2024-05-05,campaign_open\n")
    bench.write("orders-2.csv", f"{ORDER_HEADER},status\nO7,C1,2024-06-01,0,ok\nO8,C1,2024-07-01,5, Cancelled\n")
    bench.ingest(2)
    assert bench.rows("select history_loaded_until, first_month from ops.warehouse") == [
        (naive(1), datetime(2026, 1, 1).date())
    ]
    bench.write("events-3.csv", "event_id,customer_id,occurred_at,event_type\nE10,C1,2024-08-05,Store_Visit\n")
    bench.ingest(3)
    assert bench.rows("select first_month from ops.warehouse") == [(datetime(2024, 8, 1).date(),)]
    with duckdb.connect(str(bench.warehouse)) as con:
        con.execute("create table ops.closed_months as select 1 as n")
    bench.write("events-4.csv", "event_id,customer_id,occurred_at,event_type\nE11,C1,2020-08-05,store_visit\n")
    bench.ingest(4)
    assert bench.rows("select first_month from ops.warehouse") == [(datetime(2024, 8, 1).date(),)]


def test_another_raw_folder_is_told(bench: Bench, tmp_path: Path) -> None:
    bench.write_parquet("events.parquet", EVENT_ROWS.format(10, 20))
    (bench.raw / "events.csv").unlink()
    bench.ingest()
    bench.raw.rename(tmp_path / "moved")
    bench.raw = tmp_path / "moved"
    result = bench.ingest(2)
    assert "The raw folder was" in result.warnings[0]
    assert result.tables["events"].changed and not result.tables["orders"].changed
    assert bench.rows("select count(*) from raw.events") == [(10,)]


def test_an_error_in_a_later_table_leaves_the_warehouse_as_it_was(bench: Bench) -> None:
    bench.ingest()
    before = bench.rows("select * from raw.orders") + bench.rows("select * from ops.ingested_files order by all")
    bench.write("orders-2.csv", f"{ORDER_HEADER}\nO2,C1,2026-03-01,7\n")
    path = bench.write_parquet("events-2.parquet", EVENT_ROWS.format(10, 9000))
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 9000 + whole[9004:])
    with pytest.raises(IngestError, match=r"events-2\.parquet"):
        bench.ingest(2)
    assert bench.rows("select * from raw.orders") + bench.rows("select * from ops.ingested_files order by all") == before


def test_four_thousand_known_files_are_passed_over_quickly(bench: Bench) -> None:
    for number in range(4000):
        bench.write(f"orders/{number:05}.csv", f"{ORDER_HEADER}\nP{number},C1,2026-03-01,7\n")
    bench.ingest()
    started = datetime.now(tz=night_of(1).tzinfo)
    assert not bench.ingest(2).changed
    assert (datetime.now(tz=night_of(1).tzinfo) - started).total_seconds() < 3
