"""From the warehouse to the reader: the extract, the commands, Dagster's assets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import yaml
from dagster import AssetKey, DagsterInstance, materialize

from orchestration.engine import DuckDBEngine, Query
from orchestration.partitions import monthly_partitions
from orchestration.publish import PublishError
from orchestration.publish.assets import publish_assets
from orchestration.publish.catalog import EXPOSURE, Mart, published_marts
from orchestration.publish.extract import extract
from orchestration.settings import PROJECT_ROOT, ConfigurationError, load_settings
from tests.publish.conftest import Server, command, version_of, write_warehouse

# ---- the extract ------------------------------------------------------------------------------------------------------


def test_the_extract_is_the_marts_with_the_latest_month_marked(deployment: Mapping[str, str], marts: tuple[Mart, ...]) -> None:
    found, expected = extract(DuckDBEngine(load_settings(deployment)), marts), version_of(marts, 1)
    assert {name: set(rows) for name, rows in found.rows.items()} == {n: set(rows) for n, rows in expected.rows.items()}
    assert replace(found, rows={}) == replace(expected, rows={})


def test_a_close_published_while_the_marts_are_read_has_them_read_again(
    deployment: Mapping[str, str], marts: tuple[Mart, ...]
) -> None:
    settings = load_settings(deployment)
    asked: list[str] = []

    class ChangingEngine(DuckDBEngine):
        """Each query sees what is published when it is asked, as on a cluster."""

        @contextmanager
        def querying(self) -> Iterator[Query]:
            def query(sql: str) -> list[tuple[object, ...]]:
                asked.append(sql)
                if len(asked) == 5:
                    write_warehouse(self.settings.warehouse, version_of(marts, 2, months=4))
                with duckdb.connect(str(self.settings.warehouse), read_only=True) as connection:
                    return connection.execute(sql).fetchall()

            yield query

    found = extract(ChangingEngine(settings), marts)
    assert found.definition_version == "v2"
    assert {name: set(rows) for name, rows in found.rows.items()} == {
        name: set(rows) for name, rows in version_of(marts, 2, months=4).rows.items()
    }


def test_without_a_closed_month_nothing_is_published(deployment: Mapping[str, str]) -> None:
    Path(deployment["BATHTUB_WAREHOUSE"]).unlink()
    ended = command(deployment, "publish")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "No month is closed" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_mart_that_the_warehouse_lacks_stops_the_publication(deployment: Mapping[str, str], marts: tuple[Mart, ...]) -> None:
    with duckdb.connect(deployment["BATHTUB_WAREHOUSE"]) as connection:
        connection.execute("drop table marts.flows_monthly")
    with pytest.raises(PublishError, match=r"marts\.flows_monthly cannot be read .* make build"):
        extract(DuckDBEngine(load_settings(deployment)), marts)


def test_the_exposure_is_the_only_list(manifest: Path, tmp_path: Path) -> None:
    text = manifest.read_text(encoding="utf-8")
    shorter = tmp_path / "manifest.json"
    shorter.write_text(text.replace(f'"{EXPOSURE}"', '"another"'), encoding="utf-8")
    with pytest.raises(PublishError, match="lists no mart"):
        published_marts(shorter)
    exposures = yaml.safe_load((PROJECT_ROOT / "dbt_project/models/exposures.yml").read_text(encoding="utf-8"))["exposures"]
    (listed,) = [exposure["depends_on"] for exposure in exposures if exposure["name"] == EXPOSURE]
    assert {f"ref('{mart.name}')" for mart in published_marts(manifest)} == set(listed)


def test_a_model_that_is_no_mart_is_refused(manifest: Path, tmp_path: Path) -> None:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["exposures"][f"exposure.bathtub.{EXPOSURE}"]["depends_on"]["nodes"].append("model.bathtub.fct_customer_months")
    wrong = tmp_path / "manifest.json"
    wrong.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PublishError, match=r"fct_customer_months is listed .* cannot be published"):
        published_marts(wrong)


# ---- the commands -----------------------------------------------------------------------------------------------------


def test_publish_fills_the_embedded_server_and_query_asks_it(deployment: Mapping[str, str], tmp_path: Path) -> None:
    published = command(deployment, "publish", BATHTUB_PUBLISH_DIR=str(tmp_path / "files"))
    assert published.returncode == 0, published.stderr
    assert (tmp_path / "files/latest/manifest.json").exists()
    asked = command(deployment, "query", "select snapshot_month, definition_version from marts.bi_refresh_status")
    assert asked.stdout.splitlines()[-1].split() == ["2026-03-01", "v1"]
    refused = command(deployment, "query", "select 1; drop table marts.flows_monthly")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)


def test_publish_and_query_reach_the_server_that_is_named(deployment: Mapping[str, str], server: Server) -> None:
    named = {"BATHTUB_POSTGRES_DSN": server.dsn}
    assert command(deployment, "publish", **named).returncode == 0
    asked = command(deployment, "query", "select current_user, count(*) from marts.flows_monthly", **named)
    assert asked.stdout.splitlines()[-1].split() == ["bi_reader", "12"]
    refused = command(deployment, "query", "delete from marts.flows_monthly", **named)
    assert refused.returncode == 1
    assert server.read("select count(*) from marts.flows_monthly") == [(12,)]


USE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from orchestration.publish.embedded import embedded_server
with embedded_server(Path(sys.argv[1])):
    os.kill(os.getpid(), int(sys.argv[2]))
"""


