"""A name server on this machine, which knows a few domains; no test asks another one."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

SILENT = "silent"
BROKEN = "broken"
# Records by domain and type. Domains that are not here do not exist.
ZONES: dict[str, dict[str, str] | str] = {
    "mx.example.org": {"MX": "10 mail.example.org."},
    "only-a.example.org": {"A": "1.1.1.1"},
    "only-aaaa.example.org": {"AAAA": "2606:4700:4700::1111"},
    "private-a.example.org": {"A": "192.168.0.1"},
    "sends-none.example.org": {"A": "1.1.1.1", "TXT": '"v=spf1 -all"'},
    "null-mx.example.org": {"MX": "0 ."},
    "text-alone.example.org": {"TXT": '"hello"'},
    "xn--caf-dma.fr": {"MX": "10 mail.example.org."},
    "broken.example.org": BROKEN,
    "silent.example.org": SILENT,
}


@dataclass
class NameServer:
    """Where it listens, and the domains that it was asked for."""

    port: int
    zones: dict[str, dict[str, str] | str]
    asked: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, wire: bytes) -> bytes | None:
        """The answer to a question as it came over the network; None for none."""
        query = dns.message.from_wire(wire)
        (question,) = query.question
        domain = question.name.to_text(omit_final_dot=True)
        self.asked.append(domain)
        zone = self.zones.get(domain)
        if zone == SILENT:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if isinstance(zone, dict):
            kind = question.rdtype.name
            if kind in zone:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, zone[kind]))
        else:
            answer.set_rcode(dns.rcode.SERVFAIL if zone == BROKEN else dns.rcode.NXDOMAIN)
        return answer.to_wire()


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    """A name server for the time of the test."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, socket = self.request
            answer = known.answer(wire)
            if answer is not None:
                socket.sendto(answer, self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        known = NameServer(server.server_address[1], dict(ZONES))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield known
        server.shutdown()
        thread.join()
