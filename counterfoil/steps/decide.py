"""A person's decisions and approvals: written as files, landed like any other, and posted at once.

Here: making the file, and settling the feeds that it may let go on. Not here: what decisions do (``ledger.decisions``),
or who may take them.
"""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from counterfoil.clock import local_date, utc_text
from counterfoil.errors import Code, UsageError
from counterfoil.feed import FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.landing.records import Delivery, Outcome
from counterfoil.steps.arrive import land_own
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import gross_points, read, settle

COLUMNS: Final[Mapping[FeedKind, tuple[str, ...]]] = {
    FeedKind.DECISIONS: ("action", "subject", "ref", "points", "reason", "decided_at", "owner", "until"),
    FeedKind.APPROVALS: ("payload", "reason"),
}

HASH_SHOWN_MIN: Final = 8
"""Digits of a hash that people must give at least."""


@dataclass(frozen=True)
class Decided:
    """What became of a decision's file, and of the file that it is about where there is one."""

    delivery: Delivery
    outcomes: tuple[tuple[Delivery, Outcome], ...]


def decide(
    desk: Desk,
    *,
    action: str,
    subject: str,
    reason: str,
    points: int = 0,
    ref: str = "",
    owner: str = "",
    until: str = "",
) -> Decided:
    """Decide one thing: land it, post it, and let post what it lets post."""
    told = {"action": action, "subject": subject, "ref": ref, "points": points, "owner": owner, "until": until}
    return decide_all(desk, [told], reason=reason)


def decide_all(desk: Desk, told: Sequence[Mapping[str, object]], *, reason: str) -> Decided:
    """Decide several things in one file, which takes effect as a whole or not at all."""
    stamp = {"reason": reason, "decided_at": utc_text(desk.now())}
    blank = dict.fromkeys(COLUMNS[FeedKind.DECISIONS], "")
    rows = [{**blank, **row, **stamp} for row in told]
    return _landed(desk, FeedKind.DECISIONS, rows, concerning={str(row["subject"]) for row in rows})


def approve(desk: Desk, payload_sha: str, reason: str) -> Decided:
    """Approve a file that another person sent."""
    return _landed(desk, FeedKind.APPROVALS, [{"payload": payload_sha, "reason": reason}], concerning={payload_sha})


def held_file(desk: Desk, prefix: str) -> Delivery:
    """The delivery in hand whose payload's hash begins so; NOTHING_FOUND where it is none or several."""
    feeds = [feed.feed for feed in desk.reader.feeds()]
    held = [delivery for feed in feeds for delivery in desk.index.held(feed)]
    found = {one.payload_sha: one for one in held if one.payload_sha.startswith(prefix.lower())}
    if len(prefix) < HASH_SHOWN_MIN or len(found) != 1:
        raise UsageError(
            Code.NOTHING_FOUND,
            prefix,
            found=f"{len(found)} held files whose hash begins so",
            expected=f"one, named by at least {HASH_SHOWN_MIN} digits of its SHA-256",
            remedy="See counterfoil held",
        )
    return next(iter(found.values()))


def released_points(desk: Desk, delivery: Delivery) -> int:
    """The points that whoever releases a held file answers for."""
    return gross_points(read(desk, delivery))


def _landed(
    desk: Desk, kind: FeedKind, rows: Sequence[Mapping[str, object]], *, concerning: Collection[str]
) -> Decided:
    (feed,) = desk.feeds([kind])
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS[kind], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    day = local_date(desk.now(), desk.settings.zone)
    delivery = land_own(desk, feed, name=f"{feed.feed}_{day:%Y%m%d}_{sha256_bytes(data)[:8]}.csv", data=data)
    outcomes = settle(desk, [feed.feed], day, {}).outcomes
    of_payload = [one for one in desk.index.deliveries() if one.payload_sha in concerning and one.feed]
    for one in of_payload:
        outcomes = [*outcomes, *settle(desk, [one.feed or ""], one.business_date or day, {}).outcomes]
    concerned = {delivery.order, *(one.order for one in of_payload)}
    return Decided(delivery, tuple((one, outcome) for one, outcome in outcomes if one.order in concerned))
