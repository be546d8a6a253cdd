"""The tables of checks (`checks/*.yml`), read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestration.alerts.model import Check, Severity, Subject, Unit
from orchestration.settings import DBT_PROJECT_DIR

CHECKS_DIR = Path(__file__).parent / "checks"
SUBJECTS: tuple[Subject, ...] = ("feeds", "marts", "runs")
# A bound of `vars.alerts.bounds`, among the values of an expectation.
BOUND = re.compile(r"\$([a-z][a-z0-9_]*)")


class CatalogueError(Exception):
    """The tables of checks cannot be used; the message names file, check and what is wrong."""


def bound_named(value: str | float | bool | None) -> str:
    """Return the bound that a value of an expectation stands for; nothing when it is a value of its own."""
    named = BOUND.fullmatch(value) if isinstance(value, str) else None
    return named[1] if named else ""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectationEntry(_Strict):
    """What Great Expectations is asked: a type of expectation and its arguments.

    Only rows can fail that have the values of `where` and at least those of `at_least`, by column.
    """

    type: str = Field(pattern=r"^expect_[a-z_]+$")
    kwargs: dict[str, str | bool | float]
    where: dict[str, str | bool] = Field(default_factory=dict)
    at_least: dict[str, str | float] = Field(default_factory=dict)

    @property
    def bounds(self) -> tuple[str, ...]:
        """The bounds that it names, in the order of their names."""
        values = [*self.kwargs.values(), *self.at_least.values()]
        return tuple(sorted({name for value in values if (name := bound_named(value))}))


class _Entry(_Strict):
    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    titles: dict[Literal["fr", "en"], str] = Field(min_length=2)
    fires_when: str = ""
    severity: Severity
    owner: Literal["data", "crm", "dpo"]
    unit: Unit
    marts: tuple[str, ...] = ()
    mutes_children: bool = False
    blocks: bool = False
    frame: str = ""
    scope: tuple[str, ...] = ()
    unless: str = ""
    bounds: tuple[str, ...] = ()
    expectations: tuple[ExpectationEntry, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> _Entry:
        if bool(self.frame) != bool(self.expectations) or bool(self.frame) != bool(self.scope):
            raise ValueError("allowed: frame, scope and expectations together, or none of them")
        return self


@dataclass(frozen=True)
class Rule:
    """How a check is judged: the frame that holds what it looks at, the columns that name a place, and its expectations.

    `unless` names a column that is true in the rows that the check is not about. `bounds` are those that the frame or the
    expectations read. `fires_when` says in words what it is about.
    """

    check: Check
    frame: str
    scope: tuple[str, ...]
    unless: str
    expectations: tuple[ExpectationEntry, ...]
    bounds: tuple[str, ...]
    fires_when: str


def catalogue() -> Mapping[str, Check]:
    """Return all checks by code, in the order of their tables.

    Raises:
        CatalogueError: a table of checks cannot be used.
    """
    return MappingProxyType({code: rule.check for code, rule in all_rules().items()})


def all_rules() -> Mapping[str, Rule]:
    """Return all checks with how they are judged, by code; those that the runs raise have no frame.

    Raises:
        CatalogueError: a table of checks cannot be used.
    """
    return _all_rules(CHECKS_DIR, _known_bounds())


def rules(subject: Subject | None = None) -> tuple[Rule, ...]:
    """Return the checks that are judged on a frame, of one subject or of all; others are raised by the runs themselves.

    Raises:
        CatalogueError: a table of checks cannot be used.
    """
    return tuple(rule for rule in all_rules().values() if rule.frame and subject in (None, rule.check.subject))


def read_rules(folder: Path, known_bounds: frozenset[str]) -> Mapping[str, Rule]:
    """Read the tables of checks in a folder; a table that is not there has no checks.

    Raises:
        CatalogueError: a table cannot be used, a check stands twice, or a bound has no default in the dbt project.
    """
    found: dict[str, Rule] = {}
    for subject in SUBJECTS:
        path = folder / f"{subject}.yml"
        if not path.exists():
            continue
        for number, line in enumerate(_lines(path), start=1):
            rule = _rule(line, subject, f"{path}, check {number}")
            if rule.check.code in found:
                raise CatalogueError(f"{path}: {rule.check.code} stands twice; give each check a code of its own.")
            if unknown := [name for name in rule.bounds if name not in known_bounds]:
                raise CatalogueError(
                    f"{path}: {rule.check.code} reads the bound {unknown[0]}, which dbt_project.yml does not have; "
                    "add it to vars.alerts.bounds."
                )
            found[rule.check.code] = rule
    return MappingProxyType(found)


@cache
def _all_rules(folder: Path, known_bounds: frozenset[str]) -> Mapping[str, Rule]:
    return read_rules(folder, known_bounds)


@cache
def _known_bounds() -> frozenset[str]:
    return frozenset(default_bounds())


def default_bounds() -> Mapping[str, float]:
    """Return the bounds as the dbt project ships them, by name."""
    project = yaml.safe_load((DBT_PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))
    return {str(name): float(value) for name, value in project["vars"]["alerts"]["bounds"].items()}


def _lines(path: Path) -> list[Any]:
    try:
        lines = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise CatalogueError(f"{path} is not readable as YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(lines, list):
        raise CatalogueError(f"{path} holds no list of checks.")
    return lines


def _rule(line: object, subject: Subject, where: str) -> Rule:
    try:
        entry = _Entry.model_validate(line)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        code = line.get("code") if isinstance(line, dict) else None
        reason = problem["msg"].removeprefix("Value error, ")
        raise CatalogueError(f"{where} ({code}): {key or 'the entry'}: {reason}.") from None
    check = Check(
        code=entry.code,
        subject=subject,
        severity=entry.severity,
        owner=entry.owner,
        unit=entry.unit,
        titles=MappingProxyType({str(language): title for language, title in entry.titles.items()}),
        marts=entry.marts,
        mutes_children=entry.mutes_children,
        blocks=entry.blocks,
    )
    named = {name for expectation in entry.expectations for name in expectation.bounds}
    bounds = (*entry.bounds, *sorted(named - set(entry.bounds)))
    return Rule(check, entry.frame, entry.scope, entry.unless, entry.expectations, bounds, entry.fires_when)
