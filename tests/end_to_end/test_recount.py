"""Closed bases, recounted from their raw files by a program that shares nothing with the models."""

from __future__ import annotations

import os
from itertools import cycle
from pathlib import Path

import pytest

from examples.prepare import load_example, prepare
from orchestration.settings import PROJECT_ROOT, parse_month
from tests.end_to_end.closing import WAREHOUSE, close_months, recount
from tests.end_to_end.conftest import TRAPS_ZONE
from tests.end_to_end.traps import FIRST, LAST, trap_base

# Beside Europe/Paris and Pacific/Auckland, which every run has.
ZONES = ("America/New_York", "Asia/Kolkata", "America/Havana", "Asia/Beirut", "Pacific/Apia", "UTC")
FORMS = ("parquet", "csv.gz", "csv")


def _check_traps(folder: Path, zone: str, form: str) -> None:
    raw_dir = trap_base(zone).write(folder / "raw", form)
    close_months(raw_dir, folder / WAREHOUSE, FIRST, LAST, {"reporting_timezone": zone})
    recount(folder / WAREHOUSE, raw_dir, zone)


def test_traps(closed_traps: Path) -> None:
    recount(closed_traps, closed_traps.with_name("raw"), TRAPS_ZONE)


def test_traps_in_csv_in_the_southern_hemisphere(tmp_path: Path) -> None:
    _check_traps(tmp_path, "Pacific/Auckland", "csv")


@pytest.mark.slow
# The form of the files ends with the ingest and the zone begins after it: each takes turns.
@pytest.mark.parametrize(("zone", "form"), list(zip(ZONES, cycle(FORMS), strict=False)))
def test_traps_in_other_zones_and_every_form(tmp_path: Path, zone: str, form: str) -> None:
    _check_traps(tmp_path, zone, form)


def test_demo(small_demo: tuple[Path, Path]) -> None:
    raw_dir, warehouse = small_demo
    recount(warehouse, raw_dir, "Europe/Paris")


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
