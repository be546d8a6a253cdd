"""The nightly job and its sensors, in Dagster, on a real base."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    AssetCheckSeverity,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    Failure,
    build_run_status_sensor_context,
    build_sensor_context,
    job,
    op,
)

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.incidents import Run, record
from orchestration.alerts.model import Finding, Status
from orchestration.alerts.nightly import CLOSE_JOB, JOB, MISSED_AFTER, result_of, sensors, specs
from orchestration.alerts.outbox import recipients
from orchestration.alerts.store import Store
from orchestration.settings import Settings, load_settings
from tests.orchestration.conftest import Home

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


def test_a_failed_run_alerts_and_the_next_success_ends_it(settings: Settings, instance: DagsterInstance) -> None:
    failed, succeeded, _ = sensors(settings, [])
    failure = _run(instance, fails=True)
    failed(build_run_status_sensor_context("failed_runs", failure.get_run_failure_event(), instance, failure.dagster_run))
    assert _open(settings) == {"run_failed/job=monthly_close": "open"}
    success = _run(instance, fails=False)
    succeeded(build_run_status_sensor_context("succeeded_runs", success.get_run_success_event(), instance, success.dagster_run))
    assert _open(settings) == {}


def _run(instance: DagsterInstance, fails: bool) -> ExecuteInProcessResult:
    @op
    def step() -> None:
        if fails:
            raise Failure("It failed.")

    @job(name=CLOSE_JOB)
    def close() -> None:
        step()

    return close.execute_in_process(instance=instance, raise_on_error=False)


def test_a_night_that_did_not_take_place_alerts_and_waiting_messages_leave(
    settings: Settings, instance: DagsterInstance
) -> None:
    *_, missed = sensors(settings, [])
    check = catalogue()["future_dates"]
    finding = Finding(check, {"feed": "orders"}, Status.FAILED, check.severity, YESTERDAY, observed=3, high=0)
    with Store.open(settings.alerts_dir) as store:
        record(store, [finding], Run("night", datetime.now(UTC), YESTERDAY, {"feeds"}), recipients(settings))
        assert len(store.waiting()) == 1
    missed(build_sensor_context(instance, cursor=datetime.now(UTC).isoformat()))
    assert "schedule_missed/job=nightly_checks" not in _open(settings)
    with Store.open(settings.alerts_dir) as store:
        assert not store.waiting()
    before = (datetime.now(UTC) - MISSED_AFTER - timedelta(minutes=1)).isoformat()
    missed(build_sensor_context(instance, cursor=before))
    assert _open(settings)["schedule_missed/job=nightly_checks"] == "open"
