"""Posting: each waiting delivery gets its outcome, and what a crash left half done is finished first.

Here: the order of proof, verdict, posting and outcome under the book's lock. Not here: reading (``parsers``),
composing and proving (``ledger``), or arrival.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from counterfoil.errors import Code, CounterfoilError, PermanentError
from counterfoil.feed import CORRECTABLE, KNOWN_AGAIN, Feed
from counterfoil.identity import Judgement, Verdict, judgement_message
from counterfoil.landing.records import Delivery, Outcome, OutcomeState
from counterfoil.ledger.writing import Posted, Writer
from counterfoil.protocols import Marks, Parsed
from counterfoil.reconcile.difference import difference, keyed
from counterfoil.schemas.gate import prove_control
from counterfoil.steps.desk import Desk
from counterfoil.steps.permits import Permits, require_approved
from counterfoil.steps.record import day_of, former_of, gap, post_new, post_recorded

HELD_CODES = {
    Code.UNREADABLE_AMOUNTS,
    Code.REJECT_RATE_HIGH,
    Code.CORRECTION_HELD,
    Code.RENAMED_REPLAY_HELD,
    Code.BUSINESS_DATE_FAR,
    Code.SEQUENCE_GAP,
    Code.APPROVAL_NEEDED,
    Code.COMPANY_UNKNOWN,
    Code.POINTS_SHORT,
}
"""Faults of a file that a person may decide on."""

REJECTED_CODES = {
    Code.FILE_EMPTY,
    Code.HEADER_MISSING,
    Code.ENVELOPE_INVALID,
    Code.CONTROL_TOTAL_WRONG,
    Code.ROWS_TOO_MANY,
    Code.FILE_TOO_LARGE,
    Code.DECISION_UNFIT,
    Code.FILE_DISCARDED,
    Code.FILE_NAME_USED,
    Code.CODE_USED,
}
"""Faults of a file that only a new file mends. Any other error is not the file's and stops the feed."""


@dataclass
class Settled:
    """What became of deliveries, in order, and the postings among them."""

    outcomes: list[tuple[Delivery, Outcome]] = field(default_factory=list)
    postings: list[Posted] = field(default_factory=list)


def read(desk: Desk, delivery: Delivery) -> Parsed:
    """A delivery's records, gated and proved; its control totals are not judged yet."""
    payload = desk.landing.verify(delivery.payload_sha)
    return desk.reader.read(feed_of(desk, delivery), name=delivery.name, payload=payload)


def readable(desk: Desk, delivery: Delivery) -> Parsed | None:
    """A delivery's records, or None for a file whose fault posting will record."""
    try:
        return read(desk, delivery)
    except PermanentError as error:
        if error.code in HELD_CODES | REJECTED_CODES:
            return None
        raise


def feed_of(desk: Desk, delivery: Delivery) -> Feed:
    """The layout that claimed a delivery, as it was then."""
    for feed in desk.reader.feeds():
        if (feed.feed, feed.version) == (delivery.feed, delivery.layout_version):
            return feed
    return desk.reader.claim(
        connection=delivery.connection,
        folder=delivery.folder,
        name=delivery.name,
        payload=desk.landing.path(delivery.payload_sha),
    )


def settle(desk: Desk, feeds: Sequence[str], through: date, parsed: Mapping[int, Parsed]) -> Settled:
    """Post every waiting delivery of these feeds up to a business date, feed by feed, in order of arrival.

    ``parsed`` holds deliveries already read, by order number. A file that is refused stops no other file; after one
    that filled a gap the files behind it are tried again.
    """
    settled = Settled()
    if not _interrupted(desk) and not any(waiting(desk, feed, through) or desk.index.held(feed) for feed in feeds):
        return settled
    with desk.book.writing(purpose=f"post {', '.join(feeds)}") as book:
        finish_interrupted(desk, book)
        for feed in feeds:
            before = -1
            while before != len(settled.postings):
                before = len(settled.postings)
                permits = Permits.of(book)
                for delivery in waiting(desk, feed, through, permits):
                    _settle_one(desk, book, delivery, parsed.get(delivery.order), permits, settled)
    # Of a file that was tried again, only what came of it last.
    settled.outcomes[:] = {delivery.order: (delivery, outcome) for delivery, outcome in settled.outcomes}.values()
    return settled


