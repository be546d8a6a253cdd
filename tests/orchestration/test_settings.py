"""Settings: what is read from where, and the sentence for each wrong value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
import yaml

from orchestration import settings as module
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, ConfigurationError, Vars, load_settings, parse_month


def _vars(text: str) -> Vars:
    return load_settings({"BATHTUB_VARS": text}).vars


def _refusal(env: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as error:
        load_settings(env)
    return str(error.value)


def test_defaults_need_no_environment() -> None:
    settings = load_settings({})
    assert settings.raw_dir == PROJECT_ROOT / "data" / "raw"
    assert settings.warehouse == PROJECT_ROOT / "data" / "bathtub.duckdb"
    assert settings.dagster_home == PROJECT_ROOT / "data" / "dagster"
    assert (settings.target, settings.memory_limit, settings.lock_wait_seconds) == ("duckdb", "3GB", 600)
    assert settings.threads >= 1
    assert settings.vars.reporting_timezone == "Europe/Paris"
    assert settings.vars.recency_bands == [30, 90, 180, 365, 730]


def test_an_empty_variable_counts_as_not_set() -> None:
    names = (
        "RAW_DIR",
        "WAREHOUSE",
        "TARGET",
        "MEMORY_LIMIT",
        "THREADS",
        "LOCK_WAIT_SECONDS",
        "NAMESERVER",
        "RAW_FILES",
        "VARS",
    )
    assert load_settings({f"BATHTUB_{name}": "" for name in names}) == load_settings({})


def test_relative_paths_start_at_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load_settings({"BATHTUB_RAW_DIR": "here/raw", "BATHTUB_WAREHOUSE": "../w.duckdb", "DAGSTER_HOME": "~/dagster"})
    assert settings.raw_dir == PROJECT_ROOT / "here" / "raw"
    assert settings.warehouse == PROJECT_ROOT.parent / "w.duckdb"
    assert settings.dagster_home == tmp_path.resolve() / "dagster"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("BATHTUB_TARGET", "oracle", "duckdb"),
        ("BATHTUB_MEMORY_LIMIT", "lots", "a size such as 4GB"),
        ("BATHTUB_MEMORY_LIMIT", "4", "a size such as 4GB"),
        ("BATHTUB_THREADS", "0", "a whole number from 1"),
        ("BATHTUB_THREADS", "two", "a whole number from 1"),
        ("BATHTUB_LOCK_WAIT_SECONDS", "-1", "a whole number from 0"),
        ("BATHTUB_LOCK_WAIT_SECONDS", "1.5", "a whole number from 0"),
        ("BATHTUB_RAW_FILES", "orders.csv", "a mapping such as {orders:"),
        ("BATHTUB_RAW_FILES", "[orders]", "a mapping such as {orders:"),
        ("BATHTUB_VARS", "reporting_timezone", "a mapping such as {reporting_timezone:"),
        ("BATHTUB_VARS", "null", "a mapping such as {reporting_timezone:"),
    ],
)
def test_a_wrong_variable_is_refused_with_its_name_its_value_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    message = _refusal({name: value})
    assert message.startswith(f"{name} = {value!r}")
    assert f"allowed: {allowed}" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["BATHTUB_VARS", "BATHTUB_RAW_FILES"])
def test_a_mapping_that_is_no_yaml_is_refused_in_one_sentence(name: str) -> None:
    message = _refusal({name: "{first_month: [}"})
    assert message.startswith(f"{name} is not readable as YAML or JSON")
    assert "allowed: a mapping such as" in message
    assert "\n" not in message


CHALLENGES = load_settings({}).vars.challenges.model_dump()
FALLING = {"info": 0.3, "warning": 0.2, "critical": 0.4}
TOO_HIGH = {"info": 1.5, "warning": 2, "critical": 3}


def _with_levels(**levels: dict[str, float]) -> dict[str, object]:
    return {**CHALLENGES, "levels": {**CHALLENGES["levels"], **levels}}


WRONG_VARS = [
    ({"reporting_timezone": "Europe/Pariss"}, "reporting_timezone = 'Europe/Pariss'", "an IANA time zone"),
    ({"reporting_timezone": "../etc/passwd"}, "reporting_timezone = '../etc/passwd'", "an IANA time zone"),
    ({"first_month": "2024-13"}, "first_month = '2024-13'", "YYYY-MM"),
    ({"first_month": "2024"}, "first_month = '2024'", "YYYY-MM"),
    ({"first_month": "2024-01-15"}, "first_month = '2024-01-15'", "YYYY-MM"),
    ({"first_month": "0000-01"}, "first_month = '0000-01'", "YYYY-MM"),
    ({"recency_bands": []}, "recency_bands = []", "whole numbers from 0"),
    ({"recency_bands": [30, 30]}, "recency_bands = [30, 30]", "larger than the one before"),
    ({"recency_bands": [-1, 30]}, "recency_bands = [-1, 30]", "whole numbers from 0"),
    (
        {"projection": {"more_acquisition": 10, "fewer_lapses": 101, "interval": 80}},
        "projection.fewer_lapses = 101",
        "less than or equal to 100",
    ),
    (
        {"projection": {"more_acquisition": 10, "fewer_lapses": 10, "interval": 85}},
        "projection.interval = 85",
        "50, 80, 90 or 95",
    ),
    ({"active_within_days": 0}, "active_within_days = 0", "greater than or equal to 1"),
    ({"active_within_days": "soon"}, "active_within_days = 'soon'", "integer"),
    ({"closing_grace_days": -1}, "closing_grace_days = -1", "greater than or equal to 0"),
    ({"closing_grace_days": 28}, "closing_grace_days = 28", "less than or equal to 27"),
    ({"activity_event_types": "site_visit"}, "activity_event_types = 'site_visit'", "list"),
    ({"order_statuses_not_counted": "cancelled"}, "order_statuses_not_counted = 'cancelled'", "list"),
    ({"contract_statuses_not_counted": "cancelled"}, "contract_statuses_not_counted = 'cancelled'", "list"),
    ({"profile_fields": []}, "profile_fields = []", "at least 1"),
    ({"profile_fields": [{"name": "First Name"}]}, "profile_fields.0.name = 'First Name'", "a column name of lower-case"),
    ({"profile_fields": [{"name": "a", "columns": ["x; drop"]}]}, "profile_fields.0.columns.0 = 'x; drop'", "a column name"),
    ({"profile_fields": [{"name": "email", "kind": "B2B"}]}, "profile_fields.0.kind = 'B2B'", "'business' or 'other'"),
    ({"profile_fields": [{"name": "email", "weight": -1}]}, "profile_fields.0.weight = -1", "greater than or equal to 0"),
    ({"profile_fields": [{"name": "email", "weight": "nan"}]}, "profile_fields.0.weight = 'nan'", "finite number"),
    ({"profile_fields": [{"name": "email"}] * 2}, "profile_fields names email twice", ""),
    ({"placeholders": {"values": []}}, "placeholders.birth_dates", "required"),
    ({"channels": {}}, "channels = {}", "at least 1"),
    ({"channels": {"fax": "fax_number"}}, "channels refers to fax_number", "profile_fields does not list"),
    ({"channels": {"any": "email"}}, "channels must not name a channel `any`", "it stands for all of them"),
    ({"phone_regions": []}, "phone_regions = []", "at least one"),
    ({"phone_regions": ["FR", "fr"]}, "phone_regions = ['FR', 'fr']", "ISO 3166-1 alpha-2 codes"),
    ({"phone_regions": ["FR", "UK"]}, "phone_regions = ['FR', 'UK']", "ISO 3166-1 alpha-2 codes"),
    ({"phone_regions": ["FR", "FR"]}, "phone_regions = ['FR', 'FR']", "each once"),
    ({"min_cell": -1}, "min_cell = -1", "greater than or equal to 0"),
    ({"report_language": "de"}, "report_language = 'de'", "'fr' or 'en'"),
    ({"challenges": {**CHALLENGES, "min_confidence": 1}}, "challenges.min_confidence = 1", "less than 1"),
    ({"challenges": {**CHALLENGES, "months_running": 0}}, "challenges.months_running = 0", "greater than or equal to 1"),
    ({"challenges": _with_levels(optin_cliff=FALLING)}, "challenges.levels.optin_cliff", "rise from info over warning"),
    ({"challenges": _with_levels(concentration=TOO_HIGH)}, "challenges.levels.concentration.info = 1.5", "less than 1"),
    ({"challenges": {"min_profiles": 10}}, "challenges.min_confidence", "required"),
    ({"history_loaded_until": "yesterday"}, "history_loaded_until = 'yesterday'", "valid datetime"),
    ({"recency_band": [30]}, "there is no var 'recency_band'", "the vars are first_month, reporting_timezone"),
]


@pytest.mark.parametrize(("overrides", "what", "allowed"), WRONG_VARS, ids=[what for _, what, _ in WRONG_VARS])
def test_a_wrong_var_is_refused_in_one_sentence(overrides: dict[str, object], what: str, allowed: str) -> None:
    message = _refusal({"BATHTUB_VARS": json.dumps(overrides)})
    assert message.startswith("BATHTUB_VARS: ")
    assert what in message
    assert allowed in message
    assert "\n" not in message


def test_an_unquoted_day_is_no_month() -> None:
    assert "YYYY-MM" in _refusal({"BATHTUB_VARS": "{first_month: 2024-01-15}"})


def test_a_wrong_var_in_the_project_names_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (DBT_PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8")
    wrong = text.replace("reporting_timezone: Europe/Paris", "reporting_timezone: Mars/Olympus")
    assert wrong != text
    (tmp_path / "dbt_project.yml").write_text(wrong, encoding="utf-8")
    monkeypatch.setattr(module, "DBT_PROJECT_DIR", tmp_path)
    assert _refusal({}).startswith("dbt_project/dbt_project.yml: reporting_timezone = 'Mars/Olympus'")
    assert _vars("{reporting_timezone: UTC}").reporting_timezone == "UTC"


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump], ids=["json", "yaml"])
def test_vars_are_overridden_in_json_and_yaml(write: Callable[[object], str]) -> None:
    wanted = {"reporting_timezone": "America/New_York", "first_month": "2024-03", "recency_bands": [10, 20]}
    found = _vars(write(wanted))
    assert (found.reporting_timezone, found.first_month, found.recency_bands) == (
        "America/New_York",
        date(2024, 3, 1),
        [10, 20],
    )
    assert found.active_within_days == 365


def test_words_are_compared_trimmed_and_in_lower_case() -> None:
    assert _vars("{activity_event_types: [' Site_Visit', CALL]}").activity_event_types == ["site_visit", "call"]


def test_an_instant_with_a_zone_becomes_utc() -> None:
    assert _vars("{history_loaded_until: '2024-03-01T00:30:00+02:00'}").history_loaded_until == datetime(2024, 2, 29, 22, 30)


def test_a_profile_field_stands_for_its_columns() -> None:
    columns = {field.name: field.raw_columns for field in load_settings({}).vars.profile_fields}
    assert columns["postal_address"] == ["address_line", "postal_code", "city"]
    assert columns["email"] == ["email"]


def test_overrides_are_not_shown() -> None:
    settings = load_settings({"BATHTUB_VARS": "{activity_event_types: [hush_hush]}", "SECRET": "hush_hush"})
    assert settings.vars.activity_event_types == ["hush_hush"]
    assert "hush_hush" not in repr(settings)


def test_the_example_of_settings_names_what_is_read() -> None:
    lines = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    listed = {line.removeprefix("# ").split("=")[0] for line in lines if line.startswith(("# BATHTUB_", "# DAGSTER_HOME"))}
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert listed == set(re.findall(r'"(BATHTUB_[A-Z_]+|DAGSTER_HOME)"', source))


@pytest.mark.parametrize("text", ["2024-1", "24-01", "2024/01", "2024-00", " 2024-01", "2024-01\n", ""])
def test_a_text_that_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="not a month written YYYY-MM"):
        parse_month(text)


def test_a_month() -> None:
    assert parse_month("2024-02") == date(2024, 2, 1)


@pytest.mark.parametrize(
    ("text", "nameserver"),
    [
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("10.0.0.2:5353", ("10.0.0.2", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_a_name_server_is_an_address_with_or_without_a_port(text: str, nameserver: tuple[str, int]) -> None:
    assert load_settings({"BATHTUB_NAMESERVER": text}).nameserver == nameserver


@pytest.mark.parametrize("text", ["dns.example.org", "10.0.0.2:", "10.0.0.2:0", "10.0.0.2:65536", "10.0.0", ":53", "[10]:5"])
def test_a_name_server_that_is_no_address_is_refused(text: str) -> None:
    assert _refusal({"BATHTUB_NAMESERVER": text}) == (
        f"BATHTUB_NAMESERVER = {text!r}; allowed: an IP address, with or without a port, such as 10.0.0.2 or 10.0.0.2:5353."
    )
