"""A base with one profile for each way to count wrongly, around a leap February, for a reporting zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from orchestration.months import add_months, months_between
from tests.end_to_end.raw_base import RawBase, Row

FIRST, LAST = date(2023, 3, 1), date(2024, 5, 1)
NBSP = "\u00a0"
PLACEHOLDERS = ("n/a", "NA", "Null", " none ", "-", ".", "XXX", "Test", f"{NBSP}unknown{NBSP}", "Inconnu", "", "  ", NBSP, None)
ADDRESSES = (
    "ann@example.com", " NoReply@Example.com ", "no-email@x.fr", f"{NBSP}TEST@x.fr", "inconnu@x.fr", "none", "testing@x.fr",
    "ann", "@x.fr", "no-reply", "a@b@c", "René.ΣΑΣ@example.com", "a@c.testİ", "a\u200b@x.fr", "a@xn--caf-dma.fr", "a@ab--c.fr",
    "Ann@x.Mailinator.com", "ann@mail.TEST", "ann@localhost", f"{'a' * 65}@x.fr", f"a@{'b' * 64}.fr", "'!#$%&*+/=?^`{|}~@x.fr",
)  # fmt: skip
BIRTH_DATES = (
    date(1900, 1, 1), date(1901, 1, 1), date(1970, 1, 1), date(9999, 12, 31), date(1970, 1, 2), date(1904, 2, 29),
    date(1903, 2, 28), date(1903, 3, 1), date(1903, 6, 30), date(2024, 2, 29), date(2024, 3, 1), date(2000, 2, 29),
    date(1850, 5, 5),
)  # fmt: skip
GENDERS = ("F", "f", " M ", "m", f"{NBSP}X", "x", "Mr", "Female", "FM", "F.", "", "  ", "N/A", None)
SOURCES = (
    "Web", " web ", f"{NBSP}WEB{NBSP}", "", "  ", None, "unknown", "N/A", "Café ☕", "L'Échoppe", 'the "shop"', "ß",
    "any", "a,b;c", "true", "0017", "\u2003till\u2003",
)  # fmt: skip
STATUSES = ("completed", "CANCELLED", " Canceled ", f"cancelled{NBSP}", "Refunded", "", None, "pending", "cancelled?")
EVENT_TYPES = (
    "site_visit", "SITE_VISIT", " store_visit ", f"campaign_click{NBSP}", "support_request", "Sign_Up", "campaign_open",
    "campaign_sent", "import", "merge", "site visit", "hard_bounce", "teleported",
)  # fmt: skip
PHONES = (
    ("FR", "06 12 34 56 78"), ("FR", "01.23.45.67.89"), ("FR", "0899 12 34 56"), (None, "0590 27 12 34"), ("GP", "0690001234"),
    ("DE", "0171 1234567"), ("US", "(415) 555-2671"), ("FR", "+49 171 1234567"), ("ZZ", "06 12 34 56 78"), ("FR", "06 12 34"),
    ("GB", "07400 123456 ext. 3"), ("FR", "call me"), ("FR", "\uff10612345678"), ("IT", "0236618300"),
    ("FR", "00 33 6 12 34 56 78"), (None, "33 6 12 34 56 78"), ("RE", "0262 20 12 34"), ("JE", "07797 712345"),
    ("AR", "011 15 2345 6789"), ("BR", "0 15 11 96123 4567"), (None, "+800 1234 5678"),
    ("FR", "+999 123456"), ("US", "011 33 6 12 34 56 78"),
)  # fmt: skip
POSTAL_CODES = (
    ("FR", "75001"), (None, "97200"), ("FR", "99999"), ("GB", "SW1A 1AA"), ("GB", "12345"), ("IE", "D02 AF30"), ("ZZ", "1"),
    ("US", "02139-4307"), ("HK", "none"),
)  # fmt: skip
FAILURES = (
    ("hard_bounce", "email", 1), ("complaint", None, 1), ("soft_bounce", "email", 7), ("soft_bounce", None, 7),
    ("soft_bounce", "email", 6), ("undeliverable", "post", 1), ("undeliverable", "sms", 1), ("undeliverable", None, 1),
)  # fmt: skip
NAMED = (
    ("email", " Named@Example.FR"), ("email", "other@example.fr"), ("sms", "+33612345678"), ("phone", "06.12.34.56.78"),
    ("sms", "0699999999"), ("post", "2 quai"), ("email", ""), ("phone", "000"),
)  # fmt: skip
CLOCK_TURNS = (
    date(2023, 3, 12), date(2023, 3, 26), date(2023, 4, 2), date(2023, 9, 24), date(2023, 10, 29), date(2023, 11, 5),
)  # fmt: skip
NAME = 'O\'Neil, "Zed"\n🛁'
IDS = ("42", "0042", "4.20", "id with blanks inside", "é-🛁", "it's", 'say "hi"', "a,b", "NULL", "null", "-")
CHANNELS = ("email", "SMS", " Phone ", f"post{NBSP}", "fax")


class _Traps:
    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self.base = RawBase()

    def at(self, day: date, hour: float = 12) -> datetime:
        """A local time of a day, in UTC."""
        local = datetime(day.year, day.month, day.day) + timedelta(hours=hour)
        return local.replace(tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None)

    def customer(self, customer_id: str, created_at: datetime | None = None, **values: object) -> None:
        self.base.customers.append({"customer_id": customer_id, "created_at": created_at, **values})

    def order(self, customer_id: str, at: datetime, amount: float = 10, status: str | None = "completed") -> None:
        self._add(self.base.orders, "order_id", customer_id, ordered_at=at, amount=amount, status=status)

    def event(self, customer_id: str, at: datetime, event_type: str = "site_visit", **values: object) -> None:
        self._add(self.base.events, "event_id", customer_id, occurred_at=at, event_type=event_type, **values)

    def consent(self, customer_id: str, at: datetime, channel: str = "email", status: str = "opt_in", **values: object) -> None:
        self._add(self.base.consents, "consent_id", customer_id, occurred_at=at, channel=channel, status=status, **values)

    def _add(self, rows: list[Row], key: str, customer_id: str, **values: object) -> None:
        rows.append({key: f" {len(rows)} ", "customer_id": customer_id, **values})

    def edges(self) -> list[datetime]:
        """Month ends: late UTC evenings, the local midnights to the microsecond, the turns of the clock, 29 February."""
        moments = []
        for month in months_between(add_months(FIRST, -1), add_months(LAST, 1)):
            midnight = self.at(month, 0)
            moments += [midnight, midnight - timedelta(microseconds=1), midnight + timedelta(seconds=1)]
            evening = datetime(month.year, month.month, 1) - timedelta(hours=2.5)
            moments += [evening + timedelta(minutes=minutes) for minutes in (0, 30, 60, 149, 150, 210)]
        moments += [
            datetime(day.year, day.month, day.day, hour, 30) for day in CLOCK_TURNS for hour in (0, 1, 2, 6, 13, 14, 23)
        ]
        moments += [self.at(date(2024, 2, 29), hour) for hour in (0, 12, 23.9)]
        return moments

    def make(self) -> RawBase:
        self._edges()
        self._undated()
        self._deleted()
        self._ties()
        self._values()
        self._ids()
        self._recency()
        self._words()
        self._contacts()
        return self.base

    def _edges(self) -> None:
        old = self.at(date(2022, 1, 15))
        for number, moment in enumerate(self.edges()):
            self.customer(f"born-{number}", moment, source="web")
            self.customer(f"left-{number}", old, deleted_at=moment)
            self.customer(f"both-{number}", moment - timedelta(hours=5), deleted_at=moment)
            self.customer(f"bought-{number}", old)
            self.order(f"bought-{number}", moment)
            self.customer(f"visited-{number}", old)
            self.event(f"visited-{number}", moment)
            self.customer(f"opted-{number}", old)
            self.consent(f"opted-{number}", moment, CHANNELS[number % 5])
            self.consent(f"opted-{number}", moment + timedelta(days=40), CHANNELS[number % 5], "opt_out")
            self.customer(f"undated-{number}")
            self.event(f"undated-{number}", moment, "campaign_open")

    def _undated(self) -> None:
        middle = self.at(date(2023, 8, 31), 23.5)
        self.customer("undated-no-trace")
        self.customer("undated-no-trace-deleted", deleted_at=middle)
        self.customer("undated-cancelled-order")
        self.order("undated-cancelled-order", middle, status="cancelled")
        self.customer("undated-consent")
        self.consent("undated-consent", middle, "fax")
        self.customer("undated-unknown-event")
        self.event("undated-unknown-event", middle, "teleported")
        self.customer("undated-several")
        self.event("undated-several", middle + timedelta(days=60))
        self.consent("undated-several", middle - timedelta(days=60))
        self.order("undated-several", middle, 0)
        self.customer("traces-before-creation", middle)
        self.order("traces-before-creation", middle - timedelta(days=90))
        self.consent("traces-before-creation", middle - timedelta(days=100))
        self.customer("old-order-new-profile", middle)
        self.order("old-order-new-profile", self.at(date(2019, 1, 1)))

    def _deleted(self) -> None:
        created = self.at(date(2023, 9, 10))
        for name, days in {"same-day": 0, "same-month": 15, "next-month": 25, "before-creation": -60, "day-before": -1}.items():
            self.customer(f"deleted-{name}", created, deleted_at=created + timedelta(days=days, hours=1))
            self.order(f"deleted-{name}", created + timedelta(days=12))
        self.customer("deleted-before-the-first-month", self.at(date(2022, 1, 1)), deleted_at=self.at(date(2022, 12, 1)))
        self.customer("deleted-last-second", self.at(date(2022, 1, 1)), deleted_at=self.at(FIRST, 0) - timedelta(seconds=1))
        self.customer("deleted-in-the-future", created, deleted_at=self.at(date(2150, 1, 1)))
        self.customer("born-in-the-future", self.at(date(2150, 1, 1)))
        self.customer("buys-in-the-future", created)
        self.order("buys-in-the-future", self.at(date(2150, 1, 1)))
        self.event("buys-after-deletion", created)
        self.customer("buys-after-deletion", created, deleted_at=created + timedelta(days=40))
        self.order("buys-after-deletion", created + timedelta(days=80))

    def _ties(self) -> None:
        moment = self.at(date(2023, 10, 31), 23.99)
        for channel in CHANNELS:
            for statuses in (("opt_in", "opt_out"), ("opt_out", "opt_in"), ("opt_in", "OPT_IN "), ("opt_in", "pending")):
                name = f"tie-{channel}-{'-'.join(statuses)}"
                self.customer(name.replace(NBSP, ""), self.at(date(2023, 1, 1)))
                for status in statuses:
                    self.consent(name.replace(NBSP, ""), moment, channel, status)
        self.customer("tie-acts", moment)
        self.order("tie-acts", moment)
        self.event("tie-acts", moment)
        # The latest load wins, then the latest business time; doubles agree in all else that is counted.
        loaded = self.at(date(2023, 12, 1))
        for hours, source in ((0, "till"), (3, "app"), (1, "web")):
            self.customer("doubled", moment, source=source, loaded_at=loaded + timedelta(hours=hours))
            updated = loaded + timedelta(hours=hours)
            self.customer("doubled-same-load", moment, source=source, loaded_at=loaded, updated_at=updated)
        self.base.orders.append(
            {"order_id": "0", "customer_id": "tie-acts", "ordered_at": moment, "amount": 0.0, "loaded_at": loaded}
        )

    def _values(self) -> None:
        created = self.at(date(2023, 2, 1))
        for number, value in enumerate(PLACEHOLDERS):
            fields = ("first_name", "last_name", "gender", "job_title", "phone", "income_band", "interests")
            self.customer(f"placeholder-{number}", created, email=value, **dict.fromkeys(fields, value))
        for number, address in enumerate(ADDRESSES):
            self.customer(f"address-{number}", created, email=address)
        for number, birth_date in enumerate(BIRTH_DATES):
            self.customer(f"birth-{number}", created, birth_date=birth_date, first_name="Zoë", last_name=NAME)
        for number, gender in enumerate(GENDERS):
            self.customer(f"gender-{number}", created, gender=gender)
        for month in months_between(FIRST, LAST):
            # 120 and 121 years old at a month's end, and born on the day after it.
            for number, day in enumerate((-1, 0, 1)):
                born = add_months(month, 1) + timedelta(days=day)
                for age in (0, 120, 121):
                    self.customer(f"age-{month:%y%m}-{number}-{age}", created, birth_date=_years_before(born, age))
        for number, source in enumerate(SOURCES):
            self.customer(f"source-{number}", created, source=source)
            self.order(f"source-{number}", created + timedelta(days=30 * number))

    def _contacts(self) -> None:
        """Numbers and addresses of several countries, failed deliveries of each kind, opt-ins for coordinates of then."""
        created = self.at(date(2023, 2, 10))
        for number, (country, phone) in enumerate(PHONES):
            self.customer(f"phone-{number}", created, country=country, phone=phone)
        for number, (country, postal_code) in enumerate(POSTAL_CODES):
            address = {"address_line": "1 rue du Bac", "postal_code": postal_code, "city": "Ville"}
            self.customer(f"post-{number}", created, country=country, **address)
        reachable = {"phone": "06 12 34 56 78", "address_line": "2 quai", "postal_code": "75001", "city": "Paris"}
        for number, (event_type, channel, times) in enumerate(FAILURES):
            name = f"failed-{number}"
            self.customer(name, created, email=f"{name}@example.fr", **reachable)
            for of in ("email", "sms", "phone", "post"):
                self.consent(name, created, of, legal_basis="consent", proof="form 7")
            for time in range(times):
                self.event(name, created + timedelta(days=200 + 9 * time), event_type, channel=channel)
            if number % 2:
                self.event(name, created + timedelta(days=240), "campaign_open", channel="email")
        for number, (channel, coordinate) in enumerate(NAMED):
            name = f"named-{number}"
            self.customer(name, created, email="named@example.fr", **reachable)
            self.consent(name, created + timedelta(days=205), channel, coordinate=coordinate, proof=" " if number % 2 else "x")
        for domain, answer in (("example.fr", "yes"), (" X.FR", "no"), ("x.fr", None), ("xn--caf-dma.fr", "TRUE")):
            self.base.mail_domains.append({"domain": domain, "accepts_mail": answer, "checked_at": created})

    def _ids(self) -> None:
        created = self.at(date(2023, 4, 1))
        for customer_id in IDS:
            self.customer(f"  {customer_id} ", created)
            self.order(f"{customer_id}   ", created + timedelta(days=45))
            self.event(customer_id, created + timedelta(days=75))
        for orphan in ("nobody", "4", "ID WITH BLANKS INSIDE"):
            self.order(orphan, created)
            self.event(orphan, created)
            self.consent(orphan, created)

    def _recency(self) -> None:
        for month in (date(2024, 2, 1), date(2024, 3, 1), date(2023, 12, 1)):
            as_of = add_months(month, 1) - timedelta(days=1)
            for days in (0, 1, 30, 31, 90, 91, 180, 181, 365, 366, 730, 731):
                for hour in (0, 23.99):
                    name = f"quiet-{month:%y%m}-{days}-{hour}"
                    self.customer(name, self.at(date(2020, 1, 1)))
                    self.event(name, self.at(as_of - timedelta(days=days), hour))

    def _words(self) -> None:
        created, moment = self.at(date(2022, 6, 1)), self.at(date(2023, 11, 30), 23.9)
        for number, status in enumerate(STATUSES):
            for amount in (0.0, -10.0, 0.01, 100.0):
                self.customer(f"order-{number}-{amount}", created)
                self.order(f"order-{number}-{amount}", moment, amount, status)
        for number, event_type in enumerate(EVENT_TYPES):
            self.customer(f"event-{number}", created)
            self.event(f"event-{number}", moment, event_type)


def _years_before(day: date, years: int) -> date:
    """The same day years earlier; 1 March where there is no 29 February."""
    return date(day.year - years, day.month, 1) + timedelta(days=day.day - 1)


def trap_base(zone: str) -> RawBase:
    """Make the base for a reporting zone; its months are FIRST to LAST."""
    return _Traps(zone).make()
