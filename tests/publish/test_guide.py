"""The guide of the BI tool: its queries, run as written by `bi_reader`, give the figures of the report of the same base."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.engine import engine_of
from orchestration.publish.embedded import embedded_server, reader_dsn
from orchestration.report.data import MOST_COHORT_MONTHS, closed_month, collect
from orchestration.settings import PROJECT_ROOT, load_settings
from tests.publish.conftest import command

GUIDE = PROJECT_ROOT / "docs" / "bi" / "README.md"
CHART = re.compile(r"^\*\*(?P<title>[^*]+)\*\* — .*?^```sql\n(?P<query>.*?)^```", re.DOTALL | re.MULTILINE)
# In the order of the guide.
REASONS = (
    "n_contactable", "n_no_optin", "n_optin_other_coordinate", "n_untested", "n_bounced", "n_invalid", "n_no_coordinate",
)  # fmt: skip
COHORTS = "Do they buy?"
Answer = list[dict[str, Any]]
Figures = dict[tuple[Any, ...], tuple[float | None, ...]]
Sums = dict[tuple[Any, ...], float]


def charts() -> dict[str, str]:
    """Return the query of each chart of the guide, by the chart's title."""
    return {match["title"]: match["query"] for match in CHART.finditer(GUIDE.read_text(encoding="utf-8"))}


@dataclass(frozen=True)
class Report:
    """What the report's page holds, with the words that its indexes stand for."""

    content: Mapping[str, Any]

    @property
    def months(self) -> list[date]:
        return [date.fromisoformat(fact["month"]) for fact in self.content["months"]]

    def sums(self, cube: str, measure: str, *by: str, **only: Any) -> Sums:
        """Sum a measure of a cube by dimensions, over the cells where other dimensions have a value."""
        keys, measures = self.content[cube]["keys"], self.content[cube]["measures"]
        words = {"month": self.months, "source": [s["name"] for s in self.content["sources"]], "recent": [False, True]}
        words["status"] = self.content["statuses"]
        values = {name: [words[name][i] if name in words else i for i in places] for name, places in keys.items()}
        found: Sums = defaultdict(int)
        for place, n in enumerate(measures.get(measure, [0] * len(next(iter(keys.values()))))):
            if all(values[name][place] == value for name, value in only.items()):
                found[tuple(values[name][place] for name in by)] += n
        return dict(found)

    def latest(self, measure: str, *by: str, cube: str = "segments") -> Sums:
        """Sum a measure of the latest month."""
        return self.sums(cube, measure, *by, month=self.months[-1])


def share(part: Sums, whole: Sums) -> Figures:
    """Divide sums, cell by cell; what has no whole has no share."""
    return {key: (part[key] / n if n else None,) for key, n in whole.items()}


def beside(*columns: Sums) -> Figures:
    """Put sums of the same cells side by side."""
    return {key: tuple(column[key] for column in columns) for key in columns[0]}


def prefixed(of: Mapping[str, Figures]) -> Figures:
    """Put a name before each key."""
    return {(name, *key): values for name, figures in of.items() for key, values in figures.items()}


def _level(report: Report) -> Figures:
    month, before, year_before = report.months[-1], report.months[-2], report.months[-13]
    by_month = report.sums("segments", "n_profiles", "month")
    n = by_month[month,]
    counts = [report.latest(name)[()] for name in ("n_active", "n_new")]
    customers = report.latest("n_profiles", "status")["customer",]
    return {(month,): (n, counts[0], customers, counts[1], n / by_month[before,] - 1, n / by_month[year_before,] - 1)}


def _movements(report: Report, scope: str, *by: str) -> Figures:
    found: Figures = {}
    for move in report.content["movements"]:
        for key, n in report.sums("flows", f"{scope}|{move['name']}", *by).items():
            found[*key, move["name"]] = (move["sign"] * n,)
    return found


def _bathtub(report: Report) -> Figures:
    return {key[1:]: n for key, n in _movements(report, "base", "month").items() if key[0] == report.months[-1]}


def _bands(report: Report) -> Figures:
    return {
        (month, band["name"]): (n,)
        for band in report.content["bands"]
        for (month,), n in report.sums("segments", f"recency|{band['rank']}", "month").items()
    }


def _new_beside_last_year(report: Report) -> Figures:
    new = report.sums("segments", "n_new", "month")
    return {(month,): (new[month,], new.get((month.replace(year=month.year - 1),))) for month in report.months}


