"""The tie-out with the general ledger: lines A to H of each account that an extract of it states, in minor units.

Here: pure arithmetic over small frames, and which differences open a break and close one. Not here: what our movements
are worth (``ledger.valuation``), reading the book (``ledger.gl_balances``), or why an account differs (``gl_misses``).
"""

from typing import Final

import polars as pl

KEY: Final = ("account", "currency")

STATED: Final[dict[str, type[pl.DataType]]] = {
    "line_no": pl.Int64,
    "account": pl.String,
    "currency": pl.String,
    "as_of": pl.Date,
    "last_n": pl.Int64,
    "minor": pl.Int64,
}
"""A balance as the general ledger states it, once an account and currency; credit positive, like all amounts here.
``last_n``: the last posting that it has a journal of, 0 for none."""

BY_HAND: Final[dict[str, type[pl.DataType]]] = {"account": pl.String, "currency": pl.String, "minor": pl.Int64}
"""A journal that was posted in the general ledger by hand."""

MOVES: Final[dict[str, type[pl.DataType]]] = {
    "account": pl.String,
    "currency": pl.String,
    "n": pl.Int64,
    "on_day": pl.Date,
    "day": pl.Date,
    "minor": pl.Int64,
}
"""What posting ``n`` of programme day ``on_day`` did to an account on an accounting day."""

STATEMENT: Final[dict[str, type[pl.DataType]]] = {
    "line_no": pl.Int64,
    "account": pl.String,
    "currency": pl.String,
    "as_of": pl.Date,
    "last_n": pl.Int64,
    "per_gl": pl.Int64,
    "not_posted": pl.Int64,
    "by_hand": pl.Int64,
    "per_ledger": pl.Int64,
    "after_cut_off": pl.Int64,
}
"""Lines A, B, C, E and F; the others follow from them (``with_differences``)."""

LINES: Final = (
    ("A", "per_gl", "Balance per general ledger"),
    ("B", "not_posted", "+ our movements not yet posted there"),
    ("C", "by_hand", "− journals posted there by hand"),
    ("D", "adjusted_gl", "= adjusted general ledger"),
    ("E", "per_ledger", "Balance per our ledger"),
    ("F", "after_cut_off", "± our movements after the cut-off"),
    ("G", "adjusted_ledger", "= adjusted ledger"),
    ("H", "unexplained", "Unexplained difference (D − G)"),
)
"""The lines of a statement: letter, column and what people read."""

TIED: Final = "tied"
DIFFERS: Final = "differs"
NOT_STATED: Final = "not stated"
"""States of an account: line H is 0, or is not; or no extract states it, though others of the chart are stated."""

STANDING: Final[dict[str, type[pl.DataType]]] = {
    "break_id": pl.String,
    "code": pl.Int16,
    "account": pl.String,
    "currency": pl.String,
    "as_of": pl.Date,
    "unexplained": pl.Int64,
}
"""An open break of an account that differed, with the day and the difference of its statement."""


def statement(stated: pl.DataFrame, by_hand: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """STATEMENT of STATED balances, BY_HAND journals and MOVES, in the order of the lines.

    Per ledger (E) are our movements of accounting days up to the balance's. Of those that the general ledger has no
    journal of yet, the ones that came by the close of that day are not yet posted (B), later ones came after the
    cut-off (F).
    """
    without_journal, in_time = pl.col("n") > pl.col("last_n"), pl.col("on_day") <= pl.col("as_of")
    minor = pl.col("minor")
    ours = (
        stated.drop("line_no", "minor")
        .join(moves, on=KEY)
        .filter(pl.col("day") <= pl.col("as_of"))
        .group_by(KEY)
        .agg(
            per_ledger=minor.sum(),
            not_posted=minor.filter(without_journal & in_time).sum(),
            after_cut_off=-minor.filter(without_journal & ~in_time).sum(),
        )
    )
    listed = by_hand.group_by(KEY).agg(by_hand=minor.sum())
    amounts = [name for name in STATEMENT if name not in STATED]
    return (
        stated.with_columns(per_gl="minor")
        .join(ours, on=KEY, how="left")
        .join(listed, on=KEY, how="left")
        .with_columns(pl.col(amounts).fill_null(0))
        .sort("line_no")
        .select(pl.col(name).cast(kind) for name, kind in STATEMENT.items())
    )


def with_differences(found: pl.DataFrame) -> pl.DataFrame:
    """STATEMENT with lines D, G and H: adjusted_gl, adjusted_ledger and unexplained, which must be 0."""
    return found.with_columns(
        adjusted_gl=pl.col("per_gl") + pl.col("not_posted") - pl.col("by_hand"),
        adjusted_ledger=pl.col("per_ledger") + pl.col("after_cut_off"),
    ).with_columns(unexplained=pl.col("adjusted_gl") - pl.col("adjusted_ledger"))


def opening(found: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Statements (``with_differences``) that open a break: those that differ, unless a break of the account already
    stands for the very same difference."""
    return found.filter(pl.col("unexplained") != 0).join(standing, on=[*KEY, "unexplained"], how="anti")


def clearing(found: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """break_id, code of STANDING that statements close: an account that ties closes what stands up to its day, another
    balance of the same day takes the place of the one before."""
    both = standing.join(found.select(*KEY, now_as_of="as_of", now="unexplained"), on=KEY)
    ties = (pl.col("now") == 0) & (pl.col("as_of") <= pl.col("now_as_of"))
    restated = (pl.col("as_of") == pl.col("now_as_of")) & (pl.col("unexplained") != pl.col("now"))
    return both.filter(ties | restated).select("break_id", "code").sort("break_id")
