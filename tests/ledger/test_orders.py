"""Files in another order end in the same state: holds, answers before requests, merges told earlier or later."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from counterfoil.ledger.store import Book

MONDAY = date(2026, 11, 16)

STANDS = (
    """SELECT kind, owner, balance FROM book.account JOIN book.balance USING (account_id)
       WHERE balance <> 0 ORDER BY ALL""",
    "SELECT side, state, ref, remaining FROM book.open_item ORDER BY ALL",
    "SELECT code, subject FROM book.open_break ORDER BY ALL",
)

Files = dict[str, tuple[str, list[dict[str, Any]]]]


@pytest.fixture
def played(make_book: Any, make_feed: Any, post: Any) -> Callable[[Files, str], list[Any]]:
    """``played(files, "RHA")``: post the named files in this order, one a day; how the book stands then."""

    def play(files: Files, order: str) -> list[Any]:
        book: Book = make_book()
        with book.writing(purpose="test") as writer:
            for number, name in enumerate(order):
                kind, rows = files[name]
                post(writer, make_feed(kind), rows, MONDAY + timedelta(days=number))
            return [writer.frame(query).rows() for query in STANDS]

    return play


def answer(outcome: str, **changes: Any) -> tuple[str, list[dict[str, Any]]]:
    return "handback", [{"ref": "1", "points": 100, "outcome": outcome} | changes]


REQUEST = ("requests", [{"ref": "1", "points": 100, "member": "M1"}])


@pytest.mark.parametrize("order", ["RHA", "HRA", "HAR"])
def test_a_hold_and_a_later_acceptance_confirm_in_any_order(played: Any, order: str) -> None:
    files = {"R": REQUEST, "H": answer("held"), "A": answer("accepted")}
    balances, items, breaks = played(files, order)
    assert [(kind, balance) for kind, _, balance in balances] == [("member", -100), ("payable", 100)]
    assert (items, breaks) == ([], [])


@pytest.mark.parametrize("order", ["MRA", "MAR", "RMA"])
def test_a_merge_told_earlier_lets_the_survivor_answer(played: Any, order: str) -> None:
    merge = ("handback", [{"ref": "9", "points": 5, "outcome": "accepted", "member": "M1", "to_account": "Z9"}])
    files = {"M": merge, "R": REQUEST, "A": answer("accepted", member="Z9")}
    _, items, breaks = played(files, order)
    assert [(state, ref) for _, state, ref, _ in items] == [(9, "9")], "only the merge's own reference stays open"
    assert breaks == [(3, "9")]


def merged(*pairs: tuple[str, str]) -> tuple[str, list[dict[str, Any]]]:
    rows = [
        {"ref": f"{member}{number}", "points": 5, "outcome": "accepted", "member": member, "to_account": survivor}
        for number, (member, survivor) in enumerate(pairs)
    ]
    return "handback", rows


def test_two_survivors_for_one_member_are_for_a_person(make_book: Any, make_feed: Any, post: Any) -> None:
    for pairs in ([("M1", "Z8"), ("M1", "Z9")], [("M1", "Z9"), ("M1", "Z8")]):
        with make_book().writing(purpose="test") as writer:
            post(writer, make_feed("handback"), merged(*pairs)[1], MONDAY)
            assert writer.frame("SELECT * FROM book.alias").is_empty()
            assert writer.row("SELECT count(*) FROM book.open_break WHERE code = 10") == (2,)


def test_accounts_merged_in_a_circle_end(make_book: Any, make_feed: Any, post: Any) -> None:
    with make_book().writing(purpose="test") as writer:
        for number, pair in enumerate([("X", "Y"), ("Y", "X"), ("X", "Y"), ("Y", "X")]):
            rows = [row | {"ref": f"{row['ref']}-{number}"} for row in merged(pair)[1]]
            post(writer, make_feed("handback"), rows, MONDAY + timedelta(days=number))
        assert writer.aliases(1).rows() == [("X", "Y", MONDAY)]
