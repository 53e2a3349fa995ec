"""Stage 2 of the mass balance: where every outcome went, to the CRM and to the journal.

Here: which event has a CRM key and a journal line, and if not, why not. Not here: batches and journals themselves.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Event

CRM_NONE: Final[dict[Event, str]] = {
    Event.DUPLICATE_REQUEST: "asked before under this reference",
    Event.BALANCE_SHORT: "nothing was booked",
    Event.AMOUNT_DIFFERS: "not settled: the amounts differ",
    Event.CONFLICT: "not settled: the answers disagree",
    Event.ACCEPTED_AFTER_END: "not settled: in suspense",
    Event.DUPLICATE_ANSWER: "the same answer again",
    Event.AGREED_AFTER_END: "the request had ended so before",
    Event.UNKNOWN_ACCEPTED: "no request of ours",
    Event.UNKNOWN_OTHER: "no request of ours",
    Event.RATE: "a rate concerns no member",
    Event.DAY_CLOSED: "a close concerns no member",
    Event.OPENING_ITEM: "open before the book began",
}
"""Events that the CRM is not told of, and why."""

JOURNAL_NONE: Final[dict[Event, str]] = {
    Event.DUPLICATE_REQUEST: "nothing was booked",
    Event.BALANCE_SHORT: "nothing was booked",
    Event.HELD: "nothing moves while the partner decides",
    Event.AMOUNT_DIFFERS: "nothing was booked",
    Event.CONFLICT: "nothing was booked",
    Event.DUPLICATE_ANSWER: "nothing was booked twice",
    Event.AGREED_AFTER_END: "booked when the request ended",
    Event.UNKNOWN_OTHER: "nothing was booked",
    Event.RATE: "a rate moves no points",
    Event.DAY_CLOSED: "a close moves no points",
}
"""Events that book nothing, and why."""


def stage_two(
    book: Lookups,
    *,
    from_n: int,
    to_n: int,
    crm: Sequence[tuple[str, int, int, bool]],
    journals: Sequence[tuple[str, int, int]],
) -> pl.DataFrame:
    """Every outcome of postings in (from_n, to_n], by event and side.

    ``crm``: batch, from, to, written; ``journals``: journal, from, to. Columns: posting, feed, event, side (crm |
    journal), records, in_batch, pending, none, cause, batch.
    """
    counts = book.frame(
        f"""SELECT d.file_id AS posting, p.feed, d.event, count(*) AS records FROM book.disposition d
            JOIN book.posting p ON p.n = d.file_id WHERE d.file_id > {from_n} AND d.file_id <= {to_n}
            GROUP BY ALL ORDER BY ALL"""
    )
    written = [(name, low, high) for name, low, high, done in crm if done]
    sides = (("crm", CRM_NONE, written), ("journal", JOURNAL_NONE, list(journals)))
    return pl.concat([_side(counts, side, causes, ranges) for side, causes, ranges in sides]).sort(
        "posting", "event", "side"
    )


def unaccounted(rows: pl.DataFrame) -> int:
    """Outcomes that are in no batch, not pending, and have no cause: must be 0."""
    return int((rows["records"] - rows["in_batch"] - rows["pending"] - rows["none"]).abs().sum())


def _side(
    counts: pl.DataFrame, side: str, causes: dict[Event, str], ranges: Sequence[tuple[str, int, int]]
) -> pl.DataFrame:
    cause = pl.col("event").replace_strict(
        {event.value: text for event, text in causes.items()}, default=None, return_dtype=pl.String
    )
    batch = pl.lit(None, pl.String)
    for name, low, high in ranges:
        batch = pl.when(pl.col("posting").is_between(low, high, closed="right")).then(pl.lit(name)).otherwise(batch)
    told = cause.is_null()
    zero = pl.lit(0, pl.Int64)
    names = {event.value: event.name.lower() for event in Event}
    return counts.select(
        pl.col("posting").cast(pl.Int64),
        "feed",
        event=pl.col("event").replace_strict(names, return_dtype=pl.String),
        side=pl.lit(side),
        records=pl.col("records").cast(pl.Int64),
        in_batch=pl.when(told & batch.is_not_null()).then(pl.col("records")).otherwise(zero),
        pending=pl.when(told & batch.is_null()).then(pl.col("records")).otherwise(zero),
        none=pl.when(told).then(zero).otherwise(pl.col("records")),
        cause=cause,
        batch=pl.when(told).then(batch),
    )
