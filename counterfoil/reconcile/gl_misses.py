"""Why an account differs from the general ledger (B15): the one thing whose amount is the difference. Pure.

Here: near misses of the unexplained difference, each a rule over frames. Not here: other breaks (``near_misses``), the
statement (``tie_out``), or reading the book (``ledger.gl_causes``).
"""

from typing import Final

import polars as pl

from counterfoil.reconcile.cause import Cause

DIFFERING: Final[dict[str, type[pl.DataType]]] = {
    "break_id": pl.String,
    "account": pl.String,
    "currency": pl.String,
    "per_gl": pl.Int64,
    "by_hand": pl.Int64,
    "unexplained": pl.Int64,
    "last_journal": pl.String,
    "in_chart": pl.Boolean,
    "journalled": pl.Boolean,
    "made": pl.Boolean,
}
"""An open B15. ``last_journal``: what the extract names; ``in_chart``: the account is one of our chart's;
``journalled``: the currency is the one that we journal; ``made``: it names no journal, or one that we made."""

JOURNALS: Final[dict[str, type[pl.DataType]]] = {
    "break_id": pl.String,
    "journal_id": pl.String,
    "posted": pl.Boolean,
    "minor": pl.Int64,
}
"""What each journal of ours did to the account up to the day of the statement; ``posted``: the general ledger should
have it."""

ENTRIES: Final[dict[str, type[pl.DataType]]] = {"break_id": pl.String, "reference": pl.String, "minor": pl.Int64}
"""The journals that the extract lists as posted by hand."""

FOUND: Final[dict[str, type[pl.DataType]]] = {"break_id": pl.String, "cause": pl.String, "change": pl.String}
"""The smallest change that would clear the break."""

NAMED_MAX: Final = 3
"""Candidates spelled out in a change; where there are more, a person looks at all of them anyway."""


def nearest(differing: pl.DataFrame, journals: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """FOUND, at most one row a break, sorted by break_id; a difference that nothing fits is left out.

    The rules are tried in order and the first that fits is told. Where several journals or entries fit one rule, all
    are named and none is chosen.
    """
    beside = differing.select("break_id", "account", "unexplained")
    told = [*_of_account(differing), *_of_journals(journals.join(beside, on="break_id")),
            *_of_entries(entries.join(beside, on="break_id"))]  # fmt: skip
    ranked = pl.concat(
        [rows.select(*FOUND, rank=pl.lit(rank)) for rank, rows in enumerate(told)] or [pl.DataFrame(schema=FOUND)]
    )
    return ranked.sort("rank").unique("break_id", keep="first", maintain_order=True).select(*FOUND).sort("break_id")


def _of_account(differing: pl.DataFrame) -> list[pl.DataFrame]:
    """What is wrong with the account, the currency, the journal it names, or the sign of the whole balance."""
    stated = pl.col("per_gl") - pl.col("by_hand")
    flipped = (pl.col("unexplained") == 2 * stated) | (pl.col("unexplained") == 2 * pl.col("per_gl"))
    plainly = (
        (
            ~pl.col("in_chart"),
            Cause.NOT_JOURNALLED,
            pl.format("account {}: our chart has none, leave it out of the extract or add it to the chart", "account"),
        ),
        (
            ~pl.col("journalled"),
            Cause.NOT_JOURNALLED,
            pl.format("{} on account {}: we make no journals in it, find out who did", "currency", "account"),
        ),
        (
            flipped,
            Cause.SIGN_FLIPPED,
            pl.format("the sign of account {}: the extract must count a credit as positive", "account"),
        ),
        (
            ~pl.col("made"),
            Cause.JOURNAL_EARLY,
            pl.format("journal {}: none of ours ends there, name the last one that was posted", "last_journal"),
        ),
    )
    return [_told(differing.filter(wrong), cause, change) for wrong, cause, change in plainly]


def _of_journals(beside: pl.DataFrame) -> list[pl.DataFrame]:
    minor, off = pl.col("minor"), pl.col("unexplained")
    moved = beside.filter(minor != 0)
    said = {
        Cause.JOURNAL_MISSING: (pl.col("posted") & (minor == -off), "not in the general ledger: post it"),
        Cause.JOURNAL_TWICE: (pl.col("posted") & (minor == off), "twice in the general ledger: reverse one"),
        Cause.SIGN_FLIPPED: (pl.col("posted") & (2 * minor == -off), "with its debits and credits turned round"),
        Cause.JOURNAL_EARLY: (
            ~pl.col("posted") & (minor == off), "in the general ledger, though the extract does not name it as posted"
        ),
    }  # fmt: skip
    return [_named(moved.filter(fits), cause, "journal", "journal_id", text) for cause, (fits, text) in said.items()]


def _of_entries(beside: pl.DataFrame) -> list[pl.DataFrame]:
    minor, off = pl.col("minor"), pl.col("unexplained")
    moved = beside.filter(minor != 0)
    said = (
        (minor == -off, "listed as posted by hand, and not in the balance"),
        (minor == off, "posted by hand twice, or listed once too few"),
        (2 * minor == -off, "listed with the wrong sign"),
    )
    return [_named(moved.filter(fits), Cause.BY_HAND_OFF, "entry", "reference", text) for fits, text in said]


def _named(rows: pl.DataFrame, cause: Cause, what: str, name: str, text: str) -> pl.DataFrame:
    """One row a break that names what fits: one, or all of several."""
    fitting = rows.group_by("break_id", "account").agg(
        names=pl.col(name).sort().head(NAMED_MAX).str.join(", "), many=pl.len()
    )
    lead = pl.when(pl.col("many") > 1).then(pl.lit(f"one {what} of ")).otherwise(pl.lit(f"{what} "))
    more = pl.when(pl.col("many") > NAMED_MAX).then(pl.lit(" and more")).otherwise(pl.lit(""))
    return _told(
        fitting, cause, pl.concat_str(lead, "names", more, pl.lit(" on account "), "account", pl.lit(f": {text}"))
    )


def _told(rows: pl.DataFrame, cause: Cause, change: pl.Expr) -> pl.DataFrame:
    return rows.select("break_id", cause=pl.lit(cause.value), change=change)
