"""The emulator as a process of its own, mended where it falls short of BigQuery: see `MENDED`."""

from __future__ import annotations

import re
import sys
from typing import Any

from bqemulator.cli import main
from bqemulator.sql.rewriter import create_table_schema_ctas
from bqemulator.sql.translator import SQLTranslator
from bqemulator.storage.engine import DuckDBEngine
from sqlglot import exp

# docs/bigquery.md lists the same.
MENDED = {
    "geography": "It does not start without a DuckDB extension for geography, which it downloads; no model needs it.",
    "brackets": "It takes no `create table t (columns) as (select …)` with brackets around the query, as dbt writes contracts.",
    "escapes": "It does not read `\\u00a0` in a text as one character.",
}

_first_select = create_table_schema_ctas._first_select
_translate = SQLTranslator.translate


def _without_geography(_engine: DuckDBEngine) -> None:
    return None


def _first_select_in_brackets(body: exp.Expression | None) -> Any:
    return _first_select(body.unnest() if isinstance(body, exp.Subquery) else body)


def _translate_with_escapes(translator: SQLTranslator, sql: str, **context: Any) -> Any:
    return _translate(translator, re.sub(r"\\u([0-9a-f]{4})", lambda escape: chr(int(escape[1], 16)), sql), **context)


def mend() -> None:
    """Put the mended parts in place of the emulator's."""
    DuckDBEngine._load_spatial = _without_geography
    create_table_schema_ctas._first_select = _first_select_in_brackets
    SQLTranslator.translate = _translate_with_escapes


if __name__ == "__main__":
    mend()
    sys.exit(main())
