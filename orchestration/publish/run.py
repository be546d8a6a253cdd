"""Publishing to wherever the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from orchestration.alerts.model import Severity
from orchestration.alerts.store import count_open
from orchestration.dbt import ensure_manifest
from orchestration.engine import engine_of
from orchestration.publish import bigquery, files, postgres
from orchestration.publish.catalog import published_marts
from orchestration.publish.embedded import embedded_server
from orchestration.publish.extract import Extract, extract
from orchestration.publish.small_cells import protect
from orchestration.settings import Settings
from orchestration.warehouse import Report


def read_marts(settings: Settings) -> Extract:
    """Read what the exposure lists from the warehouse, without the counts that are smaller than the var `min_cell`.

    Raises:
        PublishError: it cannot be published as it is.
        WarehouseError: the warehouse cannot be read.
    """
    content = extract(engine_of(settings), published_marts(ensure_manifest(settings)))
    return protect(content, settings.vars.min_cell, settings.vars)


def publish_to_postgres(settings: Settings, now: datetime, report: Report) -> postgres.Publication:
    """Publish to the server that BATHTUB_POSTGRES_DSN names, or to the embedded one.

    Raises:
        PublishError: nothing was published; readers see what they saw before.
        WarehouseError: the warehouse cannot be read.
    """
    with server(settings) as dsn:
        return postgres.publish(
            dsn, lambda: read_marts(settings), now, lambda: _open_critical(settings), report, settings.lock_wait_seconds
        )


def publish_files(settings: Settings, now: datetime) -> files.FilePublication:
    """Publish to the folder that BATHTUB_PUBLISH_DIR names.

    Raises:
        PublishError: nothing was published; the manifest names what was published before.
        WarehouseError: the warehouse cannot be read.
    """
    return files.publish(settings.publish_url, read_marts(settings), now, _open_critical(settings))


def publish_to_bigquery(settings: Settings, now: datetime) -> bigquery.BigQueryPublication:
    """Publish to the dataset that BATHTUB_BIGQUERY_DATASET names.

    Raises:
        PublishError: nothing was published; readers see what they saw before.
        WarehouseError: the warehouse cannot be read.
    """
    client = bigquery.connected(settings.bigquery_dataset)
    return bigquery.publish(client, settings.bigquery_dataset, read_marts(settings), now, _open_critical(settings))


def _open_critical(settings: Settings) -> int:
    return count_open(settings.alerts_dir, Severity.CRITICAL) or 0


@contextmanager
def server(settings: Settings) -> Iterator[str]:
    """Yield the publisher's connection string of the configured server; the embedded one runs while the block does.

    Raises:
        PublishError: the embedded server does not start.
    """
    if settings.postgres_dsn:
        yield settings.postgres_dsn
    else:
        with embedded_server(settings.postgres_dir) as dsn:
            yield dsn
