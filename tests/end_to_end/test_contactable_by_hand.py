"""Contactability, counted from the raw rows in plain Python with the reference libraries; nothing is shared with the SQL."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import phonenumbers
from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, validate_email
from phonenumbers import CountryCodeSource, NumberParseException, PhoneNumberFormat, PhoneNumberType

from orchestration.case_study import DEMO_END
from orchestration.months import add_months, months_between
from orchestration.reference.postal_codes import ANYTHING, published_forms
from tests.end_to_end.closing import WAREHOUSE, close_months, query
from tests.end_to_end.conftest import SMALL_DEMO_MONTHS, TRAPS_ZONE
from tests.end_to_end.oracle import CHANNELS, Oracle
from tests.end_to_end.random_base import History
from tests.end_to_end.raw_base import RawBase, Row
from tests.end_to_end.traps import ADDRESSES, FIRST, LAST, PHONES, POSTAL_CODES

PLACEHOLDERS = {"n/a", "na", "null", "none", "-", ".", "xxx", "test", "unknown", "inconnu"}
LOCAL_PARTS = {"noemail", "no-email", "noreply", "no-reply", "test", "none", "unknown", "inconnu"}
REGIONS = ("FR", "GP", "GF", "MQ", "RE", "PM")
COORDINATES = {"email": "email", "sms": "phone", "phone": "phone", "post": "postal_address"}
MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
SOFT_BOUNCES = 7
# Where the waterfall stops, the nearest to the base first.
STAGES = ("no_coordinate", "invalid", "bounced", "untested", "no_optin", "other_coordinate", "contactable")
MEASURES = (
    *("n_profiles", "n_filled", "n_reachable", "n_opted_in", "n_contactable", "n_no_coordinate", "n_invalid", "n_bounced"),
    *("n_untested", "n_no_optin", "n_optin_other_coordinate", "n_optin_no_coordinate", "n_optin_with_proof"),
)
OVERSEAS = {
    "GP": {"970", "971"}, "GF": {"973"}, "MQ": {"972"}, "RE": {"974", "977", "978"}, "PM": {"975"}, "YT": {"976"},
    "BL": {"970", "971", "977"}, "MF": {"970", "971", "978"},
}  # fmt: skip
POSTAL_FORMS = published_forms()
COLLECTIVITIES = {*(f"97{n}" for n in range(9)), "980", "984", "986", "987", "988"}
# What profiles are made of, beside the traps.
EMAILS = (*ADDRESSES, None, *(f"person{number}@example.com" for number in range(len(ADDRESSES))))
LINES = ("1 rue du Bac", "1 rue du Bac", "7", "-/-", "\u6771\u4eac", "xxx", None)
CITIES = ("Paris", "Paris", "\u03a9", "123", "?", "N/A")
CODES = (
    *POSTAL_CODES, ("FR", "75000"), ("FR", "7 5002"), ("FR", "75 002"), ("FR", "75-002"), ("FR", "20000"), ("FR", "00100"),
    ("FR", "1000"), ("fr ", "98000"), ("FR", "96000"), ("MC", "98000"), ("RE", "97410"), ("GP", "97410"), ("PL", "00950"),
    ("PL", "00\u00a0950"), ("GB", "sw1a1aa"), ("LV", "1010"), ("LV", "LV-1010"), ("KP", "1"), ("FRANCE", "75001"),
    ("NA", "10001"), ("DE", "10117"), ("DE", "10 117"), ("US", "021394307"),
)  # fmt: skip
EVENTS = (*("soft_bounce",) * 12, "campaign_open", "hard_bounce", "complaint", "undeliverable")
Figures = dict[tuple[Any, ...], Counter[str]]


def _text(value: str | None) -> str:
    """What is filled in, trimmed; empty for a placeholder."""
    text = (value or "").strip()
    return "" if text.lower() in PLACEHOLDERS else text


# ---- the form of a coordinate ----------------------------------------------------------------------------------------


def _library_takes(address: str) -> bool:
    try:
        validate_email(address, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return False
    return True


@cache
def _email_form(text: str) -> str:
    """`valid`, `invalid` or `untested`; empty when the field is not filled."""
    address = _text(text).lower()
    local, _, domain = address.partition("@")
    if not address or local in LOCAL_PARTS:
        return ""
    # Letters beyond ASCII excuse nothing else: the rest is judged with a plain letter in place of each.
    plain = "".join("a" if ord(letter) > 127 and letter.isprintable() else letter for letter in address)
    plain = plain.replace("xn--", "xna-")
    labels = domain.split(".")
    is_disposable = any(".".join(labels[place:]) in blocklist for place in range(len(labels)))
    if not _library_takes(plain) or is_disposable:
        return "invalid"
    return "valid" if plain == address else "untested"


@dataclass(frozen=True)
class _Number:
    form: str
    e164: str | None = None
    is_mobile: bool = False


def _parsed(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _readings(text: str, country: str) -> Iterator[tuple[str, str | None]]:
    """A text with each region that it may be dialled in: the country, the main one of its calling code, the default ones."""
    is_known = country in phonenumbers.SUPPORTED_REGIONS
    if is_known:
        yield text, country
        yield text, phonenumbers.region_code_for_country_code(phonenumbers.country_code_for_region(country))
    if not is_known or country in REGIONS:
        yield from ((text, region) for region in REGIONS)
    digits = "".join(filter(str.isdigit, text))
    if digits.startswith("00"):
        yield f"+{digits[2:]}", None


def _is_national(text: str) -> bool:
    """Whether a text holds a number, as dialled within a country."""
    try:
        number = phonenumbers.parse(text, REGIONS[0], keep_raw_input=True)
    except NumberParseException:
        return False
    return bool(number.country_code_source == CountryCodeSource.FROM_DEFAULT_COUNTRY)


@cache
def _number(value: str | None, country: str) -> _Number:
    """The number in a text, read in the profile's country; the form is empty when the field is not filled."""
    text = re.sub(r"\s", " ", _text(value))
    if not text:
        return _Number("")
    for reading, region in _readings(text, country):
        number = _parsed(reading, region)
        if number is not None:
            is_mobile = phonenumbers.number_type(number) in MOBILE
            return _Number("valid", phonenumbers.format_number(number, PhoneNumberFormat.E164), is_mobile)
    is_unknown = country and country not in phonenumbers.SUPPORTED_REGIONS and _is_national(text)
    return _Number("untested" if is_unknown else "invalid")


