"""A warehouse with marts made up for the report's tests: small, and balanced as dbt's tests want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.engine import DuckDBEngine
from orchestration.months import add_months
from orchestration.report.data import ACCOUNT_COLUMNS, AMOUNTS_12M, FUNNEL, ROLES, SCORES
from orchestration.settings import Settings, load_settings

LAST = date(2026, 10, 1)
# Months before it are reconstructed.
SEEN_FROM = date(2026, 9, 1)
FIELDS = (("last_name", 1, True), ("email", 2, True), ("gender", 3, False))
CHANNELS = ("email", "sms", "any")
BANDS = (("0-30", 1), ("31-365", 2), ("366+", 3))
# What a row needs besides what the tests say.
TABLES = {
    "status_monthly": "snapshot_month date, source varchar, status varchar, registered_within_12m boolean, is_active boolean, "
    "n_profiles bigint, n_new bigint, n_converted bigint, n_optin_any bigint",
    "base_overview_monthly": "snapshot_month date, source varchar, n_profiles bigint, is_reconstructed boolean, "
    "definition_version varchar",
    "recency_monthly": "snapshot_month date, source varchar, status varchar, registered_within_12m boolean, is_new boolean, "
    "recency_band varchar, recency_band_rank bigint, n_profiles bigint",
    "fill_rate_monthly": "snapshot_month date, source varchar, status varchar, registered_within_12m boolean, field varchar, "
    "field_rank bigint, is_key_field boolean, n_profiles bigint, n_filled bigint",
    "optin_rate_monthly": "snapshot_month date, source varchar, status varchar, registered_within_12m boolean, "
    "channel varchar, n_profiles bigint, n_filled bigint, n_reachable bigint, n_opted_in bigint, "
    + ", ".join(f"{n} bigint" for n in FUNNEL),
    "flows_monthly": "snapshot_month date, source varchar, status varchar, scope varchar, movement varchar, "
    "movement_rank bigint, sign bigint, n_profiles bigint",
    "retention_monthly": "snapshot_month date, source varchar, status varchar, n_overdue bigint, n_newly_overdue bigint, "
    "n_due_1m bigint, n_due_3m bigint, n_due_12m bigint, n_deleted bigint",
    "retention_forecast_monthly": "snapshot_month date, source varchar, status varchar, horizon_months bigint, "
    "n_drained_at_most bigint, n_drained_expected double",
    "source_scorecard_monthly": "snapshot_month date, source varchar, " + ", ".join(f"{n} double" for n in SCORES),
    "acquisition_monthly": "snapshot_month date, source varchar, n_prospects_new bigint, n_prospects_cold bigint, "
    "n_prospects_dormant bigint",
    "cohort_conversion_monthly": "snapshot_month date, cohort_month date, months_since_registration bigint, source varchar, "
    "n_registered bigint, n_customers bigint, n_active bigint",
    "demographics_monthly": "snapshot_month date, source varchar, status varchar, registered_within_12m boolean, "
    "gender varchar, age_band varchar, age_band_rank bigint, n_profiles bigint, sum_age_years bigint, n_age_known bigint",
    "projection_monthly": "snapshot_month date, target_month date, scenario varchar, status varchar, level double, low double, "
    "high double, level_active double, low_active double, high_active double",
    "challenges_monthly": "snapshot_month date, challenge_code varchar, source varchar, severity varchar, observed double, "
    "baseline double, n_evidence_months bigint, confidence double, n_profiles bigint",
    "accounts_monthly": "snapshot_month date, account_id varchar, has_several_currencies boolean, "
    + ", ".join(f"{n} varchar" for n in ("account_name", "industry", "currency", "contract_status"))
    + ", next_contract_end_date date, "
    + ", ".join(f"{n} double" for n in dict.fromkeys((*ACCOUNT_COLUMNS[3:7], *ACCOUNT_COLUMNS[9:], *AMOUNTS_12M)))
    + ", "
    + ", ".join(f"{role}_coverage varchar" for role in ROLES),
}


@dataclass(frozen=True)
class Made:
    """A warehouse of made-up marts."""

    settings: Settings

    @property
    def engine(self) -> DuckDBEngine:
        return DuckDBEngine(self.settings)

    def one(self, sql: str) -> Any:
        """Return the single value of a query."""
        return self.engine.rows(sql)[0][0]


def make(folder: Path, months: int = 3, sources: Sequence[str] = ("till", "web"), accounts: bool = False) -> Made:
    """Write a warehouse with closed months that end with October 2026; without months, none is closed."""
    warehouse = folder / "bathtub.duckdb"
    closed = [add_months(LAST, i + 1 - months) for i in range(months)]
    with duckdb.connect(str(warehouse)) as con:
        con.execute("create schema ops; create schema marts")
        con.execute("create table ops.warehouse (raw_dir varchar, history_loaded_until timestamp, first_month date)")
        con.execute("insert into ops.warehouse values ('raw', '2026-09-15 08:00:00', ?)", [closed[0] if closed else None])
        con.execute("create table ops.closed_months (snapshot_month date, closed_at timestamp, run_id varchar)")
        for name, columns in TABLES.items():
            con.execute(f"create table marts.{name} ({columns})")
        rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
        for place, month in enumerate(closed):
            con.execute("insert into ops.closed_months values (?, ?, '')", [month, datetime(2026, 11, 3, 3, 4)])
            for source_place, source in enumerate(sources):
                _source(rows, place, month, source_place, source, closed)
            rows["base_overview_monthly"].append((month, "all", 0, month < SEEN_FROM, "v1"))
            if accounts:
                rows["accounts_monthly"] += _accounts(month)
        if closed:
            _month(rows)
        for name, made in rows.items():
            if made:
                # In one go: row by row takes minutes.
                values = [list(column) for column in zip(*made, strict=True)]
                con.execute(f"insert into marts.{name} select {', '.join(['unnest(?)'] * len(values))}", values)
    return Made(
        load_settings({"BATHTUB_WAREHOUSE": str(warehouse), "BATHTUB_VARS": "{reporting_timezone: Europe/Paris}"}),
    )


def level(place: int, source: int, status: int, recent: int, active: int) -> int:
    """Return how many profiles a cell has: another number in each."""
    return 100 + 7 * place + 13 * source + 29 * status + 3 * recent + 41 * active


def _source(rows: dict[str, list[tuple[Any, ...]]], place: int, month: date, at: int, source: str, closed: list[date]) -> None:
    total = 0
    for s, status in enumerate(("customer", "prospect")):
        for recent in (0, 1):
            counts = [level(place, at, s, recent, active) for active in (0, 1)]
            n = sum(counts)
            total += n
            cell = (month, source, status, bool(recent))
            for active in (0, 1):
                n_new = 5 + place if recent and active else 0
                rows["status_monthly"].append((*cell, bool(active), counts[active], n_new, 1, 2))
            rows["recency_monthly"] += [
                *(
                    (*cell, False, band, rank, share)
                    for (band, rank), share in zip(BANDS, (10, counts[1] - 10, counts[0] - 4), strict=True)
                ),
                (*cell, True, "0-30", 1, 4),
            ]
            rows["fill_rate_monthly"] += [(*cell, field, rank, key, n, n - 10 * rank) for field, rank, key in FIELDS]
            rows["optin_rate_monthly"] += [
                (*cell, channel, n, n - 20, n - 50, n - 40, 20, 10, 15, 5, 30, 2, n - 82) for channel in CHANNELS
            ]
            for gender, share in (("F", 40), ("M", 30), ("missing", n - 70)):
                rows["demographics_monthly"].append((*cell, gender, "25-34", 1, share, 30 * share, share))
        _flows(rows, place, month, at, source, s, status)
        rows["retention_monthly"].append((month, source, status, 12, 1, 2, 6, 20, 3))
        rows["retention_forecast_monthly"] += [(month, source, status, horizon, 12 + horizon, 11.5) for horizon in (1, 3, 12)]
    rows["base_overview_monthly"].append((month, source, total, month < SEEN_FROM, "v1"))
    rows["source_scorecard_monthly"].append(
        (month, source, total, 9, 2 * total, total, 3 * total, 20, 2 * total, 10, 4, 50, 5, 0.001, 0.0)
    )
    rows["acquisition_monthly"].append((month, source, 10, 20, 30 + at))
    rows["cohort_conversion_monthly"] += [
        (month, closed[c], place - c, source, 40, 10 + place - c, 20) for c in range(place + 1)
    ]


def _flows(rows: dict[str, list[tuple[Any, ...]]], place: int, month: date, at: int, source: str, s: int, status: str) -> None:
    """Two leave each month, and as many come as it takes to get to the level."""
    for scope, counted in (("base", (0, 1)), ("active", (1,))):

        def stock(when: int, counted: tuple[int, ...] = counted) -> int:
            return sum(level(when, at, s, recent, active) for recent in (0, 1) for active in counted) if when >= 0 else 0

        opening, closing, gone = stock(place - 1), stock(place), 2 if place else 0
        out = "deleted" if scope == "base" else "lapsed"
        rows["flows_monthly"] += [
            (month, source, status, scope, "opening", 1, 0, opening),
            (month, source, status, scope, "new", 2, 1, closing - opening + gone),
            (month, source, status, scope, out, 7 if scope == "base" else 9, -1, gone),
            (month, source, status, scope, "closing", 12, 0, closing),
            (month, source, status, scope, "stable", 14, 0, opening - gone),
        ]


def _month(rows: dict[str, list[tuple[Any, ...]]]) -> None:
    for status in ("all", "customer", "prospect"):
        for ahead in range(1, 4):
            target = add_months(LAST, ahead)
            for scenario in ("as_is", "fewer_lapses", "more_acquisition"):
                rows["projection_monthly"].append((LAST, target, scenario, status, 900.5, 800, 1000, 500, 400, 600))
    rows["challenges_monthly"] += [
        (LAST, "retention_overdue", "all", "critical", 0.2, 0.02, 12, 0.99, 1000),
        (LAST, "retention_overdue", "till", "critical", 0.2, 0.02, 12, 0.99, 500),
        (LAST, "channel_not_contactable_sms", "all", "warning", 0.9, 0.8, 24, 0.99, 1000),
    ]


def _accounts(month: date) -> list[tuple[Any, ...]]:
    figures = (4, 1000.0, 0.1, 0.3, 1, 3, 2, 1, 1)
    amounts = (1100.0, 1000.0, 300.0, 1000.0)
    covered = ("contactable", "not_contactable", "missing", "contactable")
    return [
        (month, f"A{i}", False, f"=Company {i} <b>", "Retail", "EUR", "active", date(2026, 12, 1), *figures, *amounts, *covered)
        for i in range(2)
    ]
