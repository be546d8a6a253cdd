"""`make audit`: are there known vulnerabilities in the locked packages? An answer, or plainly none: never a pass by default."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.settings import PROJECT_ROOT

TOOL = "pip-audit>=2.9,<3"
LOCKS = ("base", "dev", "engines", "bigquery")
VULNERABLE, NOT_CHECKED = 1, 3


@dataclass(frozen=True)
class Answer:
    """What came of an audit of one lock: sentences, and the exit status they call for."""

    status: int
    lines: tuple[str, ...]


def answer(name: str, said: str, problem: str) -> Answer:
    """Return what a run of pip-audit came to, from its JSON and the last line of its errors.

    Packages that the service does not know were not checked, although pip-audit takes that for no vulnerability.
    """
    try:
        found = json.loads(said)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Answer(
            NOT_CHECKED, (f"{name}: NOT CHECKED, the service of vulnerabilities cannot be reached ({problem[:200]}).",)
        )
    skipped = [package["name"] for package in found if "skip_reason" in package]
    known = [
        f"{name}: {package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or '-'}"
        for package in found
        for flaw in package.get("vulns", [])
    ]
    lines = list(known)
    if skipped or not found:
        lines.append(f"{name}: NOT CHECKED, {len(skipped)} of {len(found)} packages are unknown to the service.")
    if lines:
        return Answer(VULNERABLE if known else NOT_CHECKED, tuple(lines))
    return Answer(0, (f"{name}: {len(found)} packages, no known vulnerability.",))


def audit(lock: Path, uv: str) -> Answer:
    """Ask the service of OSV about the packages of a lock."""
    command = [
        uv, "tool", "run", "--quiet", TOOL, "--disable-pip", "--require-hashes", "--progress-spinner", "off",
        "--format", "json", "--vulnerability-service", "osv", "--requirement", str(lock),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        return answer(lock.stem, "", type(error).__name__)
    return answer(lock.stem, done.stdout, (done.stderr.strip().splitlines() or ["no reason was given"])[-1])


def main(locks: Sequence[str] = LOCKS) -> int:
    """Audit all locks and return the worst exit status: 1 vulnerable, 3 not checked, 0 checked and none known."""
    answers = [
        audit(PROJECT_ROOT / "requirements" / f"{name}.lock", str(Path(sys.executable).with_name("uv"))) for name in locks
    ]
    for told in answers:
        print(*told.lines, sep="\n")
    statuses = {told.status for told in answers}
    return VULNERABLE if VULNERABLE in statuses else max(statuses)


if __name__ == "__main__":
    sys.exit(main())
