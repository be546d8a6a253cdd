"""The page of the alerts: open incidents and all checks, in one file that loads nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from babel import Locale
from babel.dates import format_time
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestration.alerts import messages
from orchestration.alerts.catalogue import SUBJECTS, catalogue
from orchestration.alerts.incidents import speaker_of, speakers
from orchestration.alerts.model import Check, Finding, Severity, Status
from orchestration.alerts.store import Incident, State
from orchestration.challenges.sentences import NARROW_NO_BREAK_SPACE, typeset

FILE = "alerts.html"
TEMPLATE = "page.html.j2"
RESULTS = "results"
# How far back the page looks for a check that the latest runs did not judge.
EARLIER_RUNS = 40
MOST_PLACES = 8
# The chart's own units; the style sheet gives it its size.
WIDTH, HEIGHT, MARGIN = 280.0, 70.0, 5.0


def write_page(folder: Path, findings: Sequence[Finding], incidents: Sequence[Incident], at: datetime, language: str) -> Path:
    """Write `alerts.html` into a folder and return it; a reader sees the page before or after, never half of it.

    `findings` are those of the latest run, passed ones too. A check that it did not judge is shown as the kept results of
    earlier runs in `folder/results` have it. `incidents` are the open ones; `at` is aware, and shown in its zone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    draft = path.with_suffix(".part")
    draft.write_text(page(findings, incidents, at, language, earlier_findings(folder)), encoding="utf-8")
    draft.replace(path)
    return path


def page(
    findings: Sequence[Finding],
    incidents: Sequence[Incident],
    at: datetime,
    language: str,
    earlier: Iterable[Sequence[Finding]] = (),
) -> str:
    """Return the page as text; `earlier` are the findings of runs before, the newest first."""
    texts = _texts(language)
    judged = latest_by_check(findings, earlier)
    # Sensors find things on days that no night judged.
    nights = [f.judged_on for judgement in judged.values() for f in judgement.findings if f.check.subject != "runs"]
    judged_on = max(nights, default=None)
    day = partial(messages.day_text, language=language)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["typeset"] = partial(_typeset, language=language)
    by_subject = [
        (texts["subject"][subject], [_line(c, judged.get(c.code, Judgement()), incidents, judged_on, language) for c in checks])
        for subject in SUBJECTS
        if (checks := [check for check in catalogue().values() if check.subject == subject])
    ]
    return environment.get_template(TEMPLATE).render(
        language=language,
        words=texts,
        day=day,
        judged_on=judged_on,
        ran_at=f"{day(at.date())}, {format_time(at, 'HH:mm', locale=language)} {at.tzname()}",
        summary=_summary(incidents, language),
        incidents=[_incident(incident, at.date(), language) for incident in incidents],
        subjects=by_subject,
    )


@cache
def _texts(language: str) -> Mapping[str, Any]:
    texts = yaml.safe_load(Path(__file__).with_name("page.yml").read_text(encoding="utf-8"))
    return dict(texts[language])


def _typeset(text: str, language: str) -> str:
    """As in messages; on a narrow screen the sign of percent stays with its number too."""
    return typeset(text, language).replace(" %", f"{NARROW_NO_BREAK_SPACE}%")


def _counted(forms: Mapping[str, str], n: int, language: str, **more: object) -> str:
    form = forms.get(Locale.parse(language).plural_form(n), forms["other"])
    return form.format(n=format_decimal(n, locale=language), **more)


def _summary(incidents: Sequence[Incident], language: str) -> str:
    texts = _texts(language)
    if not incidents:
        return str(texts["none_open"])
    severities = [(severity, sum(i.severity is severity for i in incidents)) for severity in reversed(Severity)]
    parts = [f"{messages.severity_word(severity, language)} {n}" for severity, n in severities if n]
    return f"{_counted(texts['open_count'], len(incidents), language)} ({', '.join(parts)})"


# ---- what was judged --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """What the latest run that judged a check found, and the findings of that run that speak for others."""

    findings: Sequence[Finding] = ()
    parents: Sequence[Finding] = ()


def latest_by_check(findings: Sequence[Finding], earlier: Iterable[Sequence[Finding]]) -> dict[str, Judgement]:
    """Return what the latest run that judged a check found, by its code."""
    found: dict[str, Judgement] = {}
    for run in (findings, *earlier):
        parents = speakers(run)
        for code, of_check in _by_code(run).items():
            found.setdefault(code, Judgement(of_check, parents))
    return found


