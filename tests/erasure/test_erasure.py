"""Who is erased, what stays in their place, and what the source goes on delivering."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration import erasure, private_lists, raw
from orchestration.alerts.deletions import confirm, departures
from orchestration.erasure import count_left
from orchestration.month_files import months_dir, named_files
from orchestration.raw import refresh_raw
from orchestration.settings import Settings
from orchestration.warehouse import working_copy
from tests.erasure.scan import traces
from tests.erasure.small_base import MONTHS, NOW, SmallBase, order, profile

IDS = ["ada", "bea", "cleo-canary"]
GONE = "cleo-canary"


class _Clock:
    """The clock of the runs stands still until a test moves it."""

    instant = NOW

    @classmethod
    def now(cls, _: object) -> datetime:
        return cls.instant


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Clock, "instant", NOW)
    monkeypatch.setattr(raw, "datetime", _Clock)


@pytest.fixture
def base(tmp_path: Path) -> SmallBase:
    """Three profiles with an order each; rows of an id that never had a profile."""
    base = SmallBase(tmp_path)
    base.deliver([profile(i) for i in IDS], orders=[*(order(i) for i in IDS), order("nobody")])
    base.begin(IDS, orphans=("nobody",))
    return base


def _deliver_without(base: SmallBase, *gone: str) -> None:
    base.deliver([profile(i) for i in IDS if i not in gone], orders=[*(order(i) for i in IDS), order("nobody")])


def _run(base: SmallBase, **variables: object) -> list[str]:
    said: list[str] = []
    refresh_raw(base.settings(**variables), said.append)
    return said


def test_a_profile_that_is_gone_leaves_every_table_and_file_and_an_anonymous_row_its_place(base: SmallBase) -> None:
    _deliver_without(base, GONE)
    before = base.rows("select * from marts.flows_monthly")
    said = _run(base)
    assert traces(base.folder, [GONE, f"Name of {GONE}"], but=[base.raw]) == []
    assert base.ids("core.int_customer_months") == ["ada", "ada", "bea", "bea", "erased", "erased", "nobody", "nobody"]
    assert base.ids("core.int_contact_months") == ["ada", "ada", "bea", "bea", "erased", "erased"]
    assert base.ids("core.int_profile_history") == ["ada", "bea"]
    assert base.ids("core.int_profiles") == ["ada", "bea"]
    assert base.ids("raw.orders") == ["ada", "bea", "nobody"]
    assert base.rows("select * from marts.flows_monthly") == before
    assert base.rows("select source, n_profiles, known_at from ops.erasures") == [("web", 1, NOW.replace(tzinfo=None))]
    assert [line for line in said if "Erased" in line] == [
        "  Erased 1 profiles that were deleted in the source: their rows left 5 files of months."
    ]


def test_an_anonymous_row_keeps_what_bridges_need_and_no_date_or_flag_more(base: SmallBase) -> None:
    _deliver_without(base, GONE)
    _run(base)
    states = base.rows(
        "select * exclude (customer_id) from core.int_customer_months where customer_id like 'erased-%' order by all"
    )
    assert [row[1:] for row in states] == [
        ("web", "customer", "stable", "web", True, True, None, None, None, None, "v1", month) for month in MONTHS
    ]
    contacts = "select email_is_opted_in, email_opt_in_at, email_stage from core.int_contact_months"
    assert base.rows(f"{contacts} where customer_id like 'erased-%'") == [(True, None, None)] * 2


def test_the_random_id_is_the_same_in_a_month_and_another_in_each(base: SmallBase) -> None:
    _deliver_without(base, GONE)
    _run(base)
    by_month = [
        {
            str(row[0])
            for model in ("int_customer_months", "int_contact_months")
            for row in base.rows(
                f"select customer_id from core.{model} where customer_id like 'erased-%' and snapshot_month = '{month}'"
            )
        }
        for month in MONTHS
    ]
    assert [len(ids) for ids in by_month] == [1, 1]
    assert by_month[0] != by_month[1]


def test_the_count_of_departures_stays_and_a_run_with_nobody_to_erase_writes_nothing(base: SmallBase) -> None:
    _deliver_without(base, GONE)
    _run(base)
    found = departures(base.rows)
    assert found is not None
    assert (found.n_base, found.n_gone) == (3, 1)
    written = base.warehouse.stat()
    _run(base)
    assert base.warehouse.stat().st_ino == written.st_ino


def test_while_the_guard_against_mass_deletions_holds_nobody_is_erased(base: SmallBase) -> None:
    bounds = {"alerts": {"bounds": {"mass_deletion_least": 1, "mass_deletion_share": 0.1}}}
    _deliver_without(base, GONE, "bea")
    _run(base, **bounds)
    assert base.ids("core.int_profile_history") == sorted(IDS)
    found = departures(base.rows)
    assert found is not None
    confirm(base.settings(**bounds), found, "the DPO", NOW)
    _run(base, **bounds)
    assert base.ids("core.int_profile_history") == ["ada"]


def test_a_deletion_date_counts_once_it_has_passed_and_the_next_close_will_count_it(base: SmallBase) -> None:
    def on(day: datetime) -> None:
        base.deliver([profile("ada"), profile("bea"), profile(GONE, deleted_at=day)], orders=[order(GONE)])
        _run(base)

    on(datetime(2024, 3, 25))
    assert GONE in base.ids("core.int_profile_history")
    # March, which is to be closed first, still has the profile.
    _Clock.instant = datetime(2024, 4, 20, tzinfo=UTC)
    on(datetime(2024, 4, 2))
    assert GONE in base.ids("core.int_profile_history")
    on(datetime(2024, 3, 19))
    assert traces(base.folder, [GONE], but=[base.raw]) == []


def test_a_merged_profile_is_not_erased_before_the_one_it_was_merged_into(base: SmallBase) -> None:
    merges = [
        {"merged_customer_id": GONE, "customer_id": "bea", "merged_at": datetime(2024, 3, 1), "loaded_at": datetime(2024, 3, 1)}
    ]
    base.deliver([profile("ada"), profile("bea")], merges=merges)
    _run(base)
    assert base.ids("core.int_profile_history") == sorted(IDS)
    base.deliver([profile("ada")], merges=merges)
    _run(base)
    assert traces(base.folder, [GONE, "bea@people", "Name of bea"], but=[base.raw]) == []


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_rows_that_the_source_still_delivers_stay_out_until_the_profile_is_back(base: SmallBase, form: str) -> None:
    orders = [order(i) for i in IDS]
    base.deliver([profile("ada"), profile("bea")], form, orders=orders)
    _run(base)
    assert base.ids("raw.orders") == ["ada", "bea"]
    # A delivery more, and all of it once again.
    base.deliver([profile("ada"), profile("bea")], form, orders=[*orders, order(GONE, 2)])
    _run(base)
    assert base.ids("raw.orders") == ["ada", "bea"]
    assert traces(base.folder, [GONE], but=[base.raw]) == []
    base.deliver([profile(i) for i in IDS], form, orders=[*orders, order(GONE, 2)])
    _run(base)
    assert base.ids("raw.orders") == ["ada", "bea", GONE, GONE]


def test_raw_rows_of_a_profile_that_is_back_are_read_again_from_unchanged_files(base: SmallBase) -> None:
    _deliver_without(base, GONE, "bea")
    _run(base)
    customers = base.raw / "customers" / "part.csv"
    lines = customers.read_text(encoding="utf-8").splitlines(keepends=True)
    back = lines[1].replace("ada", GONE)
    customers.write_text("".join([*lines, back]), encoding="utf-8")
    _run(base)
    assert base.ids("raw.orders") == ["ada", GONE, "nobody"]
    kept = base.rows("select rows_read - rows_kept - rows_superseded from ops.ingested_tables where table_name = 'orders'")
    assert kept == [(0,)]
    assert base.rows("select sum(n_profiles) from ops.erasures") == [(2,)]


def test_rows_beside_those_that_were_removed_are_counted_on_the_next_delivery(base: SmallBase) -> None:
    _deliver_without(base, GONE)
    _run(base)
    more = base.raw / "orders" / "more.csv"
    header = (base.raw / "orders" / "part.csv").read_text(encoding="utf-8").splitlines()
    more.write_text("\n".join([header[0], header[1].replace("ada-1", "ada-2")]) + "\n", encoding="utf-8")
    _run(base)
    assert base.ids("raw.orders") == ["ada", "ada", "bea", "nobody"]


def test_the_list_of_hashes_ends_when_every_file_was_read_without_the_id(base: SmallBase) -> None:
    _deliver_without(base, GONE)
    _run(base)
    assert base.rows("select count(*) from ops.suppressed") == [(1,)]
    assert GONE not in str(base.rows("select * from ops.suppressed"))
    _Clock.instant = NOW + timedelta(days=1)
    base.deliver([profile("ada"), profile("bea")], orders=[order("ada"), order("bea")])
    _run(base)
    assert base.rows("select count(*) from ops.suppressed") == [(0,)]


def test_a_profile_that_came_and_went_between_two_closes_leaves_no_trace(base: SmallBase) -> None:
    everyone = [profile(i) for i in [*IDS, "dora-canary"]]
    base.deliver(everyone, orders=[order("dora-canary")])
    _run(base)
    base.deliver(everyone[:-1], orders=[order("dora-canary")])
    _run(base)
    assert traces(base.folder, ["dora-canary"], but=[base.raw]) == []


def test_rejected_raw_lines_of_the_erased_keep_their_reason_and_lose_their_text(base: SmallBase) -> None:
    _deliver_without(base, GONE)
    with (base.raw / "orders" / "part.csv").open("a", encoding="utf-8") as file:
        file.write(f"X1,{GONE},no date,5\n")
    _run(base)
    assert base.rows("select count(*), count(raw_text), count(reason) from quarantine.orders") == [(1, 0, 1)]


def test_replaced_month_files_are_gone_after_the_run_and_after_one_that_was_killed_before_it_deleted_them(
    base: SmallBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deliver_without(base, GONE)
    with monkeypatch.context() as patch:
        patch.setattr(raw, "sweep", lambda settings: None)
        _run(base)
    assert any("first" in path.name and GONE in str(traces(path.parent, [GONE])) for path in base.folder.rglob("*.parquet"))
    _run(base)
    assert traces(base.folder, [GONE], but=[base.raw]) == []
    with duckdb.connect(str(base.warehouse), read_only=True) as con:
        named = named_files(con)
    assert {p.relative_to(months_dir(base.warehouse)).as_posix() for p in base.folder.rglob("*_*.parquet")} == named


def test_the_file_is_written_anew_so_that_free_blocks_hold_nothing(
    base: SmallBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deliver_without(base, GONE)
    calls: list[Path] = []
    rewrite = erasure._rewrite_database

    def counted(copy: Path, settings: Settings) -> None:
        calls.append(copy)
        rewrite(copy, settings)

    monkeypatch.setattr(erasure, "_rewrite_database", counted)
    _run(base)
    assert calls == [working_copy(base.warehouse)]
    assert GONE.encode() not in base.warehouse.read_bytes()


def _list(base: SmallBase, file: Path, exported_at: datetime, ids: list[str]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([private_lists.HEADER, *([i, "web", "customer", "2024-02-01", "36"] for i in ids)])
    file.chmod(0o600)
    with duckdb.connect(str(base.warehouse)) as con:
        con.execute("create table if not exists ops.retention_exports (exported_at timestamp, file varchar)")
        con.execute("insert into ops.retention_exports values (?, ?)", [exported_at, str(file)])


def test_a_list_of_people_loses_the_row_of_who_is_erased(base: SmallBase) -> None:
    file = base.folder / "list.csv"
    _list(base, file, NOW.replace(tzinfo=None), ["ada", GONE])
    _deliver_without(base, GONE)
    _run(base)
    assert [line.split(",")[0] for line in file.read_text(encoding="utf-8").splitlines()] == ["customer_id", "ada"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_list_of_people_is_deleted_when_its_days_are_over_and_no_other_file(base: SmallBase) -> None:
    made = NOW.replace(tzinfo=None) - timedelta(days=30)
    young, old, other = (base.folder / f"{name}.csv" for name in ("young", "old", "other"))
    _list(base, young, made + timedelta(minutes=1), ["ada"])
    _list(base, old, made, ["ada"])
    _list(base, other, made, ["ada"])
    other.write_text("something else of ours\n", encoding="utf-8")
    _run(base)
    assert [file.exists() for file in (young, old, other)] == [True, False, True]


def test_a_cluster_counts_the_deleted_profiles_that_its_months_still_hold(base: SmallBase) -> None:
    assert count_left(base.rows, NOW) == 0
    with duckdb.connect(str(base.warehouse)) as con:
        con.execute("delete from raw.customers where customer_id = 'ada'")
        con.execute("update raw.customers set deleted_at = timestamp '2024-03-01' where customer_id = 'bea'")
        con.execute("update raw.customers set deleted_at = timestamp '2024-03-21' where customer_id not in ('ada', 'bea')")
        assert count_left(lambda sql: con.execute(sql).fetchall(), NOW) == 2


def test_a_profile_that_goes_before_any_close_is_erased_too(tmp_path: Path) -> None:
    base = SmallBase(tmp_path)
    base.deliver([profile(i) for i in IDS], orders=[order(i) for i in IDS])
    _run(base)
    base.deliver([profile(i) for i in IDS if i != GONE], orders=[order(i) for i in IDS])
    _run(base)
    assert traces(base.folder, [GONE], but=[base.raw]) == []
    assert base.rows("select source, n_profiles from ops.erasures") == [("unknown", 1)]
