"""The watch over the scheduled runs: failed, missed and recovered ones, on a real instance of Dagster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from zoneinfo import ZoneInfo

import duckdb
import pytest
from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    ExecuteInProcessResult,
    Failure,
    build_run_status_sensor_context,
    build_sensor_context,
    job,
    op,
)

from orchestration.alerts import runs
from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.incidents import Run, call_noise, record
from orchestration.alerts.messages import observed_against, title_and_place
from orchestration.alerts.model import Finding, Status
from orchestration.alerts.outbox import recipients
from orchestration.alerts.runs import (
    CLOSE,
    LONGEST_NIGHT,
    NIGHT,
    NIGHT_MISSED_AFTER,
    RUN_FAILED,
    SCHEDULE_MISSED,
    SCHEDULED,
    Standing,
    last_close_tick,
    sensors,
    standings,
)
from orchestration.alerts.store import Incident, Store
from orchestration.close import record_closed
from orchestration.months import months_between
from orchestration.settings import Settings
from tests.orchestration.conftest import Home

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def settings(home: Home) -> Settings:
    return home.settings()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def _run(instance: DagsterInstance, name: str, fails: bool = False, **tags: str) -> ExecuteInProcessResult:
    @op
    def step() -> None:
        if fails:
            raise Failure("It failed.")

    @job(name=name)
    def scheduled() -> None:
        step()

    return scheduled.execute_in_process(instance=instance, raise_on_error=False, tags=tags)


def _sensor(settings: Settings, name: str) -> Callable[..., object]:
    (found,) = [sensor for sensor in sensors(settings, []) if sensor.name == name]
    return found


def _saw(settings: Settings, instance: DagsterInstance, result: ExecuteInProcessResult) -> None:
    """Let the sensor of the run's end see it."""
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    event = result.get_run_success_event() if result.success else result.get_run_failure_event()
    name = "succeeded_runs" if result.success else "failed_runs"
    _sensor(settings, name)(build_run_status_sensor_context(name, event, instance, run))


def _watch(settings: Settings, instance: DagsterInstance, since: datetime = NOW) -> str | None:
    context = build_sensor_context(instance, cursor=since.isoformat())
    _sensor(settings, "scheduled_runs")(context)
    return context.cursor


def _open(settings: Settings) -> list[str]:
    with Store.open(settings.alerts_dir) as store:
        return [incident.fingerprint for incident in store.open_incidents()]


def _told(settings: Settings) -> list[str]:
    """Kinds of what was told of runs, the oldest first."""
    with Store.open(settings.alerts_dir) as store:
        rows = store._connection.execute("select kind from events order by id").fetchall()
    return [row["kind"] for row in rows]


# ---- failed runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NIGHT, CLOSE])
def test_a_failed_run_alerts_once_and_the_next_success_ends_it(
    settings: Settings, instance: DagsterInstance, name: str
) -> None:
    _saw(settings, instance, _run(instance, name, fails=True))
    assert _open(settings) == [f"run_failed/job={name}"]
    _watch(settings, instance)
    assert _told(settings) == ["opened"]
    _saw(settings, instance, _run(instance, name))
    assert _open(settings) == []
    assert _told(settings) == ["opened", "recovered"]
    assert "Aucun incident" in (settings.alerts_dir / "alerts.html").read_text(encoding="utf-8")


def test_the_alert_says_which_job_and_since_when(settings: Settings, instance: DagsterInstance) -> None:
    since = datetime(2026, 1, 12, 5, 5, tzinfo=UTC)
    runs._settle(settings, [Standing(RUN_FAILED, CLOSE, since)], "watch", since + MINUTE)
    with Store.open(settings.alerts_dir) as store:
        (incident,) = store.open_incidents()
    assert title_and_place(incident.finding, "en") == "A scheduled run failed · job monthly_close"
    assert (incident.finding.since, observed_against(incident.finding, "en")) == (date(2026, 1, 12), "2026-01-12 06:05 CET")


def test_a_success_of_one_job_does_not_end_the_failure_of_the_other(settings: Settings, instance: DagsterInstance) -> None:
    _saw(settings, instance, _run(instance, NIGHT, fails=True))
    _saw(settings, instance, _run(instance, CLOSE))
    assert _open(settings) == ["run_failed/job=nightly_checks"]


def test_a_success_that_nobody_waited_for_says_nothing(settings: Settings, instance: DagsterInstance) -> None:
    _saw(settings, instance, _run(instance, NIGHT))
    assert _told(settings) == []


def test_a_success_in_a_terminal_ends_the_alert_at_the_next_watch(settings: Settings, instance: DagsterInstance) -> None:
    _saw(settings, instance, _run(instance, CLOSE, fails=True))
    # Dagster's sensors do not see the runs of a command.
    _run(instance, CLOSE)
    _watch(settings, instance)
    assert _open(settings) == []


def test_a_failure_in_a_terminal_was_seen_there(settings: Settings, instance: DagsterInstance) -> None:
    _run(instance, CLOSE, fails=True)
    _watch(settings, instance)
    assert _open(settings) == []


