"""What a delivered value becomes, the same for CSV text and Parquet values, and what goes to quarantine."""

from __future__ import annotations

from datetime import date, datetime

import duckdb
import pytest

from orchestration.contract import Column
from orchestration.ingest.values import Value
from tests.ingest.conftest import CUSTOMERS, ORDERS, Bench

ORDER_HEADER = ORDERS.splitlines()[0]


TIMES = {
    "2026-01-01": datetime(2026, 1, 1),
    " 2026-01-01 10:30 ": datetime(2026, 1, 1, 10, 30),
    "2026-01-01T00:00:00+02:00": datetime(2025, 12, 31, 22),
    "2026-01-01T00:00:00-0530": datetime(2026, 1, 1, 5, 30),
    "2026-01-01T00:00:00.5Z": datetime(2026, 1, 1, 0, 0, 0, 500_000),
    "2026-07-01 00:00:00 Europe/Paris": datetime(2026, 6, 30, 22),
    "0967-05-01": datetime(967, 5, 1),
    "9999-12-31 23:59:59": datetime(9999, 12, 31, 23, 59, 59),
}
NO_TIMES = [
    "infinity", "-infinity", "epoch", "now", "1700000000", "2026-02-30", "0000-01-01", "10000-01-01", "0044-01-01 (BC)",
    "05/14/1965", "2026-01-01 10:00 PM",
]  # fmt: skip


def test_timestamps(bench: Bench) -> None:
    lines = [f"{number},C1,{text},1" for number, text in enumerate([*TIMES, *NO_TIMES])]
    bench.write("orders.csv", "\n".join([ORDER_HEADER, *lines]))
    bench.ingest()
    assert bench.rows("select ordered_at from raw.orders order by cast(order_id as int)") == [(t,) for t in TIMES.values()]
    first = 2 + len(TIMES)
    assert bench.quarantine("orders") == [
        ("orders.csv", first + place, "ordered_at is not a timestamp", "ordered_at", False) for place in range(len(NO_TIMES))
    ]


def test_optional_values_that_cannot_be_read_become_null_and_are_recorded(bench: Bench) -> None:
    bench.write(
        "customers.csv",
        "customer_id,created_at,birth_date,updated_at\nC1,2026-01-01,0967-05-01,\n"
        "C2,soon,infinity, \nC3,2026-01-01,epoch,nan\n",
    )
    result = bench.ingest()
    assert bench.rows("select customer_id, created_at, birth_date from raw.customers order by 1") == [
        ("C1", datetime(2026, 1, 1), date(967, 5, 1)),
        ("C2", None, None),
        ("C3", datetime(2026, 1, 1), None),
    ]
    assert bench.quarantine("customers") == [
        ("customers.csv", 3, "birth_date is not a date", "birth_date", True),
        ("customers.csv", 3, "created_at is not a timestamp", "created_at", True),
        ("customers.csv", 4, "birth_date is not a date", "birth_date", True),
        ("customers.csv", 4, "updated_at is not a timestamp", "updated_at", True),
    ]
    assert (result.tables["customers"].n_defects, result.tables["customers"].rows_quarantined) == (4, 0)


def test_amounts(bench: Bench) -> None:
    read = {"-12.50": -12.5, " 3 ": 3.0, "1e3": 1000.0, "1_000": 1000.0}
    unreadable = ["nan", "inf", "-Infinity", "1e400", "1,5", "free"]
    lines = [f'{number},C1,2026-01-01,"{text}"' for number, text in enumerate([*read, *unreadable, "", "  "])]
    bench.write("orders.csv", "\n".join([ORDER_HEADER, *lines]))
    bench.ingest()
    assert bench.rows("select amount from raw.orders order by cast(order_id as int)") == [(a,) for a in read.values()]
    reasons = ["amount is not a number"] * len(unreadable) + ["amount is empty"] * 2
    assert [(row[2], row[3], row[4]) for row in bench.quarantine("orders")] == [(r, "amount", False) for r in reasons]


