"""What the feeds brought, by feed, source and day: small tables in the warehouse file, written each night in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb

from orchestration.contract import Column, Table, raw_tables
from orchestration.ingest.accounts import has_table
from orchestration.settings import Settings, Vars

# Late rows of the last days still come: those days are looked at again.
DAYS_AGAIN = 7
# Kept beyond the days that a band learns from, so that it may be learnt from more.
DAYS_KEPT = 60
# The source of rows whose customer nobody knows.
ORPHAN = "(orphan)"

TABLES = """
create schema if not exists observations;
create table if not exists observations.feed_days (
    feed varchar, source varchar, day date, n_rows bigint, n_late bigint, n_customers bigint, n_orphans bigint,
    latest_at timestamp, latest_loaded_at timestamp, n_sent bigint, n_hard_bounces bigint, n_soft_bounces bigint,
    n_complaints bigint, n_undeliverable bigint, n_opt_ins bigint, n_opt_outs bigint
);
create table if not exists observations.feed_columns (
    feed varchar, column_name varchar, day date, n_rows bigint, n_null bigint
);
create table if not exists observations.nights (judged date, ingested_at timestamp);
"""
SOURCE = "coalesce(nullif(lower(trim({alias}.source)), ''), 'unknown')"


@dataclass(frozen=True)
class Feed:
    """A raw table as a feed: the timestamp that says when its rows happened, and what is counted in it besides rows."""

    name: str
    happened_at: str
    counts: dict[str, str]
    # When a row first came; null came with the initial history.
    loaded_at: str = "loaded_at"


def _events(kind: str) -> str:
    return f"count(*) filter (lower(trim(r.event_type)) = '{kind}')"


FEEDS = (
    Feed("customers", "created_at", {}, "first_loaded_at"),
    Feed("orders", "ordered_at", {}),
    Feed(
        "events",
        "occurred_at",
        {
            "n_sent": _events("campaign_sent"),
            "n_hard_bounces": _events("hard_bounce"),
            "n_soft_bounces": _events("soft_bounce"),
            "n_complaints": _events("complaint"),
            "n_undeliverable": _events("undeliverable"),
        },
    ),
    Feed(
        "consents",
        "occurred_at",
        {
            "n_opt_ins": "count(*) filter (lower(trim(r.status)) = 'opt_in')",
            "n_opt_outs": "count(*) filter (lower(trim(r.status)) = 'opt_out')",
        },
    ),
)


def is_observed(warehouse: Path, judged: date) -> bool:
    """Whether a day was observed in a warehouse file since the last ingest."""
    if not warehouse.exists():
        return False
    with closing(duckdb.connect(str(warehouse), read_only=True)) as con:
        if not has_table(con, "observations", "nights"):
            return False
        found = con.execute(
            "select 1 from observations.nights where judged = ? "
            "and ingested_at is not distinct from (select max(ingested_at) from ops.ingested_tables)",
            [judged],
        ).fetchone()
    return found is not None


def observe_file(warehouse: Path, settings: Settings, judged: date) -> None:
    """Observe the feeds in a warehouse file that nobody else has open, as `observe` does."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
    }
    with closing(duckdb.connect(str(warehouse), config=config)) as con:
        con.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
        observe(con, settings.vars, judged)


def observe(con: duckdb.DuckDBPyConnection, variables: Vars, judged: date) -> None:
    """Write `observations.feed_days` and `observations.feed_columns` up to the local day `judged`, in one transaction.

    The first time, the days that a band learns from; later, those since the last observed one and a week before it. `n_rows`
    counts what was known by the end of the next day, `n_late` what came after; once counted in time, a row stays so.
    """
    con.execute("begin transaction")
    try:
        con.execute(TABLES)
        first = _first_day(con, variables, judged)
        con.execute(f"create or replace temp table people as {_people(variables, first, judged)}")
        for feed in FEEDS:
            _observe(con, variables, feed, first, judged)
        con.execute("drop table people")
        oldest = judged - timedelta(days=variables.alerts.training_days + DAYS_KEPT)
        for table in ("feed_days", "feed_columns"):
            con.execute(f"delete from observations.{table} where day < ?", [oldest])
        con.execute("delete from observations.nights where judged = ? or judged < ?", [judged, oldest])
        con.execute("insert into observations.nights select ?, max(ingested_at) from ops.ingested_tables", [judged])
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def _first_day(con: duckdb.DuckDBPyConnection, variables: Vars, judged: date) -> date:
    training = judged - timedelta(days=variables.alerts.training_days + DAYS_AGAIN)
    found = con.execute("select max(judged) from observations.nights").fetchone()
    last = found[0] if found else None
    return max(min(last, judged) - timedelta(days=DAYS_AGAIN), training) if last else training


