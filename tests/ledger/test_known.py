"""What was known then is what is said of it now, whatever is posted in between."""

import random
from collections.abc import Callable
from datetime import UTC, date, timedelta
from typing import Any

import pytest

from counterfoil.errors import CounterfoilError
from counterfoil.ledger import extracts, open_breaks
from counterfoil.ledger.chart import Chart, Rulebook
from counterfoil.ledger.known import Moment, Reach, known, moment
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from tests.ledger.test_figures import prove_day
from tests.ledger.turmoil import Player, dawn
from tests.ledger.weeks import MONDAY, TUESDAY, Snapshot, snapshot

Posts = Callable[..., Any]
REACHES = (Reach(), Reach(as_of=MONDAY), Reach(period_end=MONDAY))
FILES = 10


def accounts(book: Lookups, chart: Chart, n: int | None) -> Snapshot:
    """Balances by each date, and the trial balance."""
    reaches = {f"{reach}": Reach(n, reach.as_of, reach.period_end) for reach in REACHES}
    told = {name: extracts.balances(book, reach, None, each_member=True).rows() for name, reach in reaches.items()}
    return told | {"trial": extracts.trial_balance(book, Reach(n), chart=chart).rows()}


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_posted_later_what_was_known_stays(
    make_book: Callable[[], Book], make_feed: Posts, post: Posts, rulebook: Rulebook, seed: int
) -> None:
    told: dict[tuple[int, date], Snapshot] = {}
    held: dict[int, Snapshot] = {}
    with make_book().writing(purpose="test") as writer:
        player = Player(writer, random.Random(seed), make_feed, post)
        for n in player.play(FILES):
            day = player.day - timedelta(days=n % 2)
            told[n, day] = snapshot(writer, day)
            prove_day(writer, day)
            held[n] = accounts(writer, rulebook.chart, None)
        for (n, day), was in told.items():
            now = snapshot(writer, day, n)
            for name, rows in was.items():
                assert now[name] == rows, (n, day, name)
        for n, was in held.items():
            assert accounts(writer, rulebook.chart, n) == was, n


def test_a_moment_is_the_last_posting_made_by_then(
    make_book: Callable[[], Book], make_feed: Posts, post: Posts
) -> None:
    with make_book().writing(purpose="test") as writer:
        for number in (1, 2):
            post(writer, make_feed("requests"), [{"ref": f"{number}", "points": 5}], MONDAY, posted_at=dawn(number))
        second = dawn(2).replace(tzinfo=UTC)
        assert moment(writer, second).n == 2
        assert moment(writer, second - timedelta(milliseconds=1)).n == 1
        assert moment(writer, dawn(0).replace(tzinfo=UTC)).n == 0
        assert moment(writer, None) == Moment(None, 2)


def test_before_the_first_posting_nothing_was_known(week_book: Lookups, rulebook: Rulebook) -> None:
    assert extracts.balances(week_book, Reach(0), None).is_empty()
    assert extracts.trial_balance(week_book, Reach(0), chart=rulebook.chart).is_empty()
    assert open_breaks.open_breaks(week_book, known(week_book, TUESDAY, 0)).is_empty()


def test_the_two_dates_of_an_entry_exclude_each_other() -> None:
    with pytest.raises(CounterfoilError, match="one of their two dates"):
        Reach(as_of=MONDAY, period_end=MONDAY)


def test_value_date_and_accounting_date_are_two(make_book: Callable[[], Book], make_feed: Posts, post: Posts) -> None:
    with make_book().writing(purpose="test") as writer:
        post(writer, make_feed("requests"), [{"ref": "A", "points": 5}], MONDAY)
        # A locked period: the entry counts for a later one.
        writer._connection.execute("UPDATE book.entry SET accounting_date = DATE '2026-12-01'")
        assert dict(extracts.balances(writer, Reach(as_of=MONDAY), "p").select("kind", "balance").iter_rows()) == {
            "in_flight": 5,
            "member": -5,
        }
        november, december = (Reach(period_end=date(2026, month, 28)) for month in (11, 12))
        assert extracts.balances(writer, november, "p")["balance"].to_list() == [0, 0]
        assert extracts.balances(writer, december, "p")["balance"].to_list() == [5, -5]
