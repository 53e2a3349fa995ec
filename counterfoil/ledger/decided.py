"""What was decided, for people: every decision in the book, who took it and whether it was undone.

Here: reads of decisions. Not here: what they do (``decisions``), or those that postings ask for (``lookups``).
"""

import polars as pl

from counterfoil.errors import Code, UsageError
from counterfoil.ledger.extracts import code_and_title
from counterfoil.ledger.histories import last_events
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action, BreakEvent, BreakState, Side, State


def points_of(book: Lookups, decision: str) -> int:
    """The points that an earlier decision (``posting:line``) moved; DECISION_UNFIT where there is none."""
    row = book.row("SELECT points FROM book.decision WHERE concat(file_id, ':', line_no) = ?", decision)
    if row is None:
        raise UsageError(
            Code.DECISION_UNFIT,
            decision,
            found="no such decision",
            expected="posting:line of one that counterfoil decisions lists",
            remedy="Look it up there",
        )
    return int(row[0])


def told(book: Lookups, numbers: pl.Series | None = None) -> pl.DataFrame:
    """Every decision, or those of some postings, oldest first.

    decision (``posting:line``), decided_at, sender, action, subject (a break, a file's hash, a decision or a period),
    points, minor? (their value then), reason, approved_by? (who approved its file), undone_by? (``posting:line``).
    """
    names = " ".join(f"WHEN {action:d} THEN '{action.name.lower()}'" for action in Action)
    found = book.frame(
        f"""WITH approved AS (
                SELECT a.subject AS payload_sha, min(p.sender) AS approver
                FROM book.decision a JOIN book.posting p ON p.n = a.file_id
                WHERE a.action = {Action.APPROVE:d} GROUP BY a.subject
            )
            SELECT concat(d.file_id, ':', d.line_no) AS decision,
                   strftime(p.posted_at, '%Y-%m-%dT%H:%M:%SZ') AS decided_at, p.sender,
                   CASE d.action {names} END AS action, d.subject, d.points, d.minor, d.reason,
                   a.approver AS approved_by,
                   CASE WHEN u.file_id IS NOT NULL THEN concat(u.file_id, ':', u.line_no) END AS undone_by,
                   d.file_id AS n
            FROM book.decision d JOIN book.posting p ON p.n = d.file_id
            LEFT JOIN approved a ON a.payload_sha = p.payload_sha
            LEFT JOIN book.decision u ON u.action = {Action.UNDO:d}
                 AND u.subject = concat(d.file_id, ':', d.line_no)
            ORDER BY d.file_id, d.line_no"""
    )
    wanted = found if numbers is None else found.filter(pl.col("n").is_in(numbers.cast(pl.Int32).implode()))
    return wanted.drop("n")


def declined(book: Lookups, counts: str = "true") -> pl.DataFrame:
    """What people said an answer is not, and did not take back: break_id, theirs_id, item_id.

    ``counts`` is a condition on ``file_id``: the decisions of which postings count.
    """
    return book.frame(
        f"""WITH told AS (SELECT * FROM book.decision WHERE {counts})
            SELECT DISTINCT d.break_id, d.theirs_id, d.item_id FROM told d
            WHERE d.action = {Action.DECLINE:d} AND NOT EXISTS (
                SELECT 1 FROM told u
                WHERE u.action = {Action.UNDO:d} AND u.subject = concat(d.file_id, ':', d.line_no))
            ORDER BY d.theirs_id, d.item_id"""
    )


def booked(book: Lookups, n: int) -> pl.DataFrame:
    """What a posting adds to the balances of accounts, credit positive: kind, partner, points."""
    return book.frame(
        f"""SELECT a.kind, p.partner, CAST(sum(e.amount) AS BIGINT) AS points
            FROM book.entry e JOIN book.account a ON a.account_id = e.account_id
            JOIN book.partner p ON p.partner_id = a.partner_id
            WHERE e.file_id = {n} GROUP BY ALL HAVING sum(e.amount) <> 0 ORDER BY ALL"""
    )


def breaks_moved(book: Lookups, n: int) -> pl.DataFrame:
    """The breaks that a posting moves on: break_id, code, title, partner, ref, becomes (cleared, opened, assigned or
    pending), owner?, until?."""
    states = " ".join(f"WHEN {state:d} THEN '{state.name.lower()}'" for state in BreakState)
    found = book.frame(
        f"""WITH moved AS (
                SELECT break_id, CASE event WHEN {BreakEvent.CLEARED:d} THEN 'cleared' ELSE 'opened' END AS becomes,
                       NULL AS owner, NULL AS until
                FROM book.break_event WHERE file_id = {n}
                UNION ALL
                SELECT break_id, CASE state {states} END, owner, until FROM book.break_state WHERE file_id = {n}
            )
            SELECT b.break_id, b.code, p.partner, b.subject AS ref, m.becomes, m.owner, m.until
            FROM moved m JOIN book.break b ON b.break_id = m.break_id
            JOIN book.partner p ON p.partner_id = b.partner_id
            ORDER BY b.code, p.partner, b.subject, b.break_id"""
    )
    return found.select("break_id", *code_and_title(), "partner", "ref", "becomes", "owner", "until")


def items_moved(book: Lookups, n: int) -> pl.DataFrame:
    """The items that a posting moves on: ref, side (ours, theirs), partner, points, was, becomes (states)."""
    touched = f"""SELECT * FROM book.item WHERE item_id IN (
        SELECT item_id FROM book.settled_key WHERE file_id = {n}
        UNION SELECT item_id FROM book.item_change WHERE file_id = {n})"""
    found = book.frame(
        f"""SELECT i.ref, CASE i.side WHEN {Side.THEIRS:d} THEN 'theirs' ELSE 'ours' END AS side, p.partner,
                   i.amount AS points, w.state AS was, l.state AS becomes
            FROM ({touched}) i JOIN ({last_events(touched)}) l ON l.item_id = i.item_id
            JOIN ({last_events(touched, f"file_id < {n}")}) w ON w.item_id = i.item_id
            JOIN book.partner p ON p.partner_id = i.partner_id ORDER BY p.partner, i.side, i.ref, i.item_id"""
    )
    words = {state.value: state.name.lower() for state in State}
    return found.with_columns(pl.col("was", "becomes").replace_strict(words, return_dtype=pl.String))
