"""Run an example from its published files to closed months, in a warehouse of its own.

`python -m examples.run EXAMPLE DATA_DIR`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from examples.prepare import Example, ExampleError, example_names, load_example, prepare
from orchestration.settings import PROJECT_ROOT


def environment(example: Example, home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return `env` with every place below `home` and the example's vars alone: one's own warehouse stays untouched."""
    return {
        **env,
        "BATHTUB_RAW_DIR": str(home / "raw"),
        "BATHTUB_RAW_FILES": "",
        "BATHTUB_WAREHOUSE": str(home / "bathtub.duckdb"),
        "BATHTUB_VARS": json.dumps(example.vars),
        "DAGSTER_HOME": str(home / "dagster"),
    }


def run(name: str, data_dir: Path) -> int:
    """Prepare the example `name` below `data/examples/` and close its months; return the exit code of the build.

    Raises:
        ExampleError: the files in `data_dir` are missing or not what the mapping expects.
    """
    example = load_example(name)
    home = PROJECT_ROOT / "data" / "examples" / name
    prepare(name, data_dir, home / "raw")
    command = [
        sys.executable,
        "-m",
        "orchestration",
        "build",
        "--from",
        example.first_month,
        "--to",
        example.last_month,
    ]
    return subprocess.run(command, env=environment(example, home, os.environ), cwd=PROJECT_ROOT, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: the build's, or 2 when the example cannot run."""
    parser = argparse.ArgumentParser(prog="python -m examples.run", description="Run an example in its own warehouse.")
    parser.add_argument("example", choices=example_names())
    parser.add_argument("data_dir", type=Path, help="folder with the files as published")
    options = parser.parse_args(arguments)
    try:
        return run(options.example, options.data_dir)
    except ExampleError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
