"""The export of overdue profiles: what it writes and accounts for, what the next close makes of it, and when it refuses."""

from __future__ import annotations

import csv
import getpass
import hashlib
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from orchestration.cli import main
from orchestration.close import record_closed
from orchestration.month_files import follow
from tests.end_to_end.closing import WAREHOUSE, Rows, bring_in, close, query
from tests.end_to_end.raw_base import RawBase, Row

JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)
VARIABLES = {"reporting_timezone": "Europe/Paris", "history_loaded_until": "2023-12-31"}
ACCOUNT = "from ops.retention_exports order by exported_at"
COLUMNS = ["customer_id", "source", "status", "due_date", "retention_months"]


def _profile(customer_id: str, source: str, created_at: datetime, **more: datetime) -> Row:
    return {"customer_id": customer_id, "source": source, "created_at": created_at, **more}


OVERDUE = [_profile("old-till", "till", datetime(2019, 5, 1)), _profile("old-web", "web", datetime(2020, 1, 10))]
OTHERS = [_profile("soon", "web", datetime(2021, 2, 10)), _profile("fresh", "app", datetime(2024, 1, 5))]
# One month late, and of a customer.
ORDER = {"order_id": "1", "customer_id": "old-till", "ordered_at": datetime(2020, 12, 5, 12), "amount": 10.0}


@dataclass(frozen=True)
class Base:
    """A base with its warehouse."""

    folder: Path

    @property
    def warehouse(self) -> Path:
        return self.folder / WAREHOUSE

    @property
    def default_file(self) -> Path:
        return self.folder / "exports" / "retention-2024-01-31.csv"

    def close(self, month: date, **variables: object) -> None:
        """Bring in what is new in the raw folder, and close a month."""
        bring_in(self.folder / "raw", self.warehouse, JANUARY, VARIABLES)
        made = ["retention_forecast_monthly", "retention_due_profiles", "flows_monthly"]
        close(self.warehouse, month, month, {**VARIABLES, **variables}, made=made)
        record_closed(self.warehouse, [month], datetime(2024, 3, 1, tzinfo=UTC), "test")

    def export(self, *args: str, **more: str) -> Result:
        """Run the command."""
        variables = {"BATHTUB_WAREHOUSE": str(self.warehouse), "BATHTUB_RAW_DIR": str(self.folder / "raw"), **more}
        return CliRunner().invoke(main, ["retention-export", *args], env=variables)

    def account(self) -> Rows:
        """What is known of the exports so far."""
        known = query(self.warehouse, "from duckdb_tables() where schema_name = 'ops' and table_name = 'retention_exports'")
        return query(self.warehouse, ACCOUNT) if known else []

    def files(self) -> list[Path]:
        """The lists that were written."""
        return sorted([*self.folder.glob("*.csv"), *self.folder.glob("exports/*")])


