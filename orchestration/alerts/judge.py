"""Great Expectations judges the frames: one suite per subject, one finding per check and place.

Great Expectations takes seconds to import: only judging does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.alerts.catalogue import ExpectationEntry, Rule, bound_named, rules
from orchestration.alerts.frames import COLUMNS, SCOPE, Frames, Unbuilt
from orchestration.alerts.model import Check, Finding, Severity, Status, Subject
from orchestration.alerts.names import shown_name

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
    from great_expectations.expectations.row_conditions import Condition

RESULTS_KEPT = 400
# What a suite sees of a frame, besides its name and the number of the row: no texts but the names of places.
NUMBERS = ("observed", "low", "high", "n", "silent_days", "silence_limit")
FLAGS = ("is_confirmed", "is_silent", "period")
COLUMN_ARGUMENTS = ("column", "column_A", "column_B")


class JudgingError(Exception):
    """Great Expectations gave an answer that says nothing about the rows."""


@dataclass(frozen=True)
class _Verdict:
    """The rows of the table that failed a rule, or the class of the exception that kept it from being judged."""

    failed: frozenset[int] = frozenset()
    error: str = ""


def judge(
    frames: Frames, subject: Subject, judged: date, bounds: Mapping[str, float], data_docs: Path | None = None
) -> list[Finding]:
    """Return what the checks of a subject found in their frames: a finding per check and row, passed ones too.

    A check that ran has one more finding, without a place, which passed: it ends an earlier one that said that it could not
    run. A check whose frame could not be built, or whose expectation raised, is `unknown`, without a place. `bounds` are those
    of `vars.alerts`. With `data_docs`, Great Expectations' own pages of this run are built in that folder.
    """
    asked = rules(subject)
    built = {
        name: frame for name, frame in frames.items() if not isinstance(frame, Unbuilt) and set(COLUMNS) <= {*frame.columns}
    }
    ready = [rule for rule in asked if rule.frame in built]
    table = _table({rule.frame: built[rule.frame] for rule in ready})
    verdicts = {rule.check.code: _Verdict(error=_unready(frames.get(rule.frame))) for rule in asked if rule not in ready}
    # Without a row there is nothing to judge: the check ran.
    verdicts |= {rule.check.code: _Verdict() for rule in ready if built[rule.frame].empty}
    if full := [rule for rule in ready if not built[rule.frame].empty]:
        try:
            verdicts |= _verdicts(table, full, subject, bounds, data_docs)
        except Exception as error:
            # Nothing was judged, whatever the reason: every check says so.
            verdicts |= {rule.check.code: _Verdict(error=type(error).__name__) for rule in ready}
    findings: list[Finding] = []
    for rule in asked:
        verdict = verdicts.get(rule.check.code, _Verdict(error=JudgingError.__name__))
        if verdict.error:
            findings.append(_unknown(rule.check, judged, verdict.error))
            continue
        findings.append(Finding(rule.check, {}, Status.PASSED, rule.check.severity, judged))
        findings.extend(_findings(rule, table, verdict.failed, judged, bounds))
    return findings


def write_results(folder: Path, run_id: str, findings: Iterable[Finding], at: datetime) -> Path:
    """Write what a run found to a file of its own in `folder/results` and return it; the last 400 runs are kept.

    The file holds codes, places, states and numbers. A run that is written again replaces its file.
    """
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9-]", "_", run_id)[:80]
    path = results / f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{name}.json"
    lines = [_result(finding) for finding in findings]
    text = json.dumps({"run_id": run_id, "at": at.astimezone(UTC).isoformat(), "findings": lines}, indent=1, allow_nan=False)
    draft = path.with_suffix(".part")
    draft.write_text(text + "\n", encoding="utf-8")
    for older in results.glob(f"{'?' * 16}-{name}.json"):
        older.unlink()
    draft.replace(path)
    for old in sorted(results.glob("*.json"))[:-RESULTS_KEPT]:
        old.unlink()
    return path


def _unready(frame: object) -> str:
    """Why a frame cannot be judged."""
    if isinstance(frame, Unbuilt):
        return frame.error
    return "FrameMissing" if frame is None else "ColumnMissing"


def _table(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The frames below each other, so that one suite judges them all; `row` numbers the rows."""
    import pandas as pd

    parts = [frame.assign(frame=name) for name, frame in frames.items() if len(frame)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS, "frame"])
    return table.assign(row=range(len(table)))


