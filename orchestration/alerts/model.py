"""What the parts of the alerts hand to each other: checks, findings, severities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

Subject = Literal["feeds", "marts", "runs"]
Unit = Literal["rows", "share", "count", "days"]


class Severity(StrEnum):
    """How much is at stake, in the words of Great Expectations; `critical` stops a close."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, 2 for critical."""
        return list(Severity).index(self)


class Status(StrEnum):
    """What a check found; `unknown` is a check that could not run, which is never green."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One line of the tables of checks (`checks/*.yml`).

    `titles` gives its name by language. `marts` are those that its failure spoils. A failed check that `mutes_children` speaks
    for all other checks of the same feed (and source): they make no incident of their own. `blocks` stops a close.
    """

    code: str
    subject: Subject
    severity: Severity
    owner: str
    unit: Unit
    titles: Mapping[str, str]
    marts: tuple[str, ...] = ()
    mutes_children: bool = False
    blocks: bool = False


@dataclass(frozen=True)
class Finding:
    """What one check found in one place.

    `scope` names the place from the widest to the narrowest part, for example feed, source, column. `observed` lies outside
    `low` and `high` when the check failed; a bound that is not there is None. `history` holds the values of the 14 days (or
    months) up to the judged one, oldest first, None where there is none. `since` is the first day of an unbroken run of
    failures, as far as the observations tell. `detail` says why a check could not run, or names columns; it never holds a
    value of a person.
    """

    check: Check
    scope: Mapping[str, str]
    status: Status
    severity: Severity
    judged_on: date
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    history: tuple[float | None, ...] = field(default=())
    since: date | None = None
    detail: str = ""

    @property
    def fingerprint(self) -> str:
        """The check and its place in one text, the same every night: what an incident is known by."""
        return "/".join([self.check.code, *(f"{part}={name}" for part, name in self.scope.items())])

    @property
    def is_good(self) -> bool:
        """True when the check ran and passed."""
        return self.status is Status.PASSED
