"""Why open B15 stand, from the book: the journals and the entries by hand that could be the difference.

Here: the reads that the pure rules need. Not here: the rules (``reconcile.gl_misses``) or other breaks
(``break_causes``). Without such a break nothing but the breaks is read.
"""

from collections.abc import Sequence

import polars as pl

from counterfoil.landing.records import Journal
from counterfoil.ledger import gl_balances, tie_outs
from counterfoil.ledger.chart import Chart
from counterfoil.ledger.journal import journal_id
from counterfoil.ledger.known import Known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.open_breaks import standing
from counterfoil.reconcile import gl_misses
from counterfoil.settings import ProgrammeSettings


def of_breaks(
    book: Lookups, at: Known, *, journals: Sequence[Journal], policy: ProgrammeSettings, chart: Chart
) -> pl.DataFrame:
    """``gl_misses.FOUND`` of the B15 that stood at the end of a day. ``journals`` are all that were made."""
    found = book.frame(
        f"""SELECT d.* FROM ({tie_outs.differing(at.counts("s.file_id"))}) d
            SEMI JOIN ({standing(at)}) s ON s.break_id = d.break_id ORDER BY d.break_id"""
    )
    if found.is_empty():
        return pl.DataFrame(schema=gl_misses.FOUND)
    ends = [one.to_n for one in journals]
    ids = {n: journal_id(policy.entity, n) for n in found["last_n"].unique()}
    differing = found.with_columns(
        last_journal=pl.col("last_n").replace_strict(ids, return_dtype=pl.String),
        in_chart=pl.col("account").is_in(tie_outs.names(chart)["account"].implode()),
        journalled=pl.col("currency") == policy.currency,
        made=(pl.col("last_n") == 0) | pl.col("last_n").is_in(ends),
    )
    return gl_misses.nearest(
        differing.select(pl.col(name).cast(kind) for name, kind in gl_misses.DIFFERING.items()),
        _journals(book, found, journals, policy, chart),
        _entries(book, found),
    )


def _journals(
    book: Lookups, found: pl.DataFrame, journals: Sequence[Journal], policy: ProgrammeSettings, chart: Chart
) -> pl.DataFrame:
    """``gl_misses.JOURNALS``: what each journal did to the accounts that differ."""
    made = gl_balances.moves(book, int(found["file_id"].max()) - 1, policy=policy, chart=chart)  # type: ignore[arg-type]
    ranges = pl.DataFrame(
        [(one.journal_id, one.from_n, one.to_n) for one in journals],
        schema={"journal_id": pl.String, "from_n": pl.Int64, "to_n": pl.Int64},
        orient="row",
    ).sort("to_n")
    of_journal = made.sort("n").join_asof(ranges, left_on="n", right_on="to_n", strategy="forward", coalesce=False)
    return (
        found.select("break_id", "account", "currency", "as_of", "last_n")
        .join(of_journal, on=["account", "currency"])
        .filter((pl.col("day") <= pl.col("as_of")) & (pl.col("n") > pl.col("from_n")))
        .group_by("break_id", "journal_id", posted=pl.col("to_n") <= pl.col("last_n"))
        .agg(pl.col("minor").sum())
        .select(pl.col(name).cast(kind) for name, kind in gl_misses.JOURNALS.items())
    )


def _entries(book: Lookups, found: pl.DataFrame) -> pl.DataFrame:
    """``gl_misses.ENTRIES``."""
    return book.frame(
        """SELECT f.break_id, h.reference, h.minor FROM found f JOIN book.gl_by_hand h
             ON h.file_id = f.file_id AND h.account = f.account AND h.currency = f.currency
           ORDER BY f.break_id, h.reference""",
        found=found.select("break_id", "file_id", "account", "currency"),
    )
