"""Monthly partitions of the base."""

from __future__ import annotations

from datetime import UTC, date, datetime

from dagster import MonthlyPartitionsDefinition

from orchestration.months import add_months, last_closable
from orchestration.settings import Settings
from orchestration.warehouse import recall_first_month

# Before the first ingest nobody knows where the history begins; reloading the definitions after it tells.
MONTHS_UNTIL_KNOWN = 36


def monthly_partitions(settings: Settings) -> MonthlyPartitionsDefinition:
    """Return the partitions `YYYY-MM`, from the first month of the base on, in the reporting zone."""
    return MonthlyPartitionsDefinition(
        start_date=f"{_start(settings):%Y-%m}", fmt="%Y-%m", timezone=settings.vars.reporting_timezone
    )


def _start(settings: Settings) -> date:
    found, wanted = recall_first_month(settings.warehouse), settings.vars.first_month
    if found is not None:
        return max(found, wanted or found)
    if wanted is not None:
        return wanted
    latest = last_closable(datetime.now(UTC), settings.vars.zone, settings.vars.closing_grace_days)
    return add_months(latest, 1 - MONTHS_UNTIL_KNOWN)
