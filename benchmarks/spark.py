"""The Spark target against the laptop's engine at growing sizes, two workers against one, and where the two would meet."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import socket
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.base import LAST_MONTH, Base, say
from benchmarks.figures import Figure, Line, Note, ratios
from benchmarks.project import Project, run_command
from orchestration.months import add_months, month_text

CLUSTER = (sys.executable, "-m", "orchestration.spark.cluster")
WORKER_MEMORY = "2g"
WORKERS = (1, 2)
PROJECTED_WORKERS = (2, 4, 8, 16, 32, 64, 128)
# The month before takes in all history in one go, so that Spark does not close years before it is measured.
FIRST_MONTH = add_months(LAST_MONTH, -1)
PART = "spark"


@dataclass(frozen=True)
class Cost:
    """Seconds of a close as a straight line over the size: a fixed part, and a part for each million profiles."""

    fixed: float
    per_million: float

    @staticmethod
    def fitted(profiles: Sequence[int], seconds: Sequence[float]) -> Cost:
        """Return the line of least squares through at least two sizes."""
        slope, fixed = statistics.linear_regression([n / 1e6 for n in profiles], seconds)
        return Cost(fixed, slope)

    def __str__(self) -> str:
        return f"{self.fixed:.1f} s + {self.per_million:.1f} s per million profiles"


def crossing(laptop: Cost, one: Cost, two: Cost, workers: int) -> float | None:
    """Return the millions of profiles from which a cluster closes faster than the laptop, None when it never does.

    Doubling the workers divides the part that grows by what going from one worker to two divided it by; the fixed part stays.
    """
    gain = max(one.per_million / two.per_million, 1.0)
    per_million = one.per_million / math.pow(workers, math.log2(gain))
    if per_million >= laptop.per_million:
        return None
    return max((two.fixed - laptop.fixed) / (laptop.per_million - per_million), 0.0)


def measure_spark(root: Path, sizes: Sequence[int], repetitions: int) -> list[Line]:
    """Close one month more at each size on DuckDB, on one Spark worker and on two, with the whole command."""
    if importlib.util.find_spec("orchestration.spark") is None or importlib.util.find_spec("pyspark") is None:
        return [Note(PART, "not measured: the Spark target or PySpark is not installed (make .venv/.engines)")]
    bases = [Base(root, size, months=12, events_per_profile=10) for size in sorted(sizes)]
    for base in bases:
        base.make()
    runs: dict[str, dict[int, tuple[float, ...]]] = {"DuckDB": {base.profiles: _on_duckdb(base, repetitions) for base in bases}}
    for workers in WORKERS:
        runs[_name(workers)] = {base.profiles: _on_spark(base, workers, repetitions) for base in bases}
    return _lines(bases, runs)


def _name(workers: int) -> str:
    return f"Spark, {workers} worker{'s' if workers > 1 else ''}"


def _on_duckdb(base: Base, repetitions: int) -> tuple[float, ...]:
    project = Project(base, FIRST_MONTH)
    project.prepare(1)
    return _counted(
        f"DuckDB, {base.profiles:,} profiles", [project.command(LAST_MONTH).seconds for _ in range(repetitions + 1)]
    )


def _on_spark(base: Base, workers: int, repetitions: int) -> tuple[float, ...]:
    """Close the month before on a new cluster, then the last month again and again; its first close warms the cluster."""
    folder = base.home / "spark"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with _cluster(folder / "cluster", folder / "cluster.log", workers) as cluster:
        environment = {
            **base.environment(folder / "bathtub.duckdb", FIRST_MONTH),
            **cluster,
            "BATHTUB_SPARK_STORAGE": str(folder / "storage"),
        }

        def build(*months: str) -> float:
            command = [sys.executable, "-m", "orchestration", "build", *months]
            return run_command(command, environment, folder / "build.log").seconds

        build("--to", month_text(FIRST_MONTH))
        last = ("--from", month_text(LAST_MONTH), "--to", month_text(LAST_MONTH))
        return _counted(f"{_name(workers)}, {base.profiles:,} profiles", [build(*last) for _ in range(repetitions + 1)])


def _counted(what: str, seconds: Sequence[float]) -> tuple[float, ...]:
    say(f"{what}: {', '.join(f'{taken:.1f} s' for taken in seconds)}")
    return tuple(seconds[1:])


@contextmanager
def _cluster(folder: Path, log: Path, workers: int) -> Iterator[Mapping[str, str]]:
    """Start a cluster of workers with one core each, yield the environment that uses it, and stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    size = ["--workers", str(workers), "--cores", "1", "--memory", WORKER_MEMORY]
    try:
        run_command([*CLUSTER, "start", "--folder", str(folder), "--port", port, *size], os.environ, log)
        yield {"BATHTUB_TARGET": "spark", "BATHTUB_SPARK_HOST": "127.0.0.1", "BATHTUB_SPARK_PORT": port}
    finally:
        run_command([*CLUSTER, "stop", "--folder", str(folder)], os.environ, log)


def _lines(bases: Sequence[Base], runs: Mapping[str, Mapping[int, tuple[float, ...]]]) -> list[Line]:
    largest = bases[-1].profiles
    one, two = (_name(workers) for workers in WORKERS)
    lines: list[Line] = [Note(PART, f"whole command, one month more; the largest size: {bases[-1].volume()}")]
    for name, sizes in runs.items():
        lines += [Figure(PART, f"{name}, {size:,} profiles", "s", seconds) for size, seconds in sizes.items()]
    lines.append(
        Figure(PART, f"two workers to one, {largest:,} profiles", "times", ratios(runs[two][largest], runs[one][largest]))
    )
    lines.append(
        Figure(
            PART, f"two workers to DuckDB, {largest:,} profiles", "times", ratios(runs[two][largest], runs["DuckDB"][largest])
        )
    )
    if len(bases) < 2:
        return [*lines, Note(PART, "no projection: it takes two sizes")]
    costs = {
        name: Cost.fitted([base.profiles for base in bases], [statistics.median(sizes[base.profiles]) for base in bases])
        for name, sizes in runs.items()
    }
    lines += [Note(PART, f"line of least squares: {name}: {cost}") for name, cost in costs.items()]
    if min(cost.per_million for cost in costs.values()) <= 0:
        return [*lines, Note(PART, "no projection: the sizes are too small for their cost to grow with them")]
    # Workers that share the cores of one machine may show no gain, where others would: what an even share would give.
    even = Cost(costs[one].fixed, costs[one].per_million / 2)
    for way, second in (("projected", costs[two]), ("at best, with an even share each", even)):
        for workers in PROJECTED_WORKERS:
            where = _where(crossing(costs["DuckDB"], costs[one], second, workers))
            lines.append(Note(PART, f"{way}, {workers} workers of one core: {where}"))
    return lines


def _where(millions: float | None) -> str:
    if millions is None:
        return "never faster than the laptop"
    return f"faster than the laptop from {millions:.1f} million profiles on"
