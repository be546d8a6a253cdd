"""What an ingest hands back."""

from __future__ import annotations

from dataclasses import dataclass, field


class IngestError(Exception):
    """The ingest stopped and the warehouse is as it was; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class TableResult:
    """The state of one raw table after the ingest; the row counts cover all files now in the folder."""

    name: str
    rows_read: int = 0
    rows_kept: int = 0
    rows_quarantined: int = 0
    rows_superseded: int = 0
    n_defects: int = 0
    n_future_dates: int = 0
    n_orphans: int = 0
    missing_columns: tuple[str, ...] = ()
    unknown_columns: tuple[str, ...] = ()
    n_files: int = 0
    n_files_read: int = 0
    is_view: bool = False
    is_present: bool = True
    changed: bool = False

    def line(self) -> str:
        """The result as one line for people."""
        if not self.is_present:
            return f"{self.name}: not delivered, an empty table stands for it"
        return (
            f"{self.name}: {self.n_files:,} files ({self.n_files_read:,} read now), {self.rows_read:,} rows read, "
            f"{self.rows_kept:,} kept, {self.rows_quarantined:,} quarantined, {self.rows_superseded:,} superseded"
            + (f"; {self.n_orphans:,} of the kept are of an unknown customer" if self.n_orphans else "")
        )


@dataclass
class IngestResult:
    """All tables by name, and what a data engineer should look at."""

    tables: dict[str, TableResult] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """True when anything was written."""
        return any(table.changed for table in self.tables.values())
