"""The dbt project seen from the orchestrator: when it is parsed, what its events and failures say."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from orchestration import dbt as module
from orchestration.dbt import (
    DBT,
    DbtError,
    DbtRun,
    Progress,
    dbt_environment,
    duration,
    ensure_manifest,
    environment,
    failure_sentence,
    may_pass_later,
    run_dbt,
    target_dir,
)
from orchestration.settings import DBT_PROJECT_DIR, ConfigurationError
from orchestration.warehouse import working_copy
from tests.orchestration.conftest import Home

# ---- the manifest ----------------------------------------------------------------------------------------------------


@pytest.fixture
def project(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dbt project of one model, whose target is its own."""
    folder = home.folder / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: tiny\nprofile: bathtub\n", encoding="utf-8")
    (folder / "profiles.yml").write_bytes((DBT_PROJECT_DIR / "profiles.yml").read_bytes())
    (folder / "models" / "one.sql").write_text("select 1 as i", encoding="utf-8")
    monkeypatch.setattr(module, "DBT_PROJECT_DIR", folder)
    monkeypatch.setenv("DBT_TARGET_PATH", str(home.folder / "target"))
    monkeypatch.setenv("DBT_LOG_PATH", str(home.folder / "logs"))
    return folder


@pytest.fixture
def parses(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that a stand-in for dbt was called with; it writes an empty manifest."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> Any:
        commands.append(command)
        for name in ("manifest.json", "partial_parse.msgpack"):
            (target_dir() / name).write_text("{}", encoding="utf-8")
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr("orchestration.dbt.subprocess.run", run)
    return commands


def test_the_project_is_parsed_once(home: Home, parses: list[list[str]]) -> None:
    assert ensure_manifest(home.settings()) == ensure_manifest(home.settings()) == home.folder / "target" / "manifest.json"
    assert parses == [[DBT, "--quiet", "--no-use-colors", "parse"]]


def _new_model(project: Path) -> None:
    (project / "models" / "two.sql").write_text("select 2 as i", encoding="utf-8")


def _changed_model(project: Path) -> None:
    (project / "models" / "one.sql").write_text("select 3 as i", encoding="utf-8")


def _renamed_model(project: Path) -> None:
    (project / "models" / "one.sql").rename(project / "models" / "uno.sql")


def _new_macro(project: Path) -> None:
    (project / "macros" / "deep").mkdir(parents=True)
    (project / "macros" / "deep" / "m.sql").write_text("{% macro m() %}{% endmacro %}", encoding="utf-8")


def _changed_profile(project: Path) -> None:
    (project / "profiles.yml").open("a", encoding="utf-8").write("# changed\n")


def _lost_manifest(_: Path) -> None:
    (target_dir() / "manifest.json").unlink()


@pytest.mark.parametrize("change", [_new_model, _changed_model, _renamed_model, _new_macro, _changed_profile, _lost_manifest])
def test_a_change_of_the_project_is_parsed_again(
    home: Home, project: Path, parses: list[list[str]], change: Callable[[Path], None]
) -> None:
    ensure_manifest(home.settings())
    change(project)
    ensure_manifest(home.settings())
    ensure_manifest(home.settings())
    assert len(parses) == 2


@pytest.mark.parametrize(
    "more", [{"BATHTUB_VARS": "{active_within_days: 180}"}, {"BATHTUB_WAREHOUSE": "/tmp/another.duckdb"}], ids=lambda m: str(*m)
)
def test_a_change_of_the_settings_is_parsed_again(home: Home, parses: list[list[str]], more: dict[str, str]) -> None:
    ensure_manifest(home.settings())
    ensure_manifest(home.settings(**more))
    ensure_manifest(home.settings(**more))
    assert len(parses) == 2
    if "BATHTUB_VARS" in more:
        assert parses[1][-2:] == ["--vars", '{"active_within_days": 180}']


def test_what_is_no_part_of_the_project_does_not_count(home: Home, project: Path, parses: list[list[str]]) -> None:
    ensure_manifest(home.settings())
    (project / "README.md").write_text("words", encoding="utf-8")
    ensure_manifest(home.settings(BATHTUB_VARS="{first_month: 2024-02}"))
    assert len(parses) == 1


def test_a_project_that_does_not_parse_is_an_error_that_names_the_file(home: Home, project: Path) -> None:
    (project / "models" / "one.sql").write_text("select {{ ref('nothing') }}", encoding="utf-8")
    with pytest.raises(DbtError, match=r"(?s)The dbt project does not parse:.*one\.sql.*nothing"):
        ensure_manifest(home.settings())
    assert not (target_dir() / "manifest.key").exists()


def test_dbt_that_is_not_installed_is_said_so(home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DBT", str(project / "no_dbt"))
    with pytest.raises(ConfigurationError, match=rf"^dbt is not installed beside {sys.executable}; run: make setup"):
        ensure_manifest(home.settings())


def test_the_target_is_in_the_project_unless_dbt_is_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBT_TARGET_PATH", raising=False)
    assert target_dir() == DBT_PROJECT_DIR / "target"
    monkeypatch.setenv("DBT_TARGET_PATH", "elsewhere")
    assert target_dir() == DBT_PROJECT_DIR / "elsewhere"


# ---- the environment -------------------------------------------------------------------------------------------------


def test_dbt_works_on_the_working_copy(home: Home) -> None:
    assert dbt_environment(home.settings(BATHTUB_MEMORY_LIMIT="2GB", BATHTUB_THREADS="3")) == {
        "BATHTUB_TARGET": "duckdb",
        "BATHTUB_DBT_DUCKDB": str(home.folder / ".bathtub.building" / "bathtub.duckdb"),
        "BATHTUB_DBT_MONTHS": str(home.folder / "bathtub.duckdb.months"),
        "BATHTUB_MEMORY_LIMIT": "2GB",
        "BATHTUB_THREADS": "3",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


@pytest.mark.parametrize("fails", [False, True])
def test_the_environment_is_put_back(home: Home, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    monkeypatch.setenv("BATHTUB_THREADS", "17")
    monkeypatch.delenv("BATHTUB_DBT_DUCKDB", raising=False)
    before = dict(os.environ)

    def use() -> None:
        with environment(home.settings()):
            assert os.environ["BATHTUB_THREADS"] == "2"
            assert os.environ["BATHTUB_DBT_DUCKDB"].endswith("bathtub.duckdb")
            if fails:
                raise ValueError

    if fails:
        with pytest.raises(ValueError):
            use()
    else:
        use()
    assert dict(os.environ) == before


# ---- progress and failures -------------------------------------------------------------------------------------------


def _batch(month: str, index: int, total: int) -> dict[str, Any]:
    data = {
        "description": f"batch {month} of microbatch model core.int_customer_months",
        "batch_index": index,
        "total_batches": total,
    }
    return {"info": {"name": "LogStartBatch"}, "data": data}


def _model(schema: str, name: str, status: str = "success") -> dict[str, Any]:
    relation = {"schema": schema, "alias": name}
    return {"info": {"name": "LogModelResult"}, "data": {"status": status, "node_info": {"node_relation": relation}}}


def test_progress_says_the_month_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    progress = Progress(lines.append)
    for index, (clock, month) in enumerate([(100.0, "2024-01-01"), (140.0, "2024-02-01"), (160.0, "2024-03-01")], start=1):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda clock=clock: clock))
        progress.see(_batch(month, index, 5))
    assert lines == [
        "  closing 2024-01, customers: month 1 of 5",
        "  closing 2024-02, customers: month 2 of 5, about 2 min 40 s left",
        "  closing 2024-03, customers: month 3 of 5, about 1 min 30 s left",
    ]


def test_progress_says_the_checks_that_warn_and_no_others() -> None:
    lines: list[str] = []
    for status in ("pass", "warn", "fail"):
        data = {"name": f"check_{status}", "status": status, "num_failures": 2}
        Progress(lines.append).see({"info": {"name": "LogTestResult"}, "data": data})
    assert lines == ["  Warning: the check check_warn found 2 (docs/operations.md)."]


def test_progress_says_the_marts_that_are_made_and_nothing_else() -> None:
    lines: list[str] = []
    progress = Progress(lines.append)
    progress.see(_model("marts", "flows_monthly"))
    progress.see(_model("core", "int_profiles"))
    progress.see(_model("marts", "status_monthly", "error"))
    progress.see(_model("marts", "recency_monthly", "skipped"))
    progress.see({"info": {"name": "MainReportVersion"}, "data": {}})
    assert lines == ["  marts.flows_monthly"]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def _result(unique_id: str, status: str, message: str | None) -> dict[str, Any]:
    return {"unique_id": unique_id, "status": status, "message": message}


def test_a_failure_names_the_model_or_test_and_its_message_on_one_line() -> None:
    results = [
        _result("model.bathtub.stg_orders", "success", "OK"),
        _result("test.bathtub.flows_close", "fail", "Got 3 results,\n  configured to fail if != 0"),
        _result("model.bathtub.flows_monthly", "skipped", None),
        _result("test.bathtub.unique_stg_orders_order_id.0123abc", "error", None),
    ]
    assert failure_sentence({"results": results}) == (
        "test flows_close: Got 3 results, configured to fail if != 0; test unique_stg_orders_order_id: "
    )


def test_many_failures_are_counted() -> None:
    results = [_result(f"model.bathtub.m{i}", "error", "broken") for i in range(5)]
    assert failure_sentence({"results": results}) == "model m0: broken; model m1: broken; model m2: broken (and 2 more)"


def test_no_result_at_all_is_said_so() -> None:
    assert failure_sentence({"results": []}) == "dbt stopped before it ran anything"
    assert failure_sentence({"results": []}, stopped="no profile") == "dbt stopped before it ran anything: no profile"


@pytest.mark.parametrize(
    ("results", "stopped", "expected"),
    [
        ([_result("model.bathtub.m", "error", "IO Error: no space left")], "", True),
        ([_result("model.bathtub.m", "error", "Binder Error: no such column")], "", False),
        ([], "Connection Error: refused", True),
        ([], "Compilation Error: no such macro", False),
    ],
)
def test_what_may_pass_when_tried_again(results: list[dict[str, Any]], stopped: str, expected: bool) -> None:
    assert may_pass_later({"results": results}, stopped=stopped) is expected


# ---- dbt in this process ---------------------------------------------------------------------------------------------


@pytest.fixture
def run(home: Home, project: Path) -> Callable[[str], tuple[DbtRun, list[str]]]:
    """Builds the project of one model with that SQL; returns what it came to, and the events seen."""

    def build(sql: str) -> tuple[DbtRun, list[str]]:
        (project / "models" / "one.sql").write_text(sql, encoding="utf-8")
        settings, seen = home.settings(), []
        working_copy(settings.warehouse).parent.mkdir(exist_ok=True)
        ensure_manifest(settings)
        with environment(settings):
            run = run_dbt(["--quiet", "build"], home.folder / "run", lambda event: seen.append(event["info"]["name"]))
        return run, seen

    return build


def test_dbt_leaves_the_working_copy_closed(home: Home, run: Callable[[str], tuple[DbtRun, list[str]]]) -> None:
    done, seen = run("{{ config(materialized='table') }} select 2 as i")
    assert (done.succeeded, done.error, seen) == (True, "", ["LogModelResult"])
    # DuckDB refuses a second way of opening a file that this process holds open.
    with duckdb.connect(str(working_copy(home.warehouse)), read_only=True) as con:
        assert con.execute("from one").fetchall() == [(2,)]


def test_a_model_that_fails_is_a_result_and_leaves_its_log(home: Home, run: Callable[[str], tuple[DbtRun, list[str]]]) -> None:
    done, seen = run("{{ config(materialized='table') }} select nothing as i")
    assert (done.succeeded, seen) == (False, ["LogModelResult"])
    assert failure_sentence(done.results).startswith("model one: Runtime Error in model one (models/one.sql) Binder Error")
    assert {"dbt.log", "run_results.json"} <= {path.name for path in (home.folder / "run").iterdir()}


def test_dbt_that_cannot_begin_says_why(home: Home, project: Path) -> None:
    ensure_manifest(home.settings())
    (project / "profiles.yml").write_text("other: {}\n", encoding="utf-8")
    with environment(home.settings()):
        done = run_dbt(["--quiet", "build"], home.folder / "run", lambda event: None)
    assert not done.succeeded
    assert "Could not find profile named 'bathtub'" in done.error


def test_an_interrupt_cancels_the_query(home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "models" / "one.sql").write_text(
        "{{ config(materialized='table') }} "
        "select count(*) as n from range(10000000) as a, range(10000000) as b where a.range % 7 = b.range % 11",
        encoding="utf-8",
    )
    monkeypatch.setattr(module, "EVENTS", ("LogStartLine",))
    handler, settings = signal.getsignal(signal.SIGINT), home.settings()
    working_copy(settings.warehouse).parent.mkdir()
    ensure_manifest(settings)
    with environment(settings), pytest.raises(KeyboardInterrupt):
        run_dbt(
            ["--quiet", "build"], home.folder / "run", lambda event: Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
        )
    assert signal.getsignal(signal.SIGINT) is handler
    duckdb.connect(str(working_copy(home.warehouse)), read_only=True).close()
