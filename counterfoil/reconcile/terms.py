"""How far an answer may be off its request and still settle it: points, share, a month's budget, days. Pure.

Here: comparing an answer's points and date with what was asked. Not here: which item it speaks of (``passes``) or what
a comparison leads to (``life``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import polars as pl

from counterfoil.feed import Feed, Tolerance, Window
from counterfoil.ledger.model import Relation

BASIS: Final = 10_000
"""Basis points in one."""

NEAR_DAYS: Final = 7
"""Days between a request and an answer that may still speak of it, by what else they say."""

SUGGESTING: Final = Window(early_days=NEAR_DAYS, late_days=NEAR_DAYS)
"""The window in which candidates are looked for where a layout names none."""


@dataclass(frozen=True)
class Terms:
    """What a layout lets pass: of records of a type, and of all others. ``budget``: points of difference that the month
    may still tolerate, None for any. Rows that are compared by type have a ``record_type``."""

    usual: Tolerance = field(default_factory=Tolerance)
    by_type: Mapping[str, Tolerance] = field(default_factory=dict)
    budget: int | None = None

    @classmethod
    def of(cls, feed: Feed, used: int = 0) -> Self:
        """The terms of a layout, of whose month so many points have been tolerated already."""
        monthly = feed.tolerance_monthly_points
        budget = None if monthly is None else max(monthly - used, 0)
        usual = Tolerance(
            points=feed.tolerance_points, basis_points=feed.tolerance_basis_points, window=feed.answer_window
        )
        return cls(usual, feed.record_tolerances, budget)

    @property
    def tolerant(self) -> bool:
        """Whether any difference at all can settle."""
        return any(one.points > 0 or one.basis_points > 0 for one in self._all())

    @property
    def timed(self) -> bool:
        """Whether any answer's date is compared."""
        return any(one.window is not None for one in self._all())

    def relation(self, points: pl.Expr, base: pl.Expr) -> pl.Expr:
        """EQUAL, WITHIN or BEYOND as Int16; a base that is null is nobody's and agrees with anything."""
        off = (points - base).abs()
        allowed = self._of_type(lambda one: pl.lit(one.points, pl.Int64))
        if any(one.basis_points for one in self._all()):
            basis_points = self._of_type(lambda one: pl.lit(one.basis_points, pl.Int64))
            allowed = pl.max_horizontal(allowed, share(base, basis_points))
        return (
            pl.when(base.is_null() | (off == 0))
            .then(pl.lit(Relation.EQUAL.value, pl.Int16))
            .when((off <= allowed) & (points.sign() == base.sign()))
            .then(pl.lit(Relation.WITHIN.value, pl.Int16))
            .otherwise(pl.lit(Relation.BEYOND.value, pl.Int16))
        )

    def in_time(self, asked: pl.Expr, answered: pl.Expr) -> pl.Expr:
        """Whether an answer dates inside the window of its request; null where dates are not compared."""

        def of(one: Tolerance) -> pl.Expr:
            return pl.lit(None, pl.Boolean) if one.window is None else inside(one.window, asked, answered)

        return self._of_type(of)

    def _all(self) -> tuple[Tolerance, ...]:
        return self.usual, *self.by_type.values()

    def _of_type(self, of: Callable[[Tolerance], pl.Expr]) -> pl.Expr:
        """What applies to each row by its record type; the column is not asked for where types have no terms."""
        expression = of(self.usual)
        for name, one in self.by_type.items():
            expression = pl.when(pl.col("record_type") == name).then(of(one)).otherwise(expression)
        return expression


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
