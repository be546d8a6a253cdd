"""The same month closed with eleven months of history kept, and with all of them: the same raw rows, the same profiles."""

from __future__ import annotations

from benchmarks.base import LAST_MONTH, Base, say
from benchmarks.figures import Figure, Line, Note, ratios
from benchmarks.project import Project
from orchestration.months import add_months, month_text

SHORT = 12


def measure_growth(base: Base, repetitions: int) -> list[Line]:
    """Close the last month as the twelfth and as the last of all, turn by turn; the first turn is not counted.

    Months differ in volume, so the month is the same one. The short warehouse is of the same base and begins eleven months
    before: its first month takes in all that was known by then, so that it carries the same profiles.
    """
    histories = {months: Project(base, add_months(LAST_MONTH, 1 - months)) for months in (SHORT, base.months)}
    for months, project in histories.items():
        project.prepare(months - 1)
    engine: dict[int, list[float]] = {months: [] for months in histories}
    command: dict[int, list[float]] = {months: [] for months in histories}
    for turn in range(repetitions + 1):
        for months, project in histories.items():
            close = project.try_close([LAST_MONTH])
            run = project.command(LAST_MONTH)
            say(f"growth, turn {turn}: month {months}: engine {close.all_models_seconds:.2f} s, command {run.seconds:.1f} s")
            if turn:
                engine[months].append(close.all_models_seconds)
                command[months].append(run.seconds)
    part, short, long = "growth", SHORT, base.months
    return [
        Note(part, f"{month_text(LAST_MONTH)} closed as month {short} and as month {long} of its history; {base.volume()}"),
        *(Figure(part, f"month {months}, in the engine", "s", tuple(engine[months])) for months in histories),
        Figure(part, f"in the engine: month {long} to month {short}", "times", ratios(engine[long], engine[short]), 1.15),
        *(Figure(part, f"month {months}, whole command", "s", tuple(command[months])) for months in histories),
        Figure(part, f"whole command: month {long} to month {short}", "times", ratios(command[long], command[short]), 1.15),
    ]
