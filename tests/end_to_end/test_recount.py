"""Closed bases, recounted from their raw files by a program that shares nothing with the models."""

from __future__ import annotations

import os
from itertools import cycle
from pathlib import Path

import pytest

from examples.prepare import load_example, prepare
from orchestration.case_study import DEMO_END
from orchestration.demo import generate
from orchestration.months import add_months
from orchestration.settings import PROJECT_ROOT, parse_month
from tests.end_to_end.closing import WAREHOUSE, close_months, recount
from tests.end_to_end.traps import FIRST, LAST, trap_base

ZONES = (
    *("Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"),
    *("America/Havana", "Asia/Beirut", "Pacific/Apia", "UTC"),
)
FORMS = ("csv", "parquet", "csv.gz")


def _check_traps(folder: Path, zone: str, form: str) -> None:
    raw_dir = trap_base(zone).write(folder / "raw", form)
    close_months(raw_dir, folder / WAREHOUSE, FIRST, LAST, {"reporting_timezone": zone})
    recount(folder / WAREHOUSE, raw_dir, zone)


@pytest.mark.parametrize(("zone", "form"), [("Europe/Paris", "csv"), ("Pacific/Auckland", "parquet")])
def test_traps(tmp_path: Path, zone: str, form: str) -> None:
    _check_traps(tmp_path, zone, form)


@pytest.mark.slow
# The form of the files ends with the ingest and the zone begins after it: each takes turns.
@pytest.mark.parametrize(("zone", "form"), list(zip(ZONES, cycle(FORMS), strict=False)))
def test_traps_in_every_zone_and_form(tmp_path: Path, zone: str, form: str) -> None:
    _check_traps(tmp_path, zone, form)


def test_demo(tmp_path: Path) -> None:
    generate(tmp_path / "raw", profiles=1_500, months=14, end=DEMO_END)
    close_months(tmp_path / "raw", tmp_path / WAREHOUSE, add_months(DEMO_END, -13), DEMO_END, {})
    recount(tmp_path / WAREHOUSE, tmp_path / "raw", "Europe/Paris")


@pytest.mark.slow
def test_full_demo(full_demo: tuple[Path, Path]) -> None:
    raw_dir, warehouse = full_demo
    recount(warehouse, raw_dir, "Europe/Paris")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["online_retail", "adventureworks"])
def test_example(tmp_path: Path, name: str) -> None:
    data = (PROJECT_ROOT / os.environ.get("BATHTUB_TEST_DATA", "../shared/data")).resolve() / name
    if not data.is_dir():
        pytest.skip(f"{data} is absent: BATHTUB_TEST_DATA says where the test data are.")
    example = load_example(name)
    prepare(name, data, tmp_path / "raw")
    first, last = parse_month(example.first_month), parse_month(example.last_month)
    close_months(tmp_path / "raw", tmp_path / WAREHOUSE, first, last, example.vars)
    recount(tmp_path / WAREHOUSE, tmp_path / "raw", str(example.vars["reporting_timezone"]))
