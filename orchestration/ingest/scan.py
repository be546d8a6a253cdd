"""A first pass over a CSV file that counts its records and takes out what would make a CSV reader lose its place.

An opening quote that is never closed makes any reader swallow the good lines after it, and mixed line endings make
DuckDB stop. Both are repaired in a copy that keeps one line for one line, so line numbers stay right. The count of
records is what the reader's result is held against: nothing may get lost between the two.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TextIO

from orchestration.ingest.files import RawFile
from orchestration.ingest.layouts import Layout, incomplete_gzip, open_csv

CHUNK_BYTES = 1 << 20
# A quoted value that spans more lines than this was not meant to: its quote is a stray one.
MOST_LINES_IN_A_RECORD = 1000


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no record; `number` counts from 1."""

    number: int
    text: str
    reason: str = "a quote is opened and not closed"


@dataclass
class Scan:
    """Records below the header, the lines taken out, and the path to read: the file itself or its repaired copy."""

    n_records: int
    path: Path
    broken: list[BrokenLine] = field(default_factory=list)


@dataclass
class _Bytes:
    has_quotes: bool = False
    has_blank_lines: bool = False
    has_mixed_endings: bool = False
    n_lines: int = 0


def _look(file: RawFile) -> _Bytes:
    found = _Bytes()
    n_lf = n_crlf = n_cr = 0
    last = b""
    with open_csv(file) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            seam = last + chunk
            n_lf += chunk.count(b"\n")
            n_cr += chunk.count(b"\r")
            n_crlf += seam.count(b"\r\n")
            found.has_quotes = found.has_quotes or b'"' in chunk
            found.has_blank_lines = found.has_blank_lines or any(blank in seam for blank in (b"\n\n", b"\n\r", b"\r\r"))
            last = chunk[-1:]
    found.has_mixed_endings = n_cr not in (0, n_crlf) or n_crlf not in (0, n_lf)
    if n_cr and not n_lf:
        found.has_mixed_endings = found.has_quotes
    found.n_lines = (n_lf or n_cr) + (last not in (b"\n", b"\r"))
    return found


def _lines(file: RawFile) -> TextIO:
    """The file's lines with `\\n` endings; Latin-1 maps every byte to one character and back."""
    return io.TextIOWrapper(open_csv(file), encoding="latin-1", newline=None)


@cache
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    d = re.escape(delimiter)
    value = r'"[^"]*+(?:""[^"]*+)*+'
    item = rf'(?:{value}"|[^"{d}\n][^{d}\n]*+|)'
    return re.compile(rf"{item}(?:{d}{item})*+\n?"), re.compile(rf"(?:{item}{d})*+{value}")


def _width(record: str, delimiter: str) -> int:
    return len(next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter), []))


class _Records:
    """Splits lines into records; a line that opens a quote and never closes it is set aside."""

    def __init__(self, lines: Iterator[str], layout: Layout, is_thorough: bool) -> None:
        self.lines = enumerate(lines, start=1)
        self.delimiter = layout.delimiter or ","
        self.width = len(layout.columns)
        self.is_thorough = is_thorough
        self.complete, self.open = _patterns(self.delimiter)
        self.again: deque[tuple[int, str]] = deque()
        self.broken: list[BrokenLine] = []
        self.n_records = 0

    def _next(self) -> tuple[int, str] | None:
        return self.again.popleft() if self.again else next(self.lines, None)

    def count(self) -> None:
        while (item := self._next()) is not None:
            number, line = item
            if line == "\n":
                continue
            # An even number of quotes closes what it opens, but for lines such as `2"x,"abc`.
            if '"' not in line or (not self.is_thorough and line.count('"') % 2 == 0) or self.complete.fullmatch(line):
                self.n_records += 1
            elif self.open.fullmatch(line):
                self._span(number, line)
            else:
                self._set_aside(number, line, "a quoted value is followed by more text")

    def _span(self, number: int, first: str) -> None:
        """A record that starts here and goes on in the lines below, or a stray quote."""
        taken = [(number, first)]
        text = first
        while len(taken) <= MOST_LINES_IN_A_RECORD and (item := self._next()) is not None:
            taken.append(item)
            text += item[1]
            if '"' not in item[1] or self.open.fullmatch(text):
                continue
            if self.complete.fullmatch(text) and not self._swallowed(text, taken[1:]):
                self.n_records += 1
                return
            break
        self._set_aside(number, first, "a quote is opened and not closed")
        self.again.extendleft(reversed(taken[1:]))

    def _swallowed(self, text: str, below: list[tuple[int, str]]) -> bool:
        if _width(text, self.delimiter) == self.width:
            return False
        return any(self.complete.fullmatch(line) and _width(line, self.delimiter) == self.width for _, line in below)

    def _set_aside(self, number: int, line: str, reason: str) -> None:
        text = line.rstrip("\n").encode("latin-1").decode("utf-8", "replace")
        self.broken.append(BrokenLine(number, text, reason))


def _write_copy(file: RawFile, broken: set[int], copy: Path) -> None:
    with _lines(file) as lines, copy.open("w", encoding="latin-1", newline="") as out:
        for number, line in enumerate(lines, start=1):
            out.write("\n" if number in broken else line)


def scan(file: RawFile, layout: Layout, copy: Path, is_thorough: bool = False) -> Scan:
    """Count the records of a file and repair it into `copy` where a CSV reader would lose its place.

    `is_thorough` judges each quoted line by the grammar, not by the number of its quotes.

    Raises:
        IngestError: the file is a gzip that ends too early.
    """
    try:
        found = _look(file)
        if not (found.has_quotes or found.has_blank_lines or found.has_mixed_endings or is_thorough):
            return Scan(found.n_lines - 1, file.absolute)
        with _lines(file) as lines:
            records = _Records(lines, layout, is_thorough)
            records.count()
        broken = {line.number for line in records.broken}
        if broken or found.has_mixed_endings:
            _write_copy(file, broken, copy)
            return Scan(records.n_records - 1, copy, records.broken)
        return Scan(records.n_records - 1, file.absolute)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise incomplete_gzip(file, error) from error
