"""Posting: each waiting delivery gets its outcome, and what a crash left half done is finished first.

Here: the order of proof, verdict, posting and outcome under the book's lock. Not here: reading (``parsers``),
composing and proving (``ledger``), or arrival.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date

from counterfoil import identity
from counterfoil.errors import Code, CounterfoilError, PermanentError
from counterfoil.feed import Feed, FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.invariants import require
from counterfoil.landing.records import Delivery, Outcome, OutcomeState, PostingRecord, record_sha
from counterfoil.landing.store import posting_time
from counterfoil.ledger import audit
from counterfoil.ledger.answers import Work
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.compose import compose
from counterfoil.ledger.writing import Entitled, Posted, Writer
from counterfoil.limits import SKIPPED_NAMED_MAX
from counterfoil.protocols import Marks, Parsed
from counterfoil.reconcile import balance
from counterfoil.schemas.gate import prove_control
from counterfoil.steps.desk import SOFTWARE, Desk

HELD_CODES = {Code.UNREADABLE_AMOUNTS, Code.REJECT_RATE_HIGH, Code.CORRECTION_HELD}
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
        _post_again(desk, book, record)
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
        outcome = _refused(desk, delivery)
        if outcome is None:
            posted = _post(desk, book, delivery, parsed or read(desk, delivery))
            settled.postings.append(posted)
            outcome = _conclude(desk, delivery.order, OutcomeState.POSTED, n=posted.n)
    except PermanentError as error:
        if error.code not in HELD_CODES | REJECTED_CODES:
            raise
        held = error.code in HELD_CODES
        outcome = _conclude(desk, delivery.order, OutcomeState.HELD if held else OutcomeState.REJECTED, error=error)
    settled.outcomes.append((delivery, outcome))


def _refused(desk: Desk, delivery: Delivery) -> Outcome | None:
    """The outcome of a delivery that may not post, judged again now that nobody else can post."""
    judgement = desk.index.judge(delivery)
    if judgement.verdict is Verdict.REPLAY:
        return _conclude(desk, delivery.order, OutcomeState.REPLAY)
    if judgement.code is not None:
        message = identity.judgement_message(delivery.feed or "", delivery.identity or "", judgement)
        return _conclude(desk, delivery.order, OutcomeState.HELD, code=judgement.code, message=message)
    feed = feed_of(desk, delivery)
    gap = _gap(desk, feed, delivery)
    if gap is None or feed.identity.gap == "warn":
        return None
    error = PermanentError(
        Code.SEQUENCE_GAP,
        f"{feed.key} {delivery.name!r}",
        found=f"number {gap[1]}",
        expected=f"number {gap[0]}",
        remedy="It waits and posts by itself once the file before it has; ask the partner for that file",
    )
    return _conclude(desk, delivery.order, OutcomeState.HELD, error=error)


def _gap(desk: Desk, feed: Feed, delivery: Delivery) -> tuple[int, int] | None:
    marks = Marks(
        business_date=delivery.business_date,
        epoch=delivery.epoch,
        sequence=delivery.sequence,
        empty=delivery.empty,
    )
    last = desk.index.last_posted_sequence(feed, marks, _day(delivery))
    return identity.sequence_gap(feed, marks, last)


def _skipped(desk: Desk, feed: Feed, delivery: Delivery) -> list[str]:
    """The identities of the files before it that have not come, where the layout lets the gap pass."""
    gap = _gap(desk, feed, delivery)
    numbers = range(gap[0], min(gap[1], gap[0] + SKIPPED_NAMED_MAX)) if gap else range(0)
    return [identity.sequence_identity(feed, delivery.epoch, number, _day(delivery)) for number in numbers]


def _post(desk: Desk, book: Writer, delivery: Delivery, parsed: Parsed) -> Posted:
    """Post one delivery under the next number."""
    feed = feed_of(desk, delivery)
    prove_control(parsed, feed, delivery.name)
    last = book.last_posting()
    previous = desk.landing.read_record(last) if last else None
    record = PostingRecord(
        n=last + 1,
        order=delivery.order,
        payload_sha=delivery.payload_sha,
        feed=feed.feed,
        kind=feed.kind,
        name=delivery.name,
        identity=delivery.identity or "",
        business_date=_day(delivery),
        sequence=delivery.sequence,
        epoch=delivery.epoch,
        verdict=desk.index.judge(delivery).verdict,
        hashes=_hashes(desk, book, feed),
        run_id=desk.settings.run_id,
        actor=desk.settings.actor,
        posted_at=posting_time(desk.now(), previous),
        software=SOFTWARE,
        frame_digest="",
    )
    skipped = _skipped(desk, feed, delivery)

    # Hashing lets other threads run, so it is done beside the composing.
    with ThreadPoolExecutor(max_workers=1) as beside:
        digest = beside.submit(audit.frame_digest, parsed.accepted)

        def seal() -> str:
            sealed = replace(record, frame_digest=digest.result())
            desk.landing.write_record(sealed)
            return record_sha(sealed)

        return _book(book, feed, parsed, record, desk.rulebook, unit=desk.settings.unit, skipped=skipped, seal=seal)


def _post_again(desk: Desk, book: Writer, record: PostingRecord) -> None:
    """Post what a record says, with the layout and rules it names; POSTING_DIFFERS when its frame cannot be had."""
    payload = {name: desk.landing.verify(sha).read_bytes() for name, sha in record.hashes.items() if name in _KEPT}
    feed = desk.reader.feed_from_bytes(payload["layout"])
    parsed = desk.reader.read(feed, name=record.name, payload=desk.landing.verify(record.payload_sha))
    found = audit.frame_digest(parsed.accepted)
    if found != record.frame_digest:
        raise PermanentError(
            Code.POSTING_DIFFERS,
            f"posting {record.n}",
            found="other accepted rows than when it was recorded",
            expected="the same rows from the same bytes and layout",
            remedy=f"Finish it with {record.software}, which recorded it",
        )
    rulebook = Rulebook(payload["rules"], payload["chart"])
    delivery = desk.index.delivery(record.order)
    skipped = _skipped(desk, feed, delivery) if delivery else []
    _book(
        book, feed, parsed, record, rulebook, unit=desk.settings.unit, skipped=skipped, seal=lambda: record_sha(record)
    )


_KEPT = ("layout", "rules", "chart")


def _hashes(desk: Desk, book: Writer, feed: Feed) -> dict[str, str]:
    """The hash of everything in force; layout, rules and chart are kept in the landing store as well."""
    layout = desk.reader.layout_bytes(feed)
    for kept in (layout, desk.rulebook.rules_bytes, desk.rulebook.chart_bytes):
        desk.landing.land_bytes(kept)
    return {
        "layout": sha256_bytes(layout),
        **desk.rulebook.hashes,
        "settings": desk.settings.settings_sha,
        "rates": book.last_payload(FeedKind.RATES),
        "calendar": book.last_payload(FeedKind.CALENDAR),
    }


def _book(
    book: Writer,
    feed: Feed,
    parsed: Parsed,
    record: PostingRecord,
    rulebook: Rulebook,
    *,
    unit: str,
    skipped: Sequence[str],
    seal: Callable[[], str],
) -> Posted:
    open_day = book.open_day()
    on_day = max(record.business_date, open_day) if open_day else record.business_date
    work = Work(
        feed=feed,
        accepted=parsed.accepted,
        file_id=record.n,
        business_date=record.business_date,
        on_day=record.business_date if feed.kind is FeedKind.CALENDAR else on_day,
        unit=unit,
        rules=rulebook.rules,
    )
    changes = compose(work, book, identity=record.identity, skipped=skipped)
    return book.post(
        Entitled(
            n=record.n,
            delivery=record.order,
            feed=feed.feed,
            kind=feed.kind,
            partner=feed.partner,
            name=record.name,
            identity=record.identity,
            epoch=record.epoch,
            sequence=record.sequence,
            business_date=record.business_date,
            on_day=work.on_day,
            payload_sha=record.payload_sha,
            run_id=record.run_id,
            actor=record.actor,
            posted_at=record.posted_at.replace(tzinfo=None),
            software=record.software,
        ),
        changes,
        figures=balance.stage_one(parsed, changes.rows["disposition"]),
        controls=parsed.control,
        rules=rulebook.rules,
        rule_hashes=record.hashes,
        seal=seal,
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


def _day(delivery: Delivery) -> date:
    require(delivery.business_date is not None, "a delivery that posts has a business date")
    return delivery.business_date or date.min
