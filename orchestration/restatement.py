"""Closed months that are computed again: what changed of what was published, why, and the log of it.

The log is the table `ops.restatements`, which the marts `restatements` and, counted for BI tools, `restatements_monthly` show.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from orchestration.close import CloseError, dbt_close_args, first_month, plan, read_state, record_first_month
from orchestration.dbt import Progress, ensure_manifest, environment, failure_sentence, run_dbt, target_dir
from orchestration.definition import BOOK as DEFINITION_BOOK
from orchestration.definition import code_version
from orchestration.ingest import ingest, last_ingest
from orchestration.month_files import named_files, remove_others
from orchestration.months import add_months, month_text
from orchestration.run import quiet
from orchestration.settings import Settings
from orchestration.warehouse import Report, building_dir, reading, writing

LOGS = ("restatements", "restatements_monthly")
EXPOSURE = "published_marts"
MOST_LINES = 20
BOOKS = f"""
create table if not exists ops.restated_ranges (
    restatement_id varchar, from_month date, next_month date, restated_at timestamp, run_id varchar
);
create table if not exists ops.restatements (
    restatement_id varchar, restated_at timestamp, snapshot_month date, as_of_date date, mart varchar, segment varchar,
    measure varchar, published_value double, restated_value double, cause varchar, run_id varchar, definition_version varchar
);
{DEFINITION_BOOK}
"""
# Raw rows that can come late: where they are staged, when they happened, when they were loaded, and the cause that they are.
ROWS_IN_TIME = (
    ("stg_orders", "ordered_at", "loaded_at", "late_rows"),
    ("stg_events", "occurred_at", "loaded_at", "late_rows"),
    ("stg_consents", "occurred_at", "loaded_at", "late_rows"),
    ("stg_customers", "created_at", "first_loaded_at", "late_rows"),
    ("stg_customers", "deleted_at", "deletion_loaded_at", "late_rows"),
    ("stg_merges", "merged_at", "loaded_at", "merge"),
)
# Sums of fractions differ in their last digits from one computation to the next.
SAME = "abs(published_value - restated_value) <= 1e-9 * greatest(abs(published_value), abs(restated_value))"


@dataclass(frozen=True)
class Restatement:
    """A computation of months of which some may have been published: the run, and whether late rows go where they happened."""

    months: tuple[date, ...]
    at: datetime
    run_id: str
    base_begins: date
    moves_late_rows: bool = False

    @property
    def id(self) -> str:
        return f"{self.at:%Y%m%dT%H%M%SZ}-{self.run_id[:8]}"

    @property
    def restated_at(self) -> datetime:
        """The moment as the warehouse keeps it: UTC, without a zone."""
        return self.at.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class ComparedMart:
    """A mart of the manifest: the columns of its grain, and whether its rows are shown to BI tools."""

    name: str
    grain: tuple[str, ...]
    is_published: bool


def prepare_books(warehouse: Path) -> None:
    """Make the tables of restatements and definitions in a warehouse file that lacks them."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(BOOKS)


def enter_range(warehouse: Path, restatement: Restatement) -> None:
    """Have the models count each row that is loaded by now in the month where it happened; before dbt runs."""
    end = add_months(restatement.months[-1], 1)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert into ops.restated_ranges values (?, ?, ?, ?, ?)",
            [restatement.id, restatement.months[0], end, restatement.restated_at, restatement.run_id],
        )


# ---- what changed ----------------------------------------------------------------------------------------------------


