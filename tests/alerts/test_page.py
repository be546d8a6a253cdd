"""The page of the alerts: what it shows, in both languages, and that it loads nothing and names nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.judge import write_results
from orchestration.alerts.model import Finding, Severity, Status
from orchestration.alerts.page import page as page_of
from orchestration.alerts.page import sparkline, write_page
from orchestration.alerts.store import Incident, State

NIGHT = date(2026, 11, 22)
AT = datetime(2026, 11, 23, 6, 4, tzinfo=UTC)
HISTORY = (400.0, 410.0, None, 395.0, 420.0, 401.0, 380.0, 399.0, 400.0, 415.0, 408.0, None, 390.0, 0.0)


def _finding(code: str, status: Status = Status.FAILED, **more: Any) -> Finding:
    check = catalogue()[code]
    finding = Finding(
        check, {"feed": "customers", "source": "till"}, status, check.severity, NIGHT, 0.0, 312.0, 489.0, HISTORY, NIGHT
    )
    return replace(finding, **more)


def _incident(number: int, finding: Finding, **more: Any) -> Incident:
    incident = Incident(number, finding.fingerprint, State.OPEN, finding.severity, AT, NIGHT, NIGHT, finding.status, finding)
    return replace(incident, **more)


class Page(HTMLParser):
    """What a page says and refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source, self.words, self.rows = text, "", list[list[str]]()
        self.attributes: list[tuple[str, str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        # Spaces that keep words on a line stay what they are.
        self.words = re.sub(r"[ \n]+", " ", self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            return
        self.words += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def row(self, check: str) -> list[str]:
        """The cells of a check's row: name, state, found, judged day."""
        (found,) = [row for row in self.rows if row and row[0].startswith(check)]
        return [" ".join(cell.split()) for cell in found]


def _page(folder: Path, findings: Sequence[Finding], incidents: Sequence[Incident] = (), language: str = "en") -> Page:
    return Page(write_page(folder, findings, incidents, AT, language).read_text(encoding="utf-8"))


def _busy(folder: Path, language: str = "en") -> Page:
    failed = _finding("source_missing")
    return _page(folder, [failed, _finding("duplicate_keys", Status.PASSED)], [_incident(3, failed)], language)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path, language: str) -> None:
    page = _busy(tmp_path, language)
    # A reference is an attribute that a browser follows, or one of the two ways of a style sheet.
    followed = {"src", "srcset", "href", "xlink:href", "action", "formaction", "poster", "data", "background", "ping"}
    assert not [found for found in page.attributes if found[1] in followed or found[1].startswith("on")]
    assert not re.search(r"https?:|//[a-z]|@import|url\s*\(|<script|<link|<iframe|<object|<embed", page.source, re.IGNORECASE)
    assert {"svg", "style"} <= set(re.findall(r"<(\w+)", page.source))


def test_an_incident_says_what_where_since_when_and_what_to_do(tmp_path: Path) -> None:
    words = _busy(tmp_path).words
    assert "1 open incident (critical 1)" in words
    assert "critical #3 Since November 22, 2026 Source missing feed customers, source till" in words
    assert "observed 0 rows, expected 312 to 489 rows" in words
    assert "docs/runbook.md#source_missing" in words
    assert 'make alerts ALERT_ARGS="mute 3 --until 2026-11-30"' in words
    assert "Updated: November 23, 2026, 06:04 UTC" in words


def test_the_page_speaks_french(tmp_path: Path) -> None:
    page = _busy(tmp_path, "fr")
    assert ("html", "lang", "fr") in page.attributes
    assert "Depuis le 22 novembre 2026 Source absente flux customers, source till" in page.words
    assert "observé 0 ligne, attendu 312 à 489 lignes" in page.words
    assert page.row("Clés en double")[1] == "réussi"
    assert not re.search(" [:;!?%]", page.words)


def test_every_check_has_a_state(tmp_path: Path) -> None:
    places = [_finding("volume_outside_band", scope={"feed": "orders", "source": name}) for name in ("till", "web")]
    page = _page(
        tmp_path,
        [
            _finding("duplicate_keys", Status.PASSED),
            _finding("null_spike", Status.UNKNOWN, scope={}, detail="KeyError"),
            _finding("source_missing"),
            # The missing source speaks for it.
            _finding("bounce_spike"),
            places[0],
            replace(places[1], status=Status.PASSED),
        ],
    )
    states = {name: page.row(name)[1] for name in ("Duplicate", "Spike of missing", "Source missing", "Spike of bounces")}
    assert list(states.values()) == ["passed", "unknown", "failed", "covered"]
    assert page.row("Volume of the day")[1:] == [
        "failed", "1 place of 2feed orders, source till – observed 0 rows, expected 312 to 489 rows", "Nov 22, 2026"
    ]  # fmt: skip
    assert page.row("Mass deletion")[1] == "not judged"
    assert page.row("A scheduled run failed")[1] == "nothing open"
    assert sum(row[0] != "Check" for row in page.rows) == len(catalogue())


def test_a_check_that_could_not_run_is_never_green(tmp_path: Path) -> None:
    row = _page(tmp_path, [_finding("orphans", Status.PASSED), _finding("orphans", Status.UNKNOWN)]).row("Rows of unknown")
    assert row[1] == "unknown"
    assert "this check could not run" in row[2]


def test_a_failed_run_shows_as_such_while_its_incident_is_open(tmp_path: Path) -> None:
    failed = _finding("run_failed", scope={"job": "monthly_close"}, observed=None, low=None, high=None, history=())
    page = _page(tmp_path, [], [_incident(1, failed)])
    assert page.row("A scheduled run failed")[1:3] == ["failed", "1 place of 1job monthly_close"]
    assert "<svg" not in page.source


def test_a_check_that_this_run_did_not_judge_keeps_its_latest_result(tmp_path: Path) -> None:
    earlier = [_finding("orphans"), _finding("duplicate_keys")]
    write_results(tmp_path, "one", [replace(f, judged_on=date(2026, 11, 20)) for f in earlier], AT.replace(day=21))
    write_results(
        tmp_path, "two", [replace(earlier[0], status=Status.PASSED, judged_on=date(2026, 11, 21))], AT.replace(day=22)
    )
    page = _page(tmp_path, [_finding("source_missing")])
    assert page.row("Source missing")[1:] == [
        "failed", "1 place of 1feed customers, source till – observed 0 rows, expected 312 to 489 rows", "Nov 22, 2026"
    ]  # fmt: skip
    assert [page.row("Rows of unknown")[i] for i in (1, 3)] == ["passed before", "Nov 21, 2026"]
    assert [page.row("Duplicate")[i] for i in (1, 3)] == ["failed", "Nov 20, 2026"]


def test_the_day_of_a_sensor_is_no_judged_day(tmp_path: Path) -> None:
    run = replace(_finding("run_failed"), judged_on=date(2026, 11, 30))
    page = page_of([run], [], AT, "en", [[replace(_finding("orphans"), judged_on=date(2026, 11, 20))]])
    assert "Judged day: November 20, 2026" in page


def test_the_first_of_a_month_is_written_as_in_french() -> None:
    finding = replace(_finding("orphans"), judged_on=date(2026, 10, 1))
    page = page_of([finding], [], AT, "fr")
    assert "1er octobre 2026" in page
    assert "1er oct. 2026" in page
    assert "11er" not in page_of([replace(finding, judged_on=date(2026, 10, 11))], [], AT, "fr")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"findings": [{"check": "orphans"}]}', json.dumps({"findings": None})])
def test_results_that_cannot_be_read_do_not_stop_the_page(tmp_path: Path, text: str) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "20261101T000000Z-x.json").write_text(text, encoding="utf-8")
    assert _page(tmp_path, []).row("Rows of unknown")[1] == "not judged"


