"""The page of a story: every event has words, nothing from a file is markup, and the same story is the same page."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from counterfoil.ledger.model import Event, MatchPass
from counterfoil.ledger.story import (
    Batched,
    BreakTold,
    Candidate,
    Compared,
    Decided,
    Item,
    Leg,
    NearMiss,
    Sealed,
    Step,
    Story,
    Told,
    Transfer,
    Why,
)
from counterfoil.reports.story_page import Link, render
from counterfoil.reports.timeline import compared, settling, timeline

HOSTILE = "<b>R&1</b>"


def record(posting: int, event: str, **changes: Any) -> Told:
    given: dict[str, Any] = {
        "posting": posting, "feed": "p_handback", "file": HOSTILE, "line": 4, "identity": "1", "correction": False,
        "business_date": "2026-11-17", "programme_day": "2026-11-17", "posted_at": "2026-11-18T06:00:00.000Z",
        "payload_sha": "0" * 64, "raw": f"1,·234,{HOSTILE}", "own": True, "disposition": "settled", "event": event,
        "match_pass": "exact", "item_id": 1, "points": 97, "value_date": "2026-11-17", "reason": "0005",
        "merged_to": None, "candidates": (), "transfers": (),
    }  # fmt: skip
    return Told(**given | changes)


def sealed(posting: int) -> Sealed:
    return Sealed(
        posting, "2026-11-18T06:00:00.000Z", "p_handback", HOSTILE, "2026-11-17", "run", "os:erin", "counterfoil 0.1.0",
        "1" * 64, "2" * 64, "3" * 64, "4" * 64,
    )  # fmt: skip


NEAR = NearMiss(
    7, "ours", HOSTILE, "···321", 100, "2026-11-16", 1, "requests.csv", 3,
    (
        Compared("reference", agrees=False, by=2, at=9),
        Compared("member", agrees=None, by=None, at=None),
        Compared("points", agrees=False, by=-3, at=None),
        Compared("date", agrees=True, by=1, at=None),
    ),
)  # fmt: skip

OPEN = BreakTold(
    "4f2a90c1d37be685", "B03", "Unknown to us", "assigned", "p", HOSTILE, None, 1, None, 97, None, None, None,
    "2026-11-17", "2026-11-17", 2, 4, "erin", None, "Identify the request", None, None,
    (
        Step("opened", "2026-11-17", 2, HOSTILE, 4, None, None, None),
        Step("assigned", "2026-11-18", 3, "decisions.csv", 2, "3:2", "erin", None),
    ),
    Why("No open request bears the reference.", True, ("reference", "points"), "check the field's width", (NEAR,)),
    None,
)  # fmt: skip

STORY = Story(
    ref=HOSTILE,
    break_id=None,
    items=(
        Item(1, "theirs", "their_accept", "unidentified", "p", HOSTILE, None, 97, "2026-11-17", "2026-11-17", 2, 4, ()),
    ),
    records=(
        record(
            2,
            "unknown_accepted",
            candidates=(Candidate(7, "candidate", "ours", "R7", 100, "2026-11-16", 1, 3, ("member",), -3, 1),),
            transfers=(
                Transfer(
                    "unknown_accepted", "2026-11-17", "2026-11-17", None, "3:2",
                    (Leg("suspense", "p", None, -97), Leg("payable", "p", None, 97)),
                ),
            ),
        ),
        record(3, "assigned", raw=None, line=2),
        record(4, "accepted", own=False),
    ),
    left_out=2,
    breaks=(OPEN,),
    decisions=(
        Decided("3:2", "2026-11-18T06:00:00Z", "os:erin", "assign", OPEN.break_id, 0, None, HOSTILE, "os:frank", "5:2"),
    ),
    batches=(Batched("salesforce", "9f86d081884c7d65", "written", (2,)),),
    postings=(sealed(2), sealed(3), sealed(4)),
)  # fmt: skip


class Words(HTMLParser):
    """The text of a page, and that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def words(story: Story, **options: Any) -> str:
    page = Words(render(story, programme="Maple & Oak", **options))
    assert page.open == []
    return page.text