def _verdicts(
    table: pd.DataFrame, ready: Sequence[Rule], subject: Subject, bounds: Mapping[str, float], data_docs: Path | None
) -> dict[str, _Verdict]:
    """Run the suite of a subject and return the verdict on each check."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    site = _add_site(context, data_docs / subject) if data_docs else None
    suite = context.suites.add(_suite(subject, ready, bounds))
    batch = context.data_sources.add_pandas("frames").add_dataframe_asset(subject).add_batch_definition_whole_dataframe("all")
    validation = context.validation_definitions.add(gx.ValidationDefinition(name=subject, data=batch, suite=suite))
    # Great Expectations sees names of places and numbers; what it hands back of them stays in this process.
    shown = {part: table[part].map(shown_name) for part in SCOPE}
    numbers = {name: table[name].astype("float64") for name in NUMBERS}
    seen = table[["frame", "row", *FLAGS]].assign(**shown, **numbers)
    result = validation.run(
        batch_parameters={"dataframe": seen},
        expectation_parameters=dict(bounds),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["row", *SCOPE]},
    )
    if site:
        context.build_data_docs(site_names=[site])
    return _by_check(result, ready)


def _suite(subject: Subject, ready: Sequence[Rule], bounds: Mapping[str, float]) -> ExpectationSuite:
    from great_expectations.core import ExpectationSuite
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity

    expectations = [
        ExpectationConfiguration(
            type=expectation.type,
            kwargs={
                **{name: _argument(value) for name, value in expectation.kwargs.items()},
                "row_condition": _condition(rule, expectation, bounds),
            },
            meta={"check": rule.check.code},
            severity=FailureSeverity(rule.check.severity.value),
        ).to_domain_obj()
        for rule in ready
        for expectation in rule.expectations
    ]
    return ExpectationSuite(name=subject, expectations=expectations)


def _argument(value: str | float | bool) -> str | float | bool | dict[str, str]:
    """A bound becomes a parameter of the suite."""
    return {"$PARAMETER": name} if (name := bound_named(value)) else value


def _condition(rule: Rule, expectation: ExpectationEntry, bounds: Mapping[str, float]) -> Condition:
    """The rows of the table that an expectation judges."""
    from great_expectations.expectations.row_conditions import Column

    condition: Condition = Column("frame") == rule.frame
    if rule.unless:
        condition = condition & (Column(rule.unless) == 0)
    for name, value in expectation.where.items():
        condition = condition & (Column(name) == value)
    for name, least in expectation.at_least.items():
        condition = condition & (Column(name) >= _number(least, bounds))
    return condition


def _number(value: str | float, bounds: Mapping[str, float]) -> float:
    return bounds[name] if (name := bound_named(value)) else float(value)


def _by_check(result: ExpectationSuiteValidationResult, ready: Sequence[Rule]) -> dict[str, _Verdict]:
    failed: dict[str, set[int]] = {rule.check.code: set() for rule in ready}
    answers = dict.fromkeys(failed, 0)
    errors: dict[str, str] = {}
    for answer in result.results:
        config = answer.expectation_config
        code = config.meta["check"] if config and config.meta else ""
        answers[code] += 1
        rows = answer.result.get("unexpected_index_list")
        # A failure that names no row is no judgement of the rows.
        if rows is None or bool(answer.success) != (not rows):
            errors[code] = _exception_class(answer)
            continue
        failed[code] |= {int(row["row"]) for row in rows}
    errors |= {r.check.code: JudgingError.__name__ for r in ready if answers[r.check.code] < len(r.expectations)}
    return {code: _Verdict(frozenset(rows), errors.get(code, "")) for code, rows in failed.items()}


def _exception_class(answer: ExpectationValidationResult) -> str:
    """Only the class: a message may quote values."""
    found = re.findall(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", _tracebacks(answer.exception_info), re.MULTILINE)
    return found[-1] if found else JudgingError.__name__


def _tracebacks(info: object) -> str:
    """The tracebacks of an answer, which stand under the ids of its metrics or not."""
    if not isinstance(info, Mapping):
        return ""
    parts = [str(value) if key == "exception_traceback" else _tracebacks(value) for key, value in info.items()]
    return "\n".join(parts)


def _findings(
    rule: Rule, table: pd.DataFrame, failed: frozenset[int], judged: date, bounds: Mapping[str, float]
) -> Iterable[Finding]:
    own = table[table["frame"] == rule.frame]
    if rule.unless:
        own = own[~own[rule.unless].astype(bool)]
    asked = {value for e in rule.expectations for name, value in e.kwargs.items() if name in COLUMN_ARGUMENTS}
    for line in own.to_dict(orient="records"):
        is_known = not any(isinstance(line[str(name)], float) and math.isnan(line[str(name)]) for name in asked)
        status = Status.UNKNOWN if not is_known else Status.FAILED if line["row"] in failed else Status.PASSED
        yield _finding(rule, line, status, judged, bounds)


def _finding(rule: Rule, line: Mapping[Any, Any], status: Status, judged: date, bounds: Mapping[str, float]) -> Finding:
    severity = rule.check.severity
    if line["is_warming_up"] and severity.rank > Severity.WARNING.rank:
        severity = Severity.WARNING
    low, high = _limits(rule, bounds)
    return Finding(
        check=rule.check,
        scope={part: line[part] for part in rule.scope if line[part]},
        status=status,
        severity=severity,
        judged_on=judged,
        observed=_finite(line["observed"]),
        low=low if (own := _finite(line["low"])) is None else own,
        high=high if (own := _finite(line["high"])) is None else own,
        history=tuple(_finite(value) for value in line["history"]),
        since=None if status is Status.PASSED else line["since"] or judged,
        detail=line["detail"],
    )


def _limits(rule: Rule, bounds: Mapping[str, float]) -> tuple[float | None, float | None]:
    """The bounds that the expectations of a rule set for all rows."""
    found: dict[str, float] = {}
    for expectation in rule.expectations:
        for name in ("min_value", "max_value"):
            if (value := expectation.kwargs.get(name)) is not None:
                found[name] = _number(value, bounds)
    return found.get("min_value"), found.get("max_value")


def _unknown(check: Check, judged: date, error: str) -> Finding:
    return Finding(check, {}, Status.UNKNOWN, check.severity, judged, since=judged, detail=error)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _result(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check.code,
        "scope": {part: shown_name(name) for part, name in finding.scope.items()},
        "status": finding.status.value,
        "severity": finding.severity.value,
        "judged_on": finding.judged_on.isoformat(),
        "observed": finding.observed,
        "low": finding.low,
        "high": finding.high,
        "since": finding.since.isoformat() if finding.since else None,
    }


def _add_site(context: EphemeralDataContext, folder: Path) -> str:
    name = "alerts"
    context.add_data_docs_site(
        site_name=name,
        site_config={
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        },
    )
    return name
