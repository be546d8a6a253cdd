"""A copy of the base while others read and write, and the way back."""

from __future__ import annotations

import io
import json
import shutil
import stat
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import backup as backups
from orchestration import versions
from orchestration.alerts.store import Store
from orchestration.backup import BackupError, make_backup, restore_backup
from orchestration.month_files import months_dir
from orchestration.warehouse import reading, writing
from tests.crash.harness import fingerprint
from tests.orchestration.conftest import MONTHS, Built, Home

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)


def silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def base(built: Built, tmp_path: Path) -> Home:
    """A deployment of its own, closed up to the last month, with one incident store."""
    home = built.copy_to(tmp_path / "home")
    with Store.open(home.settings().alerts_dir):
        pass
    return home


@pytest.fixture
def backup(base: Home) -> Path:
    """A backup of it."""
    return make_backup(base.settings(), None, NOW, silent).file


def _rows(home: Home) -> object:
    with reading(home.warehouse) as connection:
        months = connection.execute("select count(*), sum(hash(m)) from core.int_customer_months m").fetchall()
        return fingerprint(connection, "marts", "ops"), months


def _change(home: Home, sql: str = "delete from ops.closed_months; delete from marts.flows_monthly") -> None:
    with writing(home.settings(), "test") as copy, duckdb.connect(str(copy)) as connection:
        connection.execute(sql)


