"""A partner charges at another price than agreed: from its file to the break, its cause, the pack and the proof."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from counterfoil.money import value_points_int
from tests.plugins.commands import Nights, OpenNights, home
from tests.plugins.homes import MONDAY, RATES, every_row

TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
MEMBER = "M100000007"

ASKED = {"H1": 1000, "H2": 333, "H3": 250, "H4": 4000, "H5": 600, "H6": 80}
CHARGED = {"H1": 1100, "H2": 366, "H3": 275, "H4": 4001, "H5": "", "H6": 80}
"""Cents: three at 1.10 for 100 points instead of 1.00, one off by a cent, one without a charge, one right."""


@pytest.fixture(scope="module")
def run(open_nights: OpenNights) -> Iterator[Nights]:
    with open_nights([Path(__file__).parent / "data/partners/harbour"]) as nights:
        nights.put(
            f"opening/opening_{MONDAY:%Y%m%d}.csv",
            f"entry,account,owner,partner,ref,points,value_date\nbalance,member,{MEMBER},harbour,,100000,{MONDAY}\n",
        )
        nights.put(f"rates/rates_{MONDAY:%Y%m%d}.csv", f"{RATES}harbour,EUR,100,100,2026-11-01\n")
        nights.put(
            f"harbour/outgoing/HARBOUR_{MONDAY:%Y%m%d}.REQ.csv",
            "member,points,ref\n" + "".join(f"{MEMBER},{points},{ref}\n" for ref, points in ASKED.items()),
        )
        answer(nights, CHARGED)
        nights.run(MONDAY)
        yield nights


def answer(run: Nights, charged: dict[str, Any]) -> None:
    """Harbour's answers of Monday, all of them acceptances."""
    rows = "".join(f"{ref},{ASKED[ref]},A,{charge}\n" for ref, charge in charged.items())
    run.put(f"harbour/incoming/HARBOUR_{MONDAY:%Y%m%d}.ANS.csv", f"Ref,Points,Result,Charge\n{rows}")


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_what_is_charged_beyond_the_tolerance_is_a_break(run: Nights) -> None:
    found = sorted(run("breaks", "--as-of", MONDAY), key=lambda one: str(one["our_ref"]))
    assert [(one["our_ref"], one["code"]) for one in found] == [("H1", "B05"), ("H2", "B05"), ("H3", "B05")]
    first = found[0]
    assert (first["amount_ours_minor"], first["amount_theirs_minor"], first["currency"]) == (1000, 1100, "EUR")
    assert (first["points_ours"], first["difference"], first["severity"]) == (None, None, "low")
    (harbour,) = (one for one in run("balances") if one["kind"] == "payable" and one["partner"] == "harbour")
    assert harbour["balance"] == sum(ASKED.values()), "every answer has settled its points"


def test_people_see_money_in_columns_of_its_own(run: Nights) -> None:
    text = run("breaks", "--as-of", MONDAY, json_wanted=False)
    missing = {shown for shown in ("11.00", "10.00", "-1.00", "EUR") if shown not in text}
    assert missing == set(), text


def test_one_price_is_one_cause(run: Nights) -> None:
    (cause,) = run("breaks", "--as-of", MONDAY, "--by", "cause")
    assert cause["change"] == "priced at 1.10 EUR per 100 points at harbour instead of 1.00: check the rate card"
    assert (cause["breaks"], cause["points"], cause["minor"], cause["currency"]) == (3, 0, 158, "EUR")


def test_the_report_shows_it_and_ties(run: Nights) -> None:
    (folder,) = home(f"out/reports/{MONDAY}").glob("v*")
    listed = [row for row in rows((folder / "breaks.csv").read_bytes()) if row["code"] == "B05"]
    amounts = sorted((row["amount_ours"], row["amount_theirs"], row["amount_difference"]) for row in listed)
    assert amounts == [("10.00", "11.00", "-1.00"), ("2.50", "2.75", "-0.25"), ("3.33", "3.66", "-0.33")]
    page = (folder / "index.html").read_text()
    assert "0 points and 1.58 EUR at stake" in page
    assert "6.4 Money at stake" in page
    ties = [row for row in rows((folder / "ties.csv").read_bytes()) if row["section"] == "7"]
    assert [(row["unit"], row["holds"]) for row in ties] == [("EUR", "yes")] * 3
    stories = [path.read_text() for path in (folder / "stories").glob("*.html")]
    assert len(stories) == 3
    assert all("priced at 1.10 EUR per 100 points at harbour" in story for story in stories)


def test_explain_says_what_was_charged_and_what_was_expected(run: Nights) -> None:
    text = run("explain", "H2", json_wanted=False)
    assert (
        "The partner charged 3.66 EUR for 333 points; 3.33 EUR were expected, at 1.00 EUR per 100 points "
        f"on {MONDAY}." in text
    )
    (story,) = run("explain", "H2")["breaks"]
    assert (story["amount_ours_minor"], story["amount_theirs_minor"], story["currency"]) == (333, 366, "EUR")


def test_the_pack_asks_the_partner_in_its_own_words(run: Nights) -> None:
    asked = run("dispute", "--partner", "harbour", "--as-of", MONDAY)
    assert [(one["code"], one["breaks"], one["minor"]) for one in asked["questions"]] == [("B05", 3, 158)]
    *found, _, total = rows(Path(asked["file"]).read_bytes())
    (first,) = (row for row in found if row["Ref"] == "H1")
    assert first["What we ask"] == "Which price did you use, and since when?"
    assert (first["Charge (your answer)"], first["Charge (as we expected)"], first["Currency"]) == (
        "11.00",
        "10.00",
        "EUR",
    )
    assert (total["Charge (too much)"], total["In dispute"]) == ("1.58", "0")


def test_the_scorecard_counts_what_is_in_dispute(run: Nights) -> None:
    (harbour,) = run("scorecard", "--as-of", MONDAY)["partners"]
    figures = {one["figure"]: one["trend"][0] for one in harbour["figures"] if not one["part"]}
    # The programme values the points sent at 0.50 EUR for 100.
    sent = value_points_int(sum(ASKED.values()), 50, 100)
    charges = figures["charges_at_risk"]
    assert (charges["numerator"], charges["denominator"], figures["points_at_risk"]["numerator"]) == (158, sent, 0)


def test_a_corrected_file_and_a_decision_close_it_and_the_book_proves_itself(run: Nights, tmp_path: Path) -> None:
    answer(run, CHARGED | {"H1": 1000, "H2": 333})
    run.run(TUESDAY)
    (left,) = [one for one in run("breaks", "--as-of", TUESDAY) if one["code"] == "B05"]
    assert left["our_ref"] == "H3"
    run.at(WEDNESDAY, "12:00:00")
    dry = run("resolve", left["break_id"], "--action", "resolve", "--reason", "agreed", "--dry-run")
    assert (dry["points"], dry["minor"], [one["becomes"] for one in dry["breaks"]]) == (0, 25, ["cleared"])
    run("resolve", left["break_id"], "--action", "resolve", "--reason", "the old price holds until December")
    (decision,) = run("decisions")
    assert (decision["points"], decision["minor"]) == (0, 25)
    assert [one for one in run("breaks") if one["code"] == "B05"] == []
    assert run("audit", "verify")["findings"] == []
    run("replay", "--into", tmp_path / "again")
    assert every_row(tmp_path / "again/book.duckdb") == every_row(home("book.duckdb"))
