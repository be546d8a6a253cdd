"""The commands as a user meets them."""

from __future__ import annotations

import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from orchestration.cli import log, main
from orchestration.close import read_state
from orchestration.months import months_between
from orchestration.settings import parse_month
from orchestration.warehouse import reading
from tests.orchestration.conftest import MONTHS, OURS, Built, Home, write_base

Run = Callable[..., Result]


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command in this process, in the deployment of the test."""

    def command(*args: str, **more: str) -> Result:
        with monkeypatch.context() as patch:
            for name, value in home.environ(**more).items():
                if name.startswith(OURS):
                    patch.setenv(name, value)
            return CliRunner().invoke(main, args)

    handlers, level = log.handlers[:], log.level
    yield command
    log.handlers[:], log.propagate = handlers, True
    log.setLevel(level if level else logging.NOTSET)


def _refusal(result: Result) -> str:
    """The one sentence with which a command ended."""
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    *_, last = result.output.strip().splitlines()
    assert last.startswith("Error: ")
    return last.removeprefix("Error: ")


# ---- builds ----------------------------------------------------------------------------------------------------------


def test_the_first_build_says_what_it_reads_what_it_closes_and_what_came_out(built: Built) -> None:
    lines = built.process.stdout.splitlines()
    assert lines[0] == f"Reading raw files from {built.home.raw}"
    assert "  customers: 1 files (1 read now), 40 rows read, 40 kept, 0 quarantined, 0 superseded" in lines
    assert "Closing 4 months, 2024-01 to 2024-04" in lines
    steps = [line.partition(", about")[0] for line in lines if line.startswith("  closing ")]
    assert steps == [
        f"  closing {month}, {what}: month {i} of 4"
        for what in ("customers", "contacts")
        for i, month in enumerate(MONTHS, start=1)
    ]
    assert any(line.startswith("Closed 4 months, 2024-01 to 2024-04 in ") for line in lines)
    assert "The base at the end of 2024-04: 40 profiles, 10 more than the month before" in lines
    assert "  40 active, 16 customers, 24 prospects, 10 new in the month" in lines
    assert f"Warehouse  {built.home.warehouse}" in lines
    assert "Traceback" not in built.process.stderr


def test_the_last_lines_name_every_mart(built: Built) -> None:
    with reading(built.kept / "bathtub.duckdb") as con:
        marts = con.execute("select table_name from information_schema.tables where table_schema = 'marts'").fetchall()
    told = built.process.stdout.split("Warehouse  ")[1]
    assert [name for (name,) in marts if name not in told] == []


def test_a_build_leaves_no_work_behind(built: Built) -> None:
    names = {path.name for path in built.home.folder.iterdir()}
    file = built.home.warehouse.name
    assert names == {"raw", "dagster", "reports", file, f"{file}.lock", f"{file}.first_month", f"{file}.months"}


def test_a_build_writes_the_report_of_its_last_month_and_says_where(built: Built) -> None:
    reports = built.home.folder / "reports"
    assert {path.name for path in reports.iterdir()} == {f"{MONTHS[-1]}.html", "latest.html"}
    assert f"Report     {reports / 'latest.html'}" in built.process.stdout


def test_a_second_build_does_nothing_and_is_quick(built: Built, tmp_path: Path) -> None:
    home = built.copy_to(tmp_path)
    before = home.warehouse.read_bytes()
    started = time.monotonic()
    done = home.run("-X", "importtime", "-m", "orchestration", "build", "--to", MONTHS[-1])
    assert time.monotonic() - started < 15
    assert done.returncode == 0
    assert done.stdout == f"Nothing to close: {home.warehouse} is closed up to 2024-04.\n"
    imported = {line.rsplit("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "orchestration" in imported
    assert not imported & {"dagster", "dagster_dbt", "dbt"}
    assert home.warehouse.read_bytes() == before


def test_a_warehouse_that_was_moved_reads_its_months_there_though_nothing_is_to_close(
    built: Built, home: Home, run: Run
) -> None:
    shutil.copytree(built.kept, home.folder, dirs_exist_ok=True)
    result = run("build", "--to", MONTHS[-1])
    assert result.output.splitlines() == [
        f"{home.warehouse} was moved: pointing it to the closed months beside it.",
        f"Nothing to close: {home.warehouse} is closed up to 2024-04.",
    ]
    with reading(home.warehouse) as con:
        files = con.execute("select distinct folder from ops.month_files").fetchall()
        sql = con.execute("select sql from duckdb_views() where view_name = 'int_customer_months'").fetchall()
    assert files == [(f"{home.warehouse}.months",)]
    assert sql[0][0].count(f"'{home.warehouse}.months/") == 4


def test_a_base_without_any_activity_has_nothing_to_close(home: Home, run: Run) -> None:
    write_base(home.raw)
    (home.raw / "customers.csv").write_text("customer_id,source\nC1,web\nC2,till\n", encoding="utf-8")
    for name in ("orders", "events", "consents"):
        path = home.raw / f"{name}.csv"
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    result = run("build")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "Nothing to close: no row of the raw files is an activity."
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        assert con.execute("select count(*) from raw.customers").fetchall() == [(2,)]


def test_months_before_the_base_began_are_nothing_to_close(home: Home, run: Run) -> None:
    write_base(home.raw)
    result = run("build", "--to", "2023-06")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "Nothing to close: its first month is 2024-01."


@pytest.mark.slow
def test_two_builds_at_once_close_each_month_once(home: Home, built: Built) -> None:
    write_base(home.raw)
    both = [home.start(("-m", "orchestration", "build", "--to", MONTHS[-1])) for _ in range(2)]
    outputs = [process.communicate(timeout=500) for process in both]
    assert 0 in {process.returncode for process in both}, outputs
    for process, (out, err) in zip(both, outputs, strict=True):
        assert "Traceback" not in out + err
        assert process.returncode == 0 or "Another run is writing to the warehouse" in err, out + err
    assert read_state(home.warehouse).closed == tuple(months_between(parse_month(MONTHS[0]), parse_month(MONTHS[-1])))
    query = "from marts.flows_monthly order by all"
    with reading(home.warehouse) as con, duckdb.connect(str(built.kept / "bathtub.duckdb"), read_only=True) as kept:
        assert con.execute(query).fetchall() == kept.execute(query).fetchall()


@pytest.mark.slow
def test_an_interrupted_build_closes_nothing_and_the_next_one_does(home: Home) -> None:
    write_base(home.raw)
    with home.start(("-m", "orchestration", "build", "--to", MONTHS[-1])) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("  closing 2024-02"):
                process.send_signal(signal.SIGINT)
        err = process.stderr.read() if process.stderr else ""
    assert (process.returncode, err) == (1, "Error: The close was interrupted; the warehouse is as it was.\n")
    assert read_state(home.warehouse).closed == ()
    assert home.command("build", "--to", MONTHS[0]).returncode == 0
    assert read_state(home.warehouse).closed == (parse_month(MONTHS[0]),)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--from", "2024-06"], "2024-06 cannot be closed before 2024-05, the first open month; close from there with: make"),
        (["--from", "2024-03", "--to", "2024-02"], "FROM=2024-03 lies after TO=2024-02."),
        (["--to", "2999-01"], "2999-01 can be closed from 2999-02-03 00:00 Europe/Paris on, after a grace of 2 days"),
    ],
)
def test_months_that_cannot_be_closed_are_refused_in_one_sentence(
    built: Built, home: Home, run: Run, args: list[str], sentence: str
) -> None:
    built.restore(home.folder)
    result = run("build", *args)
    assert _refusal(result).startswith(sentence)
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_text_that_is_no_month_is_refused(home: Home, run: Run, option: str) -> None:
    result = run("build", option, "2024-13")
    assert result.exit_code == 2
    assert "'2024-13' is not a month written YYYY-MM, for example 2026-10" in result.output
    assert list(home.folder.iterdir()) == []


def test_a_wrong_setting_is_refused_by_the_real_command(home: Home) -> None:
    done = home.command("build", BATHTUB_VARS="{reporting_timezone: Europe/Pariss}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: BATHTUB_VARS: reporting_timezone = 'Europe/Pariss': allowed: an IANA time zone, for example Europe/Paris.\n"
    )
    assert list(home.folder.iterdir()) == []


def test_a_missing_raw_folder_is_refused(home: Home, run: Run) -> None:
    refusal = _refusal(run("build"))
    assert refusal == f"BATHTUB_RAW_DIR = {str(home.raw)!r} is no folder; set it to the folder of the raw files."
    assert not home.warehouse.exists()


def test_a_history_that_begins_in_1970_is_refused_before_anything_is_closed(home: Home, run: Run) -> None:
    write_base(home.raw)
    with (home.raw / "orders.csv").open("a", encoding="utf-8") as orders:
        orders.write("O0,2024-01/0,1970-01-01 10:00:00,5\n")
    assert _refusal(run("build")).startswith("The first activity in the raw files is of 1970-01, ")
    assert read_state(home.warehouse).closed == ()


def test_a_warehouse_that_is_no_database_is_refused(home: Home, run: Run) -> None:
    home.warehouse.write_text("no database" * 1000, encoding="utf-8")
    assert _refusal(run("build")).startswith(f"{home.warehouse} cannot be opened as a DuckDB file: ")


def test_a_warehouse_that_another_run_writes_to_is_refused(home: Home, run: Run) -> None:
    write_base(home.raw)
    code = """
