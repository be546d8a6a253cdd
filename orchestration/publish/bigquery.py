"""The marts in BigQuery: loaded beside the tables that people read, compared, then put in place in one transaction.

Tables stay and their rows are replaced, as in PostgreSQL (docs/decisions/0015): a query sees the rows of before or all of the
new ones.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from orchestration.publish import PublishError
from orchestration.publish.catalog import Column, Mart
from orchestration.publish.extract import Extract, Row
from orchestration.publish.files import as_parquet
from orchestration.publish.status import with_status

if TYPE_CHECKING:
    from google.cloud import bigquery

TYPES = {
    "date": "DATE",
    "bigint": "INT64",
    "double": "FLOAT64",
    "varchar": "STRING",
    "boolean": "BOOL",
    "timestamp": "TIMESTAMP",
}
# BigQuery says them in two ways.
OTHER_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
# What a publication that was killed leaves behind goes by itself.
STAGING_LIVES = timedelta(days=1)
EPOCH = date(1970, 1, 1)
LINKING_URL = "https://datastudio.google.com/reporting/create"


@dataclass(frozen=True)
class BigQueryPublication:
    """What a publication put in place."""

    n_marts: int
    n_rows: int


def connected(dataset: str) -> bigquery.Client:
    """Return a client with the credentials that the machine offers (Application Default Credentials).

    Args:
        dataset: `project.dataset`.

    Raises:
        PublishError: the library is not installed, or there are no credentials.
    """
    try:
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud import bigquery
    except ModuleNotFoundError as error:
        raise PublishError(
            f"Publishing to BigQuery needs Google's library ({error.name} is missing); install it into .venv with: "
            ".venv/bin/uv pip install google-cloud-bigquery"
        ) from error
    try:
        return bigquery.Client(project=dataset.partition(".")[0])
    except DefaultCredentialsError as error:
        raise PublishError(
            "BATHTUB_BIGQUERY_DATASET is set and this machine has no Google credentials; set GOOGLE_APPLICATION_CREDENTIALS to "
            "a key file, or run: gcloud auth application-default login"
        ) from error


def publish(
    client: bigquery.Client, dataset: str, content: Extract, now: datetime, open_critical_incidents: int
) -> BigQueryPublication:
    """Put all marts in place, or none.

    A table whose columns changed is replaced as a whole just before the others: for that moment, the two do not agree.

    Args:
        client: who publishes.
        dataset: `project.dataset`, which is there already.
        content: what is published.
        now: when.
        open_critical_incidents: how many critical alerts are open.

    Raises:
        PublishError: BigQuery refused, or what it holds is not what was sent.
    """
    tables = with_status(content, now, open_critical_incidents)
    suffix = f"__loading_{now.astimezone(UTC):%Y%m%d%H%M%S}"
    with _told(dataset):
        client.get_dataset(dataset)
        staged = []
        try:
            for mart, rows in tables:
                place = f"{dataset}.{mart.name}{suffix}"
                staged.append(place)
                _load(client, place, mart, rows, now)
                _compare(client, place, mart, rows)
            for mart, _ in tables:
                _prepare(client, f"{dataset}.{mart.name}", f"{dataset}.{mart.name}{suffix}", mart)
            client.query(_in_place(dataset, suffix, [mart for mart, _ in tables])).result()
        finally:
            for place in staged:
                client.delete_table(place, not_found_ok=True)
    return BigQueryPublication(len(content.marts), content.n_rows)


@contextmanager
def _told(dataset: str) -> Iterator[None]:
    from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound

    try:
        yield
    except NotFound as error:
        raise PublishError(
            f"BigQuery has no dataset {dataset}, or hides it from the publisher; make it where your data may be, for example: "
            f"bq mk --location=EU --dataset {dataset.replace('.', ':', 1)}"
        ) from error
    except Forbidden as error:
        raise PublishError(
            f"BigQuery does not let the publisher write to {dataset}; it needs the roles BigQuery Data Editor on the dataset "
            "and BigQuery Job User on the project."
        ) from error
    except GoogleAPICallError as error:
        raise PublishError(
            f"Publishing to BigQuery failed ({str(error.message).splitlines()[0]}); readers see what was published before. "
            "Run again: make publish"
        ) from error


def _schema(mart: Mart) -> list[bigquery.SchemaField]:
    from google.cloud import bigquery

    return [bigquery.SchemaField(c.name, TYPES[c.data_type], description=c.description[:1024]) for c in mart.columns]


def _load(client: bigquery.Client, place: str, mart: Mart, rows: Sequence[Row], now: datetime) -> None:
    from google.cloud import bigquery

    table = bigquery.Table(place, schema=_schema(mart))
    table.expires = now.astimezone(UTC) + STAGING_LIVES
    client.create_table(table)
    job = bigquery.LoadJobConfig(source_format=bigquery.SourceFormat.PARQUET, schema=_schema(mart))
    client.load_table_from_file(io.BytesIO(as_parquet(mart, rows)), place, job_config=job).result()


def _compare(client: bigquery.Client, place: str, mart: Mart, rows: Sequence[Row]) -> None:
    """Compare the rows and a sum of each column with what was sent.

    Raises:
        PublishError: they differ.
    """
    sums = [f"count({c.name}), {_sum_there(c)}" for c in mart.columns]
    found = next(iter(client.query(f"select count(*), {', '.join(sums)} from `{place}`").result())).values()
    sent: list[Any] = [len(rows)]
    for place_in_row, column in enumerate(mart.columns):
        values = [row[place_in_row] for row in rows if row[place_in_row] is not None]
        sent += [len(values), _sum_here(column, values)]
    if not all(_agree(here, there or 0) for here, there in zip(sent, found, strict=True)):
        raise PublishError(
            f"What BigQuery holds of {mart.name} is not what was sent; nothing was published. Run again: make publish"
        )


def _sum_there(column: Column) -> str:
    return {
        "date": f"sum(date_diff({column.name}, date '{EPOCH}', day))",
        "bigint": f"sum({column.name})",
        "double": f"sum({column.name})",
        "varchar": f"sum(char_length({column.name}))",
        "boolean": f"countif({column.name})",
        "timestamp": f"sum(unix_seconds({column.name}))",
    }[column.data_type]


def _sum_here(column: Column, values: Iterable[Any]) -> Any:
    of: Mapping[str, Callable[[Any], Any]] = {
        "date": lambda value: (value - EPOCH).days,
        "varchar": len,
        "timestamp": lambda value: math.floor(value.timestamp()),
    }
    return sum(map(of.get(column.data_type, lambda value: value), values))


def _agree(here: Any, there: Any) -> bool:
    return math.isclose(here, there, rel_tol=1e-9, abs_tol=1e-9) if isinstance(here, float) else here == there


def _prepare(client: bigquery.Client, place: str, staged: str, mart: Mart) -> None:
    """Make a table that is not there, add new columns, and replace a table that lost columns or changed their types."""
    from google.cloud import bigquery

    table = client.create_table(bigquery.Table(place, schema=_schema(mart)), exists_ok=True)
    wanted = {column.name: TYPES[column.data_type] for column in mart.columns}
    there = {field.name: OTHER_NAMES.get(field.field_type, field.field_type) for field in table.schema}
    if any(wanted.get(name) != kind for name, kind in there.items()):
        client.query(f"create or replace table `{place}` as select * from `{staged}`").result()
        table = client.get_table(place)
    described = {field.name: field for field in _schema(mart)}
    new = [name for name in described if name not in {field.name for field in table.schema}]
    if new:
        columns = ", ".join(f"add column {name} {wanted[name]}" for name in new)
        client.query(f"alter table `{place}` {columns}").result()
        table = client.get_table(place)
    table.schema = [described[field.name] for field in table.schema]
    table.description = mart.description
    client.update_table(table, ["schema", "description"])


def _in_place(dataset: str, suffix: str, marts: Iterable[Mart]) -> str:
    """One transaction over all tables: queries that run meanwhile see what was there when they began."""
    statements = ["begin transaction"]
    for mart in marts:
        names = ", ".join(column.name for column in mart.columns)
        statements.append(f"delete from `{dataset}.{mart.name}` where true")
        statements.append(f"insert into `{dataset}.{mart.name}` ({names}) select {names} from `{dataset}.{mart.name}{suffix}`")
    return ";\n".join([*statements, "commit transaction"]) + ";"


def linking_url(dataset: str, marts: Sequence[Mart], report_id: str = "") -> str:
    """Return the address that opens a new Looker Studio report with the published tables connected, one alias for each.

    Source: https://developers.google.com/looker-studio/integrate/linking-api. It has a BigQuery connector and none for
    PostgreSQL.

    Args:
        dataset: `project.dataset`.
        marts: the published marts; their status comes with them.
        report_id: a report to copy; without one, the report is empty.
    """
    project, _, name = dataset.partition(".")
    fields = {"c.mode": "edit", "r.reportName": "Bathtub"}
    if report_id:
        fields["c.reportId"] = report_id
    for mart in [*(mart.name for mart in marts), "bi_refresh_status"]:
        alias = f"ds.{mart}"
        fields |= {
            f"{alias}.connector": "bigQuery",
            f"{alias}.datasourceName": mart,
            f"{alias}.type": "TABLE",
            f"{alias}.projectId": project,
            f"{alias}.datasetId": name,
            f"{alias}.tableId": mart,
        }
    return f"{LINKING_URL}?{urlencode(fields, quote_via=quote)}"