def _by_code(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.check.code, []).append(finding)
    return found


def earlier_findings(folder: Path) -> Iterator[list[Finding]]:
    """Yield the findings that earlier runs kept in `folder/results`, the newest run first, as far as checks go on to exist.

    A file that cannot be read has no findings: the page is no reason for a night to fail.
    """
    checks = catalogue()
    for path in sorted((folder / RESULTS).glob("*.json"), reverse=True)[:EARLIER_RUNS]:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))["findings"]
            yield [_kept(line, checks[line["check"]]) for line in kept if line["check"] in checks]
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _kept(line: Mapping[str, Any], check: Check) -> Finding:
    return Finding(
        check=check,
        scope=line["scope"],
        status=Status(line["status"]),
        severity=Severity(line["severity"]),
        judged_on=date.fromisoformat(line["judged_on"]),
        observed=line["observed"],
        low=line["low"],
        high=line["high"],
    )


# ---- checks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """A check in the table."""

    title: str
    about: str
    state: str
    tone: str
    counted: str
    places: Sequence[str]
    judged: str


def _line(check: Check, judgement: Judgement, incidents: Sequence[Incident], night: date | None, language: str) -> _Line:
    texts, found = _texts(language), judgement.findings
    if check.subject == "runs":
        # Sensors raise them: what is open says how they stand.
        found = [incident.finding for incident in incidents if incident.finding.check.code == check.code]
    bad = sorted((f for f in found if not f.is_good), key=lambda f: -f.severity.rank)
    state = _state(check, found, bad, judgement.parents)
    judged_on = max((f.judged_on for f in found), default=None)
    # What an earlier night found good says nothing of this one.
    is_old = state == "passed" and judged_on is not None and night is not None and judged_on < night
    # A finding without a place says that the check ran at all.
    n_places = sum(1 for f in found if f.scope)
    counted = _counted(texts["places"], n_places, language) if n_places and not bad else ""
    if n_bad := sum(1 for f in bad if f.scope):
        counted = _counted(texts["bad_places"], n_bad, language, all=format_decimal(n_places, locale=language))
    about = [
        check.code,
        messages.severity_word(check.severity, language),
        check.owner,
        *([texts["blocks"]] if check.blocks else []),
    ]
    return _Line(
        title=check.titles[language],
        about=", ".join(about),
        state=texts["states"]["earlier" if is_old else state],
        tone="unjudged" if is_old else _tone(state, bad),
        counted=counted,
        places=_places(bad, language),
        judged=messages.day_text(judged_on, language, "medium") if judged_on else "",
    )


def _state(check: Check, found: Sequence[Finding], bad: Sequence[Finding], parents: Sequence[Finding]) -> str:
    """Return passed, failed, unknown, muted (others speak for all that failed), unjudged, or quiet (of runs)."""
    if not found:
        return "quiet" if check.subject == "runs" else "unjudged"
    if not bad:
        return "passed"
    speaking = [f for f in bad if speaker_of(f, parents) is None]
    if not speaking:
        return "muted"
    return "failed" if any(f.status is Status.FAILED for f in speaking) else "unknown"


def _tone(state: str, bad: Sequence[Finding]) -> str:
    if state == "quiet":
        return "quiet-state"
    is_mild = state == "failed" and all(f.severity is not Severity.CRITICAL for f in bad)
    return "failed is-warning" if is_mild else state


def _places(bad: Sequence[Finding], language: str) -> list[str]:
    shown = []
    for finding in bad[:MOST_PLACES]:
        parts = [messages.place(finding, language), messages.observed_against(finding, language)]
        shown.append(" – ".join(part for part in parts if part))
    if len(bad) > MOST_PLACES:
        shown.append(_texts(language)["more"].format(n=len(bad) - MOST_PLACES))
    return [text for text in shown if text]


# ---- incidents --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shown:
    """An incident as the page shows it."""

    number: int
    severity: str
    severity_word: str
    marks: Sequence[str]
    title: str
    place: str
    facts: Sequence[tuple[str, str, bool]]
    chart: Markup | None


