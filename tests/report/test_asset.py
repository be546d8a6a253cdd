"""The report in the monthly close, and from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from dagster import AssetKey, ExecuteInProcessResult, MonthlyPartitionsDefinition, materialize

from orchestration.cli import log, main
from orchestration.report import write
from orchestration.report.asset import preview, report_asset
from orchestration.report.data import ReportError
from orchestration.report.write import print_pdf, write_report
from tests.report.marts import Made, make


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make(tmp_path)


def _materialise(made: Made, month: str, raises: bool = True) -> ExecuteInProcessResult:
    partitions = MonthlyPartitionsDefinition(start_date="2026-08", fmt="%Y-%m")
    asset = report_asset(made.settings, partitions, ["status_monthly"], incidents=lambda: 3)
    return materialize([asset], partition_key=month, raise_on_error=raises)


def test_a_close_writes_the_page_of_its_last_month_with_the_open_incidents(made: Made) -> None:
    result = _materialise(made, "2026-10")
    (event,) = result.get_asset_materialization_events()
    made_now = event.materialization
    assert made_now.asset_key == AssetKey(["report", "monthly_report"])
    assert made_now.metadata["path"].value == str(made.settings.report_dir / "2026-10.html")
    assert "| Profiles |" in str(made_now.metadata["preview"].value)
    assert '"incidents":3' in (made.settings.report_dir / "latest.html").read_text(encoding="utf-8")


def test_a_report_that_fails_says_that_the_months_are_closed(made: Made) -> None:
    made.settings.report_dir.write_text("a file where the folder should be", encoding="utf-8")
    result = _materialise(made, "2026-10", raises=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    description = failure.step_failure_data.user_failure_data
    assert description is not None
    assert str(description.description).startswith("The months are closed, but their report was not written.")
    assert str(description.description).endswith("make report MONTH=2026-10")


def test_the_preview_has_the_figures_of_the_marts(made: Made) -> None:
    n = made.one("select sum(n_profiles) from marts.status_monthly where snapshot_month = date '2026-10-01'")
    told = preview(write_report(made.settings))
    assert f"{n:,} |" in told
    assert "Challenges: 2 critical, 1 warning, 0 info" in told


def _run(made: Made, monkeypatch: pytest.MonkeyPatch, *args: str) -> tuple[int, str]:
    monkeypatch.setenv("BATHTUB_WAREHOUSE", str(made.settings.warehouse))
    for name in ("BATHTUB_TARGET", "BATHTUB_VARS", "BATHTUB_REPORT_DIR"):
        monkeypatch.delenv(name, raising=False)
    handlers, level = log.handlers[:], log.level
    try:
        result = CliRunner().invoke(main, list(args))
    finally:
        log.handlers[:], log.propagate = handlers, True
        log.setLevel(level)
    return result.exit_code, result.output


def test_the_command_prints_the_path(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(made, monkeypatch, "report", "--month", "2026-09") == (
        0,
        f"Report     {made.settings.report_dir / '2026-09.html'}\n",
    )


def test_the_command_refuses_a_month_that_is_not_closed(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = _run(made, monkeypatch, "report", "--month", "2020-01")
    assert code == 1
    assert output == "Error: 2020-01 is not closed; choose a month from 2026-08 to 2026-10.\n"


def test_without_a_chromium_the_pdf_says_what_to_install(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "browser", lambda: None)
    with pytest.raises(ReportError, match="There is no Chromium to print with; install one"):
        print_pdf(tmp_path / "page.html")
