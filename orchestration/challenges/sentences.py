"""Sentences from templates: `sentences.yml` has the words, this module the numbers, the plurals and the typography."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal

from orchestration.challenges.findings import Finding, is_worse
from orchestration.months import add_months

TEMPLATES_FILE = Path(__file__).with_name("sentences.yml")
NARROW_NO_BREAK_SPACE, NO_BREAK_SPACE = "\u202f", "\u00a0"
# How figures are written: factor and decimals. Words of the templates that are not here count in whole numbers.
FORMS = {"count": (1, 0), "percent": (100, 1), "rate": (1, 2), "times": (1, 1), "points": (100, 1), "defects": (1, 2)}
# A model of chance is not surer than that.
MOST_CONFIDENT = 0.999


@cache
def templates() -> Mapping[str, Any]:
    """Return the templates: `rules`, `words`, `labels`."""
    content: Mapping[str, Any] = yaml.safe_load(TEMPLATES_FILE.read_text(encoding="utf-8"))
    return content


def rule_of(code: str) -> tuple[str, str]:
    """Return the rule of a challenge code, and what follows it: a profile field or a channel, or nothing.

    Raises:
        KeyError: no rule has that code.
    """
    for rule in sorted(templates()["rules"], key=len, reverse=True):
        if code == rule or code.startswith(f"{rule}_"):
            return rule, code[len(rule) + 1 :]
    raise KeyError(code)


@dataclass(frozen=True)
class Amount:
    """A figure that a template writes in a form (`{fall:percent}`) or with a word in its plural (`{months:months}`)."""

    value: float
    language: str

    def __format__(self, spec: str) -> str:
        factor, decimals = FORMS.get(spec, (1, 0))
        # Normalised, for a plural sees the zeros after the point: "1.0" is plural in English.
        rounded = (Decimal(str(self.value)) * factor).quantize(Decimal(1).scaleb(-decimals)).normalize() + 0
        text = format_decimal(rounded, format="#,##0.##", locale=self.language)
        if spec == "percent":
            return f"{text}{NARROW_NO_BREAK_SPACE if self.language == 'fr' else ''}%"
        words = templates()["words"][self.language]
        if spec in FORMS and spec not in words:
            return text
        forms = words[spec]
        plural = Locale.parse(self.language).plural_form(abs(rounded))
        return str(forms.get(plural, forms["other"])).format(n=text)


@dataclass(frozen=True)
class Sentences:
    """A finding in words."""

    title: str
    sentence: str
    evidence: str
    action: str

    @classmethod
    def of(cls, finding: Finding, language: str) -> Sentences:
        """Write a finding in French (`fr`) or English (`en`).

        Raises:
            KeyError: there is no template for its code.
        """
        rule, what = rule_of(finding.code)
        texts = templates()["rules"][rule][language]
        values = _values(finding, what, language)

        def written(text: str) -> str:
            return typeset(text.format(**values), language)

        evidence = templates()["labels"][language]["evidence"]
        return cls(written(texts["title"]), written(texts["sentence"]), written(evidence), written(texts["action"]))


def _values(finding: Finding, what: str, language: str) -> dict[str, Amount | str]:
    labels = templates()["labels"][language]
    amounts = {
        "observed": finding.observed,
        "baseline": finding.baseline,
        "rest": 1 - finding.observed,
        "rest_baseline": 1 - finding.baseline,
        "fall": 1 - finding.observed / finding.baseline if finding.baseline else 0,
        "gap": finding.observed - finding.baseline,
        "ratio": finding.observed / finding.baseline if finding.baseline else 0,
        "evidence": finding.evidence_months,
        "confidence": min(finding.confidence, MOST_CONFIDENT),
        "profiles": finding.profiles,
    }
    whole, part = labels["scope"]["all"], labels["scope"]["source"].format(source=finding.source)
    return {
        **{name: Amount(value, language) for name, value in amounts.items()},
        "scope": whole if finding.source == "all" else part,
        "source": finding.source,
        "what": labels["names"].get(what, what.replace("_", " ")),
        "month": _month(finding.month, language),
        "month_before": _month(add_months(finding.month, -1), language),
        "year_before": _month(add_months(finding.month, -12), language),
    }


def _month(month: date, language: str) -> str:
    return format_date(month, "MMMM y", locale=language)


def typeset(text: str, language: str) -> str:
    """French keeps its punctuation on the line: templates are written with plain spaces."""
    if language != "fr":
        return text
    text = re.sub(r" (?=[;!?])", NARROW_NO_BREAK_SPACE, text)
    return re.sub(r"(?<=«) | (?=[:»])", NO_BREAK_SPACE, text)


def report(month: date, findings: Sequence[Finding], language: str) -> list[str]:
    """Return the lines that tell the findings of a closed month, or that there is none.

    A source that only repeats what the whole base shows is named there, and has no lines of its own.
    """
    labels = templates()["labels"][language]
    lines = [typeset(labels["heading"].format(month=_month(month, language)), language)]
    if not findings:
        return [*lines, "", labels["none"]]
    for finding in findings:
        if is_told(finding, findings):
            continue
        words = Sentences.of(finding, language)
        lines += [
            "",
            f"{labels['severity'][finding.severity].upper()}  {words.title}",
            f"  {words.sentence}",
            *(f"  {typeset(text, language)}" for text in _sources(finding, findings, labels)),
            f"  {words.evidence}",
            f"  → {words.action}",
        ]
    return lines


def is_told(finding: Finding, findings: Sequence[Finding]) -> bool:
    """Whether the whole base says as much of a source as the source itself would: the same, and no less severe."""
    return finding.source != "all" and any(
        whole.source == "all" and whole.code == finding.code and not is_worse(finding, whole) for whole in findings
    )


def _sources(finding: Finding, findings: Sequence[Finding], labels: Mapping[str, Any]) -> list[str]:
    told = [f.source for f in findings if f.code == finding.code and is_told(f, findings)]
    if finding.source != "all" or not told:
        return []
    return [labels["sources"].format(sources=", ".join(sorted(told)))]
