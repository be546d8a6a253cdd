"""The book of orphans stays equal to a full count, whatever comes and goes, and each delivery has its line."""

from __future__ import annotations

import random

import pytest

from tests.ingest.conftest import Bench

TABLES = ("orders", "events", "consents")
COUNT = "select count(*) from raw.{0} as r anti join raw.customers as c using (customer_id) where r.customer_id is not null"


def _check(bench: Bench) -> None:
    booked = dict(bench.rows("select table_name, n_orphans from ops.ingested_tables"))
    for table in TABLES:
        assert booked[table] == bench.rows(COUNT.format(table))[0][0], table


@pytest.mark.parametrize("seed", range(3))
def test_orphans_are_those_of_a_full_count_after_every_ingest(bench: Bench, seed: int) -> None:
    draw = random.Random(seed)
    people = [f"C{number}" for number in range(12)]
    known = set(people[:4])
    (bench.raw / "events.csv").unlink()
    for night in range(1, 6):
        if night > 1:
            known = (known | set(draw.sample(people, 2))) - (set(draw.sample(people, 2)) if draw.random() < 0.5 else set())
        lines = "".join(f"{person},2026-01-05 10:00:00\n" for person in sorted(known))
        bench.write("customers.csv", f"customer_id,created_at\n{lines}")
        # A file more of events, which a view reads; or orders anew, which are copied.
        rows = ", ".join(f"('E{seed}-{night}-{n}', '{draw.choice(people)}')" for n in range(5))
        bench.write_parquet(
            f"events/{night}.parquet",
            "select id as event_id, who as customer_id, timestamp '2026-01-07 10:00:00' as occurred_at, "
            f"'site_visit' as event_type from (values {rows}) as v (id, who)",
        )
        if draw.random() < 0.6:
            orders = "".join(f"O{n},{draw.choice(people)},2026-01-06 10:00:00,20\n" for n in range(draw.randrange(1, 9)))
            bench.write("orders.csv", f"order_id,customer_id,ordered_at,amount\n{orders}")
        bench.ingest(night)
        _check(bench)


def test_a_warehouse_of_before_the_book_is_counted_once(bench: Bench) -> None:
    bench.write("orders.csv", "order_id,customer_id,ordered_at,amount\nO1,nobody,2026-01-06 10:00:00,20\n")
    bench.ingest(1)
    bench.forget("ops.orphans")
    bench.write("customers.csv", "customer_id,created_at\nC1,2026-01-05 10:00:00\n")
    bench.ingest(2)
    _check(bench)
    assert bench.rows("select n_orphans from ops.ingested_tables where table_name = 'orders'") == [(1,)]


def test_each_table_that_was_read_has_a_line_with_what_was_new(bench: Bench) -> None:
    bench.ingest(1)
    rows = "O1,C1,2026-01-06 10:00:00,25\nO2,C1,hier,20\nO3,C9,2026-01-07 10:00:00,5\n"
    bench.write("orders/2.csv", f"order_id,customer_id,ordered_at,amount\n{rows}")
    (bench.raw / "orders.csv").rename(bench.raw / "orders" / "1.csv")
    bench.ingest(2)
    lines = bench.rows(
        "select feed, n_read, n_kept_change, n_quarantined, n_superseded, n_orphans from ops.feed_deliveries "
        "where n_read > 0 order by ingested_at, feed"
    )
    assert lines == [
        ("consents", 1, 1, 0, 0, 0),
        ("customers", 2, 2, 0, 0, 0),
        ("events", 1, 1, 0, 0, 0),
        ("orders", 1, 1, 0, 0, 0),
        ("orders", 3, 1, 1, 1, 1),
    ]


def test_a_delivery_is_never_negative(bench: Bench) -> None:
    bench.write("orders.csv", "order_id,customer_id,ordered_at,amount\nO1,C1,hier,20\nO2,C1,2026-01-06 10:00:00,20\n")
    bench.ingest(1)
    bench.write("orders.csv", "order_id,customer_id,ordered_at,amount\nO2,C1,2026-01-06 10:00:00,20\n")
    bench.ingest(2)
    (line,) = bench.rows(
        "select n_read, n_quarantined, n_superseded from ops.feed_deliveries where feed = 'orders' "
        "order by ingested_at desc limit 1"
    )
    assert line == (0, 0, 0)