def test_the_embedded_server_stops_with_its_last_user_although_one_was_killed_before(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    for end in (signal.SIGKILL, 0):
        subprocess.run(
            [sys.executable, "-c", USE_AND_DIE, str(folder), str(int(end))], cwd=PROJECT_ROOT, check=False, timeout=60
        )
        assert (folder / "postmaster.pid").exists() == (end == signal.SIGKILL)


@pytest.mark.parametrize("dsn", ["postgresql://user:hunter2@[host/db", "hunter2", "host=a password=hunter2 nosuch=1"])
def test_an_unreadable_connection_string_is_refused_without_being_shown(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match="BATHTUB_POSTGRES_DSN") as refused:
        load_settings({"BATHTUB_POSTGRES_DSN": dsn})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("dataset", ["marts", "my-project.marts; drop", "my-project.a.b", "My.marts", "`x`.y"])
def test_a_name_that_is_no_dataset_is_refused(dataset: str) -> None:
    with pytest.raises(ConfigurationError, match=r"BATHTUB_BIGQUERY_DATASET = .*allowed: project\.dataset"):
        load_settings({"BATHTUB_BIGQUERY_DATASET": dataset})


def test_settings_do_not_show_where_they_publish() -> None:
    env = {"BATHTUB_POSTGRES_DSN": "postgresql://u:hunter2@db/bi", "BATHTUB_PUBLISH_DIR": "s3://key:hunter2@bucket"}
    assert "hunter2" not in repr(load_settings(env))


# ---- Dagster ----------------------------------------------------------------------------------------------------------


def test_dagster_publishes_after_the_marts_where_a_destination_is_configured(
    deployment: Mapping[str, str], manifest: Path, marts: tuple[Mart, ...], server: Server, tmp_path: Path
) -> None:
    named = {"BATHTUB_POSTGRES_DSN": server.dsn, "BATHTUB_PUBLISH_DIR": str(tmp_path / "files")}
    settings = load_settings({**deployment, **named})
    assets = publish_assets(settings, manifest, monthly_partitions(settings))
    assert [asset.key for asset in assets] == [AssetKey(["publish", "postgres"]), AssetKey(["publish", "files"])]
    expected = {AssetKey(["marts", mart.name]) for mart in marts}
    assert all(asset.asset_deps[asset.key] == expected for asset in assets)
    with pytest.MonkeyPatch.context() as patch, DagsterInstance.ephemeral() as instance:
        for name, value in deployment.items():
            patch.setenv(name, value)
        tags = {"dagster/asset_partition_range_start": "2026-01", "dagster/asset_partition_range_end": "2026-03"}
        assert materialize(assets, instance=instance, tags=tags).success
    assert server.read("select distinct definition_version from marts.flows_monthly") == [("v1",)]
    assert (tmp_path / "files/latest/manifest.json").exists()


def test_dagster_publishes_nowhere_unless_told(deployment: Mapping[str, str], manifest: Path) -> None:
    settings = load_settings(deployment)
    assert publish_assets(settings, manifest, monthly_partitions(settings)) == []


def test_a_failed_publication_fails_the_run_in_one_sentence(deployment: Mapping[str, str], manifest: Path) -> None:
    settings = load_settings({**deployment, "BATHTUB_POSTGRES_DSN": "postgresql://u:hunter2@127.0.0.1:1/bi"})
    with pytest.MonkeyPatch.context() as patch, DagsterInstance.ephemeral() as instance:
        patch.setattr("orchestration.publish.assets.RETRY", None)
        (asset,) = publish_assets(settings, manifest, monthly_partitions(settings))
        result = materialize([asset], instance=instance, partition_key="2026-03", raise_on_error=False)
    assert not result.success
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    said = str(failure.user_failure_data.description)
    assert "make publish" in said
    assert "hunter2" not in said


# ---- a real base ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_job_of_the_close_publishes_the_files_itself(closed_base: Mapping[str, str]) -> None:
    manifest = Path(closed_base["BATHTUB_PUBLISH_DIR"]) / "latest/manifest.json"
    assert json.loads(manifest.read_text(encoding="utf-8"))["snapshot_month"] == "2024-12-01"
