"""How long it takes to judge the coordinates of every profile (e-mail, telephone, post), and then of those that changed."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.base import LAST_MONTH, Base, say
from benchmarks.figures import Figure, Line, Note
from benchmarks.project import Project

PART = "reachability"
MODEL = "int_judged_coordinates"
# What happens to the base before each turn, and what is judged then.
TURNS = {
    "all judged": "select 1",
    "judged again when none changed": "select 1",
    "judged again when 1 in 100 changed": "update raw.customers set email = 'x' || email where hash(customer_id) % 100 = 0",
}


def measure_reachability(bases: Sequence[Base], repetitions: int) -> list[Line]:
    """Judge the profiles of each base with the models; the target is that of 10 million profiles, all judged."""
    lines: list[Line] = []
    for base in bases:
        base.make()
        project = Project(base, LAST_MONTH, "judged")
        project.prepare(0)
        runs: dict[str, list[float]] = {words: [] for words in TURNS}
        for _ in range(repetitions):
            builds, counts = project.try_model(MODEL, LAST_MONTH, TURNS.values(), "email_form", "phone_form", "post_form")
            for words, build in zip(TURNS, builds, strict=True):
                runs[words].append(build.all_models_seconds)
                say(f"reachability: {base.profiles:,} profiles, {words}: {runs[words][-1]:.1f} s")
        filled = "{:,} profiles, {:,} e-mail addresses, {:,} numbers, {:,} postal addresses".format(*counts)
        lines.append(Note(PART, filled))
        for words, seconds in runs.items():
            most = 90.0 if base.profiles == 10_000_000 and words == "all judged" else None
            lines.append(Figure(PART, f"{base.profiles:,} profiles, {words}, in the engine", "s", tuple(seconds), most))
    return lines
