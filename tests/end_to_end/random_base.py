"""Small random bases in which everything happens near the edges that matter: month ends, graces, ties."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from orchestration.months import add_months
from tests.end_to_end.raw_base import RawBase, Row

SOURCES = ("web", "Web ", " TILL\u00a0", "", None, "app", "N/A")
STATUSES = ("completed", "Completed", " CANCELLED ", "canceled", "refunded", None)
EVENT_TYPES = ("site_visit", " Store_Visit", "campaign_click", "support_request", "sign_up", "campaign_open", "hard_bounce")
CHANNELS = ("email", "sms", "Phone ", "post", "fax")
CONSENTS = ("opt_in", "OPT_IN ", "opt_out")
FIELDS = ("first_name", "email", "phone", "city", "postal_code", "address_line")
GENDERS = ("F", "m ", "\u00a0x", "M", "Mr", "female", "", "n/a", None)
VALUES = ("Ann", " n/a ", "", None, "x", "NONE", "\u00a0")


@dataclass(frozen=True)
class Shape:
    """What a random base depends on."""

    seed: int
    first: date
    n_months: int
    zone: str
    grace_days: int
    history_month: int = 1
    n_customers: int = 120

    @property
    def last(self) -> date:
        return add_months(self.first, self.n_months - 1)

    @property
    def history_until(self) -> datetime:
        """The history came on the tenth of one of the first months: late rows exist from then on."""
        return self.instant(add_months(self.first, self.history_month) + timedelta(days=9))

    @property
    def variables(self) -> dict[str, object]:
        """Short bands and a short retention, so that profiles lapse, are due and come back within a few months."""
        return {
            "reporting_timezone": self.zone,
            "closing_grace_days": self.grace_days,
            "active_within_days": 31,
            "recency_bands": [0, 14, 31, 62, 150],
            "retention_months": {"prospect": 1, "customer": 3},
            "history_loaded_until": f"{self.history_until:%Y-%m-%d %H:%M:%S}",
        }

    def instant(self, day: date) -> datetime:
        """Local midnight of a day, in UTC."""
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.zone)).astimezone(UTC).replace(tzinfo=None)


class History(Shape):
    """A base that came as a whole, counted with the vars as they are."""

    @property
    def history_until(self) -> datetime:
        return datetime.max

    @property
    def variables(self) -> dict[str, object]:
        return {
            "active_within_days": 365,
            "recency_bands": [30, 90, 180, 365, 730],
            "retention_months": {"prospect": 36, "customer": 36},
        }


def random_base(shape: Shape) -> RawBase:
    """Make the base of a shape; equal shapes make equal bases."""
    return _Maker(shape).make()


class _Maker:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.rng = Random(repr(shape))
        self.base = RawBase()

    def make(self) -> RawBase:
        for number in range(self.shape.n_customers):
            self._person(f"c{number}")
        for _ in range(5):
            self._traces("nobody", None)
        for rows in self.base.tables.values():
            self.rng.shuffle(rows)
        return self.base

    def _person(self, customer_id: str) -> None:
        created_at = self._moment() if self.rng.random() < 0.8 else None
        profile: Row = {
            "customer_id": customer_id,
            "created_at": created_at,
            "loaded_at": self._loaded(created_at),
            "source": self.rng.choice(SOURCES),
            **{name: self.rng.choice(VALUES) for name in FIELDS},
            "gender": self.rng.choice(GENDERS),
            "birth_date": self._birth_date(),
        }
        self.base.customers.append(profile)
        if self.rng.random() < 0.3:
            self._deletion(profile)
        self._traces(customer_id, created_at)

    def _birth_date(self) -> date | None:
        """On a leap day, a placeholder, none, or around the month end at which an age turns."""
        month = add_months(
            self.shape.first, self.rng.randint(-1, self.shape.n_months) - 12 * self.rng.choice((0, 17, 18, 65, 120, 121))
        )
        edge = month + timedelta(days=self.rng.choice((-1, -1, 0)))
        return self.rng.choice((edge, edge, edge, date(1980, 2, 29), date(1900, 1, 1), date(2024, 2, 29), None))

    def _deletion(self, profile: Row) -> None:
        """At once with the profile, or in a later version of it; sometimes before the creation."""
        near = profile["created_at"]
        deleted_at = near + self._hours(-50, 600) if near and self.rng.random() < 0.5 else self._moment()
        if self.rng.random() < 0.4:
            profile["deleted_at"] = deleted_at
            return
        loaded_at = self._loaded(deleted_at) or self._moment()
        if profile["loaded_at"] is not None and loaded_at <= profile["loaded_at"]:
            loaded_at = profile["loaded_at"] + timedelta(seconds=1)
        self.base.customers.append({**profile, "deleted_at": deleted_at, "loaded_at": loaded_at})

    def _traces(self, customer_id: str, near: datetime | None) -> None:
        moments = [self._moment() for _ in range(3)] + ([near] if near else [])
        for _ in range(self.rng.randrange(7)):
            # One of few moments, so that rows tie.
            at = self.rng.choice(moments)
            row: Row = {"customer_id": customer_id, "loaded_at": self._loaded(at)}
            kind = self.rng.randrange(3)
            if kind == 0:
                amount = self.rng.choice((20.0, 20.0, 0.0, -5.0, 0.01))
                status = self.rng.choice(STATUSES)
                rows, more = self.base.orders, {"order_id": "o", "ordered_at": at, "amount": amount, "status": status}
            elif kind == 1:
                rows, more = self.base.events, {"event_id": "e", "occurred_at": at, "event_type": self.rng.choice(EVENT_TYPES)}
            else:
                channel, status = self.rng.choice(CHANNELS), self.rng.choice(CONSENTS)
                rows, more = self.base.consents, {"consent_id": "k", "occurred_at": at, "channel": channel, "status": status}
            key = next(iter(more))
            rows.append({**row, **more, key: f"{more[key]}{len(rows)}"})

    def _hours(self, least: int, most: int) -> timedelta:
        return timedelta(hours=self.rng.randint(least, most))

    def _edge(self) -> datetime:
        """Within three hours of the local midnight that begins a month, or a grace later; the instant itself included."""
        month = add_months(self.shape.first, self.rng.randint(-2, self.shape.n_months))
        midnight = self.shape.instant(month + timedelta(days=self.rng.choice((0, 0, self.shape.grace_days))))
        return midnight + self.rng.choice(
            (timedelta(), timedelta(microseconds=-1), timedelta(seconds=1), timedelta(minutes=self.rng.randint(-180, 180)))
        )

    def _moment(self) -> datetime:
        if self.rng.random() < 0.4:
            return self._edge()
        start = self.shape.instant(add_months(self.shape.first, -8))
        end = self.shape.instant(add_months(self.shape.last, 2))
        return start + timedelta(seconds=self.rng.randrange(int((end - start).total_seconds())))

    def _loaded(self, at: datetime | None) -> datetime | None:
        chance = self.rng.random()
        if at is None or chance < 0.25:
            return None
        if chance < 0.4:
            return self.rng.choice((min(at, self.shape.history_until), self.shape.history_until))
        if chance < 0.6:
            return at + self._hours(0, 30)
        return max(at, self._edge()) if chance < 0.8 else max(at, self._moment())
