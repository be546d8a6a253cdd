"""The scheduled runs under watch: sensors that tell of one that failed, or that did not take place, and that it is over."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRecord,
    RunsFilter,
    RunStatusSensorContext,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    run_status_sensor,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.heartbeat import Beat, ping
from orchestration.alerts.model import Finding, Status
from orchestration.alerts.nightly import nightly_checks
from orchestration.alerts.store import Incident, Store
from orchestration.close import plan
from orchestration.engine import engine_of
from orchestration.jobs import CLOSE_HOUR, monthly_close
from orchestration.months import add_months
from orchestration.settings import Settings

NIGHT, CLOSE = nightly_checks.name, monthly_close.name
RUN_FAILED, SCHEDULE_MISSED = "run_failed", "schedule_missed"
SCHEDULED = "dagster/schedule_name"

NIGHT_MISSED_AFTER = timedelta(hours=26)
CLOSE_MISSED_AFTER = timedelta(hours=2)
# A run that was killed with its machine stays unfinished for ever: it is a sign of life no longer than this.
LONGEST_NIGHT = timedelta(hours=6)
WATCH_SECONDS = 900
ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
UNDER_WAY = [DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.NOT_STARTED]
LATEST_RUNS = 20
LATEST_INCIDENTS = 200

progress_log = logging.getLogger("bathtub")


@dataclass(frozen=True)
class Standing:
    """How a scheduled job stands: `since` is when its trouble began, None where there is none."""

    code: str
    job: str
    since: datetime | None = None


def sensors(settings: Settings, jobs: Sequence[UnresolvedAssetJobDefinition]) -> list[SensorDefinition]:
    """Return the sensors of the scheduled jobs, on by default; without jobs, they look at the runs of all."""

    @run_status_sensor(
        run_status=DagsterRunStatus.STARTED,
        name="started_runs",
        description="Tells the dead man's switch that a scheduled run starts.",
        monitored_jobs=list(jobs),
        default_status=DefaultSensorStatus.RUNNING,
    )
    def started_runs(context: RunStatusSensorContext) -> None:
        _beat(settings, context.dagster_run, "start")

    @run_status_sensor(
        run_status=DagsterRunStatus.FAILURE,
        name="failed_runs",
        description="Alerts when a run of the close or of the nightly checks fails.",
        monitored_jobs=list(jobs),
        default_status=DefaultSensorStatus.RUNNING,
    )
    def failed_runs(context: RunStatusSensorContext) -> None:
        run, now = context.dagster_run, datetime.now(UTC)
        _beat(settings, run, "fail")
        _settle(settings, [Standing(RUN_FAILED, run.job_name, now)], run.run_id, now, is_event=True)

    @run_status_sensor(
        run_status=DagsterRunStatus.SUCCESS,
        name="succeeded_runs",
        description="Ends the alerts of a job when a run of it succeeds.",
        monitored_jobs=list(jobs),
        default_status=DefaultSensorStatus.RUNNING,
    )
    def succeeded_runs(context: RunStatusSensorContext) -> None:
        run = context.dagster_run
        _beat(settings, run, "success")
        good = [Standing(code, run.job_name) for code in (RUN_FAILED, SCHEDULE_MISSED)]
        _settle(settings, good, run.run_id, datetime.now(UTC))

    @sensor(
        name="scheduled_runs",
        description="Alerts when the nightly checks or the close did not take place, and sends what waits for a destination.",
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
    )
    def scheduled_runs(context: SensorEvaluationContext) -> SkipReason:
        now = datetime.now(UTC)
        # Nothing is missed before somebody watches.
        watched_since = datetime.fromisoformat(context.cursor) if context.cursor else now
        context.update_cursor(watched_since.isoformat())
        found = list(standings(settings, context.instance, watched_since, now))
        _settle(settings, found, "scheduled_runs", now)
        _send_what_waits(settings, now)
        bad = [f"{standing.code} of {standing.job}" for standing in found if standing.since]
        return SkipReason(f"{', '.join(bad)}: see make alerts." if bad else "The scheduled runs took place.")

    return [started_runs, failed_runs, succeeded_runs, scheduled_runs]


# ---- how the jobs stand -----------------------------------------------------------------------------------------------


def standings(settings: Settings, instance: DagsterInstance, watched_since: datetime, now: datetime) -> Iterator[Standing]:
    """Yield how the scheduled jobs stand, as far as it can be told; also what an event that a sensor lost would have told."""
    for job in (NIGHT, CLOSE):
        if (last := _last_result(instance, job)) is not None:
            has_failed = last.dagster_run.status is DagsterRunStatus.FAILURE
            yield Standing(RUN_FAILED, job, _ended_at(last) if has_failed else None)
    missed_from = max(watched_since, *_signs_of_life(instance, now)) + NIGHT_MISSED_AFTER
    yield Standing(SCHEDULE_MISSED, NIGHT, missed_from if now > missed_from else None)
    tick = last_close_tick(settings, now)
    if watched_since <= tick and now - tick > CLOSE_MISSED_AFTER:
        try:
            is_missed = not _has_run(instance, CLOSE, tick) and _has_open_months(settings, now)
        except Exception:
            # Also a cluster that does not answer; the rest of the watch goes on.
            progress_log.exception("Whether the close of %s was missed cannot be told now.", f"{tick:%Y-%m-%d}")
            return
        yield Standing(SCHEDULE_MISSED, CLOSE, tick + CLOSE_MISSED_AFTER if is_missed else None)


def last_close_tick(settings: Settings, now: datetime) -> datetime:
    """Return when the schedule of the close last ticked."""
    zone, day = settings.vars.zone, 1 + settings.vars.closing_grace_days
    local = now.astimezone(zone)
    month = local.date().replace(day=1)
    tick = datetime(month.year, month.month, day, CLOSE_HOUR, tzinfo=zone)
    if tick <= local:
        return tick
    before = add_months(month, -1)
    return datetime(before.year, before.month, day, CLOSE_HOUR, tzinfo=zone)


def _last_result(instance: DagsterInstance, job: str) -> RunRecord | None:
    """The latest run that ended; one that somebody started in a terminal counts when it succeeded, its failure was seen."""
    ended = instance.get_run_records(RunsFilter(job_name=job, statuses=ENDED), limit=LATEST_RUNS)
    of_dagster = (r for r in ended if r.dagster_run.is_success or r.dagster_run.remote_job_origin is not None)
    return next(of_dagster, None)


def _ended_at(record: RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp.astimezone(UTC)


def _signs_of_life(instance: DagsterInstance, now: datetime) -> list[datetime]:
    ended = instance.get_run_records(RunsFilter(job_name=NIGHT, statuses=ENDED), limit=1)
    young = RunsFilter(job_name=NIGHT, statuses=UNDER_WAY, created_after=now - LONGEST_NIGHT)
    under_way = instance.get_run_records(young, limit=1)
    return [
        *map(_ended_at, ended),
        *(record.create_timestamp.astimezone(UTC) for record in under_way),
        datetime.min.replace(tzinfo=UTC),
    ]


def _has_run(instance: DagsterInstance, job: str, since: datetime) -> bool:
    return bool(instance.get_run_records(RunsFilter(job_name=job, statuses=[*ENDED, *UNDER_WAY], created_after=since), limit=1))


def _has_open_months(settings: Settings, now: datetime) -> bool:
    return bool(plan(settings.vars, engine_of(settings).read_state(), now))


# ---- telling ----------------------------------------------------------------------------------------------------------


def _settle(settings: Settings, found: Sequence[Standing], run_id: str, now: datetime, is_event: bool = False) -> None:
    """Record and tell how jobs stand: a trouble once, then once a day, and its end if there was one; a new event always.

    A sensor that raises never sees its run again: what goes wrong here is logged, and the watch tells it later.
    """
    from orchestration.alerts.night import judged_day, tell_of_run

    night = judged_day(settings, now)
    for standing in found:
        finding = _finding(settings, standing, night)
        try:
            with Store.open(settings.alerts_dir) as store:
                known = [i for i in store.incidents(LATEST_INCIDENTS) if i.fingerprint == finding.fingerprint]
            if is_event or _is_news(settings, standing, known, now):
                tell_of_run(settings, finding, run_id, now)
        except Exception:
            progress_log.exception("The alert %s of the job %s could not be recorded.", standing.code, standing.job)


def _finding(settings: Settings, standing: Standing, night: date) -> Finding:
    check, scope = catalogue()[standing.code], {"job": standing.job}
    if standing.since is None:
        return Finding(check, scope, Status.PASSED, check.severity, night)
    since = standing.since.astimezone(settings.vars.zone)
    return Finding(check, scope, Status.FAILED, check.severity, night, since=since.date(), detail=f"{since:%Y-%m-%d %H:%M %Z}")


def _is_news(settings: Settings, standing: Standing, known: Sequence[Incident], now: datetime) -> bool:
    still_open = next((incident for incident in known if incident.is_open), None)
    if still_open is None:
        # What somebody called noise is not told again.
        since = standing.since
        return since is not None and not any(i.resolved_at is not None and i.resolved_at >= since for i in known)
    if standing.since is None:
        return True
    # The reminder of the day comes a day after the last, not at the midnight after.
    zone = settings.vars.zone
    return now.astimezone(zone).time() >= still_open.opened_at.astimezone(zone).time()


def _send_what_waits(settings: Settings, now: datetime) -> None:
    from orchestration.alerts.outbox import deliver

    with Store.open(settings.alerts_dir) as store:
        if store.waiting() or store.waiting_reports():
            deliver(settings, store, now)


def _beat(settings: Settings, run: DagsterRun, beat: Beat) -> None:
    """Runs that somebody starts by hand say nothing of the schedule."""
    if SCHEDULED in run.tags:
        ping(settings.heartbeat_url, beat)
