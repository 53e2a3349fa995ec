"""What people do beside closing one break: match an answer with several requests, assign, wait, decline; and undo."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger import histories
from counterfoil.ledger.break_causes import of_breaks
from counterfoil.ledger.known import known
from counterfoil.ledger.model import BreakCode, Event, MatchPass, MatchRole, State
from counterfoil.ledger.open_breaks import open_breaks
from counterfoil.ledger.outlets import stage_two, unaccounted
from counterfoil.ledger.store import Book
from counterfoil.ledger.suggested import suggested
from counterfoil.ledger.updates import updates
from counterfoil.ledger.writing import Writer
from tests.plugins.books import MakeBook, MakeFeed, PostRows

MON = date(2026, 11, 16)
TUE, WED, THU, FRI = (MON + timedelta(days=number) for number in (1, 2, 3, 4))

CHECKED = ("open_item", "open_break", "balance", "open_lot")
"""Working sets that an undone decision leaves as they were."""


@dataclass
class Clerk:
    """A book with requests of two members and an answer that nobody knows."""

    writer: Writer
    feeds: dict[str, Any]
    post: PostRows
    number: int = 0

    def posted(self, kind: str, *rows: dict[str, Any], day: date = MON) -> int:
        self.number += 1
        return int(self.post(self.writer, self.feeds[kind], list(rows), day, identity=f"{kind} {self.number}").n)

    def decide(self, *rows: dict[str, Any], day: date = TUE) -> int:
        return self.posted("decisions", *rows, day=day)

    def refuses(self, *rows: dict[str, Any], day: date = TUE) -> str:
        """Nothing of the file takes effect; the message."""
        before, n = self.stands(), self.writer.last_posting()
        with pytest.raises(PermanentError) as caught:
            self.decide(*rows, day=day)
        assert caught.value.code == Code.DECISION_UNFIT
        assert (self.stands(), self.writer.last_posting()) == (before, n)
        return str(caught.value)

    def break_of(self, subject: str, code: BreakCode = BreakCode.UNKNOWN_THEIRS) -> str:
        query = f"SELECT break_id FROM book.open_break WHERE code = {code:d} AND subject = '{subject}'"
        return str(self.writer.frame(query).item())

    def stands(self) -> dict[str, list[tuple[Any, ...]]]:
        kept, derived = "SELECT item_id, state, remaining FROM book.open_item", histories.open_now()
        assert self.writer.frame(f"({kept} EXCEPT ({derived})) UNION ALL (({derived}) EXCEPT {kept})").is_empty()
        return {name: self.writer.frame(f"SELECT * FROM book.{name} ORDER BY ALL").rows() for name in CHECKED}

    def balance(self, kind: str) -> int:
        query = f"""SELECT coalesce(sum(b.balance), 0)::BIGINT AS points FROM book.balance b
                    JOIN book.account a USING (account_id) WHERE a.kind = '{kind}'"""
        return int(self.writer.frame(query)["points"].item())

    def life(self, break_id: str, day: date, n: int | None = None) -> tuple[str, str, str]:
        """State, owner and next step of an open break at the end of a day."""
        listed = open_breaks(self.writer, known(self.writer, day, n))
        return listed.filter(listed["break_id"] == break_id).select("state", "owner", "next_step").row(0)

    def cause(self, break_id: str, day: date) -> tuple[str, int | None]:
        """The cause of a break at the end of a day, and the request that would clear it."""
        told = of_breaks(self.writer, known(self.writer, day))
        return told.filter(told["break_id"] == break_id).select("cause", "candidate_item_id").row(0)

    def suggested(self) -> list[tuple[str, bool]]:
        listed = suggested(self.writer, list(self.feeds.values()))
        return listed.select("our_ref", "only").rows()


@pytest.fixture(scope="module")
def feeds(make_feed: MakeFeed) -> dict[str, Any]:
    answered = {kind: make_feed(kind, record_key=("ref",)) for kind in ("requests", "handback")}
    return {**answered, "decisions": make_feed("decisions", partner="counterfoil")}


@pytest.fixture(scope="module")
def monday(make_book: MakeBook, make_feed: MakeFeed, post: PostRows, feeds: dict[str, Any]) -> Book:
    """The book that every clerk finds; to be copied, not changed."""
    book = make_book()
    with book.writing(purpose="test") as writer:
        clerk = Clerk(writer, feeds, post)
        balances = [{"owner": owner, "points": 10_000} for owner in ("M1", "M2")]
        post(writer, make_feed("opening", partner="counterfoil"), balances, MON)
        clerk.posted(
            "requests",
            {"ref": "a", "points": 10},
            {"ref": "b", "points": 20, "member": "M2"},
            {"ref": "c", "points": 30},
            {"ref": "d", "points": 30},
            {"ref": "e", "points": 5},
        )
        post(writer, make_feed("requests", partner="q"), [{"ref": "z", "points": 20}], MON)
        clerk.posted(
            "handback",
            {"ref": "X", "points": 30, "member": "M1"},
            {"ref": "e", "points": 5},
            {"ref": "N", "points": 9, "outcome": "rejected"},
            {"ref": "d", "points": 29},
        )
    return book


@pytest.fixture
def clerk(monday: Book, make_book: MakeBook, post: PostRows, feeds: dict[str, Any]) -> Iterator[Clerk]:
    with make_book(like=monday).writing(purpose="test") as writer:
        yield Clerk(writer, feeds, post, number=writer.last_posting())


def match(clerk: Clerk, refs: str = "a b", points: int = 30) -> dict[str, Any]:
    return {"action": "match", "subject": clerk.break_of("X"), "ref": refs, "points": points}


# Matching


def test_one_answer_is_matched_with_requests_of_any_members(clerk: Clerk) -> None:
    n = clerk.decide(match(clerk))
    ended = clerk.writer.frame(
        f"""SELECT i.ref, k.state, k.confirmed FROM book.settled_key k JOIN book.item i USING (item_id)
            WHERE k.file_id = {n} ORDER BY i.ref"""
    )
    assert ended.rows() == [("X", State.CLOSED, 0), ("a", State.CONFIRMED, 10), ("b", State.CONFIRMED, 20)]
    assert (clerk.balance("suspense"), clerk.balance("in_flight"), clerk.balance("payable")) == (0, 60 + 20, 35)
    entries = clerk.writer.frame(f"SELECT event, amount FROM book.entry WHERE file_id = {n} ORDER BY leg").rows()
    assert entries == [(Event.MATCHED, -30), (Event.MATCHED, 30)]
    rows = clerk.writer.frame(
        f"""SELECT i.ref, m.match_pass, m.role, m.agreed, m.difference, m.days FROM book.match m
            JOIN book.item i USING (item_id) WHERE m.file_id = {n} ORDER BY i.ref"""
    ).rows()
    # The fields that agree: member and date, date alone.
    assert rows == [
        ("a", MatchPass.NETTED, MatchRole.PART, 10, 20, 0),
        ("b", MatchPass.NETTED, MatchRole.PART, 8, 10, 0),
    ]
    assert clerk.writer.frame("SELECT 1 FROM book.open_break WHERE subject = 'X'").is_empty()


def test_what_is_matched_is_told_to_the_crm_and_accounted_for(clerk: Clerk) -> None:
    n = clerk.decide(match(clerk))
    told = updates(clerk.writer, n - 1, n).redemptions.select("ref", "status", "answered", "answered_on").rows()
    assert told == [("a", "confirmed", 10, MON), ("b", "confirmed", 20, MON)]
    stage = stage_two(clerk.writer, from_n=n - 1, to_n=n, crm=[], journals=[])
    assert unaccounted(stage) == 0


def test_a_match_with_one_request_is_an_identification(clerk: Clerk) -> None:
    clerk.decide(match(clerk, "c"))
    by_match = (clerk.balance("suspense"), clerk.balance("in_flight"), clerk.balance("payable"))
    assert by_match == (0, 60 + 20, 35)


def test_a_match_clears_the_breaks_of_its_requests_too(clerk: Clerk) -> None:
    clerk.break_of("d", BreakCode.POINTS_DIFFER)
    before = clerk.stands()
    n = clerk.decide(match(clerk, "d"))
    assert clerk.writer.frame("SELECT code FROM book.open_break")["code"].to_list() == [BreakCode.UNKNOWN_THEIRS]
    clerk.decide({"action": "undo", "subject": f"{n}:2", "points": 30})
    assert clerk.stands() == before, "with the answer that had waited for it"


@pytest.mark.parametrize(
    ("refs", "points"),
    [
        ("a b", 29),  # not the answer's points
        ("a e", 30),  # one is answered
        ("a c", 30),  # more than the answer
        ("a", 30),  # less
        ("a a b", 30),  # one twice
        ("a z", 30),  # one of another partner
        ("a nobody", 30),
        ("X", 30),  # the answer itself
        ("", 30),
    ],
)
def test_a_match_that_does_not_fit_has_no_effect(clerk: Clerk, refs: str, points: int) -> None:
    assert "add up" in clerk.refuses(match(clerk, refs, points))


def test_only_an_acceptance_in_suspense_is_matched(clerk: Clerk) -> None:
    clerk.refuses({**match(clerk), "subject": clerk.break_of("N")})
    clerk.refuses({**match(clerk), "subject": clerk.break_of("d", BreakCode.POINTS_DIFFER)})
    clerk.refuses({**match(clerk), "subject": "0" * 16})


def test_no_request_is_matched_twice(clerk: Clerk) -> None:
    clerk.posted("handback", {"ref": "Y", "points": 30, "member": "M1"}, day=TUE)
    other = {"action": "match", "subject": clerk.break_of("Y"), "ref": "b a", "points": 30}
    assert "each request" in clerk.refuses(match(clerk), other)
    clerk.decide(match(clerk), {**other, "ref": "c"})
    assert clerk.balance("suspense") == 0


def test_a_match_that_is_undone_gives_all_its_requests_back(clerk: Clerk) -> None:
    before = clerk.stands()
    n = clerk.decide(match(clerk))
    undo = {"action": "undo", "subject": f"{n}:2", "points": 30}
    clerk.decide(undo)
    assert clerk.stands() == before
    clerk.refuses(undo)
    clerk.decide(match(clerk))


def test_a_match_is_not_undone_once_one_of_its_requests_has_gone_on(clerk: Clerk) -> None:
    n = clerk.decide(match(clerk))
    clerk.posted("handback", {"ref": "b", "points": 20, "outcome": "reversed"}, day=TUE)
    clerk.refuses({"action": "undo", "subject": f"{n}:2", "points": 30})


def parts_of(clerk: Clerk, *points: int, day: date = TUE) -> list[dict[str, Any]]:
    """Answers that nobody knows, and decisions that they make up request ``c`` of 30 points."""
    clerk.posted("handback", *({"ref": f"P{number}", "points": one} for number, one in enumerate(points)), day=day)
    return [
        {"action": "match", "subject": clerk.break_of(f"P{number}"), "ref": "c", "points": one}
        for number, one in enumerate(points)
    ]


def test_several_answers_make_up_one_request(clerk: Clerk) -> None:
    before = clerk.balance("in_flight")
    n = clerk.decide(*parts_of(clerk, 18, 12), day=WED)
    ended = clerk.writer.frame(
        f"""SELECT i.ref, k.state, k.confirmed, k.line_no FROM book.settled_key k JOIN book.item i USING (item_id)
            WHERE k.file_id = {n} ORDER BY i.ref"""
    )
    assert ended.rows() == [("P0", State.CLOSED, 0, 2), ("P1", State.CLOSED, 0, 3), ("c", State.CONFIRMED, 30, 3)]
    assert (clerk.balance("suspense"), clerk.balance("in_flight")) == (-30, before - 30), "X alone waits in suspense"
    rows = clerk.writer.frame(
        f"SELECT line_no, match_pass, role, difference FROM book.match WHERE file_id = {n} ORDER BY line_no"
    ).rows()
    assert rows == [(2, MatchPass.SPLIT, MatchRole.PART, -12), (3, MatchPass.SPLIT, MatchRole.PART, -18)]
    told = updates(clerk.writer, n - 1, n).redemptions.select("ref", "status", "answered", "answered_on").rows()
    assert told == [("c", "confirmed", 30, TUE)]
    assert unaccounted(stage_two(clerk.writer, from_n=n - 1, to_n=n, crm=[], journals=[])) == 0


@pytest.mark.parametrize("points", [(18, 11), (18, 13), (5, 5, 5, 5, 5, 5)])
def test_answers_that_do_not_make_up_their_request_have_no_effect(clerk: Clerk, points: tuple[int, ...]) -> None:
    assert "add up" in clerk.refuses(*parts_of(clerk, *points), day=WED)


def test_a_part_alone_or_taken_twice_has_no_effect(clerk: Clerk) -> None:
    first, second = parts_of(clerk, 15, 15)
    clerk.refuses(first, day=WED)
    clerk.refuses(first, first, day=WED)
    clerk.refuses(first, {**second, "ref": "d"}, day=WED)
    clerk.refuses(first, second, match(clerk, "c"), day=WED)


def test_several_answers_are_undone_together_or_not_at_all(clerk: Clerk) -> None:
    rows = parts_of(clerk, 18, 12)
    before = clerk.stands()
    n = clerk.decide(*rows, day=WED)
    undo = [{"action": "undo", "subject": f"{n}:{line}", "points": one} for line, one in ((2, 18), (3, 12))]
    clerk.refuses(undo[0], day=WED)
    clerk.refuses(undo[1], day=WED)
    clerk.decide(*undo, day=WED)
    assert clerk.stands() == before


def test_an_acceptance_after_the_end_is_matched_with_other_requests(clerk: Clerk) -> None:
    clerk.posted("handback", {"ref": "c", "points": 30, "outcome": "rejected"}, day=TUE)
    clerk.posted("handback", {"ref": "c", "points": 30}, day=TUE)
    late = clerk.break_of("c", BreakCode.CONFLICT)
    before = clerk.stands()
    n = clerk.decide({"action": "match", "subject": late, "ref": "a b", "points": 30}, day=WED)
    assert clerk.balance("suspense") == -30, "X alone waits in suspense"
    clerk.decide({"action": "undo", "subject": f"{n}:2", "points": 30}, day=WED)
    assert clerk.stands() == before


# The life of a break


def test_a_break_is_assigned_and_waits_and_comes_back_by_itself(clerk: Clerk) -> None:
    subject = clerk.break_of("X")
    assert clerk.life(subject, MON) == ("open", "operations", "Identify the request or refuse the item")
    clerk.decide({"action": "assign", "subject": subject, "owner": "A. Example"})
    waited = clerk.decide({"action": "wait", "subject": subject, "until": THU}, day=WED)
    step = "Identify the request or refuse the item"
    assert clerk.life(subject, MON) == ("open", "operations", step), "a day keeps its list"
    assert clerk.life(subject, TUE) == ("assigned", "A. Example", step)
    assert clerk.life(subject, WED, waited - 1) == ("assigned", "A. Example", step)
    assert clerk.life(subject, WED) == ("pending", "A. Example", "Wait until 2026-11-19")
    assert clerk.life(subject, THU)[0] == "pending"
    assert clerk.life(subject, FRI) == ("assigned", "A. Example", step)


def test_a_break_that_nobody_has_waits_and_is_open_again(clerk: Clerk) -> None:
    subject = clerk.break_of("d", BreakCode.POINTS_DIFFER)
    clerk.decide({"action": "wait", "subject": subject, "until": WED})
    assert [clerk.life(subject, day)[:2] for day in (TUE, WED, THU)] == [
        ("pending", "operations"), ("pending", "operations"), ("open", "operations"),
    ]  # fmt: skip


def test_undoing_gives_a_break_back_to_whoever_had_it(clerk: Clerk) -> None:
    subject = clerk.break_of("X")
    first = clerk.decide({"action": "assign", "subject": subject, "owner": "A. Example"})
    second = clerk.decide({"action": "wait", "subject": subject, "until": FRI})
    clerk.refuses({"action": "undo", "subject": f"{first}:2"}, day=WED)
    clerk.decide({"action": "undo", "subject": f"{second}:2"}, day=WED)
    assert clerk.life(subject, WED)[:2] == ("assigned", "A. Example")
    third = clerk.decide({"action": "assign", "subject": subject, "owner": "B. Example"}, day=WED)
    again = {"action": "assign", "subject": subject, "owner": "C. Example"}
    clerk.decide(again, {"action": "undo", "subject": f"{third}:2"}, day=WED)
    assert clerk.life(subject, WED)[1] == "C. Example", "what a file does anew counts after what it takes back"


def test_two_that_were_done_to_one_break_are_taken_back_together(clerk: Clerk) -> None:
    subject = clerk.break_of("X")
    first = clerk.decide({"action": "assign", "subject": subject, "owner": "A. Example"})
    second = clerk.decide({"action": "wait", "subject": subject, "until": FRI})
    clerk.decide(*({"action": "undo", "subject": f"{n}:2"} for n in (first, second)), day=WED)
    assert clerk.life(subject, WED)[:2] == ("open", "operations")


def test_a_break_that_was_closed_since_is_not_opened_by_undoing_who_had_it(clerk: Clerk) -> None:
    n = clerk.decide({"action": "assign", "subject": clerk.break_of("X"), "owner": "A. Example"})
    clerk.decide(match(clerk))
    clerk.refuses({"action": "undo", "subject": f"{n}:2"})


@pytest.mark.parametrize(
    "row",
    [
        {"action": "assign"},  # no owner
        {"action": "assign", "owner": "A. Example", "points": 1},
        {"action": "assign", "owner": "A. Example", "subject": "0" * 16},
        {"action": "wait"},
        {"action": "wait", "until": MON},
        {"action": "wait", "until": TUE},
        {"action": "decline"},
        {"action": "decline", "ref": "nobody"},
        {"action": "decline", "ref": "a"},  # other points
    ],
)
def test_what_does_not_fit_the_life_of_a_break_has_no_effect(clerk: Clerk, row: dict[str, Any]) -> None:
    assert "line 2" in clerk.refuses({"subject": clerk.break_of("X"), **row})


def test_one_row_that_does_not_fit_refuses_all_others(clerk: Clerk) -> None:
    subject = clerk.break_of("X")
    clerk.refuses({"action": "assign", "subject": subject, "owner": "A. Example"}, {**match(clerk, "a"), "points": 10})
    clerk.refuses({"action": "assign", "subject": subject, "owner": "A. Example"}, match(clerk))


# Suggestions


def test_a_declined_candidate_is_suggested_no_more_until_that_is_undone(clerk: Clerk) -> None:
    clerk.posted("requests", {"ref": "f", "points": 30}, day=TUE)
    assert clerk.suggested() == [("c", False), ("f", False)]
    n = clerk.decide({"action": "decline", "subject": clerk.break_of("X"), "ref": "f"})
    named = clerk.writer.frame(
        f"SELECT i.ref FROM book.decision d JOIN book.item i USING (item_id) WHERE d.file_id = {n}"
    )
    assert named["ref"].to_list() == ["f"]
    assert clerk.writer.frame(f"SELECT 1 FROM book.entry WHERE file_id = {n}").is_empty()
    assert clerk.suggested() == [("c", True)], "the other is the only one now"
    clerk.decide({"action": "undo", "subject": f"{n}:2"})
    assert clerk.suggested() == [("c", False), ("f", False)]


def test_a_declined_candidate_is_no_cause_either(clerk: Clerk) -> None:
    clerk.posted("requests", {"ref": "g", "points": 7, "member": "M2"})
    clerk.posted("handback", {"ref": "Walrus", "points": 7, "member": "M2"})
    subject = clerk.break_of("Walrus")
    request = int(clerk.writer.frame("SELECT item_id FROM book.item WHERE ref = 'g'").item())
    assert clerk.cause(subject, TUE) == ("no_reference", request)
    n = clerk.decide({"action": "decline", "subject": subject, "ref": "g"}, day=WED)
    assert clerk.cause(subject, WED)[1] is None
    assert clerk.cause(subject, TUE) == ("no_reference", request), "a day keeps its list"
    clerk.decide({"action": "undo", "subject": f"{n}:2"}, day=WED)
    assert clerk.cause(subject, WED) == ("no_reference", request)


def test_several_candidates_are_declined_in_one_file_and_one_only_once(clerk: Clerk) -> None:
    rows = [{"action": "decline", "subject": clerk.break_of("X"), "ref": ref} for ref in ("c", "d")]
    clerk.refuses(rows[0], rows[0])
    clerk.decide(*rows)
    assert clerk.suggested() == []


def test_suggestions_follow_what_is_open(clerk: Clerk) -> None:
    assert clerk.suggested() == [("c", True)], "the other one that fits has an answer of its own"
    clerk.posted("requests", {"ref": "f", "points": 30})
    clerk.posted("handback", {"ref": "c", "points": 30}, day=TUE)
    assert clerk.suggested() == [("f", True)]
    clerk.posted("handback", {"ref": "Y", "points": 30, "member": "M1"}, day=TUE)
    assert clerk.suggested() == [("f", False), ("f", False)], "two answers want it"
    listed = suggested(clerk.writer, list(clerk.feeds.values()), "p")
    assert listed.columns == ["break_id", "partner", "our_ref", "points", "days", "agreed", "only"]
    assert listed.select("partner", "points", "days", "agreed").rows() == [
        ("p", 30, 0, "member, points, date"), ("p", 30, 1, "member, points"),
    ]  # fmt: skip
    assert suggested(clerk.writer, list(clerk.feeds.values()), "q").is_empty()
