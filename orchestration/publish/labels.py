"""What people read instead of codes: for each coded column of a published mart, a column in French and one in English."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import yaml

from orchestration.challenges.sentences import rule_of, templates, typeset
from orchestration.settings import LANGUAGES

LABELS_FILE = Path(__file__).with_name("labels.yml")
LANGUAGE_NAMES = {"fr": "French", "en": "English"}
BAND = re.compile(r"(?P<low>\d+)(?:-(?P<high>\d+)|\+)")
# A title of a challenge says its scope at the end: "Opt-ins fall off a cliff ({scope})".
SCOPE_AT_THE_END = re.compile(r"\s*\(\{scope\}\)$")


@cache
def _words() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    content: Mapping[str, Mapping[str, Mapping[str, str]]] = yaml.safe_load(LABELS_FILE.read_text(encoding="utf-8"))
    return content


def is_coded(column: str) -> bool:
    """Whether a column of a mart holds codes that have labels."""
    return column in _words() or column in OF_CHALLENGES


def label_columns(column: str) -> dict[str, str]:
    """Return the names of the label columns of a coded column, by language."""
    return {language: f"{column}_{language}" for language in LANGUAGES}


def label(column: str, code: str | None, language: str) -> str | None:
    """Return the words for a code of a column, null for null; a code without words is shown as it is, underscores as spaces.

    Raises:
        KeyError: the column is not coded.
    """
    if code is None:
        return None
    if column in OF_CHALLENGES:
        return OF_CHALLENGES[column](code, language)
    words = _words()[column]
    if code in words:
        return typeset(words[code][language], language)
    band = BAND.fullmatch(code)
    if band and "between" in words:
        text = words["between" if band["high"] else "from"][language]
        return text.format(low=band["low"], high=band["high"])
    return _as_it_is(code)


def _as_it_is(code: str) -> str:
    text = code.replace("_", " ")
    return text[:1].upper() + text[1:]


def _field(code: str, language: str) -> str:
    return _as_it_is(templates()["labels"][language]["names"].get(code, code))


def _challenge(code: str, language: str) -> str:
    try:
        rule, what = rule_of(code)
    except KeyError:
        # A rule of one's own.
        return _as_it_is(code)
    title = SCOPE_AT_THE_END.sub("", templates()["rules"][rule][language]["title"])
    names = templates()["labels"][language]["names"]
    return typeset(title.format(what=names.get(what, what.replace("_", " "))), language)


OF_CHALLENGES: Mapping[str, Callable[[str, str], str]] = {"field": _field, "challenge_code": _challenge}