def _interrupted(desk: Desk) -> bool:
    """Whether a crash left anything to finish, as far as can be told without opening the book."""
    last = desk.landing.last_n()
    return desk.book.published().n != last or desk.index.posted_through() != last


def finish_interrupted(desk: Desk, book: Writer) -> None:
    """Post again what was recorded but not committed, and note outcomes that a crash kept from being written."""
    for record in desk.landing.records_after(book.last_posting()):
        post_recorded(desk, book, record)
    for record in desk.landing.records_after(desk.index.posted_through()):
        _conclude(desk, record.order, OutcomeState.POSTED, n=record.n)


def waiting(desk: Desk, feed: str, through: date, permits: Permits | None = None) -> list[Delivery]:
    """Deliveries that may post now, in sequence where the feed counts its files, else in order of arrival.

    Those that were held are among them once ``permits`` concern them, and a correction that nobody has looked at.
    """
    held = desk.index.held(feed)
    looked_at = desk.index.latest_outcomes(delivery.order for delivery in held)
    decided = [
        delivery
        for delivery in held
        if (delivery.verdict is Verdict.CORRECTION and delivery.order not in looked_at)
        or (permits is not None and permits.concern(delivery.payload_sha))
    ]
    pending = [
        delivery
        for delivery in [*desk.index.pending(feed=feed), *decided]
        if delivery.business_date is not None and delivery.business_date <= through
    ]
    return sorted(pending, key=lambda delivery: (delivery.epoch, delivery.sequence or 0, delivery.order))


def _settle_one(
    desk: Desk, book: Writer, delivery: Delivery, parsed: Parsed | None, permits: Permits, settled: Settled
) -> None:
    desk.progress(f"posting {delivery.feed}", len(settled.postings), 0)
    try:
        outcome = _settled(desk, book, delivery, parsed, permits, settled)
    except PermanentError as error:
        if error.code not in HELD_CODES | REJECTED_CODES:
            raise
        held = error.code in HELD_CODES
        outcome = _conclude(desk, delivery.order, OutcomeState.HELD if held else OutcomeState.REJECTED, error=error)
    settled.outcomes.append((delivery, outcome))


def _settled(
    desk: Desk, book: Writer, delivery: Delivery, parsed: Parsed | None, permits: Permits, settled: Settled
) -> Outcome:
    """Judge a delivery again now that nobody else can post, and post it unless something speaks against it."""
    judgement = desk.index.judge(delivery)
    if judgement.verdict is Verdict.REPLAY:
        return _conclude(desk, delivery.order, OutcomeState.REPLAY)
    feed = feed_of(desk, delivery)
    released = delivery.payload_sha in permits.released
    _require_wanted(feed, delivery, permits)
    _require_new_name(feed, delivery, judgement)
    why = _held(feed, delivery, judgement, released=released)
    if why is not None:
        return _conclude(desk, delivery.order, OutcomeState.HELD, code=why[0], message=why[1])
    corrects = judgement.verdict is Verdict.CORRECTION
    if not corrects:
        _require_next(book, feed, delivery)
    rows = parsed or read(desk, delivery)
    prove_control(rows, feed, delivery.name, released=released)
    if released and permits.released[delivery.payload_sha] != gross_points(rows):
        raise _seen_otherwise(feed, delivery)
    if corrects and not released:
        _require_small(desk, book, feed, delivery, rows)
    require_approved(desk, book, permits, feed, delivery, rows)
    posted = post_new(desk, book, delivery, rows, feed=feed, verdict=judgement.verdict)
    settled.postings.append(posted)
    return _conclude(desk, delivery.order, OutcomeState.POSTED, n=posted.n)


def _require_wanted(feed: Feed, delivery: Delivery, permits: Permits) -> None:
    if delivery.payload_sha in permits.discarded:
        raise PermanentError(
            Code.FILE_DISCARDED,
            f"{feed.key} {delivery.name!r}",
            found="a decision that this file does not count",
            expected="files that count",
            remedy="Nothing is left to do; a later release of the same bytes would let them post",
        )


