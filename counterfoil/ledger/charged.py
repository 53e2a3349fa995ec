"""What partners have charged, as the book tells it: the newest judgement of each answer, and what breaks are about.

Here: reads of charges. Not here: judging them (``charges``) or what differs by how much (``reconcile.charges``).
"""

from typing import Final, Protocol

import polars as pl

from counterfoil.ledger.model import RECORD_SPAN, TRANSFERS_PER_RECORD, BreakCode, Side, State


class Frames(Protocol):
    """The open book, asked for frames."""

    def frame(self, query: str, **frames: pl.DataFrame) -> pl.DataFrame: ...


_ANSWER: Final = f"coalesce(b.theirs_id, (CAST(b.file_id AS BIGINT) * {RECORD_SPAN}) + b.line_no)"
"""SQL: the answer that a break ``b`` about money speaks of: one that had waited, or the record that opened it."""

_OPEN: Final = "SELECT b.* FROM book.break b SEMI JOIN book.open_break USING (break_id)"

_STANDS: Final = f"NOT EXISTS (SELECT 1 FROM book.reversal r WHERE r.reverses // {TRANSFERS_PER_RECORD} = c.answer_id)"
"""SQL: the answer of a charge ``c`` was not taken back."""


def latest(answers: str, counts: str = "true") -> str:
    """A query for the newest row of ``charge`` of each answer. ``answers`` is a query for their ids, ``counts`` a
    condition on ``file_id``."""
    return f"""SELECT * FROM book.charge WHERE answer_id IN ({answers}) AND {counts}
               QUALIFY row_number() OVER (PARTITION BY answer_id ORDER BY file_id DESC, line_no DESC) = 1"""


def of_breaks(broken: str = "SELECT * FROM book.break", counts: str = "true") -> str:
    """A query for what breaks about charges come to, ours less theirs, null where no rate was in force: break_id,
    amount_ours_minor, amount_theirs_minor, amount_difference_minor, currency, charged_points, rated_on, rate_minor,
    rate_per.

    ``broken`` is a query for rows of ``break``; ``counts`` a condition on ``file_id`` of charges.
    """
    about = f"SELECT b.break_id, {_ANSWER} AS answer_id FROM ({broken}) b WHERE b.code = {BreakCode.MONEY_DIFFERS:d}"
    return f"""SELECT b.break_id, c.ours AS amount_ours_minor, c.theirs AS amount_theirs_minor,
                      c.ours - c.theirs AS amount_difference_minor, c.currency, c.points AS charged_points,
                      c.rated_on, r.minor AS rate_minor, r.per_points AS rate_per
               FROM ({about}) b
               JOIN ({latest(f"SELECT answer_id FROM ({about})", counts)}) c ON c.answer_id = b.answer_id
               LEFT JOIN book.rate r ON r.file_id = c.rate_file AND r.line_no = c.rate_line"""


def waiting(book: Frames, answers: pl.Series) -> pl.DataFrame:
    """The newest charges of answers that waited: columns of ``charge``, and value_date, ref of the answer."""
    return book.frame(
        f"""SELECT c.*, i.value_date, i.ref FROM ({latest("SELECT answer_id FROM named")}) c
            JOIN book.item i ON i.item_id = c.answer_id ORDER BY c.answer_id""",
        named=pl.DataFrame({"answer_id": answers}, schema={"answer_id": pl.Int64}),
    )


def unsettled(book: Frames) -> pl.DataFrame:
    """Charges that a new rate can still change: of open breaks, and of answers that wait. Columns of ``charge``, and
    partner, break_id (null for an answer that waits). A refund priced as it was charged is no rate's to change."""
    return book.frame(
        f"""WITH live AS (
                SELECT b.break_id, {_ANSWER} AS answer_id FROM ({_OPEN}) b
                WHERE b.code = {BreakCode.MONEY_DIFFERS:d}
                UNION ALL
                SELECT NULL, o.item_id FROM book.open_item o SEMI JOIN book.charge c ON c.answer_id = o.item_id
                WHERE o.side = {Side.THEIRS:d}
            )
            SELECT c.*, p.partner, l.break_id
            FROM live l JOIN ({latest("SELECT answer_id FROM live")}) c ON c.answer_id = l.answer_id
            JOIN book.partner p ON p.partner_id = c.partner_id
            WHERE c.ours IS NULL OR c.rate_file IS NOT NULL ORDER BY c.answer_id"""
    )


def accepted(book: Frames, items: pl.Series) -> pl.DataFrame:
    """When requests were accepted that are now reversed, and what was charged then where that was not what we expected:
    item_id, accepted_on, was_points?, was_theirs?."""
    return book.frame(
        f"""WITH ends AS (
                SELECT k.item_id, k.file_id, k.line_no FROM book.settled_key k SEMI JOIN named USING (item_id)
                WHERE k.state = {State.CONFIRMED:d}
                QUALIFY row_number() OVER (PARTITION BY k.item_id ORDER BY k.file_id DESC, k.line_no DESC) = 1
            ), waited AS (  -- the answer had come before its request, whose line ended both
                SELECT k.file_id, k.line_no, max(i.value_date) AS value_date
                FROM book.settled_key k SEMI JOIN ends USING (file_id, line_no)
                JOIN book.item i ON i.item_id = k.item_id
                WHERE k.state = {State.CLOSED:d} GROUP BY ALL
            ), charges AS (
                SELECT c.item_id, c.points, c.theirs FROM book.charge c SEMI JOIN named USING (item_id)
                WHERE c.points > 0 AND {_STANDS}
                QUALIFY row_number() OVER (PARTITION BY c.item_id ORDER BY c.file_id DESC, c.line_no DESC) = 1
            )
            SELECT e.item_id, coalesce(w.value_date, d.value_date) AS accepted_on, c.points AS was_points,
                   c.theirs AS was_theirs
            FROM ends e JOIN book.disposition d ON d.file_id = e.file_id AND d.line_no = e.line_no
            LEFT JOIN waited w ON w.file_id = e.file_id AND w.line_no = e.line_no
            LEFT JOIN charges c ON c.item_id = e.item_id ORDER BY e.item_id""",
        named=pl.DataFrame({"item_id": items}, schema={"item_id": pl.Int64}),
    )


def of_requests(book: Frames, items: pl.Series) -> pl.DataFrame:
    """Open breaks about what was charged, not given back, for requests: break_id, code."""
    standing = f"{_OPEN} SEMI JOIN named USING (item_id)"
    return book.frame(
        f"""SELECT break_id, CAST({BreakCode.MONEY_DIFFERS:d} AS SMALLINT) AS code FROM ({of_breaks(standing)})
            WHERE charged_points > 0 ORDER BY break_id""",
        named=pl.DataFrame({"item_id": items}, schema={"item_id": pl.Int64}),
    )


def rates(book: Frames, currency: str) -> pl.DataFrame:
    """Every rate in a currency: basis, minor, per_points, effective_from, file_id, line_no."""
    return book.frame(
        f"""SELECT basis, minor, per_points, effective_from, file_id, line_no FROM book.rate
            WHERE currency = '{currency}' ORDER BY file_id, line_no"""
    )
