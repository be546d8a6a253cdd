"""What is hostile in a setting or a file, what is secret, and who may read what holds people."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from orchestration import audit
from orchestration.cli import main
from orchestration.month_files import months_dir
from orchestration.publish import PublishError
from orchestration.publish.embedded import embedded_server
from orchestration.run import PROCESS, end_killed_runs, open_instance
from orchestration.settings import ConfigurationError, load_settings
from orchestration.spreadsheets import as_plain_text, as_plain_text_sql
from orchestration.warehouse import building_dir, working_copy, writing
from tests.orchestration.conftest import MONTHS, Built, Home

HOSTILE = "x'); drop schema marts cascade; --"


# ---- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        {"profile_fields": [{"name": HOSTILE}]},
        {"profile_fields": [{"name": 'email"'}]},
        {"profile_fields": [{"name": "email", "columns": [HOSTILE]}]},
        {"profile_fields": [{"name": "email", "kind": HOSTILE}]},
        {"channels": {HOSTILE: "email"}},
        {"channels": {"email": HOSTILE}},
        {"reporting_timezone": HOSTILE},
        {"report_language": HOSTILE},
        {"phone_regions": [HOSTILE]},
        {"first_month": HOSTILE},
        {"history_loaded_until": HOSTILE},
        {"placeholders": {"values": [], "birth_dates": [HOSTILE], "email_local_parts": []}},
        {"alerts": {"bounds": {HOSTILE: 1}}},
        {"active_within_days": HOSTILE},
    ],
    ids=lambda overrides: next(iter(overrides)),
)
def test_a_name_that_would_be_sql_is_refused(overrides: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="BATHTUB_VARS"):
        load_settings({"BATHTUB_VARS": json.dumps(overrides)})


def test_a_memory_limit_that_would_be_sql_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="BATHTUB_MEMORY_LIMIT"):
        load_settings({"BATHTUB_MEMORY_LIMIT": "1GB'; drop schema marts; --"})


def test_a_folder_that_a_shell_would_read_is_refused(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with pytest.raises(PublishError, match="BATHTUB_POSTGRES_DIR"), embedded_server(tmp_path / f"a;touch {touched}"):
        pass
    assert not touched.exists()


@pytest.mark.slow
def test_words_and_paths_with_quotes_are_taken_as_they_are(tmp_path: Path, dbt_target: Path, blank: Home) -> None:
    home = Home(tmp_path / 'o\'h "x"; drop schema marts; --', dbt_target)
    home.folder.mkdir()
    home.raw.symlink_to(blank.raw)
    words = [HOSTILE, "site_visit"]
    names = ("activity_event_types", "order_statuses_not_counted", "contract_statuses_not_counted")
    overrides: dict[str, object] = dict.fromkeys(names, words)
    overrides["placeholders"] = {"values": [HOSTILE], "birth_dates": ["1900-01-01"], "email_local_parts": [HOSTILE]}
    more = {"BATHTUB_VARS": json.dumps(overrides)}
    built = home.command("build", "--to", MONTHS[0], **more)
    assert built.returncode == 0, built.stdout + built.stderr
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        rows = connection.execute("select n_profiles from marts.base_overview_monthly where source = 'all'").fetchall()
    assert rows == [(10,)]
    for command in (("report",), ("retention-export",), ("backup",)):
        done = home.command(*command, **more)
        assert done.returncode == 0, done.stderr


# ---- what a spreadsheet computes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+2", "@sum(a1)", "\t=1", "\r=1", "web=1", "", "'=1", "été"])
def test_a_text_that_begins_like_a_formula_is_kept_as_text_alike_in_python_and_sql(text: str) -> None:
    plain = as_plain_text(text)
    assert plain == (f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text)
    with duckdb.connect() as connection:
        query = f"select {as_plain_text_sql('t')} from (select ? as t)"
        assert connection.execute(query, [text]).fetchall() == [(plain,)]


# ---- secrets ---------------------------------------------------------------------------------------------------------

CANARY = "canary7f3a"
SECRETS = {
    "BATHTUB_POSTGRES_DSN": f"postgresql://publisher:{CANARY}@127.0.0.1:1/bi?connect_timeout=2",
    "BATHTUB_ALERT_URLS": f"jsons://user:{CANARY}@127.0.0.1:1/{CANARY}",
    "BATHTUB_HEARTBEAT_URL": f"http://127.0.0.1:1/{CANARY}",
    "BATHTUB_PUBLISH_DIR": f"nosuchplace://key:{CANARY}@bucket/marts?token={CANARY}",
}
UNREADABLE = {
    "BATHTUB_POSTGRES_DSN": f"postgresql://publisher:{CANARY}@[bad/bi",
    "BATHTUB_ALERT_URLS": f"no-tag:=={CANARY}",
    "BATHTUB_HEARTBEAT_URL": f"{CANARY} is no url",
    "BATHTUB_PUBLISH_DIR": f"nosuchplace://key:{CANARY}@bucket/marts",
}


def _where_it_was_written(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "command", [("publish",), ("query", "select 1"), ("alerts", "test"), ("alerts", "deliver"), ("build", "--to", MONTHS[-1])],
    ids=" ".join,
)  # fmt: skip
def test_secrets_are_nowhere_in_what_a_command_says_or_writes(built: Built, tmp_path: Path, command: tuple[str, ...]) -> None:
    home = built.copy_to(tmp_path / "home")
    done = home.command(*command, **SECRETS)
    assert CANARY not in done.stdout + done.stderr
    assert _where_it_was_written(home.folder) == []


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_secret_that_cannot_be_read_is_not_repeated(built: Built, tmp_path: Path, name: str) -> None:
    home = built.copy_to(tmp_path / "home")
    command = ("alerts", "test") if name == "BATHTUB_ALERT_URLS" else ("publish",)
    more = {"BATHTUB_POSTGRES_DSN": SECRETS["BATHTUB_POSTGRES_DSN"], name: UNREADABLE[name]}
    done = home.command(*command, **more)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("Error: ")
    assert CANARY not in done.stdout + done.stderr
    assert _where_it_was_written(home.folder) == []


@pytest.mark.slow
def test_secrets_are_nowhere_in_dagsters_folder_nor_dbts_after_a_close_that_could_not_publish(
    built: Built, tmp_path: Path
) -> None:
    home = built.copy_to(tmp_path / "home")
    done = home.command("build", "--from", MONTHS[-1], "--to", MONTHS[-1], "--verbose", **SECRETS)
    assert CANARY not in done.stdout + done.stderr
    assert _where_it_was_written(home.folder) == []
    assert _where_it_was_written(home.dbt_target) == []
    assert list((home.folder / "dagster").rglob("*.db"))


# ---- who may read and who may connect ---------------------------------------------------------------------------------


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_holds_people_is_their_owners_alone(built: Built) -> None:
    home = built.home
    before = os.umask(0o022)
    try:
        with writing(home.settings(), "test"):
            assert _mode(building_dir(home.warehouse)) == 0o700
            assert _mode(working_copy(home.warehouse)) == 0o600
    finally:
        os.umask(before)
    assert _mode(home.warehouse) == 0o600
    folder = months_dir(home.warehouse)
    assert _mode(folder) == 0o700
    assert {_mode(path) for path in folder.rglob("*.parquet")} == {0o600}


def test_the_report_is_as_any_file_of_the_user(built: Built) -> None:
    assert _mode(built.home.folder / "reports" / "latest.html") == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("args", "host"), [([], ["127.0.0.1"]), (["--port", "3001"], ["127.0.0.1"]), (["--host", "192.0.2.1"], ["192.0.2.1"])]
)
def test_dagsters_page_is_on_the_loopback_unless_somebody_says_otherwise(
    home: Home, monkeypatch: pytest.MonkeyPatch, args: list[str], host: list[str]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: ran.append(command))
    monkeypatch.setattr(os, "chdir", lambda _: None)
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["dev", *args])
    assert result.exit_code == 0, result.output
    (command,) = ran
    assert [command[i + 1] for i, word in enumerate(command) if word == "--host"] == host


# ---- runs that were killed --------------------------------------------------------------------------------------------


def test_a_run_whose_command_was_killed_is_no_longer_under_way(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from dagster import DagsterRunStatus
    from dagster._core.test_utils import create_run_for_test

    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    here, gone = socket.gethostname(), _process_that_is_gone(home)
    processes = {"killed": f"{here}/{gone}", "alive": f"{here}/{os.getpid()}", "elsewhere": f"other/{gone}"}
    with open_instance(home.settings()) as instance:
        runs = {
            name: create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags={PROCESS: process})
            for name, process in processes.items()
        }
        untagged = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
        end_killed_runs(instance)
        found = {name: run.status for name, run in ((n, instance.get_run_by_id(r.run_id)) for n, r in runs.items()) if run}
        other = instance.get_run_by_id(untagged.run_id)
    started, failed = DagsterRunStatus.STARTED, DagsterRunStatus.FAILURE
    assert found == {"killed": failed, "alive": started, "elsewhere": started}
    assert other is not None and other.status is started


def _process_that_is_gone(home: Home) -> int:
    return int(home.run("-c", "import os; print(os.getpid())").stdout)


# ---- the audit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "told"),
    [
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, 0, "1 packages, no known vulnerability"),
        ({"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}, 1, "CVE-1"),
        ({"dependencies": [{"name": "a", "skip_reason": "not found"}]}, 3, "NOT CHECKED, 1 of 1 packages"),
        ({"dependencies": []}, 3, "NOT CHECKED"),
        ("", 3, "NOT CHECKED, the service of vulnerabilities cannot be reached (no route)"),
    ],
)
def test_an_audit_that_could_not_check_is_no_pass(said: object, status: int, told: str) -> None:
    answer = audit.answer("base", json.dumps(said) if said else "", "no route")
    assert answer.status == status
    assert told in answer.lines[0]
