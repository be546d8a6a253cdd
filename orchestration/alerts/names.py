"""Names of places as they may be shown: a source is typed by people, and may hold an address or a number."""

from __future__ import annotations

HIDDEN = "(hidden)"
LONGEST = 60
MOST_DIGITS = 6


def shown_name(text: str) -> str:
    """Return a plain name of at most 60 characters, without @ and with at most 6 digits, as it is; any other as `(hidden)`."""
    is_plain = text.isprintable() and len(text) <= LONGEST and "@" not in text
    return text if is_plain and sum(sign.isdigit() for sign in text) <= MOST_DIGITS else HIDDEN
