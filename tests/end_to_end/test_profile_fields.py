"""A field of one's own: named in `profile_fields` and delivered in the customers' files, and its fill rate is there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT
from tests.end_to_end.closing import WAREHOUSE, Rows, bring_in, close, close_months, query

FIRST, SECOND, THIRD, FOURTH = (date(2024, month, 1) for month in (1, 2, 3, 4))
DEFAULTS = yaml.safe_load((DBT_PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]["profile_fields"]
LOYALTY = {"name": "loyalty_card", "kind": "business", "weight": 3}
WORDS = {"reporting_timezone": "UTC"}
# The mart of the fields; one test makes all models.
MADE = ["fill_rate_monthly"]
CUSTOMERS = """\
customer_id,created_at,source,first_name,media,account_id,loyalty_card,tier
c1,2024-01-05,web,Ada,press,A1,L-1,gold
c2,2024-01-06,web,Bo,N/A,,\u00a0,
c3,2024-01-07,web,N/A,radio,A1,inconnu,
c4,2024-01-08,till,,,A2,L-4,silver
"""
HEADERS = {
    "orders": "order_id,customer_id,ordered_at,amount\n",
    "events": "event_id,customer_id,occurred_at,event_type\n",
    "consents": "consent_id,customer_id,channel,status,occurred_at\n",
}


@pytest.fixture
def raw_dir(tmp_path: Path) -> Path:
    """Files of four customers, with columns that the raw contract does not know."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
    for table, header in HEADERS.items():
        (folder / f"{table}.csv").write_text(header, encoding="utf-8")
    return folder


def words(*fields: object) -> dict[str, object]:
    """The default profile fields and further ones."""
    return {**WORDS, "profile_fields": [*DEFAULTS, *fields]}


def filled(warehouse: Path, field: str) -> Rows:
    """Month, profiles and filled profiles of a field."""
    return query(
        warehouse,
        "select month(snapshot_month), cast(sum(n_profiles) as int), cast(sum(n_filled) as int) from marts.fill_rate_monthly "
        f"where field = '{field}' group by all order by all",
    )


def test_a_field_is_followed_once_it_is_named_and_delivered(raw_dir: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / WAREHOUSE
    fields = words(
        LOYALTY,
        {"name": "media", "kind": "psychobehavioural"},
        {"name": "account_id"},
        {"name": "club", "columns": ["loyalty_card", "tier"]},
    )
    close_months(raw_dir, warehouse, FIRST, FIRST, fields)
    # Blanks of any script and placeholders are not filled.
    assert filled(warehouse, "loyalty_card") == [(1, 4, 2)]
    assert filled(warehouse, "media") == [(1, 4, 2)]
    assert filled(warehouse, "account_id") == [(1, 4, 3)]
    assert filled(warehouse, "club") == [(1, 4, 2)]
    assert filled(warehouse, "first_name") == [(1, 4, 2)]
    said = query(
        warehouse,
        "select distinct field, field_rank, field_kind, is_key_field, field_weight from marts.fill_rate_monthly "
        "where field in ('last_name', 'loyalty_card', 'account_id') order by field_rank",
    )
    assert said == [
        ("last_name", 2, "identity", True, 1.0),
        ("loyalty_card", 11, "business", False, 3.0),
        ("account_id", 13, "other", False, 1.0),
    ]


def test_a_field_that_no_file_delivers_counts_as_not_filled_and_its_column_is_listed(raw_dir: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / WAREHOUSE
    result = bring_in(raw_dir, warehouse, FIRST, words({"name": "shoe_size"}))
    assert "shoe_size" in result.tables["customers"].missing_columns
    assert result.tables["customers"].unknown_columns == ("loyalty_card", "tier")
    close(warehouse, FIRST, FIRST, words({"name": "shoe_size"}), made=MADE)
    assert filled(warehouse, "shoe_size") == [(1, 4, 0)]


def test_a_field_named_after_months_were_closed_is_followed_from_then_on(raw_dir: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / WAREHOUSE
    close_months(raw_dir, warehouse, FIRST, SECOND, words(), made=MADE)
    before = query(warehouse, "select * from marts.fill_rate_monthly order by all")
    bring_in(raw_dir, warehouse, FIRST, words(LOYALTY))
    close(warehouse, THIRD, FOURTH, words(LOYALTY), made=MADE)
    assert filled(warehouse, "loyalty_card") == [(3, 4, 2), (4, 4, 2)]
    assert (
        query(warehouse, "select * from marts.fill_rate_monthly where snapshot_month < date '2024-03-01' order by all")
        == before
    )
    known = "select snapshot_month, count(*), count(has_loyalty_card) from core.fct_customer_months group by all order by 1"
    assert query(warehouse, known) == [(FIRST, 4, 0), (SECOND, 4, 0), (THIRD, 4, 4), (FOURTH, 4, 4)]
    # Closed again, a month has it too.
    close(warehouse, SECOND, FOURTH, words(LOYALTY), made=MADE)
    assert query(warehouse, known) == [(FIRST, 4, 0), (SECOND, 4, 4), (THIRD, 4, 4), (FOURTH, 4, 4)]


def test_a_field_that_is_no_longer_named_stays_in_the_months_that_followed_it(raw_dir: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / WAREHOUSE
    close_months(raw_dir, warehouse, FIRST, FIRST, words(LOYALTY), made=MADE)
    bring_in(raw_dir, warehouse, FIRST, words())
    close(warehouse, SECOND, SECOND, words(), made=MADE)
    assert filled(warehouse, "loyalty_card") == [(1, 4, 2)]
    assert filled(warehouse, "first_name") == [(1, 4, 2), (2, 4, 2)]
    bring_in(raw_dir, warehouse, FIRST, words(LOYALTY))
    close(warehouse, THIRD, THIRD, words(LOYALTY), made=MADE)
    assert filled(warehouse, "loyalty_card") == [(1, 4, 2), (3, 4, 2)]


def test_the_completeness_score_weighs_the_fields(raw_dir: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / WAREHOUSE
    fields = [{"name": "first_name", "weight": 2}, LOYALTY, {"name": "gender", "weight": 0}, {"name": "media", "weight": 0.5}]
    close_months(
        raw_dir,
        warehouse,
        FIRST,
        FIRST,
        {**WORDS, "profile_fields": [*fields, {"name": "email"}], "channels": {"email": "email"}},
        made=MADE,
    )
    score = (PROJECT_ROOT / "docs" / "queries" / "fill_rate_monthly.completeness.sql").read_text(encoding="utf-8")
    # web: (1 × 3 + 2 × 2 + 2 × 0.5 + 0 × 1) of 3 × 6.5; till: (1 × 3) of 1 × 6.5.
    assert [(source, float(points)) for source, points in query(warehouse, score)] == [("till", 46.2), ("web", 41.0)]
