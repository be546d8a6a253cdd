"""The report as a Dagster asset, made after the marts of a close."""

# Dagster reads the annotations of an asset's function when it is made: they are no strings here.

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Failure,
    MaterializeResult,
    MetadataValue,
    MonthlyPartitionsDefinition,
    multi_asset,
)

from orchestration.alerts.outbox import Delivered
from orchestration.alerts.store import AlertsError
from orchestration.challenges.findings import SEVERITIES
from orchestration.months import month_text
from orchestration.report.data import ReportError
from orchestration.report.write import Incidents, Written, nobody_follows, write_report
from orchestration.settings import ConfigurationError, Settings, parse_month
from orchestration.warehouse import WarehouseError


def report_asset(
    settings: Settings,
    partitions: MonthlyPartitionsDefinition,
    marts: Iterable[str],
    incidents: Incidents = nobody_follows,
) -> AssetsDefinition:
    """Return the asset that writes the page of the last month of a close, once its marts are there and tested."""

    spec = AssetSpec(
        ["report", "monthly_report"],
        deps=[["marts", name] for name in sorted(marts)],
        description="The monthly report: one page that opens from disk, in the folder BATHTUB_REPORT_DIR.",
        group_name="report",
        kinds={"html"},
    )

    @multi_asset(
        name="monthly_report",
        specs=[spec],
        # Those of the marts: the close of a range is one run, this step included.
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
    )
    def monthly_report(context: AssetExecutionContext) -> MaterializeResult[None]:
        """Write the page."""
        month = parse_month(context.partition_key_range.end)
        try:
            written = write_report(settings, _told(settings, month), incidents)
        except (ReportError, WarehouseError) as error:
            raise Failure(
                f"The months are closed, but their report was not written. {error} Then make it with: "
                f"make report MONTH={month_text(month)}",
                allow_retries=False,
            ) from error
        mailed = _mailed(settings, written, context.log.warning)
        return MaterializeResult(
            metadata={
                "preview": MetadataValue.md(preview(written)),
                "path": MetadataValue.path(written.page),
                "month": month_text(written.month) if written.month else "none",
                "bytes": written.page.stat().st_size,
                "mailed": mailed.messages,
            }
        )

    return monthly_report


def _mailed(settings: Settings, written: Written, warn: Callable[[str], None]) -> Delivered:
    """The report is there: mail that cannot leave is no failure of it, and waits."""
    from orchestration.report.mail import mail_of_close

    try:
        mailed = mail_of_close(settings, written, datetime.now(UTC))
    except (AlertsError, ConfigurationError) as error:
        warn(f"The report was not mailed. {error}")
        return Delivered()
    if mailed.failed:
        warn(f"The report was not taken by {', '.join(mailed.failed)}; it waits for the next try.")
    return mailed


def _told(settings: Settings, month: date) -> date | None:
    """The month of the run, unless that part of its range has no activity and was not closed."""
    from orchestration.engine import engine_of

    closed = [m for m in engine_of(settings).read_state().closed if m <= month]
    return closed[-1] if closed else None


def preview(written: Written) -> str:
    """Return the main figures of a report as Markdown."""
    content = written.content
    if written.month is None:
        return "No month is closed yet."
    months = range(len(content["months"]))[-2:]
    lines = ["| | " + " | ".join(content["months"][i]["month"][:7] for i in months) + " |", "|---|" + "---:|" * len(months)]
    figures = (("Profiles", "n_profiles"), ("Active", "n_active"), ("New", "n_new"), ("Contactable", "any|n_contactable"))
    for label, measure in figures:
        lines.append(f"| {label} | " + " | ".join(f"{_total(content['segments'], measure, i):,.0f}" for i in months) + " |")
    counts = {severity: sum(finding.severity == severity for finding in content["findings"]) for severity in SEVERITIES}
    return "\n".join(lines) + "\n\nChallenges: " + ", ".join(f"{n} {severity}" for severity, n in counts.items())


def _total(cube: dict[str, Any], measure: str, month: int) -> float:
    values = cube["measures"].get(measure, [])
    return float(sum(value for value, at in zip(values, cube["keys"]["month"], strict=False) if at == month))
