"""The metrics of the dbt semantic layer, asked through MetricFlow, give the numbers of the marts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import FACTORY
from dbt_metricflow.cli.dbt_connectors.adapter_backed_client import AdapterBackedSqlClient
from dbt_metricflow.cli.dbt_connectors.dbt_config_accessor import dbtProjectMetadata
from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow_semantics.errors.error_classes import InvalidQueryException
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

from tests.end_to_end.closing import WAREHOUSE, parsed, project_dir, query

MONTH = "metric_time__month"
LAST_CLOSE = "(select max(snapshot_month) from marts.status_monthly)"
GROWING = ("profiles", "active", "customers", "optin_any", "contactable_any", "new")
# Metric: column of base_overview_monthly.
LEVELS = {
    "profiles": "n_profiles",
    "active_profiles": "n_active",
    "customers": "n_customers",
    "prospects": "n_prospects",
    "new_profiles": "n_new",
    "optin_any": "n_optin_any",
    "contactable_any": "n_contactable_any",
}


@dataclass(frozen=True)
class Question:
    """Metrics by what they are grouped by, and the query on the marts that must give the same rows."""

    by: tuple[str, ...]
    metrics: tuple[str, ...]
    sql: str
    where: str | None = None


def _levels(columns: str = "snapshot_month", of: str = "source = 'all'") -> str:
    """A query for the levels and shares in the overview."""
    shares = "n_active / nullif(n_profiles, 0), n_optin_any / nullif(n_profiles, 0), n_contactable_any / nullif(n_profiles, 0)"
    return f"select {columns}, {', '.join(LEVELS.values())}, {shares} from marts.base_overview_monthly where {of}"


def _growth(columns: str, of: str) -> str:
    """A query for the level a year before, what was gained since, and the growth."""
    terms = [
        f"n_{name}_prev_year, n_{name} - n_{name}_prev_year, (n_{name} - n_{name}_prev_year) / nullif(n_{name}_prev_year, 0)"
        for name in GROWING
    ]
    return f"select {columns}, {', '.join(terms)} from marts.base_overview_monthly where {of}"


LEVEL_METRICS = (*LEVELS, "active_share", "optin_any_share", "contactable_share")
GROWTH_METRICS = tuple(f"{name}_{what}" for name in GROWING for what in ("prev_year", "gained", "growth"))
CHANNEL_METRICS = ("channel_profiles", "channel_opted_in", "channel_contactable", "optin_rate", "contactable_rate")
FIELD_METRICS = ("field_profiles", "field_filled", "fill_rate")
PERSON_METRICS = ("demographic_profiles", "gender_missing", "gender_missing_share", "age_known", "age_years", "mean_age")
PERSONS = """
    sum(n_profiles), sum(n_profiles) filter (gender = 'missing') as missing_ones, missing_ones / sum(n_profiles),
    sum(n_age_known), sum(sum_age_years), sum(sum_age_years) / nullif(sum(n_age_known), 0)
    from marts.demographics_monthly"""
CHANNELS = """
    sum(n_profiles), sum(n_opted_in), sum(n_contactable),
    sum(n_opted_in) / sum(n_profiles), sum(n_contactable) / sum(n_profiles)
    from marts.optin_rate_monthly where channel <> 'any'"""
COHORT_METRICS = ("cohort_registered", "cohort_customers", "cohort_conversion")
COHORTS = "sum(n_registered), sum(n_customers), sum(n_customers) / sum(n_registered) from marts.cohort_conversion_monthly"

QUESTIONS = {
    "levels by month": Question((MONTH,), LEVEL_METRICS, _levels()),
    "levels by month and source": Question(
        (MONTH, "source"), LEVEL_METRICS, _levels("snapshot_month, source", "source <> 'all' and n_profiles > 0")
    ),
    "levels at the last close": Question(
        (),
        tuple(name for name in LEVEL_METRICS if name != "new_profiles"),
        _levels("", f"source = 'all' and snapshot_month = {LAST_CLOSE}").replace("select ,", "select").replace("n_new, ", ""),
    ),
    "levels by year are those of its last close": Question(
        ("metric_time__year",),
        ("profiles", "active_share"),
        """select date_trunc('year', snapshot_month), n_profiles, n_active / n_profiles from marts.base_overview_monthly
           where source = 'all' and snapshot_month in ('2023-12-01', '2024-05-01')""",
    ),
    "new profiles of a year add up": Question(
        ("metric_time__year",),
        ("new_profiles", "converted_profiles"),
        "select date_trunc('year', snapshot_month), sum(n_new), sum(n_converted) from marts.status_monthly group by all",
    ),
    "profiles by status, registration and activity": Question(
        (MONTH, "status", "registered_within_12m", "base__is_active"),
        ("profiles", "converted_profiles"),
        """select snapshot_month, status, registered_within_12m, is_active, sum(n_profiles), sum(n_converted)
           from marts.status_monthly group by all""",
    ),
    "growth by month": Question((MONTH,), GROWTH_METRICS, _growth("snapshot_month", "source = 'all'")),
    "growth by month and source": Question(
        (MONTH, "source"), GROWTH_METRICS, _growth("snapshot_month, source", "source <> 'all'")
    ),
    "channels by month": Question(
        (MONTH, "contact__channel"), CHANNEL_METRICS, f"select snapshot_month, channel, {CHANNELS} group by all"
    ),
    "channels of customers by source": Question(
        ("contact__channel", "source"),
        CHANNEL_METRICS,
        f"select channel, source, {CHANNELS} and status = 'customer' and snapshot_month = {LAST_CLOSE} group by all",
        where="{{ Entity('status') }} = 'customer'",
    ),
    "fields by month": Question(
        (MONTH, "filling__field"),
        FIELD_METRICS,
        """select snapshot_month, field, sum(n_profiles), sum(n_filled), sum(n_filled) / sum(n_profiles)
           from marts.fill_rate_monthly group by all""",
    ),
    "persons by month": Question((MONTH,), PERSON_METRICS, f"select snapshot_month, {PERSONS} group by all"),
    "persons by gender, age and registration": Question(
        ("person__gender", "person__age_band", "registered_within_12m"),
        ("demographic_profiles", "mean_age"),
        f"""select gender, age_band, registered_within_12m, sum(n_profiles), sum(sum_age_years) / nullif(sum(n_age_known), 0)
            from marts.demographics_monthly where snapshot_month = {LAST_CLOSE} group by all""",
    ),
    "cohorts by month": Question(
        (MONTH, "cohort__cohort_month__month", "source"),
        COHORT_METRICS,
        f"select snapshot_month, cohort_month, source, {COHORTS} group by all",
    ),
    "cohorts at the last close": Question(
        ("cohort__cohort_month__month",),
        COHORT_METRICS,
        f"select cohort_month, {COHORTS} where snapshot_month = {LAST_CLOSE} group by all",
    ),
    "cohorts by age": Question(
        (MONTH, "cohort__months_since_registration"),
        COHORT_METRICS,
        f"select snapshot_month, months_since_registration, {COHORTS} group by all",
    ),
}


@pytest.fixture(scope="module")
def folder(closed_traps: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the closed base, on which connections stay open, and what dbt parsed for it."""
    folder = tmp_path_factory.mktemp("metrics")
    shutil.copy(closed_traps, folder / WAREHOUSE)
    shutil.copytree(parsed(project_dir())[1], folder / "target")
    return folder


