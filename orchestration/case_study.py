"""The figures of docs/case-study.md; `python -m orchestration.case_study [warehouse]` writes them anew from the marts.

The page keeps its own words. After each query, and after each command that tells the challenges, stands what it gives, between
two comments. The figures are those of the demo base that ends with `DEMO_END`: they stay the same whenever the page is written.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb

from orchestration.challenges.findings import findings_in
from orchestration.challenges.sentences import report
from orchestration.dictionary import DOCS_DIR
from orchestration.engine import engine_of
from orchestration.settings import load_settings
from orchestration.warehouse import reading

PAGE = DOCS_DIR / "case-study.md"
DEMO_END = date(2026, 10, 1)
BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"
_QUERY = re.compile(rf"```sql\n(?P<query>[^`]*)```\n\n{BEGIN}\n.*?{END}", re.DOTALL)
_CHALLENGES = re.compile(
    rf"```\npython -m orchestration challenges --language (?P<language>fr|en)\n```\n\n{BEGIN}\n.*?{END}", re.DOTALL
)


def page_with_figures(warehouse: Path) -> str:
    """Return the page as it should read with the marts of a warehouse.

    Raises:
        WarehouseError: the warehouse cannot be read.
        duckdb.Error: a query of the page does not run there.
    """
    engine = engine_of(load_settings({**os.environ, "BATHTUB_TARGET": "duckdb", "BATHTUB_WAREHOUSE": str(warehouse)}))

    def told(found: re.Match[str]) -> str:
        lines = report(DEMO_END, findings_in(engine, DEMO_END), found["language"])
        return _with_figures(found, "```text\n" + "\n".join(lines).strip() + "\n```")

    with reading(warehouse) as connection:
        page = _QUERY.sub(
            lambda found: _with_figures(found, _table(connection.execute(found["query"]))), PAGE.read_text(encoding="utf-8")
        )
    return _CHALLENGES.sub(told, page)


def _with_figures(found: re.Match[str], figures: str) -> str:
    before, _, _ = found[0].partition(BEGIN)
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}"


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
    page = page_with_figures(Path(arguments[0]) if arguments else load_settings().warehouse)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
