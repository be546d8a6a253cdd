"""Asking what is published, with the rights of a BI tool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors, sql

from orchestration.publish import PublishError
from orchestration.publish.embedded import reader_dsn
from orchestration.publish.reader import READER
from orchestration.publish.run import server
from orchestration.settings import Settings

Answer = tuple[list[str], list[tuple[Any, ...]]]


def ask(settings: Settings, statement: str) -> Answer:
    """Return the columns and rows of a statement, run as `bi_reader`.

    Raises:
        PublishError: the server does not answer, or refuses the statement.
    """
    with server(settings) as dsn:
        embedded = not settings.postgres_dsn
        try:
            with psycopg.connect(reader_dsn(dsn, settings.postgres_dir) if embedded else dsn) as connection:
                connection.read_only = True
                if not embedded:
                    connection.execute(sql.SQL("set role {}").format(sql.Identifier(READER)))
                # Prepared: one statement, so that none of several could take other rights.
                cursor = connection.execute(statement.encode(), prepare=True)
                return [column.name for column in cursor.description or []], cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise PublishError(_sentence(error)) from error


def _sentence(error: psycopg.Error) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, errors.UndefinedTable):
        return f"PostgreSQL refused the query: {reason}. The marts are in the schema marts; publish them with: make publish"
    if isinstance(error, errors.InsufficientPrivilege):
        return f"PostgreSQL refused the query: {reason}. {READER} may only read the schema marts."
    return f"PostgreSQL refused the query: {reason}."


def as_text(answer: Answer) -> list[str]:
    """Return an answer as lines: numbers to the right, the rest to the left."""
    names, rows = answer
    if not names:
        return []
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [names, *cells]) for i in range(len(names))]
    right = [
        all(isinstance(row[i], int | float) and not isinstance(row[i], bool) for row in rows if row[i] is not None)
        for i in range(len(names))
    ]
    lines: Sequence[Sequence[str]] = [names, ["-" * width for width in widths], *cells]
    return [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    ]
