"""How well the bands of the alerts tell a broken feed from a usual one: `python -m benchmarks.alert_bands --help`.

Series of daily counts are simulated: weekday cycle, trend, season, overdispersed noise, promotions, holidays (these two are in the
calendar). Faults are put into each clean day in turn, so a recall is over all days. The parameters of the bands were chosen on
series of the seeds below `EVALUATION`; what is printed comes from others, which nothing was chosen on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import click
import numpy as np
import numpy.typing as npt

from orchestration.alerts.bands import Band, BandParams, silence, volume_band
from orchestration.alerts.calendar import Calendar, Entry, Kind

Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

START = date(2025, 1, 6)
TUNING, EVALUATION = 1, 1_000
FAULTS = {"outage": 0.0, "halving": 0.5, "doubling": 2.0}
WARM_UP = 28


@dataclass(frozen=True)
class Simulated:
    """Counts by day from `START` on, and what the calendar knows of them."""

    counts: Counts
    calendar: Calendar
    is_usual: Bools

    def days(self) -> dict[date, int]:
        return {START + timedelta(days=step): int(count) for step, count in enumerate(self.counts)}


def simulate(rows: int, n_days: int, seed: int) -> Simulated:
    """Make one series of about `rows` a day."""
    random = np.random.default_rng([seed, rows])
    days = np.arange(n_days)
    level = np.full(n_days, np.log(rows))
    level += random.normal(0, 0.2, 7)[days % 7]
    # Up to a third more or less within the year, a yearly wave, and a level that drifts.
    level += random.uniform(-0.3, 0.3) * days / n_days
    level += random.uniform(0, 0.2) * np.sin(2 * np.pi * (days / 365 + random.uniform()))
    level += np.cumsum(random.normal(0, 0.01, n_days))
    entries: list[Entry] = []
    is_usual = np.ones(n_days, dtype=np.bool_)

    def mark(first: int, length: int, kind: Kind, factor: float) -> None:
        span = slice(first, min(first + length, n_days))
        level[span] += np.log(factor)
        is_usual[span] = False
        entries.append(Entry(START + timedelta(days=first), START + timedelta(days=int(span.stop) - 1), kind))

    for first in random.choice(n_days, 8, replace=False):
        mark(int(first), int(random.integers(1, 5)), "promotion", random.uniform(1.3, 3))
    for first in random.choice(n_days, 8, replace=False):
        mark(int(first), 1, "holiday", random.uniform(0.02, 0.7))
    # Days differ by more than chance: a gamma-mixed Poisson count, its coefficient of variation apart from chance 4 to 14 %.
    shape = 1 / random.uniform(0.04, 0.14) ** 2
    counts = random.poisson(np.exp(level) * random.gamma(shape, 1 / shape, n_days))
    return Simulated(counts.astype(np.int64), Calendar(entries), is_usual)
