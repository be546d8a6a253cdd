"""The demo base holds what docs/demo.md promises, the same every time."""

from __future__ import annotations

import csv
import functools
import gzip
import shutil
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.contract import raw_tables
from orchestration.demo import DemoError, generate, generator

END = date(2026, 10, 1)
CSV_TABLES = {"customers": "csv", "orders": "csv.gz", "consents": "csv"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "raw"
    assert generate(out, profiles=6000, end=END)
    return out


@pytest.fixture(scope="module")
def con(base: Path) -> duckdb.DuckDBPyConnection:
    """The feed as a lenient reader sees it, typed, and one row per profile as `profiles`."""
    con = duckdb.connect()
    con.execute("set threads = 2")
    for table, suffix in CSV_TABLES.items():
        files = f"'{base}/{table}/*.{suffix}', union_by_name = true, all_varchar = true, ignore_errors = true"
        con.execute(f"create table {table} as from read_csv({files})")
    con.execute(f"create view events as from read_parquet('{base}/events/*/*.parquet', hive_partitioning = true)")
    con.execute(
        """
        create table profiles as
        select * replace (created_at::timestamp as created_at, deleted_at::timestamp as deleted_at),
            coalesce(nullif(lower(trim(source)), ''), 'unknown') as origin
        from customers where customer_id is not null
        qualify row_number() over (partition by customer_id order by loaded_at desc) = 1
        """
    )
    con.execute(
        """
        create table buyers as
        select customer_id, min(ordered_at) as first_order_at from orders
        where status <> 'cancelled' and try_cast(amount as double) > 0
            and customer_id in (select customer_id from profiles)
        group by all
        """
    )
    return con


def _rows(query: str) -> list[tuple[Any, ...]]:
    return duckdb.connect().execute(query).fetchall()


def _value(con: duckdb.DuckDBPyConnection, query: str) -> float:
    row = con.execute(query).fetchone()
    assert row is not None
    return float(row[0])


def _contents(out: Path) -> dict[str, bytes | list[tuple[object, ...]]]:
    found: dict[str, bytes | list[tuple[object, ...]]] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and not p.name.startswith("_")):
        is_parquet = path.suffix == ".parquet"
        found[str(path.relative_to(out))] = _rows(f"from '{path}'") if is_parquet else path.read_bytes()
    return found


def _small(out: Path, seed: int = 7, layout: str = "feed") -> Path:
    generate(out, profiles=300, months=12, end=END, seed=seed, layout=layout)
    return out


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _small(tmp_path_factory.mktemp("small") / "raw")


def test_another_seed_makes_another_base(small: Path, tmp_path: Path) -> None:
    assert _contents(_small(tmp_path / "other", seed=8)) != _contents(small)


def test_an_existing_base_is_left_as_it_is_and_other_arguments_replace_it(small: Path, tmp_path: Path) -> None:
    out = shutil.copytree(small, tmp_path / "raw")
    lines: list[str] = []
    assert not generate(out, profiles=300, months=12, end=END, report=lines.append)
    assert "already" in lines[-1]
    _small(out, layout="bench")
    assert not (out / "customers").exists()
    assert (out / "customers.parquet").exists()


def test_an_interrupted_base_is_made_again_with_the_same_rows_on_any_number_of_threads(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb, "connect", functools.partial(duckdb.connect, config={"threads": 1}))
    out = shutil.copytree(small, tmp_path / "raw")
    marker = out / generator.MARKER
    marker.write_text(marker.read_text().replace("true", "false"))
    (out / "accounts.csv").unlink()
    assert _contents(_small(out)) == _contents(small)


@pytest.mark.parametrize("marker", [None, "[]", '{"made_by": "somebody"}'])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, marker: str | None) -> None:
    (tmp_path / "customers").mkdir()
    (tmp_path / "customers" / "mine.csv").write_text("customer_id\n1\n")
    if marker is not None:
        (tmp_path / generator.MARKER).write_text(marker)
    with pytest.raises(DemoError, match="was not made by the demo generator"):
        _small(tmp_path)
    assert (tmp_path / "customers" / "mine.csv").exists()


