"""What a range of postings changed for a CRM: the newest state of each request and the balance of each member.

Here: the canonical updates as a pure function of a book and a range. Not here: any CRM's own fields
(``connectors.crm``), or which range makes a batch (``landing``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, Event, ItemKind, Side, State
from counterfoil.protocols import Updates

TOLD: Final = (
    State.CONFIRMED,
    State.REJECTED,
    State.REVERSED,
    State.HELD,
    State.REFUNDED,
    State.WRITTEN_OFF,
)
"""States a CRM hears of; a request that waits for its first answer is no news."""

REDEMPTIONS: Final[dict[str, type[pl.DataType]]] = {
    "event_key": pl.String,
    "partner": pl.String,
    "ref": pl.String,
    "member": pl.String,
    "status": pl.String,
    "points": pl.Int64,
    "answered": pl.Int64,
    "value_date": pl.Date,
    "answered_on": pl.Date,
    "reason": pl.String,
    "posting": pl.Int64,
}
BALANCES: Final[dict[str, type[pl.DataType]]] = {
    "event_key": pl.String,
    "member": pl.String,
    "unit": pl.String,
    "balance": pl.Int64,
    "last_activity": pl.Date,
    "posting": pl.Int64,
}

_SEPARATOR: Final = ":"
"""Neither a partner's name nor a unit can hold it, so a key can be read in one way only."""


def updates(book: Lookups, from_n: int, to_n: int) -> Updates:
    """What postings ``from_n`` (exclusive) to ``to_n`` (inclusive) changed, as it stood after ``to_n``.

    The same for ever, whatever is posted later. ``redemptions``: one row a request of ours (recalls are requests of
    their own) whose state changed to one of TOLD; ``answered`` is what the partner confirmed and has not taken back,
    null when it confirmed nothing. ``balances``: one row a member account with entries in the range. Points in the
    programme's unit; credit is positive. Reads grow with the range, not with the book.
    """
    partners = book.partners()
    return Updates(
        redemptions=_redemptions(book, from_n, to_n, partners), balances=_balances(book, from_n, to_n, partners)
    )


def changes_sql(from_n: int, to_n: int, *, met: str) -> str:
    """A query of every change of state in a range: item_id, state, confirmed, reason_id, answered_on, file_id, line_no.

    ``met`` names a frame of answers that came before their request (``met_answers``). An item that changed in several
    files has a row for each.
    """
    in_range = f"file_id > {from_n} AND file_id <= {to_n}"
    told = ", ".join(str(state.value) for state in TOLD)
    return f"""
        SELECT s.item_id, s.state, s.confirmed - s.reversed AS confirmed, coalesce(m.reason_id, s.reason_id) AS reason_id,
               coalesce(m.value_date, d.value_date) AS answered_on, s.file_id, s.line_no
        FROM (SELECT * FROM book.settled_key WHERE {in_range} AND state IN ({told})) s
        JOIN (SELECT file_id, line_no, value_date FROM book.disposition WHERE {in_range}) d
          ON d.file_id = s.file_id AND d.line_no = s.line_no
        LEFT JOIN {met} m ON m.file_id = s.file_id AND m.line_no = s.line_no
        UNION ALL
        SELECT item_id, CAST({State.HELD:d} AS SMALLINT), CAST(NULL AS BIGINT), reason_id, value_date, file_id, line_no
        FROM book.disposition WHERE {in_range} AND event = {Event.HELD:d}
        UNION ALL
        SELECT CAST(file_id AS BIGINT) * {RECORD_SPAN} + line_no, CAST({State.HELD:d} AS SMALLINT),
               CAST(NULL AS BIGINT), reason_id, value_date, file_id, line_no
        FROM {met} WHERE kind = {ItemKind.THEIR_HOLD:d}"""


