"""What the marts must say, told profile by profile in plain Python: when a row became known, and what follows from it.

It shares nothing with the project's SQL. It takes a base in memory: ids are trimmed, keys unique but for versions of a profile.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.months import add_months, months_between
from tests.end_to_end.random_base import Shape
from tests.end_to_end.raw_base import RawBase, Row

ACTIVITIES = {"site_visit", "store_visit", "campaign_click", "support_request", "sign_up"}
CHANNELS = ("email", "sms", "phone", "post")
Figures = Counter[tuple[Any, ...]]


def _word(value: str | None) -> str:
    return (value or "").strip().lower()


@dataclass(frozen=True)
class _Seen:
    """A trace: the day it happened, the day it became known, and what it was."""

    at: datetime
    day: date
    known: date
    is_order: bool
    is_activity: bool
    channel: str
    is_opt_in: bool


@dataclass(frozen=True)
class State:
    """A profile in the base at a close."""

    source: str
    status: str
    is_active: bool


@dataclass(frozen=True)
class Profile:
    """A profile with the days it was created, known to be there, and known to be gone."""

    customer_id: str
    source: str
    gender: str | None
    birth_date: date | None
    created: date
    arrived: date
    left: date | None
    seen: tuple[_Seen, ...]


@dataclass(frozen=True)
class Close:
    """A profile that is in the base at the close of a month."""

    month: date
    as_of: date
    profile: Profile
    state: State
    is_new: bool
    is_opted_in: bool


class Oracle:
    """The figures of a base by mart."""

    def __init__(self, base: RawBase, shape: Shape) -> None:
        self.shape = shape
        self.zone = ZoneInfo(shape.zone)
        self.active_days = int(str(shape.variables["active_within_days"]))
        bands = shape.variables["recency_bands"]
        assert isinstance(bands, list)
        self.bands: list[int] = bands
        retention = shape.variables["retention_months"]
        assert isinstance(retention, dict)
        self.retention: dict[str, int] = retention
        self.profiles = list(self._profiles(base))

    def _day(self, moment: datetime) -> date:
        return moment.replace(tzinfo=UTC).astimezone(self.zone).date()

    def _known(self, happened: date, loaded_at: datetime | None) -> date:
        if loaded_at is None or loaded_at <= self.shape.history_until:
            return happened
        month_after = add_months(happened.replace(day=1), 1)
        is_on_time = self._day(loaded_at) < month_after + timedelta(days=self.shape.grace_days)
        return happened if is_on_time else self._day(loaded_at)

    def _profiles(self, base: RawBase) -> Iterator[Profile]:
        versions: dict[str, list[Row]] = {}
        for row in base.customers:
            versions.setdefault(row["customer_id"], []).append(row)
        traces: dict[str, list[_Seen]] = {}
        for row, at in base.traces:
            traces.setdefault(row["customer_id"], []).append(self._seen(row, at))
        for customer_id, rows in versions.items():
            yield self._profile(rows, traces.get(customer_id, []))

    def _seen(self, row: Row, at: datetime) -> _Seen:
        is_order = row.get("amount", 0) > 0 and _word(row.get("status")) not in ("cancelled", "canceled")
        day = self._day(at)
        return _Seen(
            at=at,
            day=day,
            known=self._known(day, row["loaded_at"]),
            is_order=is_order,
            is_activity=is_order or _word(row.get("event_type")) in ACTIVITIES,
            channel=_word(row.get("channel")) if "consent_id" in row else "",
            is_opt_in=_word(row.get("status")) == "opt_in",
        )

    def _profile(self, versions: list[Row], seen: list[_Seen]) -> Profile:
        latest = max(versions, key=lambda row: row["loaded_at"] or datetime.min)
        created_at = latest["created_at"] or min((trace.at for trace in seen), default=None)
        created = self._day(created_at) if created_at else self.shape.first
        deletions = [row["loaded_at"] for row in versions if row.get("deleted_at")]
        deleted_at = latest.get("deleted_at")
        return Profile(
            customer_id=latest["customer_id"],
            source=_word(latest["source"]) or "unknown",
            gender=latest.get("gender"),
            birth_date=latest.get("birth_date"),
            created=created,
            arrived=self._known(created, _earliest([row["loaded_at"] for row in versions])),
            left=self._known(self._day(deleted_at), _earliest(deletions)) if deleted_at else None,
            seen=tuple(seen),
        )

    def figures(self) -> dict[str, Figures]:
        """Count `recency`, `status`, `optin`, `flows` and `retention` over the months of the shape."""
        found: dict[str, Figures] = {name: Counter() for name in ("recency", "status", "optin", "flows", "retention")}
        for profile, month, before, now, is_new in self._months():
            if now is not None:
                self._count_level(found, profile, month, now, before, is_new)
                self._count_retention(found["retention"], profile, month, now)
            elif before is not None:
                found["retention"][month, before.source, before.status, "n_deleted"] += 1
            for key in self._flows(profile, month, before, now, is_new):
                found["flows"][key] += 1
        return found

    def closes(self) -> Iterator[Close]:
        """Tell of each profile that is in the base at the close of a month, month by month."""
        for profile, month, _, now, is_new in self._months():
            if now is not None:
                end = add_months(month, 1)
                is_opted_in = any(self._is_opted_in(profile, channel, end) for channel in CHANNELS)
                yield Close(month, end - timedelta(days=1), profile, now, is_new, is_opted_in)

    def _months(self) -> Iterator[tuple[Profile, date, State | None, State | None, bool]]:
        """Each profile and month of the shape: its state at the close before, at this one, and whether it is new."""
        for profile in self.profiles:
            before: State | None = None
            for month in months_between(self.shape.first, self.shape.last):
                now = self._state(profile, add_months(month, 1))
                yield profile, month, before, now, before is None and profile.created >= month
                before = now

    def _state(self, profile: Profile, end: date) -> State | None:
        is_there = profile.created < end and profile.arrived < end and (profile.left is None or profile.left >= end)
        if not is_there:
            return None
        days = (end - timedelta(days=1) - self._last_activity(profile, end)).days
        return State(profile.source, self._status(profile, end), days <= self.active_days)

    def _last_activity(self, profile: Profile, end: date) -> date:
        return max([profile.created, *(t.day for t in profile.seen if t.is_activity and t.known < end)])

    def _status(self, profile: Profile, end: date) -> str:
        return "customer" if any(t.is_order and t.known < end for t in profile.seen) else "prospect"

    def _count_level(
        self, found: dict[str, Figures], profile: Profile, month: date, now: State, before: State | None, is_new: bool
    ) -> None:
        end = add_months(month, 1)
        within = profile.created >= add_months(month, -11)
        segment = (month, now.source, now.status, within)
        days = (end - timedelta(days=1) - self._last_activity(profile, end)).days
        found["recency"][*segment, is_new, sum(days > upper for upper in self.bands) + 1] += 1
        opted = [channel for channel in CHANNELS if self._is_opted_in(profile, channel, end)]
        if before is None:
            first_order = min((t.day for t in profile.seen if t.is_order and t.known < end), default=None)
            is_converted = first_order is not None and first_order >= month
        else:
            is_converted = before.status == "prospect" and now.status == "customer"
        measures = {"n_profiles": True, "n_new": is_new, "n_converted": is_converted, "n_optin_any": bool(opted)}
        for measure, holds in measures.items():
            found["status"][*segment, now.is_active, measure] += holds
        for channel in [*opted, *(["any"] if opted else [])]:
            found["optin"][*segment, channel] += 1

    def _count_retention(self, found: Figures, profile: Profile, month: date, now: State) -> None:
        due = _months_later(self._last_activity(profile, add_months(month, 1)), self.retention[now.status])
        measures = {
            "n_profiles": True,
            "n_overdue": due < add_months(month, 1),
            "n_newly_overdue": due.replace(day=1) == month,
            **{f"n_due_{n}m": month < due.replace(day=1) <= add_months(month, n) for n in (1, 3, 12)},
        }
        for measure, holds in measures.items():
            found[month, now.source, now.status, measure] += holds

    def _is_opted_in(self, profile: Profile, channel: str, end: date) -> bool:
        ledger = [(t.at, not t.is_opt_in) for t in profile.seen if t.channel == channel and t.known < end]
        return bool(ledger) and not max(ledger)[1]

    def _flows(
        self, profile: Profile, month: date, before: State | None, now: State | None, is_new: bool
    ) -> Iterator[tuple[Any, ...]]:
        end = add_months(month, 1)
        if before is None and now is None:
            if profile.left is not None and month <= profile.arrived < end and profile.left < end:
                yield month, profile.source, self._status(profile, end), "base", "transient"
            return
        entry = "new" if is_new else "restored"
        yield from _bridge(month, "base", before, now, entry, "deleted")
        was = before if before and before.is_active else None
        is_now = now if now and now.is_active else None
        if was or is_now:
            came = entry if before is None else "reactivated"
            went = "deleted" if now is None else "lapsed"
            yield from _bridge(month, "active", was, is_now, came, went)


def _months_later(day: date, months: int) -> date:
    month = add_months(day.replace(day=1), months)
    return month.replace(day=min(day.day, monthrange(month.year, month.month)[1]))


def _bridge(month: date, scope: str, was: State | None, now: State | None, came: str, went: str) -> Iterator[tuple[Any, ...]]:
    if was:
        yield month, was.source, was.status, scope, "opening"
    if now:
        yield month, now.source, now.status, scope, "closing"
    if was and now and was.status != now.status:
        yield month, was.source, was.status, scope, "converted_out"
        yield month, now.source, now.status, scope, "converted_in"
    elif was and now:
        yield month, now.source, now.status, scope, "stable"
    elif now:
        yield month, now.source, now.status, scope, came
    elif was:
        yield month, was.source, was.status, scope, went


def _earliest(loads: list[datetime | None]) -> datetime | None:
    """The earliest load; None, which came with the history, is earlier than any."""
    known = [load for load in loads if load is not None]
    return min(known) if len(known) == len(loads) and known else None
