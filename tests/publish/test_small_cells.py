"""Small counts held back: what a reader who knows how the marts hang together can work out from what is published."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestration.engine import engine_of
from orchestration.publish.catalog import Mart
from orchestration.publish.extract import Extract, Row, extract
from orchestration.publish.files import publish as publish_files
from orchestration.publish.identities import Book, Cell, Equation
from orchestration.publish.small_cells import IS_SUPPRESSED, System, blank, complete, determined, protect, small_cells, unit
from orchestration.settings import ConfigurationError, load_settings
from tests.publish.conftest import NOW, Server, varied

SMALLEST = 5
VARS = load_settings({}).vars
MONTH = date(2026, 10, 1)
BANDS = ("0-30", "31-90", "366-730")
Person = tuple[str, str, bool, bool, str]


# ---- people, and marts that count them --------------------------------------------------------------------------------


@dataclass(frozen=True)
class People:
    """People of one month, by the finest that a mart tells: source, status, registered lately, new, recency band."""

    counts: Mapping[Person, int]

    def n(self, **wanted: object) -> int:
        """Count those who are so."""
        return sum(n for person, n in self.counts.items() if _is(person, wanted))


def _is(person: Person, wanted: Mapping[str, object]) -> bool:
    source, status, registered, is_new, band = person
    told = {"source": source, "status": status, "registered_within_12m": registered, "is_new": is_new, "recency_band": band}
    told["is_active"] = band != BANDS[-1]
    return all(told[name] == value for name, value in wanted.items() if value != "all")


def some_people(seed: int) -> People:
    """Return a base with many small counts and some large ones."""
    chance = random.Random(seed)
    counts: dict[Person, int] = {}
    for source in ("partner", "till", "web"):
        for status in ("customer", "prospect"):
            for registered, is_new in ((True, True), (True, False), (False, False)):
                for band in BANDS[:2] if is_new else BANDS:
                    if n := chance.choice((0, 1, 2, 4, 7, 30, 200)):
                        counts[source, status, registered, is_new, band] = n
    return People(counts)


# What each measure counts, over the dimensions of its mart.
MEASURES: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "recency_monthly": {"n_profiles": {}},
    "status_monthly": {"n_profiles": {}, "n_new": {"is_new": True}},
    "base_overview_monthly": {
        "n_profiles": {},
        "n_active": {"is_active": True},
        "n_new": {"is_new": True},
        "n_customers": {"status": "customer"},
        "n_prospects": {"status": "prospect"},
    },
}
COUNTED: Mapping[str, tuple[str, ...]] = {
    "recency_monthly": ("source", "status", "registered_within_12m", "is_new", "recency_band"),
    "status_monthly": ("source", "status", "registered_within_12m", "is_active"),
    "base_overview_monthly": ("source",),
}


def marts_of(people: People, marts: Sequence[Mart]) -> Extract:
    """Return three marts that count the same people."""
    counting = tuple(mart for mart in marts if mart.name in COUNTED)
    rows: dict[str, list[Row]] = {}
    for mart in counting:
        groups: set[tuple[object, ...]] = {
            tuple(_told(person)[name] for name in COUNTED[mart.name]) for person in people.counts
        }
        if mart.name == "base_overview_monthly":
            groups.add(("all",))
        rows[mart.name] = [
            _row(mart, dict(zip(COUNTED[mart.name], group, strict=True)), people) for group in sorted(groups, key=str)
        ]
    return Extract(counting, rows, MONTH, datetime(2026, 11, 3, tzinfo=UTC), "v1")


def _told(person: Person) -> dict[str, object]:
    source, status, registered, is_new, band = person
    dimensions = {"source": source, "status": status, "registered_within_12m": registered, "is_new": is_new}
    return {**dimensions, "recency_band": band, "is_active": band != BANDS[-1]}


def _row(mart: Mart, dimensions: Mapping[str, object], people: People) -> Row:
    values: dict[str, Any] = {"snapshot_month": MONTH, "as_of_date": date(2026, 10, 31), "definition_version": "v1"}
    values |= {"is_latest_month": True, **dimensions}
    for measure, wanted in MEASURES[mart.name].items():
        values[measure] = people.n(**dimensions, **wanted)
    ranks = {"recency_band_rank": 1, "n_converted": 0, "n_optin_any": 0, "n_contactable_any": 0}
    return tuple(values.get(column.name, ranks.get(column.name)) for column in mart.columns)


# ---- a reader who works things out ------------------------------------------------------------------------------------


def worked_out(people: People, published: Extract) -> list[tuple[str, int]]:
    """Return the small counts of people that follow from what is published, by linear algebra over the people themselves.

    The reader knows every published figure, and that each is a sum over groups of people. A count is worked out when it is a
    combination of published ones: when it does not change along any direction that leaves them all as they are.
    """
    groups = sorted(people.counts)
    known: list[list[float]] = []
    hidden: list[tuple[str, int, list[float]]] = []
    for mart in published.marts:
        for row in published.rows[mart.name]:
            dimensions = {name: row[mart.position(name)] for name in COUNTED[mart.name]}
            for measure, wanted in MEASURES[mart.name].items():
                counts = [float(_is(group, {**dimensions, **wanted})) for group in groups]
                n = people.n(**dimensions, **wanted)
                if row[mart.position(measure)] is not None:
                    assert row[mart.position(measure)] == n
                    known.append(counts)
                elif 0 < n < SMALLEST:
                    hidden.append((f"{measure} of {mart.name} {dimensions}", n, counts))
    directions = null_space(np.array(known))
    return [(name, n) for name, n, counts in hidden if np.abs(np.array(counts) @ directions).max(initial=0) < 1e-9]


def null_space(matrix: Any) -> Any:
    """Return the directions along which nothing changes that a matrix measures, as columns."""
    _, sizes, directions = np.linalg.svd(matrix)
    return directions[int((sizes > 1e-9).sum()) :].T


@pytest.mark.parametrize("seed", range(8))
def test_no_small_count_can_be_worked_out_from_what_is_published(marts: tuple[Mart, ...], seed: int) -> None:
    people = some_people(seed)
    content = marts_of(people, marts)
    assert worked_out(people, protect(content, SMALLEST, VARS)) == []
    # Without what is hidden beside the small counts themselves, they can.
    assert worked_out(people, blank(content, {unit(cell) for cell in small_cells(content, SMALLEST)})) != []


@pytest.mark.parametrize("seed", range(8))
def test_no_published_count_is_small(marts: tuple[Mart, ...], seed: int) -> None:
    content = marts_of(some_people(seed), marts)
    assert small_cells(content, SMALLEST) != []
    assert small_cells(protect(content, SMALLEST, VARS), SMALLEST) == []


def test_what_is_not_hidden_is_as_it_was_and_something_is_left(marts: tuple[Mart, ...]) -> None:
    content = marts_of(some_people(1), marts)
    published = protect(content, SMALLEST, VARS)
    shown = 0
    for mart in published.marts:
        assert mart.columns[-1].name == IS_SUPPRESSED
        for before, after in zip(content.rows[mart.name], published.rows[mart.name], strict=True):
            assert all(value in (old, None) for old, value in zip(before, after[:-1], strict=True))
            assert after[-1] == (after[:-1] != before)
            shown += not after[-1]
    assert shown >= 5


def test_a_row_of_parts_is_hidden_whole_so_that_shares_keep_their_denominators(marts: tuple[Mart, ...]) -> None:
    content = marts_of(some_people(1), marts)
    published = protect(content, SMALLEST, VARS)
    mart = next(mart for mart in published.marts if mart.name == "status_monthly")
    for row in published.rows[mart.name]:
        assert {row[mart.position(name)] is None for name in ("n_profiles", "n_new")} == {row[-1]}


def test_without_a_smallest_count_all_is_published_as_before(marts: tuple[Mart, ...]) -> None:
    content = varied(marts)
    assert protect(content, 0, VARS) is content


def test_a_count_of_nobody_is_published(marts: tuple[Mart, ...]) -> None:
    people = People({("web", "customer", False, False, "0-30"): 100, ("web", "prospect", False, False, "0-30"): 50})
    content = marts_of(people, marts)
    published = protect(content, SMALLEST, VARS)
    assert [row[:-1] for rows in published.rows.values() for row in rows] == [
        row for rows in content.rows.values() for row in rows
    ]


def test_two_hidden_counts_that_add_up_to_little_are_given_room(marts: tuple[Mart, ...]) -> None:
    # One and one: who knows their sum, and that neither is nobody, knows both.
    counts = {("web", "customer", False, False, band): n for band, n in zip(BANDS, (1, 1, 200), strict=True)}
    counts |= {("web", "customer", True, False, "0-30"): 60, ("web", "prospect", False, False, "0-30"): 50}
    counts |= {("till", "customer", False, False, "0-30"): 70}
    published = protect(marts_of(People(counts), marts), SMALLEST, VARS)
    mart = next(mart for mart in published.marts if mart.name == "recency_monthly")
    hidden = sum(
        counts[tuple(row[mart.position(name)] for name in COUNTED[mart.name])] for row in published.rows[mart.name] if row[-1]
    )
    assert hidden >= SMALLEST + 2


@pytest.mark.parametrize(
    ("equations", "known"),
    [
        ([{1: 1, 2: 1}, {1: 1, 2: -1}], {1, 2}),
        ([{1: 1, 2: 1}, {2: 1, 3: 1}, {3: 1, 4: 1}, {4: 1, 1: 1}], set()),
        ([{1: 1, 2: 1, 3: 1}, {1: 1, 2: 1}, {4: 1, 3: 1, 5: 1}], {3}),
        ([{1: 12, 2: 1}, {1: 1, 2: 1}], {1, 2}),
    ],
)
def test_what_equations_determine_is_found(equations: Sequence[Mapping[int, int]], known: set[int]) -> None:
    assert set(determined(dict(enumerate(equations)))) == known


def test_what_differs_by_one_unknown_is_found_although_nothing_else_is_known(marts: tuple[Mart, ...]) -> None:
    book = Book(replace(marts_of(some_people(1), marts), marts=(), rows={}), VARS)
    # a + b + c and b + c: none of b and c is known, a is.
    book.unknowns = [Cell("a", i, "n") for i in range(3)]
    book.values = [1.0, 20.0, 30.0]
    book.equations = [Equation("three", ((0, 1), (1, 1), (2, 1))), Equation("two", ((1, 1), (2, 1)))]
    assert System(book, {("a", i, "") for i in range(3)}).known_by == {0: {0, 1}}


@pytest.mark.parametrize("value", [-1, "some"])
def test_a_smallest_count_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="min_cell"):
        _ = load_settings({"BATHTUB_VARS": f"{{min_cell: {value}}}"}).vars


def test_hidden_figures_are_null_in_postgresql_and_in_files(server: Server, marts: tuple[Mart, ...], tmp_path: Path) -> None:
    content = protect(marts_of(some_people(1), marts), SMALLEST, VARS)
    server.publish(content)
    query = (
        "select count(*) filter (where n_profiles is null), count(*) filter (where is_suppressed) from marts.recency_monthly"
    )
    ((n_null, n_suppressed),) = server.read(query)
    assert n_null == n_suppressed > 0
    publish_files(str(tmp_path), content, NOW, 0)
    lines = (tmp_path / "latest/csv/recency_monthly/recency_monthly.csv").read_text(encoding="utf-8").splitlines()
    assert sum(line.endswith(",true") for line in lines) == n_suppressed


# ---- a base, with all its marts ---------------------------------------------------------------------------------------


def follows(book: Book, hidden: set[Any], secret: set[int]) -> set[int]:
    """Return the secrets that follow from what is shown, worked out otherwise than by the publisher.

    A random change of all unknowns, less its part that the equations see (least squares), leaves what is shown as it is. It
    moves every unknown that is not determined.
    """
    sparse, linalg = pytest.importorskip("scipy.sparse"), pytest.importorskip("scipy.sparse.linalg")
    columns: dict[int, int] = {}
    places: list[tuple[int, int, int]] = []
    for row, equation in enumerate(book.equations):
        for unknown, factor in equation.terms:
            name = book.unknowns[unknown]
            if not isinstance(name, Cell) or unit(name) in hidden:
                places.append((row, columns.setdefault(unknown, len(columns)), factor))
    rows, of_column, factors = zip(*places, strict=True)
    matrix = sparse.csr_matrix((np.array(factors, dtype=float), (rows, of_column)), shape=(len(book.equations), len(columns)))
    found = set(secret)
    # Chance may leave one of thousands nearly where it was; not twice.
    for seed in (7, 8):
        change = np.random.default_rng(seed).normal(size=len(columns))
        moved = change - linalg.lsqr(matrix, matrix @ change, atol=1e-13, btol=1e-13, iter_lim=20_000)[0]
        found = {unknown for unknown in found if abs(moved[columns[unknown]]) < 1e-7}
    return found


@pytest.mark.slow
def test_no_small_count_of_a_closed_base_follows_from_what_is_published(
    closed_base: Mapping[str, str], marts: tuple[Mart, ...]
) -> None:
    settings = load_settings(closed_base)
    content = extract(engine_of(settings), marts)
    book = Book(content, settings.vars)
    small = small_cells(content, SMALLEST)
    secret = {book.places[cell] for cell in small if cell in book.places}
    assert len(secret) > 1000
    alone = {unit(cell) for cell in small}
    assert follows(book, alone, secret)
    hidden = complete(book, small, SMALLEST)
    assert follows(book, hidden, secret) == set()
    assert System(book, hidden).known_by.keys().isdisjoint(secret)
    # Published figures are the true ones, and the level of the base is among them.
    published = blank(content, hidden)
    overview = next(mart for mart in published.marts if mart.name == "base_overview_monthly")
    levels = [
        row[overview.position("n_profiles")]
        for row in published.rows[overview.name]
        if row[overview.position("source")] == "all"
    ]
    assert Counter(level is None for level in levels)[False] > len(levels) / 2
