"""A standalone Spark cluster on this machine, for tests, CI and a first try: a master, workers and a Thrift server.

It is started from the classes that pip's PySpark brings, listens on 127.0.0.1 alone, and keeps everything in one folder:

    warehouse/, metastore_db/   tables, and the catalog that names them
    events/                     Spark's event logs, one file per application
    logs/, pids/                of each process
    conf/, work/, tmp/          written anew at each start

`python -m orchestration.spark.cluster --help` is the command; `start`, `stop` and `running` do the same for Python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestration.settings import PROJECT_ROOT

if TYPE_CHECKING:
    import psutil

HOST = "127.0.0.1"
DEFAULT_FOLDER = PROJECT_ROOT / "data" / "spark"
DEFAULT_PORT = 10000
OLDEST_JAVA = 17
START_SECONDS = 180
STOP_SECONDS = 30

Ready = TypeVar("Ready")


class SparkClusterError(Exception):
    """The cluster cannot be started, or is not running; the message says why and what to do."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster: where it listens, and its processes by name (`master`, `worker-1`, …, `thrift`)."""

    folder: Path
    host: str
    port: int
    master: str
    driver_ui: str
    application: str
    pids: Mapping[str, int]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make dbt and the orchestrator use this cluster."""
        return {"BATHTUB_TARGET": "spark", "BATHTUB_SPARK_HOST": self.host, "BATHTUB_SPARK_PORT": str(self.port)}

    @property
    def warehouse(self) -> Path:
        """The folder of the tables."""
        return self.folder / "warehouse"

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield Spark's own record of what ran where, as far as it is written (the whole of it once the cluster is stopped)."""
        path = next(path for path in (self.folder / "events").iterdir() if self.application in path.name)
        with path.open(encoding="utf-8", newline="\n") as lines:
            yield from (json.loads(line) for line in lines if line.endswith("\n"))

    def executors(self) -> list[dict[str, Any]]:
        """Return what Spark's REST interface says of each executor, dead ones too, the driver left out.

        Raises:
            SparkClusterError: the cluster does not answer.
        """
        url = f"{self.driver_ui}/api/v1/applications/{self.application}/allexecutors"
        try:
            executors: list[dict[str, Any]] = _get(url)
        except OSError as error:
            raise SparkClusterError(
                f"The Spark cluster in {self.folder} does not answer ({error}); see {_log(self, 'thrift')}."
            ) from error
        return [executor for executor in executors if executor["id"] != "driver"]


def _log(cluster: Cluster, name: str) -> Path:
    return cluster.folder / "logs" / f"{name}.log"


# ---- start ------------------------------------------------------------------------------------------------------------


def start(
    folder: Path,
    *,
    port: int = 0,
    workers: int = 2,
    cores: int = 1,
    memory: str = "2g",
    driver_memory: str = "2g",
    conf: Mapping[str, str] | None = None,
) -> Cluster:
    """Start a cluster in a folder and wait until it takes queries and all its workers have joined.

    Args:
        folder: where it keeps everything; tables of an earlier cluster there are found again.
        port: where the Thrift server listens; 0 takes a free one.
        workers, cores, memory: how many workers, and what each of them gets.
        driver_memory: what the Thrift server gets, which plans queries and collects results.
        conf: further Spark settings, over those of this module.

    Returns:
        The cluster; the one that runs in the folder already, if there is one.

    Raises:
        SparkClusterError: a size is none, Java or PySpark is missing, the port is taken, a process ended or took too long.
    """
    folder = folder.resolve()
    with suppress(SparkClusterError):
        return running(folder)
    for size in (memory, driver_memory):
        if not re.fullmatch(r"[1-9]\d*[mg]", size):
            raise SparkClusterError(f"Memory {size!r} of the Spark cluster; allowed: a size such as 2g or 1500m.")
    spark_home = _spark_home()
    java = _java()
    # What an earlier cluster left behind when one of its processes died.
    stop(folder)
    port = _port(port)
    _clear(folder)
    environment = _environment(folder, spark_home, java)
    launch = _Launcher(folder, spark_home / "bin", environment)
    try:
        return _start(
            launch, port, workers, cores, memory, _settings(folder, workers * cores, memory, cores, driver_memory, conf)
        )
    except BaseException:
        stop(folder)
        raise


