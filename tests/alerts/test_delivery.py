"""Delivery to a real mail server and a real web server on loopback: what leaves, once, and what waits."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.alerts.destinations import Destination, read_destinations
from orchestration.alerts.heartbeat import ping
from orchestration.alerts.incidents import Run, record
from orchestration.alerts.model import Finding, Severity
from orchestration.alerts.outbox import LONG_FAILING, Delivered, deliver, recipients
from orchestration.alerts.store import Store
from orchestration.settings import PROJECT_ROOT, ConfigurationError, Settings
from tests.alerts.found import Found, check, free_port, morning, night, settings_of
from tests.alerts.sinks import MailSink, WebSink

VOLUME = Found()
LATE = Found(check("feed_late", owner="data", unit="share"), {"feed": "orders"})


class Desk:
    """Judges nights and delivers, as a nightly run does."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def night(self, number: int, *findings: Finding) -> Delivered:
        run = Run(f"run-{number}", morning(number), night(number), ("feeds",))
        with Store.open(self.settings.alerts_dir) as store:
            record(store, findings, run, recipients(self.settings))
            return deliver(self.settings, store, morning(number))

    def deliver(self, at: datetime, is_forced: bool = False) -> Delivered:
        with Store.open(self.settings.alerts_dir) as store:
            return deliver(self.settings, store, at, is_forced)