def test_a_failure_that_the_sensor_could_not_record_is_told_by_the_watch(
    settings: Settings, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = _run(instance, NIGHT, fails=True)
    with monkeypatch.context() as broken:
        broken.setattr(Store, "open", _refuse)
        _saw(settings, instance, failed)
    # A run that the daemon launched has an origin; this one stands for it.
    monkeypatch.setattr(runs, "_last_result", lambda at, name: _record(at, failed.run_id) if name == NIGHT else None)
    _watch(settings, instance)
    assert _open(settings) == ["run_failed/job=nightly_checks"]


def _refuse(*_: object) -> Store:
    raise OSError("The disk is full.")


def _record(instance: DagsterInstance, run_id: str) -> object:
    (found,) = instance.get_run_records()
    assert found.dagster_run.run_id == run_id
    return found


def test_what_was_called_noise_is_not_told_again(settings: Settings, instance: DagsterInstance) -> None:
    since = NOW - NIGHT_MISSED_AFTER - MINUTE
    _watch(settings, instance, since)
    with Store.open(settings.alerts_dir) as store:
        call_noise(store, store.open_incidents()[0].number, "somebody", datetime.now(UTC))
    _watch(settings, instance, since)
    assert (_open(settings), _told(settings)) == ([], ["opened"])


def _since(settings: Settings, opened_at: datetime) -> Incident:
    check = catalogue()[RUN_FAILED]
    night = opened_at.astimezone(settings.vars.zone).date() - timedelta(days=1)
    finding = Finding(check, {"job": NIGHT}, Status.FAILED, check.severity, night)
    with Store.open(settings.alerts_dir) as store:
        record(store, [finding], Run("first", opened_at, night, ()), recipients(settings))
        return store.open_incidents()[0]


@pytest.mark.parametrize(("hours", "kinds"), [(1, 1), (18.5, 1), (23.9, 1), (24.1, 2), (30, 2), (47, 2), (48.1, 3)])
def test_a_failure_that_lasts_is_told_every_24_hours(settings: Settings, hours: float, kinds: int) -> None:
    # At 06:05 in Paris, in winter.
    opened_at = datetime(2026, 1, 12, 5, 5, tzinfo=UTC)
    _since(settings, opened_at)
    now = opened_at
    while (now := now + timedelta(minutes=15)) <= opened_at + timedelta(hours=hours):
        runs._settle(settings, [Standing(RUN_FAILED, NIGHT, opened_at - MINUTE)], "watch", now)
    assert len(_told(settings)) == kinds


# ---- missed runs ------------------------------------------------------------------------------------------------------


def _missed(settings: Settings, instance: DagsterInstance, job: str, since: datetime, now: datetime) -> bool | None:
    """Whether a schedule was missed; None where it cannot be told."""
    found = [s for s in standings(settings, instance, since, now) if (s.code, s.job) == (SCHEDULE_MISSED, job)]
    return bool(found[0].since) if found else None


def test_a_night_is_missed_26_hours_after_the_last(settings: Settings, instance: DagsterInstance) -> None:
    _run(instance, NIGHT)
    long_ago, ended = NOW - timedelta(days=9), datetime.now(UTC)
    assert _missed(settings, instance, NIGHT, long_ago, ended + NIGHT_MISSED_AFTER - MINUTE) is False
    assert _missed(settings, instance, NIGHT, long_ago, ended + NIGHT_MISSED_AFTER + MINUTE) is True


def test_nothing_is_missed_before_somebody_watches(settings: Settings, instance: DagsterInstance) -> None:
    assert _missed(settings, instance, NIGHT, NOW, NOW + NIGHT_MISSED_AFTER - MINUTE) is False
    cursor = _watch(settings, instance, NOW)
    assert cursor == NOW.isoformat()
    assert _open(settings) == []


def test_a_night_that_failed_took_place(settings: Settings, instance: DagsterInstance) -> None:
    _run(instance, NIGHT, fails=True)
    assert _missed(settings, instance, NIGHT, NOW - timedelta(days=9), datetime.now(UTC) + timedelta(hours=25)) is False


def test_a_run_that_was_killed_with_its_machine_is_no_sign_of_life_for_long(
    settings: Settings, instance: DagsterInstance
) -> None:
    instance.add_run(DagsterRun(job_name=NIGHT, status=DagsterRunStatus.STARTED))
    long_ago, killed = NOW - timedelta(days=9), datetime.now(UTC)
    assert _missed(settings, instance, NIGHT, long_ago, killed + LONGEST_NIGHT - MINUTE) is False
    assert _missed(settings, instance, NIGHT, long_ago, killed + LONGEST_NIGHT + MINUTE) is True


def test_a_missed_night_alerts_and_the_next_night_ends_it(settings: Settings, instance: DagsterInstance) -> None:
    since = NOW - NIGHT_MISSED_AFTER - MINUTE
    for _ in range(3):
        _watch(settings, instance, since)
    assert _open(settings) == ["schedule_missed/job=nightly_checks"]
    assert _told(settings) == ["opened"]
    _saw(settings, instance, _run(instance, NIGHT))
    assert _open(settings) == []


def _base(settings: Settings, closed_until: date) -> None:
    with duckdb.connect(str(settings.warehouse)) as con:
        con.execute("create schema ops; create table ops.warehouse (first_month date)")
        con.execute("insert into ops.warehouse values (?)", [date(2025, 1, 1)])
    record_closed(settings.warehouse, months_between(date(2025, 1, 1), closed_until), datetime(2025, 1, 1, tzinfo=UTC), "run")


def _paris(*at: int) -> datetime:
    year, month, day, hour = at
    return datetime(year, month, day, hour, tzinfo=ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize(
    ("closed_until", "at", "is_missed"),
    [
        (date(2025, 12, 1), _paris(2026, 2, 3, 7), True),
        (date(2025, 12, 1), _paris(2026, 2, 20, 7), True),
        # Within two hours of the tick nobody can tell yet.
        (date(2025, 12, 1), _paris(2026, 2, 3, 5), None),
        (date(2026, 1, 1), _paris(2026, 2, 3, 7), False),
    ],
)
def test_a_close_is_missed_when_its_month_is_still_open_after_the_tick(
    settings: Settings, instance: DagsterInstance, closed_until: date, at: datetime, is_missed: bool | None
) -> None:
    _base(settings, closed_until)
    assert _missed(settings, instance, CLOSE, _paris(2026, 1, 20, 0), at) is is_missed


def test_a_close_that_ran_since_its_tick_was_not_missed(settings: Settings, instance: DagsterInstance) -> None:
    _base(settings, date(2025, 1, 1))
    now = datetime.now(UTC)
    after_tick = last_close_tick(settings, now) + timedelta(hours=3)
    since = after_tick - timedelta(days=5)
    assert _missed(settings, instance, CLOSE, since, after_tick) is True
    _run(instance, CLOSE, fails=True)
    assert _missed(settings, instance, CLOSE, since, after_tick) is False


def test_a_close_is_not_missed_by_who_began_to_watch_after_its_tick(settings: Settings, instance: DagsterInstance) -> None:
    _base(settings, date(2025, 12, 1))
    assert _missed(settings, instance, CLOSE, _paris(2026, 2, 4, 0), _paris(2026, 2, 20, 7)) is None


def test_a_warehouse_that_cannot_be_read_does_not_stop_the_watch(settings: Settings, instance: DagsterInstance) -> None:
    settings.warehouse.write_text("no warehouse", encoding="utf-8")
    found = list(standings(settings, instance, _paris(2026, 1, 20, 0), _paris(2026, 2, 3, 7)))
    assert [(s.code, s.job) for s in found] == [(SCHEDULE_MISSED, NIGHT)]


@pytest.mark.parametrize(
    ("now", "tick"),
    [
        (_paris(2026, 2, 3, 4), _paris(2026, 2, 3, 4)),
        (_paris(2026, 2, 3, 3), _paris(2026, 1, 3, 4)),
        (_paris(2026, 1, 1, 0), _paris(2025, 12, 3, 4)),
        (_paris(2026, 2, 28, 23), _paris(2026, 2, 3, 4)),
    ],
)
def test_the_last_tick_of_the_close(settings: Settings, now: datetime, tick: datetime) -> None:
    assert last_close_tick(settings, now.astimezone(UTC)) == tick


# ---- what waits, and the dead man's switch ----------------------------------------------------------------------------


def test_the_watch_sends_what_waits_for_a_destination(settings: Settings, instance: DagsterInstance) -> None:
    _since(settings, NOW)
    with Store.open(settings.alerts_dir) as store:
        assert len(store.waiting()) == 1
    _watch(settings, instance)
    with Store.open(settings.alerts_dir) as store:
        assert store.waiting() == []


@pytest.fixture
def switch() -> Iterator[tuple[str, list[str]]]:
    """A dead man's switch on loopback: its URL, and the paths that were asked."""
    asked: list[str] = []

    class Switch(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Switch) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/id", asked
        server.shutdown()


@pytest.mark.parametrize("fails", [False, True])
def test_each_scheduled_run_pings_at_its_start_and_its_end(
    home: Home, instance: DagsterInstance, switch: tuple[str, list[str]], fails: bool
) -> None:
    url, asked = switch
    settings = home.settings(BATHTUB_HEARTBEAT_URL=url)
    by_hand = _run(instance, NIGHT, fails)
    by_schedule = _run(instance, NIGHT, fails, **{SCHEDULED: "nightly_checks_schedule"})
    for result in (by_hand, by_schedule):
        (start,) = [event for event in result.all_events if event.event_type_value == "PIPELINE_START"]
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        _sensor(settings, "started_runs")(build_run_status_sensor_context("started_runs", start, instance, run))
        _saw(settings, instance, result)
    assert asked == ["/id/start", "/id/fail" if fails else "/id"]