@pytest.fixture(scope="module")
def manifest(folder: Path) -> str:
    """The semantic manifest that dbt writes, as JSON."""
    return (folder / "target" / "semantic_manifest.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def engine(folder: Path, manifest: str) -> Iterator[MetricFlowEngine]:
    """MetricFlow on the closed base, through dbt's adapter."""
    # dbt's connection to another warehouse would serve the questions.
    connections: Any = DuckDBConnectionManager
    connections.close_all_connections()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATHTUB_DBT_DUCKDB", str(folder / WAREHOUSE))
        patch.setenv("DBT_TARGET_PATH", str(folder / "target"))
        patch.setenv("DBT_LOG_PATH", str(folder / "logs"))
        dbtProjectMetadata.load_from_paths(project_dir(), project_dir())
        lookup = SemanticManifestLookup(parse_manifest_from_dbt_generated_manifest(manifest))
        adapter: Any = FACTORY.lookup_adapter("duckdb")
        yield MetricFlowEngine(lookup, AdapterBackedSqlClient(adapter))
    connections.close_all_connections()


def _ask(engine: MetricFlowEngine, question: Question) -> list[tuple[Any, ...]]:
    request = MetricFlowQueryRequest.create(
        metric_names=question.metrics,
        group_by_names=question.by,
        where_constraints=[question.where] if question.where else None,
    )
    table = engine.query(request).result_df
    assert table is not None
    order = [*question.by, *question.metrics]
    names = [column.column_name for column in table.column_descriptions]
    return _comparable([tuple(row[names.index(name)] for name in order) for row in table.rows])


def _comparable(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in one order, with numbers and dates of one type; shares to twelve digits."""
    return sorted((tuple(_value(value) for value in row) for row in rows), key=str)


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return round(float(value), 12)
    return value


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=list(QUESTIONS))
def test_metrics_are_the_numbers_of_the_marts(engine: MetricFlowEngine, closed_traps: Path, question: Question) -> None:
    expected = _comparable(query(closed_traps, question.sql))
    assert expected
    assert _ask(engine, question) == expected


def test_every_metric_is_asked(manifest: str) -> None:
    metrics = {metric["name"] for metric in json.loads(manifest)["metrics"]}
    assert metrics == {name for question in QUESTIONS.values() for name in question.metrics}


def test_the_time_spine_has_each_day_of_a_century_once(closed_traps: Path) -> None:
    days = query(closed_traps, "select count(*), count(distinct date_day), min(date_day), max(date_day) from core.time_spine")
    assert days == [(36525, 36525, date(2000, 1, 1), date(2099, 12, 31))]


def test_some_months_have_a_year_before(closed_traps: Path) -> None:
    months = query(
        closed_traps,
        "select snapshot_month from marts.base_overview_monthly where source = 'all' and n_new_prev_year is not null",
    )
    assert sorted(months) == [(date(2024, 3, 1),), (date(2024, 4, 1),), (date(2024, 5, 1),)]


def test_a_metric_is_not_cut_by_what_its_mart_does_not_know(engine: MetricFlowEngine) -> None:
    with pytest.raises(InvalidQueryException):
        _ask(engine, Question(("contact__channel",), ("profiles",), ""))