def test_an_argument_out_of_range_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="profiles = 3; allowed"):
        generate(tmp_path / "raw", profiles=3, end=END)
    assert not (tmp_path / "raw").exists()


def test_a_lenient_reader_and_a_strict_one_see_the_same_good_rows(con: duckdb.DuckDBPyConnection, base: Path) -> None:
    for table in CSV_TABLES:
        strict: Counter[tuple[str | None, ...]] = Counter()
        for path in (base / table).iterdir():
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            header, *rows = csv.reader(data.decode().splitlines(keepends=True))
            strict.update(tuple(v or None for v in row) for row in rows if len(row) == len(header))
        assert Counter(con.execute(f"from {table}").fetchall()) == strict


def test_files_bring_columns_of_the_contract_only(con: duckdb.DuckDBPyConnection, base: Path) -> None:
    for table in raw_tables():
        if table.name in ("merges", "mail_domains"):
            continue
        source = table.name if table.name in (*CSV_TABLES, "events") else f"read_csv('{base}/{table.name}.csv')"
        columns = {row[0] for row in con.execute(f"describe from {source}").fetchall()} - {"month"}
        assert columns <= {c.name for c in table.delivered}
        assert {c.name for c in table.required} <= columns


def test_the_scale_is_the_number_of_profiles_and_of_rows_per_profile(con: duckdb.DuckDBPyConnection) -> None:
    assert _value(con, "select count(*) from profiles") == 6000
    assert _value(con, "select count(*) / 6000 from events") == pytest.approx(20, rel=0.1)
    assert _value(con, "select count(distinct order_id) / 6000 from orders") == pytest.approx(3, rel=0.1)
    assert _value(con, "select count(*) / 6000 from consents") == pytest.approx(4, rel=0.1)


