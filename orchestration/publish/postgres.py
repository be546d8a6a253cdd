"""The marts in PostgreSQL: loaded into a schema that nobody reads, compared, then put in place in one transaction.

Tables stay and their rows are replaced: a reader in a transaction keeps the rows that it began with, and nobody waits for it
(docs/decisions/0014).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg import Connection, errors, sql

from orchestration.publish import PublishError, reader
from orchestration.publish.catalog import Column, Mart
from orchestration.publish.extract import Extract, Row
from orchestration.publish.reader import MARTS, READER
from orchestration.publish.status import with_status
from orchestration.warehouse import Report

# Loaded tables and the list of what is published. `bi_reader` may not use it.
STAGING = "marts_staging"
LOCK_TIMEOUT = "2s"
# One publication at a time: any number, the same for all.
LOCK_KEY = 0x62617468747562
TYPES = {
    "date": "date",
    "bigint": "int8",
    "double": "float8",
    "varchar": "varchar",
    "boolean": "bool",
    "timestamp": "timestamptz",
}
OLDEST_SERVER = 130_000
ROWS_AT_ONCE = 5_000
# The transaction meets somebody's lock, or the server ended it for another one.
PASSING = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


@dataclass(frozen=True)
class Publication:
    """What a publication put in place, and what its administrator should know."""

    n_marts: int
    n_rows: int
    warnings: tuple[str, ...]


def publish(
    dsn: str,
    read: Callable[[], Extract],
    now: datetime,
    open_critical_incidents: Callable[[], int],
    report: Report,
    patience_seconds: float,
) -> Publication:
    """Put all marts in place, or none: readers see what was there before until the moment when they see all of the new.

    Args:
        dsn: the publisher's connection string, to the server itself and not to a pool of transactions.
        read: reads what is to be published; called when no other publication can come in between.
        now: when the marts are published.
        open_critical_incidents: counts the critical alerts that are open.
        report: told what happens.
        patience_seconds: how long to wait for another publication, or for somebody's lock on the marts.

    Raises:
        PublishError: the server refused, is too old, or did not give its locks in time.
    """
    with _connected(dsn) as connection, _alone(connection, patience_seconds):
        content = read()
        tables = with_status(content, now, open_critical_incidents())
        with connection.transaction():
            _prepare(connection)
        for mart, rows in tables:
            with connection.transaction():
                _load(connection, mart, rows)
            with connection.transaction():
                _compare(connection, mart, rows)
        _patiently(lambda: _put_in_place(connection, [mart for mart, _ in tables]), patience_seconds, report)
        with connection.transaction():
            for mart, _ in tables:
                connection.execute(_format("drop table if exists {}", _staged(mart)))
        return Publication(len(content.marts), content.n_rows, tuple(_warnings(connection)))


@contextmanager
def _connected(dsn: str) -> Iterator[Connection]:
    try:
        with psycopg.connect(dsn, autocommit=True, application_name="bathtub") as connection:
            if connection.info.server_version < OLDEST_SERVER:
                raise PublishError("The PostgreSQL server is older than 13; publish to a later one (BATHTUB_POSTGRES_DSN).")
            # The session's own settings: times are UTC, and no limit of the account cuts a load short.
            connection.execute("set timezone = 'UTC'")
            connection.execute("set statement_timeout = 0")
            connection.execute("set default_transaction_read_only = off")
            yield connection
    except errors.InsufficientPrivilege as error:
        raise PublishError(
            f"PostgreSQL did not let the publisher do this ({_first_line(error)}); docs/bi/publishing.md lists its rights."
        ) from error
    except psycopg.Error as error:
        raise PublishError(
            f"Publishing to PostgreSQL failed ({_first_line(error)}); readers see what was published before. "
            "Look at the server that BATHTUB_POSTGRES_DSN names, and run: make publish"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def _alone(connection: Connection, patience_seconds: float) -> Iterator[None]:
    """Keep other publications out; the server gives the lock back when the connection ends, also of a killed process."""
    deadline = time.monotonic() + patience_seconds
    while connection.execute("select pg_try_advisory_lock(%s)", [LOCK_KEY]).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise PublishError("Another publication to this PostgreSQL database is under way; try again when it is done.")
        time.sleep(0.2)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", [LOCK_KEY])


# ---- what must be there -----------------------------------------------------------------------------------------------


def _prepare(connection: Connection) -> None:
    """Make the schemas, the list of what is published and the reader's account, where they are missing."""
    found = {name for (name,) in connection.execute("select nspname from pg_namespace")}
    for schema in (MARTS, STAGING):
        # Asked first: `if not exists` wants the right to make one even where there is one.
        if schema not in found:
            connection.execute(_format("create schema {}", schema))
    connection.execute(_format("revoke all on schema {} from public", STAGING))
    if not _columns(connection, STAGING, "published"):
        connection.execute(_format("create table {} (mart varchar primary key)", (STAGING, "published")))
    reader.make_reader(connection)


