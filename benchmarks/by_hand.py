"""The floor: closes written by hand for DuckDB alone, without dbt, Dagster or tests, for the default vars."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import duckdb

from benchmarks.base import Base
from orchestration.months import add_months, closable_from, months_between
from orchestration.settings import Settings

HERE = Path(__file__).parent
# What the single pass over all months keeps in memory at once: rows of customer id × month.
ROWS_PER_PART = 12_000_000
STATE_COLUMNS = (
    "snapshot_month", "as_of_date", "customer_id", "source", "status", "movement", "last_activity_type", "last_act_type",
    "opening_source", "opening_status", "is_in_base", "is_active", "opening_is_active", "created_date", "first_trace_date",
    "first_order_date", "last_activity_date", "last_act_at",
)  # fmt: skip


class ByHand:
    """Hand-written queries over a base's files, with the memory and the threads that the project gets."""

    def __init__(self, base: Base, settings: Settings, first_month: date) -> None:
        self.settings, self.first_month = settings, first_month
        self._words = settings.vars
        self._channels = [f"{channel}_opt_{kind}_at" for channel in self._words.channels for kind in ("in", "out")]
        self._fields = [field.name for field in self._words.profile_fields]
        self._files = base.files

    @property
    def state_columns(self) -> list[str]:
        """Columns of the state, in one order, that are compared."""
        flags = [f"has_{name}" for name in self._fields]
        return [*STATE_COLUMNS, *flags, *self._channels]

    @contextmanager
    def connect(self, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to a new DuckDB file with the project's settings; the file is deleted at the end."""
        scratch.unlink(missing_ok=True)
        with duckdb.connect(str(scratch)) as connection:
            connection.execute(
                f"set TimeZone = 'UTC'; set enable_progress_bar = false; set threads = {self.settings.threads}; "
                f"set memory_limit = '{self.settings.memory_limit}'; set preserve_insertion_order = false"
            )
            yield connection
        scratch.unlink()

    def month_sql(self, month: date, before: str, profiles: str = "", first_traces: str = "") -> str:
        """Return the query of one month; `before` is a relation with the month before, the others replace their subqueries."""
        start = "0001-01-01 00:00:00" if month == self.first_month else self.start_of(month)
        spans = {"start": start, "end": self.start_of(add_months(month, 1))}
        return self._text(
            "close_month_by_hand.sql",
            profiles=profiles or self.profiles_sql(),
            first_traces=first_traces or self._text("first_traces_by_hand.sql", start=start),
            traces=self._text("traces_by_hand.sql", activities=list(self._words.activity_event_types), **spans),
            before=before,
            month=month,
            next=add_months(month, 1),
            as_of=add_months(month, 1) - timedelta(days=1),
            first_month=self.first_month,
            flags=self._flags(f"date '{add_months(month, 1) - timedelta(days=1)}'"),
            flag_names=", ".join(f"has_{name}" for name in self._fields),
            aggregated=self._aggregated(),
            latest=", ".join(f"greatest(o.{column}, h.{column}) as {column}" for column in self._channels),
            channel_names=", ".join(self._channels),
        )

    def profiles_sql(self) -> str:
        """Return the query of dates and flags of each profile."""
        placeholders = self._words.placeholders
        return self._text(
            "profiles_by_hand.sql",
            placeholders="|".join(map(re.escape, placeholders.values)),
            local_parts="|".join(map(re.escape, placeholders.email_local_parts)),
            birth_dates="(" + ", ".join(f"'{day:%Y-%m-%d}'" for day in placeholders.birth_dates) + ")",
        )

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make what no month changes, once for many months: the tables `prepared` and `first_traces`."""
        first_traces = self._text("first_traces_by_hand.sql", start="0001-01-01")
        connection.execute(
            f"create temp table prepared as {self.profiles_sql()}; create temp table first_traces as {first_traces}"
        )

    def no_month(self) -> str:
        """Return a query of the columns that a month reads of the month before, without rows."""
        types = {
            "varchar": ["customer_id", "source", "status", "last_act_type"],
            "boolean": ["is_in_base", "is_active"],
            "date": ["created_date", "first_trace_date", "first_order_date", "last_activity_date"],
            "timestamp": ["last_act_at", *self._channels],
        }
        columns = ", ".join(f"null::{kind} as {name}" for kind, names in types.items() for name in names)
        return f"(select {columns} where false)"

    def all_months_sql(self, last: date, part: str) -> str:
        """Return the query of all months up to `last` in one pass, for the customer ids that `part` (a condition) chooses."""
        end = self.start_of(add_months(last, 1))
        return self._text(
            "all_months_by_hand.sql",
            part=part,
            first_month=self.first_month,
            second_month=add_months(self.first_month, 1),
            traces=self._text(
                "traces_by_hand.sql", activities=list(self._words.activity_event_types), start="0001-01-01 00:00:00", end=end
            ),
            flags=self._flags("as_of_date", alias=""),
            aggregated=self._aggregated(),
            running=", ".join(f"max({column}) over life as {column}" for column in self._channels),
            channel_names=", ".join(self._channels),
        )

    def months_sql(self, last: date) -> str:
        """Return the query of the months that the single pass joins."""
        rows = ", ".join(
            f"(date '{month}', date '{add_months(month, 1)}', date '{add_months(month, 1) - timedelta(days=1)}')"
            for month in months_between(self.first_month, last)
        )
        return f"select * from (values {rows}) as m (snapshot_month, next_month, as_of_date)"

    def marts_sql(self, month: date, closed: str) -> str:
        """Return the statements that make the marts of one month from the relation `closed` and the table `status_before`."""
        channels = self._words.channels
        opted_in = {name: f"coalesce({name}_opt_in_at > {name}_opt_out_at, {name}_opt_in_at is not null)" for name in channels}
        return self._text(
            "marts_by_hand.sql",
            closed=closed,
            month=month,
            as_of=add_months(month, 1) - timedelta(days=1),
            opted_in_on_any=" or ".join(opted_in.values()),
            filled_on_any=" or ".join(f"has_{field}" for field in dict.fromkeys(channels.values())),
            counted=", ".join(
                [f"count_if(has_{field}) as n_{field}" for field in self._fields]
                + [f"count_if({condition}) as n_opted_in_{name}" for name, condition in opted_in.items()]
            ),
            fields=self._fields,
            n_fields=", ".join(f"n_{field}" for field in self._fields),
            n=len(self._fields),
            channels=[*channels, "any"],
            n_channels_filled=", ".join(f"n_{field}" for field in channels.values()),
            n_channels_opted_in=", ".join(f"n_opted_in_{name}" for name in channels),
        )

    def _aggregated(self) -> str:
        return ", ".join(
            f"max(case when channel = '{channel}' and status {'=' if kind == 'in' else '<>'} 'opt_in' then consent_at end) "
            f"as {channel}_opt_{kind}_at"
            for channel in self._words.channels
            for kind in ("in", "out")
        )

    def _flags(self, as_of: str, alias: str = "p.") -> str:
        birth_date = f"{alias}birth_date"
        plausible = f"{birth_date} <= {as_of} and {birth_date} > cast({as_of} - interval 121 year as date)"
        return ", ".join(
            f"coalesce({plausible if name == 'birth_date' else f'{alias}has_{name}'}, false) as has_{name}"
            for name in self._fields
        )

    def start_of(self, month: date) -> str:
        """Return the instant at which a month begins, as UTC."""
        return f"{closable_from(add_months(month, -1), self._words.zone, 0):%Y-%m-%d %H:%M:%S}"

    def _text(self, file: str, **names: object) -> str:
        text = (HERE / file).read_text(encoding="utf-8")
        return text.format(zone=self._words.reporting_timezone, **self._files, **names)


def seconds(connection: duckdb.DuckDBPyConnection, statements: str) -> float:
    """Run SQL statements and return how long they took."""
    started = time.perf_counter()
    connection.execute(statements)
    return time.perf_counter() - started


def rows_that_differ(connection: duckdb.DuckDBPyConnection, one: str, other: str, without: Sequence[str] = ()) -> int:
    """Return how many rows only one of two relations has, in the columns of `other` but for those `without`."""
    described = connection.execute(f"describe select * from {other}").fetchall()
    columns = ", ".join(row[0] for row in described if row[0] not in without)
    counted = connection.execute(
        f"select count(*) from ((select {columns} from {one} except all select {columns} from {other}) "
        f"union all (select {columns} from {other} except all select {columns} from {one}))"
    ).fetchone()
    return int(counted[0]) if counted else -1
