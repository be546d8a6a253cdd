"""Write the seeds of reference data anew: `make reference`, after `make lock LOCK_ARGS=--upgrade`."""

from __future__ import annotations

import importlib

import click

from orchestration.settings import DBT_PROJECT_DIR

# Modules of this package, each with a `write(folder)` that writes its seeds and returns what it wrote, a line per file.
SEEDS: tuple[str, ...] = ("disposable_domains", "numbering_plans", "postal_codes")


@click.command()
def main() -> None:
    """Write the seeds of reference data into the dbt project, from the libraries of the group `reference`."""
    for name in SEEDS:
        for line in importlib.import_module(f"orchestration.reference.{name}").write(DBT_PROJECT_DIR / "seeds"):
            click.echo(line)


if __name__ == "__main__":
    main(prog_name="python -m orchestration.reference")
