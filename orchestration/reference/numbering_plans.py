"""The numbering plans of all regions that the library `phonenumbers` knows, as a macro which the rules for phones read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
MACRO = Path("macros") / "reference" / "numbering_plans.sql"
# Valid numbers that are neither fixed nor mobile. The library tries them first.
OTHER_KINDS = ("premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail")
# Numbers of a calling code without a country (satellite, toll-free worldwide).
NO_REGION = "001"
TEMPLATE = """\
{{#
    What the library phonenumbers {version} knows of the world's numbering plans, by calling code, in the order in which it
    tries the regions that share one. Written by `make reference`: changes by hand do not last.
#}}
{{% macro numbering_plans() -%}}
    {{{{ return([
{plans}
    ]) }}}}
{{%- endmacro %}}
"""


def write(project: Path) -> Iterator[str]:
    """Write the macro `numbering_plans` into a dbt project, and yield a line about it.

    It is a macro and not a seed, since the patterns stand in the SQL of the model: no engine is quick with patterns from rows.
    """
    plans = list(_plans())
    lines = ",\n".join(f"        {json.dumps(plan)}" for plan in plans)
    (project / MACRO).write_text(TEMPLATE.format(version=version("phonenumbers"), plans=lines), encoding="utf-8")
    yield f"{MACRO}: the numbering plans of {len(plans)} regions"


def regions() -> frozenset[str]:
    """Return the regions (ISO 3166-1 alpha-2) whose plans are in the macro of the dbt project."""
    text = (DBT_PROJECT / MACRO).read_text(encoding="utf-8")
    return frozenset(re.findall(r'"region": "([A-Z]{2})"', text))


def _plans() -> Iterator[dict[str, Any]]:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    for calling_code, codes in sorted(COUNTRY_CODE_TO_REGION_CODE.items(), key=lambda item: str(item[0])):
        for region in codes:
            if region == NO_REGION:
                metadata = PhoneMetadata.metadata_for_nongeo_region(calling_code)
            else:
                metadata = PhoneMetadata.metadata_for_region(region)
            yield _plan(str(calling_code), region, metadata)


def _plan(calling_code: str, region: str, metadata: Any) -> dict[str, Any]:
    trunk = metadata.national_prefix_for_parsing or ""
    plan: dict[str, Any] = {
        "region": region,
        "calling_code": calling_code,
        "lengths": list(metadata.general_desc.possible_length),
        "international": metadata.international_prefix or "",
        "leading": metadata.leading_digits or "",
        "trunk": _uncaptured(trunk),
        "general": _pattern(metadata.general_desc),
        "mobile": _pattern(metadata.mobile),
        # Where both have one pattern, each number that matches may be mobile.
        "fixed": "" if metadata.same_mobile_and_fixed_line_pattern else _pattern(metadata.fixed_line),
        "other": "|".join(filter(None, (_pattern(getattr(metadata, kind)) for kind in OTHER_KINDS))),
    }
    if rule := metadata.national_prefix_transform_rule:
        plan["put_before"], group = _put_before(rule)
        plan["trunk_and_kept"] = _uncaptured(trunk, but=group)
    return plan


def _pattern(description: Any) -> str:
    return (description.national_number_pattern or "") if description else ""


def _put_before(rule: str) -> tuple[str, int]:
    r"""Return the digits, and the group to put them before, of a rule such as `9\1`."""
    found = re.fullmatch(r"(\d*)\\(\d)", rule)
    if found is None:
        raise ValueError(f"The rule {rule!r} is of a form that the macros for phones do not know: teach them, then try again.")
    return found[1], int(found[2])


def _uncaptured(pattern: str, but: int = 0) -> str:
    """Return a pattern whose groups capture nothing, except the one numbered `but`."""
    groups = iter(range(1, pattern.count("(") + 1))
    return re.sub(r"\((?!\?)", lambda _: "(" if next(groups) == but else "(?:", pattern)
