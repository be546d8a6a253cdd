"""The check of mail servers: what name servers say, what is written down, and what the next close makes of it."""

from __future__ import annotations

import csv
import socket
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import dns.resolver
import pytest
from click.testing import CliRunner, Result

from orchestration import mail_servers
from orchestration.cli import main
from orchestration.mail_servers import accepts_mail
from tests.end_to_end.closing import WAREHOUSE, bring_in, close, query
from tests.end_to_end.raw_base import RawBase
from tests.mail_servers.conftest import NameServer

JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)
VARIABLES = {"reporting_timezone": "Europe/Paris", "history_loaded_until": "2023-12-31"}
STAGES = """
    select customer_id, email_stage, email_reason from core.fct_contact_months where snapshot_month = '{}' order by 1"""


@pytest.mark.parametrize(
    ("domain", "accepts"),
    [
        ("mx.example.org", True),
        ("only-a.example.org", True),
        ("only-aaaa.example.org", True),
        ("café.fr", True),
        ("xn--caf-dma.fr", True),
        ("private-a.example.org", False),
        ("sends-none.example.org", False),
        ("null-mx.example.org", False),
        ("text-alone.example.org", False),
        ("nowhere.example.org", False),
        ("broken.example.org", None),
        ("silent.example.org", None),
        ("no name.example.org", None),
    ],
)
def test_what_name_servers_say_of_a_domain(name_server: NameServer, domain: str, accepts: bool | None) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], name_server.port, 0.5
    assert accepts_mail(domain, resolver) is accepts


def test_a_lookup_that_fails_in_another_way_tells_nothing() -> None:
    class Broken(dns.resolver.Resolver):
        def resolve(self, *_args: object, **_kwargs: object) -> dns.resolver.Answer:
            raise OSError("no route")

    assert accepts_mail("mx.example.org", Broken(configure=False)) is None


# ---- the command -----------------------------------------------------------------------------------------------------


class Base:
    """A base of one profile per address, closed month by month."""

    def __init__(self, folder: Path, addresses: Sequence[str]) -> None:
        self.folder = folder
        created_at = datetime(2024, 1, 5)
        customers = [{"customer_id": address, "created_at": created_at, "email": address} for address in addresses]
        consents = [
            {
                "consent_id": address,
                "customer_id": address,
                "channel": "email",
                "status": "opt_in",
                "occurred_at": created_at,
            }
            for address in addresses
        ]
        RawBase(customers=customers, consents=consents).write(folder / "raw")
        self.close(JANUARY)

    def close(self, month: date) -> None:
        """Bring in what is new in the raw folder, and close a month."""
        bring_in(self.folder / "raw", self.folder / WAREHOUSE, JANUARY, VARIABLES)
        close(self.folder / WAREHOUSE, month, month, VARIABLES, made=["optin_rate_monthly"])

    def stages(self, month: date) -> dict[str, tuple[str, str | None]]:
        """Where each profile stops on its way to be contactable by e-mail, and why."""
        return {row[0]: (row[1], row[2]) for row in query(self.folder / WAREHOUSE, STAGES.format(month))}

    def check(self, nameserver: str, *args: str, **more: str) -> Result:
        """Run the command."""
        variables = {
            "BATHTUB_RAW_DIR": str(self.folder / "raw"),
            "BATHTUB_WAREHOUSE": str(self.folder / WAREHOUSE),
            "BATHTUB_NAMESERVER": nameserver,
            **more,
        }
        return CliRunner().invoke(main, ["mail-servers", "--timeout-seconds", "1", *args], env=variables)

    @property
    def files(self) -> list[Path]:
        """What the command wrote."""
        folder = self.folder / "raw" / "mail_domains"
        return sorted(folder.iterdir()) if folder.exists() else []


