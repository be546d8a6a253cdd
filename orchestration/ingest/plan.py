"""What has to be read again, and what not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.contract import Table
from orchestration.ingest.accounts import Books, KnownFile, contract_of
from orchestration.ingest.files import RawFile


@dataclass(frozen=True)
class Plan:
    """The files of a table, and those that were not there, or not like this, at the last ingest."""

    table: Table
    files: Sequence[RawFile]
    new: Sequence[RawFile]
    known: Mapping[str, KnownFile]
    n_changed: int
    n_vanished: int
    is_full: bool

    @property
    def has_work(self) -> bool:
        return self.is_full or bool(self.new)

    @property
    def changed_paths(self) -> set[str]:
        return {file.path for file in self.new if file.path in self.known}

    def first_seen(self, now: datetime) -> dict[str, datetime]:
        """When each file was first seen, by path."""
        return {file.path: self.known[file.path].first_seen_at if file.path in self.known else now for file in self.files}

    def assumed_loads(self, now: datetime, history_until: datetime | None, has_memory: bool) -> dict[str, datetime | None]:
        """The load time, by path, of rows that bring none: null for the first ingest's files, else when first seen.

        A changed file counts as seen now, where the rows of before are at hand to keep their own load times.
        """
        first_seen = self.first_seen(now)
        if has_memory:
            first_seen.update(dict.fromkeys(self.changed_paths, now))
        if history_until is None:
            return dict.fromkeys(first_seen)
        return {path: seen if seen > history_until else None for path, seen in first_seen.items()}


def make_plan(table: Table, files: Sequence[RawFile], books: Books, is_moved: bool, exists: bool) -> Plan:
    """Compare a table's files with the books; `is_moved`: the raw folder is another; `exists`: `raw.<table>` does."""
    known = books.files.get(table.name, {})
    result = books.tables.get(table.name)
    new = [
        file
        for file in files
        if (old := known.get(file.path)) is None or (old.size_bytes, old.modified_ns) != (file.size_bytes, file.modified_ns)
    ]
    n_changed = sum(file.path in known for file in new)
    n_vanished = len(known) + len(new) - n_changed - len(files)
    is_full = (
        result is None
        or not exists
        or bool(n_changed or n_vanished)
        or result.is_present != bool(files)
        or books.contracts[table.name] != contract_of(table)
        or (result.is_view and is_moved)
    )
    return Plan(table, files, new, known, n_changed, n_vanished, is_full)
