"""What people say an unknown answer is for, or not for, and how they take it back: the book beside the model."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.properties.both import Both, OpenBreak
from tests.properties.model import Terms


@pytest.fixture
def both(make_book: Any, make_feed: Any, post: Any) -> Iterator[Both]:
    """Requests a, b and c of 50, 80 and 30 points that wait."""
    made = Both((make_book, make_feed, post), [Terms("p", covered=True)])
    made.opening([{"owner": "M1", "points": 500}])
    made.file("requests", "p", [{"ref": ref, "points": points} for ref, points in (("a", 50), ("b", 80), ("c", 30))])
    yield made
    made.prove()
    made.end()


def strange(both: Both, *points: int) -> list[OpenBreak]:
    """Answers that nobody knows, one file each; their breaks."""
    for number, amount in enumerate(points):
        both.file("handback", "p", [{"ref": f"x{number}", "points": amount}])
        both.prove()
    return [one for one in both.breaks() if one[2].startswith("x")]


def decide(both: Both, *rows: tuple[str, OpenBreak, str]) -> bool:
    fits = both.decide(*((*row, 0) for row in rows))
    both.prove()
    return fits


def undo(both: Both, *lines: int) -> bool:
    """Some lines of the last decisions file."""
    fits = both.undo(max(n for n, _ in both.model.decided), *lines)
    both.prove()
    return fits


def codes(both: Both) -> list[int]:
    return sorted(one[0] for one in both.breaks())


def test_an_answer_is_for_several_requests_until_that_is_taken_back(both: Both) -> None:
    (one,) = strange(both, 130)
    assert not decide(both, ("match", one, "a c"))
    assert decide(both, ("match", one, "a b"))
    assert codes(both) == []
    assert undo(both)
    assert codes(both) == [3]
    assert decide(both, ("match", one, "b a"))


def test_what_was_matched_is_reversed_and_then_stays(both: Both) -> None:
    (one,) = strange(both, 130)
    assert decide(both, ("match", one, "a b"))
    both.file("handback", "p", [{"ref": "b", "points": 80, "outcome": "reversed"}])
    both.prove()
    assert not undo(both)


def test_answers_for_one_request_are_taken_back_together(both: Both) -> None:
    first, second = strange(both, 60, 20)
    assert not decide(both, ("match", first, "b"))
    assert decide(both, ("match", first, "b"), ("match", second, "b"))
    assert not undo(both, 2)
    assert not undo(both, 3)
    assert undo(both, 3, 2)
    assert codes(both) == [3, 3]


def test_a_match_clears_what_its_requests_stood_open_for(both: Both) -> None:
    both.file("handback", "p", [{"ref": "a", "points": 40}, {"ref": "b", "points": 80, "outcome": "held"}])
    for _ in range(3):
        both.close()
        both.prove()
    (one,) = strange(both, 160)
    assert codes(both) == [2, 2, 3, 4]
    assert decide(both, ("match", one, "a b c"))
    assert codes(both) == []
    assert undo(both)
    assert codes(both) == [2, 2, 3, 4]


def test_one_request_ends_once_in_a_file(both: Both) -> None:
    first, second = strange(both, 50, 130)
    assert not decide(both, ("match", first, "a"), ("match", second, "a b"))
    assert not decide(both, ("match", second, "a b"), ("identify", first, "a"))
    assert not decide(both, ("match", second, "a a"))
    assert decide(both, ("match", first, "a"))


def test_an_acceptance_after_the_end_is_for_other_requests(both: Both) -> None:
    both.file("handback", "p", [{"ref": "b", "points": 80, "outcome": "rejected"}])
    both.file("handback", "p", [{"ref": "b", "points": 80}])
    both.prove()
    (late,) = (one for one in both.breaks() if one[0] == 11)
    assert decide(both, ("match", late, "a c"))
    assert codes(both) == [9]
    assert undo(both)
    assert codes(both) == [9, 11]


def test_a_request_that_an_answer_is_not_for_is_said_so_until_that_is_taken_back(both: Both) -> None:
    (one,) = strange(both, 50)
    assert not decide(both, ("decline", one, "b"))
    assert not decide(both, ("decline", one, "a b"))
    assert not decide(both, ("decline", one, "a"), ("decline", one, "a"))
    assert decide(both, ("decline", one, "a"))
    assert both.model.declined()
    assert decide(both, ("decline", one, "a"))
    assert undo(both)
    assert both.model.declined(), "the first one still says so"
    assert decide(both, ("match", one, "a")), "who declined it may think again"
    assert not decide(both, ("decline", one, "a"))


def test_what_was_declined_is_taken_back_after_the_break_has_closed(both: Both) -> None:
    (one,) = strange(both, 50)
    assert decide(both, ("decline", one, "a"), ("wait", one, ""))
    n = max(n for n, _ in both.model.decided)
    assert decide(both, ("refuse", one, ""))
    assert both.undo(n)
    assert not both.model.declined()
    assert not both.undo(n, 3)