def _sms_form(number: _Number) -> str:
    return "invalid" if number.form == "valid" and not number.is_mobile else number.form


def _is_french(code: str, country: str) -> bool:
    if not re.fullmatch("[0-9]{2} ?[0-9]{3}", code):
        return False
    digits = code.replace(" ", "")
    if country in OVERSEAS:
        return digits[:3] in OVERSEAS[country]
    is_department = 1 <= int(digits[:2]) <= 95 and digits not in ("75000", "69000", "13000")
    return is_department or digits[:3] in COLLECTIVITIES


def _is_postal_code(code: str, country: str) -> bool:
    """The form of the country, whichever separator is in its place, or none."""
    written = re.sub("[ \u00a0-]", " ", code.upper())
    if country == "FR" or country in OVERSEAS:
        return _is_french(written, country)
    form = POSTAL_FORMS[country]
    ways = [written, *(f"{written[:place]} {written[place:]}" for place in range(1, len(written)))]
    return form == ANYTHING or any(re.fullmatch(form, way.replace(" ", sign), re.ASCII) for way in ways for sign in " -")


@cache
def _post_form(line: str, code: str, city: str, country: str) -> str:
    if not (line and code and city):
        return ""
    if not any(map(str.isalnum, line)) or not any(map(str.isalpha, city)):
        return "invalid"
    if country not in POSTAL_FORMS:
        return "untested"
    return "valid" if _is_postal_code(code, country) else "invalid"


