"""The story of one reference: what happened to it from file to file, and what a reader must not see."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from counterfoil.errors import UsageError
from counterfoil.landing.outputs import Range
from counterfoil.ledger.known import known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.ledger.story import Story
from counterfoil.ledger.story_scope import RECORDS_MAX
from counterfoil.ledger.telling import of_breaks, of_reference
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


def events(told: Story) -> list[tuple[int, int | None, str]]:
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
    assert list(told) == [
        "ref", "break_id", "items", "records", "left_out", "breaks", "decisions", "batches", "postings",
    ]  # fmt: skip
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


def test_the_life_of_a_break_names_the_record_that_took_each_step(book: Lookups) -> None:
    (differs,) = story(book, "D", None, ranges=[]).breaks
    assert [(step.event, step.posting, step.line, step.on_day) for step in differs.life] == [
        ("opened", 2, 4, "2026-11-17"),
        ("cleared", 3, 2, "2026-11-18"),
    ]
    unknown, rejected = story(book, "Z", None, ranges=[]).breaks
    assert [(step.event, step.posting, step.line) for step in unknown.life] == [("opened", 2, 5), ("cleared", 4, 2)]
    assert (rejected.state, rejected.owner, rejected.next_step) == (
        "open", "member services", "Correct and send again, or tell the member",
    )  # fmt: skip
    assert rejected.why is not None
    assert not rejected.why.sought


def test_the_stories_of_several_breaks_are_those_of_each_alone_in_their_order(book: Lookups) -> None:
    now = known(book, date.max)
    ids = book.frame("SELECT break_id FROM book.break ORDER BY subject DESC, code")["break_id"].to_list()
    told = of_breaks(book, now, [*ids, "nobody"], ranges=[])
    assert [one.break_id for one in told] == ids
    assert told == [of_breaks(book, now, [break_id], ranges=[])[0] for break_id in ids]
    of_differing = next(one for one in told if one.ref == "D")
    assert of_differing.records == story(book, "D", "p", ranges=[]).records


def test_a_story_as_it_was_known_ends_there(book: Lookups) -> None:
    tuesday = known(book, MONDAY + timedelta(days=1), 2)
    told = of_reference(book, tuesday, "D", None, ranges=[])
    assert events(told) == [(1, 3, "request"), (2, 4, "amount_differs")]
    assert [(item.side, item.state, item.ends) for item in told.items] == [
        ("ours", "pending", ()),
        ("theirs", "unidentified", ()),
    ]
    (differs,) = told.breaks
    assert (differs.state, differs.cleared_on, [step.event for step in differs.life]) == ("open", None, ["opened"])
    assert differs.why is not None
    assert differs.why.settles == ("points",)
    (near,) = differs.why.near_misses
    assert [(one.field, one.agrees, one.by) for one in near.fields] == [
        ("reference", True, 0),
        ("member", None, None),
        ("points", False, 50),
        ("date", True, 1),
    ]
    assert (near.side, near.ref, near.member, near.points, near.line) == ("ours", "D", "···321", 400, 3)
    with pytest.raises(UsageError, match="NOTHING_FOUND"):
        of_reference(book, tuesday, "A", "q", ranges=[])


@pytest.fixture(scope="module")
def puzzling(make_book: Callable[[], Book], make_feed: Posts, post: Posts) -> Book:
    """Answers that nearly fit: a reference cut short, one digit apart, none; a request nobody answers."""
    book = make_book()
    with book.writing(purpose="test") as writer:
        asked = [
            {"ref": "R1000017", "points": 700, "member": MEMBER},
            {"ref": "R1000018", "points": 700, "member": "M1111222"},
            {"ref": "R1000019", "points": 55, "member": MEMBER},
            {"ref": "R1000020", "points": 99, "member": "M1111333"},
        ]
        post(writer, make_feed("requests", answer_due_days=1), asked, MONDAY)
        post(writer, make_feed("requests", partner="q"), asked[:1], MONDAY)
        answers = [
            {"ref": "R10000", "points": 700, "member": MEMBER},
            {"ref": "R1000918", "points": 700},
            {"ref": "Z5", "points": 54, "member": MEMBER},
        ]
        post(writer, make_feed("handback"), answers, MONDAY + timedelta(days=1))
        for number in range(4):
            day = MONDAY + timedelta(days=number)
            post(writer, make_feed("calendar", partner="counterfoil"), [{"day": day}], day)
    return book


def test_near_misses_name_the_field_that_would_settle_a_break(puzzling: Book) -> None:
    with puzzling.reading() as book:
        whys = {
            (one.code, told.ref): one.why
            for ref in ("R10000", "R1000918", "Z5", "R1000017", "R1000020")
            for told in [story(book, ref, "p", ranges=[])]
            for one in told.breaks
        }
    nearest = {
        key: (why.settles, why.near_misses[0].ref if why.near_misses else None) for key, why in whys.items() if why
    }
    assert nearest == {
        ("B03", "R10000"): (("reference",), "R1000017"),
        ("B03", "R1000918"): (("reference",), "R1000018"),
        ("B03", "Z5"): (("reference", "points"), "R1000019"),
        ("B02", "R1000017"): (("reference",), "R10000"),
        ("B02", "R1000020"): ((), None),
    }
    cut = whys["B03", "R10000"]
    assert cut is not None
    reference = cut.near_misses[0].fields[0]
    assert (reference.by, reference.at) == (2, 7)
    assert {near.member for near in cut.near_misses} <= {"···321", "···222"}
    unanswered = whys["B02", "R1000017"]
    assert unanswered is not None
    assert [one.by for one in unanswered.near_misses[0].fields] == [2, None, 0, 1], "theirs less ours"


def test_what_the_passes_kept_is_told_of_the_record_and_of_each_item(puzzling: Book) -> None:
    """A record that considered two requests and took none."""
    with puzzling.reading() as book:
        ours = {
            item.ref: item.item_id
            for ref in ("R1000017", "R1000018")
            for item in story(book, ref, "p", ranges=[]).items
        }
        record = story(book, "Z5", None, ranges=[]).records[0]
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{puzzling.path}' AS book")
        for item_id in ours.values():
            connection.execute(
                "INSERT INTO book.match VALUES (?, ?, ?, 9, 3, 6, -1, 1)", [record.posting, record.line, item_id]
            )
    with puzzling.reading() as book:
        answer, request = story(book, "Z5", None, ranges=[]), story(book, "R1000018", "p", ranges=[])
    assert [(one.role, one.ref, one.agreed, one.difference, one.days) for one in answer.records[0].candidates] == [
        ("candidate", "R1000017", ("member", "points"), -1, 1),
        ("candidate", "R1000018", ("member", "points"), -1, 1),
    ]
    considered = next(told for told in request.records if told.posting == record.posting)
    assert (considered.line, considered.own, considered.transfers) == (record.line, False, ())


def test_of_a_long_story_the_middle_is_left_out(make_book: Callable[[], Book], make_feed: Posts, post: Posts) -> None:
    book = make_book()
    with book.writing(purpose="test") as writer:
        post(writer, make_feed("requests"), [{"ref": "A", "points": 5}], MONDAY)
        for day in (1, 2):
            rows = [{"ref": "A", "points": 5}] * RECORDS_MAX
            post(writer, make_feed("handback"), rows, MONDAY + timedelta(days=day))
    with book.reading() as lookups:
        told = story(lookups, "A", None, ranges=[])
    assert (len(told.records), told.left_out) == (RECORDS_MAX, RECORDS_MAX + 1)
    assert (told.records[0].event, told.records[-1].line) == ("request", RECORDS_MAX + 1)
