"""The words of an alert: what, where, observed against the band, since when, what it touches, who, what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal, format_percent

from orchestration.alerts.model import Finding, Severity, Status
from orchestration.alerts.names import shown_name
from orchestration.alerts.store import Event, Kind
from orchestration.challenges.sentences import typeset

MOST_LINES = 10
MUTED_DAYS = 7
RUNBOOK = "docs/runbook.md"
RUNBOOK_OF_UNKNOWN = "a-check-that-could-not-run"
BLOCKS = "▁▂▃▄▅▆▇"
NO_VALUE = "·"


@dataclass(frozen=True)
class Message:
    """What leaves for a destination."""

    subject: str
    body: str


@cache
def words(language: str) -> Mapping[str, Any]:
    """Return the words of a language, `fr` or `en`."""
    texts = yaml.safe_load(Path(__file__).with_name("messages.yml").read_text(encoding="utf-8"))
    return dict(texts[language])


def digest(events: Sequence[Event], language: str) -> Message:
    """Return one message about events of one owner: each incident once, the worst first, at most ten, the rest counted."""
    texts = words(language)
    latest = sorted(_by_incident(events), key=lambda e: (e.kind is Kind.RECOVERED, -e.severity.rank, e.number))
    blocks = [_block(event, language) for event in latest[:MOST_LINES]]
    if len(latest) > MOST_LINES:
        blocks.append(texts["more"].format(n=len(latest) - MOST_LINES))
    alarms = [event for event in latest if event.kind is not Kind.RECOVERED]
    where = place(latest[0].finding, language, short=True)
    first = title(latest[0].finding, language) + (f" ({where})" if where else "")
    if alarms:
        lines = f"{texts['severity'][alarms[0].severity]}, {_counted(texts['subject']['count'], len(alarms), language)}"
        subject = texts["subject"]["alert"].format(lines=lines, first=first)
    else:
        subject = texts["subject"]["recovered"].format(first=first)
    return Message(typeset(subject, language), typeset("\n\n".join([*blocks, texts["intro"]]), language))


def test_message(language: str) -> Message:
    """Return the message that tries a destination out."""
    texts = words(language)
    return Message(typeset(texts["test_subject"], language), typeset(texts["test_body"], language))


def _by_incident(events: Sequence[Event]) -> list[Event]:
    """Several events of an incident wait when a destination was down: the latest finding, told as the first of them."""
    kinds = list(Kind)
    merged: dict[int, Event] = {}
    for event in events:
        kind = min(event.kind, merged[event.number].kind, key=kinds.index) if event.number in merged else event.kind
        merged[event.number] = Event(event.id, event.number, kind, event.at, event.severity, event.owner, event.finding)
    return list(merged.values())


def _block(event: Event, language: str) -> str:
    finding, texts = event.finding, words(language)
    severity = texts["severity"][event.severity].upper()
    heading = f"#{event.number} {severity} · {texts['kind'][event.kind]} · {title_and_place(finding, language)}"
    if event.kind is Kind.RECOVERED:
        return heading
    facts = [observed_against(finding, language), _day("judged", finding.judged_on, language)]
    if finding.since:
        facts.append(_day("since", finding.since, language))
    if any(value is not None for value in finding.history):
        facts.append(texts["history"].format(chart=chart(finding.history)))
    ways = [texts["owner"].format(owner=finding.check.owner), texts["runbook"].format(page=runbook(finding))]
    if finding.check.marts:
        ways.insert(0, texts["marts"].format(marts=", ".join(finding.check.marts)))
    command = texts["mute"].format(command=mute_command(event.number, finding))
    return "\n".join([heading, f"  {' · '.join(facts)}", f"  {' · '.join(ways)}", f"  {command}"])


def mute_command(number: int, finding: Finding) -> str:
    """Return the command that keeps an incident silent for a week."""
    return f'make alerts ALERT_ARGS="mute {number} --until {finding.judged_on + timedelta(days=MUTED_DAYS + 1)}"'


def day_text(day: date, language: str, form: str = "long") -> str:
    """Return a day in words, `long` or `medium`; the first of a month is 1er in French."""
    text = str(format_date(day, form, locale=language))
    return text.replace("1 ", "1er ", 1) if language == "fr" and day.day == 1 else text


def _day(word: str, day: date, language: str) -> str:
    return str(words(language)[word]).format(day=day_text(day, language))


def title(finding: Finding, language: str) -> str:
    """Return the name of a finding's check."""
    return finding.check.titles[language]


