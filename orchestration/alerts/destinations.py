"""Where messages go: the Apprise URLs of BATHTUB_ALERT_URLS, each with the owners and severities that it asks for."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestration.alerts.model import Severity
from orchestration.alerts.names import HIDDEN, shown_name
from orchestration.settings import ConfigurationError

if TYPE_CHECKING:
    from apprise import Apprise, AppriseResult

OWNERS = ("data", "crm", "dpo")
# Asks for the monthly report; an entry with this tag alone gets no alert.
REPORT = "report"
TAGS = (*OWNERS, *Severity, REPORT)
ENTRY = re.compile(r"(?:(?P<tags>[a-z]+(?:,[a-z]+)*)=)?(?P<url>[a-z][a-z0-9+.-]*://\S+)", re.IGNORECASE)
# The longest that one service may keep the others waiting.
SECONDS = 60
HTTP_ANSWER = re.compile(r"error=(\d{3})")


class DeliveryError(Exception):
    """A destination did not take a message; the message says which one, without its secrets."""


@dataclass(frozen=True)
class Destination:
    """A place for messages. `asks` holds the tags of each entry that names it; one that it meets is enough.

    Without an owner, or a severity, among its tags an entry takes all. `id` tells nothing of the URL.
    """

    url: str = field(repr=False)
    asks: tuple[frozenset[str], ...] = (frozenset(),)

    @property
    def id(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @cached_property
    def label(self) -> str:
        """The service and host, for people: no user, no token, no number."""
        # Of many services the host is the token, or a phone; Apprise knows of which, and shortens it.
        parts = urlsplit(_apprise_of(self.url).urls(privacy=True)[0])
        host = parts.hostname or ""
        is_shown = _is_address(host) or ("..." not in host and shown_name(host) != HIDDEN)
        return f"{parts.scheme}://{host if is_shown else '…'}"

    def wants(self, owner: str, severity: Severity) -> bool:
        """Whether it asks for messages of an owner and a severity."""
        return any(_meets(tags, OWNERS, owner) and _meets(tags, tuple(Severity), severity) for tags in self._alert_asks)

    @property
    def _alert_asks(self) -> list[frozenset[str]]:
        return [tags for tags in self.asks if tags != {REPORT}]

    @property
    def takes_alerts(self) -> bool:
        """Whether it asks for any alert."""
        return bool(self._alert_asks)

    @property
    def takes_report(self) -> bool:
        """Whether it asks for the monthly report."""
        return any(REPORT in tags for tags in self.asks)

    def send(self, subject: str, body: str, attached: Path | None = None) -> None:
        """Send a message now, with a file where one is attached.

        Raises:
            DeliveryError: the service did not take it.
        """
        from apprise import NotifyFormat, NotifyType

        result = _apprise_of(self.url).notify(
            body=body,
            title=subject,
            notify_type=NotifyType.INFO if attached else NotifyType.WARNING,
            body_format=NotifyFormat.TEXT,
            attach=str(attached) if attached else None,
        )
        if not result:
            raise DeliveryError(f"{self.label} did not take the message ({_reason(result)}).")


def _meets(tags: frozenset[str], kind: tuple[str, ...], value: str) -> bool:
    asked = tags.intersection(kind)
    return not asked or value in asked


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _reason(result: AppriseResult | None) -> str:
    """Why it failed, without Apprise's own sentences: they may hold parts of the URL, or addresses."""
    answers = [HTTP_ANSWER.search(entry.message) for entry in result.logs()] if result is not None else []
    found = [answer[1] for answer in answers if answer]
    return f"it answered {found[-1]}" if found else f"it was not reached within {SECONDS} s, or refused it"


def read_destinations(text: str) -> list[Destination]:
    """Return the destinations of BATHTUB_ALERT_URLS, in order, each URL once.

    Raises:
        ConfigurationError: an entry is no URL that Apprise knows, or has a tag that nothing carries; its URL is not repeated.
    """
    found: dict[str, Destination] = {}
    for place, entry in enumerate(text.split(), start=1):
        written = ENTRY.fullmatch(entry)
        tags = frozenset((written["tags"] or "").lower().split(",")) - {""} if written else frozenset()
        if written is None or not tags.issubset(TAGS):
            raise ConfigurationError(
                f"BATHTUB_ALERT_URLS, entry {place}: allowed are Apprise URLs separated by blanks, such as mailtos://… or "
                f"critical,data=slack://…; the tags are {', '.join(TAGS)}."
            )
        services = _apprise_of(written["url"], place)
        if REPORT in tags and not all(service.attachment_support for service in services):
            raise ConfigurationError(
                f"BATHTUB_ALERT_URLS, entry {place}: this service takes no files, so it cannot get the report; leave out the "
                f"tag {REPORT}, or send it by mail (mailtos://…)."
            )
        url = written["url"]
        known = found.get(url)
        found[url] = replace(known, asks=(*known.asks, tags)) if known else Destination(url, (tags,))
    return list(found.values())


def _apprise_of(url: str, place: int | None = None) -> Apprise:
    from apprise import Apprise, AppriseAsset, OverflowMode

    # Apprise names whole URLs when one cannot be used, and recipients when one is refused: nobody listens to its log.
    its_log = logging.getLogger("apprise")
    if its_log.propagate:
        its_log.propagate = False
        its_log.addHandler(logging.NullHandler())
    apprise = Apprise(asset=AppriseAsset(async_mode=False, allow_templates=False, service_timeout=SECONDS))
    if not apprise.add(url):
        where = f", entry {place}" if place else ""
        scheme = urlsplit(url).scheme
        raise ConfigurationError(
            f"BATHTUB_ALERT_URLS{where}: Apprise cannot use this {scheme}:// URL; its documentation says how one is written."
        )
    for service in apprise:
        # A service that takes short messages only would refuse a long one for good.
        if service.overflow_mode == OverflowMode.UPSTREAM:
            service.overflow_mode = OverflowMode.SPLIT
    return apprise
