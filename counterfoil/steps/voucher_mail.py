"""Vouchers in letters: their codes as a letter leaves, and the note that it has.

Here: both. Not here: which letters there are (``ledger.voucher_letters``), opening codes (``steps.vouchers``), sending.
"""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from counterfoil.clock import local_date
from counterfoil.feed import FeedKind
from counterfoil.ledger.voucher_letters import letters_of, undelivered
from counterfoil.letters import RESENT, Letter, LetterKind, Revealed
from counterfoil.steps.desk import Desk
from counterfoil.steps.vouchers import note_delivered, reveal


def revealed(desk: Desk, letters: Sequence[Letter]) -> list[Letter]:
    """The letters, those that bring vouchers with their codes; SECRET_MISSING, PAYLOAD_DAMAGED."""
    postings = sorted({letter.posting for letter in letters if letter.kind is LetterKind.VOUCHER})
    if not postings:
        return list(letters)
    with desk.book.reading() as book:
        told = pl.concat([letters_of(book, n - 1, n) for n in postings])
    opened = reveal(desk, told["vouchers"].explode().drop_nulls().to_list())
    known = {voucher: Revealed(code, pin) for voucher, code, pin in opened.iter_rows()}
    brought = {key: tuple(known[one] for one in ids) for key, ids in told.select("letter_key", "vouchers").iter_rows()}
    return [
        replace(letter, codes=brought[letter.letter_key.split(RESENT)[0]])
        if letter.kind is LetterKind.VOUCHER
        else letter
        for letter in letters
    ]


def note_sent(desk: Desk) -> None:
    """Note in the book that the vouchers of an order have gone, once all its letters were sent, whichever run did."""
    if not desk.feeds([FeedKind.VOUCHERS]):
        return
    with desk.book.reading() as book:
        waiting = undelivered(book)["reference"].to_list()
    sent = [one for one, done in desk.index.outbox.vouchers_of(waiting).items() if done] if waiting else []
    note_delivered(desk, sorted(sent), local_date(desk.now(), desk.settings.zone))
