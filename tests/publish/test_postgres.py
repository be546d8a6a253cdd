"""Publishing to PostgreSQL, on a real server, read as a BI tool does."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import errors

from orchestration.publish import PublishError, postgres
from orchestration.publish.catalog import Column, Mart
from orchestration.publish.extract import Extract, Row
from tests.publish.conftest import NOW, Server, version_of, with_rows

FORK = multiprocessing.get_context("fork")
# Counts of four marts and the status beside them, in one statement: what one dashboard may ask.
VERSIONS = """
    select
        (select array_agg(distinct n_profiles) from marts.base_overview_monthly),
        (select array_agg(distinct n_profiles) from marts.recency_monthly),
        (select array_agg(distinct n_new) from marts.acquisition_monthly),
        (select array_agg(distinct n_profiles) from marts.status_monthly),
        (select array_agg(substr(definition_version, 2)::bigint) from marts.bi_refresh_status)
"""


def versions(rows: Sequence[Row]) -> set[Any]:
    """Return the versions that a reading has met."""
    return {version for row in rows for found in row for version in found}


def test_the_schema_holds_what_the_exposure_lists_and_the_status(server: Server, marts: tuple[Mart, ...]) -> None:
    server.publish(version_of(marts, 1))
    found = {name for (name,) in server.read("select tablename from pg_tables where schemaname = 'marts'")}
    assert found == {mart.name for mart in marts} | {"bi_refresh_status"}


def test_every_value_arrives(server: Server, marts: tuple[Mart, ...]) -> None:
    content = version_of(marts, 1)
    mart = next(mart for mart in marts if mart.name == "acquisition_monthly")
    awkward = {
        "source": 'l\'été, "Straße" \\N\n\t☕',
        "n_new": 2**62,
        "seasonality_index": 0.1 + 0.2,
        "n_new_prev_year": None,
    }
    rows = [*content.rows[mart.name]]
    rows[0] = tuple(awkward.get(c.name, v) for c, v in zip(mart.columns, rows[0], strict=True))
    content = with_rows(content, mart.name, rows)
    server.publish(content)
    for mart in marts:
        names = ", ".join(column.name for column in mart.columns)
        assert set(server.read(f"select {names} from marts.{mart.name}")) == set(content.rows[mart.name])


def test_types_are_those_of_the_contracts(server: Server, marts: tuple[Mart, ...]) -> None:
    server.publish(version_of(marts, 1))
    words = {"double": "double precision", "varchar": "character varying"}
    query = "select table_name, column_name, data_type from information_schema.columns where table_schema = 'marts'"
    found = {(table, column): kind for table, column, kind in server.read(query) if table != "bi_refresh_status"}
    assert found == {(m.name, c.name): words.get(c.data_type, c.data_type) for m in marts for c in m.columns}


def test_tables_and_columns_carry_dbts_descriptions(server: Server, marts: tuple[Mart, ...]) -> None:
    server.publish(version_of(marts, 1))
    tables = (
        "select relname, obj_description(oid, 'pg_class') from pg_class "
        "where relnamespace = 'marts'::regnamespace and relkind = 'r'"
    )
    described: dict[str, str] = dict(server.read(tables))
    assert {m.name: m.description for m in marts}.items() <= described.items()
    columns = (
        "select c.relname, a.attname, col_description(c.oid, a.attnum) from pg_class as c inner join pg_attribute as a "
        "on a.attrelid = c.oid where c.relnamespace = 'marts'::regnamespace and c.relkind = 'r' and a.attnum > 0"
    )
    found = {(table, column): comment for table, column, comment in server.read(columns)}
    assert {(m.name, c.name): c.description for m in marts for c in m.columns}.items() <= found.items()
    changed = replace(marts[0], description="Otherwise. Grain - month.")
    server.publish(version_of([changed, *marts[1:]], 2))
    assert (changed.name, changed.description) in server.read(tables)


def test_the_grain_is_the_key_and_text_dimensions_have_an_index(server: Server, marts: tuple[Mart, ...]) -> None:
    server.publish(version_of(marts, 1))
    query = "select indexdef from pg_indexes where schemaname = 'marts' and tablename = 'flows_monthly' order by indexname"
    found = [definition.split(" USING btree ")[1] for (definition,) in server.read(query)]
    assert found == [
        "(movement, snapshot_month)",
        "(scope, snapshot_month)",
        "(source, snapshot_month)",
        "(status, snapshot_month)",
        "(snapshot_month, source, status, scope, movement)",
    ]


def test_only_the_latest_month_is_marked_after_a_further_one(server: Server, marts: tuple[Mart, ...]) -> None:
    query = "select distinct snapshot_month from marts.fill_rate_monthly where is_latest_month"
    server.publish(version_of(marts, 1, months=3))
    assert server.read(query) == [(date(2026, 3, 1),)]
    server.publish(version_of(marts, 1, months=4))
    assert server.read(query) == [(date(2026, 4, 1),)]


def test_the_status_tells_the_month_the_times_the_definition_and_the_incidents(server: Server, marts: tuple[Mart, ...]) -> None:
    content = version_of(marts, 7)
    postgres.publish(server.dsn, lambda: content, NOW, lambda: 3, lambda _: None, 5)
    assert server.read("select * from marts.bi_refresh_status") == [(date(2026, 3, 1), content.closed_at, NOW, "v7", 3)]


def test_a_row_that_did_not_change_is_not_written_again(server: Server, marts: tuple[Mart, ...]) -> None:
    query = "select xmin::text from marts.recency_monthly where snapshot_month = '2026-01-01'"
    server.publish(version_of(marts, 1, months=3))
    before = server.read(query)
    server.publish(version_of(marts, 1, months=4))
    assert server.read(query) == before
    server.publish(version_of(marts, 2, months=4))
    assert server.read(query) != before


# ---- whole or not at all ----------------------------------------------------------------------------------------------


def test_a_reader_in_a_transaction_keeps_what_it_began_with_and_stops_nobody(server: Server, marts: tuple[Mart, ...]) -> None:
    server.publish(version_of(marts, 1))
    with server.reading() as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select count(*) from marts.recency_monthly")
        server.publish(version_of(marts, 2, months=4), patience_seconds=0)
        assert versions(connection.execute(VERSIONS.encode()).fetchall()) == {1}
        assert versions(server.read(VERSIONS)) == {2}


def _publish_and_die(server: Server, content: Extract, step: str) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(postgres, step, die)
    server.publish(content)


@pytest.mark.parametrize("step", ["_prepare", "_load", "_compare", "_put_in_place", "_finish_table", "_drop_withdrawn"])
def test_a_publisher_killed_at_any_step_changes_nothing_and_the_next_one_goes_through(
    server: Server, marts: tuple[Mart, ...], step: str
) -> None:
    server.publish(version_of(marts, 1))
    process = FORK.Process(target=_publish_and_die, args=(server, version_of(marts, 2, months=4), step))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert versions(server.read(VERSIONS)) == {1}
    server.publish(version_of(marts, 3, months=4))
    assert versions(server.read(VERSIONS)) == {3}
    assert server.read("select count(*) from pg_tables where schemaname = 'marts_staging'") == [(1,)]


def _publish_for_ever(server: Server, marts: Sequence[Mart], first: int) -> None:
    version = first
    while True:
        server.publish(version_of(marts, version, months=2 + version % 3, rows_a_month=20), patience_seconds=30)
        version += 1


@pytest.mark.slow
def test_during_fifty_publications_killed_at_random_every_read_is_one_whole_version(
    server: Server, marts: tuple[Mart, ...]
) -> None:
    server.publish(version_of(marts, 1, rows_a_month=20))
    stop, faults, seen = threading.Event(), list[str](), set[int]()

    def read(isolation: str) -> None:
        with server.reading() as connection:
            while not stop.is_set():
                with connection.transaction():
                    connection.execute(f"set transaction isolation level {isolation}".encode())
                    rows = connection.execute(VERSIONS.encode()).fetchall()
                    if isolation == "repeatable read":
                        rows += connection.execute(VERSIONS.encode()).fetchall()
                met = versions(rows)
                seen.update(met)
                if len(met) != 1 or any(found is None for row in rows for found in row):
                    faults.append(f"{isolation}: {rows}")

    readers = [threading.Thread(target=read, args=(isolation,)) for isolation in ("read committed", "repeatable read")]
    for thread in readers:
        thread.start()
    chance = random.Random(7)
    n_killed = 0
    try:
        # Until fifty versions were read, each process is killed somewhere in its first publications.
        while (max(seen, default=1) < 50 or n_killed < 50) and n_killed < 500 and not faults:
            first = server.read("select substr(definition_version, 2)::bigint from marts.bi_refresh_status")[0][0] + 1
            process = FORK.Process(target=_publish_for_ever, args=(server, marts, first))
            process.start()
            time.sleep(chance.uniform(0.05, 1.8))
            process.kill()
            process.join()
            n_killed += 1
    finally:
        stop.set()
        for thread in readers:
            thread.join()
    assert not faults
    assert n_killed >= 50
    assert max(seen) >= 50
    server.publish(version_of(marts, 1000))
    assert versions(server.read(VERSIONS)) == {1000}


def test_rows_that_come_back_otherwise_are_not_published(
    server: Server, marts: tuple[Mart, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(version_of(marts, 1))
    load = postgres._load

    def load_less(connection: psycopg.Connection, mart: Mart, rows: Sequence[Row]) -> None:
        load(connection, mart, rows[1:] if mart.name == "flows_monthly" else rows)

    def load_otherwise(connection: psycopg.Connection, mart: Mart, rows: Sequence[Row]) -> None:
        load(connection, mart, [(*rows[0][:-1], None), *rows[1:]] if mart.name == "flows_monthly" else rows)

    for broken in (load_less, load_otherwise):
        monkeypatch.setattr(postgres, "_load", broken)
        with pytest.raises(PublishError, match="flows_monthly came back from PostgreSQL otherwise"):
            server.publish(version_of(marts, 2))
        assert versions(server.read(VERSIONS)) == {1}


def test_a_row_that_breaks_the_grain_is_not_published(server: Server, marts: tuple[Mart, ...]) -> None:
    content = version_of(marts, 1)
    with pytest.raises(PublishError, match="flows_monthly"):
        server.publish(with_rows(content, "flows_monthly", [*content.rows["flows_monthly"], content.rows["flows_monthly"][0]]))


def test_a_second_publication_waits_for_the_first_and_says_so_when_it_takes_too_long(
    server: Server, marts: tuple[Mart, ...]
) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [postgres.LOCK_KEY])
        with pytest.raises(PublishError, match="Another publication"):
            server.publish(version_of(marts, 1), patience_seconds=0)
    server.publish(version_of(marts, 1))


# ---- marts that change ------------------------------------------------------------------------------------------------


def _changed(mart: Mart) -> Mart:
    """A column less, one of another type, one more."""
    kept = [c for c in mart.columns if c.name != "n_key_values"]
    retyped = [replace(c, data_type="double") if c.name == "n_values" else c for c in kept]
    return replace(mart, columns=(*retyped, Column("n_more", "bigint", "More.")))


def test_columns_that_come_go_and_change_their_type_are_followed(server: Server, marts: tuple[Mart, ...]) -> None:
    server.publish(version_of(marts, 1))
    now = [_changed(mart) if mart.name == "source_scorecard_monthly" else mart for mart in marts]
    content = version_of(now, 2)
    server.publish(content)
    mart = next(mart for mart in now if mart.name == "source_scorecard_monthly")
    names = ", ".join(column.name for column in mart.columns)
    assert set(server.read(f"select {names} from marts.{mart.name}")) == set(content.rows[mart.name])
    n_columns = "select count(*) from information_schema.columns where table_schema = 'marts' and table_name = '{}'"
    assert server.read(n_columns.format(mart.name)) == [(len(mart.columns),)]


def test_a_grain_that_changes_is_followed(server: Server, marts: tuple[Mart, ...]) -> None:
    server.publish(version_of(marts, 1))
    now = [replace(m, grain=(*m.grain, "months_ahead")) if m.name == "projection_monthly" else m for m in marts]
    server.publish(version_of(now, 2))
    server.publish(version_of(marts, 3))
    assert versions(server.read("select array_agg(distinct months_ahead) from marts.projection_monthly")) == {3}


def test_a_changed_column_waits_for_an_open_transaction_without_stopping_others(
    server: Server, marts: tuple[Mart, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", "100ms")
    server.publish(version_of(marts, 1))
    now = [_changed(mart) if mart.name == "source_scorecard_monthly" else mart for mart in marts]
    said: list[str] = []
    with server.reading() as connection, connection.transaction():
        connection.execute("select count(*) from marts.source_scorecard_monthly")
        with pytest.raises(PublishError, match="Somebody holds locks"):
            postgres.publish(server.dsn, lambda: version_of(now, 2), NOW, lambda: 0, said.append, 1)
        assert versions(server.read(VERSIONS)) == {1}
    assert len(said) == 1
    server.publish(version_of(now, 2))
    assert versions(server.read(VERSIONS)) == {2}


def test_a_mart_taken_off_the_list_is_dropped_and_tables_of_others_stay(server: Server, marts: tuple[Mart, ...]) -> None:
    server.publish(version_of(marts, 1))
    server.administer("create table marts.of_somebody_else (a int)")
    server.publish(version_of([mart for mart in marts if mart.name != "projection_monthly"], 2))
    found = {name for (name,) in server.read("select tablename from pg_tables where schemaname = 'marts'")}
    assert "projection_monthly" not in found
    assert "of_somebody_else" in found


# ---- the reader's account ---------------------------------------------------------------------------------------------

REFUSED = [
    "insert into marts.bi_refresh_status (snapshot_month) values ('2020-01-01')",
    "update marts.recency_monthly set n_profiles = 0",
    "delete from marts.recency_monthly",
    "truncate marts.recency_monthly",
    "drop table marts.recency_monthly",
    "alter table marts.recency_monthly add column a int",
    "create table marts.mine (a int)",
    "create table public.mine (a int)",
    "create temporary table mine (a int)",
    "create schema mine",
    "select * from marts_staging.published",
    "select * from core.fct_customer_months",
    "select * from private.retention_due_profiles",
    "select rolpassword from pg_authid",
    "copy marts.recency_monthly to '/tmp/marts.csv'",
    "copy marts.recency_monthly to program 'cat'",
    "select pg_read_file('postgresql.conf')",
    "set role postgres",
    "alter role bi_reader superuser",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_the_reader_may_only_read_marts(server: Server, marts: tuple[Mart, ...], statement: str) -> None:
    server.administer(
        "create schema if not exists core",
        "create table if not exists core.fct_customer_months (a int)",
        "create schema if not exists private",
        "create table if not exists private.retention_due_profiles (a int)",
    )
    server.publish(version_of([mart for mart in marts if mart.name == "recency_monthly"], 1))
    with server.reading() as connection:
        # Read-only by default is a courtesy that the reader can undo; the missing rights are what protects.
        connection.execute("set default_transaction_read_only = off")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_the_reader_has_a_limit_in_time(server: Server) -> None:
    assert server.read("show statement_timeout") == [("1min",)]


def test_the_readers_password_is_in_a_file_of_this_user_alone_and_is_needed(server: Server) -> None:
    file = server.folder / "bi_reader.password"
    assert file.stat().st_mode & 0o777 == 0o600
    password = file.read_text(encoding="utf-8").strip()
    assert len(password) >= 32
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.reader.replace(password, "guess"))


@pytest.mark.parametrize(
    ("statements", "undo", "said"),
    [
        (
            "grant temporary on database bathtub to public",
            "revoke temporary on database bathtub from public",
            "revoke temporary",
        ),
        (
            "grant create on schema public to public",
            "revoke create on schema public from public",
            "revoke create on schema public",
        ),
        (
            "grant insert on marts.flows_monthly to bi_reader",
            "revoke insert on marts.flows_monthly from bi_reader",
            "may write",
        ),
        ("alter role bi_reader createdb", "alter role bi_reader nocreatedb", "attributes of an administrator"),
        (
            "create table public.more (a int); grant usage on schema public to public; grant select on public.more to public",
            "drop table public.more",
            "may read tables of the schema public",
        ),
        (
            "alter role bi_reader reset statement_timeout",
            "alter role bi_reader set statement_timeout = '60s'",
            "no limit in time",
        ),
    ],
)
def test_rights_that_the_reader_should_not_have_are_told(
    server: Server, marts: tuple[Mart, ...], statements: str, undo: str, said: str
) -> None:
    content = version_of(marts, 1)
    assert server.publish(content).warnings == ()
    server.administer(*statements.split("; "))
    try:
        assert [said in warning for warning in server.publish(content).warnings] == [True]
    finally:
        server.administer(undo)


# ---- servers that do not do as they should ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "breaks",
    [
        lambda dsn: "postgresql://publisher:hunter2@127.0.0.1:1/bi",
        lambda dsn: psycopg.conninfo.make_conninfo(dsn, user="bi_reader", password="hunter2"),
    ],
)
def test_a_server_that_does_not_answer_ends_in_a_sentence_without_the_password(
    server: Server, marts: tuple[Mart, ...], breaks: Callable[[str], str]
) -> None:
    with pytest.raises(PublishError) as refused:
        postgres.publish(breaks(server.dsn), lambda: version_of(marts, 1), NOW, lambda: 0, lambda _: None, 0)
    assert "hunter2" not in str(refused.value)
    assert "make publish" in str(refused.value)


def test_a_publisher_without_the_right_to_make_schemas_is_told_where_its_rights_are_listed(
    server: Server, marts: tuple[Mart, ...]
) -> None:
    with pytest.raises(PublishError, match=r"docs/bi/publishing\.md"):
        postgres.publish(server.reader, lambda: version_of(marts, 1), NOW, lambda: 0, lambda _: None, 0)


def test_a_publisher_that_is_no_superuser_can_publish(server: Server, marts: tuple[Mart, ...]) -> None:
    server.administer(
        "create role publisher login createrole password 'for-tests'", "grant create on database bathtub to publisher"
    )
    dsn = psycopg.conninfo.make_conninfo(server.dsn, user="publisher", password="for-tests")
    try:
        postgres.publish(dsn, lambda: version_of(marts, 5), NOW, lambda: 0, lambda _: None, 0)
        assert versions(server.read(VERSIONS)) == {5}
    finally:
        server.administer("drop owned by publisher cascade", "drop role publisher")


def test_an_old_server_is_refused(server: Server, marts: tuple[Mart, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST_SERVER", 990_000)
    with pytest.raises(PublishError, match="older than"):
        server.publish(version_of(marts, 1))


def test_accounts_are_not_published_unless_the_exposure_lists_them(marts: tuple[Mart, ...]) -> None:
    assert "accounts_monthly" not in {mart.name for mart in marts}
