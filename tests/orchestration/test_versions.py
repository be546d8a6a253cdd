"""What wrote a warehouse, and what becomes of one that another version wrote."""

from __future__ import annotations

import re
import struct
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb
import pytest

from orchestration import __version__, versions
from orchestration.settings import PROJECT_ROOT, Vars, load_settings
from orchestration.warehouse import WarehouseError, reading, settle, writing
from tests.orchestration.conftest import MONTHS, Built, Home


@pytest.fixture
def base(built: Built, tmp_path: Path) -> Home:
    """A deployment of its own, closed by today's code."""
    return built.copy_to(tmp_path / "home")


@pytest.fixture
def older(base: Home) -> Home:
    """The same as versions were recorded nowhere, and marts did not say which months are reconstructed."""
    with duckdb.connect(str(base.warehouse)) as connection:
        connection.execute("drop table ops.versions")
        marts = connection.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
        for (mart,) in marts:
            connection.execute(f"alter table marts.{mart} drop column is_reconstructed")
    return base


def _recorded(home: Home) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute("select schema_version, bathtub, dbt, duckdb from ops.versions").fetchall()


def test_a_close_records_what_wrote_the_warehouse(base: Home) -> None:
    assert _recorded(base) == [(versions.SCHEMA_VERSION, __version__, version("dbt-core"), duckdb.__version__)]


def test_a_further_version_is_a_further_row_and_the_same_is_none(base: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with writing(base.settings(), "test"):
        pass
    assert len(_recorded(base)) == 1
    monkeypatch.setattr(versions, "__version__", "9.9.9")
    with writing(base.settings(), "test"):
        pass
    assert [row[1] for row in _recorded(base)] == [__version__, "9.9.9"]


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


def test_each_schema_version_has_its_migration() -> None:
    assert len(versions.MIGRATIONS) == versions.SCHEMA_VERSION


def _flows(home: Home) -> list[tuple[object, ...]]:
    with reading(home.warehouse) as connection:
        columns = "snapshot_month, source, status, scope, movement, n_profiles, is_reconstructed, definition_version"
        return connection.execute(f"select {columns} from marts.flows_monthly order by all").fetchall()


def test_a_warehouse_of_an_earlier_version_is_brought_up_to_date_by_a_build(built: Built, older: Home) -> None:
    before = _flows(built.home)
    done = older.command("build", "--to", MONTHS[-1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{older.warehouse} is of an earlier version of Bathtub: bringing it up to date."
    assert [row[0] for row in _recorded(older)] == [versions.SCHEMA_VERSION]
    assert _flows(older) == before
    # Its months can be closed on and again.
    again = older.command("build", "--from", MONTHS[-1], "--to", MONTHS[-1])
    assert again.returncode == 0, again.stdout + again.stderr
    assert "earlier version" not in again.stdout
    assert _flows(older) == before


@pytest.mark.parametrize(
    ("observed", "reconstructed"),
    [
        ("2024-03-02 22:59:59", ["2024-01"]),
        ("2024-03-02 23:00:00", ["2024-01"]),
        ("2024-03-02 23:00:01", ["2024-01", "2024-02"]),
    ],
)
def test_marts_of_version_1_say_which_months_were_closed_before_anybody_observed_them(
    observed: str, reconstructed: list[str]
) -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema ops; create schema marts")
        versions.record(connection, datetime(2024, 4, 3, tzinfo=UTC))
        connection.execute("update ops.versions set schema_version = 1")
        connection.execute(f"create table ops.warehouse as select timestamp '{observed}' as history_loaded_until")
        connection.execute(
            "create table marts.flows_monthly as from (values (date '2024-01-01'), (date '2024-02-01')) as m (snapshot_month)"
        )
        # The grace of February ends with the second of March, local time.
        versions.migrate(connection, load_settings({"BATHTUB_VARS": "{closing_grace_days: 2}"}).vars)
        found = connection.execute(
            "select strftime(snapshot_month, '%Y-%m') from marts.flows_monthly where is_reconstructed order by 1"
        ).fetchall()
    assert [month for (month,) in found] == reconstructed


def test_a_migration_that_fails_changes_nothing(older: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(connection: duckdb.DuckDBPyConnection, _: Vars) -> None:
        connection.execute("drop table ops.closed_months")
        raise versions.MigrationError("close all months again: make build FROM=2024-01.")

    monkeypatch.setattr(versions, "MIGRATIONS", [fails])
    before = older.warehouse.read_bytes()
    with pytest.raises(WarehouseError, match="earlier version of Bathtub and is as it was: close all months again: make build"):
        settle(older.settings())
    assert older.warehouse.read_bytes() == before


def test_a_warehouse_too_old_for_readers_names_the_command(older: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "OLDEST_READABLE", 1)
    with (
        pytest.raises(WarehouseError, match=r"earlier version of Bathtub .* bring it up to date with: make build"),
        reading(older.warehouse),
    ):
        pass
    settle(older.settings())
    with reading(older.warehouse):
        pass


def test_a_warehouse_of_a_later_version_is_refused_by_readers_and_writers(base: Home) -> None:
    with duckdb.connect(str(base.warehouse)) as connection:
        connection.execute("insert into ops.versions values (timestamp '2030-01-01', 99, '9.0', '9', '9')")
    before = base.warehouse.read_bytes()
    for command in (("build", "--to", MONTHS[-1]), ("report",), ("backup",)):
        done = base.command(*command)
        assert done.returncode == 1
        assert re.search(
            r"^Error: .* was written by a later version of Bathtub \(schema version 99, .*make restore", done.stderr
        )
    with pytest.raises(WarehouseError, match="later version"), writing(base.settings(), "test"):
        pass
    assert base.warehouse.read_bytes() == before


def test_a_file_of_a_later_duckdb_is_refused_in_one_sentence(base: Home) -> None:
    _set_storage_version(base.warehouse, 5_000)
    done = base.command("build", "--to", MONTHS[-1])
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"was written by another version of DuckDB than {duckdb.__version__}" in done.stderr
    assert "make restore" in done.stderr


def _set_storage_version(file: Path, storage_version: int) -> None:
    """Write another storage version into the header, whose checksum is the xor of its words, each times a constant."""
    content = bytearray(file.read_bytes())

    def parts() -> list[int]:
        return [word * 0xBF58476D1CE4E5B9 % 2**64 for word in struct.unpack("<2Q", content[8:24])]

    (checksum,) = struct.unpack("<Q", content[:8])
    before = parts()
    content[12:20] = struct.pack("<Q", storage_version)
    for part in before + parts():
        checksum ^= part
    content[:8] = struct.pack("<Q", checksum)
    file.write_bytes(content)
