"""Servers on loopback for what the alerts send, and a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.alerts.store import Store
from tests.alerts.sinks import MailSink, WebSink


@pytest.fixture
def smtp() -> Iterator[MailSink]:
    """A mail server."""
    with MailSink() as sink:
        yield sink


@pytest.fixture
def http() -> Iterator[WebSink]:
    """A web server."""
    with WebSink() as sink:
        yield sink


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store of incidents."""
    with Store.open(tmp_path / "alerts") as opened:
        yield opened
