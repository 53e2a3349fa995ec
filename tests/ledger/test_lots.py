"""Points that expire: first in first out, returns to where they came from, expiry at the close of a day."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from counterfoil.ledger.expiry_buckets import balances_by_expiry
from counterfoil.ledger.model import LotUse
from counterfoil.settings import ProgrammeSettings

MONDAY = date(2026, 11, 16)
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=number) for number in (1, 2, 3))
SOON, LATER = TUESDAY, date(2027, 1, 31)

Rows = list[dict[str, Any]]


class Play:
    """A book open for writing, and files posted to it by kind."""

    def __init__(self, writer: Any, make_feed: Any, post: Any) -> None:
        self.writer, self._make_feed, self._post = writer, make_feed, post

    def __call__(self, kind: str, rows: Rows, day: date = MONDAY, **policy: Any) -> int:
        own = {} if kind in ("requests", "handback") else {"partner": "counterfoil"}
        options = {"tolerance_points": 5} if kind == "handback" else {}
        settings = ProgrammeSettings(**policy)
        posted = self._post(self.writer, self._make_feed(kind, **own, **options), rows, day, policy=settings)
        return int(posted.n)

    def close(self, *days: date) -> None:
        for day in days:
            self("calendar", [{}], day)

    def lots(self) -> list[tuple[str, int, date]]:
        """Member, points left, last day; first in first."""
        rows: list[tuple[str, int, date]] = self.writer.frame(
            """SELECT a.owner, o.remaining, o.expires FROM book.open_lot o JOIN book.account a USING (account_id)
               ORDER BY a.owner, o.earned, o.expires, o.lot_id"""
        ).rows()
        return rows

    def balance(self, owner: str | None = "M1") -> int:
        who = "kind = 'breakage'" if owner is None else f"owner = '{owner}'"
        row = self.writer.row(f"SELECT balance FROM book.balance JOIN book.account USING (account_id) WHERE {who}")
        return int(row[0]) if row else 0

    def uses(self, n: int) -> list[tuple[int | None, int, int]]:
        """Lot, use, points of a posting."""
        rows: list[tuple[int | None, int, int]] = self.writer.frame(
            f'SELECT lot_id, "use", amount FROM book.lot_use WHERE file_id = {n} ORDER BY line_no, lot_id NULLS LAST'
        ).rows()
        return rows


@pytest.fixture
def play(make_book: Callable[[], Any], make_feed: Any, post: Any) -> Iterator[Play]:
    with make_book().writing(purpose="test") as writer:
        yield Play(writer, make_feed, post)


def begin(play: Play, *lots: tuple[int, date | None], member: str = "M1") -> None:
    play("opening", [{"owner": member, "points": points, "expires": expires} for points, expires in lots])


def answer(ref: str, points: int, outcome: str = "rejected") -> dict[str, Any]:
    return {"ref": ref, "points": points, "outcome": outcome}


def test_what_expires_first_is_used_first_and_what_never_does_last(play: Play) -> None:
    begin(play, (30, None), (50, LATER), (100, SOON))
    n = play("requests", [{"ref": "1", "points": 120}])
    assert play.lots() == [("M1", 30, LATER)]
    assert sorted(amount for _, _, amount in play.uses(n)) == [20, 100]
    play("requests", [{"ref": "2", "points": 50}])
    assert (play.lots(), play.balance()) == ([], 10)


def test_a_draw_that_touches_no_lot_leaves_no_row(play: Play) -> None:
    begin(play, (10, SOON), member="M2")
    n = play("requests", [{"ref": "1", "points": 5}])
    assert play.uses(n) == []


def test_what_returns_goes_back_last_drawn_first(play: Play) -> None:
    begin(play, (40, SOON), (50, LATER), (30, None))
    play("requests", [{"ref": "1", "points": 100}])
    play("handback", [answer("1", 100, "accepted")])
    play("handback", [answer("1", 30, "reversed")], TUESDAY)
    assert play.lots() == [("M1", 20, LATER)], "10 to the rest, 20 to the later lot"
    play("handback", [answer("1", 70, "reversed")], TUESDAY)
    assert play.lots() == [("M1", 40, SOON), ("M1", 50, LATER)]


def test_a_lot_takes_points_back_on_its_last_day_and_not_after(play: Play) -> None:
    begin(play, (40, SOON), (40, WEDNESDAY))
    play("requests", [{"ref": "1", "points": 40}, {"ref": "2", "points": 40}])
    play("handback", [answer("1", 40)], TUESDAY)
    assert play.lots() == [("M1", 40, SOON)]
    play.close(MONDAY, TUESDAY, WEDNESDAY)
    n = play("handback", [answer("2", 40)], THURSDAY, return_grace_days=7)
    assert play.lots() == [("M1", 40, THURSDAY + timedelta(days=7))]
    assert play.uses(n) == [(2, LotUse.SPENT, -40), (2, LotUse.RENEWED, 40)]
    assert play.balance(None) == 40


def test_a_shortfall_returns_to_the_lot(play: Play) -> None:
    begin(play, (40, SOON))
    play("requests", [{"ref": "1", "points": 40}])
    play("handback", [answer("1", 37, "accepted")])
    assert play.lots() == [("M1", 3, SOON)]


def test_a_request_whose_rejection_waits_for_it_leaves_the_lots_alone(play: Play) -> None:
    begin(play, (40, SOON))
    play("handback", [answer("1", 40)])
    n = play("requests", [{"ref": "1", "points": 40}])
    assert (play.lots(), play.uses(n)) == ([("M1", 40, SOON)], [])


def test_the_close_of_the_last_day_takes_what_is_left_to_breakage(play: Play) -> None:
    begin(play, (40, SOON), (50, LATER), (9, None))
    play.close(MONDAY)
    assert play.balance(None) == 0
    play.close(TUESDAY)
    assert (play.lots(), play.balance(), play.balance(None)) == ([("M1", 50, LATER)], 59, 40)
    n = play.writer.last_posting()
    booked = play.writer.frame(
        f"SELECT transfer_id, line_no, amount, value_date FROM book.entry WHERE file_id = {n} ORDER BY leg"
    )
    transfer = ((n << 31) + (1 << 30)) * 4 + 1
    assert booked.rows() == [(transfer, 0, -40, TUESDAY), (transfer, 0, 40, TUESDAY)]


def test_a_book_without_expiry_gets_no_breakage_account(play: Play) -> None:
    begin(play, (40, None))
    play.close(MONDAY)
    kinds = play.writer.frame("SELECT DISTINCT kind FROM book.account")["kind"]
    assert "breakage" not in kinds.to_list()


def test_new_points_fill_what_is_owed_first(play: Play) -> None:
    begin(play, (40, SOON))
    play("requests", [{"ref": "1", "points": 40}, {"ref": "2", "points": 25}])
    assert (play.lots(), play.balance()) == ([], -25)
    n = play("handback", [answer("1", 40)])
    assert (play.lots(), play.balance()) == ([("M1", 15, SOON)], 15)
    assert sorted(play.uses(n)) == [(1, LotUse.SPENT, -40), (1, LotUse.OVERDRAWN, 25)]


def test_points_gained_live_as_long_as_the_settings_say(play: Play) -> None:
    play("opening", [{"owner": "M1", "points": 10}, {"owner": "M1", "points": 5, "expires": SOON}], points_live_days=30)
    play("requests", [{"ref": "K", "points": -20}], points_live_days=30)
    play("handback", [answer("K", -20, "accepted")], TUESDAY, points_live_days=30)
    assert play.lots() == [("M1", 5, SOON), ("M1", 10, date(2026, 12, 16)), ("M1", 20, date(2026, 12, 17))]


def test_draws_take_their_turn_by_reference_whatever_their_lines(make_book: Any, make_feed: Any, post: Any) -> None:
    rows = [{"ref": ref, "points": points} for ref, points in (("1", 30), ("2", 30), ("3", 30))]
    stands = []
    for order in (rows, rows[::-1]):
        with make_book().writing(purpose="test") as writer:
            other = Play(writer, make_feed, post)
            begin(other, (50, SOON), (20, LATER), (30, None))
            other("requests", order)
            other("handback", [answer("2", 30)])
            stands.append(other.lots())
    assert stands == [[("M1", 20, SOON), ("M1", 10, LATER)]] * 2


def test_old_postings_know_no_lots(play: Play, make_feed: Any, post: Any) -> None:
    day = [{"owner": "M1", "points": 10, "expires": SOON}]
    post(play.writer, make_feed("opening", partner="counterfoil"), day, MONDAY, book_schema=1)
    assert play.writer.frame("SELECT * FROM book.lot").is_empty()


def test_balances_by_expiry_add_up(play: Play) -> None:
    begin(play, (1, MONDAY), (2, SOON), (4, MONDAY + timedelta(days=45)), (8, date(2028, 1, 1)), (16, None))
    play("requests", [{"ref": "1", "points": 5, "member": "M2"}])
    found = balances_by_expiry(play.writer, TUESDAY, None, each_member=True)
    assert found.rows() == [
        ("p", "···", "points", "overdue", 1),
        ("p", "···", "points", "≤ 30 days", 2),
        ("p", "···", "points", "≤ 60 days", 4),
        ("p", "···", "points", "later", 8),
        ("p", "···", "points", "never", 16),
        ("p", "···", "points", "never", -5),
    ]
    together = balances_by_expiry(play.writer, TUESDAY, "p")
    assert together["points"].sum() == play.balance() + play.balance("M2") == 26
    assert balances_by_expiry(play.writer, TUESDAY, "q").is_empty()
