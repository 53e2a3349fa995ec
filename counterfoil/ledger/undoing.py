"""Takes back what records did: transfers mirrored, items as they were before, their breaks as they were before.

Here: which records can still be taken back, and the changes that do it. Not here: why (``corrections``,
``decisions``). A record can be taken back while nothing has happened since to any item that it made or moved on.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from counterfoil.ledger import break_life, posting
from counterfoil.ledger.histories import ENDS, item_events
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import (
    RECORD_SPAN,
    TRANSFERS_PER_RECORD,
    BreakCode,
    BreakEvent,
    BreakState,
    Event,
    MatchPass,
    MatchRole,
    Side,
    State,
)
from counterfoil.ledger.tables import OPEN_ITEM
from counterfoil.ledger.work import Work, month_of

RECORDS: Final = {"file_id": pl.Int32, "line_no": pl.Int32, "by_line": pl.Int32}
"""Records to take back, and the line of this file that does it (0: the file as a whole)."""

MADE_BASE: Final = 1 << 30
"""Records of the program's own making in a file count from here: no file has as many lines."""

_ORDINAL: Final = 1
"""Transfers that are not what a record itself books have an ordinal above 0."""

_ONLY_TOLD: Final = ", ".join(
    f"{event:d}"
    for event in (
        Event.AMOUNT_DIFFERS,
        Event.CONFLICT,
        Event.ACCEPTED_AFTER_END,
        Event.DUPLICATE_ANSWER,
        Event.AGREED_AFTER_END,
        Event.UNKNOWN_ACCEPTED,
        Event.UNKNOWN_OTHER,
        Event.ACCRUED,
        Event.REDEEMED,
    )
)
"""Events of answers, and of activity taken back, that leave the item they speak of as it is, and were judged by how it
stood."""

_TOUCHED: Final = f"""
    SELECT r.file_id, r.line_no, r.by_line, i.item_id, i.side, true AS made
    FROM records r JOIN book.item i ON i.item_id = CAST(r.file_id AS BIGINT) * {RECORD_SPAN} + r.line_no
    WHERE NOT EXISTS (SELECT 1 FROM book.match m WHERE m.file_id = r.file_id AND m.line_no = r.line_no
                      AND m.match_pass = {MatchPass.NETTED:d} AND m.role = {MatchRole.PART:d})
    UNION
    SELECT r.file_id, r.line_no, r.by_line, i.item_id, i.side, false FROM (
        SELECT file_id, line_no, item_id FROM book.item_change
        UNION ALL SELECT file_id, line_no, item_id FROM book.settled_key
        UNION ALL SELECT file_id, line_no, item_id FROM book.match WHERE role = {MatchRole.PART:d}
    ) m JOIN records r USING (file_id, line_no) JOIN book.item i ON i.item_id = m.item_id
    WHERE i.item_id <> CAST(r.file_id AS BIGINT) * {RECORD_SPAN} + r.line_no"""
"""Items that the records made, and items that they moved on or settled together with others. An answer that settled
several requests has an item that never was open; it stays as it is."""


def undoable(records: pl.DataFrame, book: Lookups) -> pl.Series:
    """Which of RECORDS can still be taken back: Boolean, in their order."""
    late = book.frame(
        f"""WITH touched AS ({_TOUCHED}), last AS (
                SELECT item_id, max(file_id) AS file_id FROM ({_events()}) GROUP BY item_id
            )
            SELECT t.file_id, t.line_no FROM touched t JOIN last l ON l.item_id = t.item_id
            LEFT JOIN book.open_item o ON o.item_id = t.item_id
            WHERE l.file_id > t.file_id OR (t.made AND o.item_id IS NULL)
               OR (t.made AND t.side = {Side.OURS:d} AND (
                   o.state NOT IN ({State.PENDING:d}, {State.SHORT:d}) OR t.item_id IN (
                       SELECT item_id FROM book.open_break WHERE item_id IS NOT NULL
                       AND code NOT IN ({BreakCode.OVERDUE:d}, {BreakCode.BALANCE_SHORT:d}))))
            UNION SELECT t.file_id, t.line_no FROM touched t JOIN ({_events()}) e
                ON e.item_id = t.item_id AND e.file_id = t.file_id AND e.step > 0 AND e.line_no <> 0
            WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.file_id = e.file_id AND r.line_no = e.line_no)
            UNION SELECT r.file_id, r.line_no FROM records r JOIN book.alias a USING (file_id, line_no)
            UNION SELECT r.file_id, r.line_no FROM records r JOIN book.disposition d USING (file_id, line_no)
            WHERE d.event = {Event.CHANGED_TOO_LATE:d}
            UNION SELECT r.file_id, r.line_no FROM records r JOIN book.match m USING (file_id, line_no)
            JOIN book.match o ON o.file_id = m.file_id AND o.item_id = m.item_id AND o.role = m.role
            WHERE m.role = {MatchRole.PART:d}
              AND NOT EXISTS (SELECT 1 FROM records s WHERE s.file_id = o.file_id AND s.line_no = o.line_no)
            UNION SELECT t.file_id, t.line_no FROM touched t JOIN book.disposition d ON d.item_id = t.item_id
            WHERE d.file_id > t.file_id AND d.event IN ({_ONLY_TOLD})
            UNION SELECT r.file_id, r.line_no FROM records r JOIN book.break_state s USING (file_id, line_no)
            WHERE s.break_id NOT IN (SELECT break_id FROM book.open_break) OR EXISTS (
                SELECT 1 FROM (SELECT * FROM book.break_state ANTI JOIN records USING (file_id, line_no)) l
                WHERE l.break_id = s.break_id AND l.file_id > s.file_id)""",
        records=records,
    ).select(pl.struct("file_id", "line_no").alias("place"))
    places = records.select(place=pl.struct("file_id", "line_no")).to_series()
    return ~places.is_in(late["place"].implode())


