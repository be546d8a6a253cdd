"""The warehouse file: one writer at a time, on a working copy that replaces the file only when the work is complete.

Readers keep the file they opened and never meet a half-written month; a run that fails or is killed leaves it untouched. The
file names the month files that count (`month_files.py`): replacing it publishes them too.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from orchestration import month_files
from orchestration.settings import Settings, parse_month

Report = Callable[[str], None]


class WarehouseError(Exception):
    """The warehouse cannot be read or written now; the message says why and what to do."""


class WarehouseBusyError(WarehouseError):
    """Another process is writing to the warehouse."""


def _silent(_: str) -> None:
    return None


def building_dir(warehouse: Path) -> Path:
    """Return the folder of the working copy; the copy keeps the file's name, which DuckDB takes as the catalog's."""
    return warehouse.parent / f".{warehouse.stem}.building"


def working_copy(warehouse: Path) -> Path:
    """Return the path of the working copy."""
    return building_dir(warehouse) / warehouse.name


@contextmanager
def reading(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a read-only connection to the last good state.

    Raises:
        WarehouseError: there is no warehouse, or it cannot be opened.
    """
    if not warehouse.exists():
        raise WarehouseError(f"There is no warehouse at {warehouse}; make one with: make build (or: make demo).")
    try:
        connection = duckdb.connect(str(warehouse), read_only=True)
    except duckdb.Error as error:
        raise _cannot_open(warehouse, error) from error
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


@contextmanager
def writing(settings: Settings, purpose: str, report: Report = _silent) -> Iterator[Path]:
    """Yield the path of a working copy of the warehouse; it replaces the warehouse when the block ends without an error.

    A second writer waits up to `BATHTUB_LOCK_WAIT_SECONDS`. After an error the working copy stays, for whoever looks for
    the cause, until the next writer begins.

    Raises:
        WarehouseBusyError: another writer did not finish in time.
        WarehouseError: the folder cannot be written, has no room for the copy, or lacks files of closed months.
    """
    warehouse = settings.warehouse
    try:
        building_dir(warehouse).mkdir(parents=True, exist_ok=True)
        month_files.months_dir(warehouse).mkdir(exist_ok=True)
    except OSError as error:
        raise WarehouseError(
            f"The folder of the warehouse, {warehouse.parent}, cannot be written ({error.strerror})."
        ) from error
    lock_file = warehouse.with_name(warehouse.name + ".lock")
    with locked(lock_file, building_dir(warehouse) / "writer.json", settings, purpose, report):
        copy = _copy_of(warehouse)
        yield copy
        _publish(copy, warehouse)


@contextmanager
def locked(lock_file: Path, holder_file: Path, settings: Settings, purpose: str, report: Report = _silent) -> Iterator[None]:
    """Keep other writers out while the block runs; `holder_file` tells them who holds the lock.

    Raises:
        WarehouseBusyError: another writer did not finish within `BATHTUB_LOCK_WAIT_SECONDS`.
    """
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(f"{_holder(holder_file)} Waiting up to {settings.lock_wait_seconds} s for it to finish.")
        try:
            lock.acquire(timeout=settings.lock_wait_seconds, poll_interval=0.2)
        except Timeout:
            raise WarehouseBusyError(
                f"{_holder(holder_file)} Try again when it is done, or wait longer with BATHTUB_LOCK_WAIT_SECONDS."
            ) from None
    try:
        # The writer that this one waited for took the folder with it.
        holder_file.parent.mkdir(exist_ok=True)
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        holder_file.write_text(json.dumps({"pid": os.getpid(), "purpose": purpose, "started": started}), encoding="utf-8")
        yield
    finally:
        holder_file.unlink(missing_ok=True)
        lock.release()


