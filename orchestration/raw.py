"""The raw tables of the warehouse brought up to date, by a command or by a Dagster step."""

from __future__ import annotations

from orchestration.ingest import IngestResult, ingest, last_ingest
from orchestration.settings import Settings
from orchestration.warehouse import Report, remember_first_month, writing


def refresh_raw(settings: Settings, report: Report) -> IngestResult:
    """Bring what is new in the raw folder into the warehouse, which is neither locked nor copied when nothing is.

    Raises:
        IngestError: a file or the folder cannot be used; the warehouse is as it was.
        WarehouseError: the warehouse cannot be written now.
    """
    result = last_ingest(settings, settings.warehouse)
    if result is None:
        with writing(settings, "ingest", report) as copy:
            result = ingest(settings, copy, report=lambda line: report(f"  {line}"))
        remember_first_month(settings.warehouse)
    return result
