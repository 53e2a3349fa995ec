"""What people do about a break while it stands open: who sees to it, until when it waits, which request it is not.

Here: the decisions that book nothing, the rows of ``break_state`` and how they are read. Not here: what ends a break
(``decisions``, ``matched_by_hand``), or the list of breaks (``open_breaks``).
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.ledger.fitting import NEEDS, WAITING, acting, plain, require_fit
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action, BreakCode, BreakState, Event, ItemKind, Side
from counterfoil.ledger.work import Work

EVENTS: Final = {Action.ASSIGN: Event.ASSIGNED, Action.WAIT: Event.POSTPONED, Action.DECLINE: Event.DECLINED}
"""Actions that leave their break open, and what they are to the book."""


@dataclass(frozen=True, eq=False)
class Life:
    """``done``: the decisions, shaped by ``fitting.plain``; ``states``: their rows of ``break_state``, no file_id."""

    done: pl.DataFrame
    states: pl.DataFrame


def latest(counts: str = "true") -> str:
    """A query for what was last done about each break: break_id, state, owner?, until?.

    ``counts`` is a condition on rows of ``break_state``. One that is PENDING waits through ``until``; after it, it is
    its owner's again, or nobody's.
    """
    return f"""SELECT break_id, state, owner, until FROM book.break_state WHERE {counts}
               QUALIFY row_number() OVER (PARTITION BY break_id ORDER BY file_id DESC, line_no DESC) = 1"""


def standing(break_ids: pl.Series, book: Lookups) -> pl.Series:
    """Which breaks are open: Boolean, in their order."""
    named = pl.DataFrame({"break_id": break_ids}, schema={"break_id": pl.String})
    found = book.frame("SELECT b.break_id FROM book.open_break b SEMI JOIN named USING (break_id)", named=named)
    return break_ids.is_in(found["break_id"].implode())


def composed(work: Work, book: Lookups) -> Life:
    """Everything that a decisions file does about breaks that stay open; DECISION_UNFIT where a row does not fit."""
    rows = acting(work, *EVENTS)
    found = _found(rows, book)
    assign, wait, decline = (pl.col("action") == action.name.lower() for action in EVENTS)
    candidate = pl.col("candidate").is_not_null() & pl.col("line_no").is_unique()
    right = (
        pl.when(assign).then(pl.col("owner").is_not_null()).when(wait).then(pl.col("until") > work.on_day)
        .when(decline).then(candidate)
    )  # fmt: skip
    fitting = found.filter(right & (pl.col("points") == 0))["line_no"]
    for action in EVENTS:
        of_action = acting(work, action)
        require_fit(of_action, of_action["line_no"].is_in(fitting.implode()), NEEDS[action])
    told = found.with_columns(item_id=pl.when(decline).then("candidate").otherwise("item_id"))
    events = {action.name.lower(): event.value for action, event in EVENTS.items()}
    states = found.filter(~decline).select(
        "break_id",
        "until",
        "line_no",
        state=pl.when(assign).then(BreakState.ASSIGNED.value).otherwise(BreakState.PENDING.value),
        owner=pl.when(assign).then("owner").otherwise("owner_before"),
    )
    return Life(
        plain(told, work, pl.col("action").replace_strict(events, return_dtype=pl.Int16)),
        states.with_columns(until=pl.when(pl.col("state") == BreakState.PENDING.value).then("until")),
    )


def _found(rows: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """Rows of open breaks with what they concern: break_id, item_id, theirs_id, candidate (to decline), owner_before;
    once for each candidate."""
    return book.frame(
        f"""SELECT r.*, b.break_id, b.item_id, b.theirs_id, asked.item_id AS candidate, s.owner AS owner_before
            FROM rows r JOIN book.open_break b ON b.break_id = r.subject
            LEFT JOIN ({latest()}) s ON s.break_id = b.break_id
            LEFT JOIN book.open_item t ON t.item_id = b.theirs_id
            LEFT JOIN book.open_item asked ON r.action = 'decline' AND b.code = {BreakCode.UNKNOWN_THEIRS:d}
                 AND asked.ref = r.ref AND asked.partner_id = b.partner_id AND asked.amount = t.amount
                 AND asked.side = {Side.OURS:d} AND asked.kind = {ItemKind.REQUEST:d}
                 AND asked.state IN ({", ".join(map(str, WAITING))})
            ORDER BY r.line_no""",
        rows=rows,
    )
