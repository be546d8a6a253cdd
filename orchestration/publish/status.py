"""`bi_refresh_status`: what the published marts show, in one row beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestration.publish.catalog import Column, Mart
from orchestration.publish.extract import Extract, Row

STATUS = Mart(
    "bi_refresh_status",
    "What the marts beside it show: one row, changed with them. Grain - one row.",
    (
        Column("snapshot_month", "date", "First day of the latest closed month."),
        Column("closed_at", "timestamp", "When that month was closed, UTC."),
        Column("published_at", "timestamp", "When the marts were published, UTC."),
        Column("definition_version", "varchar", "Hash of the business vars that the latest month was computed under."),
        Column("open_critical_incidents", "bigint", "Critical alerts that were open at the publication."),
    ),
    ("snapshot_month",),
)


def with_status(content: Extract, now: datetime, open_critical_incidents: int) -> list[tuple[Mart, Sequence[Row]]]:
    """Return what is published, each with its rows: the marts, and their status last."""
    status = (content.latest_month, content.closed_at, now, content.definition_version, open_critical_incidents)
    return [*((mart, content.rows[mart.name]) for mart in content.marts), (STATUS, [status])]