def _load(connection: Connection, mart: Mart, rows: Iterable[Row]) -> None:
    connection.execute(_format("drop table if exists {}", _staged(mart)))
    connection.execute(_format("create unlogged table {} ({})", _staged(mart), _definitions(mart.columns)))
    with (
        connection.cursor() as cursor,
        cursor.copy(_format("copy {} from stdin (format binary)", _staged(mart))) as copy,
    ):
        copy.set_types([TYPES[column.data_type] for column in mart.columns])
        for row in rows:
            copy.write_row(row)
    connection.execute(_format("alter table {} add primary key ({})", _staged(mart), _names(mart.grain)))
    connection.execute(_format("analyze {}", _staged(mart)))


def _compare(connection: Connection, mart: Mart, rows: Sequence[Row]) -> None:
    """Read the loaded rows back: a checksum of them all, value by value.

    Raises:
        PublishError: they are not those of the warehouse.
    """
    expected, n_read = set(rows), 0
    with connection.cursor(name="compare", binary=True) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(_format("select {} from {}", _names([column.name for column in mart.columns]), _staged(mart)))
        for row in cursor:
            n_read += 1
            if row not in expected:
                raise _differs(mart, n_read, len(rows))
    if not n_read == len(rows) == len(expected):
        raise _differs(mart, n_read, len(rows))


def _differs(mart: Mart, n_read: int, n_rows: int) -> PublishError:
    return PublishError(
        f"{mart.name} came back from PostgreSQL otherwise than it was sent (row {n_read:,} of {n_rows:,}); "
        "nothing was published. Run again: make publish"
    )


# ---- the change that readers see --------------------------------------------------------------------------------------


def _patiently(work: Callable[[], None], patience_seconds: float, report: Report) -> None:
    """Do work whose locks others may hold; between two tries nobody waits behind it.

    Raises:
        PublishError: the locks were not free in time.
    """
    deadline = time.monotonic() + patience_seconds
    n_tries = 0
    while True:
        try:
            work()
            return
        except PASSING as error:
            n_tries += 1
            if time.monotonic() > deadline:
                raise PublishError(
                    f"Somebody holds locks on the schema {MARTS} ({_first_line(error)}), such as an open transaction while "
                    "a mart changes its columns; readers see what was published before. End it and run: make publish"
                ) from error
            if n_tries == 1:
                report(f"Somebody holds a lock on the marts; trying again for {patience_seconds:.0f} s.")
            time.sleep(min(0.25 * 2**n_tries, 5))


def _put_in_place(connection: Connection, marts: Sequence[Mart]) -> None:
    with connection.transaction():
        connection.execute(_format("set local lock_timeout = {}", sql.Literal(LOCK_TIMEOUT)))
        for mart in marts:
            _fit_table(connection, mart)
            _replace_rows(connection, mart)
            _finish_table(connection, mart)
        _drop_withdrawn(connection, marts)
        connection.execute(_format("grant usage on schema {} to {}", MARTS, READER))


def _fit_table(connection: Connection, mart: Mart) -> None:
    """Make the table, or give it the columns and the key that the mart has now.

    No form that writes the table anew: a reader's transaction that began before would find it empty.
    """
    there = _columns(connection, MARTS, mart.name)
    if not there:
        connection.execute(_format("create table {} ({})", _table(mart), _definitions(mart.columns)))
        return
    wanted = {column.name: TYPES[column.data_type] for column in mart.columns}
    if _key(connection, mart) != list(mart.grain):
        connection.execute(_format("alter table {} drop constraint if exists {}", _table(mart), _key_name(mart)))
    for name, data_type in there.items():
        if wanted.get(name) != data_type:
            connection.execute(_format("alter table {} drop column {}", _table(mart), name))
    for name, data_type in wanted.items():
        if there.get(name) != data_type:
            connection.execute(_format("alter table {} add column {} {}", _table(mart), name, _type(data_type)))


def _replace_rows(connection: Connection, mart: Mart) -> None:
    """Replace the rows that differ; the others stay, so that a publication leaves little to clean up."""
    names = [column.name for column in mart.columns]
    same_key = sql.SQL(" and ").join(_format("new.{0} = old.{0}", name) for name in mart.grain)
    new, old = (sql.SQL(", ").join(_format("{}.{}", alias, name) for name in names) for alias in ("new", "old"))
    connection.execute(
        _format(
            "delete from {} as old where not exists (select from {} as new where {} and row({}) is not distinct from row({}))",
            _table(mart),
            _staged(mart),
            same_key,
            new,
            old,
        )
    )
    connection.execute(
        _format(
            "insert into {} ({}) select {} from {} as new where not exists (select from {} as old where {})",
            _table(mart),
            _names(names),
            new,
            _staged(mart),
            _table(mart),
            same_key,
        )
    )
    count = _format("select (select count(*) from {}), (select count(*) from {})", _table(mart), _staged(mart))
    n_published, n_loaded = connection.execute(count).fetchone() or (0, 0)
    if n_published != n_loaded:
        raise PublishError(
            f"{MARTS}.{mart.name} would have {n_published:,} rows instead of {n_loaded:,}; nothing was published. "
            f"Something else writes to the schema {MARTS}: find it, and run: make publish"
        )


