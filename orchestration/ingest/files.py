"""Which raw file belongs to which table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.contract import Table
from orchestration.ingest.result import IngestError

SUFFIXES = (".parquet", ".csv", ".csv.gz")
HIVE_SEGMENT = re.compile(r"([^=/]+)=([^/]*)")


@dataclass(frozen=True)
class RawFile:
    """A raw file as it lies in the folder; `path` is relative to the raw folder."""

    table: str
    path: str
    absolute: Path
    size_bytes: int
    modified_ns: int

    @property
    def is_parquet(self) -> bool:
        return self.path.lower().endswith(".parquet")

    @property
    def is_gzip(self) -> bool:
        return self.path.lower().endswith(".gz")

    @property
    def hive_keys(self) -> tuple[str, ...]:
        """Keys of Hive folders (`month=2026-10`) on the way to the file."""
        return tuple(match[1] for match in HIVE_SEGMENT.finditer(self.path.rpartition("/")[0]))


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith((".", "_"))]
    except OSError as error:
        raise IngestError(f"{folder} cannot be read ({error.strerror}); give the ingest the right to list it.") from error
    for entry in found:
        if entry.is_dir():
            yield from _walk(Path(entry.path))
        elif entry.name.lower().endswith(SUFFIXES):
            yield entry


def _table_of(path: str, names: Sequence[str]) -> str | None:
    """The table a path relative to the raw folder belongs to: of the names that fit, the longest."""
    first, _, rest = path.lower().partition("/")
    if rest:
        return first if first in names else None
    stem = next(first.removesuffix(suffix) for suffix in reversed(SUFFIXES) if first.endswith(suffix))
    fitting = [name for name in names if stem == name or (stem.startswith(name) and stem[len(name)] in "-_.")]
    return max(fitting, key=len, default=None)


def _matching(raw_dir: Path, table: str, pattern: str) -> list[Path]:
    try:
        return [path for path in raw_dir.glob(pattern) if path.is_file() and path.name.lower().endswith(SUFFIXES)]
    except (ValueError, NotImplementedError) as error:
        raise IngestError(
            f"BATHTUB_RAW_FILES gives {table} the pattern {pattern!r}; allowed: a glob relative to {raw_dir}."
        ) from error


def _raw_file(table: str, raw_dir: Path, path: Path, stat: os.stat_result) -> RawFile:
    return RawFile(table, path.relative_to(raw_dir).as_posix(), path, stat.st_size, stat.st_mtime_ns)


def find_files(
    raw_dir: Path, tables: Iterable[Table], patterns: Mapping[str, str]
) -> tuple[dict[str, list[RawFile]], list[str]]:
    """Return the files of each table, sorted by path, and the paths of raw files that belong to no table.

    Raises:
        IngestError: the folder or a required table is missing, or a pattern is of no use.
    """
    if not raw_dir.is_dir():
        raise IngestError(f"BATHTUB_RAW_DIR = {str(raw_dir)!r} is no folder; set it to the folder of the raw files.")
    tables = list(tables)
    names = [table.name for table in tables]
    if unknown := sorted(set(patterns) - set(names)):
        raise IngestError(f"BATHTUB_RAW_FILES names {', '.join(unknown)}; the tables are {', '.join(names)}.")
    files: dict[str, list[RawFile]] = {name: [] for name in names}
    claimed: set[str] = set()
    for name, pattern in patterns.items():
        files[name] = [_raw_file(name, raw_dir, path, path.stat()) for path in _matching(raw_dir, name, pattern)]
        claimed.update(file.path for file in files[name])
    strangers = []
    for entry in _walk(raw_dir):
        path = Path(entry.path)
        relative = path.relative_to(raw_dir).as_posix()
        name_of = _table_of(relative, names)
        if relative in claimed:
            continue
        if name_of is None or name_of in patterns:
            strangers.append(relative)
        else:
            files[name_of].append(_raw_file(name_of, raw_dir, path, entry.stat()))
    for found in files.values():
        found.sort(key=lambda file: file.path)
    for table in tables:
        if not files[table.name] and not table.optional:
            _stop_for_missing(raw_dir, table, patterns.get(table.name))
    return files, sorted(strangers)


def _stop_for_missing(raw_dir: Path, table: Table, pattern: str | None) -> None:
    name = table.name
    places = pattern or f"{name}.parquet, {name}.csv, {name}.csv.gz, {name}-*, {name}_* or a folder {name}/"
    columns = ", ".join(column.name for column in table.required)
    raise IngestError(
        f"No file of the required table {name} in {raw_dir} (looked for {places}); "
        f"deliver one with at least the columns {columns}."
    )
