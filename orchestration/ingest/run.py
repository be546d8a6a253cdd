"""One ingest: find, check, read, judge, write, and keep the books, all of it or nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from orchestration.contract import Table, raw_tables
from orchestration.ingest import accounts, views
from orchestration.ingest.accounts import Books, KnownFile
from orchestration.ingest.batch import stage
from orchestration.ingest.files import RawFile, find_files
from orchestration.ingest.layouts import Layout, read_layouts
from orchestration.ingest.load import create_empty, load
from orchestration.ingest.plan import Plan, make_plan
from orchestration.ingest.result import IngestError, IngestResult, TableResult
from orchestration.ingest.views import ViewPart, read_files
from orchestration.settings import Settings

MOST_NAMES_IN_A_WARNING = 5


@dataclass(frozen=True)
class _Run:
    con: duckdb.DuckDBPyConnection
    now: datetime
    history_until: datetime | None
    scratch: Path
    recounts_orphans: bool


@dataclass(frozen=True)
class _Written:
    """What reading files gave: rows by path, superseded rows, and, for a view, how it reads each path."""

    rows_read: Mapping[str, int]
    n_superseded: int = 0
    parts: Mapping[str, ViewPart] | None = None


def last_ingest(settings: Settings, warehouse: Path) -> IngestResult | None:
    """Return what the last ingest into the DuckDB file `warehouse` gave, or None when files have come or changed since.

    Raises:
        IngestError: the raw folder cannot be read.
    """
    if not warehouse.exists():
        return None
    tables = raw_tables(settings.vars.profile_fields)
    files, strangers = find_files(settings.raw_dir, tables, settings.raw_files)
    with closing(duckdb.connect(str(warehouse), read_only=True)) as con:
        books = accounts.read_books(con)
        plans = _plans(con, settings, tables, files, books)
    if any(plan.has_work for plan in plans):
        return None
    unread = {name: replace(table, n_files_read=0, changed=False) for name, table in books.tables.items()}
    return IngestResult(unread, _warnings(settings, plans, strangers, books))


def ingest(
    settings: Settings,
    warehouse: Path,
    *,
    now: datetime | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> IngestResult:
    """Bring the raw files into the schemas `raw`, `quarantine` and `ops` of the DuckDB file `warehouse`.

    Only new files are read when the others are as they were. `now` is an aware time, by default the clock's. `report`
    gets one line for each table that changed.

    Raises:
        IngestError: nothing was written; the message says why and what to do.
    """
    instant = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    tables = raw_tables(settings.vars.profile_fields)
    files, strangers = find_files(settings.raw_dir, tables, settings.raw_files)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
    }
    with closing(duckdb.connect(str(warehouse), config=config)) as con:
        con.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
        books = accounts.read_books(con)
        plans = _plans(con, settings, tables, files, books)
        result = IngestResult(dict(books.tables), _warnings(settings, plans, strangers, books))
        if any(plan.has_work for plan in plans):
            layouts = {plan.table.name: _layouts(con, plan) for plan in plans}
            _write(con, settings, plans, layouts, books, instant, result, report)
    return result


def _plans(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    tables: Sequence[Table],
    files: Mapping[str, Sequence[RawFile]],
    books: Books,
) -> list[Plan]:
    is_moved = books.raw_dir is not None and books.raw_dir != settings.raw_dir
    return [
        make_plan(table, files[table.name], books, is_moved, accounts.has_table(con, "raw", table.name)) for table in tables
    ]


def _warnings(settings: Settings, plans: Sequence[Plan], strangers: Sequence[str], books: Books) -> list[str]:
    warnings = []
    if books.raw_dir is not None and books.raw_dir != settings.raw_dir:
        warnings.append(f"The raw folder was {books.raw_dir} at the last ingest and is {settings.raw_dir} now.")
    if strangers:
        names = ", ".join(strangers[:MOST_NAMES_IN_A_WARNING]) + (", …" if len(strangers) > MOST_NAMES_IN_A_WARNING else "")
        warnings.append(f"{len(strangers):,} raw files belong to no table and were not read: {names}.")
    for plan in plans:
        name = plan.table.name
        if plan.n_vanished:
            warnings.append(
                f"{name}: {plan.n_vanished:,} files of the last ingest vanished; the table was read again without them."
            )
        if plan.n_changed:
            warnings.append(f"{name}: {plan.n_changed:,} files changed since the last ingest; the table was read again.")
    return warnings


def _layouts(con: duckdb.DuckDBPyConnection, plan: Plan) -> dict[Layout, list[RawFile]]:
    return read_layouts(con, plan.table, plan.files if plan.is_full else plan.new)


def _write(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    plans: Sequence[Plan],
    layouts: Mapping[str, dict[Layout, list[RawFile]]],
    books: Books,
    now: datetime,
    result: IngestResult,
    report: Callable[[str], None],
) -> None:
    con.execute("begin transaction")
    try:
        # A warehouse of before this book existed has its orphans counted once.
        has_orphans_book = accounts.has_table(con, "ops", "orphans")
        con.execute(accounts.TABLES)
        for plan in plans:
            if plan.has_work:
                if plan.table.name == "customers":
                    accounts.keep_customers(con)
                with tempfile.TemporaryDirectory(prefix="bathtub-ingest-") as scratch:
                    run = _Run(con, now, books.history_loaded_until, Path(scratch), not has_orphans_book)
                    before = books.tables.get(plan.table.name)
                    outcome = _write_table(run, plan, layouts[plan.table.name], before)
                accounts.write_delivery(con, before, outcome, now, plan.is_full)
                result.tables[plan.table.name] = outcome
                report(outcome.line())
                if plan.table.name == "customers":
                    _follow_customers(run, plans, result)
        accounts.write_warehouse(con, settings.raw_dir, now, settings.vars)
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def _follow_customers(run: _Run, plans: Sequence[Plan], result: IngestResult) -> None:
    """Customers came or went: count the orphans of the other tables again, and note those of tables without a new file."""
    present = [plan for plan in plans if accounts.has_table(run.con, "raw", plan.table.name)]
    accounts.claim_orphans(run.con, [plan.table for plan in present])
    for plan in present:
        known = result.tables.get(plan.table.name)
        if known is None or plan.has_work:
            continue
        if run.recounts_orphans:
            accounts.recount_orphans(run.con, plan.table)
        n_orphans = accounts.count_orphans(run.con, plan.table)
        if n_orphans != known.n_orphans:
            result.tables[plan.table.name] = replace(known, n_orphans=n_orphans)
            accounts.write_table(run.con, plan.table, result.tables[plan.table.name], run.now)


def _write_table(run: _Run, plan: Plan, layouts: dict[Layout, list[RawFile]], before: TableResult | None) -> TableResult:
    table, con = plan.table, run.con
    is_full = plan.is_full
    if is_full:
        _empty_quarantine(con, table)
    written = _as_view(run, plan, layouts, before)
    if written is None and not is_full and before is not None and before.is_view:
        is_full, layouts = True, read_layouts(con, table, plan.files)
        written = None
    if written is None:
        written = _as_table(run, plan, layouts, is_full, before)
    _write_files(run, plan, written, is_full)
    _write_orphans(run, plan, written, is_full)
    outcome = _outcome(run, plan, layouts, written, None if is_full else before)
    accounts.write_table(con, table, outcome, run.now)
    return outcome


def _write_orphans(run: _Run, plan: Plan, written: _Written, is_full: bool) -> None:
    """Of files that a view reads beside earlier ones, only the new rows are looked at."""
    if written.parts is None or is_full or run.recounts_orphans:
        accounts.recount_orphans(run.con, plan.table)
    elif accounts.has_orphans(plan.table):
        for file in plan.new:
            accounts.add_orphans(run.con, plan.table, read_files(written.parts[file.path].select, [file.absolute]))


def _empty_quarantine(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    con.execute(f"""
        create or replace table quarantine.{table.name} (
            file varchar, line bigint, raw_text varchar, reason varchar, column_name varchar, is_row_kept boolean,
            ingested_at timestamp
        )""")


def _as_view(run: _Run, plan: Plan, layouts: Mapping[Layout, Sequence[RawFile]], before: TableResult | None) -> _Written | None:
    """Put a view over the files when nothing in them needs repair; None when it takes a table."""
    table = plan.table
    is_append = not plan.is_full
    remembers = any(column.added_by_ingest for column in table.columns)
    if remembers or not plan.files or not all(file.is_parquet for file in plan.files):
        return None
    if (is_append and before is not None and not before.is_view) or _needs_memory(plan, layouts):
        return None
    assumed = plan.assumed_loads(run.now, run.history_until, has_memory=False)
    checked = views.check(run.con, table, layouts, assumed, has_earlier=is_append)
    if checked is None:
        return None
    parts, rows_read = checked
    earlier = {
        path: ViewPart(file.view_layout, file.view_select)
        for path, file in plan.known.items()
        if is_append and file.view_layout is not None and file.view_select is not None
    }
    views.create(run.con, table, plan.files, {**earlier, **parts})
    return _Written(rows_read, 0, parts)


def _needs_memory(plan: Plan, layouts: Mapping[Layout, Sequence[RawFile]]) -> bool:
    """A file that changed and has no load times: only a copy of its rows tells its new rows from its old ones."""
    changed = plan.changed_paths
    return any(
        file.path in changed and "loaded_at" not in layout.available for layout, files in layouts.items() for file in files
    )


def _as_table(
    run: _Run, plan: Plan, layouts: Mapping[Layout, Sequence[RawFile]], is_full: bool, before: TableResult | None
) -> _Written:
    table, con = plan.table, run.con
    has_memory = before is not None and not before.is_view and before.is_present
    has_memory = has_memory and accounts.has_table(con, "raw", table.name)
    if not layouts:
        create_empty(con, table)
        return _Written({})
    assumed = plan.assumed_loads(run.now, run.history_until, has_memory)
    batch = stage(con, table, layouts, assumed, run.scratch, run.now)
    n_superseded = load(batch, is_append=not is_full, has_memory=has_memory)
    con.execute("drop table batch")
    return _Written({batch.files[number].path: rows for number, rows in batch.rows_read.items()}, n_superseded)


def _write_files(run: _Run, plan: Plan, written: _Written, is_full: bool) -> None:
    first_seen = plan.first_seen(run.now)
    parts = written.parts or {}
    files = [
        KnownFile(
            file.path,
            file.size_bytes,
            file.modified_ns,
            first_seen[file.path],
            written.rows_read[file.path],
            parts[file.path].layout if file.path in parts else None,
            parts[file.path].select if file.path in parts else None,
        )
        for file in (plan.files if is_full else plan.new)
    ]
    accounts.write_files(run.con, plan.table.name, files, is_all=is_full)


def _rows_kept(run: _Run, table: Table, written: _Written, before: TableResult) -> int:
    """Rows of the raw table; those of a view are those of its files, which were counted when they were checked."""
    if written.parts is None:
        return accounts.count_rows(run.con, table)
    return before.rows_kept + sum(written.rows_read.values())


def _outcome(
    run: _Run,
    plan: Plan,
    layouts: Mapping[Layout, Sequence[RawFile]],
    written: _Written,
    before: TableResult | None,
) -> TableResult:
    """The table's state; `before` is None when all of it was read."""
    table = plan.table
    missing = {c.name for c in table.delivered}.intersection(*({c.name for c in lay.missing(table)} for lay in layouts))
    unknown = {name for layout in layouts for name in layout.unknown(table)}
    if before is not None:
        missing &= set(before.missing_columns)
        unknown |= set(before.unknown_columns)
    start = before or TableResult(table.name)
    n_quarantined, n_defects = accounts.count_quarantine(run.con, table)
    outcome = replace(
        start,
        rows_read=start.rows_read + sum(written.rows_read.values()),
        rows_kept=_rows_kept(run, table, written, start),
        rows_quarantined=n_quarantined,
        rows_superseded=start.rows_superseded + written.n_superseded,
        n_defects=n_defects,
        n_future_dates=accounts.count_future_dates(run.con, table, run.now),
        n_orphans=accounts.count_orphans(run.con, table),
        missing_columns=tuple(c.name for c in table.delivered if c.name in missing),
        unknown_columns=tuple(sorted(unknown)),
        n_files=len(plan.files),
        n_files_read=len(written.rows_read),
        is_view=written.parts is not None,
        is_present=bool(plan.files),
        changed=True,
    )
    if outcome.rows_read != outcome.rows_kept + outcome.rows_quarantined + outcome.rows_superseded:
        raise IngestError(
            f"{table.name}: {outcome.rows_read:,} rows read are not {outcome.rows_kept:,} kept + "
            f"{outcome.rows_quarantined:,} quarantined + {outcome.rows_superseded:,} superseded; nothing was written. "
            "Please report this."
        )
    return outcome
