"""What a delivery is, next to those before it: its identity, business date, verdict and place in the sequence.

Here: pure functions over plain values. Not here: recognising a file, reading it, or where deliveries are kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from counterfoil.clock import local_date
from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.limits import BUSINESS_DATE_DAYS_MAX
from counterfoil.protocols import Marks


class Verdict(StrEnum):
    """What a delivery is. The last two say that it was never compared with others."""

    NEW = "new"
    REPLAY = "replay"
    CORRECTION = "correction"
    REPLACEMENT = "replacement"
    RENAMED_REPLAY = "renamed_replay"
    HELD = "held"
    """No layout claims it, or its date is too far off: kept for a person."""
    REJECTED = "rejected"
    """Its envelope cannot be read: the partner must send it again."""


POSTING_VERDICTS: Final = frozenset({Verdict.NEW, Verdict.REPLACEMENT})
"""The verdicts whose files post."""


class Effect(StrEnum):
    """What became of an earlier delivery."""

    POSTED = "posted"
    WAITING = "waiting"
    """Not decided yet, or held only until the file before it has posted: it may post by itself."""
    HELD = "held"
    """In hand and without effect until a person decides."""
    NONE = "none"
    """Rejected whole, a replay, or replaced: it never has an effect."""


@dataclass(frozen=True)
class Earlier:
    """One delivery of the same feed to compare with."""

    order: int
    identity: str
    payload_sha: str
    empty: bool
    effect: Effect


@dataclass(frozen=True)
class Judgement:
    """A verdict, the code that goes with it, and the order number of the delivery that it refers to."""

    verdict: Verdict
    code: Code | None = None
    other: int | None = None


def business_date(marks: Marks, feed: Feed, received_at: datetime) -> date:
    """The day a file counts for: as envelope or name say, else its arrival less the grace in the feed's zone."""
    if marks.business_date is not None:
        return marks.business_date
    return local_date(received_at - timedelta(minutes=feed.grace_minutes), feed.zone)


def far(day: date, received_at: datetime, zone: str) -> bool:
    """True when a business date lies too many days from the day of arrival, either way, to be believed."""
    return abs((day - local_date(received_at, zone)).days) > BUSINESS_DATE_DAYS_MAX


def identity_text(feed: Feed, marks: Marks, *, name: str, payload_sha: str, day: date) -> str:
    """What makes a delivery this delivery, within its feed.

    ``NSTR:000011`` (epoch and sequence; ``NSTR:2026:000011`` where the sequence restarts yearly, ``NSTR:2026-11-20:…``
    daily), ``2026-11-20`` (by date), ``sha256:…`` (by content) or the name itself, whatever its case. ``day`` is the
    business date. Raises ENVELOPE_INVALID when the layout counts on a sequence and the file states none.
    """
    if feed.identity.by == "name":
        return name.casefold()
    if feed.identity.by == "content":
        return f"sha256:{payload_sha}"
    if feed.identity.by in ("date", "arrival"):
        return day.isoformat()
    if marks.sequence is None:
        raise PermanentError(
            Code.ENVELOPE_INVALID,
            feed.key,
            found="no sequence number in the file",
            expected="the number by which the layout tells its files apart",
            remedy="Ask the partner for a file with its number, or correct identity: in the layout",
        )
    return sequence_identity(feed, marks.epoch, marks.sequence, day)


