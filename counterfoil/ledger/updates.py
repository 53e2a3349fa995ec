"""What a range of postings changed for a CRM: the newest state of each request and the balance of each member.

Here: the canonical updates as a pure function of a book and a range. Not here: any CRM's own fields
(``connectors.crm``), or which range makes a batch (``landing``).
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from counterfoil.errors import Code
from counterfoil.feed import FeedKind
from counterfoil.identity import Verdict
from counterfoil.invariants import require
from counterfoil.ledger.credited import credited
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, Event, ItemKind, MatchRole, Side, State
from counterfoil.protocols import Updates
from counterfoil.reconcile import life

TOLD: Final = (
    State.CONFIRMED,
    State.REJECTED,
    State.REVERSED,
    State.HELD,
    State.REFUNDED,
    State.WRITTEN_OFF,
    State.WITHDRAWN,
    State.PENDING,
)
"""States a CRM hears of. A request that waits for its first answer is no news; one whose answer was taken back is."""

_TOLD_CODES: Final = ", ".join(str(state.value) for state in TOLD if state is not State.WITHDRAWN)

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

_CHANGE: Final = "item_id, state, answered, reason_id, answered_on, file_id, line_no"


def _plain() -> dict[Event, State]:
    """Events after which a request always stands in one state, whatever it was in before."""
    states: dict[Event, set[State]] = {}
    for step in life.STEPS.values():
        states.setdefault(step.event, set()).add(step.state)
    settling = {State.CONFIRMED, State.REJECTED, State.HELD}
    return {event: ends.pop() for event, ends in states.items() if len(ends) == 1 and ends <= settling}


PLAIN: Final[Mapping[Event, State]] = _plain()
"""Answers whose own disposition says all there is to tell; nearly every record of a hand-back."""


def updates(book: Lookups, from_n: int, to_n: int) -> Updates:
    """What postings ``from_n`` (exclusive) to ``to_n`` (inclusive) changed, as it stood after ``to_n``.

    The same for ever, whatever is posted later. ``redemptions``: one row a request of ours (a recall is a request of
    its own) or a member's order whose state changed to one of TOLD; ``answered`` is what the partner confirmed (of an
    order, what was issued) and has not taken back, null where it confirmed nothing. ``balances``: one row a member
    account with entries in the range, credit positive. ``distributions``: those that reached their recipient
    (``credited``). Reads grow with the range, not with the book. Raises MASS_BALANCE when a change of state has no
    answer.
    """
    partners = book.partners()
    return Updates(
        redemptions=_redemptions(book, from_n, to_n, partners),
        balances=_balances(book, from_n, to_n, partners),
        distributions=credited(book, from_n, to_n),
    )


def other_changes(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """Changes of state in a range that PLAIN does not tell: reversals, decisions, what a correction took back, and
    answers that had waited.

    Columns: item_id, state, answered, reason_id, answered_on, file_id, line_no. The date and reason of an answer that
    had waited stand at the line it came with, in an older file; what a correction took back, without a record of its
    own, is dated on the programme day.
    """
    plain = ", ".join(str(event.value) for event in PLAIN)
    rest = book.frame(
        f"""WITH answers AS (
                SELECT n FROM book.posting
                WHERE {_within("n", from_n, to_n)} AND kind = '{FeedKind.HANDBACK}'
                  AND verdict <> '{Verdict.CORRECTION}'
            ), others AS (
                SELECT n FROM book.posting WHERE {_within("n", from_n, to_n)} AND n NOT IN (FROM answers)
            ), together AS (
                SELECT item_id FROM book.match WHERE {_within("file_id", from_n, to_n)} AND role = {MatchRole.PART:d}
            ), keys AS (
                SELECT item_id, state, reason_id, file_id, line_no,
                       CASE WHEN state IN ({State.CONFIRMED:d}, {State.REVERSED:d})
                            THEN confirmed - reversed END AS answered
                FROM book.settled_key
                WHERE {_within("file_id", from_n, to_n)} AND state IN ({_TOLD_CODES})
                  AND (state = {State.REVERSED:d} OR file_id NOT IN (FROM answers) OR item_id IN (FROM together))
                UNION ALL  -- a request taken back; one that the same file asks anew under its reference is no news
                SELECT k.item_id, k.state, NULL, k.file_id, k.line_no, NULL
                FROM book.settled_key k JOIN book.item i ON i.item_id = k.item_id
                WHERE k.file_id IN (FROM others) AND k.state = {State.WITHDRAWN:d} AND NOT EXISTS (
                    SELECT 1 FROM book.item a WHERE a.partner_id = i.partner_id AND a.ref = i.ref
                      AND CAST(a.item_id // {RECORD_SPAN} AS INTEGER) = k.file_id)
                UNION ALL
                SELECT c.item_id, c.state, NULL, c.file_id, c.line_no, NULL
                FROM book.item_change c JOIN book.item i ON i.item_id = c.item_id AND i.side = {Side.OURS:d}
                WHERE c.file_id IN (FROM others) AND CAST(c.item_id // {RECORD_SPAN} AS INTEGER) <> c.file_id
            ), told AS (
                SELECT file_id, line_no, item_id FROM book.disposition
                WHERE file_id IN (FROM others) AND event IN ({plain})
            )
            SELECT k.item_id, CAST(k.state AS SMALLINT) AS state, k.answered, k.reason_id,
                   coalesce(d.value_date, p.on_day) AS answered_on, k.file_id, k.line_no
            FROM keys k ANTI JOIN told t ON t.file_id = k.file_id AND t.line_no = k.line_no AND t.item_id = k.item_id
            JOIN book.posting p ON p.n = k.file_id
            LEFT JOIN book.disposition d ON d.file_id = k.file_id AND d.line_no = k.line_no"""
    )
    met = _met(book, from_n, to_n)
    held = met.filter(pl.col("kind") == ItemKind.THEIR_HOLD.value).select(
        "reason_id",
        "answered_on",
        "file_id",
        "line_no",
        item_id=pl.col("file_id").cast(pl.Int64) * RECORD_SPAN + pl.col("line_no"),
        state=pl.lit(State.HELD.value, pl.Int16),
        answered=pl.lit(None, pl.Int64),
    )
    return pl.concat([rest.update(met.drop("kind"), on=["file_id", "line_no"]), held.select(rest.columns)])


def _met(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """Answers that a request of the range found waiting: file_id, line_no (the request's), kind, answered_on,
    reason_id. Of several that are one request's parts, the newest."""
    closed = book.frame(
        f"""SELECT file_id, line_no, item_id FROM book.settled_key
            WHERE {_within("file_id", from_n, to_n)} AND state = {State.CLOSED:d} AND line_no > 0"""
    )
    return book.frame(
        f"""SELECT c.file_id, c.line_no, i.kind, d.value_date AS answered_on, d.reason_id FROM closed c
            JOIN ({_items(_spans(closed), "item_id, kind")}) i ON i.item_id = c.item_id
            JOIN book.disposition d ON d.file_id = CAST(c.item_id // {RECORD_SPAN} AS INTEGER)
                                   AND d.line_no = CAST(c.item_id % {RECORD_SPAN} AS INTEGER)
            QUALIFY row_number() OVER (PARTITION BY c.file_id, c.line_no
                                       ORDER BY d.value_date DESC, c.item_id DESC) = 1""",
        closed=closed,
    )


def _redemptions(book: Lookups, from_n: int, to_n: int, partners: pl.DataFrame) -> pl.DataFrame:
    others = other_changes(book, from_n, to_n)
    changes = f"{_plain_changes(from_n, to_n)} UNION ALL SELECT {_CHANGE} FROM others"
    spans = book.frame(
        f"""SELECT min(item_id) AS low, max(item_id) AS high FROM ({changes})
            GROUP BY item_id // {RECORD_SPAN} ORDER BY low""",
        others=others,
    )
    changed = book.frame(
        f"""SELECT i.partner_id, i.ref, i.member, i.amount, i.value_date,
                   c.state, c.answered, c.reason_id, c.answered_on, c.file_id, c.line_no
            FROM ({_items(spans, "item_id, side, partner_id, ref, member, amount, value_date")}) i
            JOIN ({changes}) c ON c.item_id = i.item_id WHERE i.side <> {Side.THEIRS:d}""",
        others=others,
    )
    _prove(book, from_n, to_n, changed)
    # What a company ordered for people who are no members yet is no member's transaction.
    changed = changed.filter(pl.col("member").is_not_null())
    reasons = book.frame("SELECT reason_id, reason FROM book.reason")
    named = changed.with_columns(partner=_named("partner_id", partners["partner_id"], partners["partner"]))
    told = _newest(named.with_columns(event_key=pl.concat_str("partner", pl.lit(_SEPARATOR), "ref")))
    return _typed(
        told.with_columns(
            status=pl.col("state").replace_strict({state.value: state.name.lower() for state in TOLD}),
            reason=_named("reason_id", reasons["reason_id"], reasons["reason"]),
        ).rename({"amount": "points", "file_id": "posting"}),
        REDEMPTIONS,
    )


def _plain_changes(from_n: int, to_n: int) -> str:
    events = ", ".join(str(event.value) for event in PLAIN)
    state = " ".join(f"WHEN {event.value} THEN {state.value}" for event, state in PLAIN.items())
    confirming = ", ".join(str(event.value) for event, state in PLAIN.items() if state is State.CONFIRMED)
    return f"""SELECT item_id, CAST(CASE event {state} END AS SMALLINT) AS state,
                      CASE WHEN event IN ({confirming}) THEN points END AS answered,
                      reason_id, value_date AS answered_on, file_id, line_no
               FROM book.disposition WHERE {_within("file_id", from_n, to_n)} AND event IN ({events})"""


def _newest(changed: pl.DataFrame) -> pl.DataFrame:
    """One row a key, the newest, in order of keys. Mostly each key occurs once, and one cheap sort is enough."""
    ordered = changed.sort("event_key")
    if not (ordered["event_key"] == ordered["event_key"].shift(1)).any():
        return ordered
    return changed.sort("event_key", "file_id", "line_no").unique("event_key", keep="last", maintain_order=True)


def _prove(book: Lookups, from_n: int, to_n: int, changed: pl.DataFrame) -> None:
    """Each settled key of a request is told by one change, with its points."""
    settled = book.row(
        f"""SELECT count(*), CAST(coalesce(sum(confirmed - reversed), 0) AS BIGINT) FROM book.settled_key
            WHERE {_within("file_id", from_n, to_n)} AND state IN ({_TOLD_CODES})"""
    )
    untold = [state.value for state in (State.HELD, State.PENDING, State.WITHDRAWN)]
    ended = changed.filter(~pl.col("state").is_in(untold))["answered"]
    require(settled == (ended.len(), ended.sum()), "each change of state has its answer", code=Code.MASS_BALANCE)


def _balances(book: Lookups, from_n: int, to_n: int, partners: pl.DataFrame) -> pl.DataFrame:
    """Balances as of ``to_n``: what the book holds now, less what came later."""
    touched = book.frame(
        f"""WITH touched AS (
                SELECT account_id, max(value_date) AS last_activity, max(file_id) AS posting
                FROM book.entry WHERE {_within("file_id", from_n, to_n)} GROUP BY account_id
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


def _within(column: str, from_n: int, to_n: int) -> str:
    return f"{column} > {from_n} AND {column} <= {to_n}"


def _spans(items: pl.DataFrame) -> pl.DataFrame:
    """The stretch of items used of each file: low, high."""
    item = pl.col("item_id")
    return items.group_by(file=item // RECORD_SPAN).agg(low=item.min(), high=item.max()).sort("low")


def _items(spans: pl.DataFrame, columns: str) -> str:
    """A query over stretches of items. DuckDB skips what lies outside; joining all of them would read every item made
    since the oldest request that was answered."""
    parts = [
        f"SELECT {columns} FROM book.item WHERE item_id BETWEEN {low} AND {high}"
        for low, high in spans.select("low", "high").iter_rows()
    ]
    return " UNION ALL ".join(parts) or f"SELECT {columns} FROM book.item WHERE false"


def _named(number: str, numbers: pl.Series, names: pl.Series) -> pl.Expr:
    """Names for a column of dimension ids; null stays null."""
    return pl.col(number).replace_strict(numbers, names, return_dtype=pl.String)


def _typed(frame: pl.DataFrame, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in columns.items())
