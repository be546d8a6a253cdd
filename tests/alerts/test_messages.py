"""What an alert says: all that a person needs to act, in two languages, and nothing of a person of the base."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.messages import MOST_LINES, Message, chart, digest, expected, words
from orchestration.alerts.messages import test_message as trial
from orchestration.alerts.model import Finding, Severity, Status
from orchestration.alerts.names import HIDDEN, shown_name
from orchestration.alerts.store import Event, Kind
from orchestration.settings import LANGUAGES, PROJECT_ROOT
from tests.alerts.found import WEB, Found, check, morning, night

VOLUME = Found()
HISTORY = (410.0, 405.0, None, 398.0, 420.0, 433.0, 380.0, 401.0, 415.0, None, 422.0, 409.0, 240.0, 120.0)
PEOPLE = ["jean.dupont@example.com", "+33 6 12 34 56 78", "0612345678", "FR76 3000 6000 0112 3456", "a" * 61, "a\nb"]
PERSONAL = re.compile(r"[\w.+-]+@[\w-]+\.\w+|(?:\+|\b0)\d(?:[ .-]?\d){7,}|\d{7,}")


def _event(finding: Finding, number: int = 12, kind: Kind = Kind.OPENED) -> Event:
    return Event(number, number, kind, morning(0), finding.severity, finding.check.owner, finding)


def _told(language: str, *findings: Finding, kind: Kind = Kind.OPENED) -> Message:
    return digest([_event(finding, number, kind) for number, finding in enumerate(findings, start=12)], language)


def _plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def test_an_alert_in_english_says_all_that_a_person_needs() -> None:
    message = _told("en", VOLUME.failed(0, Severity.CRITICAL, low=379.4, high=460.7, history=HISTORY, since=night(-1)))
    assert message.subject == "Bathtub: critical, 1 alert: Volume of the day outside its band (orders/web)"
    assert message.body == (
        "#12 CRITICAL · new · Volume of the day outside its band · feed orders, source web\n"
        "  observed 120 rows, expected 380 to 460 rows · judged for October 1, 2026 · since September 30, 2026 · "
        "last 14 values ▇▇·▇▇▇▆▇▇·▇▇▄▃\n"
        "  touches base_overview_monthly, flows_monthly · owner crm · what to do: docs/runbook.md#volume_outside_band\n"
        '  to mute: make alerts ALERT_ARGS="mute 12 --until 2026-10-09"\n\n'
        "What to do: docs/runbook.md. All that is open: make alerts."
    )


def test_an_alert_in_french_says_the_same() -> None:
    late = Found(replace(check("feed_late", owner="data", unit="share"), titles={"fr": "Lignes arrivées en retard"}))
    message = _told("fr", late.failed(0, observed=0.1234, low=None, high=0.05, history=HISTORY, since=night(-1)))
    assert _plain(message.subject) == "Bathtub : avertissement, 1 alerte : Lignes arrivées en retard (orders/web)"
    assert "Bathtub\u00a0: " in message.subject
    assert _plain(message.body) == (
        "#12 AVERTISSEMENT · nouveau · Lignes arrivées en retard · flux orders, source web\n"
        "  observé 12,3 %, attendu au plus 5,0 % · jugé le 1er octobre 2026 · depuis le 30 septembre 2026 · "
        "14 dernières valeurs ▇▇·▇▇▇▆▇▇·▇▇▄▃\n"
        "  touche base_overview_monthly, flows_monthly · responsable data · que faire : docs/runbook.md#feed_late\n"
        '  faire taire : make alerts ALERT_ARGS="mute 12 --until 2026-10-09"\n\n'
        "Que faire : docs/runbook.md. Tout ce qui est ouvert : make alerts."
    )


def test_counts_are_whole_and_inside_the_band_that_they_tell() -> None:
    finding = VOLUME.failed(0, observed=1234.6, low=12_000.2, high=13_000.9)
    assert expected(finding, "en") == "12,001 to 13,000 rows"
    assert _plain(expected(finding, "fr")) == "12 001 à 13 000 lignes"
    assert expected(replace(finding, low=None), "en") == "at most 13,000 rows"
    assert expected(replace(finding, high=None), "en") == "at least 12,001 rows"
    assert expected(replace(finding, low=None, high=None), "en") == ""


def test_one_message_tells_ten_incidents_the_worst_first_and_counts_the_rest() -> None:
    findings = [Found(scope={"feed": "orders", "source": f"s{n}"}).failed(0) for n in range(14)]
    findings[11] = replace(findings[11], severity=Severity.CRITICAL)
    message = _told("en", *findings)
    told = re.findall(r"^#(\d+) (\w+)", message.body, re.MULTILINE)
    assert len(told) == MOST_LINES
    assert told[:2] == [("23", "CRITICAL"), ("12", "WARNING")]
    assert "and 4 more: make alerts" in message.body
    assert message.subject.startswith("Bathtub: critical, 14 alerts: ")


def test_what_waited_for_several_nights_is_told_once_with_its_latest_figures() -> None:
    nights = [VOLUME.failed(n, Severity.CRITICAL, observed=100.0 + n) for n in range(3)]
    kinds = [Kind.OPENED, Kind.REMINDER, Kind.REMINDER]
    message = digest([_event(finding, kind=kind) for finding, kind in zip(nights, kinds, strict=True)], "en")
    assert message.body.count("#12") == 1
    assert "#12 CRITICAL · new" in message.body
    assert "observed 102 rows" in message.body


def test_a_recovery_is_one_line_after_what_is_still_wrong() -> None:
    other = Found(scope={"feed": "orders", "source": "till"})
    message = digest([_event(VOLUME.failed(0, Severity.CRITICAL), 1, Kind.RECOVERED), _event(other.failed(0), 2)], "en")
    assert [line for line in message.body.splitlines() if line.startswith("#")] == [
        "#2 WARNING · new · Volume of the day outside its band · feed orders, source till",
        "#1 CRITICAL · recovered · Volume of the day outside its band · feed orders, source web",
    ]
    assert message.subject.startswith("Bathtub: warning, 1 alert: ")
    only = _told("en", VOLUME.failed(0), kind=Kind.RECOVERED)
    assert only.subject == "Bathtub: recovered: Volume of the day outside its band (orders/web)"


def test_a_check_that_could_not_run_says_so_and_points_to_its_own_page() -> None:
    body = _told("en", VOLUME.unknown(0)).body
    assert "this check could not run (BinderException)" in body
    assert "docs/runbook.md#a-check-that-could-not-run" in body


def test_the_chart_starts_at_zero_and_leaves_gaps_open() -> None:
    assert chart([0.0, 5.0, None, 10.0]) == "▁▄·▇"
    assert chart([0.0, 0.0]) == "▁▁"
    assert chart([]) == ""


@pytest.mark.parametrize("name", PEOPLE)
def test_a_name_that_may_be_of_a_person_is_hidden(name: str) -> None:
    assert shown_name(name) == HIDDEN


@pytest.mark.parametrize("name", ["web", "partner file 2024", "caisse n°12", "2026-10"])
def test_a_plain_name_is_shown(name: str) -> None:
    assert shown_name(name) == name


@pytest.mark.parametrize(("language", "status"), [*product(LANGUAGES, (Status.FAILED, Status.UNKNOWN))])
def test_no_message_holds_an_address_or_a_number_of_a_person(language: str, status: Status) -> None:
    findings = [
        replace(Found(of, {**WEB, "source": name, "item": name}).failed(0, history=HISTORY), status=status)
        for of, name in product(catalogue().values(), PEOPLE)
    ]
    for batch in _batches(findings):
        message = _told(language, *batch)
        assert HIDDEN in message.body
        assert not PERSONAL.search(f"{message.subject}\n{message.body}")
        assert "dupont" not in f"{message.subject}{message.body}".lower()


def _batches(findings: Sequence[Finding]) -> list[Sequence[Finding]]:
    return [findings[start : start + MOST_LINES] for start in range(0, len(findings), MOST_LINES)]


def test_the_scan_finds_addresses_and_numbers() -> None:
    assert all(PERSONAL.search(text) for text in PEOPLE[:3])
    assert not PERSONAL.search('make alerts ALERT_ARGS="mute 12 --until 2026-10-09" 12,001 rows 12 001 lignes')


def test_each_check_and_each_language_has_its_words() -> None:
    runbook = (PROJECT_ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    for language, of in product(LANGUAGES, catalogue().values()):
        assert of.titles[language]
        assert f"### {of.code}\n" in runbook
        if of.unit != "share":
            assert of.unit in words(language)["units"]
    assert words("fr").keys() == words("en").keys()
    assert trial("fr") != trial("en")
