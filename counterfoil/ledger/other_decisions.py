"""Decisions that concern no break: files let post or not, rows left out of one, periods, promises cancelled, undoings.

Here: which of them fit, and the rows they lead to. Not here: decisions on breaks (``decisions``), or what undoing does
(``undoing``).
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.ledger import period_decisions, promises
from counterfoil.ledger.fitting import acting, plain, require_fit
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action, Disposition, Event
from counterfoil.ledger.names import Names
from counterfoil.ledger.work import Work

PERMITS: Final = (Action.RELEASE, Action.DISCARD)


@dataclass(frozen=True, eq=False)
class Others:
    """``done``: the decisions, shaped by ``fitting.plain``; rows of ``entry`` and ``settled_key`` of what was
    cancelled."""

    done: pl.DataFrame
    entry: pl.DataFrame
    settled_key: pl.DataFrame


def composed(work: Work, names: Names, book: Lookups) -> Others:
    """Everything that a decisions file does but on breaks; DECISION_UNFIT where a row does not fit."""
    cancelled = _cancelled(work, names, book)
    done = [
        _undoings(work),
        _permits(work),
        _left_out(work),
        period_decisions.composed(work, book),
        _cancels(cancelled, work),
    ]
    moved = promises.cancelled(cancelled, names, work)
    return Others(pl.concat(done), moved.entry, moved.settled_key)


def _undoings(work: Work) -> pl.DataFrame:
    """What the file takes back; that it can be is judged where it is done (``decisions.undone``)."""
    return plain(acting(work, Action.UNDO), work, pl.lit(Event.DECISION_UNDONE.value, pl.Int16))


def _permits(work: Work) -> pl.DataFrame:
    """Held files that may post, or never will: what that leads to is settled when they are tried again."""
    rows = acting(work, *PERMITS)
    require_fit(rows, rows["subject"].str.contains("^[0-9a-f]{64}$"), "the SHA-256 of a held file")
    return plain(rows, work, pl.lit(Event.PERMITTED.value, pl.Int16))


def _left_out(work: Work) -> pl.DataFrame:
    """Rows of held files that do not count: by the file's hash, cut, and the line."""
    rows = acting(work, Action.LEAVE_OUT)
    require_fit(rows, rows["subject"].str.contains("^[0-9a-f]{48}:[1-9][0-9]{0,9}$"), "a held file and a line of it")
    require_fit(rows, ~rows["subject"].is_duplicated(), "one decision on each line")
    return plain(rows, work, pl.lit(Event.PERMITTED.value, pl.Int16))


def _cancelled(work: Work, names: Names, book: Lookups) -> pl.DataFrame:
    """Decisions on promises with what they cancel: ``promises.WAITING``, and the decision's own columns."""
    rows = acting(work, Action.CANCEL)
    found = promises.scheduled(rows, names, book)
    fitting = found.filter((pl.col("points") == pl.col("promised")) & pl.col("line_no").is_unique())
    fits = rows["line_no"].is_in(fitting["line_no"].implode())
    require_fit(rows, fits, "a scheduled distribution by its company and reference, and its points")
    require_fit(rows, ~rows["subject"].is_duplicated(), "one decision on each distribution")
    return found


def _cancels(cancelled: pl.DataFrame, work: Work) -> pl.DataFrame:
    return plain(cancelled, work, pl.lit(Event.CANCELLED.value, pl.Int16)).with_columns(
        disposition=pl.lit(Disposition.SETTLED.value)
    )
