"""The nightly job in Dagster, on a real base, and what its findings look like on the assets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    AssetCheckSeverity,
    DagsterInstance,
    DefaultScheduleStatus,
    Definitions,
)

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.model import Finding, Severity, Status
from orchestration.alerts.nightly import JOB, evaluations, nightly_schedule, result_of, specs
from orchestration.alerts.store import Store
from orchestration.settings import Settings, load_settings
from tests.orchestration.conftest import Home

OBSERVED = "observed 7 rows, expected 10 to 20 rows"
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture
def settings(closed: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("BATHTUB_ALERTS_DIR", str(tmp_path / "alerts"))
    return load_settings()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def _open(settings: Settings) -> dict[str, str]:
    with Store.open(settings.alerts_dir) as store:
        return {incident.fingerprint: str(incident.state) for incident in store.open_incidents()}


def test_a_night_judges_every_check_and_opens_what_is_wrong(
    settings: Settings, definitions: Definitions, instance: DagsterInstance
) -> None:
    result = definitions.resolve_job_def(JOB).execute_in_process(instance=instance)
    assert result.success
    judged = {(e.asset_key.to_user_string(), e.check_name): e for e in result.get_asset_check_evaluations()}
    assert len(judged) == len(specs())
    # The base ends in April 2024, and four months of it are closed: the next one is long overdue.
    overdue = judged["marts/base_overview_monthly", "month_not_closed"]
    assert (overdue.passed, overdue.severity) == (False, AssetCheckSeverity.ERROR)
    assert overdue.metadata["failed_places"].value == 1
    assert judged["marts/flows_monthly", "flows_do_not_close"].passed
    assert _open(settings) == {"month_not_closed/month=2024-05": "open"}
    assert (settings.alerts_dir / "alerts.html").exists()
    assert len(list((settings.alerts_dir / "results").glob("*.json"))) == 1


def test_a_check_that_could_not_run_is_not_green() -> None:
    check = catalogue()["orphans"]
    spec = next(spec for spec in specs() if spec.name == "orphans")
    unknown = Finding(check, {}, Status.UNKNOWN, check.severity, YESTERDAY, detail="KeyError")
    passed = Finding(check, {}, Status.PASSED, check.severity, YESTERDAY)
    assert not result_of(spec, check, [unknown]).passed
    assert not result_of(spec, check, []).passed
    assert result_of(spec, check, [passed]).passed


def _of(code: str, status: Status, **scope: str) -> Finding:
    check = catalogue()[code]
    return Finding(check, scope, status, check.severity, YESTERDAY, observed=7, low=10, high=20)


def test_a_finding_is_shown_on_the_asset_that_it_judges_and_no_other() -> None:
    found = evaluations([_of("orphans", Status.FAILED, feed="orders"), _of("orphans", Status.PASSED, feed="events")])
    passed = {e.asset_key.path[-1]: e.passed for e in found if e.check_name == "orphans"}
    # Of customers and consents nothing was judged: that is not green.
    assert passed == {"customers": False, "orders": False, "events": True, "consents": False}
    assert {e.check_name for e in found} == {"orphans"}


def test_a_critical_finding_is_an_error_and_a_warning_only_warns() -> None:
    warmed = _of("source_missing", Status.FAILED, feed="orders", source="till")
    results = [evaluations([finding]) for finding in (warmed, replace(warmed, severity=Severity.WARNING))]
    severities = [next(e.severity for e in of if e.asset_key.path[-1] == "orders") for of in results]
    assert severities == [AssetCheckSeverity.ERROR, AssetCheckSeverity.WARN]


def test_the_metadata_of_a_check_hold_numbers_by_place_and_hide_what_is_no_name() -> None:
    named = _of("source_missing", Status.FAILED, feed="orders", source="till")
    hidden = replace(named, scope={"feed": "orders", "source": "ann.lee@example.org"})
    (found,) = [e for e in evaluations([named, hidden]) if e.asset_key.path[-1] == "orders"]
    assert {name: value.value for name, value in found.metadata.items()} == {
        "judged_places": 2,
        "failed_places": 2,
        "feed orders, source till": OBSERVED,
        "feed orders, source (hidden)": OBSERVED,
    }
    assert "ann.lee" not in str(found)


@pytest.mark.parametrize(("hour", "zone"), [(6, "Europe/Paris"), (0, "America/New_York")])
def test_the_schedule_ticks_at_the_hour_of_the_alerts_in_the_reporting_zone(home: Home, hour: int, zone: str) -> None:
    schedule = nightly_schedule(home.settings(BATHTUB_VARS=f"{{reporting_timezone: {zone}, alerts: {{hour: {hour}}}}}"))
    assert (schedule.cron_schedule, schedule.execution_timezone) == (f"0 {hour} * * *", zone)
    assert schedule.default_status is DefaultScheduleStatus.RUNNING
    assert schedule.job_name == JOB
