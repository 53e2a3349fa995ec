"""What the book says of accounts, postings and matches."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl
import pytest

from counterfoil.errors import CounterfoilError
from counterfoil.feed import FeedKind
from counterfoil.ledger import extracts
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.compose import stages
from counterfoil.ledger.known import Reach
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.ledger.tables import BOOK_SCHEMA
from counterfoil.ledger.work import Work
from counterfoil.ledger.writing import Entitled, Writer
from counterfoil.protocols import Marks, Parsed
from counterfoil.reconcile import balance
from counterfoil.reports.facts import SCHEMAS
from counterfoil.schemas.tables import ACCEPTED, CONTROL, QUARANTINED, empty
from counterfoil.settings import ProgrammeSettings
from tests.ledger.weeks import DAYS, MONDAY, TUESDAY, WEDNESDAY

Posts = Callable[..., Any]


def test_each_answer_is_matched_once_by_one_pass(week_book: Lookups) -> None:
    numbers = extracts.postings_of(week_book, TUESDAY)["n"]
    assert extracts.matches(week_book, numbers).drop("partner").rows() == [
        ("duplicate", 1, 80, 80, 0),
        ("exact", 7, 1390, 1390, 0),
        ("tolerance", 1, 500, 497, 3),
        ("unmatched_theirs", 5, 580, 1600, -1020),
    ]
    accepted = extracts.stage1(week_book, numbers).filter(pl.col("feed") == "p_handback")["accepted"].sum()
    assert extracts.matches(week_book, numbers)["count"].sum() == accepted


def test_answers_after_the_end_and_before_the_request_have_passes_of_their_own(week_book: Lookups) -> None:
    numbers = extracts.postings_of(week_book, WEDNESDAY)["n"]
    assert extracts.matches(week_book, numbers).drop("partner").rows() == [
        ("duplicate", 1, 100, 100, 0),
        ("exact", 2, 700, 700, 0),
        ("settled_key", 1, 300, 300, 0),
        ("theirs_first", 2, 970, 970, 0),
    ]


def test_a_posting_shows_the_breaks_it_opened_and_cleared(week_book: Lookups) -> None:
    numbers = extracts.postings_of(week_book, WEDNESDAY)["n"]
    assert extracts.break_counts(week_book, numbers).drop("title").rows() == [
        ("B02", 1, 0), ("B03", 0, 2), ("B04", 0, 1), ("B07", 1, 0), ("B08", 1, 0), ("B09", 1, 0),
    ]  # fmt: skip


def test_balances_are_as_of_a_value_date_and_members_are_masked(week_book: Lookups) -> None:
    monday = extracts.balances(week_book, Reach(as_of=MONDAY), "p")
    assert monday.select("kind", "accounts", "balance").rows() == [
        ("in_flight", 1, 3080), ("member", 4, -3030), ("payable", 1, -50), ("suspense", 1, 0),
    ]  # fmt: skip
    each = extracts.balances(week_book, Reach(), None, each_member=True).filter(pl.col("kind") == "member")
    assert each.select("owner", "balance").rows() == [
        ("···001", -3157), ("···002", -80), ("···003", -90), ("···004", -60),
    ]  # fmt: skip
    assert extracts.balances(week_book, Reach(), "nobody").is_empty()
    assert extracts.suspense(week_book, "p") == 0


def test_a_number_too_short_to_hide_is_hidden_whole() -> None:
    shown = pl.DataFrame({"member": ["12345", "123", "", None]}).select(extracts.masked("member"))
    assert shown["member"].to_list() == ["···345", "···", "···", None]


@pytest.mark.parametrize(
    "reach", [*(Reach(as_of=day) for day in DAYS), *(Reach(period_end=day) for day in DAYS), Reach(n=3), Reach()]
)
def test_the_trial_balance_is_zero_on_every_day(week_book: Lookups, rulebook: Rulebook, reach: Reach) -> None:
    found = extracts.trial_balance(week_book, reach, chart=rulebook.chart)
    assert found["debit"].sum() == found["credit"].sum() > 0
    assert ("2450", "Redemption clearing", "in_flight", "p", "points") in found.drop("debit", "credit").rows()


def test_a_trial_balance_that_the_chart_cannot_name_is_refused(week_book: Lookups, rulebook: Rulebook) -> None:
    accounts = {kind: account for kind, account in rulebook.chart.accounts.items() if kind != "member"}
    with pytest.raises(CounterfoilError, match="RULES_INVALID"):
        extracts.trial_balance(week_book, Reach(), chart=rulebook.chart.model_copy(update={"accounts": accounts}))


def test_a_file_shows_its_figures_controls_and_quarantine(
    make_book: Callable[[], Book], make_feed: Posts, rulebook: Rulebook
) -> None:
    book = make_book()
    feed = make_feed("requests")
    accepted = pl.DataFrame(
        [(2, "A", "M1", 10, MONDAY, None), (3, "B", "M1", -4, MONDAY, None)],
        orient="row",
        schema=dict(ACCEPTED[FeedKind.REQUESTS]),
    )
    bad = pl.DataFrame(
        [(4, "NUL_BYTE", None, b"\0", None), (5, "LINE_LENGTH", None, b"", None)],
        orient="row",
        schema=dict(QUARANTINED),
    )
    control = pl.DataFrame({"name": ["records_header"], "declared": [4], "computed": [4], "holds": [True]})
    parsed = Parsed(
        marks=Marks(MONDAY, "", None, empty=False),
        lines=5,
        envelope_lines=1,
        accepted=accepted,
        quarantined=bad,
        control=empty(CONTROL).vstack(control),
    )
    with book.writing(purpose="test") as writer:
        posted(writer, feed.feed, parsed, rulebook, make_feed)
        numbers = pl.Series("n", [1])
        figures_of = extracts.stage1(writer, numbers).row(0, named=True)
        assert {name: figures_of[name] for name in SCHEMAS["stage1"]} == dict.fromkeys(SCHEMAS["stage1"], 0) | {
            "posting": 1, "feed": feed.feed, "name": "file.txt", "lines": 5, "envelope_lines": 1, "records": 4,
            "accepted": 2, "quarantined": 2, "settled": 2, "points_net": 6, "points_positive": 10,
            "points_negative": -4,
        }  # fmt: skip
        assert extracts.controls(writer, numbers).rows() == [(7, feed.feed, "file.txt", "records_header", 4, 4, True)]
        assert extracts.quarantine(writer, numbers).rows() == [
            (7, feed.feed, "file.txt", "LINE_LENGTH", 1),
            (7, feed.feed, "file.txt", "NUL_BYTE", 1),
        ]
        assert extracts.controls(writer, pl.Series("n", [2])).is_empty()


def posted(writer: Writer, feed: str, parsed: Parsed, rulebook: Rulebook, make_feed: Posts) -> None:
    """Post one file as delivery 7."""
    contract = make_feed("requests")
    work = Work(
        feed=contract, accepted=parsed.accepted, file_id=1, business_date=MONDAY, on_day=MONDAY,
        policy=ProgrammeSettings(), rules=rulebook.rules, chart=rulebook.chart, schema=BOOK_SCHEMA, sender="test",
        payload_sha="0" * 64,
    )  # fmt: skip
    writer.post(
        Entitled(
            n=1, delivery=7, feed=feed, kind="requests", partner="p", name="file.txt", identity=str(MONDAY), epoch="",
            sequence=None, business_date=MONDAY, on_day=MONDAY, payload_sha="0" * 64, run_id="test", actor="test",
            posted_at=datetime(2026, 11, 16, 22, tzinfo=UTC).replace(tzinfo=None), software="test", verdict="new",
            book_schema=BOOK_SCHEMA, sender="test",
        ),
        stages(work, writer, identity=str(MONDAY), skipped=[]),
        figures=partial(balance.stage_one, parsed),
        controls=parsed.control,
        rules=rulebook.rules,
        rule_hashes=rulebook.hashes,
        seal=lambda: "record",
    )  # fmt: skip