def compose(records: pl.DataFrame, work: Work, book: Lookups) -> posting.Changes:
    """The changes that take RECORDS back; all must be ``undoable``.

    An item becomes what it was before its record, and before the records of the same identity that this one came after.
    """
    chain = work.former.postings if work.former else tuple(records["file_id"].unique())
    breaks_back = _cleared_breaks(records, chain, book)
    touched = pl.concat([book.frame(_TOUCHED, records=records), _emptied(breaks_back, book)])
    entries, reversals = _mirrored(records, work, book)
    before = _before(touched.filter(~pl.col("made")), chain, book)
    made = touched.filter("made")
    again = before.filter("reopens")
    stamp = {"file_id": pl.lit(work.file_id), "month": pl.lit(month_of(work.on_day))}
    ended = pl.concat(
        [
            # At no line, so that what the same file does anew to the item counts as the later of the two.
            before.filter("ended").select(
                "item_id", "state", "confirmed", "reversed", "reason_id", line_no=pl.lit(0, pl.Int32)
            ),
            made.select(
                "item_id",
                state=pl.when(pl.col("side") == Side.OURS.value)
                .then(pl.lit(State.WITHDRAWN.value, pl.Int16))
                .otherwise(pl.lit(State.CLOSED.value, pl.Int16)),
                confirmed=pl.lit(0, pl.Int64),
                reversed=pl.lit(0, pl.Int64),
                reason_id=pl.lit(None, pl.Int32),
                line_no="by_line",
            ),
        ]
    )
    return posting.changes(
        {
            "settled_key": ended.with_columns(**stamp),
            "entry": entries,
            "item_change": before.filter(~pl.col("ended")).select(
                "item_id", "state", "remaining", file_id=pl.lit(work.file_id), line_no="by_line"
            ),
            "reversal": reversals,
            "break_state": _states_before(records, book).with_columns(file_id=pl.lit(work.file_id)),
        },
        opened=again.select(*OPEN_ITEM),
        closed=made.select("item_id"),
        clearing=_opened_breaks(records, made, book),
        reopening=breaks_back.select("break_id", "code"),
    )


def _events() -> str:
    return item_events("SELECT i.* FROM book.item i WHERE i.item_id IN (SELECT item_id FROM touched)")


