"""The list of breaks and what is in transit, day by day."""

from datetime import date, timedelta

import polars as pl
import pytest

from counterfoil.ledger import open_breaks
from counterfoil.ledger.known import known
from counterfoil.ledger.lookups import Lookups
from tests.ledger.weeks import DAYS, MONDAY, TUESDAY, WEDNESDAY, codes


def test_breaks_are_listed_as_the_report_wants_them(week_book: Lookups) -> None:
    found = open_breaks.open_breaks(week_book, known(week_book, TUESDAY))
    assert codes(found) == {"B03": 2, "B04": 1, "B07": 1, "B09": 1, "B11": 1, "B13": 1}
    named = {(row["code"], row["our_ref"], row["their_ref"]): row for row in found.to_dicts()}
    differs = named["B04", "D", "D"]
    assert (differs["points_ours"], differs["points_theirs"], differs["difference"]) == (400, 450, -50)
    assert (differs["file"], differs["line"], differs["member"], differs["age_days"]) == (
        "p_handback_4",
        5,
        "···001",
        0,
    )
    assert (differs["bucket"], differs["severity"], differs["state"]) == ("0-1", "low", "open")
    assert differs["due"] == TUESDAY + timedelta(days=3)
    unknown = named["B03", None, "Z"]
    assert (unknown["points_ours"], unknown["points_theirs"], unknown["difference"]) == (None, 900, None)
    missing = named["B13", None, f"p_handback:{MONDAY}"]
    assert (missing["file"], missing["line"], missing["feed"]) == ("counterfoil_calendar_3", 2, "p_handback")


def test_an_overdue_request_leads_to_its_own_line_and_keeps_the_id_it_had_in_transit(week_book: Lookups) -> None:
    waiting = (
        open_breaks.in_transit(week_book, known(week_book, TUESDAY)).filter(pl.col("our_ref") == "F").row(0, named=True)
    )
    overdue = (
        open_breaks.open_breaks(week_book, known(week_book, WEDNESDAY))
        .filter(pl.col("our_ref") == "F")
        .row(0, named=True)
    )
    assert (waiting["code"], overdue["code"]) == ("B01", "B02")
    assert waiting["break_id"] == overdue["break_id"]
    assert (overdue["file"], overdue["line"]) == (waiting["file"], waiting["line"]) == ("p_requests_2", 7)
    assert (overdue["their_ref"], overdue["points_theirs"], overdue["age_days"]) == (None, None, 2)


def test_what_is_in_transit_has_no_break_of_its_own(week_book: Lookups) -> None:
    found = open_breaks.in_transit(week_book, known(week_book, TUESDAY))
    assert found.select("our_ref", "state", "due").rows() == [
        ("C", "held", TUESDAY),
        ("F", "waiting", TUESDAY),
    ]
    assert set(open_breaks.open_breaks(week_book, known(week_book, TUESDAY))["code"]).isdisjoint(found["code"])


def test_breaks_can_be_asked_for_one_partner(week_book: Lookups) -> None:
    assert open_breaks.open_breaks(week_book, known(week_book, TUESDAY), "p").height == 7
    assert open_breaks.open_breaks(week_book, known(week_book, TUESDAY), "q").is_empty()
    assert open_breaks.in_transit(week_book, known(week_book, TUESDAY), "q").is_empty()


@pytest.mark.parametrize("day", DAYS)
def test_movements_carry_every_break_from_day_to_day(week_book: Lookups, day: date) -> None:
    moved = open_breaks.movements(week_book, known(week_book, day))
    listed = codes(
        pl.concat(
            [
                open_breaks.open_breaks(week_book, known(week_book, day)),
                open_breaks.in_transit(week_book, known(week_book, day)),
            ]
        )
    )
    assert dict(moved.filter(pl.col("carried") > 0).select("code", "carried").iter_rows()) == listed
    before = dict(
        open_breaks.movements(week_book, known(week_book, day - timedelta(days=1)))
        .select("code", "carried")
        .iter_rows()
    )
    brought = moved.with_columns(brought=pl.col("carried") - pl.col("opened") + pl.col("cleared"))
    forward = {code: count for code, count in brought.select("code", "brought").iter_rows() if count}
    assert forward == {code: count for code, count in before.items() if count}