def test_ids_are_trimmed_and_otherwise_stay_as_they_come(bench: Bench) -> None:
    bench.write("customers.csv", 'customer_id,account_id,source\n 17850.0 ," ",  Web \n007,A 1,\n')
    bench.ingest()
    assert bench.rows("select customer_id, account_id, source from raw.customers order by 1") == [
        ("007", "A 1", None),
        ("17850.0", None, "  Web "),
    ]


def test_blank_required_text_goes_to_quarantine(bench: Bench) -> None:
    bench.write("events.csv", "event_id,customer_id,occurred_at,event_type\nE1,C1,2026-01-01,' '\nE2,,x, \n".replace("'", '"'))
    bench.ingest()
    assert bench.quarantine("events") == [
        ("events.csv", 2, "event_type is empty", "event_type", False),
        (
            "events.csv",
            3,
            "customer_id is empty; occurred_at is not a timestamp; event_type is empty",
            "customer_id",
            False,
        ),
    ]


def test_rows_about_an_unknown_customer_and_future_dates_stay(bench: Bench) -> None:
    bench.write("orders.csv", f"{ORDER_HEADER}\nO1,nobody,2027-05-01,1\n")
    bench.write("customers.csv", "customer_id,created_at,deleted_at\nC1,2030-01-01,2031-01-01\n")
    result = bench.ingest()
    assert result.tables["orders"].rows_kept == 1
    assert result.tables["orders"].n_future_dates == 1
    assert result.tables["customers"].n_future_dates == 2


def test_profile_fields_of_the_business_join_the_contract(bench: Bench) -> None:
    bench.write("customers.csv", "customer_id,loyalty_card\nC1,L-1\n")
    assert bench.ingest().tables["customers"].unknown_columns == ("loyalty_card",)
    result = bench.ingest(BATHTUB_VARS="{profile_fields: [{name: email}, {name: loyalty_card}], channels: {email: email}}")
    assert bench.rows("select loyalty_card from raw.customers") == [("L-1",)]
    assert result.tables["customers"].unknown_columns == ()


@pytest.mark.parametrize(
    ("kind", "value", "data_type", "expected"),
    [
        ("TIMESTAMP_NS", "timestamp_ns '2026-01-01 10:00:00.123456000'", "timestamp", datetime(2026, 1, 1, 10, 0, 0, 123456)),
        ("TIMESTAMP WITH TIME ZONE", "timestamptz '2026-01-01 00:00:00+02'", "timestamp", datetime(2025, 12, 31, 22)),
        ("DATE", "date '2026-01-01'", "timestamp", datetime(2026, 1, 1)),
        ("TIMESTAMP", "timestamp 'infinity'", "timestamp", None),
        ("BIGINT", "1700000000", "timestamp", None),
        ("TIMESTAMP", "timestamp '1970-03-04 10:00:00'", "date", date(1970, 3, 4)),
        ("DECIMAL(10,2)", "cast(3.25 as decimal(10, 2))", "double", 3.25),
        ("DOUBLE", "cast('nan' as double)", "double", None),
        ("BOOLEAN", "true", "double", None),
        ("INTEGER", "12", "varchar", "12"),
    ],
)
def test_typed_values(kind: str, value: str, data_type: str, expected: object) -> None:
    sql = Value(Column("thing_id", data_type), "v", kind).sql()
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'America/New_York'")
        assert con.execute(f"select {sql} from (select {value} as v)").fetchall() == [(expected,)]


def test_missing_and_unknown_columns_are_listed(bench: Bench) -> None:
    bench.write("customers.csv", CUSTOMERS.replace("created_at", " Created_At ,colour").replace(",2026", ",red,2026"))
    bench.write("customers-2.csv", "customer_id,email\nC9,a@b.example\n")
    table = bench.ingest().tables["customers"]
    assert table.unknown_columns == ("colour",)
    assert "email" not in table.missing_columns and "created_at" not in table.missing_columns
    assert "birth_date" in table.missing_columns and "first_loaded_at" not in table.missing_columns