def test_what_is_no_plain_name_is_hidden(tmp_path: Path) -> None:
    names = ["ann.lee@example.org", "+33 6 12 34 56 78", "x" * 61]
    findings = [_finding("source_missing", scope={"feed": "customers", "source": name}) for name in names]
    incidents = [_incident(i, finding, acknowledged_by="Ann Lee") for i, finding in enumerate(findings, start=1)]
    page = _page(tmp_path, findings, incidents)
    assert page.words.count("source (hidden)") == 2 * len(names)
    assert not [name for name in [*names, "Ann Lee"] if name in page.source]
    assert "acknowledged" in page.words


def test_a_name_is_text_and_never_markup(tmp_path: Path) -> None:
    finding = _finding("source_missing", scope={"feed": "customers", "source": '<img src=x onerror="a()">&'})
    page = _page(tmp_path, [finding], [_incident(1, finding)])
    assert "<img" not in page.source
    assert 'source <img src=x onerror="a()">&' in page.words


def test_what_people_did_is_marked(tmp_path: Path) -> None:
    finding = _finding("source_missing")
    more = {"state": State.ESCALATED, "muted_until": date(2026, 12, 1), "clean_runs": 1, "muted_by": "feed_missing/feed=orders"}
    words = _page(tmp_path, [], [_incident(1, finding, **more)]).words
    assert "worse muted until December 1, 2026 part of: Feed missing clean for 1 night" in words
    over = _page(tmp_path, [], [_incident(1, finding, muted_until=date(2026, 11, 23))]).words
    assert "muted until" not in over


