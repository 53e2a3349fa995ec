"""What people decided about whole files: which held files may post, which never count, which a second person approved.

Here: reading those decisions, and holding what lacks one. Not here: the rows they are kept in (``ledger``), or posting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.landing.records import Delivery
from counterfoil.ledger import approvals
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action
from counterfoil.protocols import Parsed
from counterfoil.steps.desk import Desk


@dataclass(frozen=True)
class Permits:
    """Decisions about payloads, by hash; the newest of release and discard counts."""

    released: Mapping[str, int] = field(default_factory=dict)
    """With the gross points that whoever released the file saw in it."""
    discarded: frozenset[str] = frozenset()
    approved_by: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, book: Lookups) -> Self:
        """Those that the book holds."""
        newest: dict[str, tuple[int, int]] = {}
        approved: dict[str, frozenset[str]] = {}
        columns = ("subject", "action", "sender", "points")
        for subject, action, sender, points in book.permits().select(columns).iter_rows():
            if action == Action.APPROVE:
                approved[subject] = approved.get(subject, frozenset()) | {sender}
            else:
                newest[subject] = (action, points)
        return cls(
            {subject: points for subject, (action, points) in newest.items() if action == Action.RELEASE},
            frozenset(subject for subject, (action, _) in newest.items() if action == Action.DISCARD),
            approved,
        )

    def concern(self, payload_sha: str) -> bool:
        """Whether anything was decided about a payload."""
        return payload_sha in self.discarded or payload_sha in self.released or payload_sha in self.approved_by


def require_approved(
    desk: Desk, book: Lookups, permits: Permits, feed: Feed, delivery: Delivery, parsed: Parsed
) -> None:
    """Raise APPROVAL_NEEDED for a file that goes beyond what its sender may decide alone, until another has approved
    it."""
    if feed.kind not in approvals.APPROVED_KINDS:
        return
    if permits.approved_by.get(delivery.payload_sha, frozenset()) - {delivery.sender}:
        return
    causes = approvals.beyond(
        feed.kind,
        parsed.accepted,
        book,
        policy=desk.settings,
        chart=desk.rulebook.chart,
        sent=approvals.Sent(delivery.sender, book.programme_day(delivery.business_date or desk.settings.start_date)),
    )
    if causes:
        raise PermanentError(
            Code.APPROVAL_NEEDED,
            f"{feed.key} {delivery.name!r}",
            found=f"more than one person may decide in a day: {approvals.named(causes)}",
            expected="the approval of a second person, from another account",
            remedy=f"Have someone else run: counterfoil approve {delivery.payload_sha[:16]}",
        )
