"""A tiny base, closed once through the command, and processes that read and write its warehouse."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from orchestration.month_files import follow
from orchestration.settings import PROJECT_ROOT, Settings, load_settings
from orchestration.warehouse import building_dir

if TYPE_CHECKING:
    from dagster import Definitions

OURS = ("BATHTUB_", "DAGSTER_", "DBT_")
MONTHS = ("2024-01", "2024-02", "2024-03", "2024-04")
PROFILES_A_MONTH = 10


@dataclass(frozen=True)
class Home:
    """The folders of one deployment; dbt's target is shared, so that the project is parsed once."""

    folder: Path
    dbt_target: Path

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    @property
    def warehouse(self) -> Path:
        return self.folder / "bathtub.duckdb"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of the deployment."""
        return {
            "BATHTUB_RAW_DIR": str(self.raw),
            "BATHTUB_WAREHOUSE": str(self.warehouse),
            "BATHTUB_THREADS": "2",
            "BATHTUB_MEMORY_LIMIT": "1GB",
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "DBT_TARGET_PATH": str(self.dbt_target),
            "DBT_LOG_PATH": str(self.dbt_target / "logs"),
        }

    def settings(self, **more: str) -> Settings:
        """Return the settings of the deployment, with further variables."""
        return load_settings({**self.variables, **more})

    def environ(self, **more: str) -> dict[str, str]:
        """Return the environment of a process of the deployment, without the user's own settings."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return {**inherited, **self.variables, **more}

    def start(self, args: Sequence[str], **more: str) -> subprocess.Popen[str]:
        """Start Python with arguments."""
        return subprocess.Popen(
            [sys.executable, *args],
            cwd=PROJECT_ROOT,
            env=self.environ(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run Python with arguments to its end."""
        with self.start(args, **more) as process:
            out, err = process.communicate(timeout=500)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def command(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m orchestration …` to its end."""
        return self.run("-m", "orchestration", *args, **more)


def write_base(raw: Path) -> None:
    """Write a base of four months: ten profiles a month, four of which buy, six visit, five opt in by e-mail."""
    tables = {
        "customers": ["customer_id,created_at,source,email"],
        "orders": ["order_id,customer_id,ordered_at,amount"],
        "events": ["event_id,customer_id,occurred_at,event_type"],
        "consents": ["consent_id,customer_id,channel,status,occurred_at"],
    }
    for month in MONTHS:
        for i in range(PROFILES_A_MONTH):
            person, at = f"{month}/{i}", f"{month}-{i + 5:02d} 10:00:00"
            tables["customers"].append(f"{person},{at},{'web' if i % 2 else 'till'},person{i}@example.org")
            if i < 4:
                tables["orders"].append(f"O{person},{person},{at},20")
            else:
                tables["events"].append(f"E{person},{person},{at},site_visit")
            if i < 5:
                tables["consents"].append(f"K{person},{person},email,opt_in,{at}")
    raw.mkdir(parents=True)
    for name, lines in tables.items():
        (raw / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def dbt_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dbt_target")


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory, dbt_target: Path) -> Home:
    """The deployment of the session, with raw files, before any run."""
    home = Home(tmp_path_factory.mktemp("home"), dbt_target)
    write_base(home.raw)
    return home


# Loaded by every Python process below it, dbt's included.
NO_CONNECTION = """
import os, socket
import duckdb

def refused(name):
    def connect(*args, **kwargs):
        with open(os.environ["REFUSED_CONNECTIONS"], "a") as log:
            log.write(name + "\\n")
        raise RuntimeError(name + " is not allowed here")
    return connect

duckdb.connect = refused("duckdb.connect")
socket.socket.connect = refused("socket.connect")
socket.getaddrinfo = refused("socket.getaddrinfo")
"""


@dataclass(frozen=True)
class Import:
    """What importing the definitions did before there was a warehouse."""

    process: subprocess.CompletedProcess[str]
    connections: str
    files: set[str]


@pytest.fixture(scope="session")
def imported(blank: Home, tmp_path_factory: pytest.TempPathFactory) -> Import:
    """The definitions imported where nothing may connect; leaves the parsed dbt project for the others."""
    folder = tmp_path_factory.mktemp("no_connection")
    (folder / "sitecustomize.py").write_text(NO_CONNECTION, encoding="utf-8")
    log = folder / "connections.txt"
    log.touch()
    process = blank.run(
        "-c", "import orchestration.definitions", PYTHONPATH=f"{folder}:{PROJECT_ROOT}", REFUSED_CONNECTIONS=str(log)
    )
    return Import(process, log.read_text(encoding="utf-8"), {path.name for path in blank.folder.iterdir()})


@dataclass(frozen=True)
class Built:
    """The deployment after its first build, what the command said, and a copy of the warehouse as it was then."""

    home: Home
    process: subprocess.CompletedProcess[str]
    kept: Path

    def copy_to(self, folder: Path) -> Home:
        """Return a deployment of its own on a copy of the warehouse, with its own raw files."""
        home = Home(folder, self.home.dbt_target)
        shutil.copytree(self.home.raw, home.raw)
        self.restore(home.folder)
        return home

    def restore(self, folder: Path) -> None:
        """Put the warehouse as it was after the first build, closed months included."""
        shutil.copytree(self.kept, folder, dirs_exist_ok=True)
        warehouse = folder / self.home.warehouse.name
        with duckdb.connect(str(warehouse)) as con:
            follow(con, warehouse)


@pytest.fixture(scope="session")
def built(blank: Home, imported: Import, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The deployment of the session with its four months closed, by the command, in one go."""
    process = blank.command("build", "--to", MONTHS[-1])
    assert process.returncode == 0, process.stdout + process.stderr
    kept = tmp_path_factory.mktemp("kept")
    for path in blank.folder.glob("bathtub.duckdb*"):
        shutil.copytree(path, kept / path.name) if path.is_dir() else shutil.copy2(path, kept)
    return Built(blank, process, kept)


@pytest.fixture
def home(tmp_path: Path, dbt_target: Path) -> Home:
    """A deployment without raw files or warehouse."""
    return Home(tmp_path, dbt_target)


@pytest.fixture
def closed(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """The session's deployment in this process, with runs of its own; its warehouse is put back afterwards."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    for name, value in built.home.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    yield built.home
    shutil.rmtree(building_dir(built.home.warehouse), ignore_errors=True)
    built.restore(built.home.folder)


@pytest.fixture
def definitions(closed: Home) -> Iterator[Definitions]:
    """The definitions as a process of the session's deployment loads them."""
    before = sys.modules.pop("orchestration.definitions", None)
    yield importlib.import_module("orchestration.definitions").definitions
    sys.modules.pop("orchestration.definitions")
    if before is not None:
        sys.modules["orchestration.definitions"] = before
