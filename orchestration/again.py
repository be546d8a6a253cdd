"""What a close owes the months that were published before: a definition that is theirs, and a log of what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration import definition
from orchestration.close import CloseError, WarehouseState, first_month
from orchestration.engine import Close
from orchestration.months import month_text
from orchestration.restatement import Restatement, enter_range, log_changes, prepare_books
from orchestration.settings import Settings
from orchestration.warehouse import Report

if TYPE_CHECKING:
    from dagster import DagsterRun

# Tags of a run: late rows go where they happened; a changed definition is a break that is wanted.
RESTATE = "bathtub/restate"
MARK_BREAK = "bathtub/mark_break"


@dataclass
class Again:
    """A close under way, before and after dbt."""

    run: DagsterRun
    settings: Settings
    close: Close
    manifest: Path
    months: Sequence[date]
    now: datetime
    report: Report

    def prepare(self, state: WarehouseState) -> None:
        """Before dbt: see that the months beside have the same definition, and enter the range that is restated.

        Raises:
            CloseError: the definition changed, or a restatement is wanted of a base on a cluster.
        """
        restates, file = RESTATE in self.run.tags, self.close.file
        self._restatement = Restatement(
            tuple(self.months),
            self.now,
            self.run.run_id,
            first_month(self.settings.vars, state) or self.months[0],
            restates,
        )
        if file is None:
            self._say_what_a_cluster_does_not_do(restates, state)
        prepare_books(self._book)
        self._changed = definition.settle_definition_change(
            self._book, self.settings, self._restatement.base_begins, self.months, restates or MARK_BREAK in self.run.tags
        )
        if restates and file is not None:
            enter_range(file, self._restatement)

    def log(self) -> None:
        """After dbt: log what differs from what is published."""
        if self.close.file is not None:
            n_logged = log_changes(self.close.file, self.settings.warehouse, self.manifest, self._restatement, self.settings)
            if n_logged:
                self.report(f"{n_logged:,} published values changed; the mart restatements has them.")

    def record(self) -> None:
        """Record what the months were closed under, and the break where there is one."""
        definition.record(self._book, self.settings, self.months)
        if self._changed:
            definition.mark_break(self._book, self.months[0], self._changed, self._restatement.restated_at, self.run.run_id)

    @property
    def _book(self) -> Path:
        """The DuckDB file that knows what months were closed under; of a base on a cluster, the one that the ingest writes."""
        return self.close.file or self.settings.warehouse

    def _say_what_a_cluster_does_not_do(self, restates: bool, state: WarehouseState) -> None:
        if restates:
            raise CloseError(f"A restatement works on DuckDB and not yet on {self.settings.target}.")
        if again := sorted({*self.months} & {*state.closed}):
            self.report(
                f"{month_text(again[0])} is closed again: on {self.settings.target}, what that changes of published figures is "
                "not logged."
            )
