"""Growth, acquisition, cohorts and demographics, counted from the raw rows in plain Python; nothing is shared with the SQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestration.months import add_months, months_between
from tests.end_to_end.closing import WAREHOUSE, close_months, query
from tests.end_to_end.conftest import TRAPS_ZONE
from tests.end_to_end.oracle import Close, Oracle
from tests.end_to_end.random_base import History, Shape, random_base
from tests.end_to_end.raw_base import RawBase, Row
from tests.end_to_end.traps import FIRST, LAST, trap_base

MEASURES = ("n_profiles", "n_active", "n_new", "n_optin_any", "n_contactable_any", "n_customers", "n_prospects")
CONTACTABLE = """
    select snapshot_month, source, cast(sum(n_contactable) as bigint) from marts.optin_rate_monthly
    where channel = 'any' group by all"""
PLACEHOLDERS = {date(1900, 1, 1), date(1901, 1, 1), date(1970, 1, 1), date(9999, 12, 31)}
BANDS = ((17, "0-17"), (24, "18-24"), (34, "25-34"), (44, "35-44"), (54, "45-54"), (64, "55-64"), (74, "65-74"), (120, "75+"))
Key = tuple[Any, ...]
Levels = Mapping[Key, Counter[str]]
Figures = dict[Key, tuple[Any, ...]]


def _as_ingested(base: RawBase) -> RawBase:
    """The rows that the ingest keeps, in the form that the oracle takes."""
    kept = {}
    for name, rows in base.tables.items():
        found = [
            {"loaded_at": None, **row, **({"customer_id": row["customer_id"].strip()} if "customer_id" in row else {})}
            for row in rows
        ]
        kept[name] = found if name in ("customers", "mail_domains") else _latest(found)
    profiles = [{"created_at": None, "source": None, **row} for row in kept["customers"]]
    # Of the versions that were loaded at the same time the oracle takes the first.
    profiles.sort(key=lambda row: row.get("updated_at") or datetime.min, reverse=True)
    return RawBase(**{**kept, "customers": profiles})


def _latest(rows: list[Row]) -> list[Row]:
    """One row of each key, the first column: the one that was loaded last."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row["loaded_at"] or datetime.min):
        found[next(row[name] for name in ("order_id", "event_id", "consent_id") if name in row).strip()] = row
    return list(found.values())


# ---- by hand ---------------------------------------------------------------------------------------------------------


def _levels(closes: Iterable[Close]) -> Levels:
    """The measures by month and source, and for `all`."""
    levels: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    for close in closes:
        for source in (close.state.source, "all"):
            levels[close.month, source].update(_measures(close))
    return levels


def _measures(close: Close) -> dict[str, int]:
    age = (close.as_of - close.profile.created).days
    is_prospect = close.state.status == "prospect"
    holds = {
        "n_profiles": True,
        "n_active": close.state.is_active,
        "n_new": close.is_new,
        "n_optin_any": close.is_opted_in,
        "n_customers": close.state.status == "customer",
        "n_prospects": is_prospect,
        "n_prospects_new": is_prospect and age < 90,
        "n_prospects_cold": is_prospect and 90 <= age <= 180,
        "n_prospects_dormant": is_prospect and age > 180,
    }
    return {measure: int(value) for measure, value in holds.items()}


def _rows(shape: Shape, levels: Levels) -> list[tuple[date, str]]:
    """The months and sources that have a row: those that were in the base at this close or at one of the twelve before."""
    months = months_between(shape.first, shape.last)
    sources = sorted({source for _, source in levels})
    return [
        (month, source)
        for month in months
        for source in sources
        if any(levels.get((add_months(month, -back), source)) for back in range(13))
    ]


def _past(shape: Shape, levels: Levels, month: date, source: str, measure: str, n: int) -> list[int] | None:
    """A measure in the last `n` months, the latest first; None when they are not all closed."""
    if add_months(month, 1 - n) < shape.first:
        return None
    return [levels.get((add_months(month, -back), source), Counter[str]())[measure] for back in range(n)]


def _overview(shape: Shape, levels: Levels) -> Figures:
    found = {}
    for month, source in _rows(shape, levels):
        figures: list[float | None] = []
        for measure in MEASURES:
            until_month_before, year, until_year_before = (_past(shape, levels, month, source, measure, n) for n in (2, 12, 13))
            figures += [
                levels.get((month, source), Counter[str]())[measure],
                until_month_before[-1] if until_month_before else None,
                until_year_before[-1] if until_year_before else None,
                round(sum(year) / 12, 9) if year else None,
            ]
        found[month, source] = tuple(figures)
    return found


def _acquisition(shape: Shape, levels: Levels) -> Figures:
    found = {}
    for month, source in _rows(shape, levels):
        now = levels.get((month, source), Counter[str]())
        year, until_year_before, two_years = (_past(shape, levels, month, source, "n_new", n) for n in (12, 13, 24))
        season = None
        if two_years and sum(two_years):
            season = round((two_years[0] + two_years[12]) / 2 / (sum(two_years) / 24), 9)
        found[month, source] = (
            now["n_new"],
            until_year_before[-1] if until_year_before else None,
            sum(year) if year else None,
            1 + sum(n > now["n_new"] for n in year) if year else None,
            season,
            *(now[f"n_prospects_{age}"] for age in ("new", "cold", "dormant")),
        )
    return found


