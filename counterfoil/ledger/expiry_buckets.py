"""When members' points expire: balances by bucket, now.

Here: one read for people. Not here: balances as of a day (``extracts``), or what makes points expire (``lots``).
"""

from datetime import date
from typing import Final

import polars as pl

from counterfoil.invariants import require
from counterfoil.ledger.extracts import masked
from counterfoil.ledger.lookups import Lookups

OVERDUE: Final = "overdue"
"""Past the last day, which is not closed yet."""

DAYS: Final = (30, 60, 90, 180, 365)
LATER: Final = "later"
NEVER: Final = "never"

BUCKETS: Final = (OVERDUE, *(f"≤ {days} days" for days in DAYS), LATER, NEVER)
"""In order; each day bucket begins where the one before it ends."""


def balances_by_expiry(book: Lookups, day: date, partner: str | None, *, each_member: bool = False) -> pl.DataFrame:
    """Members' points by the days they have left from ``day`` on: partner, owner String?, unit, expires, points.

    Sorted by partner, owner, unit and bucket (BUCKETS); a bucket without points is left out. ``owner`` is masked, and
    null unless ``each_member``. All rows of a member, or a partner, add up to the balance; below 0 is what was
    overdrawn.
    """
    found = book.frame(
        f"""WITH held AS (
                SELECT account_id, expires, sum(remaining) AS points FROM book.open_lot GROUP BY account_id, expires
            ), lotted AS (
                SELECT account_id, sum(points) AS points FROM held GROUP BY account_id
            ), parts AS (
                SELECT account_id, expires, points FROM held
                UNION ALL SELECT b.account_id, NULL, b.balance - coalesce(l.points, 0)
                FROM book.balance b LEFT JOIN lotted l ON l.account_id = b.account_id
            )
            SELECT p.partner, {"a.owner" if each_member else "CAST(NULL AS VARCHAR)"} AS owner, a.unit, s.expires,
                   CAST(sum(s.points) AS BIGINT) AS points
            FROM parts s JOIN book.account a ON a.account_id = s.account_id AND a.kind = 'member'
            JOIN book.partner p ON p.partner_id = a.partner_id GROUP BY 1, 2, 3, 4"""
    )
    if partner is not None:
        found = found.filter(pl.col("partner") == partner)
    key = ["partner", "owner", "unit"]
    placed = found.with_columns(place=_place(day))
    summed = placed.group_by(*key, "place").agg(pl.col("points").sum()).filter(pl.col("points") != 0)
    require(summed["points"].sum() == found["points"].sum(), "buckets add up to the balances")
    names = dict(enumerate(BUCKETS))
    return summed.sort(*key, "place", nulls_last=True).select(
        "partner",
        masked("owner"),
        "unit",
        expires=pl.col("place").replace_strict(names, return_dtype=pl.String),
        points="points",
    )


def _place(day: date) -> pl.Expr:
    """The number of the bucket that a last day falls into."""
    left = (pl.col("expires") - pl.lit(day)).dt.total_days()
    place = pl.lit(BUCKETS.index(LATER))
    for number, days in reversed(list(enumerate(DAYS, start=1))):
        place = pl.when(left <= days).then(number).otherwise(place)
    overdue = pl.when(left < 0).then(BUCKETS.index(OVERDUE)).otherwise(place)
    return pl.when(pl.col("expires").is_null()).then(BUCKETS.index(NEVER)).otherwise(overdue).cast(pl.Int32)
