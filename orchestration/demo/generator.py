"""Makes a synthetic raw base: the course of every profile first, then the rows it leaves, month by month."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.demo.defects import spoil
from orchestration.months import add_months

Report = Callable[[str], None]

SQL = Path(__file__).resolve().parent / "sql"
MARKER = "_bathtub_demo.json"
MADE_BY = "orchestration.demo"
SPILL = "_spill"
LAYOUTS = ("feed", "bench")
TABLES = ("customers", "orders", "consents", "events")
BUSINESS_TABLES = ("accounts", "contracts", "account_contacts")
# Months of the feed that come as one file per night; the older part is the initial export.
NIGHTLY_MONTHS = 6
WARM_UP_MONTHS = 12


class DemoError(Exception):
    """The demo base cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Arguments:
    """What the base depends on; two equal ones make the same rows."""

    profiles: int
    months: int
    end: date
    seed: int
    layout: str
    events_per_profile: float
    orders_per_profile: float
    consents_per_profile: float

    def check(self) -> None:
        """Refuse what cannot be made.

        Raises:
            DemoError: an argument is out of range; the message names it and what is allowed.
        """
        if self.layout not in LAYOUTS:
            raise DemoError(f"layout = {self.layout!r}; allowed: {', '.join(LAYOUTS)}.")
        bounds = {
            "profiles": (100, 20_000_000),
            "months": (12, 240),
            "seed": (0, 2**31 - 1),
            "events_per_profile": (1, 200),
            "orders_per_profile": (1, 50),
            "consents_per_profile": (1, 5),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise DemoError(f"{name} = {getattr(self, name)}; allowed: from {least} to {most}.")
        if self.end.day != 1 or not 1990 <= self.end.year <= 2100:
            raise DemoError(f"end = {self.end}; allowed: the first day of the last month, in 1990 to 2100.")

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "end": f"{self.end:%Y-%m}"}


def generate(
    out: Path,
    *,
    profiles: int = 20_000,
    months: int = 36,
    end: date,
    seed: int = 7,
    layout: str = "feed",
    events_per_profile: float | None = None,
    orders_per_profile: float | None = None,
    consents_per_profile: float = 4,
    report: Report = lambda line: None,
) -> bool:
    """Make the base in `out` and return True, or return False when `out` already holds exactly this base.

    `end` is the first day of the last month. `layout` is `feed` (what nightly feeds deliver, a few defects included) or
    `bench` (clean Parquet). Events and orders per profile default to 20 and 3 for `feed`, 50 and 5 for `bench`.
    `report` receives lines of progress.

    Raises:
        DemoError: an argument is out of range, or `out` holds something that this generator did not make.
    """
    feed = layout == "feed"
    arguments = Arguments(
        profiles,
        months,
        end,
        seed,
        layout,
        float((20 if feed else 50) if events_per_profile is None else events_per_profile),
        float((3 if feed else 5) if orders_per_profile is None else orders_per_profile),
        float(consents_per_profile),
    )
    arguments.check()
    if _prepare(out, arguments):
        report(f"{out} already holds this base: left as it is.")
        return False
    started = time.monotonic()
    spill = out / SPILL
    spill.mkdir()
    try:
        with duckdb.connect(str(spill / "demo.duckdb")) as con:
            con.execute("set memory_limit = '2500MB'; set enable_progress_bar = false")
            _Generator(con, out, arguments, report).run()
    finally:
        shutil.rmtree(spill)
    _mark(out, arguments, complete=True)
    report(f"{out}: {profiles:,} profiles over {months} months, made in {time.monotonic() - started:.0f} s.")
    return True


def _mark(out: Path, arguments: Arguments, *, complete: bool) -> None:
    text = json.dumps({"made_by": MADE_BY, "complete": complete, "arguments": arguments.as_json()}, indent=2)
    (out / MARKER).write_text(text + "\n", encoding="utf-8")


