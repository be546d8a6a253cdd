"""How much memory a close takes, and how much room a profile and month take on disk."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.base import LAST_MONTH, Base, say
from benchmarks.figures import Figure, Line, Note
from benchmarks.project import Project, Run


def measure_memory(bases: Sequence[Base], repetitions: int) -> list[Line]:
    """Close one month more of each base with the whole command; every run counts, the dearest decides."""
    lines: list[Line] = []
    for base in bases:
        base.make()
        project = Project(base, base.first_month)
        project.prepare(base.months - 1)
        runs = [_close(project, turn) for turn in range(repetitions)]
        rows = project.profile_months()
        size = f"{base.profiles:,} profiles"
        peak = max(run.peak_bytes for run in runs) / 1e9
        lines += [
            Note("memory", f"{size}: {base.volume()}"),
            Figure("memory", f"{size}: peak of the whole command, all its processes", "GB", (peak,), 4),
            Figure("memory", f"{size}: whole command", "s", tuple(run.seconds for run in runs)),
            Figure("memory", f"{size}: on disk, per profile and month", "bytes", (project.bytes_on_disk() / rows,)),
        ]
    return lines


def _close(project: Project, turn: int) -> Run:
    run = project.command(LAST_MONTH)
    say(f"memory, turn {turn + 1}: {project.base.profiles:,} profiles: {run.peak_bytes / 1e9:.2f} GB, {run.seconds:.1f} s")
    return run
