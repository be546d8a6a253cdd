"""Which e-mail domains of the base accept mail, asked of name servers and written down as a raw file.

Only domains leave the machine, never addresses. Nothing runs this by itself: `make mail-servers` does.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dns.resolver
import duckdb
from email_validator import EmailSyntaxError, EmailUndeliverableError, caching_resolver, validate_email

from orchestration.engine import engine_of
from orchestration.settings import Settings
from orchestration.warehouse import Report

TABLE = "mail_domains"
THREADS = 20
# Domains asked for before it is believed that the name server knows the world: the most frequent ones.
FIRST_DOMAINS = 50
DOMAINS_AT_ONCE = 1000

# The most frequent first.
DOMAINS = """
    select email_domain from private.int_judged_coordinates
    where
        email_domain is not null
        and email_domain not in (select lower(trim(domain)) from raw.mail_domains where checked_at >= timestamp '{since}')
    group by email_domain
    order by count(*) desc, email_domain
"""


class MailServersError(Exception):
    """Mail servers cannot be checked; the message says why and what to do. Nothing was written."""


@dataclass(frozen=True)
class Found:
    """How many domains accept mail, do not, and could not be told; `file` is None when none could."""

    accepting: int
    refusing: int
    untold: int
    file: Path | None


def check_mail_servers(settings: Settings, now: datetime, max_age_days: int, timeout_seconds: int, report: Report) -> Found:
    """Ask for the domains of the base that were not checked within `max_age_days`, and write what was found to the raw folder.

    `now` is UTC, without a zone. A domain that no answer was had about is left out.

    Raises:
        MailServersError: the base has no domains to read, no name server answers, or the raw folder cannot be written.
    """
    if settings.target != "duckdb":
        raise MailServersError(
            f"Mail servers are checked from a base on DuckDB, and BATHTUB_TARGET is {settings.target}; "
            f"deliver results of your own as files of the table {TABLE} (docs/contact_validity.md)."
        )
    if TABLE in settings.raw_files:
        raise MailServersError(
            f"BATHTUB_RAW_FILES says where {TABLE} is, and new results go to {settings.raw_dir / TABLE}, where it would not be "
            f"read; take {TABLE} out of BATHTUB_RAW_FILES."
        )
    domains = _domains(settings, now - timedelta(days=max_age_days))
    found = _ask_all(domains, _resolver(settings.nameserver, timeout_seconds), report)
    told = {domain: accepts for domain, accepts in found.items() if accepts is not None}
    file = _write(settings.raw_dir / TABLE, told, now) if told else None
    n_accepting = sum(told.values())
    return Found(n_accepting, len(told) - n_accepting, len(found) - len(told), file)


def _domains(settings: Settings, since: datetime) -> list[str]:
    try:
        rows = engine_of(settings).rows(DOMAINS.format(since=since.isoformat(sep=" ")))
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise MailServersError(
            f"{settings.warehouse} does not hold the domains of the base yet; close a month first: make build."
        ) from error
    return [str(domain) for (domain,) in rows]


def _resolver(nameserver: tuple[str, int] | None, timeout_seconds: int) -> dns.resolver.Resolver:
    try:
        resolver = dns.resolver.Resolver(configure=nameserver is None)
    except dns.resolver.NoResolverConfiguration as error:
        raise MailServersError(f"This machine names no name server ({error}); set BATHTUB_NAMESERVER.") from error
    if nameserver is not None:
        address, resolver.port = nameserver
        resolver.nameservers = [address]
    return caching_resolver(timeout=timeout_seconds, dns_resolver=resolver)


def _ask_all(domains: Sequence[str], resolver: dns.resolver.Resolver, report: Report) -> dict[str, bool | None]:
    found: dict[str, bool | None] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        while len(found) < len(domains):
            start = len(found)
            some = domains[start : start + (DOMAINS_AT_ONCE if start else FIRST_DOMAINS)]
            found.update(zip(some, pool.map(lambda domain: accepts_mail(domain, resolver), some), strict=True))
            if not start:
                _stop_when_cut_off(list(found.values()))
            report(f"  {len(found):,} of {len(domains):,} domains asked for")
    return found


def _stop_when_cut_off(first: Sequence[bool | None]) -> None:
    if all(accepts is None for accepts in first):
        raise MailServersError(
            f"No name server gave an answer about the {len(first):,} most frequent domains, so nothing was written; "
            "connect this machine to the internet, or set BATHTUB_NAMESERVER."
        )
    if len(first) == FIRST_DOMAINS and not any(first):
        raise MailServersError(
            f"None of the {FIRST_DOMAINS} most frequent domains accepts mail, as where the name server knows a closed network, "
            "so nothing was written; set BATHTUB_NAMESERVER to one that knows the internet."
        )


def accepts_mail(domain: str, resolver: dns.resolver.Resolver) -> bool | None:
    """Whether a domain has a server that takes mail; None when no answer was had.

    As email-validator judges: a mail server of its own (MX), else an address (A, AAAA) without a word that it sends no mail.
    """
    try:
        # The library takes addresses: any name before the @ will do, and it asks for the domain alone.
        info = validate_email(f"postmaster@{domain}", dns_resolver=resolver)
    except EmailSyntaxError:
        return None
    except EmailUndeliverableError as error:
        # The library gives any failure of the lookup as this error, with the failure as its cause.
        return False if isinstance(error.__cause__, dns.resolver.NXDOMAIN | dns.resolver.NoAnswer | None) else None
    return True if getattr(info, "mx", None) else None


def _write(folder: Path, told: dict[str, bool], now: datetime) -> Path:
    file = folder / f"checked-{now:%Y%m%dT%H%M%S.%f}.csv"
    # The ingest passes over names that begin with a dot.
    part = folder / f".{file.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["domain", "accepts_mail", "checked_at"])
            writer.writerows((domain, "yes" if accepts else "no", now.isoformat(sep=" ")) for domain, accepts in told.items())
        part.replace(file)
    except OSError as error:
        raise MailServersError(f"{folder} cannot be written ({error.strerror}); give this command the right to.") from error
    return file
