"""What the figures of a month were computed under: the business vars, and the code of the dbt project."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import yaml

from orchestration.close import CloseError
from orchestration.months import add_months, month_text
from orchestration.settings import DBT_PROJECT_DIR, Settings

# The vars that `definition_version` of some mart hashes (macros/definitions/definition_version.sql and the marts).
DEFINITION_VARS = (
    "reporting_timezone", "recency_bands", "active_within_days", "activity_event_types", "order_statuses_not_counted",
    "profile_fields", "placeholders", "channels", "phone_regions", "soft_bounces_in_a_row", "min_source_profiles",
    "closing_grace_days", "challenges", "projection", "contract_statuses_not_counted", "retention_months", "prospect_ages",
    "age_bands",
)  # fmt: skip
CODE = ("models/**/*.sql", "macros/**/*.sql", "seeds/**/*.csv")

BOOK = """
create table if not exists ops.closed_under (snapshot_month date primary key, definition varchar, code_version varchar);
create table if not exists ops.definition_breaks (
    snapshot_month date primary key, changed varchar, marked_at timestamp, run_id varchar
);
"""


@cache
def _project_vars() -> dict[str, object]:
    project = yaml.safe_load((DBT_PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))
    return dict(project["vars"])


def definition(settings: Settings) -> dict[str, object]:
    """Return the business vars by name, as dbt gets them."""
    told = {**_project_vars(), **settings.overrides}
    named = {name: told[name] for name in DEFINITION_VARS}
    return dict(json.loads(json.dumps(named, default=str)))


@cache
def code_version() -> str:
    """Return a hash of the code that makes the figures."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CODE for path in DBT_PROJECT_DIR.glob(pattern)):
        digest.update(f"{path.relative_to(DBT_PROJECT_DIR)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def record(warehouse: Path, settings: Settings, months: Sequence[date]) -> None:
    """Record in a warehouse file what months were closed under."""
    told, code = json.dumps(definition(settings), sort_keys=True), code_version()
    with duckdb.connect(str(warehouse)) as connection:
        connection.executemany(
            "insert or replace into ops.closed_under values (?, ?, ?)", [(month, told, code) for month in months]
        )


def changed_vars(warehouse: Path, settings: Settings, months: Sequence[date]) -> tuple[date, list[str]] | None:
    """Return the closed month beside some months that has another definition than now, and the vars that differ.

    None where there is none, or where a version of Bathtub that recorded no definition closed it.
    """
    beside = [add_months(months[0], -1), add_months(months[-1], 1)]
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        found = connection.execute(
            "select snapshot_month, definition from ops.closed_under where snapshot_month in (?, ?) order by 1", beside
        ).fetchall()
    now = definition(settings)
    for month, told in found:
        if names := _differing(json.loads(told), now):
            return month, names
    return None


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def settle_definition_change(
    warehouse: Path, settings: Settings, first_month: date, months: Sequence[date], is_break_wanted: bool
) -> list[str]:
    """Return the vars that changed between some months and the closed ones beside them, when that break is wanted.

    Raises:
        CloseError: it is not.
    """
    found = changed_vars(warehouse, settings, months)
    if found is None:
        return []
    month, names = found
    if not is_break_wanted:
        # On a cluster there is no restatement; months that are closed again are not logged, and it says so.
        command = "restate" if settings.target == "duckdb" else "build"
        raise CloseError(
            f"The definition of the figures changed since {month_text(month)} was closed ({', '.join(names)}), and figures of "
            f"two definitions cannot be compared; either restate the closed months under the new one with "
            f"make {command} FROM={month_text(first_month)}, or close on and mark the break with make build MARK_BREAK=1."
        )
    return names


def mark_break(warehouse: Path, month: date, names: Sequence[str], at: object, run_id: str) -> None:
    """Record in a warehouse file that the figures from a month on have another definition than those before."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert or replace into ops.definition_breaks values (?, ?, ?, ?)", [month, ", ".join(names), at, run_id]
        )
