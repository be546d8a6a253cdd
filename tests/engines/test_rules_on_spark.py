"""The business rules mean the same on Spark: dbt's unit tests, in one dbt call on the cluster."""

from __future__ import annotations

import pytest

from orchestration.spark.cluster import Cluster
from tests.dbt.conftest import DbtRun
from tests.dbt.test_rules import rules
from tests.engines.warehouse import make_relations, run_dbt_on_spark

pytestmark = pytest.mark.engines

# Spark takes half a minute to plan its query, once for each rule; the base of traps has numbers of all kinds.
LEFT_OUT = "int_phone_numbers"
RULES = [rule for rule in rules() if not rule.startswith(f"{LEFT_OUT}.")]


@pytest.fixture(scope="module")
def run(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> DbtRun:
    folder = tmp_path_factory.mktemp("rules")
    make_relations(cluster, folder)
    return run_dbt_on_spark(cluster, folder, "test", "--select", "test_type:unit", "--exclude", LEFT_OUT)


@pytest.mark.parametrize("rule", RULES)
def test_rule(run: DbtRun, rule: str) -> None:
    result = run.results.get(f"unit_test.bathtub.{rule}")
    assert result is not None, run.output
    assert result["status"] == "pass", result["message"]


def test_no_rule_goes_unreported(run: DbtRun) -> None:
    assert sorted(name.removeprefix("unit_test.bathtub.") for name in run.results) == RULES
