"""The parts of stories: items, records, what these were held against, what they booked, breaks and decisions.

Here: one read of the book for each part, whatever the number of stories. Not here: which items and records belong to a
story (``story_scope``), or the story itself (``telling``). Members are masked; postings that do not count are not read.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.identity import Verdict
from counterfoil.ledger import charged
from counterfoil.ledger.extracts import code_and_title, masked
from counterfoil.ledger.figures import made_at, made_in
from counterfoil.ledger.histories import last_events
from counterfoil.ledger.known import Known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import (
    RECORD_SPAN,
    TRANSFERS_PER_RECORD,
    Action,
    Agreed,
    BreakEvent,
    BreakState,
    Disposition,
    Event,
    ItemKind,
    MatchPass,
    MatchRole,
    Side,
    State,
)
from counterfoil.ledger.story import Candidate, End, Leg, Step, Transfer

Place = tuple[int, int]
"""A record: its posting and line."""

FIELDS: Final[Mapping[Agreed, str]] = {
    Agreed.REF: "reference",
    Agreed.MEMBER: "member",
    Agreed.POINTS: "points",
    Agreed.DATE: "date",
}

_POSTED_AT: Final = "strftime(p.posted_at, '%Y-%m-%dT%H:%M:%S.%g') || 'Z'"

_BY_REFERENCE: Final = ", ".join(
    f"{match_pass:d}" for match_pass in (MatchPass.EXACT, MatchPass.SETTLED_KEY, MatchPass.DATE_WINDOW)
)
"""Passes that keep no row of ``match`` for what they found: it follows from the record and its item."""

_STATE_STEPS: Final = {BreakState.OPEN: "open", BreakState.ASSIGNED: "assigned", BreakState.PENDING: "pending"}


def items(book: Lookups, at: Known, item_ids: pl.DataFrame) -> pl.DataFrame:
    """Items by id: columns of ``Item`` without ``ends``, in the state they were in at the end of the day."""
    chosen = book.frame("SELECT i.* FROM book.item i SEMI JOIN named USING (item_id)", named=item_ids)
    return book.frame(
        f"""WITH last AS ({last_events("SELECT * FROM chosen", at.counts())})
            SELECT i.item_id, i.side, i.kind, l.state, p.partner, i.ref, i.member, i.amount AS points,
                   CAST(i.value_date AS VARCHAR) AS value_date, CAST(i.due_date AS VARCHAR) AS due_date,
                   {made_in("i.item_id")} AS posting, {made_at("i.item_id")} AS line
            FROM chosen i JOIN book.partner p ON p.partner_id = i.partner_id JOIN last l ON l.item_id = i.item_id
            ORDER BY i.item_id""",
        chosen=chosen,
    ).with_columns(_word("side", Side), _word("kind", ItemKind), _word("state", State), masked("member"))


def ends(book: Lookups, at: Known, item_ids: pl.DataFrame) -> dict[int, tuple[End, ...]]:
    """The ends of each item, in the order in which they came."""
    found = book.frame(
        f"""SELECT k.item_id, k.state, k.confirmed, k.reversed, r.reason, k.file_id AS posting,
                  nullif(k.line_no, 0) AS line
           FROM book.settled_key k SEMI JOIN named USING (item_id)
           LEFT JOIN book.reason r ON r.reason_id = k.reason_id WHERE {at.counts("k.file_id")}
           ORDER BY k.item_id, k.file_id, k.line_no""",
        named=item_ids,
    ).with_columns(_word("state", State))
    return {item_id: tuple(End(**row) for row in rows) for item_id, rows in _grouped(found, "item_id").items()}


def records(book: Lookups, lines: pl.DataFrame) -> pl.DataFrame:
    """Records in the order of posting: columns of ``Told`` that the book holds, and partner, record_id, decides."""
    return book.frame(
        f"""WITH wanted AS (SELECT DISTINCT file_id, line_no FROM lines), told AS MATERIALIZED ({_spoken(lines)})
            SELECT p.n AS posting, p.feed, p.name AS file, nullif(w.line_no, 0) AS line, p.identity,
                   p.verdict = '{Verdict.CORRECTION}' AS correction, p.partner,
                   CAST(p.business_date AS VARCHAR) AS business_date, CAST(p.on_day AS VARCHAR) AS programme_day,
                   {_POSTED_AT} AS posted_at, p.payload_sha, d.disposition,
                   coalesce(d.event, CASE WHEN p.kind = '{FeedKind.CALENDAR}' THEN {Event.DAY_CLOSED:d}
                                          ELSE {Event.UNDONE:d} END) AS event,
                   coalesce(d.match_pass, {MatchPass.NONE:d}) AS match_pass, d.item_id, coalesce(d.points, 0) AS points,
                   CAST(d.value_date AS VARCHAR) AS value_date, r.reason,
                   a.survivor AS merged_to, (CAST(p.n AS BIGINT) * {RECORD_SPAN}) + w.line_no AS record_id,
                   p.kind = '{FeedKind.DECISIONS}' AS decides
            FROM wanted w JOIN book.posting p ON p.n = w.file_id
            LEFT JOIN told d ON d.file_id = w.file_id AND d.line_no = w.line_no
            LEFT JOIN book.reason r ON r.reason_id = d.reason_id
            LEFT JOIN book.alias a ON a.file_id = w.file_id AND a.line_no = w.line_no
            ORDER BY p.n, w.line_no""",
        lines=lines,
    ).with_columns(
        _word("disposition", Disposition), _word("event", Event), _word("match_pass", MatchPass), masked("merged_to")
    )


def _spoken(lines: pl.DataFrame) -> str:
    """A query for the dispositions of ``wanted`` records. The files are named, so that all others are passed over."""
    return f"""SELECT d.* FROM book.disposition d SEMI JOIN wanted w ON w.file_id = d.file_id AND w.line_no = d.line_no
               WHERE {_among("d.file_id", lines["file_id"])}"""


def _among(column: str, numbers: pl.Series) -> str:
    return f"{column} IN ({', '.join(map(str, numbers.unique().sort()))})" if numbers.len() else "false"


def candidates(book: Lookups, lines: pl.DataFrame) -> dict[Place, tuple[Candidate, ...]]:
    """The items that each record was held against: those it speaks of, its group, those considered; by item."""
    found = book.frame(
        f"""WITH wanted AS (SELECT DISTINCT file_id, line_no FROM lines), told AS MATERIALIZED ({_spoken(lines)}),
            kept AS (
                SELECT m.* FROM book.match m SEMI JOIN wanted w ON w.file_id = m.file_id AND w.line_no = m.line_no
            ), met AS (
                SELECT file_id, line_no, item_id, role, agreed, difference, days FROM kept
                UNION ALL
                SELECT d.file_id, d.line_no, i.item_id, {MatchRole.MATCHED:d},
                       {Agreed.REF:d} + CASE WHEN d.points = i.amount THEN {Agreed.POINTS:d} ELSE 0 END
                       + CASE WHEN d.value_date = i.value_date THEN {Agreed.DATE:d} ELSE 0 END,
                       d.points - i.amount, d.value_date - i.value_date
                FROM told d JOIN book.item i ON i.item_id = d.item_id
                ANTI JOIN kept k ON k.file_id = d.file_id AND k.line_no = d.line_no AND k.item_id = d.item_id
                WHERE d.match_pass IN ({_BY_REFERENCE})
            )
            SELECT m.file_id, m.line_no, m.item_id, m.role, i.side, i.ref, i.amount AS points,
                   CAST(i.value_date AS VARCHAR) AS value_date, {made_in("m.item_id")} AS posting,
                   {made_at("m.item_id")} AS line, m.agreed, m.difference, m.days
            FROM met m JOIN book.item i ON i.item_id = m.item_id ORDER BY m.file_id, m.line_no, m.role, m.item_id""",
        lines=lines,
    ).with_columns(_word("side", Side), _word("role", MatchRole))
    return {
        place: tuple(Candidate(**{**row, "agreed": _fields(row["agreed"])}) for row in rows)
        for place, rows in _grouped(found, "file_id", "line_no").items()
    }


def _fields(agreed: int) -> tuple[str, ...]:
    return tuple(name for flag, name in FIELDS.items() if flag in Agreed(agreed))


def transfers(book: Lookups, at: Known, lines: pl.DataFrame) -> dict[Place, tuple[Transfer, ...]]:
    """What each record booked, and which of it was taken back."""
    legs = book.frame(
        f"""SELECT e.file_id, e.line_no, e.transfer_id, e.leg, e.event, CAST(e.value_date AS VARCHAR) AS value_date,
                   CAST(e.accounting_date AS VARCHAR) AS accounting_date, e.account_id, e.amount AS points,
                   o.reverses // {TRANSFERS_PER_RECORD} AS undoes,
                   CAST(b.file_id AS BIGINT) * {RECORD_SPAN} + b.line_no AS undone_by
            FROM book.entry e SEMI JOIN lines ON lines.file_id = e.file_id AND lines.line_no = e.line_no
            JOIN book.posting p ON p.n = e.file_id  -- the close of a day books for all in one place
             AND NOT (e.line_no = 0 AND p.kind = '{FeedKind.CALENDAR}')
            LEFT JOIN book.reversal o ON o.transfer_id = e.transfer_id
            LEFT JOIN book.reversal b ON b.reverses = e.transfer_id AND {at.counts("b.file_id")}
            WHERE {_among("e.file_id", lines["file_id"])}""",
        lines=lines,
    ).with_columns(_word("event", Event))
    # Accounts lie by number: named ones are found without reading all members.
    accounts = book.frame(
        f"""SELECT a.account_id, a.kind AS account, p.partner, a.owner
            FROM book.account a JOIN book.partner p ON p.partner_id = a.partner_id
            WHERE {_among("a.account_id", legs["account_id"])}"""
    ).with_columns(masked("owner"))
    legs = legs.join(accounts, on="account_id").sort("transfer_id", "leg")
    found: dict[Place, tuple[Transfer, ...]] = {}
    for parts in _grouped(legs, "transfer_id").values():
        first = parts[0]
        place = (first["file_id"], first["line_no"])
        transfer = Transfer(
            first["event"],
            first["value_date"],
            first["accounting_date"],
            _named(first["undoes"]),
            _named(first["undone_by"]),
            tuple(Leg(part["account"], part["partner"], part["owner"], part["points"]) for part in parts),
        )
        found[place] = (*found.get(place, ()), transfer)
    return found


def _named(record_id: int | None) -> str | None:
    """A record as ``posting:line``, what a file did as a whole as its posting alone."""
    if record_id is None:
        return None
    posting, line = divmod(record_id, RECORD_SPAN)
    return f"{posting}:{line}" if line else str(posting)


def breaks(book: Lookups, at: Known, break_ids: pl.DataFrame) -> pl.DataFrame:
    """Breaks in the order in which they opened: columns of ``BreakTold`` that lie in the book, and code_no,
    partner_id, opened_event and opened_pass (of the record that opened it), charged_points, rated_on, rate_minor and
    rate_per (of the charge it is about)."""
    return book.frame(
        f"""WITH chosen AS MATERIALIZED (
                SELECT b.* FROM book.break b SEMI JOIN named USING (break_id) WHERE {at.counts("b.file_id")}
            ), opening AS MATERIALIZED (  -- few of many records
                SELECT d.file_id, d.line_no, d.event, d.match_pass FROM book.disposition d
                SEMI JOIN chosen c ON c.file_id = d.file_id AND c.line_no = d.line_no WHERE d.line_no > 0
            )
            SELECT b.break_id, b.code AS code_no, b.code, b.partner_id, p.partner, b.subject, b.item_id, b.theirs_id,
                   b.points_ours, b.points_theirs, m.amount_ours_minor, m.amount_theirs_minor, m.currency,
                   m.charged_points, CAST(m.rated_on AS VARCHAR) AS rated_on, m.rate_minor, m.rate_per,
                   CAST(b.value_date AS VARCHAR) AS value_date,
                   CAST(b.opened_on AS VARCHAR) AS opened_on, b.file_id AS opened_by, nullif(b.line_no, 0) AS line,
                   d.event AS opened_event, d.match_pass AS opened_pass
            FROM chosen b JOIN book.partner p ON p.partner_id = b.partner_id
            LEFT JOIN opening d ON d.file_id = b.file_id AND d.line_no = b.line_no
            LEFT JOIN ({charged.of_breaks("SELECT * FROM chosen", at.counts())}) m ON m.break_id = b.break_id
            ORDER BY b.file_id, b.line_no, b.code, b.break_id""",
        named=break_ids,
    ).with_columns(*code_and_title())


def lives(book: Lookups, at: Known, break_ids: pl.DataFrame) -> dict[str, tuple[Step, ...]]:
    """The steps of each break, in the order in which they were taken.

    A break is cleared by a posting as a whole; which record of it did so follows from what it did to the break's items,
    or decided on the break.
    """
    words = {event.value: event.name.lower() for event in BreakEvent}
    states = {-state.value: name for state, name in _STATE_STEPS.items()}
    found = book.frame(
        f"""WITH known AS (SELECT b.* FROM book.break b SEMI JOIN named USING (break_id)), decided AS (
                SELECT d.break_id, d.file_id, d.line_no FROM book.decision d SEMI JOIN known USING (break_id)
            ), steps AS (
                SELECT e.break_id, CAST(e.event AS INTEGER) AS event, e.file_id, e.line_no, e.on_day,
                       CAST(NULL AS VARCHAR) AS owner, CAST(NULL AS DATE) AS until
                FROM book.break_event e SEMI JOIN known USING (break_id) WHERE {at.counts("e.file_id")}
                UNION ALL
                SELECT s.break_id, -s.state, s.file_id, s.line_no, p.on_day, s.owner, s.until
                FROM book.break_state s SEMI JOIN known USING (break_id) JOIN book.posting p ON p.n = s.file_id
                WHERE {at.counts("s.file_id")}
            ), causes AS (
                SELECT break_id, file_id, line_no, 1 AS place FROM decided
                UNION ALL
                SELECT d.break_id, u.file_id, u.line_no, 1 FROM decided d
                JOIN book.decision u ON u.action = {Action.UNDO:d} AND u.subject = concat(d.file_id, ':', d.line_no)
                UNION ALL
                SELECT k.break_id, x.file_id, x.line_no, 2
                FROM known k JOIN book.settled_key x ON x.item_id = k.item_id
                UNION ALL
                SELECT k.break_id, x.file_id, x.line_no, 3
                FROM known k JOIN book.settled_key x ON x.item_id = k.theirs_id
                UNION ALL
                SELECT k.break_id, x.file_id, x.line_no, 4
                FROM known k JOIN book.disposition x ON x.item_id = k.item_id
            ), by_file AS (
                SELECT break_id, file_id, arg_min(line_no, (place, line_no)) AS line_no FROM causes WHERE line_no > 0
                GROUP BY break_id, file_id
            )
            SELECT s.break_id, s.event, CAST(s.on_day AS VARCHAR) AS on_day, s.file_id AS posting, p.name AS file,
                   coalesce(nullif(s.line_no, 0), c.line_no) AS line, p.kind = '{FeedKind.DECISIONS}' AS decides,
                   s.owner, CAST(s.until AS VARCHAR) AS until
            FROM steps s JOIN book.posting p ON p.n = s.file_id
            LEFT JOIN by_file c ON s.event > {BreakEvent.OPENED:d} AND c.break_id = s.break_id AND c.file_id = s.file_id
            ORDER BY s.break_id, s.file_id, s.event, s.line_no""",
        named=break_ids,
    ).with_columns(pl.col("event").replace_strict(words | states, return_dtype=pl.String))
    return {break_id: tuple(_step(row) for row in rows) for break_id, rows in _grouped(found, "break_id").items()}


def _step(row: dict[str, Any]) -> Step:
    decides = row.pop("decides") and row["line"] is not None
    return Step(**row, decision=f"{row['posting']}:{row['line']}" if decides else None)


def sealed(book: Lookups, numbers: pl.Series) -> dict[int, dict[str, Any]]:
    """Postings by number: columns of ``Sealed``."""
    found = book.frame(
        f"""SELECT p.n AS posting, {_POSTED_AT} AS posted_at, p.feed, p.name AS file,
                   CAST(p.on_day AS VARCHAR) AS on_day, p.run_id, p.actor, p.software, p.record_sha, p.rows_digest,
                   p.content_head, p.chain_head
            FROM book.posting p SEMI JOIN wanted USING (n) ORDER BY p.n""",
        wanted=pl.DataFrame({"n": numbers.cast(pl.Int32)}),
    )
    return {row["posting"]: row for row in found.to_dicts()}


def _word(column: str, words: type[IntEnum]) -> pl.Expr:
    """A small integer of the book as its word."""
    return pl.col(column).replace_strict({word.value: word.name.lower() for word in words}, return_dtype=pl.String)


def _grouped(rows: pl.DataFrame, *keys: str) -> dict[Any, list[dict[str, Any]]]:
    """Rows by a key or several, which leave the rows, in their order; one transfer's rows keep theirs."""
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in rows.to_dicts():
        values = tuple(row.pop(key) for key in keys)
        found.setdefault(values if len(values) > 1 else values[0], []).append(row)
    return found
