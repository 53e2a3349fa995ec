"""The money that breaks are about: a partner's charge and what was paid for an order (B05), and an account beside the
general ledger (B15).

Here: one query for all. Not here: judging a charge (``charged``, ``charges``) or a balance (``gl_balances``), or which
breaks there are (``open_breaks``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger import charged
from counterfoil.ledger.charged import Frames
from counterfoil.ledger.gl_balances import unexplained
from counterfoil.ledger.model import BreakCode

AMOUNTS: Final = {
    "amount_ours_minor": pl.Int64,
    "amount_theirs_minor": pl.Int64,
    "amount_difference_minor": pl.Int64,
    "currency": pl.String,
}
"""Money of a break, ours less theirs; ours and the difference are null where no rate was in force, or where an order
was paid in another currency than its own."""


def of_breaks(broken: str, counts: str) -> str:
    """A query for the money of breaks: break_id, AMOUNTS, and what ``charged.of_breaks`` tells of a charge.

    ``broken`` is a query for rows of ``break``; ``counts`` a condition on ``file_id`` of charges.
    """
    return f"""{charged.of_breaks(broken, counts)}
               UNION ALL BY NAME
               SELECT b.break_id, s.per_ledger + s.after_cut_off AS amount_ours_minor,
                      s.per_gl + s.not_posted - s.by_hand AS amount_theirs_minor,
                      -({unexplained("s")}) AS amount_difference_minor, s.currency
               FROM ({broken}) b JOIN book.gl_statement s ON s.file_id = b.file_id AND s.line_no = b.line_no
               WHERE b.code = {BreakCode.LEDGER_DIFFERS:d}
               UNION ALL BY NAME
               SELECT b.break_id, CASE WHEN p.currency = c.currency THEN o.denomination * o.quantity END
                          AS amount_ours_minor, p.minor AS amount_theirs_minor,
                      CASE WHEN p.currency = c.currency THEN o.denomination * o.quantity - p.minor END
                          AS amount_difference_minor, p.currency
               FROM ({broken}) b JOIN book.voucher_payment p ON p.file_id = b.file_id AND p.line_no = b.line_no
               JOIN book.voucher_order o ON o.item_id = p.item_id
               JOIN book.product c ON c.file_id = o.product_file AND c.line_no = o.product_line
               WHERE b.code = {BreakCode.MONEY_DIFFERS:d}"""


def at_stake(book: Frames, break_ids: pl.Series) -> pl.DataFrame:
    """Minor units that open breaks about money are about, never negative: break_id, minor."""
    standing = """SELECT b.* FROM book.break b SEMI JOIN book.open_break USING (break_id)
                  SEMI JOIN named USING (break_id)"""
    return book.frame(
        f"""SELECT break_id, abs(coalesce(amount_difference_minor, amount_theirs_minor)) AS minor
            FROM ({of_breaks(standing, "true")}) ORDER BY break_id""",
        named=pl.DataFrame({"break_id": break_ids}, schema={"break_id": pl.String}),
    )
