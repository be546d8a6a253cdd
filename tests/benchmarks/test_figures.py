"""The arithmetic behind the table."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pytest

pytest.importorskip("psutil", reason="The benchmarks need what `make .venv/.engines` installs.")

from benchmarks.by_hand import rows_that_differ
from benchmarks.figures import Figure, Line, Note, as_json, ratios, table
from benchmarks.project import BenchError, run_command, union
from benchmarks.spark import Cost, crossing


def test_seconds_in_which_two_models_ran_side_by_side_count_once() -> None:
    assert union([(0.0, 2.0), (1.0, 3.0), (1.5, 2.5), (5.0, 6.0)]) == 4.0
    assert union([]) == 0.0


def test_a_figure_is_the_median_of_its_runs_and_meets_its_target_or_not() -> None:
    runs = ratios([3.0, 9.0, 4.0], [2.0, 3.0, 4.0])
    assert runs == (1.5, 3.0, 1.0)
    assert Figure("close", "ratio", "times", runs, most=1.5).is_met is True
    assert Figure("close", "ratio", "times", runs, most=1.4).is_met is False
    assert Figure("close", "ratio", "times", runs).is_met is None


def test_the_table_says_part_range_and_verdict() -> None:
    lines: list[Line] = [
        Note("close", "200 customers"),
        Figure("close", "project to by hand", "times", (1.5, 1.25, 3.0), most=1.3),
        Figure("growth", "rows that differ", "rows", (0.0,), most=0),
    ]
    assert table(lines).splitlines() == [
        "CLOSE",
        "  (200 customers)",
        "  project to by hand       1.50 times   1.25 to 3           at most 1.3: NOT MET",
        "",
        "GROWTH",
        "  rows that differ            0 rows    1 run               at most 0: met",
    ]
    assert [figure["median"] for figure in as_json(lines, {"cores": 2})["figures"]] == [1.5, 0.0]


@pytest.mark.parametrize(
    ("other", "expected"),
    [("(values (1, 'a'), (2, null)) t (n, word)", 0), ("(values (1, 'a'), (1, 'a')) t (n, word)", 2)],
)
def test_rows_are_compared_both_ways(other: str, expected: int) -> None:
    with duckdb.connect() as connection:
        connection.execute("create table one as from (values (1, 'a', 7), (2, null, 7)) t (n, word, version)")
        assert rows_that_differ(connection, other, "one", without=["version"]) == expected


def test_a_column_that_only_the_project_has_is_no_equality() -> None:
    with duckdb.connect() as connection, pytest.raises(duckdb.BinderException):
        rows_that_differ(connection, "(select 1 as n)", "(select 1 as n, 2 as more)")


def test_the_memory_of_child_processes_counts(tmp_path: Path) -> None:
    child = "block = b'x' * 150_000_000; import time; time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    run = run_command([sys.executable, "-c", parent], {}, tmp_path / "log")
    assert run.peak_bytes > 150_000_000
    assert run.seconds > 0.5


def test_a_failed_command_names_its_log(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"failed; see .*log"):
        run_command([sys.executable, "-c", "import sys; sys.exit(3)"], {}, tmp_path / "log")


def test_the_crossing_point_follows_from_two_lines() -> None:
    laptop = Cost.fitted([1_000_000, 2_000_000], [10.0, 16.0])
    assert (laptop.fixed, laptop.per_million) == pytest.approx((4.0, 6.0))
    one, two = Cost(30.0, 20.0), Cost(30.0, 10.0)
    assert crossing(laptop, one, two, workers=2) is None
    # Four workers: 5 s per million. 4 + 6 n = 30 + 5 n.
    assert crossing(laptop, one, two, workers=4) == pytest.approx(26.0)
    assert crossing(laptop, one, two, workers=8) == pytest.approx(26.0 / 3.5)


def test_a_cluster_that_gains_nothing_by_workers_never_overtakes() -> None:
    assert crossing(Cost(4.0, 6.0), Cost(30.0, 8.0), Cost(30.0, 9.0), workers=128) is None
