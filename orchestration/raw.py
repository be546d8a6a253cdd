"""The raw tables of the warehouse brought up to date, by a command or by a Dagster step."""

from __future__ import annotations

from datetime import date

from orchestration.alerts.observe import is_observed, observe_file
from orchestration.ingest import IngestResult, ingest, last_ingest
from orchestration.settings import Settings
from orchestration.warehouse import Report, remember_first_month, writing


def refresh_raw(settings: Settings, report: Report, judged: date | None = None) -> IngestResult:
    """Bring what is new in the raw folder into the warehouse, which is neither locked nor copied when nothing is.

    With `judged`, the feeds are observed up to that local day too, for the alerts.

    Raises:
        IngestError: a file or the folder cannot be used; the warehouse is as it was.
        WarehouseError: the warehouse cannot be written now.
    """
    known = last_ingest(settings, settings.warehouse)
    if known is not None and (judged is None or is_observed(settings.warehouse, judged)):
        return known
    with writing(settings, "ingest", report) as copy:
        result = known or ingest(settings, copy, report=lambda line: report(f"  {line}"))
        if judged is not None:
            observe_file(copy, settings, judged)
    remember_first_month(settings.warehouse)
    return result
