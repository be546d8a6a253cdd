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


def _today(settings: Settings) -> date:
    return _now().astimezone(settings.vars.zone).date()


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
            log.info("%s", line(incident, language, _today(settings)))
        log.info("%s", messages.listed("n_open", language, len(found)) if found else messages.listed("none", language))
        if waiting := [*store.waiting(), *store.waiting_reports()]:
            log.info("%s", messages.listed("waiting", language, len(waiting)))
        page = settings.alerts_dir / "alerts.html"
        if page.exists():
            log.info("Page  %s", page)


def line(incident: Incident, language: str, today: date | None = None) -> str:
    """Return an incident in two lines; a day before `today` up to which it was muted is left out."""
    finding = incident.finding
    marks = [messages.severity_word(incident.severity, language), messages.state_word(incident.state, language)]
    if incident.acknowledged_by:
        marks.append(messages.listed("acknowledged", language, by=incident.acknowledged_by))
    if incident.muted_until and (today is None or incident.is_muted(today)):
        marks.append(messages.listed("muted", language, day=incident.muted_until))
    if incident.muted_by:
        marks.append(messages.listed("part_of", language, check=incident.muted_by.split("/")[0]))
    if incident.clean_runs:
        marks.append(messages.listed("clean", language, incident.clean_runs))
    heading = f"#{incident.number:<4} {', '.join(marks)} · {messages.title_and_place(finding, language)}"
    told = messages.observed_against(finding, language)
    since = str(messages.words(language)["since"]).format(day=finding.since or incident.opened_on)
    facts = [told, messages.chart(finding.history), since, finding.check.owner]
    return f"{heading}\n      {' · '.join(fact for fact in facts if fact)}"


@alerts.command()
@NUMBER
@click.pass_obj
def show(language: str | None, number: int) -> None:
    """Show one incident: what, where, its history, what was done."""
    with _opened() as (settings, store):
        incident = store.incident(number)
        language = language or settings.vars.report_language
        log.info("%s", line(incident, language, _today(settings)))
        opened = f"{incident.opened_at:%Y-%m-%d %H:%M} UTC"
        log.info("      %s", messages.listed("opened", language, at=opened, day=incident.judged_on))
        if incident.finding.check.marts:
            touched = ", ".join(incident.finding.check.marts)
            log.info("      %s", str(messages.words(language)["marts"]).format(marts=touched))
        log.info("      %s", str(messages.words(language)["runbook"]).format(page=messages.runbook(incident.finding)))
        if incident.resolved_at:
            ended = f"{incident.resolved_at:%Y-%m-%d %H:%M} UTC"
            log.info("      %s", messages.listed("ended", language, at=ended, why=incident.resolution))
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
            log.info("%s", line(incident, language or settings.vars.report_language, _today(settings)))
            if incident.resolved_at:
                ended = f"{incident.resolved_at:%Y-%m-%d}"
                log.info(
                    "      %s",
                    messages.listed("ended", language or settings.vars.report_language, at=ended, why=incident.resolution),
                )


@alerts.command()
def deliver() -> None:
    """Send what waits for a destination now, without waiting for the next try."""
    with _opened() as (settings, store):
        done = deliver_waiting(settings, store, _now(), is_forced=True)
        log.info("%s messages left, %s wait.", done.messages, done.waiting)
        if done.failed:
            raise click.ClickException(f"A message was not taken by {', '.join(done.failed)}.")


@alerts.command()
@click.pass_obj
def test(language: str | None) -> None:
    """Send a test message to each destination, and say which ones took it."""
    settings = load_settings()
    message = messages.test_message(language or settings.vars.report_language)
    destinations, failed = recipients(settings), []
    for destination in destinations:
        try:
            destination.send(message.subject, message.body)
            log.info("%s took it.", destination.label)
        except DeliveryError as error:
            failed.append(destination.label)
            log.error("%s", error)
    if failed:
        raise click.ClickException(
            f"{len(failed)} of {len(destinations)} destinations did not take the test message; see BATHTUB_ALERT_URLS."
        )