def counted_on(feed: Feed, marks: Marks, highest: int | None) -> Marks:
    """Marks with the number that a wrapping sequence would have, had it never begun again: of all that end in the
    file's number, the one nearest to ``highest``, the highest delivered before. ENVELOPE_INVALID for a number that the
    sequence does not have.
    """
    last = feed.identity.wrap_at
    if last is None or marks.sequence is None:
        return marks
    if not 1 <= marks.sequence <= last:
        raise PermanentError(
            Code.ENVELOPE_INVALID,
            feed.key,
            found=f"number {marks.sequence}",
            expected=f"numbers from 1 to {last}, then 1 again",
            remedy="Ask the partner for a file with its number, or correct identity: in a new layout version",
        )
    rounds = max(0, ((highest or 1) - marks.sequence + last // 2) // last)
    return replace(marks, sequence=marks.sequence + rounds * last)


def sequence_identity(feed: Feed, epoch: str, sequence: int, day: date) -> str:
    """The identity of a numbered file: epoch, year or day where the sequence restarts with it, and number."""
    scope = {"yearly": [f"{day.year:04d}"], "daily": [day.isoformat()]}.get(feed.identity.restart, [])
    return ":".join([epoch, *scope, f"{sequence:06d}"])


def verdict(*, identity: str, payload_sha: str, empty: bool, others: Sequence[Earlier]) -> Judgement:
    """Judge a delivery beside the others of its feed; the order they are given in does not matter.

    The same payload under the same identity is a replay, unless the other has no effect and never will: then the
    partner tries again, and so do we. Other content is a correction when the identity has been posted, else a
    replacement. A payload with details that was posted, or may yet post by itself, under another identity is a renamed
    replay; a file without details never is, since all empty days look alike. To replace a delivery that still waits is
    provisional: whoever posts judges again.
    """
    same = [other for other in others if other.identity == identity]
    twin = _last(other for other in same if other.payload_sha == payload_sha and other.effect != Effect.NONE)
    posted = _last(other for other in same if other.effect == Effect.POSTED)
    corrected = twin and posted and posted.order > twin.order and posted.payload_sha != payload_sha
    if twin is not None and not corrected:
        return Judgement(Verdict.REPLAY, None, twin.order)
    if posted is not None:
        return Judgement(Verdict.CORRECTION, Code.CORRECTION_HELD, posted.order)
    alike = [other for other in others if other.payload_sha == payload_sha and other.identity != identity]
    original = _last(other for other in alike if other.effect in {Effect.POSTED, Effect.WAITING})
    if original is not None and not empty:
        return Judgement(Verdict.RENAMED_REPLAY, Code.RENAMED_REPLAY_HELD, original.order)
    former = _last(same)
    if former is not None:
        return Judgement(Verdict.REPLACEMENT, None, former.order)
    return Judgement(Verdict.NEW)


def judgement_message(feed: str, identity: str, judgement: Judgement, *, releasable: bool = True) -> str | None:
    """The message of a judgement that holds its file, in the form every message has; None for the others.

    ``releasable``: whether a release would let the file post.
    """
    correcting = (
        "Compare the two files and ask the partner which one counts; release or discard this one, which waits"
        if releasable
        else "Discard this one, and have what is new in it sent as a file of its own"
    )
    texts = {
        Verdict.CORRECTION: (
            f"other content than delivery {judgement.other}, which was posted under this identity",
            "each identity to be sent once",
            correcting,
        ),
        Verdict.RENAMED_REPLAY: (
            f"the very content of delivery {judgement.other}, which has another identity",
            "new content under a new identity",
            "Ask the partner whether the file was sent twice; release or discard this one, which waits",
        ),
    }
    if judgement.code is None or judgement.verdict not in texts:
        return None
    found, expected, remedy = texts[judgement.verdict]
    return str(PermanentError(judgement.code, f"{feed} {identity}", found=found, expected=expected, remedy=remedy))


def sequence_gap(feed: Feed, marks: Marks, last_posted: int | None) -> tuple[int, int] | None:
    """(expected, found) when a file is not the next of its sequence, too early or too late; None when it is.

    ``last_posted`` is the highest number posted in the same epoch and, where the sequence restarts, the same year or
    day; 0 at such a restart; None before the feed's first file, which may carry any number.
    """
    if feed.identity.by != "sequence" or marks.sequence is None or last_posted is None:
        return None
    expected = last_posted + 1
    return None if marks.sequence == expected else (expected, marks.sequence)


def _last(deliveries: Iterable[Earlier]) -> Earlier | None:
    return max(deliveries, key=lambda delivery: delivery.order, default=None)
