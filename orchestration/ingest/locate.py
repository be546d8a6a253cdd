"""Line numbers of records in a CSV file, which DuckDB's reader does not give."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

# Between the values of a record written as one text; no delivered value holds it.
UNIT = chr(31)


@dataclass(frozen=True)
class Located:
    """A record found again: its first line, its text as it lies in the file, and its number of values."""

    record: str
    line: int
    text: str
    width: int
    offset: int


class _Lines:
    """Lines of a file that remember where the current record began."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.number = 0
        self.offset = 0
        self.record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self.stream:
            self.number += 1
            self.record.append(line)
            yield line.removeprefix("\ufeff") if self.number == 1 else line

    def start(self) -> None:
        self.offset += sum(len(line.encode("utf-8", "surrogateescape")) for line in self.record)
        self.record = []


def records(path: Path, delimiter: str) -> Iterator[Located]:
    """Yield the records of a file, header included; `offset` is the byte the record starts at, from 0."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    # A value may be as long as the CSV reader lets a line be.
    csv.field_size_limit(2**31 - 1)
    with opener(path, "rt", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        lines = _Lines(stream)
        for values in csv.reader(iter(lines), delimiter=delimiter):
            text = "".join(lines.record)
            first = lines.number - len(lines.record) + 1
            yield Located(UNIT.join(values), first, text.rstrip("\r\n"), len(values), lines.offset)
            lines.start()
