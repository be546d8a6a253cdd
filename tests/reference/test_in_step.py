"""What the dbt project holds of reference data is what the installed libraries give."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from orchestration.reference import disposable_domains, numbering_plans, postal_codes
from orchestration.settings import DBT_PROJECT_DIR

FILES = [
    (disposable_domains, disposable_domains.SEED),
    (numbering_plans, numbering_plans.MACRO),
    (postal_codes, postal_codes.MACRO),
]


@pytest.mark.parametrize(("module", "file"), FILES, ids=lambda value: value.name if isinstance(value, Path) else "")
def test_the_file_is_what_its_library_gives(module: ModuleType, file: Path, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (line,) = module.write(tmp_path)
    assert line.startswith(f"{file}: ")
    written = (tmp_path / file).read_text(encoding="utf-8")
    assert written == (DBT_PROJECT_DIR / file).read_text(encoding="utf-8"), f"{file} is out of step; run: make reference"
