"""The story of one reference: what happened to it from file to file, and what a reader must not see."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from counterfoil.errors import UsageError
from counterfoil.landing.outputs import Range
from counterfoil.ledger.known import known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.ledger.story import Story
from counterfoil.ledger.telling import of_reference
from counterfoil.protocols import Batch

MONDAY = date(2026, 11, 16)
MEMBER = "M7654321"
Posts = Callable[..., Any]


@pytest.fixture(scope="module")
def week(make_book: Callable[[], Book], make_feed: Posts, post: Posts) -> Book:
    """1 requests; 2 answers; 3 later answers; 4 a request that was answered before; 5 another partner's request."""
    book = make_book()
    requests, handback = make_feed("requests"), make_feed("handback")
    with book.writing(purpose="test") as writer:
        asked = [{"ref": ref, "points": points, "member": MEMBER} for ref, points in (("A", 100), ("D", 400))]
        post(writer, requests, asked, MONDAY)
        answers = [
            {"ref": "A", "points": 100, "member": MEMBER, "to_account": "M9999888"},
            {"ref": "A", "points": 100, "member": MEMBER, "to_account": "M9999888"},
            {"ref": "D", "points": 450},
            {"ref": "Z", "points": 900, "outcome": "rejected", "reason": "0005"},
        ]
        post(writer, handback, answers, MONDAY + timedelta(days=1))
        later = [{"ref": "D", "points": 400}, {"ref": "A", "points": 60, "outcome": "reversed"}]
        post(writer, handback, later, MONDAY + timedelta(days=2))
        post(writer, requests, [{"ref": "Z", "points": 900}], MONDAY + timedelta(days=3))
        post(writer, make_feed("requests", partner="q"), [{"ref": "A", "points": 5}], MONDAY + timedelta(days=4))
    return book


@pytest.fixture
def book(week: Book) -> Iterator[Lookups]:
    with week.reading() as lookups:
        yield lookups


def story(book: Lookups, ref: str, partner: str | None, *, ranges: list[Range]) -> Story:
    """The story as it is known now."""
    return of_reference(book, known(book, date.max), ref, partner, ranges=ranges)


def events(told: Story) -> list[tuple[int, int, str]]:
    return [(record.posting, record.line, record.event) for record in told.records]


def test_a_story_names_every_record_its_transfers_and_breaks(book: Lookups) -> None:
    told = story(book, "D", None, ranges=[])
    assert events(told) == [(1, 3, "request"), (2, 4, "amount_differs"), (3, 2, "accepted")]
    assert [(item.side, item.state, item.points, item.posting, item.line) for item in told.items] == [
        ("ours", "confirmed", 400, 1, 3),
        ("theirs", "closed", 450, 2, 4),
    ]
    accepted = told.records[-1]
    assert (accepted.file, accepted.feed, accepted.identity) == ("p_handback_3", "p_handback", "2026-11-18")
    assert (accepted.business_date, accepted.posted_at) == ("2026-11-18", "2026-11-20T12:00:00.000Z")
    assert accepted.match_pass == "exact"
    assert [(one.role, one.item_id, one.agreed, one.difference, one.days) for one in accepted.candidates] == [
        ("matched", told.items[0].item_id, ("reference", "points"), 0, 2),
        ("same_reference", told.items[1].item_id, None, None, None),
    ]
    (transfer,) = accepted.transfers
    assert [(leg.account, leg.points) for leg in transfer.legs] == [("in_flight", -400), ("payable", 400)]
    (differs,) = told.breaks
    assert (differs.code, differs.opened_on, differs.opened_by, differs.line) == ("B04", "2026-11-17", 2, 4)
    assert (differs.cleared_on, differs.cleared_by) == ("2026-11-18", 3)


def test_every_transfer_of_a_story_sums_to_zero(book: Lookups) -> None:
    transfers = [
        transfer for ref in "ADZ" for told in story(book, ref, None, ranges=[]).records for transfer in told.transfers
    ]
    assert len(transfers) == 8
    assert {sum(leg.points for leg in transfer.legs) for transfer in transfers} == {0}


def test_an_answer_that_came_first_is_told_with_the_request_it_waited_for(book: Lookups) -> None:
    told = story(book, "Z", None, ranges=[])
    assert events(told) == [(2, 5, "unknown_other"), (4, 2, "request")]
    assert told.records[0].reason == "0005"
    assert [transfer.event for transfer in told.records[1].transfers] == ["request", "rejected"]
    ours = told.items[1]
    assert (ours.state, [(end.state, end.posting) for end in ours.ends]) == ("rejected", [("rejected", 4)])
    assert [(found.code, found.cleared_by) for found in told.breaks] == [("B03", 4), ("B09", None)]


def test_a_repeated_answer_and_what_followed_the_end_are_told(book: Lookups) -> None:
    told = story(book, "A", "p", ranges=[])
    assert events(told) == [(1, 2, "request"), (2, 2, "accepted"), (2, 3, "duplicate_answer"), (3, 3, "reversed")]
    (item,) = told.items
    assert [(end.state, end.confirmed, end.reversed, end.line) for end in item.ends] == [
        ("confirmed", 100, 0, 2),
        ("reversed", 100, 60, 3),
    ]


def test_the_same_reference_at_another_partner_is_another_story(book: Lookups) -> None:
    assert events(story(book, "A", "q", ranges=[])) == [(5, 2, "request")]
    both = story(book, "A", None, ranges=[])
    assert {item.partner for item in both.items} == {"p", "q"}
    assert both.records[-1].candidates == ()


def test_members_are_masked_everywhere(book: Lookups) -> None:
    text = json.dumps(story(book, "A", None, ranges=[]).as_dict())
    assert MEMBER not in text
    assert "M9999888" not in text
    told = story(book, "A", "p", ranges=[])
    assert told.items[0].member == "···321"
    assert told.records[1].merged_to == "···888"
    assert told.records[0].transfers[0].legs[0].owner == "···321"


def test_batches_that_cover_its_postings_are_told_and_heads_are_those_of_the_book(week: Book, book: Lookups) -> None:
    def known(batch_id: str, from_n: int, to_n: int) -> Range:
        batch = Batch("salesforce", batch_id, "sha", from_n, to_n)
        return Range(batch, "written", datetime(2026, 11, 20, tzinfo=UTC))

    told = story(book, "D", None, ranges=[known("one", 0, 2), known("two", 2, 3), known("three", 3, 5)])
    assert [(batch.batch_id, batch.postings) for batch in told.batches] == [("one", (1, 2)), ("two", (3,))]
    assert [sealed.posting for sealed in told.postings] == [1, 2, 3]
    last = story(book, "A", "q", ranges=[]).postings[-1]
    heads = week.heads(book)
    assert (last.posting, last.content_head, last.chain_head) == (heads.n, heads.content_head, heads.chain_head)


def test_json_keys_are_stable(book: Lookups) -> None:
    told = story(book, "D", None, ranges=[]).as_dict()
    assert list(told) == ["ref", "items", "records", "breaks", "batches", "postings"]
    assert json.loads(json.dumps(told))["records"][2]["transfers"][0]["legs"][0] == {
        "account": "in_flight",
        "partner": "p",
        "owner": None,
        "points": -400,
    }


@pytest.mark.parametrize(("ref", "partner"), [("NOBODY", None), ("A", "r")])
def test_an_unknown_reference_is_an_error_that_does_not_repeat_it(book: Lookups, ref: str, partner: str | None) -> None:
    with pytest.raises(UsageError, match="NOTHING_FOUND explain") as raised:
        story(book, ref, partner, ranges=[])
    assert "NOBODY" not in str(raised.value)
