"""A close whose marts fail a critical check is not published, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dagster import AssetCheckEvaluation, AssetCheckKey, AssetKey, DagsterInstance, Definitions

from orchestration.alerts import night
from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.model import Finding, Severity, Status
from orchestration.alerts.store import Store
from orchestration.assets import why_stopped
from orchestration.close import CloseError
from orchestration.engine import _DuckDBClose
from orchestration.run import close_through_dagster
from orchestration.settings import load_settings
from tests.orchestration.conftest import Home

MONTH = date(2024, 4, 1)


def _finding(code: str, observed: float = 3, **scope: str) -> Finding:
    check = catalogue()[code]
    return Finding(check, scope, Status.FAILED, check.severity, MONTH, observed=observed, low=0, high=0)


# ---- the sentence -----------------------------------------------------------------------------------------------------


def test_the_sentence_names_the_check_the_place_what_was_observed_and_what_to_do() -> None:
    gap = _finding("flows_do_not_close", scope="base", source="web")
    assert why_stopped([gap]) == (
        "Flows that do not close (scope base, source web): observed 3, expected at most 0. Nothing was published, and readers "
        "keep the last good state; what to do: docs/runbook.md#flows_do_not_close"
    )
    assert why_stopped([gap, gap, gap]).startswith("Flows that do not close (scope base, source web), and 2 more: observed 3")


def test_a_bound_and_a_command_are_named_where_they_are_the_way_out() -> None:
    deletion = _finding("mass_deletion", 0.34, feed="customers")
    assert why_stopped([replace(deletion, high=0.05)]).endswith(
        "a bound that is too tight (mass_deletion_least, mass_deletion_share) is set in BATHTUB_VARS; "
        "a deletion that is real is confirmed with: make confirm-deletion"
    )


def test_the_sentence_hides_what_is_no_name() -> None:
    assert "(scope base, source (hidden))" in why_stopped([_finding("flows_do_not_close", scope="base", source="a@b.example")])


@pytest.mark.parametrize(
    ("code", "changed", "blocks"),
    [
        ("flows_do_not_close", {}, True),
        ("mass_deletion", {}, True),
        ("flows_do_not_close", {"status": Status.PASSED}, False),
        ("flows_do_not_close", {"status": Status.UNKNOWN}, False),
        # In the warm-up of a source its checks only warn.
        ("flows_do_not_close", {"severity": Severity.WARNING}, False),
        ("month_not_closed", {}, False),
        ("fill_rate_outside_band", {}, False),
    ],
)
def test_only_a_critical_failure_of_a_check_that_blocks_stops_a_close(code: str, changed: dict[str, Any], blocks: bool) -> None:
    finding = replace(_finding(code), **changed)
    assert night.blocking([finding]) == ([finding] if blocks else [])


# ---- whole closes -----------------------------------------------------------------------------------------------------


@pytest.fixture
def alerts_dir(closed: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the alerts of the session's deployment, for one test; asked for before `definitions`, which reads it."""
    monkeypatch.setenv("BATHTUB_ALERTS_DIR", str(tmp_path / "alerts"))
    return tmp_path / "alerts"


def _seen(instance: DagsterInstance, mart: str, code: str) -> AssetCheckEvaluation:
    key = AssetCheckKey(AssetKey(["marts", mart]), code)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    return evaluation


def _gap_in(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the working copy of a close show a gap of 3 profiles in the flows of a source."""
    asked = _DuckDBClose.rows

    def rows(close: _DuckDBClose, sql: str) -> list[tuple[Any, ...]]:
        found = asked(close, sql)
        if "'flows_gap'" not in sql:
            return found
        return [(month, name, item, 3 if name == source else gap) for month, name, item, gap in found]

    monkeypatch.setattr(_DuckDBClose, "rows", rows)


@pytest.mark.slow
def test_a_close_whose_flows_do_not_close_is_refused_and_nothing_is_published(
    closed: Home, alerts_dir: Path, definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    _gap_in("web", monkeypatch)
    with duckdb.connect(str(closed.warehouse)) as con:
        con.execute("delete from ops.closed_months where snapshot_month = ?", [MONTH])
    before = closed.warehouse.read_bytes()
    with pytest.raises(
        CloseError, match=r"Flows that do not close \(scope \w+, source web\), and 1 more: observed 3, .*runbook"
    ):
        close_through_dagster(load_settings(), [MONTH], verbose=False)
    assert closed.warehouse.read_bytes() == before
    with Store.open(alerts_dir) as store:
        incidents = store.open_incidents()
        assert store.waiting() == []
    assert sorted(incident.fingerprint for incident in incidents) == [
        "flows_do_not_close/scope=active/source=web",
        "flows_do_not_close/scope=base/source=web",
    ]
    with DagsterInstance.get() as instance:
        gap = _seen(instance, "flows_monthly", "flows_do_not_close")
        assert not gap.passed
        assert gap.metadata["scope base, source web"].value == "observed 3, expected at most 0 (2024-04)"
        assert _seen(instance, "optin_rate_monthly", "waterfall_does_not_add_up").passed


@pytest.mark.slow
def test_a_close_with_a_warning_is_published(
    closed: Home, alerts_dir: Path, definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    warning = _finding("fill_rate_outside_band", 0.4, field="email")

    def judged(*_: object) -> Sequence[Finding]:
        return [warning]

    monkeypatch.setattr(night, "judge_close", judged)
    with duckdb.connect(str(closed.warehouse)) as con:
        con.execute("delete from ops.closed_months where snapshot_month = ?", [MONTH])
    close_through_dagster(load_settings(), [MONTH], verbose=False)
    with duckdb.connect(str(closed.warehouse), read_only=True) as con:
        assert con.execute("select max(snapshot_month) from ops.closed_months").fetchone() == (MONTH,)
    with DagsterInstance.get() as instance:
        assert not _seen(instance, "fill_rate_monthly", "fill_rate_outside_band").passed
