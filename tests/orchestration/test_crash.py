"""Real commands killed at random instants; `python -m tests.crash --kills 200` does the same for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.harness import Deployment, draw
from tests.orchestration.conftest import MONTHS, Built

PHASES = ("ingest and close", "restate", "report", "publish", "backup")


@pytest.mark.soak
def test_a_command_killed_at_any_instant_changes_nothing_and_the_next_run_gives_an_undisturbed_runs_rows(
    built: Built, tmp_path: Path
) -> None:
    deployment = Deployment(built.copy_to(tmp_path / "home"), tmp_path / "kept", MONTHS[-1], PHASES)
    deployment.prepare(print)
    outcomes = [deployment.trial(phase, instant) for phase, instant in draw(deployment, kills=5, seed=3)]
    assert [outcome for outcome in outcomes if outcome.faults] == []
    assert sum(outcome.was_running for outcome in outcomes) >= 3, outcomes
