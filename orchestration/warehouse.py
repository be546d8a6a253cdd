"""The warehouse file: one writer at a time, on a working copy that replaces the file only when the work is complete.

Readers keep the file they opened and never meet a half-written month; a run that fails or is killed leaves it untouched. The
file names the month files that count (`month_files.py`): replacing it publishes them too.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from orchestration import month_files, versions
from orchestration.disk import disk_fault, for_the_owner_alone, make_private_folder
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
        WarehouseError: there is no warehouse, it cannot be opened, or another version of Bathtub wrote it.
    """
    with _opened(warehouse) as connection:
        _require_version(warehouse, versions.recorded(connection))
        yield connection


@contextmanager
def _opened(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a read-only connection to a warehouse of any version."""
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
    with holding(settings, purpose, report), for_the_owner_alone(), _disk_faults(warehouse):
        copy = _copy_of(settings)
        yield copy
        _publish(copy, warehouse)


@contextmanager
def holding(settings: Settings, purpose: str, report: Report = _silent) -> Iterator[None]:
    """Keep other writers out of the folders of the warehouse, made where they are missing, while the block runs.

    Raises:
        WarehouseBusyError: another writer did not finish in time.
        WarehouseError: the folder cannot be written.
    """
    warehouse = settings.warehouse
    try:
        warehouse.parent.mkdir(parents=True, exist_ok=True)
        make_private_folder(building_dir(warehouse))
        make_private_folder(month_files.months_dir(warehouse))
    except OSError as error:
        raise WarehouseError(
            f"The folder of the warehouse, {warehouse.parent}, cannot be written ({error.strerror})."
        ) from error
    with _disk_faults(warehouse), locked(_lock_file(warehouse), _holder_file(warehouse), settings, purpose, report):
        yield


@contextmanager
def _disk_faults(warehouse: Path) -> Iterator[None]:
    """Say in one sentence what the disk refused; the file itself is replaced in one step, or not at all."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        if (fault := disk_fault(error, building_dir(warehouse), warehouse)) is None:
            raise
        raise WarehouseError(
            f"The warehouse cannot be written in {warehouse.parent}: {fault} ({_first_line(error)}). It is as it was; "
            "make room, or give the right to write, and run again."
        ) from error


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


def _copy_of(settings: Settings) -> Path:
    warehouse = settings.warehouse
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
        if log_of(warehouse).exists():
            # Left by a process that wrote to the file itself and died: its committed changes belong into the file.
            duckdb.connect(str(warehouse)).close()
        # Keeps a process that would write to the file itself, such as dbt by hand, out while it is copied.
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            schema_version = versions.recorded(connection)
            _require_version(warehouse, schema_version, to_migrate=True)
            named, is_moved = month_files.named_files(connection), month_files.is_moved(connection, warehouse)
            _require_month_files(warehouse, named)
            _copy_file(warehouse, copy)
    except duckdb.Error as error:
        raise _cannot_open(warehouse, error) from error
    month_files.remove_others(warehouse, named)
    if is_moved:
        with duckdb.connect(str(copy)) as connection:
            month_files.follow(connection, warehouse)
    if schema_version < versions.SCHEMA_VERSION:
        _migrate(copy, settings)
    return copy


def _require_version(warehouse: Path, schema_version: int, to_migrate: bool = False) -> None:
    is_older = schema_version < versions.SCHEMA_VERSION
    if not (to_migrate and is_older) and (reason := versions.refusal(schema_version)):
        raise WarehouseError(f"{warehouse} {reason}.")


def _migrate(copy: Path, settings: Settings) -> None:
    try:
        with duckdb.connect(str(copy)) as connection:
            versions.migrate(connection, settings.vars)
    except versions.MigrationError as error:
        raise WarehouseError(
            f"{settings.warehouse} was written by an earlier version of Bathtub and is as it was: {error}"
        ) from error


def _require_month_files(warehouse: Path, named: set[str]) -> None:
    missing = month_files.missing_files(warehouse, named)
    if missing:
        raise WarehouseError(
            f"{month_files.months_dir(warehouse)} lacks {len(missing)} of the {len(named)} files of closed months that "
            f"{warehouse} names, first {missing[0]}; put that folder back beside the warehouse, from where it was or a backup."
        )


def settle(settings: Settings, report: Report = _silent) -> None:
    """See that the warehouse has the files of its closed months beside it, and what this version of Bathtub knows in it.

    One that was moved is made to read the months there; one of an earlier version is migrated.

    Raises:
        WarehouseBusyError: another writer did not finish in time.
        WarehouseError: files of closed months are missing, a later version wrote it, or it cannot be opened or written.
    """
    warehouse = settings.warehouse
    _clear_after_a_kill(warehouse)
    if not warehouse.exists():
        return
    with _opened(warehouse) as connection:
        schema_version = versions.recorded(connection)
        _require_version(warehouse, schema_version, to_migrate=True)
        named, is_moved = month_files.named_files(connection), month_files.is_moved(connection, warehouse)
    _require_month_files(warehouse, named)
    is_older = schema_version < versions.SCHEMA_VERSION
    if is_moved:
        report(f"{warehouse} was moved: pointing it to the closed months beside it.")
    if is_older:
        report(f"{warehouse} is of an earlier version of Bathtub: bringing it up to date.")
    if is_moved or is_older:
        with writing(settings, "a warehouse that was moved" if is_moved else "a warehouse of an earlier version", report):
            pass


def _clear_after_a_kill(warehouse: Path) -> None:
    """Remove the working copy of a writer that was killed; that of a writer that failed stays, to be looked into."""
    if not _holder_file(warehouse).exists():
        return
    with suppress(Timeout, OSError), FileLock(_lock_file(warehouse), timeout=0):
        shutil.rmtree(building_dir(warehouse))


def _lock_file(warehouse: Path) -> Path:
    return warehouse.with_name(warehouse.name + ".lock")


def _holder_file(warehouse: Path) -> Path:
    return building_dir(warehouse) / "writer.json"


def log_of(warehouse: Path) -> Path:
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
    if log_of(warehouse).exists():
        # It would belong to no file any more, and DuckDB would refuse to open the new one beside it.
        raise WarehouseError(
            f"Another program, such as dbt by hand, wrote to {warehouse} during this run, which was not published "
            "so as not to undo that; close that program's connection and run again."
        )
    # Opening and closing it folds a write-ahead log, if there is one, into the file.
    with duckdb.connect(str(copy)) as connection:
        versions.record(connection, datetime.now(UTC))
        connection.execute("checkpoint")
        month_files.flush(warehouse, month_files.named_files(connection))
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    copy.replace(warehouse)
    flush_folder(warehouse.parent)
    shutil.rmtree(building_dir(warehouse), ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Have the system put the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _cannot_open(warehouse: Path, error: duckdb.Error) -> WarehouseError:
    reason = _first_line(error)
    if "version number" in reason:
        return WarehouseError(
            f"{warehouse} was written by another version of DuckDB than {duckdb.__version__}, which is installed ({reason}); "
            "install the version of Bathtub that wrote it, or go back to a backup: make restore FROM=…."
        )
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
