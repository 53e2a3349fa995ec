"""A partner's dispute pack: written for that partner, readable by nobody else.

Here: whose terms it is in and where it lies. Not here: what stands in it (``ledger.disputes``, ``reports.dispute``).
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from counterfoil.errors import Code, UsageError
from counterfoil.feed import Feed, FeedKind
from counterfoil.files import write_durably
from counterfoil.ledger.disputes import disputed
from counterfoil.ledger.known import known
from counterfoil.ledger.scorecard import THEIRS
from counterfoil.protocols import Terms
from counterfoil.reports import dispute
from counterfoil.steps.desk import Desk

_NO_TERMS: Final = Terms({}, {})


@dataclass(frozen=True, eq=False)
class WrittenPack:
    """A pack that was written: ``asked`` has its questions with their totals, and no member."""

    partner: str
    day: date
    path: Path
    asked: pl.DataFrame


def write_pack(desk: Desk, partner: str, day: date, to: Path | None = None) -> WrittenPack:
    """Write what a partner must act on as of the end of a day, mode 600, in the place of an older pack.

    By default into ``out/disputes/<partner>/<day>.csv``. A pack without a break is written, too. Raises NOTHING_FOUND
    for a partner that has no feed.
    """
    feeds = desk.feeds()
    require_partner(feeds, partner)
    with desk.book.reading() as book:
        rows = disputed(book, known(book, day), partner, feeds)
    path = to or desk.settings.home.out_disputes / partner / f"{day}.csv"
    write_durably(path, dispute.pack(rows, _wording(desk, partner)), private=True)
    return WrittenPack(partner, day, path, dispute.asked(rows))


def require_partner(feeds: list[Feed], partner: str) -> None:
    """Raise NOTHING_FOUND unless the partner sends one of the feeds."""
    known_partners = sorted({feed.partner for feed in feeds if feed.kind in THEIRS})
    if partner not in known_partners:
        raise UsageError(
            Code.NOTHING_FOUND,
            "--partner",
            found="no partner of this name that sends us files",
            expected=f"one of {', '.join(known_partners) or 'none'}",
            remedy="See counterfoil feeds",
        )


def _wording(desk: Desk, partner: str) -> dispute.Wording:
    """The terms of the partner's first feed of each kind, by name."""
    own = [feed for feed in desk.feeds() if feed.partner == partner]
    terms = {feed.kind: desk.reader.terms(feed) for feed in reversed(own)}
    return dispute.Wording(
        answers=next((terms[kind] for kind in THEIRS if kind in terms), _NO_TERMS),
        requests=terms.get(FeedKind.REQUESTS, _NO_TERMS),
    )
