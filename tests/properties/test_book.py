"""Whatever files come, whatever the order of rows: the book balances and every row is used once."""

import os
import random
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book

MONDAY = date(2026, 11, 16)
REFS = ("a", "b", "c", "d", "e")
POINTS = (-50, 50, 80)

asked = st.tuples(st.sampled_from(REFS), st.sampled_from(POINTS), st.sampled_from(("M1", "M2")))
answered = st.tuples(
    st.sampled_from(REFS),
    st.sampled_from(POINTS),
    st.sampled_from(("accepted", "rejected", "held", "reversed")),
    st.sampled_from((None, "M1", "M2", "M9")),
    st.sampled_from((None, None, None, "M2", "S1")),
)
files = st.lists(
    st.one_of(
        st.tuples(st.just("requests"), st.lists(asked, max_size=6)),
        st.tuples(st.just("handback"), st.lists(answered, max_size=6)),
    ),
    min_size=1,
    max_size=5,
)

EXAMPLES = int(os.environ.get("COUNTERFOIL_EXAMPLES", "6"))
quick = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def rows_of(kind: str, rows: list[tuple[Any, ...]], order: random.Random | None) -> list[dict[str, Any]]:
    keys = ("ref", "points", "member") if kind == "requests" else ("ref", "points", "outcome", "member", "to_account")
    named = [dict(zip(keys, row, strict=True)) for row in rows]
    if order is not None:
        order.shuffle(named)
    return named


def play(book: Book, make_feed: Any, post: Any, week: list[Any], order: random.Random | None = None) -> None:
    with book.writing(purpose="test") as writer:
        for number, (kind, rows) in enumerate(week):
            feed = make_feed(kind, tolerance_points=0)
            post(writer, feed, rows_of(kind, rows, order), MONDAY + timedelta(days=number))
            prove(writer, len(rows))


def prove(book: Lookups, rows: int) -> None:
    """What must hold after every file."""
    n = book.last_posting()
    assert book.row("SELECT coalesce(CAST(sum(balance) AS BIGINT), 0) FROM book.balance") == (0,)
    used = book.row(f"SELECT count(*), count(DISTINCT line_no) FROM book.disposition WHERE file_id = {n}")
    assert used == (rows, rows)
    derived = book.frame(
        "SELECT account_id, CAST(sum(amount) AS BIGINT) AS balance FROM book.entry GROUP BY account_id ORDER BY 1"
    )
    assert derived.equals(book.frame("SELECT account_id, balance FROM book.balance ORDER BY account_id"))
    unbalanced = "SELECT transfer_id FROM book.entry GROUP BY transfer_id HAVING sum(amount) <> 0"
    assert book.frame(unbalanced).is_empty()
    kept = dict(
        book.frame(
            """SELECT kind, CAST(sum(balance) AS BIGINT) FROM book.account JOIN book.balance USING (account_id)
               GROUP BY kind"""
        ).iter_rows()
    )
    remaining = dict(
        book.frame("SELECT side, CAST(sum(remaining) AS BIGINT) FROM book.open_item GROUP BY side").iter_rows()
    )
    assert kept.get("in_flight", 0) == remaining.get(1, 0), "clearing holds what is open, and nothing else"
    assert book.row("SELECT count(*) - count(DISTINCT item_id) FROM book.open_item") == (0,)
    assert book.row("SELECT count(*) - count(DISTINCT break_id) FROM book.break") == (0,)


STANDS = (
    """SELECT kind, owner, balance FROM book.account JOIN book.balance USING (account_id)
       WHERE balance <> 0 ORDER BY ALL""",
    "SELECT side, kind, state, ref, member, amount, remaining FROM book.open_item ORDER BY ALL",
    "SELECT code, subject FROM book.open_break ORDER BY ALL",
)


def stands(book: Book) -> list[list[tuple[Any, ...]]]:
    """Balances, items and breaks, by name: what may not depend on the order of rows."""
    with book.reading() as reader:
        return [reader.frame(query).rows() for query in STANDS]


@quick
@given(week=files)
def test_every_file_leaves_a_book_that_balances(make_book: Any, make_feed: Any, post: Any, week: list[Any]) -> None:
    play(make_book(), make_feed, post, week)


@quick
@given(week=files, seed=st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(
    make_book: Any, make_feed: Any, post: Any, week: list[Any], seed: int
) -> None:
    plain, shuffled = make_book(), make_book()
    play(plain, make_feed, post, week)
    play(shuffled, make_feed, post, week, random.Random(seed))
    assert stands(plain) == stands(shuffled)


@quick
@given(week=files)
def test_the_same_week_makes_the_same_content_head(make_book: Any, make_feed: Any, post: Any, week: list[Any]) -> None:
    heads = []
    for _ in range(2):
        book = make_book()
        play(book, make_feed, post, week)
        with book.reading() as reader:
            heads.append(book.heads(reader))
    assert heads[0] == heads[1]


def test_a_book_with_no_file_has_no_rows(make_book: Any) -> None:
    with make_book().reading() as reader:
        assert reader.frame("SELECT * FROM book.entry").is_empty()
        assert reader.last_posting() == 0
