"""Companies, their contracts and contacts: `accounts_monthly` says what a count by hand says, and nothing without companies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestration.months import add_months, months_between
from tests.end_to_end.closing import WAREHOUSE, bring_in, close, closed_tables, first_difference, query
from tests.end_to_end.raw_base import RawBase, Row

ZONE = ZoneInfo("America/New_York")
FIRST, LAST = date(2024, 1, 1), date(2024, 4, 1)
HISTORY_UNTIL = datetime(2024, 2, 10)
GRACE_DAYS = 2
WORDS = {
    "reporting_timezone": ZONE.key,
    "closing_grace_days": GRACE_DAYS,
    "history_loaded_until": f"{HISTORY_UNTIL:%Y-%m-%d %H:%M:%S}",
}
ROLES = ("buyer", "influencer", "decision_maker", "user")
MONEY = ("paid_amount", "list_amount", "paid_amount_with_list", "margin_amount", "paid_amount_with_cost")
HORIZONS = (1, 3, 12)


@pytest.fixture(scope="module")
def base() -> RawBase:
    """Some accounts of which everything happens at random moments, near the ends of months more often than not."""
    rng = Random(11)

    def moment(first: date, last: date) -> datetime:
        month = rng.choice(months_between(first, last))
        hours = rng.choice((0, 4, 5, 20, 24 * 15, 24 * 28)) + 24 * rng.random() * rng.choice((0, 1, 3))
        return datetime(month.year, month.month, 1) + timedelta(hours=round(hours, 2))

    accounts = [f"a{n}" for n in range(25)]
    made = RawBase()
    for account in accounts:
        opened = moment(date(2023, 6, 1), date(2024, 5, 1)) if rng.random() < 0.4 else None
        made.accounts.append({"account_id": account, "name": account.upper(), "industry": None, "created_at": opened})
        for number in range(rng.randint(0, 4)):
            made.contracts.append(
                {
                    "contract_id": f"{account}-{number}",
                    "account_id": account if rng.random() < 0.7 else None,
                    "customer_id": f"c{rng.randint(0, 89)}" if rng.random() < 0.6 else None,
                    "status": rng.choice(("active", "ended", None, " Cancelled", "draft")),
                    "started_at": moment(date(2023, 1, 1), date(2024, 5, 1)) if rng.random() < 0.9 else None,
                    "ends_at": moment(date(2024, 1, 1), date(2025, 6, 1)) if rng.random() < 0.8 else None,
                    "recurring_amount": round(rng.random() * 1000, 2) if rng.random() < 0.8 else None,
                }
            )
    for number in range(90):
        created = moment(date(2022, 10, 1), LAST)
        customer = f"c{number}"
        made.customers.append(
            {
                "customer_id": customer,
                "created_at": created,
                "loaded_at": created,
                "deleted_at": moment(FIRST, LAST) + timedelta(days=20) if rng.random() < 0.15 else None,
                "account_id": rng.choice([*accounts, "nobody", None]),
                "email": f"{customer}@bathtub-post.fr" if rng.random() < 0.8 else None,
            }
        )
        if rng.random() < 0.6:
            at = moment(date(2023, 1, 1), LAST)
            made.consents.append(
                {"consent_id": customer, "customer_id": customer, "channel": "email", "status": "opt_in", "occurred_at": at,
                 "loaded_at": at}
            )  # fmt: skip
        for role in rng.sample((*ROLES, "gate_keeper"), rng.choice((0, 0, 1, 2))):
            account = rng.choice([*accounts, "nobody"])
            made.account_contacts.append({"account_id": account, "customer_id": customer, "role": role.upper()})
    for number in range(900):
        at = moment(date(2022, 11, 1), date(2024, 5, 1))
        late = rng.choice((0, 0, 0, 1, 30, 90, 400))
        amount = round(rng.choice((-1, 1, 1, 1, 1)) * rng.random() * 500, 2)
        made.orders.append(
            {
                "order_id": f"o{number}",
                "customer_id": f"c{rng.randint(0, 95)}",
                "ordered_at": at,
                "status": rng.choice(("completed", "refunded", "CANCELLED", None)),
                "amount": amount,
                "currency": rng.choice(("EUR", "eur ", None)) if number % 60 else "USD",
                "quantity": float(rng.randint(1, 9)) if rng.random() < 0.9 else None,
                "list_amount": rng.choice((0.0, None, round(abs(amount) * 1.2, 2))),
                "cost_amount": rng.choice((None, 0.0, round(amount * 0.7, 2), round(amount * 0.5, 2))),
                "loaded_at": at + timedelta(days=late),
            }
        )
    return made


def _local(at: datetime) -> date:
    return at.replace(tzinfo=UTC).astimezone(ZONE).date()


def _month_of(happened: datetime, loaded: datetime) -> date:
    """The month to which a row belongs."""
    month = _local(happened).replace(day=1)
    is_late = loaded > HISTORY_UNTIL and _local(loaded) >= add_months(month, 1) + timedelta(days=GRACE_DAYS)
    return _local(loaded).replace(day=1) if is_late else month


class ByHand:
    """The rows of the mart, counted one account and one month at a time."""

    def __init__(self, base: RawBase) -> None:
        self.base = base
        self.account_of = {row["customer_id"]: row["account_id"] for row in base.customers}
        self.orders = [
            {**row, "month": _month_of(row["ordered_at"], row["loaded_at"])}
            for row in base.orders
            if row["amount"] > 0 and row["status"] != "CANCELLED"
        ]

    def rows(self) -> Iterator[Row]:
        """Each account at each close at which it was there."""
        for month in months_between(FIRST, LAST):
            for account in self.base.accounts:
                opened = account["created_at"]
                if opened is None or _local(opened) < add_months(month, 1):
                    name = account["account_id"]
                    yield {
                        "snapshot_month": month,
                        "account_id": name,
                        "account_name": account["name"],
                        **self._bought(name, month),
                        **self._contracted(name, month),
                        **self._reached(name, month),
                    }

    def _bought(self, account: str, month: date) -> Row:
        mine = [row for row in self.orders if self.account_of.get(row["customer_id"]) == account]
        year = [row for row in mine if add_months(month, -12) < row["month"] <= month]
        currencies = {row["currency"].strip().upper() for row in year if row["currency"]}
        found: Row = {
            "currency": currencies.pop() if len(currencies) == 1 else None,
            "has_several_currencies": len(currencies) > 1,
        }
        for suffix, rows in (("", [row for row in year if row["month"] == month]), ("_12m", year)):
            with_list = [row for row in rows if row["list_amount"]]
            with_cost = [row for row in rows if row["cost_amount"] is not None]
            paid, listed = sum(row["amount"] for row in with_list), sum(row["list_amount"] for row in with_list)
            cost_paid = sum(row["amount"] for row in with_cost)
            money = (
                sum(row["amount"] for row in rows),
                listed,
                paid,
                sum(r["amount"] - r["cost_amount"] for r in with_cost),
                cost_paid,
            )
            found |= {f"n_orders{suffix}": len(rows), f"quantity{suffix}": sum(row["quantity"] or 0 for row in rows)}
            for name, amount in zip(MONEY, money, strict=True):
                found[name + suffix] = None if found["has_several_currencies"] else amount
        several, listed, cost_paid = (
            found["has_several_currencies"],
            found["list_amount_12m"],
            found["paid_amount_with_cost_12m"],
        )
        found["discount_rate_12m"] = None if several or not listed else 1 - found["paid_amount_with_list_12m"] / listed
        found["margin_rate_12m"] = None if several or not cost_paid else found["margin_amount_12m"] / cost_paid
        return found

    def _contracted(self, account: str, month: date) -> Row:
        after = add_months(month, 1)
        mine = [
            row
            for row in self.base.contracts
            if (row["account_id"] or self.account_of.get(row["customer_id"])) == account
            and row["status"] not in (" Cancelled", "draft")
        ]
        running = [row for row in mine if row["ends_at"] is None or _local(row["ends_at"]) >= after]
        active = [row for row in running if row["started_at"] is None or _local(row["started_at"]) < after]
        ends = [(_local(row["ends_at"]), row["recurring_amount"]) for row in active if row["ends_at"]]
        found: Row = {
            "contract_status": "active" if active else "upcoming" if running else "ended" if mine else "none",
            "n_contracts_active": len(active),
            "n_contracts_with_amount": sum(row["recurring_amount"] is not None for row in active),
            "recurring_amount": sum(row["recurring_amount"] or 0 for row in active),
            "next_contract_end_date": min((end for end, _ in ends), default=None),
        }
        for horizon in HORIZONS:
            soon = [amount or 0 for end, amount in ends if end < add_months(after, horizon)]
            found |= {f"n_contracts_ending_{horizon}m": len(soon), f"recurring_amount_ending_{horizon}m": sum(soon)}
        return found

    def _reached(self, account: str, month: date) -> Row:
        roles = {
            role: {
                row["customer_id"]
                for row in self.base.account_contacts
                if row["account_id"] == account and row["role"] == role.upper()
            }
            for role in (*ROLES, "gate_keeper")
        }
        linked = {name for name, of in self.account_of.items() if of == account}.union(*roles.values())
        people = [row for row in self.base.customers if row["customer_id"] in linked and self._is_there(row, month)]
        reached = {row["customer_id"] for row in people if self._is_contactable(row, month)}
        there = {row["customer_id"] for row in people}
        coverage = {
            role: "contactable" if roles[role] & reached else "not_contactable" if roles[role] & there else "missing"
            for role in ROLES
        }
        return {
            "n_contacts": len(people),
            "n_contacts_active": sum(self._is_active(row, month) for row in people),
            "n_contacts_contactable": len(reached),
            **{f"{role}_coverage": word for role, word in coverage.items()},
            **{
                f"n_roles_{word}": list(coverage.values()).count(word) for word in ("contactable", "not_contactable", "missing")
            },
        }

    def _is_there(self, customer: Row, month: date) -> bool:
        after = add_months(month, 1)
        left = customer["deleted_at"]
        return _local(customer["created_at"]) < after and (left is None or _local(left) >= after)

    def _is_active(self, customer: Row, month: date) -> bool:
        ordered = [
            _local(row["ordered_at"])
            for row in self.orders
            if row["customer_id"] == customer["customer_id"] and row["month"] <= month
        ]
        last = max([_local(customer["created_at"]), *ordered])
        return (add_months(month, 1) - timedelta(days=1) - last).days <= 365

    def _is_contactable(self, customer: Row, month: date) -> bool:
        consents = [row for row in self.base.consents if row["customer_id"] == customer["customer_id"]]
        is_opted_in = any(_local(row["occurred_at"]) < add_months(month, 1) for row in consents)
        return is_opted_in and customer["email"] is not None


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["snapshot_month"], row["account_id"]))


MADE = ["accounts_monthly"]


def _published(warehouse: Path, columns: list[str]) -> list[Row]:
    found = query(warehouse, f"select {', '.join(columns)} from marts.accounts_monthly")
    return _sorted([dict(zip(columns, row, strict=True)) for row in found])


def _closed(base: RawBase, folder: Path) -> Path:
    warehouse = folder / WAREHOUSE
    bring_in(base.write(folder / "raw"), warehouse, FIRST, WORDS)
    close(warehouse, FIRST, LAST, WORDS, made=MADE)
    return warehouse


def test_accounts_say_what_a_count_by_hand_says(base: RawBase, tmp_path: Path) -> None:
    warehouse = _closed(base, tmp_path)
    expected = _sorted(list(ByHand(base).rows()))
    found = _published(warehouse, list(expected[0]))
    assert [(row["snapshot_month"], row["account_id"]) for row in found] == [
        (row["snapshot_month"], row["account_id"]) for row in expected
    ]
    for one, other in zip(found, expected, strict=True):
        wrong: dict[str, Any] = {
            name: (value, other[name]) for name, value in one.items() if value != pytest.approx(other[name], abs=0.006)
        }
        assert not wrong, (one["snapshot_month"], one["account_id"], wrong)
    # The base has what the rules are about.
    seen = {name: {row[name] for row in expected} for name in expected[0]}
    assert seen["has_several_currencies"] == {True, False}
    assert seen["contract_status"] == {"active", "upcoming", "ended", "none"}
    assert all(seen[f"{role}_coverage"] == {"contactable", "not_contactable", "missing"} for role in ROLES)
    assert all(len(seen[f"n_contracts_ending_{horizon}m"]) > 1 for horizon in HORIZONS)
    # One month closed alone reads the orders of its own twelve months, and says the same.
    before = closed_tables(warehouse)
    close(warehouse, LAST, LAST, WORDS, made=MADE)
    assert not first_difference(before, closed_tables(warehouse))


def test_without_accounts_nothing_is_there_and_nothing_is_said(base: RawBase, tmp_path: Path) -> None:
    raw_dir, warehouse = tmp_path / "raw", tmp_path / WAREHOUSE
    RawBase(customers=base.customers, orders=base.orders, consents=base.consents).write(raw_dir)
    assert bring_in(raw_dir, warehouse, FIRST, WORDS).warnings == []
    close(warehouse, FIRST, FIRST, WORDS, made=MADE)
    assert query(warehouse, "select count(*) from marts.accounts_monthly") == [(0,)]
    assert query(warehouse, "select count(*) > 0 from marts.status_monthly") == [(True,)]
    # Contracts and contacts of companies that are not delivered count for none.
    RawBase(contracts=base.contracts, account_contacts=base.account_contacts).write(raw_dir, part="later")
    assert bring_in(raw_dir, warehouse, FIRST, WORDS).warnings == []
    close(warehouse, add_months(FIRST, 1), add_months(FIRST, 1), WORDS, made=MADE)
    assert query(warehouse, "select count(*) from marts.accounts_monthly") == [(0,)]
    # The first close after they are delivered has them, and closed months stay as they are.
    RawBase(accounts=base.accounts).write(raw_dir, part="latest")
    bring_in(raw_dir, warehouse, FIRST, WORDS)
    close(warehouse, add_months(FIRST, 2), LAST, WORDS, made=MADE)
    months = query(warehouse, "select snapshot_month, count(*) > 0 from marts.accounts_monthly group by all order by 1")
    assert months == [(add_months(FIRST, 2), True), (LAST, True)]
