"""What the rule book found in a closed month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from orchestration.engine import Engine
from orchestration.months import month_text

SEVERITIES = ("critical", "warning", "info")
COLUMNS = "snapshot_month, challenge_code, source, severity, observed, baseline, n_evidence_months, confidence, n_profiles"


class ChallengesError(Exception):
    """There is no month to tell about; the message says which are closed and what to do."""


@dataclass(frozen=True)
class Finding:
    """A row of `marts.challenges_monthly`."""

    month: date
    code: str
    source: str
    severity: str
    observed: float
    baseline: float
    evidence_months: int
    confidence: float
    profiles: int


def is_worse(one: Finding, other: Finding) -> bool:
    """Whether a finding is more severe than another."""
    return SEVERITIES.index(one.severity) < SEVERITIES.index(other.severity)


def findings_of(engine: Engine, month: date | None) -> tuple[date, list[Finding]]:
    """Return a closed month, by default the latest, and its findings as `findings_in` does.

    Raises:
        ChallengesError: no month is closed, or that one is not.
    """
    closed = engine.read_state().closed
    if not closed:
        raise ChallengesError("No month is closed yet, so there is nothing to tell; close some with: make build")
    month = month or closed[-1]
    if month not in closed:
        raise ChallengesError(
            f"{month_text(month)} is not closed; choose a month from {month_text(closed[0])} to {month_text(closed[-1])}."
        )
    return month, findings_in(engine, month)


def findings_in(engine: Engine, month: date) -> list[Finding]:
    """Return the findings of a month: the most severe first; among them those of the whole base, then the newest."""
    rows = engine.rows(f"select {COLUMNS} from marts.challenges_monthly where snapshot_month = date '{month:%Y-%m-%d}'")
    found = [Finding(*row) for row in rows]
    return sorted(found, key=lambda f: (SEVERITIES.index(f.severity), f.source != "all", f.evidence_months, f.code, f.source))
