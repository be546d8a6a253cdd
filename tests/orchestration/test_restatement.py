"""Closed months computed again: what is logged, what a dry run leaves alone, and what a changed definition stops."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.close import CloseError
from orchestration.definition import BOOK, DEFINITION_VARS, changed_vars, code_version, record, settle_definition_change
from orchestration.restatement import Restatement, log_changes, n_erased_since, prepare_books, summary
from orchestration.settings import DBT_PROJECT_DIR, Settings, load_settings
from tests.orchestration.conftest import Home, write_base

FEBRUARY, MARCH, APRIL = date(2024, 2, 1), date(2024, 3, 1), date(2024, 4, 1)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
HISTORY = "history_loaded_until: 2024-01-31"


# ---- the log, on marts written by hand -------------------------------------------------------------------------------


def _warehouse(folder: Path, levels: dict[tuple[date, str], int], version: str = "v1") -> Path:
    folder.mkdir()
    file = folder / "bathtub.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute("create schema ops; create schema marts")
        con.execute("create table ops.closed_months (snapshot_month date, closed_at timestamp, run_id varchar)")
        con.execute(f"insert into ops.closed_months values ('{FEBRUARY}', '2024-04-03', ''), ('{MARCH}', '2024-04-03', '')")
        for mart in ("flows_monthly", "accounts_monthly"):
            con.execute(
                f"create table marts.{mart} (snapshot_month date, as_of_date date, source varchar, n bigint, rate double, "
                "definition_version varchar)"
            )
            rows = [(m, m, s, n, n / 3, version) for (m, s), n in levels.items()]
            con.executemany(f"insert into marts.{mart} values (?, ?, ?, ?, ?, ?)", rows)
    prepare_books(file)
    with duckdb.connect(str(file)) as con:
        con.execute(f"insert into ops.closed_under select snapshot_month, '{{}}', '{code_version()}' from ops.closed_months")
    return file


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest of two marts, of which one is shown to BI tools."""
    nodes: dict[str, object] = {}
    for name in ("flows_monthly", "accounts_monthly"):
        grain = {"name": "unique_grain", "kwargs": {"columns": ["snapshot_month", "source"]}}
        nodes[f"model.{name}"] = {"resource_type": "model", "schema": "marts", "name": name, "unique_id": f"model.{name}"}
        nodes[f"test.{name}"] = {"resource_type": "test", "test_metadata": grain, "attached_node": f"model.{name}"}
    shown = {"name": "published_marts", "depends_on": {"nodes": ["model.flows_monthly"]}}
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({"nodes": nodes, "exposures": {"e": shown}}), encoding="utf-8")
    return file


def _logged(published: Path, copy: Path, manifest: Path) -> list[tuple[object, ...]]:
    restatement = Restatement((FEBRUARY, MARCH, APRIL), NOW, "0123456789", FEBRUARY)
    n_logged = log_changes(copy, published, manifest, restatement, load_settings({}))
    with duckdb.connect(str(copy)) as con:
        rows = con.execute(
            "select strftime(snapshot_month, '%Y-%m'), mart, segment, measure, published_value, restated_value, cause "
            "from ops.restatements order by all"
        ).fetchall()
    assert len(rows) == n_logged
    return rows


LEVELS = {(FEBRUARY, "web"): 3, (FEBRUARY, "till"): 6, (MARCH, "web"): 9}


def test_values_that_are_as_published_are_not_logged(tmp_path: Path, manifest: Path) -> None:
    published, copy = _warehouse(tmp_path / "a", LEVELS), _warehouse(tmp_path / "b", {**LEVELS, (APRIL, "web"): 12})
    assert _logged(published, copy, manifest) == []


def test_a_changed_a_new_and_a_gone_row_are_logged_and_rows_not_shown_are_counted(tmp_path: Path, manifest: Path) -> None:
    changed = {(FEBRUARY, "web"): 6, (FEBRUARY, "till"): 6, (MARCH, "till"): 3}
    published, copy = _warehouse(tmp_path / "a", LEVELS), _warehouse(tmp_path / "b", changed)
    found = [row for row in _logged(published, copy, manifest) if row[3] == "n"]
    assert found == [
        ("2024-02", "accounts_monthly", "rows that changed", "n", 0, 1, "raw_data"),
        ("2024-02", "flows_monthly", "source=web", "n", 3, 6, "raw_data"),
        ("2024-03", "accounts_monthly", "rows that changed", "n", 0, 2, "raw_data"),
        ("2024-03", "flows_monthly", "source=till", "n", None, 3, "raw_data"),
        ("2024-03", "flows_monthly", "source=web", "n", 9, None, "raw_data"),
    ]
    lines = summary(copy, "20240601T120000Z-01234567")
    assert lines[0] == "10 published values differ:"
    assert any(line.endswith("flows_monthly.n (source=web): 9 -> none") for line in lines)


def test_causes_that_cannot_be_told_apart_are_joined(tmp_path: Path, manifest: Path) -> None:
    published = _warehouse(tmp_path / "a", {(FEBRUARY, "web"): 3})
    copy = _warehouse(tmp_path / "b", {(FEBRUARY, "web"): 4}, version="v2")
    with duckdb.connect(str(copy)) as con:
        con.execute("update ops.closed_under set code_version = 'older'")
        con.execute("create table ops.erasures as select timestamp '2024-05-01' as known_at")
    assert {row[6] for row in _logged(published, copy, manifest)} == {"erasure+code+definition"}


# ---- the definition --------------------------------------------------------------------------------------------------