# ---- what happened to it ---------------------------------------------------------------------------------------------


def _word(value: str | None) -> str:
    return (value or "").strip().lower()


class _Base:
    """The rows of a warehouse's schema `raw`."""

    def __init__(self, warehouse: Path, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self.rows = RawBase(**{table: _raw_rows(warehouse, table) for table in ("customers", "orders", "events", "consents")})
        self.profiles = {row["customer_id"]: row for row in self.rows.customers}
        self.events = self._by_customer(self.rows.events)
        self.consents = self._by_customer(self.rows.consents)
        self.mail = {
            _word(row["domain"]): _word(row["accepts_mail"]) in ("yes", "true")
            for row in _raw_rows(warehouse, "mail_domains")
            if _word(row["accepts_mail"]) in ("yes", "true", "no", "false")
        }

    def _by_customer(self, rows: Iterable[Row]) -> dict[str, list[Row]]:
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: row["occurred_at"]):
            found[row["customer_id"]].append(row)
        return found

    def is_before(self, moment: datetime, end: date) -> bool:
        """Whether a moment belongs to the months before `end`."""
        return moment.replace(tzinfo=UTC).astimezone(self.zone).date() < end

    def changed(self, profile: Row, coordinate: str, end: date) -> datetime:
        """When a coordinate last changed, as the close of the month before `end` knows it."""
        at = profile[f"{coordinate}_changed_at"]
        return at if at is not None and self.is_before(at, end) else datetime.min

    def of(self, rows: dict[str, list[Row]], profile: Row, end: date) -> list[Row]:
        return [row for row in rows.get(profile["customer_id"], []) if self.is_before(row["occurred_at"], end)]


def _raw_rows(warehouse: Path, table: str) -> list[Row]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        found = connection.execute(f"select * from raw.{table}")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _country(profile: Row) -> str:
    """In capitals; empty when not filled. `NA` is Namibia, no placeholder."""
    country = (profile["country"] or "").strip().upper()
    return "" if country.lower() in PLACEHOLDERS - {"na"} else country


def _forms(base: _Base, profile: Row) -> dict[str, str]:
    number = _number(profile["phone"], _country(profile))
    email = _email_form(profile["email"] or "")
    accepts = base.mail.get(_word(profile["email"]).rpartition("@")[2])
    if email in ("valid", "untested") and accepts is not None:
        email = "valid" if accepts else "invalid"
    address = [_text(profile[column]) for column in ("address_line", "postal_code", "city")]
    post = _post_form(address[0], address[1], address[2], _country(profile) or REGIONS[0])
    return {"email": email, "sms": _sms_form(number), "phone": number.form, "post": post}


def _since_changes(base: _Base, profile: Row, end: date) -> Iterator[tuple[str, str]]:
    """Each event that tells of a coordinate as it is at the close, in order of time: the coordinate, and what happened."""
    for event in base.of(base.events, profile, end):
        kind, channel = _word(event["event_type"]), _word(event["channel"])
        is_campaign = kind in ("hard_bounce", "complaint", "soft_bounce", "campaign_open", "campaign_click")
        coordinate = COORDINATES.get(channel or ("email" if is_campaign else ""))
        if coordinate and event["occurred_at"] >= base.changed(profile, coordinate, end):
            yield coordinate, kind


def _failed(base: _Base, profile: Row, end: date) -> set[str]:
    """The coordinates to which a delivery failed since they last changed."""
    found, in_a_row = set(), 0
    for coordinate, kind in _since_changes(base, profile, end):
        if kind in ("hard_bounce", "complaint", "undeliverable"):
            found.add(coordinate)
        if coordinate == "email":
            in_a_row = {"soft_bounce": in_a_row + 1, "campaign_open": 0, "campaign_click": 0}.get(kind, in_a_row)
    return found | ({"email"} if in_a_row >= SOFT_BOUNCES else set())


