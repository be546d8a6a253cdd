"""GoogleSQL itself: its analyser resolves a statement against declared tables, its reference implementation runs a query."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from zetasql.api import Analyzer, CatalogBuilder, PreparedQuery, TableBuilder, Value
from zetasql.core.exceptions import ZetaSQLError
from zetasql.types import (
    AnalyzerOptions,
    LanguageOptions,
    ProductMode,
    ResolvedStatement,
    SimpleCatalog,
    SimpleTable,
    TableContent,
    TableData,
    TypeKind,
    ZetaSQLBuiltinFunctionOptions,
)
from zetasql.types import Value as ProtoValue

# The words of the raw contract and of the marts' contracts.
TYPES = {
    "varchar": TypeKind.TYPE_STRING,
    "bigint": TypeKind.TYPE_INT64,
    "double": TypeKind.TYPE_DOUBLE,
    "boolean": TypeKind.TYPE_BOOL,
    "date": TypeKind.TYPE_DATE,
    "timestamp": TypeKind.TYPE_TIMESTAMP,
}
WORDS = {kind: word for word, kind in TYPES.items()}
Columns = Mapping[str, str]
Rows = list[tuple[Any, ...]]
# To and from the reference implementation's values; instants are UTC without a zone.
TO_VALUE: dict[str, Callable[[Any], Value]] = {
    "varchar": Value.string,
    "bigint": Value.int64,
    "double": Value.double,
    "boolean": Value.bool,
    "date": lambda day: Value.date(day.year, day.month, day.day),
    "timestamp": lambda instant: Value.timestamp(instant.replace(tzinfo=UTC)),
}
EPOCH = datetime(1970, 1, 1)
FROM_VALUE: dict[str, Callable[[Value], Any]] = {
    "varchar": Value.get_string,
    "bigint": Value.get_int64,
    "double": Value.get_double,
    "boolean": Value.get_bool,
    "date": Value.get_date,
    # Queries give instants as numbers: the values that come back hold none that can be read.
    "timestamp": lambda value: EPOCH + timedelta(microseconds=value.get_int64()),
}


class GoogleSqlError(Exception):
    """The statement is not valid; the message is the analyser's."""


class GoogleSql:
    """An analyser for a project of BigQuery; its tables are named `schema.table`, with or without the project before."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._tables: dict[str, dict[str, Columns]] = {}
        self._language = LanguageOptions.maximum_features()
        self._language.product_mode = ProductMode.PRODUCT_EXTERNAL

    def declare(self, schema: str, table: str, columns: Columns) -> None:
        """Make a table known, in place of one of its name; types are the words of the contracts."""
        self._tables.setdefault(schema, {})[table] = columns

    def declared(self, relation: str) -> Columns:
        """The columns of a declared `schema.table`."""
        schema, _, table = relation.partition(".")
        return self._tables[schema][table]

    def columns(self, query: str) -> dict[str, str]:
        """Return the columns of a query, in order, with their types in the words of the contracts.

        Raises:
            GoogleSqlError: the query does not resolve, or a column has no name or no type of the contracts.
        """
        found = self._analyse(query).output_column_list
        columns = {column.name: WORDS.get(column.column.type.type_kind, "") for column in found}
        nameless = [name for name, word in columns.items() if name.startswith("$") or not word]
        if nameless or len(columns) < len(found):
            raise GoogleSqlError(
                f"Columns without a name or a type of the contracts, or of one name: {nameless or list(columns)}"
            )
        return columns

    def check(self, statement: str) -> None:
        """Resolve any statement.

        Raises:
            GoogleSqlError: it does not resolve.
        """
        self._analyse(statement)

    def rows(self, query: str, contents: Mapping[str, Rows]) -> Rows:
        """Run a query on the rows of the declared tables that it reads, by `schema.table`.

        Raises:
            GoogleSqlError: the query does not resolve.
        """
        words = self.columns(query)
        columns = ", ".join(f"unix_micros({name}) as {name}" if words[name] == "timestamp" else name for name in words)
        flat = f"select {columns} from (\n{query}\n)"
        catalog, read = CatalogBuilder("").with_builtin_functions(self._functions()), {}
        # The content of a table goes by one name without a path.
        for path in set(re.findall(rf"(?:`{self._project}`\.)?`\w+`\.`\w+`", query)):
            schema, table = path.replace("`", "").split(".")[-2:]
            name, declared = f"{schema}__{table}", self._tables[schema][table]
            if name not in read:
                catalog.add_table(_table(name, declared))
                read[name] = _content(declared, contents[f"{schema}.{table}"])
            flat = re.sub(rf"(?<![`.]){re.escape(path)}", name, flat)
        query_builder = PreparedQuery.builder().set_sql(flat).set_analyzer_options(self._options())
        with query_builder.set_catalog(catalog.build()).set_table_content(read).prepare() as prepared:
            data = prepared.execute().content.table_data
        found = data.row if data else []
        return [tuple(_from_value(cell, word) for cell, word in zip(row.cell, words.values(), strict=True)) for row in found]

    def _options(self) -> AnalyzerOptions:
        # BigQuery's own default; GoogleSQL's is America/Los_Angeles.
        return AnalyzerOptions(language_options=self._language, default_timezone="UTC")

    def _functions(self) -> ZetaSQLBuiltinFunctionOptions:
        return ZetaSQLBuiltinFunctionOptions(language_options=self._language)

    def _analyse(self, statement: str) -> ResolvedStatement:
        try:
            return Analyzer(self._options(), self._catalog()).analyze_statement(statement)
        except ZetaSQLError as error:
            raise GoogleSqlError(str(error)) from error

    def _catalog(self) -> SimpleCatalog:
        catalog = CatalogBuilder("").with_builtin_functions(self._functions()).build()
        project = CatalogBuilder(self._project).build()
        project.catalog = [_schema(name, tables) for name, tables in self._tables.items()]
        catalog.catalog = [project, *project.catalog]
        return catalog


def _schema(name: str, tables: Mapping[str, Columns]) -> SimpleCatalog:
    schema = CatalogBuilder(name)
    for table, columns in tables.items():
        schema.add_table(_table(table, columns))
    return schema.build()


def _table(name: str, columns: Columns) -> SimpleTable:
    table = TableBuilder(name)
    for column, word in columns.items():
        table.add_column(column, TYPES[word])
    return table.build()


def _content(columns: Columns, rows: Rows) -> TableContent:
    cells = [[_to_value(value, word) for value, word in zip(row, columns.values(), strict=True)] for row in rows]
    return TableContent(table_data=TableData(row=[TableData.Row(cell=row) for row in cells]))


def _to_value(value: Any, word: str) -> ProtoValue:
    return ProtoValue() if value is None else TO_VALUE[word](value).to_proto()


def _from_value(cell: ProtoValue, word: str) -> Any:
    value = Value(cell, TYPES["bigint" if word == "timestamp" else word])
    return None if value.is_null() else FROM_VALUE[word](value)
