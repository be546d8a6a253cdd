"""Publishing as files, to a folder and to a bucket."""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest

from orchestration.publish import PublishError, files
from orchestration.publish.catalog import Mart
from orchestration.publish.files import publish, shown
from tests.publish.conftest import NOW, version_of, with_rows

FORK = multiprocessing.get_context("fork")
MONTH = "2026-03"


def manifest_of(folder: Path, month: str = MONTH) -> dict[str, Any]:
    """Return the manifest of a month."""
    found: dict[str, Any] = json.loads((folder / month / "manifest.json").read_text(encoding="utf-8"))
    return found


def read_whole(folder: Path, month: str = MONTH) -> dict[str, Any]:
    """Return the manifest of a month whose files all are what it says."""
    manifest = manifest_of(folder, month)
    for mart in manifest["marts"]:
        for file in mart["files"]:
            content = (folder / month / file["path"]).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    return manifest


def test_the_manifest_names_every_file_with_its_checksum(tmp_path: Path, marts: tuple[Mart, ...]) -> None:
    publish(str(tmp_path), version_of(marts, 1), NOW, 2)
    manifest = read_whole(tmp_path)
    assert [mart["name"] for mart in manifest["marts"]] == [*(mart.name for mart in marts), "bi_refresh_status"]
    assert {mart["rows"] for mart in manifest["marts"]} == {12, 1}
    assert (manifest["snapshot_month"], manifest["definition_version"]) == ("2026-03-01", "v1")
    assert manifest["open_critical_incidents"] == 2


