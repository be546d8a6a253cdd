"""The comparison of the bands, on a few series."""

from __future__ import annotations

import pytest

from benchmarks.alert_bands import (
    EVALUATION,
    TUNING,
    bands,
    measure_alert_bands,
    score,
    score_small,
    simulate,
    three_sigma_14_days_in,
)
from benchmarks.figures import Figure


def test_bands_see_what_three_sigma_hide() -> None:
    series = [simulate(400, 130, TUNING + number) for number in range(3)]
    own, usual = score(bands, series), score(three_sigma_14_days_in, series, sees_judged=True)
    assert own.recall["outage"] == 1
    assert own.recall["halving"] > 0.95
    assert own.recall["doubling"] > 0.95
    assert usual.recall["halving"] < 0.2
    assert own.false_alarms < 2


def test_a_fault_that_lasts_is_seen_by_the_weekly_band() -> None:
    found = score_small([simulate(40, 120, TUNING + number) for number in range(3)])
    assert found.nights["outage"] == 1
    assert found.within["halving"][-1] > 0.9
    assert found.within["doubling"][-1] > 0.9
    assert all(shares == sorted(shares) for shares in found.within.values())


def test_tuning_and_evaluation_series_are_apart() -> None:
    assert TUNING + 60 < EVALUATION
    assert list(simulate(400, 100, TUNING).counts) != list(simulate(400, 100, EVALUATION).counts)


@pytest.mark.slow
def test_the_bands_reach_their_targets() -> None:
    targets = [line for line in measure_alert_bands() if isinstance(line, Figure) and line.most is not None]
    assert len(targets) > 4
    assert [line.what for line in targets if not line.is_met] == []
