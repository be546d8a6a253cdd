"""One night: bring the feeds in, observe, judge, record, tell; and the judgement of a close before it is published."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.frames import feed_frames, mart_frames
from orchestration.alerts.incidents import Recorded, Run, record
from orchestration.alerts.judge import judge, write_results
from orchestration.alerts.model import Finding, Severity, Status, Subject
from orchestration.alerts.outbox import Delivered, deliver, recipients
from orchestration.alerts.store import Incident, Store
from orchestration.close import WarehouseState
from orchestration.engine import Engine, engine_of
from orchestration.ingest import IngestError
from orchestration.settings import Settings
from orchestration.warehouse import Report, reading

Rows = Callable[[str], Sequence[tuple[Any, ...]]]
INGEST_FAILED = "ingest_failed"
DATA_DOCS = "data_docs"

log = logging.getLogger("bathtub")


@dataclass(frozen=True)
class Night:
    """What a night found: the judged local day, all findings, what became of them."""

    judged_on: date
    findings: Sequence[Finding]
    recorded: Recorded
    delivered: Delivered

    @property
    def failed(self) -> list[Finding]:
        """The findings that are not good, the most severe first."""
        return sorted((f for f in self.findings if not f.is_good), key=lambda f: -f.severity.rank)


def judged_day(settings: Settings, now: datetime) -> date:
    """Return the local day that a night judges: the last whole one."""
    return now.astimezone(settings.vars.zone).date() - timedelta(days=1)


def run_night(settings: Settings, now: datetime, run_id: str, report: Report, judged: date | None = None) -> Night:
    """Run the nightly checks, by default for yesterday; what waits for a destination leaves too.

    Raises:
        WarehouseError: the warehouse cannot be read or written now.
        ConfigurationError: BATHTUB_ALERT_URLS cannot be used.
    """
    recipients(settings)
    judged = judged or judged_day(settings, now)
    engine = engine_of(settings)
    ingest_failed = catalogue()[INGEST_FAILED]
    try:
        engine.refresh_raw(report, judged)
    except IngestError as error:
        log.error("%s", error)
        # Its sentence may quote a line of a file: it stays in the log of this machine.
        finding = Finding(ingest_failed, {}, Status.FAILED, ingest_failed.severity, judged, detail=type(error).__name__)
        findings = [finding, *_marts(settings, engine, judged)]
        return tell(settings, findings, run_id, now, judged, {"marts"}, report)
    passed = Finding(ingest_failed, {}, Status.PASSED, ingest_failed.severity, judged)
    return judge_and_tell(settings, engine, now, run_id, judged, report, [passed])


def judge_and_tell(
    settings: Settings,
    engine: Engine,
    now: datetime,
    run_id: str,
    judged: date,
    report: Report,
    before: Sequence[Finding] = (),
) -> Night:
    """Judge the observations of a day and the marts, record and tell what was found, and `before` with it."""
    state = engine.read_state()
    docs = settings.alerts_dir / DATA_DOCS if settings.alert_data_docs else None
    with reading(settings.warehouse) as connection:

        def rows(sql: str) -> Sequence[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        frames = feed_frames(rows, settings.vars, judged, marts=engine.rows, closed=state.closed)
        found = judge(frames, "feeds", judged, settings.vars.alerts.bounds, docs)
    findings = [*before, *found, *_marts(settings, engine, judged)]
    return tell(settings, findings, run_id, now, judged, {"feeds", "marts"}, report)


def _marts(settings: Settings, engine: Engine, judged: date) -> list[Finding]:
    frames = mart_frames(engine.rows, settings.vars, judged, state=engine.read_state())
    return judge(frames, "marts", judged, settings.vars.alerts.bounds)


def judge_close(
    settings: Settings,
    rows: Rows,
    state: WarehouseState,
    months: Sequence[date],
    now: datetime,
    run_id: str,
    report: Report,
) -> list[Finding]:
    """Judge the marts of a close before it is published; `rows` asks its working copy, `state` is that before it.

    What keeps it from being published (`blocking`) is recorded and told at once; the rest is told by the next night.
    """
    judged = judged_day(settings, now)
    frames = mart_frames(rows, settings.vars, judged, state=state, months=months)
    findings = judge(frames, "marts", judged, settings.vars.alerts.bounds)
    if stopped := blocking(findings):
        tell(settings, stopped, run_id, now, judged, (), report)
    return findings


def blocking(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that keep a close from being published."""
    return [f for f in findings if f.check.blocks and f.status is Status.FAILED and f.severity is Severity.CRITICAL]


def tell(
    settings: Settings,
    findings: Sequence[Finding],
    run_id: str,
    now: datetime,
    night: date,
    subjects: Collection[Subject],
    report: Report,
) -> Night:
    """Record findings as incidents, deliver what waits, write page and results; `subjects` were judged as a whole."""
    run = Run(run_id, now, night, subjects, settings.vars.alerts.recovery_runs)
    with Store.open(settings.alerts_dir) as store:
        recorded = record(store, findings, run, recipients(settings))
        delivered = deliver(settings, store, now)
        incidents = store.open_incidents()
    write_results(settings.alerts_dir, run_id, findings, now)
    _write_page(settings, findings, incidents, now)
    told = Night(night, findings, recorded, delivered)
    report(
        f"{len(findings)} findings, {len(told.failed)} not good; {recorded.opened} incidents opened, "
        f"{recorded.escalated} escalated, {recorded.resolved} resolved, {recorded.still_open} open; "
        f"{delivered.messages} messages left, {delivered.waiting} wait."
    )
    return told


def tell_of_run(settings: Settings, finding: Finding, run_id: str, now: datetime) -> None:
    """Record and tell what a sensor found of a scheduled run; one success is enough to end it."""
    with Store.open(settings.alerts_dir) as store:
        record(store, [finding], Run(run_id, now, finding.judged_on, (), 1), recipients(settings))
        deliver(settings, store, now)
        incidents = store.open_incidents()
    _write_page(settings, [finding], incidents, now)


def _write_page(settings: Settings, findings: Sequence[Finding], incidents: Sequence[Incident], now: datetime) -> None:
    from orchestration.alerts.page import write_page

    write_page(settings.alerts_dir, findings, incidents, now, settings.vars.report_language)
