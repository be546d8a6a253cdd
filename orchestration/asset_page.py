"""What Dagster's page shows of a dbt run: checks, and materialisations with their rows, columns and where columns come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    Output,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)
from dagster_dbt import DagsterDbtTranslator
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from orchestration.dbt import manifest_key, target_dir
from orchestration.relations import Name, Relation

LINEAGE = "dagster/column_lineage"

Node = Mapping[str, Any]
Held = Mapping[Name, Relation]


class AssetPage:
    """Turns the results that dbt reported in a run into Dagster's events."""

    def __init__(
        self, context: AssetExecutionContext, manifest: Mapping[str, Any], translator: DagsterDbtTranslator, artefacts: Path
    ) -> None:
        self._context = context
        self._manifest = manifest
        self._translator = translator
        self._artefacts = artefacts

    def checks(self, results: Sequence[Mapping[str, Any]]) -> Iterator[AssetCheckResult]:
        """Yield the checks alone: of a rejected build nothing is published."""
        for result in results:
            yield from (event for event in self._events(result) if isinstance(event, AssetCheckResult))

    def everything(
        self, results: Sequence[Mapping[str, Any]], relations: Callable[[Collection[Name]], Mapping[Name, Relation]]
    ) -> Iterator[Any]:
        """Yield the checks, and the materialisations with what `relations` says that dbt's relations hold.

        Raises:
            WarehouseError: the relations cannot be read.
        """
        made = [self._node(result) for result in results if result["info"]["name"] != "LogTestResult"]
        held = relations([_name(node) for node in made if node["config"]["materialized"] != "view"])
        lineage = ColumnLineage()
        for result in results:
            node = self._node(result)
            for event in self._events(result, {} if node["unique_id"] in lineage else self._columns(node, held)):
                yield self._described(event, node, held, lineage) if isinstance(event, Output) else event
        lineage.keep()

    def _node(self, result: Mapping[str, Any]) -> Node:
        node: Node = self._manifest["nodes"][result["data"]["node_info"]["unique_id"]]
        return node

    def _events(self, result: Mapping[str, Any], columns: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Yield Dagster's events for one result; dagster-dbt finds the lineage where it gets columns of model and parents."""
        return DbtCoreCliEventMessage(dict(result), dict(columns or {})).to_default_asset_events(
            manifest=self._manifest,
            dagster_dbt_translator=self._translator,
            context=self._context,
            target_path=self._artefacts,
        )

    def _columns(self, node: Node, held: Held) -> Mapping[str, Any]:
        # dbt keeps the SQL of a microbatch model by month, where Dagster finds no lineage; in long SQL it looks for minutes.
        config = node["config"]
        is_traced = config.get("incremental_strategy") != "microbatch" and config["meta"].get("column_lineage", True)
        if node["resource_type"] != "model" or not is_traced:
            return {}
        parents = [
            self._manifest["nodes"].get(name) or self._manifest["sources"].get(name) for name in node["depends_on"]["nodes"]
        ]
        # A part of a query (an ephemeral model) is no relation: what it reads is hidden in it.
        if any(parent["config"].get("materialized") == "ephemeral" for parent in parents):
            return {}
        return {**_typed(node, held), "parents": {parent["relation_name"]: _typed(parent, held) for parent in parents}}

    def _described(self, event: Output[None], node: Node, held: Held, lineage: ColumnLineage) -> Output[None]:
        relation = held[_name(node)]
        described = {name.lower(): column["description"] for name, column in node["columns"].items()}
        columns = [TableColumn(name, type, described.get(name.lower())) for name, type in relation.columns.items()]
        counted = {} if relation.n_rows is None else {"dagster/row_count": relation.n_rows}
        return event.with_metadata(
            {
                **event.metadata,
                "dagster/column_schema": TableSchema(columns),
                "dagster/storage_kind": self._manifest["metadata"]["adapter_type"],
                **counted,
                **lineage.of(node["unique_id"], event.metadata.get(LINEAGE)),
            }
        )


def _name(node: Node) -> Name:
    """Return schema and name of the relation of a model, a seed or a source."""
    return node["schema"], node.get("alias") or node["identifier"]


def _typed(node: Node, held: Held) -> dict[str, Any]:
    return {"columns": {name: {"data_type": data_type} for name, data_type in held[_name(node)].columns.items()}}


class ColumnLineage:
    """Where the columns of each model come from: kept beside the manifest, since only code changes it and it takes seconds."""

    def __init__(self) -> None:
        self._file = target_dir() / "column_lineage.json"
        self._found: dict[str, dict[str, list[tuple[str, str]]]] = {}
        self._key, self._is_new = manifest_key(), False
        if self._file.exists():
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self._found = kept["models"] if kept["key"] == self._key else {}

    def __contains__(self, unique_id: str) -> bool:
        return unique_id in self._found

    def of(self, unique_id: str, found: Any) -> dict[str, TableColumnLineage]:
        """Return the metadata of a model, `found` in this run or before."""
        if found is not None:
            self._is_new = True
            self._found[unique_id] = {
                column: [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps]
                for column, deps in found.value.deps_by_column.items()
            }
        if unique_id not in self._found:
            return {}
        return {
            LINEAGE: TableColumnLineage(
                {
                    column: [TableColumnDep(AssetKey.from_user_string(key), name) for key, name in deps]
                    for column, deps in self._found[unique_id].items()
                }
            )
        }

    def keep(self) -> None:
        """Write what was found in this run for the next."""
        if self._is_new:
            text = json.dumps({"key": self._key, "models": self._found})
            part = self._file.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.replace(self._file)
