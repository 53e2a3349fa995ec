"""The cause of each kind of break, asked of real books; what the causes add up to, and what they must not say."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import polars as pl
import pytest

from counterfoil.feed import Window
from counterfoil.ledger import break_causes, open_breaks
from counterfoil.ledger.known import known
from counterfoil.ledger.store import Book
from counterfoil.reconcile import breaks
from counterfoil.reconcile.cause import Cause
from counterfoil.reconcile.causes import GROUPED
from tests.plugins.books import MON, TUE, WED, MakeBook, MakeFeed, PostRows

DAY = date(2026, 11, 20)
"""The day that is asked about: after everything."""

MISSING, HELD = "missing", "held"


class File(NamedTuple):
    """A file of a scenario."""

    partner: str
    kind: str
    day: date
    rows: Sequence[dict[str, Any]]


def ask(*rows: tuple[Any, ...], partner: str = "p", day: date = MON) -> File:
    names = ("ref", "points", "member", "value_date")
    return File(partner, "requests", day, [dict(zip(names, row, strict=False)) for row in rows])


def say(*rows: tuple[Any, ...], partner: str = "p", day: date = TUE, **more: Any) -> File:
    names = ("ref", "points", "member", "outcome", "reason", "to_account")
    return File(partner, "handback", day, [dict(zip(names, row, strict=False)) | more for row in rows])


def close(day: date, status: str = "received", feed: str = "p_handback", partner: str = "p") -> File:
    row = {"day": day, "feed": feed, "partner": partner, "status": status}
    return File("counterfoil", "calendar", day, [row])


class Standing:
    """A book after the files of a scenario."""

    def __init__(self, book: Book, feeds: Sequence[Any]) -> None:
        self.book, self.feeds = book, feeds

    def told(self, day: date = DAY, partner: str | None = None) -> dict[tuple[str, str], tuple[str, str]]:
        """Cause and change by code and reference."""
        with self.book.reading() as book:
            at = known(book, day)
            listed = open_breaks.open_breaks(book, at, partner)
            found = break_causes.of_breaks(book, at, partner, feeds=self.feeds)
        assert found.select("break_id", "cause", "change").null_count().sum_horizontal().item() == 0
        assert found["break_id"].to_list() == listed["break_id"].sort().to_list(), "each open break once"
        rows = listed.join(found, on="break_id").select("code", pl.coalesce("our_ref", "their_ref"), "cause", "change")
        return {(code, ref): (cause, change) for code, ref, cause, change in rows.iter_rows()}

    def causes(self, day: date = DAY) -> dict[str, str]:
        """Causes by reference, where each has one break."""
        told = self.told(day)
        assert len({ref for _, ref in told}) == len(told)
        return {ref: cause for (_, ref), (cause, _) in told.items()}

    def grouped(self, day: date = DAY) -> pl.DataFrame:
        with self.book.reading() as book:
            return break_causes.grouped(book, known(book, day), feeds=self.feeds)

    def candidates(self) -> dict[str, str | None]:
        """The reference that each unknown answer would meet, by its own."""
        with self.book.reading() as book:
            found = break_causes.of_breaks(book, known(book, DAY), feeds=self.feeds)
            named = book.frame(
                """SELECT b.subject, i.ref FROM book.break b JOIN found f ON f.break_id = b.break_id
                   LEFT JOIN book.item i ON i.item_id = f.candidate_item_id WHERE b.code = 3""",
                found=found,
            )
        return dict(named.iter_rows())


Stand = Callable[..., Standing]


@pytest.fixture(scope="module")
def stand(make_book: MakeBook, make_feed: MakeFeed, post: PostRows) -> Stand:
    """``stand(file, …, handback={…})``: a book after these files, one a posting, with changes to feeds by kind."""

    def make(*files: File, **changes: dict[str, Any]) -> Standing:
        book, feeds = make_book(), {}
        with book.writing(purpose="test") as writer:
            for file in files:
                feed = make_feed(file.kind, partner=file.partner, **changes.get(file.kind, {}))
                post(writer, feed, file.rows, file.day)
                for kind in ("requests", "handback"):
                    known_feed = make_feed(kind, partner=file.partner, **changes.get(kind, {}))
                    feeds[known_feed.feed] = known_feed
        return Standing(book, list(feeds.values()))

    return make


ALL = (
    ask(("A", 100, "M1000001"), ("B", 200, "M1000001"), ("REF-1000451", 300, "M1000002"), ("D", 60, "M1000002")),
    ask(("R7", 40, "M1000001"), partner="q"),
    say(
        ("A", 90, "M1000001"),
        ("B", 200, "M1000001", "rejected", "07"),
        ("REF-10004", 300, "M1000002"),
        ("R7", 40, "M1000003"),
        ("Z", 60, "M1000002"),
        ("Y", 9, "M1000009"),
    ),
    close(MON),
    close(TUE, MISSING),
    close(WED),
    close(WED + timedelta(days=1)),
    close(DAY),
)
"""A little of everything."""


@pytest.fixture(scope="module")
def everything(stand: Stand) -> Standing:
    return stand(*ALL)


def test_causes_add_up_to_the_breaks(everything: Standing) -> None:
    grouped = everything.grouped()
    assert grouped.columns == list(GROUPED)
    with everything.book.reading() as book:
        listed = open_breaks.open_breaks(book, known(book, DAY))
    one_each = grouped.explode("break_ids")
    assert one_each["break_ids"].sort().to_list() == listed["break_id"].sort().to_list()
    assert (grouped["breaks"].sum(), grouped["points"].sum()) == (
        listed.height,
        listed.select(breaks.at_stake().sum()).item(),
    )
    assert grouped["weight"].is_sorted(descending=True)
    assert all(row["example"] in row["break_ids"] for row in grouped.to_dicts())


def test_no_order_of_rows_changes_anything(stand: Stand, everything: Standing) -> None:
    turned = (file._replace(rows=file.rows[::-1]) for file in ALL)
    assert stand(*turned).grouped().equals(everything.grouped())


def test_a_change_names_no_member_and_no_reference(everything: Standing) -> None:
    text = " ".join(everything.grouped()["change"])
    assert "M1000" not in text
    assert "REF" not in text
    assert "R7" not in text


def test_one_partner_is_told_as_among_all(everything: Standing) -> None:
    of = {partner: everything.told(partner=partner) for partner in ("p", "q", "nobody")}
    assert {**of["p"], **of["q"]} == everything.told()
    assert of["nobody"] == {}


def test_one_break_is_told_as_among_all(everything: Standing) -> None:
    with everything.book.reading() as book:
        at = known(book, DAY)
        whole = break_causes.of_breaks(book, at, feeds=everything.feeds)
        for row in whole.iter_slices(1):
            assert break_causes.of_breaks(book, at, among=row["break_id"].to_list(), feeds=everything.feeds).equals(row)
        assert break_causes.of_breaks(book, at, among=[], feeds=everything.feeds).is_empty()


def test_a_past_day_keeps_its_causes(stand: Stand, everything: Standing) -> None:
    late = say(("D", 60), ("REF-1000451", 300), day=DAY + timedelta(days=1))
    after = stand(*ALL, late, ask(("Z", 60, "M1000002"), day=DAY + timedelta(days=1)))
    for day in (MON, TUE, WED, DAY):
        assert after.told(day) == everything.told(day)
    assert after.told(DAY + timedelta(days=1)) != everything.told(DAY)


def test_a_book_without_breaks_has_no_causes(stand: Stand) -> None:
    assert stand(ask(("A", 100))).grouped().is_empty()


@pytest.mark.parametrize("day", [MON, TUE, WED])
def test_every_break_of_the_story_has_one_cause(story: Book, day: date) -> None:
    assert Standing(story, []).told(day)


def test_the_same_difference_is_one_tariff(stand: Stand) -> None:
    sent = ask(("A", 100), ("B", 250), ("C", 40), ("D", 70), ("E", -60))
    book = stand(sent, say(("A", 97), ("B", 247), ("C", 37), ("D", 75), ("E", -57)))
    less = (Cause.POINTS_OFF, "our points less 3 at p: check the tariff")
    assert book.told() == {
        **{("B04", ref): less for ref in "ABCE"},
        ("B04", "D"): (Cause.POINTS_OFF, "our points plus 5 at p: check the tariff"),
    }
    first = book.grouped().row(0, named=True)
    assert (first["change"], first["breaks"], first["points"], first["codes"]) == (less[1], 4, 12, "B04")


def test_a_ratio_wins_where_it_explains_more_than_a_difference(stand: Stand) -> None:
    book = stand(
        ask(("A", 100), ("B", 250), ("C", 40), ("D", 100), ("E", 30)),
        say(("A", 90), ("B", 225), ("C", 36), ("D", 90), ("E", 20)),
    )
    ratio = (Cause.POINTS_RATIO, "our points times 9/10 at p: check the tariff or the rate")
    assert book.told() == {
        **{("B04", ref): ratio for ref in "ABCD"},
        ("B04", "E"): (Cause.POINTS_OFF, "our points less 10 at p: check the tariff"),
    }


def test_two_amounts_make_no_ratio(stand: Stand) -> None:
    book = stand(ask(("A", 100), ("B", 200), ("C", 100)), say(("A", 50), ("B", 100), ("C", 50)))
    assert set(book.causes().values()) == {Cause.POINTS_OFF}


def test_a_flipped_sign_is_no_tariff(stand: Stand) -> None:
    book = stand(ask(("A", 100), ("B", -40)), say(("A", -100), ("B", 40)))
    assert set(book.causes().values()) == {Cause.SIGN_FLIPPED}


def test_a_part_is_missing_where_answers_come_in_parts(stand: Stand) -> None:
    files = (ask(("A", 100), ("B", 80)), say(("A", 60), ("B", 90)))
    assert stand(*files, handback={"split_max": 3}).causes() == {"A": Cause.PART_MISSING, "B": Cause.POINTS_OFF}
    assert stand(*files).causes() == {"A": Cause.POINTS_OFF, "B": Cause.POINTS_OFF}


def test_a_tariff_is_seen_behind_parts(stand: Stand) -> None:
    files = (ask(("A", 100), ("B", 80), ("C", 60)), say(("A", 97), ("B", 77), ("C", 57)))
    assert set(stand(*files, handback={"split_max": 3}).causes().values()) == {Cause.POINTS_OFF}


def test_a_reference_that_is_nearly_ours(stand: Stand) -> None:
    book = stand(
        ask(("REF-1000451", 500), ("0001000452", 600), ("REF-1000453", 700), ("REF-1000454", 800)),
        say(("REF-10004", 500), ("1000452", 600), ("REF-1000435", 700), ("REF-2000454", 801)),
    )
    assert book.causes() == {
        "REF-10004": Cause.REF_TRUNCATED,
        "1000452": Cause.REF_SPELLED,
        "REF-1000435": Cause.REF_TYPED,
        "REF-2000454": Cause.NONE,
    }
    assert book.candidates() == {
        "REF-10004": "REF-1000451",
        "1000452": "0001000452",
        "REF-1000435": "REF-1000453",
        "REF-2000454": None,
    }


def test_what_a_reference_lacks_is_said(stand: Stand) -> None:
    book = stand(
        ask(("REF-1000451", 500), ("REF-2000452", 600), ("REF-3000453", 700)),
        say(("REF-10004", 500), ("REF-20004", 600), ("EF-3000453", 700)),
    )
    assert book.grouped().select("change", "breaks").rows() == [
        ("the last 2 characters of the reference at p: check the field's width", 2),
        ("the first character of the reference at p: check the field's width", 1),
    ]


def test_a_near_reference_of_another_member_is_not_ours(stand: Stand) -> None:
    book = stand(ask(("R1000451", 500, "M1")), say(("R1000461", 500, "M2"), ("R1000455", 500, "M1")))
    assert book.causes() == {"R1000461": Cause.NONE, "R1000455": Cause.REF_TYPED}


@pytest.mark.parametrize("theirs", ["R100045", "R1000450"])
def test_what_fits_two_requests_is_not_guessed(stand: Stand, theirs: str) -> None:
    book = stand(ask(("R1000451", 500), ("R1000452", 500)), say((theirs, 500)))
    assert book.causes() == {theirs: Cause.AMBIGUOUS}
    assert book.candidates() == {theirs: None}


def test_a_request_that_two_answers_want_is_not_guessed(stand: Stand) -> None:
    book = stand(ask(("R1000451", 500)), say(("R1000452", 500), ("R1000461", 500)))
    assert set(book.causes().values()) == {Cause.AMBIGUOUS}


def test_a_near_reference_goes_before_an_answer_that_only_has_the_member(stand: Stand) -> None:
    book = stand(ask(("R1000451", 500, "M1")), say(("R1000452", 500, "M1"), ("Z", 500, "M1")))
    assert book.causes() == {"R1000452": Cause.REF_TYPED, "Z": Cause.AMBIGUOUS}


def test_our_reference_under_another_member_is_a_merge_to_be_told(stand: Stand) -> None:
    book = stand(ask(("R1", 500, "M1"), ("R2", 70, "M1")), say(("R1", 500, "M9"), ("R2", 71, "M9")))
    assert book.causes() == {"R1": Cause.OTHER_MEMBER, "R2": Cause.NONE}
    assert book.candidates() == {"R1": "R1", "R2": None}


def test_our_reference_at_another_partner(stand: Stand) -> None:
    book = stand(
        ask(("R1", 500), ("S9", 30), partner="q"),
        ask(("T1", 30), partner="r"),
        ask(("S9", 30), partner="r"),
        say(("R1", 500, "M7"), ("S9", 30)),
    )
    told = book.told()
    assert told["B03", "R1"] == (Cause.OTHER_PARTNER, "requested of q, answered by p: check the partner code")
    assert told["B03", "S9"][0] == Cause.AMBIGUOUS
    assert book.told(partner="p") == told


def test_an_answer_that_only_its_member_and_points_tell_of(stand: Stand) -> None:
    book = stand(
        ask(("R1", 500, "M1"), ("R2", 600, "M1"), ("R3", 600, "M1"), ("R4", 70, "M2", MON - timedelta(days=30))),
        say(("one", 500, "M1"), ("two", 600, "M1"), ("old", 70, "M2"), ("hers", 500, "M3"), ("nobodys", 500)),
    )
    assert book.causes() == {
        "one": Cause.NO_REFERENCE,
        "two": Cause.AMBIGUOUS,
        "old": Cause.NONE,
        "hers": Cause.NONE,
        "nobodys": Cause.NONE,
    }
    assert book.candidates()["one"] == "R1"


@pytest.mark.parametrize(("days", "cause"), [(-8, "none"), (-7, "no_reference"), (7, "no_reference"), (8, "none")])
def test_the_window_is_seven_days_either_way(stand: Stand, days: int, cause: str) -> None:
    answered = TUE + timedelta(days=days)
    assert stand(ask(("R1", 500, "M1", TUE)), say(("other", 500, "M1"), value_date=answered)).causes() == {
        "other": cause
    }


def test_a_reversal_of_something_unknown_waits_for_no_open_request(stand: Stand) -> None:
    assert stand(ask(("R1000", 500)), say(("R1001", 500, None, "reversed"))).causes() == {"R1001": Cause.NONE}


def test_an_answer_to_a_request_without_cover(stand: Stand) -> None:
    book = stand(ask(("R1", 500)), say(("R1", 500)), requests={"beyond_balance": "refuse"})
    grouped = book.grouped()
    assert grouped.select("cause", "breaks", "codes").rows() == [(Cause.SHORT_BALANCE, 2, "B03, B16")]


def test_answers_again_are_told_by_the_two_files(stand: Stand) -> None:
    book = stand(
        ask(("R1", 500), ("R2", 40), ("R3", 7)),
        say(("R1", 500), ("R2", 40), ("R3", 7), ("R3", 7), ("Z", 90)),
        say(("R1", 500), ("R2", 40), ("Z", 90), day=WED),
    )
    told = book.told()
    again = "p_handback_3 (posting 3) at p answers again what p_handback_2 (posting 2) answered: refuse the second"
    assert {told["B07", ref] for ref in ("R1", "R2", "Z")} == {(Cause.ANSWERED_AGAIN, again)}
    assert told["B07", "R3"][1] == "p_handback_2 (posting 2) at p answers twice: refuse the second"


def test_rejections_are_told_by_reason(stand: Stand) -> None:
    book = stand(
        say(("R9", 5, None, "rejected", "07")),
        ask(("R1", 500), ("R2", 40), ("R3", 7), ("R9", 5)),
        say(("R1", 500, None, "rejected", "07"), ("R2", 40, None, "rejected", "08"), ("R3", 7, None, "rejected")),
        handback={"reason_texts": {"07": "Account closed"}},
    )
    assert dict(book.grouped().select("change", "breaks").iter_rows()) == {
        "rejection 07 at p: Account closed": 2,
        "rejection 08 at p: correct and send again": 1,
        "rejection without a reason at p: ask for it": 1,
    }


def test_a_missing_file_explains_what_is_overdue_while_it_was_due(stand: Stand) -> None:
    book = stand(
        ask(("R1", 500), ("R2", 40), ("R3", 7, "M1", MON - timedelta(days=9))),
        ask(("Q1", 500), partner="q"),
        close(MON),
        close(TUE, MISSING),
        close(WED, HELD, feed="p_requests"),
        requests={"answer_due_days": 1},
    )
    told = book.told()
    missing = (Cause.FILE_MISSING, "the file p_handback 2026-11-17 of p: ask for it")
    assert {told["B02", "R1"], told["B02", "R2"], told["B13", "p_handback:2026-11-17"]} == {missing}
    assert told["B02", "R3"] == (Cause.SILENT, "answers to the requests of 2026-11-07 at p: ask for them")
    assert told["B02", "Q1"] == (Cause.SILENT, "answers to the requests of 2026-11-16 at q: ask for them")
    assert told["B13", "p_requests:2026-11-18"][0] == Cause.FILE_MISSING
    top = book.grouped().row(0, named=True)
    assert (top["breaks"], top["points"], top["codes"], top["oldest_days"]) == (3, 540, "B02, B13", 4)
    assert top["weight"] == 540 * 5


def test_requests_again_and_requests_that_differ(stand: Stand) -> None:
    book = stand(ask(("R1", 500), ("R2", 40), ("R2", 40), ("R3", 7), ("R3", 8)), ask(("R1", 500), day=TUE))
    told = book.told()
    assert told["B08", "R1"] == (
        Cause.DUPLICATE_REQUEST,
        "requests of p_requests_2 (posting 2) to p under references used before: recall them",
    )
    assert told["B08", "R2"][0] == Cause.DUPLICATE_REQUEST
    assert told["B08", "R3"][0] == Cause.REFUSED_TWICE


def test_a_credit_to_another_of_our_members(stand: Stand) -> None:
    book = stand(
        ask(("R1", 500, "M1"), ("R2", 40, "M2")), say(("R1", 500, "M1", "accepted", None, "M2"), ("R2", 40, "M2"))
    )
    assert book.causes() == {"R1": Cause.MERGED_ELSEWHERE}


def test_conflicts_are_told_by_both_outcomes(stand: Stand) -> None:
    book = stand(
        ask(("R1", 500), ("R2", 40), ("R3", 7)),
        say(("R1", 500), ("R2", 40, None, "rejected"), ("R3", 7), ("R3", 7, None, "rejected")),
        say(("R1", 500, None, "rejected"), ("R2", 40), day=WED),
    )
    told = {ref: change for (code, ref), (_, change) in book.told().items() if code == "B11"}
    assert told == {
        "R1": "rejected after confirmed at p: agree the outcome",
        "R2": "accepted after rejected at p: agree the outcome",
        "R3": "accepted after another answer at p: agree the outcome",
    }


def test_dates_outside_the_window_are_told_by_days(stand: Stand) -> None:
    window = Window(early_days=0, late_days=0)
    book = stand(
        ask(("R1", 500), ("R2", 40), ("R3", 7)),
        say(("R1", 500), ("R2", 40), day=TUE),
        say(("R3", 7), day=WED),
        handback={"answer_window": window},
    )
    told = book.told()
    day = (Cause.DATE_SHIFTED, "value dates 1 day later at p: a time zone or cut-off")
    assert told == {
        ("B06", "R1"): day,
        ("B06", "R2"): day,
        ("B06", "R3"): (Cause.DATE_SHIFTED, "value dates 2 days later at p: check which date they send"),
    }


def test_parts_of_one_request_that_come_on_two_days_are_judged_together(stand: Stand) -> None:
    book = stand(ask(("R1", 500)), say(("R1", 100)), say(("R1", 200), day=WED), handback={"split_max": 3})
    assert set(book.grouped()["cause"]) == {Cause.PART_MISSING}


def test_an_answer_without_a_reference_is_told_by_its_suggestion(stand: Stand) -> None:
    month_ago = MON - timedelta(days=20)
    book = stand(
        ask(("R1", 500, "M1", month_ago), ("R2", 40, "M2"), ("R3", 40, "M2")),
        say((None, 500, "M1"), (None, 40, "M2"), (None, 9, "M3")),
        handback={"answer_window": Window(early_days=0, late_days=30)},
    )
    assert book.causes() == {"?2:2": Cause.NO_REFERENCE, "?2:3": Cause.AMBIGUOUS, "?2:4": Cause.NONE}
    assert book.candidates()["?2:2"] == "R1"


def test_sums_among_which_there_is_a_choice_are_ambiguous(stand: Stand) -> None:
    book = stand(
        ask(("R1", 100, "M1"), ("R2", 200, "M1"), ("R3", 150, "M1"), ("R4", 150, "M1")),
        say(("netto", 300, "M1"), day=MON),
        handback={"net_max": 3},
    )
    assert book.causes() == {"netto": Cause.AMBIGUOUS}
