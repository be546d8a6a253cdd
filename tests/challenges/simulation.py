"""Random bases as marts: stable ones, in which nothing is to be found, and ones with a planted challenge.

A base has five sources, a season, and rates that never change; each month draws its counts. All bases lie in one set of marts,
each in years of its own, far enough from the others that no rule sees two of them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import Random

import duckdb

from orchestration.months import add_months

SOURCES = ("app", "event", "partner", "till", "web")
FIELDS = ("last_name", "birth_date", "email", "phone", "postal_address", "gender")
CHANNELS = ("email", "sms", "phone", "post", "any")
MONTHS = 51
# Months from which all rules have the past that they need, and those in which findings are counted.
WARM_UP = 27
FIRST_BASE = date(1100, 1, 1)
MONTHS_APART = 96
COLUMNS = [
    *("base", "month", "snapshot_month", "source"),
    *("n_profiles", "n_new", "n_active", "n_optin", "n_new_12m", "n_prospects_12m", "n_defects"),
    *(f"new_without_{name}" for name in FIELDS),
    *(f"old_without_{name}" for name in FIELDS),
    *(f"cannot_{channel}" for channel in CHANNELS),
    "n_overdue",
]


def binomial(random: Random, n: int, p: float) -> int:
    """Draw how many of `n` have what one has with probability `p`: exact, by splitting at a middle order statistic."""
    count = 0
    while n > 20:
        middle = n // 2 + 1
        split = random.betavariate(middle, n + 1 - middle)
        if p < split:
            n, p = middle - 1, p / split
        else:
            count, n, p = count + middle, n - middle, (p - split) / (1 - split)
    return count + sum(random.random() < p for _ in range(n))


def poisson(random: Random, mean: float) -> int:
    """Draw a count of a mean: exact, by the arrival times of a Poisson process."""
    count = 0
    while mean > 20:
        some = int(mean * 7 / 8)
        arrival = random.gammavariate(some, 1)
        if arrival > mean:
            return count + binomial(random, some - 1, mean / arrival)
        count, mean = count + some, mean - arrival
    waited = random.expovariate(1)
    while waited < mean:
        count, waited = count + 1, waited + random.expovariate(1)
    return count


@dataclass(frozen=True)
class Plant:
    """What goes wrong from a month on: factors on what is drawn, in one source or in all of them."""

    month: int = MONTHS
    source: str | None = None
    new: float = 1
    defects: float = 1
    lapses: float = 1
    optins_lost: float = 0
    missing_field: str | None = None

    def acts(self, month: int, source: str) -> bool:
        """Whether it acts on a source in a month."""
        return month >= self.month and self.source in (None, source)


@dataclass
class Stock:
    """A source of a base, at the close of a month."""

    profiles: int
    active: int
    opted_in: int
    missing: dict[str, int]
    # Cohorts of the last twelve months: new, prospects among them, and without each field.
    cohorts: list[tuple[int, int, dict[str, int]]] = field(default_factory=list)


@dataclass(frozen=True)
class Rates:
    """What a base does every month."""

    new: float
    leaves: float
    lapses: float
    active: float
    opted_in: float
    prospects: float
    defects: float
    missing: dict[str, float]
    not_contactable: dict[str, float]
    overdue: float
    # New profiles vary by as much besides chance.
    scatter: float


@dataclass(frozen=True)
class Bases:
    """Which bases to simulate: how many, of how many profiles (by default drawn for each), how scattered, what goes wrong."""

    seed: int
    count: int
    profiles: int | None = None
    scatter: float = 0.08
    plant: Plant = Plant()


def simulate(folder: Path, bases: Bases) -> Path:
    """Write the months of some bases to a file and return it."""
    file = folder / "simulated.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(COLUMNS)
        for number in range(bases.count):
            writer.writerows(_base(Random(f"{bases.seed} {number}"), number, bases))
    return file


def _base(random: Random, base: int, bases: Bases) -> Iterator[Sequence[object]]:
    plant = bases.plant
    size = bases.profiles or round(10 ** random.uniform(3.6, 4.8))
    weights = [random.uniform(0.5, 1.5) for _ in SOURCES]
    season = [random.uniform(0.5, 1.5) for _ in range(12)]
    inflow = random.uniform(0.015, 0.03)
    # Rates that no level forbids, some not far from it.
    missing = {name: random.uniform(0.02, 0.7) for name in FIELDS}
    defects = random.uniform(0.02, 0.3)
    cannot = {channel: random.uniform(0.3, 0.78) for channel in CHANNELS}
    overdue = random.uniform(0, 0.015)
    stocks, rates = {}, {}
    for source, weight in zip(SOURCES, weights, strict=True):
        n = round(size * weight / sum(weights))
        rates[source] = Rates(
            new=n * inflow,
            leaves=inflow,
            lapses=0.08,
            active=random.uniform(0.2, 0.7),
            opted_in=random.uniform(0.2, 0.8),
            prospects=random.uniform(0.3, 0.67),
            defects=defects * random.uniform(0.75, 1.25),
            missing={name: min(share * random.uniform(0.8, 1.2), 0.95) for name, share in missing.items()},
            not_contactable=cannot,
            overdue=overdue,
            scatter=bases.scatter,
        )
        stocks[source] = _opening(random, n, rates[source])
    for month in range(-12, MONTHS):
        of_season = 12 * season[month % 12] / sum(season)
        for source in SOURCES:
            acting = plant if plant.acts(month, source) else Plant()
            row = _month(random, stocks[source], rates[source], of_season, acting, month == plant.month)
            if month >= 0:
                yield [base, month, add_months(FIRST_BASE, MONTHS_APART * base + month), source, *row]


def _opening(random: Random, n: int, rates: Rates) -> Stock:
    missing = {name: binomial(random, n, rates.missing[name]) for name in FIELDS}
    return Stock(n, binomial(random, n, rates.active), binomial(random, n, rates.opted_in), missing)


def _month(random: Random, stock: Stock, rates: Rates, season: float, plant: Plant, is_first: bool) -> list[int]:
    new = poisson(random, rates.new * season * plant.new * random.gammavariate(rates.scatter**-2, rates.scatter**2))
    _leave(random, stock, rates.leaves)
    missing = {name: new if name == plant.missing_field else binomial(random, new, rates.missing[name]) for name in FIELDS}
    stock.cohorts.append((new, binomial(random, new, rates.prospects), missing))
    if len(stock.cohorts) > 12:
        _, _, grown_old = stock.cohorts.pop(0)
        stock.missing = {name: n + grown_old[name] for name, n in stock.missing.items()}
    stock.profiles += new
    stock.active = _turned(random, stock.active, stock.profiles, rates.lapses * plant.lapses, rates.lapses, rates.active)
    stock.opted_in = _turned(random, stock.opted_in, stock.profiles, 0.02, 0.02, rates.opted_in)
    if is_first:
        stock.opted_in -= binomial(random, stock.opted_in, plant.optins_lost)
    defects = sum(k * binomial(random, new, min(rates.defects * plant.defects / 6, 1)) for k in (1, 2, 3))
    return [
        stock.profiles,
        new,
        stock.active,
        stock.opted_in,
        sum(n for n, _, _ in stock.cohorts),
        sum(prospects for _, prospects, _ in stock.cohorts),
        defects,
        *(sum(cohort[name] for _, _, cohort in stock.cohorts) for name in FIELDS),
        *stock.missing.values(),
        *(binomial(random, stock.profiles, rates.not_contactable[channel]) for channel in CHANNELS),
        binomial(random, stock.profiles, rates.overdue),
    ]


def _leave(random: Random, stock: Stock, share: float) -> None:
    """Let profiles leave: those registered more than twelve months ago, and of each kind alike."""
    old = stock.profiles - sum(n for n, _, _ in stock.cohorts)
    left = min(binomial(random, stock.profiles, share), old)
    stock.missing = {name: n - min(binomial(random, left, n / max(old, 1)), n) for name, n in stock.missing.items()}
    stock.active -= min(binomial(random, left, stock.active / max(stock.profiles, 1)), stock.active)
    stock.opted_in -= min(binomial(random, left, stock.opted_in / max(stock.profiles, 1)), stock.opted_in)
    stock.profiles -= left


def _turned(random: Random, holders: int, profiles: int, loses: float, usual: float, share: float) -> int:
    """Return how many have something after a month in which some lose it and others get it, around a share."""
    gets = usual * share / (1 - share)
    return holders - binomial(random, holders, loses) + binomial(random, profiles - holders, gets)


def fill_marts(connection: duckdb.DuckDBPyConnection, simulated: Path) -> None:
    """Fill the marts that the rules read with simulated bases."""
    connection.execute("create or replace temp table one as from read_csv(?, header = true)", [str(simulated)])
    counts = ("n_profiles", "n_new", "n_active", "n_optin", "n_new_12m")
    connection.execute(
        "create or replace temp table simulated as select base, month, snapshot_month, source, "
        f"{', '.join(counts)} from one union all select base, month, snapshot_month, 'all', "
        f"{', '.join(f'sum({n})' for n in counts)} from one group by all"
    )
    for mart, query in _marts().items():
        connection.execute(f"delete from marts.{mart}")
        connection.execute(
            f"insert into marts.{mart} by name select *, last_day(snapshot_month) as as_of_date, false as is_reconstructed, "
            f"'a' as definition_version from ({query})"
        )


def _marts() -> dict[str, str]:
    over = "over (partition by base, source order by month)"
    year = "over (partition by base, source order by month rows between 11 preceding and current row)"
    return {
        "base_overview_monthly": f"""
            select snapshot_month, source, n_profiles, n_new, n_active, n_optin as n_optin_any,
                lag(n_profiles, 12) {over} as n_profiles_prev_year, lag(n_new, 12) {over} as n_new_prev_year,
                lag(n_active, 12) {over} as n_active_prev_year, lag(n_optin, 1) {over} as n_optin_any_prev_month,
                case when month >= 11 then sum(n_new) {year} / 12 end as n_new_mean_12m
            from simulated""",
        "acquisition_monthly": f"""
            select snapshot_month, source, n_new, case when month >= 11 then sum(n_new) {year} end as n_new_last_12m
            from simulated""",
        "status_monthly": """
            select snapshot_month, source, true as registered_within_12m,
                unnest(['prospect', 'customer']) as status, unnest([n_prospects_12m, n_new_12m - n_prospects_12m]) as n_profiles
            from one""",
        "fill_rate_monthly": " union all ".join(
            f"""select snapshot_month, source, '{name}' as field, {name != "gender"} as is_key_field,
                unnest([true, false]) as registered_within_12m, unnest([n_new_12m, n_profiles - n_new_12m]) as n_profiles,
                unnest([n_new_12m - new_without_{name}, n_profiles - n_new_12m - old_without_{name}]) as n_filled from one"""
            for name in FIELDS
        ),
        "optin_rate_monthly": " union all ".join(
            f"""select snapshot_month, source, '{channel}' as channel, n_profiles,
                n_profiles - cannot_{channel} as n_contactable from one"""
            for channel in CHANNELS
        ),
        "retention_monthly": """
            select snapshot_month, source, 'customer' as status, n_profiles, n_overdue from one""",
        "source_scorecard_monthly": """
            select snapshot_month, source, n_new, n_defects as n_placeholders_new, 0 as n_invalid_new, 0 as n_duplicate_new,
                0 as n_optin_no_coordinate_new
            from one""",
    }
