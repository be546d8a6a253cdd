"""The marts as Parquet and CSV files, in a folder or a bucket that fsspec knows by its URL.

    2026-10/manifest.json                     the publication of the month that counts: its files, rows and checksums
    2026-10/20261103T050000Z-1f3a/csv/…       one publication, never changed
    latest/csv/base_overview_monthly/…        the latest one under names that stay, for connectors that read a folder

A manifest is written after all files that it names, in one step: who goes by it reads one whole publication.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from orchestration.disk import disk_fault
from orchestration.months import month_text
from orchestration.publish import PublishError
from orchestration.publish.catalog import Mart
from orchestration.publish.extract import Extract, Row
from orchestration.publish.status import with_status
from orchestration.spreadsheets import as_plain_text

MANIFEST = "manifest.json"
LATEST = "latest"
# What Looker Studio takes in one upload.
UPLOAD_LIMIT = 100_000_000
# A file of these appears when it is complete; elsewhere it is written beside and renamed.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"}


@dataclass(frozen=True)
class FilePublication:
    """What was written, and what its administrator should know."""

    place: str
    n_files: int
    n_bytes: int
    warnings: tuple[str, ...]


def publish(url: str, content: Extract, now: datetime, open_critical_incidents: int) -> FilePublication:
    """Write all marts of the exposure as Parquet and CSV, then the manifest that makes them count.

    Args:
        url: a folder, or the URL of one in a bucket.
        content: what to publish.
        now: when.
        open_critical_incidents: how many critical alerts are open.

    Raises:
        PublishError: the folder cannot be written; the manifest names what was published before.
    """
    month = month_text(content.latest_month)
    publication = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    tables = with_status(content, now, open_critical_incidents)
    try:
        folder = _Folder(url)
        before = folder.manifest(month)
        described = [_write(folder, f"{month}/{publication}", mart, rows) for mart, rows in tables]
        manifest = {
            "snapshot_month": content.latest_month.isoformat(),
            "closed_at": content.closed_at.isoformat(),
            "published_at": now.isoformat(),
            "definition_version": content.definition_version,
            "open_critical_incidents": open_critical_incidents,
            "publication": publication,
            "previous_publication": before.get("publication"),
            "marts": described,
        }
        folder.write(f"{month}/{MANIFEST}", _json(manifest))
        _show_latest(folder, month, manifest)
        # Who read the manifest before this one may still be reading its files.
        folder.keep_only(month, {publication, str(before.get("publication"))})
    except (OSError, ImportError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0] if isinstance(error, ImportError) else type(error).__name__
        reason = disk_fault(error) or reason
        raise PublishError(
            f"The files cannot be written to {shown(url)} ({reason}); what was published before still counts. "
            "Look at BATHTUB_PUBLISH_DIR and at the rights there, and run: make publish"
        ) from error
    files = [file for mart in described for file in mart["files"]]
    large = [file["path"] for file in files if file["path"].endswith(".csv") and file["bytes"] > UPLOAD_LIMIT]
    warnings = tuple(f"{path} is larger than the 100 MB that Looker Studio takes in one upload." for path in large)
    return FilePublication(shown(url), len(files), sum(file["bytes"] for file in files), warnings)


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class _Folder:
    """A place that is written to, through fsspec."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self._files, self._root = url_to_fs(url)
        protocols = self._files.protocol
        self._is_store = bool(OBJECT_STORES.intersection([protocols] if isinstance(protocols, str) else protocols))

    def write(self, path: str, content: bytes) -> None:
        """Write a file that appears as a whole."""
        target = f"{self._root}/{path}"
        self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
        if self._is_store:
            self._files.pipe_file(target, content)
            return
        self._files.pipe_file(f"{target}.part", content)
        self._files.mv(f"{target}.part", target)

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return bytes(self._files.cat_file(f"{self._root}/{path}"))

    def manifest(self, folder: str) -> dict[str, Any]:
        """Return a manifest; empty where there is none."""
        try:
            found = json.loads(self.read(f"{folder}/{MANIFEST}"))
        except FileNotFoundError:
            return {}
        return found if isinstance(found, dict) else {}

    def keep_only(self, folder: str, names: set[str]) -> None:
        """Remove the publications of a folder but those named."""
        for found in self._files.ls(f"{self._root}/{folder}", detail=False):
            name = str(found).rstrip("/").rpartition("/")[2]
            if name not in {*names, MANIFEST}:
                self._files.rm(found, recursive=True)

    def remove(self, path: str) -> None:
        """Remove a folder with what is in it, if it is there."""
        if self._files.exists(f"{self._root}/{path}"):
            self._files.rm(f"{self._root}/{path}", recursive=True)

    def folders(self, path: str) -> list[str]:
        """Return the names of what a folder holds; none where there is no such folder."""
        if not self._files.exists(f"{self._root}/{path}"):
            return []
        found = self._files.ls(f"{self._root}/{path}", detail=False)
        return [str(name).rstrip("/").rpartition("/")[2] for name in found]