# Each promise is a query that answers true.
PROMISES = {
    "about half existed before the first month": (
        "select count(*) filter (where created_at < '2023-11-01') / 6000 between 0.5 and 0.6 from profiles"
    ),
    "August to October are weak, June and November to January strong": """
        select avg(n) filter (where m in (8, 9, 10)) < 0.6 * avg(n) filter (where m in (6, 11, 12, 1))
        from (select month(created_at) as m, count(*) as n from profiles where created_at >= '2023-11-01' group by all)
    """,
    "the app grows and the call center dries up": """
        select count(*) filter (where origin = 'app' and created_at >= '2025-11-01')
            > 2 * count(*) filter (where origin = 'app' and created_at between '2023-11-01' and '2024-11-01')
            and count(*) filter (where origin = 'call_center' and created_at >= '2025-11-01')
            < 0.5 * count(*) filter (where origin = 'call_center' and created_at between '2023-11-01' and '2024-11-01')
        from profiles
    """,
    "the base drains in the last half-year": """
        select count(*) filter (where deleted_at >= '2026-05-01')
            > 1.5 * count(*) filter (where created_at >= '2026-05-01')
        from profiles
    """,
    "the web's new profiles opt in less since the turn": """
        select count(distinct customer_id) filter (where created_at >= '2026-05-01') / (
                select count(*) from profiles where origin = 'web' and created_at >= '2026-05-01')
            < 0.6 * count(distinct customer_id) filter (where created_at < '2026-05-01') / (
                select count(*) from profiles where origin = 'web' and created_at < '2026-05-01')
        from profiles inner join consents using (customer_id)
        where origin = 'web' and channel = 'email' and status = 'opt_in'
    """,
    "about half are prospects": "select 1 - count(*) / 6000 between 0.4 and 0.6 from buyers",
    "prospects convert months later": """
        select count(*) filter (where first_order_at::timestamp > created_at + interval 2 months) > 500
        from profiles inner join buyers using (customer_id)
    """,
    "customers come back after more than a year": """
        select count(*) > 100 from (
            select ordered_at::timestamp
                - lag(ordered_at::timestamp) over (partition by customer_id order by ordered_at) as gap
            from orders where ordered_at like '2%'
        ) where gap > interval 366 days
    """,
    "genders are missing, 15 to 40 percent by source": """
        select bool_and(missing between 0.1 and 0.5) from (
            select count(*) filter (where gender is null) / count(*) as missing
            from profiles group by origin having count(*) > 200)
    """,
    "partner files bring placeholders and few addresses that answer": """
        select count(*) filter (where origin = 'partner_file' and birth_date = '1900-01-01') > 20
            and count(*) filter (where first_name in ('n/a', 'xxx', 'inconnu')) > 20
            and count(*) filter (where email like 'noreply@%') > 10
        from profiles
    """,
    "some birth dates are implausible or unreadable": """
        select count(distinct birth_date) = 3
        from profiles where birth_date in ('0967-03-12', '2090-05-01', '31/02/1980')
    """,
    "sources come in odd spellings and empty": """
        select count(*) filter (where source <> lower(trim(source))) > 100
            and count(*) filter (where source is null) > 50
        from profiles
    """,
    "some profiles have no start": "select count(*) filter (where created_at is null) between 5 and 60 from profiles",
    "some are created and gone within the month": (
        "select count(*) filter (where last_day(deleted_at) = last_day(created_at)) >= 5 from profiles"
    ),
    "a few are active after their deletion": """
        select count(*) > 0 from events inner join profiles using (customer_id) where occurred_at > deleted_at
    """,
    "numbers of five countries": "select count(distinct country) = 5 from profiles",
    "amounts below and at zero, cancelled and refunded orders": """
        select count(*) filter (where try_cast(amount as double) < 0) > 0 and count(*) filter (where amount = '0.0') > 0
            and count(*) filter (where status = 'cancelled') > 300 and count(*) filter (where status = 'refunded') > 300
        from orders
    """,
    "orders come again with another status and a later load": """
        select count(*) > 20 from (select order_id from orders group by all having count(distinct status) = 2
            and count(distinct loaded_at) = 2)
    """,
    "customers come again when they change": """
        select count(*) > 50
        from (select customer_id from customers group by all having count(distinct updated_at) > 1)
    """,
    "some orders and events are of nobody": """
        select (select count(*) from orders anti join profiles using (customer_id)) > 10
            and (select count(*) from events anti join profiles using (customer_id)) > 100
    """,
    "all event types": "select count(distinct event_type) = 11 from events",
    "soft bounces come in streaks": """
        select max(n) >= 7
        from (select count(*) as n from events where event_type = 'soft_bounce' group by customer_id)
    """,
    "sends and answers name their campaign": """
        select count(*) filter (where campaign_id is null or channel is null) = 0
        from events where event_type like 'campaign_%'
    """,
    "opt-outs, ways back, and both at one instant": """
        select (select count(*) > 100 from (select customer_id, channel from consents group by all having count(*) = 3))
            and (select count(*) > 0 from (
                select customer_id, channel, occurred_at from consents group by all having count(*) = 2))
    """,
    "opt-ins without a coordinate, proof missing most for partner files": """
        select count(*) filter (where status = 'opt_in' and coordinate is null) > 50
            and count(proof) filter (where origin = 'partner_file') / count(*) filter (where origin = 'partner_file')
            < 0.6 * count(proof) / count(*)
        from consents inner join profiles using (customer_id)
    """,
    "late evenings of a month's last day, local midnights and a 29 February": """
        select count(*) filter (where last_day(occurred_at) = occurred_at::date and occurred_at::time >= '21:30') > 100
            and count(*) filter (where (occurred_at at time zone 'UTC') at time zone 'Europe/Paris'
                = date_trunc('month', (occurred_at at time zone 'UTC') at time zone 'Europe/Paris')) > 10
            and count(*) filter (where occurred_at::date = '2024-02-29') > 10
        from events
    """,
    "every row is loaded before the last month's grace is over": """
        select greatest((select max(loaded_at) from events)::varchar, (select max(loaded_at) from orders),
            (select max(loaded_at) from customers), (select max(loaded_at) from consents)) < '2026-11-03'
    """,
    "the till's orders of the last two days come together, too late": """
        select bool_and((orders.loaded_at::timestamp::date = '2026-11-02') = (origin = 'till'))
            and count(*) filter (where origin = 'till') > 0 and count(*) filter (where origin <> 'till') > 0
        from orders inner join profiles using (customer_id)
        where ordered_at >= '2026-10-30' and ordered_at < '2026-11-01'
    """,
    "no event of a month in another month's file, in the order of time": """
        select bool_and(strftime(occurred_at, '%Y-%m') = month) and bool_and(occurred_at >= previous)
        from (
            select *, lag(occurred_at, 1, occurred_at) over (partition by month order by file_row_number) as previous
            from read_parquet('{base}/events/*/*.parquet', hive_types_autocast = false, file_row_number = true))
    """,
    "business customers buy in quantity below the list price, under contract": """
        select (select avg(quantity::double) > 20 and bool_and(amount::double < list_amount::double)
                from orders inner join profiles using (customer_id)
                where account_id is not null and status = 'completed')
            and (select count(distinct role) = 4 from read_csv('{base}/account_contacts.csv'))
            and (select count(distinct status) >= 2 from read_csv('{base}/contracts.csv'))
            and (select count(*) = count(distinct account_id) from read_csv('{base}/accounts.csv'))
            and (select count(*) = count(distinct (account_id, customer_id, role))
                from read_csv('{base}/account_contacts.csv'))
    """,
}


