"""The Spark target against the laptop's engine, and two workers against one."""

from __future__ import annotations

from benchmarks.base import Base
from benchmarks.figures import Line, Note


def measure_spark(base: Base, repetitions: int) -> list[Line]:
    """Return a note that there is no Spark target yet."""
    return [Note("spark", "not measured: this version has no Spark target")]
