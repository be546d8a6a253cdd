"""Dagster assets: the raw tables that the ingest brings in, and one asset per dbt model, month by month."""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Backoff,
    DagsterExecutionInterruptedError,
    Failure,
    MaterializeResult,
    MonthlyPartitionsDefinition,
    Output,
    RetryPolicy,
    TableColumn,
    TableSchema,
    multi_asset,
)
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context

from orchestration.again import Again
from orchestration.alerts.catalogue import all_rules
from orchestration.alerts.deletions import confirmed, departures, refusal
from orchestration.alerts.messages import observed_against, place
from orchestration.alerts.model import Finding
from orchestration.alerts.nightly import evaluations
from orchestration.asset_page import AssetPage
from orchestration.close import (
    CloseError,
    WarehouseState,
    dbt_close_args,
    first_month,
    plan,
)
from orchestration.contract import Table, raw_tables
from orchestration.dbt import (
    RESULT_EVENTS,
    DbtError,
    DbtRun,
    Progress,
    environment,
    failure_sentence,
    may_pass_later,
    run_dbt,
    target_dir,
)
from orchestration.engine import Close, engine_of
from orchestration.ingest import IngestError, TableResult
from orchestration.late_rows import late_rows
from orchestration.months import month_text
from orchestration.person_level import retire
from orchestration.settings import ConfigurationError, Settings, parse_month

RETRY = RetryPolicy(max_retries=2, delay=20, backoff=Backoff.EXPONENTIAL)
# Wrong files and wrong months stay wrong when they are tried again.
FINAL_ERRORS = (IngestError, CloseError, ConfigurationError)

# The check whose way out is a command.
MASS_DELETION = "mass_deletion"

progress_log = logging.getLogger("bathtub")


class BathtubTranslator(DagsterDbtTranslator):
    """Groups named as the way of the data: raw, staging, intermediate, marts."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the folder of a model; seeds serve the intermediate models and the marts."""
        return "intermediate" if dbt_resource_props["resource_type"] == "seed" else str(dbt_resource_props["fqn"][1])


