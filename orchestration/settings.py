"""Where things are (`BATHTUB_*` environment variables) and what words mean (the dbt project's vars), checked at start."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from orchestration.reference.numbering_plans import regions

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt_project"
# The tables that readers see; the rules of the rule book, in a folder below, are parts of one of them.
MARTS = tuple(sorted(file.stem for file in (DBT_PROJECT_DIR / "models" / "marts").glob("*.sql")))

TARGETS = ("duckdb", "spark")
LANGUAGES = ("fr", "en")


class ConfigurationError(Exception):
    """A setting has a value that cannot be used; the message names it, its value and what is allowed."""


def parse_month(value: str) -> date:
    """Return the first day of a month written `YYYY-MM`.

    Raises:
        ValueError: the text is no such month.
    """
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", value) or value.startswith("0000"):
        raise ValueError(f"{value!r} is not a month written YYYY-MM, for example 2026-10")
    return date(int(value[:4]), int(value[5:]), 1)


def _month(value: object) -> object:
    if value is None or (isinstance(value, date) and value.day == 1):
        return value
    return parse_month(str(value))


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("allowed: an IANA time zone, for example Europe/Paris")
    return value


def _increasing(bounds: list[int]) -> list[int]:
    if not bounds or any(b < 0 for b in bounds) or any(a >= b for a, b in pairwise(bounds)):
        raise ValueError("allowed: whole numbers from 0, each larger than the one before")
    return bounds


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", value):
        raise ValueError("allowed: a column name of lower-case letters, digits and _, starting with a letter")
    return value


def _phone_regions(codes: list[str]) -> list[str]:
    if not codes or len(set(codes)) < len(codes) or not regions().issuperset(codes):
        raise ValueError(
            "allowed: ISO 3166-1 alpha-2 codes of countries with phones, at least one, each once, such as [FR, BE]"
        )
    return codes


def _lowered(values: list[str]) -> list[str]:
    return [str(v).strip().lower() for v in values]


def _utc_naive(value: datetime | None) -> datetime | None:
    return value.astimezone(UTC).replace(tzinfo=None) if value is not None and value.tzinfo else value


Identifier = Annotated[str, AfterValidator(_identifier)]
Words = Annotated[list[str], AfterValidator(_lowered)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProfileField(_Strict):
    """A profile field whose fill rate is followed; filled when each of its raw `columns` is."""

    name: Identifier
    kind: Literal["identity", "sociodemographic", "psychobehavioural", "business", "other"] = "other"
    key: bool = False
    weight: float = Field(default=1, ge=0, allow_inf_nan=False)
    columns: list[Identifier] = Field(default_factory=list)

    @property
    def raw_columns(self) -> list[str]:
        return self.columns or [self.name]


class Placeholders(_Strict):
    """Values that look filled and are not."""

    values: Words
    birth_dates: list[date]
    email_local_parts: Words


class RetentionMonths(_Strict):
    """Months after the last contact from the person when a profile is due for deletion, by status."""

    prospect: int = Field(ge=1, le=1_200)
    customer: int = Field(ge=1, le=1_200)


class Projection(_Strict):
    """The levers of the projection in percent, and the share of what may come that its interval is to hold."""

    more_acquisition: int = Field(ge=0, le=1_000)
    fewer_lapses: int = Field(ge=0, le=100)
    interval: Literal[50, 80, 90, 95]


class Levels(_Strict):
    """Where a rule begins to say something, at which severity."""

    info: float = Field(gt=0, allow_inf_nan=False)
    warning: float = Field(gt=0, allow_inf_nan=False)
    critical: float = Field(gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _rise(self) -> Levels:
        if not self.info <= self.warning <= self.critical:
            raise ValueError("allowed: levels that rise from info over warning to critical")
        return self


class ShareLevels(Levels):
    """Levels of a share or of a fall, between 0 and 1."""

    info: float = Field(gt=0, lt=1)
    warning: float = Field(gt=0, lt=1)
    critical: float = Field(gt=0, lt=1)


class ChallengeLevels(_Strict):
    """The levels of each rule of the rule book."""

    acquisition_below_mean: ShareLevels
    month_weak_against_last_year: ShareLevels
    filling_with_inactive: ShareLevels
    base_draining: ShareLevels
    prospects_among_new: ShareLevels
    field_missing: ShareLevels
    optin_cliff: ShareLevels
    spoiling_source: Levels
    channel_not_contactable: ShareLevels
    retention_overdue: ShareLevels
    concentration: ShareLevels


class Challenges(_Strict):
    """The rule book of `challenges_monthly`: what it takes to be a finding."""

    min_profiles: int = Field(ge=1)
    min_confidence: float = Field(ge=0, lt=1)
    acquisition_scatter: float = Field(ge=0, lt=1)
    months_running: int = Field(ge=1, le=12)
    more_fields: list[Identifier]
    missing_from: float = Field(ge=0, lt=1)
    defects_together: float = Field(ge=1, le=100)
    levels: ChallengeLevels


class Alerts(_Strict):
    """When the nightly checks run, what they learn from, and from which values on they speak."""

    hour: int = Field(ge=0, le=23)
    training_days: int = Field(ge=56, le=400)
    warm_up_days: int = Field(ge=0, le=120)
    close_deadline_days: int = Field(ge=1, le=60)
    recovery_runs: int = Field(ge=1, le=10)
    bounds: dict[Identifier, Annotated[float, Field(ge=0, allow_inf_nan=False)]]


class Vars(_Strict):
    """The business vars of `dbt_project.yml`, overridden by `BATHTUB_VARS`."""

    first_month: Annotated[date | None, BeforeValidator(_month)]
    reporting_timezone: Annotated[str, AfterValidator(_zone)]
    recency_bands: Annotated[list[int], AfterValidator(_increasing)]
    active_within_days: int = Field(ge=1, le=36_500)
    activity_event_types: Words
    order_statuses_not_counted: Words
    contract_statuses_not_counted: Words
    profile_fields: list[ProfileField] = Field(min_length=1)
    placeholders: Placeholders
    channels: dict[Identifier, Identifier] = Field(min_length=1)
    age_bands: Annotated[list[int], AfterValidator(_increasing)]
    prospect_ages: Annotated[list[int], Field(min_length=2, max_length=2), AfterValidator(_increasing)]
    retention_months: RetentionMonths
    private_list_days: int = Field(ge=1, le=3_650)
    projection: Projection
    soft_bounces_in_a_row: int = Field(ge=1)
    min_source_profiles: int = Field(ge=1)
    min_cell: int = Field(ge=0)
    challenges: Challenges
    alerts: Alerts
    report_language: Literal["fr", "en"]
    phone_regions: Annotated[list[str], AfterValidator(_phone_regions)]
    closing_grace_days: int = Field(ge=0, le=27)
    # A close reads the month before; closing the latest month again needs it kept.
    person_level_months: int = Field(ge=2, le=1200)
    history_loaded_until: Annotated[datetime | None, AfterValidator(_utc_naive)]

    @model_validator(mode="after")
    def _fields_exist(self) -> Vars:
        names = [f.name for f in self.profile_fields]
        if doubled := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"profile_fields names {', '.join(sorted(doubled))} twice")
        if unknown := sorted(set(self.channels.values()) - set(names)):
            raise ValueError(f"channels refers to {', '.join(unknown)}, which profile_fields does not list")
        if "any" in self.channels:
            raise ValueError("channels must not name a channel `any`: it stands for all of them")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.reporting_timezone)


def _first_sentence(error: ValidationError, overridden: Mapping[str, Any]) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    name = where.split(".")[0]
    origin = "BATHTUB_VARS" if name in overridden or not name else "dbt_project/dbt_project.yml"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(Vars.model_fields)
        return f"{origin}: there is no var {where!r}; the vars are {known}."
    reason = problem["msg"].removeprefix("Value error, ")
    subject = f"{where} = {problem['input']!r}" if where else "the vars"
    return f"{origin}: {subject}: {reason}."


def _mapping(env: Mapping[str, str], name: str, example: str) -> dict[str, Any]:
    text = env.get(name) or "{}"
    allowed = f"allowed: a mapping such as {example}."
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name} is not readable as YAML or JSON ({str(error).splitlines()[0]}); {allowed}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name} = {text!r}; {allowed}")
    return value


def _merged(defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the vars with their overrides; `alerts` keeps the keys and bounds that its override leaves out.

    Raises:
        ConfigurationError: the override names a bound that there is not.
    """
    merged, own = {**defaults, **overrides}, overrides.get("alerts")
    if not isinstance(own, dict) or not isinstance(known := defaults.get("alerts"), dict):
        return merged
    merged["alerts"] = {**known, **own}
    bounds, all_bounds = own.get("bounds"), known.get("bounds")
    if isinstance(bounds, dict) and isinstance(all_bounds, dict):
        if unknown := [str(name) for name in bounds if name not in all_bounds]:
            raise ConfigurationError(
                f"BATHTUB_VARS: there is no bound {unknown[0]!r} in alerts.bounds; "
                f"the bounds are {', '.join(sorted(all_bounds))}."
            )
        merged["alerts"]["bounds"] = {**all_bounds, **bounds}
    return merged