def _new_last_12m(report: Report) -> Figures:
    by_source: Sums = defaultdict(int)
    for (month, source), n in report.sums("segments", "n_new", "month", "source").items():
        by_source[source,] += n if month in report.months[-12:] else 0
    return beside(by_source)


def _cohorts(report: Report) -> Figures:
    registered = report.sums("cohorts", "n_registered", "cohort", "since")
    shares = share(report.sums("cohorts", "n_customers", "cohort", "since"), registered)
    return {(report.months[-1 - age], since): value for (age, since), value in shares.items()}


def _people(report: Report) -> Figures:
    return {
        (age, gender): (n,)
        for age in report.content["ages"]
        for gender in report.content["genders"]
        if (n := report.latest(f"{gender}|{age}", cube="people")[()])
    }


def _fill_rates(report: Report) -> Figures:
    whole = report.latest("n_profiles", "source")
    fields = [field["name"] for field in report.content["fields"]]
    return {
        (field, *key): value
        for field in fields
        for key, value in share(report.latest(f"filled|{field}", "source"), whole).items()
    }


def _key_fields(report: Report) -> Figures:
    keys = [field["name"] for field in report.content["fields"] if field["key"]]
    filled = [report.sums("segments", f"filled|{name}", "month") for name in keys]
    base = report.sums("segments", "n_profiles", "month")
    return {key: (sum(sums[key] for sums in filled) / (n * len(keys)),) for key, n in base.items()}


def _defects(report: Report) -> Figures:
    pairs = (("n_placeholders", "n_values"), ("n_invalid", "n_coordinates"), ("n_duplicate", "n_profiles"))
    latest = [share(*(report.latest(name, "source", cube="quality") for name in pair)) for pair in pairs]
    return {key: tuple(column[key][0] for column in latest) for key in latest[0]}


def _by_channel(report: Report, *by: str, measures: tuple[str, ...]) -> Figures:
    whole = report.latest("n_profiles", *by)
    of_channels = {}
    for channel in report.content["channels"]:
        shares = [share(report.latest(f"{channel}|{measure}", *by), whole) for measure in measures]
        of_channels[channel] = {key: tuple(column[key][0] for column in shares) for key in whole}
    return prefixed(of_channels)


def _contactable(report: Report) -> Figures:
    return _by_channel(report, measures=("n_reachable", "n_opted_in", "n_contactable"))


def _why_not(report: Report) -> Figures:
    base = report.latest("n_profiles")
    return prefixed(
        {
            channel: beside(*(report.latest(f"{channel}|{measure}") for measure in REASONS), base)
            for channel in report.content["channels"]
        }
    )


def _channel_and_source(report: Report) -> Figures:
    found = _by_channel(report, "source", measures=("n_contactable",))
    return {(source, channel): value for (channel, source), value in found.items()}


def _simple(cube: str, *measures: str, by: tuple[str, ...], **only: Any) -> Callable[[Report], Figures]:
    return lambda report: beside(*(report.sums(cube, measure, *by, **only) for measure in measures))


def _active_share(report: Report) -> Figures:
    return share(report.latest("n_active", "source"), report.latest("n_profiles", "source"))


def _mean_age(report: Report) -> Figures:
    return share(*(report.latest(name, cube="people") for name in ("sum_age_years", "n_age_known")))


# The columns that make the key of a query's rows, and the report's figures for its other columns.
EXPECTED: dict[str, tuple[tuple[str, ...], Callable[[Report], Figures]]] = {
    "Level": (("snapshot_month",), _level),
    "The base over time": (("snapshot_month",), _simple("segments", "n_profiles", "n_active", by=("month",))),
    "The bathtub": (("movement",), _bathtub),
    "In and out, month by month": (("snapshot_month", "movement"), lambda report: _movements(report, "active", "month")),
    "When were they last heard of?": (("snapshot_month", "recency_band"), _bands),
    "Active share by source": (("source",), _active_share),
    "Customers and prospects": (
        ("snapshot_month", "status"),
        _simple("segments", "n_profiles", by=("month", "status"), recent=True),
    ),
    "New profiles beside last year": (("snapshot_month",), _new_beside_last_year),
    "Which sources bring them": (("source",), _new_last_12m),
    COHORTS: (("cohort_month", "months_since_registration"), _cohorts),
    "Age and gender": (("age_band", "gender"), _people),
    "Mean age": ((), _mean_age),
    "Fill rate by field and source": (("field", "source"), _fill_rates),
    "Key fields over time": (("snapshot_month",), _key_fields),
    "Defects by source": (("source",), _defects),
    "Contactable share by channel": (("channel",), _contactable),
    "Why not?": (("channel",), _why_not),
    "Channel and source": (("source", "channel"), _channel_and_source),
}
# The report splits these otherwise; the tests below compare what they add up to.
OTHERWISE = {"The latest month by status", "Opt-ins won and lost"}


