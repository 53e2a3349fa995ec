"""Members merged into others: balances, debts and lots move, chains and refusals, and what comes later."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.work import Former
from tests.plugins.books import in_shape

MONDAY = date(2026, 11, 16)
TUESDAY, WEDNESDAY = (MONDAY + timedelta(days=number) for number in (1, 2))
LATER = date(2027, 1, 31)

Rows = list[dict[str, Any]]
Send = Callable[..., None]


@pytest.fixture
def book(make_book: Callable[[], Any]) -> Iterator[Any]:
    with make_book().writing(purpose="test") as writer:
        yield writer


@pytest.fixture
def send(book: Any, make_feed: Any, post: Any) -> Send:
    """``send("requests", rows, day)``: post rows as the next file of a kind."""

    def send_rows(kind: str, rows: Rows, day: date = MONDAY, **options: Any) -> None:
        own = {} if kind in ("requests", "handback") else {"partner": "counterfoil"}
        post(book, make_feed(kind, **own, **options), rows, day)

    return send_rows


def begin(send: Send, **balances: int) -> None:
    send("opening", [{"owner": owner, "points": points} for owner, points in balances.items()])


def merge(*pairs: tuple[str, str]) -> Rows:
    return [{"member": member, "survivor": survivor} for member, survivor in pairs]


def balances(book: Lookups) -> dict[str, int]:
    rows = book.frame(
        """SELECT owner, balance FROM book.balance JOIN book.account USING (account_id)
           WHERE kind = 'member' AND balance <> 0 ORDER BY owner"""
    )
    return dict(rows.iter_rows())


def lots(book: Lookups) -> list[tuple[str, int, date]]:
    return book.frame(
        """SELECT a.owner, o.remaining, o.expires FROM book.open_lot o JOIN book.account a USING (account_id)
           ORDER BY a.owner, o.earned, o.expires, o.lot_id"""
    ).rows()


def breaks(book: Lookups) -> list[tuple[int, str]]:
    return book.frame("SELECT code, subject FROM book.open_break ORDER BY ALL").rows()


def test_the_whole_balance_moves_and_an_alias_says_so(book: Any, send: Send) -> None:
    begin(send, M1=70, M2=30)
    send("members", merge(("M1", "M2")), TUESDAY)
    assert balances(book) == {"M2": 100}
    assert book.aliases(1).rows() == [("M1", "M2", TUESDAY)]
    assert book.frame("SELECT member, survivor, since FROM book.merge").rows() == [("M1", "M2", TUESDAY)]


def test_lots_keep_their_days(book: Any, send: Send) -> None:
    send(
        "opening",
        [{"owner": "M1", "points": 70, "expires": LATER}, {"owner": "M2", "points": 30, "expires": WEDNESDAY}],
    )
    send("requests", [{"ref": "1", "points": 20}])
    send("members", merge(("M1", "M2")), TUESDAY)
    assert lots(book) == [("M2", 30, WEDNESDAY), ("M2", 50, LATER)]
    send("handback", [{"ref": "1", "points": 20, "outcome": "rejected"}], TUESDAY)
    assert lots(book) == [("M2", 30, WEDNESDAY), ("M2", 50, LATER), ("M2", 20, LATER)]
    assert balances(book) == {"M2": 100}


def test_a_debt_moves_too_and_is_paid_from_the_survivors_lots(book: Any, send: Send) -> None:
    send("opening", [{"owner": "M2", "points": 30, "expires": LATER}])
    send("requests", [{"ref": "1", "points": 20}])
    send("members", merge(("M1", "M2")), TUESDAY)
    assert (balances(book), lots(book)) == ({"M2": 10}, [("M2", 10, LATER)])


@pytest.mark.parametrize("turned", [False, True])
def test_a_chain_in_one_file_ends_in_one_account(book: Any, send: Send, turned: bool) -> None:
    begin(send, A=1, B=2, C=4)
    rows = merge(("A", "B"), ("B", "C"))
    send("members", rows[::-1] if turned else rows, TUESDAY)
    assert balances(book) == {"C": 7}


def test_a_merge_told_again_does_nothing(book: Any, send: Send) -> None:
    begin(send, M1=70)
    send("members", merge(("M1", "M2"), ("M1", "M2")))
    send("members", merge(("M1", "M2")), TUESDAY)
    assert (balances(book), breaks(book)) == ({"M2": 70}, [])
    assert book.row("SELECT count(*) FROM book.merge") == (1,)


@pytest.mark.parametrize("rows", [[("M1", "M1")], [("M1", "M2"), ("M1", "M3")], [("M1", "M2"), ("M2", "M1")]])
def test_what_cannot_be_is_for_a_person(book: Any, send: Send, rows: list[tuple[str, str]]) -> None:
    begin(send, M1=70, M2=5)
    send("members", merge(*rows), TUESDAY)
    assert balances(book) == {"M1": 70, "M2": 5}
    assert [code for code, _ in breaks(book)] == [10] * len(rows)
    assert book.frame("SELECT * FROM book.alias").is_empty()


def test_the_break_shows_the_ends_of_both_numbers(book: Any, send: Send) -> None:
    send("members", merge(("1000000412", "1000000412")))
    assert breaks(book) == [(10, "412 > 412")]


def test_another_merge_of_the_same_member_is_refused(book: Any, send: Send) -> None:
    begin(send, M1=70)
    send("members", merge(("M1", "M2")))
    send("members", merge(("M1", "M3")), TUESDAY)
    send("members", merge(("M2", "M1")), TUESDAY)
    assert (balances(book), len(breaks(book))) == ({"M2": 70}, 2)


def test_returns_go_to_who_stands_for_the_member_today(book: Any, send: Send) -> None:
    begin(send, M1=70)
    send("requests", [{"ref": "1", "points": 60}, {"ref": "2", "points": 10}])
    send("members", merge(("M1", "M2")))
    send("members", merge(("M2", "M3")), TUESDAY)
    send("handback", [{"ref": "1", "points": 60, "outcome": "rejected"}], TUESDAY)
    assert balances(book) == {"M3": 60}


def test_new_requests_of_a_merged_member_are_paid_by_the_survivor(book: Any, send: Send) -> None:
    begin(send, M1=70, M2=5)
    send("members", merge(("M1", "M2")))
    asked = [{"ref": "1", "points": 70}, {"ref": "2", "points": 10, "member": "M2"}]
    send("requests", asked, TUESDAY, beyond_balance="refuse")
    assert balances(book) == {"M2": 5}
    assert breaks(book) == [(16, "2")]


def test_the_survivor_answers_from_the_day_of_the_merge_on(book: Any, send: Send) -> None:
    begin(send, M1=70)
    send("requests", [{"ref": "1", "points": 10}, {"ref": "2", "points": 10}])
    send("members", [{"member": "M1", "survivor": "M2", "value_date": TUESDAY}])
    answers = [
        {"ref": "1", "points": 10, "member": "M2", "value_date": MONDAY},
        {"ref": "2", "points": 10, "member": "M2", "value_date": TUESDAY},
    ]
    send("handback", answers, WEDNESDAY)
    waiting = book.frame("SELECT side, ref FROM book.open_item ORDER BY ALL").rows()
    assert waiting == [(1, "1"), (2, "1")], "the first answer is older than the merge"


def test_an_empty_account_merges_without_a_transfer(book: Any, send: Send) -> None:
    send("members", merge(("M1", "M2")))
    assert book.frame("SELECT * FROM book.entry").is_empty()
    assert book.row("SELECT count(*) FROM book.merge") == (1,)


def test_what_is_taken_back_after_the_merge_goes_on_to_the_survivor(
    book: Any, make_feed: Any, post: Any, send: Send
) -> None:
    send("opening", [{"owner": "M1", "points": 70, "expires": LATER}])
    feed = make_feed("requests", correction="supersede", record_key=("ref",))
    asked = in_shape(feed.kind, [{"ref": "1", "points": 60}, {"ref": "2", "points": 5}], MONDAY)
    n = post(book, feed, asked, MONDAY).n
    send("members", merge(("M1", "M2")), TUESDAY)
    former = Former((n,), asked.with_columns(file_id=pl.lit(n, pl.Int64)))
    post(book, feed, asked.filter(pl.col("ref") == "2"), TUESDAY, corrects=former)
    assert balances(book) == {"M2": 65}
    assert lots(book) == [("M2", 5, LATER), ("M2", 60, LATER)]