def _altered(backup: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    """Return a copy of a backup each file of which went through a function."""
    altered = backup.with_name("altered.tar")
    with tarfile.open(backup) as source, tarfile.open(altered, "w") as target:
        for member in source.getmembers():
            content = source.extractfile(member)
            assert content is not None
            if (changed := change(member.name, content.read())) is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                target.addfile(info, io.BytesIO(changed[1]))
    return altered


def _nothing_left(home: Home) -> bool:
    names = {path.name for path in home.folder.rglob("*")}
    return not names & {".bathtub.building", ".bathtub.backup", ".bathtub.restoring", backups.PART}


# ---- there and back ---------------------------------------------------------------------------------------------------


def test_a_base_that_was_lost_comes_back_row_for_row_with_its_months_and_incidents(base: Home, backup: Path) -> None:
    before = _rows(base)
    for path in base.folder.glob("bathtub*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    restored = restore_backup(base.settings(), backup, force=False, report=silent)
    assert restored.last_month is not None and f"{restored.last_month:%Y-%m}" == MONTHS[-1]
    assert _rows(base) == before
    assert (base.settings().alerts_dir / "alerts.sqlite").exists()
    assert (base.folder / "bathtub.duckdb.first_month").read_text(encoding="utf-8") == "2024-01\n"
    assert _nothing_left(base)


def test_a_backup_can_be_put_in_another_place_and_its_months_are_read_there(base: Home, backup: Path, tmp_path: Path) -> None:
    other = Home(tmp_path / "other", base.dbt_target)
    restore_backup(other.settings(), backup, force=False, report=silent)
    assert _count_of_months(base) == _count_of_months(other) > 0
    shutil.rmtree(base.folder)
    assert _count_of_months(other) > 0


def _count_of_months(home: Home) -> int:
    with reading(home.warehouse) as connection:
        return int(connection.execute("select count(*) from core.int_customer_months").fetchall()[0][0])


def test_the_commands_do_it_and_say_what_they_did(base: Home) -> None:
    made = base.command("backup", "--to", str(base.folder / "elsewhere"))
    assert made.returncode == 0, made.stderr
    (file,) = (base.folder / "elsewhere").iterdir()
    assert f"Backup     {file}" in made.stdout
    assert f"closed up to {MONTHS[-1]}" in made.stdout
    again = base.command("restore", str(file))
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith(f"Restored   {base.warehouse}")


def test_a_copy_is_of_one_instant_though_closes_are_published_and_old_months_removed_meanwhile(
    base: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, write = _rows(base), backups._write

    def slowly(*args: Any) -> Any:
        # A close that names other month files, and the run after it, which removes those of before.
        _change(base, "delete from ops.month_files")
        _change(base, "select 1")
        assert not list(months_dir(base.warehouse).glob("*/*.parquet"))
        return write(*args)

    monkeypatch.setattr(backups, "_write", slowly)
    file = make_backup(base.settings(), None, NOW, silent).file
    monkeypatch.undo()
    restore_backup(base.settings(), file, force=True, report=silent)
    assert _rows(base) == before


def test_a_month_removed_in_the_middle_has_the_copy_begin_again(base: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    named, calls = backups._named, []

    def gone_once(*args: Any) -> Any:
        found = named(*args)
        calls.append(1)
        if len(calls) == 1:
            found[0]["months/gone/a.parquet"] = base.folder / "gone.parquet"
        return found

    monkeypatch.setattr(backups, "_named", gone_once)
    assert make_backup(base.settings(), None, NOW, silent).n_files > 5
    assert len(calls) == 2


def test_without_hard_links_writers_wait_and_the_copy_is_the_same(base: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _rows(base)
    monkeypatch.setattr(backups, "_has_hard_links", lambda *_: False)
    file = make_backup(base.settings(), None, NOW, silent).file
    _change(base)
    restore_backup(base.settings(), file, force=True, report=silent)
    assert _rows(base) == before


def test_a_backup_and_its_folder_are_their_owners_alone(backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700


def test_the_manifest_names_versions_months_and_checksums_and_is_the_last_file(backup: Path) -> None:
    with tarfile.open(backup) as tar:
        *names, last = tar.getnames()
        content = tar.extractfile("manifest.json")
        assert content is not None
        manifest = json.loads(content.read())
    assert last == "manifest.json"
    assert set(manifest["files"]) == set(names)
    assert {manifest["last_month"], manifest["schema_version"]} == {MONTHS[-1], versions.SCHEMA_VERSION}
    assert all(len(file["sha256"]) == 64 for file in manifest["files"].values())


# ---- refusals ---------------------------------------------------------------------------------------------------------


def test_a_newer_warehouse_is_not_overwritten_unless_forced(base: Home, backup: Path) -> None:
    before = _rows(base)
    _change(base)
    changed = _rows(base)
    with pytest.raises(BackupError, match=r"what came since would be lost. To go back all the same, add FORCE=1"):
        restore_backup(base.settings(), backup, force=False, report=silent)
    assert _rows(base) == changed
    restore_backup(base.settings(), backup, force=True, report=silent)
    assert _rows(base) == before


def test_restoring_twice_is_no_loss(base: Home, backup: Path) -> None:
    restore_backup(base.settings(), backup, force=False, report=silent)
    restore_backup(base.settings(), backup, force=False, report=silent)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda name, content: (name, content[:-1] + b"x" if name.endswith(".parquet") else content), "has changed since"),
        (lambda name, content: None if name == "manifest.json" else (name, content), "has no manifest.json"),
        (lambda name, content: None if name.endswith("duckdb") else (name, content), "not those that its manifest names"),
        (lambda name, content: (f"../{name}", content), "has no manifest.json"),
        (lambda name, content: (name.replace("months/", "months/../../", 1), content), "not those that its manifest names"),
    ],
    ids=["changed", "without manifest", "without warehouse", "all elsewhere", "months elsewhere"],
)
def test_a_backup_that_is_not_whole_is_refused_and_the_warehouse_stays(
    base: Home, backup: Path, change: Callable[[str, bytes], tuple[str, bytes] | None], told: str
) -> None:
    before = _rows(base)
    with pytest.raises(BackupError, match=told):
        restore_backup(base.settings(), _altered(backup, change), force=True, report=silent)
    assert _rows(base) == before
    assert [path.name for path in base.folder.iterdir() if path.name.startswith(".bathtub.restoring")] == []


def test_a_torn_backup_is_refused(base: Home, backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
    with pytest.raises(BackupError, match="is no whole backup of Bathtub"):
        restore_backup(base.settings(), backup, force=True, report=silent)


def test_a_path_that_leads_out_of_the_folder_is_not_ours() -> None:
    assert [backups._is_ours(name) for name in ("months/../x", "months/a/b.parquet", "/etc/passwd", "months//x")] == [
        False, True, False, False,
    ]  # fmt: skip


def test_a_missing_file_and_a_missing_warehouse_are_named(base: Home, home: Home) -> None:
    with pytest.raises(BackupError, match="There is no backup"):
        restore_backup(base.settings(), base.folder / "none.tar", force=False, report=silent)
    assert home.command("backup").stderr.startswith("Error: There is no warehouse at ")


def test_spark_is_refused_in_one_sentence(base: Home, backup: Path) -> None:
    settings = base.settings(BATHTUB_TARGET="spark")
    with pytest.raises(BackupError, match="BATHTUB_TARGET is spark"):
        make_backup(settings, None, NOW, silent)
    with pytest.raises(BackupError, match="BATHTUB_TARGET is spark"):
        restore_backup(settings, backup, force=True, report=silent)


def test_a_damaged_warehouse_is_replaced(base: Home, backup: Path) -> None:
    before = _rows(base)
    base.warehouse.write_bytes(b"no database")
    restore_backup(base.settings(), backup, force=True, report=silent)
    assert _rows(base) == before