def raw_assets(settings: Settings, partitions: MonthlyPartitionsDefinition) -> AssetsDefinition:
    """Return the asset that brings the raw files in, with one key per raw table."""
    tables = raw_tables(settings.vars.profile_fields)

    @multi_asset(
        name="ingest",
        specs=[_raw_spec(table) for table in tables],
        # Brought in once for a range of months; partitioned so that the close of a range is one run, this step included.
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
        retry_policy=RETRY,
    )
    def ingest_raw_files(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        """Read what is new in BATHTUB_RAW_DIR into the schema `raw`."""
        try:
            result = engine_of(settings).refresh_raw(progress_log.info)
        except FINAL_ERRORS as error:
            raise Failure(str(error), allow_retries=False) from error
        for warning in result.warnings:
            context.log.warning(warning)
        for table in tables:
            yield MaterializeResult(asset_key=["raw", table.name], metadata=_raw_metadata(result.tables[table.name]))

    return ingest_raw_files


def _raw_spec(table: Table) -> AssetSpec:
    columns = [TableColumn(column.name, column.data_type) for column in table.columns]
    return AssetSpec(
        ["raw", table.name],
        group_name="raw",
        description=table.description,
        kinds={"duckdb"},
        metadata={"dagster/column_schema": TableSchema(columns)},
    )


def _raw_metadata(table: TableResult) -> dict[str, Any]:
    return {
        "dagster/row_count": table.rows_kept,
        "rows_read": table.rows_read,
        "rows_quarantined": table.rows_quarantined,
        "rows_superseded": table.rows_superseded,
        "defects": table.n_defects,
        "future_dates": table.n_future_dates,
        "orphans": table.n_orphans,
        "files": table.n_files,
        "files_read_now": table.n_files_read,
        "columns_missing": ", ".join(table.missing_columns) or "none",
        "columns_ignored": ", ".join(table.unknown_columns) or "none",
        "delivered": table.is_present,
        "copied": not table.is_view,
    }


def model_assets(settings: Settings, manifest: Path, partitions: MonthlyPartitionsDefinition) -> AssetsDefinition:
    """Return one asset per dbt model, closed month by month: a range of partitions is one run and one dbt command."""

    @dbt_assets(
        manifest=manifest,
        name="close_months",
        dagster_dbt_translator=BathtubTranslator(),
        # All models share the partitions: Dagster splits a backfill of mixed ones into several runs.
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
        retry_policy=RETRY,
    )
    def close_months(context: AssetExecutionContext) -> Iterator[Any]:
        """Close the months of the run's partitions; the warehouse changes only when all of dbt has passed."""
        engine = engine_of(settings)
        keys = context.partition_key_range
        first, last = parse_month(keys.start), parse_month(keys.end)
        try:
            if context.is_subset and not engine.publishes_parts:
                raise CloseError(f"On {settings.target} a close takes all models; run the job monthly_close, or: make build.")
            with engine.closing(f"close {keys.start} to {keys.end}", context.log.info) as close, environment(settings):
                now = datetime.now(UTC)
                state = close.state
                months = plan(settings.vars, state, now, first, last)
                if not months:
                    raise CloseError(f"No month from {keys.start} to {keys.end} has an activity in the raw files.")
                refuse_mass_deletion(settings, close, state)
                again = Again(context.run, settings, close, manifest, months, now, context.log.info)
                again.prepare(state)
                close.begin(first_month(settings.vars, state) or months[0], months)
                try:
                    yield from _close(context, settings, close, months)
                except DbtError as error:
                    raise Failure(
                        f"The months were not closed and the warehouse is as it was. {error} Once the cause is mended, run: "
                        f"make build FROM={month_text(months[0])} TO={month_text(max([months[-1], *state.closed]))}",
                        allow_retries=error.may_pass_later,
                    ) from error
                again.log()
                if not context.is_subset:
                    _refuse_what_does_not_add_up(context, settings, close, state, months, now)
                    if close.file is not None:
                        retire(close.file, months, settings.vars.person_level_months, context.log.info)
                    close.publish(months, now, context.run.run_id)
                    again.record()
        except FINAL_ERRORS as error:
            raise Failure(str(error), allow_retries=False) from error
        except (KeyboardInterrupt, DagsterExecutionInterruptedError) as error:
            # Dagster would try again what somebody has just stopped.
            raise Failure("The close was interrupted; the warehouse is as it was.", allow_retries=False) from error

    return close_months


def refuse_mass_deletion(settings: Settings, close: Close, state: WarehouseState) -> None:
    """Stop a close that would count the profiles of a truncated feed as deleted.

    Raises:
        CloseError: many profiles are gone, and nobody has confirmed it.
    """
    found = departures(close.rows) if state.closed else None
    if found is not None and (reason := refusal(found, settings.vars, confirmed(settings, found.month))):
        raise CloseError(reason)


def _refuse_what_does_not_add_up(
    context: AssetExecutionContext, settings: Settings, close: Close, state: WarehouseState, months: list[date], now: datetime
) -> None:
    """Keep a close from being published when a critical check of its marts fails; the alert leaves at once.

    Raises:
        CloseError: a check that blocks failed.
    """
    from orchestration.alerts.night import blocking, judge_close

    findings = judge_close(settings, close.rows, state, months, now, context.run.run_id, progress_log.info)
    for evaluation in evaluations(findings):
        # The checks are of the nightly job's step: the run of another one cannot yield them.
        context.instance.report_runless_asset_event(evaluation)
    if stopped := blocking(findings):
        raise CloseError(why_stopped(stopped))


def why_stopped(stopped: Sequence[Finding]) -> str:
    """Return the sentences that say why findings keep a close from being published, and what to do."""
    first, more = stopped[0], len(stopped) - 1
    code, where = first.check.code, place(first, "en")
    what = f"{first.check.titles['en']}{f' ({where})' if where else ''}{f', and {more} more' if more else ''}"
    ways = [f"what to do: docs/runbook.md#{code}"]
    if bounds := all_rules()[code].bounds:
        ways.append(f"a bound that is too tight ({', '.join(bounds)}) is set in BATHTUB_VARS")
    if code == MASS_DELETION:
        ways.append("a deletion that is real is confirmed with: make confirm-deletion")
    return (
        f"{what}: {observed_against(first, 'en')}. Nothing was published, and readers keep the last good state; "
        f"{'; '.join(ways)}"
    )


def _close(context: AssetExecutionContext, settings: Settings, close: Close, months: list[date]) -> Iterator[Any]:
    """Run dbt over months and yield what it made; after a failure, its checks only, and a DbtError."""
    progress = Progress(progress_log.info)
    results: list[Mapping[str, Any]] = []

    def see(event: Mapping[str, Any]) -> None:
        progress.see(event)
        if event["info"]["name"] in RESULT_EVENTS:
            results.append(event)

    # The models and tests that this run was asked for, as dbt takes them.
    asked = get_updated_cli_invocation_params_for_context(context.op_execution_context, {}, BathtubTranslator())
    indirect = ["--indirect-selection", asked.indirect_selection] if asked.indirect_selection else []
    artefacts = target_dir() / f"run-{context.run.run_id[:8]}"
    run = run_dbt([*dbt_close_args(months, settings.overrides), *asked.selection_args, *indirect], artefacts, see)
    page = AssetPage(context, asked.manifest, asked.dagster_dbt_translator, artefacts)
    if not run.succeeded:
        yield from page.checks(results)
        raise _failure(run, settings, artefacts, progress)
    for event in page.everything(results, close.relations):
        is_of_late_rows = isinstance(event, Output) and event.output_name.endswith("int_late_rows")
        yield event.with_metadata({**event.metadata, **_late_metadata(close, months)}) if is_of_late_rows else event
    # After a failure, the SQL that was run and dbt's log stay there.
    shutil.rmtree(artefacts, ignore_errors=True)


def _late_metadata(close: Close, months: list[date]) -> dict[str, Any]:
    """Return what came late to the months of a close, for the page of the asset that counts it."""
    if close.file is None:
        return {}
    found = late_rows(close.rows, months)
    lines = [f"{r.n_rows:,} {r.table} of {month_text(r.happened_month)} in {month_text(r.closed_month)}" for r in found]
    return {"late_rows": sum(r.n_rows for r in found), "late_rows_by_month": "; ".join(lines) or "none"}


def _failure(run: DbtRun, settings: Settings, artefacts: Path, progress: Progress) -> DbtError:
    what = failure_sentence(run.results, progress.errors, run.error)
    return DbtError(
        f"{what}. The rejected build is in {engine_of(settings).rejected}, the SQL that ran in {artefacts}, "
        "until the next run.",
        may_pass_later=may_pass_later(run.results, progress.errors, run.error),
    )
