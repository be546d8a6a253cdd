"""What came late: rows that count in a later month than the one in which they happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from orchestration.engine import Query
from orchestration.months import month_text


@dataclass(frozen=True)
class LateRows:
    """Rows of a table that happened in one month and count in another, the closed one in which they became known."""

    closed_month: date
    table: str
    happened_month: date
    n_rows: int


def late_rows(query: Query, months: Sequence[date]) -> list[LateRows]:
    """Return what came late to closed months; `query` reads the warehouse. Empty before the first close that counts it."""
    if not query("select 1 from information_schema.tables where table_schema = 'core' and table_name = 'int_late_rows'"):
        return []
    told = ", ".join(f"date '{month:%Y-%m-%d}'" for month in months)
    return [
        LateRows(*row)
        for row in query(
            "select snapshot_month, table_name, happened_month, n_rows from core.int_late_rows "
            f"where snapshot_month in ({told}) order by snapshot_month, table_name, happened_month"
        )
    ]


def late_lines(query: Query, months: Sequence[date]) -> list[str]:
    """Return one line on what came late to closed months; none when nothing did."""
    found = late_rows(query, months)
    if not found:
        return []
    first, last = min(row.happened_month for row in found), max(row.happened_month for row in found)
    span = month_text(first) if first == last else f"{month_text(first)} to {month_text(last)}"
    return [
        f"Rows that came late: {sum(row.n_rows for row in found):,}, from {span}; they count in the month in which they came "
        f"(make restate FROM={month_text(first)} counts them where they happened)."
    ]
