"""The tables of checks: complete, readable, and in step with what they name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestration.alerts.catalogue import CHECKS_DIR, CatalogueError, all_rules, catalogue, default_bounds, read_rules, rules
from orchestration.alerts.frames import COLUMNS, SCOPE
from orchestration.alerts.model import Severity
from orchestration.settings import DBT_PROJECT_DIR, ConfigurationError, load_settings
from tests.alerts.observed_base import healthy_base

CODES = {
    "feed_missing", "source_missing", "volume_outside_band", "weekly_volume_outside_band", "feed_late", "schema_changed",
    "duplicate_keys", "orphans", "null_spike", "quarantine_spike", "bounce_spike", "complaint_spike", "unsubscribe_spike",
    "optin_stock_fall", "mass_deletion", "source_mix_shift", "future_dates", "ingest_failed", "month_not_closed",
    "flows_do_not_close", "waterfall_does_not_add_up", "fill_rate_outside_band", "optin_rate_outside_band",
}  # fmt: skip
CRITICAL = {
    "feed_missing", "source_missing", "optin_stock_fall", "mass_deletion", "ingest_failed", "month_not_closed",
    "flows_do_not_close", "waterfall_does_not_add_up",
}  # fmt: skip
ENTRY = """
- code: late
  titles: {{fr: En retard, en: Late}}
  severity: warning
  owner: data
  unit: share
  {more}
"""
JUDGED = (
    "frame: lateness\n  scope: [feed]\n  expectations: "
    "[{{type: expect_column_values_to_be_between, kwargs: {{column: observed, max_value: {bound}}}}}]"
)


def test_the_pack_is_whole() -> None:
    checks = {code: check for code, check in catalogue().items() if check.subject != "runs"}
    assert set(checks) == CODES
    assert {code for code, check in checks.items() if check.severity is Severity.CRITICAL} == CRITICAL
    assert {code for code, check in checks.items() if check.blocks} == {
        "mass_deletion", "flows_do_not_close", "waterfall_does_not_add_up",
    }  # fmt: skip
    assert {code for code, check in checks.items() if check.mutes_children} == {
        "feed_missing", "source_missing", "ingest_failed",
    }  # fmt: skip
    assert all(rule.fires_when for rule in all_rules().values() if rule.check.subject != "runs")
    assert all(check.titles["fr"] and check.titles["en"] for check in checks.values())


def test_the_marts_that_a_check_touches_exist() -> None:
    marts = {path.stem for path in (DBT_PROJECT_DIR / "models" / "marts").glob("*.sql")}
    for check in catalogue().values():
        assert marts.issuperset(check.marts), check.code


def test_every_rule_names_a_frame_that_is_built_and_columns_that_it_has() -> None:
    base = healthy_base()
    frames = {"feeds": set(base.feeds()), "marts": set(base.marts())}
    for rule in rules():
        assert rule.frame in frames[rule.check.subject], rule.check.code
        assert set(SCOPE).issuperset(rule.scope), rule.check.code
        for expectation in rule.expectations:
            named = [str(value) for name, value in expectation.kwargs.items() if name in ("column", "column_A", "column_B")]
            assert set(COLUMNS).issuperset([*named, *expectation.where, *expectation.at_least]), rule.check.code


def test_every_bound_is_read_by_a_check_or_by_its_frame() -> None:
    assert {name for rule in rules() for name in rule.bounds} == set(default_bounds())


def test_a_table_of_checks_is_read_when_it_is_there(tmp_path: Path) -> None:
    assert read_rules(tmp_path, frozenset()) == {}
    (tmp_path / "runs.yml").write_text(ENTRY.format(more="blocks: false"), encoding="utf-8")
    (rule,) = read_rules(tmp_path, frozenset()).values()
    assert (rule.check.subject, rule.frame, rule.check.owner) == ("runs", "", "data")


WRONG = {
    "an owner nobody is": (ENTRY.format(more="owner: sales"), "owner"),
    "a key that is none": (ENTRY.format(more="colour: red"), "colour"),
    "a frame without expectations": (ENTRY.format(more="frame: lateness"), "frame, scope and expectations together"),
    "a code twice": (ENTRY.format(more="blocks: false") * 2, "late stands twice"),
    "a bound without a default": (ENTRY.format(more=JUDGED.format(bound="$late_shore")), "late_shore"),
    "no list": ("late: {}", "no list of checks"),
    "no YAML": ("- {", "not readable as YAML"),
}


@pytest.mark.parametrize(("text", "what"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_table_is_refused_in_one_sentence(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "feeds.yml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        read_rules(tmp_path, frozenset({"late_share"}))
    assert what in str(caught.value)
    assert "feeds.yml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_bounds_of_the_project_are_numbers() -> None:
    assert read_rules(CHECKS_DIR, frozenset(default_bounds()))
    assert load_settings({}).vars.alerts.bounds == default_bounds()


def test_an_override_of_one_bound_keeps_the_others() -> None:
    found = load_settings({"BATHTUB_VARS": "{alerts: {hour: 5, bounds: {late_share: 0.2}}}"}).vars.alerts
    assert found.bounds == {**default_bounds(), "late_share": 0.2}
    assert (found.hour, found.training_days) == (5, load_settings({}).vars.alerts.training_days)


@pytest.mark.parametrize(
    ("alerts", "what"),
    [
        ({"bounds": {"late_shore": 1}}, "there is no bound 'late_shore' in alerts.bounds; the bounds are band_min_change, "),
        ({"bounds": {"late_share": -1}}, "alerts.bounds.late_share = -1"),
        ({"bounds": {"late_share": "much"}}, "alerts.bounds.late_share = 'much'"),
        ({"bounds": [1]}, "alerts.bounds = [1]"),
        ({"ours": 6}, "there is no var 'alerts.ours'"),
        (6, "alerts = 6"),
    ],
)
def test_a_wrong_override_is_refused_in_one_sentence(alerts: object, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"BATHTUB_VARS": json.dumps({"alerts": alerts})})
    assert str(caught.value).startswith(f"BATHTUB_VARS: {what}")
    assert "\n" not in str(caught.value)
