"""The page in a real browser: opened from disk, with the network cut."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.report.pictures import PICTURES, take_with
from orchestration.report.serve import server
from orchestration.report.write import browser, print_pdf, write_report
from tests.report.marts import LAST, Made, make

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser() is None, reason="no Chromium on this machine (Debian and Ubuntu: apt-get install chromium)"),
]
HOSTILE = "<script>alert('x')</script>"
SOURCES = ("till", "web", HOSTILE, "🛁")
# Under load, drawing takes longer than the two seconds that it takes on a quiet machine.
PATIENCE = 120_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("report"), months=26, sources=SOURCES, accounts=True)


@pytest.fixture(scope="module")
def page_file(made: Made) -> Path:
    return write_report(made.settings).page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        yield launched
        launched.close()


Open = Callable[..., Any]


@pytest.fixture
def opened(chromium: Any) -> Iterator[Open]:
    """Opens a page without a network; at the end, nothing was asked of it and nothing went wrong on the console."""
    contexts, faults = [], []

    def open_page(file: Path, query: str = "", **options: Any) -> Any:
        context = chromium.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "offline": True, "accept_downloads": True, **options}
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE)
        tab.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on(
            "request", lambda request: faults.append(request.url) if request.url.startswith(("http:", "https:", "ws")) else None
        )
        tab.on("dialog", lambda dialog: faults.append(dialog.message))
        tab.goto(f"{file.as_uri()}{query}")
        ready(tab)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def ready(tab: Any) -> None:
    """Wait until all charts are drawn."""
    tab.wait_for_selector("#page[data-ready=yes]", state="attached")


def tile(tab: Any, name: str) -> str:
    """Return the figure of a tile, its digits only."""
    return "".join(c for c in tab.text_content(f"[data-tile={name}] .value") if c.isdigit())


def profiles(made: Made, more: str = "") -> str:
    """Return how many profiles the mart has in the last month."""
    return str(made.one(f"select sum(n_profiles) from marts.status_monthly where snapshot_month = date '{LAST}' {more}"))


def test_every_chart_is_drawn_from_disk_without_a_network(opened: Open, page_file: Path) -> None:
    tab = opened(page_file)
    figures = tab.locator("figure.figure")
    assert figures.count() == 22
    for i in range(figures.count()):
        figure = figures.nth(i)
        assert figure.locator(".chart > *").count(), figure.get_attribute("id")
        assert figure.locator(".nothing").count() == 0, figure.get_attribute("id")
    assert tab.locator(".vega svg path").count() > 200


def test_the_tiles_say_what_the_marts_say(opened: Open, page_file: Path, made: Made) -> None:
    tab = opened(page_file)
    at = f"where snapshot_month = date '{LAST}'"
    assert tile(tab, "profiles") == profiles(made)
    assert tile(tab, "active") == profiles(made, "and is_active")
    assert tile(tab, "customers") == profiles(made, "and status = 'customer'")
    assert tile(tab, "new") == str(made.one(f"select sum(n_new) from marts.status_monthly {at}"))
    assert tile(tab, "overdue") == str(made.one(f"select sum(n_overdue) from marts.retention_monthly {at}"))
    contactable = f"select sum(n_contactable) from marts.optin_rate_monthly {at} and channel = 'any'"
    assert tile(tab, "contactable") == str(made.one(contactable))


def test_the_filters_show_the_figures_of_the_marts(opened: Open, page_file: Path, made: Made) -> None:
    tab = opened(page_file)
    tab.select_option("#filter-source", label="web")
    tab.select_option("#filter-status", label="Prospects")
    ready(tab)
    assert tile(tab, "profiles") == profiles(made, "and source = 'web' and status = 'prospect'")
    tab.select_option("#filter-recent", "1")
    ready(tab)
    assert tile(tab, "profiles") == profiles(made, "and source = 'web' and status = 'prospect' and registered_within_12m")
    closing = made.one(
        "select n_profiles from marts.flows_monthly where scope = 'active' and movement = 'closing' and source = 'web' "
        f"and status = 'prospect' and snapshot_month = date '{LAST}'"
    )
    assert "".join(c for c in tab.text_content("[data-level=closing]") if c.isdigit()) == str(closing)
    # The share of a figure is that of what follows the same filters.
    assert all(
        float(n.strip("\u202f\u00a0 ").replace(",", ".")) <= 100
        for n in re.findall(r"([\d,]+)\s%", tab.text_content("#tiles .tile:last-child .under"))
    )
    # A chart whose mart lacks a filter says so.
    assert "inscription" in tab.text_content("#tub .ignores")
    assert "inscription" in tab.text_content("[data-tile=overdue] .ignores")
    tab.click(".reset")
    ready(tab)
    assert tile(tab, "profiles") == profiles(made)


def test_the_bathtub_shows_the_whole_base_too(opened: Open, page_file: Path, made: Made) -> None:
    tab = opened(page_file)
    tab.click("[data-choice=scope-base]")
    ready(tab)
    assert "".join(c for c in tab.text_content("[data-level=closing]") if c.isdigit()) == profiles(made)
    assert tab.evaluate("document.activeElement.dataset.choice") == "scope-base"


def test_the_language_changes_words_and_formats(opened: Open, page_file: Path) -> None:
    tab = opened(page_file)
    assert tab.evaluate("document.documentElement.lang") == "fr"
    assert tab.text_content("h1") == "La baignoire\u00a0: rapport mensuel"
    assert "\u202f" in tab.text_content("[data-tile=profiles] .value")
    tab.click("[data-lang=en]")
    ready(tab)
    assert tab.evaluate("document.documentElement.lang") == "en"
    assert "," in tab.text_content("[data-tile=profiles] .value")
    assert "October 2026" in tab.text_content("#tub h3")


def test_a_link_keeps_language_and_filters(opened: Open, page_file: Path, made: Made) -> None:
    tab = opened(page_file)
    tab.select_option("#filter-source", label=HOSTILE)
    tab.click("[data-lang=en]")
    ready(tab)
    address = tab.url
    again = opened(page_file, address[address.index("?") :])
    assert tile(again, "profiles") == profiles(made, f"and source = '{HOSTILE.replace(chr(39), chr(39) * 2)}'")
    assert again.text_content("#filtered") == f"Filtered view: Source: {HOSTILE}"
    assert again.evaluate("document.documentElement.lang") == "en"


def test_a_link_with_nonsense_shows_the_whole_base(opened: Open, page_file: Path, made: Made) -> None:
    tab = opened(page_file, "?lang=xx&source=nobody&status=%3Cb%3E&registered=1")
    assert tile(tab, "profiles") == profiles(made)


def test_the_file_of_a_chart_holds_the_figures_of_the_mart(opened: Open, page_file: Path, made: Made) -> None:
    tab = opened(page_file, "?lang=en")
    with tab.expect_download() as waiting:
        tab.click("#recency-bands button.csv")
    download = waiting.value
    assert download.suggested_filename == "bathtub-2026-10-recency-bands.csv"
    rows = list(csv.DictReader(io.StringIO(Path(download.path()).read_text(encoding="utf-8-sig"))))
    assert len(rows) == 26
    for row in (rows[0], rows[-1]):
        at = f"from marts.recency_monthly where snapshot_month = date '{row['month']}'"
        assert int(row["new"]) == made.one(f"select sum(n_profiles) {at} and is_new")
        assert int(row["366+"]) == made.one(f"select sum(n_profiles) {at} and not is_new and recency_band = '366+'")


def test_a_file_holds_no_formula(opened: Open, page_file: Path) -> None:
    tab = opened(page_file, "?lang=en")
    with tab.expect_download() as waiting:
        tab.click("#companies button.csv")
    rows = list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8-sig"))))
    assert rows[1][0] == "'=Company 0 <b>"


def test_each_chart_has_its_table(opened: Open, page_file: Path, made: Made) -> None:
    tab = opened(page_file, "?lang=en")
    tab.click("#statuses summary")
    last_row = tab.locator("#statuses tbody tr").last
    last_row.wait_for()
    cells = last_row.locator("th, td").all_text_contents()
    assert cells[0] == "October 2026"
    assert cells[1].replace(",", "") == profiles(made, "and status = 'customer'")


def test_hovering_a_month_tells_its_figures(opened: Open, page_file: Path, made: Made) -> None:
    tab = opened(page_file, "?lang=en")
    tab.locator("#statuses .hover_marks path").last.hover()
    text = tab.text_content("#tooltip")
    assert text.startswith("October 2026")
    assert profiles(made) in text.replace(",", "")


@pytest.mark.parametrize("width", [360, 390, 1280, 1920])
@pytest.mark.parametrize("language", ["fr", "en"])
def test_nothing_is_wider_than_the_screen(opened: Open, page_file: Path, width: int, language: str) -> None:
    tab = opened(page_file, f"?lang={language}", viewport={"width": width, "height": 900})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    # Charts are drawn for their place: no text is scaled below what can be read.
    scales = tab.evaluate(
        "[...document.querySelectorAll('.vega svg')].map(s => s.getBoundingClientRect().width / s.viewBox.baseVal.width)"
    )
    assert 0.85 < min(scales) <= max(scales) <= 1.01


def test_the_page_follows_the_readers_dark_mode(opened: Open, page_file: Path) -> None:
    def luminance(tab: Any, what: str) -> int:
        text = tab.evaluate(f"getComputedStyle(document.body).{what}")
        return sum(int(n) for n in text.removeprefix("rgb(").removesuffix(")").split(","))

    light, dark = opened(page_file, color_scheme="light"), opened(page_file, color_scheme="dark")
    assert luminance(light, "backgroundColor") > luminance(light, "color")
    assert luminance(dark, "backgroundColor") < luminance(dark, "color")
    # Charts follow without being drawn anew.
    fill = "getComputedStyle(document.querySelector('#statuses .mark-text text')).fill"
    before = dark.evaluate(fill)
    dark.emulate_media(color_scheme="light")
    assert dark.evaluate(fill) != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(opened: Open, page_file: Path, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    tab = opened(page_file, color_scheme=scheme, viewport={"width": width, "height": 900})
    tab.click("#statuses summary")
    tab.locator("#statuses tbody tr").last.wait_for()
    found = Axe().run(tab).response["violations"]
    told = [(v["id"], v["impact"], [node["target"] for node in v["nodes"]][:3]) for v in found]
    assert [one for one in told if one[1] in ("serious", "critical")] == []


def test_the_keyboard_reaches_filters_and_sections(opened: Open, page_file: Path) -> None:
    tab = opened(page_file)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(30):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.getAttribute('href')"))
    assert {"filter-source", "filter-status", "filter-recent", "#bathtub", "#definitions"} <= reached


def test_print_shows_the_charts_on_white_without_what_is_for_clicking(opened: Open, page_file: Path) -> None:
    tab = opened(page_file, color_scheme="dark")
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not tab.is_visible(".filters")
    assert not tab.is_visible(".data")
    assert tab.is_visible("#statuses svg")


def test_the_pdf_is_made_of_a4_sheets(page_file: Path) -> None:
    pdf = print_pdf(page_file).read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594.95996 841.91998]" in pdf or b"/MediaBox [0 0 595" in pdf or b"841.9" in pdf


@pytest.mark.parametrize(
    ("months", "sources"),
    [(0, ("till",)), (1, ("till",)), (3, ("till",)), (2, tuple(f"source {i:03} with a long name" for i in range(200)))],
    ids=["no month", "a single month", "one source", "200 sources"],
)
def test_any_base_has_a_sensible_page(opened: Open, tmp_path: Path, months: int, sources: tuple[str, ...]) -> None:
    made = make(tmp_path, months=months, sources=sources)
    tab = opened(write_report(made.settings).page, viewport={"width": 390, "height": 900})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    if months:
        assert tile(tab, "profiles") == profiles(made)
    else:
        assert "Aucun mois n'est encore clos" in tab.text_content("main")


def test_served_pages_work_under_a_strict_policy(chromium: Any, made: Made, page_file: Path) -> None:
    with server(made.settings.report_dir, 0) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{serving.server_port}/"
        faults: list[str] = []
        tab = chromium.new_page()
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        answer = tab.goto(address)
        tab.wait_for_selector("#page[data-ready=yes]", state="attached", timeout=PATIENCE)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert faults == []
        tab.close()
        serving.shutdown()


def test_the_pictures_are_small(chromium: Any, page_file: Path, tmp_path: Path) -> None:
    files = take_with(chromium, page_file, tmp_path)
    assert [file.name for file in files] == list(PICTURES)
    assert all(5_000 < file.stat().st_size < 150_000 for file in files)
