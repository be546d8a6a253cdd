"""The files of the report: a page per closed month, `latest.html`, and the page as a PDF."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from orchestration.engine import Engine, engine_of
from orchestration.months import month_text
from orchestration.report.data import ReportError, closed_month, collect
from orchestration.settings import Settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LATEST = "latest.html"
# Drawing takes a second or two; a machine under load, much longer.
PRINT_SECONDS = 180
LEFT_SECONDS = 600

# How many incidents of the checks are open; None where nobody follows them.
Incidents = Callable[[], int | None]


def nobody_follows() -> int | None:
    """Return None: nobody follows incidents."""
    return None


@dataclass(frozen=True)
class Written:
    """A report that was written, and what it shows."""

    month: date | None
    page: Path
    content: dict[str, Any]
    is_latest: bool = True


def write_report(
    settings: Settings, month: date | None = None, incidents: Incidents = nobody_follows, engine: Engine | None = None
) -> Written:
    """Write the page of a closed month, by default the latest, and `latest.html` where it is the latest.

    Raises:
        ReportError: the month is not closed, its flows do not add up, or the folder cannot be written.
    """
    engine = engine or engine_of(settings)
    # The template's library takes a while to import; the other commands do without it.
    from orchestration.report.page import render

    told = closed_month(engine, month)
    content = collect(settings, engine, told)
    text = render(content, settings.vars.report_language, incidents())
    latest = settings.report_dir / LATEST
    page = latest if told is None else settings.report_dir / f"{month_text(told)}.html"
    _write(page, text)
    is_latest = told == closed_month(engine, None)
    if told is not None and is_latest:
        _write(latest, text)
    return Written(told, page, content, is_latest)


def _write(file: Path, text: str) -> None:
    """Whoever has the page open never meets half of it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _clear_after_a_kill(file)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as part:
            part.write(text)
        # As any file that the user makes.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(file)
    except OSError as error:
        raise ReportError(
            f"The report cannot be written to {file.parent} ({error.strerror}); make room there, or set BATHTUB_REPORT_DIR to "
            "a folder that can be."
        ) from error


def _clear_after_a_kill(file: Path) -> None:
    """Remove what a writer left that was killed long before: writing takes less than a second."""
    for part in file.parent.glob(f".{file.stem}.*.part"):
        with suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > LEFT_SECONDS:
                part.unlink()


def browser() -> str | None:
    """Return the path of an installed Chromium or Chrome, if any."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def print_pdf(page: Path, language: str | None = None) -> Path:
    """Print a page to a PDF of A4 sheets beside it, with an installed Chromium; return its path.

    Raises:
        ReportError: there is no Chromium, or it did not print.
    """
    program = browser()
    if program is None:
        raise ReportError("There is no Chromium to print with; install one (Debian and Ubuntu: apt-get install chromium).")
    pdf = page.with_suffix(".pdf")
    address = page.resolve().as_uri() + (f"?lang={language}" if language else "")
    with tempfile.TemporaryDirectory(prefix="bathtub-print-") as profile:
        command = [
            program,
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--disable-dev-shm-usage",
            # Chromium refuses its sandbox to root; the page is our own and asks for nothing.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            f"--user-data-dir={profile}",
            "--virtual-time-budget=60000",
            # As wide as the sheet: the charts are drawn for it.
            "--window-size=780,1100",
            "--no-pdf-header-footer",
            f"--print-to-pdf={profile}/report.pdf",
            address,
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PRINT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise ReportError(
                f"{program} did not print {page} within {PRINT_SECONDS} s; try again on a quieter machine."
            ) from error
        made = Path(profile) / "report.pdf"
        if done.returncode or not made.exists():
            raise ReportError(
                f"{program} did not print {page} (exit status {done.returncode}); open the page and print it there."
            )
        shutil.move(made, pdf)
    return pdf
