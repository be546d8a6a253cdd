"""Profiles that are merged, in chains, late, in a circle, into nobody."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from tests.end_to_end.raw_base import RawBase, Row

FIRST, LAST = date(2024, 1, 1), date(2024, 4, 1)
VARIABLES = {"reporting_timezone": "Europe/Paris", "history_loaded_until": "2024-01-31 00:00:00"}


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _profile(customer_id: str, source: str, email: str, created: str = "2023-06-01", **values: Any) -> Row:
    return {"customer_id": customer_id, "source": source, "email": email, "created_at": _at(created), **values}


def _merge(merged: str, survivor: str, at: str, loaded: str | None = None) -> Row:
    return {"merged_customer_id": merged, "customer_id": survivor, "merged_at": _at(at), "loaded_at": _at(loaded or at)}


def _order(order_id: str, customer_id: str, at: str, amount: float) -> Row:
    return {"order_id": order_id, "customer_id": customer_id, "ordered_at": _at(at), "amount": amount}


def _consent(consent_id: str, customer_id: str, status: str, at: str) -> Row:
    return {
        "consent_id": consent_id, "customer_id": customer_id, "channel": "email", "status": status, "occurred_at": _at(at),
    }  # fmt: skip


def merged_base() -> RawBase:
    """first -> second -> third is a chain of which a link becomes known in February and one in March."""
    return RawBase(
        customers=[
            _profile("first", "till", "chain@example.org", account_id="one"),
            _profile("second", "web", "chain@example.org"),
            _profile("third", "app", "chain@example.org", account_id="three"),
            _profile("new_then_merged", "app", "new@example.org", created="2024-03-05"),
            _profile("deleted_too", "till", "gone@example.org", deleted_at=_at("2024-03-15")),
            _profile("opted_out", "till", "tie@example.org"),
            _profile("opted_in", "web", "tie@example.org"),
            _profile("other_address", "till", "one@example.org"),
            _profile("keeps_its_own", "web", "two@example.org"),
            _profile("found_late", "till", "late@example.org"),
            _profile("late_survivor", "web", "later@example.org"),
            _profile("circle_1", "web", "circle@example.org"),
            _profile("circle_2", "web", "circle@example.org"),
            _profile("into_nobody", "web", "nobody@example.org"),
        ],
        orders=[
            _order("o1", "first", "2023-07-10 10:00", 10),
            _order("o2", "first", "2024-03-20 10:00", 20),
            _order("o3", "found_late", "2024-01-10 10:00", 40),
        ],
        consents=[
            _consent("k1", "first", "opt_in", "2023-08-01 10:00"),
            _consent("k2", "opted_out", "opt_out", "2024-02-10 10:00"),
            _consent("k3", "opted_in", "opt_in", "2024-02-10 10:00"),
            _consent("k4", "other_address", "opt_in", "2023-08-01 10:00"),
        ],
        merges=[
            _merge("first", "second", "2024-02-10"),
            _merge("second", "third", "2024-03-12"),
            _merge("new_then_merged", "third", "2024-03-20"),
            _merge("deleted_too", "third", "2024-03-10"),
            _merge("opted_out", "opted_in", "2024-03-31 21:59:59"),
            _merge("other_address", "keeps_its_own", "2024-03-31 22:00:00"),
            _merge("found_late", "late_survivor", "2024-02-20", loaded="2024-04-10"),
            _merge("circle_1", "circle_2", "2024-02-05"),
            _merge("circle_2", "circle_1", "2024-03-05"),
            _merge("into_nobody", "nobody", "2024-04-05"),
        ],
        accounts=[{"account_id": "one", "name": "One"}, {"account_id": "three", "name": "Three"}],
    )
