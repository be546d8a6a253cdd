"""People erased by the real commands: nothing below the home folder still holds their ids, addresses, numbers or names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.end_to_end.closing import closed_tables, query
from tests.erasure.scan import traces
from tests.orchestration.conftest import Home, Import, write_base

# One leaves the feed, one gets a date of deletion, one was merged into the first and leaves the feed with it.
CANARIES = ("canary-alpha-0001", "canary-omega-0002", "canary-kappa-0003")
TEXTS = [*CANARIES, "canary.mailbox@", "699887711", "Canaryson"]
VARS = "{retention_months: {prospect: 1, customer: 1}}"
BRIDGES = """
    select snapshot_month, source, status, scope from marts.flows_monthly group by all
    having sum(case movement when 'opening' then n_profiles else sign * n_profiles end)
        <> sum(case movement when 'closing' then n_profiles else 0 end)"""


def _write(raw: Path) -> None:
    """The small base with three profiles in every table, one line of theirs that cannot be read, and events as Parquet."""
    write_base(raw)
    lines = (raw / "customers.csv").read_text(encoding="utf-8").splitlines()
    people = [f"{lines[0]},last_name,phone,deleted_at", *(f"{line},,," for line in lines[1:])]
    orders, events, consents = (
        (raw / f"{n}.csv").read_text(encoding="utf-8").splitlines() for n in ("orders", "events", "consents")
    )
    consents = [f"{consents[0]},coordinate", *(f"{line}," for line in consents[1:])]
    contacts, contracts = ["account_id,customer_id,role"], ["contract_id,account_id,customer_id,status,started_at"]
    for i, person in enumerate(CANARIES):
        mail = f"canary.mailbox@{i}.example"
        people.append(f"{person},2024-02-1{i} 09:00:00,web,{mail},Canaryson,+33699887711,")
        orders += [f"O-{person},{person},2024-02-15 09:00:00,30", f"X-{person},{person},no date,30"]
        events.append(f"E-{person},{person},2024-03-02 10:00:00,site_visit")
        consents.append(f"K-{person},{person},email,opt_in,2024-02-16 09:00:00,{mail}")
        contacts.append(f"A1,{person},buyer")
        contracts += [f"C{i},A1,{person},signed,2024-02-01 00:00:00", f"D{i},,{person},signed,2024-02-01 00:00:00"]
    tables = {"customers": people, "orders": orders, "consents": consents, "account_contacts": contacts, "contracts": contracts}
    tables |= {"accounts": ["account_id,name,created_at", "A1,Works,2024-01-01 00:00:00"], "events": events}
    tables["merges"] = ["merged_customer_id,customer_id,merged_at", f"{CANARIES[2]},{CANARIES[0]},2024-03-10 10:00:00"]
    for name, rows in tables.items():
        (raw / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (raw / "events").mkdir()
    with duckdb.connect() as con:
        con.execute(
            f"copy (from read_csv('{raw / 'events.csv'}', types = {{'occurred_at': 'timestamp'}})) "
            f"to '{raw / 'events' / 'part.parquet'}' (format parquet)"
        )
    (raw / "events.csv").unlink()


def _delete(raw: Path) -> None:
    """Delete all in the source; what else they left goes on being delivered."""
    kept = []
    for line in (raw / "customers.csv").read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith(CANARIES[1]):
            kept.append(line.replace("\n", "2024-05-03 08:00:00\n"))
        elif not line.startswith((CANARIES[0], CANARIES[2])):
            kept.append(line)
    (raw / "customers.csv").write_text("".join(kept), encoding="utf-8")


def _commands(home: Home) -> Callable[..., str]:
    def command(*args: str) -> str:
        done = home.command(*args, BATHTUB_VARS=VARS, BATHTUB_PUBLISH_URL=str(home.folder / "published"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(text in done.stdout + done.stderr for text in TEXTS)
        return done.stdout

    return command


@pytest.mark.soak
def test_people_who_are_erased_leave_every_table_file_log_and_export_and_bridges_close(home: Home, imported: Import) -> None:
    _write(home.raw)
    command = _commands(home)
    command("build", "--to", "2024-04")
    command("retention-export", "--by", "the DPO")
    command("publish")
    before = traces(home.folder, TEXTS, but=[home.raw])
    for place in ("bathtub.duckdb: ", "int_customer_months", "int_contact_months", "int_profile_history", "exports/"):
        assert any(place in trace for trace in before), place
    published = closed_tables(home.warehouse)

    _delete(home.raw)
    said = command("build", "--to", "2024-04")
    assert "Erased 3 profiles" in said
    assert traces(home.folder, TEXTS, but=[home.raw]) == []
    assert closed_tables(home.warehouse) == published

    command("build", "--to", "2024-05")
    command("report")
    command("publish")
    command("backup", "--to", str(home.folder / "backup.tar"))
    assert traces(home.folder, TEXTS, but=[home.raw]) == []
    assert query(home.warehouse, BRIDGES) == []
    assert query(
        home.warehouse,
        "select sum(n_profiles) from marts.flows_monthly where snapshot_month = '2024-05-01' and scope = 'base' "
        "and movement = 'deleted'",
    ) == [(2,)]

    # Computed again, the closed months do without them, and say so.
    command("build", "--from", "2024-03", "--to", "2024-05")
    assert traces(home.folder, TEXTS, but=[home.raw]) == []
    causes = query(home.warehouse, "select distinct cause from marts.restatements where mart = 'flows_monthly'")
    assert causes == [("erasure",)]
