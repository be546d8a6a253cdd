"""Domains whose mailboxes anyone can open for a few minutes, from the package `disposable-email-domains`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

SEED = Path("seeds") / "disposable_domains.csv"
# `int_emails` looks up the last two, three and four labels of a domain.
MOST_LABELS = 4


def write(project: Path) -> Iterator[str]:
    """Write the seed `disposable_domains` into a dbt project, and yield a line about it.

    Raises:
        ValueError: a domain of the list has more labels than `int_emails` looks up.
    """
    from disposable_email_domains import blocklist

    domains = outermost(blocklist)
    for domain in domains:
        if domain.count(".") >= MOST_LABELS:
            raise ValueError(f"{domain} has more than {MOST_LABELS} labels: let int_emails look up as many.")
    (project / SEED).write_text("\n".join(["domain", *domains, ""]), encoding="utf-8")
    yield f"{SEED}: {len(domains):,} domains"


def outermost(domains: Iterable[str]) -> list[str]:
    """Return domains, sorted, without those below another of them, which stands for all below it."""
    listed = set(domains)
    return sorted(domain for domain in listed if not any(parent in listed for parent in _parents(domain)))


def _parents(domain: str) -> Iterator[str]:
    while "." in domain:
        domain = domain.partition(".")[2]
        yield domain
