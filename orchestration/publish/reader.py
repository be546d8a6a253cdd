"""The account that BI tools read with: what it may do, and what it should not be able to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

from psycopg import Connection, sql

READER = "bi_reader"
MARTS = "marts"
STATEMENT_TIMEOUT = "60s"
ADMINISTRATOR = "rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls"


def make_reader(connection: Connection) -> None:
    """Make the account unless there is one; it logs in once its administrator has given it a password.

    It is no group: PostgreSQL takes a limit in time from the account that logs in, never from a group.
    """
    if connection.execute("select 1 from pg_roles where rolname = %s", [READER]).fetchone():
        return
    reader = sql.Identifier(READER)
    connection.execute(sql.SQL("create role {} login").format(reader))
    timeout = sql.Literal(STATEMENT_TIMEOUT)
    connection.execute(sql.SQL("alter role {} set statement_timeout = {}").format(reader, timeout))
    connection.execute(sql.SQL("alter role {} set default_transaction_read_only = on").format(reader))
    connection.execute(sql.SQL("grant {} to current_user").format(reader))


def warnings(connection: Connection) -> Iterator[str]:
    """Tell what the account may do on this server beyond reading marts, and how to take that away."""
    query = sql.SQL("select {}, array_to_string(rolconfig, ',') from pg_roles where rolname = %s")
    is_administrator, settings = connection.execute(query.format(sql.SQL(ADMINISTRATOR)), [READER]).fetchone() or (False, "")
    if is_administrator:
        yield (
            f"{READER} has attributes of an administrator; take them away: "
            f"alter role {READER} nosuperuser nocreaterole nocreatedb noreplication nobypassrls"
        )
    if "statement_timeout=" not in (settings or ""):
        yield f"{READER} has no limit in time; give it one: alter role {READER} set statement_timeout = '{STATEMENT_TIMEOUT}'"
    yield from _may_make_tables(connection)
    yield from _may_use_tables(connection)


def _may_make_tables(connection: Connection) -> Iterator[str]:
    database = connection.info.dbname
    for privilege in ("create", "temporary"):
        if _has(connection, "select has_database_privilege(%s, current_database(), %s)", privilege):
            yield f"{READER} may make tables of its own; take that away: revoke {privilege} on database {database} from public"
    for (schema,) in connection.execute("select nspname from pg_namespace where nspname !~ '^pg_'").fetchall():
        if _has(connection, "select has_schema_privilege(%s, %s, 'create')", schema):
            take_away = f"revoke create on schema {schema} from public"
            yield f"{READER} may make tables in the schema {schema}; take that away: {take_away}"


def _may_use_tables(connection: Connection) -> Iterator[str]:
    """Look for tables outside the marts that it may read, and for any that it may write."""
    found = connection.execute(
        "select n.nspname, has_any_column_privilege(%(reader)s, c.oid, 'insert, update') "
        "or has_table_privilege(%(reader)s, c.oid, 'delete, truncate') as may_write "
        "from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid "
        "where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'f') "
        "and has_schema_privilege(%(reader)s, n.oid, 'usage')"
        "and has_any_column_privilege(%(reader)s, c.oid, 'select, insert, update') "
        "group by 1, 2 order by 1, 2",
        {"reader": READER},
    ).fetchall()
    for schema, may_write in found:
        if may_write:
            yield f"{READER} may write to tables of the schema {schema}; take that away from it and from public."
        elif schema != MARTS:
            yield f"{READER} may read tables of the schema {schema} too; take that away, or publish to a database of its own."


def _has(connection: Connection, query: LiteralString, what: str) -> bool:
    return connection.execute(query, [READER, what]).fetchone() == (True,)