def _opt_in(base: _Base, profile: Row, channel: str, end: date) -> Row | None:
    """The consent in force, None without an opt-in; at the same instant the opt-out wins."""
    ledger = [row for row in base.of(base.consents, profile, end) if _word(row["channel"]) == channel]
    latest = [row for row in ledger if row["occurred_at"] == ledger[-1]["occurred_at"]]
    return latest[-1] if latest and all(_word(row["status"]) == "opt_in" for row in latest) else None


def _is_for_other(base: _Base, profile: Row, channel: str, opt_in: Row, end: date) -> bool:
    """Whether a consent named a coordinate that is not the present one, or that has changed since."""
    named = (opt_in["coordinate"] or "").strip()
    # Zeros alone are no number.
    if not named.strip("0") or channel == "post":
        return False
    if opt_in["occurred_at"] < base.changed(profile, COORDINATES[channel], end):
        return True
    if channel == "email":
        return named.lower() != _word(profile["email"])
    country = _country(profile)
    return _number(named, country).e164 != _number(profile["phone"], country).e164


@dataclass(frozen=True)
class _Standing:
    """Where a profile stands on a channel."""

    stage: str
    is_opted_in: bool
    has_proof: bool


def _standings(base: _Base, profile: Row, end: date) -> Iterator[tuple[str, _Standing]]:
    forms, failed = _forms(base, profile), _failed(base, profile, end)
    found = []
    for channel in CHANNELS:
        opt_in = _opt_in(base, profile, channel, end)
        is_for_other = opt_in is not None and _is_for_other(base, profile, channel, opt_in, end)
        holds = {
            "no_coordinate": not forms[channel],
            "invalid": forms[channel] == "invalid",
            "bounced": COORDINATES[channel] in failed,
            "untested": forms[channel] == "untested",
            "no_optin": opt_in is None,
            "other_coordinate": is_for_other,
            "contactable": True,
        }
        stage = next(stage for stage in STAGES if holds[stage])
        found.append(_Standing(stage, opt_in is not None, opt_in is not None and bool((opt_in["proof"] or "").strip())))
        yield channel, found[-1]
    furthest = max((standing.stage for standing in found), key=STAGES.index)
    yield "any", _Standing(furthest, any(s.is_opted_in for s in found), any(s.is_opted_in and s.has_proof for s in found))


# ---- counted and compared --------------------------------------------------------------------------------------------


def _measures(standing: _Standing) -> Counter[str]:
    stage, is_opted_in = standing.stage, standing.is_opted_in
    holds = {
        "n_profiles": True,
        "n_filled": stage != "no_coordinate",
        "n_reachable": stage in ("no_optin", "other_coordinate", "contactable"),
        "n_opted_in": is_opted_in,
        **{f"n_{name}": stage == name for name in STAGES if name != "other_coordinate"},
        "n_optin_other_coordinate": stage == "other_coordinate",
        "n_optin_no_coordinate": stage == "no_coordinate" and is_opted_in,
        "n_optin_with_proof": standing.has_proof,
    }
    return Counter({name: int(value) for name, value in holds.items()})


def _by_hand(base: _Base, shape: History) -> Figures:
    """The figures by month, source, status, whether registered within twelve months, and channel."""
    found: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for close in Oracle(base.rows, shape).closes():
        profile = base.profiles[close.profile.customer_id]
        is_recent = close.profile.created >= add_months(close.month, -11)
        for channel, standing in _standings(base, profile, add_months(close.month, 1)):
            found[close.month, close.state.source, close.state.status, is_recent, channel].update(_measures(standing))
    return found


def _contactable_by_source(by_hand: Figures) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for (month, source, _, _, channel), figures in by_hand.items():
        if channel == "any":
            found.update({(month, source): figures["n_contactable"], (month, "all"): figures["n_contactable"]})
    return found


