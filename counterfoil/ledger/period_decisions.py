"""Decisions on accounting periods: locked once all their days are closed, and reopened.

Here: which of them fit. Not here: what a lock does to dates (``periods``).
"""

import re
from typing import Final

import polars as pl

from counterfoil.ledger import periods
from counterfoil.ledger.fitting import acting, plain, require_fit
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action, Event
from counterfoil.ledger.work import Work

OF_PERIODS: Final = {Action.LOCK: Event.LOCKED, Action.REOPEN: Event.REOPENED}

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def composed(work: Work, book: Lookups) -> pl.DataFrame:
    """Locks and reopenings; a period is locked once all its days are closed, and only a locked one is reopened."""
    rows = acting(work, *OF_PERIODS)
    locked, open_day = book.locked_periods(), book.open_day()
    fits = [
        _MONTH.fullmatch(subject) is not None
        and points == 0
        and (subject in locked) == (action == "reopen")
        and open_day is not None
        and periods.last_day(subject) < open_day
        for action, subject, points in rows.select("action", "subject", "points").iter_rows()
    ]
    require_fit(rows, pl.Series(fits, dtype=pl.Boolean), "a month whose days are all closed (lock), or that is locked")
    require_fit(rows, ~rows["subject"].is_duplicated(), "one decision on each period")
    of_action = {action.name.lower(): event.value for action, event in OF_PERIODS.items()}
    return plain(rows, work, pl.col("action").replace_strict(of_action, return_dtype=pl.Int16))
