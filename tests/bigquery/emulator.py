"""An emulator of BigQuery for a test: its tables written and read, on ports of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.bigquery.project import PROJECT_ID

PATIENCE_SECONDS = 120
# The words of the raw contract in those of the load job.
LOAD_TYPES = {"varchar": "STRING", "bigint": "INT64", "double": "FLOAT64", "date": "DATE", "timestamp": "TIMESTAMP"}
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    endpoint: str
    client: bigquery.Client

    def load(self, schema: str, table: str, columns: Mapping[str, str], parquet: Path) -> None:
        """Load a file as a table, which is made anew with these columns."""
        self.client.create_dataset(schema, exists_ok=True)
        job = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            schema=[bigquery.SchemaField(name, LOAD_TYPES[word]) for name, word in columns.items()],
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        )
        with parquet.open("rb") as file:
            self.client.load_table_from_file(file, f"{PROJECT_ID}.{schema}.{table}", job_config=job).result()

    def rows(self, query: str) -> Rows:
        """The rows of a query, instants as UTC without a zone."""
        return [tuple(_plain(value) for value in row.values()) for row in self.client.query(query).result()]


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


@contextmanager
def running_emulator(folder: Path) -> Iterator[Emulator]:
    """Start an emulator that keeps its tables in memory; its log is in `folder`."""
    rest, grpc = _free_port(), _free_port()
    log = folder / "emulator.log"
    command = [sys.executable, "-m", "tests.bigquery.emulator_process", "start", "--log-level", "error"]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, "--rest-port", str(rest), "--grpc-port", str(grpc)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(process, rest, log)
        endpoint = f"http://127.0.0.1:{rest}"
        options = ClientOptions(api_endpoint=endpoint)
        yield Emulator(endpoint, bigquery.Client(PROJECT_ID, AnonymousCredentials(), client_options=options))
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"The emulator did not start: {log.read_text(encoding='utf-8')[-2000:]}")
