"""`make pictures`: the pictures of the README, taken from the latest report by an installed Chromium."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.report.data import ReportError
from orchestration.report.write import LATEST, browser
from orchestration.settings import PROJECT_ROOT, load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = PROJECT_ROOT / "docs" / "pictures"
# Name of the picture: what of the page it shows.
PICTURES = {"report-bathtub.png": "#tub", "report-recency.png": "#recency-bands"}
WIDTH, HEIGHT = 900, 1_000


def take(page: Path, folder: Path) -> list[Path]:
    """Take the pictures of a report, in English; return their files.

    Raises:
        ReportError: there is no report, or no Chromium.
    """
    program = browser()
    if program is None or not page.exists():
        raise ReportError("The pictures need a report (make report) and an installed Chromium (apt-get install chromium).")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program)
        files = take_with(chromium, page, folder)
        chromium.close()
    return files


def take_with(chromium: Browser, page: Path, folder: Path) -> list[Path]:
    """Take the pictures with a browser that runs."""
    folder.mkdir(parents=True, exist_ok=True)
    context = chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT}, offline=True, color_scheme="light")
    tab = context.new_page()
    tab.goto(f"{page.resolve().as_uri()}?lang=en&months=12")
    tab.wait_for_selector("#page[data-ready=yes]", state="attached")
    # Without what is only for clicking.
    tab.add_style_tag(content=".data, .controls { display: none !important; }")
    for name, part in PICTURES.items():
        tab.locator(part).screenshot(path=folder / name)
    context.close()
    return [folder / name for name in PICTURES]


def main() -> int:
    """Take the pictures; return the exit code."""
    try:
        files = take(load_settings().report_dir / LATEST, FOLDER)
    except ReportError as error:
        print(error, file=sys.stderr)
        return 1
    for file in files:
        print(f"{file.relative_to(PROJECT_ROOT)}: {file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