def _observe(con: duckdb.DuckDBPyConnection, variables: Vars, feed: Feed, first: date, judged: date) -> None:
    table = next(table for table in raw_tables(variables.profile_fields) if table.name == feed.name)
    columns = _judged_columns(table, feed)
    con.execute(f"create or replace temp table fresh as {_query(variables, feed, columns, first, judged)}")
    counts = ", ".join(f"f.{name}" if name in feed.counts else f"null as {name}" for name in _all_counts())
    in_time = "greatest(f.n_in_time, least(coalesce(o.n_rows, 0), f.n_all))"
    # A row that was counted in time stays so, though an order that comes again with another status has a later load time.
    con.execute(f"""
        create or replace temp table days as
        select '{feed.name}' as feed, f.source, f.day,
            {in_time} as n_rows, f.n_all - {in_time} as n_late,
            f.n_customers, f.n_orphans, f.latest_at, f.latest_loaded_at, {counts}
        from fresh as f
        left join observations.feed_days as o on o.feed = '{feed.name}' and o.source = f.source and o.day = f.day""")
    nulls = " union all ".join(
        f"select '{feed.name}', '{column.name}', day, sum(n_in_time), sum(null_{place}) from fresh group by day"
        for place, column in enumerate(columns)
    )
    for name in ("feed_days", "feed_columns"):
        con.execute(f"delete from observations.{name} where feed = ? and day >= ? and day <= ?", [feed.name, first, judged])
    con.execute("insert into observations.feed_days by name from days order by source, day")
    con.execute(f"insert into observations.feed_columns {nulls} order by 2, 3")
    con.execute("drop table fresh; drop table days")


def _all_counts() -> list[str]:
    return [name for feed in FEEDS for name in feed.counts]


def _judged_columns(table: Table, feed: Feed) -> list[Column]:
    """The columns whose missing values are counted: what people or systems fill in."""
    own = {"loaded_at", "updated_at", "deleted_at", feed.happened_at, "customer_id", "source"}
    return [column for column in table.delivered if not column.required and column.name not in own]


def _query(variables: Vars, feed: Feed, columns: Sequence[Column], first: date, judged: date) -> str:
    """Rows of the days from `first` to `judged` by source and day; the bounds in UTC let DuckDB skip what lies outside."""
    happened, loaded = f"r.{feed.happened_at}", f"r.{feed.loaded_at}"
    day = _local(happened, variables)
    recent = judged - timedelta(days=DAYS_AGAIN)
    # Of days long past nobody knows any more what their own nights saw: all of their rows count.
    in_time = f"({loaded} is null or {day} < date '{recent}' or {_local(loaded, variables)} <= {day} + 1)"
    is_customers = feed.name == "customers"
    known = SOURCE.format(alias="r") if is_customers else f"coalesce(c.source, '{ORPHAN}')"
    join = "" if is_customers else " left join people as c on r.customer_id = c.customer_id"
    measures = [
        f"count(*) filter ({in_time}) as n_in_time",
        "count(*) as n_all",
        "approx_count_distinct(r.customer_id) as n_customers",
        "0 as n_orphans" if is_customers else "count(*) filter (c.customer_id is null) as n_orphans",
        f"max({happened}) as latest_at",
        f"max({loaded}) as latest_loaded_at",
        *(f"{sql} as {name}" for name, sql in feed.counts.items()),
        *(f"count(*) filter ({in_time} and r.{column.name} is null) as null_{place}" for place, column in enumerate(columns)),
    ]
    return (
        f"select {known} as source, {day} as day, {', '.join(measures)} from raw.{feed.name} as r{join} "
        f"where {_between(happened, variables, first, judged)} group by 1, 2"
    )


def _people(variables: Vars, first: date, judged: date) -> str:
    """The known profiles that rows of the days are about, with their source: one look at all profiles serves every feed."""
    ids = " union all ".join(
        f"select customer_id from raw.{feed.name} as r where {_between(f'r.{feed.happened_at}', variables, first, judged)}"
        for feed in FEEDS
        if feed.name != "customers"
    )
    source = SOURCE.format(alias="c")
    return f"select c.customer_id, {source} as source from raw.customers as c semi join ({ids}) as r using (customer_id)"


def _local(column: str, variables: Vars) -> str:
    return f"cast(timezone('{variables.reporting_timezone}', timezone('UTC', {column})) as date)"


def _between(column: str, variables: Vars, first: date, judged: date) -> str:
    low, high = _midnight(first, variables), _midnight(judged + timedelta(days=1), variables)
    return f"{column} >= timestamp '{low}' and {column} < timestamp '{high}'"


def _midnight(day: date, variables: Vars) -> str:
    """Local midnight in UTC, as SQL writes it."""
    instant = datetime.combine(day, time(), tzinfo=variables.zone)
    return (instant - (instant.utcoffset() or timedelta())).replace(tzinfo=None).isoformat(" ")
