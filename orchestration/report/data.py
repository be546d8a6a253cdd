"""What the report shows of a month: the marts as small columns, summed by month, source, status and time of registration.

A pure function of the marts: nothing is computed that the marts do not say, save sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from orchestration.challenges.findings import findings_in
from orchestration.engine import Engine
from orchestration.late_rows import late_rows
from orchestration.months import add_months, month_text
from orchestration.report.cube import Cube
from orchestration.settings import Settings

# Longer histories are cut, and the page says so; more sources are summed into one, and the page says so too.
MOST_MONTHS = 60
MOST_SOURCES = 15
MOST_COHORT_MONTHS = 24
STATUSES = ("customer", "prospect")
SCOPES = ("base", "active")
LEVELS = ("opening", "closing")
FUNNEL = ("n_no_coordinate", "n_invalid", "n_bounced", "n_untested", "n_no_optin", "n_optin_other_coordinate", "n_contactable")
SCORES = (
    "n_profiles", "n_new", "n_key_values", "n_key_fields_filled", "n_values", "n_placeholders", "n_coordinates", "n_invalid",
    "n_duplicate", "n_opted_in", "n_optin_no_coordinate", "fill_rate_effect", "fill_mix_effect",
)  # fmt: skip
AMOUNTS_12M = (
    "paid_amount_12m", "list_amount_12m", "paid_amount_with_list_12m", "margin_amount_12m", "paid_amount_with_cost_12m",
)  # fmt: skip
ROLES = ("buyer", "influencer", "decision_maker", "user")
ACCOUNT_COLUMNS = (
    "account_name", "industry", "currency", "n_orders_12m", "paid_amount_12m", "discount_rate_12m", "margin_rate_12m",
    "contract_status", "next_contract_end_date", "n_contracts_ending_3m", "n_contacts", "n_contacts_contactable",
    "n_roles_contactable", "n_roles_missing",
)  # fmt: skip
MOST_ACCOUNTS = 50


class ReportError(Exception):
    """The report cannot be made; the message says why and what to do. No page was written."""


@dataclass(frozen=True)
class _Months:
    """The months of the report, oldest first, and a filter of their rows."""

    all: tuple[date, ...]

    @property
    def last(self) -> date:
        return self.all[-1]

    @property
    def where(self) -> str:
        end = add_months(self.last, 1)
        return f"snapshot_month >= date '{self.all[0]:%Y-%m-%d}' and snapshot_month < date '{end:%Y-%m-%d}'"

    def place(self, month: date) -> int | None:
        return self.all.index(month) if month in self.all else None


@dataclass
class _Reader:
    """Reads marts into cubes: months, sources and statuses as indexes."""

    engine: Engine
    months: _Months
    source_places: Mapping[str, int]

    def rows(self, mart: str, columns: Sequence[str], more: str = "") -> list[tuple[Any, ...]]:
        """Return month, source and further columns of a mart's rows, the first two as indexes."""
        names = ", ".join(("snapshot_month", "source", *columns))
        found = self.engine.rows(f"select {names} from marts.{mart} where {self.months.where} {more}")
        places = {month: i for i, month in enumerate(self.months.all)}
        return [
            (places[month], self.source_places[source], *rest)
            for month, source, *rest in found
            if month in places and source in self.source_places
        ]


def closed_month(engine: Engine, month: date | None) -> date | None:
    """Return a closed month, by default the latest; None when no month is closed yet and none was asked for.

    Raises:
        ReportError: that month is not closed.
    """
    closed = engine.read_state().closed
    if month is None:
        return closed[-1] if closed else None
    if month not in closed:
        span = (
            f"choose a month from {month_text(closed[0])} to {month_text(closed[-1])}" if closed else "no month is closed yet"
        )
        raise ReportError(f"{month_text(month)} is not closed; {span}.")
    return month


def collect(settings: Settings, engine: Engine, month: date | None) -> dict[str, Any]:
    """Return what the page shows of a closed month, ready for JSON; without a closed month, `{"month": None}`.

    Raises:
        ReportError: the flows of a month do not add up, or the marts changed again and again while they were read.
    """
    if month is None:
        return {"month": None, "months": [], "sources": []}
    for _ in range(3):
        closes = _closes(engine)
        content = _collect(settings, engine, month, closes)
        # Each query reads the last published state: all of them must have read the same.
        if _closes(engine) == closes:
            return content
    raise ReportError("The marts were published again and again while the report read them; make it once the close is over.")


