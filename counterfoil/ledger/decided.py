"""What was decided, for people: every decision in the book, who took it and whether it was undone.

Here: reads of decisions. Not here: what they do (``decisions``), or those that postings ask for (``lookups``).
"""

import polars as pl

from counterfoil.errors import Code, UsageError
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action


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


def told(book: Lookups) -> pl.DataFrame:
    """Every decision, oldest first: decision (``posting:line``), decided_at, sender, action, subject, points, reason,
    undone_by (``posting:line`` or null). The subject is a break, a file's hash, a decision or a period."""
    names = " ".join(f"WHEN {action:d} THEN '{action.name.lower()}'" for action in Action)
    return book.frame(
        f"""SELECT concat(d.file_id, ':', d.line_no) AS decision,
                   strftime(p.posted_at, '%Y-%m-%dT%H:%M:%SZ') AS decided_at, p.sender,
                   CASE d.action {names} END AS action, d.subject, d.points, d.reason,
                   concat(u.file_id, ':', u.line_no) AS undone_by
            FROM book.decision d JOIN book.posting p ON p.n = d.file_id
            LEFT JOIN book.decision u ON u.action = {Action.UNDO:d}
                 AND u.subject = concat(d.file_id, ':', d.line_no)
            ORDER BY d.file_id, d.line_no"""
    ).with_columns(undone_by=pl.when(pl.col("undone_by") != ":").then("undone_by"))
