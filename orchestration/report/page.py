"""The page: the marts' columns, the words, the styles and the scripts in one file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from orchestration.challenges.findings import Finding
from orchestration.challenges.sentences import Sentences, is_told, templates, typeset
from orchestration.settings import LANGUAGES

FOLDER = Path(__file__).parent
# In the order in which they are joined: each uses those before it.
SCRIPTS = ("cube.js", "format.js", "parts.js", "charts.js", "sections.js", "main.js")
# Styles are written by the charts too; nothing else may come from elsewhere, and only these scripts run.
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


@cache
def words() -> Mapping[str, Mapping[str, str]]:
    """Return the words of the page, by language and key."""
    read = yaml.safe_load((FOLDER / "words.yml").read_text(encoding="utf-8"))
    return {
        language: {key: typeset(texts[language].replace(" %", "\u202f%"), language) for key, texts in read.items()}
        for language in LANGUAGES
    }


@cache
def library() -> str:
    """Return the chart library as one script."""
    return (FOLDER / "library" / "vega.js").read_text(encoding="utf-8")


@cache
def script() -> str:
    """Return our own script."""
    parts = "\n".join((FOLDER / "page" / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f"(() => {{\n'use strict';\n{parts}\n}})();\n"


def content_policy() -> str:
    """Return the content security policy of the page; the scripts are named by their hashes."""
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in (library(), script()))
    return POLICY.format(scripts=hashes)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def render(content: Mapping[str, Any], language: str, incidents: int | None) -> str:
    """Return the page.

    Args:
        content: what `data.collect` returned.
        language: `fr` or `en`, unless the address says otherwise.
        incidents: open incidents of the checks; None where nobody follows them.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(FOLDER / "page"), autoescape=True, undefined=StrictUndefined)
    told = {
        **{name: value for name, value in content.items() if name != "findings"},
        "incidents": incidents,
        "language": language,
        "challenges": {lang: _challenges(content.get("findings", ()), lang) for lang in LANGUAGES},
        "words": words(),
        "names": {lang: templates()["labels"][lang]["names"] for lang in LANGUAGES},
    }
    from markupsafe import Markup

    return environment.get_template("page.html.j2").render(
        language=language,
        words=words()[language],
        month=content["month"],
        policy=content_policy(),
        style=Markup((FOLDER / "page" / "page.css").read_text(encoding="utf-8")),
        library=Markup(library()),
        script=Markup(script()),
        data=Markup(_json(told)),
    )


def _json(value: object) -> str:
    """JSON that no source's name ends early: HTML reads no tag in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _challenges(findings: Sequence[Finding], language: str) -> list[dict[str, Any]]:
    """The findings in words, those of a source that only repeats the whole base marked as such."""
    told = []
    for finding in findings:
        sentences = Sentences.of(finding, language)
        told.append(
            {
                "source": finding.source,
                "severity": finding.severity,
                "repeats": is_told(finding, findings),
                "code": finding.code,
                "title": sentences.title,
                "sentence": sentences.sentence,
                "evidence": sentences.evidence,
                "action": sentences.action,
            }
        )
    return told
