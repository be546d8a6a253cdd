"""Texts in CSV files that a spreadsheet opens: one that begins like a formula would be computed, and could send data away."""

from __future__ import annotations

BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


def as_plain_text(text: str) -> str:
    """Return a text with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(BEGINNINGS) else text


def as_plain_text_sql(column: str) -> str:
    """Return the same as an expression of DuckDB, under the column's name."""
    return f"regexp_replace({column}, '^([=+@\\t\\r-])', '''\\1') as {column}"
