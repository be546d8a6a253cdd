"""The marts published to BigQuery, in the emulator: what readers find there, and what they never see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestration.publish import PublishError
from orchestration.publish import bigquery as publishing
from orchestration.publish.bigquery import BigQueryPublication, linking_url, publish
from orchestration.publish.catalog import Column, Mart
from orchestration.publish.extract import Extract, Row
from orchestration.publish.files import as_parquet
from tests.bigquery.emulator import Emulator, running_emulator
from tests.bigquery.project import PROJECT_ID

NOW = datetime(2026, 11, 4, 5, 0, tzinfo=UTC)
DATASET = f"{PROJECT_ID}.published"
FLOWS = Mart(
    "flows_monthly",
    "The bathtub.",
    (
        Column("snapshot_month", "date", "First day of the closed month."),
        Column("movement", "varchar", "What happened."),
        Column("n_profiles", "bigint", "How many."),
        Column("is_latest_month", "boolean", "Whether this is the latest."),
        Column("movement_fr", "varchar", "In French.", "movement", "fr"),
    ),
    ("snapshot_month", "movement"),
)
LEVELS = Mart(
    "projection_monthly",
    "Where it goes.",
    (Column("snapshot_month", "date", "First day."), Column("level", "double", "Expected.")),
    ("snapshot_month",),
)


def content(version: int, flows: Mart = FLOWS) -> Extract:
    """Marts whose figures are the version."""
    month = date(2026, 10, 1)
    values = {"date": month, "varchar": "é", "bigint": version, "boolean": True, "double": version + 0.25}
    rows: dict[str, list[Row]] = {
        "flows_monthly": [tuple(values[c.data_type] for c in flows.columns), (month, None, *(None for _ in flows.columns[2:]))],
        "projection_monthly": [(month, version + 0.25)],
    }
    return Extract((flows, LEVELS), rows, month, datetime(2026, 11, 3, 4, tzinfo=UTC), f"v{version}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("published")) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    """The emulator, with an empty dataset."""
    running.client.delete_dataset(DATASET, delete_contents=True, not_found_ok=True)
    running.client.create_dataset(DATASET)
    return running


def _publish(emulator: Emulator, what: Extract, now: datetime = NOW) -> BigQueryPublication:
    return publish(emulator.client, DATASET, what, now, 2)


def _versions(emulator: Emulator) -> set[float]:
    query = f"select n_profiles from `{DATASET}.flows_monthly` where n_profiles is not null"
    return {row[0] for row in emulator.rows(query)} | {
        row[0] - 0.25 for row in emulator.rows(f"select level from `{DATASET}.projection_monthly`")
    }


def test_readers_find_the_marts_their_words_and_their_status(emulator: Emulator) -> None:
    assert _publish(emulator, content(1)) == BigQueryPublication(2, 3)
    month = date(2026, 10, 1)
    rows = emulator.rows(f"select * from `{DATASET}.flows_monthly` order by n_profiles nulls last")
    assert rows == [(month, "é", 1, True, "é"), (month, None, None, None, None)]
    status = emulator.rows(f"select * from `{DATASET}.bi_refresh_status`")
    assert status == [(month, datetime(2026, 11, 3, 4), datetime(2026, 11, 4, 5), "v1", 2)]
    table = emulator.client.get_table(f"{DATASET}.flows_monthly")
    assert table.description == "The bathtub."
    assert [field.description for field in table.schema][:2] == ["First day of the closed month.", "What happened."]


def test_a_publication_replaces_the_one_before_and_leaves_nothing_beside_it(emulator: Emulator) -> None:
    _publish(emulator, content(1))
    _publish(emulator, content(2))
    assert _versions(emulator) == {2}
    tables = {table.table_id for table in emulator.client.list_tables(DATASET)}
    assert tables == {"flows_monthly", "projection_monthly", "bi_refresh_status"}


def test_a_table_that_lost_columns_or_changed_a_type_is_replaced(emulator: Emulator) -> None:
    _publish(emulator, content(1))
    other = replace(FLOWS, columns=(*FLOWS.columns[:2], replace(FLOWS.columns[2], data_type="double")))
    _publish(emulator, content(3, other))
    assert emulator.rows(f"select * from `{DATASET}.flows_monthly` where n_profiles is not null") == [
        (date(2026, 10, 1), "é", 3.25)
    ]


def test_a_publication_that_fails_leaves_what_was_there(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(emulator, content(1))
    real = publishing._in_place

    def broken(dataset: str, suffix: str, marts: list[Mart]) -> str:
        return real(dataset, suffix, marts).replace("commit transaction", "select error('cut'); commit transaction")

    monkeypatch.setattr(publishing, "_in_place", broken)
    with pytest.raises(PublishError, match="readers see what was published before"):
        _publish(emulator, content(2))
    assert _versions(emulator) == {1}
    assert len(list(emulator.client.list_tables(DATASET))) == 3


def test_what_arrives_otherwise_than_it_was_sent_is_not_published(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(emulator, content(1))
    monkeypatch.setattr(publishing, "as_parquet", lambda mart, rows: as_parquet(mart, [*rows[:-1], rows[0]]))
    with pytest.raises(PublishError, match="flows_monthly is not what was sent"):
        _publish(emulator, content(2))
    assert _versions(emulator) == {1}


def test_a_dataset_that_is_not_there_is_told(emulator: Emulator) -> None:
    with pytest.raises(PublishError, match="bq mk --location=EU"):
        publish(emulator.client, f"{PROJECT_ID}.nowhere", content(1), NOW, 0)


def test_the_address_connects_every_table_under_its_name() -> None:
    address = urlsplit(linking_url("my-project.bi", [FLOWS, LEVELS], "abc"))
    assert f"{address.scheme}://{address.netloc}{address.path}" == "https://datastudio.google.com/reporting/create"
    fields = {name: values[0] for name, values in parse_qs(address.query, strict_parsing=True).items()}
    assert fields["c.reportId"] == "abc"
    for table in ("flows_monthly", "projection_monthly", "bi_refresh_status"):
        assert {name: fields[f"ds.{table}.{name}"] for name in ("connector", "projectId", "datasetId", "tableId")} == {
            "connector": "bigQuery",
            "projectId": "my-project",
            "datasetId": "bi",
            "tableId": table,
        }
