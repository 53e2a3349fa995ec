"""The passes after the exact key on a real book: what settles, what waits, what is refused, and what was looked at."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from counterfoil.feed import Tolerance, Window
from counterfoil.ledger import undoing
from counterfoil.ledger.model import Event, MatchPass, MatchRole, State
from counterfoil.ledger.updates import updates
from counterfoil.ledger.writing import Writer
from tests.plugins.books import MakeBook, MakeFeed, PostRows

MON = date(2026, 11, 16)
TUE, WED, FRI, SAT = (MON + timedelta(days=number) for number in (1, 2, 4, 5))

Answers = Sequence[tuple[Any, ...]]


@dataclass
class Desk:
    """A partner whose layouts let everything pass, and a book."""

    writer: Writer
    feeds: dict[str, Any]
    post: PostRows
    number: int = 0

    def ask(self, *rows: tuple[Any, ...], day: date = MON) -> int:
        return self._posted(
            "requests", [dict(zip(("ref", "points", "member", "record_type"), row, strict=False)) for row in rows], day
        )

    def answer(self, *rows: tuple[Any, ...], day: date = MON) -> int:
        names = ("ref", "points", "member", "outcome", "record_type")
        return self._posted("handback", [dict(zip(names, row, strict=False)) for row in rows], day)

    def _posted(self, kind: str, rows: list[dict[str, Any]], day: date) -> int:
        self.number += 1
        return int(self.post(self.writer, self.feeds[kind], rows, day, identity=f"{kind} {self.number}").n)

    def states(self) -> dict[str, State]:
        """Where each request of ours stands."""
        query = """SELECT i.ref, coalesce(o.state, k.state) FROM book.item i
                   LEFT JOIN book.open_item o USING (item_id)
                   LEFT JOIN (SELECT item_id, max(state) AS state FROM book.settled_key GROUP BY 1) k USING (item_id)
                   WHERE i.side = 1 ORDER BY 1"""
        return {ref: State(state) for ref, state in self.writer.frame(query).rows()}

    def codes(self) -> list[int]:
        return self.writer.frame("SELECT code FROM book.open_break ORDER BY code")["code"].to_list()

    def passes(self, n: int) -> list[MatchPass]:
        query = f"SELECT match_pass FROM book.disposition WHERE file_id = {n} ORDER BY line_no"
        return [MatchPass(number) for number in self.writer.frame(query)["match_pass"]]

    def events(self, n: int) -> list[Event]:
        query = f"SELECT event FROM book.disposition WHERE file_id = {n} ORDER BY line_no"
        return [Event(number) for number in self.writer.frame(query)["event"]]

    def looked_at(self, n: int, role: MatchRole) -> list[tuple[int, str, int | None]]:
        """Line, reference and difference of every row of ``match`` of a posting."""
        query = f"""SELECT m.line_no, i.ref, m.difference FROM book.match m JOIN book.item i USING (item_id)
                    WHERE m.file_id = {n} AND m.role = {role:d} ORDER BY ALL"""
        return self.writer.frame(query).rows()

    def balance(self, kind: str) -> int:
        query = f"""SELECT coalesce(sum(b.balance), 0)::BIGINT AS points FROM book.balance b
                    JOIN book.account a USING (account_id) WHERE a.kind = '{kind}'"""
        return int(self.writer.frame(query)["points"].item())

    def told(self) -> dict[str, tuple[str, int | None]]:
        """What the CRM hears of each request."""
        rows = updates(self.writer, 0, self.writer.last_posting()).redemptions
        return {ref: (state, points) for ref, state, points in rows.select("ref", "status", "answered").rows()}


@pytest.fixture
def open_desk(make_book: MakeBook, make_feed: MakeFeed, post: PostRows) -> Iterator[Callable[..., Desk]]:
    with ExitStack() as stack:

        def start(**terms: Any) -> Desk:
            writer = stack.enter_context(make_book().writing(purpose="test"))
            feeds = {kind: make_feed(kind, record_key=("ref",), **terms) for kind in ("requests", "handback")}
            desk = Desk(writer, feeds, post)
            post(writer, make_feed("opening", partner="counterfoil"), [
                {"owner": owner, "points": 10_000} for owner in ("M1", "M2")
            ], MON)  # fmt: skip
            return desk

        yield start


# Days


BUSINESS = Window(early_days=0, late_days=1, business=True, holidays=(TUE,))


def test_an_answer_inside_the_window_settles_and_says_that_its_day_differs(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(answer_window=Window(early_days=1, late_days=2))
    desk.ask(("a", 10), ("b", 20), ("c", 30))
    n = desk.answer(("a", 10), day=MON)
    later = desk.answer(("b", 20), ("c", 30), day=WED)
    assert desk.passes(n) == [MatchPass.EXACT]
    assert desk.passes(later) == [MatchPass.DATE_WINDOW] * 2
    assert set(desk.states().values()) == {State.CONFIRMED}
    assert desk.codes() == []


def test_an_answer_outside_the_window_settles_nothing_until_the_right_one_comes(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(answer_window=Window(late_days=1))
    desk.ask(("a", 10), ("b", 20))
    n = desk.answer(("a", 10), ("b", 20, "M1", "rejected"), day=WED)
    assert desk.events(n) == [Event.DATE_DIFFERS] * 2
    assert desk.codes() == [6, 6]
    assert desk.balance("payable") == 0
    desk.answer(("a", 10), day=TUE)
    assert (desk.codes(), desk.balance("payable")) == ([6], 10)
    assert desk.states() == {"a": State.CONFIRMED, "b": State.PENDING}


@pytest.mark.parametrize(("day", "inside"), [(TUE, True), (WED, True), (FRI, False)])
def test_business_days_leave_out_weekends_and_the_partners_holidays(
    open_desk: Callable[..., Desk], day: date, inside: bool
) -> None:
    desk = open_desk(answer_window=BUSINESS)
    desk.ask(("a", 10))
    desk.answer(("a", 10), day=day)
    assert desk.codes() == ([] if inside else [6])


BY_TYPE = {
    "bonus": Tolerance(points=5),
    "flight": Tolerance(basis_points=100, window=Window(late_days=1)),
}


def test_each_record_type_has_its_own_tolerance_and_window(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(record_tolerances=BY_TYPE, tolerance_points=1)
    desk.ask(*((ref, 1000) for ref in "abcdefgh"))
    told = [
        ("a", 995, "M1", "accepted", "bonus"),
        ("b", 994, "M1", "accepted", "bonus"),
        ("c", 990, "M1", "accepted", "flight"),
        ("d", 989, "M1", "accepted", "flight"),
        ("e", 999, "M1", "accepted", "another"),
        ("f", 998, "M1", "accepted"),
    ]
    n = desk.answer(*told, day=TUE)
    off = [desk.passes(n)[place] for place in (0, 2, 4)]
    assert off == [MatchPass.TOLERANCE] * 3
    assert (desk.codes(), desk.balance("payable")) == ([4, 4, 4], 995 + 990 + 999)
    desk.answer(("g", 1000, "M1", "accepted", "bonus"), ("h", 1000, "M1", "accepted", "flight"), day=FRI)
    assert desk.codes() == [4, 4, 4, 6], "only flights have a window"


def test_the_types_of_requests_judge_answers_that_came_before_them(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(record_tolerances=BY_TYPE)
    desk.answer(("a", 995), ("b", 995), ("c", 1000), day=FRI)
    desk.ask(("a", 1000, "M1", "bonus"), ("b", 1000, "M1", "flight"), ("c", 1000, "M1", "flight"), day=MON)
    assert desk.states()["a"] is State.CONFIRMED
    assert desk.codes() == [6, 6]


def test_a_weekend_is_no_business_day(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(answer_window=BUSINESS)
    desk.ask(("a", 10), day=FRI)
    desk.answer(("a", 10), day=FRI + timedelta(days=3))
    assert desk.codes() == []


def test_a_request_that_comes_after_an_answer_of_another_time_does_not_take_it(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(answer_window=Window(late_days=1))
    desk.answer(("a", 10), day=FRI)
    desk.ask(("a", 10), day=MON)
    assert desk.codes() == [6]
    assert (desk.balance("suspense"), desk.balance("payable"), desk.balance("in_flight")) == (0, 0, 10)


# Tolerance


@pytest.mark.parametrize(
    ("sent", "answered", "settles"),
    [(100, 97, True), (100, 103, True), (100, 96, False), (1_000, 995, True), (1_000, 994, False), (-100, -97, False)],
)
def test_the_wider_of_points_and_share_counts(
    open_desk: Callable[..., Desk], sent: int, answered: int, settles: bool
) -> None:
    desk = open_desk(tolerance_points=3, tolerance_basis_points=50)
    desk.ask(("a", sent))
    n = desk.answer(("a", answered))
    assert desk.passes(n) == [MatchPass.TOLERANCE if settles else MatchPass.EXACT]
    assert desk.codes() == ([] if settles else [4])
    assert desk.looked_at(n, MatchRole.MATCHED) == ([(2, "a", answered - sent)] if settles else [])


def test_a_shortfall_goes_back_and_an_excess_is_variance_and_they_are_never_netted(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk(tolerance_points=3)
    before = desk.balance("member")
    desk.ask(("a", 100), ("b", 100))
    desk.answer(("a", 98), ("b", 102))
    assert (desk.balance("member"), desk.balance("variance_loss"), desk.balance("payable")) == (before - 198, -2, 200)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_month_tolerates_no_more_than_its_budget(open_desk: Callable[..., Desk], reverse: bool) -> None:
    desk = open_desk(tolerance_points=3, tolerance_monthly_points=5)
    desk.ask(*((ref, 100) for ref in "abcd"))
    rows = [("a", 98), ("b", 102), ("c", 98)]
    n = desk.answer(*(rows[::-1] if reverse else rows))
    assert desk.codes() == [4], "2 and 2 are tolerated, the third 2 is too much"
    assert {ref for ref, state in desk.states().items() if state is State.CONFIRMED} == {"a", "b"}
    assert sorted(points for *_, points in desk.looked_at(n, MatchRole.MATCHED) if points) == [-2, 2]
    desk.answer(("d", 99), day=TUE)
    assert desk.states()["d"] is State.CONFIRMED, "one more still fits"
    desk.ask(("e", 100), ("f", 100), day=TUE)
    desk.answer(("e", 99), day=WED)
    assert desk.states()["e"] is State.PENDING
    desk.answer(("f", 98), day=date(2026, 12, 1))
    assert desk.states()["f"] is State.CONFIRMED, "a new month, a new budget"


def test_an_answer_that_counts_twice_spends_the_budget_once(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(tolerance_points=3, tolerance_monthly_points=4)
    desk.ask(("a", 100), ("b", 100))
    desk.answer(("a", 98), ("a", 98), ("b", 98))
    assert desk.codes() == [7]


def test_nothing_is_tolerated_where_another_request_fits_exactly(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(tolerance_points=3, tolerance_monthly_points=2)
    desk.ask(("a1", 100), ("a2", 99), ("b", 50, "M2"))
    desk.answer(("a2", 100), ("b", 52))
    assert desk.states() == {"a1": State.PENDING, "a2": State.PENDING, "b": State.CONFIRMED}
    assert desk.codes() == [4]


# One request, several answers


def test_parts_of_one_file_settle_their_request_together(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(split_max=5)
    desk.ask(("a", 50), ("b", 7))
    n = desk.answer(("a", 20), ("b", 7), ("a", 30))
    assert desk.passes(n) == [MatchPass.SPLIT, MatchPass.EXACT, MatchPass.SPLIT]
    assert set(desk.states().values()) == {State.CONFIRMED}
    assert (desk.codes(), desk.balance("payable"), desk.balance("in_flight")) == ([], 57, 0)
    assert desk.looked_at(n, MatchRole.PART) == [(2, "a", -30), (4, "a", -20)]
    assert desk.told() == {"a": ("confirmed", 50), "b": ("confirmed", 7)}


def test_parts_of_two_days_meet(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(split_max=5)
    desk.ask(("a", 60))
    desk.answer(("a", 10))
    desk.answer(("a", 20), day=TUE)
    assert desk.codes() == [4, 4], "each part waits under a break of its own"
    assert desk.balance("payable") == 0
    n = desk.answer(("a", 30), day=WED)
    assert (desk.codes(), desk.states(), desk.balance("payable")) == ([], {"a": State.CONFIRMED}, 60)
    assert desk.looked_at(n, MatchRole.PART) == [(2, "a", -30), (2, "a", None), (2, "a", None)]
    assert desk.told() == {"a": ("confirmed", 60)}
    assert desk.writer.frame("SELECT 1 FROM book.open_item").is_empty()


def test_equal_halves_are_no_duplicates_where_a_layout_allows_parts(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(split_max=2)
    desk.ask(("a", 50), ("b", 50))
    desk.answer(("a", 25), ("a", 25), ("b", 25))
    assert desk.codes() == [4]
    desk.answer(("b", 25), day=TUE)
    assert (desk.codes(), desk.balance("payable")) == ([], 100)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([20, 30, 20], []),
        ([20], [20, 30]),
        ([40, 20], []),
        ([40], [20]),
        ([10, 10, 10], [20]),
    ],
)
def test_parts_that_fit_in_two_ways_or_are_too_much_are_refused(
    open_desk: Callable[..., Desk], first: list[int], second: list[int]
) -> None:
    desk = open_desk(split_max=3)
    desk.ask(("a", 50))
    desk.answer(*(("a", points) for points in first))
    if second:
        desk.answer(*(("a", points) for points in second), day=TUE)
    if first == [10, 10, 10]:
        assert desk.codes() == [4, 4, 4, 11], "four parts are more than the layout lets one request have"
    else:
        assert 11 in desk.codes()
    assert (desk.states(), desk.balance("payable")) == ({"a": State.PENDING}, 0)


def test_sums_that_fit_in_two_ways_are_listed(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(split_max=3)
    desk.ask(("a", 50))
    n = desk.answer(("a", 20), ("a", 30), ("a", 20))
    assert desk.passes(n) == [MatchPass.AMBIGUOUS] * 3
    assert len(desk.looked_at(n, MatchRole.CANDIDATE)) == 9


def test_without_the_layouts_leave_parts_are_a_conflict(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.ask(("a", 50))
    desk.answer(("a", 20), ("a", 30))
    assert desk.codes() == [11]


def test_a_request_that_comes_after_its_parts_finds_them(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(split_max=5)
    desk.answer(("a", 20, "M1"), ("b", 20), ("b", 20), day=MON)
    desk.answer(("a", 30, "M1"), day=MON)
    assert desk.codes() == [3, 3, 3, 3]
    n = desk.ask(("a", 50), ("b", 60), day=TUE)
    assert desk.passes(n) == [MatchPass.SPLIT, MatchPass.NONE]
    assert desk.states() == {"a": State.CONFIRMED, "b": State.PENDING}
    assert (desk.codes(), desk.balance("suspense"), desk.balance("payable")) == ([4, 4], 0, 50)
    assert desk.told() == {"a": ("confirmed", 50)}
    desk.answer(("b", 20), day=WED)
    assert (desk.codes(), desk.balance("payable"), desk.states()["b"]) == ([], 110, State.CONFIRMED)


def test_a_part_outside_the_window_completes_nothing(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(split_max=5, answer_window=Window(late_days=2))
    desk.ask(("a", 50), ("b", 50))
    desk.answer(("a", 20), ("b", 20), ("b", 29))
    n = desk.answer(("a", 30), ("b", 1), day=FRI)
    assert desk.events(n) == [Event.DATE_DIFFERS] * 2
    assert (desk.codes(), desk.balance("payable")) == ([4, 4, 4, 6, 6], 0)
    desk.answer(("a", 30), day=TUE)
    assert desk.states() == {"a": State.CONFIRMED, "b": State.PENDING}


def test_the_very_same_part_again_is_no_other_part(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(split_max=5)
    desk.ask(("a", 50), ("b", 75))
    desk.answer(("a", 25), ("b", 25))
    desk._posted("handback", [{"ref": ref, "points": 25, "value_date": MON} for ref in "ab"], TUE)
    assert (desk.codes(), desk.balance("payable")) == ([4, 4, 7, 7], 0)
    desk.answer(("a", 25), day=TUE)
    assert desk.states() == {"a": State.CONFIRMED, "b": State.PENDING}


# One answer, several requests


def test_one_answer_settles_several_requests_of_one_member_and_day(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(net_max=5)
    desk.ask(("a", 10), ("b", 20), ("c", 40), ("d", 30, "M2"))
    n = desk.answer(("N1", 30, "M1"))
    assert desk.passes(n) == [MatchPass.NETTED]
    assert desk.states() == {"a": State.CONFIRMED, "b": State.CONFIRMED, "c": State.PENDING, "d": State.PENDING}
    assert (desk.codes(), desk.balance("payable"), desk.balance("suspense")) == ([], 30, 0)
    assert desk.looked_at(n, MatchRole.PART) == [(2, "a", 20), (2, "b", 10)]
    assert desk.told() == {"a": ("confirmed", 10), "b": ("confirmed", 20)}


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        ([("a", 10), ("b", 20), ("c", 15), ("d", 15)], [("N1", 30, "M1")]),
        ([("a", 10), ("b", 20), ("c", 20)], [("N1", 30, "M1"), ("N2", 40, "M1")]),
        ([("a", 10), ("b", 20), ("c", 30)], [("N1", 30, "M1")]),
    ],
)
def test_a_net_that_could_be_another_is_refused(
    open_desk: Callable[..., Desk], asked: Answers, answers: Answers
) -> None:
    desk = open_desk(net_max=5)
    desk.ask(*asked)
    n = desk.answer(*answers)
    assert set(desk.states().values()) == {State.PENDING}
    assert set(desk.codes()) == {3}
    assert MatchPass.AMBIGUOUS in desk.passes(n)
    assert desk.looked_at(n, MatchRole.CANDIDATE)


def test_a_net_takes_no_request_that_another_answer_names(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(net_max=5)
    desk.ask(("a", 10), ("b", 20))
    desk.answer(("N1", 30, "M1"), ("a", 10))
    assert desk.states() == {"a": State.CONFIRMED, "b": State.PENDING}
    assert desk.codes() == [3]


def test_a_netted_answer_again_is_a_duplicate_and_takes_no_new_requests(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(net_max=5)
    desk.ask(("a", 10), ("b", 20))
    desk.answer(("N1", 30, "M1"))
    desk.ask(("c", 10), ("d", 20), day=TUE)
    n = desk.answer(("N1", 30, "M1"), ("N2", 30, "M1"), day=TUE)
    assert desk.events(n) == [Event.DUPLICATE_ANSWER, Event.NETTED]
    assert (desk.codes(), desk.balance("payable")) == ([7], 60)
    assert desk.events(desk.answer(("N1", 31, "M1"), day=WED)) == [Event.CONFLICT]


# Nobody's reference


def test_the_only_candidate_is_suggested_and_nothing_settles(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.ask(("a", 10), ("b", 20), ("c", 10, "M2"))
    n = desk.answer(("x", 10, "M1"), (None, 20, "M1"), ("y", 99, "M1"))
    assert desk.passes(n) == [MatchPass.SUGGESTED, MatchPass.SUGGESTED, MatchPass.NONE]
    assert desk.looked_at(n, MatchRole.CANDIDATE) == [(2, "a", 0), (3, "b", 0)]
    assert (desk.codes(), set(desk.states().values())) == ([3, 3, 3], {State.PENDING})


def test_answers_without_a_reference_are_kept_apart(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    n = desk.answer((None, 10, "M1"), (None, 10, "M1"))
    assert desk.events(n) == [Event.UNKNOWN_ACCEPTED] * 2, "genuine equal rows"
    refs = desk.writer.frame("SELECT ref FROM book.open_item ORDER BY ref")["ref"].to_list()
    assert refs == [f"?{n}:2", f"?{n}:3"]


def test_an_answer_that_names_another_members_request_is_about_that_one(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(net_max=5)
    desk.ask(("a", 10, "M1"), ("b", 10, "M2"))
    n = desk.answer(("a", 10, "M2"), ("b", 10, "M1"))
    assert desk.passes(n) == [MatchPass.NONE] * 2
    assert not desk.looked_at(n, MatchRole.CANDIDATE)


def test_several_candidates_are_listed_and_not_chosen(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.ask(("a", 10), ("b", 10), ("c", 20))
    n = desk.answer(("x", 10, "M1"), ("y", 20, "M1"), ("z", 20, "M1"))
    assert desk.passes(n) == [MatchPass.AMBIGUOUS] * 3
    assert desk.looked_at(n, MatchRole.CANDIDATE) == [(2, "a", 0), (2, "b", 0), (3, "c", 0), (4, "c", 0)]


def test_too_many_equals_are_given_up_and_cost_no_more(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(net_max=5)
    desk.ask(*((f"r{number:04d}", 10) for number in range(2_000)))
    n = desk.answer(*((f"x{number:04d}", 10, "M1") for number in range(2_000)))
    assert set(desk.passes(n)) == {MatchPass.GAVE_UP}
    assert len(desk.looked_at(n, MatchRole.CANDIDATE)) == 5 * 2_000


# What is taken back


def test_a_group_is_taken_back_as_a_whole_or_not_at_all(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk(split_max=5, net_max=5)
    desk.ask(("a", 50), ("b", 10), ("c", 20))
    n = desk.answer(("a", 20), ("a", 30), ("N1", 30, "M1"))

    def undoable(*lines: int) -> list[bool]:
        records = pl.DataFrame({"file_id": n, "line_no": lines, "by_line": 0}, schema=undoing.RECORDS)
        return undoing.undoable(records, desk.writer).to_list()

    assert undoable(2) == [False]
    assert undoable(3) == [False]
    assert undoable(2, 3) == [True, True]
    assert undoable(4) == [True]
