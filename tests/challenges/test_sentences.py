"""The sentences: every code in both languages, with figures and plurals as each language writes them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import yaml

from orchestration.challenges.findings import SEVERITIES, Finding
from orchestration.challenges.sentences import Amount, Sentences, report, rule_of, templates
from orchestration.settings import DBT_PROJECT_DIR, LANGUAGES, load_settings

OCTOBER = date(2026, 10, 1)
VARS = load_settings({}).vars
CODES = [
    *(rule for rule in templates()["rules"] if rule not in ("field_missing", "channel_not_contactable")),
    *(f"field_missing_{field.name}" for field in VARS.profile_fields),
    *(f"channel_not_contactable_{channel}" for channel in [*VARS.channels, "any"]),
]


def finding(code: str, source: str = "all", **values: Any) -> Finding:
    """Return a finding of October 2026."""
    figures: dict[str, Any] = {
        "severity": "warning",
        "observed": 0.6,
        "baseline": 0.5,
        "evidence_months": 3,
        "confidence": 0.95,
        "profiles": 100,
    }
    return Finding(month=OCTOBER, code=code, source=source, **{**figures, **values})


def test_the_rules_of_the_templates_of_the_levels_and_of_the_models_are_the_same() -> None:
    macro = (DBT_PROJECT_DIR / "macros" / "definitions" / "challenges.sql").read_text(encoding="utf-8")
    rules = set(templates()["rules"])
    assert rules == set(type(VARS.challenges.levels).model_fields)
    assert rules == {line.split("'")[1] for line in macro.splitlines() if "{'action': " in line}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("source", ["all", "web"])
@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_sentences(code: str, source: str, language: str) -> None:
    words = Sentences.of(finding(code, source), language)
    for text in (words.title, words.sentence, words.evidence, words.action):
        assert text.strip()
        assert not set("{}_") & set(text)
    assert ("web" in words.title + words.sentence) == (source == "web")


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_and_words_are_complete(language: str) -> None:
    other = LANGUAGES[1 - LANGUAGES.index(language)]
    assert templates()["labels"][language].keys() == templates()["labels"][other].keys()
    assert templates()["words"][language].keys() == templates()["words"][other].keys()
    assert set(templates()["labels"][language]["severity"]) == set(SEVERITIES)


def test_an_unknown_code_has_no_sentence() -> None:
    with pytest.raises(KeyError, match="optin_cliffs"):
        Sentences.of(finding("optin_cliffs"), "fr")


def test_a_code_is_its_rule_and_what_follows() -> None:
    assert rule_of("field_missing_birth_date") == ("field_missing", "birth_date")
    assert rule_of("concentration") == ("concentration", "")


@pytest.mark.parametrize(
    ("value", "form", "french", "english"),
    [
        (0, "profiles", "0 profil", "0 profiles"),
        (1, "profiles", "1 profil", "1 profile"),
        (2, "profiles", "2 profils", "2 profiles"),
        (1_000_000, "profiles", "1\u202f000\u202f000 de profils", "1,000,000 profiles"),
        (1_000_001, "profiles", "1\u202f000\u202f001 profils", "1,000,001 profiles"),
        (1_234.4, "new_profiles", "1\u202f234 nouveaux profils", "1,234 new profiles"),
        (1, "months", "1 mois", "1 month"),
        (0.015, "points", "1,5 point", "1.5 points"),
        (0.01, "points", "1 point", "1 point"),
        (0.02, "points", "2 points", "2 points"),
        (1.28, "defects", "1,28 défaut", "1.28 defects"),
        (12_345_678, "count", "12\u202f345\u202f678", "12,345,678"),
        (0.5135, "percent", "51,4\u202f%", "51.4%"),
        (0.5, "percent", "50\u202f%", "50%"),
        (0, "percent", "0\u202f%", "0%"),
        (-0.0004, "percent", "0\u202f%", "0%"),
        (7.65, "times", "7,6", "7.6"),
        (0.167, "rate", "0,17", "0.17"),
    ],
)
def test_figures_as_each_language_writes_them(value: float, form: str, french: str, english: str) -> None:
    assert format(Amount(value, "fr"), form) == french
    assert format(Amount(value, "en"), form) == english


def test_a_whole_sentence_in_french() -> None:
    words = Sentences.of(finding("month_weak_against_last_year", observed=1_067, baseline=2_138, profiles=2_138), "fr")
    assert words.title == "Un mois faible par rapport à l'an dernier (toute la base)"
    assert words.sentence == (
        "1\u202f067 nouveaux profils en octobre 2026, contre 2\u202f138 en octobre 2025\u00a0: 50,1\u202f% de moins."
    )
    assert words.evidence == "Depuis 3 mois. Confiance 95\u202f%, sur 2\u202f138 profils."
    assert Sentences.of(finding("concentration", "web"), "fr").sentence.startswith("60\u202f% des 100 nouveaux profils")
    assert "«\u00a0web\u00a0»\u202f;" in Sentences.of(finding("concentration", "web"), "fr").sentence


def test_a_whole_sentence_in_english() -> None:
    words = Sentences.of(finding("month_weak_against_last_year", observed=1_067, baseline=2_138, profiles=2_138), "en")
    assert words.title == "A weak month against last year (whole base)"
    assert words.sentence == "1,067 new profiles in October 2026, against 2,138 in October 2025: 50.1% fewer."
    assert words.evidence == "For 3 months. Confidence 95%, on 2,138 profiles."


def test_nobody_is_told_to_be_wholly_sure() -> None:
    assert "99,9\u202f%" in Sentences.of(finding("concentration", "web", confidence=1), "fr").evidence


def test_the_report_tells_each_finding_with_its_severity() -> None:
    lines = report(OCTOBER, [finding("concentration", "web", severity="critical"), finding("optin_cliff")], "fr")
    assert lines[0] == "Défis de la base\u00a0: octobre 2026"
    assert [line.split("  ")[0] for line in lines if line.isupper() or line[:1].isupper()][1:] == ["CRITIQUE", "ALERTE"]
    assert report(OCTOBER, [], "en") == ["Challenges of the base: October 2026", "", templates()["labels"]["en"]["none"]]


def test_a_source_that_repeats_the_whole_base_is_named_there() -> None:
    findings = [
        finding("optin_cliff", "web", severity="critical"),
        finding("optin_cliff", severity="warning"),
        finding("optin_cliff", "till", severity="warning"),
        finding("optin_cliff", "app", severity="info"),
        finding("concentration", "till", severity="info"),
    ]
    lines = report(OCTOBER, findings, "fr")
    assert [line for line in lines if line.startswith(("CRIT", "ALERTE", "INFO"))] == [
        "CRITIQUE  Chute des consentements (source «\u00a0web\u00a0»)",
        "ALERTE  Chute des consentements (toute la base)",
        "INFORMATION  Le recrutement dépend d'une seule source (source «\u00a0till\u00a0»)",
    ]
    assert [line for line in lines if "Aussi" in line] == ["  Aussi dans ces sources\u00a0: app, till."]


def test_the_templates_are_no_html_and_have_no_breaking_figures() -> None:
    text = yaml.safe_dump(templates(), allow_unicode=True)
    assert "<" not in text
    assert "\u202f" not in text
