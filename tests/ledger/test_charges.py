"""What partners charge: judged at the landed rate of the day, and a break for what is too far off."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import polars as pl
import pytest

from counterfoil.feed import Feed, FeedKind
from counterfoil.ledger import approvals, break_causes, disputes, open_breaks
from counterfoil.ledger.approvals import Sent
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.derived import contradictions
from counterfoil.ledger.known import known
from counterfoil.ledger.model import RECORD_SPAN
from counterfoil.ledger.store import Book
from counterfoil.ledger.work import Former
from counterfoil.ledger.writing import Posted, Writer
from counterfoil.money import value_points_int
from counterfoil.reconcile.cause import Cause
from counterfoil.settings import ProgrammeSettings
from tests.plugins.books import MON, TUE, WED, in_shape

SHOWN = ("code", "our_ref", "their_ref", "amount_ours_minor", "amount_theirs_minor", "amount_difference_minor")


class Partner:
    """A book with one partner at 1.00 EUR for 100 points, and files by kind."""

    def __init__(self, writer: Writer, post: Callable[..., Posted], make_feed: Callable[..., Feed]) -> None:
        self.writer, self._post, self._make_feed = writer, post, make_feed
        self.terms: dict[str, Any] = {}

    def post(self, kind: str, rows: Any, day: date = MON, **titles: Any) -> int:
        partner = "p" if kind in {"requests", "handback"} else "counterfoil"
        feed = self._make_feed(kind, partner=partner, **(self.terms if kind == "handback" else {}))
        return self._post(self.writer, feed, rows, day, **titles).n

    def rate(self, minor: int, since: date = MON, day: date = MON, basis: str = "p") -> int:
        return self.post("rates", [{"basis": basis, "minor": minor, "effective_from": since}], day)

    def ask(self, *rows: tuple[str, int], day: date = MON) -> int:
        return self.post("requests", [{"ref": ref, "points": points} for ref, points in rows], day)

    def answer(self, *rows: tuple[str, int, int | None], day: date = MON, **more: Any) -> int:
        said = [{"ref": ref, "points": points, "money": money} | more for ref, points, money in rows]
        return self.post("handback", said, day)

    def breaks(self, day: date = WED) -> pl.DataFrame:
        return open_breaks.open_breaks(self.writer, known(self.writer, day))

    def charges(self) -> list[tuple[Any, ...]]:
        return self.writer.frame("SELECT points, ours, theirs FROM book.charge ORDER BY file_id, line_no").rows()

    def state(self, ref: str) -> int:
        row = self.writer.row(
            """SELECT k.state FROM book.settled_key k JOIN book.item i ON i.item_id = k.item_id
               WHERE i.ref = ? AND i.side = 1 ORDER BY k.file_id DESC, k.line_no DESC LIMIT 1""",
            ref,
        )
        return int(row[0]) if row else 1


@pytest.fixture
def partner(
    make_book: Callable[[], Book], post: Callable[..., Posted], make_feed: Callable[..., Feed]
) -> Iterator[Partner]:
    with make_book().writing(purpose="test") as writer:
        yield Partner(writer, post, make_feed)


def test_another_charge_settles_the_request_and_opens_a_break(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000), ("R2", 1000), ("R3", 1000))
    partner.answer(("R1", 1000, 1100), ("R2", 1000, 1000), ("R3", 1000, None))
    (row,) = partner.breaks().select(*SHOWN, "currency", "points_ours", "difference", "severity").rows()
    assert row == ("B05", "R1", "R1", 1000, 1100, -100, "EUR", None, None, "medium")
    assert [partner.state(ref) for ref in ("R1", "R2", "R3")] == [3, 3, 3]
    assert partner.charges() == [(1000, 1000, 1100)], "only what differs is kept"


@pytest.mark.parametrize(
    ("terms", "opens"),
    [
        ({}, [True, True]),
        ({"tolerance_money": 1}, [False, True]),
        ({"tolerance_money_basis_points": 100}, [False, False]),
        ({"tolerance_money_basis_points": 99}, [False, True]),
    ],
)
def test_a_charge_within_tolerance_opens_nothing(partner: Partner, terms: dict[str, Any], opens: list[bool]) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000), ("R2", 1000))
    partner.terms = terms
    partner.answer(("R1", 1000, 1001), ("R2", 1000, 990))
    listed = partner.breaks()["our_ref"].to_list()
    assert [ref in listed for ref in ("R1", "R2")] == opens
    assert partner.charges() == [(1000, 1000, 1001), (1000, 1000, 990)], "tolerated differences are kept, too"


def test_a_break_is_as_severe_as_its_money(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(*((f"R{n}", 100_000) for n in range(4)))
    partner.answer(*((f"R{n}", 100_000, 100_000 + off) for n, off in enumerate((999, 1_000, 10_000, 100_000))))
    found = partner.breaks(MON).sort("our_ref")
    assert found["severity"].to_list() == ["low", "medium", "high", "critical"]


def test_repeats_rejections_holds_and_unknown_references_open_no_break_about_money(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 100), ("R2", 100), ("R3", 100))
    partner.answer(("R1", 100, 100))
    partner.post("handback", [
        {"ref": "R1", "points": 100, "money": 200},
        {"ref": "R2", "points": 100, "money": 200, "outcome": "rejected", "reason": "01"},
        {"ref": "R3", "points": 100, "money": 200, "outcome": "held"},
        {"ref": "X1", "points": 100, "money": 200},
    ], TUE)  # fmt: skip
    assert sorted(partner.breaks()["code"]) == ["B03", "B07", "B09"]


def test_the_rate_is_that_of_the_day_the_answer_counts(partner: Partner) -> None:
    partner.rate(100)
    partner.rate(110, since=TUE)
    partner.rate(500, basis="q")
    partner.ask(("R1", 100), ("R2", 100))
    partner.answer(("R1", 100, 100), day=TUE, value_date=MON)
    partner.answer(("R2", 100, 110), day=TUE)
    assert partner.breaks().is_empty()


@pytest.mark.parametrize("since", [WED, None])
def test_without_a_rate_points_settle_and_a_later_rate_closes_the_break(partner: Partner, since: date | None) -> None:
    if since:
        partner.rate(100, since=since)
    partner.ask(("R1", 100), ("R2", 100))
    partner.answer(("R1", 100, 100), ("R2", 100, 110))
    found = partner.breaks().sort("our_ref")
    assert found.select(SHOWN).rows() == [
        ("B05", "R1", "R1", None, 100, None),
        ("B05", "R2", "R2", None, 110, None),
    ]
    assert [partner.state(ref) for ref in ("R1", "R2")] == [3, 3]
    partner.rate(100, day=TUE)
    assert partner.breaks().select(SHOWN).rows() == [("B05", "R2", "R2", 100, 110, -10)], "judged anew"
    assert partner.breaks(MON).height == 2, "a closed day keeps its list"


def test_a_rate_that_lands_late_corrects_what_was_expected(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000))
    partner.answer(("R1", 1000, 1100), day=TUE)
    partner.rate(110, since=TUE, day=WED)
    assert partner.breaks().is_empty()
    assert partner.charges() == [(1000, 1000, 1100), (1000, 1100, 1100)]


def test_a_later_rate_of_others_or_of_a_later_day_changes_nothing(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000))
    partner.answer(("R1", 1000, 1100), day=TUE)
    partner.rate(110, since=WED, day=WED)
    partner.rate(110, since=TUE, day=WED, basis="q")
    assert partner.breaks()["break_id"].len() == 1
    assert partner.charges() == [(1000, 1000, 1100)]


def test_a_correction_with_another_charge_closes_the_break_and_keeps_the_points(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000), ("R2", 1000))
    partner.terms = {"record_key": ("ref",), "correction": "supersede"}
    wrong = [{"ref": "R1", "points": 1000, "money": 1100}, {"ref": "R2", "points": 1000, "money": 1300}]
    right = [wrong[0] | {"money": 1000}, wrong[1] | {"money": 1200}]
    n = partner.post("handback", wrong)
    (kept,) = partner.breaks().filter(pl.col("our_ref") == "R2")["break_id"]
    former = in_shape(partner._make_feed("handback").kind, wrong, MON).with_columns(file_id=pl.lit(n, pl.Int64))
    partner.post("handback", right, TUE, corrects=Former((n,), former), identity=f"{MON}")
    found = partner.breaks()
    assert found.select(SHOWN).rows() == [("B05", "R2", "R2", 1000, 1200, -200)]
    assert found["break_id"].to_list() != [kept], "another break: the first charge was taken back"
    assert [partner.state(ref) for ref in ("R1", "R2")] == [3, 3]


def test_what_is_given_back_is_what_had_been_charged(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(*((f"R{n}", 1000) for n in range(4)))
    partner.answer(("R0", 1000, 1000), ("R1", 1000, 1100), ("R2", 1000, 1100), ("R3", 1000, 1000))
    partner.rate(200, since=TUE, day=TUE)
    partner.post("handback", [
        {"ref": "R0", "points": 400, "money": 400, "outcome": "reversed"},
        {"ref": "R1", "points": 1000, "money": -1100, "outcome": "reversed"},
        {"ref": "R2", "points": 1000, "money": 1000, "outcome": "reversed"},
        {"ref": "R3", "points": 1000, "money": 900, "outcome": "reversed"},
    ], TUE)  # fmt: skip
    assert partner.breaks().sort("our_ref").select(SHOWN).rows() == [
        ("B05", "R2", "R2", -1100, -1000, -100),
        ("B05", "R3", "R3", -1000, -900, -100),
    ]


def test_parts_and_sums_are_judged_each_by_its_own_points(partner: Partner) -> None:
    partner.rate(100)
    partner.terms = {"split_max": 3, "net_max": 3}
    partner.ask(("R1", 100), ("R2", 30), ("R3", 40))
    partner.answer(("R1", 60, 70), ("R1", 40, 40))
    partner.answer(("N1", 70, 71), day=TUE, member="M1")
    assert [partner.state(ref) for ref in ("R1", "R2", "R3")] == [3, 3, 3]
    assert partner.breaks().sort("their_ref").select(SHOWN).rows() == [
        ("B05", None, "N1", 70, 71, -1),
        ("B05", "R1", "R1", 60, 70, -10),
    ]


def test_a_part_that_waited_opens_its_break_with_the_last_one(partner: Partner) -> None:
    partner.rate(100)
    partner.terms = {"split_max": 3}
    partner.ask(("R1", 100))
    partner.answer(("R1", 60, 70))
    assert partner.breaks()["code"].to_list() == ["B04"]
    partner.answer(("R1", 40, 40), day=TUE)
    assert partner.breaks().select(SHOWN).rows() == [("B05", "R1", "R1", 60, 70, -10)]


def test_an_answer_that_came_first_is_judged_when_its_request_comes(partner: Partner) -> None:
    partner.rate(100)
    partner.answer(("R1", 100, 110), ("R2", 100, 100))
    assert partner.breaks()["code"].to_list() == ["B03", "B03"]
    partner.ask(("R1", 100), ("R2", 100), day=TUE)
    assert partner.breaks().select(SHOWN).rows() == [("B05", "R1", "R1", 100, 110, -10)]


def test_a_decision_that_takes_an_answer_takes_its_charge_up(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 100), ("R2", 100))
    partner.answer(("X1", 100, 110), ("R2", 90, 100))
    by_code = dict(partner.breaks().select("code", "break_id").iter_rows())
    n = partner.post("decisions", [
        {"action": "identify", "subject": by_code["B03"], "ref": "R1", "points": 100},
        {"action": "take", "subject": by_code["B04"], "points": 90},
    ], TUE)  # fmt: skip
    found = partner.breaks().sort("our_ref")
    assert found.select(SHOWN).rows() == [
        ("B05", "X1", "X1", 100, 110, -10),
        ("B05", "R2", "R2", 90, 100, -10),
    ][::-1]  # fmt: skip
    partner.post("decisions", [{"action": "undo", "subject": f"{n}:2", "points": 100}], WED)
    assert sorted(partner.breaks()["code"]) == ["B03", "B05"]


def test_answers_of_one_file_that_disagree_about_money_settle_nothing(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 100), ("R2", 100))
    partner.answer(("R1", 100, 100), ("R1", 100, 110), ("R2", 100, 100), ("R2", 100, 100))
    assert sorted(partner.breaks()["code"]) == ["B07", "B11"]
    assert [partner.state(ref) for ref in ("R1", "R2")] == [1, 3]


def test_a_decision_closes_it_and_counts_its_money(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000), ("R2", 1000))
    partner.answer(("R1", 1000, 1100), ("R2", 1000, 700))
    ids = partner.breaks().sort("our_ref")["break_id"].to_list()
    n = partner.post("decisions", [{"action": "resolve", "subject": one} for one in ids], TUE)
    assert partner.breaks().is_empty()
    assert partner.writer.decided("test", TUE).rows() == [(1, 0, 400)], "gross, for each break"
    partner.post("decisions", [{"action": "undo", "subject": f"{n}:2"}], WED)
    assert partner.breaks()["break_id"].to_list() == ids[:1]


@pytest.mark.parametrize(("limit", "needs"), [(399, ["resolve"]), (400, [])])
def test_beyond_a_limit_in_money_a_second_person_must_agree(
    partner: Partner, rulebook: Rulebook, limit: int, needs: list[str]
) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000), ("R2", 1000))
    partner.answer(("R1", 1000, 1100), ("R2", 1000, 700))
    rows = [{"action": "resolve", "subject": one} for one in partner.breaks()["break_id"]]
    rows.append({"action": "assign", "subject": rows[0]["subject"], "owner": "erin"})
    accepted = in_shape(FeedKind.DECISIONS, rows, TUE)
    policy = ProgrammeSettings(approval_minor=limit)
    found = approvals.beyond(
        FeedKind.DECISIONS, accepted, partner.writer, policy=policy, chart=rulebook.chart, sent=Sent("erin", TUE)
    )
    assert found == needs


@pytest.mark.parametrize(("limit", "needs"), [(99, ["rates"]), (100, [])])
def test_a_rate_that_concedes_a_charge_counts_what_it_concedes(
    partner: Partner, rulebook: Rulebook, limit: int, needs: list[str]
) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000), ("R2", 1000))
    partner.answer(("R1", 1000, 1100), ("R2", 1000, 700))
    partner.post("handback", [{"ref": ref, "points": 1000, "outcome": "reversed"} for ref in ("R1", "R2")], TUE)
    accepted = in_shape(FeedKind.RATES, [{"basis": "p", "minor": 110, "effective_from": MON}], TUE)
    policy = ProgrammeSettings(approval_minor=limit)
    found = approvals.beyond(
        FeedKind.RATES, accepted, partner.writer, policy=policy, chart=rulebook.chart, sent=Sent("erin", TUE)
    )
    assert found == needs, "nothing is owed any more, so no revaluation counts beside it"


def test_breaks_of_one_price_have_one_cause(partner: Partner) -> None:
    partner.rate(100)
    amounts = (37, 450, 1234, 98_765)
    partner.ask(*((f"R{points}", points) for points in amounts))
    partner.answer(*((f"R{points}", points, value_points_int(points, 110, 100)) for points in amounts))
    (row,) = break_causes.grouped(partner.writer, known(partner.writer, WED)).rows(named=True)
    assert (row["cause"], row["breaks"], row["codes"], row["points"]) == (Cause.PRICE_CHANGED, 4, "B05", 0)
    assert row["change"] == "priced at 1.10 EUR per 100 points at p instead of 1.00: check the rate card"
    off = sum(value_points_int(points, 110, 100) - points for points in amounts)
    assert (row["minor"], row["currency"], row["weight"]) == (off, "EUR", off * 3)


def test_the_dispute_names_charge_and_expectation(partner: Partner) -> None:
    partner.rate(100)
    partner.ask(("R1", 1000))
    partner.answer(("R1", 1000, 1100))
    feeds = [partner._make_feed("handback")]
    found = disputes.disputed(partner.writer, known(partner.writer, TUE), "p", feeds)
    (row,) = found.rows(named=True)
    assert (row["code"], row["ref"], row["said_points"], row["outcome"], row["line"]) == (5, "R1", 1000, "accepted", 2)
    assert (row["amount_ours_minor"], row["amount_theirs_minor"], row["at_stake"]) == (1000, 1100, 0)


def test_the_order_of_lines_does_not_matter(partner: Partner, make_book: Callable[[], Book]) -> None:
    asked = [("R1", 100), ("R2", 200), ("R3", 300), ("R4", 400)]
    said = [("R1", 100, 110), ("R2", 200, 200), ("R2", 200, 220), ("R3", 300, 331), ("R4", 390, 400), ("X", 5, 9)]
    rows = "SELECT points, ours, theirs, rated_on, tolerance FROM book.charge ORDER BY ALL"
    told = []
    for order in (said, said[::-1], [*said[3:], *said[:3]]):
        with make_book().writing(purpose="test") as writer:
            one = Partner(writer, partner._post, partner._make_feed)
            one.rate(100)
            one.ask(*asked)
            one.answer(*order)
            told.append((writer.frame(rows).rows(), sorted(one.breaks().select(SHOWN).rows(), key=str)))
    assert told[0] == told[1] == told[2]


def test_what_is_sealed_leads_to_the_answer_and_to_the_rate(partner: Partner) -> None:
    partner.rate(100)
    n = partner.answer(("R1", 1000, 1100), day=TUE)
    (row,) = partner.writer.frame("SELECT * FROM book.charge").rows(named=True)
    assert (row["answer_id"], row["rate_file"], row["rate_line"], row["rated_on"]) == (n * RECORD_SPAN + 2, 1, 2, TUE)


@pytest.mark.parametrize("changed", ["ours = ours + 1", "rate_line = 3", "points = points - 3", "theirs = theirs"])
def test_what_was_expected_is_proved_from_points_and_rate(partner: Partner, changed: str) -> None:
    partner.rate(55)
    partner.ask(("R1", 10), ("R2", 30), ("R3", 50))
    partner.answer(("R1", 10, 9), ("R2", 30, 9), ("R3", 50, 9))
    assert partner.charges() == [(10, 6, 9), (30, 16, 9), (50, 28, 9)], "half even: 5.5, 16.5 and 27.5"
    partner.writer._connection.execute(f"UPDATE book.charge SET {changed} WHERE points = 30")
    found = [one for one in contradictions(partner.writer, lambda _done, _all: None) if one.check == "charge"]
    assert [one.line for one in found] == ([] if changed == "theirs = theirs" else [3])
