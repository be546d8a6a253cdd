"""A Spark cluster for the tests marked `engines`: master, two workers and Thrift server, started once per session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.spark.cluster import Cluster, start, stop


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster; with BATHTUB_TEST_SPARK set to a folder, it stays there for the next session."""
    kept = os.environ.get("BATHTUB_TEST_SPARK")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("spark")
    yield start(folder)
    if not kept:
        stop(folder)
