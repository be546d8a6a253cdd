"""Small counts held back: rows with one are published without their figures, and so are the rows that would give them away.

A row is shown whole or not at all, where a share is a sum over a sum: those that are shown give numerator and denominator. What
else must be held back is found by solving the identities of identities.py for what is hidden, until no small count follows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from orchestration.months import add_months
from orchestration.publish import PublishError
from orchestration.publish.catalog import MONTH, Column, Mart
from orchestration.publish.extract import Extract, Row
from orchestration.publish.identities import Book, Cell, Quantity
from orchestration.settings import Vars

IS_SUPPRESSED = "is_suppressed"
SUPPRESSED_COLUMN = Column(
    IS_SUPPRESSED,
    "boolean",
    "The figures of the row are held back (null), since one of them is small or would give a small one away.",
)
# Numbers that count nobody: ranks, positions, weights.
NO_FIGURES = {"sign", "field_weight", "months_since_registration", "horizon_months", "months_ahead", "n_evidence_months"}
# Estimates of totals of the base, from which no count follows.
ESTIMATES = {"projection_monthly"}
# Findings state figures of every breakdown: their codes and levels say enough.
FINDINGS = "challenges_monthly"
# Computed from figures by other ways than sums: null where a row of the same dimensions is hidden in as many months before.
DERIVED: Mapping[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "source_scorecard_monthly": (
        tuple(
            f"{defect}_{effect}_effect"
            for defect in ("fill", "placeholder", "invalid", "duplicate", "optin_no_coordinate")
            for effect in ("rate", "mix")
        ),
        1,
        (),
    ),
    "acquisition_monthly": (("seasonality_index",), 23, ("source",)),
    "retention_forecast_monthly": (("n_drained_expected",), 12, ("status",)),
}
# Rounds in which as little as possible is hidden; what is left then hangs together, and is cut more coarsely each round.
GENTLE_ROUNDS = 12
# A prime: solving whole numbers modulo a large one needs no fractions.
PRIME = (1 << 61) - 1

# What is hidden at once: a row of a mart, or one of its figures.
Unit = tuple[str, int, str]
# Read one row at a time, for a source or for `all`: a figure is hidden by itself. Elsewhere a share is a sum over a sum.
BY_FIGURE = {"base_overview_monthly", "acquisition_monthly"}


def protect(content: Extract, min_cell: int, settings: Vars) -> Extract:
    """Return what may be published: the same rows, some without their figures, and the column `is_suppressed`.

    Args:
        content: the true figures.
        min_cell: the smallest count that may be shown; 0 shows all, and changes nothing.
        settings: the vars that the figures were computed under.

    Raises:
        PublishError: no set of rows protects the small counts.
    """
    if not min_cell:
        return content
    hidden = complete(Book(content, settings), small_cells(content, min_cell), min_cell)
    return blank(content, hidden)


def unit(cell: Cell) -> Unit:
    """Return what is hidden with a figure."""
    return cell.mart, cell.row, cell.measure if cell.mart in BY_FIGURE else ""


def figures(mart: Mart) -> tuple[str, ...]:
    """Return the columns of a mart that are figures: numbers that are no rank, no position and no part of the grain."""
    return tuple(
        column.name
        for column in mart.columns
        if column.data_type in ("bigint", "double")
        and column.name not in mart.grain
        and column.name not in NO_FIGURES
        and not (column.name.endswith("_rank") and column.name != "defect_rank")
    )


def small_cells(content: Extract, min_cell: int) -> list[Cell]:
    """Return the counts above 0 and below the smallest that may be shown."""
    found = []
    for mart in content.marts:
        if mart.name in ESTIMATES or mart.name == FINDINGS:
            continue
        counts = [(mart.position(name), name) for name in figures(mart) if name.startswith("n_")]
        for index, row in enumerate(content.rows[mart.name]):
            small = (name for place, name in counts if row[place] is not None and 0 < row[place] < min_cell)
            found += [Cell(mart.name, index, name) for name in small]
    return found


def complete(book: Book, small: Sequence[Cell], min_cell: int) -> set[Unit]:
    """Return what to hide: what has a small count, and more until no small count follows from what is shown.

    Raises:
        PublishError: there is no such set.
    """
    hidden = {unit(cell) for cell in small}
    secret = {book.places[cell] for cell in small if cell in book.places}
    for n_rounds in count():
        found = System(book, hidden).leaks(secret, min_cell, at_once=2 ** max(0, n_rounds - GENTLE_ROUNDS))
        if not found:
            break
        more = set[Unit]().union(*found)
        if not more:
            raise PublishError("The small counts of the marts cannot be held back; publish with another min_cell, or with 0.")
        hidden |= more
    return hidden


class System:
    """The identities, solved for what is hidden and for the quantities: `known_by` says which equations tell an unknown."""

    def __init__(self, book: Book, hidden: set[Unit]) -> None:
        self.book = book
        self._is_open = [isinstance(name, Quantity) or unit(name) in hidden for name in book.unknowns]
        self.known_by: dict[int, set[int]] = {}
        # Of each equation, what is still unknown and its factor.
        self._left: list[dict[int, int]] = []
        self._uses: dict[int, list[int]] = defaultdict(list)
        for place, equation in enumerate(book.equations):
            terms: dict[int, int] = {}
            for unknown, factor in equation.terms:
                if self._is_open[unknown]:
                    terms[unknown] = terms.get(unknown, 0) + factor
                    self._uses[unknown].append(place)
            self._left.append(terms)
        self._settle([place for place, terms in enumerate(self._left) if len(terms) == 1])
        while found := self._eliminated():
            self._settle([place for unknown, by in found.items() for place in self._know(unknown, by)])

    def _settle(self, ready: list[int]) -> None:
        """Solve what one equation gives by itself, again and again."""
        while ready:
            place = ready.pop()
            if len(self._left[place]) == 1:
                (unknown,) = self._left[place]
                ready.extend(self._know(unknown, {place}))

    def _know(self, unknown: int, by: set[int]) -> list[int]:
        """Put in what is known, and return the equations that are left with one unknown."""
        self.known_by[unknown] = by
        for place in self._uses[unknown]:
            self._left[place].pop(unknown, None)
        return [place for place in self._uses[unknown] if len(self._left[place]) == 1]

    def _eliminated(self) -> dict[int, set[int]]:
        """Solve the equations that hold each other."""
        left = {place: terms for place, terms in enumerate(self._left) if len(terms) > 1}
        aside = self._set_aside(left)
        core = {place: terms for place, terms in left.items() if place not in aside}
        return determined(core, [(place, left[place], aside[place]) for place in reversed(aside)])

    def _set_aside(self, left: Mapping[int, Mapping[int, int]]) -> dict[int, int]:
        """Return equations that have an unknown which those left after them have not, in order, each with that unknown."""
        uses: dict[int, set[int]] = defaultdict(set)
        for place, terms in left.items():
            for unknown in terms:
                uses[unknown].add(place)
        aside: dict[int, int] = {}
        lone = [unknown for unknown, places in uses.items() if len(places) == 1]
        while lone:
            unknown = lone.pop()
            for place in list(uses[unknown]):
                aside[place] = unknown
                for other in left[place]:
                    uses[other].discard(place)
                    if len(uses[other]) == 1:
                        lone.append(other)
        return aside

    def leaks(self, secret: set[int], min_cell: int, at_once: int = 1) -> list[set[Unit]]:
        """Return, for each way in which a secret follows from what is shown, rows whose hiding stops it or goes towards that.

        Args:
            secret: the small counts.
            min_cell: the smallest count that may be shown.
            at_once: how many rows to take for each way.
        """
        narrow = self._too_narrow(secret, min_cell)
        ways = [self.known_by[unknown] for unknown in sorted(secret & self.known_by.keys())]
        found: list[set[Unit]] = []
        hiding: set[Unit] = set()
        for equations in [*ways, *({place} for place in narrow)]:
            # What is hidden for another way may have stopped this one too: the next round sees.
            if not any(row in hiding for place in equations for *_, row in self._shown(place)):
                found.append(self._cover(equations, at_once))
                hiding |= found[-1]
        return found

    def _too_narrow(self, secret: set[int], min_cell: int) -> Iterator[int]:
        """Yield equations in which all that is hidden adds up to hardly more than the small counts among it."""
        for place, terms in enumerate(self._left):
            if terms and not secret.isdisjoint(terms) and len({factor > 0 for factor in terms.values()}) == 1:
                room = sum(abs(factor) * self.book.values[unknown] for unknown, factor in terms.items())
                if room < min_cell + len(terms):
                    yield place

    def _cover(self, equations: set[int], at_once: int) -> set[Unit]:
        """Return rows whose hiding makes equations say less.

        These are those of the smallest figures that they show. Where they show none, the smallest quantity that they go by is
        hidden in each of the ways that tell it.
        """
        if shown := sorted({found for place in equations for found in self._shown(place)}):
            return {row for *_, row in shown[:at_once]}
        rows: set[Unit] = set()
        seen, queue = set(equations), sorted(equations)
        while queue and len(rows) < at_once:
            terms = self.book.equations[queue.pop(0)].terms
            for unknown in sorted((u for u, _ in terms if self.book.values[u]), key=lambda u: (self.book.values[u], u)):
                tellers = self._tellers(unknown) - seen
                seen |= tellers
                queue.extend(sorted(tellers))
                rows |= {min(shown)[-1] for place in tellers if (shown := self._shown(place))}
                if len(rows) >= at_once:
                    break
        return rows

    def _tellers(self, unknown: int) -> set[int]:
        """Return the equations by each of which an unknown is known."""
        settled = {place for place in self._uses[unknown] if not self._left[place]}
        return settled.union(self.known_by.get(unknown, ()))

    def _shown(self, place: int) -> list[tuple[int, float, Unit]]:
        """Return the figures that an equation shows, first those that are missed least; no zeros."""
        found = []
        for unknown, _ in self.book.equations[place].terms:
            name = self.book.unknowns[unknown]
            if isinstance(name, Cell) and not self._is_open[unknown] and self.book.values[unknown]:
                found.append((self._rank(name), self.book.values[unknown], unit(name)))
        return found

    def _rank(self, cell: Cell) -> int:
        """Rank a figure by how much it is missed: those of the whole base most, then those of a source."""
        return 2 if cell[:2] in self.book.of_all else int(cell.mart in BY_FIGURE)


def determined(
    equations: Mapping[int, Mapping[int, int]], with_own: Sequence[tuple[int, Mapping[int, int], int]] = ()
) -> dict[int, set[int]]:
    """Return the unknowns that linear equations determine, whatever their right sides, and from which equations each follows.

    Args:
        equations: by name, the factor of each unknown.
        with_own: further ones, each with an unknown that none before it has: name, factors, that unknown.
    """
    solved: dict[int, dict[int, int]] = {}
    origins: dict[int, set[int]] = {}
    users: dict[int, set[int]] = defaultdict(set)
    for name, equation in sorted(equations.items(), key=lambda found: (len(found[1]), found[0])):
        rest = _reduced(equation, solved)
        if not rest:
            continue
        origin = {name}.union(*(origins[unknown] for unknown in equation if unknown in solved))
        pivot = min(rest, key=lambda unknown: (len(users[unknown]), unknown))
        inverse = pow(rest.pop(pivot), -1, PRIME)
        rest = {unknown: factor * inverse % PRIME for unknown, factor in rest.items()}
        for other in users.pop(pivot, set[int]()):
            if factor := solved[other].pop(pivot, 0):
                _subtract(solved[other], factor, rest)
                origins[other] |= origin
            for unknown in rest:
                users[unknown].add(other)
        for unknown in rest:
            users[unknown].add(pivot)
        solved[pivot], origins[pivot] = rest, origin
    for name, equation, own in with_own:
        origins[own] = {name}.union(*(origins[unknown] for unknown in equation if unknown in solved))
        rest = _reduced(equation, solved)
        inverse = pow(rest.pop(own), -1, PRIME)
        solved[own] = {unknown: factor * inverse % PRIME for unknown, factor in rest.items()}
    return {pivot: origins[pivot] for pivot, rest in solved.items() if not rest}


def _reduced(equation: Mapping[int, int], solved: Mapping[int, dict[int, int]]) -> dict[int, int]:
    """Return an equation with what is solved put in; solved rows name no solved unknown."""
    rest: dict[int, int] = {}
    for unknown, factor in equation.items():
        _subtract(rest, factor, solved.get(unknown, {unknown: -1}))
    return rest


def _subtract(row: dict[int, int], factor: int, other: Mapping[int, int]) -> None:
    for unknown, value in other.items():
        if left := (row.pop(unknown, 0) - factor * value) % PRIME:
            row[unknown] = left


# ---- what is published of hidden rows ---------------------------------------------------------------------------------


def blank(content: Extract, hidden: set[Unit]) -> Extract:
    """Return what is published: hidden figures as null, and the column that says in which rows."""
    marts, rows = [], {}
    for mart in content.marts:
        emptied = _emptied(mart, content.rows[mart.name], hidden)
        rows[mart.name] = [
            (*(None if place in emptied.get(index, ()) else value for place, value in enumerate(row)), index in emptied)
            for index, row in enumerate(content.rows[mart.name])
        ]
        marts.append(replace(mart, columns=(*mart.columns, SUPPRESSED_COLUMN)))
    return replace(content, marts=tuple(marts), rows=rows)


def _emptied(mart: Mart, rows: list[Row], hidden: set[Unit]) -> dict[int, set[int]]:
    """Return the places of the hidden figures of each row."""
    places = {mart.position(name) for name in figures(mart)}
    emptied: dict[int, set[int]] = defaultdict(set)
    if mart.name == FINDINGS:
        return defaultdict(set, dict.fromkeys(range(len(rows)), places))
    for name, index, figure in hidden:
        if name == mart.name:
            emptied[index] |= {mart.position(figure)} if figure else places
    for index, of_row in _derived(mart, rows, set(emptied)).items():
        emptied[index] |= of_row
    return emptied


def _derived(mart: Mart, rows: list[Row], hidden: set[int]) -> dict[int, set[int]]:
    """Return the figures that hidden ones went into by other ways than sums: the row, and the places of its columns."""
    if mart.name not in DERIVED:
        return {}
    names, months, dimensions = DERIVED[mart.name]
    places, month = {mart.position(name) for name in names}, mart.position(MONTH)
    by = [mart.position(name) for name in dimensions]

    def key(row: Row, at: Any) -> tuple[Any, ...]:
        return at, *(row[place] for place in by)

    touched = {key(rows[index], add_months(rows[index][month], ahead)) for index in hidden for ahead in range(months + 1)}
    return {
        index: places
        for index, row in enumerate(rows)
        if key(row, row[month]) in touched and any(row[place] is not None for place in places)
    }
