"""Ten years of closes by the real command, whose data tests close every bridge: what is kept stays bounded."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from benchmarks.base import LAST_MONTH, Base
from benchmarks.soak import YEAR, close_years
from orchestration.months import add_months

MONTHS, KEPT = 120, 25


@pytest.mark.soak
def test_after_120_months_customer_level_months_are_bounded_and_marts_have_every_month(tmp_path: Path) -> None:
    base = Base(tmp_path, profiles=500, months=MONTHS, events_per_profile=10)
    years = list(close_years(base, tmp_path / "closed", KEPT, n_years=2))
    assert [year.n_person_level_months for year in years] == [2 * YEAR] + [KEPT] * (MONTHS // YEAR // 2 - 1)
    # Files of single months of a base this small are mostly overhead: they do not grow with the base.
    bounded = [year.person_level_bytes for year in years[1:]]
    assert max(bounded) < 1.5 * min(bounded)

    with duckdb.connect(str(tmp_path / "closed" / "bathtub.duckdb"), read_only=True) as con:
        for mart in ("base_overview_monthly", "flows_monthly", "optin_rate_monthly", "retention_monthly"):
            found = con.execute(
                f"select min(snapshot_month), max(snapshot_month), count(distinct snapshot_month) from marts.{mart}"
            )
            assert (mart, found.fetchone()) == (mart, (base.first_month, LAST_MONTH, MONTHS))
        assert con.execute("select min(snapshot_month) from core.fct_customer_months").fetchone() == (
            add_months(LAST_MONTH, 1 - KEPT),
        )
