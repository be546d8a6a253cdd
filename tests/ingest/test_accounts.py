"""Nothing is dropped silently: rows read = kept + quarantined + superseded, whatever the files hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.conftest import CONSENTS, CUSTOMERS, EVENTS, Bench

HEADER = "order_id,customer_id,ordered_at,amount,status"
IDS = st.sampled_from(["1", "2", " 2 ", "3", "", "  "])
TIMES = st.sampled_from(["2026-01-01", "2026-01-02T10:00:00Z", "soon", "", "infinity", "0967-05-01"])
AMOUNTS = st.sampled_from(["1", "-2.5", "x", "", "nan"])
TEXTS = st.sampled_from(["ok", '"o,k"', '"two\nlines"', '"open', 'mid"dle', '"a"b', '""', "é", "", '"', 'a","b'])
RECORDS = st.tuples(IDS, IDS, TIMES, AMOUNTS, TEXTS).map(",".join)
LINES = st.one_of(RECORDS, RECORDS, RECORDS, st.sampled_from(["", "   ", "1,2", "1,2,3,4,5,6", '"', ",,,,"]))
FILES = st.lists(
    st.tuples(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n"]), st.booleans()), min_size=1, max_size=3
)
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def base(folder: str) -> Bench:
    """A base without orders."""
    raw = Path(folder) / "raw"
    raw.mkdir()
    bench = Bench(raw, Path(folder) / "warehouse.duckdb")
    for name, content in (("customers", CUSTOMERS), ("events", EVENTS), ("consents", CONSENTS)):
        bench.write(f"{name}.csv", content)
    return bench


@QUICK
@given(files=FILES)
def test_rows_read_are_kept_quarantined_or_superseded(files: list[tuple[list[str], str, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = base(folder)
        for number, (lines, end, has_last_end) in enumerate(files):
            content = end.join([HEADER, *lines]) + (end if has_last_end else "")
            bench.write(f"orders-{number}.csv", content.encode("latin-1" if number == 2 else "utf-8"))
        table = bench.ingest().tables["orders"]
        assert table.rows_read == table.rows_kept + table.rows_quarantined + table.rows_superseded
        assert bench.rows("select count(*), count(distinct order_id) from raw.orders") == [(table.rows_kept,) * 2]
        n_lines = sum(line.count("\n") + 1 for lines, _, _ in files for line in lines)
        assert table.rows_read <= n_lines
        assert bench.rows("select count(*) from quarantine.orders where line is null") == [(0,)]


ORDER = st.tuples(st.integers(0, 8), st.sampled_from(["5", "bad"]))


@QUICK
@given(files=st.lists(st.lists(ORDER, min_size=1, max_size=10), min_size=2, max_size=4), split=st.integers(1, 3))
def test_one_ingest_gives_what_two_give(files: list[list[tuple[int, str]]], split: int) -> None:
    """Each row has a load time of its own, so no two rows are equal in rank."""
    contents: list[str] = []
    minute = 0
    for rows in files:
        lines = ["order_id,customer_id,ordered_at,amount,loaded_at"]
        for order, amount in rows:
            minute = (minute * 7 + 11) % 1009
            stamp = f"2026-01-0{1 + len(contents)} {minute // 60:02}:{minute % 60:02}:{len(lines):02}"
            lines.append(f"{order},C1,2026-01-01,{amount},{stamp}")
        contents.append("\n".join(lines) + "\n")
    outcomes = []
    for stops in ([len(contents)], [min(split, len(contents) - 1), len(contents)]):
        with tempfile.TemporaryDirectory() as folder:
            bench = base(folder)
            done = 0
            for night, stop in enumerate(stops, start=1):
                for number in range(done, stop):
                    bench.write(f"orders-{number}.csv", contents[number])
                done = stop
                table = bench.ingest(night).tables["orders"]
            counts = (table.rows_read, table.rows_kept, table.rows_quarantined, table.rows_superseded)
            outcomes.append((counts, bench.rows("select * from raw.orders order by all")))
    assert outcomes[0] == outcomes[1]


def test_rows_of_an_unknown_customer_stay_and_are_counted_until_the_customer_comes(bench: Bench) -> None:
    bench.write("orders.csv", "order_id,customer_id,ordered_at,amount\nO1,C1,2026-01-06,20\nO2,C9,2026-01-06,20\n")
    bench.write("events.csv", "event_id,customer_id,occurred_at,event_type\nE1,C9,2026-01-07,site_visit\n")
    first = bench.ingest()
    assert (first.tables["orders"].rows_kept, first.tables["orders"].n_orphans) == (2, 1)
    assert (first.tables["events"].n_orphans, first.tables["consents"].n_orphans) == (1, 0)
    bench.write("customers-2.csv", "customer_id,created_at\nC9,2026-01-05 10:00:00\n")
    bench.ingest(2)
    assert bench.rows("select sum(n_orphans) from ops.ingested_tables") == [(0,)]