def _incident(incident: Incident, today: date, language: str) -> _Shown:
    texts, finding = _texts(language), incident.finding
    facts = [
        (texts["observed"], messages.observed_against(finding, language), False),
        (texts["marts"], ", ".join(finding.check.marts), False),
        (texts["owner"], finding.check.owner, False),
        (texts["runbook"], messages.runbook(finding), True),
        (texts["mute"], messages.mute_command(incident.number, finding), True),
    ]
    since = messages.day_text(finding.since or incident.opened_on, language)
    return _Shown(
        number=incident.number,
        severity=incident.severity.value,
        severity_word=messages.severity_word(incident.severity, language),
        marks=[texts["since"].format(day=since), *_marks(incident, today, language)],
        title=messages.title(finding, language),
        place=messages.place(finding, language),
        facts=[fact for fact in facts if fact[1]],
        chart=sparkline(finding, language),
    )


def _marks(incident: Incident, today: date, language: str) -> list[str]:
    # Who acknowledged it stays in the store: the page names nobody.
    texts = _texts(language)["marks"]
    marks = []
    if incident.state is State.ESCALATED:
        marks.append(texts["escalated"])
    if incident.acknowledged_by:
        marks.append(texts["acknowledged"])
    if incident.muted_until is not None and incident.is_muted(today):
        marks.append(texts["muted"].format(day=messages.day_text(incident.muted_until, language)))
    if incident.muted_by:
        code = incident.muted_by.split("/")[0]
        speaker = catalogue().get(code)
        marks.append(texts["part_of"].format(check=speaker.titles[language] if speaker else code))
    if incident.clean_runs:
        marks.append(_counted(texts["clean"], incident.clean_runs, language))
    return marks


# ---- the chart --------------------------------------------------------------------------------------------------------


def sparkline(finding: Finding, language: str) -> Markup | None:
    """Return the finding's history as a picture, with its band behind; None when there is nothing to draw."""
    values = finding.history
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = _range(known, finding)

    def x(i: int) -> float:
        return MARGIN + i * (WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (min(max(value, low), high) - low) / (high - low) * (HEIGHT - 2 * MARGIN)

    points = [(x(i), y(value)) if value is not None else None for i, value in enumerate(values)]
    shapes = [*_band(finding, y), f'<line class="floor" x1="0" x2="{WIDTH:g}" y1="{y(low):.1f}" y2="{y(low):.1f}"/>']
    shapes += [_run(run) for run in _runs(points)]
    if (last := points[-1]) is not None:
        shapes.append(f'<circle class="last" cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="4"/>')
    texts = _texts(language)
    told = [messages.amount(value, finding, language) if value is not None else texts["no_value"] for value in values]
    label = typeset(texts["history_values"].format(values=", ".join(told)), language)
    drawn = Markup("".join(shapes))
    return Markup('<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{drawn}</svg>').format(
        w=f"{WIDTH:g}", h=f"{HEIGHT:g}", label=label, drawn=drawn
    )


def _range(known: Sequence[float], finding: Finding) -> tuple[float, float]:
    """The lowest and the highest value of the picture: from zero, but of shares that stay high, to show how they change."""
    levels = [*known, *(bound for bound in (finding.low, finding.high) if bound is not None)]
    most, least = max(levels), min(levels)
    low = max(0.0, least - (most - least)) if finding.check.unit == "share" and least > most / 2 else min(0.0, least)
    return low, most if most > low else low + 1.0


def _band(finding: Finding, y: Callable[[float], float]) -> list[str]:
    if finding.low is None and finding.high is None:
        return []
    top = MARGIN if finding.high is None else y(finding.high)
    bottom = HEIGHT - MARGIN if finding.low is None else y(finding.low)
    # A band of one value is a line that can still be seen.
    height = max(bottom - top, 1.5)
    return [f'<rect class="band" x="0" width="{WIDTH:g}" y="{top:.1f}" height="{height:.1f}"/>']


def _runs(points: Sequence[tuple[float, float] | None]) -> Iterator[list[tuple[float, float]]]:
    """The unbroken parts of the line: a day without a value is a gap."""
    run: list[tuple[float, float]] = []
    for point in [*points, None]:
        if point is not None:
            run.append(point)
        elif run:
            yield run
            run = []


def _run(run: Sequence[tuple[float, float]]) -> str:
    if len(run) == 1:
        return f'<circle class="lone" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="2"/>'
    return f'<polyline class="values" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in run)}"/>'
