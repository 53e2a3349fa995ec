"""A corrected file posts by its difference: unchanged records do nothing, changed ones are undone and done anew."""

import csv
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import Code
from counterfoil.identity import Verdict
from counterfoil.landing.records import OutcomeState
from counterfoil.ledger import histories
from counterfoil.ledger.model import Event
from counterfoil.steps.decide import decide
from tests.plugins.homes import Office

DAY = date(2026, 12, 1)
"""From this day on, Skybridge's layouts let a correction post by its difference."""

FEEDS = ["skybridge_requests", "skybridge_handback"]
ASKED = [(f"R{number}", 100 * number) for number in range(1, 10)]
ANSWERED = [
    ("R1", 100, "0000"),
    ("R2", 200, "0001"),
    ("R3", 250, "0000"),
    ("R4", 400, "0099"),
    ("R5", 500, "0000"),
    ("X9", 77, "0000"),
]


def stands(office: Office) -> dict[str, Any]:
    """Balances, open items and breaks by name; the working set proved against the histories of its items."""
    kept, derived = "SELECT item_id, state, remaining FROM book.open_item", histories.open_now()
    assert office.sql(f"({kept} EXCEPT ({derived})) UNION ALL (({derived}) EXCEPT {kept})").is_empty()
    return {
        "balances": office.sql(
            """SELECT a.kind, a.owner, b.balance FROM book.balance b JOIN book.account a USING (account_id)
               WHERE b.balance <> 0 ORDER BY ALL"""
        ).rows(),
        "items": office.sql(
            """SELECT i.ref, o.side, o.kind, o.state, o.remaining FROM book.open_item o JOIN book.item i USING (item_id)
               ORDER BY ALL"""
        ).rows(),
        "breaks": office.sql("SELECT code, subject FROM book.open_break ORDER BY ALL").rows(),
    }


