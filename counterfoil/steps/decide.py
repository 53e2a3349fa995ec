"""A person's decisions and approvals: written as files, landed like any other, and posted at once.

Here: making the file, and settling the feeds that it may let go on. Not here: what decisions do (``ledger.decisions``),
or who may take them.
"""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from counterfoil.clock import local_date, utc_text
from counterfoil.errors import Code, UsageError
from counterfoil.feed import Feed, FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.landing.records import Delivery, Outcome
from counterfoil.ledger.distributions import HASH_NAMED
from counterfoil.steps.arrive import land_own
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import feed_of, gross_points, read, settle

COLUMNS: Final[Mapping[FeedKind, tuple[str, ...]]] = {
    FeedKind.DECISIONS: ("action", "subject", "ref", "points", "reason", "decided_at", "owner", "until"),
    FeedKind.APPROVALS: ("payload", "reason", "decided_at", "account"),
}

HASH_SHOWN_MIN: Final = 8
"""Digits of a hash that people must give at least."""

REASON_MAX: Final = 500
"""Characters of a reason, as the layouts of decisions and approvals have it."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Written:
    """A file of people's decisions, before it is landed: its feed, name, bytes and the day it is written on."""

    feed: Feed
    name: str
    data: bytes
    day: date


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
    """Decide several things in one file, which takes effect as a whole or not at all. DECISION_UNFIT before anything is
    landed where the reason is none that can be kept."""
    return _landed(desk, decisions_file(desk, told, reason=reason), concerning={str(row["subject"]) for row in told})


def approve(desk: Desk, payload_sha: str, reason: str) -> Decided:
    """Approve a file that another person sent; DECISION_UNFIT as for a decision."""
    _require_reason(reason)
    # Identity is by content: without time and account two people's approvals in the same words were one file.
    row = {
        "payload": payload_sha,
        "reason": reason,
        "decided_at": utc_text(desk.now()),
        "account": desk.settings.actor,
    }
    return _landed(desk, _written(desk, FeedKind.APPROVALS, [row]), concerning={payload_sha})


def decisions_file(desk: Desk, told: Sequence[Mapping[str, object]], *, reason: str) -> Written:
    """The file that decides several things; DECISION_UNFIT as in ``decide_all``."""
    _require_reason(reason)
    stamp = {"reason": reason, "decided_at": utc_text(desk.now())}
    blank = dict.fromkeys(COLUMNS[FeedKind.DECISIONS], "")
    return _written(desk, FeedKind.DECISIONS, [{**blank, **row, **stamp} for row in told])


def held_file(desk: Desk, prefix: str) -> Delivery:
    """The delivery in hand whose payload's hash begins so; NOTHING_FOUND where it is none or several."""
    feeds = [feed.feed for feed in desk.reader.feeds()]
    held = [delivery for feed in feeds for delivery in desk.index.held(feed)]
    found = {one.payload_sha: one for one in held if one.payload_sha.startswith(prefix.lower())}
    if len(prefix) < HASH_SHOWN_MIN or len(found) != 1:
        short = len(prefix) < HASH_SHOWN_MIN
        raise UsageError(
            Code.NOTHING_FOUND,
            prefix,
            found=f"only {len(prefix)} digits" if short else f"{len(found)} held files whose hash begins so",
            expected=f"one, named by at least {HASH_SHOWN_MIN} digits of its SHA-256",
            remedy="See counterfoil held",
        )
    return next(iter(found.values()))


def released_points(desk: Desk, delivery: Delivery) -> int:
    """The points that whoever releases a held file answers for."""
    return gross_points(read(desk, delivery))


def left_out(desk: Desk, delivery: Delivery, lines: Sequence[int]) -> list[dict[str, object]]:
    """What decides to leave lines out of a held bulk upload; NOTHING_FOUND for one that it does not have."""
    if not lines:
        return []
    points = {}
    if feed_of(desk, delivery).kind is FeedKind.BULK_UPLOAD:
        points = dict(read(desk, delivery).accepted.select("line_no", "points").iter_rows())
    unknown = sorted(set(lines) - set(points))
    if unknown:
        raise UsageError(
            Code.NOTHING_FOUND,
            f"--without {unknown[0]}",
            found="no readable line of a bulk upload",
            expected="lines of the held file as its message counts them",
            remedy="See counterfoil held",
        )
    name = delivery.payload_sha[:HASH_NAMED]
    return [{"action": "leave_out", "subject": f"{name}:{line}", "points": points[line]} for line in sorted(set(lines))]


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_MAX or _CONTROL.search(reason):
        raise UsageError(
            Code.DECISION_UNFIT,
            "reason",
            found="nothing, more than one line, or too much",
            expected=f"one line of 1 to {REASON_MAX} characters",
            remedy="Say why in fewer words; nothing was decided",
        )


def _written(desk: Desk, kind: FeedKind, rows: Sequence[Mapping[str, object]]) -> Written:
    (feed,) = desk.feeds([kind])
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS[kind], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    day = local_date(desk.now(), desk.settings.zone)
    return Written(feed, f"{feed.feed}_{day:%Y%m%d}_{sha256_bytes(data)[:8]}.csv", data, day)


def _landed(desk: Desk, written: Written, *, concerning: Collection[str]) -> Decided:
    feed, day = written.feed.feed, written.day
    delivery = land_own(desk, written.feed, name=written.name, data=written.data)
    outcomes = settle(desk, [feed], day, {}).outcomes
    of_payload = [one for one in desk.index.deliveries() if one.payload_sha in concerning and one.feed]
    for one in of_payload:
        outcomes = [*outcomes, *settle(desk, [one.feed or ""], one.business_date or day, {}).outcomes]
    concerned = {delivery.order, *(one.order for one in of_payload)}
    return Decided(delivery, tuple((one, outcome) for one, outcome in outcomes if one.order in concerned))
