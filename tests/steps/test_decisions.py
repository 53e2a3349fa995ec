"""What a person decides: each action on the break it fits, taken back, refused where it does not fit, approved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import Code, PermanentError, UsageError
from counterfoil.feed import FeedKind
from counterfoil.landing.records import OutcomeState
from counterfoil.ledger import histories
from counterfoil.ledger.decided import told
from counterfoil.settings import Settings
from counterfoil.steps.arrive import land_own
from counterfoil.steps.close import close_days
from counterfoil.steps.decide import COLUMNS, Decided, approve, decide, decide_all, held_file, released_points
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import settle
from pipelines.wiring import open_desk
from tests.plugins.homes import MONDAY, Office

FEEDS = ["skybridge_requests", "skybridge_handback"]
SECOND = "os:second"

BALANCES = """SELECT a.kind, CAST(sum(b.balance) AS BIGINT) FROM book.balance b JOIN book.account a USING (account_id)
              GROUP BY a.kind HAVING sum(b.balance) <> 0"""


@dataclass
class Clerk:
    """An office with a Monday behind it: a request of every fate, and one unknown answer."""

    office: Office

    def begin(self) -> None:
        self.office.begin()
        self.office.ask(MONDAY, *((f"R{number}", 100 * number) for number in range(1, 7)))
        answers = [("R1", 100, "0000"), ("R2", 200, "0001"), ("R3", 250, "0000"), ("X9", 77, "0000")]
        self.office.answer(MONDAY, *answers)
        self.office.run(MONDAY, feeds=FEEDS)

    @contextmanager
    def desk(self, actor: str | None = None) -> Iterator[Desk]:
        settings: Settings = self.office.settings()
        if actor is not None:
            settings = settings.model_copy(update={"actor": actor})
        with open_desk(settings) as desk:
            yield desk

    def decide(self, action: str, subject: str, points: int = 0, *, ref: str = "", reason: str = "agreed") -> Decided:
        self.office.now += timedelta(minutes=1)
        with self.desk() as desk:
            return decide(desk, action=action, subject=subject, reason=reason, points=points, ref=ref)

    def break_of(self, code: int, subject: str) -> str:
        found = self.office.sql(f"SELECT break_id FROM book.open_break WHERE code = {code} AND subject = '{subject}'")
        return str(found.item())

    def balances(self) -> dict[str, int]:
        return dict(self.office.sql(BALANCES).iter_rows())

    def open(self) -> dict[str, tuple[int, int, int]]:
        found = self.office.sql(
            """SELECT i.ref || ':' || o.side, o.side, o.state, o.remaining
               FROM book.open_item o JOIN book.item i USING (item_id)"""
        )
        self.prove()
        return {ref: (side, state, remaining) for ref, side, state, remaining in found.iter_rows()}

    def prove(self) -> None:
        """The working set is what the history of every item says."""
        kept, derived = "SELECT item_id, state, remaining FROM book.open_item", histories.open_now()
        assert self.office.sql(f"({kept} EXCEPT ({derived})) UNION ALL (({derived}) EXCEPT {kept})").is_empty()


@pytest.fixture(scope="module")
def monday(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """The office after its Monday; to be copied, not changed."""
    office = Office(tmp_path_factory.mktemp("decisions") / "home")
    Clerk(office).begin()
    return office


@pytest.fixture
def clerk(monday: Office, tmp_path: Path) -> Clerk:
    return Clerk(monday.copied(tmp_path / "clerk"))


def own(decided: Decided) -> tuple[OutcomeState, str | None]:
    outcome = next(outcome for one, outcome in decided.outcomes if one.order == decided.delivery.order)
    return outcome.state, outcome.code


def test_each_action_books_what_it_says_and_clears_its_break(clerk: Clerk) -> None:
    before = clerk.balances()
    assert own(clerk.decide("take", clerk.break_of(4, "R3"), 250))[0] is OutcomeState.POSTED
    assert own(clerk.decide("refuse", clerk.break_of(3, "X9"), 77))[0] is OutcomeState.POSTED
    assert own(clerk.decide("resolve", clerk.break_of(9, "R2")))[0] is OutcomeState.POSTED
    after = clerk.balances()
    assert after["in_flight"] == before["in_flight"] - 300
    assert after["payable"] == before["payable"] + 250 - 77
    assert after["member"] == before["member"] + 50
    assert "suspense" not in after
    assert clerk.office.sql("SELECT * FROM book.open_break").is_empty()
    assert "R3:1" not in clerk.open()
    assert "X9:2" not in clerk.open()


def test_refunds_and_write_offs_end_an_overdue_request_and_a_late_answer_follows_the_rules(clerk: Clerk) -> None:
    clerk.office.now += timedelta(days=7)
    with clerk.desk() as desk:
        close_days(desk, MONDAY + timedelta(days=5))
    clerk.decide("refund", clerk.break_of(2, "R5"), 500)
    clerk.decide("write_off", clerk.break_of(2, "R6"), 600)
    balances = clerk.balances()
    assert (balances["written_off"], balances["in_flight"]) == (600, 300 + 400)
    day = MONDAY + timedelta(days=6)
    clerk.office.answer(day, ("R5", 500, "0000"), ("R6", 600, "0000"))
    clerk.office.run(day, feeds=FEEDS)
    after = clerk.balances()
    assert "written_off" not in after, "a late acceptance undoes the write-off"
    assert after["suspense"] == -77 - 500, "an acceptance after a refund waits for a decision"
    clerk.decide("take", clerk.break_of(11, "R5"), 500)
    taken = clerk.balances()
    assert (taken["suspense"], taken["member"]) == (-77, after["member"] - 500)
    clerk.prove()


def test_an_unknown_answer_is_identified_with_a_request(clerk: Clerk) -> None:
    clerk.decide("identify", clerk.break_of(3, "X9"), 77, ref="R4")
    balances = clerk.balances()
    assert "suspense" not in balances
    assert {"R4:1", "X9:2"}.isdisjoint(clerk.open())
    assert clerk.office.sql("SELECT max(confirmed) FROM book.settled_key k JOIN book.item i USING (item_id) "
                            "WHERE i.ref = 'R4'").item() == 77  # fmt: skip


@pytest.mark.parametrize(
    ("action", "code", "ref", "points"),
    [
        ("take", 4, "R3", 250),
        ("refund", 4, "R3", 300),
        ("write_off", 4, "R3", 300),
        ("refuse", 3, "X9", 77),
        ("resolve", 9, "R2", 0),
        ("identify", 3, "X9", 77),
    ],
)
def test_a_decision_that_is_undone_leaves_the_book_as_it_was(
    clerk: Clerk, action: str, code: int, ref: str, points: int
) -> None:
    def stands() -> tuple[Any, ...]:
        breaks = clerk.office.sql("SELECT break_id, code FROM book.open_break ORDER BY ALL").rows()
        return clerk.balances(), clerk.open(), breaks

    before = stands()
    asked = "R4" if action == "identify" else ""
    decided = clerk.decide(action, clerk.break_of(code, ref), points, ref=asked)
    n = next(outcome.n for one, outcome in decided.outcomes if one.order == decided.delivery.order)
    assert stands() != before
    assert own(clerk.decide("undo", f"{n}:2", points))[0] is OutcomeState.POSTED
    assert stands() == before
    assert own(clerk.decide("undo", f"{n}:2", points)) == (OutcomeState.REJECTED, Code.DECISION_UNFIT)


@pytest.mark.parametrize(
    ("action", "code", "ref", "points"),
    [
        ("take", 4, "R3", 300),  # not the partner's figure
        ("refund", 9, "R2", 200),  # has ended
        ("refuse", 4, "R3", 250),  # nothing waits in suspense
        ("identify", 3, "X9", 77),  # without a reference
        ("resolve", 3, "X9", 0),  # points wait in suspense
        ("write_off", 3, "X9", 77),  # no request of ours
    ],
)
def test_a_decision_that_does_not_fit_has_no_effect(
    clerk: Clerk, action: str, code: int, ref: str, points: int
) -> None:
    before = (clerk.balances(), clerk.open())
    assert own(clerk.decide(action, clerk.break_of(code, ref), points)) == (
        OutcomeState.REJECTED,
        Code.DECISION_UNFIT,
    )
    assert (clerk.balances(), clerk.open()) == before


def test_one_row_that_does_not_fit_refuses_its_whole_file(clerk: Clerk) -> None:
    rows = [f"take,{clerk.break_of(4, 'R3')},,250,yes,,,", f"refuse,{clerk.break_of(3, 'X9')},,76,wrong points,,,"]
    text = ",".join(COLUMNS[FeedKind.DECISIONS]) + "\n" + "\n".join(rows) + "\n"
    with clerk.desk() as desk:
        (feed,) = desk.feeds([FeedKind.DECISIONS])
        day = MONDAY + timedelta(days=1)
        land_own(desk, feed, name=f"decisions_{day:%Y%m%d}.csv", data=text.encode())
        ((_, outcome),) = settle(desk, [feed.feed], day, {}).outcomes
    assert (outcome.state, outcome.code) == (OutcomeState.REJECTED, Code.DECISION_UNFIT)
    assert "line 3" in (outcome.message or "")
    assert "R3:1" in clerk.open()


def test_a_decision_cannot_be_undone_once_its_item_has_gone_on(clerk: Clerk) -> None:
    decided = clerk.decide("write_off", clerk.break_of(4, "R3"), 300)
    n = next(outcome.n for one, outcome in decided.outcomes if one.order == decided.delivery.order)
    day = MONDAY + timedelta(days=1)
    clerk.office.answer(day, ("R3", 300, "0000"))
    clerk.office.run(day, feeds=FEEDS)
    assert own(clerk.decide("undo", f"{n}:2", 300)) == (OutcomeState.REJECTED, Code.DECISION_UNFIT)


def test_beyond_the_limit_a_decision_waits_for_a_second_person(office: Office) -> None:
    clerk = Clerk(office)
    (office.home).mkdir(parents=True)
    (office.home / "counterfoil.yaml").write_text("approval_points: 400\n")
    office.begin([("1111111111", 400)])
    clerk.office.ask(MONDAY, ("A", 250), ("B", 150))
    clerk.office.answer(MONDAY, ("A", 240, "0000"), ("B", 160, "0000"), ("C", 30, "0000"))
    office.run(MONDAY, feeds=FEEDS)
    first = clerk.decide("refund", clerk.break_of(4, "A"), 250)
    assert own(first)[0] is OutcomeState.POSTED
    # 250 and 150 of one person, for one cause, on one day are 400: not beyond it. One more is.
    other = clerk.decide("refuse", clerk.break_of(3, "C"), 30)
    assert own(other)[0] is OutcomeState.POSTED, "another cause counts for itself"
    clerk.decide("undo", f"{_n(first)}:2", 250)
    proposed = clerk.decide("refund", clerk.break_of(4, "A"), 250)
    assert own(proposed) == (OutcomeState.HELD, Code.APPROVAL_NEEDED)
    before = clerk.balances()
    sha = proposed.delivery.payload_sha
    with clerk.desk() as desk:
        assert approve(desk, sha, "my own").outcomes[-1][1].state is OutcomeState.HELD, "nobody approves his own"
    assert clerk.balances() == before
    office.now += timedelta(minutes=5)
    with clerk.desk(SECOND) as desk:
        outcomes = approve(desk, held_file(desk, sha[:12]).payload_sha, "looks right").outcomes
    assert [outcome.state for _, outcome in outcomes] == [OutcomeState.POSTED, OutcomeState.POSTED]
    assert clerk.balances()["in_flight"] == before["in_flight"] - 250


def test_undoing_counts_in_money_too(office: Office) -> None:
    clerk = Clerk(office)
    office.home.mkdir(parents=True)
    (office.home / "counterfoil.yaml").write_text("approval_minor: 150\n")
    office.begin([("1111111111", 250)])
    office.ask(MONDAY, ("A", 250))
    office.answer(MONDAY, ("A", 240, "0000"))
    office.run(MONDAY, feeds=FEEDS)
    for action, expected in (("refund", OutcomeState.POSTED), ("write_off", OutcomeState.HELD)):
        done = clerk.decide(action, clerk.break_of(4, "A"), 250)
        assert own(clerk.decide("undo", f"{_n(done)}:2", 250))[0] is expected, "250 points are worth 125"
    assert office.sql("SELECT minor FROM book.decision WHERE action = 7").rows() == [(125,)]


def test_equal_approvals_of_two_people_are_two(office: Office) -> None:
    clerk = Clerk(office)
    office.begin([("1111111111", 2_000_000)])
    office.run(MONDAY, feeds=FEEDS)
    with clerk.desk() as desk:
        sha = desk.index.held("opening")[0].payload_sha
        assert [outcome.state for _, outcome in approve(desk, sha, "yes").outcomes][-1] is OutcomeState.HELD
    with clerk.desk(SECOND) as desk:
        assert own(approve(desk, sha, "yes"))[0] is OutcomeState.POSTED
        assert desk.index.held("opening") == []


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "two\rlines", "x" * 501])
def test_a_reason_that_cannot_be_kept_is_refused_before_anything_is_landed(clerk: Clerk, reason: str) -> None:
    name = clerk.break_of(9, "R2")
    with clerk.desk() as desk:
        before = desk.index.deliveries()
        with pytest.raises(UsageError, match="DECISION_UNFIT reason"):
            decide(desk, action="resolve", subject=name, reason=reason)
        with pytest.raises(UsageError, match="DECISION_UNFIT reason"):
            approve(desk, before[0].payload_sha, reason)
        assert desk.index.deliveries() == before
    assert own(clerk.decide("resolve", name, reason="x" * 500))[0] is OutcomeState.POSTED


def _n(decided: Decided) -> int | None:
    return next(outcome.n for one, outcome in decided.outcomes if one.order == decided.delivery.order)


def test_large_openings_and_rate_changes_wait_for_a_second_person(office: Office) -> None:
    clerk = Clerk(office)
    office.begin([("1111111111", 2_000_000)])
    night = office.run(MONDAY, feeds=FEEDS)
    states = {delivery.feed: (outcome.state, outcome.code) for delivery, outcome in night.outcomes}
    assert states == {
        "rates": (OutcomeState.POSTED, None),
        "opening": (OutcomeState.HELD, Code.APPROVAL_NEEDED),
    }
    with clerk.desk(SECOND) as desk:
        approve(desk, desk.index.held("opening")[0].payload_sha, "agrees with the old system")
    assert clerk.balances()["member"] == 2_000_000
    day = MONDAY + timedelta(days=1)
    office.put(
        f"rates/rates_{day:%Y%m%d}.csv",
        f"basis,currency,minor,per_points,effective_from\nprogramme,EUR,151,100,{day}\n",
    )
    night = office.run(day, feeds=FEEDS)
    assert [(d.feed, o.code) for d, o in night.outcomes] == [("rates", Code.APPROVAL_NEEDED)]


def test_a_locked_period_sends_late_files_to_the_next_one_until_it_is_reopened(office: Office) -> None:
    clerk = Clerk(office)
    last = date(2026, 11, 30)
    office.begin()
    office.ask(last, ("R1", 100), ("R2", 200))
    office.run(last, feeds=FEEDS)
    assert own(clerk.decide("lock", "2026-11")) == (OutcomeState.REJECTED, Code.DECISION_UNFIT), "its days are open"
    office.now += timedelta(days=1)
    with clerk.desk() as desk:
        close_days(desk, last)
    assert own(clerk.decide("lock", "2026-11"))[0] is OutcomeState.POSTED
    assert own(clerk.decide("lock", "2026-11"))[1] == Code.DECISION_UNFIT
    office.answer(last, ("R1", 100, "0000"))
    office.run(date(2026, 12, 1), feeds=FEEDS)
    dates = "SELECT DISTINCT value_date, accounting_date FROM book.entry WHERE file_id = {}"
    n = office.heads()[0]
    assert office.sql(dates.format(n)).rows() == [(last, date(2026, 12, 1))]
    named = office.sql("SELECT code, subject, points_ours FROM book.break WHERE code = 6").rows()
    assert named == [(6, "skybridge_handback:2026-11-30:2026-11", 100)]
    assert office.sql("SELECT * FROM book.open_break WHERE code = 6").is_empty(), "it asks for no more than a look"
    asked = clerk.decide("reopen", "2026-11")
    assert own(asked)[1] == Code.APPROVAL_NEEDED, "a second person reopens a period"
    with clerk.desk(SECOND) as desk:
        approve(desk, asked.delivery.payload_sha, "the auditors ask for it")
        with desk.book.reading() as book:
            assert book.locked_periods() == frozenset()
    office.ask(date(2026, 11, 29), ("R3", 5))
    office.run(date(2026, 12, 1), feeds=FEEDS)
    n = office.heads()[0]
    assert office.sql(dates.format(n)).rows() == [(date(2026, 11, 29), date(2026, 11, 29))]


def test_a_held_correction_posts_by_its_difference_once_released(clerk: Clerk) -> None:
    clerk.office.answer(MONDAY, ("R1", 100, "0000"), ("R2", 200, "0000"), ("R3", 300, "0000"), ("X9", 77, "0000"))
    night = clerk.office.run(MONDAY, feeds=FEEDS)
    assert [(d.verdict, o.code) for d, o in night.outcomes] == [("correction", Code.CORRECTION_HELD)]
    before = clerk.balances()
    with clerk.desk() as desk:
        delivery = held_file(desk, desk.index.held("skybridge_handback")[0].payload_sha[:8])
        points = released_points(desk, delivery)
        assert points == 677
        wrong = decide(desk, action="release", subject=delivery.payload_sha, reason="r", points=1)
        assert wrong.outcomes[-1][1].state is OutcomeState.HELD, "whoever releases it must have seen its points"
    assert clerk.balances() == before
    released = clerk.decide("release", delivery.payload_sha, points)
    assert [outcome.state for _, outcome in released.outcomes] == [OutcomeState.POSTED, OutcomeState.POSTED]
    after = clerk.balances()
    assert after["payable"] == before["payable"] + 200 + 300
    assert after["member"] == before["member"] - 200
    clerk.prove()


def test_a_discarded_file_counts_for_nothing_and_troubles_nobody(clerk: Clerk) -> None:
    clerk.office.answer(MONDAY, ("R1", 100, "0001"))
    assert clerk.office.run(MONDAY, feeds=FEEDS).exit_status == 1
    with clerk.desk() as desk:
        sha = desk.index.held("skybridge_handback")[0].payload_sha
    before = clerk.balances()
    clerk.decide("discard", sha)
    assert clerk.balances() == before
    with clerk.desk() as desk:
        assert desk.index.held("skybridge_handback") == []
    assert clerk.office.run(MONDAY, feeds=FEEDS).exit_status == 0


def test_a_file_dated_far_off_posts_when_released(clerk: Clerk) -> None:
    far = date(2026, 11, 5)
    clerk.office.answer(far, ("R5", 500, "0000"))
    night = clerk.office.run(MONDAY, feeds=FEEDS)
    assert [one.code for one in night.delivered] == [Code.BUSINESS_DATE_FAR]
    with clerk.desk() as desk:
        sha = desk.index.held("skybridge_handback")[0].payload_sha
    clerk.decide("release", sha, 500)
    assert "R5:1" not in clerk.open()


def test_who_decided_what_stays_on_record(clerk: Clerk) -> None:
    clerk.decide("take", clerk.break_of(4, "R3"), 250, reason="agreed by telephone")
    with clerk.desk() as desk, desk.book.reading() as book:
        (row,) = told(book).to_dicts()
    assert row["reason"] == "agreed by telephone"
    assert row["sender"] == clerk.office.settings().actor
    assert (row["action"], row["points"], row["undone_by"]) == ("take", 250, None)


def test_no_held_file_is_guessed(clerk: Clerk) -> None:
    with clerk.desk() as desk, pytest.raises(PermanentError, match="NOTHING_FOUND"):
        held_file(desk, "abc")


def test_the_records_name_who_sent_a_file(clerk: Clerk, new_office: Callable[[str], Office]) -> None:
    senders = clerk.office.sql("SELECT DISTINCT sender FROM book.posting")["sender"].to_list()
    assert senders == [clerk.office.settings().actor], "files of a local folder are their owner's"


def test_a_match_beyond_the_limit_waits_for_a_second_person(office: Office) -> None:
    clerk = Clerk(office)
    office.begin([("1111111111", 300)])
    office.ask(MONDAY, ("A", 100), ("B", 200))
    office.answer(MONDAY, ("X", 300, "0000"))
    office.run(MONDAY, feeds=FEEDS)
    (office.home / "counterfoil.yaml").write_text("approval_points: 299\n")
    before = clerk.balances()
    proposed = clerk.decide("match", clerk.break_of(3, "X"), 300, ref="A B")
    assert own(proposed) == (OutcomeState.HELD, Code.APPROVAL_NEEDED)
    assert clerk.balances() == before
    with clerk.desk(SECOND) as desk:
        outcomes = approve(desk, proposed.delivery.payload_sha, "seen the credit note").outcomes
    assert [outcome.state for _, outcome in outcomes] == [OutcomeState.POSTED, OutcomeState.POSTED]
    after = clerk.balances()
    assert (after.get("in_flight"), after.get("suspense"), after["payable"]) == (None, None, 300)
    assert clerk.open() == {}


def test_who_has_a_break_is_landed_with_the_decision(clerk: Clerk) -> None:
    told_of = {"action": "assign", "subject": clerk.break_of(4, "R3"), "points": 0, "owner": "A. Example"}
    other = {"action": "wait", "subject": clerk.break_of(3, "X9"), "points": 0, "until": "2026-11-30"}
    clerk.office.now += timedelta(minutes=1)
    with clerk.desk() as desk:
        assert own(decide_all(desk, [told_of, other], reason="shared out"))[0] is OutcomeState.POSTED
    states = clerk.office.sql("SELECT state, owner, until FROM book.break_state ORDER BY state").rows()
    assert states == [(2, "A. Example", None), (3, None, date(2026, 11, 30))]
