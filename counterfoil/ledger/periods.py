"""Accounting periods: which months are locked, and the date on which a movement counts for the books.

Here: both, as pure functions of the decisions that were posted. Not here: who may lock or reopen (``decisions``).
"""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Final

import polars as pl

from counterfoil.ledger.model import Action

_DECEMBER: Final = 12


def period_of(day: date) -> str:
    """``2026-10``."""
    return f"{day:%Y-%m}"


def first_open(day: date, locked: Collection[str]) -> date:
    """The day itself when its period is open, else the first day of the next open one."""
    found = day
    while period_of(found) in locked:
        found = date(found.year + found.month // _DECEMBER, found.month % _DECEMBER + 1, 1)
    return found


def last_day(period: str) -> date:
    """The last day of a period."""
    first = date.fromisoformat(f"{period}-01")
    return date(first.year + first.month // _DECEMBER, first.month % _DECEMBER + 1, 1) - timedelta(days=1)


def locked_after(decisions: pl.DataFrame) -> frozenset[str]:
    """Periods that are locked. ``decisions``: action, subject of locks and reopenings, oldest first."""
    newest = dict(decisions.select("subject", "action").iter_rows())
    return frozenset(period for period, action in newest.items() if action == Action.LOCK)


def accounted(entries: pl.DataFrame, locked: Collection[str]) -> pl.DataFrame:
    """Entries whose accounting date lies in a locked period, moved to the next open one."""
    days = entries["accounting_date"].unique().to_list()
    moved = {day: first_open(day, locked) for day in days if period_of(day) in locked}
    return entries.with_columns(pl.col("accounting_date").replace(moved)) if moved else entries
