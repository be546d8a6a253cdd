"""The commands behind the Makefile: `python -m orchestration --help`."""

from __future__ import annotations

import getpass
import json
import logging
import os
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from textwrap import wrap

import click

from orchestration.alerts.commands import alerts, list_open
from orchestration.alerts.deletions import confirm, departures
from orchestration.alerts.names import shown_name
from orchestration.alerts.store import AlertsError, count_open
from orchestration.backup import Backup, BackupError, make_backup, restore_backup
from orchestration.challenges.findings import ChallengesError, findings_of
from orchestration.close import CloseError, first_month, plan
from orchestration.dbt import DbtError, duration, write_docs
from orchestration.demo import DemoError, generate
from orchestration.disk import disk_fault
from orchestration.engine import engine_of
from orchestration.erasure import HOW_TO_ERASE, count_left
from orchestration.ingest import IngestError
from orchestration.late_rows import late_lines
from orchestration.mail_servers import MailServersError, check_mail_servers
from orchestration.months import add_months, last_closable, month_text
from orchestration.params import Month
from orchestration.publish import PublishError
from orchestration.report.data import ReportError
from orchestration.report.serve import ADDRESS, PORT, server
from orchestration.report.write import LATEST, Written, print_pdf, write_report
from orchestration.restatement import dry_run as try_restatement
from orchestration.restatement import latest_id, months_to_restate, n_erased_since, n_logged, summary
from orchestration.retention import RetentionError, Selection, export_overdue
from orchestration.settings import LANGUAGES, MARTS, PROJECT_ROOT, ConfigurationError, Settings, load_settings
from orchestration.warehouse import WarehouseError

log = logging.getLogger("bathtub")

DEMO_RAW_DIR = PROJECT_ROOT / "data" / "raw"
DEMO_SEED = 7

# What a user can mend.
FAULTS_OF_USE = (
    ConfigurationError,
    IngestError,
    CloseError,
    WarehouseError,
    DbtError,
    DemoError,
    MailServersError,
    RetentionError,
    ChallengesError,
    AlertsError,
    BackupError,
    PublishError,
    ReportError,
)


class Commands(click.Group):
    """Ends what a user can mend with one sentence and exit status 1, not with a stack trace."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except FAULTS_OF_USE as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            # Anywhere else that a command writes: Dagster's folder, dbt's, the incidents.
            if isinstance(error, click.ClickException) or (fault := disk_fault(error)) is None:
                raise
            raise click.ClickException(
                f"Something cannot be written: {fault} ({' '.join(str(error).split())[:300]}). What was shown before is as it "
                "was; make room, or give the right to write, and run again."
            ) from error


@click.group(cls=Commands)
def main() -> None:
    """Is your customer base filling up or draining away? Closes the months of a customer base."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


@main.command()
@click.option("--from", "first", type=Month(), help="First month to close; by default the first that is open.")
@click.option("--to", "last", type=Month(), help="Last month to close; by default the last whose grace is over.")
@click.option("--mark-break", is_flag=True, help="Close on under a changed definition, and mark the break.")
@click.option("--verbose", is_flag=True, help="Show all that Dagster and dbt say.")
def build(first: date | None, last: date | None, mark_break: bool, verbose: bool) -> None:
    """Bring new raw files in and close the months that are not closed yet."""
    _build(load_settings(), first, last, verbose, mark_break)


