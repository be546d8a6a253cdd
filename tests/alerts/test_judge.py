"""Each check of the feeds and the marts fires on what it is about, and on nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.alerts import judge as module
from orchestration.alerts.calendar import Calendar, Entry
from orchestration.alerts.catalogue import ExpectationEntry, catalogue, rules
from orchestration.alerts.frames import Frames, Row, Unbuilt, frame_of
from orchestration.alerts.judge import judge, write_results
from orchestration.alerts.model import Finding, Severity, Status, Subject
from orchestration.close import WarehouseState
from orchestration.settings import PROJECT_ROOT
from tests.alerts.observed_base import FIRST_DAY, JUDGED, MONTHS, VARS, Base, failed, healthy_base

BOUNDS = VARS.alerts.bounds
DAY = timedelta(days=1)


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Base:
    _depart(monkeypatch, n_base=10_000, n_gone=400)
    return healthy_base()


def _depart(monkeypatch: pytest.MonkeyPatch, n_base: int, n_gone: int) -> None:
    """Stands in for the count over the profiles of the latest close, which has its own tests."""
    gone = SimpleNamespace(n_base=n_base, n_gone=n_gone)
    monkeypatch.setitem(sys.modules, "orchestration.alerts.deletions", SimpleNamespace(departures=lambda rows: gone))


def _days(what: str, where: str) -> str:
    return f"update observations.feed_days set {what} where {where}"


def _delivery(what: str, feed: str) -> str:
    return f"update ops.feed_deliveries set {what} where feed = '{feed}' and ingested_at >= {{night}}"


ON_THE_DAY = "day = {judged}"
FIRING: Mapping[str, tuple[Sequence[str], set[str]]] = {
    "feed_missing": (
        ["delete from observations.feed_days where feed = 'orders' and day = {judged}"],
        {"feed_missing/feed=orders", "source_missing/feed=orders/source=store", "source_missing/feed=orders/source=web"},
    ),
    "source_missing": (
        ["delete from observations.feed_days where feed = 'orders' and source = 'web' and day = {judged}"],
        {"source_missing/feed=orders/source=web"},
    ),
    "volume_outside_band": (
        [_days("n_rows = n_rows // 2", f"feed = 'orders' and source = 'web' and {ON_THE_DAY}")],
        {"volume_outside_band/feed=orders/source=web"},
    ),
    "weekly_volume_outside_band": (
        [_days("n_rows = 1", "source = 'partner' and day > {judged} - interval 7 day")],
        {"weekly_volume_outside_band/feed=customers/source=partner"},
    ),
    "feed_late": (
        [_days("n_late = 300", "feed = 'orders' and source = 'web' and day = {judged} - interval 2 day")],
        {"feed_late/feed=orders"},
    ),
    "schema_changed": ([_delivery("missing_columns = ['email']", "customers")], {"schema_changed/feed=customers"}),
    "duplicate_keys": ([_delivery("n_superseded = 100", "orders")], {"duplicate_keys/feed=orders"}),
    "orphans": (
        [_days("n_rows = 60, n_orphans = 60", f"source = '(orphan)' and {ON_THE_DAY}")],
        {"orphans/feed=orders"},
    ),
    "null_spike": (
        [f"update observations.feed_columns set n_null = n_rows // 2 where column_name = 'email' and {ON_THE_DAY}"],
        {"null_spike/feed=customers/column=email"},
    ),
    "quarantine_spike": ([_delivery("n_quarantined = 60", "events")], {"quarantine_spike/feed=events"}),
    "bounce_spike": (
        [_days("n_hard_bounces = 200", f"feed = 'events' and source = 'web' and {ON_THE_DAY}")],
        {"bounce_spike/feed=events"},
    ),
    "complaint_spike": (
        [_days("n_complaints = 30", f"feed = 'events' and source = 'web' and {ON_THE_DAY}")],
        {"complaint_spike/feed=events"},
    ),
    "unsubscribe_spike": (
        [_days("n_opt_outs = 200", f"feed = 'consents' and source = 'web' and {ON_THE_DAY}")],
        {"unsubscribe_spike/feed=consents"},
    ),
    "optin_stock_fall": (
        [_days("n_opt_outs = 2500", f"feed = 'consents' and source = 'web' and {ON_THE_DAY}")],
        {"optin_stock_fall/feed=consents", "unsubscribe_spike/feed=consents"},
    ),
    "source_mix_shift": (
        [
            _days("n_rows = n_rows - 55", f"feed = 'customers' and source = 'web' and {ON_THE_DAY}"),
            _days("n_rows = n_rows - 45", f"feed = 'customers' and source = 'store' and {ON_THE_DAY}"),
            _days("n_rows = n_rows + 90", f"feed = 'customers' and source = 'app' and {ON_THE_DAY}"),
        ],
        {"source_mix_shift/feed=customers", "volume_outside_band/feed=customers/source=app"},
    ),
    "future_dates": ([_delivery("n_future_dates = 4", "orders")], {"future_dates/feed=orders"}),
    "flows_do_not_close": (
        [f"update observations.month_shares set numerator = 1 where measure = 'flows_gap' and item = 'base' and source = 'web' "
         f"and snapshot_month = '{MONTHS[-1]}'"],
        {"flows_do_not_close/scope=base/source=web"},
    ),
    "waterfall_does_not_add_up": (
        [f"update observations.month_shares set numerator = 1 where measure = 'waterfall_gap' and item = 'sms' "
         f"and source = 'all' and snapshot_month = '{MONTHS[-1]}'"],
        {"waterfall_does_not_add_up/channel=sms/source=all"},
    ),
    "fill_rate_outside_band": (
        [f"update observations.month_shares set numerator = numerator * 0.95 where measure = 'fill_rate' "
         f"and item in ('email', 'gender') and snapshot_month = '{MONTHS[-1]}'"],
        {"fill_rate_outside_band/field=email"},
    ),
    "optin_rate_outside_band": (
        [f"update observations.month_shares set numerator = numerator * 1.2 where measure = 'optin_rate' and item = 'sms' "
         f"and snapshot_month = '{MONTHS[-1]}'"],
        {"optin_rate_outside_band/channel=sms"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", FIRING)
def test_a_check_fires_on_its_fault_and_no_other_does(base: Base, code: str) -> None:
    statements, expected = FIRING[code]
    findings = base.change(*statements).findings(catalogue()[code].subject)
    assert failed(findings) == expected
    own = [finding for finding in findings if finding.check.code == code and not finding.is_good]
    assert own
    assert all(finding.since and finding.severity is finding.check.severity for finding in own)


def test_more_profiles_gone_than_allowed_are_a_mass_deletion(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    _depart(monkeypatch, n_base=10_000, n_gone=501)
    (finding,) = [finding for finding in base.findings() if not finding.is_good]
    assert (finding.fingerprint, finding.observed, finding.high) == ("mass_deletion/feed=customers", 0.0501, 0.05)


def test_a_month_that_is_open_after_its_deadline_is_told(base: Base) -> None:
    findings = replace(base, state=WarehouseState(MONTHS[0], MONTHS[:-1])).findings("marts")
    (finding,) = [finding for finding in findings if not finding.is_good]
    assert finding.fingerprint == "month_not_closed/month=2026-04"
    assert (finding.observed, finding.high, finding.since) == (21, 5, date(2026, 5, 6))


def test_a_month_is_missed_before_the_first_close_too(base: Base) -> None:
    findings = replace(base, state=WarehouseState(date(2026, 3, 1))).findings("marts")
    assert failed(findings) == {"month_not_closed/month=2026-03"}


def test_every_check_on_a_frame_has_a_fault_that_fires_it() -> None:
    assert {rule.check.code for rule in rules()} == {*FIRING, "mass_deletion", "month_not_closed"}


@pytest.fixture(scope="module")
def quiet() -> list[Finding]:
    with pytest.MonkeyPatch.context() as patch:
        _depart(patch, n_base=10_000, n_gone=400)
        base = healthy_base()
        return [*base.findings(is_whole=True), *base.findings("marts", is_whole=True)]


@pytest.mark.parametrize("code", [rule.check.code for rule in rules()])
def test_a_check_is_quiet_on_a_healthy_base_and_says_that_it_ran(quiet: list[Finding], code: str) -> None:
    own = [finding for finding in quiet if finding.check.code == code]
    assert all(finding.is_good for finding in own)
    assert [finding.fingerprint for finding in own if not finding.scope] == [code]
    assert [finding for finding in own if finding.scope and finding.observed is not None]


# Judged together, since none of them touches what another is about; the failed check would tell which it was.
NOT_FIRING: Mapping[Subject, Mapping[str, Sequence[str]]] = {
    "feeds": {
        "a few late rows": [_days("n_late = 19", "feed = 'consents' and source = 'web' and day = {judged} - interval 2 day")],
        "late rows of the judged day, which are not all known": [_days("n_late = 300", f"feed = 'orders' and {ON_THE_DAY}")],
        "columns that changed more than a week ago": [
            "update ops.feed_deliveries set missing_columns = ['email'] "
            "where feed = 'customers' and ingested_at >= {night} - interval 8 day"
        ],
        "a few rows in quarantine": [_delivery("n_quarantined = 4, n_read = 100", "consents")],
        "a few complaints, and bounces on a day without sends, after sends": [
            _days("n_complaints = 2, n_sent = 0", f"feed = 'events' and {ON_THE_DAY}")
        ],
        "dates in the future that were there before": [
            "update ops.feed_deliveries set n_future_dates = 40 where ingested_at >= {night} - interval 1 day"
        ],
        "more opt-ins than usual": [_days("n_opt_ins = 9000", f"feed = 'consents' and {ON_THE_DAY}")],
        "a source that delivers for the first time": [
            "insert into observations.feed_days (feed, source, day, n_rows) values ('orders', 'new shop', {judged}, 50)"
        ],
    },
    "marts": {
        "a fill rate of a field that is no key field": [
            f"update observations.month_shares set numerator = 0 where measure = 'fill_rate' and item = 'gender' "
            f"and snapshot_month = '{MONTHS[-1]}'"
        ],
        "a gap of a month that is not judged": [
            "update observations.month_shares set numerator = 1 where measure = 'flows_gap' "
            f"and snapshot_month = '{MONTHS[-2]}'"
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("subject", NOT_FIRING)
def test_what_is_no_fault_is_no_alarm(base: Base, subject: Subject) -> None:
    for statements in NOT_FIRING[subject].values():
        base.change(*statements)
    assert failed(base.findings(subject)) == set()


def test_a_rate_is_not_judged_with_fewer_than_six_months_before_it(base: Base) -> None:
    halved = (
        f"update observations.month_shares set numerator = numerator * 0.5 where measure in ('fill_rate', 'optin_rate') "
        f"and snapshot_month = '{MONTHS[-1]}'"
    )
    base.change(halved, f"delete from observations.month_shares where snapshot_month < '{MONTHS[-7]}'")
    assert len(failed(base.findings("marts"))) == 6
    base.change(f"delete from observations.month_shares where snapshot_month < '{MONTHS[-6]}'")
    assert failed(base.findings("marts")) == set()


def test_few_net_opt_outs_are_no_fall_of_the_stock(base: Base) -> None:
    base.change(
        "update marts.optin_rate_monthly set n_opted_in = 100",
        _days("n_opt_ins = n_opt_outs - 20", f"feed = 'consents' and {ON_THE_DAY}"),
    )
    assert failed(base.findings()) == set()
    base.change(_days("n_opt_ins = n_opt_outs - 30", f"feed = 'consents' and {ON_THE_DAY}"))
    assert failed(base.findings()) == {"optin_stock_fall/feed=consents"}


@pytest.mark.parametrize(("n_base", "n_gone"), [(500, 49), (10_000, 500)], ids=["few profiles", "a small share"])
def test_few_departures_are_no_mass_deletion(base: Base, monkeypatch: pytest.MonkeyPatch, n_base: int, n_gone: int) -> None:
    _depart(monkeypatch, n_base, n_gone)
    assert failed(base.findings()) == set()


@pytest.mark.parametrize(
    ("confirmed", "month", "fires"), [(900, MONTHS[-1], False), (899, MONTHS[-1], True), (900, MONTHS[-2], True)]
)
def test_a_confirmed_deletion_is_no_alarm_up_to_what_was_confirmed_for_the_last_close(
    base: Base, monkeypatch: pytest.MonkeyPatch, confirmed: int, month: date, fires: bool
) -> None:
    _depart(monkeypatch, n_base=10_000, n_gone=900)
    base.change(f"insert into ops.confirmed_deletions values (now(), 'somebody', '{month}', {confirmed})")
    assert failed(base.findings()) == ({"mass_deletion/feed=customers"} if fires else set())


def test_a_closed_day_of_the_calendar_misses_nothing(base: Base) -> None:
    statements, _ = FIRING["feed_missing"]
    closed = Calendar([Entry(JUDGED, JUDGED, "closure", "orders")])
    assert failed(replace(base, calendar=closed).change(*statements).findings()) == set()


def test_a_missing_source_is_no_shift_of_the_mix(base: Base) -> None:
    base.change(f"delete from observations.feed_days where feed = 'customers' and source = 'web' and {ON_THE_DAY}")
    assert failed(base.findings()) == {"source_missing/feed=customers/source=web"}


def test_a_missing_source_is_told_once_and_not_as_a_volume(base: Base) -> None:
    statements, _ = FIRING["source_missing"]
    findings = base.change(*statements).findings()
    assert "volume_outside_band/feed=orders/source=web" not in {finding.fingerprint for finding in findings}


def test_while_a_source_warms_up_its_checks_only_warn(base: Base) -> None:
    base.change(
        "delete from observations.feed_days where feed = 'orders' and source = 'web' "
        "and (day < {judged} - interval 20 day or day = {judged})"
    )
    (finding,) = [finding for finding in base.findings() if not finding.is_good]
    assert finding.fingerprint == "source_missing/feed=orders/source=web"
    assert (finding.check.severity, finding.severity) == (Severity.CRITICAL, Severity.WARNING)


def test_a_frame_that_cannot_be_built_makes_its_checks_unknown_and_no_others(base: Base) -> None:
    findings = base.change("drop table observations.feed_columns").findings()
    assert failed(findings) == {"unknown null_spike"}
    (finding,) = [finding for finding in findings if not finding.is_good]
    assert (finding.detail, finding.severity) == ("CatalogException", Severity.WARNING)


def test_without_observations_no_check_of_a_feed_is_green(base: Base) -> None:
    findings = base.change("drop schema observations cascade", "drop table ops.feed_deliveries").findings()
    codes = {finding.check.code for finding in findings if finding.check.subject == "feeds" and finding.is_good}
    assert codes == {"mass_deletion"}


def test_a_closed_month_without_shares_is_unknown(base: Base) -> None:
    base.change(f"delete from observations.month_shares where snapshot_month = '{MONTHS[-1]}'")
    assert failed(base.findings("marts")) == {
        "unknown flows_do_not_close", "unknown waterfall_does_not_add_up",
        "unknown fill_rate_outside_band", "unknown optin_rate_outside_band",
    }  # fmt: skip


FINE = Row({"month": "2026-04"}, 0, high=5)


def _marts_frames(**others: object) -> Frames:
    names = ("deadlines", "flow_gaps", "waterfall_gaps", "fill_rates", "optin_rates")
    frames: dict[str, object] = dict.fromkeys(names, frame_of([]))
    return {**frames, **others}


def test_an_expectation_that_raises_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    (rule, *_) = rules("marts")
    broken = ExpectationEntry(type="expect_column_values_to_be_between", kwargs={"column": "no_such_column", "max_value": 1})
    monkeypatch.setattr(module, "rules", lambda subject: (replace(rule, expectations=(broken,)),))
    (finding,) = judge({"deadlines": frame_of([FINE])}, "marts", JUDGED, BOUNDS)
    assert finding.status is Status.UNKNOWN
    assert finding.detail.isidentifier()
    assert "no_such_column" not in finding.detail


def test_a_suite_that_raises_leaves_every_check_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise RuntimeError("jane.doe@example.com")

    monkeypatch.setattr(module, "_verdicts", stop)
    findings = judge(_marts_frames(deadlines=frame_of([FINE])), "marts", JUDGED, BOUNDS)
    assert {finding.status for finding in findings} == {Status.UNKNOWN}
    assert {finding.detail for finding in findings} == {"RuntimeError"}


def test_a_value_that_is_not_there_is_unknown_and_not_green() -> None:
    frames = _marts_frames(deadlines=frame_of([FINE, Row({"month": "2026-05"}, float("nan"), high=5)]))
    found = {finding.fingerprint: finding.status for finding in judge(frames, "marts", JUDGED, BOUNDS)}
    assert found["month_not_closed/month=2026-04"] is Status.PASSED
    assert found["month_not_closed/month=2026-05"] is Status.UNKNOWN


@pytest.mark.parametrize("frame", [None, Unbuilt("BinderException"), frame_of([FINE]).drop(columns="observed")])
def test_a_frame_that_is_missing_or_lacks_a_column_is_unknown(frame: object) -> None:
    frames = {name: other for name, other in _marts_frames(deadlines=frame).items() if other is not None}
    assert failed(judge(frames, "marts", JUDGED, BOUNDS)) == {"unknown month_not_closed"}


def test_a_failure_began_on_the_first_day_outside_the_band(base: Base) -> None:
    base.change(
        _days("n_rows = n_rows * 3", "feed = 'orders' and source = 'web' and day > {judged} - interval 3 day"),
        "delete from observations.feed_days where feed = 'events' and source = 'web' and day > {judged} - interval 2 day",
    )
    since = {finding.fingerprint: finding.since for finding in base.findings() if not finding.is_good}
    assert since["volume_outside_band/feed=orders/source=web"] == JUDGED - 2 * DAY
    assert since["source_missing/feed=events/source=web"] == JUDGED - DAY


def test_a_bound_of_the_vars_moves_the_check(base: Base) -> None:
    base.change(_delivery("n_future_dates = 4", "orders"))
    alerts = VARS.alerts.model_copy(update={"bounds": {**BOUNDS, "future_dates": 4}})
    assert failed(replace(base, variables=VARS.model_copy(update={"alerts": alerts})).findings()) == set()


def test_a_close_judges_the_months_that_it_closes(base: Base) -> None:
    base.change(
        f"update observations.month_shares set numerator = 3 where measure = 'flows_gap' and item = 'base' and source = 'web' "
        f"and snapshot_month = '{MONTHS[-2]}'"
    )
    before = replace(base, state=WarehouseState(MONTHS[0], MONTHS[:-2]))
    (finding,) = [f for f in judge(before.marts(MONTHS[-2:]), "marts", JUDGED, BOUNDS) if not f.is_good]
    assert (finding.fingerprint, finding.observed, finding.detail) == ("flows_do_not_close/scope=base/source=web", 3, "2026-03")
    assert finding.check.blocks


def test_every_failed_row_is_found_and_an_empty_frame_has_none() -> None:
    rows = [Row({"field": f"field {number}"}, 1, low=0, high=number % 2) for number in range(120)]
    findings = judge(_marts_frames(fill_rates=frame_of(rows)), "marts", JUDGED, BOUNDS)
    assert failed(findings) == {f"fill_rate_outside_band/field=field {number}" for number in range(0, 120, 2)}
    assert {finding.fingerprint for finding in findings if not finding.scope} == {rule.check.code for rule in rules("marts")}
    assert failed(judge(_marts_frames(), "marts", JUDGED, BOUNDS)) == set()


def test_great_expectations_is_imported_only_to_judge() -> None:
    heavy = "{'great_expectations', 'pandas'} & set(sys.modules)"
    code = f"import sys, orchestration.alerts.judge, orchestration.alerts.frames, orchestration.dictionary; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


ADDRESS = "jane.doe@example.com"


def test_no_value_of_a_person_is_in_results_details_or_data_docs(base: Base, tmp_path: Path) -> None:
    base.change(
        f"update observations.feed_days set source = '{ADDRESS}' where source = 'web'",
        _delivery(f"unknown_columns = ['{ADDRESS}', 'Doe']", "customers"),
        f"delete from observations.feed_days where source = '{ADDRESS}' and {ON_THE_DAY}",
    )
    findings = judge(base.feeds(), "feeds", JUDGED, BOUNDS, data_docs=tmp_path / "data_docs")
    path = write_results(tmp_path, "run 1", findings, datetime(2026, 5, 21, 4, tzinfo=UTC))
    assert any(not finding.is_good and ADDRESS in finding.scope.values() for finding in findings)
    assert [finding.detail for finding in findings if finding.check.code == "schema_changed" and not finding.is_good] == ["+2"]
    pages = list((tmp_path / "data_docs").rglob("*.html"))
    assert (tmp_path / "data_docs" / "feeds" / "index.html") in pages
    for file in [path, *pages]:
        text = file.read_text(encoding="utf-8")
        assert ADDRESS not in text
        assert "Doe" not in text


def test_results_keep_states_and_numbers_of_the_last_runs(
    quiet: list[Finding], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESULTS_KEPT", 3)
    start = datetime(2026, 5, 21, 4, tzinfo=UTC)
    paths = [write_results(tmp_path, f"run-{night}", quiet, start + night * DAY) for night in range(5)]
    again = write_results(tmp_path, "run-4", quiet, start + timedelta(days=4, hours=1))
    assert sorted((tmp_path / "results").iterdir()) == [*paths[2:4], again]
    kept = json.loads(again.read_text(encoding="utf-8"))
    assert kept["run_id"] == "run-4"
    (line,) = [line for line in kept["findings"] if line["check"] == "mass_deletion" and line["scope"]]
    assert line == {
        "check": "mass_deletion", "scope": {"feed": "customers"}, "status": "passed", "severity": "critical",
        "judged_on": "2026-05-20", "observed": 0.04, "low": None, "high": 0.05, "since": None,
    }  # fmt: skip


def test_the_history_ends_with_the_judged_value(quiet: list[Finding]) -> None:
    (finding,) = [f for f in quiet if f.fingerprint == "volume_outside_band/feed=orders/source=web"]
    assert len(finding.history) == 14
    assert finding.history[-1] == finding.observed


def test_a_base_that_was_observed_for_a_few_days_is_not_judged_yet(base: Base) -> None:
    base.change(
        "delete from observations.feed_days where day < {judged} - interval 10 day or (feed = 'orders' and day = {judged})"
    )
    findings = base.findings()
    assert failed(findings) == set()
    assert not [f for f in findings if f.check.code in ("source_missing", "volume_outside_band") and f.scope]
    assert FIRST_DAY < JUDGED - 10 * DAY
