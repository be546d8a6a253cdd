"""Where messages go: the Apprise URLs of BATHTUB_ALERT_URLS, each with the owners and severities that it asks for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestration.alerts.model import Severity
from orchestration.settings import ConfigurationError

if TYPE_CHECKING:
    from apprise import Apprise

OWNERS = ("data", "crm", "dpo")
TAGS = (*OWNERS, *Severity)
ENTRY = re.compile(r"(?:(?P<tags>[a-z]+(?:,[a-z]+)*)=)?(?P<url>[a-z][a-z0-9+.-]*://\S+)", re.IGNORECASE)


class DeliveryError(Exception):
    """A destination did not take a message; the message says which one, without its secrets."""


@dataclass(frozen=True)
class Destination:
    """A place for messages; without an owner, or a severity, among its tags it takes all. `id` tells nothing of the URL."""

    url: str = field(repr=False)
    tags: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """The service and host, for people: no user, no token."""
        parts = urlsplit(self.url)
        # Of many services the host is the token.
        is_host = "." in (parts.hostname or "") or parts.hostname == "localhost"
        return f"{parts.scheme}://{parts.hostname}" if is_host else f"{parts.scheme}://…"

    def wants(self, owner: str, severity: Severity) -> bool:
        """Whether it asks for messages of an owner and a severity."""
        owners, severities = self.tags.intersection(OWNERS), self.tags.intersection(Severity)
        return (not owners or owner in owners) and (not severities or severity in severities)

    def send(self, subject: str, body: str) -> None:
        """Send a message now.

        Raises:
            DeliveryError: the service did not take it.
        """
        from apprise import NotifyFormat, NotifyType

        if not _apprise_of(self.url).notify(
            body=body, title=subject, notify_type=NotifyType.WARNING, body_format=NotifyFormat.TEXT
        ):
            raise DeliveryError(f"{self.label} did not take the message.")


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
        _apprise_of(written["url"], place)
        found.setdefault(written["url"], Destination(written["url"], tags))
    return list(found.values())


def _apprise_of(url: str, place: int | None = None) -> Apprise:
    from apprise import Apprise

    apprise = Apprise()
    if not apprise.add(url):
        where = f", entry {place}" if place else ""
        scheme = urlsplit(url).scheme
        raise ConfigurationError(
            f"BATHTUB_ALERT_URLS{where}: Apprise does not know this {scheme}:// URL; see its documentation."
        )
    return apprise
