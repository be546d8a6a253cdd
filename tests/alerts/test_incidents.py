"""Incidents, not messages: each rule that turns the findings of a night into what is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.alerts import incidents
from orchestration.alerts.incidents import NIGHTS_UNTIL_FORGOTTEN, Recorded, Run, record
from orchestration.alerts.model import Finding, Severity, Status
from orchestration.alerts.store import AlertsError, Delivery, Incident, Kind, State, Store
from tests.alerts.found import Found, check, morning, night

OPENED, ESCALATED, REMINDER, RECOVERED = Kind
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
VOLUME = Found()
MISSING = Found(check("feed_missing", CRITICAL, "data", mutes_children=True), {"feed": "orders"})


@dataclass(frozen=True)
class To:
    """A destination that takes all."""

    id: str = "mail"

    def wants(self, owner: str, severity: Severity) -> bool:
        """Take it."""
        return True


@dataclass
class Desk:
    """Records nights in a store, and hands over what waits after each unless the destination is down."""

    store: Store
    destinations: Sequence[To] = (To(),)
    down: set[str] = field(default_factory=set)

    def night(self, number: int, *findings: Finding, subjects: Sequence[str] = ("feeds",), recovery_runs: int = 2) -> Recorded:
        run = Run(f"run-{number}", morning(number), night(number), subjects, recovery_runs)
        recorded = record(self.store, findings, run, self.destinations)
        self.last = self.store.waiting()
        with self.store.writing():
            for destination, event in self.last:
                if destination not in self.down:
                    self.store.mark(destination, [event.id], Delivery.SENT, morning(number))
        return recorded

    def told(self, number: int, *findings: Finding, subjects: Sequence[str] = ("feeds",)) -> list[Kind]:
        """What a night adds to the outbox of one destination."""
        before = {event.id for _, event in self.store.waiting()}
        self.night(number, *findings, subjects=subjects)
        return [event.kind for _, event in self.last if event.id not in before]

    @property
    def only(self) -> Incident:
        (incident,) = self.store.open_incidents()
        return incident


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def test_an_incident_is_told_when_it_opens_and_not_when_it_repeats(desk: Desk) -> None:
    assert [desk.told(n, VOLUME.failed(n)) for n in range(4)] == [[OPENED], [], [], []]
    assert desk.only.state is State.OPEN
    assert (desk.only.opened_on, desk.only.judged_on) == (night(0), night(3))


def test_what_passes_opens_nothing(desk: Desk) -> None:
    assert desk.told(0, VOLUME.passed(0)) == []
    assert desk.store.incidents() == []


def test_incidents_are_numbered_from_1_and_keep_the_latest_finding(desk: Desk) -> None:
    other = Found(check("orphans"), {"feed": "events"})
    desk.night(0, VOLUME.failed(0), other.failed(0))
    desk.night(1, VOLUME.failed(1, observed=77.0, history=(1.0, None, 3.0), since=night(0)), other.failed(1))
    first, second = desk.store.open_incidents()
    assert (first.number, second.number) == (1, 2)
    assert first.finding == VOLUME.failed(1, observed=77.0, history=(1.0, None, 3.0), since=night(0))


def test_a_rise_of_severity_escalates_and_is_told_once(desk: Desk) -> None:
    nights = [VOLUME.failed(0, WARNING), VOLUME.failed(1, CRITICAL)]
    assert [desk.told(n, finding) for n, finding in enumerate(nights)] == [[OPENED], [ESCALATED]]
    assert (desk.only.state, desk.only.severity) == (State.ESCALATED, CRITICAL)


def test_a_fall_of_severity_is_not_told_and_does_not_let_the_next_rise_speak_as_new(desk: Desk) -> None:
    severities = [CRITICAL, WARNING, WARNING, CRITICAL]
    told = [desk.told(n, VOLUME.failed(n, severity)) for n, severity in enumerate(severities)]
    assert told == [[OPENED], [], [], [REMINDER]]


def test_a_critical_incident_is_told_once_a_day(desk: Desk) -> None:
    assert [desk.told(n, VOLUME.failed(n, CRITICAL)) for n in range(3)] == [[OPENED], [REMINDER], [REMINDER]]


def test_two_clean_runs_in_a_row_end_an_incident(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    assert desk.told(1, VOLUME.passed(1)) == []
    assert desk.only.clean_runs == 1
    assert desk.told(2, VOLUME.passed(2)) == [RECOVERED]
    (over,) = desk.store.incidents()
    assert (over.state, over.resolution, over.resolved_at) == (State.RESOLVED, "recovered", morning(2))


def test_flapping_does_not_speak_again_until_it_recovered(desk: Desk) -> None:
    flapping = [VOLUME.failed(n) if n % 2 == 0 else VOLUME.passed(n) for n in range(9)]
    assert [desk.told(n, finding) for n, finding in enumerate(flapping)] == [[OPENED], *[[]] * 8]
    desk.night(9, VOLUME.passed(9))
    assert desk.told(10, VOLUME.passed(10)) == [RECOVERED]
    assert desk.told(11, VOLUME.failed(11)) == [OPENED]
    assert desk.only.number == 2


def test_a_recovery_goes_only_where_the_opening_was_delivered(store: Store) -> None:
    desk = Desk(store, (To("mail"), To("chat")), down={"chat"})
    desk.night(0, VOLUME.failed(0))
    desk.night(1, VOLUME.passed(1))
    desk.night(2, VOLUME.passed(2))
    assert [(destination, event.kind) for destination, event in desk.last] == [("mail", RECOVERED)]
    assert store.waiting("chat") == []


def test_an_opening_that_nobody_got_is_cancelled_by_the_recovery(store: Store) -> None:
    desk = Desk(store, down={"mail"})
    desk.night(0, VOLUME.failed(0))
    assert len(store.waiting()) == 1
    desk.night(1, VOLUME.passed(1))
    desk.night(2, VOLUME.passed(2))
    assert store.waiting() == []


def test_the_same_night_replayed_repeats_no_message(desk: Desk) -> None:
    finding = VOLUME.failed(0, CRITICAL)
    assert [desk.told(0, finding) for _ in range(3)] == [[OPENED], [], []]


def test_the_same_night_replayed_counts_as_one_clean_run(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    assert [desk.told(1, VOLUME.passed(1)) for _ in range(4)] == [[], [], [], []]
    assert desk.only.clean_runs == 1


def test_a_night_that_failed_is_no_clean_run_when_it_is_replayed(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    desk.night(0, VOLUME.passed(0))
    assert desk.told(1, VOLUME.passed(1)) == []
    assert desk.told(2, VOLUME.passed(2)) == [RECOVERED]


def test_a_clean_night_that_fails_when_it_is_replayed_is_no_clean_run(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    desk.night(1, VOLUME.passed(1))
    assert desk.told(1, VOLUME.failed(1)) == []
    assert desk.only.clean_runs == 0


def test_where_one_run_is_enough_a_good_one_of_the_same_day_ends_it(desk: Desk) -> None:
    failed = Found(check("run_failed", CRITICAL, "data", subject="runs"), {"job": "nightly_checks"})
    desk.night(0, failed.failed(0), subjects=(), recovery_runs=1)
    assert desk.night(0, failed.passed(0), subjects=(), recovery_runs=1).resolved == 1
    assert desk.night(0, failed.failed(0), subjects=(), recovery_runs=1).opened == 1


def test_an_older_night_replayed_changes_nothing(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    desk.night(1, VOLUME.passed(1))
    before = desk.only
    assert desk.told(0, VOLUME.failed(0, CRITICAL)) == []
    assert desk.told(0, VOLUME.passed(0)) == []
    assert desk.only == before


def test_an_older_night_replayed_does_not_open_what_is_over(desk: Desk) -> None:
    for n, finding in enumerate([VOLUME.failed(0), VOLUME.passed(1), VOLUME.passed(2)]):
        desk.night(n, finding)
    assert desk.told(0, VOLUME.failed(0)) == []
    assert desk.store.open_incidents() == []


def test_info_is_listed_and_never_told(desk: Desk) -> None:
    info = [desk.told(n, VOLUME.failed(n, Severity.INFO)) for n in range(2)]
    assert info == [[], []]
    assert desk.only.severity is Severity.INFO
    assert [desk.told(n, VOLUME.passed(n)) for n in (2, 3)] == [[], []]


def test_a_check_that_could_not_run_is_an_incident_of_its_own(desk: Desk) -> None:
    assert desk.told(0, VOLUME.unknown(0)) == [OPENED]
    assert (desk.only.finding.status, desk.only.fingerprint) == (
        Status.UNKNOWN,
        "volume_outside_band/feed=orders/source=web/unknown",
    )
    assert desk.told(1, VOLUME.passed(1)) == []
    assert desk.told(2, VOLUME.passed(2)) == [RECOVERED]


def test_an_unknown_check_of_little_severity_is_a_warning(desk: Desk) -> None:
    assert desk.told(0, Found(check(severity=Severity.INFO)).unknown(0)) == [OPENED]
    assert desk.only.severity is WARNING


def test_a_check_that_could_not_run_does_not_end_what_failed(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    desk.night(1, VOLUME.passed(1))
    assert desk.told(2, VOLUME.unknown(2)) == [OPENED]
    # The clean runs before and after it are not in a row.
    desk.night(3, VOLUME.passed(3))
    assert {(i.finding.status, i.clean_runs) for i in desk.store.open_incidents()} == {
        (Status.FAILED, 1),
        (Status.UNKNOWN, 1),
    }


def test_a_missing_feed_speaks_for_its_sources(desk: Desk) -> None:
    assert desk.told(0, VOLUME.failed(0), MISSING.failed(0)) == [OPENED]
    assert desk.only.fingerprint == "feed_missing/feed=orders"


def test_a_missing_source_does_not_speak_for_another_nor_for_its_feed(desk: Desk) -> None:
    web = Found(check("source_missing", CRITICAL, "data", mutes_children=True))
    shop = Found(scope={"feed": "orders", "source": "shop"})
    late = Found(check("feed_late"), {"feed": "orders"})
    desk.night(0, web.failed(0), VOLUME.failed(0), shop.failed(0), late.failed(0))
    assert {i.fingerprint for i in desk.store.open_incidents()} == {
        "source_missing/feed=orders/source=web",
        "volume_outside_band/feed=orders/source=shop",
        "feed_late/feed=orders",
    }


def test_what_is_muted_by_its_feed_neither_repeats_nor_recovers(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0, CRITICAL))
    assert desk.told(1, VOLUME.failed(1, CRITICAL), MISSING.failed(1)) == [OPENED]
    for n in (2, 3):
        assert desk.told(n, VOLUME.passed(n), MISSING.failed(n)) == [REMINDER]
    child = desk.store.incident(1)
    assert (child.is_open, child.clean_runs, child.muted_by) == (True, 0, "feed_missing/feed=orders")


def test_a_child_that_still_fails_is_told_when_its_feed_is_back(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0), MISSING.failed(0))
    assert desk.told(1, VOLUME.failed(1), MISSING.passed(1)) == [OPENED]


def test_an_incident_that_nobody_judges_ends_quietly_after_28_nights(desk: Desk) -> None:
    other = Found(check("orphans"), {"feed": "events"})
    desk.night(0, VOLUME.failed(0))
    for n in range(1, NIGHTS_UNTIL_FORGOTTEN):
        assert desk.told(n, other.passed(n)) == []
        # A replay is no further night.
        desk.night(n, other.passed(n))
    assert desk.only.nights_unjudged == NIGHTS_UNTIL_FORGOTTEN - 1
    assert desk.told(NIGHTS_UNTIL_FORGOTTEN, other.passed(NIGHTS_UNTIL_FORGOTTEN)) == []
    (over,) = desk.store.incidents()
    assert over.resolution == "no longer judged"


def test_a_run_that_does_not_judge_a_subject_leaves_its_incidents(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    desk.night(1, subjects=("marts",))
    assert desk.only.nights_unjudged == 0


def test_a_run_that_missed_an_incident_leaves_the_night_to_one_that_judges_it(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0, CRITICAL))
    desk.night(1)
    assert desk.told(1, VOLUME.failed(1, CRITICAL)) == [REMINDER]
    desk.night(2)
    desk.night(2, VOLUME.passed(2))
    assert (desk.only.judged_on, desk.only.clean_runs, desk.only.nights_unjudged) == (night(2), 1, 0)


def test_the_worst_finding_speaks_for_a_place_that_is_judged_twice(desk: Desk) -> None:
    told = desk.told(0, VOLUME.failed(0, CRITICAL), VOLUME.passed(0), VOLUME.failed(0, WARNING))
    assert told == [OPENED]
    assert desk.only.severity is CRITICAL


def test_nothing_of_a_run_is_kept_when_it_breaks_off(desk: Desk) -> None:
    broken = Found(check("orphans", owner="data"))
    object.__setattr__(broken.check, "titles", {"en": object()})
    with pytest.raises(TypeError):
        desk.night(0, VOLUME.failed(0), broken.failed(0))
    assert desk.store.incidents() == []
    assert desk.store.waiting() == []


# ---- what people do ---------------------------------------------------------------------------------------------------


def test_an_acknowledged_incident_is_not_repeated_until_it_escalates(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0, CRITICAL))
    incidents.acknowledge(desk.store, 1, "ana", morning(0))
    assert [desk.told(n, VOLUME.failed(n, CRITICAL)) for n in (1, 2)] == [[], []]
    other = Found(check("orphans"))
    desk.night(3, other.failed(3))
    incidents.acknowledge(desk.store, 2, "ana", morning(3))
    assert desk.told(4, other.failed(4, CRITICAL)) == [ESCALATED]
    assert desk.store.incident(2).acknowledged_by is None


def test_a_muted_incident_is_silent_before_the_day_and_speaks_once_on_it(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    # The run in the early morning of that day, which judges the day before, is the first that may speak.
    incidents.mute(desk.store, 1, night(4), "ana", morning(0))
    told = [desk.told(n, VOLUME.failed(n, CRITICAL)) for n in (1, 2)]
    assert [*told, desk.told(3, VOLUME.failed(3)), desk.told(4, VOLUME.failed(4))] == [[], [], [REMINDER], []]


def test_a_muted_incident_recovers_silently(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    incidents.mute(desk.store, 1, night(9), "ana", morning(0))
    assert [desk.told(n, VOLUME.passed(n)) for n in (1, 2)] == [[], []]
    assert desk.store.incident(1).resolution == "recovered"


def test_what_waits_about_an_incident_is_not_sent_once_it_is_muted(store: Store) -> None:
    desk = Desk(store, down={"mail"})
    desk.night(0, VOLUME.failed(0))
    incidents.mute(store, 1, night(3), "ana", morning(0))
    assert store.waiting() == []
    assert [desk.told(n, VOLUME.failed(n)) for n in (1, 2)] == [[], [REMINDER]]


def test_unmute_lets_an_incident_speak_at_the_next_run(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    incidents.mute(desk.store, 1, night(90), "ana", morning(0))
    desk.night(1, VOLUME.failed(1))
    incidents.unmute(desk.store, 1, "ana", morning(1))
    assert [desk.told(n, VOLUME.failed(n)) for n in (2, 3)] == [[REMINDER], []]
    with pytest.raises(AlertsError, match="#1 is not muted"):
        incidents.unmute(desk.store, 1, "ana", morning(3))


def test_a_day_that_is_over_is_no_day_to_mute_until(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    with pytest.raises(AlertsError, match="2026-09-30 is over"):
        incidents.mute(desk.store, 1, night(-1), "ana", morning(0))


def test_noise_ends_an_incident_without_a_message_and_a_replay_does_not_open_it(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    incidents.call_noise(desk.store, 1, "ana", morning(0))
    assert desk.told(0, VOLUME.failed(0)) == []
    assert desk.store.incident(1).resolution == "noise"
    assert desk.told(1, VOLUME.failed(1)) == [OPENED]


def test_what_people_do_is_recorded_with_who_and_when(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    at = morning(0) + timedelta(hours=3)
    incidents.acknowledge(desk.store, 1, "ana", at)
    incidents.mute(desk.store, 1, night(9), "bob", at + timedelta(hours=1))
    incidents.call_noise(desk.store, 1, "eve", at + timedelta(hours=2))
    assert [(a.action, a.by, a.detail) for a in desk.store.actions(1)] == [
        ("acknowledged", "ana", ""),
        ("muted", "bob", "2026-10-10"),
        ("noise", "eve", ""),
    ]
    assert desk.store.actions()[0].at == at


def test_an_incident_that_is_over_or_was_never_there_is_refused(desk: Desk) -> None:
    desk.night(0, VOLUME.failed(0))
    incidents.call_noise(desk.store, 1, "ana", morning(0))
    with pytest.raises(AlertsError, match=r"#1 is over \(noise\)"):
        incidents.acknowledge(desk.store, 1, "ana", morning(0))
    with pytest.raises(AlertsError, match="no incident #7"):
        incidents.acknowledge(desk.store, 7, "ana", morning(0))


# ---- the store --------------------------------------------------------------------------------------------------------


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store._connection.execute("pragma user_version = 99")
    with pytest.raises(AlertsError, match="another version of Bathtub"), Store.open(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AlertsError, match="BATHTUB_ALERTS_DIR"), Store.open(tmp_path / "file"):
        pass


# ---- random nights ----------------------------------------------------------------------------------------------------


@dataclass
class Simple:
    """What an incident tells, in the fewest words: the model that random nights are compared with."""

    worst: int = -1
    clean: int = 0
    told: int = 0

    def failed(self, severity: Severity) -> list[Kind]:
        self.clean = 0
        if self.worst < 0:
            self.worst, self.told = severity.rank, self.told + 1
            return [OPENED]
        if severity.rank > self.worst:
            self.worst = severity.rank
            return [ESCALATED]
        return [REMINDER] if severity is CRITICAL else []

    def passed(self) -> list[Kind]:
        if self.worst < 0:
            return []
        self.clean += 1
        if self.clean < 2:
            return []
        self.worst, self.clean = -1, 0
        return [RECOVERED]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["passed", "warning", "critical", "unknown"]), st.integers(min_value=1, max_value=3)),
        max_size=14,
    )
)
def test_random_nights_tell_what_a_simple_model_tells(nights: list[tuple[str, int]]) -> None:
    model, unknown = Simple(), Simple()
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        # Hundreds of small transactions: what a power cut would lose is not what is tried here.
        store._connection.execute("pragma synchronous = off")
        desk = Desk(store)
        for n, (result, n_runs) in enumerate(nights):
            if result == "unknown":
                expected, model.clean = unknown.failed(WARNING), 0
                finding = VOLUME.unknown(n)
            else:
                expected = unknown.passed()
                expected += model.passed() if result == "passed" else model.failed(Severity(result))
                finding = VOLUME.passed(n) if result == "passed" else VOLUME.failed(n, Severity(result))
            told = [kind for _ in range(n_runs) for kind in desk.told(n, finding)]
            assert told == expected
