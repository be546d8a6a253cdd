"""CSV lines that are broken, and the numbers of the lines that are named."""

from __future__ import annotations

import gzip

import pytest

from tests.ingest.conftest import Bench

HEADER = "order_id,customer_id,ordered_at,amount,status"


def orders(*lines: str | bytes, end: bytes = b"\n") -> bytes:
    """A file of orders."""
    return end.join(line.encode() if isinstance(line, str) else line for line in (HEADER, *lines)) + end


def kept(bench: Bench) -> list[str]:
    """The ids that came through."""
    return [row[0] for row in bench.rows("select order_id from raw.orders order by 1")]


def test_broken_lines_go_to_quarantine_and_good_ones_go_on(bench: Bench) -> None:
    content = orders(
        "1,C1,2026-01-01,1,ok",
        "2,C1,2026-01-01",
        "3,C1,2026-01-01,1,ok,more,and more",
        b"4,C1,2026-01-01,1,rembours\xe9",
        '5,C1,2026-01-01,1,"ok"x',
        "",
        "6,C1,2026-01-01,1,ok",
    )
    bench.write("orders.csv", content)
    table = bench.ingest().tables["orders"]
    assert kept(bench) == ["1", "6"]
    assert bench.quarantine("orders") == [
        ("orders.csv", 3, "3 columns where 5 are expected", None, False),
        ("orders.csv", 4, "7 columns where 5 are expected", None, False),
        ("orders.csv", 5, "the line is not UTF-8", None, False),
        ("orders.csv", 6, "a quoted value is followed by more text", None, False),
    ]
    assert bench.rows("select raw_text from quarantine.orders where line = 4") == [("3,C1,2026-01-01,1,ok,more,and more",)]
    assert (table.rows_read, table.rows_kept, table.rows_quarantined) == (6, 2, 4)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("is_gzip", "mark"), [(False, b"\xef\xbb\xbf"), (True, b"")])
def test_line_numbers_count_physical_lines(bench: Bench, end: bytes, is_gzip: bool, mark: bytes) -> None:
    content = mark + orders(
        '1,C1,2026-01-01,1,"two\nlines"',
        "2,C1,2026-01-01,none,ok",
        "3,C1,2026-01-01",
        '4,C1,2026-01-01,?,"again\n\ntwo"',
        "5,C1,2026-01-01,?,ok",
        "5,C1,2026-01-01,?,ok",
        end=end,
    )
    (bench.raw / "orders.csv").unlink()
    name = "orders.csv.gz" if is_gzip else "orders.csv"
    bench.write(name, gzip.compress(content) if is_gzip else content)
    bench.ingest()
    assert [(row[0], row[1]) for row in bench.quarantine("orders")] == [(name, line) for line in (4, 5, 6, 9, 10)]
    assert bench.rows("select raw_text from quarantine.orders where line = 4") == [("2,C1,2026-01-01,none,ok",)]


def test_a_quote_that_is_never_closed_costs_its_own_line_only(bench: Bench) -> None:
    lines = [f"{i},C1,2026-01-01,1,ok" for i in range(10, 99)]
    lines[3] = '13,C1,2026-01-01,1,"ok'
    lines[40] = '50,C1,2026-01-01,1,"o,k"'
    lines[60] = '70,"C1,2026-01-01,1,ok'
    bench.write("orders.csv", orders(*lines))
    table = bench.ingest().tables["orders"]
    assert [row[1] for row in bench.quarantine("orders")] == [5, 62]
    assert (table.rows_read, table.rows_kept) == (89, 87)
    assert bench.rows("select status from raw.orders where order_id = '50'") == [("o,k",)]


def test_a_stray_quote_in_a_large_file_loses_no_row(bench: Bench) -> None:
    lines = [f"{i},C{i * 7919},2026-01-01 10:00:00,1,a longer status text to fill the file" for i in range(600_000)]
    lines[150_000] = '150000,"C1,2026-01-01,1,ok'
    bench.write("orders.csv", orders(*lines))
    table = bench.ingest().tables["orders"]
    assert (table.rows_read, table.rows_kept, table.rows_quarantined) == (600_000, 599_999, 1)


@pytest.mark.parametrize("status", ['5" pipe', 'a "b" c', 'x"'])
def test_quotes_within_an_unquoted_value_are_part_of_it(bench: Bench, status: str) -> None:
    bench.write("orders.csv", orders(f"1,C1,2026-01-01,1,{status}", "2,C1,2026-01-01,1,ok"))
    bench.ingest()
    assert bench.rows("select status from raw.orders order by order_id") == [(status,), ("ok",)]


def test_an_even_number_of_quotes_may_still_leave_one_open(bench: Bench) -> None:
    bench.write("orders.csv", orders('1,C"1,2026-01-01,1,"open', "2,C1,2026-01-01,1,ok", "3,C1,2026-01-01,1,ok"))
    bench.ingest()
    assert kept(bench) == ["2", "3"]
    assert [row[1] for row in bench.quarantine("orders")] == [2]


@pytest.mark.parametrize("ends", [(b"\n", b"\r\n"), (b"\r\n", b"\n"), (b"\r", b"\r")])
def test_line_endings_may_be_mixed(bench: Bench, ends: tuple[bytes, bytes]) -> None:
    rows = [f"{i},C1,2026-01-01,{'?' if i == 5 else 1},ok".encode() for i in range(9)]
    bench.write("orders.csv", HEADER.encode() + b"".join(ends[i % 2] + row for i, row in enumerate(rows)))
    table = bench.ingest().tables["orders"]
    assert (table.rows_read, table.rows_kept) == (9, 8)
    assert [row[1] for row in bench.quarantine("orders")] == [7]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_found(bench: Bench, delimiter: str) -> None:
    bench.write("orders.csv", orders("1,C1,2026-01-01,1,ok").replace(b",", delimiter.encode()))
    bench.ingest()
    assert kept(bench) == ["1"]


@pytest.mark.parametrize("content", [HEADER, HEADER + "\n", HEADER + "\r\n\r\n"])
def test_a_file_with_a_header_only_is_an_empty_table(bench: Bench, content: str) -> None:
    bench.write("orders.csv", content)
    table = bench.ingest().tables["orders"]
    assert (table.rows_read, table.rows_kept) == (0, 0)


def test_a_line_beyond_all_measure_is_one_broken_line(bench: Bench) -> None:
    bench.write("orders.csv", orders("1,C1,2026-01-01,1," + "x" * 3_000_000, "2,C1,2026-01-01,1,ok"))
    bench.ingest()
    assert kept(bench) == ["2"]
    ((line, length, reason),) = bench.rows("select line, length(raw_text), reason from quarantine.orders")
    assert (line, length) == (2, 10_000) and "longer than" in reason


def test_reasons_hold_no_value(bench: Bench) -> None:
    bench.write("orders.csv", orders("1,SECRET,SECRET,SECRET,ok", "SECRET"))
    bench.ingest()
    assert bench.rows("select count(*) from quarantine.orders where reason ilike '%secret%'") == [(0,)]
