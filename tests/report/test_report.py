"""The report says what the marts say, whatever they hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.report.cube import Cube
from orchestration.report.data import MOST_MONTHS, MOST_SOURCES, ReportError, closed_month, collect
from orchestration.report.page import content_policy, render, script, words
from orchestration.report.write import LATEST, write_report
from orchestration.settings import LANGUAGES, load_settings
from tests.report.marts import LAST, Made, make


def _content(made: Made) -> dict[str, Any]:
    return collect(made.settings, made.engine, closed_month(made.engine, None))


def _data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def _sum(cube: dict[str, Any], measure: str, **where: int) -> float:
    keys, values = cube["keys"], cube["measures"][measure]
    return float(sum(value for i, value in enumerate(values) if all(keys[name][i] == at for name, at in where.items())))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make(tmp_path)


MEASURES = [
    ("segments", "n_profiles", "sum(n_profiles) from marts.status_monthly where true"),
    ("segments", "n_active", "sum(n_profiles) from marts.status_monthly where is_active"),
    ("segments", "n_new", "sum(n_new) from marts.status_monthly where true"),
    ("segments", "recency|new", "sum(n_profiles) from marts.recency_monthly where is_new"),
    ("segments", "recency|2", "sum(n_profiles) from marts.recency_monthly where recency_band_rank = 2 and not is_new"),
    ("segments", "filled|email", "sum(n_filled) from marts.fill_rate_monthly where field = 'email'"),
    ("segments", "sms|n_contactable", "sum(n_contactable) from marts.optin_rate_monthly where channel = 'sms'"),
    ("segments", "any|n_no_optin", "sum(n_no_optin) from marts.optin_rate_monthly where channel = 'any'"),
    ("flows", "base|deleted", "sum(n_profiles) from marts.flows_monthly where scope = 'base' and movement = 'deleted'"),
    ("flows", "active|closing", "sum(n_profiles) from marts.flows_monthly where scope = 'active' and movement = 'closing'"),
    ("retention", "n_overdue", "sum(n_overdue) from marts.retention_monthly where true"),
    ("quality", "n_placeholders", "sum(n_placeholders) from marts.source_scorecard_monthly where true"),
    ("quality", "n_prospects_dormant", "sum(n_prospects_dormant) from marts.acquisition_monthly where true"),
    ("people", "F|25-34", "sum(n_profiles) from marts.demographics_monthly where gender = 'F'"),
]


@pytest.mark.parametrize(("cube", "measure", "query"), MEASURES, ids=[measure for _, measure, _ in MEASURES])
def test_each_measure_equals_its_mart(made: Made, cube: str, measure: str, query: str) -> None:
    content = _content(made)
    last = len(content["months"]) - 1
    at = f"select {query} and snapshot_month = date '{LAST}'"
    assert _sum(content[cube], measure, month=last) == made.one(at) > 0
    for place, source in enumerate(content["sources"]):
        assert _sum(content[cube], measure, month=last, source=place) == made.one(f"{at} and source = '{source['name']}'")


def test_filters_take_the_parts_that_the_mart_has(made: Made) -> None:
    content = _content(made)
    expected = made.one(
        f"select sum(n_profiles) from marts.status_monthly where snapshot_month = date '{LAST}' and source = 'web' "
        "and status = 'prospect' and registered_within_12m"
    )
    web = [source["name"] for source in content["sources"]].index("web")
    assert _sum(content["segments"], "n_profiles", month=2, source=web, status=1, recent=1) == expected


def test_cohorts_count_by_the_age_of_the_cohort(made: Made) -> None:
    cohorts = _content(made)["cohorts"]
    assert _sum(cohorts, "n_customers", cohort=2, since=1) == made.one(
        "select sum(n_customers) from marts.cohort_conversion_monthly where cohort_month = '2026-08-01' "
        "and months_since_registration = 1"
    )


def test_a_bathtub_that_does_not_balance_is_refused(made: Made) -> None:
    with duckdb.connect(str(made.settings.warehouse)) as con:
        con.execute("update marts.flows_monthly set n_profiles = n_profiles + 1 where movement = 'deleted' and source = 'web'")
    with pytest.raises(ReportError, match=r"2026-08 does not balance|2026-09 does not balance|2026-10 does not balance"):
        _content(made)


def test_a_month_that_opens_with_another_level_is_refused(made: Made) -> None:
    with duckdb.connect(str(made.settings.warehouse)) as con:
        con.execute(
            "update marts.flows_monthly set n_profiles = n_profiles + case movement when 'opening' then 1 else -1 end "
            "where snapshot_month = '2026-10-01' and scope = 'base' and movement in ('opening', 'new')"
        )
    with pytest.raises(ReportError, match="its opening is not the closing before"):
        _content(made)


def test_reconstructed_months_are_those_that_the_marts_call_so(made: Made) -> None:
    assert [month["reconstructed"] for month in _content(made)["months"]] == [True, False, False]


def test_the_closing_time_is_utc(made: Made) -> None:
    assert _content(made)["months"][-1]["closedAt"] == "2026-11-03T03:04:00+00:00"


def test_an_older_month_is_told_without_what_came_later(made: Made) -> None:
    content = collect(made.settings, made.engine, closed_month(made.engine, date_of("2026-09")))
    assert [month["month"] for month in content["months"]] == ["2026-08-01", "2026-09-01"]


def date_of(text: str) -> Any:
    """Return the first day of a month."""
    from orchestration.settings import parse_month

    return parse_month(text)


def test_a_month_that_is_not_closed_is_refused(made: Made) -> None:
    with pytest.raises(ReportError, match="2027-01 is not closed; choose a month from 2026-08 to 2026-10"):
        closed_month(made.engine, date_of("2027-01"))


def test_a_source_named_as_a_script_stays_text(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    page = render(_content(make(tmp_path, sources=(hostile, "🛁 pop-up", "a'b\"c&d"))), "fr", 0)
    assert hostile not in page
    assert page.count("<script") == 3
    assert {source["name"] for source in _data(page)["sources"]} == {hostile, "🛁 pop-up", "a'b\"c&d"}


def test_a_base_without_a_closed_month_has_a_page(tmp_path: Path) -> None:
    made = make(tmp_path, months=0)
    written = write_report(made.settings)
    assert written.page.name == LATEST
    assert _data(written.page.read_text(encoding="utf-8"))["month"] is None


def test_a_month_without_a_profile_has_a_page(tmp_path: Path) -> None:
    made = make(tmp_path, months=1, sources=())
    with duckdb.connect(str(made.settings.warehouse)) as con:
        con.execute("delete from marts.projection_monthly; delete from marts.challenges_monthly")
    assert _data(write_report(made.settings).page.read_text(encoding="utf-8"))["sources"] == []


def test_a_single_month_has_a_page(tmp_path: Path) -> None:
    assert len(_content(make(tmp_path, months=1))["months"]) == 1


def test_many_sources_share_a_place_and_lose_nobody(tmp_path: Path) -> None:
    made = make(tmp_path, months=2, sources=[f"source {i:03}" for i in range(200)])
    content = _content(made)
    assert len(content["sources"]) == MOST_SOURCES + 1
    assert content["sources"][-1] == {"name": None, "count": 200 - MOST_SOURCES}
    assert _sum(content["segments"], "n_profiles", month=1) == made.one(
        f"select sum(n_profiles) from marts.status_monthly where snapshot_month = date '{LAST}'"
    )
    assert len(render(content, "fr", None)) < 3_000_000


def test_a_long_history_is_cut_and_says_so(tmp_path: Path) -> None:
    content = _content(make(tmp_path, months=MOST_MONTHS + 5, sources=("web",)))
    assert (len(content["months"]), content["monthsLeftOut"]) == (MOST_MONTHS, 5)


def test_companies_are_told_where_there_are_any(tmp_path: Path) -> None:
    accounts = _content(make(tmp_path, accounts=True))["accounts"]
    assert accounts["byMonth"][-1]["n_accounts"] == 2
    assert accounts["coverage"]["buyer"] == {"contactable": 2}
    assert [row[0] for row in accounts["rows"]] == ["=Company 0 <b>", "=Company 1 <b>"]


def test_no_companies_no_section(made: Made) -> None:
    assert _content(made)["accounts"] is None


def test_the_challenges_are_told_in_both_languages_each_once(made: Made) -> None:
    told = _data(render(_content(made), "en", 0))["challenges"]
    assert [(c["code"], c["source"], c["repeats"]) for c in told["en"]] == [
        ("retention_overdue", "all", False),
        ("retention_overdue", "till", True),
        ("channel_not_contactable_sms", "all", False),
    ]
    assert told["fr"][0]["title"].startswith("Des profils auraient dû")


def test_every_word_that_the_page_asks_for_exists() -> None:
    asked = set(re.findall(r"\bt\('([a-z_A-Z0-9]+)'", script()))
    assert len(asked) > 100
    for language in LANGUAGES:
        assert asked <= set(words()[language])
        assert all(words()[language].values())


def test_the_page_asks_the_network_for_nothing(made: Made) -> None:
    page = render(_content(made), "fr", 0)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    policy = content_policy()
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert re.search(r"script-src 'sha256-[^']+' 'sha256-[^']+';", policy)


def test_the_latest_month_is_also_the_latest_page(made: Made) -> None:
    older = write_report(made.settings, date_of("2026-09"))
    assert {path.name for path in made.settings.report_dir.iterdir()} == {"2026-09.html"}
    latest = write_report(made.settings)
    assert latest.page.read_text(encoding="utf-8") == (made.settings.report_dir / LATEST).read_text(encoding="utf-8")
    assert older.page.exists()


def test_the_same_marts_give_the_same_page(made: Made) -> None:
    assert render(_content(made), "fr", 0) == render(_content(made), "fr", 0)


def test_a_folder_that_cannot_be_written_is_named(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    settings = load_settings(
        {"BATHTUB_WAREHOUSE": str(made.settings.warehouse), "BATHTUB_REPORT_DIR": str(tmp_path / "file" / "reports")}
    )
    with pytest.raises(ReportError, match="BATHTUB_REPORT_DIR"):
        write_report(settings)


def test_a_cube_sums_what_is_added_to_a_cell() -> None:
    cube = Cube(("month", "source"))
    cube.add((0, 1), "n", 2)
    cube.add((0, 1), "n", 3)
    cube.add((1, 0), "x", 0.25)
    cube.add((1, 1), "x", None)
    assert cube.columns() == {"keys": {"month": [0, 1], "source": [1, 0]}, "measures": {"n": [5, 0], "x": [0, 0.25]}}
