"""Raw tables are brought up to date, and the warehouse is left alone when no file is new."""

from __future__ import annotations

import pytest

from orchestration import raw
from orchestration.raw import refresh_raw
from orchestration.settings import load_settings
from tests.orchestration.conftest import Home, write_base


def _silent(_: str) -> None:
    return None


def test_without_a_new_file_the_warehouse_is_neither_locked_nor_copied(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_base(home.raw)
    first = refresh_raw(load_settings(home.variables), _silent)
    assert first.changed
    before = home.warehouse.stat()

    def no_writing(*_: object) -> None:
        raise AssertionError("the warehouse was opened for writing")

    monkeypatch.setattr(raw, "writing", no_writing)
    second = refresh_raw(load_settings(home.variables), _silent)
    assert not second.changed
    assert home.warehouse.stat().st_mtime_ns == before.st_mtime_ns
    assert {name: table.rows_kept for name, table in second.tables.items()} == {
        name: table.rows_kept for name, table in first.tables.items()
    }


def test_a_new_file_is_brought_in(home: Home) -> None:
    write_base(home.raw)
    kept = refresh_raw(load_settings(home.variables), _silent).tables["orders"].rows_kept
    (home.raw / "orders-late.csv").write_text(
        "order_id,customer_id,ordered_at,amount\nO-late,C1,2024-01-05 10:00:00,5\n", encoding="utf-8"
    )
    result = refresh_raw(load_settings(home.variables), _silent)
    assert result.changed
    assert result.tables["orders"].rows_kept == kept + 1
