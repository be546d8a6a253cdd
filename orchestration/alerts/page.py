"""The page of the alerts: open incidents and all checks in one file that asks nothing of the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestration.alerts import messages
from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.model import Check, Finding, Status
from orchestration.alerts.names import shown_name
from orchestration.alerts.store import Incident

FILE = "alerts.html"
SUBJECTS = ("feeds", "marts", "runs")
HEIGHT, STEP = 56, 14


def write_page(folder: Path, findings: Sequence[Finding], incidents: Sequence[Incident], at: datetime, language: str) -> Path:
    """Write `alerts.html` into a folder, all of it or nothing, and return it: open incidents first, then what each check found.

    `findings` are those of the latest run, `at` its time (aware). A source that is no plain name is hidden, as in messages.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("page.html").render(
        language=language,
        words=_words(language),
        at=format_datetime(at, "long", locale=language),
        incidents=[_incident(incident, language) for incident in incidents],
        subjects=list(_subjects(findings, language)),
    )
    path = folder / FILE
    draft = path.with_suffix(".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return path


def _words(language: str) -> dict[str, Any]:
    words = messages.words(language)
    return {**words, **words["page"]}


def _incident(incident: Incident, language: str) -> dict[str, Any]:
    finding = incident.finding
    return {
        "number": incident.number,
        "severity": str(incident.severity),
        "severity_word": messages.severity_word(incident.severity, language),
        "title": messages.title(finding, language),
        "place": messages.place(finding, language),
        "observed": messages.observed_against(finding, language),
        "since": format_date(finding.since or incident.opened_on, "long", locale=language),
        "marks": list(_marks(incident, language)),
        "marts": ", ".join(finding.check.marts),
        "owner": finding.check.owner,
        "runbook": messages.runbook(finding),
        "mute": messages.mute_command(incident.number, finding),
        "chart": _chart(finding, language),
    }


def _marks(incident: Incident, language: str) -> Iterator[str]:
    words = _words(language)
    if incident.acknowledged_by:
        yield words["acknowledged"].format(by=shown_name(incident.acknowledged_by))
    if incident.muted_until:
        yield words["muted"].format(day=format_date(incident.muted_until, "long", locale=language))
    if incident.muted_by:
        yield words["part_of"].format(check=incident.muted_by.split("/")[0])
    if incident.clean_runs:
        yield words["clean"].format(n=incident.clean_runs)


def _chart(finding: Finding, language: str) -> dict[str, Any] | None:
    """Bars of the last values from zero up, with the band behind them; None without values."""
    values = finding.history
    known = [value for value in values if value is not None]
    if not known:
        return None
    bounds = [bound for bound in (finding.low, finding.high) if bound is not None and math.isfinite(bound)]
    top = max([*known, *bounds]) or 1.0

    def height(value: float) -> float:
        return round(max(value, 0) / top * HEIGHT, 1)

    bars = [
        {"x": place * STEP, "y": HEIGHT - height(value), "height": height(value), "is_last": place == len(values) - 1}
        for place, value in enumerate(values)
        if value is not None
    ]
    high = height(finding.high) if finding.high is not None and math.isfinite(finding.high) else HEIGHT
    low = height(finding.low or 0)
    band = {"y": HEIGHT - high, "height": max(round(high - low, 1), 0)} if bounds else None
    return {"bars": bars, "band": band, "label": messages.words(language)["history"].format(chart=len(values))}


def _subjects(findings: Sequence[Finding], language: str) -> Iterator[dict[str, Any]]:
    titles = _words(language)["subjects"]
    for subject in SUBJECTS:
        checks = [check for check in catalogue().values() if check.subject == subject]
        judged = [_check(check, findings, language) for check in checks]
        if shown := [line for line in judged if line is not None]:
            yield {"name": subject, "title": titles[subject], "checks": shown}


def _check(check: Check, findings: Sequence[Finding], language: str) -> dict[str, Any] | None:
    """A line of the table; None for a check that the run did not judge."""
    own = [finding for finding in findings if finding.check.code == check.code]
    if not own:
        return None
    bad = [finding for finding in own if finding.status is Status.FAILED]
    is_unknown = any(finding.status is Status.UNKNOWN for finding in own)
    state = Status.FAILED if bad else Status.UNKNOWN if is_unknown else Status.PASSED
    return {
        "code": check.code,
        "title": check.titles[language],
        "state": str(state),
        "state_word": _words(language)["states"][state],
        "n_places": sum(1 for finding in own if finding.scope),
        "n_bad": len(bad),
        "severity_word": messages.severity_word(check.severity, language),
    }
