"""The rules for phones, in SQL, say what the library `phonenumbers` says: its examples, mutated and written in many ways."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb
import phonenumbers
import pytest
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from orchestration.reference import numbering_plans
from orchestration.settings import PROJECT_ROOT, load_settings
from tests.dbt.conftest import make_warehouse, run_dbt

DEFAULT_REGIONS = tuple(load_settings({}).vars.phone_regions)
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = [
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.MOBILE,
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER,
    PhoneNumberType.PAGER,
    PhoneNumberType.UAN,
    PhoneNumberType.VOICEMAIL,
]
MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
FULL_WIDTH = str.maketrans("0123456789+", "".join(chr(c) for c in range(0xFF10, 0xFF1A)) + "\uff0b")
ARABIC_INDIC = str.maketrans("0123456789", "".join(chr(c) for c in range(0x660, 0x66A)))

# Texts of French profiles, and the number in each.
TEXTS = {
    "tel:+33612345678": "+33612345678",
    "Mobile : 06.12.34.56.78": "+33612345678",
    "+33 (0)6 12 34 56 78": "+33612345678",
    "06\u202f12\u202f34\u202f56\u202f78": "+33612345678",
    "+0033612345678": "+33612345678",
    "33612345678": "+33612345678",
    "01 23 45 67 89 poste 12": None,
    "01 23 45 67 89 ext. 12": "+33123456789",
    "06 12 34 56 78 / 06 12 34 56 79": None,
    "1-800-FLOWERS": None,
    "call me": None,
    "+": None,
    "0": None,
    "+0612345678": None,
    "06 12 34 56 7O": None,
    # Overseas departments, dialled as in France.
    "0692 12 34 56": "+262692123456",
    "0690 12 34 56": "+590690123456",
    "0694 12 34 56": "+594694123456",
    "0696 12 34 56": "+596696123456",
}


@dataclass(frozen=True)
class Profile:
    """What a profile says."""

    phone: str
    country: str | None


@dataclass(frozen=True)
class Answer:
    """The number in E.164 when valid, whether a text message may reach it, and why it is not valid."""

    number: str | None
    is_mobile: bool = False
    reason: str | None = None


def national(number: PhoneNumber) -> str:
    return str(phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL))


def digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def international(number: PhoneNumber) -> str:
    return str(phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL))


def e164(number: PhoneNumber) -> str:
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))


# Ways to write a number.
WRITINGS: list[Callable[[PhoneNumber], str]] = [
    e164,
    international,
    national,
    lambda number: digits(national(number)),
    lambda number: e164(number)[1:],
    lambda number: "00" + e164(number)[1:],
    lambda number: f"+{number.country_code} (0){phonenumbers.national_significant_number(number)}",
    phonenumbers.national_significant_number,
    lambda number: international(number).replace(" ", "."),
    lambda number: f"  ({national(number).replace('-', '/')})\t",
    lambda number: national(number).replace(" ", "\u00a0\u2011"),
    lambda number: international(number).translate(FULL_WIDTH),
    lambda number: national(number).translate(ARABIC_INDIC),
    lambda number: f"Tel: {national(number)}",
    lambda number: f"{international(number)} ext. 12",
    lambda number: f"{national(number)} x123",
]


def mutations(text: str, dice: random.Random) -> Iterator[str]:
    """Yield a number with a digit changed, dropped, added, and two changed."""
    places = [place for place, letter in enumerate(text) if letter.isdigit()]
    if len(places) < 2:
        return
    for change in ("other", "less", "more", "two"):
        letters = list(text)
        place = dice.choice(places)
        digit = str(dice.randrange(10))
        letters[place] = {"less": "", "more": letters[place] + digit}.get(change, digit)
        if change == "two":
            letters[dice.choice(places)] = str(dice.randrange(10))
        yield "".join(letters)


def examples(dice: random.Random) -> Iterator[Profile]:
    """Yield valid numbers of every region and kind, in every writing, and their mutations, seen from several countries."""
    for region in REGIONS:
        for kind in KINDS:
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            for writing in WRITINGS:
                text = writing(number)
                yield Profile(text, region)
                yield from (Profile(mutated, region) for mutated in mutations(text, dice))
                yield Profile(text, dice.choice([None, "FR", "RE", "BE", "US", dice.choice(REGIONS)]))


def parsed(profile: Profile, region: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(profile.phone, region)
    except NumberParseException:
        return None


@cache
def by_the_library(profile: Profile) -> Answer:
    """Return what the library says of a profile, read in its country, else in the default regions."""
    regions = [profile.country] if profile.country else []
    if not profile.country or profile.country in DEFAULT_REGIONS:
        regions += DEFAULT_REGIONS
    for region in regions:
        number = parsed(profile, region)
        if number is not None and phonenumbers.is_valid_number(number):
            return Answer(e164(number), phonenumbers.number_type(number) in MOBILE)
    return Answer(None)


def by_the_rules(folder: Path, profiles: list[Profile]) -> list[Answer]:
    """Return what the models say of profiles."""
    warehouse = make_warehouse(folder)
    columns = [list(map(str, range(len(profiles)))), [profile.phone for profile in profiles], [p.country for p in profiles]]
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert into raw.customers (customer_id, phone, country) select unnest($1), unnest($2), unnest($3)", columns
        )
    run = run_dbt(folder, "run", "--select", "+int_phones")
    assert run.code == 0, run.output
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        found = connection.execute("select * from private.int_phones order by cast(customer_id as bigint)").fetchall()
    return [
        Answer(number, sms_form == "valid", reason)
        for _, form, reason, sms_form, _, number in found
        if (number is None) == (form != "valid")
    ]


def read_00_as_plus(profile: Profile, answer: Answer) -> bool:
    """`00` is international everywhere, also where the library knows another prefix of the country."""
    written = digits(profile.phone)
    return written.startswith("00") and by_the_library(Profile(f"+{written[2:]}", None)).number == answer.number


def read_as_in_the_main_region(profile: Profile, answer: Answer) -> bool:
    """Of regions that share a calling code, the library tries trunk prefix and calling code with the patterns of one alone."""
    code = phonenumbers.country_code_for_region(profile.country) if profile.country else 0
    main = phonenumbers.region_code_for_country_code(code)
    return main != profile.country and by_the_library(Profile(profile.phone, main)).number == answer.number


# Where the rules find a number and the library does not: all of them, explained in docs/contact_validity.md.
EXCEPTIONS = [read_00_as_plus, read_as_in_the_main_region]

Differences = list[tuple[Profile, Answer, Answer]]


def different(profiles: list[Profile], answers: list[Answer]) -> Differences:
    """Return the profiles of which rules and library say different things without being allowed to, and what they say."""
    assert len(answers) == len(profiles)
    pairs = [(profile, answer, by_the_library(profile)) for profile, answer in zip(profiles, answers, strict=True)]
    return [
        (profile, answer, library)
        for profile, answer, library in pairs
        if (answer.number, answer.is_mobile) != (library.number, library.is_mobile)
        and not (answer.number and not library.number and any(allowed(profile, answer) for allowed in EXCEPTIONS))
    ]


def mobile_examples() -> dict[str, str]:
    """Return the examples of the test data, national numbers by region; none where they are absent."""
    data = (PROJECT_ROOT / os.environ.get("BATHTUB_TEST_DATA", "../shared/data")).resolve()
    path = data / "contact_validation" / "libphonenumber_js" / "examples.mobile.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def profiles_of_examples() -> list[Profile]:
    """Return the examples of the test data, national and international."""
    found = mobile_examples().items()
    codes = phonenumbers.country_code_for_region
    return [Profile(number, region) for region, number in found] + [
        Profile(f"+{codes(region)} {number}", None) for region, number in found
    ]


Generated = tuple[list[Profile], list[Answer]]


@pytest.fixture(scope="module")
def examined() -> set[Profile]:
    """The generated profiles."""
    return set(examples(random.Random(20261122)))


@pytest.fixture(scope="module")
def answers(examined: set[Profile], tmp_path_factory: pytest.TempPathFactory) -> dict[Profile, Answer]:
    """What the rules say of all profiles of these tests."""
    profiles = {*examined, *profiles_of_examples(), *(Profile(text, "FR") for text in TEXTS)}
    found = by_the_rules(tmp_path_factory.mktemp("phones"), ordered := sorted(profiles, key=str))
    assert len(found) == len(ordered)
    return dict(zip(ordered, found, strict=True))


@pytest.fixture(scope="module")
def generated(examined: set[Profile], answers: dict[Profile, Answer]) -> Generated:
    """The generated profiles, and what the rules say of them."""
    profiles = sorted(examined, key=str)
    return profiles, [answers[profile] for profile in profiles]


def test_generated_numbers_are_what_the_library_says(generated: Generated) -> None:
    profiles, answers = generated
    assert len(profiles) > 100_000
    assert 0.3 < sum(answer.number is not None for answer in answers) / len(answers) < 0.9
    found = different(profiles, answers)
    assert not found, f"{len(found)} of {len(profiles)}, such as {found[:5]}"


def test_exceptions_are_few(generated: Generated) -> None:
    profiles, answers = generated
    pairs = zip(profiles, answers, strict=True)
    found = [profile for profile, answer in pairs if answer.number != by_the_library(profile).number]
    assert 0 < len(found) < len(profiles) / 100


def test_reasons_tell_a_wrong_length_from_a_number_that_is_not_assigned(generated: Generated) -> None:
    same = []
    for profile, answer in zip(*generated, strict=True):
        # What is read in several regions has as many reasons.
        if answer.number is None and profile.country and profile.country not in DEFAULT_REGIONS:
            number = parsed(profile, profile.country)
            if number is not None:
                same.append(phonenumbers.is_possible_number(number) == (answer.reason == "not_assigned"))
    # The rest begin like a calling code, or keep a trunk prefix, which the library counts as a digit where a digit lacks.
    assert sum(same) / len(same) > 0.9


def test_mobile_examples_of_the_test_data_are_valid_mobile_numbers(answers: dict[Profile, Answer]) -> None:
    profiles = profiles_of_examples()
    if not profiles:
        pytest.skip("examples.mobile.json is absent: BATHTUB_TEST_DATA says where the test data are.")
    # Tristan da Cunha's only example is a fixed line for `phonenumbers`.
    not_mobile = [profile for profile in profiles if not answers[profile].is_mobile]
    assert not_mobile == [Profile("8999", "TA"), Profile("+290 8999", None)]
    assert not different(profiles, [answers[profile] for profile in profiles])


def test_texts_that_are_no_plain_numbers(answers: dict[Profile, Answer]) -> None:
    assert {text: answers[Profile(text, "FR")].number for text in TEXTS} == TEXTS


def test_regions_of_the_macro_are_those_of_the_library() -> None:
    assert numbering_plans.regions() == set(REGIONS)
