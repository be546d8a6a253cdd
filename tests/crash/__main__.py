"""`python -m tests.crash --kills 200`: kill real commands at random instants, and say what became of it."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import click

from tests.crash.harness import Deployment, draw
from tests.orchestration.conftest import MONTHS, Home, write_base


@click.command()
@click.option("--kills", default=200, show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("--phase", "phases", multiple=True, help="Only these; by default all in turn.")
def main(kills: int, seed: int, phases: tuple[str, ...]) -> None:
    """Make a tiny base and kill."""
    with tempfile.TemporaryDirectory(prefix="bathtub-crash-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        home = Home(folder / "home", folder / "dbt_target")
        write_base(home.raw)
        done = home.command("build", "--to", MONTHS[-1])
        if done.returncode:
            raise click.ClickException(done.stdout + done.stderr)
        deployment = Deployment(home, folder / "kept", MONTHS[-1], phases)
        deployment.prepare(click.echo)
        running, faulty, ended = Counter[str](), 0, Counter[str]()
        for number, (phase, instant) in enumerate(draw(deployment, kills, seed), start=1):
            outcome = deployment.trial(phase, instant)
            (running if outcome.was_running else ended)[phase.name] += 1
            faulty += bool(outcome.faults)
            when = f"{instant.seconds:.2f} s" + ("" if instant.after_line is None else f" after line {instant.after_line + 1}")
            click.echo(f"{number:4} {phase.name}, {when}: {'; '.join(outcome.faults) or 'well'}")
        click.echo(f"{sum(running.values())} killed while running ({dict(running)}), {sum(ended.values())} had ended before.")
        click.echo(f"{faulty} with a fault.")
    raise SystemExit(bool(faulty))


if __name__ == "__main__":
    main()
