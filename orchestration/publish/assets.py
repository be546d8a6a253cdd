"""Dagster's assets of publishing: one for each destination that is configured, after the marts."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Backoff,
    Failure,
    MaterializeResult,
    MonthlyPartitionsDefinition,
    RetryPolicy,
    multi_asset,
)

from orchestration.publish import PublishError
from orchestration.publish.catalog import published_marts
from orchestration.settings import Settings
from orchestration.warehouse import WarehouseError

# A server or a bucket that does not answer may do so a minute later.
RETRY = RetryPolicy(max_retries=3, delay=30, backoff=Backoff.EXPONENTIAL)
Work = Callable[[AssetExecutionContext], MaterializeResult[None]]


def publish_assets(settings: Settings, manifest: Path, partitions: MonthlyPartitionsDefinition) -> list[AssetsDefinition]:
    """Return the assets `publish/…`; none where no destination is configured.

    The embedded server is for trying: it is published to by the command, not by the monthly close.

    Raises:
        PublishError: the exposure lists what cannot be published.
    """

    def to_postgres(context: AssetExecutionContext) -> MaterializeResult[None]:
        from orchestration.publish.run import publish_to_postgres

        published = publish_to_postgres(settings, datetime.now(UTC), context.log.info)
        for warning in published.warnings:
            context.log.warning(warning)
        return MaterializeResult(metadata={"marts": published.n_marts, "dagster/row_count": published.n_rows})

    def to_files(context: AssetExecutionContext) -> MaterializeResult[None]:
        from orchestration.publish.run import publish_files

        written = publish_files(settings, datetime.now(UTC))
        for warning in written.warnings:
            context.log.warning(warning)
        return MaterializeResult(metadata={"folder": written.place, "files": written.n_files, "bytes": written.n_bytes})

    def to_bigquery(context: AssetExecutionContext) -> MaterializeResult[None]:
        from orchestration.publish.run import publish_to_bigquery

        published = publish_to_bigquery(settings, datetime.now(UTC))
        return MaterializeResult(metadata={"marts": published.n_marts, "dagster/row_count": published.n_rows})

    wanted: list[tuple[str, str, Work]] = []
    if settings.postgres_dsn:
        wanted.append(("postgres", "The marts in PostgreSQL, all replaced in one transaction.", to_postgres))
    if settings.bigquery_dataset:
        wanted.append(("bigquery", "The marts in BigQuery, all replaced in one transaction.", to_bigquery))
    if settings.publish_url:
        wanted.append(("files", "The marts as Parquet and CSV, with a manifest of checksums.", to_files))
    if not wanted:
        return []
    marts = [["marts", mart.name] for mart in published_marts(manifest)]
    return [_asset(name, description, marts, partitions, work) for name, description, work in wanted]


def _asset(
    name: str, description: str, marts: list[list[str]], partitions: MonthlyPartitionsDefinition, work: Work
) -> AssetsDefinition:
    spec = AssetSpec(
        ["publish", name],
        deps=marts,
        description=description,
        group_name="publish",
        kinds={"file" if name == "files" else name},
    )

    @multi_asset(
        name=f"publish_{name}",
        specs=[spec],
        # Published once for a range of months; partitioned so that the close of a range is one run, this step included.
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
        retry_policy=RETRY,
    )
    def publish(context: AssetExecutionContext) -> MaterializeResult[None]:
        try:
            return work(context)
        except PublishError as error:
            raise Failure(str(error)) from error
        except WarehouseError as error:
            raise Failure(str(error), allow_retries=False) from error

    return publish
