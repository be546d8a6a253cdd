"""A base observed for 17 weeks and closed for 13 months, with nothing wrong: what the tests of the checks start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

import duckdb
import pandas as pd

from orchestration.alerts.calendar import Calendar
from orchestration.alerts.frames import Frames, Unbuilt, feed_frames, mart_frames
from orchestration.alerts.judge import judge
from orchestration.alerts.model import Finding, Status, Subject
from orchestration.close import WarehouseState
from orchestration.months import add_months
from orchestration.settings import Vars, load_settings

JUDGED = date(2026, 5, 20)
FIRST_DAY = JUDGED - timedelta(days=119)
MONTHS = tuple(add_months(date(2025, 4, 1), step) for step in range(13))
ALL_CLOSED = WarehouseState(MONTHS[0], MONTHS)
VARS = load_settings({}).vars
# Rows of a usual day; nothing of a partner on many days, so that it is judged by the week.
ROWS = {
    ("customers", "web"): 200,
    ("customers", "store"): 150,
    ("customers", "app"): 120,
    ("customers", "partner"): 5,
    ("orders", "web"): 300,
    ("orders", "store"): 400,
    ("orders", "(orphan)"): 2,
    ("events", "web"): 1_000,
    ("events", "store"): 600,
    ("consents", "web"): 120,
    ("consents", "store"): 110,
}

DDL = """
create schema observations; create schema ops; create schema marts; create schema core;
create table observations.feed_days (
    feed varchar, source varchar, day date, n_rows bigint, n_late bigint, n_customers bigint, n_orphans bigint,
    latest_at timestamp, latest_loaded_at timestamp, n_sent bigint, n_hard_bounces bigint, n_soft_bounces bigint,
    n_complaints bigint, n_undeliverable bigint, n_opt_ins bigint, n_opt_outs bigint
);
create table observations.feed_columns (feed varchar, column_name varchar, day date, n_rows bigint, n_null bigint);
create table ops.feed_deliveries (
    ingested_at timestamp, feed varchar, n_files_read bigint, n_read bigint, n_kept_change bigint, n_quarantined bigint,
    n_superseded bigint, n_defects bigint, n_future_dates bigint, n_orphans bigint, missing_columns varchar[],
    unknown_columns varchar[], is_full boolean
);
create table marts.optin_rate_monthly (snapshot_month date, source varchar, channel varchar, n_opted_in bigint);
create table observations.month_shares (
    snapshot_month date, measure varchar, source varchar, item varchar, numerator bigint, denominator bigint
);
create table ops.confirmed_deletions (
    confirmed_at timestamp, confirmed_by varchar, snapshot_month date, n_profiles bigint
);
"""

# Weekends are a fifth stronger, and each day scatters by up to two percent.
DAYS = f"""
insert into observations.feed_days (feed, source, day, n_rows, n_late, n_customers)
select feed, source, day, n, 0, n from (
    select feed, source, day,
        round(usual * case when isodow(day) >= 6 then 1.2 else 1 end * (1 + (dayofyear(day) * 7 % 5 - 2) / 100.0)) as n
    from usual cross join (
        select cast(unnest(range(date '{FIRST_DAY}', date '{JUDGED}' + interval 1 day, interval 1 day)) as date) as day
    )
);
update observations.feed_days set n_orphans = case when source = '(orphan)' then n_rows else 0 end where feed <> 'customers';
update observations.feed_days
set n_sent = n_rows // 2, n_hard_bounces = n_rows // 200, n_soft_bounces = n_rows // 100, n_complaints = n_rows // 600
where feed = 'events';
update observations.feed_days set n_opt_ins = n_rows - n_rows // 4, n_opt_outs = n_rows // 4 where feed = 'consents';
insert into observations.feed_columns
select feed, column_name, day, sum(n_rows), round(sum(n_rows) * share)
from observations.feed_days
inner join (
    values ('customers', 'email', 0.2), ('customers', 'phone', 0.4), ('orders', 'currency', 0.0)
) as columns (feed, column_name, share) using (feed)
group by feed, column_name, day, share;
insert into ops.feed_deliveries
select day + interval 1 day + interval '4 hours 5 minutes', feed, 1, sum(n_rows), sum(n_rows), 0, 1, 0, 3, 0, [], [], false
from observations.feed_days where source <> '(orphan)' group by feed, day;
"""


@dataclass(frozen=True)
class Base:
    """The observed base in memory. `departed` is what the guard against mass deletion counts, `state` what was closed."""

    connection: duckdb.DuckDBPyConnection
    state: WarehouseState = ALL_CLOSED
    variables: Vars = VARS
    calendar: Calendar = field(default_factory=Calendar)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def change(self, *statements: str) -> Base:
        """Run statements in which `{judged}` is the judged day and `{night}` the delivery of its night."""
        night = f"cast('{JUDGED + timedelta(days=1)}' as timestamp)"
        for statement in statements:
            self.connection.execute(statement.replace("{judged}", f"date '{JUDGED}'").replace("{night}", night))
        return self

    def feeds(self, judged: date = JUDGED) -> Frames:
        return feed_frames(self.rows, self.variables, judged, closed=self.state.closed, calendar=self.calendar)

    def marts(self, months: Sequence[date] = ()) -> Frames:
        return mart_frames(self.rows, self.variables, JUDGED, state=self.state, months=months)

    def findings(self, subject: Subject = "feeds", is_whole: bool = False) -> list[Finding]:
        """What the checks of a subject find on the judged day.

        Frames that a test did not change are judged as empty unless `is_whole`: they are those of the healthy base, which one
        test judges as a whole, and Great Expectations takes its time with each.
        """
        frames = self.feeds() if subject == "feeds" else self.marts()
        if not is_whole:
            frames = {name: _emptied(frame, _healthy(subject)[name], name) for name, frame in frames.items()}
        return judge(frames, subject, JUDGED, self.variables.alerts.bounds)


@cache
def _healthy(subject: Subject) -> Frames:
    base = healthy_base()
    return base.feeds() if subject == "feeds" else base.marts()


def _emptied(frame: pd.DataFrame | Unbuilt, healthy: pd.DataFrame | Unbuilt, name: str) -> pd.DataFrame | Unbuilt:
    if isinstance(frame, Unbuilt) or isinstance(healthy, Unbuilt) or name == "departures":
        return frame
    return frame.head(0) if frame.equals(healthy) else frame


def healthy_base() -> Base:
    """Return a base of its own to each test."""
    connection = duckdb.connect()
    connection.execute(DDL)
    usual = ", ".join(f"('{feed}', '{source}', {n})" for (feed, source), n in ROWS.items())
    connection.execute(f"create table usual as select * from (values {usual}) as usual (feed, source, usual)")
    connection.execute(DAYS)
    connection.execute(
        f"insert into marts.optin_rate_monthly values "
        f"('{MONTHS[-1]}', 'web', 'email', 30000), ('{MONTHS[-1]}', 'store', 'email', 20000), "
        f"('{MONTHS[-1]}', 'store', 'sms', 30000), ('{MONTHS[-1]}', 'store', 'any', 55000)"
    )
    connection.executemany("insert into observations.month_shares values (?, ?, ?, ?, ?, ?)", _month_shares())
    return Base(connection)


def failed(findings: Sequence[Finding]) -> set[str]:
    """Return the fingerprints of what is not good, unknown ones marked."""
    return {f"{'unknown ' * (f.status is Status.UNKNOWN)}{f.fingerprint}" for f in findings if not f.is_good}


def _month_shares() -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for number, month in enumerate(MONTHS):
        base = 100_000 + 1_000 * number
        for item, share in (("last_name", 98), ("email", 80), ("birth_date", 60), ("gender", 50)):
            rows.append((month, "fill_rate", "all", item, base * share // 100 + number % 3 * 50, base))
        for item, share in (("email", 40), ("sms", 25), ("any", 45)):
            rows.append((month, "optin_rate", "all", item, base * share // 100 + number % 3 * 50, base))
        for source in ("all", "web", "store"):
            rows += [(month, "flows_gap", source, item, 0, base) for item in ("base", "active")]
            rows += [(month, "waterfall_gap", source, item, 0, base) for item in ("email", "sms", "any")]
    return rows
