"""Distributions that have reached their recipient, for a CRM: at once, on their day, or by registering.

Here: that part of the canonical updates, as a pure function of a book and a range. Not here: redemptions and balances
(``updates``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import ItemKind, Standing, State

DISTRIBUTIONS: Final[dict[str, type[pl.DataType]]] = {
    "event_key": pl.String,
    "company": pl.String,
    "ref": pl.String,
    "member": pl.String,
    "points": pl.Int64,
    "credited_on": pl.Date,
    "posting": pl.Int64,
}


def credited(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """DISTRIBUTIONS that postings ``from_n`` (exclusive) to ``to_n`` (inclusive) credited, by event_key. What waits for
    its recipient is nobody's in a CRM yet."""
    found = book.frame(
        f"""WITH done AS (
                SELECT item_id, file_id FROM book.settled_key
                WHERE file_id > {from_n} AND file_id <= {to_n} AND state = {State.CREDITED:d}
            ), named AS (
                SELECT i.item_id, i.partner_id, i.ref, i.member AS email, i.amount AS points, i.value_date, d.file_id
                FROM done d JOIN book.item i ON i.item_id = d.item_id AND i.kind = {ItemKind.DISTRIBUTION:d}
            ), holders AS (
                SELECT n.item_id, arg_max(p.member, (p.file_id, p.line_no)) AS member
                FROM named n JOIN book.person p ON p.partner_id = n.partner_id AND p.email = n.email
                 AND p.standing = {Standing.OPEN:d} AND p.file_id <= n.file_id GROUP BY n.item_id
            )
            SELECT concat(c.partner, ':', n.ref) AS event_key, c.partner AS company, n.ref, h.member, n.points,
                   greatest(n.value_date, t.on_day) AS credited_on, n.file_id AS posting
            FROM named n JOIN holders h ON h.item_id = n.item_id JOIN book.partner c ON c.partner_id = n.partner_id
            JOIN book.posting t ON t.n = n.file_id ORDER BY event_key"""
    )
    return found.select(pl.col(name).cast(kind) for name, kind in DISTRIBUTIONS.items()).sort("event_key")
