"""The same base closed on DuckDB and on a Spark cluster: every table of core and marts has the same rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from examples.prepare import load_example, prepare
from orchestration.demo import generate
from orchestration.months import add_months
from orchestration.settings import PROJECT_ROOT, parse_month
from orchestration.spark.cluster import Cluster
from tests.end_to_end.merged_base import FIRST, VARIABLES, merged_base
from tests.end_to_end.random_base import Shape, random_base
from tests.end_to_end.traps import trap_base
from tests.engines.closes import LONG_PLANNED, NO_TESTS, Base, clear, closed_months

pytestmark = pytest.mark.engines

DEMO_END = date(2026, 10, 1)
# Merges compare coordinates.
LONG_PLANNED_WITHOUT_COORDINATES = tuple(model for model in LONG_PLANNED if model != "int_coordinates_to_judge")
MakeBase = Callable[..., Base]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dbt's folder, so that the project is parsed once."""
    return tmp_path_factory.mktemp("target")


@pytest.fixture
def make_base(cluster: Cluster, target: Path, tmp_path: Path) -> MakeBase:
    """Make a base whose raw files are in `tmp_path / "raw"`, on an empty cluster."""
    clear(cluster, tmp_path)

    def make(first: date, **variables: object) -> Base:
        base = Base(cluster, tmp_path, target, variables)
        base.bring_in(first)
        return base

    return make


def narrowed(base: Base) -> Base:
    """The base without what takes Spark long to plan."""
    return replace(base, left_out=LONG_PLANNED)


def test_demo_closed_as_a_range_and_a_month_more_and_again(make_base: MakeBase, tmp_path: Path) -> None:
    first, second, third = (add_months(DEMO_END, i) for i in (-11, -10, -9))
    generate(tmp_path / "raw", profiles=1_500, months=12, end=DEMO_END)
    whole = make_base(first)
    whole.close(first, second, *NO_TESTS)
    assert whole.differences() == []
    base = narrowed(whole)
    base.close(third, third)
    assert base.differences() == []
    base.close(second, third, *NO_TESTS)
    assert base.differences() == []
    assert closed_months(base) == [first, second, third]


def test_traps(make_base: MakeBase, tmp_path: Path) -> None:
    trap_base("Europe/Paris").write(tmp_path / "raw", "csv")
    first, last = date(2023, 9, 1), date(2023, 12, 1)
    base = make_base(first, reporting_timezone="Europe/Paris")
    base.close(first, last)
    assert base.differences() == []


def test_field_that_is_followed_for_some_months(make_base: MakeBase, tmp_path: Path) -> None:
    trap_base("Europe/Paris").write(tmp_path / "raw", "csv")
    first, second, third = (date(2023, month, 1) for month in (9, 10, 11))
    before = narrowed(make_base(first, reporting_timezone="Europe/Paris"))
    fields = [field.model_dump() for field in before.settings.vars.profile_fields]
    followed = replace(before, variables={**before.variables, "profile_fields": [*fields, {"name": "media"}]})
    before.close(first, first, *NO_TESTS)
    followed.close(second, second, *NO_TESTS)
    assert followed.differences() == []
    assert followed.rows("select min(snapshot_month) from marts.fill_rate_monthly where field = 'media'") == [(second,)]
    before.close(third, third, *NO_TESTS)
    assert before.differences() == []


def test_random_base_with_late_rows(make_base: MakeBase, tmp_path: Path) -> None:
    shape = Shape(seed=11, first=date(2024, 2, 1), n_months=3, zone="America/New_York", grace_days=2)
    random_base(shape).write(tmp_path / "raw")
    base = narrowed(make_base(shape.first, **shape.variables))
    base.close(shape.first, shape.last, *NO_TESTS)
    assert base.differences() == []


def test_merges(make_base: MakeBase, tmp_path: Path) -> None:
    merged_base().write(tmp_path / "raw")
    base = replace(make_base(FIRST, **VARIABLES), left_out=LONG_PLANNED_WITHOUT_COORDINATES)
    base.close(FIRST, add_months(FIRST, 2), *NO_TESTS)
    assert base.differences() == []


@pytest.mark.parametrize("name", ["online_retail", "adventureworks"])
def test_example(make_base: MakeBase, tmp_path: Path, name: str) -> None:
    data = (PROJECT_ROOT / os.environ.get("BATHTUB_TEST_DATA", "../shared/data")).resolve() / name
    if not data.is_dir():
        pytest.skip(f"{data} is absent: BATHTUB_TEST_DATA says where the test data are.")
    example = load_example(name)
    prepare(name, data, tmp_path / "raw")
    first = parse_month(example.first_month)
    base = narrowed(make_base(first, **example.vars))
    base.close(first, add_months(first, 2), *NO_TESTS)
    assert base.differences() == []
