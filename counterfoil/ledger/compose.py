"""From an accepted file to everything it changes: the composer of its kind, then what every arrival does to breaks.

Here: the choice and what all kinds share. Not here: what a kind does, or SQL.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.invariants import require
from counterfoil.ledger import answers, own_feeds, requests
from counterfoil.ledger.model import TABLES, BreakCode
from counterfoil.ledger.names import HOUSE
from counterfoil.ledger.own_feeds import Days
from counterfoil.ledger.posting import CLEARING, Changes, shaped
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks

COMPOSERS: Final[Mapping[FeedKind, Callable[[Work, Days], Changes]]] = {
    FeedKind.REQUESTS: requests.compose,
    FeedKind.HANDBACK: answers.compose,
    FeedKind.OPENING: own_feeds.compose_opening,
    FeedKind.RATES: own_feeds.compose_rates,
    FeedKind.CALENDAR: own_feeds.compose_calendar,
}

_POINTS_MAX: Final = 1 << 62


def stages(work: Work, book: Days, *, identity: str, skipped: Sequence[str]) -> list[Callable[[], Changes]]:
    """Composers of everything the file does to the book, breaks included; each sees the book as the one before left it.

    ``skipped`` are identities that should have come before it, where the layout lets a gap pass with a warning.
    """
    return [partial(_whole, work, book, identity, skipped)]


def _whole(work: Work, book: Days, identity: str, skipped: Sequence[str]) -> Changes:
    """Points of one file must add up within 62 bits, so that no sum in the book can overflow."""
    if "points" in work.accepted.columns:
        gross = work.accepted["points"].cast(pl.Int128).abs().sum()
        require(gross < _POINTS_MAX, "the points of one file add up within 62 bits")
    changed = COMPOSERS[work.feed.kind](work, book)
    partners = dict(pl.concat([book.partners(), changed.rows["partner"]]).select("partner", "partner_id").iter_rows())
    gap = _skipped(work, skipped, partners.get(work.feed.partner, HOUSE))
    arrived = _arrived(work, book, identity)
    return _broken(changed, work, book, opening=gap, clearing=arrived)


def _broken(changed: Changes, work: Work, book: Days, *, opening: pl.DataFrame, clearing: pl.DataFrame) -> Changes:
    """Add the rows of the breaks that the changes, and the arrival of the file itself, open and clear."""
    opened = book.with_break_ids(pl.concat([changed.breaking, opening]))
    cleared = pl.concat([shaped(changed.clearing, CLEARING), clearing])
    added = breaks.rows(opened, cleared, changed.reopening, on_day=work.on_day, file_id=work.file_id)
    rows = {table: shaped(frame, TABLES[table]) for table, frame in added.items()}
    return replace(changed, rows={**changed.rows, **rows})


def _arrived(work: Work, book: Days, identity: str) -> pl.DataFrame:
    """B13 that waited for this very file."""
    if work.feed.kind is FeedKind.CALENDAR:
        return pl.DataFrame(schema=CLEARING)
    subjects = [f"{work.feed.feed}:{work.business_date}", f"{work.feed.feed}:{identity}"]
    return shaped(book.sequence_breaks().filter(pl.col("subject").is_in(subjects)), CLEARING)


def _skipped(work: Work, skipped: Sequence[str], partner_id: int) -> pl.DataFrame:
    subjects = [f"{work.feed.feed}:{identity}" for identity in skipped]
    return breaks.opening(
        pl.DataFrame({"subject": subjects}, schema={"subject": pl.String}),
        line_no=pl.lit(0),
        code=pl.lit(BreakCode.SEQUENCE.value),
        subject="subject",
        value_date=pl.lit(work.business_date),
        partner_id=pl.lit(partner_id),
        at_once=pl.lit(value=False),
    )
