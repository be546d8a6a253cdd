"""The monthly close as a job, and its schedule."""

from collections.abc import Mapping, Sequence
from datetime import date

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    define_asset_job,
    in_process_executor,
    schedule,
)

from orchestration.alerts.nightly import check_keys
from orchestration.close import plan
from orchestration.engine import engine_of
from orchestration.months import month_text
from orchestration.settings import Settings

CLOSE_HOUR = 4

monthly_close = define_asset_job(
    "monthly_close",
    # The nightly checks have a job of their own.
    AssetSelection.all() - AssetSelection.checks(*check_keys()),
    description="Bring the raw files in, close the months of the run's partitions, test every mart, publish.",
    # Steps share one warehouse: a process of its own for each would cost ten seconds and gain nothing.
    executor_def=in_process_executor,
)


def partition_range(months: Sequence[date]) -> Mapping[str, str]:
    """Return the run tags that make one run of consecutive monthly partitions."""
    return {
        "dagster/asset_partition_range_start": month_text(months[0]),
        "dagster/asset_partition_range_end": month_text(months[-1]),
    }


def monthly_schedule(settings: Settings) -> ScheduleDefinition:
    """Return the schedule of the close: the first night after the grace, in the reporting zone, on by default.

    Months that were missed, because the machine was off, are closed in the same run.
    """

    @schedule(
        job=monthly_close,
        name="monthly_close_schedule",
        description="Closes the month that ended, once its grace for late rows is over, and any month missed before.",
        cron_schedule=f"0 {CLOSE_HOUR} {1 + settings.vars.closing_grace_days} * *",
        execution_timezone=settings.vars.reporting_timezone,
        default_status=DefaultScheduleStatus.RUNNING,
    )
    def monthly_close_schedule(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        months = plan(settings.vars, engine_of(settings).read_state(), context.scheduled_execution_time)
        if not months:
            return SkipReason("No month is open: all are closed, or no raw file has come in yet (make build).")
        return RunRequest(run_key=month_text(months[-1]), tags=partition_range(months))

    return monthly_close_schedule