def _finish_table(connection: Connection, mart: Mart) -> None:
    """Add key, indexes, comments and the reader's right, where they are missing."""
    if _key(connection, mart) != list(mart.grain):
        connection.execute(
            _format("alter table {} add constraint {} primary key ({})", _table(mart), _key_name(mart), _names(mart.grain))
        )
    query = "select indexname from pg_indexes where schemaname = %s and tablename = %s"
    indexes = {name for (name,) in connection.execute(query, [MARTS, mart.name])}
    for name in mart.filters:
        index = f"{mart.name}_by_{name}"
        if index not in indexes:
            connection.execute(_format("create index {} on {} ({}, snapshot_month)", index, _table(mart), name))
    _comment(connection, mart)
    connection.execute(_format("grant select on {} to {}", _table(mart), READER))


def _comment(connection: Connection, mart: Mart) -> None:
    query = (
        "select a.attname, col_description(a.attrelid, a.attnum), obj_description(a.attrelid, 'pg_class') "
        "from pg_attribute as a where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped"
    )
    found = connection.execute(query, [f"{MARTS}.{mart.name}"]).fetchall()
    comments = {name: comment for name, comment, _ in found}
    if {comment for *_, comment in found} != {mart.description}:
        connection.execute(_format("comment on table {} is {}", _table(mart), sql.Literal(mart.description)))
    for column in mart.columns:
        if comments[column.name] != column.description:
            connection.execute(
                _format("comment on column {}.{} is {}", _table(mart), column.name, sql.Literal(column.description))
            )


def _drop_withdrawn(connection: Connection, marts: Sequence[Mart]) -> None:
    """Drop what earlier publications made and this one has not; tables that others put into the schema stay."""
    published, now = (STAGING, "published"), [mart.name for mart in marts]
    query = _format("delete from {} where mart <> all(%s) returning mart", published)
    for (name,) in connection.execute(query, [now]).fetchall():
        connection.execute(_format("drop table if exists {}", (MARTS, name)))
    connection.execute(_format("insert into {} select unnest(%s::varchar[]) on conflict do nothing", published), [now])


def _warnings(connection: Connection) -> Iterator[str]:
    host = connection.info.host
    if host and not host.startswith("/") and not connection.pgconn.ssl_in_use:
        yield "The connection to PostgreSQL is not encrypted; add sslmode=verify-full to BATHTUB_POSTGRES_DSN."
    yield from reader.warnings(connection)


# ---- words of SQL -----------------------------------------------------------------------------------------------------


def _format(query: LiteralString, *parts: str | tuple[str, str] | sql.Composable) -> sql.Composed:
    """Put names into a statement: a text is a name, a pair is schema and name."""
    return sql.SQL(query).format(*(part if isinstance(part, sql.Composable) else _name(part) for part in parts))


def _name(part: str | tuple[str, str]) -> sql.Identifier:
    return sql.Identifier(part) if isinstance(part, str) else sql.Identifier(*part)


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _type(name: str) -> sql.Identifier:
    # Inner names of the types: `int8` for bigint, `float8` for double precision.
    return sql.Identifier("pg_catalog", name)


def _definitions(columns: Iterable[Column]) -> sql.Composed:
    return sql.SQL(", ").join(_format("{} {}", column.name, _type(TYPES[column.data_type])) for column in columns)


def _table(mart: Mart) -> tuple[str, str]:
    return MARTS, mart.name


def _staged(mart: Mart) -> tuple[str, str]:
    return STAGING, mart.name


def _key_name(mart: Mart) -> str:
    return f"{mart.name}_grain"


def _columns(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """Return the columns of a table and their types, by name and in order; none when there is no such table."""
    query = (
        "select a.attname, t.typname from pg_attribute as a inner join pg_type as t on a.atttypid = t.oid "
        "inner join pg_class as c on a.attrelid = c.oid inner join pg_namespace as n on c.relnamespace = n.oid "
        "where n.nspname = %s and c.relname = %s and a.attnum > 0 and not a.attisdropped order by a.attnum"
    )
    return dict(connection.execute(query, [schema, table]).fetchall())


def _key(connection: Connection, mart: Mart) -> list[str]:
    query = (
        "select array(select a.attname from unnest(k.conkey) with ordinality as u (attnum, i) "
        "inner join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = u.attnum order by u.i) "
        "from pg_constraint as k where k.conrelid = %s::regclass and k.contype = 'p'"
    )
    row = connection.execute(query, [f"{MARTS}.{mart.name}"]).fetchone()
    return [str(name) for name in row[0]] if row else []
