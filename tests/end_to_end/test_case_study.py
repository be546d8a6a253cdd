"""The case study says what the marts of the demo base say."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.case_study import BEGIN, PAGE, main, page_with_figures


@pytest.mark.slow
def test_every_figure_of_the_case_study_is_that_of_the_demo(full_demo: tuple[Path, Path]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page_with_figures(full_demo[1]), (
        "run: python -m orchestration.case_study, on that demo"
    )


@pytest.mark.slow
def test_the_command_writes_the_figures_after_each_query(
    full_demo: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Words.\n\n```sql\nselect n_profiles, n_profiles_prev_year, snapshot_month from marts.base_overview_monthly\n"
        "where source = 'all' and snapshot_month = date '2023-11-01'\n```\n\n"
        f"{BEGIN}\nold\n<!-- figures: end -->\n\nMore words.\n",
        encoding="utf-8",
    )
    monkeypatch.setattr("orchestration.case_study.PAGE", page)
    assert main([str(full_demo[1])]) == 0
    written = page.read_text(encoding="utf-8")
    assert written.startswith("Words.")
    assert "| n_profiles | n_profiles_prev_year | snapshot_month |\n| ---: | --- | --- |\n" in written
    assert "|  | 2023-11 |" in written
    assert "old" not in written
    assert written.endswith("More words.\n")
