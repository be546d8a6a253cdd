"""`make alerts`, as the person on call meets it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestration.alerts.incidents import Run, record
from orchestration.alerts.model import Severity
from orchestration.alerts.outbox import recipients
from orchestration.alerts.store import Store
from orchestration.cli import log, main
from orchestration.settings import PROJECT_ROOT, load_settings
from tests.alerts.found import Found, check, free_port, morning, night
from tests.alerts.sinks import WebSink

Command = Callable[..., Result]
VOLUME = Found()
LATE = Found(check("feed_late", Severity.CRITICAL, "data"), {"feed": "events"})


@pytest.fixture
def alerts(tmp_path: Path, http: WebSink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs `alerts` in this process on two open incidents that nobody was told of yet."""
    monkeypatch.setenv("BATHTUB_WAREHOUSE", str(tmp_path / "bathtub.duckdb"))
    monkeypatch.setenv("BATHTUB_ALERTS_DIR", str(tmp_path / "alerts"))
    monkeypatch.setenv("BATHTUB_ALERT_URLS", http.url)
    monkeypatch.setenv("BATHTUB_VARS", "{report_language: en}")
    settings = load_settings()
    with Store.open(settings.alerts_dir) as store:
        run = Run("run", morning(0), night(0), ("feeds",))
        record(store, [VOLUME.failed(0, since=night(0)), LATE.failed(0)], run, recipients(settings))
    handlers, level = log.handlers[:], log.level
    yield lambda *args: CliRunner().invoke(main, ["alerts", *args])
    log.handlers[:], log.propagate = handlers, True
    log.setLevel(level if level else logging.NOTSET)


def _output(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output.replace("\u00a0", " ")


def test_without_a_command_the_open_incidents_are_listed_the_worst_first(alerts: Command) -> None:
    lines = _output(alerts()).splitlines()
    assert lines[0] == "#2    critical, open · Volume of the day outside its band · feed events"
    assert lines[2] == "#1    warning, open · Volume of the day outside its band · feed orders, source web"
    assert lines[3].strip() == "observed 120 rows, expected 380 to 460 rows · since 2026-10-01 · crm"
    assert "2 open; what to do about each: docs/runbook.md" in lines
    assert "2 messages wait for a destination; send them now with: make alerts ALERT_ARGS=deliver" in lines


def test_the_language_is_chosen_by_an_option(alerts: Command) -> None:
    assert "#1    avertissement, ouvert · Volume du jour hors de sa plage · flux orders" in _output(alerts("--language", "fr"))


def test_where_nothing_is_wrong_it_says_so(alerts: Command) -> None:
    for number in ("1", "2"):
        alerts("noise", number)
    assert _output(alerts()).splitlines() == ["Nothing is open."]


def test_what_people_do_is_one_command_each_and_shows(alerts: Command) -> None:
    assert "#2 is acknowledged" in _output(alerts("ack", "2", "--by", "ana"))
    assert "#1 is silent until 2999-12-01" in _output(alerts("mute", "1", "--until", "2999-12-01", "--by", "bob"))
    listed = _output(alerts())
    assert "acknowledged by ana" in listed
    assert "muted until 2999-12-01" in listed
    _output(alerts("unmute", "1", "--by", "eve"))
    assert "muted until" not in _output(alerts()).split("#1")[1]
    shown = _output(alerts("show", "1"))
    assert [line.split()[2:] for line in shown.splitlines()[-2:]] == [
        ["muted", "by", "bob", "2999-12-01"],
        ["unmuted", "by", "eve"],
    ]
    assert "docs/runbook.md#volume_outside_band" in shown


def test_noise_ends_an_incident_and_history_keeps_the_verdict(alerts: Command) -> None:
    _output(alerts("noise", "1", "--by", "ana"))
    assert "source web" not in _output(alerts())
    assert ": noise" in _output(alerts("history"))
    assert "noise by ana" in _output(alerts("show", "1"))


def test_without_a_name_the_user_of_the_system_did_it(alerts: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "root-of-ci")
    _output(alerts("ack", "1"))
    assert "acknowledged by root-of-ci" in _output(alerts())


def test_deliver_sends_what_waits(alerts: Command, http: WebSink) -> None:
    assert "2 messages left, 0 wait." in _output(alerts("deliver"))
    assert len(http.received) == 2


def test_deliver_says_who_did_not_take_a_message(alerts: Command, http: WebSink) -> None:
    http.refuses = True
    result = alerts("deliver")
    assert result.exit_code == 1
    assert "Error: A message was not taken by json://127.0.0.1." in result.output


def test_test_tries_each_destination_and_says_what_happened(
    alerts: Command, http: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "json://127.0.0.1 took it." in _output(alerts("test"))
    assert [mail.subject for mail in http.received] == ["Bathtub: test message"]
    monkeypatch.setenv("BATHTUB_ALERT_URLS", f"{http.url} json://127.0.0.1:{free_port()}/secret")
    result = alerts("test")
    assert result.exit_code == 1
    assert "1 of 2 destinations did not take the test message" in result.output
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["ack", "7"], "There is no incident #7"),
        (["mute", "1", "--until", "soon"], "'soon' is not a day written YYYY-MM-DD"),
        (["mute", "1", "--until", "2020-01-01"], "2020-01-01 is over"),
        (["unmute", "1"], "#1 is not muted"),
    ],
)
def test_what_cannot_be_done_ends_in_one_sentence(alerts: Command, args: list[str], sentence: str) -> None:
    result = alerts(*args)
    assert result.exit_code != 0
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_the_commands_start_without_the_heavy_libraries() -> None:
    heavy = "{'dagster', 'great_expectations', 'dbt', 'apprise', 'pandas'}"
    code = f"import sys, orchestration.cli; print(sorted({heavy}.intersection(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
