"""Servers on loopback for what the alerts send, and a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.alerts.store import Store
from tests.alerts.sinks import HttpSink, SmtpSink


@pytest.fixture
def smtp() -> Iterator[SmtpSink]:
    """A mail server."""
    sink = SmtpSink()
    yield sink
    sink.stop()


@pytest.fixture
def http() -> Iterator[HttpSink]:
    """A web server."""
    sink = HttpSink()
    yield sink
    sink.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store of incidents."""
    with Store.open(tmp_path / "alerts") as opened:
        yield opened
