"""A mail server and a web server on loopback that keep what they get, and findings to tell them about."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from orchestration.alerts.model import Check, Finding, Severity, Status, Subject, Unit
from orchestration.settings import Settings, load_settings

FIRST_NIGHT = date(2026, 10, 1)


@dataclass(frozen=True)
class Mail:
    """What a destination got."""

    subject: str
    body: str


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class SmtpSink:
    """A real mail server; while `is_down` it answers 451, as one that is overloaded does."""

    def __init__(self) -> None:
        self.port, self.messages, self.is_down = free_port(), list[Mail](), False
        self._controller = Controller(type("Handler", (), {"handle_DATA": self._take})(), hostname="127.0.0.1", port=self.port)
        self._controller.start()

    @property
    def url(self) -> str:
        """The entry of BATHTUB_ALERT_URLS."""
        return f"mailto://127.0.0.1:{self.port}?from=bathtub@example.com&to=oncall@example.com&mode=insecure"

    async def _take(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.is_down:
            return "451 try again later"
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(mail, EmailMessage)
        part = mail.get_body(("plain",))
        self.messages.append(Mail(str(mail["subject"]), part.get_content().replace("\r\n", "\n") if part else ""))
        return "250 OK"

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()


class HttpSink:
    """A real web server; `status` is what it answers, and only what it answered 200 counts as taken."""

    def __init__(self) -> None:
        self.messages, self.paths, self.status, self.n_asked = list[Mail](), list[str](), 200, 0
        self._server: ThreadingHTTPServer | None = None
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        """The entry of BATHTUB_ALERT_URLS."""
        return f"json://127.0.0.1:{self.port}/hook"

    def start(self) -> None:
        """Listen, again on the same port after `stop`."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler_of(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening: a connection is refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, path: str, body: bytes) -> int:
        """Keep a request; return the status that answers it."""
        self.n_asked += 1
        self.paths.append(path)
        if self.status == 200 and body:
            content: dict[str, Any] = json.loads(body)
            self.messages.append(Mail(content["title"], content["message"]))
        return self.status


def _handler_of(sink: HttpSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(sink.take(self.path, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    for verb in ("GET", "POST"):
        setattr(Handler, f"do_{verb}", Handler._answer)
    return Handler


def night(number: int) -> date:
    """Return the local day that the n-th night judges, from 0."""
    return FIRST_NIGHT + timedelta(days=number)


def morning(number: int, minutes: int = 0) -> datetime:
    """Return when the n-th night is judged: early on the next day."""
    return datetime.combine(night(number + 1), datetime.min.time(), UTC) + timedelta(hours=4, minutes=minutes)


def check(
    code: str = "volume_outside_band",
    severity: Severity = Severity.WARNING,
    owner: str = "crm",
    unit: Unit = "rows",
    subject: Subject = "feeds",
    marts: tuple[str, ...] = ("base_overview_monthly", "flows_monthly"),
    mutes_children: bool = False,
) -> Check:
    """Return a check like those of the tables."""
    titles = {"fr": "Volume du jour hors de sa plage", "en": "Volume of the day outside its band"}
    return Check(code, subject, severity, owner, unit, titles, marts, mutes_children)


WEB: Mapping[str, str] = {"feed": "orders", "source": "web"}


@dataclass
class Found:
    """Makes findings of one check in one place, night by night."""

    check: Check = field(default_factory=check)
    scope: Mapping[str, str] = field(default_factory=lambda: dict(WEB))

    def failed(self, number: int, severity: Severity | None = None, **more: Any) -> Finding:
        """A night on which it failed."""
        return self._of(Status.FAILED, number, severity, **{"observed": 120.0, "low": 380.0, "high": 460.0, **more})

    def passed(self, number: int) -> Finding:
        """A night on which it passed."""
        return self._of(Status.PASSED, number, None, observed=400.0, low=380.0, high=460.0)

    def unknown(self, number: int) -> Finding:
        """A night on which it could not run."""
        return self._of(Status.UNKNOWN, number, None, detail="BinderException")

    def _of(self, status: Status, number: int, severity: Severity | None, **more: Any) -> Finding:
        return Finding(self.check, self.scope, status, severity or self.check.severity, night(number), **more)


def settings_of(folder: Path, urls: str = "", language: str = "en", **more: str) -> Settings:
    """Return settings whose incidents are in a folder and whose alerts go to URLs."""
    return load_settings(
        {
            "BATHTUB_WAREHOUSE": str(folder / "bathtub.duckdb"),
            "BATHTUB_ALERTS_DIR": str(folder / "alerts"),
            "BATHTUB_ALERT_URLS": urls,
            "BATHTUB_VARS": f"{{report_language: {language}}}",
            **more,
        }
    )