def _show_latest(folder: _Folder, month: str, manifest: dict[str, Any]) -> None:
    """Put the files under names that stay, unless a later month is there; each is replaced at once, one after the other."""
    if str(folder.manifest(LATEST).get("snapshot_month", "")) > manifest["snapshot_month"]:
        return
    described = []
    for mart in manifest["marts"]:
        files = []
        for file in mart["files"]:
            kind = file["path"].split("/")[1]
            path = f"{kind}/{mart['name']}/{mart['name']}.{kind}"
            folder.write(f"{LATEST}/{path}", folder.read(f"{month}/{file['path']}"))
            files.append({**file, "path": path})
        described.append({**mart, "files": files})
    named = {mart["name"] for mart in described}
    for kind in ("csv", "parquet"):
        for name in folder.folders(f"{LATEST}/{kind}"):
            if name not in named:
                folder.remove(f"{LATEST}/{kind}/{name}")
    folder.write(f"{LATEST}/{MANIFEST}", _json({**manifest, "marts": described}))


def _write(folder: _Folder, where: str, mart: Mart, rows: Sequence[Row]) -> dict[str, Any]:
    """Write a mart in both forms and return what the manifest says of it."""
    keys = [mart.position(name) for name in mart.grain]
    ordered = sorted(rows, key=lambda row: tuple(row[i] for i in keys))
    files = []
    for kind, content in (("csv", _as_csv(mart, ordered)), ("parquet", as_parquet(mart, ordered))):
        folder.write(f"{where}/{kind}/{mart.name}.{kind}", content)
        path = f"{where.rpartition('/')[2]}/{kind}/{mart.name}.{kind}"
        files.append({"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    return {
        "name": mart.name,
        "rows": len(rows),
        "columns": {column.name: column.data_type for column in mart.columns},
        "files": files,
    }


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _as_csv(mart: Mart, rows: Sequence[Row]) -> bytes:
    """UTF-8, commas, a header; dates as 2026-10-01, true and false, null as nothing; no text that a spreadsheet computes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in mart.columns)
    writer.writerows([_text(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _text(value: object) -> object:
    if isinstance(value, str):
        return as_plain_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return value.isoformat() if isinstance(value, date) else value


def as_parquet(mart: Mart, rows: Sequence[Row]) -> bytes:
    """The types of the contract; times with their zone, UTC."""
    types = [{"timestamp": "timestamptz"}.get(column.data_type, column.data_type) for column in mart.columns]
    names = [f'"{column.name}"' for column in mart.columns]
    lists = ", ".join(f"unnest(?::{kind}[])" for kind in types)
    with duckdb.connect() as connection, tempfile.TemporaryDirectory(prefix="bathtub-") as temporary:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set threads = 1")
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, types, strict=True))
        connection.execute(f"create table mart ({columns})")
        if rows:
            values = [list(column) for column in zip(*rows, strict=True)]
            connection.execute(f"insert into mart select {lists}", values)
        file = Path(temporary) / "mart.parquet"
        connection.execute(f"copy mart to '{file}' (format parquet)")
        return file.read_bytes()
