"""The raw tables of the warehouse brought up to date, by a command or by a Dagster step."""

from __future__ import annotations

from datetime import UTC, date, datetime

from orchestration.alerts.observe import is_observed, observe_file
from orchestration.erasure import erase, is_due, sweep
from orchestration.ingest import IngestResult, ingest, last_ingest
from orchestration.settings import Settings
from orchestration.warehouse import Report, remember_first_month, writing


def refresh_raw(settings: Settings, report: Report, judged: date | None = None) -> IngestResult:
    """Bring what is new in the raw folder into the warehouse, which is neither locked nor copied when nothing is.

    Profiles that were deleted in the source are erased in the same step. With `judged`, the feeds are observed up to that local
    day too, for the alerts.

    Raises:
        IngestError: a file or the folder cannot be used; the warehouse is as it was.
        WarehouseError: the warehouse cannot be written now.
    """
    now = datetime.now(UTC)
    # Of an erasure that was killed after its swap.
    sweep(settings)
    known = last_ingest(settings, settings.warehouse)
    is_seen = judged is None or is_observed(settings.warehouse, judged)
    if known is not None and is_seen and not is_due(settings, now):
        return known
    with writing(settings, "ingest", report) as copy:
        result = known or ingest(settings, copy, now=now, report=lambda line: report(f"  {line}"))
        if erase(copy, settings, now, report).has_returned:
            # Their rows, and with them those of others who are gone for good.
            result = ingest(settings, copy, now=now, report=lambda line: report(f"  {line}"))
            erase(copy, settings, now, report)
        if judged is not None:
            observe_file(copy, settings, judged)
    sweep(settings)
    remember_first_month(settings.warehouse)
    return result
