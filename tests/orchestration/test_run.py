"""Dagster's folder, as processes that start together make it."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from threading import Barrier

from orchestration.run import open_instance
from orchestration.settings import load_settings

PROCESSES = 3


def _open(home: Path, together: Barrier) -> int:
    settings = load_settings({"DAGSTER_HOME": str(home)})
    together.wait()
    with open_instance(settings) as instance:
        return instance.get_runs_count()


def test_processes_that_start_together_make_dagsters_folder_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    # Imported before they meet, so that all open in the same instant.
    workers = ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=import_module, initargs=("dagster",))
    with context.Manager() as manager, workers as pool:
        together = manager.Barrier(PROCESSES)
        for attempt in range(3):
            home = tmp_path / str(attempt)
            assert list(pool.map(_open, [home] * PROCESSES, [together] * PROCESSES)) == [0] * PROCESSES
