"""How far an answer may be off its request and still settle it: points, share, a month's budget, days. Pure.

Here: comparing an answer's points and date with what was asked. Not here: which item it speaks of (``passes``) or what
a comparison leads to (``life``).
"""

from dataclasses import dataclass
from typing import Final, Self

import polars as pl

from counterfoil.feed import Feed, Window
from counterfoil.ledger.model import Relation

BASIS: Final = 10_000
"""Basis points in one."""

SUGGESTING: Final = Window(early_days=7, late_days=7)
"""The window in which candidates are looked for where a layout names none."""


@dataclass(frozen=True)
class Terms:
    """What a layout lets pass. ``budget``: points of difference that the month may still tolerate, None for any."""

    points: int = 0
    basis_points: int = 0
    budget: int | None = None
    window: Window | None = None

    @classmethod
    def of(cls, feed: Feed, used: int = 0) -> Self:
        """The terms of a layout, of whose month so many points have been tolerated already."""
        monthly = feed.tolerance_monthly_points
        budget = None if monthly is None else max(monthly - used, 0)
        return cls(feed.tolerance_points, feed.tolerance_basis_points, budget, feed.answer_window)

    @property
    def tolerant(self) -> bool:
        """Whether any difference at all can settle."""
        return self.points > 0 or self.basis_points > 0

    def relation(self, points: pl.Expr, base: pl.Expr) -> pl.Expr:
        """EQUAL, WITHIN or BEYOND as Int16; a base that is null is nobody's and agrees with anything."""
        off = (points - base).abs()
        allowed = pl.lit(self.points, pl.Int64)
        if self.basis_points:
            allowed = pl.max_horizontal(allowed, share(base, self.basis_points))
        return (
            pl.when(base.is_null() | (off == 0))
            .then(pl.lit(Relation.EQUAL.value, pl.Int16))
            .when((off <= allowed) & (points.sign() == base.sign()))
            .then(pl.lit(Relation.WITHIN.value, pl.Int16))
            .otherwise(pl.lit(Relation.BEYOND.value, pl.Int16))
        )


def share(base: pl.Expr, basis_points: int | pl.Expr) -> pl.Expr:
    """So many hundredths of a per cent of an amount, signs apart, rounded down."""
    # Split so that no product leaves 64 bits.
    whole, rest = base.abs() // BASIS, base.abs() % BASIS
    return whole * basis_points + rest * basis_points // BASIS


def within_budget(tolerated: pl.DataFrame, budget: int) -> pl.Series:
    """Which tolerated differences the budget covers: Boolean, in the order of rows.

    ``tolerated``: points, sent, value_date, ref. Differences count signs apart, in order of value date and reference
    whatever the order of lines, until the first that is too much.
    """
    off = (pl.col("points") - pl.col("sent")).abs()
    ordered = tolerated.select("value_date", "ref", off=off).with_row_index("row").sort("value_date", "ref", "row")
    return ordered.with_columns(fits=pl.col("off").cum_sum() <= budget).sort("row")["fits"]


def days_apart(window: Window, asked: pl.Expr, answered: pl.Expr) -> pl.Expr:
    """Days from request to answer as Int32, negative where the answer is the older; business days where those count."""
    if window.business:
        return pl.business_day_count(asked, answered, holidays=list(window.holidays)).cast(pl.Int32)
    return (answered - asked).dt.total_days().cast(pl.Int32)


def inside(window: Window, asked: pl.Expr, answered: pl.Expr) -> pl.Expr:
    """Whether an answer dates inside the window of its request."""
    return days_apart(window, asked, answered).is_between(-window.early_days, window.late_days)
