"""Seeded nights through the whole chain: bands, Great Expectations, incidents, outbox, Apprise, a mail and a web server.

Each scenario says which messages leave each night: no more, no fewer. A message is the list of its headings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.alerts import incidents
from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.model import Finding, Status
from orchestration.alerts.night import Night, judge_and_tell, tell
from orchestration.alerts.store import Store
from orchestration.engine import engine_of
from orchestration.settings import Settings, load_settings
from tests.alerts.observed_base import JUDGED, MONTHS, healthy_base
from tests.alerts.sinks import MailSink, Received, WebSink
from tests.alerts.test_judge import FIRING

DAYS_AFTER = 12
PEOPLE = 2_000
HEADING = re.compile(r"^#\d+ (.+)$", re.MULTILINE)
PERSONAL = re.compile(r"[\w.+-]+@[\w-]+\.\w+|\+?\d[\d .]{8,}\d|person\d")

# What happens before a night is judged: statements on the observations, with {judged} and {night} as in `Base.change`.
Fault = Sequence[str]
NOTHING: Fault = ()
QUIET: list[list[str]] = []


@dataclass
class World:
    """A deployment whose observations are written by the test, and its two destinations."""

    folder: Path
    mail: MailSink
    web: WebSink
    variables: dict[str, str] = field(default_factory=dict)
    night: int = 0

    @property
    def warehouse(self) -> Path:
        return self.folder / "bathtub.duckdb"

    @property
    def judged(self) -> date:
        return JUDGED + timedelta(days=self.night)

    @property
    def now(self) -> datetime:
        """Four in the morning of the night that judges."""
        day = self.judged + timedelta(days=1)
        return datetime(day.year, day.month, day.day, 4, tzinfo=UTC)

    @property
    def settings(self) -> Settings:
        return load_settings(
            {
                "BATHTUB_WAREHOUSE": str(self.warehouse),
                "BATHTUB_ALERT_URLS": f"{self.mail.url} {self.web.url}",
                "BATHTUB_VARS": "{report_language: en}",
                **self.variables,
            }
        )

    def change(self, fault: Fault) -> None:
        night = f"cast('{self.judged + timedelta(days=1)}' as timestamp)"
        with duckdb.connect(str(self.warehouse)) as con:
            for statement in fault:
                con.execute(statement.replace("{judged}", f"date '{self.judged}'").replace("{night}", night))

    def judge(self, fault: Fault = NOTHING) -> Night:
        self.change(fault)
        settings = self.settings
        run = f"night-{self.judged}"
        return judge_and_tell(settings, engine_of(settings), self.now, run, self.judged, lambda line: None)

    def next_night(self, fault: Fault = NOTHING) -> list[list[str]]:
        """Judge the next night and return the headings of each message that left, as both destinations got them."""
        before = len(self.mail.received), len(self.web.received)
        self.judge(fault)
        self.night += 1
        mails, posts = self.mail.received[before[0] :], self.web.received[before[1] :]
        assert headings(mails) == headings(posts)
        return headings(mails)


def headings(messages: Sequence[Received]) -> list[list[str]]:
    """Return the headings of each message, without the incident's number."""
    return sorted(HEADING.findall(message.body) for message in messages)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of a base with nothing wrong, observed up to some days after the first judged one."""
    path = tmp_path_factory.mktemp("healthy") / "bathtub.duckdb"
    base = healthy_base()
    con = base.connection
    for table, day in (("feed_days", "day"), ("feed_columns", "day")):
        for step in range(1, DAYS_AFTER + 1):
            con.execute(
                f"insert into observations.{table} select * replace (cast({day} + 7 as date) as {day}) "
                f"from observations.{table} where {day} = date '{JUDGED}' + {step} - 7"
            )
    for step in range(1, DAYS_AFTER + 1):
        con.execute(
            "insert into ops.feed_deliveries select * replace (ingested_at + interval 7 day as ingested_at) "
            f"from ops.feed_deliveries where cast(ingested_at as date) = date '{JUDGED}' + {step} - 6"
        )
    con.execute("create table ops.closed_months (snapshot_month date, closed_at timestamp, run_id varchar)")
    con.executemany("insert into ops.closed_months values (?, now()::timestamp, 'run')", [[month] for month in MONTHS])
    con.execute("create table ops.warehouse (raw_dir varchar, history_loaded_until timestamp, first_month date)")
    con.execute(f"insert into ops.warehouse values ('raw', null, '{MONTHS[0]}')")
    con.execute(
        "create table core.fct_customer_months as "
        f"select date '{MONTHS[-1]}' as snapshot_month, 'person' || i as customer_id, 'web' as source "
        f"from range({PEOPLE}) as r (i)"
    )
    con.execute(
        "create schema raw; create table raw.merges (merged_customer_id varchar); "
        "create table raw.customers as select customer_id, null::timestamp as deleted_at from core.fct_customer_months"
    )
    con.execute(f"attach '{path}' as file; copy from database memory to file; detach file")
    return path


@pytest.fixture
def world(healthy: Path, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "bathtub.duckdb").write_bytes(healthy.read_bytes())
    with MailSink() as mail, WebSink() as web:
        world = World(tmp_path, mail, web)
        yield world
        for message in [*mail.received, *web.received]:
            assert not PERSONAL.search(message.subject + message.body), "personal data in a message"


def titles(*codes: str) -> set[str]:
    return {catalogue()[code].titles["en"] for code in codes}


# ---- the pack -----------------------------------------------------------------------------------------------------------

GONE = f"delete from raw.customers where customer_id in (select customer_id from raw.customers limit {PEOPLE // 2})"
PACK: Mapping[str, tuple[Fault, set[str]]] = {
    **{code: (fault, {f.split("/")[0] for f in expected}) for code, (fault, expected) in FIRING.items()},
    # The feed speaks for its sources.
    "feed_missing": (FIRING["feed_missing"][0], {"feed_missing"}),
    "mass_deletion": ([GONE], {"mass_deletion"}),
    "month_not_closed": ([f"delete from ops.closed_months where snapshot_month = '{MONTHS[-1]}'"], {"month_not_closed"}),
}


def test_every_check_of_feeds_and_marts_has_a_night() -> None:
    judged = {code for code, check in catalogue().items() if check.subject != "runs"}
    assert judged - PACK.keys() == {"ingest_failed"}


@pytest.mark.parametrize("code", PACK)
def test_a_fault_sends_what_it_is_and_nothing_else(world: World, code: str) -> None:
    fault, expected = PACK[code]
    found = world.next_night(fault)
    lines = [line for message in found for line in message]
    assert {line.split(" · ")[2] for line in lines} == titles(*expected)
    assert {line.split(" · ")[1] for line in lines} == {"new"}
    # One message for each owner.
    assert len(found) == len({catalogue()[each].owner for each in expected})
    # And the same night again says nothing.
    world.night -= 1
    assert world.next_night() == QUIET


# ---- from night to night -----------------------------------------------------------------------------------------------

MISSING = FIRING["source_missing"][0]
HALF = FIRING["volume_outside_band"][0]
FUTURE = FIRING["future_dates"][0]
SOURCE = "Source missing · feed orders, source web"
VOLUME = "Volume of the day outside its band · feed orders, source web"
DATES = f"{catalogue()['future_dates'].titles['en']} · feed orders"


def test_a_healthy_base_sends_nothing(world: World) -> None:
    assert [world.next_night() for _ in range(3)] == [QUIET] * 3


def test_a_warning_is_told_once_and_its_recovery_after_two_clean_nights(world: World) -> None:
    nights = [world.next_night(fault) for fault in (HALF, HALF, NOTHING, NOTHING, NOTHING)]
    assert nights == [[[f"WARNING · new · {VOLUME}"]], QUIET, QUIET, [[f"WARNING · recovered · {VOLUME}"]], QUIET]


def test_a_critical_incident_is_told_every_night_until_it_recovers(world: World) -> None:
    nights = [world.next_night(fault) for fault in (MISSING, MISSING, NOTHING, NOTHING)]
    assert nights == [
        [[f"CRITICAL · new · {SOURCE}"]],
        [[f"CRITICAL · still open · {SOURCE}"]],
        QUIET,
        [[f"CRITICAL · recovered · {SOURCE}"]],
    ]


def test_flapping_is_one_incident(world: World) -> None:
    nights = [world.next_night(fault) for fault in (HALF, NOTHING, HALF, NOTHING, HALF, NOTHING, NOTHING)]
    assert nights == [[[f"WARNING · new · {VOLUME}"]], *[QUIET] * 5, [[f"WARNING · recovered · {VOLUME}"]]]


def test_a_night_judged_again_counts_neither_as_clean_nor_as_a_repetition(world: World) -> None:
    assert world.next_night(MISSING) == [[f"CRITICAL · new · {SOURCE}"]]
    for _ in range(2):
        world.night -= 1
        assert world.next_night() == QUIET
    world.next_night()
    world.night -= 1
    assert world.next_night() == QUIET
    assert world.next_night() == [[f"CRITICAL · recovered · {SOURCE}"]]


def test_a_missing_feed_speaks_for_its_sources_and_their_incidents_wait(world: World) -> None:
    assert world.next_night(HALF) == [[f"WARNING · new · {VOLUME}"]]
    feed = f"{catalogue()['feed_missing'].titles['en']} · feed orders"
    assert world.next_night(FIRING["feed_missing"][0]) == [[f"CRITICAL · new · {feed}"]]
    assert world.next_night() == QUIET
    assert world.next_night() == [[f"CRITICAL · recovered · {feed}"], [f"WARNING · recovered · {VOLUME}"]]


def test_an_incident_that_somebody_took_is_not_repeated(world: World) -> None:
    world.next_night(MISSING)
    _act(world, incidents.acknowledge)
    assert [world.next_night(fault) for fault in (MISSING, NOTHING, NOTHING)] == [
        QUIET, QUIET, [[f"CRITICAL · recovered · {SOURCE}"]]
    ]  # fmt: skip


def test_a_muted_incident_wakes_on_its_day(world: World) -> None:
    world.next_night(HALF)
    _act(world, lambda store, number, by, at: incidents.mute(store, number, JUDGED + timedelta(days=3), by, at))
    # The run in the morning of that day, which judges the day before.
    assert [world.next_night(HALF) for _ in range(3)] == [QUIET, [[f"WARNING · still open · {VOLUME}"]], QUIET]


def test_a_muted_incident_recovers_in_silence(world: World) -> None:
    world.next_night(HALF)
    _act(world, lambda store, number, by, at: incidents.mute(store, number, JUDGED + timedelta(days=9), by, at))
    assert [world.next_night() for _ in range(3)] == [QUIET] * 3


def test_noise_ends_without_a_message_and_the_next_fault_is_a_new_incident(world: World) -> None:
    world.next_night(HALF)
    _act(world, incidents.call_noise)
    assert [world.next_night(fault) for fault in (NOTHING, HALF)] == [QUIET, [[f"WARNING · new · {VOLUME}"]]]


def test_a_destination_down_for_two_nights_gets_one_message_when_it_is_back(world: World) -> None:
    world.mail.refuses = True
    world.judge(MISSING)
    world.night += 1
    world.judge(MISSING)
    world.night += 1
    assert [headings([message]) for message in world.web.received] == [
        [[f"CRITICAL · new · {SOURCE}"]],
        [[f"CRITICAL · still open · {SOURCE}"]],
    ]
    world.mail.refuses = False
    world.judge()
    assert headings(world.mail.received) == [[f"CRITICAL · new · {SOURCE}"]]
    assert len(world.web.received) == 2


def test_a_destination_that_never_heard_of_an_incident_hears_nothing_of_its_end(world: World) -> None:
    world.mail.refuses = True
    for fault in (HALF, NOTHING, NOTHING):
        world.judge(fault)
        world.night += 1
    world.mail.refuses = False
    assert world.next_night() == QUIET
    assert world.mail.received == []
    assert headings(world.web.received) == [[f"WARNING · new · {VOLUME}"], [f"WARNING · recovered · {VOLUME}"]]


def test_owners_and_severities_go_where_their_tags_say(world: World) -> None:
    world.variables["BATHTUB_ALERT_URLS"] = f"critical={world.mail.url} crm,warning={world.web.url}"
    half_of_store = [statement.replace("'web'", "'store'") for statement in HALF]
    world.judge([*MISSING, *FUTURE, *half_of_store])
    assert headings(world.mail.received) == [[f"CRITICAL · new · {SOURCE}"]]
    assert headings(world.web.received) == [["WARNING · new · Volume of the day outside its band · feed orders, source store"]]


def test_a_check_that_could_not_run_is_an_alert_and_green_only_when_it_ran(world: World) -> None:
    broken = ["alter table observations.feed_columns rename column n_null to n_nothing"]
    (message,) = world.next_night(broken)
    assert message == [f"WARNING · new · {catalogue()['null_spike'].titles['en']}"]
    assert world.next_night() == QUIET
    mended = ["alter table observations.feed_columns rename column n_nothing to n_null"]
    assert world.next_night(mended) == QUIET
    assert world.next_night() == [[f"WARNING · recovered · {catalogue()['null_spike'].titles['en']}"]]


def test_an_ingest_that_failed_is_told_and_its_feeds_are_not_judged(world: World) -> None:
    check = catalogue()["ingest_failed"]
    world.next_night(HALF)
    finding = Finding(check, {}, Status.FAILED, check.severity, world.judged, detail="IngestError")
    before = len(world.mail.received)
    tell(world.settings, [finding], "night", world.now, world.judged, {"marts"}, lambda line: None)
    assert headings(world.mail.received[before:]) == [[f"CRITICAL · new · {check.titles['en']}"]]


def test_at_most_ten_lines_and_the_rest_is_counted(world: World) -> None:
    columns = ", ".join(f"('customers', 'column_{n}', 0.1)" for n in range(12))
    new = (
        "insert into observations.feed_columns select feed, c, day, 500, case when day = {judged} then 400 else 50 end "
        "from (select distinct feed, day from observations.feed_columns where feed = 'customers'), "
        f"(values {columns}) as v (f, c, s)"
    )
    (message,) = world.next_night([new])
    assert len(message) == 10
    assert "and 2 more: make alerts" in world.mail.received[-1].body
    assert "12 alerts" in world.mail.received[-1].subject


def test_a_source_that_nobody_judges_any_more_ends_in_silence(world: World) -> None:
    world.next_night(HALF)
    gone = ["delete from observations.feed_days where feed = 'orders' and source = 'web'"]
    world.change(gone)
    before = len(world.mail.received)
    for _ in range(incidents.NIGHTS_UNTIL_FORGOTTEN):
        tell(world.settings, [], "night", world.now, world.judged, {"feeds"}, lambda line: None)
        world.night += 1
    with Store.open(world.settings.alerts_dir) as store:
        assert store.open_incidents() == []
        assert store.incident(1).resolution == "no longer judged"
    assert len(world.mail.received) == before


def test_a_confirmed_deletion_is_no_alert(world: World) -> None:
    confirmed = f"insert into ops.confirmed_deletions values (now()::timestamp, 'dpo', '{MONTHS[-1]}', {PEOPLE})"
    assert world.next_night([GONE, confirmed]) == QUIET


def _act(world: World, action: Callable[[Store, int, str, datetime], object]) -> None:
    with Store.open(world.settings.alerts_dir) as store:
        (incident,) = store.open_incidents()
        action(store, incident.number, "on call", world.now)
