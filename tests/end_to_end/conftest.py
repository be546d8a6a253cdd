"""What several of these tests look at and none changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.case_study import DEMO_END
from orchestration.demo import generate
from orchestration.months import add_months
from tests.end_to_end.closing import WAREHOUSE, close_months


@pytest.fixture(scope="session")
def full_demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The base of `make demo` with all its months closed: raw folder and warehouse."""
    folder = tmp_path_factory.mktemp("demo")
    generate(folder / "raw", profiles=20_000, months=36, end=DEMO_END)
    close_months(folder / "raw", folder / WAREHOUSE, add_months(DEMO_END, -35), DEMO_END, {})
    return folder / "raw", folder / WAREHOUSE
