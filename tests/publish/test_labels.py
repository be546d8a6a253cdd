"""What people read instead of codes."""

from __future__ import annotations

import pytest

from orchestration.publish.catalog import Mart
from orchestration.publish.labels import label, label_columns
from orchestration.settings import DBT_PROJECT_DIR, LANGUAGES


@pytest.mark.parametrize(
    ("column", "code", "french", "english"),
    [
        ("status", "customer", "Client", "Customer"),
        ("movement", "lapsed", "Endormis", "Lapsed"),
        ("recency_band", "31-90", "31 à 90 jours", "31 to 90 days"),
        ("recency_band", "731+", "731 jours et plus", "731 days and more"),
        ("age_band", "25-34", "25 à 34 ans", "25 to 34"),
        ("age_band", "missing", "Âge manquant", "Age missing"),
        ("field", "birth_date", "Date de naissance", "Birth date"),
        ("field", "shoe_size", "Shoe size", "Shoe size"),
        (
            "challenge_code",
            "channel_not_contactable_sms",
            "Canal peu joignable\u00a0: SMS",
            "Channel that reaches few: SMS",
        ),
        ("challenge_code", "rule_of_our_own", "Rule of our own", "Rule of our own"),
        ("scenario", None, None, None),
    ],
)
def test_a_code_has_words_in_both_languages(column: str, code: str | None, french: str | None, english: str | None) -> None:
    assert (label(column, code, "fr"), label(column, code, "en")) == (french, english)


def test_every_movement_and_rule_of_the_project_has_words_of_its_own() -> None:
    seeds = DBT_PROJECT_DIR / "seeds"
    movements = {
        line.split(",")[0]
        for name in ("movements.csv", "consent_movements.csv")
        for line in (seeds / name).read_text(encoding="utf-8").splitlines()[1:]
    }
    assert movements
    for language in LANGUAGES:
        words = [label("movement", code, language) for code in movements]
        assert len(set(words)) == len(words)
    # Without words, French would show the English code.
    assert not [code for code in movements if label("movement", code, "fr") == code.replace("_", " ").capitalize()]


def test_labels_stand_beside_the_codes_of_every_published_mart(marts: tuple[Mart, ...]) -> None:
    flows = next(mart for mart in marts if mart.name == "flows_monthly")
    assert [column.name for column in flows.labels] == [
        name for coded in ("status", "scope", "movement") for name in label_columns(coded).values()
    ]
    assert not {column.name for column in flows.labels} & set(flows.stored)
