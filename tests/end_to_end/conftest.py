"""Closed bases that several modules read and none changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.case_study import DEMO_END
from orchestration.demo import generate
from orchestration.months import add_months
from tests.end_to_end.closing import WAREHOUSE, close_months
from tests.end_to_end.traps import FIRST, LAST, trap_base

TRAPS_ZONE = "Europe/Paris"
SMALL_DEMO_MONTHS = 14


@pytest.fixture(scope="session")
def closed_traps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of the base of traps, all its months closed; not to be written to."""
    folder = tmp_path_factory.mktemp("traps")
    raw_dir = trap_base(TRAPS_ZONE).write(folder / "raw")
    close_months(raw_dir, folder / WAREHOUSE, FIRST, LAST, {"reporting_timezone": TRAPS_ZONE})
    return folder / WAREHOUSE


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small base of the demo with its months closed: raw folder and warehouse; not to be written to."""
    folder = tmp_path_factory.mktemp("small_demo")
    generate(folder / "raw", profiles=1_500, months=SMALL_DEMO_MONTHS, end=DEMO_END)
    close_months(folder / "raw", folder / WAREHOUSE, add_months(DEMO_END, 1 - SMALL_DEMO_MONTHS), DEMO_END, {})
    return folder / "raw", folder / WAREHOUSE


@pytest.fixture(scope="session")
def full_demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The base of `make demo` with all its months closed: raw folder and warehouse."""
    folder = tmp_path_factory.mktemp("demo")
    generate(folder / "raw", profiles=20_000, months=36, end=DEMO_END)
    close_months(folder / "raw", folder / WAREHOUSE, add_months(DEMO_END, -35), DEMO_END, {})
    return folder / "raw", folder / WAREHOUSE
