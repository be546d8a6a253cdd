"""The report by mail, to a real mail server on loopback: once per month, with the file, after an outage too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from dagster import MonthlyPartitionsDefinition, materialize

from orchestration.alerts.destinations import read_destinations
from orchestration.alerts.outbox import Log, deliver, recipients
from orchestration.alerts.store import Store
from orchestration.report import mail as mailing
from orchestration.report.asset import report_asset
from orchestration.report.data import ReportError
from orchestration.report.mail import mail_now, mail_of_close, message
from orchestration.report.write import browser, write_report
from orchestration.settings import ConfigurationError
from tests.alerts.sinks import MailSink
from tests.report.marts import LAST, Made, make

NOW = datetime(2026, 11, 3, 4, tzinfo=UTC)


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink() as started:
        yield started


@pytest.fixture
def made(tmp_path: Path, sink: MailSink, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Marts whose report goes to the sink, on a machine without a Chromium."""
    monkeypatch.setattr(mailing, "browser", lambda: None)
    made = make(tmp_path)
    settings = replace(made.settings, alert_urls=f"report={sink.url}", alerts_dir=tmp_path / "alerts")
    return replace(made, settings=settings)


def _close(made: Made, month: str) -> object:
    partitions = MonthlyPartitionsDefinition(start_date="2026-08", fmt="%Y-%m")
    result = materialize([report_asset(made.settings, partitions, ["status_monthly"])], partition_key=month)
    (event,) = result.get_asset_materialization_events()
    return event.materialization.metadata["mailed"].value


def test_a_close_mails_the_report_of_its_month_once(made: Made, sink: MailSink) -> None:
    assert _close(made, "2026-10") == 1
    (received,) = sink.received
    assert " ".join(received.subject.split()) == "La baignoire : rapport mensuel, octobre 2026"
    assert received.files == {"2026-10.html": (made.settings.report_dir / "2026-10.html").read_bytes()}
    # Closed again, it is not mailed again.
    assert _close(made, "2026-10") == 0
    assert len(sink.received) == 1


def test_an_older_month_that_is_closed_again_is_not_mailed(made: Made, sink: MailSink) -> None:
    assert _close(made, "2026-09") == 0
    assert sink.received == []


def test_what_the_server_refused_leaves_with_the_next_delivery(made: Made, sink: MailSink) -> None:
    sink.refuses = True
    written = write_report(made.settings)
    assert mail_of_close(made.settings, written, NOW).failed == ("mailto://127.0.0.1",)
    sink.refuses = False
    with Store.open(made.settings.alerts_dir) as store:
        assert deliver(made.settings, store, NOW + timedelta(seconds=30)).waiting == 1
        assert deliver(made.settings, store, NOW + timedelta(minutes=2)).messages == 1
        assert deliver(made.settings, store, NOW + timedelta(hours=2)).messages == 0
    assert len(sink.received) == 1


def test_a_changed_url_gets_what_waited_for_the_old_one(made: Made, sink: MailSink) -> None:
    sink.refuses = True
    mail_of_close(made.settings, write_report(made.settings), NOW)
    sink.refuses = False
    settings = replace(made.settings, alert_urls=f"report={sink.url}&name=reports")
    with Store.open(settings.alerts_dir) as store:
        assert deliver(settings, store, NOW).messages == 1
    assert len(sink.received) == 1


def test_by_hand_it_is_mailed_again(made: Made, sink: MailSink) -> None:
    written = write_report(made.settings)
    for _ in range(2):
        assert mail_now(made.settings, written, NOW).messages == 1
    assert len(sink.received) == 2


def test_by_hand_without_a_reader_says_how_to_name_one(made: Made) -> None:
    settings = replace(made.settings, alert_urls="")
    with pytest.raises(ReportError, match="Nobody asks for the report; name a destination with the tag report"):
        mail_now(settings, write_report(settings), NOW)


def test_the_tag_report_alone_asks_for_no_alert(made: Made) -> None:
    assert recipients(made.settings) == [Log()]
    (both,) = read_destinations(f"report={MAIL} critical={MAIL}")
    assert both.takes_report and both.takes_alerts
    (alerts,) = read_destinations(MAIL)
    assert not alerts.takes_report


MAIL = "mailto://mail.example.org?from=a@example.org&to=b@example.org"


def test_a_service_that_takes_no_files_cannot_get_the_report() -> None:
    with pytest.raises(ConfigurationError, match="entry 1: this service takes no files"):
        read_destinations("report=rocket://user:password@host/room")


def test_the_text_counts_and_names_nobody(made: Made) -> None:
    subject, body = message(write_report(made.settings), "en")
    assert subject == "The bathtub: monthly report, October 2026"
    assert "Challenges: critical 2, warning 1" in body
    assert not [source for source in ("web", "till") if source in body.split()]


@pytest.mark.browser
@pytest.mark.skipif(browser() is None, reason="no Chromium on this machine")
def test_with_a_chromium_the_pdf_is_attached(made: Made, sink: MailSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "browser", browser)
    mail_of_close(made.settings, write_report(made.settings), NOW)
    ((name, content),) = sink.received[0].files.items()
    assert name == "2026-10.pdf"
    assert content.startswith(b"%PDF")


def test_a_report_kept_for_a_month_is_that_of_the_month(made: Made) -> None:
    mail_of_close(made.settings, write_report(made.settings), NOW)
    with Store.open(made.settings.alerts_dir) as store:
        assert len(store.mailed(LAST)) == 1
        assert store.mailed(date(2026, 9, 1)) == set()