import sys
from orchestration.settings import load_settings
from orchestration.warehouse import writing
with writing(load_settings(), "a long close"):
    print("working", flush=True)
    sys.stdin.readline()
"""
    with home.start(("-c", code)) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "working\n"
        refusal = _refusal(run("build", BATHTUB_LOCK_WAIT_SECONDS="0"))
        other.kill()
        other.communicate()
    assert refusal.startswith(f"Another run is writing to the warehouse (a long close, process {other.pid}, since ")


# ---- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["build", "demo", "dev"]),
        (["build"], ["--from YYYY-MM", "--to YYYY-MM", "--verbose"]),
        (["demo"], ["--profiles", "--months", "[default: 20000]"]),
        (["dev"], ["http://127.0.0.1:3000", "dagster dev"]),
    ],
)
def test_help(home: Home, run: Run, args: list[str], words: list[str]) -> None:
    result = run(*args, "--help")
    assert result.exit_code == 0
    assert [word for word in words if word not in " ".join(result.output.split())] == []
    assert list(home.folder.iterdir()) == []


def test_an_unknown_command_is_refused(run: Run) -> None:
    result = run("biuld")
    assert result.exit_code == 2
    assert "No such command 'biuld'" in result.output


# ---- what goes with the marts ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_dbt_docs_is_one_page_with_models_and_exposures(home: Home) -> None:
    page = home.folder / "pages" / "dbt.html"
    done = home.command("dbt-docs", "--to", str(page))
    assert (done.returncode, done.stderr) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert "looker_studio_report" in text and "model.bathtub.base_overview_monthly" in text


def test_the_address_of_a_report_needs_a_dataset(home: Home, run: Run) -> None:
    assert _refusal(run("looker-url")).startswith("The address needs the dataset that the marts are published to")