def _build(settings: Settings, first: date | None, last: date | None, verbose: bool, mark_break: bool = False) -> None:
    started, began_at = time.monotonic(), datetime.now(UTC)
    engine = engine_of(settings)
    engine.settle(log.info)
    state = engine.read_state()
    if state.closed and not plan(settings.vars, state, datetime.now(UTC), first, last):
        if settings.target == "duckdb" and settings.raw_dir.is_dir():
            # Whoever was deleted in the source is erased by the next run, also by one that closes nothing.
            engine.refresh_raw(log.info)
        log.info("Nothing to close: %s is closed up to %s.", engine.place, month_text(state.closed[-1]))
        return
    log.info("Reading raw files from %s", settings.raw_dir)
    result = engine.refresh_raw(log.info)
    if not result.changed:
        log.info("  No new file.")
    for warning in result.warnings:
        log.warning("  Note: %s", warning)

    state = engine.read_state()
    months = plan(settings.vars, state, datetime.now(UTC), first, last)
    if not months:
        began = first_month(settings.vars, state)
        reason = "no row of the raw files is an activity" if began is None else f"its first month is {month_text(began)}"
        log.info("Nothing to close: %s.", reason)
        return
    log.info("Closing %s", _span(months))
    # Dagster takes seconds to import; a build with nothing to close does without it.
    from orchestration.again import MARK_BREAK
    from orchestration.run import close_through_dagster

    close_through_dagster(settings, months, verbose, {MARK_BREAK: "yes"} if mark_break else {})
    log.info("Closed %s in %s.", _span(months), duration(time.monotonic() - started))
    if settings.target == "duckdb":
        for line in late_lines(engine.rows, months):
            log.info("%s", line)
        if n_changed := n_logged(settings.warehouse, began_at):
            log.info("%s published values changed; marts.restatements has them.", f"{n_changed:,}")
    elif n_left := count_left(engine.rows, datetime.now(UTC)):
        log.warning(
            "%s deleted profiles are still in the closed months on %s: %s.", f"{n_left:,}", settings.target, HOW_TO_ERASE
        )
    _show_result(settings)


@main.command()
@click.option("--from", "first", type=Month(), required=True, help="First closed month to compute again, up to the last one.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--verbose", is_flag=True, help="Show all that Dagster and dbt say.")
def restate(first: date, dry_run: bool, yes: bool, verbose: bool) -> None:
    """Compute closed months again with each late row in the month where it happened, and log what that changes."""
    settings, now = load_settings(), datetime.now(UTC)
    months = months_to_restate(settings, first, now)
    if n_erased := n_erased_since(settings.warehouse, months):
        log.warning(
            "%s profiles were erased since %s was closed. Computed again, the months count them as gone in %s: what that "
            "changes is logged with the cause erasure (docs/operations.md#erasure).",
            f"{n_erased:,}",
            month_text(first),
            month_text(first),
        )
    if dry_run:
        log.info("Computing %s again, without publishing", _span(months))
        for line in try_restatement(settings, months, now, log.info):
            log.info("%s", line)
        log.info("Nothing was changed. To restate: make restate FROM=%s YES=1", month_text(first))
        return
    if not yes:
        if not sys.stdin.isatty():
            raise CloseError(
                f"A restatement changes published figures; say that you want it: YES=1, or see first what "
                f"would change: make restate FROM={month_text(first)} DRY_RUN=1"
            )
        click.confirm(f"This changes the published figures of {_span(months)} (DRY_RUN=1 shows how). Restate them?", abort=True)
    log.info("Restating %s", _span(months))
    from orchestration.again import RESTATE
    from orchestration.run import close_through_dagster

    close_through_dagster(settings, months, verbose, {RESTATE: "yes"})
    for line in summary(settings.warehouse, latest_id(settings.warehouse) or ""):
        log.info("%s", line)
    log.info("Logged in marts.restatements.")


def _span(months: list[date]) -> str:
    if len(months) == 1:
        return month_text(months[0])
    return f"{len(months)} months, {month_text(months[0])} to {month_text(months[-1])}"


def _show_result(settings: Settings) -> None:
    engine = engine_of(settings)
    rows = engine.rows(
        "select snapshot_month, n_profiles, n_active, n_customers, n_prospects, n_new, n_profiles - n_profiles_prev_month "
        "from marts.base_overview_monthly where source = 'all' order by snapshot_month desc limit 1"
    )
    if not rows:
        return
    month, profiles, active, customers, prospects, new, change = rows[0]
    log.info("")
    log.info("The base at the end of %s: %s profiles%s", month_text(month), f"{profiles:,}", _change(change))
    log.info(
        "  %s active, %s customers, %s prospects, %s new in the month", *(f"{n:,}" for n in (active, customers, prospects, new))
    )
    log.info("")
    log.info("Warehouse  %s", engine.place)
    lines = wrap(
        f"Marts      schema marts: {', '.join(MARTS)} (docs/marts.md says what each tells)", 120, subsequent_indent=" " * 11
    )
    log.info("%s", "\n".join(lines))
    page = settings.report_dir / LATEST
    if page.exists():
        log.info("Report     %s (open it in a browser; make report writes it anew)", page)
    log.info("Challenges make challenges: what the base hides, in sentences")
    log.info("Rejected   schema quarantine: what could not be read, with file, line and reason")


def _change(change: int | None) -> str:
    if change is None:
        return ""
    return f", {abs(change):,} {'more' if change > 0 else 'fewer'} than the month before" if change else ", as the month before"


