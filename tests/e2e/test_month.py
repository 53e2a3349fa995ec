"""A month of files: the book proves itself, and the landing store alone makes it again, bit for bit."""

import shutil
from pathlib import Path

import pytest

from counterfoil.steps.audit import audit
from counterfoil.steps.replay import replay
from tests.e2e.month import DAYS, plan, play
from tests.plugins.homes import Office, every_row

KINDS = {
    "postings that came late": "SELECT count(*) FROM book.posting WHERE on_day > business_date AND kind <> 'calendar'",
    "merged accounts": "SELECT count(*) FROM book.alias",
    "items of the partner alone": "SELECT count(*) FROM book.item WHERE side = 2",
    "items that were held": "SELECT count(*) FROM book.item_change",
    "rejected records": "SELECT count(*) FROM book.disposition WHERE disposition = 3",
    "duplicates": "SELECT count(*) FROM book.disposition WHERE disposition = 7",
    "breaks that were cleared": "SELECT count(*) FROM book.break_event WHERE event = 9",
    "open breaks": "SELECT count(*) FROM book.open_break",
    "open items": "SELECT count(*) FROM book.open_item",
}
"""What the month must have brought for the rest to mean anything."""


@pytest.mark.slow
def test_a_month_is_proved_and_replays_to_equal_heads(office: Office, tmp_path: Path) -> None:
    play(office, plan())
    brought = {what: office.sql(query).item() for what, query in KINDS.items()}
    assert [what for what, count in brought.items() if count == 0] == []
    assert office.sql("SELECT count(DISTINCT day) FROM book.closed_day").item() == len(DAYS)
    with office.desk() as desk:
        deliveries = desk.index.deliveries()
        outcomes = desk.index.latest_outcomes(one.order for one in deliveries)
    states = {str(outcomes[one.order].state) if one.order in outcomes else str(one.verdict) for one in deliveries}
    assert {"posted", "held", "replay"} <= states

    shutil.rmtree(office.home / "inbox")
    (office.home / "arrival.db").unlink()
    proof = audit(office.proof_desk())
    assert proof.findings == ()
    done = replay(office.proof_desk(), tmp_path / "again")
    assert (done.difference, done.against, done.compared) == (None, "book", proof.heads.n)
    assert done.heads == proof.heads
    assert every_row(tmp_path / "again/book.duckdb") == every_row(office.home / "book.duckdb")
