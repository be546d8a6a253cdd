"""What models and macros see of dbt while sqlfluff renders them: the project's real vars, no warehouse, month 2026-10.

sqlfluff's own stand-in gives one word for every var, which a loop over profile fields or channels cannot use.
"""

from __future__ import annotations

import datetime as _datetime
import hashlib as _hashlib
import re as _re
from collections.abc import Callable as _Callable
from pathlib import Path as _Path
from types import SimpleNamespace as _Namespace
from typing import Any as _Any

import pytz as _pytz
import yaml as _yaml
from jinja2 import pass_context as _pass_context
from jinja2.runtime import Context as _Context

_PROJECT_FILE = _Path(__file__).resolve().parents[2] / "dbt_project" / "dbt_project.yml"
_VARS: dict[str, _Any] = _yaml.safe_load(_PROJECT_FILE.read_text(encoding="utf-8"))["vars"]

execute = False
flags = _Namespace(WHICH="compile", FULL_REFRESH=False)
model = _Namespace(batch=None)
target = _Namespace(name="duckdb", type="duckdb", schema="main")
invocation_args_dict = {"event_time_start": "2026-10-01", "event_time_end": "2026-11-01"}
modules = _Namespace(datetime=_datetime, pytz=_pytz, re=_re)


def var(name: str, default: _Any = None) -> _Any:
    """Return a var of dbt_project.yml, or the default."""
    return _VARS.get(name, default)


def local_md5(text: str) -> str:
    """Return the hash that dbt gives, as hexadecimal text."""
    return _hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def numbering_plans() -> list[dict[str, _Any]]:
    """Return two short plans, one of each form: a region with a trunk prefix, and regions that share a calling code."""
    plan = {"international": "00", "leading": "", "lengths": [9], "general": "[1-9]", "mobile": "6", "fixed": "1", "other": "8"}
    france = {**plan, "region": "FR", "calling_code": "33", "trunk": "0"}
    reunion = {**plan, "region": "RE", "calling_code": "262", "trunk": "(?:0)?", "leading": "2", "international": "01"}
    mayotte = {**reunion, "region": "YT", "leading": "", "trunk_and_kept": "(2)?", "put_before": "9"}
    return [france, reunion, mayotte]


class _Adapter:
    """`adapter.dispatch('x')` is the macro `duckdb__x`, or `default__x`."""

    @_pass_context
    def dispatch(self, context: _Context, name: str, *_namespace: str) -> _Callable[..., _Any]:
        macro: _Callable[..., _Any] = context.get(f"duckdb__{name}") or context[f"default__{name}"]
        return macro


class _Dbt:
    """`dbt.type_string()` and its kin; any other macro of dbt is written as a function call."""

    _types = _Namespace(string="varchar", int="integer", bigint="bigint", float="double", boolean="boolean")

    def __getattr__(self, name: str) -> _Callable[..., str]:
        if name.startswith("__"):
            raise AttributeError(name)
        kind = name.removeprefix("type_")
        if kind != name:
            return lambda: getattr(self._types, kind, kind)
        return lambda *arguments: f"{name}({', '.join(map(str, arguments))})"


adapter = _Adapter()
dbt = _Dbt()
