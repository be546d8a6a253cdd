"""Lists of people that were written to files: they end after `private_list_days`, and whoever is erased leaves them at once."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from orchestration.ingest.accounts import has_table
from orchestration.settings import Settings
from orchestration.spreadsheets import as_plain_text

ACCOUNT = "retention_exports"
HEADER = ("customer_id", "source", "status", "due_date", "retention_months")


def has_expired_lists(con: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> bool:
    """Whether a list that the account knows is still there, and too old; `now` is aware."""
    return any(is_old for _, is_old in _lists(con, settings, now))


def clear_lists(con: duckdb.DuckDBPyConnection, settings: Settings, now: datetime, erased: Collection[str]) -> None:
    """Delete the lists that are too old, and take the rows of erased profiles out of the others."""
    for file, is_old in _lists(con, settings, now):
        if is_old:
            file.unlink(missing_ok=True)
        elif erased:
            _take_out(file, {form for id_ in erased for form in (id_, as_plain_text(id_))})


def _lists(con: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> list[tuple[Path, bool]]:
    """Return the lists of the account that are where they were written, and whether their time is over."""
    if not has_table(con, "ops", ACCOUNT):
        return []
    until = now.astimezone(UTC).replace(tzinfo=None) - timedelta(days=settings.vars.private_list_days)
    rows = con.execute(f"select file, max(exported_at) from ops.{ACCOUNT} group by file order by file").fetchall()
    return [(Path(file), exported_at <= until) for file, exported_at in rows if _is_list(Path(file))]


def _is_list(file: Path) -> bool:
    """A file that somebody has put in the place of a list since is none of ours."""
    with suppress(OSError, UnicodeDecodeError), file.open(encoding="utf-8", newline="") as lines:
        return tuple(next(csv.reader(lines), ())) == HEADER
    return False


def _take_out(file: Path, ids: Collection[str]) -> None:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    kept = [row for row in rows if row[:1] == [HEADER[0]] or not row or row[0] not in ids]
    if len(kept) == len(rows):
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    shorter = file.with_name(f".{file.name}.shorter")
    with suppress(FileNotFoundError):
        shorter.unlink()
    with os.fdopen(os.open(shorter, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as written:
        written.write(text.getvalue())
    shorter.replace(file)
