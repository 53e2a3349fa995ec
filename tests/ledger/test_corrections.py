"""Corrections of what only small books show: partial reversals, several records of one item, files of decisions."""

from typing import Any

import polars as pl
import pytest

from counterfoil.ledger.store import Book
from counterfoil.ledger.work import Former
from tests.plugins.books import MON, TUE, WED, MakeBook, MakeFeed, PostRows, in_shape

Rows = list[dict[str, Any]]


def standing(rows: Rows, n: int, day: Any, kind: Any) -> Former:
    """A file's rows as what a correction takes the place of."""
    return Former((n,), in_shape(kind, rows, day).with_columns(file_id=pl.lit(n, pl.Int64)))


@pytest.fixture
def confirmed(make_book: MakeBook, make_feed: MakeFeed, post: PostRows) -> Book:
    """One request of 100, confirmed."""
    book = make_book()
    with book.writing(purpose="test") as writer:
        post(writer, make_feed("requests"), [{"ref": "R", "points": 100}], MON)
        post(writer, make_feed("handback"), [{"ref": "R", "points": 100}], MON)
    return book


def reversed_by(points: int) -> dict[str, Any]:
    return {"ref": "R", "points": points, "outcome": "reversed"}


def test_a_corrected_reversal_counts_once(confirmed: Book, make_feed: MakeFeed, post: PostRows) -> None:
    by_ref = make_feed("handback", record_key=("ref",))
    with confirmed.writing(purpose="test") as writer:
        first = [reversed_by(30)]
        n = post(writer, by_ref, first, TUE).n
        post(writer, by_ref, [reversed_by(40)], TUE, corrects=standing(first, n, TUE, by_ref.kind))
        known = writer.settled_items(1, pl.Series(["R"]), MON)
        assert known.select("confirmed", "reversed").rows() == [(100, 40)]
        assert writer.row("SELECT max(reversed) FROM book.settled_key WHERE line_no > 0") == (40,)
        post(writer, by_ref, [reversed_by(60)], WED)
        payable = "SELECT b.balance FROM book.balance b JOIN book.account a USING (account_id) WHERE a.kind = 'payable'"
        assert writer.row(payable) == (0,)


def test_of_two_records_of_one_item_none_is_taken_back_alone(
    confirmed: Book, make_feed: MakeFeed, post: PostRows
) -> None:
    feed = make_feed("handback", record_key=("ref",))
    both = [reversed_by(30), reversed_by(20)]
    with confirmed.writing(purpose="test") as writer:
        post(writer, feed, [both[0]], TUE)
        n = post(writer, feed, [both[1]], TUE).n
        post(writer, feed, [reversed_by(25)], WED, corrects=standing([both[1]], n, TUE, feed.kind))
        known = writer.settled_items(1, pl.Series(["R"]), MON)
        assert known.select("confirmed", "reversed").rows() == [(100, 55)]
        late = standing([both[0]], n - 1, TUE, feed.kind)
        post(writer, feed, [reversed_by(31)], WED, corrects=late)
        assert writer.settled_items(1, pl.Series(["R"]), MON)["reversed"].to_list() == [55]
        assert writer.row("SELECT count(*) FROM book.open_break WHERE code = 11") == (1,)
