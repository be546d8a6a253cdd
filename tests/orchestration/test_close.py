"""The close through Dagster: what a run leaves in its page and in the warehouse, and how it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetsDefinition,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    RetryPolicy,
    TableColumnLineage,
    TableSchema,
    materialize,
)

from orchestration import assets, raw
from orchestration.alerts.nightly import check_keys
from orchestration.assets import model_assets, raw_assets
from orchestration.close import CloseError
from orchestration.dbt import ensure_manifest
from orchestration.ingest import ingest
from orchestration.jobs import partition_range
from orchestration.partitions import monthly_partitions
from orchestration.run import close_through_dagster
from orchestration.settings import load_settings
from orchestration.warehouse import building_dir
from tests.orchestration.conftest import MONTHS, Built, Home, write_base

FIRST, LAST = date(2024, 1, 1), date(2024, 4, 1)


# ---- the first run, made by the command ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def events(built: Built) -> list[DagsterEvent]:
    """What Dagster recorded of the first build; there is one run for the four months."""
    with DagsterInstance.from_config(str(built.home.folder / "dagster")) as instance:
        (run,) = instance.get_runs()
        assert run.status.value == "SUCCESS"
        assert partition_range([FIRST, LAST]).items() <= run.tags.items()
        return [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]


def _months_by_asset(events: list[DagsterEvent]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
            found.setdefault(event.asset_key.to_user_string(), []).append(event.partition or "")
    return found


def _metadata(events: list[DagsterEvent]) -> dict[str, Mapping[str, Any]]:
    """The metadata of the last materialisation of each asset."""
    return {
        event.asset_key.to_user_string(): {
            name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in events
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None
    }


def test_each_asset_is_materialised_for_each_month(events: list[DagsterEvent], definitions: Definitions) -> None:
    expected = {key.to_user_string(): list(MONTHS) for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert {asset: sorted(months) for asset, months in _months_by_asset(events).items()} == expected


def test_the_raw_assets_say_what_the_ingest_did(events: list[DagsterEvent]) -> None:
    found = _metadata(events)
    rows = {name: found[f"raw/{name}"]["dagster/row_count"] for name in ("customers", "orders", "events", "consents")}
    assert rows == {"customers": 40, "orders": 16, "events": 24, "consents": 20}
    customers = found["raw/customers"]
    assert (customers["rows_read"], customers["rows_quarantined"], customers["rows_superseded"]) == (40, 0, 0)
    assert (customers["files"], customers["delivered"], customers["columns_ignored"]) == (1, True, "none")
    assert "loaded_at" in customers["columns_missing"]
    assert (found["raw/accounts"]["delivered"], found["raw/accounts"]["dagster/row_count"]) == (False, 0)


# Views of what the close writes once dbt is done.
LOGS = ("marts/restatements", "marts/restatements_monthly")


def test_the_marts_say_their_rows_columns_and_where_each_column_comes_from(events: list[DagsterEvent], built: Built) -> None:
    found = _metadata(events)
    marts = [asset for asset in found if asset.startswith("marts/")]
    assert len(marts) >= 6
    with duckdb.connect(str(built.kept / "bathtub.duckdb"), read_only=True) as con:
        for mart in marts:
            table = con.table(mart.replace("/", "."))
            if mart not in LOGS:
                assert found[mart]["dagster/row_count"] == len(table), mart
            schema, lineage = found[mart]["dagster/column_schema"], found[mart].get("dagster/column_lineage")
            assert isinstance(schema, TableSchema)
            assert [column.name for column in schema.columns] == table.columns, mart
            if mart in ("marts/challenges_monthly", "marts/restatements"):
                # Between the one and the marts lie its rules, which are no relations; the other reads what the close writes.
                assert lineage is None
                continue
            assert isinstance(lineage, TableColumnLineage)
            assert any(lineage.deps_by_column.values()), mart
    # Its SQL would take Dagster minutes.
    assert "dagster/column_lineage" not in found["private/int_phone_numbers"]
    assert "dagster/column_lineage" in found["private/int_phones"]


def _evaluations(events: list[DagsterEvent]) -> list[AssetCheckEvaluation]:
    return [
        event.asset_check_evaluation_data for event in events if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION
    ]


def test_every_check_is_evaluated_and_passes(events: list[DagsterEvent], definitions: Definitions) -> None:
    evaluations = _evaluations(events)
    of_the_close = set(definitions.resolve_asset_graph().asset_check_keys) - set(check_keys())
    assert {e.asset_check_key for e in evaluations} == of_the_close
    assert all(e.passed for e in evaluations)


def test_the_levels_of_the_base(built: Built) -> None:
    with duckdb.connect(str(built.kept / "bathtub.duckdb"), read_only=True) as con:
        levels = con.execute(
            "select strftime(snapshot_month, '%Y-%m'), n_profiles, n_new, n_customers from marts.base_overview_monthly "
            "where source = 'all' order by 1"
        ).fetchall()
        closed = con.execute("select strftime(snapshot_month, '%Y-%m') from ops.closed_months order by 1").fetchall()
    assert levels == [(month, 10 * i, 10, 4 * i) for i, month in enumerate(MONTHS, start=1)]
    assert tuple(row[0] for row in closed) == MONTHS


# ---- closing again, and failing --------------------------------------------------------------------------------------


def _rows(warehouse: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of marts and core, but for the log of restatements, and the states of profiles: they are of a run's months."""
    with duckdb.connect(str(warehouse), read_only=True) as con:
        tables = con.execute(
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema in ('marts', 'core') and not regexp_matches(table_name, '_states$|^restatements')"
        ).fetchall()
        return {name: con.execute(f"from {name} order by all").fetchall() for (name,) in tables}


