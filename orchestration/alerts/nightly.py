"""The alerts in Dagster: checks on the assets they judge, the nightly job and its schedule."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetSelection,
    DefaultScheduleStatus,
    Failure,
    ScheduleDefinition,
    define_asset_job,
    in_process_executor,
    multi_asset_check,
)

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.messages import observed_against, place
from orchestration.alerts.model import Check, Finding, Severity, Status
from orchestration.alerts.observe import FEEDS
from orchestration.settings import ConfigurationError, Settings
from orchestration.warehouse import WarehouseError

JOB = "nightly_checks"
STEP = "judge_last_night"
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

    # Not the name of the job: Dagster wants each of its graphs to have one of its own.
    @multi_asset_check(name=STEP, specs=specs(), can_subset=False)
    def judge_last_night(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        """Bring the feeds in and judge the last whole local day; messages have left when the step ends."""
        from orchestration.alerts.night import run_night

        try:
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


def evaluations(findings: Sequence[Finding]) -> list[AssetCheckEvaluation]:
    """Return what findings say of the checks that they are of, to be recorded outside the step of the nightly job."""
    judged = {finding.check.code for finding in findings}
    results = [result_of(spec, catalogue()[spec.name], findings) for spec in specs() if spec.name in judged]
    return [
        AssetCheckEvaluation(
            asset_key=AssetKey.from_coercible(result.asset_key or ()),
            check_name=str(result.check_name),
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
        )
        for result in results
    ]


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