def _closes(engine: Engine) -> dict[date, datetime | None]:
    rows = engine.rows("select snapshot_month, closed_at from ops.closed_months order by snapshot_month")
    return {month: _utc(closed_at) for month, closed_at in rows}


def _utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _collect(settings: Settings, engine: Engine, month: date, closes: Mapping[date, datetime | None]) -> dict[str, Any]:
    told = sorted(m for m in closes if m <= month)
    months = _Months(tuple(told[-MOST_MONTHS:]))
    sources, places = _sources(engine, months)
    reader = _Reader(engine, months, places)
    segments = _segments(reader)
    flows, movements = _flows(reader)
    _assert_balance(flows, movements, segments, months)
    fields, channels, bands = _lists(engine, months)
    people, ages, genders = _people(reader)
    return {
        "month": month_text(month),
        "months": _month_facts(settings, engine, months, closes),
        "late": _late(settings, engine, month),
        "monthsLeftOut": len(told) - len(months.all),
        "sources": sources,
        "statuses": list(STATUSES),
        "fields": fields,
        "channels": channels,
        "bands": bands,
        "movements": movements,
        "ages": ages,
        "genders": genders,
        "segments": segments.columns(),
        "people": people.columns(),
        "flows": flows.columns(),
        "retention": _retention(reader).columns(),
        "quality": _quality(reader).columns(),
        "cohorts": _cohorts(reader).columns(),
        "projection": _projection(engine, month),
        "findings": findings_in(engine, month),
        "accounts": _accounts(engine, months),
        "terms": _terms(settings),
    }