def title_and_place(finding: Finding, language: str) -> str:
    """Return the name of a finding's check and where it is; a check that could not run is nowhere."""
    return " · ".join(text for text in (title(finding, language), place(finding, language)) if text)


def place(finding: Finding, language: str, short: bool = False) -> str:
    """Return where it is, from the widest to the narrowest part; what is no plain name is hidden."""
    parts = words(language)["part"]
    names = {part: shown_name(name) for part, name in finding.scope.items()}
    if short:
        return "/".join(names.values())
    return ", ".join(f"{parts.get(part, part)} {name}" for part, name in names.items())


def observed_against(finding: Finding, language: str) -> str:
    """Return what was observed and what was expected, or that the check could not run."""
    texts = words(language)
    if finding.status is Status.UNKNOWN:
        return f"{texts['unknown']} ({finding.detail})" if finding.detail else str(texts["unknown"])
    if finding.observed is None:
        return finding.detail
    observed = amount(finding.observed, finding, language)
    band = expected(finding, language)
    told = texts["observed"].format(observed=observed, band=band) if band else texts["observed_alone"].format(observed=observed)
    return f"{told} ({finding.detail})" if finding.detail else str(told)


def expected(finding: Finding, language: str) -> str:
    """Return the band in words; empty without bounds. Of counts, the least and the most that are allowed."""
    texts = words(language)
    is_share = finding.check.unit == "share"
    low = finding.low if finding.low is None or is_share else math.ceil(finding.low)
    high = finding.high if finding.high is None or is_share else math.floor(finding.high)
    if low is None and high is None:
        return ""
    if low is None or (low == 0 and high is not None):
        return str(texts["at_most"].format(high=amount(high or 0, finding, language)))
    if high is None:
        return str(texts["at_least"].format(low=amount(low, finding, language)))
    lowest = amount(low, finding, language) if is_share else format_decimal(low, locale=language)
    return str(texts["between"].format(low=lowest, high=amount(high, finding, language)))


def amount(value: float, finding: Finding, language: str) -> str:
    """Return a value with its unit: shares in percent, counts as whole numbers."""
    if finding.check.unit == "share":
        return format_percent(value, "0.0 %" if language == "fr" else "0.0%", locale=language)
    return _counted(words(language)["units"][finding.check.unit], round(value), language)


def listed(word: str, language: str, n: int | None = None, **more: object) -> str:
    """Return a label of the list of `make alerts`, in the form that goes with `n` where it counts."""
    told = words(language)["open_list"][word]
    return typeset(_counted(told, n, language) if n is not None else str(told).format(**more), language)


def state_word(state: str, language: str) -> str:
    """Return the name of an incident's state."""
    return str(words(language)["open_list"]["state"][state])


def _counted(forms: Mapping[str, str], n: int, language: str) -> str:
    form = forms.get(Locale.parse(language).plural_form(n), forms["other"])
    return form.format(n=format_decimal(n, locale=language))


def chart(values: Sequence[float | None]) -> str:
    """Return values as a line of blocks, from zero to the largest; a day without a value is a dot."""
    most = max((value for value in values if value is not None), default=0.0)
    return "".join(_bar(value, most) for value in values)


def _bar(value: float | None, most: float) -> str:
    if value is None:
        return NO_VALUE
    return BLOCKS[round(value / most * (len(BLOCKS) - 1))] if most > 0 else BLOCKS[0]


def runbook(finding: Finding) -> str:
    """Return where the runbook says what to do."""
    is_unknown = finding.status is Status.UNKNOWN
    return f"{RUNBOOK}#{RUNBOOK_OF_UNKNOWN if is_unknown else finding.check.code}"


def severity_word(severity: Severity, language: str) -> str:
    """Return the name of a severity."""
    return str(words(language)["severity"][severity])