@pytest.mark.parametrize("promise", PROMISES)
def test_the_base_is_worth_looking_at(con: duckdb.DuckDBPyConnection, base: Path, promise: str) -> None:
    assert con.execute(PROMISES[promise].replace("{base}", str(base))).fetchall() == [(True,)]


def test_each_kind_of_broken_line_is_there(base: Path) -> None:
    def text(table: str, suffix: str) -> str:
        files = [p.read_bytes() for p in sorted((base / table).iterdir())]
        return b"\n".join(gzip.decompress(f) if suffix.endswith("gz") else f for f in files).decode()

    orders = text("orders", "csv.gz")
    for trace in (",hier,", '"12,50"', "O-9003,,", ",one,more", "O-9005,C0000004\n", 'O-9006,"C0000005'):
        assert orders.count(trace) == 1
    customers = text("customers", "csv")
    for trace in ("Sans-Clé", "C9000001;", 'C9000002,"'):
        assert customers.count(trace) == 1


def test_night_files_cover_the_last_six_months(base: Path) -> None:
    for table in CSV_TABLES:
        nights = sorted(p.name.removeprefix(f"{table}_")[:10] for p in (base / table).glob(f"{table}_2*"))
        assert nights[0] >= "2026-05-02"
        assert nights[-1] <= "2026-11-02"
        assert len(nights) > 100


def test_the_bench_layout_is_clean(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    generate(out, profiles=5000, months=12, end=END, layout="bench", events_per_profile=30)
    assert not list(out.rglob("*.csv*"))
    for table in raw_tables():
        if table.optional:
            continue
        path = f"{out}/events/*/*.parquet" if table.name == "events" else f"{out}/{table.name}.parquet"
        missing = " or ".join(f"{c.name} is null" for c in table.required)
        unique = f"count(*) > 0 and count(*) = count(distinct {table.key[0]})"
        clean = f"select {unique} and not bool_or({missing}) from '{path}'"
        assert _rows(clean) == [(True,)], table.name
        types = {row[0]: row[1].lower() for row in _rows(f"describe from '{path}'")}
        assert all(types[c.name] == c.data_type for c in table.delivered if c.name in types)
        orphans = f"from '{path}' as t anti join '{out}/customers.parquet' as c using (customer_id)"
        assert _rows(orphans) == []