def _lineage(events: list[DagsterEvent]) -> dict[str, Mapping[str, Any]]:
    found = {asset: metadata.get("dagster/column_lineage") for asset, metadata in _metadata(events).items()}
    return {asset: lineage.deps_by_column for asset, lineage in found.items() if lineage is not None}


@pytest.mark.slow
def test_closing_again_gives_the_same_rows_and_the_lineage_that_was_kept(
    closed: Home, definitions: Definitions, events: list[DagsterEvent]
) -> None:
    before = _rows(closed.warehouse)
    with duckdb.connect(str(closed.warehouse)) as con:
        con.execute("update marts.flows_monthly set n_profiles = n_profiles + 1 where snapshot_month >= '2024-03-01'")
    assert _rows(closed.warehouse) != before
    first = _lineage(events)
    assert first
    # Other deployments of the session may have kept theirs in the meantime.
    close_through_dagster(load_settings(), [date(2024, 3, 1), LAST], verbose=False)
    assert _rows(closed.warehouse) == before
    with duckdb.connect(str(closed.warehouse), read_only=True) as con:
        logged = con.execute(
            "select mart, measure, bool_and(published_value = restated_value + 1) from marts.restatements group by all"
        )
        assert logged.fetchall() == [("flows_monthly", "n_profiles", True)]
    kept = closed.dbt_target / "column_lineage.json"
    # The second close takes it from there instead of finding it anew.
    found = kept.read_text(encoding="utf-8")
    kept.write_text(found.replace('"snapshot_month"', '"snapshot_month_as_kept"'), encoding="utf-8")
    close_through_dagster(load_settings(), [date(2024, 3, 1), LAST], verbose=False)
    kept.write_text(found, encoding="utf-8")
    assert _rows(closed.warehouse) == before
    with DagsterInstance.get() as instance:
        run, _ = instance.get_runs()
        again = _lineage([e.dagster_event for e in instance.all_logs(run.run_id) if e.dagster_event is not None])
    assert again.keys() == first.keys()
    assert [mart for mart in first if mart.startswith("marts/") and "snapshot_month_as_kept" not in again[mart]] == []


def test_a_failing_test_leaves_the_warehouse_as_it_was_and_is_named(closed: Home, definitions: Definitions) -> None:
    with duckdb.connect(str(closed.warehouse)) as con:
        con.execute("update ops.ingested_tables set rows_read = rows_read + 1 where table_name = 'orders'")
    before = closed.warehouse.read_bytes()
    with pytest.raises(CloseError) as error:
        close_through_dagster(load_settings(), [LAST], verbose=False)
    assert closed.warehouse.read_bytes() == before
    building = building_dir(closed.warehouse)
    assert str(error.value).startswith(
        "The months were not closed and the warehouse is as it was. test raw_rows_reconcile: Got 1 result"
    )
    assert str(error.value).endswith(
        f"until the next run. Once the cause is mended, run: make build FROM={LAST:%Y-%m} TO={LAST:%Y-%m}"
    )
    assert f"The rejected build is in {building}, the SQL that ran in " in str(error.value)
    assert (building / closed.warehouse.name).exists()
    with DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]
    assert _failed_checks(events) == {"raw_rows_reconcile"}
    kinds = Counter(event.event_type for event in events)
    assert (kinds[DagsterEventType.STEP_FAILURE], kinds[DagsterEventType.STEP_UP_FOR_RETRY]) == (1, 0)


