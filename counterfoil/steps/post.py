"""Posting: each waiting delivery gets its outcome, and what a crash left half done is finished first.

Here: the order of proof, verdict, posting and outcome under the book's lock. Not here: reading (``parsers``),
composing and proving (``ledger``), or arrival.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from counterfoil import identity
from counterfoil.errors import Code, CounterfoilError, PermanentError
from counterfoil.feed import Feed
from counterfoil.identity import Verdict
from counterfoil.landing.records import Delivery, Outcome, OutcomeState
from counterfoil.ledger.writing import Posted, Writer
from counterfoil.protocols import Marks, Parsed
from counterfoil.schemas.gate import prove_control
from counterfoil.steps.desk import Desk
from counterfoil.steps.record import day_of, gap, post_new, post_recorded

HELD_CODES = {Code.UNREADABLE_AMOUNTS, Code.REJECT_RATE_HIGH, Code.CORRECTION_HELD, Code.SEQUENCE_GAP}
"""Faults of a file that a person may decide on."""

REJECTED_CODES = {
    Code.FILE_EMPTY,
    Code.HEADER_MISSING,
    Code.ENVELOPE_INVALID,
    Code.CONTROL_TOTAL_WRONG,
    Code.ROWS_TOO_MANY,
    Code.FILE_TOO_LARGE,
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
    if not _interrupted(desk) and not any(waiting(desk, feed, through) for feed in feeds):
        return settled
    with desk.book.writing(purpose=f"post {', '.join(feeds)}") as book:
        finish_interrupted(desk, book)
        for feed in feeds:
            before = -1
            while before != len(settled.postings):
                before = len(settled.postings)
                for delivery in waiting(desk, feed, through):
                    _settle_one(desk, book, delivery, parsed.get(delivery.order), settled)
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


def waiting(desk: Desk, feed: str, through: date) -> list[Delivery]:
    """Deliveries that may post now, in sequence where the feed counts its files, else in order of arrival."""
    pending = [
        delivery
        for delivery in desk.index.pending(feed=feed)
        if delivery.business_date is not None and delivery.business_date <= through
    ]
    return sorted(pending, key=lambda delivery: (delivery.epoch, delivery.sequence or 0, delivery.order))


def _settle_one(desk: Desk, book: Writer, delivery: Delivery, parsed: Parsed | None, settled: Settled) -> None:
    desk.progress(f"posting {delivery.feed}", len(settled.postings), 0)
    try:
        outcome = _settled(desk, book, delivery, parsed, settled)
    except PermanentError as error:
        if error.code not in HELD_CODES | REJECTED_CODES:
            raise
        held = error.code in HELD_CODES
        outcome = _conclude(desk, delivery.order, OutcomeState.HELD if held else OutcomeState.REJECTED, error=error)
    settled.outcomes.append((delivery, outcome))


def _settled(desk: Desk, book: Writer, delivery: Delivery, parsed: Parsed | None, settled: Settled) -> Outcome:
    """Judge a delivery again now that nobody else can post, and post it unless something speaks against it."""
    judgement = desk.index.judge(delivery)
    if judgement.verdict is Verdict.REPLAY:
        return _conclude(desk, delivery.order, OutcomeState.REPLAY)
    if judgement.code is not None:
        message = identity.judgement_message(delivery.feed or "", delivery.identity or "", judgement)
        return _conclude(desk, delivery.order, OutcomeState.HELD, code=judgement.code, message=message)
    feed = feed_of(desk, delivery)
    _require_next(book, feed, delivery)
    rows = parsed or read(desk, delivery)
    prove_control(rows, feed, delivery.name)
    posted = post_new(desk, book, delivery, rows, feed=feed, verdict=judgement.verdict)
    settled.postings.append(posted)
    return _conclude(desk, delivery.order, OutcomeState.POSTED, n=posted.n)


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
    code: Code | None = None,
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
