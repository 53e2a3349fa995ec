"""What members did at a partner: booked once, beyond the balance kept for a person, taken back where it came from."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.derived import contradictions
from counterfoil.ledger.known import known
from counterfoil.ledger.model import Disposition, Event
from counterfoil.ledger.open_breaks import open_breaks
from counterfoil.ledger.outlets import stage_two, unaccounted
from counterfoil.ledger.updates import updates
from counterfoil.ledger.writing import Writer
from counterfoil.settings import ProgrammeSettings
from tests.plugins.books import MakeBook, MakeFeed, PostRows

MON = date(2026, 11, 16)
TUE = MON + timedelta(days=1)

Rows = list[dict[str, Any]]


class Partner:
    """A partner's feeds and a book; each file is a posting of its own."""

    def __init__(self, writer: Writer, make_feed: MakeFeed, post: PostRows) -> None:
        self.writer, self._make_feed, self._post, self._number = writer, make_feed, post, 0

    def tell(self, *rows: dict[str, Any], day: date = MON, kind: str = "activity", **policy: Any) -> int:
        self._number += 1
        own = {"partner": "counterfoil"} if kind in ("opening", "decisions", "members") else {}
        options = {"identity": f"{kind} {self._number}", "policy": ProgrammeSettings(**policy)}
        return int(self._post(self.writer, self._make_feed(kind, **own), list(rows), day, **options).n)

    def events(self, n: int) -> list[Event]:
        query = f"SELECT event FROM book.disposition WHERE file_id = {n} ORDER BY line_no"
        return [Event(event) for event in self.writer.frame(query)["event"]]

    def balance(self, kind: str, owner: str | None = None) -> int:
        who = "a.owner IS NULL" if owner is None else f"a.owner = '{owner}'"
        row = self.writer.row(
            f"""SELECT coalesce(sum(b.balance), 0)::BIGINT FROM book.balance b JOIN book.account a USING (account_id)
                WHERE a.kind = '{kind}' AND {who}"""
        )
        return int(row[0]) if row else 0

    def breaks(self) -> list[tuple[str, str | None, int | None]]:
        found = open_breaks(self.writer, known(self.writer, TUE))
        return found.sort("code", "their_ref").select("code", "their_ref", "points_theirs").rows()

    def lots(self) -> list[tuple[int, date]]:
        rows: list[tuple[int, date]] = self.writer.frame(
            "SELECT remaining, expires FROM book.open_lot ORDER BY earned, expires, lot_id"
        ).rows()
        return rows


@pytest.fixture
def partner(make_book: MakeBook, make_feed: MakeFeed, post: PostRows) -> Iterator[Partner]:
    with make_book().writing(purpose="test") as writer:
        yield Partner(writer, make_feed, post)
        assert list(contradictions(writer, lambda _done, _all: None)) == []


def gain(ref: str | None, points: int, **more: Any) -> dict[str, Any]:
    return {"ref": ref, "points": points} | more


def spend(ref: str | None, points: int, **more: Any) -> dict[str, Any]:
    return {"ref": ref, "points": points, "activity": "redemption"} | more


def test_gains_and_spendings_are_booked_on_the_member(partner: Partner) -> None:
    n = partner.tell(gain("A", 100), spend("B", 30), gain(None, 5), gain(None, 5), gain("C", 7, member="M2"))
    assert partner.events(n) == [Event.ACCRUED, Event.REDEEMED, *[Event.ACCRUED] * 3]
    assert (partner.balance("member", "M1"), partner.balance("member", "M2")) == (80, 7)
    assert (partner.balance("payable"), partner.balance("issued")) == (30, -117)
    assert partner.breaks() == []


def test_the_same_again_counts_once_and_a_contradiction_not_at_all(partner: Partner) -> None:
    first = partner.tell(gain("A", 100), gain("A", 100), gain("B", 5), gain("B", 6), spend("A", 10))
    again = partner.tell(gain("A", 100), gain("A", 90), gain("B", 5, member="M2"), day=TUE)
    assert partner.events(first) == [
        Event.ACCRUED, Event.ACTIVITY_KNOWN, Event.CONFLICT, Event.CONFLICT, Event.REDEEMED,
    ]  # fmt: skip
    assert partner.events(again) == [Event.CONFLICT, Event.CONFLICT, Event.ACCRUED], "two of A differ in one file"
    partner.tell(gain("A", 100), day=TUE)
    assert partner.balance("member", "M1") == 90
    assert sorted(partner.breaks()) == [
        ("B07", "A", 100), ("B07", "A", 100),
        ("B11", "A", 90), ("B11", "A", 100), ("B11", "B", 5), ("B11", "B", 6),
    ]  # fmt: skip