def met_answers(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """Answers that had waited for a request of the range: file_id, line_no (of the request), kind, value_date, reason_id.

    Their date and reason stand at the line they came with, in an older file.
    """
    closed = book.frame(
        f"""SELECT file_id, line_no, item_id FROM book.settled_key
            WHERE file_id > {from_n} AND file_id <= {to_n} AND state = {State.CLOSED:d} AND line_no > 0"""
    )
    return book.frame(
        f"""SELECT c.file_id, c.line_no, i.kind, d.value_date, d.reason_id FROM closed c
            JOIN ({_items_of(closed["item_id"], "item_id, kind")}) i ON i.item_id = c.item_id
            JOIN book.disposition d ON d.file_id = CAST(c.item_id // {RECORD_SPAN} AS INTEGER)
                                   AND d.line_no = CAST(c.item_id % {RECORD_SPAN} AS INTEGER)""",
        closed=closed,
    )


def _redemptions(book: Lookups, from_n: int, to_n: int, partners: pl.DataFrame) -> pl.DataFrame:
    met = met_answers(book, from_n, to_n)
    touched = book.frame(
        f"""SELECT min(item_id) AS low, max(item_id) AS high
            FROM ({changes_sql(from_n, to_n, met="met")}) GROUP BY item_id // {RECORD_SPAN} ORDER BY low""",
        met=met,
    )
    columns = "item_id, side, partner_id, ref, member, amount, value_date"
    changed = book.frame(
        f"""SELECT i.partner_id, i.ref, i.member, i.amount, i.value_date,
                   c.state, c.confirmed, c.reason_id, c.answered_on, c.file_id, c.line_no
            FROM ({_items_between(touched, columns)}) i JOIN ({changes_sql(from_n, to_n, met="met")}) c
              ON c.item_id = i.item_id
            WHERE i.side = {Side.OURS:d}""",
        met=met,
    )
    reasons = book.frame("SELECT reason_id, reason FROM book.reason")
    told = changed.select(
        "ref",
        "member",
        "value_date",
        "answered_on",
        "line_no",
        partner=_named("partner_id", partners["partner_id"], partners["partner"]),
        status=pl.col("state").replace_strict({state.value: state.name.lower() for state in TOLD}),
        points="amount",
        answered=pl.when(pl.col("state").is_in([State.CONFIRMED.value, State.REVERSED.value])).then("confirmed"),
        reason=_named("reason_id", reasons["reason_id"], reasons["reason"]),
        posting="file_id",
    ).with_columns(event_key=pl.concat_str("partner", pl.lit(_SEPARATOR), "ref"))
    return _typed(_newest(told), REDEMPTIONS)


def _newest(told: pl.DataFrame) -> pl.DataFrame:
    """One row a key, the newest, in order of keys. Most ranges hold each key once, and then one sort is enough."""
    ordered = told.sort("event_key")
    key = ordered["event_key"]
    if not (key == key.shift(1)).any():
        return ordered
    return told.sort("event_key", "posting", "line_no").unique("event_key", keep="last", maintain_order=True)


def _balances(book: Lookups, from_n: int, to_n: int, partners: pl.DataFrame) -> pl.DataFrame:
    """Balances as of ``to_n``: what the book holds now, less what came later."""
    touched = book.frame(
        f"""WITH touched AS (
                SELECT account_id, max(value_date) AS last_activity, max(file_id) AS posting
                FROM book.entry WHERE file_id > {from_n} AND file_id <= {to_n} GROUP BY account_id
            ), later AS (
                SELECT account_id, CAST(sum(amount) AS BIGINT) AS amount
                FROM book.entry WHERE file_id > {to_n} GROUP BY account_id
            )
            SELECT a.partner_id, a.owner AS member, a.unit, t.last_activity, t.posting,
                   CAST(b.balance - coalesce(l.amount, 0) AS BIGINT) AS balance
            FROM touched t JOIN book.account a ON a.account_id = t.account_id
            JOIN book.balance b ON b.account_id = t.account_id LEFT JOIN later l ON l.account_id = t.account_id
            WHERE a.kind = 'member'"""
    )
    partner = _named("partner_id", partners["partner_id"], partners["partner"])
    key = pl.concat_str(partner, pl.lit(_SEPARATOR), "member", pl.lit(_SEPARATOR), "unit")
    return _typed(touched.with_columns(event_key=key).sort("event_key"), BALANCES)


def _items_of(items: pl.Series, columns: str) -> str:
    """A query that reads ``columns`` of the files that made the items."""
    spans = (
        pl.DataFrame({"item_id": items})
        .group_by(pl.col("item_id") // RECORD_SPAN)
        .agg(low=pl.col("item_id").min(), high=pl.col("item_id").max())
        .sort("low")
    )
    return _items_between(spans, columns)


def _items_between(spans: pl.DataFrame, columns: str) -> str:
    """A query over stretches of items: low, high. DuckDB skips what lies outside; without it an answer to one old
    request would have every item since then read."""
    parts = [
        f"SELECT {columns} FROM book.item WHERE item_id BETWEEN {low} AND {high}"
        for low, high in spans.select("low", "high").iter_rows()
    ]
    return " UNION ALL ".join(parts) or f"SELECT {columns} FROM book.item WHERE false"


def _named(number: str, numbers: pl.Series, names: pl.Series) -> pl.Expr:
    """Names for a column of dimension ids; null stays null."""
    return pl.col(number).replace_strict(numbers, names, return_dtype=pl.String)


def _typed(frame: pl.DataFrame, columns: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in columns.items())
