"""Random erasures between closes: flows and consents count exactly what they count when nobody is erased, and bridges close."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestration.close import record_closed
from orchestration.erasure import erase, sweep
from orchestration.months import add_months, months_between
from orchestration.settings import load_settings
from tests.end_to_end.closing import WAREHOUSE, bring_in, close, query
from tests.end_to_end.raw_base import RawBase, Row

FIRST, LAST = date(2024, 1, 1), date(2024, 3, 1)
PEOPLE = [f"person-{i}" for i in range(8)]
VARIABLES = {"reporting_timezone": "UTC", "history_loaded_until": "2024-01-01"}
MARTS = ["flows_monthly", "consent_flows_monthly"]
OPEN_BRIDGES = """
    with segments as (
        select
            snapshot_month, source, status, scope,
            sum(case movement when 'opening' then n_profiles else sign * n_profiles end) as n_reached,
            sum(case movement when 'opening' then n_profiles else 0 end) as n_opening,
            sum(case movement when 'closing' then n_profiles else 0 end) as n_closing
        from marts.flows_monthly group by all
    )
    select m.* from segments as m left join segments as b
        on b.snapshot_month = m.snapshot_month - interval 1 month
            and (b.source, b.status, b.scope) = (m.source, m.status, m.scope)
    where m.n_closing <> m.n_reached
        or (m.n_opening <> coalesce(b.n_closing, 0) and m.snapshot_month > date '2024-01-01')"""

# For each person: the month in which the profile goes, and whether its row goes or gets a date of deletion.
Leaving = dict[str, tuple[date, bool]]


def _base(month: date, leaving: Leaving) -> RawBase:
    """The base as the source delivers it after a month: traces of those who left go on coming."""
    people: list[Row] = []
    for i, person in enumerate(PEOPLE):
        gone, by_date = leaving.get(person, (date.max, False))
        if gone <= month and not by_date:
            continue
        people.append(
            {
                "customer_id": person,
                "created_at": datetime(2023, 12 if i % 2 else 11, 5 + i),
                "deleted_at": datetime(gone.year, gone.month, 10) if gone <= month else None,
                "source": "web" if i % 3 else "till",
                "email": f"{person}@people.example",
                "loaded_at": datetime(2023, 12, 31),
            }
        )
    base = RawBase(customers=people)
    for i, person in enumerate(PEOPLE):
        at = datetime(2023, 12, 20)
        if i % 2:
            base.orders.append({"order_id": f"O{i}", "customer_id": person, "ordered_at": at, "amount": 5.0, "loaded_at": at})
        consent = {"consent_id": f"K{i}", "customer_id": person, "channel": "email", "status": "opt_in"}
        base.consents.append({**consent, "occurred_at": at, "loaded_at": at})
    return base


def _live(folder: Path, leaving: Leaving, erases: bool) -> Path:
    """Close month after month, each after its delivery, with erasures or without."""
    warehouse = folder / WAREHOUSE
    configured = load_settings({"BATHTUB_RAW_DIR": str(folder / "raw"), "BATHTUB_WAREHOUSE": str(warehouse)})
    for month in months_between(FIRST, LAST):
        for file in (folder / "raw").rglob("*.csv"):
            file.unlink()
        _base(month, leaving).write(folder / "raw", "csv")
        bring_in(folder / "raw", warehouse, FIRST, VARIABLES)
        now = datetime(*add_months(month, 1).timetuple()[:3], tzinfo=UTC)
        if erases:
            copy = folder / "copy" / WAREHOUSE
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(warehouse, copy)
            erase(copy, configured, now, lambda _: None)
            copy.replace(warehouse)
            sweep(configured)
        close(warehouse, month, month, VARIABLES, with_tests=False, made=[*MARTS, "fct_customer_months"])
        record_closed(warehouse, [month], now, "run")
    return warehouse


def _counted(warehouse: Path, mart: str) -> list[tuple[object, ...]]:
    return query(warehouse, f"select * exclude (definition_version) from marts.{mart} where n_profiles > 0 order by all")


@pytest.mark.slow
@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    leaving=st.dictionaries(
        st.sampled_from(PEOPLE),
        st.tuples(st.sampled_from(months_between(add_months(FIRST, 1), LAST)), st.booleans()),
        min_size=2,
        max_size=5,
    )
)
def test_bridges_close_through_random_erasures_and_count_what_they_count_without(leaving: Leaving) -> None:
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("erased", "kept")]
        for place in places:
            place.mkdir()
        erased, kept = (_live(place, leaving, erases) for place, erases in zip(places, (True, False), strict=True))
        assert query(erased, OPEN_BRIDGES) == []
        for mart in MARTS:
            assert _counted(erased, mart) == _counted(kept, mart)
        left = {str(row[0]) for row in query(erased, "select distinct customer_id from core.int_customer_months")}
        assert left & set(leaving) == set()
        assert {person for person in PEOPLE if person not in leaving} <= left
