"""What Dagster loads. Wiring only: no connection is opened and no warehouse is needed."""

from dagster import Definitions, in_process_executor

from orchestration.alerts.nightly import nightly_asset_checks, nightly_checks, nightly_schedule, sensors
from orchestration.assets import model_assets, raw_assets
from orchestration.dbt import ensure_manifest
from orchestration.jobs import monthly_close, monthly_schedule
from orchestration.partitions import monthly_partitions
from orchestration.publish.assets import publish_assets
from orchestration.settings import load_settings

settings = load_settings()
partitions = monthly_partitions(settings)
manifest = ensure_manifest(settings)

definitions = Definitions(
    assets=[
        raw_assets(settings, partitions),
        model_assets(settings, manifest, partitions),
        *publish_assets(settings, manifest, partitions),
    ],
    asset_checks=[nightly_asset_checks(settings)],
    jobs=[monthly_close, nightly_checks],
    schedules=[monthly_schedule(settings), nightly_schedule(settings)],
    sensors=sensors(settings, [monthly_close, nightly_checks]),
    executor=in_process_executor,
)
