"""What each dialect macro must give, on every engine, for the values that engines disagree on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

BLANKS = [
    *range(0x9, 0xE),
    *range(0x1C, 0x21),
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
]
NULL = "cast(null as char(1))"
NULL_TEXT = "'cast(null as ' ~ dbt.type_string() ~ ')'"
NO_LETTER_OR_DIGIT = r"[^\pL\pN]*"
NULL_DATE = '"cast(null as date)"'

# Zones and UTC instants: summer time begins and ends, midnight is skipped or comes twice, a day is left out, odd offsets,
# local mean time. The second and the hour before, and the hour after, are tried too.
INSTANTS = {
    "Europe/Paris": [
        "2024-03-31 01:00",
        "2024-10-27 01:00",
        "2024-02-29 23:00",
        "2023-12-31 23:00",
        "1900-01-01 00:00",
        "1911-03-10 23:51",
    ],
    "America/Sao_Paulo": ["2018-11-04 03:00", "2019-02-17 02:00", "2024-03-01 03:00"],
    "America/Havana": ["2020-11-01 04:00", "2020-11-01 05:00", "2024-03-10 05:00"],
    "America/Asuncion": ["2023-10-01 04:00", "2024-03-24 03:00"],
    "Pacific/Apia": ["2011-12-30 10:00", "2011-12-30 09:00", "2012-01-01 10:00"],
    "Pacific/Kwajalein": ["1993-08-21 12:00"],
    "Asia/Kathmandu": ["1985-12-31 18:30", "2024-02-29 18:15"],
    "Asia/Kolkata": ["2024-02-29 18:30"],
    "Africa/Monrovia": ["1972-01-07 00:44"],
    "Africa/Casablanca": ["2024-03-10 02:00", "2024-04-14 02:00"],
    "Europe/Amsterdam": ["1930-12-31 23:40"],
    "Australia/Lord_Howe": ["2024-04-06 15:00", "2024-10-05 15:30"],
    "America/New_York": ["2024-03-10 07:00", "2024-11-03 06:00", "2025-01-01 05:00"],
    "UTC": ["2024-02-29 23:59", "9999-12-31 22:00", "0999-12-31 23:51"],
}


@dataclass(frozen=True)
class Case:
    """An expression of Jinja that gives SQL, and the value of that SQL."""

    jinja: str
    value: Any

    def __str__(self) -> str:
        return self.jinja


def text(value: str | None) -> str:
    """Return the Jinja that gives a text as an SQL literal."""
    return NULL_TEXT if value is None else f"text_literal({json.dumps(value, ensure_ascii=False)})"


def day(value: str) -> str:
    """Return the Jinja of a date literal."""
    return f"\"date '{value}'\""


def cases() -> list[Case]:
    """Return all cases."""
    return [
        *dates(),
        *local_dates(),
        *known(),
        *texts(),
        *parts(),
        *patterns(),
        *blanks(),
        *emails(),
        *postal_codes(),
        *plain_sql(),
    ]


def dates() -> Iterator[Case]:
    for start, months, end in [
        ("2024-01-31", 1, "2024-02-29"),
        ("2023-01-31", 1, "2023-02-28"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", -1, "2024-01-29"),
        ("2024-03-31", -1, "2024-02-29"),
        # The last day of a month is no longer the last one a month later.
        ("2023-02-28", 12, "2024-02-28"),
        ("2024-04-30", 1, "2024-05-30"),
        ("2023-12-31", 2, "2024-02-29"),
        ("2024-01-31", 0, "2024-01-31"),
        ("2024-02-29", -121 * 12, "1903-02-28"),
        ("1000-01-01", -1, "0999-12-01"),
    ]:
        yield Case(f"add_months({day(start)}, {months})", date.fromisoformat(end))
    yield Case(f"add_months({NULL_DATE}, 1)", None)
    yield Case(f"add_months(month_start({day('2024-03-31')}), 1)", date(2024, 4, 1))
    for start, days, end in [
        ("2024-02-28", 1, "2024-02-29"),
        ("2024-02-29", 1, "2024-03-01"),
        ("2023-02-28", 1, "2023-03-01"),
        ("2023-12-31", 2, "2024-01-02"),
        ("2024-03-01", -1, "2024-02-29"),
        ("2024-03-31", 0, "2024-03-31"),
    ]:
        yield Case(f"date_plus_days({day(start)}, {days})", date.fromisoformat(end))
        yield Case(f"days_between({day(start)}, {day(end)})", days)
    yield Case(f"date_plus_days({NULL_DATE}, 1)", None)
    yield Case(f"days_between({day('2024-01-01')}, {NULL_DATE})", None)
    yield Case(f"days_between({day('0999-12-31')}, {day('2024-01-01')})", (date(2024, 1, 1) - date(999, 12, 31)).days)
    for of, first in [("2024-02-29", "2024-02-01"), ("2024-03-01", "2024-03-01"), ("0999-12-31", "0999-12-01")]:
        yield Case(f"month_start({day(of)})", date.fromisoformat(first))
    yield Case(f"month_start({NULL_DATE})", None)


def local_dates() -> Iterator[Case]:
    for zone, instants in INSTANTS.items():
        for instant in instants:
            for seconds in (-3600, -1, 0, 3600):
                utc = datetime.fromisoformat(instant).replace(tzinfo=UTC) + timedelta(seconds=seconds)
                literal = utc.replace(tzinfo=None).isoformat(" ")
                yield Case(f"local_date(\"timestamp '{literal}'\", '{zone}')", utc.astimezone(ZoneInfo(zone)).date())
    yield Case("local_date('cast(null as timestamp)', 'Europe/Paris')", None)


def known() -> Iterator[Case]:
    for a, b, least, greatest in [
        ("2024-02-29", "2024-03-01", "2024-02-29", "2024-03-01"),
        ("2024-03-01", "2024-02-29", "2024-02-29", "2024-03-01"),
        ("2024-03-01", "2024-03-01", "2024-03-01", "2024-03-01"),
    ]:
        yield Case(f"least_known({day(a)}, {day(b)})", date.fromisoformat(least))
        yield Case(f"greatest_known({day(a)}, {day(b)})", date.fromisoformat(greatest))
    for macro in ("least_known", "greatest_known"):
        yield Case(f"{macro}({day('2024-03-01')}, {NULL_DATE})", date(2024, 3, 1))
        yield Case(f"{macro}({NULL_DATE}, {day('2024-03-01')})", date(2024, 3, 1))
        yield Case(f"{macro}({NULL_DATE}, {NULL_DATE})", None)


def texts() -> Iterator[Case]:
    literals = [
        "",
        "it's",
        '"',
        "'",
        "''",
        "a\\b",
        "\\n",
        "\\'",
        "\\",
        "\\u0041",
        "a\nb",
        "\t",
        "${user.home}",
        "%s",
        "{}",
        "é",
        "日本",
        "--",
        ";",
    ]
    yield from (Case(text(value), value) for value in literals)
    for before, after in [
        ("web", "web"),
        ("\t web \n", "web"),
        ("partner  file", "partner  file"),
        ("", ""),
        (" \u00a0\u3000", ""),
        (None, None),
        # Nothing to see, but no white space: zero width, byte order mark, Mongolian vowel separator.
        ("\u200bweb", "\u200bweb"),
        ("web\ufeff", "web\ufeff"),
        ("\u180eweb", "\u180eweb"),
    ]:
        yield Case(f"strip_blanks({text(before)})", after)
    yield from (Case(f"strip_blanks({text(chr(blank) + 'a' + chr(blank))})", "a") for blank in BLANKS)
    for before, after in [
        ("WEB", "web"),
        ("Éclair ŒUVRE", "éclair œuvre"),
        ("ΠΕΛΑΤΗΣ ΟΔΟΣ", "πελατησ οδοσ"),
        ("ς", "ς"),
        ("İZMİR", "izmir"),
        ("\u0131l\u0131k I", "\u0131l\u0131k i"),
        ("STRAẞE ß", "straße ß"),
        ("ДА", "да"),
        ("ǅ", "ǆ"),
        ("\u212a", "k"),
        ("", ""),
        (None, None),
    ]:
        yield Case(f"lower_case({text(before)})", after)


def parts() -> Iterator[Case]:
    for value, after, last_two in [
        ("a@b@c", "b@c", "b@c"),
        ("abc", "abc", "abc"),
        ("@a", "a", "@a"),
        ("a@", "", "a@"),
        ("", "", ""),
        ("é@😀@İ", "😀@İ", "😀@İ"),
        ("a@@b@", "@b@", "b@"),
        (None, None, None),
    ]:
        yield Case(f"text_after({text(value)}, '@')", after)
        yield Case(f"last_parts({text(value)}, '@', 2)", last_two)
    yield Case(f"last_parts({text('a.b.c.d.e')}, '.', 4)", "b.c.d.e")
    yield Case(f"last_parts({text('b.c.d.e')}, '.', 4)", "b.c.d.e")
    for value, rest in {"0033": "33", "33": "33", "303": "303", "000": ""}.items():
        yield Case(f"without_leading({text(value)}, '0')", rest)


def patterns() -> Iterator[Case]:
    for value, pattern, matches in [
        ("abc", "abc", True),
        ("abc", "ab", False),
        ("abc", "b|abc", True),
        ("ab", "a|abc", False),
        ("abc", "ABC", False),
        ("ABC", "(?i)abc", True),
        ("", "", True),
        ("", "a", False),
        ("abc\n", "abc", False),
        ("a\nb", "a.b", False),
        ("a\nb", "(?s)a.b", True),
        ("a\r\nb", "(?s)a.*", True),
        ("a.c", "a\\.c", True),
        ("abc", "a\\.c", False),
        ("it's", "it's", True),
        ("a\\b", "a\\\\b", True),
        ("ÉTÉ", "(?i)été", True),
        ("ÉTÉ", "été", False),
        ("ДА", "(?i)да", True),
        ("ΣΑΣ", "(?i)σας", True),
        ("unKnown", "(?i)unKnown", True),
        ("un\u212anown", "(?i)unknown", True),
        ("te\u017ft", "(?i)test", True),
        ("\u0131nconnu", "(?i)inconnu", False),
        ("İnconnu", "(?i)inconnu", False),
        ("INCONNU", "(?i)\u0131nconnu", False),
        ("\u0131nconnu", "(?i)\u0131nconnu", True),
        ("İ", "(?i)İ", True),
        ("\u00a0", "[\\x{a0}]", True),
        ("😀", "(?s).", True),
        (None, "a", None),
    ]:
        yield Case(f"matches_fully({text(value)}, {json.dumps(pattern, ensure_ascii=False)})", matches)
    for value, pattern, part in [
        ("0612", "0([0-9]+)", "612"),
        ("0612", "0(6)", None),
        ("612", "0([0-9]+)", None),
        ("0", "0([0-9]*)", None),
        ("12", "(?:(2)|1)[0-9]*", None),
        ("22", "(?:(2)|1)[0-9]*", "2"),
        ("4567", "(?:([45]\\d{3})$|1)[0-9]*", "4567"),
        ("1aB2", "(?i)[0-9]*(?:AB)([0-9])", "2"),
        ("a\n1", "(?s)[^0-9]*?([0-9]+)", "1"),
        ("+12", "[^0-9]*?([+]?[0-9]+)", "+12"),
        (None, "(a)", None),
    ]:
        yield Case(f"captured({text(value)}, {json.dumps(pattern)})", part)
    for value, digits in [
        ("06 12-34.56/78", "0612345678"),
        ("(0)6*12", "0612"),
        ("\uff0b\uff13\uff13\u00a06\u2011\u202f12", "+33612"),
        ("\u0660\u06f6 \t\n", "06"),
        ("ext. 12", "ext12"),
        ("", ""),
        (None, None),
    ]:
        yield Case(f"without_phone_punctuation({text(value)})", digits)
    for value, filled in [
        ("x", True),
        (None, False),
        ("", False),
        (" \t\n\u00a0\u3000", False),
        ("N/A", False),
        ("\u00a0 NULL\u2028", False),
        ("-", False),
        ("--", True),
        (".", False),
        ("..", True),
        ("xxx", False),
        ("xxxx", True),
        ("TEST", False),
        ("tester", True),
        ("te st", True),
        ("Inconnu\n", False),
        ("un\nknown", True),
        ("\u200b", True),
        ("nan", True),
    ]:
        yield Case(f"is_filled({text(value)})", filled)


def blanks() -> Iterator[Case]:
    """Text of blanks of any script is not filled, alone and around a placeholder."""
    for blank in map(chr, BLANKS):
        yield Case(f"is_filled({text(blank)})", False)
        yield Case(f"is_filled({text(blank + 'N/A' + blank + blank)})", False)
        yield Case(f"is_filled({text(blank + 'N' + blank + 'A')})", True)


def postal_codes() -> Iterator[Case]:
    for country, code, matches in [
        ("FR", "75002", True),
        ("FR", "\u00a075\u00a0002\u3000", True),
        ("FR", "75000", False),
        ("FR", "750021", False),
        ("FR", "\uff17\uff15\uff10\uff10\uff12", False),
        ("FR", "75002\n", True),
        ("GB", "sw1a-1aa", True),
        ("GB", "SW1A 1AA 1", False),
        ("KY", "KY1-1100", True),
        ("KY", "\u212ay1-1100", True),
        ("AI", "a\u0131-2640", False),
        ("HK", "a\nb", True),
        ("KP", "12345", False),
        ("", "", False),
        ("FR", None, None),
    ]:
        yield Case(f"is_postal_code({text(code)}, {text(country)})", matches)
    for country, known in [("FR", True), ("HK", True), ("KP", False), ("fr", False), ("", False)]:
        yield Case(f"has_known_postal_form({text(country)})", known)
    for value, blank in [("?! \u00a0--", True), ("a", False), ("-é", False), ("\u0662", False), ("千", False), ("", True)]:
        yield Case(f"matches_fully({text(value)}, {json.dumps(NO_LETTER_OR_DIGIT)})", blank)


def emails() -> Iterator[Case]:
    """Addresses whose classes of characters engines may read differently."""
    for value, is_plain, is_international in [
        ("a@b.fr", True, True),
        ("!#$%&'*+-/=?^_`{|}~@b.fr", True, True),
        ("a@b.fr\n", False, False),
        ("a\n@b.fr", False, False),
        ("a\u0000@b.fr", False, False),
        ("a\u007f@b.fr", False, False),
        ("a\\b@c.fr", False, False),
        ("a[b@c.fr", False, False),
        ("a]b@c.fr", False, False),
        ('"a"@c.fr', False, False),
        ("a@b_c.fr", False, False),
        ("a@b.1", False, False),
        ("\u212a@b.fr", False, True),
        ("a@\u017f.fr", False, True),
        ("é@b.fr", False, True),
        ("İ@\u0131.fr", False, True),
        ("é@b.1", False, False),
        ("a@b.é1", False, True),
        ("e\u0301@b.fr", False, True),
        ("😀@😀.fr", False, True),
        ("a@b。fr", False, True),
        ("a\u0085@b.fr", False, False),
        ("a\u00a0@b.fr", False, False),
        ("a\u00ad@b.fr", False, False),
        ("a\u200b@b.fr", False, False),
        ("a\u2028@b.fr", False, False),
        ("a\ue000@b.fr", False, False),
        ("\U000f0000@b.fr", False, False),
        ("a@b\u202e.fr", False, False),
        (None, None, None),
    ]:
        yield Case(f"matches_fully({text(value)}, email_pattern())", is_plain)
        yield Case(f"matches_fully({text(value)}, international_email_pattern())", is_international)
    for domain, is_reserved, is_punycode in [
        ("ab--c.fr", True, False),
        ("x.ab--c.fr", True, False),
        ("a---b.fr", True, False),
        ("abc--d.fr", False, False),
        ("xn--d.fr", False, True),
        ("x.xn--d", False, True),
        ("xm--d.fr", True, False),
        ("b.fr", False, False),
        ("b", True, False),
        ("é", False, False),
    ]:
        yield Case(f"'(' ~ is_no_mail_domain({text(domain)}) ~ ')'", is_reserved)
        yield Case(f"'(' ~ has_punycode({text(domain)}) ~ ')'", is_punycode)


def plain_sql() -> Iterator[Case]:
    """SQL that the models write without a macro, since it means the same everywhere."""
    for sql, value in [
        (f"'a' || {NULL}", None),
        (f"'' || {NULL}", None),
        ("'a' || 'b'", "ab"),
        ("'a' = 'A'", False),
        ("'a ' = 'a'", False),
        ("'B' < 'a'", True),
        ("'z' < 'é'", True),
        ("nullif('', '')", None),
        (f"coalesce({NULL} not in ('a'), true)", True),
        ("cast(null as boolean) and false", False),
        ("cast(null as boolean) or true", True),
        ("coalesce(null, false)", False),
        (f"case when {NULL} = 'a' then 1 else 2 end", 2),
        (f"{NULL} <> 'a'", None),
        ("date '2024-02-29' < date '2024-03-01'", True),
        ("timestamp '2024-03-31 02:30:00' = timestamp '2024-03-31 01:30:00'", False),
        ("cast(timestamp '2024-03-31 23:59:59' as date)", date(2024, 3, 31)),
        ("timestamp '2024-03-31 02:30:00'", datetime(2024, 3, 31, 2, 30)),
        ("timestamp '2024-01-01 00:00:00.000001' > timestamp '2024-01-01'", True),
        ("date '2024-02-29' = cast('2024-02-29' as date)", True),
        ("0.1 + 0.2 = 0.3", True),
        ("cast(0.005 as double) > 0", True),
        ("(select count(*) from (select 1 as n union select 1 union select cast(null as int) union select null) as u)", 2),
        ("(select count(n) from (select 1 as n union all select null) as u)", 1),
        ("(select sum(n) from (select 1 as n where 1 = 0) as u)", None),
        ("(select count(*) from (select 1 as n where 1 = 0) as u)", 0),
        ("(select max(case when n = 2 then n end) from (select 1 as n) as u)", None),
        ("(select max(n) from (select 1 as n union all select null) as u)", 1),
        ("(select cast(sum(n) as bigint) from (select cast(9000000000 as bigint) as n union all select 1) as u)", 9000000001),
    ]:
        yield Case(json.dumps(sql), value)
