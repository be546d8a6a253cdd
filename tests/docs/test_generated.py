"""The documentation says what the dbt project says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from orchestration.dictionary import BEGIN, DOCS_DIR, MARTS_DIR, QUERIES_DIR, DictionaryError, marts, pages
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT


@pytest.mark.parametrize("page", sorted(pages()), ids=lambda page: page.name)
def test_generated_part_is_in_step_with_the_dbt_project(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == pages()[page], (
        f"{page.relative_to(PROJECT_ROOT)} is out of step; run: python -m orchestration.dictionary"
    )


def test_a_changed_description_changes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in MARTS_DIR.glob("*.yml"):
        text = path.read_text(encoding="utf-8").replace("Order of the band", "Place of the band")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    monkeypatch.setattr("orchestration.dictionary.MARTS_DIR", tmp_path)
    text = pages()[DOCS_DIR / "marts.md"]
    assert "Place of the band" in text
    assert "Order of the band" not in text


def test_a_page_without_a_place_for_the_generated_part_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "marts.md").write_text(f"# Marts\n{BEGIN}\n", encoding="utf-8")
    monkeypatch.setattr("orchestration.dictionary.DOCS_DIR", tmp_path)
    with pytest.raises(DictionaryError, match=r"marts\.md has no generated part"):
        pages()


def test_a_mart_without_an_example_query_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.dictionary.QUERIES_DIR", tmp_path)
    with pytest.raises(DictionaryError, match="write an example query"):
        pages()


def test_every_mart_is_described_and_every_query_is_about_a_mart() -> None:
    described = {str(mart["name"]) for mart in marts()}
    assert described == {path.stem for path in MARTS_DIR.glob("*.sql")}
    assert described == {path.name.split(".")[0] for path in QUERIES_DIR.glob("*.sql")}


@pytest.mark.parametrize("mart", marts(), ids=lambda mart: str(mart["name"]))
def test_every_mart_says_its_month_and_how_it_was_computed(mart: dict[str, Any]) -> None:
    promised = {
        column["name"]: column["data_type"]
        for column in mart["columns"]
        # dbt takes no constraints of a view, which the logs of restatements are.
        if {"type": "not_null"} in column.get("constraints", []) or str(mart["name"]).startswith("restatements")
    }
    common = {"snapshot_month": "date", "as_of_date": "date", "is_reconstructed": "boolean", "definition_version": "string"}
    assert common.items() <= promised.items()


@pytest.mark.parametrize("query", sorted(QUERIES_DIR.glob("*.sql")), ids=lambda query: query.stem)
def test_example_query_runs_on_the_columns_of_the_contract(query: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema marts")
        for mart in marts():
            columns = ", ".join(f"{column['name']} {column['data_type']}" for column in mart["columns"])
            connection.execute(f"create table marts.{mart['name']} ({columns})")
        connection.execute(query.read_text(encoding="utf-8")).fetchall()


def test_every_var_and_every_variable_is_in_the_configuration_page() -> None:
    page = (DOCS_DIR / "configuration.md").read_text(encoding="utf-8")
    project = yaml.safe_load((DBT_PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))
    variables = re.findall(r"^# (\w+)=", (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert variables
    missing = [name for name in [*project["vars"], *variables] if f"`{name}`" not in page]
    assert missing == []


def test_every_exposure_names_its_owner_and_the_dashboard_shows_only_what_is_published() -> None:
    exposures = yaml.safe_load((DBT_PROJECT_DIR / "models" / "exposures.yml").read_text(encoding="utf-8"))["exposures"]
    named = {exposure["name"]: exposure for exposure in exposures}
    assert {"published_marts", "looker_studio_report", "monthly_report"} <= set(named)
    assert all(exposure["owner"]["name"] and exposure["owner"]["email"] for exposure in exposures)
    assert set(named["looker_studio_report"]["depends_on"]) <= set(named["published_marts"]["depends_on"])


def test_every_chart_of_the_guide_has_a_query_on_its_source() -> None:
    guide = (DOCS_DIR / "bi" / "README.md").read_text(encoding="utf-8")
    pages = guide.partition("## Page 1")[2].partition("## Limits")[0]
    charts = re.findall(r"^\*\*(.+?)\*\* — (.*?)(?=^\*\*|\Z)", pages, re.MULTILINE | re.DOTALL)
    assert len(charts) >= 18
    for title, text in charts:
        (source,) = re.findall(r"Source `(\w+)`", " ".join(text.split()))
        assert f"from marts.{source}\n" in text, title


def test_a_published_column_without_french_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fields.yml"
    text = (PROJECT_ROOT / "orchestration" / "publish" / "fields.yml").read_text(encoding="utf-8")
    file.write_text(text.replace("  n_converted: ", "  n_other: "), encoding="utf-8")
    monkeypatch.setattr("orchestration.dictionary.FIELDS_FILE", file)
    with pytest.raises(DictionaryError, match=r"status_monthly\.n_converted"):
        pages()