def _marker(out: Path) -> dict[str, object]:
    try:
        marker = json.loads((out / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _prepare(out: Path, arguments: Arguments) -> bool:
    """Leave an empty marked folder and return False, or return True when the base is already there."""
    if out.exists() and not out.is_dir():
        raise DemoError(f"{out} is a file; give --out a new or empty folder.")
    if out.exists() and any(out.iterdir()):
        marker = _marker(out)
        if marker.get("made_by") != MADE_BY:
            raise DemoError(f"{out} is not empty and was not made by the demo generator; give --out a new or empty folder.")
        if marker.get("complete") is True and marker.get("arguments") == arguments.as_json():
            return True
        _remove_own_files(out)
    out.mkdir(parents=True, exist_ok=True)
    _mark(out, arguments, complete=False)
    return False


def _remove_own_files(out: Path) -> None:
    for name in (*TABLES, SPILL):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (*(f"{t}.parquet" for t in TABLES), *(f"{t}.csv" for t in BUSINESS_TABLES)):
        (out / name).unlink(missing_ok=True)


class _Generator:
    def __init__(self, con: duckdb.DuckDBPyConnection, out: Path, arguments: Arguments, report: Report) -> None:
        self.con, self.out, self.args, self.report = con, out, arguments, report
        self.is_feed = arguments.layout == "feed"
        end_at = add_months(arguments.end, 1)
        turn_at = add_months(end_at, -NIGHTLY_MONTHS)
        # The initial export holds what happened before the cut; without a feed, that is everything.
        self.cut_at = turn_at if self.is_feed else end_at
        variables: dict[str, object] = {
            "seed": arguments.seed,
            "profiles": arguments.profiles,
            "months": arguments.months,
            "n_accounts": max(arguments.profiles // 400, 3),
            "company_share": 0.012 if self.is_feed else 0.0,
            "orphan_share": 0.003 if self.is_feed else 0.0,
        }
        for name, value in variables.items():
            con.execute(f"set variable {name} = {value}")
        days = {"end_at": end_at, "turn_at": turn_at, "cut_at": self.cut_at}
        for name, day in {**days, "first_day": add_months(end_at, -arguments.months)}.items():
            con.execute(f"set variable {name} = timestamp '{day}'")

    def run(self) -> None:
        self.report("Profiles and their lives")
        self._script("parameters", "profiles", "customers")
        self._calibrate()
        self.report("Consents")
        self._script("consents", "order_lines")
        self._months()
        if self.is_feed:
            self._write_feed()
        else:
            self._write_bench()

    def _script(self, *names: str) -> None:
        for name in names:
            self.con.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))

    def _number(self, query: str) -> float:
        row = self.con.execute(query).fetchone()
        return float(row[0] or 0) if row else 0.0

    def _calibrate(self) -> None:
        """Set the rates that bring the wanted rows per profile, from what a sample of the profiles would do."""
        step = max(self.args.profiles // 20_000, 1)
        sample = f"from exposure where n % {step} = 0"
        states = f"(select * {sample}) inner join event_states using (state, is_mailed)"
        busyness = f"select {step} * sum(expected * busyness) from {states}"
        orders = f"select {step} * sum(expected) {sample} and state = 'engaged' and first_order_at < to_at"
        firsts = self._number("select count(first_order_at) from lives")
        stated = self._number("select count(*) filter (where is_in) + count(out_at) + count(in_again_at) from choices")
        refusals = self._number("select count(*) filter (where not is_in) from choices")
        wanted = self.args.profiles
        rates = {
            "event_rate": self.args.events_per_profile * wanted / self._number(busyness),
            "order_rate": max(self.args.orders_per_profile * wanted - firsts, 0) / self._number(orders),
            "refusal_share": min(max((self.args.consents_per_profile * wanted - stated) / refusals, 0), 1),
        }
        for name, rate in rates.items():
            # Nine digits: the last bits of a parallel sum differ between two runs.
            self.con.execute(f"set variable {name} = {rate:.9g}::double")

    def _months(self) -> None:
        """Make the orders of each month and write its events: one month at a time keeps memory small."""
        orders, events = ((SQL / f"{t}.sql").read_text(encoding="utf-8") for t in ("orders", "events"))
        count = self.args.months + WARM_UP_MONTHS
        started = time.monotonic()
        for done, m in enumerate(range(-WARM_UP_MONTHS, self.args.months), start=1):
            month = add_months(self.args.end, m + 1 - self.args.months)
            self.con.execute(orders.replace("$month", str(m)))
            folder = self.out / "events" / f"month={month:%Y-%m}"
            folder.mkdir(parents=True)
            self._copy(events.replace("$month", str(m)), folder / "events.parquet")
            if done % 12 == 0 or done == count:
                left = (time.monotonic() - started) / done * (count - done)
                self.report(f"Orders and events: month {done} of {count}, about {left:.0f} s left")

    def _copy(self, query: str, path: Path) -> None:
        quoted = str(path).replace("'", "''")
        how = "format parquet, compression zstd" if path.suffix == ".parquet" else "format csv, header"
        if path.suffix == ".gz":
            how += ", compression gzip"
        self.con.execute(f"copy ({query}) to '{quoted}' ({how})")

    def _write_bench(self) -> None:
        self.report("Files")
        customers = "select * replace (try_cast(birth_date as date) as birth_date) from customers"
        self._copy(f"{customers} order by updated_at, customer_id", self.out / "customers.parquet")
        orders = "select * rename (final_status as status) from order_lines order by ordered_at, order_id"
        self._copy(orders, self.out / "orders.parquet")
        self._copy("from consents order by occurred_at, consent_id", self.out / "consents.parquet")

    def _write_feed(self) -> None:
        self.report("Files of the feed")
        self._script("feed", "accounts")
        for table, suffix in (("customers", "csv"), ("orders", "csv.gz"), ("consents", "csv")):
            self._write_nightly(table, suffix)
        for table in BUSINESS_TABLES:
            self._copy(f"from {table} order by all", self.out / f"{table}.csv")
        spoil(self.out)

    def _write_nightly(self, table: str, suffix: str) -> None:
        folder = self.out / table
        folder.mkdir()
        history = f"from feed_{table} where loaded_at < timestamp '{self.cut_at}' + interval 1 day order by all"
        self._copy(history, folder / f"{table}_history.{suffix}")
        self.con.execute(
            f"create temp table nights as select *, loaded_at::date as night from feed_{table} "
            f"where loaded_at >= timestamp '{self.cut_at}' + interval 1 day order by all"
        )
        for (night,) in self.con.execute("select distinct night from nights order by night").fetchall():
            rows = f"select * exclude (night) from nights where night = date '{night}'"
            self._copy(rows, folder / f"{table}_{night}.{suffix}")
        self.con.execute("drop table nights")