@dataclass(frozen=True)
class Settings:
    """Everything that is configured, read once by `load_settings`."""

    raw_dir: Path
    warehouse: Path
    dagster_home: Path
    target: str
    memory_limit: str
    threads: int
    lock_wait_seconds: int
    spark_host: str
    spark_port: int
    spark_storage: Path
    nameserver: tuple[str, int] | None
    alerts_dir: Path
    report_dir: Path
    alert_urls: str = field(repr=False)
    heartbeat_url: str = field(repr=False)
    alert_data_docs: bool
    postgres_dsn: str = field(repr=False)
    postgres_dir: Path
    bigquery_dataset: str
    publish_url: str = field(repr=False)
    raw_files: Mapping[str, str]
    overrides: Mapping[str, Any] = field(repr=False)

    @cached_property
    def vars(self) -> Vars:
        """The business vars, checked.

        Raises:
            ConfigurationError: one of them has a value that cannot be used.
        """
        project = yaml.safe_load((DBT_PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))
        try:
            return Vars.model_validate(_merged(project["vars"], self.overrides))
        except ValidationError as error:
            raise ConfigurationError(_first_sentence(error, self.overrides)) from None


def _whole_number(env: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise ConfigurationError(f"{name} = {text!r}; allowed: a whole number from {least}.")
    return int(text)


def _yes_or_no(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "").strip().lower()
    if text not in ("", "yes", "no"):
        raise ConfigurationError(f"{name} = {text!r}; allowed: yes or no.")
    return text == "yes"


def _heartbeat(env: Mapping[str, str]) -> str:
    url = env.get("BATHTUB_HEARTBEAT_URL", "").strip()
    if url and not re.fullmatch(r"https?://[^\s]+", url):
        # Its path is a secret: the value is not repeated.
        raise ConfigurationError("BATHTUB_HEARTBEAT_URL is not a URL; allowed: one that begins with https:// or http://.")
    return url


def _postgres_dsn(env: Mapping[str, str]) -> str:
    dsn = env.get("BATHTUB_POSTGRES_DSN", "").strip()
    if not dsn:
        return ""
    # psycopg takes a moment to import, and only who publishes needs it.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(dsn)
    except ProgrammingError:
        # It holds a password: neither the value nor what libpq says of its parts is repeated.
        raise ConfigurationError(
            "BATHTUB_POSTGRES_DSN is not readable; allowed: a connection string of PostgreSQL, such as "
            "postgresql://publisher@db.example.com/bi?sslmode=verify-full."
        ) from None
    return dsn


def _bigquery_dataset(env: Mapping[str, str]) -> str:
    name = env.get("BATHTUB_BIGQUERY_DATASET", "").strip()
    if name and not re.fullmatch(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]\.\w{1,1024}", name, re.ASCII):
        raise ConfigurationError(f"BATHTUB_BIGQUERY_DATASET = {name!r}; allowed: project.dataset, such as my-project.marts.")
    return name


def _nameserver(env: Mapping[str, str]) -> tuple[str, int] | None:
    """Address and port; None stands for the system's name servers."""
    text = env.get("BATHTUB_NAMESERVER", "")
    if not text:
        return None
    written = re.fullmatch(
        r"\[(?P<v6>[^]]+)\](?::(?P<v6_port>\d{1,5}))?|(?P<v4>[^:]+):(?P<v4_port>\d{1,5})|(?P<alone>.+)", text
    )
    parts = written.groupdict() if written else {}
    address, port = parts.get("v6") or parts.get("v4") or parts.get("alone"), parts.get("v6_port") or parts.get("v4_port")
    try:
        if int(port or 53) not in range(1, 65_536):
            raise ValueError(port)
        return str(ip_address(address or "")), int(port or 53)
    except ValueError:
        raise ConfigurationError(
            f"BATHTUB_NAMESERVER = {text!r}; allowed: an IP address, with or without a port, such as 10.0.0.2 or 10.0.0.2:5353."
        ) from None


def _folder_url(env: Mapping[str, str], path: Callable[[str, str], Path]) -> str:
    """A folder or the URL of one; empty without any."""
    text = env.get("BATHTUB_PUBLISH_DIR", "").strip()
    return text if not text or "://" in text else str(path("BATHTUB_PUBLISH_DIR", ""))


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Read the `BATHTUB_*` environment variables; relative paths start at the project's root.

    Raises:
        ConfigurationError: a variable has a value that cannot be used.
    """
    env = os.environ if env is None else env

    def path(name: str, default: str) -> Path:
        return (PROJECT_ROOT / Path(env.get(name) or default).expanduser()).resolve()

    target = env.get("BATHTUB_TARGET") or "duckdb"
    if target not in TARGETS:
        raise ConfigurationError(f"BATHTUB_TARGET = {target!r}; allowed: {', '.join(TARGETS)}.")
    memory_limit = env.get("BATHTUB_MEMORY_LIMIT") or "3GB"
    if not re.fullmatch(r"\d+(\.\d+)?\s?(MB|GB|MiB|GiB)", memory_limit):
        raise ConfigurationError(f"BATHTUB_MEMORY_LIMIT = {memory_limit!r}; allowed: a size such as 4GB or 800MB.")
    raw_files = _mapping(env, "BATHTUB_RAW_FILES", "{orders: 'sales/*.csv.gz'}")
    warehouse = path("BATHTUB_WAREHOUSE", "data/bathtub.duckdb")
    settings = Settings(
        raw_dir=path("BATHTUB_RAW_DIR", "data/raw"),
        warehouse=warehouse,
        dagster_home=path("DAGSTER_HOME", "data/dagster"),
        target=target,
        memory_limit=memory_limit,
        threads=_whole_number(env, "BATHTUB_THREADS", os.cpu_count() or 1, least=1),
        lock_wait_seconds=_whole_number(env, "BATHTUB_LOCK_WAIT_SECONDS", 600, least=0),
        spark_host=env.get("BATHTUB_SPARK_HOST") or "127.0.0.1",
        spark_port=_whole_number(env, "BATHTUB_SPARK_PORT", 10_000, least=1),
        spark_storage=path("BATHTUB_SPARK_STORAGE", "data/spark/storage"),
        nameserver=_nameserver(env),
        # Beside the warehouse: two bases do not share incidents.
        alerts_dir=path("BATHTUB_ALERTS_DIR", str(warehouse.with_suffix(".alerts"))),
        report_dir=path("BATHTUB_REPORT_DIR", str(warehouse.parent / "reports")),
        alert_urls=env.get("BATHTUB_ALERT_URLS", "").strip(),
        heartbeat_url=_heartbeat(env),
        alert_data_docs=_yes_or_no(env, "BATHTUB_ALERT_DATA_DOCS"),
        postgres_dsn=_postgres_dsn(env),
        postgres_dir=path("BATHTUB_POSTGRES_DIR", "data/postgres"),
        bigquery_dataset=_bigquery_dataset(env),
        publish_url=_folder_url(env, path),
        raw_files={str(table): str(pattern) for table, pattern in raw_files.items()},
        overrides=_mapping(env, "BATHTUB_VARS", "{reporting_timezone: America/New_York}"),
    )
    _ = settings.vars
    return settings