def test_parquet_and_csv_hold_the_marts(tmp_path: Path, marts: tuple[Mart, ...]) -> None:
    mart = next(mart for mart in marts if mart.name == "acquisition_monthly")
    content = version_of(marts, 1)
    awkward = {"source": 'l\'été, "Straße"\n☕', "n_new": 2**62, "seasonality_index": 0.1 + 0.2, "n_new_prev_year": None}
    rows = [*content.rows[mart.name]]
    rows[0] = tuple(awkward.get(c.name, v) for c, v in zip(mart.columns, rows[0], strict=True))
    publish(str(tmp_path), with_rows(content, mart.name, rows), NOW, 0)
    with duckdb.connect() as connection:
        parquet = tmp_path / "latest/parquet/acquisition_monthly/acquisition_monthly.parquet"
        assert set(connection.execute(f"from '{parquet}'").fetchall()) == set(rows)
        types = dict(row[:2] for row in connection.execute(f"describe from '{parquet}'").fetchall())
        assert types == {column.name: column.data_type.upper() for column in mart.columns}
    with (tmp_path / "latest/csv/acquisition_monthly/acquisition_monthly.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == [column.name for column in mart.columns]
    first = next(row for row in read if row["source"] == awkward["source"])
    assert (first["snapshot_month"], first["n_new"], first["seasonality_index"]) == ("2026-01-01", str(2**62), repr(0.1 + 0.2))
    assert (first["n_new_prev_year"], first["is_latest_month"]) == ("", "false")
    assert {row["is_latest_month"] for row in read if row["snapshot_month"] == "2026-03-01"} == {"true"}


def test_the_same_marts_give_the_same_files(tmp_path: Path, marts: tuple[Mart, ...]) -> None:
    for folder in ("a", "b"):
        content = version_of(marts, 1)
        turned = replace(content, rows={name: rows[:: 1 if folder == "a" else -1] for name, rows in content.rows.items()})
        publish(str(tmp_path / folder), turned, NOW, 0)
    a, b = ({m["name"]: m["files"][0]["sha256"] for m in manifest_of(tmp_path / f)["marts"]} for f in ("a", "b"))
    assert a == b


def test_each_month_has_its_folder_and_latest_shows_the_newest(tmp_path: Path, marts: tuple[Mart, ...]) -> None:
    publish(str(tmp_path), version_of(marts, 1, months=3), NOW, 0)
    publish(str(tmp_path), version_of(marts, 2, months=4), NOW + timedelta(days=30), 0)
    assert read_whole(tmp_path, "2026-03")["definition_version"] == "v1"
    assert read_whole(tmp_path, "2026-04")["definition_version"] == "v2"
    assert json.loads((tmp_path / "latest/manifest.json").read_text(encoding="utf-8"))["snapshot_month"] == "2026-04-01"
    # An older state of the warehouse does not go over it.
    publish(str(tmp_path), version_of(marts, 3, months=3), NOW + timedelta(days=31), 0)
    assert json.loads((tmp_path / "latest/manifest.json").read_text(encoding="utf-8"))["snapshot_month"] == "2026-04-01"


def test_the_publication_before_stays_and_older_ones_go(tmp_path: Path, marts: tuple[Mart, ...]) -> None:
    names = []
    for i in range(3):
        publish(str(tmp_path), version_of(marts, i), NOW + timedelta(hours=i), 0)
        names.append(manifest_of(tmp_path)["publication"])
    assert sorted(path.name for path in (tmp_path / MONTH).iterdir()) == sorted([*names[1:], "manifest.json"])


def test_a_mart_taken_off_the_list_leaves_latest(tmp_path: Path, marts: tuple[Mart, ...]) -> None:
    publish(str(tmp_path), version_of(marts, 1), NOW, 0)
    publish(str(tmp_path), version_of(marts[1:], 2), NOW, 0)
    assert {path.name for path in (tmp_path / "latest/csv").iterdir()} == {*(m.name for m in marts[1:]), "bi_refresh_status"}


def _publish_and_die(folder: Path, marts: tuple[Mart, ...], n_writes: int) -> None:
    write, done = files._Folder.write, 0

    def write_or_die(self: files._Folder, path: str, content: bytes) -> None:
        nonlocal done
        if done == n_writes:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        write(self, path, content)

    files._Folder.write = write_or_die  # type: ignore[method-assign]
    publish(str(folder), version_of(marts, 2), NOW, 0)


@pytest.mark.parametrize("n_writes", [0, 1, 20, 32])
def test_a_publisher_killed_before_its_manifest_changes_nothing(tmp_path: Path, marts: tuple[Mart, ...], n_writes: int) -> None:
    publish(str(tmp_path), version_of(marts, 1), NOW, 0)
    process = FORK.Process(target=_publish_and_die, args=(tmp_path, marts, n_writes))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert read_whole(tmp_path)["definition_version"] == "v1"
    publish(str(tmp_path), version_of(marts, 3), NOW + timedelta(hours=1), 0)
    assert read_whole(tmp_path)["definition_version"] == "v3"
    assert len(list((tmp_path / MONTH).iterdir())) == 3


def test_a_bucket_gets_the_same_files(marts: tuple[Mart, ...]) -> None:
    publish("memory://bucket/marts", version_of(marts, 1), NOW, 0)
    bucket = fsspec.filesystem("memory")
    manifest = json.loads(bucket.cat_file(f"/bucket/marts/{MONTH}/manifest.json"))
    for mart in manifest["marts"]:
        for file in mart["files"]:
            content = bucket.cat_file(f"/bucket/marts/{MONTH}/{file['path']}")
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert not [path for path in bucket.find("/bucket") if path.endswith(".part")]


@pytest.mark.parametrize("url", ["nosuch://user:hunter2@bucket/marts", "/proc/nowhere/marts"])
def test_a_folder_that_cannot_be_written_ends_in_a_sentence_without_secrets(marts: tuple[Mart, ...], url: str) -> None:
    with pytest.raises(PublishError, match="make publish") as refused:
        publish(url, version_of(marts, 1), NOW, 0)
    assert "hunter2" not in str(refused.value)


def test_a_file_over_the_upload_limit_is_told(tmp_path: Path, marts: tuple[Mart, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "UPLOAD_LIMIT", 500)
    assert any("flows_monthly.csv is larger" in said for said in publish(str(tmp_path), version_of(marts, 1), NOW, 0).warnings)


def test_a_url_is_shown_without_user_password_and_query() -> None:
    assert shown("s3://key:secret@bucket/a?token=secret") == "s3://bucket/a"
    assert shown("/data/published") == "/data/published"


def test_dates_are_told_apart_from_times() -> None:
    assert files._text(date(2026, 3, 1)) == "2026-03-01"
    assert files._text(NOW) == "2026-11-04 05:00:00"