@main.command()
@click.option("--profiles", default=20_000, show_default=True, help="How many people the base is made of.")
@click.option("--months", default=36, show_default=True, help="How many months of history.")
@click.option("--verbose", is_flag=True, help="Show all that Dagster and dbt say.")
def demo(profiles: int, months: int, verbose: bool) -> None:
    """Make a realistic base in data/raw, close all its months and judge its last night."""
    os.environ["BATHTUB_RAW_DIR"] = str(DEMO_RAW_DIR)
    settings = load_settings()
    end = last_closable(datetime.now(UTC), settings.vars.zone, settings.vars.closing_grace_days)
    # The base is older than its history of orders and events: the months before would be empty of them.
    first = month_text(add_months(end, 1 - months))
    os.environ["BATHTUB_VARS"] = json.dumps({**settings.overrides, "first_month": first}, default=str)
    log.info("Making a synthetic base of %s people over %s months in %s", f"{profiles:,}", months, DEMO_RAW_DIR)
    generate(DEMO_RAW_DIR, profiles=profiles, months=months, end=end, seed=DEMO_SEED)
    settings = load_settings()
    _build(settings, None, end, verbose)
    _judge(settings, add_months(end, 1) - timedelta(days=1))
    log.info("")
    log.info("Look at it")
    log.info("  the report   %s", settings.report_dir / LATEST)
    log.info("  make alerts  lists what is wrong, %s shows it", settings.alerts_dir / "alerts.html")
    log.info("  make dev     opens Dagster's page: the assets, the months, the checks")
    log.info("  docs/marts.md tells what each table holds; any DuckDB client opens the warehouse:")
    log.info(
        "  .venv/bin/python -c \"import duckdb; duckdb.connect('%s', read_only=True).sql("
        "'from marts.base_overview_monthly where source = \\'all\\' order by snapshot_month').show()\"",
        settings.warehouse.relative_to(PROJECT_ROOT) if settings.warehouse.is_relative_to(PROJECT_ROOT) else settings.warehouse,
    )


def _judge(settings: Settings, day: date) -> None:
    """Judge a night of the demo as the nightly job would have done, and show what it found."""
    # What judges takes seconds to import.
    from orchestration.alerts.night import run_night

    log.info("")
    log.info("The night of %s, judged as the nightly job does (the till did not deliver its orders for two days)", day)
    night = run_night(settings, datetime.now(UTC), f"demo-{day}", log.debug, day)
    if settings.alert_urls or not night.delivered.messages:
        list_open()
    # Again, for it tells how many incidents are open.
    write_report(settings, incidents=lambda: count_open(settings.alerts_dir))


@main.command()
@click.option("--max-age-days", type=click.IntRange(min=0), default=90, show_default=True, help="How long a check holds.")
@click.option("--timeout-seconds", type=click.IntRange(min=1), default=5, show_default=True, help="Wait for an answer.")
def mail_servers(max_age_days: int, timeout_seconds: int) -> None:
    """Ask name servers which e-mail domains of the base accept mail, and put what they say into the raw folder."""
    settings = load_settings()
    found = check_mail_servers(settings, datetime.now(UTC).replace(tzinfo=None), max_age_days, timeout_seconds, log.info)
    n_told = found.accepting + found.refusing
    if not n_told + found.untold:
        log.info("All domains were checked in the last %s days.", max_age_days)
        return
    log.info("%s domains accept mail, %s do not.", f"{found.accepting:,}", f"{found.refusing:,}")
    if found.untold:
        log.info("%s gave no answer and stay as they are.", f"{found.untold:,}")
    log.info("Written to %s; the next close counts it: make build", found.file)


