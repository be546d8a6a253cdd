"""What Dagster loads. Wiring only: no connection is opened and no warehouse is needed."""

from dagster import Definitions, in_process_executor

from orchestration.assets import model_assets, raw_assets
from orchestration.dbt import ensure_manifest
from orchestration.jobs import monthly_close, monthly_schedule
from orchestration.partitions import monthly_partitions
from orchestration.report.asset import report_asset
from orchestration.settings import MARTS, load_settings

settings = load_settings()
partitions = monthly_partitions(settings)

definitions = Definitions(
    assets=[
        raw_assets(settings, partitions),
        model_assets(settings, ensure_manifest(settings), partitions),
        report_asset(settings, partitions, MARTS),
    ],
    jobs=[monthly_close],
    schedules=[monthly_schedule(settings)],
    executor=in_process_executor,
)
