"""Rows of a decisions file by their action, in one shape, and the refusal of those that do not fit the book.

Here: what the modules of every action share. Not here: which rows fit, or what they lead to (``decisions``,
``matched_by_hand``, ``break_life``).
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.model import Action, Disposition, State
from counterfoil.ledger.work import Work

ACTIONS: Final[Mapping[str, int]] = {action.name.lower(): action.value for action in Action}
"""What a file calls an action, and its number in the book."""

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
