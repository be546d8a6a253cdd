"""`make challenges`, as a user meets it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from orchestration.cli import log, main

Run = Callable[..., Result]
ROWS = [
    ("2024-03-01", "optin_cliff", "all", "info", 950, 1000, 1, 0.99, 1000),
    ("2024-04-01", "optin_cliff", "all", "info", 900, 1000, 2, 0.99, 1000),
    ("2024-04-01", "optin_cliff", "web", "critical", 500, 1000, 1, 1, 1000),
    ("2024-04-01", "concentration", "web", "warning", 0.7, 0.5, 9, 1, 1000),
    ("2024-04-01", "channel_not_contactable_sms", "all", "warning", 0.9, 0.8, 24, 1, 1000),
]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """A warehouse with three closed months, of which two have findings."""
    file = tmp_path / "bathtub.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute("create schema ops; create schema marts")
        con.execute("create table ops.warehouse (raw_dir varchar, history_loaded_until timestamp, first_month date)")
        con.execute("insert into ops.warehouse values ('raw', null, '2024-02-01')")
        con.execute("create table ops.closed_months (snapshot_month date, closed_at timestamp, run_id varchar)")
        con.execute("insert into ops.closed_months select unnest(['2024-02-01', '2024-03-01', '2024-04-01']::date[]), null, ''")
        con.execute(
            "create table marts.challenges_monthly (snapshot_month date, challenge_code varchar, source varchar, "
            "severity varchar, observed double, baseline double, n_evidence_months bigint, confidence double, "
            "n_profiles bigint)"
        )
        con.executemany("insert into marts.challenges_monthly values (?, ?, ?, ?, ?, ?, ?, ?, ?)", ROWS)
    return file


@pytest.fixture
def run(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command in this process on that warehouse."""
    monkeypatch.setenv("BATHTUB_WAREHOUSE", str(warehouse))
    monkeypatch.setenv("BATHTUB_TARGET", "duckdb")
    monkeypatch.delenv("BATHTUB_VARS", raising=False)
    handlers, level = log.handlers[:], log.level
    yield lambda *args: CliRunner().invoke(main, ["challenges", *args])
    log.handlers[:], log.propagate = handlers, True
    log.setLevel(level if level else logging.NOTSET)


def _titles(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line for line in result.output.splitlines() if line.startswith(("CRIT", "WARN", "INFO", "ALERTE"))]


def test_the_latest_month_is_told_the_most_severe_first_then_the_whole_base(run: Run) -> None:
    assert _titles(run("--language", "en")) == [
        "CRITICAL  Opt-ins fall off a cliff (source “web”)",
        "WARNING  Channel that reaches few: SMS (whole base)",
        "WARNING  Acquisition hangs on one source (source “web”)",
        "INFORMATION  Opt-ins fall off a cliff (whole base)",
    ]


def test_each_finding_has_its_sentence_its_evidence_and_its_action(run: Run) -> None:
    assert run("--language", "en", "--month", "2024-03").output.splitlines() == [
        "Challenges of the base: March 2024",
        "",
        "INFORMATION  Opt-ins fall off a cliff (whole base)",
        "  Profiles opted in on at least one channel go from 1,000 in February 2024 to 950 in March 2024: 5% fewer.",
        "  For 1 month. Confidence 99%, on 1,000 profiles.",
        "  → Check the feed of consents, then the pressure of campaigns and the opt-outs of the month.",
    ]


def test_french_is_the_default_and_the_var_changes_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run().output.startswith("Défis de la base\u00a0: avril 2024\n")
    monkeypatch.setenv("BATHTUB_VARS", "{report_language: en}")
    assert run().output.startswith("Challenges of the base: April 2024\n")


def test_a_month_without_findings_says_so(run: Run) -> None:
    assert run("--month", "2024-02", "--language", "en").output.splitlines()[2].startswith("None: ")


def test_a_month_that_is_not_closed_is_refused_in_one_sentence(run: Run) -> None:
    result = run("--month", "2024-05")
    assert result.exit_code == 1
    assert result.output == "Error: 2024-05 is not closed; choose a month from 2024-02 to 2024-04.\n"


def test_nothing_closed_is_refused_in_one_sentence(run: Run, warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as con:
        con.execute("delete from ops.closed_months")
    result = run()
    assert result.exit_code == 1
    assert result.output.startswith("Error: No month is closed yet")
