"""How items came to stand as they do: every event of an item, from append-only rows alone, and its last one.

Here: the one derivation of the working set ``open_item``, as queries. Not here: who asks (audits, undoing, figures of
past days), or the working set itself, which each posting keeps in step.
"""

from typing import Final

from counterfoil.ledger.model import RECORD_SPAN, Event, Side, State

ENDS: Final = ", ".join(
    str(state.value)
    for state in (
        State.CONFIRMED,
        State.REJECTED,
        State.REVERSED,
        State.REFUNDED,
        State.WRITTEN_OFF,
        State.CLOSED,
        State.WITHDRAWN,
        State.CREDITED,
        State.RETURNED,
        State.CANCELLED,
    )
)
"""States in which an item is open no more."""

_BOOKS_SUSPENSE: Final = f"({Event.UNKNOWN_ACCEPTED:d}, {Event.ACCEPTED_AFTER_END:d}, {Event.REDEEMED_BEYOND:d})"


def unsigned(amount: str) -> str:
    """SQL for a BIGINT without its sign; null for -2^63, which has no such number and which no file can bring."""
    return f"abs(nullif({amount}, CAST('-9223372036854775808' AS BIGINT)))"


def item_events(items: str = "SELECT * FROM book.item", files: str = "true") -> str:
    """A query for what happened to items: item_id, file_id, step, state, remaining, line_no.

    ``items`` is a query for rows of ``item``; ``files`` a condition on ``file_id`` that limits what counts as having
    happened. Step 0 is its making, 1 a change while it was open, 2 an end; in one file a later step counts more.
    ``remaining`` is what it keeps in flight (ours), in suspense (theirs), scheduled or unclaimed (promised).
    """
    file_id, line_no = f"CAST(i.item_id // {RECORD_SPAN} AS INTEGER)", f"CAST(i.item_id % {RECORD_SPAN} AS INTEGER)"
    return f"""
        WITH named AS ({items}), made AS (
            SELECT i.item_id, i.side, i.amount, {file_id} AS file_id, {line_no} AS line_no FROM named i
        ), told AS (
            SELECT m.*, d.event FROM made m
            LEFT JOIN book.disposition d ON d.file_id = m.file_id AND d.line_no = m.line_no
        )
        SELECT item_id, file_id, 0 AS step,
               CAST(CASE WHEN side = {Side.THEIRS:d} THEN {State.UNIDENTIFIED:d}
                         WHEN event = {Event.SCHEDULED:d} THEN {State.SCHEDULED:d}
                         WHEN event = {Event.DISTRIBUTED_UNCLAIMED:d} THEN {State.UNCLAIMED:d}
                         WHEN event = {Event.BALANCE_SHORT:d} THEN {State.SHORT:d}
                         ELSE {State.PENDING:d} END AS SMALLINT) AS state,
               CASE WHEN side = {Side.THEIRS:d} AND event NOT IN {_BOOKS_SUSPENSE} THEN 0
                    WHEN side = {Side.THEIRS:d} THEN amount
                    WHEN event = {Event.BALANCE_SHORT:d} THEN 0
                    ELSE {unsigned("amount")} END AS remaining, line_no
        FROM told WHERE {files}
        UNION ALL
        SELECT item_id, file_id, 1, state, remaining, line_no FROM book.item_change SEMI JOIN named USING (item_id)
        WHERE {files}
        UNION ALL
        SELECT item_id, file_id, 2, state, 0, line_no FROM book.settled_key SEMI JOIN named USING (item_id)
        WHERE {files}"""


def last_events(items: str = "SELECT * FROM book.item", files: str = "true") -> str:
    """A query for the last of ``item_events`` of each item, the same columns."""
    return f"""SELECT * EXCLUDE (place) FROM (
            SELECT e.*, row_number() OVER (PARTITION BY item_id ORDER BY file_id DESC, step DESC, line_no DESC) AS place
            FROM ({item_events(items, files)}) e
        ) WHERE place = 1"""


def open_now(files: str = "true") -> str:
    """A query for the items that are open, derived: item_id, state, remaining. Ids that no record has are none."""
    items = f"SELECT * FROM book.item WHERE item_id BETWEEN 0 AND {RECORD_SPAN * RECORD_SPAN - 1}"
    return f"SELECT item_id, state, remaining FROM ({last_events(items, files)}) WHERE state NOT IN ({ENDS})"