class Log(logging.Handler):
    """What reaches a log that the program does not keep to itself, of every level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def logged() -> Iterator[Log]:
    """The root's log. (pytest's own fixture listens to loggers that are cut off, too.)"""
    kept, root, project = Log(), logging.getLogger(), logging.getLogger("bathtub")
    level, propagate = root.level, project.propagate
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    project.propagate = True
    yield kept
    root.removeHandler(kept)
    root.setLevel(level)
    project.propagate = propagate


def _desk(folder: Path, *urls: str, language: str = "en") -> Desk:
    return Desk(settings_of(folder, "\n".join(urls), language))


def test_each_destination_gets_one_message_per_owner(tmp_path: Path, smtp: MailSink, http: WebSink) -> None:
    others = [Found(scope={"feed": "orders", "source": name}) for name in ("till", "app")]
    done = _desk(tmp_path, smtp.url, http.url).night(0, *(f.failed(0) for f in [VOLUME, *others, LATE]))
    assert done == Delivered(messages=4)
    assert [mail.subject for mail in http.received] == [mail.subject for mail in smtp.received]
    assert [mail.subject.split(":")[1] for mail in smtp.received] == [" warning, 3 alerts", " warning, 1 alert"]
    assert [mail.body.count("#") for mail in smtp.received] == [6, 2]


def test_a_mail_is_text_that_reads_as_it_was_written(tmp_path: Path, smtp: MailSink) -> None:
    _desk(tmp_path, smtp.url, language="fr").night(0, VOLUME.failed(0, history=(1.0, None, 3.0)))
    (mail,) = smtp.received
    assert "AVERTISSEMENT · nouveau · Volume du jour hors de sa plage · flux orders, source web" in mail.body
    assert "▃·▇" in mail.body


def test_a_destination_that_fails_is_tried_again_without_doubling_the_other(
    tmp_path: Path, smtp: MailSink, http: WebSink
) -> None:
    desk = _desk(tmp_path, smtp.url, http.url)
    http.refuses = True
    assert desk.night(0, VOLUME.failed(0)) == Delivered(1, 1, ("json://127.0.0.1",))
    http.refuses = False
    assert desk.deliver(morning(0, minutes=2)) == Delivered(1, 0)
    assert (len(smtp.received), len(http.received)) == (1, 1)
    desk.night(1, VOLUME.passed(1))
    desk.night(2, VOLUME.passed(2))
    assert [len(sink.received) for sink in (smtp, http)] == [2, 2]


def test_a_mail_server_that_is_overloaded_gets_the_message_later(tmp_path: Path, smtp: MailSink) -> None:
    desk = _desk(tmp_path, smtp.url)
    smtp.refuses = True
    assert desk.night(0, VOLUME.failed(0)).waiting == 1
    smtp.refuses = False
    desk.deliver(morning(0, minutes=2))
    assert len(smtp.received) == 1


def test_tries_back_off_to_one_an_hour(tmp_path: Path, http: WebSink) -> None:
    desk = _desk(tmp_path, http.url)
    http.refuses = True
    desk.night(0, VOLUME.failed(0))
    tried = []
    for minute in range(1, 240):
        before = http.n_posted
        desk.deliver(morning(0, minutes=minute))
        if http.n_posted > before:
            tried.append(minute)
    assert tried == [1, 6, 21, 81, 141, 201]


def test_a_person_need_not_wait_for_the_next_try(tmp_path: Path, http: WebSink) -> None:
    desk = _desk(tmp_path, http.url)
    http.refuses = True
    desk.night(0, VOLUME.failed(0))
    http.refuses = False
    assert desk.deliver(morning(0), is_forced=True).messages == 1


def test_a_destination_down_for_two_nights_gets_one_digest_of_what_is_still_wrong(tmp_path: Path, http: WebSink) -> None:
    desk = _desk(tmp_path, http.url)
    short = Found(scope={"feed": "orders", "source": "till"})
    http.stop()
    desk.night(0, VOLUME.failed(0, Severity.CRITICAL), short.failed(0))
    desk.night(1, VOLUME.failed(1, Severity.CRITICAL, observed=90.0), short.passed(1))
    http.start()
    desk.night(2, VOLUME.failed(2, Severity.CRITICAL, observed=80.0), short.passed(2))
    (mail,) = http.received
    # Opened while it was away: new to it, with the figures of today; what came and went is not told.
    assert "#1 CRITICAL · new" in mail.body
    assert "observed 80 rows" in mail.body
    assert "till" not in mail.body


def test_an_escalation_that_waited_is_told_with_its_figures(tmp_path: Path, http: WebSink) -> None:
    desk = _desk(tmp_path, http.url)
    http.stop()
    desk.night(0, VOLUME.failed(0))
    desk.night(1, VOLUME.failed(1, Severity.CRITICAL, observed=70.0))
    http.start()
    desk.deliver(morning(2))
    (mail,) = http.received
    assert "#1 CRITICAL · new" in mail.body
    assert "observed 70 rows" in mail.body


def test_the_owner_of_the_worst_is_told_first(tmp_path: Path, http: WebSink) -> None:
    _desk(tmp_path, http.url).night(0, VOLUME.failed(0), LATE.failed(0, Severity.CRITICAL))
    assert [mail.subject.split(":")[1] for mail in http.received] == [" critical, 1 alert", " warning, 1 alert"]


def test_the_log_tells_a_destination_that_has_failed_for_a_week(tmp_path: Path, logged: Log) -> None:
    desk = _desk(tmp_path, f"json://127.0.0.1:{free_port()}/x")
    desk.night(0, VOLUME.failed(0))
    assert "It fails since" not in logged.text
    desk.deliver(morning(0) + LONG_FAILING + timedelta(hours=1))
    assert f"It fails since {morning(0):%Y-%m-%d %H:%M} UTC" in logged.text


def test_tags_choose_owners_and_severities(tmp_path: Path, smtp: MailSink, http: WebSink) -> None:
    desk = _desk(tmp_path, f"data={smtp.url}", f"critical,crm={http.url}")
    desk.night(0, VOLUME.failed(0), LATE.failed(0))
    assert [mail.subject for mail in smtp.received] == [
        "Bathtub: warning, 1 alert: Volume of the day outside its band (orders)"
    ]
    assert http.received == []
    desk.night(1, VOLUME.failed(1, Severity.CRITICAL), LATE.failed(1))
    assert (len(smtp.received), len(http.received)) == (1, 1)
    # Nobody told the mail server of the volume, so it does not hear of its end.
    desk.night(2, VOLUME.passed(2), LATE.failed(2))
    desk.night(3, VOLUME.passed(3), LATE.failed(3))
    assert (len(smtp.received), len(http.received)) == (1, 2)


def test_a_url_that_two_entries_name_takes_what_either_asks_for() -> None:
    (destination,) = read_destinations("data=json://127.0.0.1/x critical=json://127.0.0.1/x")
    asked = [
        destination.wants(*of) for of in [("data", Severity.WARNING), ("crm", Severity.CRITICAL), ("crm", Severity.WARNING)]
    ]
    assert asked == [True, True, False]


def test_without_a_destination_the_log_gets_each_message_once(tmp_path: Path, logged: Log) -> None:
    desk = _desk(tmp_path)
    assert desk.night(0, VOLUME.failed(0)) == Delivered(1, 0)
    assert desk.deliver(morning(0, minutes=5)) == Delivered()
    assert len([line for line in logged.lines if line.startswith("Bathtub: warning, 1 alert")]) == 1


def test_what_waits_for_a_changed_url_goes_to_the_new_one_and_only_once(tmp_path: Path, smtp: MailSink, http: WebSink) -> None:
    http.refuses, http.refusal = True, 401
    _desk(tmp_path, smtp.url, f"{http.url}wrong").night(0, VOLUME.failed(0))
    http.refuses = False
    mended = _desk(tmp_path, smtp.url, f"{http.url}right")
    assert mended.deliver(morning(0, minutes=1)) == Delivered(1, 0)
    assert (len(smtp.received), len(http.received)) == (1, 1)


def test_two_deliveries_at_once_do_not_send_twice(tmp_path: Path, http: WebSink, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = _desk(tmp_path, http.url)
    send = Destination.send

    def meanwhile(self: Destination, subject: str, body: str) -> None:
        assert desk.deliver(morning(0)) == Delivered(waiting=1)
        send(self, subject, body)

    monkeypatch.setattr(Destination, "send", meanwhile)
    desk.night(0, VOLUME.failed(0))
    assert len(http.received) == 1


def test_who_gets_an_opening_while_the_incident_ends_gets_its_end_too(
    tmp_path: Path, http: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = _desk(tmp_path, http.url)
    send = Destination.send

    def meanwhile(self: Destination, subject: str, body: str) -> None:
        monkeypatch.setattr(Destination, "send", send)
        with Store.open(desk.settings.alerts_dir) as store:
            for n in (1, 2):
                record(store, [VOLUME.passed(n)], Run("other", morning(n), night(n), ("feeds",)), [self])
        send(self, subject, body)

    monkeypatch.setattr(Destination, "send", meanwhile)
    desk.night(0, VOLUME.failed(0))
    desk.deliver(morning(3))
    assert [mail.subject.split(":")[1] for mail in http.received] == [" warning, 1 alert", " recovered"]


CRASH = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from orchestration.alerts.destinations import Destination
from tests.alerts.found import settings_of
from tests.alerts.test_delivery import VOLUME, Desk

send = Destination.send

def killed(self, subject, body):
    if sys.argv[3] == "after":
        send(self, subject, body)
    os.kill(os.getpid(), signal.SIGKILL)

Destination.send = killed
Desk(settings_of(Path(sys.argv[1]), sys.argv[2])).night(0, VOLUME.failed(0))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("when", "n_messages"), [("before", 1), ("after", 2)])
def test_a_process_killed_around_the_sending_loses_nothing_and_repeats_at_most_one(
    tmp_path: Path, http: WebSink, when: str, n_messages: int
) -> None:
    killed = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), http.url, when], cwd=PROJECT_ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    desk = _desk(tmp_path, http.url)
    assert desk.deliver(morning(0, minutes=1)) == Delivered(1, 0)
    desk.night(0, VOLUME.failed(0))
    assert len(http.received) == n_messages


# ---- secrets ----------------------------------------------------------------------------------------------------------

SECRETS = [
    "slack://Tsecret001/Bsecret02/Csecretsecretsecret004x",
    "pbul://o.secretsecretsecret",
    "json://user:secretpassword@127.0.0.1:1/secretpath?x=secretvalue",
    "mailto://secretuser:secretpassword@127.0.0.1:1?from=secret@example.com&to=secret@example.org",
    "tgram://123456789:secretsecret/12315544/",
    "twilio://AC123456789012345678901234567890ab:0123456789abcdef0123456789abcdef@33612345678/33612345679",
]


def test_a_label_shows_the_host_where_it_is_one() -> None:
    urls = ["mailto://ana:x@mail.example.com", "json://127.0.0.1/x", *SECRETS[:2], SECRETS[-1]]
    labels = [destination.label for destination in read_destinations(" ".join(urls))]
    assert labels == ["mailto://mail.example.com", "json://127.0.0.1", "slack://…", "pbul://…", "twilio://…"]


@pytest.mark.parametrize("url", SECRETS)
def test_a_label_shows_no_secret_and_no_number(url: str) -> None:
    (destination,) = read_destinations(url)
    assert destination.label.startswith(url.split(":", maxsplit=1)[0])
    assert not any(word in f"{destination.label} {destination!r}" for word in ("secret", "3361234", "123456789"))


@pytest.mark.parametrize(
    "entry", ["slack://onlysecret", "nope://secret", "secret", "boss=json://127.0.0.1/secret", "data=secret"]
)
def test_an_entry_that_cannot_be_used_is_refused_without_its_secret(
    entry: str, logged: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match="BATHTUB_ALERT_URLS, entry 2") as refused:
        read_destinations(f"json://127.0.0.1/fine {entry}")
    assert "secret" not in "".join([str(refused.value), logged.text, *capfd.readouterr()])


def test_a_destination_that_fails_is_logged_without_its_secret(
    tmp_path: Path, logged: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    _desk(tmp_path, *SECRETS[2:4]).night(0, VOLUME.failed(0))
    assert logged.text.count("did not take the message") == 2
    assert "secret" not in "".join([logged.text, *capfd.readouterr()])
    assert b"secret" not in (tmp_path / "alerts" / "alerts.sqlite").read_bytes()


def test_the_log_says_what_a_service_answered(tmp_path: Path, http: WebSink, logged: Log) -> None:
    http.refuses, http.refusal = True, 401
    _desk(tmp_path, http.url).night(0, VOLUME.failed(0))
    assert "json://127.0.0.1 did not take the message (it answered 401). Alerts for it wait; next try in 1 min." in logged.text


# ---- the dead man's switch --------------------------------------------------------------------------------------------


def test_the_switch_is_pinged_at_start_success_and_failure(http: WebSink) -> None:
    url = f"{http.address}/secret"
    assert all([ping(url, "start"), ping(f"{url}/?key=1", "success"), ping(url, "fail")])
    assert http.fetched == ["/secret/start", "/secret?key=1", "/secret/fail"]


def test_a_switch_that_cannot_be_reached_stops_nothing_and_is_not_named(http: WebSink, logged: Log) -> None:
    http.refuses = True
    assert not ping(f"{http.address}/secret", "start")
    assert not ping(f"http://127.0.0.1:{free_port()}/secret", "start")
    assert not ping("http://[secret", "start")
    assert not ping("", "start")
    assert logged.text.count("BATHTUB_HEARTBEAT_URL") == 3
    assert "/secret" not in logged.text


def test_an_aware_instant_is_kept_as_utc(tmp_path: Path) -> None:
    _desk(tmp_path).night(0, VOLUME.failed(0))
    with Store.open(tmp_path / "alerts") as store:
        assert store.incident(1).opened_at == morning(0)
        assert store.incident(1).opened_at.tzinfo is UTC
