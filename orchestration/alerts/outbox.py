"""Delivery of what waits in the outbox: one digest per destination and owner, each destination on its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from filelock import FileLock, Timeout

from orchestration.alerts.destinations import DeliveryError, Destination, read_destinations
from orchestration.alerts.messages import digest
from orchestration.alerts.model import Severity
from orchestration.alerts.store import Delivery, Event, Store
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


def recipients(settings: Settings) -> Sequence[Destination | Log]:
    """Return the configured destinations, or the log.

    Raises:
        ConfigurationError: BATHTUB_ALERT_URLS cannot be used.
    """
    return read_destinations(settings.alert_urls) or [Log()]


def deliver(settings: Settings, store: Store, now: datetime, is_forced: bool = False) -> Delivered:
    """Send what waits; `is_forced` tries destinations whose time has not come yet too.

    A message is marked as sent right after its service took it: only a process that dies between the two sends it twice.
    """
    with _alone(settings) as is_alone:
        if not is_alone:
            return Delivered(waiting=len(store.waiting()))
        destinations = recipients(settings)
        _drop_others(store, destinations, now)
        outcomes = [_deliver_to(destination, store, settings, now, is_forced) for destination in destinations]
    failed = tuple(d.label for d, outcome in zip(destinations, outcomes, strict=True) if outcome is None)
    return Delivered(sum(outcome or 0 for outcome in outcomes), len(store.waiting()), failed)


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


def _drop_others(store: Store, destinations: Sequence[Destination | Log], now: datetime) -> None:
    known = {destination.id for destination in destinations}
    gone = [(destination, event.id) for destination, event in store.waiting() if destination not in known]
    if gone:
        log.warning(
            "%s alerts waited for a destination that BATHTUB_ALERT_URLS no longer names; they are cancelled.", len(gone)
        )
    with store.writing():
        for destination, event in gone:
            store.mark(destination, [event], Delivery.CANCELLED, now)


def _deliver_to(destination: Destination | Log, store: Store, settings: Settings, now: datetime, is_forced: bool) -> int | None:
    """Return how many messages a destination took, or None when it failed."""
    attempts, next_try_at = store.attempts(destination.id)
    if next_try_at is not None and now < next_try_at and not is_forced:
        return 0
    by_owner: dict[str, list[Event]] = {}
    for _, event in sorted(store.waiting(destination.id), key=lambda waiting: -waiting[1].severity.rank):
        by_owner.setdefault(event.owner, []).append(event)
    n_sent = 0
    for batch in by_owner.values():
        message = digest(batch, settings.vars.report_language)
        try:
            destination.send(message.subject, message.body)
        except DeliveryError as error:
            _put_off(destination, store, now, attempts, str(error))
            return None
        with store.writing():
            store.mark(destination.id, [event.id for event in batch], Delivery.SENT, now)
            store.reached(destination.id, destination.label)
        n_sent += 1
    return n_sent


def _put_off(destination: Destination | Log, store: Store, now: datetime, attempts: int, reason: str) -> None:
    wait = BACK_OFF[min(attempts, len(BACK_OFF) - 1)]
    since = store.failing_since(destination.id)
    long = f" It fails since {since:%Y-%m-%d %H:%M} UTC." if since and now - since > LONG_FAILING else ""
    log.warning("%s Alerts for it wait; next try in %s min.%s", reason, int(wait.total_seconds() // 60), long)
    with store.writing():
        store.failed(destination.id, destination.label, now, now + wait)
