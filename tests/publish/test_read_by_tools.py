"""What BI tools need of the marts: types, names, grains, ranks, one latest month, parts that make their whole, a size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, MetaData, Table, case, create_engine, func, select

from orchestration.engine import engine_of
from orchestration.publish.catalog import IS_LATEST, MONTH, Column, Mart
from orchestration.publish.extract import Extract, extract
from orchestration.publish.files import UPLOAD_LIMIT
from orchestration.publish.files import publish as publish_files
from orchestration.publish.identities import Book
from orchestration.publish.status import STATUS
from orchestration.settings import DBT_PROJECT_DIR, load_settings
from tests.publish.conftest import NOW, Server, varied

TYPES = {"date", "bigint", "double", "varchar", "boolean"}
# Times, where a day is not enough: of the status alone.
WITH_TIMES = {STATUS.name}
# Shares of a change, a part of each source: they add up over the sources, and no counts give them.
EFFECTS = re.compile(r"(fill|placeholder|invalid|duplicate|optin_no_coordinate)_(rate|mix)_effect")
SHARE = re.compile(r"(^|_)(rate|share|pct|percent|percentage|ratio)(_|$)")
# What a text is sorted by, where the alphabet is not its order.
RANKED = {"movement": "movement_rank", "field": "field_rank"}
SOURCES, MONTHS = 10, 60
MOST_ROWS, MOST_BYTES = 100_000, 50_000_000


def faults(mart: Mart) -> list[str]:
    """Return what a BI tool would stumble over."""
    names = [column.name for column in mart.columns]
    found = [f"{name}: no snake_case" for name in [mart.name, *names] if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)]
    found += [f"{name}: longer than PostgreSQL's names" for name in [mart.name, *names] if len(name) > 63]
    found += [f"{name}: twice" for name, n in Counter(names).items() if n > 1]
    allowed = TYPES | {"timestamp"} if mart.name in WITH_TIMES else TYPES
    found += [f"{column.name}: {column.data_type}" for column in mart.columns if column.data_type not in allowed]
    found += [f"{name}: a stored share" for name in names if SHARE.search(name) and not EFFECTS.fullmatch(name)]
    found += [f"{name}: no {name}_rank" for name in names if name.endswith("_band") and f"{name}_rank" not in names]
    found += [f"{name}: no {rank}" for name, rank in RANKED.items() if name in names and rank not in names]
    found += [f"{column.name}: not described" for column in mart.columns if not column.description]
    return found


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        (Column("optin_rate", "double", "Of them."), "optin_rate: a stored share"),
        (Column("optInRate", "double", "Of them."), "optInRate: no snake_case"),
        (Column("n_orders", "hugeint", "Of them."), "n_orders: hugeint"),
        (Column("closed_at", "timestamp", "When."), "closed_at: timestamp"),
        (Column("income_band", "varchar", "Of them."), "income_band: no income_band_rank"),
        (Column("field", "varchar", "Of them."), "field: no field_rank"),
        (Column("n_new", "bigint", ""), "n_new: not described"),
        (Column(MONTH, "date", "Again."), f"{MONTH}: twice"),
    ],
)
def test_what_a_tool_stumbles_over_is_seen(column: Column, fault: str) -> None:
    assert faults(Mart("marts_monthly", "", (Column(MONTH, "date", "Month."), column), (MONTH,))) == [fault]


def test_no_mart_has_what_a_tool_stumbles_over(marts: tuple[Mart, ...]) -> None:
    assert {mart.name: found for mart in [*marts, STATUS] if (found := faults(mart))} == {}


def test_every_mart_has_a_month_a_version_and_the_latest_month(marts: tuple[Mart, ...]) -> None:
    for mart in marts:
        types = {column.name: column.data_type for column in mart.columns}
        assert (types[MONTH], types["as_of_date"], types["definition_version"]) == ("date", "date", "varchar")
        assert (types[IS_LATEST], types["is_reconstructed"]) == ("boolean", "boolean")
        assert mart.grain[0] == MONTH
        assert {"double", "boolean"} & {types[name] for name in mart.grain} <= {"boolean"}


# ---- size -------------------------------------------------------------------------------------------------------------


def domains(settings: Mapping[str, int]) -> dict[str, int]:
    """Return how many values each dimension can have in a month of a base of ten sources."""
    return {
        "source": SOURCES + 1,
        "status": 3,
        "registered_within_12m": 2,
        "is_active": 2,
        "is_new": 2,
        "scope": 2,
        "gender": 4,
        "scenario": 3,
        "mart": 20,
        # Five, joined in any way.
        "cause": 32,
        "target_month": 12,
        "horizon_months": 3,
        **settings,
    }


# Dimensions that no row of a mart can have: `all` among the sources, `all` among the statuses.
WHOLE_BASE = {"acquisition_monthly", "base_overview_monthly", "challenges_monthly"}


def most_rows(mart: Mart, sizes: Mapping[str, int]) -> int:
    """Return how many rows a mart can have in a month."""
    rows = 1
    for name in mart.grain:
        if name == MONTH:
            continue
        less = (name == "source" and mart.name not in WHOLE_BASE) or (name == "status" and mart.name != "projection_monthly")
        rows *= sizes[name] - less
    return rows


def rows_in_sixty_months(marts: Sequence[Mart]) -> dict[str, int]:
    """Return the most rows that each mart can have: every combination of its dimensions in every month, which no base has."""
    settings = load_settings({}).vars
    movements = (DBT_PROJECT_DIR / "seeds/movements.csv").read_text(encoding="utf-8").count("\n") - 1
    rules = type(settings.challenges.levels).model_fields
    sizes = domains(
        {
            "movement": movements,
            "field": len(settings.profile_fields),
            "channel": len(settings.channels) + 1,
            "recency_band": len(settings.recency_bands) + 1,
            "age_band": len(settings.age_bands) + 2,
            "challenge_code": len(rules) + len(settings.profile_fields) + len(settings.channels),
        }
    )
    found = {mart.name: most_rows(mart, sizes) * MONTHS for mart in marts if "cohort_month" not in mart.grain}
    # Each month has a row for each month until then.
    cohorts = SOURCES * MONTHS * (MONTHS + 1) // 2
    return {**found, **{mart.name: cohorts for mart in marts if "cohort_month" in mart.grain}}


def test_no_mart_can_outgrow_a_tool(marts: tuple[Mart, ...]) -> None:
    found = rows_in_sixty_months(marts)
    assert found.keys() == {mart.name for mart in marts}
    assert {name: n for name, n in found.items() if n >= MOST_ROWS} == {}


# ---- a base -----------------------------------------------------------------------------------------------------------


def in_closed_base(closed_base: Mapping[str, str], marts: Sequence[Mart]) -> Extract:
    """Return what is published of the closed base."""
    return extract(engine_of(load_settings(closed_base)), marts)


@pytest.mark.slow
def test_grains_are_unique_and_one_month_is_the_latest(closed_base: Mapping[str, str], marts: tuple[Mart, ...]) -> None:
    content = in_closed_base(closed_base, marts)
    for mart in marts:
        keys = [mart.position(name) for name in mart.grain]
        rows = content.rows[mart.name]
        assert len({tuple(row[key] for key in keys) for row in rows}) == len(rows), mart.name
        latest = {row[0] for row in rows if row[mart.position(IS_LATEST)]}
        assert latest == {date(2024, 12, 1)} or not rows, mart.name
        assert not any(value is None for row in rows for value in (row[key] for key in keys)), mart.name


@pytest.mark.slow
def test_parts_make_their_whole_in_and_between_marts(closed_base: Mapping[str, str], marts: tuple[Mart, ...]) -> None:
    book = Book(in_closed_base(closed_base, marts), load_settings(closed_base).vars)
    assert book.broken == set()
    assert len({equation.name for equation in book.equations}) > 100


@pytest.mark.slow
def test_no_file_can_outgrow_a_tool(closed_base: Mapping[str, str], marts: tuple[Mart, ...], tmp_path: Path) -> None:
    content = in_closed_base(closed_base, marts)
    publish_files(str(tmp_path), content, NOW, 0)
    for name, most in rows_in_sixty_months(marts).items():
        if rows := content.rows[name]:
            size = (tmp_path / f"latest/csv/{name}/{name}.csv").stat().st_size
            assert size / len(rows) * most < MOST_BYTES <= UPLOAD_LIMIT, name


# ---- a second engine --------------------------------------------------------------------------------------------------


def test_sqlalchemy_as_superset_uses_it_gives_the_figures_of_the_formulas(server: Server, marts: tuple[Mart, ...]) -> None:
    content = varied(marts)
    server.publish(content)
    engine = create_engine("postgresql+psycopg://", creator=server.reading)
    assert URL.create("postgresql+psycopg").get_driver_name() == "psycopg"
    try:
        with engine.connect() as connection:
            for name, above, below in (
                ("fill_rate_monthly", "n_filled", "n_profiles"),
                ("optin_rate_monthly", "n_opted_in", "n_profiles"),
                ("demographics_monthly", "sum_age_years", "n_age_known"),
                ("cohort_conversion_monthly", "n_customers", "n_registered"),
            ):
                mart = next(mart for mart in marts if mart.name == name)
                # As a tool finds the columns: by looking at the table.
                table = Table(name, MetaData(), schema="marts", autoload_with=connection)
                assert [column.name for column in table.columns] == [column.name for column in mart.columns]
                over = func.sum(table.c[below])
                share = case((over != 0, func.sum(table.c[above]) * 1.0 / over))
                shown: Sequence[Any] = connection.execute(
                    select(table.c.source, share).where(table.c.is_latest_month).group_by(table.c.source)
                ).all()
                assert {row[0]: round(float(row[1]), 9) for row in shown} == shares(mart, content, above, below)
    finally:
        engine.dispose()


def shares(mart: Mart, content: Extract, above: str, below: str) -> dict[str, float]:
    """Return the shares by source in the latest month."""
    parts: Counter[str] = Counter()
    wholes: Counter[str] = Counter()
    for row in content.rows[mart.name]:
        if row[mart.position(IS_LATEST)]:
            parts[row[mart.position("source")]] += row[mart.position(above)]
            wholes[row[mart.position("source")]] += row[mart.position(below)]
    return {source: round(parts[source] / wholes[source], 9) for source in wholes}
