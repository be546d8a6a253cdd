"""A closed base that several modules read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.closing import WAREHOUSE, close_months
from tests.end_to_end.traps import FIRST, LAST, trap_base

TRAPS_ZONE = "Europe/Paris"


@pytest.fixture(scope="session")
def closed_traps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of the base of traps, all its months closed; not to be written to."""
    folder = tmp_path_factory.mktemp("traps")
    raw_dir = trap_base(TRAPS_ZONE).write(folder / "raw")
    close_months(raw_dir, folder / WAREHOUSE, FIRST, LAST, {"reporting_timezone": TRAPS_ZONE})
    return folder / WAREHOUSE
