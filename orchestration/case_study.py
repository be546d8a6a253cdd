"""The figures of docs/case-study.md; `python -m orchestration.case_study [warehouse]` writes them anew from the marts.

The page keeps its own words. After each query stands its result, between two comments. The figures are those of the demo base
that ends with `DEMO_END`, so that they stay the same whenever the page is written.
"""

from __future__ import annotations

import re
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb

from orchestration.dictionary import DOCS_DIR
from orchestration.settings import load_settings
from orchestration.warehouse import reading

PAGE = DOCS_DIR / "case-study.md"
DEMO_END = date(2026, 10, 1)
BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"
_FIGURES = re.compile(rf"```sql\n(?P<query>.*?)```\n\n{BEGIN}\n.*?{END}", re.DOTALL)


def page_with_figures(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the page as it should read with the marts of a warehouse.

    Raises:
        duckdb.Error: a query of the page does not run there.
    """

    def filled(found: re.Match[str]) -> str:
        query = found["query"]
        return f"```sql\n{query}```\n\n{BEGIN}\n\n{_table(connection.execute(query))}\n\n{END}"

    return _FIGURES.sub(filled, PAGE.read_text(encoding="utf-8"))


def _table(result: duckdb.DuckDBPyConnection) -> str:
    columns = [column[0] for column in result.description or ()]
    rows = result.fetchall()
    rules = ["---:" if any(_is_number(value) for value in values) else "---" for values in zip(*rows, strict=True)]
    lines = [columns, rules, *([_text(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return f"{value:%Y-%m}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def main(arguments: list[str]) -> int:
    """Write the page anew from a warehouse, by default the configured one; return the exit code."""
    warehouse = Path(arguments[0]) if arguments else load_settings().warehouse
    with reading(warehouse) as connection:
        PAGE.write_text(page_with_figures(connection), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