def _mirrored(records: pl.DataFrame, work: Work, book: Lookups) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Entries that take back every transfer of the records, on its old value date, and which takes back which."""
    old = book.frame(
        f"""SELECT e.transfer_id AS reverses, e.leg, e.account_id, e.amount, e.value_date, r.by_line AS line_no
           FROM book.entry e JOIN records r USING (file_id, line_no)
           WHERE e.event <> {Event.UNDONE:d} ORDER BY e.transfer_id, e.leg""",
        records=records,
    )
    number = pl.col("reverses").rank("dense").cast(pl.Int64)
    base = (work.file_id * RECORD_SPAN + MADE_BASE) * TRANSFERS_PER_RECORD + _ORDINAL
    new = old.with_columns(
        transfer_id=number * TRANSFERS_PER_RECORD + base,
        amount=-pl.col("amount"),
        event=pl.lit(Event.UNDONE.value),
        accounting_date=pl.lit(work.on_day),
        file_id=pl.lit(work.file_id),
    )
    pairs = new.unique("transfer_id", keep="first", maintain_order=True)
    return new.drop("reverses"), pairs.select("transfer_id", "reverses", "file_id", "line_no")


def _before(moved: pl.DataFrame, chain: Sequence[int], book: Lookups) -> pl.DataFrame:
    """Each item as it was before the files of the chain moved it on: columns of OPEN_ITEM, and by_line, ended (it had
    ended even then), confirmed, reversed, reason_id of that end, reopens (it is not open now)."""
    return book.frame(
        f"""WITH was AS (
                SELECT e.item_id, e.state, e.remaining, e.file_id AS was_in, e.line_no AS was_at, t.by_line,
                       row_number() OVER (PARTITION BY e.item_id ORDER BY e.file_id DESC, e.step DESC, e.line_no DESC)
                           AS place
                FROM ({_events()}) e JOIN (
                    SELECT item_id, min(file_id) AS file_id, min(by_line) AS by_line FROM touched GROUP BY item_id
                ) t ON t.item_id = e.item_id AND e.file_id < t.file_id
                WHERE e.file_id NOT IN ({", ".join(map(str, chain))})
            )
            SELECT i.item_id, i.side, i.kind, w.state, i.partner_id, i.ref, i.member, i.source_account, i.amount,
                   CAST(w.remaining AS BIGINT) AS remaining, i.value_date, i.due_date, w.by_line,
                   w.state IN ({ENDS}) AS ended, coalesce(k.confirmed, 0) AS confirmed,
                   coalesce(k.reversed, 0) AS reversed, k.reason_id,
                   w.state NOT IN ({ENDS}) AND o.item_id IS NULL AS reopens
            FROM was w JOIN book.item i ON i.item_id = w.item_id
            LEFT JOIN book.open_item o ON o.item_id = w.item_id
            LEFT JOIN book.settled_key k ON k.item_id = w.item_id AND k.file_id = w.was_in AND k.line_no = w.was_at
            WHERE w.place = 1 ORDER BY i.item_id""",
        touched=moved,
    )


def _cleared_breaks(records: pl.DataFrame, chain: Sequence[int], book: Lookups) -> pl.DataFrame:
    """Breaks that the records cleared and that are still cleared: break_id, code, theirs_id, file_id, by_line.

    An answer nobody asked for takes the place of a hold that waited under its reference, and clears the hold's break.
    A break that another decision of the same file closed stays cleared: that decision stands.
    """
    leaving_open = ", ".join(f"{action:d}" for action in break_life.EVENTS)
    return book.frame(
        f"""WITH touched AS ({_TOUCHED}), closing AS (
                SELECT * FROM book.decision WHERE action NOT IN ({leaving_open})
            ), told AS (
                SELECT d.break_id, r.file_id, r.by_line FROM closing d JOIN records r USING (file_id, line_no)
            ), stands AS (
                SELECT d.break_id, d.file_id FROM closing d ANTI JOIN records r USING (file_id, line_no)
            )
            SELECT b.break_id, b.code, b.theirs_id, min(t.file_id) AS file_id, min(t.by_line) AS by_line
            FROM book.break b JOIN (
                SELECT e.break_id, s.file_id, s.by_line FROM book.break_event e JOIN touched s ON s.file_id = e.file_id
                JOIN book.item i ON i.item_id = s.item_id
                JOIN book.break c ON c.break_id = e.break_id AND (c.item_id = s.item_id OR c.theirs_id = s.item_id
                    OR (s.made AND s.side = {Side.THEIRS:d} AND c.code = {BreakCode.UNKNOWN_THEIRS:d}
                        AND c.partner_id = i.partner_id AND c.subject = i.ref))
                ANTI JOIN stands d ON d.break_id = e.break_id AND d.file_id = e.file_id
                WHERE e.event = {BreakEvent.CLEARED:d} AND c.file_id NOT IN ({", ".join(map(str, chain))})
                UNION SELECT * FROM told
            ) t ON t.break_id = b.break_id
            WHERE b.break_id NOT IN (SELECT break_id FROM book.open_break)
            GROUP BY ALL ORDER BY b.break_id""",
        records=records,
    )


def _states_before(records: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """What had been done about breaks before the records: columns of ``break_state`` but file_id, at no line."""
    return book.frame(
        f"""SELECT b.break_id, CAST(coalesce(w.state, {BreakState.OPEN:d}) AS SMALLINT) AS state, w.owner, w.until,
                   CAST(0 AS INTEGER) AS line_no
            FROM (SELECT DISTINCT s.break_id FROM book.break_state s SEMI JOIN records USING (file_id, line_no)) b
            LEFT JOIN ({break_life.latest("(file_id, line_no) NOT IN (SELECT (file_id, line_no) FROM records)")}) w
                ON w.break_id = b.break_id
            ORDER BY b.break_id""",
        records=records,
    )


def _emptied(breaks_back: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """Answers that waited under a break which opens again, and were closed with it; columns as of _TOUCHED."""
    return book.frame(
        """SELECT b.file_id, k.line_no, b.by_line, i.item_id, i.side, false AS made
           FROM breaks_back b JOIN book.settled_key k ON k.item_id = b.theirs_id AND k.file_id = b.file_id
           JOIN book.item i ON i.item_id = b.theirs_id WHERE k.line_no = 0""",
        breaks_back=breaks_back,
    )


def _opened_breaks(records: pl.DataFrame, made: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """Breaks that the records opened, or that stand on items they made, and that are open: break_id, code."""
    return book.frame(
        """SELECT o.break_id, o.code FROM book.open_break o JOIN book.break b ON b.break_id = o.break_id
           WHERE EXISTS (SELECT 1 FROM records r WHERE r.file_id = b.file_id AND r.line_no = b.line_no)
              OR o.item_id IN (SELECT item_id FROM made) OR o.theirs_id IN (SELECT item_id FROM made)
           ORDER BY o.break_id""",
        records=records,
        made=made,
    )