def test_the_next_close_counts_what_was_found(name_server: NameServer, tmp_path: Path) -> None:
    addresses = {
        "ann@mx.example.org": ("contactable", None),
        "ann@nowhere.example.org": ("invalid", "no_mail_server"),
        "ann@null-mx.example.org": ("invalid", "no_mail_server"),
        "ann@silent.example.org": ("contactable", None),
        "ann@broken.example.org": ("contactable", None),
        "ann@café.fr": ("contactable", None),
        "rené@nowhere.example.org": ("invalid", "no_mail_server"),
        "rené@silent.example.org": ("untested", "international_address"),
        "ann@two@mx.example.org": ("invalid", "syntax"),
    }
    base = Base(tmp_path, list(addresses))
    before = base.stages(JANUARY)
    assert before["ann@nowhere.example.org"] == ("contactable", None)
    assert before["ann@café.fr"] == before["rené@nowhere.example.org"] == ("untested", "international_address")

    result = base.check(name_server.address)
    assert result.exit_code == 0, result.output
    (file,) = base.files
    assert result.output.splitlines() == [
        "  6 of 6 domains asked for",
        "2 domains accept mail, 2 do not.",
        "2 gave no answer and stay as they are.",
        f"Written to {file}; the next close counts it: make build",
    ]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    with file.open(encoding="utf-8", newline="") as stream:
        assert [(row["domain"], row["accepts_mail"], row["checked_at"][:10]) for row in csv.DictReader(stream)] == [
            ("nowhere.example.org", "no", today),
            ("café.fr", "yes", today),
            ("mx.example.org", "yes", today),
            ("null-mx.example.org", "no", today),
        ]
    # The domain alone was asked for.
    assert set(name_server.asked) == {
        "broken.example.org",
        "mx.example.org",
        "nowhere.example.org",
        "null-mx.example.org",
        "silent.example.org",
        "xn--caf-dma.fr",
    }

    base.close(FEBRUARY)
    assert base.stages(FEBRUARY) == addresses
    assert base.stages(JANUARY) == before

    # What was told holds for 90 days; what was not is asked for again.
    name_server.asked.clear()
    assert base.check(name_server.address).exit_code == 1
    assert set(name_server.asked) == {"broken.example.org", "silent.example.org"}
    name_server.zones["broken.example.org"] = name_server.zones["silent.example.org"] = {"MX": "10 mail.example.org."}
    assert base.check(name_server.address).exit_code == 0
    bring_in(tmp_path / "raw", tmp_path / WAREHOUSE, JANUARY, VARIABLES)
    name_server.asked.clear()
    assert base.check(name_server.address).output == "All domains were checked in the last 90 days.\n"
    assert base.check(name_server.address, "--max-age-days", "0").exit_code == 0
    assert len(set(name_server.asked)) == 6


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A closed base whose domains were never checked."""
    return Base(tmp_path_factory.mktemp("base"), ["ann@mx.example.org", "bob@nowhere.example.org", "eve@null-mx.example.org"])


def _refusal(base: Base, result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert base.files == []
    *_, last = result.output.strip().splitlines()
    return last.removeprefix("Error: ")


def test_without_a_name_server_nothing_is_written(base: Base) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        result = base.check(f"127.0.0.1:{closed.getsockname()[1]}")
    assert _refusal(base, result) == (
        "No name server gave an answer about the 3 most frequent domains, so nothing was written; connect this machine to the "
        "internet, or set BATHTUB_NAMESERVER."
    )


def test_a_name_server_that_knows_none_of_the_frequent_domains_is_not_believed(
    base: Base, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_servers, "FIRST_DOMAINS", 3)
    name_server.zones.clear()
    assert _refusal(base, base.check(name_server.address)).startswith("None of the 3 most frequent domains accepts mail, ")


def test_more_domains_than_are_asked_for_at_once(base: Base, name_server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_servers, "FIRST_DOMAINS", 1)
    monkeypatch.setattr(mail_servers, "DOMAINS_AT_ONCE", 1)
    lines = base.check(name_server.address).output.splitlines()
    assert lines[:4] == [f"  {n} of 3 domains asked for" for n in (1, 2, 3)] + ["1 domains accept mail, 2 do not."]
    (file,) = base.files
    file.unlink()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"BATHTUB_TARGET": "spark"}, "Mail servers are checked from a base on DuckDB, and BATHTUB_TARGET is spark; "),
        ({"BATHTUB_RAW_FILES": "{mail_domains: 'checks/*.csv'}"}, "BATHTUB_RAW_FILES says where mail_domains is, "),
        ({"BATHTUB_WAREHOUSE": "/nowhere/bathtub.duckdb"}, "There is no warehouse at /nowhere/bathtub.duckdb; "),
    ],
)
def test_where_the_command_cannot_work_it_says_so(base: Base, variables: dict[str, str], sentence: str) -> None:
    assert _refusal(base, base.check("127.0.0.1:9", **variables)).startswith(sentence)


def test_a_base_that_was_only_read_has_no_domains_yet(tmp_path: Path) -> None:
    RawBase().write(tmp_path / "raw")
    bring_in(tmp_path / "raw", tmp_path / WAREHOUSE, JANUARY, VARIABLES)
    result = CliRunner().invoke(
        main,
        ["mail-servers"],
        env={"BATHTUB_RAW_DIR": str(tmp_path / "raw"), "BATHTUB_WAREHOUSE": str(tmp_path / WAREHOUSE)},
    )
    assert result.exit_code == 1
    assert result.output.endswith("does not hold the domains of the base yet; close a month first: make build.\n")
