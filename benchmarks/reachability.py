"""How long it takes to judge the coordinates of every profile: e-mail, telephone, post."""

from __future__ import annotations

import time
from collections.abc import Sequence

import duckdb

from benchmarks.base import Base, say
from benchmarks.figures import Figure, Line, Note
from benchmarks.project import Project

PART = "reachability"
QUERY = """
create or replace temp table judged as
select customer_id, email_form, email_reason, phone_form, phone_reason, sms_form, sms_reason, post_form, post_reason
from core.int_coordinates
"""


def measure_reachability(bases: Sequence[Base], repetitions: int) -> list[Line]:
    """Judge all profiles of each base with the models' own SQL; the target is that of 10 million profiles."""
    lines: list[Line] = []
    for base in bases:
        base.make()
        project = Project(base, base.first_month)
        project.prepare(base.months - 1)
        settings = project.settings
        runs = []
        with duckdb.connect(str(project.warehouse), read_only=True) as connection:
            connection.execute(
                f"set TimeZone = 'UTC'; set enable_progress_bar = false; set threads = {settings.threads}; "
                f"set memory_limit = '{settings.memory_limit}'"
            )
            for turn in range(repetitions):
                started = time.perf_counter()
                connection.execute(QUERY)
                runs.append(time.perf_counter() - started)
                say(f"reachability, turn {turn + 1}: {base.profiles:,} profiles: {runs[-1]:.1f} s")
            (counted,) = connection.execute(
                "select count(*), count(email_form), count(phone_form), count(post_form) from judged"
            ).fetchall()
        filled = "{:,} profiles, {:,} e-mail addresses, {:,} numbers, {:,} postal addresses".format(*counted)
        most = 90.0 if base.profiles == 10_000_000 else None
        lines += [Note(PART, filled), Figure(PART, f"{base.profiles:,} profiles judged, in the engine", "s", tuple(runs), most)]
    return lines
