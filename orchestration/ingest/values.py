"""SQL that turns what a file holds into the contract's types, the same for CSV text and Parquet values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.contract import Column

EMPTY = 2
UNREADABLE = 1
KINDS = {"timestamp": "a timestamp", "date": "a date", "double": "a number", "varchar": "a text"}
FIRST_INSTANT = "0001-01-01"
AFTER_LAST_INSTANT = "10000-01-01"


def literal(value: object) -> str:
    """A SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Value:
    """A contract column as one layout brings it: `source` is SQL, None when the files lack the column."""

    column: Column
    source: str | None
    source_type: str = "VARCHAR"

    @property
    def is_id(self) -> bool:
        return self.column.name.endswith("_id")

    @property
    def is_text(self) -> bool:
        return self.source_type == "VARCHAR"

    @property
    def can_fail(self) -> bool:
        return self.source is not None and (self.column.required or self.column.data_type != "varchar")

    def sql(self) -> str:
        """The typed value; null when it is empty, cannot be read or lies outside the years 1 to 9999."""
        parsed = self.unchecked_sql()
        if self.source is None or self.column.data_type == "varchar":
            return parsed
        if self.column.data_type == "double":
            return f"case when isfinite({parsed}) then {parsed} end"
        kind = self.column.data_type
        return f"case when {parsed} >= {kind} '{FIRST_INSTANT}' and {parsed} < {kind} '{AFTER_LAST_INSTANT}' then {parsed} end"

    def unchecked_sql(self, is_trimmed: bool = False) -> str:
        """The typed value without the range check, as plain as possible: it lets filters reach Parquet row groups.

        With `is_trimmed`, ids are known to be neither padded nor empty.
        """
        if self.source is None:
            return f"cast(null as {self.column.data_type})"
        if self.column.data_type == "varchar":
            return self._text_sql(is_trimmed)
        if self.column.data_type == "timestamp":
            return self._timestamp_sql()
        if self.column.data_type == "date":
            return self._date_sql()
        return self._double_sql()

    def _as_text(self) -> str:
        return str(self.source) if self.is_text else f"cast({self.source} as varchar)"

    def _text_sql(self, is_trimmed: bool) -> str:
        if is_trimmed or not (self.is_id and self.is_text):
            return self._as_text()
        return f"nullif(trim({self._as_text()}), '')"

    def _timestamp_sql(self) -> str:
        if self.source_type == "TIMESTAMP":
            return str(self.source)
        if self.source_type == "TIMESTAMP WITH TIME ZONE":
            # Independent of the reader's session zone, and DuckDB still prunes row groups through it.
            return f"make_timestamp(epoch_us({self.source}))"
        if self.source_type in ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"):
            return f"cast({self.source} as timestamp)"
        text = f"trim({self._as_text()})"
        # A plain timestamp cast would drop an offset or a zone silently; a cast to timestamptz reads it.
        return (
            f"case when regexp_matches({text}, ':.*[A-Za-z+-]') "
            f"then make_timestamp(epoch_us(try_cast({text} as timestamptz))) "
            f"when lower({text}) <> 'epoch' then try_cast({text} as timestamp) end"
        )

    def _date_sql(self) -> str:
        if self.source_type == "DATE":
            return str(self.source)
        if self.source_type.startswith("TIMESTAMP"):
            return f"cast({self._timestamp_sql()} as date)"
        text = f"trim({self._as_text()})"
        return f"case when lower({text}) <> 'epoch' then try_cast({text} as date) end"

    def _double_sql(self) -> str:
        if self.source_type == "DOUBLE":
            return str(self.source)
        if self.is_text or self.source_type == "BOOLEAN":
            return f"try_cast(trim({self._as_text()}) as double)"
        return f"try_cast({self.source} as double)"

    def problem_sql(self, typed: str) -> str:
        """SQL for what is wrong with the value: 0, EMPTY or UNREADABLE; `typed` is SQL for the typed value."""
        given = f"nullif(trim({self.source}), '')" if self.is_text else str(self.source)
        if self.column.data_type == "varchar":
            present = f"nullif(trim({typed}), '')"
            return f"case when {present} is null then {EMPTY} else 0 end"
        if_absent = EMPTY if self.column.required else 0
        return f"case when {typed} is not null then 0 when {given} is null then {if_absent} else {UNREADABLE} end"


def problems_sql(values: Sequence[Value], typed: Sequence[str]) -> str:
    """SQL for all problems of a row as one number, two bits a column in the order of `values`."""
    terms = [
        f"(cast({value.problem_sql(sql)} as bigint) << {2 * place})"
        for place, (value, sql) in enumerate(zip(values, typed, strict=True))
        if value.can_fail
    ]
    return "(" + (" + ".join(terms) or "0") + ")"


def reason(column: Column, problem: int) -> str:
    """The sentence for a problem, without the value."""
    if problem == EMPTY:
        return f"{column.name} is empty"
    return f"{column.name} is not {KINDS[column.data_type]}"
