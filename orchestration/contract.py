"""The raw contract as data, read from its one home: the dbt source `raw`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import yaml

from orchestration.settings import DBT_PROJECT_DIR, ConfigurationError, ProfileField

CONTRACT_FILE = DBT_PROJECT_DIR / "models" / "staging" / "_raw__sources.yml"


@dataclass(frozen=True)
class Column:
    """A column of a raw table; `data_type` is varchar, timestamp, date or double.

    One that is added by the ingest and `changed_with` others says when those last changed.
    """

    name: str
    data_type: str
    required: bool = False
    added_by_ingest: bool = False
    changed_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A raw table: its key, and the business timestamp `latest` that decides between rows loaded at the same time."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    latest: str
    optional: bool = False
    description: str = ""

    @property
    def delivered(self) -> tuple[Column, ...]:
        """The columns that files may bring."""
        return tuple(c for c in self.columns if not c.added_by_ingest)

    @property
    def required(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if c.required)


def _table(entry: dict[str, Any]) -> Table:
    meta = entry["config"]["meta"]
    columns = []
    for column in entry["columns"]:
        flags = dict(column.get("config", {}).get("meta", {}))
        changed_with = tuple(flags.pop("changed_with", ()))
        columns.append(Column(column["name"], column["data_type"], changed_with=changed_with, **flags))
    key = [meta["key"]] if isinstance(meta["key"], str) else meta["key"]
    return Table(entry["name"], tuple(columns), tuple(key), meta["latest"], meta.get("optional", False), entry["description"])


@cache
def _tables() -> tuple[Table, ...]:
    sources = yaml.safe_load(CONTRACT_FILE.read_text(encoding="utf-8"))["sources"]
    return tuple(_table(entry) for source in sources if source["name"] == "raw" for entry in source["tables"])


def raw_tables(profile_fields: Sequence[ProfileField] = ()) -> tuple[Table, ...]:
    """Return the raw tables; columns that `profile_fields` names join customers as optional text.

    Raises:
        ConfigurationError: a profile field names a column that cannot be judged as text.
    """
    tables = list(_tables())
    for i, table in enumerate(tables):
        if table.name == "customers":
            known = {c.name: c.data_type for c in table.columns}
            for field in profile_fields:
                _check(field, known)
            wanted = dict.fromkeys(c for f in profile_fields for c in f.raw_columns if c not in known)
            tables[i] = replace(table, columns=(*table.columns, *(Column(c, "varchar") for c in wanted)))
    return tuple(tables)


def _check(field: ProfileField, known: Mapping[str, str]) -> None:
    """A birth date is judged by its age, in a field of its own; everything else is text."""
    if field.name == "birth_date" and field.raw_columns == ["birth_date"]:
        return
    for column in field.raw_columns:
        if field.name == "birth_date" or known.get(column, "varchar") != "varchar":
            raise ConfigurationError(
                f"profile_fields: {field.name} is made of {column}, a {known.get(column, 'text')}; allowed: columns of text, "
                "and birth_date from birth_date alone."
            )
