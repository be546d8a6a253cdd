"""A copy of all that a base cannot be made again from: warehouse, closed months, incidents; and the way back.

    bathtub-20261123T050000Z.tar
        warehouse.duckdb, months/…, alerts.sqlite     as of one instant, whatever is written meanwhile
        manifest.json                                 versions, months, the SHA-256 of each file; last: a torn file lacks it

Raw files are not in it: raw tables that are views read them where they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

import duckdb
from filelock import FileLock, Timeout

from orchestration import __version__, month_files, versions
from orchestration.alerts.store import FILE as ALERTS
from orchestration.close import read_state
from orchestration.disk import disk_fault, for_the_owner_alone, make_private_folder
from orchestration.months import month_text
from orchestration.settings import Settings, parse_month
from orchestration.warehouse import (
    Report,
    WarehouseBusyError,
    WarehouseError,
    building_dir,
    flush_folder,
    holding,
    log_of,
    reading,
    remember_first_month,
    settle,
    writing,
)

MANIFEST = "manifest.json"
WAREHOUSE = "warehouse.duckdb"
MONTHS = "months/"
# How often a copy begins again because a close was published, and its old files were removed, in the middle.
TRIES = 5
# A backup that was killed leaves it, and the next one writes over it.
PART = ".bathtub.tar.part"


class BackupError(Exception):
    """A backup cannot be made or put back; the message says why and what to do. Warehouse and backups are as they were."""


@dataclass(frozen=True)
class Backup:
    """A backup: its file, what is in it, and as of when."""

    file: Path
    taken_of: datetime
    last_month: date | None
    n_files: int
    n_bytes: int


def make_backup(settings: Settings, folder: Path | None, now: datetime, report: Report) -> Backup:
    """Write a backup into a folder, by default `backups` beside the warehouse; readers and a writer go on meanwhile.

    Raises:
        BackupError: it cannot be written.
        WarehouseError: there is no warehouse, or it cannot be read.
    """
    _require_duckdb(settings)
    with reading(settings.warehouse):
        # One that cannot be read is no backup.
        pass
    folder = folder or settings.warehouse.parent / "backups"
    file = (folder / f"bathtub-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.tar").absolute()
    part = folder / PART
    with _alone(settings), for_the_owner_alone(), _said(f"The backup cannot be written to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _pinned(settings, report) as (files, state):
                _require_room(folder, files.values())
                with part.open("wb") as target:
                    described = _write(target, files, state, now)
                    target.flush()
                    os.fsync(target.fileno())
            part.replace(file)
            flush_folder(folder)
        finally:
            part.unlink(missing_ok=True)
    return _summary(file, described)


def restore_backup(settings: Settings, file: Path, force: bool, report: Report) -> Backup:
    """Check a backup and put it in the place of the warehouse; what is there stays whole until all of it is checked.

    Raises:
        BackupError: the file is no whole backup, a later version made it, or the warehouse is newer and `force` is not set.
        WarehouseError: another run is writing, or the folder cannot be written.
    """
    _require_duckdb(settings)
    warehouse = settings.warehouse
    with holding(settings, "restore of a backup", report), for_the_owner_alone():
        staging = warehouse.parent / f".{warehouse.stem}.restoring"
        shutil.rmtree(staging, ignore_errors=True)
        with _said(f"The backup cannot be put into {warehouse.parent}"):
            try:
                make_private_folder(staging)
                described = _unpack(file, staging)
                _require_usable(file, staging)
                if not force:
                    _refuse_newer(settings, described)
                _put(settings, staging, described)
                shutil.rmtree(building_dir(warehouse), ignore_errors=True)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    remember_first_month(warehouse)
    return _summary(file, described)


def _require_duckdb(settings: Settings) -> None:
    if settings.target != "duckdb":
        raise BackupError(
            f"A base on DuckDB is backed up and restored, and BATHTUB_TARGET is {settings.target}; "
            "copy the cluster's tables with the means of its storage."
        )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One backup at a time."""
    try:
        lock = FileLock(settings.warehouse.with_name(f".{settings.warehouse.stem}.backup.lock"), timeout=0)
        with lock:
            yield
    except Timeout:
        raise BackupError("Another backup is under way; run make backup again when it is done.") from None
    except OSError as error:
        raise BackupError(f"{settings.warehouse.parent} cannot be written ({error.strerror}).") from error


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Say in one sentence what the system refused."""
    try:
        yield
    except (OSError, sqlite3.Error, duckdb.IOException) as error:
        reason = disk_fault(error) or (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise BackupError(
            f"{what}: {reason}. Warehouse and backups are as they were; make room, or name another folder."
        ) from error


def _summary(file: Path, described: Mapping[str, Any]) -> Backup:
    last = described["last_month"]
    n_bytes = sum(part["bytes"] for part in described["files"].values())
    taken_of = datetime.fromtimestamp(described["files"][WAREHOUSE]["modified_ns"] / 1e9, UTC)
    return Backup(file, taken_of, parse_month(last) if last else None, len(described["files"]), n_bytes)


# ---- there -----------------------------------------------------------------------------------------------------------


@contextmanager
def _pinned(settings: Settings, report: Report) -> Iterator[tuple[dict[str, Path], dict[str, Any]]]:
    """Yield the files of one state of the base, by their names in the backup, and what the manifest says of that state.

    Hard links keep them: files are replaced and removed, never changed. Where the file system has none, writers wait.
    """
    warehouse = settings.warehouse
    if log_of(warehouse).exists():
        # Another program wrote to the file and died: a writer folds its committed changes in.
        with writing(settings, "a backup"):
            pass
    settle(settings, report)
    staging = warehouse.parent / f".{warehouse.stem}.backup"
    # What a backup that was killed left there.
    shutil.rmtree(staging, ignore_errors=True)
    make_private_folder(staging)
    try:
        if _has_hard_links(warehouse, staging):
            yield _linked(settings, staging, report)
        else:
            with holding(settings, "backup", report):
                yield _named(settings, warehouse, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _has_hard_links(warehouse: Path, staging: Path) -> bool:
    try:
        (staging / "probe").hardlink_to(warehouse)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


def _linked(settings: Settings, staging: Path, report: Report) -> tuple[dict[str, Path], dict[str, Any]]:
    for attempt in range(TRIES):
        place = staging / str(attempt)
        place.mkdir()
        pinned = place / settings.warehouse.name
        pinned.hardlink_to(settings.warehouse)
        files, state = _named(settings, pinned, place)
        try:
            for i, name in enumerate([name for name in files if name.startswith(MONTHS)]):
                source, files[name] = files[name], place / str(i)
                files[name].hardlink_to(source)
        except FileNotFoundError:
            # A run has begun since, and has removed what its predecessor no longer named.
            continue
        return files, state
    settle(settings, report)
    raise BackupError(f"{settings.warehouse} was replaced {TRIES} times while it was read; run make backup again.")


def _named(settings: Settings, pinned: Path, place: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    """Return the files that a warehouse file names, itself and the incidents included, and its state."""
    with reading(pinned) as connection:
        named = month_files.named_files(connection)
        schema_version = versions.recorded(connection)
    folder = month_files.months_dir(settings.warehouse)
    closed = read_state(pinned).closed
    files = {WAREHOUSE: pinned} | {f"{MONTHS}{name}": folder / name for name in sorted(named)}
    store = settings.alerts_dir / ALERTS
    if store.exists():
        with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(place / ALERTS)) as target:
            source.backup(target)
        shutil.copystat(store, place / ALERTS)
        files[ALERTS] = place / ALERTS
    return files, {"last_month": month_text(closed[-1]) if closed else None, "schema_version": schema_version}


def _require_room(folder: Path, files: Iterable[Path]) -> None:
    size, free = sum(path.stat().st_size for path in files), shutil.disk_usage(folder).free
    if free < size * 1.05:
        raise BackupError(
            f"{folder} has {free / 1e9:.1f} GB free and the backup needs {size * 1.05 / 1e9:.1f} GB; make room there, "
            "or name another folder: make backup TO=…"
        )


def _write(target: IO[bytes], files: Mapping[str, Path], state: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    described: dict[str, Any] = {
        "made_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "bathtub": __version__,
        "duckdb": duckdb.__version__,
        **state,
        "files": {},
    }
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files.items():
            with path.open("rb") as source:
                status = os.fstat(source.fileno())
                sha256 = hashlib.file_digest(source, "sha256").hexdigest()
                source.seek(0)
                _add(tar, name, status.st_size, source)
            described["files"][name] = {"bytes": status.st_size, "sha256": sha256, "modified_ns": status.st_mtime_ns}
        with tempfile.TemporaryFile() as manifest:
            n_bytes = manifest.write((json.dumps(described, indent=1) + "\n").encode())
            manifest.seek(0)
            _add(tar, MANIFEST, n_bytes, manifest)
    return described


def _add(tar: tarfile.TarFile, name: str, size: int, source: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    tar.addfile(member, source)


# ---- and back --------------------------------------------------------------------------------------------------------


def _unpack(file: Path, staging: Path) -> dict[str, Any]:
    """Put the files of a backup, each checked, into an empty folder; return the manifest.

    Raises:
        BackupError: it is no backup, or not whole.
    """
    if not file.exists():
        raise BackupError(f"There is no backup {file}.")
    broken = f"{file} is no whole backup of Bathtub"
    try:
        with tarfile.open(file, "r:") as tar:
            members = {member.name: member for member in tar.getmembers()}
            content = tar.extractfile(members[MANIFEST]) if MANIFEST in members else None
            if content is None:
                raise BackupError(f"{broken}: it has no {MANIFEST}. Take another one.")
            described = json.loads(content.read())
            expected: dict[str, Any] = described["files"]
            if set(expected) != set(members) - {MANIFEST} or not all(_is_ours(name) for name in expected):
                raise BackupError(f"{broken}: its files are not those that its manifest names. Take another one.")
            _require_room(staging, [file])
            for name, known in expected.items():
                _unpack_one(tar, members[name], staging / name, known["sha256"], broken)
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{broken} ({type(error).__name__}). Take another one.") from error
    return dict(described)


def _is_ours(name: str) -> bool:
    """A month file is `model/file.parquet` or so below its folder: nothing that leads elsewhere."""
    parts = name.split("/")
    return name in (WAREHOUSE, ALERTS) or (name.startswith(MONTHS) and not {"", ".", ".."}.intersection(parts))


def _unpack_one(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, sha256: str, broken: str) -> None:
    source = tar.extractfile(member) if member.isreg() else None
    if source is None:
        raise BackupError(f"{broken}: {member.name} is no file. Take another one.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())
    with target.open("rb") as copy:
        if hashlib.file_digest(copy, "sha256").hexdigest() != sha256:
            raise BackupError(f"{broken}: {member.name} has changed since it was made. Take another one.")


def _require_usable(file: Path, staging: Path) -> None:
    """See that this version opens it, and that it has all the month files it names."""
    try:
        with reading(staging / WAREHOUSE) as connection:
            named = month_files.named_files(connection)
    except WarehouseError as error:
        raise BackupError(f"{file} cannot be used: {str(error).replace(str(staging / WAREHOUSE), 'its warehouse')}") from error
    if missing := [name for name in sorted(named) if not (staging / MONTHS / name).exists()]:
        raise BackupError(f"{file} lacks {len(missing)} files of closed months, first {missing[0]}. Take another one.")


def _refuse_newer(settings: Settings, described: Mapping[str, Any]) -> None:
    """Nothing that came after the backup is lost unless somebody says so."""
    places = {settings.warehouse: WAREHOUSE, settings.alerts_dir / ALERTS: ALERTS}
    for path, name in places.items():
        known = described["files"].get(name)
        written = max(
            (file.stat().st_mtime_ns for file in path.parent.glob(f"{path.name}*") if _is_written(file, path)), default=0
        )
        if written > (known["modified_ns"] if known else 0):
            there = f"{datetime.fromtimestamp(written / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
            raise BackupError(
                f"{path} was written at {there}, after what is in the backup; what came since would be lost. "
                "To go back all the same, add FORCE=1."
            )


def _is_written(file: Path, path: Path) -> bool:
    """A database, and its log when that holds something."""
    return file == path or (file.name in (f"{path.name}-wal", f"{path.name}.wal") and file.stat().st_size > 0)


def _put(settings: Settings, staging: Path, described: Mapping[str, Any]) -> None:
    """The month files first, which nobody reads before the warehouse names them; the warehouse in one step; then the incidents.

    Whoever is stopped in between runs it again.
    """
    warehouse, folder = settings.warehouse, month_files.months_dir(settings.warehouse)
    _require_closed_elsewhere(warehouse)
    for name, known in described["files"].items():
        os.utime(staging / name, ns=(known["modified_ns"], known["modified_ns"]))
        if name.startswith(MONTHS):
            target = folder / name.removeprefix(MONTHS)
            target.parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(target)
    with duckdb.connect(str(staging / WAREHOUSE)) as connection:
        month_files.follow(connection, warehouse)
        connection.execute("checkpoint")
        month_files.flush(warehouse, month_files.named_files(connection))
    modified = described["files"][WAREHOUSE]["modified_ns"]
    os.utime(staging / WAREHOUSE, ns=(modified, modified))
    log_of(warehouse).unlink(missing_ok=True)
    (staging / WAREHOUSE).replace(warehouse)
    if ALERTS in described["files"]:
        settings.alerts_dir.mkdir(parents=True, exist_ok=True)
        for suffix in ("-wal", "-shm"):
            (settings.alerts_dir / f"{ALERTS}{suffix}").unlink(missing_ok=True)
        shutil.move(staging / ALERTS, settings.alerts_dir / ALERTS)
    flush_folder(warehouse.parent)


def _require_closed_elsewhere(warehouse: Path) -> None:
    """A program that has it open for writing would go on writing to a file that is gone; one that is damaged may go."""
    if not warehouse.exists():
        return
    try:
        with reading(warehouse):
            pass
    except WarehouseBusyError:
        raise
    except WarehouseError:
        pass
