"""The profiles overdue for deletion as a file, for whoever deletes them in the source, and the account of each export.

Ids are in the file alone. The account, `ops.retention_exports`, says who took how many, when and under which rule.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from orchestration.engine import engine_of
from orchestration.months import month_text
from orchestration.settings import Settings
from orchestration.spreadsheets import as_plain_text_sql
from orchestration.warehouse import Report, reading, writing

TEXTS = ("customer_id", "source", "status")
EXPORTS = "ops.retention_exports"
ACCOUNT = f"""
    create table if not exists {EXPORTS} (
        exported_at timestamp, exported_by varchar, n_profiles bigint, as_of_date date, rule varchar,
        source varchar, status varchar, file varchar, sha256 varchar
    )
"""
# A filter that is null lets all through.
OVERDUE = """
    create temp table overdue as
    select customer_id, source, status, due_date, retention_months, as_of_date
    from private.retention_due_profiles
    where is_overdue and source = coalesce($source, source) and status = coalesce($status, status)
"""


class RetentionError(Exception):
    """The overdue profiles cannot be exported; the message says why and what to do. No file and no account was written."""


@dataclass(frozen=True)
class Selection:
    """Which of the overdue profiles: those of a source, of a status; None is all."""

    source: str | None = None
    status: str | None = None

    def __str__(self) -> str:
        words = [f"{name} {value}" for name, value in (("source", self.source), ("status", self.status)) if value]
        return f" of {' and '.join(words)}" if words else ""


@dataclass(frozen=True)
class Export:
    """How many profiles, of which as-of date, under which rule; the file, and its SHA-256."""

    n_profiles: int
    as_of_date: date
    rule: str
    file: Path
    sha256: str


def export_overdue(
    settings: Settings, selection: Selection, exported_by: str, now: datetime, file: Path | None, report: Report
) -> Export | None:
    """Write the overdue profiles of the latest closed month to a file and enter that in the account; None without any.

    `now` is UTC, without a zone. By default the file is `exports/retention-<as-of date>.csv` beside the warehouse.

    Raises:
        RetentionError: no month is closed, no profile has the source, the file exists or cannot be written, or the rule changed
            since the close.
        WarehouseError: the warehouse cannot be read or written.
    """
    month = _latest_close(settings, report)
    with reading(settings.warehouse) as connection:
        _select(connection, settings, selection, month)
        export = _write(connection, settings.warehouse, file)
    if export is None:
        return None
    with _removed_after_failure(export.file):
        _enter(settings, selection, exported_by, now, export, report)
    return export


def _latest_close(settings: Settings, report: Report) -> date:
    if settings.target != "duckdb":
        raise RetentionError(
            f"Overdue profiles are exported from a base on DuckDB, and BATHTUB_TARGET is {settings.target}; "
            "on the cluster, building_private.retention_due_profiles lists them (docs/retention.md)."
        )
    engine = engine_of(settings)
    engine.settle(report)
    closed = engine.read_state().closed
    if not closed:
        raise RetentionError("No month is closed yet, so there is no list of overdue profiles; close one first: make build.")
    return closed[-1]


@contextmanager
def _removed_after_failure(file: Path) -> Iterator[None]:
    """No list of people lies about that nobody answers for."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _select(connection: duckdb.DuckDBPyConnection, settings: Settings, selection: Selection, month: date) -> None:
    """Put the profiles into the temporary table `overdue`."""
    close_again = f"close the latest month again: make build FROM={month_text(month)} TO={month_text(month)}."
    try:
        _require_source(connection, selection.source)
        connection.execute(OVERDUE, {"source": selection.source, "status": selection.status})
    except duckdb.CatalogException as error:
        raise RetentionError(f"{settings.warehouse} was closed by a version without retention; {close_again}") from error
    rule, wanted = _rule(connection), settings.vars.retention_months.model_dump()
    if any(wanted[status] != months for status, months in rule.items()):
        raise RetentionError(f"retention_months is now {wanted}, and the list was made with {rule}; {close_again}")


def _rule(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Months by status, as the close computed the due dates."""
    return dict(connection.execute("select distinct status, retention_months from overdue order by status").fetchall())


def _write(connection: duckdb.DuckDBPyConnection, warehouse: Path, file: Path | None) -> Export | None:
    n_profiles, as_of_date = connection.execute("select count(*), min(as_of_date) from overdue").fetchall()[0]
    if not n_profiles:
        return None
    file = (file or warehouse.parent / "exports" / f"retention-{as_of_date}.csv").absolute()
    _create(file)
    path = str(file).replace("'", "''")
    with _removed_after_failure(file):
        # Into the file that is there: DuckDB would put one in its place that others can read.
        connection.execute(
            f"copy (select {', '.join(as_plain_text_sql(name) for name in TEXTS)}, due_date, retention_months "
            "from overdue order by overdue.customer_id) "
            f"to '{path}' (format csv, header, use_tmp_file false)"
        )
        rule = ", ".join(f"{status}: {months} months after the last contact" for status, months in _rule(connection).items())
        with file.open("rb") as written:
            return Export(n_profiles, as_of_date, rule, file, hashlib.file_digest(written, "sha256").hexdigest())


def _require_source(connection: duckdb.DuckDBPyConnection, source: str | None) -> None:
    known = [
        row[0]
        for row in connection.execute(
            "select distinct source from marts.retention_monthly where n_profiles > 0 "
            "and snapshot_month = (select max(snapshot_month) from marts.retention_monthly) order by source"
        ).fetchall()
    ]
    if source is not None and source not in known:
        raise RetentionError(f"No profile of the base has the source {source!r}; there are {', '.join(known) or 'none'}.")


def _create(file: Path) -> None:
    """Make an empty file that its owner alone can read."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        reason = "exists, and an export is never written over" if file.exists() else f"cannot be written ({error.strerror})"
        raise RetentionError(f"{file} {reason}; name another file with --to.") from error


def _enter(settings: Settings, selection: Selection, exported_by: str, now: datetime, export: Export, report: Report) -> None:
    with writing(settings, "export of overdue profiles", report) as copy, duckdb.connect(str(copy)) as connection:
        connection.execute(ACCOUNT)
        connection.execute(
            f"insert into {EXPORTS} values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                now,
                exported_by,
                export.n_profiles,
                export.as_of_date,
                export.rule,
                selection.source,
                selection.status,
                str(export.file),
                export.sha256,
            ],
        )