def test_what_a_member_cannot_pay_waits_in_suspense_for_a_person(partner: Partner) -> None:
    n = partner.tell(gain("A", 50), spend("B", 60), spend("C", 10, value_date=TUE), spend("D", 1, member="M2"))
    assert partner.events(n) == [Event.ACCRUED, *[Event.REDEEMED_BEYOND] * 3], "no payment past the first short one"
    assert (partner.balance("member", "M1"), partner.balance("member", "M2")) == (50, 0)
    assert (partner.balance("suspense"), partner.balance("payable")) == (-71, 71)
    assert partner.breaks() == [("B16", "B", 60), ("B16", "C", 10), ("B16", "D", 1)]
    by_ref = dict(open_breaks(partner.writer, known(partner.writer, TUE)).select("their_ref", "break_id").rows())
    partner.tell({"action": "refuse", "subject": by_ref["B"], "points": 60}, kind="decisions", day=TUE)
    assert (partner.balance("suspense"), partner.balance("payable")) == (-11, 11)
    assert partner.breaks() == [("B16", "C", 10), ("B16", "D", 1)]


def test_a_person_may_let_the_member_pay_after_all(partner: Partner) -> None:
    partner.tell(gain("A", 50), spend("B", 60))
    (name,) = open_breaks(partner.writer, known(partner.writer, TUE))["break_id"]
    partner.tell({"action": "take", "subject": name, "points": 60}, kind="decisions", day=TUE)
    assert (partner.balance("suspense"), partner.balance("payable"), partner.balance("member", "M1")) == (0, 60, -10)
    assert partner.breaks() == []


@pytest.mark.parametrize(("action", "after"), [("take", (0, 60, -10)), ("refuse", (0, 0, 50))])
def test_a_decision_on_it_can_be_taken_back(partner: Partner, action: str, after: tuple[int, int, int]) -> None:
    partner.tell(gain("A", 50), spend("B", 60))
    before = partner.breaks()
    (name,) = open_breaks(partner.writer, known(partner.writer, TUE))["break_id"]
    n = partner.tell({"action": action, "subject": name, "points": 60}, kind="decisions", day=TUE)

    def stands() -> tuple[int, int, int]:
        return partner.balance("suspense"), partner.balance("payable"), partner.balance("member", "M1")

    assert (stands(), partner.breaks()) == (after, [])
    partner.tell({"action": "undo", "subject": f"{n}:2", "points": 60}, kind="decisions", day=TUE)
    assert (stands(), partner.breaks()) == ((-60, 60, 50), before)


def test_gains_of_a_day_pay_for_its_spendings_whatever_the_order_of_lines(partner: Partner) -> None:
    n = partner.tell(spend("B", 60), gain("A", 60), spend("C", 1))
    assert partner.events(n) == [Event.REDEEMED, Event.ACCRUED, Event.REDEEMED_BEYOND]


def test_what_is_taken_back_goes_back_where_it_came_from(partner: Partner) -> None:
    partner.tell(gain("A", 100), day=MON, points_live_days=30)
    partner.tell(gain("B", 50), day=TUE, points_live_days=30)
    partner.tell(spend("C", 120), day=TUE, points_live_days=30)
    assert partner.lots() == [(30, TUE + timedelta(days=30))]
    n = partner.tell(spend("C", -120), gain("B", -50), day=TUE, points_live_days=30)
    assert partner.events(n) == [Event.REDEEMED, Event.ACCRUED]
    assert partner.balance("member", "M1") == 100
    assert partner.balance("payable") == 0
    assert sum(points for points, _ in partner.lots()) == 100
    assert partner.breaks() == []


def test_no_more_is_taken_back_than_there_was_nor_twice(partner: Partner) -> None:
    partner.tell(gain("A", 100))
    n = partner.tell(gain("A", -101), day=TUE)
    assert (partner.events(n), partner.balance("member", "M1")) == ([Event.CONFLICT], 100)
    partner.tell(gain("A", -40), day=TUE)
    again = partner.tell(gain("A", -40), day=TUE)
    assert (partner.events(again), partner.balance("member", "M1")) == ([Event.ACTIVITY_KNOWN], 60)


