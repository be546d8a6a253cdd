"""The dbt project seen from the orchestrator: its manifest, its environment, its progress and its failures."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from orchestration.close import vars_args
from orchestration.month_files import months_dir
from orchestration.settings import DBT_PROJECT_DIR, ConfigurationError, Settings
from orchestration.warehouse import Report, working_copy

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt_common.events.base_types import EventMsg

DBT = str(Path(sys.executable).with_name("dbt"))
SOURCES = ("*.yml", "models/**/*", "macros/**/*", "seeds/**/*", "snapshots/**/*", "tests/**/*")
PASSING_ERRORS = ("IO Error", "Out of Memory", "Connection Error", "Interrupt")
# The events of dbt that `Progress` and Dagster's page are made of; dbt fires hundreds of others.
RESULT_EVENTS = ("LogModelResult", "LogSeedResult", "LogSnapshotResult", "LogTestResult")
EVENTS = (*RESULT_EVENTS, "LogStartBatch", "GenericExceptionOnRun")


class DbtError(Exception):
    """A dbt command failed; the message names the first models or tests that did, `may_pass_later` whether to try again."""

    def __init__(self, message: str, may_pass_later: bool = False) -> None:
        super().__init__(message)
        self.may_pass_later = may_pass_later


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that `profiles.yml` reads: dbt works on the working copy of the warehouse."""
    return {
        "BATHTUB_TARGET": settings.target,
        "BATHTUB_DBT_DUCKDB": str(working_copy(settings.warehouse)),
        "BATHTUB_DBT_MONTHS": str(months_dir(settings.warehouse)),
        "BATHTUB_MEMORY_LIMIT": settings.memory_limit,
        "BATHTUB_THREADS": str(settings.threads),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


@contextmanager
def environment(settings: Settings) -> Iterator[None]:
    """Give dbt its variables while the block runs."""
    before = dict(os.environ)
    os.environ.update(dbt_environment(settings))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def target_dir() -> Path:
    """Return dbt's folder of artefacts (`DBT_TARGET_PATH`, by default in the dbt project)."""
    return (DBT_PROJECT_DIR / os.environ.get("DBT_TARGET_PATH", "target")).resolve()


def ensure_manifest(settings: Settings) -> Path:
    """Return the path of a manifest that fits the dbt project and the vars, parsing the project if it has changed.

    Parsing opens no connection to a warehouse.

    Raises:
        DbtError: the project does not parse.
        ConfigurationError: dbt is not installed beside Python.
    """
    target = target_dir()
    manifest = target / "manifest.json"
    key = _project_key(settings)

    def fits() -> bool:
        return manifest.exists() and _parsed_project(target).exists() and manifest_key() == key

    if fits():
        return manifest
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(target / "manifest.lock"):
        # Another process may have parsed it in the meantime.
        if not fits():
            _parse(settings)
            # Other dbt commands write theirs over `partial_parse.msgpack`; a close would parse the whole project again.
            shutil.copyfile(target / "partial_parse.msgpack", _parsed_project(target))
            (target / "manifest.key").write_text(key, encoding="utf-8")
    return manifest


def _parsed_project(target: Path) -> Path:
    """Return the file from which a close takes the parsed project."""
    return target / "manifest.msgpack"


def manifest_key() -> str:
    """Return the hash of all that the present manifest depends on; empty before `ensure_manifest`."""
    key_file = target_dir() / "manifest.key"
    return key_file.read_text(encoding="utf-8") if key_file.exists() else ""


def _project_key(settings: Settings) -> str:
    """Return a hash of all that the manifest depends on."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(DBT_PROJECT_DIR.glob(pattern)):
            if path.is_file():
                digest.update(f"{path.relative_to(DBT_PROJECT_DIR)}\n".encode())
                digest.update(path.read_bytes())
    digest.update(json.dumps([vars_args(settings.overrides), dbt_environment(settings)]).encode())
    return digest.hexdigest()


def _parse(settings: Settings) -> None:
    _dbt(settings, "parse")


def _dbt(settings: Settings, *args: str) -> None:
    """Run a command of dbt that opens no warehouse."""
    command = [DBT, "--quiet", "--no-use-colors", *args, *vars_args(settings.overrides)]
    try:
        done = subprocess.run(
            command,
            cwd=DBT_PROJECT_DIR,
            env={**os.environ, **dbt_environment(settings)},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise ConfigurationError(f"dbt is not installed beside {sys.executable}; run: make setup.") from error
    if done.returncode != 0:
        raise DbtError(f"The dbt project does not parse:\n{done.stdout.strip()}\n{done.stderr.strip()}")


def write_docs(settings: Settings, file: Path) -> None:
    """Write dbt's own documentation of the project (models, columns, lineage, exposures) as one page that needs no server.

    It is made of the project alone: no warehouse is opened.

    Raises:
        DbtError: the project does not parse.
        ConfigurationError: dbt is not installed beside Python.
    """
    with tempfile.TemporaryDirectory(prefix="bathtub-docs-") as scratch:
        shutil.copy(ensure_manifest(settings), scratch)
        _dbt(settings, "docs", "generate", "--static", "--empty-catalog", "--no-compile", "--target-path", scratch)
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(scratch) / "static_index.html", file)


# ---- a dbt command in this process -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class DbtRun:
    """What a dbt command came to: the results of its models and tests, and the error that kept it from running any."""

    succeeded: bool
    results: Mapping[str, Any] = field(default_factory=lambda: {"results": []})
    error: str = ""


def run_dbt(args: Sequence[str], artefacts: Path, see: Callable[[Mapping[str, Any]], None]) -> DbtRun:
    """Run a dbt command in this process and give `see` each event in `EVENTS`, one at a time.

    A process of its own would import dbt a second time. dbt's log, its results after a failure and the SQL that ran are in
    `artefacts`; dbt holds no connection afterwards.

    Raises:
        KeyboardInterrupt: the run was interrupted; dbt has cancelled its queries.
    """
    from dbt.cli.main import dbtRunner
    from dbt_common.events.functions import msg_to_dict

    one_at_a_time = threading.Lock()

    def seen(event: EventMsg) -> None:
        if event.info.name in EVENTS:
            with one_at_a_time:
                see(msg_to_dict(event))

    places = {"project-dir": DBT_PROJECT_DIR, "profiles-dir": DBT_PROJECT_DIR, "target-path": artefacts, "log-path": artefacts}
    with _interrupts_for_dbt():
        try:
            outcome = dbtRunner(callbacks=[seen]).invoke(
                [
                    *args,
                    *(text for name, place in places.items() for text in (f"--{name}", str(place))),
                    # What `ensure_manifest` parsed serves each run; nothing reads the manifest that a run would write.
                    "--partial-parse-file-path",
                    str(_parsed_project(target_dir())),
                    "--no-write-json",
                    "--no-use-colors",
                    "--log-format-file",
                    "json",
                ]
            )
        finally:
            _close_connections()
    if isinstance(outcome.exception, KeyboardInterrupt):
        raise outcome.exception
    return _dbt_run(outcome, artefacts)


def _dbt_run(outcome: dbtRunnerResult, artefacts: Path) -> DbtRun:
    from dbt.artifacts.schemas.run import RunExecutionResult

    if not isinstance(outcome.result, RunExecutionResult):
        return DbtRun(succeeded=False, error=" ".join(str(outcome.exception or "").split()))
    if not outcome.success:
        outcome.result.write(str(artefacts / "run_results.json"))
    results = [
        {"unique_id": result.node.unique_id, "status": str(result.status), "message": result.message}
        for result in outcome.result.results
    ]
    return DbtRun(outcome.success, {"results": results})


@contextmanager
def _interrupts_for_dbt() -> Iterator[None]:
    """Let Ctrl-C, or Dagster when it ends a run, reach dbt as the KeyboardInterrupt on which it cancels its queries."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _close_connections() -> None:
    """Close the database that dbt-duckdb keeps open for a next command, so that the working copy can be read and renamed."""
    from dbt.adapters.factory import FACTORY

    for adapter in FACTORY.adapters.values():
        close_all = getattr(type(adapter.connections), "close_all_connections", None)
        if close_all is not None:
            close_all()


# ---- what is said of it ----------------------------------------------------------------------------------------------


class Progress:
    """Turns dbt's events into lines such as `closing 2025-03, customers: month 17 of 36, about 12 s left`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._started: dict[str, float] = {}
        # The first error of each model, which dbt leaves out of the result of a microbatch model.
        self.errors: dict[str, str] = {}

    def see(self, event: Mapping[str, Any]) -> None:
        """Report what a raw dbt event says about the work, if anything."""
        name, data = event["info"]["name"], event["data"]
        if name == "GenericExceptionOnRun":
            self.errors.setdefault(data["unique_id"], str(data["exc"]))
        if name == "LogStartBatch":
            done, total = int(data["batch_index"]) - 1, int(data["total_batches"])
            words = str(data["description"]).split()
            month, model = words[1][:7], words[-1]
            # `core.int_customer_months` carries the customers from month to month. What else goes by month is short.
            if not model.endswith("_months"):
                return
            what = model.split(".")[-1].removeprefix("int_").removesuffix("_months") + "s"
            self._report(f"  closing {month}, {what}: month {done + 1} of {total}{self._time_left(model, done, total)}")
        elif name == "LogModelResult" and data.get("status") not in ("error", "skipped"):
            relation = data["node_info"].get("node_relation", {})
            # On Spark, dbt works in `building_marts`.
            if relation.get("schema", "").endswith("marts"):
                self._report(f"  marts.{relation['alias']}")
        elif name == "LogTestResult" and data.get("status") == "warn":
            self._report(f"  Warning: the check {data['name']} found {data['num_failures']} (docs/operations.md).")

    def _time_left(self, model: str, done: int, total: int) -> str:
        now = time.monotonic()
        started = self._started.setdefault(model, now)
        if not done:
            return ""
        return f", about {duration((now - started) / done * (total - done))} left"


def duration(seconds: float) -> str:
    """Return a duration as a person says it: `40 s`, `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def failure_sentence(run_results: Mapping[str, Any], errors: Mapping[str, str] | None = None, stopped: str = "") -> str:
    """Return one sentence on the models and tests that failed in a `run_results.json`; `errors` as `Progress` saw them.

    `stopped` is the error that kept dbt from running any.
    """
    reasons = [f"{name}: {reason}" for name, reason in _failed(run_results, errors or {})]
    if not reasons:
        return "dbt stopped before it ran anything" + (f": {stopped}" if stopped else "")
    more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
    return "; ".join(reasons[:3]) + more


def may_pass_later(run_results: Mapping[str, Any], errors: Mapping[str, str] | None = None, stopped: str = "") -> bool:
    """A failed test or a wrong query fails again on the same rows; a disturbed disk or memory may not."""
    reasons = [reason for _, reason in _failed(run_results, errors or {})] or [stopped]
    return all(any(word in reason for word in PASSING_ERRORS) for reason in reasons)


def _failed(run_results: Mapping[str, Any], errors: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the kind and name of each model and test that failed, with the reason on one line."""
    failed = [r for r in run_results["results"] if r["status"] in ("error", "fail", "runtime error")]
    return [
        (
            " ".join(result["unique_id"].split(".")[0:3:2]),
            " ".join((errors.get(result["unique_id"]) or str(result.get("message") or "")).split()),
        )
        for result in failed
    ]