@dataclass(frozen=True)
class _Launcher:
    folder: Path
    bin: Path
    environment: Mapping[str, str]

    def __call__(self, name: str, program: str, *arguments: str) -> int:
        """Start a process that outlives this one; return its pid, which is also in `pids/<name>`."""
        with (self.folder / "logs" / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(self.bin / program), *arguments],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.folder / "pids" / name).write_text(str(process.pid), encoding="utf-8")
        return process.pid


def _start(launch: _Launcher, port: int, workers: int, cores: int, memory: str, settings: Mapping[str, str]) -> Cluster:
    folder = launch.folder
    lines = [f"{name} {value}\n" for name, value in sorted(settings.items())]
    (folder / "conf" / "spark-defaults.conf").write_text("".join(lines), encoding="utf-8")
    (folder / "conf" / "log4j2.properties").write_text(LOGGING, encoding="utf-8")

    master_port, master_ui = _free_port(), _free_port()
    master = f"spark://{HOST}:{master_port}"
    launch(
        "master",
        "spark-class",
        "org.apache.spark.deploy.master.Master",
        "--host",
        HOST,
        "--port",
        str(master_port),
        "--webui-port",
        str(master_ui),
    )
    _wait(folder, "the master", lambda: _get(f"http://{HOST}:{master_ui}/json/"))
    for number in range(1, workers + 1):
        launch(
            f"worker-{number}",
            "spark-class",
            "org.apache.spark.deploy.worker.Worker",
            "--host",
            HOST,
            "--cores",
            str(cores),
            "--memory",
            memory,
            "--work-dir",
            str(folder / "work" / str(number)),
            "--webui-port",
            str(_free_port()),
            master,
        )
    launch(
        "thrift",
        "spark-submit",
        "--master",
        master,
        "--class",
        "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
        "--name",
        "bathtub",
        "spark-internal",
        "--hiveconf",
        f"hive.server2.thrift.bind.host={HOST}",
        "--hiveconf",
        f"hive.server2.thrift.port={port}",
        "--hiveconf",
        "hive.server2.authentication=NOSASL",
    )
    driver_ui = f"http://{HOST}:{settings['spark.ui.port']}"
    application = _wait(folder, "the Thrift server", lambda: _application(driver_ui, port))
    cluster = Cluster(folder, HOST, port, master, driver_ui, application, _pids(folder))
    _wait(folder, f"{workers} workers", lambda: len([e for e in cluster.executors() if e["isActive"]]) >= workers)
    _record(folder).write_text(json.dumps(asdict(cluster), default=str, indent=2), encoding="utf-8")
    return cluster


