"""What a CRM is told: newest states and balances, the same for a range however it is split and whatever comes later."""

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from connectors.crm.mapping import CANONICAL
from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.ledger.model import Event, State
from counterfoil.ledger.store import Book
from counterfoil.ledger.updates import PLAIN, updates
from counterfoil.ledger.writing import Posted
from counterfoil.protocols import Updates

Told = tuple[Book, dict[tuple[int, int], Updates], dict[tuple[int, int], pl.DataFrame]]
MON, TUE, WED = (date(2026, 11, day) for day in (16, 17, 18))
LAST = 15


def table(frame: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return list(frame.select(columns).iter_rows())


def test_each_request_is_told_once_with_its_newest_state(story: Book) -> None:
    with story.reading() as read:
        told = updates(read, 0, LAST).redemptions
    assert table(told, "event_key", "status", "points", "answered", "answered_on", "reason", "posting") == [
        ("p:K1", "confirmed", -15, -15, WED, None, 14),
        ("p:O1", "confirmed", 40, 40, MON, None, 12),
        ("p:R1", "reversed", 101, 0, WED, None, 12),
        ("p:R2", "rejected", 61, None, MON, "07", 4),
        ("p:R3", "confirmed", 51, 51, MON, None, 7),
        ("p:X1", "confirmed", 25, 25, MON, None, 8),
        ("p:X2", "rejected", 9, None, MON, "w2", 8),
        ("p:X3", "confirmed", 8, 8, WED, None, 14),
        ("q:R1", "confirmed", 11, 11, TUE, None, 10),
    ]


def test_a_range_tells_what_it_changed_and_no_more(story: Book) -> None:
    with story.reading() as read:
        told = updates(read, 5, 8)
    assert table(told.redemptions, "event_key", "status", "answered", "answered_on", "reason") == [
        ("p:R1", "reversed", 61, TUE, "r1"),
        ("p:R3", "confirmed", 51, MON, None),
        ("p:X1", "confirmed", 25, MON, None),
        ("p:X2", "rejected", None, MON, "w2"),
        ("p:X3", "held", None, MON, "w3"),
    ]
    assert table(told.balances, "event_key", "member", "unit", "balance", "last_activity", "posting") == [
        ("p:M1:points", "M1", "points", 1001 - 101 + 40 - 25 - 8 - 6, TUE, 8)
    ]


def test_frames_have_the_declared_columns(story: Book) -> None:
    with story.reading() as read:
        for told in (updates(read, 0, LAST), updates(read, LAST, LAST)):
            assert dict(told.redemptions.schema) == CANONICAL["redemptions"]
            assert dict(told.balances.schema) == CANONICAL["balances"]
            assert told.redemptions["event_key"].is_sorted()
            assert told.balances["event_key"].is_sorted()


def test_later_postings_change_nothing(told: Told) -> None:
    book, then, _ = told
    with book.reading() as read:
        for (low, high), expected in then.items():
            now = updates(read, low, high)
            assert now.redemptions.equals(expected.redemptions), (low, high)
            assert now.balances.equals(expected.balances), (low, high)


def test_two_ranges_tell_in_the_end_what_one_tells(story: Book) -> None:
    balances = ["event_key", "member", "unit", "balance"]
    with story.reading() as read:
        whole = updates(read, 0, LAST)
        for cut in range(1, LAST):
            parts = updates(read, 0, cut), updates(read, cut, LAST)
            assert upserted([part.redemptions for part in parts]).equals(whole.redemptions), cut
            told = upserted([part.balances for part in parts])
            assert told.select(balances).equals(whole.balances.select(balances)), cut


def upserted(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).unique("event_key", keep="last", maintain_order=True).sort("event_key")


def test_states_are_those_of_the_book(story: Book) -> None:
    """Read another way: the newest settled key of every request, and the open ones on hold."""
    with story.reading() as read:
        ended = read.frame(
            """SELECT p.partner || ':' || i.ref AS event_key, arg_max(k.state, k.file_id) AS state
               FROM book.item i JOIN book.partner p ON p.partner_id = i.partner_id
               JOIN book.settled_key k ON k.item_id = i.item_id WHERE i.side = 1 GROUP BY ALL"""
        )
        held = read.frame(
            f"""SELECT p.partner || ':' || o.ref AS event_key, o.state FROM book.open_item o
                JOIN book.partner p ON p.partner_id = o.partner_id WHERE o.side = 1 AND o.state = {State.HELD:d}"""
        )
        told = updates(read, 0, LAST).redemptions
    expected = {key: State(state).name.lower() for key, state in pl.concat([ended, held]).iter_rows()}
    assert dict(told.select("event_key", "status").iter_rows()) == expected


@pytest.mark.parametrize("upto", [2, 3, 7, LAST])
def test_balances_are_the_entries_up_to_their_posting(story: Book, upto: int) -> None:
    with story.reading() as read:
        entries = read.frame(
            f"""SELECT a.owner, CAST(sum(e.amount) AS BIGINT) AS balance FROM book.entry e
                JOIN book.account a ON a.account_id = e.account_id
                WHERE a.kind = 'member' AND e.file_id <= {upto} GROUP BY a.owner ORDER BY a.owner"""
        )
        told = updates(read, 0, upto).balances
    assert table(told, "member", "balance") == table(entries, "owner", "balance")


def test_a_reference_used_again_after_its_lifetime_is_one_key(
    make_book: Callable[[], Book], make_feed: Callable[..., Feed], post: Callable[..., Posted]
) -> None:
    """A CRM has one record for it, so two rows under one key could overtake each other."""
    book, later = make_book(), date(2027, 3, 1)
    asks = make_feed("requests", reference_lifetime_days=30)
    answers = make_feed("handback", reference_lifetime_days=30)
    with book.writing(purpose="test") as writer:
        post(writer, asks, [{"ref": "R1", "points": 10}], MON)
        post(writer, answers, [{"ref": "R1", "points": 10}], MON)
        post(writer, asks, [{"ref": "R1", "points": 20}], later)
        post(writer, answers, [{"ref": "R1", "points": 20, "outcome": "rejected"}], later)
        told = updates(writer, 0, 4).redemptions
    assert table(told, "event_key", "status", "points", "posting") == [("p:R1", "rejected", 20, 4)]


def test_a_change_without_its_answer_is_refused(
    make_book: Callable[[], Book], make_feed: Callable[..., Feed], post: Callable[..., Posted]
) -> None:
    book = make_book()
    with book.writing(purpose="test") as writer:
        post(writer, make_feed("requests"), [{"ref": "R1", "points": 10}], MON)
        post(writer, make_feed("handback"), [{"ref": "R1", "points": 10}], MON)
        writer.row("INSERT INTO book.settled_key SELECT item_id, 4, 0, 0, NULL, month, 2, 9 FROM book.settled_key")
        with pytest.raises(PermanentError) as raised:
            updates(writer, 0, 2)
    assert raised.value.code is Code.MASS_BALANCE


def test_plain_answers_lead_to_one_state() -> None:
    """Answers after which the state depends on what it was before must not be told from the answer alone."""
    assert PLAIN[Event.ACCEPTED] is State.CONFIRMED
    assert PLAIN[Event.HELD] is State.HELD
    assert not {Event.AMOUNT_DIFFERS, Event.REVERSED, Event.CONFLICT, Event.UNKNOWN_ACCEPTED} & set(PLAIN)
