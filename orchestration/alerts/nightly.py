"""The alerts in Dagster: checks on the assets they judge, the nightly job and its schedule, sensors for runs."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetSelection,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Failure,
    RunsFilter,
    RunStatusSensorContext,
    ScheduleDefinition,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    define_asset_job,
    in_process_executor,
    multi_asset_check,
    run_status_sensor,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.messages import observed_against, place
from orchestration.alerts.model import Check, Finding, Severity, Status
from orchestration.alerts.observe import FEEDS
from orchestration.alerts.store import Store
from orchestration.settings import ConfigurationError, Settings
from orchestration.warehouse import WarehouseError

JOB = "nightly_checks"
CLOSE_JOB = "monthly_close"
# Checks of one feed only; the others look at each.
ONE_FEED = {
    "bounce_spike": "events",
    "complaint_spike": "events",
    "unsubscribe_spike": "consents",
    "optin_stock_fall": "consents",
    "mass_deletion": "customers",
    "source_mix_shift": "customers",
    "ingest_failed": "customers",
}
MOST_PLACES = 10
MISSED_AFTER = timedelta(hours=26)
WATCH_SECONDS = 900
SCHEDULED = "dagster/schedule_name"

progress_log = logging.getLogger("bathtub")


def specs() -> list[AssetCheckSpec]:
    """Return the checks by the asset they judge: those of feeds on raw tables, those of marts on the first they spoil."""
    found = []
    for check in catalogue().values():
        if check.subject == "feeds":
            feeds = [ONE_FEED[check.code]] if check.code in ONE_FEED else [feed.name for feed in FEEDS]
            keys = [AssetKey(["raw", feed]) for feed in feeds]
        elif check.subject == "marts":
            keys = [AssetKey(["marts", check.marts[0]])]
        else:
            continue
        found += [AssetCheckSpec(check.code, asset=key, description=check.titles["en"]) for key in keys]
    return found


def check_keys() -> list[AssetCheckKey]:
    """Return the keys of the nightly checks, which the close leaves to the night."""
    return [spec.key for spec in specs()]


def nightly_asset_checks(settings: Settings) -> AssetChecksDefinition:
    """Return the step of the nightly job: ingest, observe, judge, record and tell."""

    @multi_asset_check(name="judge_last_night", specs=specs(), can_subset=False)
    def judge_last_night(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        """Bring the feeds in and judge the last whole local day; messages have left when the step ends."""
        from orchestration.alerts.night import heartbeat, run_night

        try:
            with heartbeat(settings):
                night = run_night(settings, datetime.now(UTC), context.run.run_id, context.log.info)
        except (ConfigurationError, WarehouseError) as error:
            raise Failure(str(error), allow_retries=False) from error
        for spec in specs():
            yield result_of(spec, catalogue()[spec.name], night.findings)

    return judge_last_night


def result_of(spec: AssetCheckSpec, check: Check, findings: Sequence[Finding]) -> AssetCheckResult:
    """Return what the findings of a check say of an asset: numbers by place, no value of a person."""
    table = spec.asset_key.path[-1]
    own = [f for f in findings if f.check.code == check.code and f.scope.get("feed", table) == table]
    bad = sorted((f for f in own if not f.is_good), key=lambda f: -f.severity.rank)
    severity = AssetCheckSeverity.ERROR if any(f.severity is Severity.CRITICAL for f in bad) else AssetCheckSeverity.WARN
    places = {place(f, "en") or check.code: observed_against(f, "en") for f in bad[:MOST_PLACES]}
    could_run = bool(own) and not any(f.status is Status.UNKNOWN for f in own)
    return AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=could_run and not bad,
        severity=severity,
        metadata={"judged_places": sum(1 for f in own if f.scope), "failed_places": len(bad), **places},
        description="; ".join(f"{where}: {what}" for where, what in places.items()) if bad else ("" if own else "Not judged."),
    )


nightly_checks = define_asset_job(
    JOB,
    AssetSelection.checks(*check_keys()),
    description="Bring the raw files in, observe the feeds, judge feeds and marts, send what is to be told.",
    executor_def=in_process_executor,
)


def nightly_schedule(settings: Settings) -> ScheduleDefinition:
    """Return the schedule of the nightly checks, in the reporting zone, on by default."""
    return ScheduleDefinition(
        name="nightly_checks_schedule",
        description="Judges the last whole day, after the feeds of the night have come.",
        job=nightly_checks,
        cron_schedule=f"0 {settings.vars.alerts.hour} * * *",
        execution_timezone=settings.vars.reporting_timezone,
        default_status=DefaultScheduleStatus.RUNNING,
    )


def sensors(settings: Settings, jobs: Sequence[UnresolvedAssetJobDefinition]) -> list[SensorDefinition]:
    """Return the sensors, on by default: a run that failed, a run that succeeded again, a night that did not take place."""

    @run_status_sensor(
        run_status=DagsterRunStatus.FAILURE,
        name="failed_runs",
        description="Alerts when a run of the close or of the nightly checks fails.",
        monitored_jobs=list(jobs),
        default_status=DefaultSensorStatus.RUNNING,
    )
    def failed_runs(context: RunStatusSensorContext) -> None:
        _tell_of_run(settings, "run_failed", context.dagster_run.job_name, context.dagster_run.run_id, is_good=False)

    @run_status_sensor(
        run_status=DagsterRunStatus.SUCCESS,
        name="succeeded_runs",
        description="Ends the alert of a failed run when the same job succeeds.",
        monitored_jobs=list(jobs),
        default_status=DefaultSensorStatus.RUNNING,
    )
    def succeeded_runs(context: RunStatusSensorContext) -> None:
        for code in ("run_failed", "schedule_missed"):
            _tell_of_run(settings, code, context.dagster_run.job_name, context.dagster_run.run_id, is_good=True)

    @sensor(
        name="missed_nights",
        description="Alerts when the nightly checks have not run for 26 hours, and sends what waits for a destination.",
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
    )
    def missed_nights(context: SensorEvaluationContext) -> SkipReason:
        now = datetime.now(UTC)
        watched_since = datetime.fromisoformat(context.cursor) if context.cursor else now
        context.update_cursor(watched_since.isoformat())
        last = context.instance.get_run_records(RunsFilter(job_name=JOB), limit=1)
        ran_at = max([watched_since, *(record.create_timestamp.astimezone(UTC) for record in last)])
        if now - ran_at > MISSED_AFTER:
            _tell_of_run(settings, "schedule_missed", JOB, "missed_nights", is_good=False)
        _send_what_waits(settings, now)
        return SkipReason(f"The nightly checks ran, or were watched from, {ran_at:%Y-%m-%d %H:%M} UTC on.")

    return [failed_runs, succeeded_runs, missed_nights]


def _tell_of_run(settings: Settings, code: str, job: str, run_id: str, is_good: bool) -> None:
    """Record and tell that a run failed or succeeded; a success of which nobody complained says nothing.

    A sensor that raises never sees its run again: what goes wrong here is logged, and the next night tells what still waits.
    """
    from orchestration.alerts.night import judged_day, tell_of_run

    now = datetime.now(UTC)
    check = catalogue()[code]
    night = judged_day(settings, now)
    status = Status.PASSED if is_good else Status.FAILED
    finding = Finding(check, {"job": job}, status, check.severity, night)
    try:
        with Store.open(settings.alerts_dir) as store:
            is_known = any(incident.fingerprint == finding.fingerprint for incident in store.open_incidents())
        if not is_good or is_known:
            tell_of_run(settings, finding, run_id, now)
    except Exception:
        progress_log.exception("The alert %s of the job %s could not be recorded.", code, job)


def _send_what_waits(settings: Settings, now: datetime) -> None:
    from orchestration.alerts.outbox import deliver

    with Store.open(settings.alerts_dir) as store:
        if store.waiting():
            deliver(settings, store, now)
