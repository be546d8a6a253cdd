"""Write the reference data anew: `make reference`, after `make lock LOCK_ARGS=--upgrade`."""

from __future__ import annotations

import importlib

import click

from orchestration.settings import DBT_PROJECT_DIR

# Modules of this package, each with a `write(project)` that writes its seed or macro and returns a line per file.
MODULES: tuple[str, ...] = ("disposable_domains", "numbering_plans", "postal_codes")


@click.command()
def main() -> None:
    """Write the reference data into the dbt project, from the libraries of the group `reference`."""
    for name in MODULES:
        for line in importlib.import_module(f"orchestration.reference.{name}").write(DBT_PROJECT_DIR):
            click.echo(line)


if __name__ == "__main__":
    main(prog_name="python -m orchestration.reference")