def night(office: Office) -> list[tuple[Verdict, OutcomeState, str | None]]:
    office.now += timedelta(hours=1)
    done = office.run(DAY, feeds=FEEDS)
    assert done.failures == []
    return [(one.verdict, outcome.state, outcome.code) for one, outcome in done.outcomes]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A day that was asked and answered; to be copied, not changed."""
    office = Office(tmp_path_factory.mktemp("corrections") / "home")
    office.begin()
    office.ask(DAY, *ASKED)
    office.answer(DAY, *ANSWERED)
    night(office)
    return office


@pytest.fixture
def answered(first: Office, tmp_path: Path) -> Office:
    return first.copied(tmp_path / "answered")


CORRECTIONS = {
    "an amount": [(ref, 300 if ref == "R3" else points, code) for ref, points, code in ANSWERED],
    "an outcome": [(ref, points, "0000" if ref == "R2" else code) for ref, points, code in ANSWERED],
    "a hold": [(ref, points, "0001" if ref == "R4" else code) for ref, points, code in ANSWERED],
    "left out": [row for row in ANSWERED if row[0] not in ("R5", "X9")],
    "added": [*ANSWERED, ("R6", 600, "0000"), ("X8", 5, "0001")],
    "unknown turned known": [*ANSWERED[:-1], ("R6", 600, "0000")],
    "all at once": [
        ("R1", 100, "0000"),
        ("R2", 200, "0000"),
        ("R3", 300, "0000"),
        ("R4", 400, "0001"),
        ("R6", 600, "0000"),
        ("X9", 80, "0000"),
    ],
}


@pytest.mark.parametrize("what", CORRECTIONS)
def test_a_correction_ends_where_the_right_file_would_have(answered: Office, new_office: Any, what: str) -> None:
    answered.answer(DAY, *CORRECTIONS[what])
    assert night(answered) == [(Verdict.CORRECTION, OutcomeState.POSTED, None)]
    right = new_office("right")
    right.begin()
    right.ask(DAY, *ASKED)
    right.answer(DAY, *CORRECTIONS[what])
    night(right)
    assert stands(answered) == stands(right)


def test_unchanged_records_post_nothing_and_every_line_is_accounted_for(answered: Office) -> None:
    answered.answer(DAY, *CORRECTIONS["an amount"])
    night(answered)
    n = answered.heads()[0]
    said = answered.sql(f"SELECT line_no, event FROM book.disposition WHERE file_id = {n} ORDER BY line_no").rows()
    assert [event == Event.UNCHANGED for _, event in said] == [True, True, False, True, True, True]
    booked = answered.sql(f"SELECT DISTINCT line_no FROM book.entry WHERE file_id = {n}")["line_no"].to_list()
    assert booked == [4]


def test_an_undoing_names_what_it_undoes_and_counts_today(answered: Office) -> None:
    answered.answer(DAY, *CORRECTIONS["left out"])
    office_day = DAY + timedelta(days=2)
    with answered.desk() as desk:
        from counterfoil.steps.close import close_days  # noqa: PLC0415 - the days in between are closed first

        answered.now += timedelta(days=2)
        close_days(desk, DAY)
    assert answered.run(office_day, feeds=FEEDS).failures == []
    n = answered.heads()[0]
    pairs = answered.sql(
        f"""SELECT u.value_date = o.value_date AS same, u.accounting_date, u.amount + o.amount AS left_over
            FROM book.reversal r JOIN book.entry u ON u.transfer_id = r.transfer_id
            JOIN book.entry o ON o.transfer_id = r.reverses AND o.leg = u.leg WHERE r.file_id = {n}"""
    )
    assert pairs.height == 4
    assert pairs["same"].all()
    assert set(pairs["accounting_date"]) == {DAY + timedelta(days=1)}, "the programme day of the correction"
    assert pairs["left_over"].abs().sum() == 0


def test_corrections_of_corrections_follow_each_record_to_its_effect(answered: Office, new_office: Any) -> None:
    for rows in (CORRECTIONS["all at once"], CORRECTIONS["left out"], ANSWERED, CORRECTIONS["added"]):
        answered.answer(DAY, *rows)
        assert night(answered) == [(Verdict.CORRECTION, OutcomeState.POSTED, None)]
    right = new_office("right")
    right.begin()
    right.ask(DAY, *ASKED)
    right.answer(DAY, *CORRECTIONS["added"])
    night(right)
    assert stands(answered) == stands(right)


def test_the_first_file_again_after_a_correction_is_a_correction_too(answered: Office) -> None:
    before = stands(answered)
    answered.answer(DAY, *CORRECTIONS["an outcome"])
    night(answered)
    answered.answer(DAY, *ANSWERED)
    assert night(answered) == [(Verdict.CORRECTION, OutcomeState.POSTED, None)]
    assert stands(answered) == before


def test_a_record_whose_item_has_gone_on_opens_a_conflict_and_stays(answered: Office) -> None:
    (taken,) = answered.sql("SELECT break_id FROM book.open_break WHERE code = 4")["break_id"]
    with answered.desk() as desk:
        decide(desk, action="take", subject=taken, reason="agreed", points=250)
    before = stands(answered)
    answered.answer(DAY, *CORRECTIONS["an amount"])
    night(answered)
    after = stands(answered)
    assert after["balances"] == before["balances"]
    assert after["items"] == before["items"]
    assert set(after["breaks"]) - set(before["breaks"]) == {(11, "R3")}
    # The record stays with a person: another correction of it opens a conflict of its own.
    answered.answer(DAY, *[(ref, 299 if ref == "R3" else points, code) for ref, points, code in ANSWERED])
    night(answered)
    assert stands(answered)["balances"] == before["balances"]


def test_a_corrected_request_touches_only_what_is_unanswered(answered: Office) -> None:
    changed = [("R1", 111), *ASKED[1:6], ("R7", 777), ("R9", 900), ("R10", 1000)]
    answered.ask(DAY, *changed)
    assert night(answered) == [(Verdict.CORRECTION, OutcomeState.POSTED, None)]
    after = stands(answered)
    waiting = {ref: remaining for ref, side, _, _, remaining in after["items"] if side == 1}
    assert waiting == {"R3": 300, "R4": 400, "R6": 600, "R7": 777, "R9": 900, "R10": 1000}
    assert (11, "R1") in after["breaks"]
    assert answered.sql("SELECT count(*) FROM book.settled_key WHERE state = 11").item() == 2, "R7 and R8 taken back"


def test_more_changes_than_the_layout_lets_pass_wait_for_a_decision(office: Office) -> None:
    office.begin([("1111111111", 900_000)])
    office.ask(DAY, *((str(number), 1) for number in range(501)))
    night(office)
    office.ask(DAY, *((str(number), 2) for number in range(501)))
    assert night(office) == [(Verdict.CORRECTION, OutcomeState.HELD, Code.CORRECTION_HELD)]
    assert night(office) == [], "it is not tried again by itself"


def test_without_a_key_that_tells_records_apart_a_person_decides(answered: Office) -> None:
    answered.answer(DAY, *ANSWERED, ("R1", 100, "0000"))
    assert night(answered) == [(Verdict.CORRECTION, OutcomeState.HELD, Code.CORRECTION_HELD)]


def test_the_crm_hears_what_a_correction_took_back(answered: Office) -> None:
    answered.answer(DAY, *CORRECTIONS["all at once"])
    night(answered)
    told: dict[str, str] = {}
    batches = sorted((answered.home / "out/crm/salesforce").glob("*/1-TransactionJournal-*.csv"),
                     key=lambda path: path.stat().st_mtime_ns)  # fmt: skip
    for path in batches:
        with path.open(newline="") as file:
            told |= {row["ExternalTransactionNumber"]: row["Redemption_State__c"] for row in csv.DictReader(file)}
    assert told == {
        "R1": "confirmed",
        "R2": "confirmed",
        "R3": "confirmed",
        "R4": "rejected",
        "R5": "pending",
        "R6": "confirmed",
    }


def test_a_correction_is_closed_into_the_day_with_journal_and_report(answered: Office) -> None:
    answered.answer(DAY, *CORRECTIONS["all at once"])
    done = answered.run(DAY)
    assert done.failures == []
    assert done.report is not None
    assert done.journal is not None


def test_a_correction_that_posted_is_no_longer_held(answered: Office) -> None:
    answered.now += timedelta(hours=1)
    answered.answer(DAY, *CORRECTIONS["an amount"])
    done = answered.run(DAY, feeds=FEEDS)
    assert [one.code for one in done.delivered] == [Code.CORRECTION_HELD], "as it arrived"
    assert [outcome.state for _, outcome in done.outcomes] == [OutcomeState.POSTED]
    assert (done.exit_status, done.unsettled) == (0, [])
