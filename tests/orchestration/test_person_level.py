"""Customer-level months leave after `person_level_months`; marts, and closes after that, are as if they had stayed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from orchestration.close import CloseError, WarehouseState, plan
from orchestration.month_files import months_dir
from orchestration.months import add_months, months_between
from orchestration.settings import ConfigurationError, load_settings, parse_month
from orchestration.warehouse import reading, writing
from tests.crash.harness import Fingerprint, add_month, fingerprint
from tests.orchestration.conftest import MONTHS, Built, Home
from tests.orchestration.test_plan import NOW

TWO = {"BATHTUB_VARS": "{person_level_months: 2}"}
APRIL, MAY = (add_months(parse_month(MONTHS[-1]), n) for n in (0, 1))
MODELS = ("int_customer_months", "int_contact_months")


def _close(home: Home, *args: str, **more: str) -> None:
    done = home.command("build", *args, **more)
    assert done.returncode == 0, done.stdout + done.stderr


def _marts(home: Home) -> Fingerprint:
    with reading(home.warehouse) as con:
        return fingerprint(con, "marts")


def _kept_months(home: Home) -> dict[str, list[date]]:
    with reading(home.warehouse) as con:
        query = "select distinct snapshot_month from core.{} order by 1"
        return {model: [row[0] for row in con.execute(query.format(model)).fetchall()] for model in MODELS}


@pytest.mark.slow
def test_old_customer_level_months_leave_and_marts_and_later_closes_are_as_if_they_had_stayed(
    built: Built, tmp_path: Path
) -> None:
    kept, short = built.copy_to(tmp_path / "kept"), built.copy_to(tmp_path / "short")
    # Somebody who is known already changes, so that the history has something to fold.
    known = (
        "customer_id,created_at,updated_at,source,email\n2024-01/1,2024-01-06 10:00:00,2024-05-20 10:00:00,shop,n@example.org\n"
    )
    for home, variables in ((kept, {}), (short, TWO)):
        add_month(home.raw, MAY)
        (home.raw / "customers_changed.csv").write_text(known, encoding="utf-8")
        _close(home, "--to", "2024-05", **variables)
    assert _kept_months(kept) == {model: months_between(parse_month(MONTHS[0]), MAY) for model in MODELS}
    assert _kept_months(short) == {model: [APRIL, MAY] for model in MODELS}
    assert _marts(short) == _marts(kept)

    # What holds of each profile is the same, in one row each; the two bases were loaded at different moments.
    with reading(kept.warehouse) as long, reading(short.warehouse) as folded:
        for history, clocks in (("int_profile_history", ", first_loaded_at, late_date"), ("int_coordinate_history", "")):
            holds = (
                f"select * exclude (snapshot_month{clocks}) from core.{history} where true "
                "qualify row_number() over (partition by customer_id order by snapshot_month desc) = 1 order by customer_id"
            )
            assert folded.execute(holds).fetchall() == long.execute(holds).fetchall() != []
            assert folded.execute(f"select min(snapshot_month) from core.{history}").fetchall() == [(APRIL,)]

    refused = short.command("restate", "--from", "2024-03", "--yes", **TWO)
    assert refused.returncode == 1
    assert "2024-03 cannot be closed again" in refused.stderr
    assert "the earliest that can be is 2024-05" in refused.stderr

    _close(short, "--from", "2024-05", "--to", "2024-05", **TWO)
    assert _marts(short) == _marts(kept)

    # The next writer deletes the files that are named no more.
    with writing(short.settings(), "test"):
        pass
    months = {path.parent.name for path in months_dir(short.warehouse).glob("*/*.parquet")}
    assert months == {"snapshot_month=2024-04-01", "snapshot_month=2024-05-01"}


def _state(kept_from: date | None) -> WarehouseState:
    closed = tuple(months_between(date(2024, 1, 1), date(2024, 6, 1)))
    return WarehouseState(closed[0], closed, kept_from)


def test_a_month_whose_month_before_was_deleted_cannot_be_closed_again() -> None:
    variables = load_settings(TWO).vars
    for first in (1, 3, 4):
        with pytest.raises(CloseError, match=r"the earliest that can be is 2024-05\. For earlier ones, build a new base"):
            plan(variables, _state(date(2024, 4, 1)), NOW, date(2024, first, 1), date(2024, 6, 1))


def test_the_month_after_the_oldest_kept_and_any_month_of_a_whole_base_can_be_closed_again() -> None:
    variables = load_settings(TWO).vars
    assert len(plan(variables, _state(date(2024, 4, 1)), NOW, date(2024, 5, 1), date(2024, 6, 1))) == 2
    for kept_from in (None, date(2024, 1, 1)):
        assert len(plan(variables, _state(kept_from), NOW, date(2024, 1, 1), date(2024, 6, 1))) == 6


def test_fewer_months_than_a_close_reads_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"person_level_months = 1: .*greater than or equal to 2"):
        load_settings({"BATHTUB_VARS": "{person_level_months: 1}"})
