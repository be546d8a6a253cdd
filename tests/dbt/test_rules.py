"""The business rules, one dbt unit test each: they run in one dbt call and report one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestration.settings import DBT_PROJECT_DIR
from tests.dbt.conftest import DbtRun, run_dbt


def rules() -> list[str]:
    """Return the unit tests that the project's files define, as `model.test`."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in DBT_PROJECT_DIR.glob("models/**/*.yml")]
    return sorted(f"{test['model']}.{test['name']}" for file in files for test in file.get("unit_tests", []))


@pytest.fixture(scope="module")
def run(built: Path) -> DbtRun:
    return run_dbt(built, "test", "--select", "test_type:unit")


@pytest.mark.parametrize("rule", rules())
def test_rule(run: DbtRun, rule: str) -> None:
    result = run.results.get(f"unit_test.bathtub.{rule}")
    assert result is not None, run.output
    assert result["status"] == "pass", result["message"]


def test_no_rule_goes_unreported(run: DbtRun) -> None:
    assert sorted(name.removeprefix("unit_test.bathtub.") for name in run.results) == rules()


def test_each_rule_has_a_name_of_its_own() -> None:
    names = [rule.split(".")[1] for rule in rules()]
    assert len(names) == len(set(names))
    assert all(name.startswith("test_") for name in names)
