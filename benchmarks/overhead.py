"""What the orchestrator costs when there is nothing to do: the command, and the import of the definitions."""

from __future__ import annotations

import sys

from benchmarks.base import LAST_MONTH, Base, say
from benchmarks.figures import Figure, Line, differences
from benchmarks.project import Project, run_command
from orchestration.months import add_months, month_text


def measure_overhead(base: Base, repetitions: int) -> list[Line]:
    """Run each command turn by turn; the first turn is not counted."""
    project = Project(base, base.first_month)
    project.prepare(base.months - 1)
    commands = {
        "make build, nothing to close": ["make", "build", f"TO={month_text(add_months(LAST_MONTH, -1))}"],
        "import dagster and dagster_dbt": [sys.executable, "-c", "import dagster, dagster_dbt"],
        "import the definitions": [sys.executable, "-c", "import orchestration.definitions"],
    }
    runs: dict[str, list[float]] = {what: [] for what in commands}
    for turn in range(repetitions + 1):
        for what, command in commands.items():
            taken = run_command(command, project.environment, project.home / "overhead.log").seconds
            say(f"overhead, turn {turn}: {what}: {taken:.2f} s")
            if turn:
                runs[what].append(taken)
    build, dagster, definitions = commands
    added = differences(runs[definitions], runs[dagster])
    return [
        Figure("overhead", build, "s", tuple(runs[build]), 6),
        Figure("overhead", dagster, "s", tuple(runs[dagster])),
        Figure("overhead", definitions, "s", tuple(runs[definitions])),
        Figure("overhead", "the definitions add", "s", added, 1),
    ]
