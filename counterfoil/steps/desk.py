"""The desk: everything one run works with, bound once by ``pipelines.wiring`` and handed to every step.

Here: the bundle and its tiny helpers. Not here: how any of it is built, or what is done with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from counterfoil.feed import Feed, FeedKind
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.store import LandingStore
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.store import Book
from counterfoil.protocols import CrmTarget, JournalTarget, PgpOpener, Postman, Reader, Source
from counterfoil.settings import Settings

if TYPE_CHECKING:
    from counterfoil.vault import Vault

SOFTWARE = f"counterfoil {version('counterfoil')}"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""


PARTNER_KINDS = (
    FeedKind.BULK_UPLOAD,
    FeedKind.ACTIVITY,
    FeedKind.REQUESTS,
    FeedKind.HANDBACK,
    FeedKind.CATALOGUE,
    FeedKind.VOUCHER_ORDERS,
    FeedKind.VOUCHER_PAYMENTS,
    FeedKind.VOUCHER_FULFILMENT,
    FeedKind.DELIVERIES,
)
"""What partners and companies send, in the order in which one night posts it: points can be spent on the day they
come, an answer finds the request of its own day, and a payment its order."""


def in_order(feeds: Sequence[Feed], kinds: Sequence[FeedKind]) -> list[Feed]:
    """The feeds of these kinds, in the order of the kinds and then by name."""
    wanted = [feed for feed in feeds if feed.kind in kinds]
    return sorted(wanted, key=lambda feed: (kinds.index(feed.kind), feed.feed))


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
    pgp: PgpOpener
    vault: "Callable[[], Vault]"
    crm_targets: Sequence[CrmTarget]
    journal_targets: Sequence[JournalTarget]
    open_postman: Callable[[], Postman]
    progress: Progress = silent

    def now(self) -> datetime:
        """The present instant by the one clock."""
        return self.settings.clock()

    def feeds(self, kinds: Sequence[FeedKind] = PARTNER_KINDS) -> list[Feed]:
        """Feeds of these kinds, in the order of the kinds and then by name; by default requests before answers."""
        return in_order(self.reader.feeds(), kinds)


@dataclass(frozen=True)
class ProofDesk:
    """What proving the book and making it again need, and nothing that either could change: no arrival index, no
    rules of today."""

    settings: Settings
    landing: LandingStore
    book: Book
    reader: Reader
    progress: Progress = silent
