"""Which marts are published, as dbt's manifest describes them: the exposure lists them, the contracts give their columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.publish import PublishError
from orchestration.publish.labels import LANGUAGE_NAMES, is_coded, label_columns

EXPOSURE = "published_marts"
MONTH = "snapshot_month"
IS_LATEST = "is_latest_month"
# The words of the contracts, which say `varchar` in two ways.
TYPES = {
    "date": "date",
    "bigint": "bigint",
    "double": "double",
    "string": "varchar",
    "varchar": "varchar",
    "boolean": "boolean",
    "timestamp": "timestamp",
}


@dataclass(frozen=True)
class Column:
    """A column of a published mart, in the types of the contract; a label says what a coded column means, in a language."""

    name: str
    data_type: str
    description: str
    label_of: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Mart:
    """A published mart; `columns` end with `is_latest_month` and the labels, which the warehouse does not store."""

    name: str
    description: str
    columns: tuple[Column, ...]
    grain: tuple[str, ...]

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns that the warehouse has."""
        return tuple(column.name for column in self.columns if column.name != IS_LATEST and column.label_of is None)

    @property
    def labels(self) -> tuple[Column, ...]:
        """The columns that say in words what a code means; they come last."""
        return tuple(column for column in self.columns if column.label_of is not None)

    def position(self, name: str) -> int:
        """Return where a column stands in a row."""
        return [column.name for column in self.columns].index(name)

    @property
    def filters(self) -> tuple[str, ...]:
        """The dimensions that a reader filters by: the texts of the grain."""
        texts = {column.name for column in self.columns if column.data_type == "varchar"}
        return tuple(name for name in self.grain if name in texts)


LATEST_COLUMN = Column(IS_LATEST, "boolean", "Whether this is the latest closed month; kept by each publication.")


def published_marts(manifest: Path) -> tuple[Mart, ...]:
    """Return the marts that the exposure lists, by name.

    Raises:
        PublishError: the exposure or a contract lacks what publishing needs.
    """
    content = json.loads(manifest.read_text(encoding="utf-8"))
    nodes = content["nodes"]
    exposures = [found for found in content["exposures"].values() if found["name"] == EXPOSURE]
    listed = [nodes[key] for exposure in exposures for key in exposure["depends_on"]["nodes"]]
    if not listed:
        raise PublishError(f"The exposure {EXPOSURE} in dbt_project/models/exposures.yml lists no mart; list what to publish.")
    grains = {test["attached_node"]: test["test_metadata"]["kwargs"]["columns"] for test in nodes.values() if _is_grain(test)}
    return tuple(_mart(node, grains.get(node["unique_id"])) for node in sorted(listed, key=lambda node: str(node["name"])))


def _is_grain(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") == "unique_grain"


def _mart(node: Mapping[str, Any], grain: list[str] | None) -> Mart:
    name = str(node["name"])
    if node["schema"] != "marts" or not grain or MONTH not in node["columns"]:
        raise PublishError(
            f"{name} is listed in dbt_project/models/exposures.yml and cannot be published: only marts with the test "
            f"unique_grain and the column {MONTH} can; take it off the list."
        )
    columns = tuple(_column(name, column) for column in node["columns"].values())
    labels = tuple(label for column in columns for label in _labels(column))
    return Mart(name, " ".join(str(node["description"]).split()), (*columns, LATEST_COLUMN, *labels), tuple(grain))


def _labels(column: Column) -> list[Column]:
    if column.data_type != "varchar" or not is_coded(column.name):
        return []
    return [
        Column(name, "varchar", f"What `{column.name}` means, in {LANGUAGE_NAMES[language]}.", column.name, language)
        for language, name in label_columns(column.name).items()
    ]


def _column(mart: str, column: Mapping[str, Any]) -> Column:
    data_type = TYPES.get(str(column.get("data_type")).lower())
    if data_type is None:
        raise PublishError(
            f"The column {column['name']} of {mart} has the type {column.get('data_type')}, which not every BI tool reads; "
            f"allowed: {', '.join(TYPES)}."
        )
    return Column(str(column["name"]), data_type, " ".join(str(column["description"]).split()))
