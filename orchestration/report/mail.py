"""The report by mail: to the destinations of the alerts that ask for it with the tag `report`."""

from __future__ import annotations

import logging
from datetime import date, datetime
from pathlib import Path

from babel.dates import format_skeleton

from orchestration.alerts.outbox import Delivered, deliver, readers
from orchestration.alerts.store import ReportMail, Store
from orchestration.challenges.findings import SEVERITIES
from orchestration.challenges.sentences import typeset
from orchestration.report.data import ReportError
from orchestration.report.page import words
from orchestration.report.write import Written, browser, print_pdf
from orchestration.settings import Settings

log = logging.getLogger("bathtub")


def mail_of_close(settings: Settings, written: Written, now: datetime) -> Delivered:
    """Mail the report of the latest closed month to those who ask for it and do not have it; nothing where it is another month.

    A destination that does not take it gets it later, by whatever delivers alerts. A month closed again is not mailed again.

    Raises:
        ConfigurationError: BATHTUB_ALERT_URLS cannot be used.
    """
    return _mail(settings, written, now) if written.is_latest else Delivered()


def mail_now(settings: Settings, written: Written, now: datetime) -> Delivered:
    """Mail a report to all who ask for the report, again if they have it.

    Raises:
        ReportError: nobody asks for it, or no month is closed.
        ConfigurationError: BATHTUB_ALERT_URLS cannot be used.
    """
    if not readers(settings):
        raise ReportError(
            "Nobody asks for the report; name a destination with the tag report, BATHTUB_ALERT_URLS='report=mailtos://…'."
        )
    if written.month is None:
        raise ReportError("No month is closed yet, so there is no report to mail.")
    return _mail(settings, written, now, is_again=True)


def _mail(settings: Settings, written: Written, now: datetime, is_again: bool = False) -> Delivered:
    destinations = readers(settings)
    if not destinations or written.month is None:
        return Delivered()
    with Store.open(settings.alerts_dir) as store:
        known = set() if is_again else store.mailed(written.month)
        new = [destination.id for destination in destinations if destination.id not in known]
        if not new:
            return Delivered()
        language = settings.vars.report_language
        file = _attached(written.page, language)
        subject, body = message(written, language)
        with store.writing():
            for destination in new:
                store.post(ReportMail(written.month, destination, subject, body, file.resolve()))
        return deliver(settings, store, now, is_forced=is_again)


def _attached(page: Path, language: str) -> Path:
    """The PDF; the page itself where it cannot be printed."""
    if browser() is None:
        return page
    try:
        return print_pdf(page, language)
    except ReportError as error:
        log.warning("%s The page itself is mailed.", error)
        return page


def message(written: Written, language: str) -> tuple[str, str]:
    """Return subject and text: the month, and how many challenges the report tells; no name of a source or an account."""
    told = words()[language]
    month = _month(written.month, language) if written.month else ""
    counts = {severity: sum(f.severity == severity for f in written.content["findings"]) for severity in SEVERITIES}
    found = ", ".join(f"{told[f'severity_{severity}'].lower()} {n}" for severity, n in counts.items() if n)
    challenges = [
        typeset(f"{told['challenges']} : {found}" if language == "fr" else f"{told['challenges']}: {found}", language)
    ]
    return f"{told['title']}, {month}", "\n\n".join([told["question"], *(challenges if found else ()), told["mail_attached"]])


def _month(month: date, language: str) -> str:
    return str(format_skeleton("yMMMM", month, locale=language))
