"""Incidents, not messages: what the findings of a run open, escalate and resolve, and what is to be told about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from orchestration.alerts.model import Finding, Severity, Status
from orchestration.alerts.store import AlertsError, Incident, Kind, State, Store

# Nights after which an incident that nobody judges any more ends: its source is gone.
NIGHTS_UNTIL_FORGOTTEN = 28
UNKNOWN = "unknown"
# How an incident ended.
RECOVERED, NOISE = "recovered", "noise"


class Recipient(Protocol):
    """A destination as the incidents see it."""

    @property
    def id(self) -> str:
        """What it is known by."""

    def wants(self, owner: str, severity: Severity) -> bool:
        """Whether it asks for messages of an owner and a severity."""


@dataclass(frozen=True)
class Run:
    """A run of the checks: `at` is aware, `night` the local day that it judges, `subjects` those that it judged at all."""

    run_id: str
    at: datetime
    night: date
    subjects: Collection[str]
    recovery_runs: int = 2

    @property
    def day(self) -> date:
        """The local day on which it runs: the one after the night that it judges."""
        return self.night + timedelta(days=1)


@dataclass(frozen=True)
class Recorded:
    """How many incidents a run opened, escalated and resolved, and how many are open now."""

    opened: int = 0
    escalated: int = 0
    resolved: int = 0
    still_open: int = 0


def record(store: Store, findings: Sequence[Finding], run: Run, destinations: Sequence[Recipient]) -> Recorded:
    """Turn findings into incidents and put what is to be told into the outbox, in one transaction.

    The same night recorded again neither repeats a message nor counts as a clean run, and an older night than the latest that
    judged a place says nothing new about it.
    """
    findings = _worst_of_each_place(findings)
    with store.writing():
        book = _Book(store, run, destinations)
        before = {incident.fingerprint: incident for incident in store.open_incidents()}
        parents = speakers(findings)
        seen: set[str] = set()
        for finding in findings:
            seen |= book.see(finding, before, speaker_of(finding, parents))
        for fingerprint, incident in before.items():
            if fingerprint not in seen and incident.finding.check.subject in run.subjects:
                book.miss(incident)
        now_open = store.open_incidents()
    return Recorded(book.opened, book.escalated, book.resolved, len(now_open))


def _worst_of_each_place(findings: Sequence[Finding]) -> list[Finding]:
    """A close judges several months at once: one incident speaks for the worst of them, of equals the latest."""
    ranks = [Status.PASSED, Status.UNKNOWN, Status.FAILED]

    def rank(finding: Finding) -> tuple[int, int, date]:
        return ranks.index(finding.status), finding.severity.rank, finding.judged_on

    worst: dict[str, Finding] = {}
    for finding in findings:
        known = worst.get(finding.fingerprint)
        if known is None or rank(finding) > rank(known):
            worst[finding.fingerprint] = finding
    return list(worst.values())


def speakers(findings: Sequence[Finding]) -> list[Finding]:
    """Return the failed findings that speak for all others of their place, the widest place first."""
    found = [f for f in findings if f.status is Status.FAILED and f.check.mutes_children]
    return sorted(found, key=lambda f: len(f.scope))


def speaker_of(finding: Finding, parents: Sequence[Finding]) -> str | None:
    """Return the fingerprint of the finding that speaks for another one, None where it speaks for itself."""
    for parent in parents:
        is_wider = parent.scope.items() <= finding.scope.items() and parent.check.code != finding.check.code
        if is_wider and parent.check.subject == finding.check.subject and parent is not finding:
            return parent.fingerprint
    return None


class _Book:
    def __init__(self, store: Store, run: Run, destinations: Sequence[Recipient]) -> None:
        self.store, self.run, self.destinations = store, run, destinations
        self.opened = self.escalated = self.resolved = 0

    def see(self, finding: Finding, before: Mapping[str, Incident], muted_by: str | None) -> set[str]:
        """Enter one finding and return the fingerprints that it judged."""
        known, unknown = finding.fingerprint, f"{finding.fingerprint}/{UNKNOWN}"
        if finding.status is Status.UNKNOWN:
            severity = max(finding.severity, Severity.WARNING, key=lambda s: s.rank)
            self._failed(replace(finding, severity=severity), unknown, before.get(unknown), muted_by)
            # What failed before may still fail: it waits for a run that can tell, and its clean runs are no longer in a row.
            if (incident := before.get(known)) and incident.clean_runs and incident.judged_on < self.run.night:
                self.store.save(replace(incident, clean_runs=0))
            return {known, unknown}
        if could_run := before.get(unknown):
            self._passed(could_run)
        if finding.status is Status.FAILED:
            self._failed(finding, known, before.get(known), muted_by)
        elif incident := before.get(known):
            self._passed(incident) if muted_by is None else self._rest(incident, muted_by)
        return {known, unknown}

    def miss(self, incident: Incident) -> None:
        """Count a night in which an open incident was not judged, though its subject was."""
        if max(incident.judged_on, incident.missed_on or incident.judged_on) >= self.run.night:
            return
        nights = incident.nights_unjudged + 1
        changed = replace(incident, nights_unjudged=nights, missed_on=self.run.night)
        if nights >= NIGHTS_UNTIL_FORGOTTEN:
            self._resolve(changed, "no longer judged", tells=False)
        else:
            self.store.save(changed)

    def _failed(self, finding: Finding, fingerprint: str, incident: Incident | None, muted_by: str | None) -> None:
        run = self.run
        if incident is None:
            if muted_by is None and not self._is_settled(fingerprint):
                self.opened += 1
                self._tell(self.store.add(finding, fingerprint, run.at, run.night, None), Kind.OPENED)
            return
        if incident.judged_on > run.night:
            return
        if muted_by is not None:
            self._rest(incident, muted_by)
            return
        is_worse = finding.severity.rank > incident.severity.rank
        changed = replace(
            incident,
            finding=finding,
            last_status=finding.status,
            judged_on=run.night,
            clean_runs=0,
            nights_unjudged=0,
            muted_by=None,
            state=State.ESCALATED if is_worse else incident.state,
            severity=finding.severity if is_worse else incident.severity,
            acknowledged_by=None if is_worse else incident.acknowledged_by,
        )
        if is_worse:
            self.escalated += 1
            self._tell(changed, Kind.ESCALATED)
        elif self._is_due(changed):
            self._tell(changed, Kind.REMINDER)
        else:
            self.store.save(changed)

    def _is_settled(self, fingerprint: str) -> bool:
        """Whether an incident that is over already answered for this night, so that a replay does not open it again."""
        last = self.store.latest(fingerprint)
        if last is None or last.judged_on < self.run.night:
            return False
        return last.judged_on > self.run.night or last.resolution == NOISE

    def _is_due(self, incident: Incident) -> bool:
        """Whether an incident that goes on is told again: daily while critical, and once when it wakes from being muted."""
        if incident.is_muted(self.run.day):
            return False
        if incident.muted_until is not None:
            return True
        is_due = incident.finding.severity is Severity.CRITICAL and incident.acknowledged_by is None
        return is_due and (incident.told_on is None or incident.told_on < self.run.night)

    def _passed(self, incident: Incident) -> None:
        run = self.run
        # A night that failed stays failed when it is replayed, unless one good run is enough.
        if incident.judged_on > run.night or (incident.judged_on == run.night and run.recovery_runs > 1):
            return
        changed = replace(
            incident,
            last_status=Status.PASSED,
            judged_on=run.night,
            clean_runs=incident.clean_runs + 1,
            nights_unjudged=0,
            muted_by=None,
        )
        if changed.clean_runs >= run.recovery_runs:
            self._resolve(changed, RECOVERED, tells=True)
        else:
            self.store.save(changed)

    def _rest(self, incident: Incident, muted_by: str) -> None:
        """Leave an incident as it is while another speaks for it."""
        if incident.judged_on > self.run.night:
            return
        self.store.save(replace(incident, muted_by=muted_by, judged_on=self.run.night, nights_unjudged=0))

    def _resolve(self, incident: Incident, resolution: str, tells: bool) -> None:
        self.resolved += 1
        # An opening that nobody got yet is not worth a message any more, nor is its end.
        self.store.cancel(incident.number)
        told = self.store.told(incident.number) if tells and not incident.is_muted(self.run.day) else set()
        resolved = replace(incident, state=State.RESOLVED, resolved_at=self.run.at, resolution=resolution)
        self.store.save(resolved)
        if told:
            self.store.tell(resolved, Kind.RECOVERED, self.run.at, self.run.run_id, sorted(told))

    def _tell(self, incident: Incident, kind: Kind) -> None:
        """Save an incident and put an event into the outbox; `info` is listed only, what somebody muted waits."""
        if incident.severity is Severity.INFO or incident.is_muted(self.run.day):
            self.store.save(incident)
            return
        self.store.save(replace(incident, told_on=self.run.night, muted_until=None))
        owner = incident.finding.check.owner
        wanted = [destination.id for destination in self.destinations if destination.wants(owner, incident.severity)]
        self.store.tell(incident, kind, self.run.at, self.run.run_id, wanted)


# ---- what people do ---------------------------------------------------------------------------------------------------


def acknowledge(store: Store, number: int, by: str, at: datetime) -> Incident:
    """Record that somebody works on an incident: no daily reminder until it escalates.

    Raises:
        AlertsError: there is no such incident.
    """
    return _act(store, number, "acknowledged", by, at, "", lambda incident: replace(incident, acknowledged_by=by))


def mute(store: Store, number: int, until: date, by: str, at: datetime) -> Incident:
    """Keep an incident from sending anything before a local day; if it is still there then, it is told once.

    What waits for a destination about it is not sent any more.

    Raises:
        AlertsError: there is no such incident, or the day is not to come.
    """
    # Somewhere on Earth the day may be one ahead or behind.
    if until < at.astimezone(UTC).date():
        raise AlertsError(f"--until {until} is over; name the first day on which incident #{number} may speak again.")
    detail = until.isoformat()
    return _act(store, number, "muted", by, at, detail, lambda i: replace(i, muted_until=until), is_silenced=True)


def unmute(store: Store, number: int, by: str, at: datetime) -> Incident:
    """Undo `mute`: if the incident is still there at the next run, it is told once.

    Raises:
        AlertsError: there is no such incident, or it is not muted.
    """

    def woken(incident: Incident) -> Incident:
        if incident.muted_until is None:
            raise AlertsError(f"Incident #{number} is not muted.")
        return replace(incident, muted_until=min(incident.muted_until, at.astimezone(UTC).date()))

    return _act(store, number, "unmuted", by, at, "", woken)


def call_noise(store: Store, number: int, by: str, at: datetime) -> Incident:
    """End an incident as a false alarm, without a message of recovery; the verdict stays for whoever tunes the bounds.

    Raises:
        AlertsError: there is no such incident.
    """

    def ended(incident: Incident) -> Incident:
        return replace(incident, state=State.RESOLVED, resolved_at=at, resolution=NOISE)

    return _act(store, number, "noise", by, at, "", ended)


def _act(
    store: Store,
    number: int,
    action: str,
    by: str,
    at: datetime,
    detail: str,
    change: Callable[[Incident], Incident],
    is_silenced: bool = False,
) -> Incident:
    with store.writing():
        before = store.incident(number)
        if not before.is_open:
            raise AlertsError(f"Incident #{number} is over ({before.resolution}); `make alerts` lists the open ones.")
        incident = change(before)
        if is_silenced or not incident.is_open:
            store.cancel(number)
        store.save(incident)
        store.note(number, action, at, by, detail)
    return incident