def _check(warehouse: Path, first: date, last: date, zone: str) -> None:
    shape = History(0, first, len(months_between(first, last)), zone, grace_days=2)
    by_hand = _by_hand(_Base(warehouse, zone), shape)
    keys = "snapshot_month, source, status, registered_within_12m, channel"
    rows = query(warehouse, f"select {keys}, {', '.join(MEASURES)} from marts.optin_rate_monthly")
    mart = {row[:5]: Counter(dict(zip(MEASURES, row[5:], strict=True))) for row in rows}
    assert len(mart) == len(rows)
    assert {key[-1] for key in mart} == {*CHANNELS, "any"}
    # A row counts somebody, so that a missing one differs.
    wrong = sorted((key for key in by_hand.keys() | mart.keys() if by_hand.get(key) != mart.get(key)), key=str)
    told = [(key, f"by hand {by_hand.get(key)}", f"mart {mart.get(key)}") for key in wrong[:3]]
    assert not wrong, f"{len(wrong)} rows differ, first {told}"
    overview = query(warehouse, "select snapshot_month, source, n_contactable_any from marts.base_overview_monthly")
    # A source that has left the base keeps a row, of zeros.
    assert Counter({(month, source): n for month, source, n in overview}) == _contactable_by_source(by_hand)


# ---- bases -----------------------------------------------------------------------------------------------------------


def _made(seed: int) -> RawBase:
    """Three months of profiles with any coordinates of the lists, deliveries that failed, coordinates that changed."""
    rng, base = Random(seed), RawBase()

    def moment(least: int) -> datetime:
        return datetime(2026, 1, 1) + timedelta(days=rng.randint(least, 80), seconds=rng.randrange(86_400))

    def coordinates() -> Row:
        country, phone = rng.choice(PHONES)
        line, city = rng.choice(LINES), rng.choice(CITIES)
        found = {"email": rng.choice(EMAILS), "phone": phone, "address_line": line, "city": city, "country": country}
        country, found["postal_code"] = rng.choice(CODES)
        return {**found, "country": rng.choice((country, found["country"]))}

    for number in range(600):
        name, created_at = f"c{number}", moment(-40)
        profile = {"customer_id": name, "created_at": created_at, "updated_at": created_at, **coordinates()}
        base.customers.append({**profile, "loaded_at": created_at})
        changes = rng.random() < 0.4
        if changes:
            changed_at = created_at + timedelta(days=30)
            base.customers.append({**profile, **coordinates(), "updated_at": changed_at, "loaded_at": changed_at})
        for _ in range(rng.choice((0, 2, 12))):
            event = {"customer_id": name, "occurred_at": moment(-20), "event_type": rng.choice(EVENTS)}
            base.events.append({**event, "event_id": f"e{len(base.events)}", "channel": rng.choice((*CHANNELS, "email", None))})
        for _ in range(rng.randrange(9)):
            consent = {"customer_id": name, "occurred_at": moment(-20), "status": rng.choice(("opt_in", "opt_in", "opt_out"))}
            # Who changes names none: what then becomes of a named one depends on the month in which each was told.
            named = None if changes else rng.choice((None, profile["email"], "ann@example.com"))
            base.consents.append({**consent, "consent_id": f"k{len(base.consents)}", "channel": rng.choice(CHANNELS)})
            if base.consents[-1]["channel"] == "email":
                base.consents[-1]["coordinate"] = named
    return base


def test_any_coordinates(tmp_path: Path) -> None:
    first, last = date(2026, 1, 1), date(2026, 3, 1)
    close_months(_made(1).write(tmp_path / "raw"), tmp_path / WAREHOUSE, first, last, {})
    _check(tmp_path / WAREHOUSE, first, last, "Europe/Paris")


def test_traps(closed_traps: Path) -> None:
    _check(closed_traps, FIRST, LAST, TRAPS_ZONE)


def test_demo(small_demo: tuple[Path, Path]) -> None:
    # From before the first coordinate changed: a first close does not see that an opt-in stayed behind before it.
    _check(small_demo[1], add_months(DEMO_END, 1 - SMALL_DEMO_MONTHS), DEMO_END, "Europe/Paris")
