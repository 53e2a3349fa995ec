"""Rows of a decisions file by their action, in one shape, and the refusal of those that do not fit the book.

Here: what the modules of every action share. Not here: which rows fit, or what they lead to (``decisions``,
``matched_by_hand``, ``break_life``).
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.extracts import code_and_title
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action, Disposition, State
from counterfoil.ledger.work import Work

ACTIONS: Final[Mapping[str, int]] = {action.name.lower(): action.value for action in Action}
"""What a file calls an action, and its number in the book."""

PARTS_MAX: Final = 5
"""Requests that one answer can be matched with by hand, and answers that one request can."""

NEEDS: Final[Mapping[Action, str]] = {
    Action.RESOLVE: "an open break other than B02 and B14 under which no points wait in suspense",
    Action.IDENTIFY: "an open B03 with an acceptance in suspense, and one unanswered request of ours at that partner",
    Action.REFUSE: "an open break with an answer in suspense",
    Action.REFUND: "an open break of a request that waits for its answer, with nothing in suspense",
    Action.WRITE_OFF: "an open break of a request that waits for its answer, with nothing in suspense",
    Action.TAKE: "an acceptance of other points, one in suspense whose request had given its points back, or a "
    "redemption in suspense, beyond its member's balance",
    Action.MATCH: "an open B03 or B11 with an acceptance in suspense, and different requests of ours at that partner, "
    f"none of them answered, at most {PARTS_MAX}, whose points add up to the answer's; or several answers that name "
    "one request and add up to its points",
    Action.ASSIGN: "an open break, an owner, and no points",
    Action.WAIT: "an open break, a date to wait until that is after the day of the decision, and no points",
    Action.DECLINE: "an open B03, the reference of one open request with the same points, and no points",
    Action.PAY: "an open B04 or B05 of a payment for an order that nobody has paid yet, and the order's points",
    Action.CREDIT: "an open break of a paid order that its supplier has not filled, and the points reserved for it",
}
"""What a decision on a break must find to fit."""

WAITING: Final = (State.PENDING.value, State.HELD.value)
"""States of requests that no answer has ended."""


def acting(work: Work, *actions: Action) -> pl.DataFrame:
    """The accepted rows with one of these actions."""
    return work.accepted.filter(pl.col("action").is_in([action.name.lower() for action in actions]))


def require_fit(rows: pl.DataFrame, fits: pl.Series, expected: str) -> None:
    """Raise DECISION_UNFIT, naming lines, unless every row fits; null is no fit."""
    wrong = rows.filter(~fits.fill_null(value=False))["line_no"]
    if wrong.len():
        raise PermanentError(
            Code.DECISION_UNFIT,
            f"decisions line {', '.join(map(str, wrong.head(5)))}",
            found=f"{wrong.len()} decisions that do not fit the book as it is",
            expected=expected,
            remedy="See counterfoil breaks for what stands open, and decide again; nothing of the file took effect",
        )


def misfits(rows: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """Decisions on breaks that cannot fit, of those whose ``points`` are not known: break_id, code?, why.

    ``rows``: action, subject, points?. The code is that of the break where it is open.
    """
    needs = {action.name.lower(): f"needs {need}" for action, need in NEEDS.items()}
    unfit = rows.filter(pl.col("points").is_null()).select("action", break_id="subject")
    known = book.frame(
        """SELECT u.break_id, u.action, b.code FROM unfit u LEFT JOIN book.open_break b ON b.break_id = u.break_id
           ORDER BY u.break_id""",
        unfit=unfit,
    )
    why = pl.when(pl.col("code").is_null()).then(pl.lit("no open break")).otherwise(
        pl.col("action").replace_strict(needs, return_dtype=pl.String)
    )  # fmt: skip
    return known.select("break_id", code_and_title()[0], why=why)


def plain(rows: pl.DataFrame, work: Work, event: pl.Expr) -> pl.DataFrame:
    """Decisions that book nothing themselves, in the shape of all: line_no, subject, points, reason, event, action,
    item_id, theirs_id, break_id, minor, disposition, value_date. What ``rows`` says of the three ids stays."""
    ids = {"item_id": pl.Int64, "theirs_id": pl.Int64, "break_id": pl.String}
    return rows.select(
        "line_no",
        "subject",
        "points",
        "reason",
        event=event,
        action=pl.col("action").replace_strict(ACTIONS, return_dtype=pl.Int16),
        **{name: pl.col(name) if name in rows.columns else pl.lit(None, kind) for name, kind in ids.items()},
        minor=pl.lit(None, pl.Int64),
        disposition=pl.lit(Disposition.INFORMATION.value),
        value_date=pl.lit(work.on_day),
    )
