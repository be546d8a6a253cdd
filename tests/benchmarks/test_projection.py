"""Past projections beside what came, on a warehouse of three closed months."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from benchmarks.projection import backtest, main

LEVELS = """
create schema marts;
create table marts.status_monthly as
select * from (values
    (date '2023-01-01', 'prospect', 40, true), (date '2024-01-01', 'prospect', 100, true),
    (date '2024-01-01', 'customer', 50, false), (date '2024-02-01', 'prospect', 125, true),
    (date '2024-02-01', 'customer', 50, false), (date '2024-04-01', 'prospect', 200, true)
) as t (snapshot_month, status, n_profiles, is_active) cross join (select 'a' as definition_version);
create table marts.projection_monthly as
select
    date '2024-01-01' as snapshot_month, target_month, months_ahead, scenario, 'prospect' as status, level,
    level - 10 as low, level + 10 as high, level as level_active, level - 30 as low_active, level + 30 as high_active
from (values
    (date '2024-02-01', 1, 'as_is', 100.0), (date '2024-02-01', 1, 'fewer_lapses', 999.0),
    (date '2024-03-01', 2, 'as_is', 100.0), (date '2024-04-01', 3, 'as_is', 250.0), (date '2025-01-01', 12, 'as_is', 100.0)
) as t (target_month, months_ahead, scenario, level)
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "bathtub.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(LEVELS)
    return path


def test_errors_are_shares_of_what_came_and_open_months_do_not_count(warehouse: Path) -> None:
    rows = backtest(warehouse, date(9000, 1, 1))
    # 25 below 125, the last value too; 5 a month of growth; the interval of 10 does not hold, the one of 30 does.
    assert rows[0] == ("base", "prospect", 1, 1, 20.0, -20.0, 20.0, 16.0, 0.0)
    # 50 above 200; the last value 100 below, the growth of three months 85.
    assert rows[1] == ("base", "prospect", 3, 1, 25.0, 25.0, 50.0, 42.5, 0.0)
    assert rows[2] == ("active", "prospect", 1, 1, 20.0, -20.0, 20.0, 16.0, 100.0)
    assert len(rows) == 4


def test_months_after_the_last_one_asked_for_do_not_count(warehouse: Path) -> None:
    assert [row[2] for row in backtest(warehouse, date(2024, 3, 1))] == [1, 1]


def test_a_warehouse_without_anything_to_compare_is_refused_in_one_sentence(warehouse: Path) -> None:
    done = CliRunner().invoke(main, [str(warehouse), "--to", "2023-01"])
    assert done.exit_code == 1
    assert "has no projection whose target month is closed" in done.output


def test_the_table_is_markdown(warehouse: Path) -> None:
    done = CliRunner().invoke(main, [str(warehouse)])
    assert "| base | prospect | 1 | 1 | 20.00 % | -20.00 % | 20.00 % | 16.00 % | 0 % |" in done.output