@main.command()
@click.option("--source", help="Only profiles of this source.")
@click.option("--status", type=click.Choice(["customer", "prospect"]), help="Only profiles of this status.")
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path),
    help="File to write; by default exports/retention-<date>.csv beside the warehouse.",
)
@click.option("--by", "exported_by", help="Who exports, for the account; by default the name of the system's user.")
def retention_export(source: str | None, status: str | None, file: Path | None, exported_by: str | None) -> None:
    """Write the profiles overdue for deletion to a CSV file, and enter the export in ops.retention_exports."""
    settings = load_settings()
    selection = Selection(source.strip().lower() if source else None, status)
    who = exported_by or _user()
    export = export_overdue(settings, selection, who, datetime.now(UTC).replace(tzinfo=None), file, log.info)
    if export is None:
        log.info("Nobody%s was overdue at the latest close; nothing was written.", selection)
        return
    log.info("%s profiles%s were overdue on %s.", f"{export.n_profiles:,}", selection, export.as_of_date)
    log.info("Rule       %s", export.rule)
    log.info("File       %s", export.file)
    log.info("SHA-256    %s", export.sha256)
    log.info("Account    ops.retention_exports, as exported by %s", who)
    log.info("Delete these profiles in the source; the next close shows them as deleted.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise RetentionError("The system does not say who you are; say it with --by.") from error


@main.command()
@click.option("--by", help="Who confirms, for the record; by default the name of the system's user.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def confirm_deletion(by: str | None, yes: bool) -> None:
    """Confirm that the profiles which are gone were deleted on purpose; a close that it stopped goes on."""
    settings = load_settings()
    engine = engine_of(settings)
    found = departures(engine.rows) if engine.read_state().closed else None
    if found is None or not found.n_gone:
        log.info("No profile of the latest closed month is gone; there is nothing to confirm.")
        return
    log.info("%s of %s profiles of %s are gone:", f"{found.n_gone:,}", f"{found.n_base:,}", month_text(found.month))
    for source, n_gone in sorted(found.by_source.items(), key=lambda item: -item[1]):
        log.info("  %s  %s", f"{n_gone:>10,}", shown_name(source))
    if not yes:
        click.confirm("Were they deleted on purpose?", abort=True)
    confirm(settings, found, by or _user(), datetime.now(UTC))
    log.info("Confirmed, and recorded in ops.confirmed_deletions. Closes go on while no more are gone: make build")


@main.command()
@click.option("--month", type=Month(), help="A closed month; by default the latest.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Language of the sentences; by default the var report_language.")
def challenges(month: date | None, language: str | None) -> None:
    """Tell what the base hides: the findings of a closed month, the most severe first, each with what to do."""
    # The words' library takes a while to import; the other commands do without it.
    from orchestration.challenges.sentences import report

    settings = load_settings()
    told, findings = findings_of(engine_of(settings), month)
    for line in report(told, findings, language or settings.vars.report_language):
        log.info("%s", line)


@main.command()
def publish() -> None:
    """Show the marts of the dbt exposure to BI tools: in PostgreSQL, in BigQuery and as files where the settings say so."""
    from orchestration.publish.run import publish_files, publish_to_bigquery, publish_to_postgres

    settings = load_settings()
    started = time.monotonic()
    published = publish_to_postgres(settings, datetime.now(UTC), log.info)
    where = "the server of BATHTUB_POSTGRES_DSN" if settings.postgres_dsn else f"the embedded server, {settings.postgres_dir}"
    took = duration(time.monotonic() - started)
    log.info("Published %s marts, %s rows, in %s.", published.n_marts, f"{published.n_rows:,}", took)
    log.info("PostgreSQL %s, schema marts, for bi_reader", where)
    warnings = published.warnings
    if settings.bigquery_dataset:
        copied = publish_to_bigquery(settings, datetime.now(UTC))
        log.info("BigQuery   %s: %s marts, %s rows", settings.bigquery_dataset, copied.n_marts, f"{copied.n_rows:,}")
    if settings.publish_url:
        written = publish_files(settings, datetime.now(UTC))
        log.info("Files      %s: %s files, %.1f MB", written.place, written.n_files, written.n_bytes / 1e6)
        warnings += written.warnings
    for warning in warnings:
        log.warning("  Note: %s", warning)
    log.info('Ask        make query SQL="select * from marts.bi_refresh_status"')


@main.command()
@click.option("--to", "file", type=click.Path(path_type=Path), help="The page; by default dbt.html beside the warehouse.")
def dbt_docs(file: Path | None) -> None:
    """Write dbt's documentation of models, columns and lineage as one page that opens from disk."""
    settings = load_settings()
    page = file or settings.warehouse.parent / "dbt.html"
    write_docs(settings, page)
    log.info("dbt docs   %s", page)


@main.command()
@click.option("--report-id", default="", help="A report to copy, from its address; by default a new, empty one.")
def looker_url(report_id: str) -> None:
    """Print the address that opens a Looker Studio report with the marts in BigQuery already connected."""
    from orchestration.dbt import ensure_manifest
    from orchestration.publish.bigquery import linking_url
    from orchestration.publish.catalog import published_marts

    settings = load_settings()
    if not settings.bigquery_dataset:
        raise ConfigurationError(
            "The address needs the dataset that the marts are published to; set BATHTUB_BIGQUERY_DATASET=project.dataset. "
            "On PostgreSQL there is no such address: docs/bi/publishing.md says what to click."
        )
    click.echo(linking_url(settings.bigquery_dataset, published_marts(ensure_manifest(settings)), report_id))


@main.command()
@click.argument("sql")
def query(sql: str) -> None:
    """Ask the published marts in PostgreSQL, with the rights of bi_reader."""
    from orchestration.publish.query import as_text, ask

    for line in as_text(ask(load_settings(), sql)):
        log.info("%s", line)


@main.command()
@click.option("--month", type=Month(), help="A closed month; by default the latest.")
@click.option("--pdf", is_flag=True, help="Print it to a PDF too, with an installed Chromium.")
@click.option("--mail", "mailed", is_flag=True, help="Mail it now to the destinations of BATHTUB_ALERT_URLS tagged report.")
@click.option("--open", "shown", is_flag=True, help="Open it in the browser.")
def report(month: date | None, pdf: bool, mailed: bool, shown: bool) -> None:
    """Write the report of a closed month: one page that opens from disk, without a network."""
    settings = load_settings()
    written = write_report(settings, month, lambda: count_open(settings.alerts_dir))
    log.info("Report     %s", written.page)
    if pdf:
        log.info("PDF        %s", print_pdf(written.page))
    if mailed:
        _mail(settings, written)
    if shown:
        click.launch(str(written.page))


def _mail(settings: Settings, written: Written) -> None:
    from orchestration.report.mail import mail_now

    done = mail_now(settings, written, datetime.now(UTC))
    if done.failed:
        raise click.ClickException(f"The report was not taken by {', '.join(done.failed)}; it waits for the next try.")
    log.info("Mailed     %s", f"{done.messages} messages left, {done.waiting} wait")


@main.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="Port on this machine.")
def serve(port: int) -> None:
    """Serve the folder of the reports to this machine alone, until stopped."""
    settings = load_settings()
    with server(settings.report_dir, port) as serving:
        log.info("Reports    http://%s:%s/ (Ctrl+C stops)", ADDRESS, serving.server_port)
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            log.info("Stopped.")


@main.command()
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), help="Folder to write it to; by default backups beside the warehouse."
)
def backup(folder: Path | None) -> None:
    """Write warehouse, closed months and incidents to one file, as of one instant; readers and a run go on meanwhile."""
    made = make_backup(load_settings(), folder, datetime.now(UTC), log.info)
    log.info("Backup     %s", made.file)
    _show_backup(made)
    log.info("Raw files  are not in it: keep a copy of BATHTUB_RAW_DIR too")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Also over a warehouse that is newer than the backup.")
