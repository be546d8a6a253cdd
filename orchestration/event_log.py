"""Dagster's event log in SQLite, written many events at a time: a first build leaves an event for each asset and month."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from dagster import DagsterInstance, EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage

BATCH_SIZE = 500


@contextmanager
def in_batches(instance: DagsterInstance) -> Iterator[None]:
    """Let what this process writes to the event log of an instance be written in batches.

    Dagster offers batches to each storage; the one for SQLite takes them apart again, with two transactions for each event.
    Another storage than SQLite keeps its own way.
    """
    storage, before = instance.event_log_storage, os.environ.get("DAGSTER_EVENT_BATCH_SIZE")
    if not isinstance(storage, SqliteEventLogStorage):
        yield
        return
    vars(storage)["store_event_batch"] = partial(_store, storage)
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = before or str(BATCH_SIZE)
    try:
        yield
    finally:
        del vars(storage)["store_event_batch"]
        if before is None:
            del os.environ["DAGSTER_EVENT_BATCH_SIZE"]


def _store(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    """Write events of one run as `SqliteEventLogStorage.store_event` writes each: to the file of the run, and to the index."""
    of_assets = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
    if of_assets:
        insert = storage.prepare_insert_event_batch(of_assets)
        with storage.run_connection(of_assets[0].run_id) as connection:
            connection.execute(insert)
        with storage.index_transaction() as connection:
            # SQLite numbers the rows of one insert in their order.
            ids = sorted(row[0] for row in connection.execute(insert.returning(insert.table.c.id)))
            storage._store_asset_event_tags(connection, of_assets, ids)
            latest = {
                event.get_dagster_event().asset_key: (event, number) for event, number in zip(of_assets, ids, strict=True)
            }
            for event, number in latest.values():
                storage._store_asset_event(connection, event, number)
    for event in events:
        if event.dagster_event_type not in ASSET_EVENTS:
            storage.store_event(event)
