"""The incidents, what was told about them, and what people did: one SQLite file, written in transactions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from orchestration.alerts.model import Check, Finding, Severity, Status

FILE = "alerts.sqlite"
VERSION = 1
BUSY_SECONDS = 60

SCHEMA = """
create table incidents (
    number integer primary key autoincrement,
    fingerprint text not null,
    state text not null,
    severity text not null,
    opened_at text not null,
    opened_on text not null,
    judged_on text not null,
    last_status text not null,
    clean_runs integer not null default 0,
    nights_unjudged integer not null default 0,
    missed_on text,
    told_on text,
    muted_by text,
    muted_until text,
    acknowledged_by text,
    resolved_at text,
    resolution text,
    finding text not null
);
create unique index one_open_incident on incidents (fingerprint) where state <> 'resolved';
create table events (
    id integer primary key autoincrement,
    number integer not null references incidents,
    kind text not null,
    at text not null,
    run_id text not null,
    severity text not null,
    owner text not null,
    finding text not null
);
create table destinations (
    id text primary key,
    label text not null,
    attempts integer not null default 0,
    failing_since text,
    next_try_at text
);
create table outbox (
    event integer not null references events,
    destination text not null,
    state text not null,
    sent_at text,
    primary key (event, destination)
);
create index outbox_by_state on outbox (state, destination);
create table actions (
    number integer not null references incidents,
    action text not null,
    at text not null,
    by text not null,
    detail text not null
);
"""

# Came later than the rest, and older stores do without it until they are opened.
REPORTS = """
create table if not exists reports (
    month text not null,
    destination text not null,
    subject text not null,
    body text not null,
    file text not null,
    state text not null,
    sent_at text,
    primary key (month, destination)
)
"""


class AlertsError(Exception):
    """An incident, a destination or the store cannot be used; the message says which, and what to do."""


class State(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class Kind(StrEnum):
    """What a message tells about an incident, the most telling first."""

    OPENED = "opened"
    ESCALATED = "escalated"
    REMINDER = "reminder"
    RECOVERED = "recovered"


class Delivery(StrEnum):
    """What became of an event for one destination."""

    WAITING = "waiting"
    SENT = "sent"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Incident:
    """Something wrong in one place, from its opening to its end; `finding` is the latest that failed.

    `judged_on` is the night of the latest judgement, `missed_on` the latest that did not judge it, `told_on` that of the latest
    message; `muted_by` is the fingerprint of the incident that speaks for this one.
    """

    number: int
    fingerprint: str
    state: State
    severity: Severity
    opened_at: datetime
    opened_on: date
    judged_on: date
    last_status: Status
    finding: Finding
    clean_runs: int = 0
    nights_unjudged: int = 0
    missed_on: date | None = None
    told_on: date | None = None
    muted_by: str | None = None
    muted_until: date | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolution: str | None = None

    @property
    def is_open(self) -> bool:
        """True until it is resolved."""
        return self.state is not State.RESOLVED

    def is_muted(self, on: date) -> bool:
        """Whether somebody muted it up to after a day."""
        return self.muted_until is not None and on < self.muted_until


@dataclass(frozen=True)
class Event:
    """Something to tell about an incident, with the finding as it was then."""

    id: int
    number: int
    kind: Kind
    at: datetime
    severity: Severity
    owner: str
    finding: Finding


@dataclass(frozen=True)
class Action:
    """What a person did about an incident."""

    number: int
    action: str
    at: datetime
    by: str
    detail: str


@dataclass(frozen=True)
class ReportMail:
    """The report of a month on its way to a destination."""

    month: date
    destination: str
    subject: str
    body: str
    file: Path


class Store:
    """The store of one folder; changes are made inside `writing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Store]:
        """Yield the store in `folder`, both made where they are missing.

        Raises:
            AlertsError: the folder cannot be written, or a later version wrote the store.
        """
        file = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise AlertsError(f"The incidents in {file} cannot be opened ({error}); see BATHTUB_ALERTS_DIR.") from error
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("pragma journal_mode = wal")
            store = cls(connection)
            store._make(file)
            yield store
        except sqlite3.Error as error:
            raise AlertsError(f"The incidents in {file} cannot be read or written ({error}).") from error
        finally:
            connection.close()

    def _make(self, file: Path) -> None:
        with self.writing():
            (version,) = self._connection.execute("pragma user_version").fetchone()
            if version == 0:
                for statement in SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"pragma user_version = {VERSION}")
            elif version != VERSION:
                raise AlertsError(f"{file} was written by another version of Bathtub ({version}, this one knows {VERSION}).")
            self._connection.execute(REPORTS)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that the block changes, or nothing of it; one process at a time."""
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    # ---- incidents ----------------------------------------------------------------------------------------------------

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that are not resolved, the most severe and then the oldest first."""
        found = self._incidents("where state <> 'resolved'")
        return sorted(found, key=lambda incident: (-incident.severity.rank, incident.number))

    def incidents(self, most: int = 100) -> list[Incident]:
        """Return the latest incidents, the newest first, resolved ones too."""
        return self._incidents("order by number desc limit ?", most)

    def incident(self, number: int) -> Incident:
        """Return one incident.

        Raises:
            AlertsError: there is none of that number.
        """
        found = self._incidents("where number = ?", number)
        if not found:
            raise AlertsError(f"There is no incident #{number}; `make alerts` lists the open ones.")
        return found[0]

    def _incidents(self, where: str, *values: object) -> list[Incident]:
        return [_incident(row) for row in self._connection.execute(f"select * from incidents {where}", values)]

    def latest(self, fingerprint: str) -> Incident | None:
        """Return the newest incident of a check and place, open or over."""
        found = self._incidents("where fingerprint = ? order by number desc limit 1", fingerprint)
        return found[0] if found else None

    def add(self, finding: Finding, fingerprint: str, at: datetime, night: date, muted_by: str | None) -> Incident:
        """Open an incident and return it with its number."""
        cursor = self._connection.execute(
            "insert into incidents "
            "(fingerprint, state, severity, opened_at, opened_on, judged_on, last_status, muted_by, finding) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                fingerprint, State.OPEN, finding.severity, at.isoformat(), night.isoformat(), night.isoformat(),
                finding.status, muted_by, _written(finding),
            ),
        )  # fmt: skip
        return self.incident(int(cursor.lastrowid or 0))

    def save(self, incident: Incident) -> None:
        """Write an incident that changed."""
        values = {name: _plain(getattr(incident, name)) for name in _CHANGING}
        self._connection.execute(
            f"update incidents set {', '.join(f'{name} = :{name}' for name in values)} where number = :number",
            {**values, "number": incident.number},
        )

    # ---- events and the outbox ----------------------------------------------------------------------------------------

    def tell(self, incident: Incident, kind: Kind, at: datetime, run_id: str, destinations: Sequence[str]) -> None:
        """Put an event into the outbox of each destination (ids)."""
        cursor = self._connection.execute(
            "insert into events (number, kind, at, run_id, severity, owner, finding) values (?, ?, ?, ?, ?, ?, ?)",
            (
                incident.number, kind, at.isoformat(), run_id, incident.severity, incident.finding.check.owner,
                _written(incident.finding),
            ),
        )  # fmt: skip
        rows = [(cursor.lastrowid, destination, Delivery.WAITING) for destination in destinations]
        self._connection.executemany("insert into outbox (event, destination, state) values (?, ?, ?)", rows)

    def told(self, number: int) -> set[str]:
        """Return the destinations that got a message about an incident."""
        return {row["destination"] for row in self._deliveries(number, Delivery.SENT)}

    def cancel(self, number: int) -> None:
        """Take what still waits about an incident out of the outbox."""
        self._connection.execute(
            "update outbox set state = ? where state = ? and event in (select id from events where number = ?)",
            (Delivery.CANCELLED, Delivery.WAITING, number),
        )

    def waiting(self, destination: str | None = None) -> list[tuple[str, Event]]:
        """Return destination and event of what waits, the oldest first."""
        rows = self._connection.execute(
            "select o.destination, e.* from outbox as o inner join events as e on o.event = e.id "
            "where o.state = ? and (? is null or o.destination = ?) order by e.id",
            (Delivery.WAITING, destination, destination),
        )
        return [(row["destination"], _event(row)) for row in rows]

    def redirect(self, event: int, destinations: Sequence[str]) -> None:
        """Put an event into the outbox of further destinations; those that have it already are left as they are."""
        rows = [(event, destination, Delivery.WAITING) for destination in destinations]
        self._connection.executemany("insert or ignore into outbox (event, destination, state) values (?, ?, ?)", rows)

    def cancelled(self, destination: str, events: Sequence[int]) -> set[int]:
        """Return those of the events that were cancelled at a destination."""
        rows = self._connection.execute(
            "select event from outbox where destination = ? and state = ?", (destination, Delivery.CANCELLED)
        )
        return {row["event"] for row in rows}.intersection(events)

    def mark(self, destination: str, events: Sequence[int], state: Delivery, at: datetime) -> None:
        """Say what became of events at a destination."""
        self._connection.executemany(
            "update outbox set state = ?, sent_at = ? where event = ? and destination = ?",
            [(state, at.isoformat(), event, destination) for event in events],
        )

    def _deliveries(self, number: int, state: Delivery) -> list[sqlite3.Row]:
        return self._connection.execute(
            "select o.destination, o.event from outbox as o inner join events as e on o.event = e.id "
            "where e.number = ? and o.state = ?",
            (number, state),
        ).fetchall()

    def attempts(self, destination: str) -> tuple[int, datetime | None]:
        """Return how often sending failed in a row, and when to try again."""
        row = self._connection.execute("select * from destinations where id = ?", (destination,)).fetchone()
        return (row["attempts"], _instant(row["next_try_at"])) if row else (0, None)

    def failing_since(self, destination: str) -> datetime | None:
        """Return since when a destination fails; None where it does not."""
        row = self._connection.execute("select failing_since from destinations where id = ?", (destination,)).fetchone()
        return _instant(row["failing_since"]) if row else None

    def reached(self, destination: str, label: str) -> None:
        """Record that a destination took a message."""
        self._connection.execute("insert or replace into destinations (id, label) values (?, ?)", (destination, label))

    def failed(self, destination: str, label: str, at: datetime, next_try_at: datetime) -> None:
        """Record that a destination did not take a message, and when to try again."""
        self._connection.execute(
            "insert into destinations (id, label, attempts, failing_since, next_try_at) values (:id, :label, 1, :at, :next) "
            "on conflict (id) do update set attempts = attempts + 1, next_try_at = :next, "
            "failing_since = coalesce(failing_since, :at)",
            {"id": destination, "label": label, "at": at.isoformat(), "next": next_try_at.isoformat()},
        )

    # ---- reports ------------------------------------------------------------------------------------------------------

    def mailed(self, month: date) -> set[str]:
        """Return the destinations that the report of a month was made out to, sent or waiting."""
        rows = self._connection.execute("select destination from reports where month = ?", (month.isoformat(),))
        return {row["destination"] for row in rows}

    def post(self, mail: ReportMail) -> None:
        """Let a report wait for its destination, again where it went there before."""
        self._connection.execute(
            "insert or replace into reports (month, destination, subject, body, file, state) values (?, ?, ?, ?, ?, ?)",
            (mail.month.isoformat(), mail.destination, mail.subject, mail.body, str(mail.file), Delivery.WAITING),
        )

    def waiting_reports(self, destination: str | None = None) -> list[ReportMail]:
        """Return the reports that wait, the oldest month first."""
        rows = self._connection.execute(
            "select * from reports where state = ? and (? is null or destination = ?) order by month",
            (Delivery.WAITING, destination, destination),
        )
        return [
            ReportMail(date.fromisoformat(row["month"]), row["destination"], row["subject"], row["body"], Path(row["file"]))
            for row in rows
        ]

    def mark_report(self, mail: ReportMail, state: Delivery, at: datetime) -> None:
        """Say what became of a report at its destination."""
        self._connection.execute(
            "update reports set state = ?, sent_at = ? where month = ? and destination = ?",
            (state, at.isoformat(), mail.month.isoformat(), mail.destination),
        )

    # ---- what people do -----------------------------------------------------------------------------------------------

    def note(self, number: int, action: str, at: datetime, by: str, detail: str = "") -> None:
        """Record what a person did."""
        self._connection.execute("insert into actions values (?, ?, ?, ?, ?)", (number, action, at.isoformat(), by, detail))

    def actions(self, number: int | None = None) -> list[Action]:
        """Return what people did, about one incident or all, the oldest first."""
        rows = self._connection.execute("select * from actions where ? is null or number = ? order by at", (number, number))
        return [Action(row["number"], row["action"], _at(row["at"]), row["by"], row["detail"]) for row in rows]


def count_open(folder: Path, least: Severity = Severity.INFO) -> int | None:
    """Return how many incidents of at least a severity are open in a folder's store; None where nothing was judged yet."""
    if not (folder / FILE).exists():
        return None
    with Store.open(folder) as store:
        return sum(1 for incident in store.open_incidents() if incident.severity.rank >= least.rank)


_CHANGING = (
    "state", "severity", "judged_on", "last_status", "clean_runs", "nights_unjudged", "missed_on", "told_on", "muted_by",
    "muted_until", "acknowledged_by", "resolved_at", "resolution", "finding",
)  # fmt: skip


def _plain(value: object) -> object:
    if isinstance(value, Finding):
        return _written(value)
    return value.isoformat() if isinstance(value, date) else value


def _written(finding: Finding) -> str:
    check = finding.check
    return json.dumps(
        {
            "check": {**{f.name: getattr(check, f.name) for f in fields(check)}, "titles": dict(check.titles)},
            "scope": dict(finding.scope),
            "status": finding.status,
            "severity": finding.severity,
            "judged_on": finding.judged_on.isoformat(),
            "observed": finding.observed,
            "low": finding.low,
            "high": finding.high,
            "history": finding.history,
            "since": finding.since.isoformat() if finding.since else None,
            "detail": finding.detail,
        }
    )


def _finding(text: str) -> Finding:
    kept: dict[str, Any] = json.loads(text)
    check: Mapping[str, Any] = kept.pop("check")
    return Finding(
        **{
            **kept,
            "check": Check(**{**check, "severity": Severity(check["severity"]), "marts": tuple(check["marts"])}),
            "status": Status(kept["status"]),
            "severity": Severity(kept["severity"]),
            "judged_on": date.fromisoformat(kept["judged_on"]),
            "since": date.fromisoformat(kept["since"]) if kept["since"] else None,
            "history": tuple(kept["history"]),
        }
    )


def _incident(row: sqlite3.Row) -> Incident:
    return Incident(
        **{
            **dict(row),
            "state": State(row["state"]),
            "severity": Severity(row["severity"]),
            "last_status": Status(row["last_status"]),
            "opened_at": _at(row["opened_at"]),
            "resolved_at": _instant(row["resolved_at"]),
            **{name: date.fromisoformat(row[name]) for name in ("opened_on", "judged_on")},
            **{name: date.fromisoformat(row[name]) if row[name] else None for name in ("missed_on", "told_on", "muted_until")},
            "finding": _finding(row["finding"]),
        }
    )


def _event(row: sqlite3.Row) -> Event:
    return Event(
        row["id"], row["number"], Kind(row["kind"]), _at(row["at"]), Severity(row["severity"]), row["owner"],
        _finding(row["finding"]),
    )  # fmt: skip


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _instant(text: str | None) -> datetime | None:
    return _at(text) if text else None
