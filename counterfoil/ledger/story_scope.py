"""What belongs to a story: the items under a reference or of a break, the breaks on them, and every record about them.

Here: finding them, for many stories in one query each. Not here: what is told of them (``story_parts``). A story is a
small number; an item, a break or a record can belong to several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.errors import Code, UsageError
from counterfoil.feed import FeedKind
from counterfoil.ledger.figures import made_at, made_in, open_at
from counterfoil.ledger.known import Known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, TRANSFERS_PER_RECORD, Action, MatchRole

RECORDS_MAX: Final = 200
"""Records told of one story; of a longer one those in the middle are left out."""

_STORIES: Final = {"story": pl.Int64, "ref": pl.String, "break_id": pl.String, "partner_id": pl.Int32}

_NOBODY: Final = -1
"""No partner has this number."""


@dataclass(frozen=True, eq=False)
class Scope:
    """``stories``: story, ref, break_id?, partner_id? (null: any); ``items``: story, item_id; ``breaks``: story,
    break_id; ``lines``: story, file_id, line_no, own, in order (a line of 0 is a file as a whole); ``left_out``: story,
    records.
    """

    stories: pl.DataFrame
    items: pl.DataFrame
    breaks: pl.DataFrame
    lines: pl.DataFrame
    left_out: pl.DataFrame


def of_reference(book: Lookups, at: Known, ref: str, partner: str | None) -> Scope:
    """All under a reference, at one partner or at all; NOTHING_FOUND.

    Reads the references of the items and breaks once from end to end: bulk tables have no index.
    """
    partner_ids = dict(book.partners().select("partner", "partner_id").iter_rows())
    stories = pl.DataFrame(
        {
            "story": [0],
            "ref": [ref],
            "break_id": [None],
            "partner_id": [partner_ids.get(partner, _NOBODY) if partner is not None else None],
        },
        schema=_STORIES,
    )
    items = book.frame(
        f"""SELECT s.story, i.item_id FROM book.item i JOIN stories s ON s.ref = i.ref
            WHERE {_at_partner("i")} AND {at.counts(made_in("i.item_id"))} ORDER BY i.item_id""",
        stories=stories,
    )
    breaks = _breaks(book, at, stories, items)
    if items.is_empty() and breaks.is_empty():
        raise UsageError(
            Code.NOTHING_FOUND,
            "explain",
            found="no request, answer or break under this reference, and no break of this id",
            expected="a reference as it stands in a posted file, or the id of a break",
            remedy="Check its spelling and the partner; quarantined rows are found by file and line",
        )
    return _with_lines(book, at, stories, items, breaks)


def of_breaks(book: Lookups, at: Known, break_ids: Sequence[str]) -> Scope:
    """What belongs to each of some breaks, in their order: the items they are about, what else waits under their
    reference, and the breaks on the same. The cost is that of the breaks and of what is open, not of all references.
    """
    stories = book.frame(
        f"""SELECT CAST(w.story AS BIGINT) AS story, b.subject AS ref, b.break_id, b.partner_id, b.item_id, b.theirs_id
            FROM wanted w JOIN book.break b ON b.break_id = w.break_id WHERE {at.counts("b.file_id")}
            ORDER BY w.story""",
        wanted=pl.DataFrame({"break_id": break_ids}, schema={"break_id": pl.String}).with_row_index("story"),
    )
    items = book.frame(
        f"""SELECT story, item_id FROM stories WHERE item_id IS NOT NULL
            UNION SELECT story, theirs_id FROM stories WHERE theirs_id IS NOT NULL
            UNION SELECT s.story, o.item_id FROM ({open_at(at)}) o
            JOIN stories s ON s.ref = o.ref AND s.partner_id = o.partner_id ORDER BY ALL""",
        stories=stories,
    )
    return _with_lines(book, at, stories.select(*_STORIES), items, _breaks(book, at, stories, items))


def _breaks(book: Lookups, at: Known, stories: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """story, break_id of the breaks under the references, and of those on the items."""
    counts = at.counts("b.file_id")
    return book.frame(
        f"""SELECT s.story, b.break_id FROM book.break b JOIN stories s ON s.ref = b.subject
            WHERE {_at_partner("b")} AND {counts}
            UNION SELECT i.story, b.break_id FROM book.break b JOIN items i ON i.item_id = b.item_id WHERE {counts}
            UNION SELECT i.story, b.break_id FROM book.break b JOIN items i ON i.item_id = b.theirs_id WHERE {counts}
            ORDER BY ALL""",
        stories=stories,
        items=items,
    )


def _at_partner(table: str) -> str:
    return f"(s.partner_id IS NULL OR s.partner_id = {table}.partner_id)"


def _with_lines(book: Lookups, at: Known, stories: pl.DataFrame, items: pl.DataFrame, breaks: pl.DataFrame) -> Scope:
    lines = _spoken(book, at, items, breaks)
    lines = pl.concat([lines, _taking_back(book, at, lines)])
    told = lines.group_by("story", "file_id", "line_no").agg(pl.col("own").any()).sort("story", "file_id", "line_no")
    place, count = pl.int_range(pl.len()).over("story"), pl.len().over("story")
    kept = (place < RECORDS_MAX // 2) | (place >= count - RECORDS_MAX // 2)
    left_out = told.filter(~kept).group_by("story").agg(records=pl.len().cast(pl.Int64))
    return Scope(stories, items, breaks, told.filter(kept), left_out)


def _spoken(book: Lookups, at: Known, items: pl.DataFrame, breaks: pl.DataFrame) -> pl.DataFrame:
    """Records that made an item, spoke of one, moved it on or considered it; that opened a break, or decided on one."""
    counts = at.counts("x.file_id")
    on_item = f"FROM book.{{0}} x JOIN items i ON i.item_id = x.{{1}} WHERE {counts}"
    on_break = f"FROM book.{{0}} x JOIN breaks b ON b.break_id = x.break_id WHERE {counts}"
    return book.frame(
        f"""WITH told AS (
                SELECT i.story, CAST({made_in("i.item_id")} AS INTEGER) AS file_id,
                       CAST({made_at("i.item_id")} AS INTEGER) AS line_no, true AS own FROM items i
                UNION SELECT i.story, x.file_id, x.line_no, true {on_item.format("disposition", "item_id")}
                UNION SELECT i.story, x.file_id, x.line_no, true {on_item.format("settled_key", "item_id")}
                UNION SELECT i.story, x.file_id, x.line_no, true {on_item.format("item_change", "item_id")}
                UNION SELECT i.story, x.file_id, x.line_no, x.role <> {MatchRole.CANDIDATE:d}
                      {on_item.format("match", "item_id")}
                UNION SELECT i.story, x.file_id, x.line_no, true {on_item.format("decision", "item_id")}
                UNION SELECT i.story, x.file_id, x.line_no, true {on_item.format("decision", "theirs_id")}
                UNION SELECT b.story, x.file_id, x.line_no, true {on_break.format("decision")}
                UNION SELECT b.story, x.file_id, x.line_no, true {on_break.format("break")}
                UNION SELECT b.story, x.file_id, x.line_no, true {on_break.format("break_state")}
            ) SELECT CAST(t.story AS BIGINT) AS story, t.file_id, t.line_no, t.own
            FROM told t JOIN book.posting p ON p.n = t.file_id
            WHERE t.line_no > 0 OR p.kind = '{FeedKind.CALENDAR}'  -- the close of a day has no line for each""",
        items=items,
        breaks=breaks,
    )


def _taking_back(book: Lookups, at: Known, lines: pl.DataFrame) -> pl.DataFrame:
    """Records that took back what these records booked or decided: of a correction at its line, or at 0."""
    return book.frame(
        f"""SELECT l.story, r.file_id, r.line_no, true AS own FROM book.reversal r
            JOIN lines l ON r.reverses // {TRANSFERS_PER_RECORD} = CAST(l.file_id AS BIGINT) * {RECORD_SPAN} + l.line_no
            WHERE l.own AND {at.counts("r.file_id")}
            UNION SELECT l.story, u.file_id, u.line_no, true FROM book.decision u
            JOIN lines l ON u.subject = concat(l.file_id, ':', l.line_no)
            WHERE u.action = {Action.UNDO:d} AND {at.counts("u.file_id")}""",
        lines=lines,
    )
