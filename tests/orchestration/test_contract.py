"""The raw contract as the ingest and Dagster read it."""

from __future__ import annotations

import pytest
import yaml

from orchestration.contract import CONTRACT_FILE, Column, Table, raw_tables
from orchestration.settings import ConfigurationError, ProfileField


def _table(name: str, tables: tuple[Table, ...] | None = None) -> Table:
    return next(table for table in tables or raw_tables() if table.name == name)


def test_the_raw_tables() -> None:
    found = {table.name: (table.key, table.latest, table.optional) for table in raw_tables()}
    assert found == {
        "customers": (("customer_id",), "updated_at", False),
        "orders": (("order_id",), "ordered_at", False),
        "events": (("event_id",), "occurred_at", False),
        "consents": (("consent_id",), "occurred_at", False),
        "accounts": (("account_id",), "created_at", True),
        "contracts": (("contract_id",), "started_at", True),
        "account_contacts": (("account_id", "customer_id", "role"), "loaded_at", True),
        "merges": (("merged_customer_id",), "merged_at", True),
        "mail_domains": (("domain",), "checked_at", True),
    }


def test_the_required_columns() -> None:
    required = {table.name: [column.name for column in table.required] for table in raw_tables() if not table.optional}
    assert required == {
        "customers": ["customer_id"],
        "orders": ["order_id", "customer_id", "ordered_at", "amount"],
        "events": ["event_id", "customer_id", "occurred_at", "event_type"],
        "consents": ["consent_id", "customer_id", "channel", "status", "occurred_at"],
    }


def test_every_table_and_column_is_described_and_typed() -> None:
    (raw,) = (s for s in yaml.safe_load(CONTRACT_FILE.read_text(encoding="utf-8"))["sources"] if s["name"] == "raw")
    for table in raw["tables"]:
        assert table["description"], table["name"]
        for column in table["columns"]:
            assert column["description"], column["name"]
            assert column["data_type"] in {"varchar", "timestamp", "date", "double"}, column["name"]


def test_the_key_and_the_deciding_timestamp_are_columns_of_the_table() -> None:
    for table in raw_tables():
        assert {*table.key, table.latest} <= {column.name for column in table.delivered}, table.name


def test_columns_that_the_ingest_adds_are_not_expected_in_files() -> None:
    customers = _table("customers")
    added = {column.name for column in customers.columns} - {column.name for column in customers.delivered}
    changes = {"email_changed_at", "phone_changed_at", "postal_address_changed_at"}
    assert added == {"first_loaded_at", "deletion_loaded_at", *changes}


def test_profile_fields_outside_the_contract_join_customers_as_optional_text() -> None:
    fields = [
        ProfileField(name="loyalty_tier"),
        ProfileField(name="email"),
        ProfileField(name="home", columns=["city", "floor"]),
        ProfileField(name="floor"),
    ]
    base, extended = raw_tables(), raw_tables(fields)
    assert _table("customers", extended).columns == (
        *_table("customers").columns,
        Column("loyalty_tier", "varchar"),
        Column("floor", "varchar"),
    )
    assert [table for table in extended if table.name != "customers"] == [t for t in base if t.name != "customers"]
    assert raw_tables() == base


@pytest.mark.parametrize(
    ("field", "column"),
    [
        (ProfileField(name="updated_at"), "updated_at, a timestamp"),
        (ProfileField(name="age", columns=["city", "birth_date"]), "birth_date, a date"),
        (ProfileField(name="birth_date", columns=["birth_year"]), "birth_year, a text"),
        (ProfileField(name="birth_date", columns=["birth_date", "city"]), "birth_date, a date"),
    ],
)
def test_a_profile_field_that_is_no_text_is_refused(field: ProfileField, column: str) -> None:
    with pytest.raises(ConfigurationError, match=f"profile_fields: {field.name} is made of {column}; allowed: columns of text"):
        raw_tables([ProfileField(name="email"), field])


def test_a_birth_date_is_a_profile_field_of_its_own() -> None:
    assert (
        raw_tables([ProfileField(name="birth_date"), ProfileField(name="who", columns=["customer_id", "source"])])
        == raw_tables()
    )