def _sources(engine: Engine, months: _Months) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the sources, the largest first, and the place of each; those beyond `MOST_SOURCES` share the last one."""
    rows = engine.rows(
        f"select source, sum(case when snapshot_month = date '{months.last:%Y-%m-%d}' then n_profiles else 0 end) as n "
        f"from marts.base_overview_monthly where {months.where} and source <> 'all' group by source order by n desc, source"
    )
    names = [str(source) for source, _ in rows]
    # One source more than the list holds needs no common place.
    kept = names if len(names) <= MOST_SOURCES + 1 else names[:MOST_SOURCES]
    sources: list[dict[str, Any]] = [{"name": name} for name in kept]
    if len(kept) < len(names):
        sources.append({"name": None, "count": len(names) - len(kept)})
    return sources, {name: min(i, len(sources) - 1) for i, name in enumerate(names)}


def _segments(reader: _Reader) -> Cube:
    """Month × source × status × registered within 12 months: level, activity, recency, fields, channels."""
    cube = Cube(("month", "source", "status", "recent"))

    def cells(mart: str, columns: Sequence[str]) -> list[tuple[tuple[int, ...], list[Any]]]:
        rows = reader.rows(mart, ("status", "registered_within_12m", *columns))
        return [((m, s, STATUSES.index(status), int(recent)), rest) for m, s, status, recent, *rest in rows]

    for key, (is_active, n, n_new, n_converted, n_optin) in cells(
        "status_monthly", ("is_active", "n_profiles", "n_new", "n_converted", "n_optin_any")
    ):
        cube.add(key, "n_profiles", int(n))
        cube.add(key, "n_active", int(n) if is_active else 0)
        cube.add(key, "n_new", int(n_new))
        cube.add(key, "n_converted", int(n_converted))
        cube.add(key, "n_optin_any", int(n_optin))
    for key, (is_new, rank, n) in cells("recency_monthly", ("is_new", "recency_band_rank", "n_profiles")):
        cube.add(key, "recency|new" if is_new else f"recency|{rank}", int(n))
    for key, (name, n_filled) in cells("fill_rate_monthly", ("field", "n_filled")):
        cube.add(key, f"filled|{name}", int(n_filled))
    for key, (channel, *counts) in cells("optin_rate_monthly", ("channel", "n_filled", "n_reachable", "n_opted_in", *FUNNEL)):
        for measure, n in zip(("n_filled", "n_reachable", "n_opted_in", *FUNNEL), counts, strict=True):
            cube.add(key, f"{channel}|{measure}", int(n))
    return cube


def _flows(reader: _Reader) -> tuple[Cube, list[dict[str, Any]]]:
    """Month × source × status: the movements of the base and of its active part; and the movements with their signs."""
    cube, movements = Cube(("month", "source", "status")), {}
    for m, s, status, scope, movement, rank, sign, n in reader.rows(
        "flows_monthly", ("status", "scope", "movement", "movement_rank", "sign", "n_profiles")
    ):
        if sign or movement in LEVELS:
            cube.add((m, s, STATUSES.index(status)), f"{scope}|{movement}", int(n))
            movements[movement] = (int(rank), int(sign))
    ordered = sorted(movements.items(), key=lambda item: item[1][0])
    return cube, [{"name": name, "sign": sign} for name, (_, sign) in ordered if sign]


def _assert_balance(flows: Cube, movements: Sequence[Mapping[str, Any]], segments: Cube, months: _Months) -> None:
    """See that opening + inflows − outflows = closing, the closing is the level, and the opening is the closing before.

    Raises:
        ReportError: a month does not add up.
    """
    levels: dict[tuple[str, int, int, int], float] = {}
    for (place, source, status, _), cell in segments.cells.items():
        for scope, measure in zip(SCOPES, ("n_profiles", "n_active"), strict=True):
            key = (scope, place, source, status)
            levels[key] = levels.get(key, 0) + cell.get(measure, 0)
    openings = {}
    for (place, source, status), cell in flows.cells.items():
        for scope in SCOPES:
            opening, closing = (cell.get(f"{scope}|{name}", 0) for name in LEVELS)
            change = sum(move["sign"] * cell.get(f"{scope}|{move['name']}", 0) for move in movements)
            openings[scope, place, source, status] = opening
            if not opening + change == closing == levels.get((scope, place, source, status), 0):
                raise _imbalance(months.all[place], f"{scope}, {STATUSES[status]}: {opening:,} + {change:,} is not {closing:,}")
    for scope, place, source, status in {*levels, *openings}:
        opening = openings.get((scope, place, source, status), 0)
        if place and opening != levels.get((scope, place - 1, source, status), 0):
            raise _imbalance(months.all[place], f"{scope}, {STATUSES[status]}: its opening is not the closing before")


def _imbalance(month: date, what: str) -> ReportError:
    return ReportError(
        f"The bathtub of {month_text(month)} does not balance ({what}); close it again with: "
        f"make build FROM={month_text(month)}"
    )


def _retention(reader: _Reader) -> Cube:
    """Month × source × status: what is due for deletion; the forecast of the last month."""
    names = ("n_overdue", "n_newly_overdue", "n_due_1m", "n_due_3m", "n_due_12m", "n_deleted")
    cube = Cube(("month", "source", "status"))
    for m, s, status, *counts in reader.rows("retention_monthly", ("status", *names)):
        for name, n in zip(names, counts, strict=True):
            cube.add((m, s, STATUSES.index(status)), name, int(n))
    last = f"and snapshot_month = date '{reader.months.last:%Y-%m-%d}'"
    forecast = ("status", "horizon_months", "n_drained_at_most", "n_drained_expected")
    for m, s, status, horizon, at_most, expected in reader.rows("retention_forecast_monthly", forecast, last):
        key = (m, s, STATUSES.index(status))
        cube.add(key, f"at_most|{horizon}", at_most)
        cube.add(key, f"expected|{horizon}", expected)
    return cube


def _quality(reader: _Reader) -> Cube:
    """Month × source: the scorecard of the last thirteen months, the ages of prospects."""
    cube = Cube(("month", "source"))
    for m, s, *counts in reader.rows("source_scorecard_monthly", SCORES):
        for name, n in zip(SCORES, counts, strict=True):
            cube.add((m, s), name, n)
    ages = ("n_prospects_new", "n_prospects_cold", "n_prospects_dormant")
    for m, s, *counts in reader.rows("acquisition_monthly", ages, "and source <> 'all'"):
        for name, n in zip(ages, counts, strict=True):
            cube.add((m, s), name, n)
    return cube


def _cohorts(reader: _Reader) -> Cube:
    """Cohort (months before the report's month) × months since registration × source."""
    cube = Cube(("cohort", "since", "source"))
    last = reader.months.last
    columns = ("cohort_month", "months_since_registration", "n_registered", "n_customers", "n_active")
    for _, s, cohort, since, n_registered, n_customers, n_active in reader.rows(
        "cohort_conversion_monthly", columns, f"and months_since_registration <= {MOST_COHORT_MONTHS}"
    ):
        age = (last.year - cohort.year) * 12 + last.month - cohort.month
        if age < len(reader.months.all):
            key = (age, int(since), s)
            cube.add(key, "n_registered", int(n_registered))
            cube.add(key, "n_customers", int(n_customers))
            cube.add(key, "n_active", int(n_active))
    return cube


def _people(reader: _Reader) -> tuple[Cube, list[str], list[str]]:
    """Month (the last, and the year before) × source × status × registered within 12 months: gender by age band."""
    cube = Cube(("month", "source", "status", "recent"))
    ages: dict[str, int] = {}
    genders: set[str] = set()
    last = reader.months.last
    when = ", ".join(f"date '{month:%Y-%m-%d}'" for month in (last, add_months(last, -12)))
    columns = (
        "status",
        "registered_within_12m",
        "gender",
        "age_band",
        "age_band_rank",
        "n_profiles",
        "sum_age_years",
        "n_age_known",
    )
    for m, s, status, recent, gender, band, rank, n, years, known in reader.rows(
        "demographics_monthly", columns, f"and snapshot_month in ({when})"
    ):
        key = (m, s, STATUSES.index(status), int(recent))
        cube.add(key, f"{gender}|{band}", int(n))
        cube.add(key, "sum_age_years", int(years))
        cube.add(key, "n_age_known", int(known))
        ages[band] = int(rank)
        genders.add(gender)
    order = {"F": 0, "M": 1, "X": 2, "missing": 4}
    return cube, sorted(ages, key=ages.__getitem__), sorted(genders, key=lambda g: (order.get(g, 3), g))


def _lists(engine: Engine, months: _Months) -> tuple[list[dict[str, Any]], list[str], list[dict[str, Any]]]:
    """Return the fields, the channels (`any` last) and the recency bands of the last month, in order."""
    at = f"where snapshot_month = date '{months.last:%Y-%m-%d}'"
    fields = engine.rows(
        f"select distinct field, field_rank, is_key_field from marts.fill_rate_monthly {at} order by field_rank"
    )
    channels = [str(row[0]) for row in engine.rows(f"select distinct channel from marts.optin_rate_monthly {at}")]
    known = ("email", "sms", "phone", "post")
    bands = engine.rows(
        f"select distinct recency_band, recency_band_rank from marts.recency_monthly where {months.where} "
        "order by recency_band_rank"
    )
    return (
        [{"name": str(name), "key": bool(is_key)} for name, _, is_key in fields],
        sorted(channels, key=lambda c: (c == "any", known.index(c) if c in known else len(known), c)),
        [{"name": str(name), "rank": int(rank)} for name, rank in bands],
    )


def _month_facts(
    settings: Settings, engine: Engine, months: _Months, closes: Mapping[date, datetime | None]
) -> list[dict[str, Any]]:
    rows = engine.rows(
        f"select snapshot_month, definition_version, is_reconstructed from marts.base_overview_monthly where {months.where} "
        "and source = 'all'"
    )
    facts = {month: (version, bool(is_reconstructed)) for month, version, is_reconstructed in rows}
    restated, told = _restated(settings, engine), []
    for month in months.all:
        as_of, closed_at = add_months(month, 1) - timedelta(days=1), closes[month]
        version, is_reconstructed = facts.get(month, (None, False))
        told.append(
            {
                "month": f"{month:%Y-%m-%d}",
                "asOf": f"{as_of:%Y-%m-%d}",
                "version": version,
                "closedAt": closed_at.isoformat() if closed_at else None,
                "reconstructed": is_reconstructed,
                "restated": month in restated,
            }
        )
    return told


def _restated(settings: Settings, engine: Engine) -> set[date]:
    """Return the months of which a published value was changed."""
    # The log is kept in a DuckDB file alone.
    if settings.target != "duckdb" or not engine.rows(
        "select 1 from information_schema.tables where table_schema = 'ops' and table_name = 'restatements'"
    ):
        return set()
    return {row[0] for row in engine.rows("select distinct snapshot_month from ops.restatements")}


def _late(settings: Settings, engine: Engine, month: date) -> dict[str, Any] | None:
    """Return how many rows came late to a closed month, and the first and last month in which they happened."""
    found = late_rows(engine.rows, [month]) if settings.target == "duckdb" else []
    if not found:
        return None
    happened = sorted(row.happened_month for row in found)
    return {"n": sum(row.n_rows for row in found), "first": f"{happened[0]:%Y-%m-%d}", "last": f"{happened[-1]:%Y-%m-%d}"}


def _projection(engine: Engine, month: date) -> list[dict[str, Any]]:
    names = ("target_month", "scenario", "status", "level", "low", "high", "level_active", "low_active", "high_active")
    rows = engine.rows(
        f"select {', '.join(names)} from marts.projection_monthly where snapshot_month = date '{month:%Y-%m-%d}' "
        "order by target_month, scenario, status"
    )
    return [
        {"month": f"{target:%Y-%m-%d}", "scenario": scenario, "status": status}
        | {name: round(float(value), 1) for name, value in zip(names[3:], figures, strict=True)}
        for target, scenario, status, *figures in rows
    ]


def _accounts(engine: Engine, months: _Months) -> dict[str, Any] | None:
    """The companies of the last month and their sums by month; None without accounts."""
    at = f"where snapshot_month = date '{months.last:%Y-%m-%d}'"
    if not engine.rows(f"select 1 from marts.accounts_monthly {at} limit 1"):
        return None
    counts = ("n_orders_12m", "n_contracts_ending_3m", "n_contacts", "n_contacts_contactable")
    sums = ", ".join(f"sum({name})" for name in (*counts, *AMOUNTS_12M))
    rows = engine.rows(
        f"select snapshot_month, count(*), sum(case when contract_status = 'active' then 1 else 0 end), "
        f"count(distinct currency), max(currency), sum(case when has_several_currencies then 1 else 0 end), {sums} "
        f"from marts.accounts_monthly where {months.where} group by snapshot_month order by snapshot_month"
    )
    names = ("n_accounts", "n_contracted", "n_currencies", "currency", "n_mixed", *counts, *AMOUNTS_12M)
    by_month = [
        {"month": months.place(month)} | {name: _plain(value) for name, value in zip(names, values, strict=True)}
        for month, *values in rows
    ]
    coverage = {
        role: {str(state): int(n) for state, n in found}
        for role, found in (
            (role, engine.rows(f"select {role}_coverage, count(*) from marts.accounts_monthly {at} group by {role}_coverage"))
            for role in ROLES
        )
    }
    # Renewals first; among the rest, the companies that buy most.
    listed = engine.rows(
        f"select {', '.join(ACCOUNT_COLUMNS)} from marts.accounts_monthly {at} order by n_contracts_ending_3m desc, "
        f"coalesce(paid_amount_12m, 0) desc, account_id limit {MOST_ACCOUNTS}"
    )
    return {
        "byMonth": by_month,
        "coverage": coverage,
        "columns": list(ACCOUNT_COLUMNS),
        "rows": [[_plain(value) for value in row] for row in listed],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number == int(number) else round(number, 4)


def _terms(settings: Settings) -> dict[str, Any]:
    """The numbers that the page's words speak of."""
    variables = settings.vars
    return {
        "activeWithinDays": variables.active_within_days,
        "retentionProspect": variables.retention_months.prospect,
        "retentionCustomer": variables.retention_months.customer,
        "moreAcquisition": variables.projection.more_acquisition,
        "fewerLapses": variables.projection.fewer_lapses,
        "interval": variables.projection.interval,
        "minSourceProfiles": variables.min_source_profiles,
        "prospectAges": variables.prospect_ages,
        "zone": variables.reporting_timezone,
    }
