"""Close the base of traps on DuckDB: `.venv/bin/python -m tests.bigquery.close_on_duckdb FOLDER ZONE [ID …]`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from orchestration.months import add_months
from tests.end_to_end.closing import WAREHOUSE, bring_in, close
from tests.end_to_end.traps import FIRST, trap_base

# Customers of an instant at the edge of a month. The evaluator of GoogleSQL is slow: every fourth instant will do.
EDGE = re.compile(r"(?:born|left|both|bought|visited|opted|undated)-(\d+)")


def main(folder: Path, zone: str, *left_out: str) -> None:
    """Two months at once, then the third; the base is without the customers `left_out`."""
    variables = {"reporting_timezone": zone}
    edges = trap_base(zone).filtered(lambda row: not (found := EDGE.fullmatch(row["customer_id"])) or int(found[1]) % 4 == 0)
    base = edges.filtered(lambda row: row["customer_id"] not in left_out)
    bring_in(base.write(folder / "raw"), folder / WAREHOUSE, FIRST, variables)
    close(folder / WAREHOUSE, FIRST, add_months(FIRST, 1), variables)
    close(folder / WAREHOUSE, add_months(FIRST, 2), add_months(FIRST, 2), variables)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
