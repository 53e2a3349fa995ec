"""A corrected file: only what differs from the one it corrects is undone and done anew, and only where that is safe.

Here: sorting its records, and what becomes of those that change nothing or come too late. Not here: pairing records
(``reconcile.difference``), taking back (``undoing``) or doing (the composers of the kinds).
"""

from dataclasses import dataclass

import polars as pl

from counterfoil.errors import Code
from counterfoil.invariants import require
from counterfoil.ledger import posting, undoing
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, MatchPass
from counterfoil.ledger.work import Former, Work
from counterfoil.reconcile import breaks
from counterfoil.reconcile.difference import difference

_OLD = ["old_file", "old_line"]


@dataclass(frozen=True, eq=False)
class Correction:
    """The records of a corrected file.

    ``undone``: ``undoing.RECORDS`` to take back; ``anew``: line_no of records to do; ``unchanged``: line_no, old_file,
    old_line; ``late``: old_file, old_line of records whose item has gone on since, and line_no (null where the record
    is not there any more).
    """

    former: Former
    undone: pl.DataFrame
    anew: pl.Series
    unchanged: pl.DataFrame
    late: pl.DataFrame


def sorted_out(work: Work, former: Former, book: Lookups) -> Correction:
    """Sort the records of a correction by what can be done about them."""
    found = difference(former.accepted, work.accepted, work.feed.record_key)
    vanished = found.vanished.with_columns(line_no=pl.lit(None, pl.Int64))
    replaced = pl.concat([found.changed, vanished.select(found.changed.columns)])
    records = replaced.select(
        file_id=pl.col("old_file").cast(pl.Int32),
        line_no=pl.col("old_line").cast(pl.Int32),
        by_line=pl.col("line_no").fill_null(0).cast(pl.Int32),
    )
    possible = undoing.undoable(records, book)
    changed = replaced.filter(possible)["line_no"].drop_nulls()
    return Correction(
        former=former,
        undone=records.filter(possible),
        anew=pl.concat([changed, found.fresh["line_no"]]).sort(),
        unchanged=found.unchanged,
        late=replaced.filter(~possible),
    )


def rest(work: Work, correction: Correction, book: Lookups, partner_id: int) -> posting.Changes:
    """Dispositions of the records that are not done anew, and a break (B11) for each that came too late."""
    unchanged = _of_lines(work, correction.unchanged, Event.UNCHANGED)
    late = correction.late.filter(pl.col("line_no").is_not_null())
    dispositions = pl.concat([unchanged, _of_lines(work, late, Event.CHANGED_TOO_LATE)])
    require(
        dispositions.height + correction.anew.len() == work.accepted.height,
        "each record of a correction is sorted once",
        code=Code.MASS_BALANCE,
    )
    return posting.changes(
        {"disposition": dispositions.join(_items(dispositions, book), on=_OLD, how="left")},
        breaking=_too_late(work, correction, book, partner_id),
    )


def _of_lines(work: Work, records: pl.DataFrame, event: Event) -> pl.DataFrame:
    return records.join(work.accepted.select("line_no", "points", "value_date"), on="line_no").with_columns(
        disposition=pl.lit(Disposition.INFORMATION.value),
        event=pl.lit(event.value),
        match_pass=pl.lit(MatchPass.NONE.value),
        reason_id=pl.lit(None),
        file_id=pl.lit(work.file_id),
    )


def _items(records: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """The item that each old record spoke of: old_file, old_line, item_id."""
    return book.frame(
        """SELECT r.old_file, r.old_line, d.item_id FROM (SELECT DISTINCT old_file, old_line FROM records) r
           JOIN book.disposition d ON d.file_id = r.old_file AND d.line_no = r.old_line""",
        records=records,
    )


def _too_late(work: Work, correction: Correction, book: Lookups, partner_id: int) -> pl.DataFrame:
    old = correction.former.accepted.select(
        "ref", points_ours="points", value_date="value_date", old_file="file_id", old_line="line_no"
    )
    new = work.accepted.select("line_no", points_theirs="points", their_date="value_date")
    known = correction.late.join(old, on=_OLD).join(new, on="line_no", how="left")
    return breaks.opening(
        known.join(_items(known, book), on=_OLD, how="left").sort("line_no", *_OLD),
        line_no=pl.col("line_no").fill_null(0),
        item_id="item_id",
        code=pl.lit(BreakCode.CONFLICT.value),
        subject="ref",
        points_ours="points_ours",
        points_theirs="points_theirs",
        value_date="value_date",
        their_date="their_date",
        partner_id=pl.lit(partner_id),
        at_once=pl.lit(value=False),
    )