def compared_marts(manifest: Path) -> list[ComparedMart]:
    """Return the marts with a grain by month; the logs are none of them."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    nodes = content["nodes"]
    shown = {key for e in content["exposures"].values() if e["name"] == EXPOSURE for key in e["depends_on"]["nodes"]}
    found = []
    for test in nodes.values():
        if test["resource_type"] != "test" or (test.get("test_metadata") or {}).get("name") != "unique_grain":
            continue
        node = nodes.get(test["attached_node"])
        grain = tuple(test["test_metadata"]["kwargs"]["columns"])
        if node and node["schema"] == "marts" and node["name"] not in LOGS and "snapshot_month" in grain:
            found.append(ComparedMart(node["name"], grain, node["unique_id"] in shown))
    return sorted(found, key=lambda mart: mart.name)


def log_changes(copy: Path, published: Path, manifest: Path, restatement: Restatement, settings: Settings) -> int:
    """Log where the marts of a working copy differ from the published ones in some months; return how often."""
    if not published.exists():
        return 0
    with duckdb.connect(str(copy)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{_quoted(str(published))}' as published (read_only)")
        if not _has_table(connection, "published", "closed_months"):
            return 0
        there, here = (_columns(connection, name) for name in ("published", copy.stem))
        causes = _causes(connection, restatement, settings)
        for mart in compared_marts(manifest):
            if mart.name in there and mart.name in here:
                kept = {name: kind for name, kind in here[mart.name].items() if name in there[mart.name]}
                connection.execute(
                    _insertion(mart, kept),
                    {
                        "id": restatement.id,
                        "at": restatement.restated_at,
                        "run": restatement.run_id,
                        "first": restatement.months[0],
                        "end": add_months(restatement.months[-1], 1),
                        "causes": "+".join(causes),
                    },
                )
        row = connection.execute(f"select count(*) from ops.restatements where restatement_id = '{restatement.id}'").fetchone()
    return int(row[0]) if row else 0


def _columns(connection: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() where database_name = ? and schema_name = 'marts' "
        "order by table_name, column_index",
        [catalog],
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _insertion(mart: ComparedMart, columns: dict[str, str]) -> str:
    """Return the statement that logs the differences of a mart, of which only the months published before are compared."""
    keys = [name for name in mart.grain if name in columns]
    numeric = ("BIGINT", "DOUBLE", "INTEGER", "BOOLEAN", "HUGEINT", "DECIMAL", "FLOAT")
    measures = [name for name, kind in columns.items() if name not in keys and kind.startswith(numeric) and not _is_label(name)]
    segment = " || ', ' || ".join(f"'{k}=' || coalesce(cast({_key(k)} as varchar), '')" for k in keys if k != "snapshot_month")
    values = ", ".join(
        f"{{'measure': '{m}', 'published_value': cast(p.{m} as double), 'restated_value': cast(r.{m} as double)}}"
        for m in measures
    )
    matching = " and ".join(f"p.{key} is not distinct from r.{key}" for key in keys)
    log = """
        select
            snapshot_month, as_of_date, segment, change.measure as measure, change.published_value as published_value,
            change.restated_value as restated_value, is_redefined, definition_version
        from compared
        where change.published_value is distinct from change.restated_value
    """
    if not mart.is_published:
        # The log is shown to BI tools, rows such as one account are not: it counts them.
        log = f"""
            select
                snapshot_month, max(as_of_date) as as_of_date, 'rows that changed' as segment, measure, 0 as published_value,
                count(*) as restated_value, bool_or(is_redefined) as is_redefined,
                max(definition_version) as definition_version
            from ({log}) as rows_of_mart
            where not coalesce({SAME}, false)
            group by snapshot_month, measure
        """
    return f"""
        insert into ops.restatements
        with published_rows as (
            select * from published.marts.{mart.name} where snapshot_month >= $first and snapshot_month < $end
        ),
        restated_rows as (
            select * from marts.{mart.name}
            where snapshot_month in (select snapshot_month from published.ops.closed_months)
                and snapshot_month >= $first and snapshot_month < $end
        ),
        compared as (
            select
                coalesce(r.snapshot_month, p.snapshot_month) as snapshot_month,
                coalesce(r.as_of_date, p.as_of_date) as as_of_date,
                {segment or "''"} as segment,
                coalesce(p.definition_version <> r.definition_version, false) as is_redefined,
                coalesce(r.definition_version, p.definition_version) as definition_version,
                unnest([{values}]) as change
            from published_rows as p
            full join restated_rows as r on {matching}
        ),
        changes as ({log})
        select
            $id, $at, snapshot_month, as_of_date, '{mart.name}', segment, measure, published_value, restated_value,
            coalesce(
                nullif(concat_ws('+', nullif($causes, ''), case when is_redefined then 'definition' end), ''), 'raw_data'
            ),
            $run, definition_version
        from changes
        where not coalesce({SAME}, false)
    """


def _is_label(column: str) -> bool:
    """Ranks and signs say where a row stands in a list, and count nothing."""
    return column == "sign" or column.endswith("_rank")


def _key(column: str) -> str:
    return f"coalesce(r.{column}, p.{column})"


def _quoted(text: str) -> str:
    return text.replace("'", "''")


# ---- why -------------------------------------------------------------------------------------------------------------


def _causes(connection: duckdb.DuckDBPyConnection, restatement: Restatement, settings: Settings) -> list[str]:
    """Return what can have changed the months, the definition aside, which each row tells by itself."""
    causes = _moved(connection, restatement, settings) if restatement.moves_late_rows else []
    months = f"snapshot_month between date '{restatement.months[0]}' and date '{restatement.months[-1]}'"
    closed = f"from published.ops.closed_months where {months}"
    if _has_table(connection, _catalog(connection), "erasures") and _any(
        connection, f"select 1 from ops.erasures where known_at > (select min(closed_at) {closed})"
    ):
        causes.append("erasure")
    under = f"select snapshot_month from ops.closed_under where code_version = '{code_version()}'"
    if _any(connection, f"select 1 {closed} and snapshot_month not in ({under})"):
        causes.append("code")
    return causes


def _catalog(connection: duckdb.DuckDBPyConnection) -> str:
    row = connection.execute("select current_database()").fetchone()
    return str(row[0]) if row else ""


def _has_table(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> bool:
    found = connection.execute(
        "select 1 from duckdb_tables() where database_name = ? and schema_name = 'ops' and table_name = ?", [catalog, table]
    )
    return found.fetchone() is not None


def _any(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    return connection.execute(f"{sql} limit 1").fetchone() is not None


def _moved(connection: duckdb.DuckDBPyConnection, restatement: Restatement, settings: Settings) -> list[str]:
    """Return the causes of the rows that this restatement moves from where they became known to where they happened."""
    zone, grace = settings.vars.reporting_timezone, settings.vars.closing_grace_days
    until = settings.vars.history_loaded_until
    history = f"timestamp '{until}'" if until else "(select max(history_loaded_until) from ops.warehouse)"
    ranges = connection.execute(
        "select from_month, next_month, restated_at from ops.restated_ranges where restatement_id <> ?", [restatement.id]
    ).fetchall()
    begins = restatement.base_begins
    causes = list[str]()
    for table, happened_at, loaded_at, cause in ROWS_IN_TIME:
        day, loaded = (f"cast(timezone('{zone}', timezone('UTC', {column})) as date)" for column in (happened_at, loaded_at))
        earlier = " or ".join(
            f"({_within(day, first, end, begins)} and {loaded_at} <= timestamp '{at}')" for first, end, at in ranges
        )
        if cause not in causes and _any(
            connection,
            f"select 1 from staging.{table} where {loaded_at} > {history} "
            f"and {loaded_at} <= timestamp '{restatement.restated_at}' "
            f"and {_within(day, restatement.months[0], add_months(restatement.months[-1], 1), begins)} "
            f"and {loaded} >= date_trunc('month', {day}) + interval 1 month + interval {grace} day "
            f"and not coalesce({earlier or 'false'}, false)",
        ):
            causes.append(cause)
    return causes


def _within(day: str, first: date, end: date, begins: date | None) -> str:
    before = f"{day} < date '{end}'"
    # With the first month, what happened before it is restated too.
    return before if first == begins else f"{before} and {day} >= date '{first}'"


# ---- what is said of it ----------------------------------------------------------------------------------------------


def summary(warehouse: Path, restatement_id: str) -> list[str]:
    """Return lines on what a restatement logged: a count per mart and month, then the largest changes."""
    with reading(warehouse) as connection:
        counts = connection.execute(
            "select mart, snapshot_month, count(*), string_agg(distinct cause, ', ' order by cause) from ops.restatements "
            "where restatement_id = ? group by all order by all",
            [restatement_id],
        ).fetchall()
        largest = connection.execute(
            "select snapshot_month, mart, segment, measure, published_value, restated_value from ops.restatements "
            "where restatement_id = ? "
            "order by abs(coalesce(restated_value, 0) - coalesce(published_value, 0)) desc, 1, 2, 3, 4 "
            f"limit {MOST_LINES}",
            [restatement_id],
        ).fetchall()
    if not counts:
        return ["No published value differs."]
    lines = [f"{sum(row[2] for row in counts):,} published values differ:"]
    lines += [f"  {mart:<32} {month_text(month)}  {n:>7,}  {cause}" for mart, month, n, cause in counts]
    lines.append(f"The largest {len(largest)}:" if len(largest) > 1 else "It is:")
    for month, mart, segment, measure, before, after in largest:
        where = f" ({segment})" if segment else ""
        lines.append(f"  {month_text(month)}  {mart}.{measure}{where}: {_figure(before)} -> {_figure(after)}")
    return lines


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:,.6g}" if value % 1 else f"{value:,.0f}"


def latest_id(warehouse: Path) -> str | None:
    """Return the latest restatement of a warehouse file that changed a published value or was asked for."""
    with reading(warehouse) as connection:
        row = connection.execute(
            "select restatement_id from (select restatement_id, restated_at from ops.restated_ranges "
            "union all select restatement_id, restated_at from ops.restatements) as restatements "
            "order by restated_at desc limit 1"
        ).fetchone()
    return str(row[0]) if row else None


def n_logged(warehouse: Path, since: datetime) -> int:
    """Return how many published values of a warehouse file were changed since a moment."""
    with reading(warehouse) as connection:
        row = connection.execute(
            "select count(*) from ops.restatements where restated_at >= ?", [since.astimezone(UTC).replace(tzinfo=None)]
        ).fetchone()
    return int(row[0]) if row else 0


# ---- the restatement that is asked for -------------------------------------------------------------------------------


def months_to_restate(settings: Settings, first: date, now: datetime) -> list[date]:
    """Return the months from a closed one up to the last close.

    Raises:
        CloseError: that month is not closed, or the base is not in DuckDB.
    """
    if settings.target != "duckdb":
        raise CloseError(
            f"A restatement works on DuckDB and not yet on {settings.target}: there, close a new base from the raw files, in "
            "which each row counts where it happened."
        )
    state = read_state(settings.warehouse)
    if first not in state.closed:
        closed = (
            f"choose a month from {month_text(state.closed[0])} to {month_text(state.closed[-1])}"
            if state.closed
            else "no month is closed yet (make build)"
        )
        raise CloseError(f"{month_text(first)} is not closed and cannot be restated; {closed}.")
    return plan(settings.vars, state, now, first, state.closed[-1])


def n_erased_since(warehouse: Path, months: Sequence[date]) -> int:
    """Return how many profiles were erased since the first close of some closed months.

    Only anonymous rows are left of them: computed again, the months count them as gone from the first one on.
    """
    with reading(warehouse) as connection:
        if not _has_table(connection, _catalog(connection), "erasures"):
            return 0
        row = connection.execute(
            "select coalesce(sum(n_profiles), 0) from ops.erasures where known_at > "
            "(select min(closed_at) from ops.closed_months where snapshot_month between ? and ?)",
            [months[0], months[-1]],
        ).fetchone()
    return int(row[0]) if row else 0


class _UnpublishedError(Exception):
    """Leaves the working copy behind, unpublished."""


def dry_run(settings: Settings, months: Sequence[date], now: datetime, report: Report) -> list[str]:
    """Restate months in a working copy that is thrown away, new raw files included; return lines on what would change.

    Raises:
        CloseError: dbt failed on the months.
        WarehouseError: the warehouse cannot be written now.
    """
    warehouse, manifest, lines = settings.warehouse, ensure_manifest(settings), list[str]()
    begins = first_month(settings.vars, read_state(warehouse)) or months[0]
    restatement = Restatement(tuple(months), now, "dry_run", begins, moves_late_rows=True)
    with contextlib.suppress(_UnpublishedError), writing(settings, "dry run of a restatement", report) as copy:
        try:
            if last_ingest(settings, copy) is None:
                ingest(settings, copy, report=lambda line: report(f"  {line}"))
            record_first_month(copy, begins)
            prepare_books(copy)
            enter_range(copy, restatement)
            _compute(settings, months, report)
            log_changes(copy, warehouse, manifest, restatement, settings)
            lines = summary(copy, restatement.id)
        finally:
            _throw_away(warehouse)
        raise _UnpublishedError
    return lines


def _compute(settings: Settings, months: Sequence[date], report: Report) -> None:
    progress, artefacts = Progress(report), target_dir() / "dry-run"
    with environment(settings), quiet(is_verbose=False):
        run = run_dbt(dbt_close_args(months, settings.overrides), artefacts, progress.see)
    if not run.succeeded:
        raise CloseError(f"The months cannot be restated: {failure_sentence(run.results, progress.errors, run.error)}.")
    shutil.rmtree(artefacts, ignore_errors=True)


def _throw_away(warehouse: Path) -> None:
    """Remove what a computation wrote beside the published warehouse."""
    with reading(warehouse) as connection:
        remove_others(warehouse, named_files(connection))
    for leftover in building_dir(warehouse).glob(f"{warehouse.name}*"):
        leftover.unlink()
