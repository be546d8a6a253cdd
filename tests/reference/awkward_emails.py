"""E-mail addresses near the borders of what is valid, the same ones each time."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence

ATOM = string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~"
HOST = string.ascii_letters + string.digits + "-"
# Look-alikes of ASCII: signs of full width and small, letters that fold to ASCII.
DOTS = "\uff0e\u3002\uff61"
AT_SIGNS = "\uff20\ufe6b"
LOOK_ALIKES = f"{DOTS}{AT_SIGNS}\uff0d\uff21\uff41\uff11\u0130\u0131\u017f\u212a\u037e\u1fef\u2163\ufb01"
MARKS = "\u0301\u0338\u0345"
INVISIBLE = "\u200b\u200c\u200d\u00ad\u2060\ufeff\u202e\u115f\u3164\u0080\u009f\ue000\U000f0000\u0378\ufffd"
BLANKS = "\u00a0\u0085\u1680\u2003\u2028\u2029\u202f\u3000"
# Of several scripts, written from left to right and from right to left, and beyond the first plane.
LETTERS = "éÉßñøœŒΣςжДш\u05d0中文字日本한ก\u0663\u07c0😀♥€½²ª\U0001d41a\U0001d49c\U0001f1eb\U0001f1f7"
BEYOND_ASCII = LETTERS + LOOK_ALIKES + MARKS + INVISIBLE + BLANKS
PUNCTUATION = '"(),.:;<>@[\\] \t\n\r\x00\x01\x1c\x1f\x7f'
SIGNS = ("@",) * 30 + ("", "@@", *AT_SIGNS, " @", "@ ", "@.", ".@")
SPECIAL = ("arpa", "invalid", "local", "localhost", "onion", "test", "example", "example.com", "internal", "home.arpa")
PUNYCODE = ("xn--bcher-kva", "xn--80ak6aa92e", "xn--p1ai", "xn--", "xn--a", "xn--99999", "XN--BCHER-KVA", "xn---", "xn--bcher-")
LITERALS = (
    "[127.0.0.1]", "[256.0.0.1]", "[IPv6:::1]", "[IPv6:2001:db8::1]", "[::1]", "[x:y]", "[]", "[127.0.0.1", "127.0.0.1", "1.2",
)  # fmt: skip
QUOTED = ('""', '"a b"', '"a@b"', '"a\\"b"', '"a"b', 'a."b".c', '"é"', '"', '" "', '"john.doe"')
FORMS = (
    "Ann <{}>", "<{}>", "mailto:{}", "{};", "{},b@c.fr", "({}) x", '"Ann" <{}>', "{} (home)", " {}\t", "\u00a0{}\u3000", "{}\n",
)  # fmt: skip


def awkward_emails(count: int, seed: int = 20261122) -> list[str]:
    """Return `count` different addresses, each for a seed."""
    make = _Maker(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[make.address()] = None
    return list(found)


class _Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def address(self) -> str:
        """Mostly one part that is awkward, and the rest plain; sometimes a mishap on top."""
        kind = self.random.randrange(6)
        local = self.local() if kind in (0, 1, 2) else self.word()
        domain = self.domain() if kind in (2, 3, 4) else self.host()
        address = f"{local}{self.random.choice(SIGNS)}{domain}"
        if kind == 5:
            address = self.filled_up()
        if self.random.random() < 0.3:
            address = self.mishap(address)
        if self.random.random() < 0.05:
            address = self.random.choice(FORMS).format(address)
        return address

    def one(self, *makers: Callable[[], str]) -> str:
        return self.random.choice(makers)()

    def letters(self, alphabet: Sequence[str], least: int = 1, most: int = 8) -> str:
        return "".join(self.random.choices(alphabet, k=self.random.randint(least, most)))

    def word(self) -> str:
        return self.letters(string.ascii_lowercase + string.digits)

    def host(self) -> str:
        return f"{self.word()}.{self.random.choice(('com', 'fr', 'co.uk', 'museum', 'example', 'io'))}"

    def local(self) -> str:
        return self.one(
            lambda: self.letters(ATOM),
            lambda: ".".join(self.letters(ATOM, 0, 3) for _ in range(3)),
            lambda: self.letters(ATOM, 62, 66),
            lambda: self.letters(ATOM + BEYOND_ASCII),
            lambda: self.letters(string.ascii_letters, 0, 2) + self.random.choice(BEYOND_ASCII),
            lambda: self.letters(ATOM + PUNCTUATION),
            lambda: self.random.choice(QUOTED),
            lambda: "é" * self.random.randint(62, 66),
        )

    def label(self) -> str:
        return self.one(
            self.word,
            lambda: self.letters(HOST),
            lambda: self.letters(HOST, 62, 65),
            lambda: f"{self.letters(HOST, 0, 3)}--{self.letters(HOST, 0, 3)}",
            lambda: self.letters(string.digits),
            lambda: self.letters(HOST + BEYOND_ASCII),
            lambda: f"{self.word()}_{self.word()}",
            lambda: self.random.choice(PUNYCODE),
            lambda: "",
        )

    def domain(self) -> str:
        return self.one(
            lambda: f"{self.label()}.{self.host()}",
            lambda: f"{self.word()}.{self.label()}",
            lambda: f"{self.label()}.{self.label()}.com",
            self.label,
            lambda: self.random.choice(SPECIAL),
            lambda: f"{self.label()}.{self.random.choice(SPECIAL)}",
            lambda: f"{self.word()}{self.random.choice(SPECIAL)}",
            lambda: self.random.choice(LITERALS),
            lambda: f"{self.host()}.",
            lambda: self.host().upper(),
            lambda: f"{self.word()}{self.random.choice(DOTS)}com",
        )

    def filled_up(self) -> str:
        """An address of about 254 characters, or of bytes, with a long word before the `@` or without."""
        local = self.letters(string.ascii_lowercase, 1, 66)
        if self.random.random() < 0.2:
            local = "é" * self.random.randint(1, 66)
        labels = [self.letters(string.ascii_lowercase, 40, 63) for _ in range(4)]
        room = self.random.randint(252, 256) - len(local) - 1
        return f"{local}@{'.'.join(labels)[: max(room - 3, 1)]}.fr"

    def mishap(self, address: str) -> str:
        at = self.random.randrange(len(address) + 1)
        sign: str = self.random.choice((*ATOM, *PUNCTUATION, *BEYOND_ASCII, "..", "--", "@", ".", "-", ""))
        return address[:at] + sign + address[at + self.random.randint(0, 1) :]
