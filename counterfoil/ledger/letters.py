"""Who is to hear by letter of what a range of postings did.

Here: the sources of letters, each a function of a book and a range, and their union. Not here: names and texts that
the book does not hold, what a letter says (``campaigns``), or sending it (``steps.mailing``).
"""

from collections.abc import Callable
from typing import Final

import polars as pl

from counterfoil.ledger import point_letters, voucher_letters
from counterfoil.ledger.lookups import Lookups
from counterfoil.letters import joined

LetterSource = Callable[[Lookups, int, int], pl.DataFrame]
"""The letters (LETTERS) that postings ``from_n`` (exclusive) to ``to_n`` (inclusive) call for: the same ones for ever,
whatever is posted later."""

SOURCES: Final[tuple[LetterSource, ...]] = (
    point_letters.of_distributions,
    point_letters.of_budgets,
    voucher_letters.mailed,
)
"""One for each thing that people are told of."""


def letters(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """All letters of a range of postings: LETTERS, by key. Raises MASS_BALANCE where a source breaks that contract."""
    return joined([source(book, from_n, to_n) for source in SOURCES])