def _failed_checks(events: list[DagsterEvent]) -> set[str]:
    return {check.check_name for check in _evaluations(events) if not check.passed}


# ---- steps on their own ----------------------------------------------------------------------------------------------


def _materialize(step: AssetsDefinition) -> ExecuteInProcessResult:
    months = dict(partition_range([FIRST, LAST]))
    with DagsterInstance.ephemeral() as instance:
        return materialize([step], instance=instance, tags=months, raise_on_error=False)


def _ingest(home: Home) -> ExecuteInProcessResult:
    settings = home.settings(BATHTUB_VARS="{first_month: 2024-01}")
    return _materialize(raw_assets(settings, monthly_partitions(settings)))


def _retries(result: ExecuteInProcessResult) -> list[str]:
    found = [event for event in result.all_events if event.event_type is DagsterEventType.STEP_UP_FOR_RETRY]
    return [event.step_retry_data.error.to_string() for event in found]


def _failure(result: ExecuteInProcessResult) -> str:
    (event,) = (event for event in result.all_events if event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    return (data.description or "") if data is not None else event.step_failure_data.error_display_string


def _no_orders(raw: Path) -> None:
    (raw / "orders.csv").unlink()


def _no_amounts(raw: Path) -> None:
    (raw / "orders.csv").write_text("order_id,customer_id,ordered_at\nO1,C1,2024-01-05\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_no_orders, "No file of the required table orders in"),
        (_no_amounts, "orders.csv lacks the required column amount of orders"),
    ],
)
def test_wrong_raw_files_fail_at_once_with_the_ingests_sentence(
    home: Home, spoil: Callable[[Path], None], sentence: str
) -> None:
    write_base(home.raw)
    spoil(home.raw)
    result = _ingest(home)
    assert not result.success
    assert sentence in _failure(result)
    assert _retries(result) == []
    assert not home.warehouse.exists()


def _failing(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ingest fail a number of times as a disk does, and the retries follow at once."""
    left = [duckdb.IOException("the disk was away")] * times

    def shaky(*args: Any, **more: Any) -> Any:
        if left:
            raise left.pop()
        return ingest(*args, **more)

    monkeypatch.setattr(raw, "ingest", shaky)
    monkeypatch.setattr(assets, "RETRY", RetryPolicy(max_retries=assets.RETRY.max_retries, delay=0.01))


def test_a_disturbance_is_tried_again_and_the_log_says_why(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_base(home.raw)
    _failing(1, monkeypatch)
    result = _ingest(home)
    assert result.success
    (why,) = _retries(result)
    assert "the disk was away" in why
    assert home.warehouse.exists()


def test_a_disturbance_that_stays_fails_after_the_third_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_base(home.raw)
    _failing(3, monkeypatch)
    result = _ingest(home)
    assert not result.success
    assert len(_retries(result)) == 2
    assert "the disk was away" in _failure(result)
    assert not home.warehouse.exists()


def test_months_without_a_base_fail_at_once(closed: Home, home: Home) -> None:
    settings = home.settings(BATHTUB_VARS="{first_month: 2024-01}")
    step = model_assets(settings, ensure_manifest(load_settings()), monthly_partitions(settings))
    result = _materialize(step)
    assert _failure(result) == "No month from 2024-01 to 2024-04 has an activity in the raw files."
    assert _retries(result) == []
    assert not home.warehouse.exists()


@pytest.mark.slow
def test_a_run_of_some_models_closes_no_month(closed: Home) -> None:
    with duckdb.connect(str(closed.warehouse)) as con:
        con.execute("delete from ops.closed_months where snapshot_month = ?", [LAST])
    settings = load_settings()
    step = model_assets(settings, ensure_manifest(settings), monthly_partitions(settings))
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [step],
            instance=instance,
            selection=[AssetKey(["marts", "status_monthly"])],
            tags=dict(partition_range([LAST, LAST])),
            raise_on_error=False,
        )
    assert result.success
    with duckdb.connect(str(closed.warehouse), read_only=True) as con:
        assert con.execute("select max(snapshot_month) < ? from ops.closed_months", [LAST]).fetchone() == (True,)