def test_erasures_after_a_month_was_closed_are_counted(tmp_path: Path) -> None:
    warehouse = _warehouse(tmp_path / "a", LEVELS)
    assert n_erased_since(warehouse, [FEBRUARY, MARCH]) == 0
    with duckdb.connect(str(warehouse)) as con:
        con.execute("create table ops.erasures (known_at timestamp, n_profiles bigint)")
        con.execute("insert into ops.erasures values ('2024-04-01', 5), ('2024-05-01', 2), ('2024-05-02', 1)")
    assert n_erased_since(warehouse, [FEBRUARY, MARCH]) == 3


def test_each_var_that_a_definition_version_hashes_is_watched() -> None:
    macro = (DBT_PROJECT_DIR / "macros" / "definitions" / "definition_version.sql").read_text(encoding="utf-8")
    names = set(re.findall(r"'(\w+)'", macro.split("set names = [")[1].split("]")[0]))
    for file in (DBT_PROJECT_DIR / "models").rglob("*.sql"):
        for more in re.findall(r"definition_version\(\[(.*?)\]\)", file.read_text(encoding="utf-8")):
            names |= set(re.findall(r"'(\w+)'", more))
    assert names == set(DEFINITION_VARS)


def _settings(variables: str) -> Settings:
    return load_settings({"BATHTUB_VARS": variables})


def test_a_changed_var_is_named_and_stops_the_close_beside_unless_the_break_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "bathtub.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute(f"create schema ops; {BOOK}")
    record(file, _settings("{active_within_days: 365}"), [FEBRUARY])
    other = _settings("{active_within_days: 180, age_bands: [30, 60], report_language: en}")
    assert changed_vars(file, _settings("{first_month: 2024-01}"), [MARCH]) is None
    assert changed_vars(file, other, [MARCH]) == (FEBRUARY, ["active_within_days", "age_bands"])
    assert changed_vars(file, other, [FEBRUARY]) is None
    with pytest.raises(CloseError) as refused:
        settle_definition_change(file, other, FEBRUARY, [MARCH], is_break_wanted=False)
    for part in ("2024-02", "active_within_days", "make restate FROM=2024-02", "make build MARK_BREAK=1"):
        assert part in str(refused.value)
    assert settle_definition_change(file, other, FEBRUARY, [MARCH], is_break_wanted=True) == ["active_within_days", "age_bands"]


# ---- the commands, on a base of four months --------------------------------------------------------------------------


def _command(home: Home, *args: str, variables: str = "") -> str:
    settings = f"{{{HISTORY}, first_month: 2024-01{variables}}}"
    done = home.command(*args, BATHTUB_VARS=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _marts(home: Home) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        names = con.execute("select table_name from duckdb_tables() where schema_name = 'marts' order by 1").fetchall()
        return {name: con.execute(f"select * from marts.{name} order by all").fetchall() for (name,) in names}


def _deliver_orders(home: Home, *, late_loaded_at: str = "", is_late_there: bool = True) -> None:
    """Date the loads of the orders, and add one of February, by a visitor of January."""
    path = home.raw / "orders.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    if "loaded_at" not in header:
        header, rows = f"{header},loaded_at", [f"{row},{row.split(',')[2]}" for row in rows]
    if is_late_there:
        rows.append(f"LATE,2024-01/7,2024-02-10 10:00:00,99,{late_loaded_at}")
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.mark.soak
def test_a_late_row_is_counted_then_restated_and_a_changed_definition_stops(home: Home, tmp_path: Path) -> None:
    write_base(home.raw)
    _deliver_orders(home, is_late_there=False)
    _command(home, "build", "--to", "2024-03")
    _deliver_orders(home, late_loaded_at="2024-04-10 10:00:00")
    assert "Rows that came late: 1, from 2024-02" in _command(home, "build", "--to", "2024-04")
    before, file_before = _marts(home), home.warehouse.read_bytes()

    tried = _command(home, "restate", "--from", "2024-02", "--dry-run")
    assert "published values differ" in tried
    assert "late_rows" in tried
    assert home.warehouse.read_bytes() == file_before
    refused = home.command("restate", "--from", "2024-02", BATHTUB_VARS=f"{{{HISTORY}, first_month: 2024-01}}")
    assert (refused.returncode, "YES=1" in refused.stderr) == (1, True)

    _command(home, "restate", "--from", "2024-02", "--yes")
    after = _marts(home)
    assert after != before
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        logged = con.execute("select count(*), string_agg(distinct cause, ' ') from marts.restatements").fetchone()
    assert logged is not None
    assert (logged[0] > 0, logged[1]) == (True, "late_rows")

    on_time = Home(tmp_path / "on_time", home.dbt_target)
    write_base(on_time.raw)
    _deliver_orders(on_time, late_loaded_at="2024-02-11 10:00:00")
    _command(on_time, "build", "--to", "2024-04")
    assert _marts(on_time) == after

    other = ", active_within_days: 60"
    stopped = home.command("build", "--to", "2024-05", BATHTUB_VARS=f"{{{HISTORY}, first_month: 2024-01{other}}}")
    assert (stopped.returncode, "active_within_days" in stopped.stderr) == (1, True)
    _command(home, "build", "--to", "2024-05", "--mark-break", variables=other)
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        assert con.execute("select strftime(snapshot_month, '%Y-%m'), changed from ops.definition_breaks").fetchall() == [
            ("2024-05", "active_within_days")
        ]
        assert con.execute(
            "select count(n_profiles_prev_month) from marts.base_overview_monthly where snapshot_month = '2024-05-01'"
        ).fetchone() == (0,)
