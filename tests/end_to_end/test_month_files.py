"""Closed months are files that never change: what a close writes, what readers of the state before still find, what is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.month_files import months_dir
from orchestration.months import add_months
from orchestration.settings import Settings, load_settings
from orchestration.warehouse import WarehouseError, reading, settle, writing
from tests.end_to_end.closing import WAREHOUSE, Rows, bring_in, close, closed_tables, copied, query
from tests.end_to_end.raw_base import RawBase

FIRST, SECOND, THIRD = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
STATE = "core.int_customer_months"
WORDS = {"reporting_timezone": "UTC"}


def _raw(folder: Path, n: int, last: date = THIRD) -> Path:
    """Customers of January, and an order each in the last month."""
    ids = [f"{i:06}" for i in range(n)]
    return RawBase(
        customers=[{"customer_id": i, "created_at": datetime(2024, 1, 5), "source": "web"} for i in ids],
        orders=[
            {"order_id": i, "customer_id": i, "ordered_at": datetime(last.year, last.month, 9), "amount": 5.0} for i in ids
        ],
    ).write(folder / "raw")


# The models that are kept in files, and a mart of each.
MADE = ["recency_monthly", "optin_rate_monthly"]


@pytest.fixture(scope="module")
def two_months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with two closed months; not to be written to."""
    folder = tmp_path_factory.mktemp("two_months")
    bring_in(_raw(folder, 3), folder / WAREHOUSE, FIRST, WORDS)
    close(folder / WAREHOUSE, FIRST, SECOND, WORDS, made=MADE)
    return folder / WAREHOUSE


@pytest.fixture
def closed(two_months: Path, tmp_path: Path) -> Path:
    """A copy of it to write to, in a folder of its own."""
    return copied(two_months, tmp_path / "here")


