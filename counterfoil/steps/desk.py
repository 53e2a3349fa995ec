"""The desk: everything one run works with, bound once by ``pipelines.wiring`` and handed to every step.

Here: the bundle and its tiny helpers. Not here: how any of it is built, or what is done with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from counterfoil.feed import Feed, FeedKind
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.store import LandingStore
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.store import Book
from counterfoil.protocols import CrmTarget, JournalTarget, Reader, Source
from counterfoil.settings import Settings

SOFTWARE = f"counterfoil {version('counterfoil')}"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress for nobody."""


@dataclass(frozen=True)
class Desk:
    """Settings, stores, rules and the outside world of one run."""

    settings: Settings
    landing: LandingStore
    index: ArrivalIndex
    book: Book
    reader: Reader
    rulebook: Rulebook
    open_source: Callable[[str], Source]
    crm_targets: Sequence[CrmTarget]
    journal_targets: Sequence[JournalTarget]
    progress: Progress = silent

    def now(self) -> datetime:
        """The present instant by the one clock."""
        return self.settings.clock()

    def feeds(self, kinds: Sequence[FeedKind] = (FeedKind.REQUESTS, FeedKind.HANDBACK)) -> list[Feed]:
        """Feeds of these kinds by name; by default those that partners send."""
        return sorted((feed for feed in self.reader.feeds() if feed.kind in kinds), key=lambda feed: feed.feed)
