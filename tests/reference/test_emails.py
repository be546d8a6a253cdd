"""The validity of e-mail addresses in SQL agrees with the library email-validator, which asks no name server here."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from orchestration.reference.disposable_domains import SEED, outermost
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT
from tests.dbt.conftest import run_dbt
from tests.engines.dialect_cases import BLANKS
from tests.reference.awkward_emails import awkward_emails

CORPORA = ("tests.xml", "tests-original.xml")
# Nothing is a placeholder: the corpora are full of `test@`.
NO_PLACEHOLDERS = "{placeholders: {values: [nothing-of-the-kind], birth_dates: [], email_local_parts: [nothing-of-the-kind]}}"
Verdict = tuple[str | None, str | None]


class Sql:
    """The model `int_emails`, as dbt compiles it, on a DuckDB of its own."""

    def __init__(self, folder: Path) -> None:
        compile_it = ("compile", "--no-introspect", "--no-populate-cache", "--select", "int_emails", "--vars", NO_PLACEHOLDERS)
        run = run_dbt(folder, *compile_it)
        assert run.code == 0, run.output
        (model,) = (folder / "target" / "compiled").rglob("int_emails.sql")
        # As bytes: a carriage return, one of the blanks, would be read as a line feed.
        self.query = model.read_bytes().decode()
        self.warehouse = folder / "bathtub.duckdb"

    def verdicts(self, addresses: Sequence[str]) -> list[Verdict]:
        """Return form and reason of each address."""
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute("create schema if not exists private")
            connection.execute("create schema if not exists core")
            connection.execute(
                "create or replace table private.int_coordinates_to_judge as "
                "select unnest(range(?)) as customer_id, unnest(?) as email",
                [len(addresses), list(addresses)],
            )
            connection.execute(
                f"create or replace table core.disposable_domains as select * from read_csv('{DBT_PROJECT_DIR / SEED}')"
            )
            return connection.execute(f"select email_form, email_reason from ({self.query}) order by customer_id").fetchall()


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Sql:
    return Sql(tmp_path_factory.mktemp("emails"))


def stripped(address: str) -> str:
    return address.strip("".join(map(chr, BLANKS)))


def library_accepts(address: str) -> bool:
    """Whether the library takes an address, by syntax and special-use names, up to 64 characters before the `@`."""
    try:
        validate_email(stripped(address), check_deliverability=False, strict=True)
    except EmailNotValidError:
        return False
    return True


def is_international(address: str) -> bool:
    return not stripped(address).isascii() or "xn--" in address.lower()


def disagreements(sql: Sql, addresses: Sequence[str]) -> dict[str, Verdict]:
    """Return the addresses on which SQL and library disagree, with SQL's verdict.

    The library knows no disposable domains. SQL may leave an address untested only for letters beyond ASCII.
    """
    found: dict[str, Verdict] = {}
    for address, verdict in zip(addresses, sql.verdicts(addresses), strict=True):
        form, reason = verdict
        match form:
            case "untested":
                agrees = is_international(address)
            case None:
                agrees = not stripped(address)
            case _:
                agrees = library_accepts(address) == (form == "valid" or reason == "disposable_domain")
        if not agrees:
            found[address] = verdict
    return found


def corpus(name: str) -> list[str]:
    """Return the addresses of a corpus of isemail, where a symbol of the block U+2400 stands for a control character."""
    data = (PROJECT_ROOT / os.environ.get("BATHTUB_TEST_DATA", "../shared/data")).resolve()
    file = data / "contact_validation" / "isemail" / name
    if not file.exists():
        pytest.skip(f"{file} is absent: BATHTUB_TEST_DATA says where the test data are.")
    controls = {0x2400 + code: code for code in range(32)}
    return [(test.findtext("address") or "").translate(controls) for test in ElementTree.parse(file).iter("test")]


@pytest.mark.parametrize("name", CORPORA)
def test_sql_and_library_agree_on_the_corpora_of_isemail(sql: Sql, name: str) -> None:
    addresses = corpus(name)
    assert len(addresses) > 100
    assert disagreements(sql, addresses) == {}


def test_sql_and_library_agree_on_awkward_addresses(sql: Sql) -> None:
    assert disagreements(sql, awkward_emails(30_000)) == {}


def test_a_letter_that_becomes_ascii_in_lower_case_is_beyond_ascii(sql: Sql) -> None:
    found = sql.verdicts(["a@İn--p1ai.fr", "a@b.invalİd", "a@İb.fr", "a@\u212ab.fr", "\u212a@b.fr", "é@X.TEST"])
    assert found == [("untested", "international_address")] * 5 + [("invalid", "special_domain")]


def test_the_awkward_addresses_are_valid_and_invalid_in_many_ways(sql: Sql) -> None:
    addresses = awkward_emails(30_000)
    forms = [form for form, _ in sql.verdicts(addresses)]
    assert min(forms.count(form) for form in ("valid", "invalid", "untested")) > 2_000
    compared = [address for address, form in zip(addresses, forms, strict=True) if form in ("valid", "invalid")]
    assert 5_000 < sum(map(library_accepts, compared)) < 20_000


def test_special_use_names_are_those_of_the_library(sql: Sql) -> None:
    addresses = [f"a@{prefix}{name}" for name in SPECIAL_USE_DOMAIN_NAMES for prefix in ("", "b.", "b.c.", "B.")]
    assert set(sql.verdicts(addresses)) == {("invalid", "special_domain")}


def test_every_disposable_domain_and_all_below_it_are_refused(sql: Sql) -> None:
    domains = [row["domain"] for row in csv.DictReader((DBT_PROJECT_DIR / SEED).open(encoding="utf-8"))]
    addresses = [f"ann@{prefix}{domain}" for domain in domains for prefix in ("", "mail.", "A.b.", "a.b.c.", "a.b.c.d.")]
    assert set(sql.verdicts(addresses)) == {("invalid", "disposable_domain")}


def test_a_domain_that_only_looks_disposable_is_not(sql: Sql) -> None:
    addresses = ["a@not-mailinator.com", "a@mailinator.com.fr", "a@mailinator.example.com", "a@co.uk", "a@dynv6.net"]
    assert set(sql.verdicts(addresses)) == {("valid", None)}


def test_a_domain_below_a_listed_one_is_left_out() -> None:
    assert outermost(["b.fr", "x.b.fr", "y.x.b.fr", "ab.fr", "a.co.uk"]) == ["a.co.uk", "ab.fr", "b.fr"]
