"""What the relations of a warehouse hold after a close: their columns and rows, for Dagster's page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.warehouse import reading

# Schema and name of a relation.
Name = tuple[str, str]


@dataclass
class Relation:
    """A table or view: the type of each column, in order, and the number of rows where it was asked for."""

    columns: dict[str, str] = field(default_factory=dict)
    n_rows: int | None = None


def relations(warehouse: Path, counted: Collection[Name]) -> Mapping[Name, Relation]:
    """Return the relations of a warehouse file by schema and name, with the rows of those in `counted`.

    DuckDB knows how many rows a table or a Parquet file has: no rows are read.

    Raises:
        WarehouseError: the file cannot be opened.
    """
    found: dict[Name, Relation] = {}
    with reading(warehouse) as connection:
        for schema, name, column, data_type in connection.execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns() "
            "where not internal and database_name = current_database() order by schema_name, table_name, column_index"
        ).fetchall():
            found.setdefault((schema, name), Relation()).columns[column] = data_type
        for schema, name in counted:
            row = connection.execute(f'select count(*) from "{schema}"."{name}"').fetchone()
            found[schema, name].n_rows = row[0] if row else None
    return found