def test_what_was_not_paid_is_not_given_back(partner: Partner) -> None:
    partner.tell(gain("A", 50), spend("B", 60))
    n = partner.tell(spend("B", -60), day=TUE)
    assert (partner.events(n), partner.balance("member", "M1")) == ([Event.CONFLICT], 50)
    assert partner.breaks() == [("B11", "B", -60), ("B16", "B", 60)]
    here = partner.tell(spend("C", 60, value_date=MON), spend("C", -20, value_date=TUE), spend("D", 20, value_date=TUE))
    assert partner.events(here) == [Event.REDEEMED_BEYOND, Event.CONFLICT, Event.REDEEMED_BEYOND]
    assert partner.balance("member", "M1") == 50


@pytest.mark.parametrize(
    ("actions", "after"),
    [
        (("take",), (Event.REDEEMED, 50)),
        (("refuse",), (Event.CONFLICT, 50)),
        (("take", "undo"), (Event.CONFLICT, 50)),
        (("take", "undo", "refuse"), (Event.CONFLICT, 50)),
        (("refuse", "undo", "take"), (Event.REDEEMED, 50)),
    ],
)
def test_what_a_member_paid_after_all_is_given_back(
    partner: Partner, actions: tuple[str, ...], after: tuple[Event, int]
) -> None:
    partner.tell(gain("A", 50), spend("B", 60))
    (name,) = open_breaks(partner.writer, known(partner.writer, TUE))["break_id"]
    n = 0
    for action in actions:
        subject = f"{n}:2" if action == "undo" else name
        n = partner.tell({"action": action, "subject": subject, "points": 60}, kind="decisions", day=TUE)
    n = partner.tell(spend("B", -60), day=TUE)
    assert (partner.events(n), partner.balance("member", "M1")) == ([after[0]], after[1])


def test_what_was_given_back_since_stays_paid(partner: Partner) -> None:
    partner.tell(gain("A", 50), spend("B", 60))
    (name,) = open_breaks(partner.writer, known(partner.writer, TUE))["break_id"]
    n = partner.tell({"action": "take", "subject": name, "points": 60}, kind="decisions", day=TUE)
    partner.tell(spend("B", -60), day=TUE)
    with pytest.raises(PermanentError, match=Code.DECISION_UNFIT):
        partner.tell({"action": "undo", "subject": f"{n}:2", "points": 60}, kind="decisions", day=TUE)
    assert (partner.balance("suspense"), partner.balance("member", "M1")) == (0, 50)


def test_nobody_is_given_back_what_another_member_paid_or_gained(partner: Partner) -> None:
    partner.tell(gain("A", 100), gain("C", 30, member="M2"), spend("B", 40))
    n = partner.tell(spend("B", -40, member="M2"), gain("A", -30, member="M2"), day=TUE)
    assert partner.events(n) == [Event.CONFLICT, Event.CONFLICT]
    assert (partner.balance("member", "M1"), partner.balance("member", "M2")) == (60, 30)


def test_a_merged_member_is_given_back_what_either_number_paid(partner: Partner) -> None:
    partner.tell(gain("A", 100), gain("C", 30, member="M2"), spend("B", 40))
    partner.tell({"member": "M1", "survivor": "M2"}, kind="members")
    n = partner.tell(spend("B", -40, member="M2"), gain("C", -30, member="M1"), day=TUE)
    assert (partner.events(n), partner.balance("member", "M2")) == ([Event.REDEEMED, Event.ACCRUED], 100)


def test_a_gain_taken_back_that_was_spent_makes_the_balance_negative_and_says_so(partner: Partner) -> None:
    partner.tell(gain("A", 100), spend("B", 80))
    n = partner.tell(gain("A", -100), day=TUE)
    assert (partner.events(n), partner.balance("member", "M1")) == ([Event.ACCRUED], -80)
    assert partner.breaks() == [("B16", "A", -100)]


def test_the_crm_hears_of_balances_and_each_record_is_accounted_for(partner: Partner) -> None:
    n = partner.tell(gain("A", 100), spend("B", 30), spend("C", 500), gain("A", 100))
    told = updates(partner.writer, 0, n)
    assert told.redemptions.is_empty()
    assert told.balances.select("member", "balance").rows() == [("M1", 70)]
    stage = stage_two(partner.writer, from_n=0, to_n=n, crm=[("one", 0, n, True)], journals=[("j", 0, n)])
    assert unaccounted(stage) == 0
    became = partner.writer.frame(f"SELECT disposition FROM book.disposition WHERE file_id = {n} ORDER BY line_no")
    assert [Disposition(one) for one in became["disposition"]] == [
        Disposition.SETTLED, Disposition.SETTLED, Disposition.OPEN_THEIRS, Disposition.DUPLICATE,
    ]  # fmt: skip
