"""The warehouse file: one writer, readers that never meet half of a write, and nothing lost when a process dies.

Writers and readers are real processes: locks and DuckDB behave differently within one.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from orchestration.month_files import months_dir
from orchestration.warehouse import (
    WarehouseBusyError,
    WarehouseError,
    building_dir,
    reading,
    recall_first_month,
    remember_first_month,
    settle,
    working_copy,
    writing,
)
from tests.orchestration.conftest import Home

# Puts 2 where 1 was, says so, and goes on when a line comes in.
WRITER = """
import sys, duckdb
from orchestration.settings import load_settings
from orchestration.warehouse import writing
def say(line): print(line, flush=True)
with writing(load_settings(), "a long close", say) as copy:
    with duckdb.connect(str(copy)) as con:
        con.execute("update t set i = i + 1")
        con.execute("create or replace table filler as select range as n from range(200_000)")
        say("working")
        sys.stdin.readline()
say("published")
"""
# Holds the file itself open for writing, as dbt by hand would; what it commits stays in the write-ahead log.
OUTSIDER = """
import os, sys, duckdb
con = duckdb.connect(sys.argv[1])
con.execute("set checkpoint_threshold = '1TB'")
con.execute("update t set i = 7")
print("open", flush=True)
sys.stdin.readline()
"""
# Dies while it writes the file of a month.
KILLED = """
import os, signal, sys
from pathlib import Path
from orchestration.month_files import months_dir
from orchestration.settings import load_settings
from orchestration.warehouse import writing
with writing(load_settings(), "a long close"):
    (months_dir(Path(sys.argv[1])) / "snapshot_month=2024-01-01" / "b.parquet").write_bytes(b"PAR1 half of a file")
    os.kill(os.getpid(), signal.SIGKILL)
"""
# What stays beside a warehouse.
KEPT = {"bathtub.duckdb", "bathtub.duckdb.lock", "bathtub.duckdb.months"}
READER = """
import sys
from pathlib import Path
from orchestration.warehouse import reading
with reading(Path(sys.argv[1])) as con:
    for _ in sys.stdin:
        print(con.execute("select i from t").fetchall()[0][0], flush=True)
