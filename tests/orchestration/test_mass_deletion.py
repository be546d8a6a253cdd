"""A truncated feed stops the close, and a confirmed deletion goes through: by the commands, on a real base."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.orchestration.conftest import Built, Home

# The base of these tests is small: ten profiles a month.
VARS = "{alerts: {bounds: {mass_deletion_least: 5}}}"


def _truncate(home: Home, keep: int) -> None:
    path = home.raw / "customers.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[: keep + 1]), encoding="utf-8")


def _close(home: Home) -> tuple[int, str]:
    done = home.command("build", "--to", "2024-05", BATHTUB_VARS=VARS)
    return done.returncode, done.stdout + done.stderr


def _seen(warehouse: Path) -> tuple[object, ...]:
    with duckdb.connect(str(warehouse), read_only=True) as con:
        return (
            con.execute("select max(snapshot_month) from ops.closed_months").fetchall(),
            con.execute("select * exclude (definition_version) from marts.flows_monthly order by all").fetchall(),
        )


@pytest.mark.slow
def test_a_truncated_feed_stops_the_close_until_somebody_confirms(built: Built, tmp_path: Path) -> None:
    home = built.copy_to(tmp_path / "copy")
    before = _seen(home.warehouse)
    _truncate(home, keep=30)
    code, said = _close(home)
    assert code == 1
    assert "10 of the 40 profiles of 2024-04 are gone" in said
    assert "make confirm-deletion" in said
    assert _seen(home.warehouse) == before

    confirmation = home.command("confirm-deletion", "--yes", "--by", "the DPO", BATHTUB_VARS=VARS)
    assert confirmation.returncode == 0, confirmation.stdout + confirmation.stderr
    assert "10 of 40 profiles of 2024-04 are gone" in confirmation.stdout

    # More than was confirmed.
    _truncate(home, keep=20)
    code, said = _close(home)
    assert (code, "20 of the 40 profiles" in said) == (1, True)

    again = home.command("confirm-deletion", "--yes", "--by", "the DPO", BATHTUB_VARS=VARS)
    assert again.returncode == 0
    code, said = _close(home)
    assert code == 0, said
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        deleted = con.execute(
            "select sum(n_profiles) from marts.flows_monthly "
            "where snapshot_month = '2024-05-01' and scope = 'base' and movement = 'deleted'"
        ).fetchone()
    assert deleted == (20,)
