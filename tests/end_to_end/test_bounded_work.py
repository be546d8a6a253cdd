"""A close reads the rows of its month, however long the history: the other months' files are made unreadable to see it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.months import months_between
from tests.end_to_end.closing import WAREHOUSE, bring_in, close, closed_tables, first_difference, query
from tests.end_to_end.raw_base import RawBase

FIRST, LAST = date(2024, 1, 1), date(2024, 6, 1)
ZONE = {"reporting_timezone": "UTC"}
STATE = "core.int_customer_months"


def _month_of(month: date) -> RawBase:
    """Three customers a month, and what all customers do in it."""
    start = datetime(month.year, month.month, 1)
    base = RawBase(customers=[{"customer_id": f"{month:%m}-{n}", "created_at": start} for n in range(3)])
    for number in range(300):
        at = start + timedelta(hours=number)
        values = {"customer_id": f"{number % month.month + 1:02}-{number % 3}", "loaded_at": at + timedelta(hours=5)}
        key = f"{month:%m}-{number}"
        base.events.append({**values, "event_id": key, "occurred_at": at, "event_type": "site_visit"})
        base.orders.append({**values, "order_id": key, "ordered_at": at, "amount": 5.0})
        base.consents.append({**values, "consent_id": key, "occurred_at": at, "channel": "email", "status": "opt_in"})
    return base


def _spoil(file: Path) -> None:
    """Overwrite the rows of a Parquet file and keep its footer, which says what the rows were."""
    content = bytearray(file.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    content[4:-footer] = b"\xff" * (len(content) - 4 - footer)
    file.write_bytes(content)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with all months closed, over one file per table and month of which only the last can be read."""
    folder = tmp_path_factory.mktemp("bounded")
    warehouse, raw_dir = folder / WAREHOUSE, folder / "raw"
    for month in months_between(FIRST, LAST):
        _month_of(month).write(raw_dir, part=f"{month:%Y-%m}")
    bring_in(raw_dir, warehouse, FIRST, ZONE)
    # No row counts as initial history, so that each close looks for late rows too.
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update ops.warehouse set history_loaded_until = '2023-12-31'")
    close(warehouse, FIRST, LAST, ZONE)
    for table in ("orders", "events", "consents"):
        assert query(warehouse, f"select count(*) from duckdb_views() where schema_name = 'raw' and view_name = '{table}'") == [
            (1,)
        ]
        for file in sorted((raw_dir / table).iterdir())[:-1]:
            _spoil(file)
    return warehouse


def test_close_reads_only_the_rows_of_its_month(closed: Path) -> None:
    before = closed_tables(closed, STATE)
    close(closed, LAST, LAST, ZONE)
    assert not first_difference(before, closed_tables(closed, STATE))


def test_spoilt_file_would_be_noticed(closed: Path) -> None:
    for table in ("orders", "events", "consents"):
        with pytest.raises(duckdb.Error):
            query(closed, f"select max(customer_id) from raw.{table}")
