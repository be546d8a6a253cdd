"""Walk the days of Online Retail as they came, and list the nights on which a volume alert fires.

`python -m benchmarks.alert_walk DATA`, DATA being the folder with the daily files (examples/online_retail says where they come
from). Each night knows the days before it only. docs/alert-bands.md judges each night that fires.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import duckdb

from examples.prepare import ExampleError, load_example, prepare
from orchestration.alerts.bands import Band, BandParams, Silence, silence, volume_band
from orchestration.alerts.calendar import Calendar, CalendarError, read_calendar
from orchestration.settings import PROJECT_ROOT

DAY = timedelta(days=1)
CALENDAR = PROJECT_ROOT / "examples" / "online_retail" / "calendar.csv"
# The feeds as the observations would count them: orders that are kept, and customers on the day on which they first appear.
# Every order came in the file of its day, so all are on time. All sources are `web` here; countries stand for sources.
SERIES = """
    with kept as (
        select customer_id, order_id, cast(timezone('{zone}', ordered_at::timestamp at time zone 'UTC') as date) as day
        from '{folder}/orders.parquet'
        where customer_id is not null
    ),
    firsts as (select customer_id, min(day) as day from kept group by customer_id),
    observed as (
        select 'orders' as feed, customer_id, day from kept
        union all
        select 'customers', customer_id, day from firsts
    ),
    sourced as (
        select feed, coalesce(country, 'unknown') as source, day
        from observed join '{folder}/customers.parquet' using (customer_id)
    )
    select feed, source, day, count(*) from sourced group by grouping sets ((feed, source, day), (feed, day)) order by all
"""


@dataclass(frozen=True)
class Series:
    """Rows by day of a feed, or of one of its sources."""

    feed: str
    source: str
    counts: Mapping[date, int]


@dataclass(frozen=True)
class Fired:
    """One night on which a check of a series fired."""

    check: str
    feed: str
    source: str
    judged: date
    observed: int
    band: Band
    silent_days: int

    def __str__(self) -> str:
        band = f"{self.band.low:.0f} to {self.band.high:.0f} by {self.band.period}, expected {self.band.expected:.0f}"
        told = (
            f"{self.silent_days} open days without a row"
            if self.check == "source_missing"
            else f"{self.observed} against {band}"
        )
        state = ", warming up" if self.band.is_warming_up else ""
        return f"{self.judged:%a %Y-%m-%d}  {self.check}: {told}{state}"


def read_series(data: Path, folder: Path) -> list[Series]:
    """Map the files to the raw contract in `folder` and count rows by feed, source and day.

    Raises:
        ExampleError: the files are missing or not those of the example.
    """
    prepare("online_retail", data, folder)
    zone = load_example("online_retail").vars["reporting_timezone"]
    with duckdb.connect() as connection:
        rows = connection.execute(SERIES.format(folder=folder, zone=zone)).fetchall()
    rows.sort(key=lambda row: (row[0], row[1] or "", row[2]))
    grouped = groupby(rows, key=lambda row: (row[0], row[1] or ""))
    return [Series(feed, source, {day: n for _, _, day, n in days}) for (feed, source), days in grouped]


def walk(series: Series, last_day: date, calendar: Calendar, params: BandParams) -> Iterator[Fired]:
    """Judge each night from the first row of a series on, with what was known then."""
    first_day = min(series.counts)
    own = calendar.of(series.feed, series.source or None)
    for step in range((last_day - first_day).days + 1):
        judged = first_day + step * DAY
        band = volume_band(series.counts, judged, first_day, own, params)
        still = silence(series.counts, judged, first_day, own, params)
        if band is not None and still is not None:
            yield from _judge(series, judged, band, still)


def _judge(series: Series, judged: date, band: Band, still: Silence) -> Iterator[Fired]:
    span = 7 if band.period == "week" else 1
    observed = sum(series.counts.get(judged - step * DAY, 0) for step in range(span))
    check = "weekly_volume_outside_band" if band.period == "week" else "volume_outside_band"
    if still.is_missing:
        check = "source_missing"
    elif band.low <= observed <= band.high:
        return
    yield Fired(check, series.feed, series.source, judged, observed, band, still.days)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--calendar", type=click.Path(path_type=Path), default=CALENDAR, help="Calendar. [default: that of the example]")
@click.option("--no-calendar", is_flag=True, help="Walk without a calendar.")
def main(data: Path, calendar: Path, no_calendar: bool) -> None:
    """List the nights on which an alert fires on the files of Online Retail in DATA."""
    try:
        known = Calendar() if no_calendar else read_calendar(calendar)
        with TemporaryDirectory() as folder:
            series = read_series(data, Path(folder))
    except (ExampleError, CalendarError) as error:
        raise click.ClickException(str(error)) from error
    last_day = max(max(one.counts) for one in series)
    nights = 0
    for one in series:
        fired = list(walk(one, last_day, known, BandParams()))
        nights += len(fired)
        n_rows, name = sum(one.counts.values()), f"{one.feed}, {one.source or 'all'}"
        click.echo(f"{name}: {n_rows:,} rows on {len(one.counts)} days from {min(one.counts)}; {len(fired)} nights fire")
        for night in fired:
            click.echo(f"  {night}")
    click.echo(f"{nights} nights fire in {len(series)} series.")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.alert_walk")