def test_nothing_open_is_said(tmp_path: Path) -> None:
    assert "No incident is open." in _page(tmp_path, []).words


def test_the_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = write_page(tmp_path / "new", [], [], AT, "en")
    path.write_text("before", encoding="utf-8")
    assert write_page(tmp_path / "new", [], [], AT, "en") == path
    assert [file.name for file in path.parent.iterdir()] == ["alerts.html"]
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


# ---- the chart --------------------------------------------------------------------------------------------------------


def _numbers(chart: str, attribute: str) -> list[float]:
    return [float(value) for value in re.findall(rf' {attribute}="([-\d.]+)"', chart)]


def test_the_chart_has_a_gap_where_there_is_no_value() -> None:
    chart = str(sparkline(_finding("source_missing"), "en"))
    lines = re.findall(r'points="([^"]+)"', chart)
    assert [len(line.split()) for line in lines] == [2, 8, 2]
    assert 'aria-label="Last values, oldest first: 400 rows, 410 rows, none, 395 rows' in chart


def test_the_band_lies_where_its_bounds_are() -> None:
    finding = _finding("source_missing", history=(0.0, 100.0), low=25.0, high=50.0)
    chart = str(sparkline(finding, "en"))
    # 60 units from 0 at 65 to 100 at 5.
    assert re.findall(r'<rect class="band" x="0" width="280" y="([\d.]+)" height="([\d.]+)"', chart) == [("35.0", "15.0")]
    assert re.findall(r'points="([^"]+)"', chart) == ["5.0,65.0 275.0,5.0"]


def test_a_band_without_a_bound_goes_on_to_the_edge() -> None:
    above = str(sparkline(_finding("source_missing", history=(0.0, 100.0), low=50.0, high=None), "en"))
    assert ('y="5.0" height="30.0"') in above
    below = str(sparkline(_finding("source_missing", history=(0.0, 100.0), low=None, high=50.0), "en"))
    assert ('y="35.0" height="30.0"') in below


@pytest.mark.parametrize("history", [(), (None, None)])
def test_without_a_value_there_is_no_chart(history: tuple[None, ...]) -> None:
    assert sparkline(_finding("source_missing", history=history), "en") is None


@pytest.mark.parametrize("history", [(0.0,), (0.0, 0.0), (None, 3.0), (0.9, 0.91, 0.9), (-2.0, 2.0)])
@pytest.mark.parametrize("code", ["source_missing", "fill_rate_outside_band"])
def test_every_value_lies_inside_the_picture(code: str, history: tuple[float | None, ...]) -> None:
    for low, high in ((None, None), (0.0, 0.0), (0.5, 1.0)):
        chart = str(sparkline(_finding(code, history=history, low=low, high=high), "en"))
        levels = [*_numbers(chart, "cy"), *_numbers(chart, "y")]
        levels += [float(point.split(",")[1]) for line in re.findall(r'points="([^"]+)"', chart) for point in line.split()]
        assert all(0 <= level <= 70 for level in levels), (levels, low, high)


def test_severities_are_told_in_words_not_only_in_colour(tmp_path: Path) -> None:
    mild = _finding("volume_outside_band", severity=Severity.WARNING)
    assert "warning #1" in _page(tmp_path, [mild], [_incident(1, mild)]).words
