"""The cluster that one command starts: a real one, reachable from this machine alone, that ends without a trace."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.spark import cluster as module
from orchestration.spark.cluster import HOST, Cluster, SparkClusterError, main, running, start, stop
from tests.engines.warehouse import rows, spark

# ---- without a cluster ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def spark_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """PySpark is there for the tests that start nothing."""
    if request.node.get_closest_marker("engines") is None:
        monkeypatch.setattr(module, "_spark_home", lambda: tmp_path)


def java(folder: Path, says: str) -> Path:
    """Make a program `java` that says its version; return its home."""
    program = folder / "jdk" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return program.parent.parent


def test_without_java_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SparkClusterError, match=r"none on the PATH; install Java 17 .*apt-get install openjdk-17-jre-headless"):
        start(tmp_path / "cluster")
    assert not (tmp_path / "cluster").exists()


def test_a_java_home_without_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SparkClusterError, match=f"{tmp_path}/bin/java does not run"):
        start(tmp_path / "cluster")


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_an_old_java_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, f'openjdk version "{version}"')))
    with pytest.raises(SparkClusterError, match=f"{version}.*too old for Spark"):
        start(tmp_path / "cluster")


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, 'openjdk version "17.0.15"')))
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SparkClusterError, match=f"Port {port} on 127.0.0.1 is taken"):
            start(tmp_path / "cluster", port=port)


@pytest.mark.parametrize("memory", ["", "2", "2 GB", "much"])
def test_a_size_that_is_none_is_refused(tmp_path: Path, memory: str) -> None:
    with pytest.raises(SparkClusterError, match=r"allowed: a size such as 2g or 1500m"):
        start(tmp_path / "cluster", memory=memory)


def test_no_cluster_is_said_with_the_command_that_starts_one(tmp_path: Path) -> None:
    with pytest.raises(SparkClusterError, match="start one with: make spark-up"):
        running(tmp_path)
    assert stop(tmp_path) is False
    result = CliRunner().invoke(main, ["status", "--folder", str(tmp_path)])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)


# ---- with the cluster -------------------------------------------------------------------------------------------------


@pytest.mark.engines
def test_status_says_where_it_listens(cluster: Cluster) -> None:
    result = CliRunner().invoke(main, ["status", "--folder", str(cluster.folder)])
    assert result.exit_code == 0
    assert "2 executors" in result.output
    assert f"{cluster.host}:{cluster.port}" in result.output


@pytest.mark.engines
def test_a_second_start_finds_the_cluster(cluster: Cluster) -> None:
    assert start(cluster.folder) == cluster


@pytest.mark.engines
def test_it_is_reachable_from_this_machine_alone(cluster: Cluster) -> None:
    import psutil

    processes = [psutil.Process(pid) for pid in cluster.pids.values()]
    processes += [child for process in processes for child in process.children(recursive=True)]
    addresses = {c.laddr.ip for p in processes for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert addresses <= {HOST, f"::ffff:{HOST}"}
    assert addresses


@pytest.mark.engines
def test_work_goes_to_every_executor(cluster: Cluster) -> None:
    with spark(cluster) as cursor:
        cursor.execute("select count(distinct id % 1000) from range(0, 2000000, 1, 8)")
        assert rows(cursor) == [(1000,)]
    executors = cluster.executors()
    assert len(executors) == 2
    assert all(executor["totalTasks"] > 0 for executor in executors)
    ran = {event["Task Info"]["Executor ID"] for event in cluster.events() if event["Event"] == "SparkListenerTaskEnd"}
    assert ran == {executor["id"] for executor in executors}


@pytest.mark.engines
def test_the_profile_decides_what_sql_means(cluster: Cluster) -> None:
    with spark(cluster) as cursor:
        cursor.execute("select current_timezone(), typeof(timestamp '2024-01-01 00:00:00')")
        assert rows(cursor) == [("UTC", "timestamp")]
        for sql in ("cast('31/12/2024' as date)", "cast('x' as int)", "cast(2147483648 as int)", "1 / 0"):
            with pytest.raises(Exception, match=r"CAST_INVALID_INPUT|CAST_OVERFLOW|DIVIDE_BY_ZERO"):
                cursor.execute(f"select {sql}")
                cursor.fetchall()


@pytest.mark.engines
def test_it_ends_without_a_trace_and_finds_its_tables_again(tmp_path: Path) -> None:
    import psutil

    folder = tmp_path / "with a space"
    first = start(folder, workers=1, memory="1g", driver_memory="1g")
    processes = [psutil.Process(pid) for pid in first.pids.values()]
    processes += [child for process in processes for child in process.children(recursive=True)]
    try:
        with spark(first) as cursor:
            cursor.execute("create table kept as select timestamp '2024-02-29 12:00:00' as at")
    finally:
        assert stop(folder) is True
    # A process that ended stays as a zombie until the system takes note.
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert list(first.events())[-1]["Event"] == "SparkListenerApplicationEnd"
    try:
        with spark(start(folder, workers=1, memory="1g", driver_memory="1g")) as cursor:
            cursor.execute("select cast(at as string) from kept")
            assert rows(cursor) == [("2024-02-29 12:00:00",)]
    finally:
        stop(folder)
