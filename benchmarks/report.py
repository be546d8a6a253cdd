"""What the report weighs, and how long a Chromium takes to draw it: `python -m benchmarks.report`, after `make report`."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.base import say
from orchestration.report.write import LATEST, browser
from orchestration.settings import load_settings

RUNS = 7
READY = "#page[data-ready=yes]"


def measure(page: Path, program: str) -> list[float]:
    """Return the seconds from opening the page to the last chart, each run in a context of its own; the first counts not."""
    from playwright.sync_api import sync_playwright

    taken = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program)
        for _ in range(RUNS + 1):
            tab = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True).new_page()
            start = perf_counter()
            tab.goto(page.resolve().as_uri())
            tab.wait_for_selector(READY, state="attached")
            taken.append(perf_counter() - start)
            tab.context.close()
        chromium.close()
    return taken[1:]


def main() -> int:
    """Print the figures of the latest report; return the exit code."""
    page, program = load_settings().report_dir / LATEST, browser()
    if program is None or not page.exists():
        print("The figures need a report (make report) and an installed Chromium (apt-get install chromium).", file=sys.stderr)
        return 1
    taken = measure(page, program)
    spread = f"{min(taken):.2f} to {max(taken):.2f}, {RUNS} runs"
    say(f"{page.stat().st_size / 1e6:.2f} MB; drawn in {median(taken):.2f} s ({spread})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
