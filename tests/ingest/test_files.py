"""Which files are found, and what stops the run before anything is written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from orchestration.ingest import IngestError
from tests.ingest.conftest import CUSTOMERS, ORDERS, Bench


def refused(bench: Bench, **overrides: str) -> str:
    """The message of a refused ingest, which must leave no table behind."""
    with pytest.raises(IngestError) as error:
        bench.ingest(1, **overrides)
    assert not bench.warehouse.exists() or bench.rows("select table_name from information_schema.tables") == []
    return str(error.value)


def test_a_missing_folder_names_the_variable_and_the_path(bench: Bench) -> None:
    message = refused(bench, BATHTUB_RAW_DIR="/nowhere/raw")
    assert "BATHTUB_RAW_DIR" in message and "/nowhere/raw" in message


def test_a_missing_required_table_names_the_table_and_its_columns(bench: Bench) -> None:
    (bench.raw / "orders.csv").unlink()
    message = refused(bench)
    assert "orders" in message and "order_id, customer_id, ordered_at, amount" in message and str(bench.raw) in message


def test_a_missing_required_column_names_file_and_columns(bench: Bench) -> None:
    bench.write("orders.csv", "order_id,customer_id,when,amount\n1,C1,2026-01-01,2\n")
    message = refused(bench)
    assert "orders.csv" in message and "ordered_at" in message and "when" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty (0 bytes)"),
        (ORDERS.encode("utf-16"), "UTF-16"),
        (ORDERS.encode("utf-16-le"), "UTF-16"),
        (b"order_id,customer_id,ordered_at,amount,\xe9t\xe9\n", "header of orders.csv is not UTF-8"),
        (b"order_id,customer_id,ordered_at,amount,Amount \n", "amount twice"),
    ],
)
def test_a_csv_file_that_cannot_be_read_stops_the_run(bench: Bench, content: bytes, expected: str) -> None:
    bench.write("orders.csv", content)
    message = refused(bench)
    assert expected in message and "orders.csv" in message


@pytest.mark.parametrize("kept", [10, 40, -9, -1])
def test_a_truncated_gzip_stops_the_run(bench: Bench, kept: int) -> None:
    (bench.raw / "orders.csv").unlink()
    rows = "".join(f"O{i},C{i * 7919},2026-01-01 10:00:00,{i}\n" for i in range(3000))
    packed = gzip.compress((ORDERS + rows).encode())
    bench.write("orders.csv.gz", packed[:kept])
    assert "orders.csv.gz is not a complete gzip file" in refused(bench)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_parquet_file_cut_in_two_stops_the_run(bench: Bench, share: float) -> None:
    (bench.raw / "events.csv").unlink()
    path = bench.write_parquet("events.parquet", "select i as event_id from range(10000) as r(i)")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    message = refused(bench)
    assert "events.parquet is not a complete Parquet file" in message and "deliver it again" in message


def test_a_parquet_file_broken_in_the_middle_stops_the_run_by_name(bench: Bench) -> None:
    (bench.raw / "events.csv").unlink()
    query = """select 'E' || i as event_id, 'C' || hash(i) as customer_id, timestamp '2026-01-01' as occurred_at,
        'site_visit' as event_type from range({0}, {0} + 5000) as r(i)"""
    bench.write_parquet("events/a.parquet", query.format(0))
    path = bench.write_parquet("events/b.parquet", query.format(5000))
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 20_000 + whole[20_004:])
    assert "events/b.parquet" in refused(bench)


def test_unknown_tables_in_raw_files_are_refused(bench: Bench) -> None:
    assert "invoices" in refused(bench, BATHTUB_RAW_FILES="{invoices: x/*.csv}")


def test_the_longest_table_name_that_fits_takes_a_file(bench: Bench) -> None:
    bench.write("account_contacts.csv", "account_id,customer_id,role\nA1,C1,buyer\n")
    bench.write("accounts.csv", "account_id,name\nA1,Acme\n")
    result = bench.ingest()
    assert result.tables["accounts"].rows_kept == 1
    assert result.tables["account_contacts"].rows_kept == 1
    assert bench.rows("select role from raw.account_contacts") == [("buyer",)]


def test_part_files_folders_and_upper_case_endings_belong_to_their_table(bench: Bench) -> None:
    header = ORDERS.splitlines()[0]
    names = ["orders-2026-10-01.CSV", "orders_2.csv", "orders.3.csv", "orders/deep/er/x.csv", "orders/month=2026-10/y.csv"]
    for number, name in enumerate(names):
        bench.write(name, f"{header}\nP{number},C1,2026-01-01,1\n")
    bench.write("orders-4.csv.gz", gzip.compress(f"{header}\nP9,C1,2026-01-01,1\n".encode()))
    for ignored in ("orders/_temporary/z.csv", "orders/.hidden.csv", "_orders.csv", "orders-9.csv.part"):
        bench.write(ignored, "nonsense")
    result = bench.ingest()
    assert result.tables["orders"].n_files == 7
    assert result.tables["orders"].rows_kept == 7
    assert result.tables["orders"].unknown_columns == ("month",)


def test_files_of_no_table_are_listed(bench: Bench) -> None:
    bench.write("invoices.csv", "a\n")
    bench.write("old/orders.csv", ORDERS)
    (warning,) = bench.ingest().warnings
    assert "2 raw files belong to no table" in warning and "invoices.csv, old/orders.csv" in warning


def test_a_pattern_replaces_the_names_of_a_table(bench: Bench) -> None:
    bench.write("shop/2026/sales.csv", ORDERS + "O2,C1,2026-01-06,3\n")
    result = bench.ingest(BATHTUB_RAW_FILES="{orders: 'shop/**/*.csv'}")
    assert result.tables["orders"].rows_kept == 2
    assert "orders.csv" in result.warnings[0]


def test_hive_keys_stand_for_columns_that_the_files_lack(bench: Bench) -> None:
    (bench.raw / "consents.csv").unlink()
    bench.write("consents/channel=e%2Dmail/a.csv", "consent_id,customer_id,status,occurred_at\nK1,C1,opt_in,2026-01-01\n")
    (bench.raw / "events.csv").unlink()
    bench.write_parquet(
        "events/event_type=site_visit/a.parquet",
        "select 'E1' as event_id, 'C1' as customer_id, timestamp '2026-01-01' as occurred_at",
    )
    result = bench.ingest()
    assert bench.rows("select channel from raw.consents") == [("e-mail",)]
    assert bench.rows("select event_type from raw.events") == [("site_visit",)]
    assert result.tables["events"].is_view


def test_an_absent_optional_table_is_an_empty_table(bench: Bench) -> None:
    result = bench.ingest()
    assert not result.tables["merges"].is_present
    assert bench.rows("select * from raw.merges") == []
    assert bench.rows("select count(*) from quarantine.merges") == [(0,)]


def test_a_table_may_mix_parquet_and_csv(bench: Bench, tmp_path: Path) -> None:
    bench.write_parquet("customers-2.parquet", "select 7 as customer_id, timestamptz '2026-03-01 00:00:00+00' as created_at")
    bench.write("customers-3.csv", CUSTOMERS.replace("C1", "C8").replace(",", ";"))
    result = bench.ingest()
    assert [row[0] for row in bench.rows("select customer_id from raw.customers order by 1")] == ["7", "C1", "C2", "C8"]
    assert result.tables["customers"].rows_superseded == 1
