"""The command `alerts`: what is open, and what a person does about it."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import click

from orchestration.alerts import incidents, messages
from orchestration.alerts.destinations import DeliveryError
from orchestration.alerts.outbox import deliver as deliver_waiting
from orchestration.alerts.outbox import recipients
from orchestration.alerts.store import Incident, Store
from orchestration.settings import LANGUAGES, Settings, load_settings

log = logging.getLogger("bathtub")

BY = click.option("--by", help="Who does it, for the record; by default the name of the system's user.")
NUMBER = click.argument("number", type=int)


class Day(click.ParamType[date]):
    """A day written `YYYY-MM-DD`."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day."""
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a day written YYYY-MM-DD, for example 2026-12-01", param, ctx)


@contextmanager
def _opened() -> Iterator[tuple[Settings, Store]]:
    settings = load_settings()
    with Store.open(settings.alerts_dir) as store:
        yield settings, store


def _now() -> datetime:
    return datetime.now(UTC)


def _user(by: str | None) -> str:
    if by:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise click.UsageError("The system does not say who you are; say it with --by.") from error


@click.group(invoke_without_command=True)
@click.option("--language", type=click.Choice(LANGUAGES), help="By default the var report_language.")
@click.pass_context
def alerts(ctx: click.Context, language: str | None) -> None:
    """List what is wrong now; the commands below say what is done about it."""
    ctx.obj = language
    if ctx.invoked_subcommand is None:
        list_open(language)


def list_open(language: str | None = None) -> None:
    """Write the open incidents to the log, the most severe first, and what waits for a destination."""
    with _opened() as (settings, store):
        language = language or settings.vars.report_language
        found = store.open_incidents()
        for incident in found:
            log.info("%s", line(incident, language))
        log.info("%s", f"{len(found)} open; what to do about each: docs/runbook.md" if found else "Nothing is open.")
        if waiting := store.waiting():
            log.info("%s messages wait for a destination; send them now with: make alerts ALERT_ARGS=deliver", len(waiting))
        page = settings.alerts_dir / "alerts.html"
        if page.exists():
            log.info("Page  %s", page)


def line(incident: Incident, language: str) -> str:
    """Return an incident in two lines."""
    finding = incident.finding
    marks = [messages.severity_word(incident.severity, language), str(incident.state)]
    if incident.acknowledged_by:
        marks.append(f"acknowledged by {incident.acknowledged_by}")
    if incident.muted_until:
        marks.append(f"muted until {incident.muted_until}")
    if incident.muted_by:
        marks.append(f"part of {incident.muted_by.split('/')[0]}")
    if incident.clean_runs:
        marks.append(f"{incident.clean_runs} clean")
    heading = f"#{incident.number:<4} {', '.join(marks)} · {messages.title_and_place(finding, language)}"
    told = messages.observed_against(finding, language)
    tail = f"since {finding.since or incident.opened_on} · {finding.check.owner}"
    return f"{heading}\n      {told} · {messages.chart(finding.history)} · {tail}"


@alerts.command()
@NUMBER
@click.pass_obj
def show(language: str | None, number: int) -> None:
    """Show one incident: what, where, its history, what was done."""
    with _opened() as (settings, store):
        incident = store.incident(number)
        language = language or settings.vars.report_language
        log.info("%s", line(incident, language))
        log.info("      opened %s; last judged for %s", f"{incident.opened_at:%Y-%m-%d %H:%M} UTC", incident.judged_on)
        if incident.finding.check.marts:
            log.info("      touches %s", ", ".join(incident.finding.check.marts))
        log.info("      what to do: %s", messages.runbook(incident.finding))
        if incident.resolved_at:
            log.info("      ended %s: %s", f"{incident.resolved_at:%Y-%m-%d %H:%M} UTC", incident.resolution)
        for action in store.actions(number):
            log.info("      %s  %s by %s %s", f"{action.at:%Y-%m-%d %H:%M}", action.action, action.by, action.detail)


@alerts.command()
@NUMBER
@BY
def ack(number: int, by: str | None) -> None:
    """Say that somebody works on it: no daily reminder until it gets worse."""
    with _opened() as (_, store):
        incidents.acknowledge(store, number, _user(by), _now())
        log.info("#%s is acknowledged: no reminder until it gets worse.", number)


@alerts.command()
@NUMBER
@click.option("--until", type=Day(), required=True, help="First day on which it may speak again, YYYY-MM-DD.")
@BY
def mute(number: int, until: date, by: str | None) -> None:
    """Keep it silent before a day."""
    with _opened() as (_, store):
        incidents.mute(store, number, until, _user(by), _now())
        log.info("#%s is silent until %s.", number, until)


@alerts.command()
@NUMBER
@BY
def unmute(number: int, by: str | None) -> None:
    """Undo mute."""
    with _opened() as (_, store):
        incidents.unmute(store, number, _user(by), _now())
        log.info("#%s may speak again.", number)


@alerts.command()
@NUMBER
@BY
def noise(number: int, by: str | None) -> None:
    """Say that it was a false alarm; it ends without a message."""
    with _opened() as (_, store):
        incidents.call_noise(store, number, _user(by), _now())
        log.info("#%s was noise: it is over, and recorded for whoever tunes the bounds (docs/alerts.md).", number)


@alerts.command()
@click.option("--most", type=click.IntRange(min=1), default=30, show_default=True, help="How many.")
@click.pass_obj
def history(language: str | None, most: int) -> None:
    """List the latest incidents, those that are over too."""
    with _opened() as (settings, store):
        for incident in store.incidents(most):
            log.info("%s", line(incident, language or settings.vars.report_language))
            if incident.resolved_at:
                log.info("      ended %s: %s", f"{incident.resolved_at:%Y-%m-%d}", incident.resolution)


@alerts.command()
def deliver() -> None:
    """Send what waits for a destination now, without waiting for the next try."""
    with _opened() as (settings, store):
        done = deliver_waiting(settings, store, _now(), is_forced=True)
        log.info("%s messages left, %s alerts wait.", done.messages, done.waiting)
        if done.failed:
            raise click.ClickException(f"No message was taken by {', '.join(done.failed)}.")


@alerts.command()
@click.pass_obj
def test(language: str | None) -> None:
    """Send a test message to each destination, and say which ones took it."""
    settings = load_settings()
    message = messages.test_message(language or settings.vars.report_language)
    failed = []
    for destination in recipients(settings):
        try:
            destination.send(message.subject, message.body)
            log.info("%s took it.", destination.label)
        except DeliveryError as error:
            failed.append(destination.label)
            log.error("%s", error)
    if failed:
        raise click.ClickException(f"{len(failed)} destinations did not take the test message; see BATHTUB_ALERT_URLS.")