def _settings(
    folder: Path, cores: int, memory: str, cores_per_worker: int, driver_memory: str, conf: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the contents of `spark-defaults.conf`: what suits one machine. What SQL means is set by `profiles.yml`."""
    return {
        # Jobs come through the Thrift server alone.
        "spark.master.rest.enabled": "false",
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.driver.memory": driver_memory,
        "spark.executor.memory": memory,
        "spark.executor.cores": str(cores_per_worker),
        "spark.ui.port": str(_free_port()),
        # A port that is taken ends the process, which says so, instead of being replaced by another one.
        "spark.port.maxRetries": "0",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(folder / "events"),
        # One plain file per application, so that it can be read while it grows.
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        # The same instants in Spark, in the JVM's older classes, which the Thrift server uses, and in the files.
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.defaultJavaOptions": "-Duser.timezone=UTC",
        "spark.executor.defaultJavaOptions": "-Duser.timezone=UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # A shuffle into 200 parts, Spark's default, costs more than the work itself on a few cores; adaptive execution
        # merges small parts.
        "spark.sql.shuffle.partitions": str(max(4, 4 * cores)),
        "spark.sql.adaptive.enabled": "true",
        # All data is on this machine.
        "spark.locality.wait": "0",
        **(conf or {}),
    }


LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss} %p %c{1}: %m%n%ex
# A folder that the Thrift server looks for and does without.
logger.shell.name = org.apache.hadoop.util.Shell
logger.shell.level = error
"""


def _spark_home() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise SparkClusterError("PySpark is not installed beside Python; run: make .venv/.engines")
    return Path(spec.origin).parent


def _java() -> str:
    """Return the path of a Java that Spark runs on."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    remedy = (
        f"install Java {OLDEST_JAVA} or later (Debian and Ubuntu: apt-get install openjdk-17-jre-headless), or set JAVA_HOME"
    )
    if java is None:
        raise SparkClusterError(f"Spark needs Java and there is none on the PATH; {remedy}.")
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError) as error:
        raise SparkClusterError(f"Spark needs Java and {java} does not run ({error}); {remedy}.") from error
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise SparkClusterError(f"{java} is {said.splitlines()[0]}, too old for Spark; {remedy}.")
    return java


def _port(wanted: int) -> int:
    if not wanted:
        return _free_port()
    with socket.socket() as probe:
        if probe.connect_ex((HOST, wanted)) == 0:
            raise SparkClusterError(
                f"Port {wanted} on {HOST} is taken by another program; choose another one with --port (or BATHTUB_SPARK_PORT)."
            )
    return wanted


def _free_port() -> int:
    """Return a free port below those that systems give to outgoing connections, so that it stays free until it is used."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise SparkClusterError(f"There is no free port on {HOST} between 20000 and 32000; stop a program that listens there.")


def _clear(folder: Path) -> None:
    """Make the folders; those of the processes are emptied, tables and event logs stay."""
    for name in ("conf", "work", "tmp", "pids", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    try:
        for name in ("conf", "work", "tmp", "pids", "logs", "events", "warehouse"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SparkClusterError(f"The folder of the Spark cluster, {folder}, cannot be written ({error.strerror}).") from error


def _environment(folder: Path, spark_home: Path, java: str) -> dict[str, str]:
    """Return the processes' environment; settings of another Spark on this machine stay out."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "HADOOP_", "HIVE_"))}
    return ours | {
        "SPARK_HOME": str(spark_home),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_LOCAL_DIRS": str(folder / "tmp"),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_DAEMON_MEMORY": "512m",
        # Master and workers live long and do little: they start faster without the JVM's second compiler.
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "JAVA_HOME": str(Path(java).resolve().parent.parent),
        "TZ": "UTC",
    }


def _application(driver_ui: str, port: int) -> str | None:
    """Return the id of the Thrift server's Spark application once it takes connections, else None."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) != 0:
            return None
    applications = _get(f"{driver_ui}/api/v1/applications")
    return str(applications[0]["id"]) if applications else None


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def _wait(folder: Path, what: str, ready: Callable[[], Ready | None]) -> Ready:
    """Return what `ready` returns once that is true; an OSError of it means not yet."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for name, pid in _pids(folder).items():
            if _process(pid) is None:
                raise SparkClusterError(f"The Spark process {name} ended at its start: {_last_line(folder, name)}")
        with suppress(OSError):
            if found := ready():
                return found
        time.sleep(0.2)
    raise SparkClusterError(f"Waited {START_SECONDS} s for {what} of the Spark cluster in vain; see {folder / 'logs'}.")


def _last_line(folder: Path, name: str) -> str:
    path = folder / "logs" / f"{name}.log"
    lines = [
        line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if "rror" in line or "xception" in line
    ]
    return f"{lines[0].strip() if lines else 'it says nothing'} (log: {path})"


# ---- stop, status -----------------------------------------------------------------------------------------------------


def stop(folder: Path) -> bool:
    """Stop the cluster of a folder, the Thrift server first, so that its event log is complete.

    Returns:
        Whether there was one.
    """
    folder = folder.resolve()
    _record(folder).unlink(missing_ok=True)
    pids = _pids(folder)
    order = sorted(pids, key=lambda name: (name != "thrift", name == "master", name))
    found = [name for name in order if _stop_process(pids[name])]
    shutil.rmtree(folder / "pids", ignore_errors=True)
    return bool(found)


def running(folder: Path) -> Cluster:
    """Return the cluster that runs in a folder.

    Raises:
        SparkClusterError: none does, or one of its main processes is gone.
    """
    folder = folder.resolve()
    try:
        kept = json.loads(_record(folder).read_text(encoding="utf-8"))
    except OSError as error:
        raise SparkClusterError(f"No Spark cluster runs in {folder}; start one with: make spark-up") from error
    cluster = Cluster(**{**kept, "folder": folder})
    for name in ("master", "thrift"):
        if _process(cluster.pids[name]) is None:
            raise SparkClusterError(
                f"The Spark process {name} in {folder} is gone (log: {_log(cluster, name)}); run: make spark-down spark-up"
            )
    return cluster


def _record(folder: Path) -> Path:
    return folder / "cluster.json"


def _pids(folder: Path) -> dict[str, int]:
    return {path.name: int(path.read_text(encoding="utf-8")) for path in sorted((folder / "pids").glob("*"))}


def _process(pid: int) -> psutil.Process | None:
    """Return the running Spark process of a pid, else None: after a restart of the machine, a pid may be another program's."""
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(pid)
        words = process.cmdline()
        # Between two programs, when the start script becomes Java, a process has no command line.
        is_ours = not words or any("spark" in word for word in words)
        if is_ours and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _stop_process(pid: int) -> bool:
    """End a process, by force when it does not end by itself; return whether it was there."""
    import psutil

    process = _process(pid)
    if process is None:
        return False
    with suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
    return True


# ---- the command ------------------------------------------------------------------------------------------------------


class _Commands(click.Group):
    """Ends what a user can mend with one sentence and exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SparkClusterError as error:
            raise click.ClickException(str(error)) from error


_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="Where the cluster keeps everything.",
)


@click.group(cls=_Commands)
def main() -> None:
    """A Spark cluster on this machine: a master, workers, and a Thrift server that takes SQL."""


@main.command("start")
@_folder
@click.option(
    "--port", default=DEFAULT_PORT, show_default=True, envvar="BATHTUB_SPARK_PORT", help="Of the Thrift server; 0: a free one."
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1))
@click.option("--cores", default=1, show_default=True, type=click.IntRange(1), help="Of each worker.")
@click.option("--memory", default="2g", show_default=True, help="Of each worker.")
@click.option("--driver-memory", default="2g", show_default=True, help="Of the Thrift server, which plans and collects.")
@click.option("--conf", multiple=True, metavar="NAME=VALUE", help="A further Spark setting; may be repeated.")
def start_command(
    folder: Path, port: int, workers: int, cores: int, memory: str, driver_memory: str, conf: tuple[str, ...]
) -> None:
    """Start the cluster and wait until it takes queries."""
    further = {name: value for name, _, value in (setting.partition("=") for setting in conf)}
    cluster = start(folder, port=port, workers=workers, cores=cores, memory=memory, driver_memory=driver_memory, conf=further)
    _show(cluster)


@main.command("stop")
@_folder
def stop_command(folder: Path) -> None:
    """Stop the cluster; its tables stay."""
    click.echo("Stopped." if stop(folder) else f"No Spark cluster runs in {folder.resolve()}.")


@main.command("status")
@_folder
def status_command(folder: Path) -> None:
    """Say where the cluster listens, and how many executors work."""
    _show(running(folder))


def _show(cluster: Cluster) -> None:
    executors = [executor for executor in cluster.executors() if executor["isActive"]]
    click.echo(f"A Spark cluster of {len(executors)} executors runs in {cluster.folder}.")
    click.echo(f"  SQL (Thrift)  {cluster.host}:{cluster.port}")
    click.echo(f"  Spark's page  {cluster.driver_ui}")
    click.echo("Use it with: " + " ".join(f"{name}={value}" for name, value in cluster.environment.items()))


if __name__ == "__main__":
    main(prog_name="python -m orchestration.spark.cluster")
