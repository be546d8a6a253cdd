"""Since when a profile's coordinates are what they are."""

from __future__ import annotations

from datetime import datetime

from tests.ingest.conftest import Bench

HEADER = "customer_id,email,phone,postal_code,updated_at,loaded_at"
CHANGED = "select email_changed_at, phone_changed_at, postal_address_changed_at from raw.customers where customer_id = 'A'"


def deliver(bench: Bench, night: int, row: str, name: str = "customers") -> None:
    bench.write(f"{name}.csv", f"{HEADER}\n{row}\n")
    bench.ingest(night)


def test_what_came_first_has_not_changed(bench: Bench) -> None:
    deliver(bench, 1, "A,a@x.fr,0612345678,75001,2026-09-01,2026-10-01")
    assert bench.rows(CHANGED) == [(None, None, None)]


def test_each_coordinate_has_its_own_date_that_of_the_change_in_the_source(bench: Bench) -> None:
    deliver(bench, 1, "A,a@x.fr,0612345678,75001,2026-09-01,2026-10-01")
    deliver(bench, 2, "A,b@x.fr,0612345678,75001,2026-10-01,2026-10-02")
    assert bench.rows(CHANGED) == [(datetime(2026, 10, 1), None, None)]
    deliver(bench, 3, "A,b@x.fr,0612345678,75002,,2026-10-03")
    assert bench.rows(CHANGED) == [(datetime(2026, 10, 1), None, datetime(2026, 10, 3))]
    deliver(bench, 4, "A,b@x.fr,0612345678,75002,,2026-10-04")
    assert bench.rows(CHANGED) == [(datetime(2026, 10, 1), None, datetime(2026, 10, 3))]


def test_the_way_of_writing_is_no_change(bench: Bench) -> None:
    deliver(bench, 1, "A,a@x.fr,06 12 34 56 78,75001,,2026-10-01")
    deliver(bench, 2, "A,A@X.FR,06.12.34.56.78,75001,,2026-10-02")
    assert bench.rows(CHANGED) == [(None, None, None)]


def test_nights_one_by_one_and_all_at_once_say_the_same(bench: Bench) -> None:
    rows = ["A,a@x.fr,1,1,,2026-10-01", "A,b@x.fr,1,1,,2026-10-02", "A,b@x.fr,2,1,,2026-10-03", "A,a@x.fr,2,1,,2026-10-04"]
    for night, row in enumerate(rows, 1):
        deliver(bench, night, row, f"customers-{night}")
    one_by_one = bench.rows(CHANGED)
    for night in range(1, 5):
        (bench.raw / f"customers-{night}.csv").unlink()
    bench.write("customers.csv", "\n".join([HEADER, *rows]) + "\n")
    bench.ingest(5)
    assert bench.rows(CHANGED) == one_by_one == [(datetime(2026, 10, 4), datetime(2026, 10, 3), None)]


def test_an_older_version_that_comes_later_dates_the_change(bench: Bench) -> None:
    deliver(bench, 1, "A,b@x.fr,1,1,,2026-10-02")
    deliver(bench, 2, "A,a@x.fr,1,1,,2026-10-01", "customers-2")
    assert bench.rows("select email, email_changed_at from raw.customers where customer_id = 'A'") == [
        ("b@x.fr", datetime(2026, 10, 2))
    ]
