"""Sequences in which the book once went wrong beside the model: each kept as a plain test, small and by its name."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.properties.both import Both, OpenBreak
from tests.properties.model import Row, Terms

Start = Callable[..., Both]


@pytest.fixture
def start(make_book: Any, make_feed: Any, post: Any) -> Iterator[Start]:
    """``start(covered=True)``: a book and its model with partner p, where M1 has 60 points and M2 500."""
    made: list[Both] = []

    def begin(**terms: Any) -> Both:
        made.append(Both((make_book, make_feed, post), [Terms("p", **terms)]))
        made[-1].opening([{"owner": "M1", "points": 60}, {"owner": "M2", "points": 500}])
        return made[-1]

    yield begin
    for one in made:
        one.end()


def ask(both: Both, *rows: tuple[str, int] | tuple[str, int, str]) -> Any:
    return _posted(both, "requests", [dict(zip(("ref", "points", "member"), row, strict=False)) for row in rows])


def answer(both: Both, *rows: tuple[Any, ...]) -> Any:
    names = ("ref", "points", "outcome", "member", "to_account")
    return _posted(both, "handback", [dict(zip(names, row, strict=False)) for row in rows])


def _posted(both: Both, kind: str, rows: list[dict[str, Any]]) -> Any:
    sent = both.file(kind, "p", rows)
    both.prove()
    return sent


def correct(both: Both, sent: Any, *rows: Row) -> None:
    both.correct(sent, rows)
    both.prove()


def decide(both: Both, action: str, code: int, ref: str = "") -> bool:
    fits = both.decide((action, of_code(both, code), ref, 0))
    both.prove()
    return fits


def of_code(both: Both, code: int) -> OpenBreak:
    (found,) = [one for one in both.breaks() if one[0] == code]
    return found


def codes(both: Both) -> list[int]:
    return sorted(one[0] for one in both.breaks())


def balance(both: Both, kind: str) -> int:
    return sum(points for account, points in both.model.balances.items() if account[0] == kind)


def test_an_answer_still_waits_when_only_its_other_break_is_closed(start: Start) -> None:
    both = start()
    ask(both, ("a", 50), ("b", 50, "M2"))
    answer(both, ("a", 80, "accepted", "M1", "M2"))
    assert codes(both) == [4, 10]
    assert decide(both, "resolve", 10)
    answer(both, ("a", 50, "accepted"))
    assert codes(both) == [], "the right answer ends the request, and the one that waited goes with it"


def test_a_request_meets_an_answer_that_books_nothing_as_if_it_came_now(start: Start) -> None:
    both = start()
    answer(both, ("a", 50, "accepted"))
    answer(both, ("a", 80, "accepted"))
    assert decide(both, "refuse", 3)
    ask(both, ("a", 80, "M2"))
    assert (balance(both, "suspense"), balance(both, "payable")) == (0, 80)


def test_a_refused_request_goes_with_its_own_break_alone(start: Start) -> None:
    both = start(covered=True)
    ask(both, ("a", 80))
    ask(both, ("a", 80))
    answer(both, ("a", 80, "rejected"))
    assert codes(both) == [3, 8, 16]
    assert decide(both, "resolve", 8)
    assert decide(both, "resolve", 3)
    assert [item.state for item in both.model.items if item.ours] == ["short"]
    assert decide(both, "resolve", 16)
    assert [item.state for item in both.model.items if item.ours] == ["closed"]


def test_a_hold_waits_again_when_the_answer_in_its_place_is_taken_back(start: Start) -> None:
    both = start()
    answer(both, ("a", 50, "held"))
    sent = answer(both, ("a", 50, "accepted"))
    correct(both, sent)
    assert [item.kind for item in both.model.items if item.is_open] == ["says held"]
    assert codes(both) == [3]


def test_answers_that_disagreed_go_together(start: Start) -> None:
    both = start()
    answer(both, ("a", 50, "accepted"), ("a", 80, "accepted"))
    assert codes(both) == [11]
    assert decide(both, "resolve", 11)
    assert not [item for item in both.model.items if item.is_open]


@pytest.mark.parametrize("second", ["accepted", "rejected", "reversed", "held"])
def test_a_record_stays_once_another_answer_was_judged_by_it(start: Start, second: str) -> None:
    both = start()
    ask(both, ("a", 50))
    sent = answer(both, ("a", 50, "rejected"))
    answer(both, ("a", 50, second))
    before = balance(both, "member")
    correct(both, sent, {"ref": "a", "points": 50})
    assert balance(both, "member") == before
    assert 11 in codes(both), "it is for a person"


def test_a_refund_stays_once_the_partner_has_agreed_to_it(start: Start) -> None:
    both = start()
    ask(both, ("a", 50))
    for _ in range(3):
        both.close()
    assert decide(both, "refund", 2)
    n = max(both.model.decided)[0]
    answer(both, ("a", 50, "rejected"))
    assert not both.undo(n)
    both.prove()


def test_every_break_of_an_answer_goes_with_it(start: Start) -> None:
    both = start()
    ask(both, ("b", 50, "M2"))
    answer(both, ("a", 80, "accepted", "M1", "M2"))
    assert codes(both) == [3, 10]
    assert decide(both, "refuse", 10)
    assert codes(both) == []


def test_what_a_stranger_said_goes_with_the_request_that_a_person_ends(start: Start) -> None:
    both = start()
    ask(both, ("a", 50))
    answer(both, ("a", 50, "rejected", "S1"))
    for _ in range(3):
        both.close()
    assert codes(both) == [2, 3]
    assert decide(both, "refund", 2)
    assert codes(both) == []


def test_a_break_stays_closed_whose_own_decision_stands(start: Start) -> None:
    both = start()
    ask(both, ("a", 50))
    answer(both, ("a", 50, "accepted"), ("a", 50, "rejected"))
    answer(both, ("a", 50, "accepted"), ("a", 50, "rejected"))
    conflict, again, other = both.breaks()
    assert [one[0] for one in (conflict, again, other)] == [11, 7, 7]
    assert both.decide(("resolve", conflict, "", 0), ("write_off", again, "", 0))
    both.prove()
    assert both.undo(max(both.model.decided)[0], 3)
    both.prove()
    assert codes(both) == [7, 7], "only what the decision taken back had closed opens again"


def test_a_break_that_was_only_given_to_somebody_opens_again_with_its_request(start: Start) -> None:
    both = start()
    ask(both, ("a", 50))
    answer(both, ("a", 50, "accepted"), ("a", 50, "rejected"))
    answer(both, ("a", 50, "accepted"), ("a", 50, "rejected"))
    conflict, again, other = both.breaks()
    assert both.decide(("assign", again, "a", 0), ("wait", other, "", 0), ("write_off", conflict, "", 0))
    both.prove()
    assert codes(both) == []
    assert not both.undo(max(both.model.decided)[0], 2), "it is closed"
    assert both.undo(max(both.model.decided)[0], 4)
    both.prove()
    assert codes(both) == [7, 7, 11]
    assert both.undo(min(both.model.decided)[0], 2)
    both.prove()


def test_a_reversal_ends_the_conflict_with_a_rejection_that_came_too_late(start: Start) -> None:
    both = start()
    ask(both, ("a", 50))
    answer(both, ("a", 50, "accepted"))
    answer(both, ("a", 50, "rejected"))
    answer(both, ("a", 20, "reversed"))
    assert codes(both) == [11]
    answer(both, ("a", 30, "reversed"))
    assert codes(both) == []
    assert not [item for item in both.model.items if item.is_open]
