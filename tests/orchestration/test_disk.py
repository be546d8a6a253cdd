"""A disk that is full or read-only: one sentence, and what was shown before is as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from orchestration.disk import disk_fault
from orchestration.warehouse import WarehouseError, reading, writing
from tests.orchestration.conftest import MONTHS, Built, Home

Mount = Callable[[str, str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts small disks; skips where this user may not. Rights do not bind root, and a disk without room binds everybody."""
    mounted: list[Path] = []

    def mount(name: str, size: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True, check=False
        ) if os.geteuid() == 0 else None  # fmt: skip
        if done is None or done.returncode:
            pytest.skip("Only root can mount a small disk, and not in each container.")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(folder: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (folder / "filler").open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()


def _refused(home: Home, *command: str, **more: str) -> str:
    done = home.command(*command, **more)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    return done.stderr


def _flows(home: Home) -> list[tuple[object, ...]]:
    with reading(home.warehouse) as connection:
        return connection.execute("from marts.flows_monthly order by all").fetchall()


def test_a_disk_that_fills_up_during_a_run_is_named_and_the_warehouse_stays(built: Built, mount: Mount) -> None:
    home = built.copy_to(mount("disk", "60m") / "home")
    before = _flows(home)
    with (
        pytest.raises(WarehouseError, match=r"cannot be written in .*: the disk is full .* It is as it was; make room"),
        writing(home.settings(), "test") as copy,
        duckdb.connect(str(copy)) as connection,
    ):
        connection.execute("create table filler as select random() as r from range(20_000_000)")
        connection.execute("checkpoint")
    assert _flows(home) == before
    with writing(home.settings(), "test"):
        pass
    assert _flows(home) == before


def test_a_full_disk_is_named_by_each_command(built: Built, mount: Mount) -> None:
    full = mount("disk", "60m")
    home = built.copy_to(full / "home")
    before = _flows(home)
    (home.raw / "customers_new.csv").write_text("customer_id,created_at\nC9,2024-02-01 10:00:00\n", encoding="utf-8")
    _fill(full)
    told = _refused(home, "build", "--to", MONTHS[-1], "--from", MONTHS[-1])
    assert "make room" in told
    assert "run again" in told
    assert "The report cannot be written to" in _refused(home, "report")
    assert "make room there" in _refused(home, "backup")
    assert _flows(home) == before


def test_files_are_not_published_to_a_full_disk(built: Built, mount: Mount, tmp_path: Path) -> None:
    home, full = built.copy_to(tmp_path / "home"), mount("disk", "64k")
    more = {"BATHTUB_PUBLISH_DIR": str(full), "BATHTUB_POSTGRES_DIR": str(tmp_path / "postgres")}
    told = _refused(home, "publish", **more)
    assert "the disk is full" in told
    assert "what was published before still counts" in told


def test_a_read_only_folder_is_named_by_each_command_and_can_be_read(built: Built, mount: Mount, tmp_path: Path) -> None:
    disk = mount("disk", "60m")
    home = built.copy_to(disk / "home")
    before = _flows(home)
    (home.raw / "customers_new.csv").write_text("customer_id,created_at\nC9,2024-02-01 10:00:00\n", encoding="utf-8")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert "cannot be written (Read-only file system)" in _refused(home, "build", "--from", MONTHS[-1], "--to", MONTHS[-1])
    assert "The report cannot be written to" in _refused(home, "report")
    assert "cannot be written" in _refused(home, "backup")
    report = home.command("report", BATHTUB_REPORT_DIR=str(tmp_path / "reports"))
    assert report.returncode == 0, report.stderr
    assert _flows(home) == before


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OSError(28, "No space left on device"), "the disk is full"),
        (duckdb.IOException("Could not write file: No space left on device"), "the disk is full"),
        (OSError(30, "Read-only file system"), "the folder cannot be written"),
        (PermissionError(13, "Permission denied", "/base/w.duckdb"), "the folder cannot be written"),
        (PermissionError(13, "Permission denied", "/raw/customers.csv"), None),
        (ValueError("No such thing"), None),
    ],
)
def test_a_fault_of_the_disk_is_told_apart_from_others(error: Exception, fault: str | None) -> None:
    assert disk_fault(error, Path("/base/w.duckdb")) == fault
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = error
    assert disk_fault(wrapped, Path("/base/w.duckdb")) == fault
