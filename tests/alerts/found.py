"""Findings of seeded nights, and settings whose alerts stay in one folder."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestration.alerts.model import Check, Finding, Severity, Status, Subject, Unit
from orchestration.settings import Settings, load_settings

FIRST_NIGHT = date(2026, 10, 1)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


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
