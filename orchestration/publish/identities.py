"""What the published counts add up to: every way in which one figure follows from others.

A figure that is held back is safe only while no combination of these gives it away (small_cells.py). A `Sum` says that a
measure of a mart, summed over the rows of a month that share some dimensions, is a quantity; two with one quantity and the same
dimensions are two ways to the same figure. An identity that does not hold under the vars of a deployment is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from orchestration.months import add_months
from orchestration.publish.catalog import MONTH, Mart
from orchestration.publish.extract import Extract
from orchestration.settings import Vars

Record = Mapping[str, Any]


class Cell(NamedTuple):
    """A figure of a published row."""

    mart: str
    row: int
    measure: str


class Quantity(NamedTuple):
    """What several marts may tell: its name, its month, its dimensions with their values."""

    name: str
    month: date
    of: tuple[tuple[str, str], ...]


Unknown = Cell | Quantity

SEGMENT = {"source": "source", "status": "status", "registered_within_12m": "registered_within_12m"}
BY_STATUS = {"source": "source", "status": "status"}
BY_SOURCE = {"source": "source"}
ALL = "all"
TOLERANCE = 1e-6


class Equation(NamedTuple):
    """Terms that add up to zero: the places of unknowns in the book, and the factor of each."""

    name: str
    terms: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Sum:
    """A quantity is the sum of `measures` over the rows of a mart that share the dimensions.

    `by` gives each dimension of the quantity the column that holds it, or `=value`. `each` names columns that repeat the
    quantity: one equation for each of their values. The quantity is that of `back` months before.
    """

    quantity: str
    mart: str
    measures: tuple[str, ...]
    by: Mapping[str, str]
    where: Callable[[Record], bool] = field(default=lambda row: True)
    each: tuple[str, ...] = ()
    back: int = 0


@dataclass(frozen=True)
class Window:
    """A measure is the sum of a quantity over the twelve months that end with its own, or their mean."""

    quantity: str
    mart: str
    measure: str
    times: int = 1


@dataclass(frozen=True)
class Balance:
    """Measures that add up to zero: within a row, or over the rows of a mart that share `by`, with the factor of each."""

    mart: str
    factors: Callable[[Record], Mapping[str, int]]
    by: tuple[str, ...]


# A quantity of the left, summed over the dimension, is that of fewer dimensions.
ROLLUPS = (
    ({"source", "status", "registered_within_12m"}, "registered_within_12m"),
    ({"source", "status", "registered_within_12m"}, "status"),
    ({"source", "registered_within_12m"}, "registered_within_12m"),
    ({"source", "status"}, "status"),
    ({"source", "status"}, "source"),
    ({"source"}, "source"),
    ({"status"}, "status"),
)
# Quantities of segments whose difference is a count as well: profiles = active + inactive.
DIFFERENCES = (("profiles", "active", "inactive"), ("new", "new_active", "new_inactive"))


def _is(column: str, *values: object) -> Callable[[Record], bool]:
    return lambda row: row[column] in values


def _of_scope(scope: str, movement: str) -> Callable[[Record], bool]:
    return lambda row: row["scope"] == scope and row["movement"] == movement


def _upper(band: str) -> float:
    return float(band.split("-")[1]) if "-" in band else float("inf")


def sums(settings: Vars) -> list[Sum]:
    """Return the ways to each quantity, under the vars of a deployment."""
    of_segments = [*_profiles(), *_activity(settings.active_within_days), *_fields(settings), *_consents()]
    return [*of_segments, *_movements(), *_overview()]


def _profiles() -> Iterator[Sum]:
    n_profiles = ("n_profiles",)
    for mart in ("recency_monthly", "status_monthly", "demographics_monthly"):
        yield Sum("profiles", mart, n_profiles, SEGMENT)
    yield Sum("profiles", "fill_rate_monthly", n_profiles, SEGMENT, each=("field",))
    yield Sum("profiles", "optin_rate_monthly", n_profiles, SEGMENT, each=("channel",))
    yield Sum("profiles", "flows_monthly", n_profiles, BY_STATUS, _of_scope("base", "closing"))
    yield Sum("profiles", "flows_monthly", n_profiles, BY_STATUS, _of_scope("base", "opening"), back=1)
    yield Sum("profiles", "retention_monthly", n_profiles, BY_STATUS)
    yield Sum("profiles", "source_scorecard_monthly", n_profiles, BY_SOURCE)
    registered = {"source": "source", "registered_within_12m": "=recent"}
    cohort = "cohort_conversion_monthly"
    yield Sum("profiles", cohort, ("n_registered",), BY_SOURCE)
    yield Sum("registered", cohort, ("n_registered",), registered, lambda row: row["months_since_registration"] < 12)
    for mart in ("status_monthly", "recency_monthly", "demographics_monthly"):
        yield Sum("registered", mart, n_profiles, registered, _is("registered_within_12m", True))
    yield Sum("profiles", cohort, ("n_customers",), {"source": "source", "status": "=customer"})
    ages = ("n_prospects_new", "n_prospects_cold", "n_prospects_dormant")
    yield Sum("profiles", "acquisition_monthly", ages, {"source": "source", "status": "=prospect"})


def _activity(active_within_days: int) -> Iterator[Sum]:
    n_profiles = ("n_profiles",)

    def is_active(row: Record) -> bool:
        return _upper(row["recency_band"]) <= active_within_days

    yield Sum("active", "status_monthly", n_profiles, SEGMENT, _is("is_active", True))
    yield Sum("inactive", "status_monthly", n_profiles, SEGMENT, _is("is_active", False))
    yield Sum("active", "recency_monthly", n_profiles, SEGMENT, is_active)
    yield Sum("inactive", "recency_monthly", n_profiles, SEGMENT, lambda row: not is_active(row))
    yield Sum("active", "flows_monthly", n_profiles, BY_STATUS, _of_scope("active", "closing"))
    yield Sum("active", "flows_monthly", n_profiles, BY_STATUS, _of_scope("active", "opening"), back=1)
    yield Sum("active", "cohort_conversion_monthly", ("n_active",), BY_SOURCE)
    yield Sum("new", "status_monthly", ("n_new",), SEGMENT)
    yield Sum("new", "recency_monthly", n_profiles, SEGMENT, _is("is_new", True))
    yield Sum("new", "flows_monthly", n_profiles, BY_STATUS, _of_scope("base", "new"))
    yield Sum("new_active", "flows_monthly", n_profiles, BY_STATUS, _of_scope("active", "new"))
    yield Sum("new_active", "status_monthly", ("n_new",), SEGMENT, _is("is_active", True))
    yield Sum("new_inactive", "status_monthly", ("n_new",), SEGMENT, _is("is_active", False))
    yield Sum("new_active", "recency_monthly", n_profiles, SEGMENT, lambda row: row["is_new"] and is_active(row))
    yield Sum("new_inactive", "recency_monthly", n_profiles, SEGMENT, lambda row: row["is_new"] and not is_active(row))
    yield Sum("new", "acquisition_monthly", ("n_new",), BY_SOURCE)
    yield Sum("new", "acquisition_monthly", ("n_new_prev_year",), BY_SOURCE, back=12)
    yield Sum("new", "source_scorecard_monthly", ("n_new",), BY_SOURCE)
    yield Sum("new", "cohort_conversion_monthly", ("n_registered",), BY_SOURCE, _is("months_since_registration", 0))


def _fields(settings: Vars) -> Iterator[Sum]:
    def filled(name: str) -> dict[str, str]:
        return {**SEGMENT, "field": f"={name}"}

    coordinates = set(settings.channels.values())
    yield Sum("filled", "fill_rate_monthly", ("n_filled",), {**SEGMENT, "field": "field"})
    for channel, name in settings.channels.items():
        yield Sum("filled", "optin_rate_monthly", ("n_filled",), filled(name), _is("channel", channel), each=("channel",))
    yield Sum("filled", "demographics_monthly", ("n_age_known",), filled("birth_date"))
    yield Sum("filled", "demographics_monthly", ("n_profiles",), filled("gender"), lambda row: row["gender"] != "missing")
    yield Sum("aged", "demographics_monthly", ("n_age_known",), SEGMENT)
    yield Sum("aged", "demographics_monthly", ("n_profiles",), SEGMENT, lambda row: row["age_band"] != "missing")
    yield Sum("key_filled", "fill_rate_monthly", ("n_filled",), SEGMENT, _is("is_key_field", True))
    yield Sum("key_filled", "source_scorecard_monthly", ("n_key_fields_filled",), BY_SOURCE)
    yield Sum("key_values", "fill_rate_monthly", ("n_profiles",), SEGMENT, _is("is_key_field", True))
    yield Sum("key_values", "source_scorecard_monthly", ("n_key_values",), BY_SOURCE)
    yield Sum("coordinates", "fill_rate_monthly", ("n_filled",), SEGMENT, lambda row: row["field"] in coordinates)
    yield Sum("coordinates", "source_scorecard_monthly", ("n_coordinates",), BY_SOURCE)


def _consents() -> Iterator[Sum]:
    by_channel = {**SEGMENT, "channel": "channel"}
    any_channel = {**SEGMENT, "channel": "=any"}
    of_source = {"source": "source", "channel": "channel"}
    yield Sum("opted_in", "optin_rate_monthly", ("n_opted_in",), by_channel)
    yield Sum("opted_in", "status_monthly", ("n_optin_any",), any_channel)
    yield Sum("opted_in", "source_scorecard_monthly", ("n_opted_in",), {"source": "source", "channel": "=any"})
    yield Sum("opted_in", "consent_flows_monthly", ("n_profiles",), of_source, _is("movement", "closing"))
    yield Sum("opted_in", "consent_flows_monthly", ("n_profiles",), of_source, _is("movement", "opening"), back=1)
    yield Sum("contactable", "optin_rate_monthly", ("n_contactable",), by_channel)


def _movements() -> Iterator[Sum]:
    n_profiles = ("n_profiles",)
    yield Sum("deleted", "flows_monthly", n_profiles, BY_STATUS, _of_scope("base", "deleted"))
    yield Sum("deleted", "retention_monthly", ("n_deleted",), BY_STATUS)
    yield Sum("converted", "flows_monthly", n_profiles, BY_STATUS, _of_scope("base", "converted_in"))
    for scope in ("base", "active"):
        for movement in ("converted", "reassigned"):
            for way in ("in", "out"):
                of_all = {"scope": f"={scope}", "movement": f"={movement}"}
                yield Sum("moved", "flows_monthly", n_profiles, of_all, _of_scope(scope, f"{movement}_{way}"))
    of_channel = {"channel": "channel", "movement": "=reassigned"}
    for way in ("in", "out"):
        yield Sum("moved", "consent_flows_monthly", n_profiles, of_channel, _is("movement", f"reassigned_{way}"))
    forecast, horizon = "retention_forecast_monthly", {**BY_STATUS, "horizon": "horizon_months"}
    yield Sum("overdue", "retention_monthly", ("n_overdue",), BY_STATUS)
    yield Sum("overdue", forecast, ("n_overdue",), BY_STATUS, each=("horizon_months",))
    yield Sum("due", forecast, ("n_due",), horizon)
    for months in (1, 3, 12):
        yield Sum("due", "retention_monthly", (f"n_due_{months}m",), {**BY_STATUS, "horizon": f"={months}"})


# Measures of the overview: the quantity, and what stands for dimensions that are not in the column's name.
OVERVIEW: dict[str, tuple[str, Mapping[str, str]]] = {
    "n_profiles": ("profiles", {}),
    "n_active": ("active", {}),
    "n_new": ("new", {}),
    "n_optin_any": ("opted_in", {"channel": "=any"}),
    "n_contactable_any": ("contactable", {"channel": "=any"}),
    "n_customers": ("profiles", {"status": "=customer"}),
    "n_prospects": ("profiles", {"status": "=prospect"}),
}


def _overview() -> Iterator[Sum]:
    for measure, (quantity, more) in OVERVIEW.items():
        for suffix, back in (("", 0), ("_prev_month", 1), ("_prev_year", 12)):
            yield Sum(quantity, "base_overview_monthly", (measure + suffix,), {**BY_SOURCE, **more}, back=back)


def windows() -> list[tuple[Window, Mapping[str, str]]]:
    """Return the measures over twelve months, each with the dimensions of its quantity."""
    means = [
        (Window(quantity, "base_overview_monthly", f"{measure}_mean_12m", 12), more)
        for measure, (quantity, more) in OVERVIEW.items()
    ]
    return [*means, (Window("new", "acquisition_monthly", "n_new_last_12m"), {})]


def _bridge(row: Record) -> Mapping[str, int]:
    of_level = {"opening": 1, "closing": -1}
    return {"n_profiles": of_level.get(row["movement"], int(row["sign"]))}


def _in_row(factors: Mapping[str, int]) -> Callable[[Record], Mapping[str, int]]:
    return lambda row: factors


# A profile stands at the first of these that holds.
_WATERFALL = ("n_no_coordinate", "n_invalid", "n_bounced", "n_untested", "n_no_optin", "n_optin_other_coordinate")
_REACHED = {"n_no_optin": 1, "n_optin_other_coordinate": 1, "n_contactable": 1, "n_reachable": -1}


def balances(mart: Mart) -> list[Balance]:
    """Return what balances in a mart."""
    found = {
        "flows_monthly": [Balance(mart.name, _bridge, ("source", "status", "scope"))],
        "consent_flows_monthly": [Balance(mart.name, _bridge, ("source", "channel"))],
        "optin_rate_monthly": [
            Balance(mart.name, _in_row({**dict.fromkeys(_WATERFALL, 1), "n_contactable": 1, "n_profiles": -1}), mart.grain),
            Balance(mart.name, _in_row(_REACHED), mart.grain),
        ],
        "retention_forecast_monthly": [
            Balance(mart.name, _in_row({"n_overdue": 1, "n_due": 1, "n_drained_at_most": -1}), mart.grain)
        ],
    }
    return found.get(mart.name, [])


class Book:
    """All identities of what is published, as equations between counts and quantities that hold for the true figures."""

    def __init__(self, content: Extract, settings: Vars) -> None:
        self.equations: list[Equation] = []
        self.broken: set[str] = set()
        # Figures and quantities, in one order, with their true values.
        self.unknowns: list[Unknown] = []
        self.values: list[float] = []
        self.places: dict[Unknown, int] = {}
        self._parts: dict[str, set[Quantity]] = defaultdict(set)
        # Rows of the whole base, which are hidden last.
        self.of_all: set[tuple[str, int]] = set()
        records = {mart.name: [_record(mart, row) for row in content.rows[mart.name]] for mart in content.marts}
        for name, rows in records.items():
            self.of_all |= {(name, index) for index, row in enumerate(rows) if row.get("source") == ALL}
        entries = sums(settings)
        told = [self._add_sum(entry, records.get(entry.mart, [])) for entry in entries]
        self._add_rollups()
        self._add_differences()
        for window, more in windows():
            self._add_window(window, more, records.get(window.mart, []))
        for mart in content.marts:
            for balance in balances(mart):
                self._add_balance(balance, records[mart.name])
        for entry, keys in zip(entries, told, strict=True):
            self._add_absences(entry, keys, {row[MONTH] for row in records.get(entry.mart, [])})

    def _place(self, unknown: Unknown, value: float) -> int:
        """Return where an unknown stands; one that is new has this value."""
        if unknown not in self.places:
            self.places[unknown] = len(self.values)
            self.unknowns.append(unknown)
            self.values.append(value)
            if isinstance(unknown, Quantity):
                self._parts[unknown.name].add(unknown)
        return self.places[unknown]

    def _add(self, name: str, terms: list[tuple[int, int]], whole: Unknown | None = None, times: int = 1) -> None:
        """Keep an equation if it holds; `whole` is what its terms add up to."""
        total = sum(factor * self.values[place] for place, factor in terms)
        if whole is not None:
            place = self._place(whole, total / times)
            terms, total = [*terms, (place, -times)], total - times * self.values[place]
        if abs(total) > TOLERANCE:
            self.broken.add(name)
        else:
            self.equations.append(Equation(name, tuple(terms)))

    def _add_sum(self, entry: Sum, records: list[dict[str, Any]]) -> set[Quantity]:
        """Add the equations of a sum, and return the quantities that the mart has rows of."""
        told: set[Quantity] = set()
        parts: dict[tuple[Quantity, tuple[Any, ...]], list[tuple[int, int]]] = defaultdict(list)
        for index, row in enumerate(records):
            if not entry.where(row):
                continue
            key = _quantity(entry.quantity, add_months(row[MONTH], -entry.back), entry.by, row)
            told.add(key)
            if any(row[measure] is None for measure in entry.measures):
                continue
            each = tuple(row[name] for name in entry.each)
            for measure in entry.measures:
                parts[key, each].append((self._place(Cell(entry.mart, index, measure), row[measure]), 1))
        name = f"{entry.quantity} in {entry.mart} ({', '.join(entry.measures)}, {entry.back} back)"
        for (key, _), terms in parts.items():
            self._add(name, terms, key)
        return told

    def _add_absences(self, entry: Sum, told: set[Quantity], months: set[date]) -> None:
        """Say that what a mart has no row of is nobody: readers see that there is none."""
        fixed = {(dimension, column[1:]) for dimension, column in entry.by.items() if column.startswith("=")}
        for key in self._parts[entry.quantity] - told:
            alike = {dimension for dimension, _ in key.of} == set(entry.by) and fixed.issubset(key.of)
            if alike and add_months(key.month, entry.back) in months:
                self._add(f"no {entry.quantity} in {entry.mart} ({entry.back} back)", [(self.places[key], 1)])

    def _add_rollups(self) -> None:
        for names, over in ROLLUPS:
            for quantity in list(self._parts):
                self._roll_up(quantity, names, over)

    def _roll_up(self, quantity: str, names: set[str], over: str) -> None:
        parts: dict[Quantity, list[tuple[int, int]]] = defaultdict(list)
        for key in self._parts[quantity]:
            if names == set(dict(key.of)).intersection(SEGMENT):
                rest = tuple((name, value) for name, value in key.of if name != over)
                parts[Quantity(quantity, key.month, rest)].append((self.places[key], 1))
        for whole, terms in parts.items():
            self._add(f"{quantity} over {over}", terms, whole)

    def _add_differences(self) -> None:
        for whole, *names in DIFFERENCES:
            # The month before the first is known by its closing levels alone.
            months = set.intersection(*({key.month for key in self._parts[name]} for name in names))
            for key in (key for key in self._parts[whole] if key.month in months):
                parts = [key._replace(name=name) for name in names]
                if terms := [(self.places[part], 1) for part in parts if part in self.places]:
                    self._add(f"{whole} = {' + '.join(names)}", terms, key)

    def _add_window(self, window: Window, more: Mapping[str, str], records: list[dict[str, Any]]) -> None:
        by = {"source": "source", **more}
        for index, row in enumerate(records):
            if row[window.measure] is None:
                continue
            cell = Cell(window.mart, index, window.measure)
            self._place(cell, row[window.measure])
            months = [_quantity(window.quantity, add_months(row[MONTH], -back), by, row) for back in range(12)]
            terms = [(self.places[month], 1) for month in months if month in self.places]
            self._add(f"{window.measure} of {window.mart}", terms, cell, window.times)

    def _add_balance(self, balance: Balance, records: list[dict[str, Any]]) -> None:
        groups: dict[tuple[Any, ...], list[tuple[int, int]]] = defaultdict(list)
        for index, row in enumerate(records):
            key = (row[MONTH], *(row[name] for name in balance.by))
            for measure, factor in balance.factors(row).items():
                if factor:
                    groups[key].append((self._place(Cell(balance.mart, index, measure), row[measure]), factor))
        for terms in groups.values():
            self._add(f"{balance.mart} balances", terms)


def _record(mart: Mart, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column.name: value for column, value in zip(mart.columns, row, strict=True)}


def _quantity(name: str, month: date, by: Mapping[str, str], row: Record) -> Quantity:
    """Name a quantity; the source `all` is the sum over the sources, a dimension less."""
    values = [(dimension, column[1:] if column.startswith("=") else row[column]) for dimension, column in by.items()]
    kept = [(d, str(value)) for d, value in values if not (d == "source" and value == ALL)]
    return Quantity(name, month, tuple(sorted(kept)))
