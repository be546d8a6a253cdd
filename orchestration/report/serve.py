"""The folder of the reports on this machine's loopback address, and nowhere else."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from orchestration.report.data import ReportError
from orchestration.report.write import LATEST

ADDRESS = "127.0.0.1"
PORT = 8110
SERVED = (".html", ".pdf")
NOTHING = "default-src 'none'; frame-ancestors 'none'"
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">')
_HEAD = 4_000


class ReportHandler(SimpleHTTPRequestHandler):
    """Serves pages and PDFs of one folder, each under a policy that lets in nothing from elsewhere."""

    # The server's version is nobody's business.
    server_version = "bathtub"
    sys_version = ""

    def send_head(self):  # type: ignore[no-untyped-def]
        """Refuse what is not a report, or was asked for under another name than the loopback's."""
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host not in (ADDRESS, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        path = self.path.split("?", 1)[0]
        if path == "/":
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", f"/{LATEST}")
            self.end_headers()
            return None
        if not re.fullmatch(r"/[A-Za-z0-9_-]+\.(html|pdf)", path):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        """Add the policy, and what keeps the page out of caches, frames and referrers."""
        self.send_header("Content-Security-Policy", self._policy())
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def _policy(self) -> str:
        """Each page names its own scripts by their hashes: pages of earlier versions keep working."""
        file = Path(self.translate_path(self.path))
        if file.suffix != ".html" or not file.is_file():
            return NOTHING
        with file.open(encoding="utf-8") as page:
            found = _POLICY.search(page.read(_HEAD))
        return f"{found[1].replace('&#39;', chr(39))}; frame-ancestors 'none'" if found else NOTHING

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: requests are the user's own."""


def server(folder: Path, port: int = PORT) -> ThreadingHTTPServer:
    """Return a server of the folder's reports on the loopback address; port 0 takes a free one.

    Raises:
        ReportError: there is no report yet, or the port is taken.
    """
    if not (folder / LATEST).exists():
        raise ReportError(f"There is no report in {folder}; make one with: make report")
    try:
        return ThreadingHTTPServer((ADDRESS, port), partial(ReportHandler, directory=str(folder)))
    except OSError as error:
        raise ReportError(f"Port {port} cannot be used ({error.strerror}); choose another: make serve PORT=8111") from error