def _cohorts(closes: Iterable[Close]) -> Figures:
    members: defaultdict[Key, list[Close]] = defaultdict(list)
    for close in closes:
        cohort = close.profile.created.replace(day=1)
        months = (close.month.year - cohort.year) * 12 + close.month.month - cohort.month
        members[close.month, cohort, months, close.state.source].append(close)
    return {
        key: (len(cohort), sum(c.state.status == "customer" for c in cohort), sum(c.state.is_active for c in cohort))
        for key, cohort in members.items()
    }


def _age(close: Close) -> int | None:
    """Completed years: who was born on 29 February is older on 1 March. None without a birth date that can be."""
    born = close.profile.birth_date
    if born is None or born in PLACEHOLDERS or born > close.as_of:
        return None
    years = close.as_of.year - born.year
    years -= (close.as_of.month, close.as_of.day) < (born.month, born.day)
    return years if years <= 120 else None


def _demographics(closes: Iterable[Close]) -> Figures:
    members: defaultdict[Key, list[Close]] = defaultdict(list)
    for close in closes:
        letter = (close.profile.gender or "").strip().upper()
        gender = letter if letter in ("F", "M", "X") else "missing"
        age = _age(close)
        band = "missing" if age is None else next(name for upper, name in BANDS if age <= upper)
        is_recent = close.profile.created >= add_months(close.month, -11)
        members[close.month, close.state.source, close.state.status, is_recent, gender, band].append(close)
    found = {}
    for key, group in members.items():
        ages = [age for age in map(_age, group) if age is not None]
        n_implausible = sum(close.profile.birth_date is not None and _age(close) is None for close in group)
        found[key] = (len(group), sum(ages), len(ages), n_implausible)
    return found


# ---- compared --------------------------------------------------------------------------------------------------------


def _of_mart(warehouse: Path, mart: str, keys: str, measures: Iterable[str]) -> Figures:
    n_keys = len(keys.split(","))
    rows = query(warehouse, f"select {keys}, {', '.join(measures)} from marts.{mart}")
    assert len({row[:n_keys] for row in rows}) == len(rows)
    return {row[:n_keys]: tuple(round(n, 9) if isinstance(n, float) else n for n in row[n_keys:]) for row in rows}


def _difference(mart: str, by_hand: Figures, found: Figures) -> str:
    """A sentence on the first rows that differ; empty when none does."""
    wrong = sorted((key for key in by_hand.keys() | found.keys() if by_hand.get(key) != found.get(key)), key=str)
    told = [(key, f"by hand {by_hand.get(key)}", f"mart {found.get(key)}") for key in wrong[:3]]
    return f"{mart}: {len(wrong)} rows differ, first {told}" if wrong else ""


def _check(base: RawBase, shape: Shape, warehouse: Path) -> None:
    closes = list(Oracle(base, shape).closes())
    levels = _levels(closes)
    # The oracle judges no coordinates: of the contactable, only what the overview makes of them is counted by hand.
    for month, source, n_contactable in query(warehouse, CONTACTABLE):
        for name in (source, "all"):
            levels[month, name]["n_contactable_any"] += n_contactable
    overview = [f"{measure}{of}" for measure in MEASURES for of in ("", "_prev_month", "_prev_year", "_mean_12m")]
    acquisition = (
        *("n_new", "n_new_prev_year", "n_new_last_12m", "rank_in_last_12m", "seasonality_index"),
        *("n_prospects_new", "n_prospects_cold", "n_prospects_dormant"),
    )
    cohort = "snapshot_month, cohort_month, months_since_registration, source"
    person = "snapshot_month, source, status, registered_within_12m, gender, age_band"
    ages = ("n_profiles", "sum_age_years", "n_age_known", "n_birth_date_implausible")
    compared: dict[str, tuple[Figures, str, Iterable[str]]] = {
        "base_overview_monthly": (_overview(shape, levels), "snapshot_month, source", overview),
        "acquisition_monthly": (_acquisition(shape, levels), "snapshot_month, source", acquisition),
        "cohort_conversion_monthly": (_cohorts(closes), cohort, ("n_registered", "n_customers", "n_active")),
        "demographics_monthly": (_demographics(closes), person, ages),
    }
    assert closes
    differences = [
        _difference(mart, by_hand, _of_mart(warehouse, mart, keys, measures))
        for mart, (by_hand, keys, measures) in compared.items()
    ]
    assert not any(differences), "\n".join(filter(None, differences))


def test_traps(closed_traps: Path) -> None:
    n_months = len(months_between(FIRST, LAST))
    _check(_as_ingested(trap_base(TRAPS_ZONE)), History(0, FIRST, n_months, TRAPS_ZONE, grace_days=2), closed_traps)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_two_years_with_late_rows(tmp_path: Path, seed: int) -> None:
    shape = Shape(seed, date(2022, 3, 1), 25, "Europe/Paris", grace_days=2)
    base = random_base(shape)
    close_months(base.write(tmp_path / "raw"), tmp_path / WAREHOUSE, shape.first, shape.last, shape.variables)
    _check(base, shape, tmp_path / WAREHOUSE)
