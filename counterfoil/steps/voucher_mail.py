"""Vouchers in letters: their codes as a letter leaves, the note that it has, and asking for it again.

Here: all three. Not here: which letters there are (``ledger.voucher_letters``), opening codes (``steps.vouchers``), or
sending.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from counterfoil.clock import local_date
from counterfoil.errors import CounterfoilError
from counterfoil.feed import FeedKind
from counterfoil.landing.mail_records import LetterState
from counterfoil.ledger import voucher_letters
from counterfoil.ledger.voucher_letters import letters_of
from counterfoil.letters import RESENT, Letter, LetterKind, Revealed
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import Settled
from counterfoil.steps.vouchers import both, issue, note_delivered, reveal, send_again

_BEHIND: Final = (
    LetterState.WAITING, LetterState.SENDING, LetterState.REFUSED, LetterState.UNSURE, LetterState.BOUNCED,
    LetterState.SENT,
)  # fmt: skip
"""Where letters stand, the furthest behind first."""


def revealed(desk: Desk, letters: Sequence[Letter], troubles: list[CounterfoilError]) -> list[Letter]:
    """The letters, those that bring vouchers with their codes; one whose codes cannot all be opened is left out, and
    why is among the troubles."""
    postings = sorted({letter.posting for letter in letters if letter.kind is LetterKind.VOUCHER})
    if not postings:
        return list(letters)
    with desk.book.reading() as book:
        told = pl.concat([letters_of(book, n - 1, n) for n in postings])
    opened = reveal(desk, told["vouchers"].explode().drop_nulls().to_list(), troubles)
    known = {voucher: Revealed(code, pin) for voucher, code, pin in opened.iter_rows()}
    brought = {
        key: tuple(known[one] for one in ids)
        for key, ids in told.select("letter_key", "vouchers").iter_rows()
        if known.keys() >= set(ids)
    }
    ready = []
    for letter in letters:
        if letter.kind is not LetterKind.VOUCHER:
            ready.append(letter)
        elif (codes := brought.get(letter.letter_key.split(RESENT)[0])) is not None:
            ready.append(replace(letter, codes=codes))
    return ready


def undelivered(desk: Desk, *, bounced: bool) -> pl.DataFrame:
    """Orders whose vouchers nobody is known to have got (``voucher_letters.undelivered``) with ``letter``: where the
    newest letter stands that brings them, of several the one that is furthest behind. ``bounced``: also those whose
    letter has gone and come back."""
    outbox = desk.index.outbox
    with desk.book.reading() as book:
        found = voucher_letters.undelivered(book, outbox.bounced_vouchers() if bounced else ())
    states = outbox.newest(found["reference"].to_list())
    # One that the outbox does not know yet is written by the next run.
    rows = ([states.get(key, LetterState.WAITING) for key in keys] for keys in found["letters"])
    letter = pl.Series([min(stands, key=_BEHIND.index) for stands in rows], dtype=pl.String)
    return found.with_columns(letter=pl.when(pl.col("recipient").is_not_null()).then(letter))


def recover(desk: Desk, day: date, *, unsure: bool) -> tuple[list[str], Settled]:
    """Make what codes are missing, and ask for letters with vouchers whose newest letter was refused: the references of
    those that were posted. One that is yet to leave goes by itself, and would bring the same codes twice; so may one
    that is ``unsure``, unless somebody wishes it."""
    settled = issue(desk, day)
    wanted = [LetterState.REFUSED, *([LetterState.UNSURE] if unsure else [])]
    lost = undelivered(desk, bounced=False).filter(pl.col("letter").is_in(wanted))
    asked = send_again(desk, dict(lost.select("reference", "resent").iter_rows()), day)
    with desk.book.reading() as book:
        posted = [letters_of(book, one.n - 1, one.n)["reference"] for one in asked.postings]
    return sorted({ref for refs in posted for ref in refs}), both(settled, asked)


def note_sent(desk: Desk) -> None:
    """Note in the book that the vouchers of an order have gone, once all its letters were sent, whichever run did."""
    if not desk.feeds([FeedKind.VOUCHERS]):
        return
    sent = undelivered(desk, bounced=False).filter(pl.col("letter") == LetterState.SENT)["reference"]
    note_delivered(desk, sent.sort(), local_date(desk.now(), desk.settings.zone))