def in_both(chart: str, report: Report, key: tuple[Any, ...]) -> bool:
    """Whether the report has room for a row of a chart: of the cohorts, it shows the latest, over their first months."""
    return chart != COHORTS or (key[0] in report.months and key[1] <= MOST_COHORT_MONTHS)


def alike(here: tuple[float | None, ...] | None, there: tuple[float | None, ...] | None) -> bool:
    """Whether figures are equal. The report leaves out what nobody is in, or keeps it as 0; no value is equal to no value."""
    nothing = (0.0,) * len(here or there or ())
    return all(
        a is b if a is None or b is None else a == pytest.approx(b, rel=1e-6)
        for a, b in zip(here or nothing, there or nothing, strict=True)
    )


@dataclass(frozen=True)
class Published:
    """A closed base that is published: what a reader of the guide gets, and what the report shows."""

    reader: psycopg.Connection[tuple[Any, ...]]
    report: Report

    def ask(self, chart: str) -> Answer:
        cursor = self.reader.execute(charts()[chart].encode())
        names = [column.name for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def published(closed_base: Mapping[str, str]) -> Iterator[Published]:
    settings = load_settings(closed_base)
    engine = engine_of(settings)
    report = Report(collect(settings, engine, closed_month(engine, None)))
    folder = Path(closed_base["BATHTUB_POSTGRES_DIR"])
    with embedded_server(folder) as dsn:
        done = command(closed_base, "publish")
        assert done.returncode == 0, done.stderr
        with psycopg.connect(reader_dsn(dsn, folder), autocommit=True) as reader:
            yield Published(reader, report)


def figures(rows: Answer, keys: tuple[str, ...]) -> Figures:
    """Return rows by their keys, without ranks, which order and are no figure."""
    found: Figures = {}
    for row in rows:
        values = [value for name, value in row.items() if name not in keys and not name.endswith("_rank")]
        found[tuple(row[name] for name in keys)] = tuple(None if value is None else float(value) for value in values)
    assert len(found) == len(rows)
    return found


def test_every_chart_of_the_guide_is_compared() -> None:
    assert set(charts()) == {*EXPECTED, *OTHERWISE}
    # One query each: none stands outside a chart.
    assert len(charts()) == GUIDE.read_text(encoding="utf-8").count("```sql\n")


@pytest.mark.slow
@pytest.mark.parametrize("chart", EXPECTED)
def test_a_chart_of_the_guide_shows_the_figures_of_the_report(published: Published, chart: str) -> None:
    keys, of_report = EXPECTED[chart]
    shown, expected = figures(published.ask(chart), keys), of_report(published.report)
    assert any(any(values) for values in expected.values())
    keys_of_both = {key for key in shown.keys() | expected.keys() if in_both(chart, published.report, key)}
    assert keys_of_both >= expected.keys()
    assert not {
        key: (shown.get(key), expected.get(key)) for key in keys_of_both if not alike(shown.get(key), expected.get(key))
    }


@pytest.mark.slow
def test_the_bands_of_each_status_add_up_to_its_profiles_of_the_report(published: Published) -> None:
    found: Sums = defaultdict(int)
    for row in published.ask("The latest month by status"):
        found[row["status"],] += int(row["n_profiles"])
    assert found == published.report.latest("n_profiles", "status")


@pytest.mark.slow
def test_opt_ins_won_and_lost_are_the_change_of_the_opted_in_of_the_report(published: Published) -> None:
    net: Sums = defaultdict(int)
    for row in published.ask("Opt-ins won and lost"):
        net[row["snapshot_month"],] += int(row["net_profiles"])
    levels = published.report.sums("segments", "email|n_opted_in", "month")
    months = published.report.months
    for before, month in pairwise(months):
        assert net[month,] == levels[month,] - levels[before,], month