def restore(file: Path, force: bool) -> None:
    """Check a backup and put it in the place of the warehouse, all of it or nothing."""
    settings = load_settings()
    restored = restore_backup(settings, file, force, log.info)
    log.info("Restored   %s", settings.warehouse)
    _show_backup(restored)
    log.info("Go on with make build, which closes what is open since")


def _show_backup(shown: Backup) -> None:
    closed = f"closed up to {month_text(shown.last_month)}" if shown.last_month else "no month closed"
    log.info("Holds      the base as of %s, %s", f"{shown.taken_of:%Y-%m-%d %H:%M:%S} UTC", closed)
    log.info("Size       %s files, %s MB", shown.n_files, f"{shown.n_bytes / 1e6:,.1f}")


main.add_command(alerts)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("dagster_args", nargs=-1, type=click.UNPROCESSED)
def dev(dagster_args: tuple[str, ...]) -> None:
    """Open Dagster's page on this machine (http://127.0.0.1:3000); further arguments go to `dagster dev`."""
    from orchestration.run import prepare_dagster_home

    prepare_dagster_home(load_settings())
    os.chdir(PROJECT_ROOT)
    # Its page has no password: other machines reach it only where somebody says so.
    host = [] if any(arg.split("=")[0] in ("-h", "--host") for arg in dagster_args) else ["--host", ADDRESS]
    command = [sys.executable, "-m", "dagster", "dev", "-m", "orchestration.definitions", *host, *dagster_args]
    os.execv(sys.executable, command)
