"""Real servers on loopback that take messages: one for mail, one for HTTP."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Received:
    """A message as it arrived, and what was attached: names and contents."""

    subject: str
    body: str
    files: dict[str, bytes] = field(default_factory=dict, compare=False)


class MailSink:
    """A mail server on a free port; while `refuses` is set it takes no message."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.refuses = False
        # aiosmtpd connects to the port it was given to see that it listens: 0 will not do.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a message, as aiosmtpd asks."""
        if self.refuses:
            return "451 Try again later"
        mail = message_from_bytes(cast(bytes, envelope.content), policy=policy.default)
        part = mail.get_body(("plain",))
        assert part is not None
        files = {str(file.get_filename()): cast(bytes, file.get_payload(decode=True)) for file in mail.iter_attachments()}
        self.received.append(Received(str(mail["subject"]), part.get_content().replace("\r\n", "\n"), files))
        return "250 OK"

    @property
    def url(self) -> str:
        """Where Apprise sends to."""
        return f"mailto://127.0.0.1:{self._port}?from=alerts@example.org&to=team@example.org&mode=insecure"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._controller.stop()


@dataclass
class WebSink:
    """A web server on a free port that keeps what is posted or fetched; while `refuses` is set it answers `refusal`.

    Between `stop` and `start` nobody listens on its port. `n_posted` counts what was posted, refused or not.
    """

    received: list[Received] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    refuses: bool = False
    refusal: int = 503
    n_posted: int = 0
    _port: int = 0

    def start(self) -> None:
        """Listen, again on the same port after `stop`."""
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                sink.n_posted += 1
                if not sink.refuses:
                    sink.received.append(Received(content["title"], content["message"]))
                self._answer()

            def do_GET(self) -> None:
                sink.fetched.append(self.path)
                self._answer()

            def _answer(self) -> None:
                self.send_response(sink.refusal if sink.refuses else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep the output of the tests clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more: a connection is refused."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where Apprise posts to."""
        return f"json://127.0.0.1:{self._port}/"

    @property
    def address(self) -> str:
        """Where a browser would go."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