def _files(warehouse: Path) -> dict[str, tuple[int, int, bytes]]:
    """The month files: what identifies each on the disk, and its content."""
    folder = months_dir(warehouse)
    return {
        file.relative_to(folder).as_posix(): (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.glob("*/*")
    }


def _of_state(warehouse: Path) -> dict[str, tuple[int, int, bytes]]:
    return {name: content for name, content in _files(warehouse).items() if STATE.split(".")[1] in name}


def _named(warehouse: Path) -> set[str]:
    return {row[0] for row in query(warehouse, "select file from ops.month_files")}


def _settings(warehouse: Path) -> Settings:
    return load_settings({"BATHTUB_WAREHOUSE": str(warehouse)})


def _publish(warehouse: Path, month: date) -> None:
    with writing(_settings(warehouse), "test") as copy:
        close(warehouse, month, month, WORDS, copy=copy, made=MADE)


@contextmanager
def _reader(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A reader that keeps the state it opened, as a BI tool does: DuckDB would share an instance for the same path."""
    link = warehouse.with_name("reader") / warehouse.name
    link.parent.mkdir()
    link.hardlink_to(warehouse)
    with duckdb.connect(str(link), read_only=True) as connection:
        yield connection
    shutil.rmtree(link.parent)


def _orders(connection: duckdb.DuckDBPyConnection) -> Rows:
    return connection.execute(
        f"select snapshot_month, count(first_order_date) from {STATE} group by all order by all"
    ).fetchall()


def test_close_writes_one_file_and_touches_no_other(closed: Path) -> None:
    before = _files(closed)
    assert {file.split("/")[0] for file in before} == {"snapshot_month=2024-01-01", "snapshot_month=2024-02-01"}
    close(closed, THIRD, THIRD, WORDS, made=MADE)
    after = _files(closed)
    assert {file: after.get(file) for file in before} == before
    assert {file.split("/")[0] for file in after.keys() - before.keys()} == {"snapshot_month=2024-03-01"}
    assert _named(closed) == set(after)
    with reading(closed) as connection:
        assert _orders(connection) == [(FIRST, 0), (SECOND, 0), (THIRD, 3)]


def test_profiles_are_computed_once_for_several_months_and_in_place_for_one(closed: Path) -> None:
    kind = "select table_type from information_schema.tables where table_name = 'int_profiles'"
    assert query(closed, kind) == [("BASE TABLE",)]
    close(closed, THIRD, THIRD, WORDS, with_tests=False, made=MADE)
    assert query(closed, kind) == [("VIEW",)]
    rows = closed_tables(closed, STATE)
    close(closed, SECOND, THIRD, WORDS, with_tests=False, made=MADE)
    assert query(closed, kind) == [("BASE TABLE",)]
    assert closed_tables(closed, STATE) == rows


def test_month_closed_again_is_a_new_file_and_early_readers_keep_the_old(closed: Path) -> None:
    before = _files(closed)
    with _reader(closed) as early:
        _publish(closed, SECOND)
        assert _named(closed) != set(before)
        assert set(before) < set(_files(closed))
        assert _orders(early) == [(FIRST, 0), (SECOND, 0)]
        with reading(closed) as late:
            assert _orders(late) == [(FIRST, 0), (SECOND, 0)]
    with writing(_settings(closed), "test"):
        assert set(_files(closed)) == _named(closed)


def test_run_that_fails_leaves_files_that_the_next_writer_removes(closed: Path) -> None:
    before, rows = _files(closed), closed_tables(closed, STATE)
    with pytest.raises(ValueError), writing(_settings(closed), "test") as copy:
        close(closed, SECOND, THIRD, WORDS, copy=copy, made=MADE)
        raise ValueError
    # Two months of each model that is kept in files.
    assert len(_files(closed)) == len(before) + 8
    assert closed_tables(closed, STATE) == rows
    with writing(_settings(closed), "test"):
        assert _files(closed) == before
    assert closed_tables(closed, STATE) == rows


def test_warehouse_that_was_moved_with_its_months_reads_them_there(closed: Path, tmp_path: Path) -> None:
    rows = closed_tables(closed, STATE)
    # A quote in the path, and the place of the old files taken by others.
    moved = tmp_path / "d'ailleurs" / WAREHOUSE
    shutil.move(closed.parent, moved.parent)
    with pytest.raises(duckdb.IOException):
        query(moved, f"from {STATE}")
    said: list[str] = []
    settle(_settings(moved), said.append)
    assert said == [f"{moved} was moved: pointing it to the closed months beside it."]
    assert closed_tables(moved, STATE) == rows
    settle(_settings(moved), said.append)
    assert len(said) == 1
    _publish(moved, THIRD)
    assert query(moved, f"select count(*) from {STATE}") == [(9,)]


def test_months_left_behind_are_named(closed: Path, tmp_path: Path) -> None:
    moved = tmp_path / WAREHOUSE
    closed.rename(moved)
    sentence = r"bathtub\.duckdb\.months lacks 8 of the 8 files of closed months .*; put that folder back beside the warehouse"
    with pytest.raises(WarehouseError, match=sentence):
        settle(_settings(moved))
    with pytest.raises(WarehouseError, match=sentence), writing(_settings(moved), "test"):
        pass
    assert len(_files(closed)) == 8


def test_closed_months_keep_their_columns(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _of_state(closed)
    channels = {"email": "email", "sms": "phone", "phone": "phone"}
    with pytest.raises(pytest.fail.Exception, match="model int_customer_months"):
        close(closed, THIRD, THIRD, {**WORDS, "channels": channels}, made=MADE)
    said = " ".join(capsys.readouterr().out.split())
    assert "the closed months have other columns than this run (gone: post_opt_in_at, post_opt_out_at)" in said
    assert _of_state(closed) == before


def test_working_copy_does_not_grow_with_the_months(tmp_path: Path) -> None:
    warehouse = tmp_path / WAREHOUSE
    n, late = 20_000, add_months(FIRST, 9)
    bring_in(_raw(tmp_path, n, late), warehouse, FIRST, WORDS)
    sizes = []
    for month in (FIRST, late):
        if month > FIRST:
            close(warehouse, SECOND, month, WORDS, with_tests=False, made=MADE)
        # A run of one month leaves no table of profiles.
        close(warehouse, month, month, WORDS, with_tests=False, made=MADE)
        with writing(_settings(warehouse), "test") as copy:
            sizes.append(copy.stat().st_size)
    assert query(warehouse, f"select count(*) from {STATE}") == [(10 * n,)]
    # As a table, the nine months take more than that.
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as connection:
        connection.execute(f"attach '{warehouse}' as closed (read_only)")
        connection.execute(f"create table months as from closed.{STATE} where snapshot_month > date '{FIRST}'")
    assert sizes[1] - sizes[0] < (tmp_path / "tables.duckdb").stat().st_size / 2
