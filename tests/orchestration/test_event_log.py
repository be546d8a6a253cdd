"""Dagster's events written in batches: the same as written one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    MaterializeResult,
    StaticPartitionsDefinition,
    asset,
    materialize,
)
from dagster._core.storage.event_log import SqliteEventLogStorage

from orchestration.event_log import in_batches

PARTITIONS = ("a", "b", "c")


@asset(partitions_def=StaticPartitionsDefinition(list(PARTITIONS)))
def tub() -> Iterator[MaterializeResult[None]]:
    yield MaterializeResult(metadata={"rows": 3}, tags={"level": "full"})


def _page(folder: Path, batched: bool) -> tuple[Any, ...]:
    """What the page shows after a run over all partitions."""
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    key = AssetKey("tub")
    with DagsterInstance.from_config(str(folder)) as instance, in_batches(instance) if batched else nullcontext():
        tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "c"}
        run = materialize([tub], instance=instance, tags=tags)
        assert run.success
        records = instance.fetch_materializations(key, limit=10).records
        latest = instance.get_latest_materialization_event(key)
        assert latest is not None
        logged = [entry.dagster_event.event_type_value for entry in instance.all_logs(run.run_id) if entry.dagster_event]
        return (
            sorted(logged),
            [(record.partition_key, record.asset_materialization and record.asset_materialization.tags) for record in records],
            instance.get_materialized_partitions(key),
            latest.asset_materialization and latest.asset_materialization.partition,
            sorted(
                instance.event_log_storage.get_latest_tags_by_partition(
                    key, DagsterEventType.ASSET_MATERIALIZATION, ["level"]
                ).items()
            ),
        )


def test_the_page_shows_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []

    def counted(storage: SqliteEventLogStorage, event: EventLogEntry) -> None:
        commits.append(1)
        one_by_one(storage, event)

    one_by_one = SqliteEventLogStorage.store_event
    monkeypatch.setattr(SqliteEventLogStorage, "store_event", counted)
    alone = _page(tmp_path / "alone", batched=False)
    n_alone = len(commits)
    assert alone[2] == set(PARTITIONS)
    assert _page(tmp_path / "batched", batched=True) == alone
    # The three materialisations and their three announcements.
    assert n_alone - (len(commits) - n_alone) >= 2 * len(PARTITIONS) - 1


def test_nothing_stays_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    with DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance, in_batches(instance):
        pass
    (tmp_path / "dagster.yaml").touch()
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        with in_batches(instance):
            assert "store_event_batch" in vars(instance.event_log_storage)
        assert "store_event_batch" not in vars(instance.event_log_storage)
    assert "DAGSTER_EVENT_BATCH_SIZE" not in os.environ
