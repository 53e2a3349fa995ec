"""What a partner charges beside what the points are worth to it. Pure: frames in, frames out.

Here: the money we expect, half even at the rate of the day, and how far a charge may be off it. Not here: which answers
are charged for, or where rates come from (``ledger.charges``).
"""

from typing import Final

import polars as pl

from counterfoil.money import has_value, value_points
from counterfoil.reconcile.terms import share

RATES: Final = {
    "partner_id": pl.Int32,
    "minor": pl.Int64,
    "per_points": pl.Int64,
    "effective_from": pl.Date,
    "file_id": pl.Int32,
    "line_no": pl.Int32,
}
"""Partners' rates in one currency; of two from the same day the one that landed later counts."""


def expected(charged: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """Add ``ours`` (the value of ``points`` at the rate of ``partner_id`` in force on ``rated_on``), ``rate_file`` and
    ``rate_line``, in the place of such columns; null where no rate was in force, or none that makes sense of so many
    points in 64 bits. Keeps the order of rows."""
    asked = charged.drop("ours", "rate_file", "rate_line", strict=False)
    days = _in_force(asked.select("partner_id", "rated_on").unique(), rates)
    rated = asked.join(days, on=["partner_id", "rated_on"], how="left", maintain_order="left")
    points, minor, per = pl.col("points"), pl.col("minor"), pl.col("per_points")
    known = has_value(points, minor, per).fill_null(value=False)
    # Both sides of a condition are computed, and a rate that is not there would stop the valuing.
    worth = value_points(points, pl.when(known).then(minor).otherwise(0), pl.when(known).then(per).otherwise(1))
    columns = {"ours": worth, "rate_file": pl.col("rate_file"), "rate_line": pl.col("rate_line")}
    valued = (pl.when(known).then(value).alias(name) for name, value in columns.items())
    return rated.with_columns(valued).drop("minor", "per_points")


def as_charged(refunds: pl.DataFrame) -> pl.DataFrame:
    """The same for points that are given back, at the price at which ``was_points`` had been charged: ``was_theirs``.
    Both columns go."""
    price = value_points(pl.col("points"), pl.col("was_theirs"), pl.col("was_points"))
    none = pl.lit(None, pl.Int32)
    return refunds.with_columns(ours=price, rate_file=none, rate_line=none).drop("was_theirs", "was_points")


def beyond() -> pl.Expr:
    """Whether a charge is further off than its layout tolerates, or no rate says what it should be.

    Reads ``ours``, ``theirs``, ``tolerance``, ``basis_points``.
    """
    ours = pl.col("ours")
    allowed = pl.max_horizontal("tolerance", share(ours, pl.col("basis_points").cast(pl.Int64)))
    return ours.is_null() | ((pl.col("theirs") - ours).abs() > allowed)


def _in_force(days: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """partner_id, rated_on, minor, per_points, rate_file, rate_line: the newest rate effective by each day."""
    newest = (
        rates.sort("partner_id", "effective_from", "file_id", "line_no")
        .unique(["partner_id", "effective_from"], keep="last", maintain_order=True)
        .rename({"file_id": "rate_file", "line_no": "rate_line"})
        .sort("effective_from")
    )
    return days.sort("rated_on").join_asof(
        newest,
        left_on="rated_on",
        right_on="effective_from",
        by="partner_id",
        strategy="backward",
        check_sortedness=False,
    ).drop("effective_from")  # fmt: skip
