"""The monthly close run through Dagster from a command, so that its page shows the run like any other."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from orchestration.close import CloseError
from orchestration.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance


# The tag of a run that says which process of which machine it is in.
PROCESS = "bathtub/process"


def prepare_dagster_home(settings: Settings) -> None:
    """Make Dagster's folder, with our instance settings unless it has its own, and point Dagster to it."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    instance_settings = settings.dagster_home / "dagster.yaml"
    with _alone_in(settings):
        if not instance_settings.exists():
            shutil.copyfile(Path(__file__).with_name("dagster.yaml"), instance_settings)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


def open_instance(settings: Settings) -> DagsterInstance:
    """Open Dagster's instance in its folder, both made where they are missing; any number of processes may do so at once."""
    prepare_dagster_home(settings)
    from dagster import DagsterInstance

    # SQLAlchemy looks for each table before it makes it: two processes could both find it missing.
    with _alone_in(settings):
        return DagsterInstance.get()


def close_through_dagster(settings: Settings, months: list[date], verbose: bool, tags: Mapping[str, str] | None = None) -> None:
    """Run the job `monthly_close` over consecutive months in this process, with further `tags` of the run.

    Raises:
        CloseError: a step failed; the message says why.
    """
    from orchestration.definitions import definitions
    from orchestration.event_log import in_batches
    from orchestration.jobs import monthly_close, partition_range

    level = "DEBUG" if verbose else "CRITICAL"
    with open_instance(settings) as instance, in_batches(instance), quiet(verbose):
        end_killed_runs(instance)
        result = definitions.resolve_job_def(monthly_close.name).execute_in_process(
            instance=instance,
            tags={**partition_range(months), PROCESS: f"{socket.gethostname()}/{os.getpid()}", **(tags or {})},
            run_config={"loggers": {"console": {"config": {"log_level": level}}}},
            raise_on_error=False,
        )
    if not result.success:
        reasons = [_reason(event) for event in result.all_events if event.is_step_failure]
        raise CloseError(" ".join(reasons) or f"The run {result.run_id} failed; its log is in Dagster's page (make dev).")


def end_killed_runs(instance: DagsterInstance) -> None:
    """Mark the runs whose command was killed on this machine as failed; Dagster would show them as under way for good."""
    from dagster import DagsterRunStatus, RunsFilter

    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])):
        host, _, process = run.tags.get(PROCESS, "").partition("/")
        if host == socket.gethostname() and not _is_alive(int(process)):
            instance.report_run_failed(run, "The command was killed; readers kept the last good state.")
            # Nothing waits for what it held, where somebody has given the steps a pool.
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _alone_in(settings: Settings) -> FileLock:
    """Return the lock under which one process at a time makes what is missing in Dagster's folder."""
    return FileLock(settings.dagster_home / "making.lock")


@contextlib.contextmanager
def quiet(is_verbose: bool) -> Iterator[None]:
    """Keep dbt's log lines, which Dagster repeats on standard output, in the log of the run only."""
    if is_verbose:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _reason(event: DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "A step failed."