def _holder(holder_file: Path) -> str:
    try:
        holder = json.loads(holder_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "Another run is writing to the warehouse."
    return f"Another run is writing to the warehouse ({holder['purpose']}, process {holder['pid']}, since {holder['started']})."


def _copy_of(warehouse: Path) -> Path:
    copy = working_copy(warehouse)
    for leftover in building_dir(warehouse).iterdir():
        if leftover.name != "writer.json":
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    if not warehouse.exists():
        return copy
    size, free = warehouse.stat().st_size, shutil.disk_usage(warehouse.parent).free
    if free < size * 1.1:
        raise WarehouseError(
            f"{warehouse.parent} has {free / 1e9:.1f} GB free and a run needs {size * 1.1 / 1e9:.1f} GB for its working copy "
            "of the warehouse; make room and run again."
        )
    try:
        if _log_of(warehouse).exists():
            # Left by a process that wrote to the file itself and died: its committed changes belong into the file.
            duckdb.connect(str(warehouse)).close()
        # Keeps a process that would write to the file itself, such as dbt by hand, out while it is copied.
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            named, is_moved = month_files.named_files(connection), month_files.is_moved(connection, warehouse)
            _require_month_files(warehouse, named)
            _copy_file(warehouse, copy)
    except duckdb.Error as error:
        raise _cannot_open(warehouse, error) from error
    month_files.remove_others(warehouse, named)
    if is_moved:
        with duckdb.connect(str(copy)) as connection:
            month_files.follow(connection, warehouse)
    return copy


def _require_month_files(warehouse: Path, named: set[str]) -> None:
    missing = month_files.missing_files(warehouse, named)
    if missing:
        raise WarehouseError(
            f"{month_files.months_dir(warehouse)} lacks {len(missing)} of the {len(named)} files of closed months that "
            f"{warehouse} names, first {missing[0]}; put that folder back beside the warehouse, from where it was or a backup."
        )


def settle(settings: Settings, report: Report = _silent) -> None:
    """See that the warehouse has the files of its closed months beside it; one that was moved is made to read them there.

    Raises:
        WarehouseBusyError: another writer did not finish in time.
        WarehouseError: files of closed months are missing, or the warehouse cannot be opened or written.
    """
    warehouse = settings.warehouse
    if not warehouse.exists():
        return
    with reading(warehouse) as connection:
        named, is_moved = month_files.named_files(connection), month_files.is_moved(connection, warehouse)
    _require_month_files(warehouse, named)
    if is_moved:
        report(f"{warehouse} was moved: pointing it to the closed months beside it.")
        with writing(settings, "a warehouse that was moved", report):
            pass


def _log_of(warehouse: Path) -> Path:
    """Return DuckDB's write-ahead log of a file, which exists while there are changes beside the file."""
    return warehouse.with_name(warehouse.name + ".wal")


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file inside the kernel, sharing its blocks where the file system can."""
    if not hasattr(os, "copy_file_range"):
        shutil.copyfile(source, target)
        return
    with source.open("rb") as read, target.open("wb") as write:
        left = source.stat().st_size
        while left > 0:
            copied = os.copy_file_range(read.fileno(), write.fileno(), min(left, 1 << 30))
            if copied == 0:
                break
            left -= copied


def _publish(copy: Path, warehouse: Path) -> None:
    if _log_of(warehouse).exists():
        # It would belong to no file any more, and DuckDB would refuse to open the new one beside it.
        raise WarehouseError(
            f"Another program, such as dbt by hand, wrote to {warehouse} during this run, which was not published "
            "so as not to undo that; close that program's connection and run again."
        )
    # Opening and closing it folds a write-ahead log, if there is one, into the file.
    with duckdb.connect(str(copy)) as connection:
        connection.execute("checkpoint")
        month_files.flush(warehouse, month_files.named_files(connection))
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    copy.replace(warehouse)
    shutil.rmtree(building_dir(warehouse), ignore_errors=True)


def _cannot_open(warehouse: Path, error: duckdb.Error) -> WarehouseError:
    reason = str(error).splitlines()[0]
    if "lock" in reason.lower():
        return WarehouseBusyError(
            f"{warehouse} is open for writing in another program ({reason}); close that program's connection and run again."
        )
    return WarehouseError(f"{warehouse} cannot be opened as a DuckDB file: {reason}.")


# ---- the first month, readable without opening the warehouse ----------------------------------------------------------


def _first_month_file(warehouse: Path) -> Path:
    return warehouse.with_name(warehouse.name + ".first_month")


def remember_first_month(warehouse: Path) -> None:
    """Write the first month that the ingest found beside the warehouse, for Dagster's partitions."""
    with reading(warehouse) as connection:
        row = connection.execute("select first_month from ops.warehouse").fetchone()
    if row and row[0]:
        _first_month_file(warehouse).write_text(f"{row[0]:%Y-%m}\n", encoding="utf-8")


def recall_first_month(warehouse: Path) -> date | None:
    """Return the first month that the last ingest found; None before any."""
    try:
        return parse_month(_first_month_file(warehouse).read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return None
