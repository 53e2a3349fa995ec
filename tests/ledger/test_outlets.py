"""Stage 2 of the mass balance: every outcome is accounted for on both sides, and what is not is found."""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import polars as pl
import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.model import Event
from counterfoil.ledger.outlets import OUTLETS, STAGE_TWO, ZERO, stage_two, unaccounted
from counterfoil.ledger.store import Book
from counterfoil.ledger.updates import updates
from counterfoil.ledger.writing import Posted
from counterfoil.reports.facts import SCHEMAS

MON = date(2026, 11, 16)
LAST = 15
HAND_BACKS = (4, 7, 10, 12, 14)
CRM = [("b1", 0, 4, True), ("b2", 4, 8, True), ("b3", 8, 12, False)]
JOURNALS = [("j1", 0, 6), ("j2", 6, 11)]


@pytest.fixture(scope="module")
def stage(story: Book) -> pl.DataFrame:
    with story.reading() as read:
        return stage_two(read, from_n=0, to_n=LAST, crm=CRM, journals=JOURNALS)


def found(stage: pl.DataFrame, posting: int, side: str) -> list[tuple[Any, ...]]:
    columns = ("event", "records", "in_batch", "pending", "none", "cause", "batch")
    return list(stage.filter((pl.col("posting") == posting) & (pl.col("side") == side)).select(columns).iter_rows())


def test_every_event_says_what_it_owes_to_either_side(rulebook: Rulebook) -> None:
    assert set(OUTLETS) == set(Event)
    booking = {event for event in Event if rulebook.rules.moves(event)}
    assert {event for event, outlet in OUTLETS.items() if outlet.journal is None} == booking


def test_every_outcome_of_the_story_is_accounted_for(story: Book, stage: pl.DataFrame) -> None:
    assert unaccounted(stage) == 0
    assert dict(stage.schema) == STAGE_TWO == SCHEMAS["stage2"]
    with story.reading() as read:
        row = read.row("SELECT count(*) FROM book.disposition")
    for side in ("crm", "journal"):
        assert row == (stage.filter(pl.col("side") == side)["records"].sum(),)


def test_a_hand_back_side_by_side(stage: pl.DataFrame) -> None:
    differs, unknown = "stays open until the difference is agreed", "no request of ours"
    assert found(stage, 4, "crm") == [
        ("accepted", 1, 1, 0, 0, None, "b1"),
        ("rejected", 1, 1, 0, 0, None, "b1"),
        ("held", 1, 1, 0, 0, None, "b1"),
        ("amount_differs", 1, 0, 0, 1, differs, None),
        ("unknown_accepted", 3, 0, 0, 3, unknown, None),
        ("unknown_other", 2, 0, 0, 2, unknown, None),
    ]
    assert found(stage, 4, "journal") == [
        ("accepted", 1, 1, 0, 0, None, "j1"),
        ("rejected", 1, 1, 0, 0, None, "j1"),
        ("held", 1, 0, 0, 1, "held, the points stay in flight", None),
        ("amount_differs", 1, 0, 0, 1, differs, None),
        ("unknown_accepted", 3, 2, 0, 1, ZERO, "j1"),
        ("unknown_other", 2, 0, 0, 2, unknown, None),
    ]


def test_requests_have_their_members_balance_or_wait(stage: pl.DataFrame) -> None:
    again = "the same request again"
    assert found(stage, 3, "crm") == [
        ("request", 4, 4, 0, 0, None, "b1"),
        ("duplicate_request", 1, 0, 0, 1, again, None),
    ]
    assert found(stage, 9, "crm") == [("request", 2, 0, 0, 2, "awaiting the answer", None)]
    assert found(stage, 2, "crm") == [
        ("opening_balance", 3, 2, 0, 1, "no member's balance", "b1"),
        ("opening_item", 1, 0, 0, 1, "awaiting the answer", None),
    ]


def test_a_range_that_is_not_written_or_not_reached_is_pending(stage: pl.DataFrame) -> None:
    assert found(stage, 12, "crm") == [
        ("accepted", 1, 0, 1, 0, None, None),
        ("reversed", 1, 0, 1, 0, None, None),
        ("accepted_after_end", 1, 0, 0, 1, "the request had ended, a decision is due", None),
    ]
    assert found(stage, 14, "journal") == [
        ("accepted", 1, 0, 1, 0, None, None),
        ("recall_accepted", 1, 0, 1, 0, None, None),
    ]


def test_the_range_limits_the_postings(story: Book) -> None:
    with story.reading() as read:
        one = stage_two(read, from_n=3, to_n=4, crm=[], journals=[])
    assert one["posting"].unique().to_list() == [4]
    assert one["in_batch"].sum() == 0
    assert unaccounted(one) == 0


def test_what_is_told_has_its_keys_in_the_updates(story: Book) -> None:
    """Each outcome that must be told by its own key is a redemption of its posting's updates."""
    must = {event.name.lower() for event, outlet in OUTLETS.items() if outlet.crm is None}
    with story.reading() as read:
        for n in HAND_BACKS:
            stage = stage_two(read, from_n=n - 1, to_n=n, crm=[("b", n - 1, n, True)], journals=[])
            told = stage.filter((pl.col("side") == "crm") & pl.col("event").is_in(list(must)))["in_batch"].sum()
            assert told == updates(read, n - 1, n).redemptions.height > 0, n


@pytest.mark.parametrize(
    ("harm", "side"),
    [
        ("DELETE FROM book.entry WHERE file_id = 3 AND line_no = 2", "journal"),
        ("UPDATE book.disposition SET event = 13 WHERE file_id = 3 AND line_no = 2", "crm"),
    ],
)
def test_an_outcome_that_is_nowhere_is_found(
    harm: str,
    side: str,
    make_book: Callable[[], Book],
    make_feed: Callable[..., Feed],
    post: Callable[..., Posted],
) -> None:
    with make_book().writing(purpose="test") as writer:
        post(writer, make_feed("rates"), [{"minor": 50}], MON)
        post(
            writer,
            make_feed("requests", source="issued"),
            [{"ref": "R1", "points": 9}, {"ref": "R2", "points": 8}],
            MON,
        )
        post(writer, make_feed("handback"), [{"ref": "R1", "points": 9}, {"ref": "R2", "points": 8}], MON)
        look = partial(stage_two, writer, from_n=0, to_n=3, crm=[("b", 0, 3, True)], journals=[("j", 0, 3)])
        assert unaccounted(look()) == 0
        writer.row(harm)
        stage = look()
    assert unaccounted(stage) == 1
    assert unaccounted(stage.filter(pl.col("side") == side)) == 1


def test_one_journal_holds_a_posting_and_each_target_a_batch(story: Book) -> None:
    with story.reading() as read:
        with pytest.raises(PermanentError) as raised:
            stage_two(read, from_n=0, to_n=LAST, crm=[], journals=[("a", 0, 5), ("b", 4, 9)])
        stage = stage_two(read, from_n=3, to_n=4, crm=[("y", 0, 4, True), ("x", 3, 5, True)], journals=[])
    assert raised.value.code is Code.MASS_BALANCE
    assert unaccounted(stage) == 0
    assert found(stage, 4, "crm")[0] == ("accepted", 1, 1, 0, 0, None, "x y")
