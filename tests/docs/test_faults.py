"""The table of faults in docs/operations.md: each line is backed by tests that exist."""

from __future__ import annotations

import re

from orchestration.settings import PROJECT_ROOT

HEADING = "### Faults, and the test behind each line"


def _lines() -> list[list[str]]:
    text = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split(HEADING)[1]
    table = re.split(r"\n#", text, maxsplit=1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]
    return rows[2:]


def test_each_fault_names_what_is_seen_what_repairs_it_and_a_test() -> None:
    assert len(_lines()) > 10
    assert [line[0] for line in _lines() if len(line) != 4 or not all(line) or "`test_" not in line[3]] == []


def test_each_test_named_by_a_fault_exists() -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in (PROJECT_ROOT / "tests").rglob("test_*.py"))
    named = {name for line in _lines() for name in re.findall(r"`(test_\w+)`", line[3])}
    assert named - set(re.findall(r"def (test_\w+)\(", code)) == set()
