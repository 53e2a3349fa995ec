"""The dispute pack speaks as its partner does, adds up, and opens in a spreadsheet without running anything."""

import csv
import io
from datetime import date
from typing import Any

import polars as pl
import pytest

from counterfoil.ledger.disputes import DISPUTED
from counterfoil.protocols import Term, Terms
from counterfoil.reports.dispute import Wording, asked, pack

PLAIN = Wording(Terms({}, {}), Terms({}, {}))
BANK = Wording(
    answers=Terms(
        {
            "ref": Term("Reference number", digits=8), "points": Term("Amount"), "outcome": Term("Outcome code"),
            "reason": Term("Outcome code"), "value_date": Term("Processed", date_format="%d/%m/%Y"),
        },
        {"accepted": "0000", "held": "0099"},
    ),
    requests=Terms({"member": Term("Member ID"), "value_date": Term("Transfer date", date_format="%Y%m%d")}, {}),
)  # fmt: skip


def rows(*given: dict[str, Any]) -> pl.DataFrame:
    ordinary = {"break_id": "b" * 16, "opened_on": date(2026, 11, 18), "age_days": 2, "at_stake": 0, "subject": ""}
    return pl.DataFrame([dict.fromkeys(DISPUTED) | ordinary | row for row in given], schema=DISPUTED, orient="row")


OVERDUE = {
    "code": 2, "ref": "41", "member": "0012345678", "asked_on": date(2026, 11, 10), "asked_points": 900,
    "due": date(2026, 11, 13), "at_stake": 900,
}  # fmt: skip
DIFFERS = {
    "code": 4, "ref": "77", "member": "0012345679", "asked_on": date(2026, 11, 16), "asked_points": 50,
    "due": date(2026, 11, 19), "said_on": date(2026, 11, 17), "said_points": 45, "outcome": "accepted",
    "file": "ANSWERS_1", "line": 12, "at_stake": 5,
}  # fmt: skip
UNKNOWN = {
    "code": 3,
    "ref": "9",
    "said_points": -7,
    "outcome": "rejected",
    "reason": "0001",
    "text": "no such member",
    "at_stake": 7,
}
MISSING = {"code": 13, "subject": "bank_handback:2026-11-17", "member": None}


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_each_break_is_a_row_in_the_partners_own_terms() -> None:
    overdue, total, differs, *_ = read(pack(rows(OVERDUE, DIFFERS), BANK))
    assert overdue["Reference number"] == "00000041", "the zeros that the book leaves out"
    assert overdue["Member ID"] == "0012345678"
    assert overdue["Transfer date (our request)"] == "20261110"
    assert overdue["Answer due"] == "13/11/2026"
    assert overdue["Amount (your answer)"] == ""
    assert (total["Question"], total["Breaks"]) == ("1", "1")
    assert differs["Question"] == "2"
    assert differs["What we expected"] == "The amount that we asked for"
    assert (differs["Amount (our request)"], differs["Amount (your answer)"], differs["Difference"]) == (
        "50",
        "45",
        "5",
    )
    assert differs["Outcome code (your answer)"] == "0000"
    assert (differs["Your file"], differs["Line"]) == ("ANSWERS_1", "12")
    assert differs["Processed (your answer)"] == "17/11/2026"


def test_a_reason_stands_as_its_code_and_in_words() -> None:
    unknown = read(pack(rows(UNKNOWN), BANK))[0]
    assert (unknown["Outcome code (your answer)"], unknown["In words"]) == ("0001", "no such member")


def test_a_partner_without_names_of_its_own_gets_ours_and_a_column_for_reasons() -> None:
    unknown = read(pack(rows(UNKNOWN), PLAIN))[0]
    assert unknown["Outcome (your answer)"] == "rejected"
    assert unknown["Reason (your answer)"] == "0001"
    assert {"Reference", "Member", "Date (our request)", "Amount (your answer)"} <= set(unknown)


def test_a_missing_file_is_named() -> None:
    missing = read(pack(rows(MISSING), BANK))[0]
    assert (missing["What we ask"], missing["Your file"]) == ("Please send us this file", "2026-11-17")


def test_each_question_has_its_total_and_all_of_them_one() -> None:
    given = rows(OVERDUE, OVERDUE | {"asked_points": 100, "at_stake": 100}, UNKNOWN, DIFFERS)
    told = read(pack(given, BANK))
    totals = [line for line in told if line["What we ask"].startswith("Total")]
    shown = ("Question", "Breaks", "Amount (our request)", "Amount (your answer)", "Difference", "In dispute")
    assert [tuple(line[name] for name in shown) for line in totals] == [
        ("1", "2", "1000", "", "", "1000"),
        ("2", "1", "", "-7", "", "7"),
        ("3", "1", "50", "45", "5", "5"),
        ("", "4", "1050", "38", "5", "1012"),
    ]
    assert all(not line["Days open"] and not line["Line"] for line in totals), "what names or ages is no amount"
    assert len(told) == given.height + len(totals)


def test_the_questions_hold_no_member_and_no_reference() -> None:
    found = asked(rows(OVERDUE, UNKNOWN, DIFFERS, DIFFERS))
    assert found.columns == ["question", "code", "ask", "breaks", "points", "minor", "currency"]
    assert found.select("question", "code", "breaks", "points").rows() == [
        (1, "B02", 1, 900), (2, "B03", 1, 7), (3, "B04", 2, 10),
    ]  # fmt: skip


def test_without_a_break_there_is_a_header_and_a_total_of_none() -> None:
    (total,) = read(pack(rows(), BANK))
    assert (total["What we ask"], total["Breaks"]) == ("Total of all questions", "0")


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(first: str) -> None:
    hostile = f'{first}HYPERLINK("http://evil.example","x")'
    given = rows(DIFFERS | {"ref": hostile, "member": hostile, "file": hostile, "reason": hostile})
    line = read(pack(given, BANK))[0]
    shown = (line["Reference number"], line["Member ID"], line["Your file"], line["Outcome code (your answer)"])
    assert set(shown) == {f"'{hostile}"}


def test_the_same_breaks_are_the_same_bytes() -> None:
    given = rows(OVERDUE, UNKNOWN, DIFFERS, MISSING)
    assert pack(given, BANK) == pack(given, BANK)
    assert pack(given, BANK).startswith(b"\xef\xbb\xbfQuestion,What we ask,What we expected,Breaks,Reference number,")
