"""What a composer is given: one accepted file about to be posted, with all that is in force for it.

Here: the bundle and its small readings. Not here: composing (``compose`` and the modules of its kinds).
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from counterfoil.feed import Feed
from counterfoil.ledger.chart import Chart, PostingRules
from counterfoil.settings import ProgrammeSettings


@dataclass(frozen=True, eq=False)
class Former:
    """What a correction takes the place of: the postings of its identity, and the accepted rows of the last of them,
    each with the place (file_id, line_no) of its effect in the book."""

    postings: tuple[int, ...]
    accepted: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Work:
    """One accepted file about to be posted.

    ``on_day`` is the programme day it falls on: its business date, or the first day still open for a late file.
    ``schema`` is the book schema that its digest covers; ``sender`` who sent it, as far as was authenticated.
    """

    feed: Feed
    accepted: pl.DataFrame
    file_id: int
    business_date: date
    on_day: date
    policy: ProgrammeSettings
    rules: PostingRules
    chart: Chart
    schema: int
    sender: str
    payload_sha: str
    former: Former | None = None

    @property
    def unit(self) -> str:
        """What the programme counts in."""
        return self.policy.unit


def month_of(day: date) -> int:
    """``202611``: the month of a settled key, and a period."""
    return day.year * 100 + day.month
