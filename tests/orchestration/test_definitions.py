"""What Dagster loads: which assets, in which groups, partitioned how, with which checks, job and schedule."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable

from dagster import AssetCheckKey, AssetKey, Definitions

from orchestration.alerts.catalogue import catalogue
from orchestration.alerts.nightly import check_keys
from orchestration.contract import raw_tables
from orchestration.settings import MARTS
from tests.orchestration.conftest import MONTHS, Built, Import

# asset: its group, and what it is made of
ASSETS: dict[str, tuple[str, set[str]]] = {
    "raw/customers": ("raw", set()),
    "raw/orders": ("raw", set()),
    "raw/events": ("raw", set()),
    "raw/consents": ("raw", set()),
    "raw/accounts": ("raw", set()),
    "raw/contracts": ("raw", set()),
    "raw/account_contacts": ("raw", set()),
    "raw/merges": ("raw", set()),
    "raw/mail_domains": ("raw", set()),
    "staging/stg_customers": ("staging", {"raw/customers"}),
    "staging/stg_orders": ("staging", {"raw/orders"}),
    "staging/stg_events": ("staging", {"raw/events"}),
    "staging/stg_consents": ("staging", {"raw/consents"}),
    "staging/stg_accounts": ("staging", {"raw/accounts"}),
    "staging/stg_contracts": ("staging", {"raw/contracts"}),
    "staging/stg_account_contacts": ("staging", {"raw/account_contacts"}),
    "staging/stg_merges": ("staging", {"raw/merges"}),
    "staging/stg_mail_domains": ("staging", {"raw/mail_domains"}),
    "core/movements": ("intermediate", set()),
    "core/calendar": ("intermediate", set()),
    "core/consent_movements": ("intermediate", set()),
    "core/disposable_domains": ("intermediate", set()),
    "core/time_spine": ("intermediate", set()),
    "private/int_written_coordinates": ("intermediate", {"staging/stg_customers"}),
    "private/int_coordinates_to_judge": ("intermediate", {"private/int_written_coordinates"}),
    "private/int_emails": ("intermediate", {"private/int_coordinates_to_judge", "core/disposable_domains"}),
    "private/int_phone_numbers": ("intermediate", {"private/int_coordinates_to_judge"}),
    "private/int_phones": ("intermediate", {"private/int_phone_numbers"}),
    "private/int_addresses": ("intermediate", {"private/int_coordinates_to_judge"}),
    "private/int_judged_coordinates": (
        "intermediate",
        {
            "private/int_coordinates_to_judge",
            "private/int_emails",
            "private/int_phones",
            "private/int_addresses",
            "private/int_written_coordinates",
        },
    ),
    "private/int_coordinates": (
        "intermediate",
        {"staging/stg_customers", "private/int_judged_coordinates", "staging/stg_mail_domains"},
    ),
    "core/int_merge_steps": ("intermediate", {"staging/stg_merges"}),
    "core/int_merges": (
        "intermediate",
        {"core/int_merge_steps", "private/int_coordinates", "staging/stg_customers", "staging/stg_merges"},
    ),
    "core/int_contact_months": (
        "intermediate",
        {
            "core/int_customer_months",
            "core/int_merges",
            "private/int_coordinate_states",
            "staging/stg_events",
            "staging/stg_consents",
            "staging/stg_merges",
        },
    ),
    "core/fct_contact_months": ("intermediate", {"core/int_contact_months"}),
    "core/int_source_quality": ("intermediate", {"core/int_contact_months"}),
    "core/int_traces": ("intermediate", {"staging/stg_orders", "staging/stg_events", "staging/stg_consents"}),
    "core/int_first_traces": ("intermediate", {"core/int_traces", "staging/stg_customers"}),
    "core/int_profiles": ("intermediate", {"staging/stg_customers"}),
    "core/int_coordinate_history": ("intermediate", {"private/int_coordinates"}),
    "private/int_coordinate_states": ("intermediate", {"private/int_coordinates", "core/int_coordinate_history"}),
    "core/int_profile_history": ("intermediate", {"core/int_profiles"}),
    "core/int_profile_states": ("intermediate", {"core/int_profiles", "core/int_profile_history"}),
    "core/int_customer_months": (
        "intermediate",
        {"core/int_profile_states", "core/int_traces", "core/int_first_traces", "core/int_merges", "staging/stg_merges"},
    ),
    "core/fct_customer_months": ("intermediate", {"core/int_customer_months"}),
    "private/retention_due_profiles": ("intermediate", {"core/fct_customer_months"}),
    "core/int_accounts": ("intermediate", {"staging/stg_accounts"}),
    "core/int_account_orders": (
        "intermediate",
        {"staging/stg_orders", "staging/stg_customers", "staging/stg_merges", "core/int_accounts", "core/int_merges"},
    ),
    "core/int_account_contracts": ("intermediate", {"staging/stg_contracts", "staging/stg_customers", "core/int_accounts"}),
    "core/int_account_contacts": (
        "intermediate",
        {"staging/stg_account_contacts", "staging/stg_customers", "core/int_accounts"},
    ),
    "core/int_account_coverage": (
        "intermediate",
        {"core/int_account_contacts", "core/fct_customer_months", "core/fct_contact_months"},
    ),
    "observations/month_shares": (
        "checks",
        {"marts/fill_rate_monthly", "marts/optin_rate_monthly", "marts/status_monthly", "marts/flows_monthly"},
    ),
    "core/int_late_rows": (
        "intermediate",
        {"staging/stg_orders", "staging/stg_events", "staging/stg_consents", "staging/stg_customers", "staging/stg_merges"},
    ),
    "marts/restatements": ("marts", set()),
    "marts/restatements_monthly": ("marts", {"marts/restatements"}),
    "marts/base_overview_monthly": ("marts", {"marts/status_monthly", "marts/optin_rate_monthly"}),
    "marts/fill_rate_monthly": ("marts", {"core/fct_customer_months"}),
    "marts/flows_monthly": ("marts", {"core/int_customer_months", "core/movements"}),
    "marts/optin_rate_monthly": ("marts", {"core/fct_contact_months"}),
    "marts/consent_flows_monthly": ("marts", {"core/int_contact_months", "core/consent_movements"}),
    "marts/source_scorecard_monthly": ("marts", {"core/int_source_quality"}),
    "marts/acquisition_monthly": ("marts", {"marts/base_overview_monthly", "core/fct_customer_months"}),
    "marts/cohort_conversion_monthly": ("marts", {"core/fct_customer_months"}),
    "marts/demographics_monthly": ("marts", {"core/fct_customer_months"}),
    "marts/accounts_monthly": (
        "marts",
        {
            "marts/status_monthly",
            "core/int_accounts",
            "core/int_account_orders",
            "core/int_account_contracts",
            "core/int_account_coverage",
        },
    ),
    "core/int_transitions": ("intermediate", {"core/fct_customer_months"}),
    "core/int_projection_months": ("intermediate", {"core/int_transitions"}),
    "core/int_projection_moves": ("intermediate", {"core/int_transitions", "core/int_projection_months"}),
    "core/int_projection_entries": ("intermediate", {"core/int_transitions", "core/int_projection_months"}),
    "core/int_projection_errors": (
        "intermediate",
        {"core/int_transitions", "core/int_projection_months", "core/int_projection_moves"},
    ),
    "marts/projection_monthly": (
        "marts",
        {
            "core/int_projection_months",
            "core/int_projection_moves",
            "core/int_projection_entries",
            "core/int_projection_errors",
        },
    ),
    # Its rules are parts of its query.
    "marts/challenges_monthly": (
        "marts",
        {
            "marts/base_overview_monthly",
            "marts/acquisition_monthly",
            "marts/status_monthly",
            "marts/fill_rate_monthly",
            "marts/optin_rate_monthly",
            "marts/source_scorecard_monthly",
            "marts/retention_monthly",
        },
    ),
    "marts/recency_monthly": ("marts", {"core/fct_customer_months"}),
    "marts/retention_monthly": ("marts", {"core/int_customer_months"}),
    "marts/retention_forecast_monthly": ("marts", {"marts/retention_monthly"}),
    "marts/status_monthly": ("marts", {"core/fct_customer_months"}),
    "report/monthly_report": ("report", {f"marts/{name}" for name in MARTS}),
}
CHECKS: dict[str, set[str]] = {
    "staging/stg_customers": {"raw_rows_reconcile"},
    "core/int_coordinate_history": {"unique_grain_int_coordinate_history_snapshot_month__customer_id"},
    "core/int_profile_history": {"unique_grain_int_profile_history_snapshot_month__customer_id"},
    "core/int_customer_months": {"unique_grain_int_customer_months_snapshot_month__customer_id"},
    "core/int_contact_months": {"unique_grain_int_contact_months_snapshot_month__customer_id"},
    "core/int_transitions": {
        "transitions_agree_with_flows",
        "unique_grain_int_transitions_snapshot_month__from_state__to_state__is_new",
    },
    "core/int_projection_months": {"unique_grain_int_projection_months_snapshot_month__past_month"},
    "core/int_projection_moves": {"unique_grain_int_projection_moves_snapshot_month__scenario__months__from_state__to_state"},
    "core/int_projection_entries": {
        "projection_starts_at_the_level",
        "unique_grain_int_projection_entries_snapshot_month__scenario__months_ahead__state",
    },
    "core/int_projection_errors": {"unique_grain_int_projection_errors_snapshot_month__status"},
    "core/int_source_quality": {"unique_grain_int_source_quality_snapshot_month__source"},
    "private/int_judged_coordinates": {
        "not_null_int_judged_coordinates_customer_id",
        "unique_int_judged_coordinates_customer_id",
    },
    "private/int_coordinates": {"not_null_int_coordinates_customer_id", "unique_int_coordinates_customer_id"},
    "core/int_merge_steps": {"merges_are_followed"},
    "core/int_late_rows": {"unique_grain_int_late_rows_snapshot_month__table_name__happened_month"},
    "marts/restatements": {"unique_grain_restatements_restatement_id__snapshot_month__mart__segment__measure"},
    "marts/restatements_monthly": {"unique_grain_restatements_monthly_snapshot_month__mart__cause"},
    "observations/month_shares": {"unique_grain_month_shares_snapshot_month__measure__source__item"},
    "core/int_profiles": {"not_null_int_profiles_customer_id", "unique_int_profiles_customer_id"},
    "marts/base_overview_monthly": {
        "overview_agrees_with_flows",
        "unique_grain_base_overview_monthly_snapshot_month__source",
    },
    "marts/acquisition_monthly": {"unique_grain_acquisition_monthly_snapshot_month__source"},
    "marts/cohort_conversion_monthly": {
        "cohorts_and_acquisition_count_the_base",
        "unique_grain_cohort_conversion_monthly_snapshot_month__cohort_month__source",
    },
    "marts/challenges_monthly": {"unique_grain_challenges_monthly_snapshot_month__challenge_code__source"},
    "marts/demographics_monthly": {
        "unique_grain_demographics_monthly_snapshot_month__source__status__registered_within_12m__gender__age_band",
    },
    "marts/accounts_monthly": {"accounts_add_up", "unique_grain_accounts_monthly_snapshot_month__account_id"},
    "marts/consent_flows_monthly": {
        "consent_flows_close",
        "consents_closing_is_the_next_opening",
        "unique_grain_consent_flows_monthly_snapshot_month__source__channel__movement",
    },
    "marts/source_scorecard_monthly": {
        "effects_explain_the_change",
        "unique_grain_source_scorecard_monthly_snapshot_month__source",
    },
    "marts/fill_rate_monthly": {
        "unique_grain_fill_rate_monthly_snapshot_month__source__status__registered_within_12m__field",
    },
    "marts/flows_monthly": {
        "closing_is_the_next_opening",
        "flows_close",
        "unique_grain_flows_monthly_snapshot_month__source__status__scope__movement",
    },
    "marts/optin_rate_monthly": {
        "parts_stay_within_the_whole",
        "waterfall_adds_up",
        "unique_grain_optin_rate_monthly_snapshot_month__source__status__registered_within_12m__channel",
    },
    "marts/projection_monthly": {
        "projection_stands_in_order",
        "unique_grain_projection_monthly_snapshot_month__target_month__scenario__status",
    },
    "marts/recency_monthly": {
        "unique_grain_recency_monthly_snapshot_month__source__status__registered_within_12m__is_new__recency_band",
    },
    "marts/retention_forecast_monthly": {
        "forecast_starts_from_retention",
        "unique_grain_retention_forecast_monthly_snapshot_month__source__status__horizon_months",
    },
    "marts/retention_monthly": {
        "retention_counts_the_base",
        "unique_grain_retention_monthly_snapshot_month__source__status",
    },
    "marts/status_monthly": {
        "marts_count_the_base",
        "unique_grain_status_monthly_snapshot_month__source__status__registered_within_12m__is_active",
    },
}
# `private` holds the coordinates and the lists of people, apart from what readers see.
LAYERS = {"raw": 0, "staging": 1, "private": 2, "core": 2, "marts": 3, "observations": 4, "report": 4}


def _name(key: AssetKey) -> str:
    return key.to_user_string()


def test_importing_connects_to_nothing(imported: Import) -> None:
    assert imported.process.returncode == 0, imported.process.stderr
    assert imported.connections == ""


def test_importing_makes_no_warehouse_and_no_run_storage(imported: Import) -> None:
    assert imported.files == {"raw"}


def test_the_assets_their_groups_and_what_they_are_made_of(definitions: Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        found[_name(key)] = (node.group_name, {_name(parent) for parent in node.parent_keys})
    assert found == ASSETS


def test_data_flows_from_raw_over_marts_to_what_is_observed_of_them(definitions: Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        layer = LAYERS[key.path[0]]
        steps = {layer - LAYERS[parent.path[0]] for parent in graph.get(key).parent_keys}
        # From the layer before, or from an asset of the same layer.
        assert steps <= {0, 1}, _name(key)


def test_all_contract_tables_are_raw_assets(definitions: Definitions) -> None:
    raw = {_name(key) for key in definitions.resolve_asset_graph().get_all_asset_keys() if key.path[0] == "raw"}
    assert raw == {f"raw/{table.name}" for table in raw_tables()}


def test_every_asset_says_what_it_is(definitions: Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        assert graph.get(key).description, _name(key)


def test_every_dbt_model_and_column_is_described(built: Built) -> None:
    manifest = json.loads((built.home.dbt_target / "manifest.json").read_text(encoding="utf-8"))
    models = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")]
    assert models
    for node in models:
        assert node["description"].strip(), node["name"]
        assert all(column["description"].strip() for column in node["columns"].values()), node["name"]


def _checks(definitions: Definitions, keys: Iterable[AssetCheckKey]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for check in keys:
        found.setdefault(_name(check.asset_key), set()).add(check.name)
    return found


def test_the_checks_of_the_close_are_the_dbt_tests(definitions: Definitions) -> None:
    keys = set(definitions.resolve_asset_graph().asset_check_keys) - set(check_keys())
    assert _checks(definitions, keys) == CHECKS
    closed = definitions.resolve_job_def("monthly_close").asset_layer.asset_graph.asset_check_keys
    assert set(closed) == keys


def test_the_nightly_job_has_a_check_for_each_feed_and_mart_that_the_catalogue_judges(definitions: Definitions) -> None:
    found = _checks(definitions, definitions.resolve_job_def("nightly_checks").asset_layer.asset_graph.asset_check_keys)
    judged = {code for code, check in catalogue().items() if check.subject != "runs"}
    assert set().union(*found.values()) == judged
    assert {asset for asset in found if asset.startswith("raw/")} == {
        "raw/customers", "raw/orders", "raw/events", "raw/consents"
    }  # fmt: skip
    assert found["marts/flows_monthly"] >= {"flows_do_not_close"}


def test_importing_the_definitions_does_not_import_what_only_a_night_needs(definitions: Definitions) -> None:
    heavy = "('great_expectations', 'pandas', 'apprise')"
    code = f"import sys, orchestration.definitions; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_every_asset_is_kept_by_the_months_of_the_base_in_the_reporting_zone(definitions: Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    # Dagster would split the close of a range into several runs if one asset differed.
    (partitions,) = {graph.get(key).partitions_def for key in graph.get_all_asset_keys()}
    assert partitions is not None
    assert tuple(partitions.get_partition_keys()[:4]) == MONTHS
    assert str(partitions) == "Monthly, starting 2024-01 Europe/Paris."


def test_the_jobs_their_schedules_and_sensors(definitions: Definitions) -> None:
    repository = definitions.get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    assert {job.name: str(job.partitions_def) for job in jobs} == {
        "monthly_close": "Monthly, starting 2024-01 Europe/Paris.",
        "nightly_checks": "None",
    }
    steps = {job.name: [step.name for step in job.nodes_in_topological_order] for job in jobs}
    assert steps == {
        "monthly_close": ["ingest", "close_months", "monthly_report"],
        "nightly_checks": ["judge_last_night"],
    }
    schedules = [(s.name, s.job_name, s.cron_schedule, s.execution_timezone) for s in repository.schedule_defs]
    assert sorted(schedules) == [
        ("monthly_close_schedule", "monthly_close", "0 4 3 * *", "Europe/Paris"),
        ("nightly_checks_schedule", "nightly_checks", "0 6 * * *", "Europe/Paris"),
    ]
    assert {s.default_status.value for s in repository.schedule_defs} == {"RUNNING"}
    assert {s.default_status.value for s in repository.sensor_defs} == {"RUNNING"}
    assert {s.name for s in repository.sensor_defs} == {"started_runs", "failed_runs", "succeeded_runs", "scheduled_runs"}
