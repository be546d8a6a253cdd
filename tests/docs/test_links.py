"""What the pages point to exists: files, headings, make targets."""

from __future__ import annotations

import re
import string
from pathlib import Path
from urllib.parse import unquote

import pytest

from orchestration.settings import PROJECT_ROOT

FOLDERS = ("docs", "examples", "benchmarks", "dbt_project")
PAGES = sorted([*PROJECT_ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (PROJECT_ROOT / folder).rglob("*.md"))])
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):.*## ", re.MULTILINE)
# `make demo`, as code in a sentence or at the start of a line in a block, with variables before it or not.
MAKE = re.compile(r"(?:`|^)(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*(?: [a-z][a-z-]*)*)", re.MULTILINE)


def by_page(page: Path) -> str:
    """Return the name of a test's page."""
    return str(page.relative_to(PROJECT_ROOT))


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    kept = heading.strip().lower()
    return "".join(c for c in kept if c not in string.punctuation.replace("-", "").replace("_", "")).replace(" ", "-")


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(link)
        elif anchor and target.suffix == ".md":
            text = FENCE.sub("", target.read_text(encoding="utf-8"))
            if anchor not in {slug(heading) for heading in HEADING.findall(text)}:
                broken.append(link)
    return broken


def unknown_targets(page: Path) -> list[str]:
    """Return the make targets that a page names and the Makefile does not have."""
    targets = set(TARGET.findall((PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {name for names in MAKE.findall(page.read_text(encoding="utf-8")) for name in names.split()}
    return sorted(named - targets)


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_relative_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_named_make_targets_exist(page: Path) -> None:
    assert unknown_targets(page) == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n[a](none.md) [b](#a-page) [c](#no-heading) [d](https://example.com)\n", encoding="utf-8")
    assert broken_links(page) == ["none.md", "#no-heading"]


def test_a_target_that_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Run `make lint test` or `FROM=2024-01 make fly`.\n\n```\nmake swim FROM=2024-01\n```\n", encoding="utf-8")
    assert unknown_targets(page) == ["fly", "swim"]
