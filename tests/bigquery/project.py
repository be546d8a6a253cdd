"""The dbt project on its target `bigquery`: compiled without a network, or run against an emulator."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
PROJECT_ID = "test-project"


def sources(dbt_project: Path = DBT_PROJECT) -> dict[tuple[str, str], dict[str, str]]:
    """The columns, with their types, of the tables that someone must land: the raw contract and the facts of `ops`."""
    files = sorted((dbt_project / "models" / "staging").glob("_*__sources.yml"))
    found = [source for file in files for source in yaml.safe_load(file.read_text(encoding="utf-8"))["sources"]]
    return {
        (source["schema"], table["name"]): {column["name"]: column["data_type"] for column in table["columns"]}
        for source in found
        for table in source["tables"]
    }


@dataclass(frozen=True)
class Dbt:
    """dbt on the project's own output `bigquery`, logged in with a token that no server accepts; writes to `folder` only."""

    folder: Path
    dbt_project: Path = DBT_PROJECT
    endpoint: str = "http://127.0.0.1:9"

    def invoke(self, *args: str, variables: Mapping[str, object] | None = None, **params: object) -> dbtRunnerResult:
        """Run a dbt command; `params` are options that its command line does not offer, such as the months of a compile."""
        profiles = self._profiles()
        options = ["--target", "bigquery", "--project-dir", str(self.dbt_project), "--profiles-dir", str(profiles)]
        if variables:
            options += ["--vars", yaml.safe_dump(dict(variables))]
        with _environment(self.folder):
            return dbtRunner().invoke(["--quiet", "--no-use-colors", *args, *options], **params)

    def _profiles(self) -> Path:
        profiles = yaml.safe_load((self.dbt_project / "profiles.yml").read_text(encoding="utf-8"))
        login = {"method": "oauth-secrets", "token": "none", "api_endpoint": self.endpoint}
        profiles["bathtub"]["outputs"]["bigquery"].update(login)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
        return self.folder


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("BATHTUB_", "DBT_"))]:
            patch.delenv(name)
        patch.setenv("BATHTUB_BIGQUERY_PROJECT", PROJECT_ID)
        patch.setenv("DBT_TARGET_PATH", str(folder / "target"))
        patch.setenv("DBT_LOG_PATH", str(folder / "logs"))
        yield


@dataclass(frozen=True)
class Compiled:
    """The project compiled for some months: its manifest, and the SQL of each node in an order that can be built."""

    manifest: Manifest
    nodes: tuple[Any, ...]


def compile_months(dbt: Dbt, first: date, end: date, variables: Mapping[str, object]) -> Compiled:
    """Compile models and tests as a close of the months from `first` until before `end` would, facts of the base as vars."""
    flags = ("compile", "--no-introspect", "--no-populate-cache", "--log-level", "error")
    done = dbt.invoke(*flags, variables=variables, event_time_start=_start(first), event_time_end=_start(end))
    results = getattr(done.result, "results", [])
    assert done.success, done.exception or [result.message for result in results if result.message]
    manifest = Manifest.from_writable_manifest(_written(dbt.folder))
    # Ephemeral models are parts of the queries that read them.
    nodes = {result.node.unique_id: result.node for result in results if result.node.config.materialized != "ephemeral"}
    return Compiled(manifest, tuple(_in_order(nodes, manifest)))


def _start(month: date) -> datetime:
    return datetime(month.year, month.month, month.day)


def _written(folder: Path) -> Any:
    from dbt.artifacts.schemas.manifest import WritableManifest

    return WritableManifest.read_and_check_versions(str(folder / "target" / "manifest.json"))


def _in_order(nodes: Mapping[str, Any], manifest: Manifest) -> Iterator[Any]:
    """The nodes, each after those it depends on."""
    waiting = dict(nodes)
    while waiting:
        ready = [node for node in waiting.values() if not any(name in waiting for name in _read_by(node, manifest))]
        for node in ready:
            yield waiting.pop(node.unique_id)


def _read_by(node: Any, manifest: Manifest) -> Iterator[str]:
    """What a node depends on, and what the ephemeral models among that depend on in turn."""
    for name in node.depends_on_nodes:
        yield name
        parent = manifest.nodes.get(name)
        if parent is not None and parent.config.materialized == "ephemeral":
            yield from _read_by(parent, manifest)