"""


@pytest.fixture
def base(home: Home) -> Home:
    """A warehouse that holds the number 1."""
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("create table t as select 1 as i")
    return home


def _number(home: Home) -> int:
    with reading(home.warehouse) as con:
        (row,) = con.execute("select i from t").fetchall()
    return int(row[0])


def _add_one(copy: Path) -> None:
    with duckdb.connect(str(copy)) as con:
        con.execute("update t set i = i + 1")


@contextmanager
def _running(home: Home, code: str, *args: str, until: str = "", **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python code in a process of its own; the block starts when it has printed a line that begins with `until`."""
    process = home.start(("-c", code, *args), **more)
    try:
        if until:
            line = _line(process)
            assert line.startswith(until), line + _rest(process)
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _rest(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    return out + err


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _files(home: Home) -> set[str]:
    return {path.name for path in home.folder.iterdir()}


# ---- one writer alone ------------------------------------------------------------------------------------------------


def test_a_write_is_published_at_the_end_of_the_block_only(base: Home) -> None:
    with writing(base.settings(), "test") as copy:
        assert copy == working_copy(base.warehouse)
        _add_one(copy)
        assert _number(base) == 1
    assert _number(base) == 2


def test_the_first_write_makes_the_file_and_its_folder(home: Home) -> None:
    settings = home.settings(BATHTUB_WAREHOUSE=str(home.folder / "new" / "deep" / "w.duckdb"))
    with writing(settings, "test") as copy:
        assert not copy.exists()
        duckdb.connect(str(copy)).close()
        assert not settings.warehouse.exists()
    assert settings.warehouse.exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_keeps_the_rejected_copy(base: Home, error: type[BaseException]) -> None:
    before = base.warehouse.read_bytes()
    with pytest.raises(error), writing(base.settings(), "test") as copy:
        _add_one(copy)
        raise error
    assert base.warehouse.read_bytes() == before
    with duckdb.connect(str(working_copy(base.warehouse)), read_only=True) as con:
        assert con.execute("select i from t").fetchall() == [(2,)]


def test_the_next_writer_starts_from_the_published_file(base: Home) -> None:
    with pytest.raises(ValueError), writing(base.settings(), "test") as copy:
        _add_one(copy)
        (copy.parent / "scratch").mkdir()
        raise ValueError
    with writing(base.settings(), "test") as copy:
        assert {path.name for path in copy.parent.iterdir()} == {base.warehouse.name, "writer.json"}
        _add_one(copy)
    assert _number(base) == 2


def test_nothing_of_the_work_stays_after_a_publish(base: Home) -> None:
    with writing(base.settings(), "test") as copy:
        _add_one(copy)
    assert _files(base) == KEPT


def test_the_copy_has_the_same_catalog_name(base: Home) -> None:
    with duckdb.connect(str(base.warehouse)) as con:
        con.execute("create view v as select i from bathtub.main.t")
    with writing(base.settings(), "test") as copy, duckdb.connect(str(copy)) as con:
        assert con.execute("select current_database(), i from v").fetchall() == [("bathtub", 1)]
    with reading(base.warehouse) as con:
        assert con.execute("select current_database(), i from v").fetchall() == [("bathtub", 1)]


def test_rows_still_in_the_copys_log_are_published(base: Home) -> None:
    code = OUTSIDER.replace("sys.stdin.readline()", "os._exit(0)")
    with writing(base.settings(), "test") as copy:
        assert base.run("-c", code, str(copy)).returncode == 0
        assert copy.with_name(copy.name + ".wal").stat().st_size > 0
    assert _number(base) == 7
    assert _files(base) == KEPT


def test_a_folder_that_cannot_be_written_is_named(home: Home) -> None:
    (home.folder / "file").write_text("", encoding="utf-8")
    settings = home.settings(BATHTUB_WAREHOUSE=str(home.folder / "file" / "w.duckdb"))
    with (
        pytest.raises(WarehouseError, match=rf"^The folder of the warehouse, {home.folder}/file, cannot be written \(.+\)"),
        writing(settings, "test"),
    ):
        pass


def test_a_disk_without_room_for_the_copy_is_named(base: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with (
        pytest.raises(WarehouseError, match=r"has 0\.0 GB free and a run needs .* GB for its working copy"),
        writing(base.settings(), "test"),
    ):
        pass
    assert _number(base) == 1


def test_a_file_that_is_no_database_is_named_and_kept(home: Home) -> None:
    home.warehouse.write_text("no database" * 1000, encoding="utf-8")
    with (
        pytest.raises(WarehouseError, match=r"bathtub\.duckdb cannot be opened as a DuckDB file"),
        writing(home.settings(), "test"),
    ):
        pass
    assert home.warehouse.read_text(encoding="utf-8") == "no database" * 1000


# ---- readers ---------------------------------------------------------------------------------------------------------


def test_reading_an_absent_warehouse_says_how_to_make_one(home: Home) -> None:
    with (
        pytest.raises(WarehouseError, match=rf"^There is no warehouse at {home.warehouse}; make one with: make build"),
        reading(home.warehouse),
    ):
        pass
    assert _files(home) == set()


def test_reading_cannot_write(base: Home) -> None:
    with reading(base.warehouse) as con, pytest.raises(duckdb.Error, match="read-only"):
        con.execute("update t set i = 3")


def test_reading_speaks_utc(base: Home) -> None:
    with reading(base.warehouse) as con:
        assert con.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_a_reader_keeps_the_state_it_opened_and_the_next_one_sees_the_new(base: Home) -> None:
    with _running(base, READER, str(base.warehouse)) as early:
        _tell(early)
        assert _line(early) == "1"
        with writing(base.settings(), "test") as copy:
            _add_one(copy)
            with _running(base, READER, str(base.warehouse)) as during:
                _tell(during)
                assert _line(during) == "1"
        _tell(early)
        assert _line(early) == "1"
        assert _number(base) == 2


# ---- several writers -------------------------------------------------------------------------------------------------


def test_a_second_writer_waits_and_adds_to_what_the_first_wrote(base: Home) -> None:
    with _running(base, WRITER, until="working") as first, _running(base, WRITER) as second:
        waiting = _line(second)
        assert "a long close" in waiting
        assert waiting.endswith("Waiting up to 600 s for it to finish.")
        _tell(first)
        assert _line(first) == "published", _rest(first)
        assert _line(second) == "working", _rest(second)
        assert _number(base) == 2
        _tell(second)
        assert _line(second) == "published", _rest(second)
    assert _number(base) == 3


@pytest.mark.parametrize("seconds", ["0", "1"])
def test_a_second_writer_is_refused_with_who_holds_the_warehouse(base: Home, seconds: str) -> None:
    with _running(base, WRITER, until="working") as first:
        with pytest.raises(WarehouseBusyError) as error, writing(base.settings(BATHTUB_LOCK_WAIT_SECONDS=seconds), "test"):
            pass
        assert re.fullmatch(
            rf"Another run is writing to the warehouse \(a long close, process {first.pid}, since "
            r"\d{4}-\d\d-\d\d \d\d:\d\d UTC\)\. Try again when it is done, or wait longer with BATHTUB_LOCK_WAIT_SECONDS\.",
            str(error.value),
        )
        _tell(first)
        assert _line(first) == "published", _rest(first)
    assert _number(base) == 2


def test_a_writer_that_sleeps_keeps_its_lock_and_publishes_when_it_wakes(base: Home) -> None:
    with _running(base, WRITER, until="working") as first:
        first.send_signal(signal.SIGSTOP)
        try:
            _tell(first)
            with (
                pytest.raises(WarehouseBusyError, match=rf"a long close, process {first.pid}"),
                writing(base.settings(BATHTUB_LOCK_WAIT_SECONDS="1"), "test"),
            ):
                pass
            assert _number(base) == 1
            assert (building_dir(base.warehouse) / base.warehouse.name).exists()
        finally:
            first.send_signal(signal.SIGCONT)
        assert _line(first) == "published", _rest(first)
    assert _number(base) == 2
    with writing(base.settings(BATHTUB_LOCK_WAIT_SECONDS="1"), "test") as copy:
        _add_one(copy)
    assert _number(base) == 3
    assert _files(base) == KEPT


def test_a_killed_writer_leaves_the_file_and_the_next_one_works(base: Home) -> None:
    before = base.warehouse.read_bytes()
    with _running(base, WRITER, until="working") as first:
        first.kill()
        first.wait()
    assert base.warehouse.read_bytes() == before
    assert json.loads((building_dir(base.warehouse) / "writer.json").read_text(encoding="utf-8"))["pid"] == first.pid
    with writing(base.settings(BATHTUB_LOCK_WAIT_SECONDS="0"), "test") as copy:
        _add_one(copy)
    assert _number(base) == 2
    assert _files(base) == KEPT


def test_what_a_killed_writer_left_goes_though_nothing_is_written_and_a_rejected_build_stays(base: Home) -> None:
    settle(base.settings())
    with _running(base, WRITER, until="working") as first:
        settle(base.settings())
        assert working_copy(base.warehouse).exists()
        first.kill()
        first.wait()
    settle(base.settings())
    assert _files(base) == KEPT
    with suppress(ZeroDivisionError), writing(base.settings(), "test"):
        _ = 1 / 0
    settle(base.settings())
    assert working_copy(base.warehouse).exists()


def test_a_killed_writer_leaves_month_files_that_the_next_one_removes(base: Home) -> None:
    with writing(base.settings(), "test") as copy:
        _close_month(base, copy)
    kept = _month_files(base)
    assert base.run("-c", KILLED, str(base.warehouse)).returncode == -signal.SIGKILL
    assert len(_month_files(base)) == len(kept) + 1
    with writing(base.settings(BATHTUB_LOCK_WAIT_SECONDS="0"), "test"):
        assert _month_files(base) == kept
    with reading(base.warehouse) as con:
        assert con.execute("from months").fetchall() == [(1,)]


def _month_files(home: Home) -> set[Path]:
    return set(months_dir(home.warehouse).glob("*/*"))


def _close_month(home: Home, copy: Path) -> None:
    """Write a month file and name it, as dbt does."""
    folder = months_dir(home.warehouse)
    (folder / "snapshot_month=2024-01-01").mkdir()
    with duckdb.connect(str(copy)) as con:
        con.execute(f"copy (select 1 as n) to '{folder}/snapshot_month=2024-01-01/a.parquet'")
        con.execute("create schema if not exists ops; create table ops.month_files (file varchar, folder varchar)")
        con.execute("insert into ops.month_files values ('snapshot_month=2024-01-01/a.parquet', ?)", [str(folder)])
        con.execute(f"create view months as select n from read_parquet(['{folder}/snapshot_month=2024-01-01/a.parquet'])")


def test_a_file_open_for_writing_in_another_program_is_busy(base: Home) -> None:
    with _running(base, OUTSIDER, str(base.warehouse), until="open"):
        busy = pytest.raises(WarehouseBusyError, match=r"is open for writing in another program .*; close that program")
        with busy, writing(base.settings(), "test"):
            pass
        with pytest.raises(WarehouseBusyError, match="is open for writing in another program"), reading(base.warehouse):
            pass


def test_what_another_program_committed_before_it_died_is_folded_in(base: Home) -> None:
    with _running(base, OUTSIDER, str(base.warehouse), until="open") as outsider:
        outsider.kill()
        outsider.wait()
    wal = base.warehouse.with_name(base.warehouse.name + ".wal")
    assert wal.stat().st_size > 0
    assert _number(base) == 7
    with writing(base.settings(), "test") as copy:
        _add_one(copy)
    assert _number(base) == 8
    assert not wal.exists()


def test_what_another_program_committed_during_a_write_is_not_undone(base: Home) -> None:
    refused = pytest.raises(WarehouseError, match=r"wrote to .* during this run, which was not published")
    with refused, writing(base.settings(), "test") as copy:
        _add_one(copy)
        with _running(base, OUTSIDER, str(base.warehouse), until="open"):
            pass
    assert _number(base) == 7
    with writing(base.settings(), "test") as copy:
        _add_one(copy)
    assert _number(base) == 8


# ---- the first month, beside the warehouse ---------------------------------------------------------------------------


def test_the_first_month_is_known_without_opening_the_warehouse(base: Home) -> None:
    assert recall_first_month(base.warehouse) is None
    with duckdb.connect(str(base.warehouse)) as con:
        con.execute("create schema ops; create table ops.warehouse as select date '2023-11-01' as first_month")
    remember_first_month(base.warehouse)
    base.warehouse.unlink()
    assert recall_first_month(base.warehouse) == date(2023, 11, 1)


def test_a_base_without_activity_has_no_first_month(base: Home) -> None:
    with duckdb.connect(str(base.warehouse)) as con:
        con.execute("create schema ops; create table ops.warehouse as select cast(null as date) as first_month")
    remember_first_month(base.warehouse)
    assert recall_first_month(base.warehouse) is None