def _base(folder: Path, profiles: list[Row]) -> Base:
    RawBase(customers=profiles, orders=[ORDER] if profiles[0] in OVERDUE else []).write(folder / "raw")
    return Base(folder)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A base with January closed: two profiles are overdue, one will be in February. Tests do not write to it."""
    made = _base(tmp_path_factory.mktemp("base"), OVERDUE + OTHERS)
    made.close(JANUARY)
    return made


@pytest.fixture
def base(unchanged: Base, tmp_path: Path) -> Base:
    """A copy of it to write to."""
    shutil.copytree(unchanged.folder, tmp_path, dirs_exist_ok=True)
    with duckdb.connect(str(tmp_path / WAREHOUSE)) as connection:
        follow(connection, tmp_path / WAREHOUSE)
    return Base(tmp_path)


def _listed(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    assert header == COLUMNS
    return rows


def test_exported_profiles_that_the_source_deletes_are_deleted_at_the_next_close(base: Base) -> None:
    assert base.export("--by", "Ann").exit_code == 0
    ids = [row[0] for row in _listed(base.default_file)]
    gone = [
        {**profile, "deleted_at": datetime(2024, 2, 10), "loaded_at": datetime(2024, 2, 20)}
        for profile in OVERDUE + OTHERS
        if profile["customer_id"] in ids
    ]
    RawBase(customers=gone).write(base.folder / "raw", part="2024-02")
    base.close(FEBRUARY)
    deleted = [("till", "customer", 1), ("web", "prospect", 1)]
    month = "snapshot_month = date '2024-02-01'"
    assert deleted == query(
        base.warehouse,
        f"select source, status, n_profiles from marts.flows_monthly where {month} and scope = 'base' and movement = 'deleted' "
        "order by all",
    )
    assert deleted == query(
        base.warehouse,
        f"select source, status, n_deleted from marts.retention_monthly where {month} and n_deleted > 0 order by all",
    )
    assert query(base.warehouse, "select customer_id, is_overdue, as_of_date from private.retention_due_profiles") == [
        ("soon", True, date(2024, 2, 29))
    ]
    # The account outlives the close.
    assert [row[1] for row in base.account()] == ["Ann"]


def test_month_closed_again_leaves_the_list_at_the_latest_month(base: Base) -> None:
    base.close(FEBRUARY)
    base.close(JANUARY)
    found = query(base.warehouse, "select distinct as_of_date from private.retention_due_profiles")
    assert found == [(date(2024, 2, 29),)]


def test_file_holds_the_overdue_profiles_and_its_owner_alone_can_read_it(base: Base) -> None:
    result = base.export()
    assert result.exit_code == 0, result.output
    assert _listed(base.default_file) == [
        ["old-till", "till", "customer", "2023-12-05", "36"],
        ["old-web", "web", "prospect", "2023-01-10", "36"],
    ]
    assert stat.S_IMODE(base.default_file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("option", "value"), [("--status", "customer"), ("--source", "till")])
def test_filters_hold(base: Base, option: str, value: str) -> None:
    assert base.export(option, value).exit_code == 0
    assert [row[0] for row in _listed(base.default_file)] == ["old-till"]


def test_account_says_who_exported_how_many_when_and_under_which_rule(base: Base) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    target = base.folder / "list's.csv"
    result = base.export("--source", " WEB ", "--status", "prospect", "--to", str(target))
    assert result.exit_code == 0, result.output
    ((exported_at, *rest),) = base.account()
    assert before <= exported_at <= datetime.now(UTC).replace(tzinfo=None)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    assert rest == [
        getpass.getuser(),
        1,
        date(2024, 1, 31),
        "prospect: 36 months after the last contact",
        "web",
        "prospect",
        str(target),
        digest,
    ]
    assert result.output.splitlines()[:4] == [
        "1 profiles of source web and status prospect were overdue on 2024-01-31.",
        "Rule       prospect: 36 months after the last contact",
        f"File       {target}",
        f"SHA-256    {digest}",
    ]


def test_ids_are_in_the_file_alone(base: Base) -> None:
    output = base.export().output
    assert "old-web" in base.default_file.read_text(encoding="utf-8")
    assert "old-" not in output
    assert "old-" not in str(base.account())


def test_each_export_has_its_line_in_the_account(base: Base) -> None:
    first, second = base.export("--by", "Ann"), base.export("--by", "Bob", "--to", str(base.folder / "again.csv"))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [(row[1], row[2], row[5]) for row in base.account()] == [("Ann", 2, None), ("Bob", 2, None)]


def test_rule_of_the_account_is_the_one_that_the_list_was_made_with(tmp_path: Path) -> None:
    rule = {"prospect": 12, "customer": 60}
    base = _base(tmp_path, OVERDUE + OTHERS)
    base.close(JANUARY, retention_months=rule)
    result = base.export(BATHTUB_VARS=f"{{retention_months: {rule}}}")
    assert result.exit_code == 0, result.output
    assert [row[0] for row in _listed(base.default_file)] == ["old-web", "soon"]
    assert [row[4] for row in base.account()] == ["prospect: 12 months after the last contact"]


# ---- nobody, and refusals --------------------------------------------------------------------------------------------


@pytest.fixture
def untouched(unchanged: Base) -> Iterator[Base]:
    """A base that the test must leave as it is."""
    before = unchanged.warehouse.read_bytes()
    yield unchanged
    assert unchanged.files() == []
    assert unchanged.warehouse.read_bytes() == before


def _refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    *_, last = result.output.strip().splitlines()
    return last.removeprefix("Error: ")


def test_export_of_nobody_says_so_and_writes_nothing(untouched: Base) -> None:
    result = untouched.export("--source", "app")
    assert (result.exit_code, result.output) == (
        0,
        "Nobody of source app was overdue at the latest close; nothing was written.\n",
    )


def test_unknown_source_is_refused(untouched: Base) -> None:
    sentence = "No profile of the base has the source 'shop'; there are app, till, web."
    assert _refusal(untouched.export("--source", "shop")) == sentence


def test_unknown_status_is_refused(untouched: Base) -> None:
    result = untouched.export("--status", "lead")
    assert result.exit_code == 2
    assert "'lead' is not one of 'customer', 'prospect'" in result.output


def test_changed_rule_wants_a_close_first(untouched: Base) -> None:
    result = untouched.export(BATHTUB_VARS="{retention_months: {prospect: 12, customer: 36}}")
    assert _refusal(result) == (
        "retention_months is now {'prospect': 12, 'customer': 36}, and the list was made with "
        "{'customer': 36, 'prospect': 36}; "
        "close the latest month again: make build FROM=2024-01 TO=2024-01."
    )


def test_folder_that_cannot_be_made_is_refused(untouched: Base) -> None:
    target = untouched.warehouse / "folder" / "list.csv"
    assert _refusal(untouched.export("--to", str(target))) == (
        f"{target} cannot be written (Not a directory); name another file with --to."
    )


def test_other_engines_are_refused(untouched: Base) -> None:
    assert _refusal(untouched.export(BATHTUB_TARGET="spark")).startswith(
        "Overdue profiles are exported from a base on DuckDB, and BATHTUB_TARGET is spark; "
    )


def test_user_without_a_name_has_to_say_it(untouched: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise OSError("no user")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert _refusal(untouched.export()) == "The system does not say who you are; say it with --by."


def test_list_that_nobody_answers_for_does_not_stay(untouched: Base) -> None:
    with FileLock(untouched.warehouse.with_name(f"{WAREHOUSE}.lock")):
        result = untouched.export(BATHTUB_LOCK_WAIT_SECONDS="0")
    assert _refusal(result).startswith("Another run is writing to the warehouse.")


def test_list_that_was_not_written_to_its_end_does_not_stay(untouched: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(hashlib, "file_digest", full)
    assert untouched.export().exit_code == 1


def test_file_is_never_written_over(base: Base) -> None:
    target = base.folder / "list.csv"
    target.write_text("mine", encoding="utf-8")
    assert _refusal(base.export("--to", str(target))) == (
        f"{target} exists, and an export is never written over; name another file with --to."
    )
    assert target.read_text(encoding="utf-8") == "mine"
    assert base.account() == []


def test_without_a_closed_month_there_is_no_list(tmp_path: Path) -> None:
    sentence = "No month is closed yet, so there is no list of overdue profiles; close one first: make build."
    assert _refusal(Base(tmp_path).export()) == sentence
    RawBase(customers=OTHERS).write(tmp_path / "raw")
    bring_in(tmp_path / "raw", tmp_path / WAREHOUSE, JANUARY, VARIABLES)
    assert _refusal(Base(tmp_path).export()) == sentence


def test_warehouse_closed_without_retention_wants_a_close_first(tmp_path: Path) -> None:
    RawBase(customers=OTHERS).write(tmp_path / "raw")
    bring_in(tmp_path / "raw", tmp_path / WAREHOUSE, JANUARY, VARIABLES)
    record_closed(tmp_path / WAREHOUSE, [JANUARY], datetime(2024, 3, 1, tzinfo=UTC), "test")
    assert _refusal(Base(tmp_path).export()) == (
        f"{tmp_path / WAREHOUSE} was closed by a version without retention; close the latest month again: "
        "make build FROM=2024-01 TO=2024-01."
    )
