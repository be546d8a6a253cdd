"""The dbt project seen from the orchestrator: its manifest, its environment, its progress and its failures."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from orchestration.close import vars_args
from orchestration.month_files import months_dir
from orchestration.settings import DBT_PROJECT_DIR, ConfigurationError, Settings
from orchestration.warehouse import Report, working_copy

DBT = str(Path(sys.executable).with_name("dbt"))
SOURCES = ("*.yml", "models/**/*", "macros/**/*", "seeds/**/*", "snapshots/**/*", "tests/**/*")
PASSING_ERRORS = ("IO Error", "Out of Memory", "Connection Error", "Interrupt")


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
    manifest, key_file = target / "manifest.json", target / "manifest.key"
    key = _project_key(settings)

    def fits() -> bool:
        return manifest.exists() and key_file.exists() and key_file.read_text(encoding="utf-8") == key

    if fits():
        return manifest
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(target / "manifest.lock"):
        # Another process may have parsed it in the meantime.
        if not fits():
            _parse(settings)
            key_file.write_text(key, encoding="utf-8")
    return manifest


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
    command = [DBT, "--quiet", "--no-use-colors", "parse", *vars_args(settings.overrides)]
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


class Progress:
    """Turns dbt's events into lines such as `closing 2025-03: month 17 of 36, about 12 s left`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._started: float | None = None
        # The first error of each model, which dbt leaves out of the result of a microbatch model.
        self.errors: dict[str, str] = {}

    def see(self, event: Mapping[str, Any]) -> None:
        """Report what a raw dbt event says about the work, if anything."""
        name, data = event["info"]["name"], event["data"]
        if name == "GenericExceptionOnRun":
            self.errors.setdefault(data["unique_id"], str(data["exc"]))
        if name == "LogStartBatch":
            done, total = int(data["batch_index"]) - 1, int(data["total_batches"])
            month = str(data["description"]).split()[1][:7]
            self._report(f"  closing {month}: month {done + 1} of {total}{self._time_left(done, total)}")
        elif name == "LogModelResult" and data.get("status") not in ("error", "skipped"):
            relation = data["node_info"].get("node_relation", {})
            if relation.get("schema") == "marts":
                self._report(f"  {relation['schema']}.{relation['alias']}")

    def _time_left(self, done: int, total: int) -> str:
        now = time.monotonic()
        if self._started is None:
            self._started = now
        if not done:
            return ""
        return f", about {duration((now - self._started) / done * (total - done))} left"


def duration(seconds: float) -> str:
    """Return a duration as a person says it: `40 s`, `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def failure_sentence(run_results: Mapping[str, Any], errors: Mapping[str, str] | None = None) -> str:
    """Return one sentence on the models and tests that failed in a `run_results.json`; `errors` as `Progress` saw them."""
    reasons = [f"{name}: {reason}" for name, reason in _failed(run_results, errors or {})]
    if not reasons:
        return "dbt stopped before it ran anything"
    more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
    return "; ".join(reasons[:3]) + more


def may_pass_later(run_results: Mapping[str, Any], errors: Mapping[str, str] | None = None) -> bool:
    """A failed test or a wrong query fails again on the same rows; a disturbed disk or memory may not."""
    return all(any(word in reason for word in PASSING_ERRORS) for _, reason in _failed(run_results, errors or {}))


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