def _require_new_name(feed: Feed, delivery: Delivery, judgement: Judgement) -> None:
    """Raise FILE_NAME_USED where a name counts once, and other content was posted under it."""
    if feed.identity.by == "name" and judgement.verdict is Verdict.CORRECTION:
        raise PermanentError(
            Code.FILE_NAME_USED,
            f"{feed.key} {delivery.name!r}",
            found=f"the name of delivery {judgement.other}, which was posted, on other content",
            expected="a name of its own for each file",
            remedy="Send what is new in it as a file with another name; nothing of this one was posted",
        )


def gross_points(parsed: Parsed) -> int:
    """The points of a file's records, sign apart: what whoever releases it answers for."""
    return int(parsed.accepted["points"].abs().sum()) if "points" in parsed.accepted.columns else 0


def _seen_otherwise(feed: Feed, delivery: Delivery) -> PermanentError:
    return PermanentError(
        Code.CORRECTION_HELD,
        f"{feed.key} {delivery.name!r}",
        found="a release that states other points than the file moves",
        expected="the gross points of its records",
        remedy=f"Release it again: counterfoil release {delivery.payload_sha[:16]}",
    )


def _held(feed: Feed, delivery: Delivery, judgement: Judgement, *, released: bool) -> tuple[str, str] | None:
    """Why a file does not post by itself: it was never compared with others, or is none that posts unreleased."""
    corrects = judgement.verdict is Verdict.CORRECTION
    supersedes = corrects and feed.kind in CORRECTABLE and feed.correction == "supersede"
    if delivery.verdict is Verdict.HELD and not released:
        return delivery.code or Code.BUSINESS_DATE_FAR, delivery.message or ""
    releasable = not corrects or feed.kind in (*CORRECTABLE, *KNOWN_AGAIN)
    if judgement.code is None or supersedes or (released and releasable):
        return None
    message = judgement_message(feed.feed, delivery.identity or "", judgement, releasable=releasable)
    return judgement.code, message or ""


def _require_small(desk: Desk, book: Writer, feed: Feed, delivery: Delivery, rows: Parsed) -> None:
    """Raise CORRECTION_HELD for a correction that changes more than its layout lets pass, or cannot be compared."""
    former = former_of(desk, book, feed.feed, delivery.identity or "")
    accepted = rows.accepted
    if former is None or not (keyed(former.accepted, feed.record_key) and keyed(accepted, feed.record_key)):
        found = "records that no record_key of the layout tells apart"
    else:
        records = difference(former.accepted, accepted, feed.record_key).records
        if records <= feed.supersede_limit:
            return
        found = f"{records:,} records that differ from the file it corrects"
    raise PermanentError(
        Code.CORRECTION_HELD,
        f"{feed.key} {delivery.name!r}",
        found=found,
        expected=f"at most {feed.supersede_limit:,}, told apart by {', '.join(feed.record_key) or 'a record_key'}",
        remedy=f"Compare the two files, then run: counterfoil release {delivery.payload_sha[:16]}",
    )


def _require_next(book: Writer, feed: Feed, delivery: Delivery) -> None:
    """Raise SEQUENCE_GAP where the layout holds a file until the one before it has posted."""
    if feed.identity.gap == "warn":
        return
    day = day_of(delivery)
    marks = Marks(business_date=day, epoch=delivery.epoch, sequence=delivery.sequence, empty=delivery.empty)
    missing = gap(book, feed, marks, day)
    if missing is not None:
        raise PermanentError(
            Code.SEQUENCE_GAP,
            f"{feed.key} {delivery.name!r}",
            found=f"number {missing[1]}",
            expected=f"number {missing[0]}",
            remedy="It waits and posts by itself once the file before it has; ask the partner for that file",
        )


def _conclude(
    desk: Desk,
    order: int,
    state: OutcomeState,
    *,
    n: int | None = None,
    code: str | None = None,
    message: str | None = None,
    error: CounterfoilError | None = None,
) -> Outcome:
    return desk.index.record_outcome(
        order,
        state,
        n=n,
        code=error.code if error else code,
        message=str(error) if error else message,
        at=desk.now(),
        run_id=desk.settings.run_id,
    )
