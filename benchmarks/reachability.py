"""How long it takes to judge the coordinates of every profile (e-mail, telephone, post), and then of those that changed."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.base import LAST_MONTH, Base, say
from benchmarks.figures import Figure, Line, Note
from benchmarks.project import Project

PART = "reachability"
MODEL = "int_judged_coordinates"
ALL = "all judged"
# What happens to the base before each further turn, and what is judged then.
AGAIN = {
    "judged again when none changed": "select 1",
    "judged again when 1 in 100 changed": "update raw.customers set email = 'x' || email where hash(customer_id) % 100 = 0",
}
# Other people of the same names and places, with other ids, addresses and numbers. Orders and events are not read here, and
# those of ten million profiles take longer to make than all the rest.
REPEAT = """
    create table raw.repeated as
    select * replace (
        customer_id || '-' || copy as customer_id,
        copy || email as email,
        case
            when regexp_matches(phone, '[0-9]{{3}}$')
                then phone[:-4] || lpad(((phone[-3:]::int * 7 + copy) % 1000)::varchar, 3, '0')
            else phone
        end as phone
    )
    from raw.customers, range({copies}) as copies (copy);
    drop table raw.customers;
    alter table raw.repeated rename to customers;
"""


def measure_reachability(base: Base, sizes: Sequence[int], repetitions: int) -> list[Line]:
    """Judge the profiles of a base, each as often as a size takes; the target is that of 10 million profiles, all judged."""
    lines: list[Line] = []
    base.make()
    project = Project(base, LAST_MONTH, "judged")
    project.prepare(0)
    for size in sizes:
        turns = {ALL: REPEAT.format(copies=size // base.profiles), **AGAIN}
        runs: dict[str, list[float]] = {words: [] for words in turns}
        for _ in range(repetitions):
            builds, counts = project.try_model(MODEL, LAST_MONTH, turns.values(), "email_form", "phone_form", "post_form")
            for words, build in zip(turns, builds, strict=True):
                runs[words].append(build.all_models_seconds)
                say(f"reachability: {counts[0]:,} profiles, {words}: {runs[words][-1]:.1f} s")
        filled = "{:,} profiles, {:,} e-mail addresses, {:,} numbers, {:,} postal addresses".format(*counts)
        lines.append(Note(PART, filled))
        for words, seconds in runs.items():
            most = 90.0 if counts[0] == 10_000_000 and words == ALL else None
            lines.append(Figure(PART, f"{counts[0]:,} profiles, {words}, in the engine", "s", tuple(seconds), most))
    return lines
