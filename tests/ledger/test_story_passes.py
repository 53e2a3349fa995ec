"""Stories of what the later passes did: parts that met, one answer to several, suggestions, ambiguity, tolerance."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from counterfoil.feed import Window
from counterfoil.ledger.known import known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.ledger.story import Story, Told
from counterfoil.ledger.telling import of_reference

MONDAY = date(2026, 11, 16)
TUESDAY = MONDAY + timedelta(days=1)
Posts = Callable[..., Any]


@pytest.fixture(scope="module")
def week(make_book: Callable[[], Book], make_feed: Posts, post: Posts) -> Book:
    """Requests on Monday; answers that need the later passes on Monday and Tuesday."""
    book = make_book()
    terms = {
        "record_key": ("ref",),
        "split_max": 3,
        "net_max": 3,
        "tolerance_points": 5,
        "tolerance_monthly_points": 1000,
        "answer_window": Window(late_days=2),
    }
    asked = [
        ("SPLIT", 500, "M1"),
        ("NET1", 30, "M2"),
        ("NET2", 12, "M2"),
        ("ONE", 77, "M3"),
        ("TWIN1", 9, "M4"),
        ("TWIN2", 9, "M4"),
        ("ABOUT", 100, "M5"),
        ("LATE", 60, "M6"),
        ("FAR", 61, "M6"),
    ]
    monday = [("SPLIT", 300, "M1"), ("SUM", 42, "M2"), ("X1", 77, "M3"), ("X2", 9, "M4"), ("ABOUT", 98, None)]
    tuesday = [("SPLIT", 200, "M1"), ("LATE", 60, None)]
    with book.writing(purpose="test") as writer:
        names = ("ref", "points", "member")
        owners = sorted({member for _, _, member in asked})
        post(
            writer,
            make_feed("opening", partner="counterfoil"),
            [{"owner": one, "points": 999} for one in owners],
            MONDAY,
        )
        post(writer, make_feed("requests", **terms), [dict(zip(names, row, strict=True)) for row in asked], MONDAY)
        handback = make_feed("handback", **terms)
        for day, rows in ((MONDAY, monday), (TUESDAY, tuesday), (MONDAY + timedelta(days=7), [("FAR", 61, "M6")])):
            post(writer, handback, [dict(zip(names, row, strict=True)) for row in rows], day)
    return book


@pytest.fixture
def book(week: Book) -> Iterator[Lookups]:
    with week.reading() as lookups:
        yield lookups


def story(book: Lookups, ref: str) -> Story:
    return of_reference(book, known(book, date.max), ref, None, ranges=[])


def met(record: Told) -> list[tuple[str, str, int | None]]:
    return [(one.role, one.ref, one.difference) for one in record.candidates if one.role != "same_reference"]


def test_parts_are_told_with_the_request_they_add_up_to(book: Lookups) -> None:
    told = story(book, "SPLIT")
    assert [(record.event, record.match_pass) for record in told.records] == [
        ("request", "none"),
        ("amount_differs", "exact"),
        ("accepted_part", "split"),
    ]
    (part,) = told.breaks
    assert [(step.event, step.posting, step.line) for step in part.life] == [("opened", 3, 2), ("cleared", 4, 2)]
    assert {item.state for item in told.items} == {"confirmed", "closed"}


def test_one_answer_to_several_is_told_of_each_of_them(book: Lookups) -> None:
    for ref in ("NET1", "NET2"):
        told = story(book, ref)
        netted = told.records[-1]
        assert (netted.event, netted.own, netted.line) == ("netted", True, 3)
        assert {ref for role, ref, _ in met(netted) if role == "part"} == {"NET1", "NET2"}
        assert told.items[0].state == "confirmed"
        assert {sum(leg.points for leg in transfer.legs) for transfer in netted.transfers} == {0}


def test_a_suggestion_is_told_on_both_sides_and_settles_nothing(book: Lookups) -> None:
    answer, request = story(book, "X1"), story(book, "ONE")
    assert met(answer.records[0]) == [("candidate", "ONE", 0)]
    assert answer.records[0].match_pass == "suggested"
    (unknown,) = answer.breaks
    assert unknown.why is not None
    assert unknown.why.text.startswith("No open request bears the reference; exactly one")
    assert (unknown.why.settles, unknown.why.near_misses[0].ref) == (("reference",), "ONE")
    assert [(record.event, record.own) for record in request.records] == [
        ("request", True),
        ("unknown_accepted", False),
    ]
    assert request.items[0].state == "pending"


def test_of_several_that_fit_all_are_told_and_none_is_chosen(book: Lookups) -> None:
    told = story(book, "X2")
    assert [ref for _, ref, _ in met(told.records[0])] == ["TWIN1", "TWIN2"]
    (unknown,) = told.breaks
    assert unknown.why is not None
    assert unknown.why.text == "Several open requests fit it equally well, so none was chosen."
    assert {near.ref for near in unknown.why.near_misses} == {"TWIN1", "TWIN2"}


def test_what_was_tolerated_and_what_came_on_another_day_is_told(book: Lookups) -> None:
    tolerated, dated = story(book, "ABOUT").records[-1], story(book, "LATE").records[-1]
    assert (tolerated.match_pass, met(tolerated)) == ("tolerance", [("matched", "ABOUT", -2)])
    assert tolerated.candidates[0].agreed == ("reference",)
    assert (dated.match_pass, met(dated)) == ("date_window", [("matched", "LATE", 0)])
    assert (dated.candidates[0].agreed, dated.candidates[0].days) == (("reference", "points"), 1)


def test_a_date_too_far_off_is_what_would_settle_it(book: Lookups) -> None:
    (differs,) = story(book, "FAR").breaks
    assert differs.code == "B06"
    assert differs.why is not None
    assert differs.why.settles == ("date",)
    assert differs.why.near_misses[0].fields[3].by == 7
