"""The server of the reports: loopback, reports only."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.report.data import ReportError
from orchestration.report.serve import ADDRESS, server
from orchestration.report.write import LATEST


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / LATEST).write_text(
        '<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; script-src &#39;sha256-x&#39;">',
        encoding="utf-8",
    )
    (tmp_path / "2026-10.pdf").write_bytes(b"%PDF")
    (tmp_path / "secret.duckdb").write_text("no", encoding="utf-8")
    return tmp_path


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with server(folder, 0) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving.server_port
        serving.shutdown()
        thread.join()


def _get(port: int, path: str, host: str = "localhost") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10)
    connection.request("GET", path, headers={"Host": f"{host}:{port}"})
    return connection.getresponse()


def test_a_page_comes_with_its_own_policy(port: int) -> None:
    answer = _get(port, f"/{LATEST}?lang=en")
    assert answer.status == 200
    policy = "default-src 'none'; script-src 'sha256-x'; frame-ancestors 'none'"
    assert answer.headers["Content-Security-Policy"] == policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_root_leads_to_the_latest_report(port: int) -> None:
    answer = _get(port, "/")
    assert (answer.status, answer.headers["Location"]) == (302, f"/{LATEST}")


@pytest.mark.parametrize("path", ["/secret.duckdb", "/../secret.html", "/nothing.html", "/%2e%2e/x.html", "/.hidden.html"])
def test_only_reports_are_served(port: int, path: str) -> None:
    answer = _get(port, path)
    assert answer.status == 404
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_pdf_is_served(port: int) -> None:
    assert _get(port, "/2026-10.pdf").read() == b"%PDF"


def test_another_name_than_the_loopbacks_is_refused(port: int) -> None:
    assert _get(port, f"/{LATEST}", host="evil.example").status == 403


def test_nobody_else_can_connect(folder: Path) -> None:
    with server(folder, 0) as serving:
        assert serving.server_address[0] == "127.0.0.1"


def test_a_folder_without_a_report_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="make one with: make report"):
        server(tmp_path, 0)


def test_a_port_in_use_is_told(folder: Path, port: int) -> None:
    with pytest.raises(ReportError, match=f"Port {port} cannot be used"):
        server(folder, port)
