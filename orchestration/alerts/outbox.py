"""Delivery of what waits in the outbox: one digest per destination and owner, each destination on its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from filelock import FileLock, Timeout

from orchestration.alerts.destinations import DeliveryError, Destination, read_destinations
from orchestration.alerts.incidents import RECOVERED
from orchestration.alerts.messages import digest
from orchestration.alerts.model import Severity
from orchestration.alerts.store import Delivery, Event, Kind, ReportMail, Store
from orchestration.settings import Settings

LOCK = "delivery.lock"
# After the first failures; from then on, every hour.
BACK_OFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
LONG_FAILING = timedelta(days=7)

log = logging.getLogger("bathtub")


@dataclass(frozen=True)
class Log:
    """Where messages go without any destination: the log."""

    id: str = "log"
    label: str = "the log"

    def wants(self, owner: str, severity: Severity) -> bool:
        """Take everything."""
        return True

    def send(self, subject: str, body: str) -> None:
        """Write a message to the log."""
        log.warning("%s\n%s", subject, body)


@dataclass(frozen=True)
class Delivered:
    """What a delivery did: messages that left, events that wait on, labels of the destinations that failed."""

    messages: int = 0
    waiting: int = 0
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Outcome:
    n_sent: int
    is_failure: bool = False


def recipients(settings: Settings) -> Sequence[Destination | Log]:
    """Return the configured destinations of alerts, or the log.

    Raises:
        ConfigurationError: BATHTUB_ALERT_URLS cannot be used.
    """
    return [d for d in read_destinations(settings.alert_urls) if d.takes_alerts] or [Log()]


def readers(settings: Settings) -> list[Destination]:
    """Return the destinations of the monthly report.

    Raises:
        ConfigurationError: BATHTUB_ALERT_URLS cannot be used.
    """
    return [d for d in read_destinations(settings.alert_urls) if d.takes_report]


def deliver(settings: Settings, store: Store, now: datetime, is_forced: bool = False) -> Delivered:
    """Send what waits; `is_forced` tries destinations whose time has not come yet too.

    A message is marked as sent right after its service took it: only a process that dies between the two sends it twice.
    """
    with _alone(settings) as is_alone:
        if not is_alone:
            return Delivered(waiting=_n_waiting(store))
        destinations = recipients(settings)
        _redirect_others(store, destinations, now)
        outcomes = [(d, _deliver_to(d, store, settings, now, is_forced)) for d in destinations]
        by_mail = readers(settings)
        _redirect_reports(store, by_mail, now)
        outcomes += [(d, _send_reports_to(d, store, now, is_forced)) for d in by_mail]
    failed = dict.fromkeys(destination.label for destination, outcome in outcomes if outcome.is_failure)
    return Delivered(sum(outcome.n_sent for _, outcome in outcomes), _n_waiting(store), tuple(failed))


def _n_waiting(store: Store) -> int:
    return len(store.waiting()) + len(store.waiting_reports())


@contextmanager
def _alone(settings: Settings) -> Iterator[bool]:
    """Two deliveries at once would send everything twice: the second leaves it to the first."""
    lock = FileLock(settings.alerts_dir / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _redirect_others(store: Store, destinations: Sequence[Destination | Log], now: datetime) -> None:
    """What waits for a destination that is configured no more goes to those that are: a changed password is another URL."""
    known = {destination.id for destination in destinations}
    gone = [(destination, event) for destination, event in store.waiting() if destination not in known]
    if not gone:
        return
    log.warning(
        "%s alerts waited for a destination that BATHTUB_ALERT_URLS no longer names; those that are open go to the others.",
        len(gone),
    )
    with store.writing():
        for destination, event in gone:
            # A recovery is only for those who got the opening.
            if event.kind is not Kind.RECOVERED:
                store.redirect(event.id, [d.id for d in destinations if d.wants(event.owner, event.severity)])
            store.mark(destination, [event.id], Delivery.CANCELLED, now)


def _deliver_to(destination: Destination | Log, store: Store, settings: Settings, now: datetime, is_forced: bool) -> _Outcome:
    attempts, next_try_at = store.attempts(destination.id)
    if next_try_at is not None and now < next_try_at and not is_forced:
        return _Outcome(0)
    by_owner: dict[str, list[Event]] = {}
    # In the order in which they came: a digest tells the latest of each incident.
    for _, event in store.waiting(destination.id):
        by_owner.setdefault(event.owner, []).append(event)
    n_sent = 0
    for batch in sorted(by_owner.values(), key=_worst, reverse=True):
        message = digest(batch, settings.vars.report_language)
        try:
            destination.send(message.subject, message.body)
        except DeliveryError as error:
            _put_off(destination, store, now, attempts, str(error))
            return _Outcome(n_sent, is_failure=True)
        with store.writing():
            _mark_sent(destination, store, batch, now)
        n_sent += 1
    return _Outcome(n_sent)


def _redirect_reports(store: Store, destinations: Sequence[Destination], now: datetime) -> None:
    """What waits for a URL that is configured no more goes to those that are and do not have it."""
    known = {destination.id for destination in destinations}
    for mail in [mail for mail in store.waiting_reports() if mail.destination not in known]:
        with store.writing():
            for destination in known - store.mailed(mail.month):
                store.post(replace(mail, destination=destination))
            store.mark_report(mail, Delivery.CANCELLED, now)


def _send_reports_to(destination: Destination, store: Store, now: datetime, is_forced: bool) -> _Outcome:
    attempts, next_try_at = store.attempts(destination.id)
    if next_try_at is not None and now < next_try_at and not is_forced:
        return _Outcome(0)
    n_sent = 0
    for mail in store.waiting_reports(destination.id):
        try:
            _send_report(destination, store, mail, now)
        except DeliveryError as error:
            _put_off(destination, store, now, attempts, str(error))
            return _Outcome(n_sent, is_failure=True)
        n_sent += 1
    return _Outcome(n_sent)


def _send_report(destination: Destination, store: Store, mail: ReportMail, now: datetime) -> None:
    if not mail.file.exists():
        raise DeliveryError(f"The report {mail.file} is gone; make it with: make report MONTH={mail.month:%Y-%m} MAIL=1.")
    destination.send(mail.subject, mail.body, mail.file)
    with store.writing():
        store.mark_report(mail, Delivery.SENT, now)
        store.reached(destination.id, destination.label)


def _worst(batch: Sequence[Event]) -> int:
    return max(event.severity.rank for event in batch)


def _mark_sent(destination: Destination | Log, store: Store, batch: Sequence[Event], now: datetime) -> None:
    ids = [event.id for event in batch]
    ended = store.cancelled(destination.id, ids)
    store.mark(destination.id, ids, Delivery.SENT, now)
    store.reached(destination.id, destination.label)
    # An incident that recovered while its opening was on the way: whoever got the one gets the other.
    for number in {event.number for event in batch if event.id in ended}:
        incident = store.incident(number)
        if incident.resolution == RECOVERED:
            store.tell(incident, Kind.RECOVERED, now, "", [destination.id])


def _put_off(destination: Destination | Log, store: Store, now: datetime, attempts: int, reason: str) -> None:
    wait = BACK_OFF[min(attempts, len(BACK_OFF) - 1)]
    since = store.failing_since(destination.id)
    long = f" It fails since {since:%Y-%m-%d %H:%M} UTC." if since and now - since > LONG_FAILING else ""
    log.warning("%s Alerts for it wait; next try in %s min.%s", reason, int(wait.total_seconds() // 60), long)
    with store.writing():
        store.failed(destination.id, destination.label, now, now + wait)
