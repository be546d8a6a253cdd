"""Counts by a few keys, summed while they are added, written as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Key = tuple[int, ...]


@dataclass
class Cube:
    """Measures by cell; a cell is one value of each dimension, as an index. What was never added is 0."""

    dimensions: Sequence[str]
    cells: dict[Key, dict[str, float]] = field(default_factory=dict)

    def add(self, key: Key, measure: str, value: float | None) -> None:
        """Add to a measure of a cell; None adds nothing, not even the cell."""
        if value is not None:
            cell = self.cells.setdefault(key, {})
            cell[measure] = cell.get(measure, 0) + value

    def columns(self) -> dict[str, Any]:
        """Return `{"keys": {dimension: [...]}, "measures": {name: [...]}}`, a place per cell, in order of the keys."""
        keys = sorted(self.cells)
        names = sorted({name for cell in self.cells.values() for name in cell})
        return {
            "keys": {name: [key[i] for key in keys] for i, name in enumerate(self.dimensions)},
            "measures": {name: _short(self.cells[key].get(name, 0) for key in keys) for name in names},
        }


def _short(values: Iterable[float]) -> list[float]:
    """Counts are written without a point; shares of a change with as many digits as anybody reads."""
    return [int(value) if value == int(value) else float(f"{value:.6g}") for value in values]
