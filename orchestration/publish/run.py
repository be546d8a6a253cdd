"""Publishing to wherever the settings say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from orchestration.dbt import ensure_manifest
from orchestration.engine import engine_of
from orchestration.publish import files, postgres
from orchestration.publish.catalog import published_marts
from orchestration.publish.embedded import embedded_server
from orchestration.publish.extract import Extract, extract
from orchestration.settings import Settings
from orchestration.warehouse import Report


def no_incidents() -> int:
    """Count the open critical alerts where none are kept."""
    return 0


def read_marts(settings: Settings) -> Extract:
    """Read what the exposure lists from the warehouse.

    Raises:
        PublishError: it cannot be published as it is.
        WarehouseError: the warehouse cannot be read.
    """
    return extract(engine_of(settings), published_marts(ensure_manifest(settings)))


def publish_to_postgres(
    settings: Settings, now: datetime, report: Report, open_critical_incidents: Callable[[], int] = no_incidents
) -> postgres.Publication:
    """Publish to the server that BATHTUB_POSTGRES_DSN names, or to the embedded one.

    Raises:
        PublishError: nothing was published; readers see what they saw before.
        WarehouseError: the warehouse cannot be read.
    """
    with server(settings) as dsn:
        return postgres.publish(
            dsn, lambda: read_marts(settings), now, open_critical_incidents, report, settings.lock_wait_seconds
        )


def publish_files(
    settings: Settings, now: datetime, open_critical_incidents: Callable[[], int] = no_incidents
) -> files.FilePublication:
    """Publish to the folder that BATHTUB_PUBLISH_DIR names.

    Raises:
        PublishError: nothing was published; the manifest names what was published before.
        WarehouseError: the warehouse cannot be read.
    """
    return files.publish(settings.publish_url, read_marts(settings), now, open_critical_incidents())


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
