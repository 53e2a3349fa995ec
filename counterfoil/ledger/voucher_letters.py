"""Letters with vouchers: which are due to whom, from the book alone.

Here: what of a range of postings calls for a letter, without any code. Not here: codes (``steps.vouchers`` reveals them
to a letter), mail itself, or who was registered when.
"""

from collections.abc import Iterable
from typing import Final

import polars as pl

from counterfoil.ledger.addressed import addressed
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Event, State
from counterfoil.money import decimal_texts

LETTERS: Final[dict[str, type[pl.DataType] | pl.DataType]] = {
    "letter_key": pl.String,
    "kind": pl.String,
    "company": pl.String,
    "recipient": pl.String,
    "reference": pl.String,
    "product": pl.String,
    "name": pl.String,
    "currency": pl.String,
    "denomination": pl.Int64,
    "points": pl.Int64,
    "expires": pl.Date,
    "terms": pl.String,
    "instructions": pl.String,
    "posting": pl.Int64,
    "vouchers": pl.List(pl.Int64()),
}
"""One row a letter. ``letter_key`` is the same for ever, so that nothing is sent twice; ``vouchers`` are those that the
letter brings, ``points`` what they cost, ``expires`` the first day after which one of them ends."""

_SAYS: Final = "\n\n"
"""Between what a letter says of a product, how it is used and its terms."""

UNDELIVERED: Final = (
    "reference", "company", "recipient", "product", "vouchers", "issued_on", "days", "letter", "posting",
)  # fmt: skip
"""Columns of a list of vouchers that nobody has got yet, an order a row; ``letter``: where the newest one stands that
brings them, null where nobody can be written to."""

_CALLING: Final = f"{Event.VOUCHER_ISSUED:d}, {Event.PAID_FROM_STOCK:d}, {Event.RESENT:d}"
"""Events that call for a letter."""


def letters_of(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """Letters that postings ``from_n`` (exclusive) to ``to_n`` (inclusive) call for: LETTERS, by posting and reference.

    One for what a posting issued of an order, and one each time somebody asked to send an order's vouchers again. The
    same for ever, whatever is posted later. Goods come by another way.
    """
    return book.frame(
        f"""WITH asked AS (
                SELECT d.file_id, d.item_id, bool_or(d.event = {Event.RESENT:d}) AS again FROM book.disposition d
                WHERE d.file_id > {from_n} AND d.file_id <= {to_n}
                  AND d.event IN ({_CALLING}) GROUP BY d.file_id, d.item_id
            ), brought AS (
                SELECT a.file_id, a.item_id, list(c.voucher_id ORDER BY c.voucher_id) AS vouchers,
                       min(c.valid_until) AS expires
                FROM asked a JOIN book.voucher_change c ON c.item_id = a.item_id AND c.state = {State.ISSUED:d}
                    AND (c.file_id = a.file_id OR (a.again AND c.file_id <= a.file_id))
                GROUP BY a.file_id, a.item_id
            )
            SELECT concat_ws(':', 'voucher', i.item_id, b.file_id) AS letter_key, 'voucher' AS kind,
                   p.partner AS company, o.recipient, i.ref AS reference, o.product, c.name, c.currency, o.denomination,
                   o.unit_points * len(b.vouchers) AS points, b.expires, c.terms, c.instructions, b.file_id AS posting,
                   b.vouchers
            FROM brought b JOIN book.item i ON i.item_id = b.item_id JOIN book.voucher_order o ON o.item_id = b.item_id
            JOIN book.product c ON c.file_id = o.product_file AND c.line_no = o.product_line
            JOIN book.partner p ON p.partner_id = i.partner_id
            WHERE o.recipient IS NOT NULL AND o.type <> 'goods' ORDER BY b.file_id, i.ref"""
    ).select(pl.col(name).cast(kind) for name, kind in LETTERS.items())


def mailed(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """``letters_of`` as letters to people (``letters.LETTERS``). What is said of the product is the citation."""
    found = letters_of(book, from_n, to_n)
    days = book.frame("SELECT CAST(n AS BIGINT) AS posting, on_day AS due FROM book.posting ORDER BY n")
    codes = found["currency"].unique()
    amount = decimal_texts(pl.col("denomination"), pl.col("currency"), codes).cast(pl.String)
    said = pl.concat_str(pl.format("{}, {} {}", "name", amount, "currency"), "instructions", "terms", separator=_SAYS,
                         ignore_nulls=True)  # fmt: skip
    told = (
        found.join(days, on="posting", how="left")
        .join(book.partners().select("partner_id", company="partner"), on="company", how="left")
        .with_columns(citation=said, name=pl.lit(None))
        .drop("company")
    )
    return addressed(told, book)


def undelivered(book: Lookups, bounced: Iterable[str] = ()) -> pl.DataFrame:
    """Orders with vouchers that are issued and not known to have gone, oldest first: UNDELIVERED but ``days`` and
    ``letter``; ``letters``: the keys of the newest letter that brings each voucher, and ``resent``: how often they were
    asked for again. ``bounced``: references of orders to show as well though their letters have gone. Goods are not
    among them: their carrier tells."""
    return book.frame(
        f"""WITH live AS (
                SELECT v.voucher_id, v.item_id, v.file_id
                FROM book.open_voucher v JOIN book.item r ON r.item_id = v.item_id
                WHERE v.state = {State.ISSUED:d}
                   OR v.state = {State.DELIVERED:d} AND r.ref IN (SELECT reference FROM bounced)
            ), again AS (
                SELECT item_id, max(file_id) AS last, count(*) AS times FROM book.disposition d
                SEMI JOIN live USING (item_id) WHERE event = {Event.RESENT:d} GROUP BY item_id
            ), waiting AS (
                SELECT v.item_id, count(*) AS vouchers, min(v.file_id) AS posting, any_value(a.times) AS resent,
                       list(DISTINCT concat_ws(':', 'voucher', v.item_id, greatest(c.file_id, a.last))) AS letters
                FROM live v JOIN book.voucher_change c ON c.voucher_id = v.voucher_id AND c.item_id = v.item_id
                    AND c.state = {State.ISSUED:d}
                LEFT JOIN again a ON a.item_id = v.item_id
                GROUP BY v.item_id
            )
            SELECT i.ref AS reference, p.partner AS company, o.recipient, o.product, w.vouchers,
                   f.on_day AS issued_on, CAST(w.posting AS BIGINT) AS posting, w.letters,
                   CAST(coalesce(w.resent, 0) AS BIGINT) AS resent
            FROM waiting w JOIN book.item i ON i.item_id = w.item_id
            JOIN book.voucher_order o ON o.item_id = w.item_id JOIN book.partner p ON p.partner_id = i.partner_id
            JOIN book.posting f ON f.n = w.posting
            WHERE o.type <> 'goods' ORDER BY w.posting, i.ref""",
        bounced=pl.DataFrame({"reference": list(bounced)}, schema={"reference": pl.String}),
    )


def sources(book: Lookups, voucher_ids: pl.Series) -> pl.DataFrame:
    """Where the codes of vouchers lie: voucher_id, posting, line; none of goods."""
    return book.frame(
        """SELECT v.voucher_id, v.file_id AS posting, v.line_no AS line FROM book.voucher v
           SEMI JOIN wanted USING (voucher_id)
           WHERE v.digest IS NOT NULL ORDER BY v.voucher_id""",
        wanted=pl.DataFrame({"voucher_id": voucher_ids.unique()}, schema={"voucher_id": pl.Int64}),
    )