def test_the_page_tells_all_and_nothing_from_a_file_is_markup() -> None:
    assert HOSTILE not in render(STORY, programme="Maple & Oak")
    text = words(STORY, back=Link("../index.html#s7", "Break list"))
    for expected in (
        f"Reference {HOSTILE}",
        "1 open break",
        "B03 unknown to us, assigned since 2026-11-17",
        "its reference (2 characters differ, from the 9th on) and its points (answered 3 points less)",
        "Cause: check the field's width.",
        "answered 1 day later",
        "Accepted, and no request fits; waits in suspense",
        f"1,·234,{HOSTILE}",
        "Considered request R7 of 100 points (1:3): member agrees; 3 points less, 1 day later.",
        "97 points from suspense to payable; taken back by 3:2.",
        "B03 unknown to us: assigned to erin",
        f"os:erin: {HOSTILE}",
        "Approved by os:frank.",
        "Considered for another record: accepted",
        "2 records in the middle are left out.",
        "Break list",
        "9f86d081884c7d65",
    ):
        assert expected in text, expected


def test_a_break_that_was_asked_for_is_the_heading() -> None:
    text = words(replace(STORY, break_id=OPEN.break_id))
    assert text.index("B03 unknown to us") < text.index(f"Reference {HOSTILE} at p")
    cleared = replace(
        OPEN, state="cleared", why=None, cleared_on="2026-11-19", cleared_by=4,
        life=(*OPEN.life, Step("cleared", "2026-11-19", 4, HOSTILE, 9, None, None, None)),
    )  # fmt: skip
    text = words(replace(STORY, break_id=OPEN.break_id, breaks=(cleared,)))
    assert "Why it stands open" not in text
    assert "B03 unknown to us: cleared by line 9" in text


@pytest.mark.parametrize("event", [event.name.lower() for event in Event])
def test_every_event_has_words(event: str) -> None:
    ((entry,),) = [node.entries for node in timeline(replace(STORY, records=(record(2, event),)))[:1]]
    assert re.fullmatch(r"[A-Z][^_]+", entry.title)


def test_every_pass_that_finds_something_has_words() -> None:
    found = Candidate(7, "matched", "ours", "?5:7", 97, "2026-11-16", 1, 3, (), 0, 0)
    for match_pass in MatchPass:
        told = replace(STORY, records=(record(2, "accepted", match_pass=match_pass.name.lower(), candidates=(found,)),))
        note = timeline(told)[0].entries[0].notes[0]
        assert note.startswith("Held against request without a reference of 97 points (1:3)")
        assert (" by " in note) == (match_pass is not MatchPass.NONE)


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        (Compared("reference", agrees=False, by=1, at=11), "1 character differs, the 11th"),
        (Compared("reference", agrees=False, by=22, at=2), "22 characters differ, from the 2nd on"),
        (Compared("member", agrees=False, by=None, at=None), "another"),
        (Compared("points", agrees=False, by=1, at=None), "answered 1 point more"),
        (Compared("date", agrees=False, by=-9, at=None), "answered 9 days earlier"),
        (Compared("date", agrees=True, by=0, at=None), "equal"),
    ],
)
def test_each_difference_is_said_in_words(field: Compared, shown: str) -> None:
    assert compared(field) == shown


def test_what_would_settle_a_break_is_said_without_guessing() -> None:
    assert OPEN.why is not None
    twice = replace(OPEN.why, near_misses=(NEAR, NEAR))
    assert settling(twice).startswith("Each of 2 would settle it but for its reference and points")
    assert settling(replace(OPEN.why, near_misses=())) == "Nothing that is open comes near it."
    assert settling(replace(OPEN.why, near_misses=(), sought=False)) == ""
    assert settling(replace(OPEN.why, settles=())) == f"Nothing that both sides name speaks against request {HOSTILE}."
