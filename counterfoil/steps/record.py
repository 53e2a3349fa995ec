"""One posting: its record, all that is in force for it, and the book's transaction; anew or again from the record.

Here: from a parsed delivery, or from a posting record, to the committed posting. Not here: whether a delivery may post
(``post``), what it does to the book (``ledger``), or folding all records (``replay``).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Final, Protocol, TypeVar

import polars as pl

from counterfoil import identity
from counterfoil.errors import Code, PermanentError
from counterfoil.feed import CORRECTABLE, Feed, FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.invariants import require
from counterfoil.landing.records import Delivery, PostingRecord, record_sha
from counterfoil.landing.store import LandingStore, posting_time
from counterfoil.ledger import audit
from counterfoil.ledger.chart import Rulebook, rulebook
from counterfoil.ledger.compose import stages
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.tables import BOOK_SCHEMA
from counterfoil.ledger.work import Former, Work
from counterfoil.ledger.writing import Entitled, Posted, Writer
from counterfoil.limits import SKIPPED_NAMED_MAX
from counterfoil.protocols import Marks, Parsed, Reader
from counterfoil.reconcile import balance
from counterfoil.reconcile.difference import carried
from counterfoil.schemas.tables import as_sealed
from counterfoil.settings import ProgrammeSettings, Settings, landed_settings
from counterfoil.steps.desk import SOFTWARE, Desk

Seen = TypeVar("Seen")

ALWAYS_LANDED: Final = ("layout", "rules", "chart")
"""What was in force at a posting and lies in the landing store since the first version of the program."""


class Archive(Protocol):
    """What a posting needs that is made again: the desk, or what there is where nothing else is at hand."""

    @property
    def settings(self) -> Settings: ...
    @property
    def landing(self) -> LandingStore: ...
    @property
    def reader(self) -> Reader: ...


class _Rehearsed(Exception):  # noqa: N818 - nothing went wrong
    """Raised in place of the commit of a posting that was only to be looked at."""


@dataclass(frozen=True, eq=False)
class _InForce:
    """The layout, the rules and the settings that a posting is made by."""

    feed: Feed
    rulebook: Rulebook
    policy: ProgrammeSettings


def post_new(desk: Desk, book: Writer, delivery: Delivery, parsed: Parsed, *, feed: Feed, verdict: Verdict) -> Posted:
    """Post one delivery under the next number, by what is in force today; what of that the book does not hold itself is
    kept in the landing store as well."""
    for kept in (
        desk.reader.layout_bytes(feed),
        desk.rulebook.rules_bytes,
        desk.rulebook.chart_bytes,
        desk.settings.settings_bytes,
    ):
        desk.landing.land_bytes(kept)
    record = _record(desk, book, delivery, feed=feed, verdict=verdict)
    # Hashing lets other threads run, so it is done beside the composing.
    with ThreadPoolExecutor(max_workers=1) as beside:
        digest = beside.submit(audit.frame_digest, as_sealed(feed.kind, parsed.accepted))

        def seal() -> str:
            sealed = replace(record, frame_digest=digest.result())
            desk.landing.write_record(sealed)
            return record_sha(sealed)

        return _posted(desk, book, record, parsed, _InForce(feed, desk.rulebook, desk.settings), seal=seal)


def rehearse(
    desk: Desk, book: Writer, delivery: Delivery, parsed: Parsed, *, feed: Feed, look: Callable[[int], Seen]
) -> Seen:
    """What ``look`` reads of the book, given the number, once a file that has not landed is composed, written and
    proved as the next posting. Then all of it is rolled back; nothing is landed."""
    record = _record(desk, book, delivery, feed=feed, verdict=Verdict.NEW)
    seen: list[Seen] = []

    def seal() -> str:
        seen.append(look(record.n))
        raise _Rehearsed

    with suppress(_Rehearsed):
        _posted(desk, book, record, parsed, _InForce(feed, desk.rulebook, desk.settings), seal=seal)
    require(len(seen) == 1, "a posting is looked at once before its commit")
    return seen[0]


def post_recorded(desk: Archive, book: Writer, record: PostingRecord) -> Posted:
    """Post what a record says, by the layout, rules and settings it names.

    Raises POSTING_DIFFERS when today's program reads other rows from the same bytes, PAYLOAD_DAMAGED when bytes that
    the record names are gone.
    """
    in_force = _recorded(desk, record)
    parsed = _read(desk, record, in_force.feed)
    found = audit.frame_digest(as_sealed(in_force.feed.kind, parsed.accepted))
    if found != record.frame_digest:
        raise PermanentError(
            Code.POSTING_DIFFERS,
            f"posting {record.n}",
            found="other accepted rows than when it was recorded",
            expected="the same rows from the same bytes and layout",
            remedy=f"Use {record.software}, which recorded it",
        )
    return _posted(desk, book, record, parsed, in_force, seal=lambda: desk.landing.record_sha(record.n))


def former_of(desk: Archive, book: Lookups, feed: str, file_identity: str) -> Former | None:
    """What a correction of this identity takes the place of; None when nothing was posted under it."""
    standing: pl.DataFrame | None = None
    postings = book.postings_of(feed, file_identity)
    for n in postings:
        record = desk.landing.read_record(n)
        contract = _recorded(desk, record).feed
        rows = _read(desk, record, contract).accepted.with_columns(file_id=pl.lit(n, pl.Int64))
        # A record that the next file repeats has its effect where it first stood.
        standing = rows if standing is None else carried(standing, rows, contract.record_key)
    return None if standing is None else Former(tuple(postings), standing)


def accepted_of(desk: Archive, n: int) -> pl.DataFrame:
    """The accepted rows of a posting, read again from its landed file by its landed layout."""
    record = desk.landing.read_record(n)
    return _read(desk, record, _recorded(desk, record).feed).accepted


def day_of(delivery: Delivery) -> date:
    """The business date of a delivery that posts."""
    require(delivery.business_date is not None, "a delivery that posts has a business date")
    return delivery.business_date or date.min


def gap(book: Lookups, feed: Feed, marks: Marks, day: date) -> tuple[int, int] | None:
    """(expected, found) when a file is not the next of its sequence in the book."""
    if feed.identity.by != "sequence":
        return None
    last = book.last_sequence(feed.feed, marks.epoch, feed.identity.restart, day)
    return identity.sequence_gap(feed, marks, last)


def _record(desk: Desk, book: Writer, delivery: Delivery, *, feed: Feed, verdict: Verdict) -> PostingRecord:
    """The record of the next posting, but for the digest of its frame."""
    last = book.last_posting()
    previous = desk.landing.read_record(last) if last else None
    return PostingRecord(
        n=last + 1,
        order=delivery.order,
        payload_sha=delivery.payload_sha,
        feed=feed.feed,
        kind=feed.kind,
        name=delivery.name,
        identity=delivery.identity or "",
        business_date=day_of(delivery),
        sequence=delivery.sequence,
        epoch=delivery.epoch,
        verdict=verdict,
        hashes=_hashes(desk, book, feed),
        run_id=desk.settings.run_id,
        actor=desk.settings.actor,
        posted_at=posting_time(desk.now(), previous),
        software=SOFTWARE,
        frame_digest="",
        book_schema=BOOK_SCHEMA,
        sender=delivery.sender,
    )


def _recorded(desk: Archive, record: PostingRecord) -> _InForce:
    layout, rules, chart = (desk.landing.verify(record.hashes[name]).read_bytes() for name in ALWAYS_LANDED)
    # The first version of the program named its settings and did not keep them.
    known = record.hashes["settings"] == desk.settings.settings_sha
    policy = desk.settings.settings_bytes if known else desk.landing.verify(record.hashes["settings"]).read_bytes()
    return _InForce(desk.reader.feed_from_bytes(layout), rulebook(rules, chart), landed_settings(policy))


def _read(desk: Archive, record: PostingRecord, feed: Feed) -> Parsed:
    return desk.reader.read(feed, name=record.name, payload=desk.landing.verify(record.payload_sha))


def _hashes(desk: Desk, book: Writer, feed: Feed) -> dict[str, str]:
    """The hash of everything in force."""
    return {
        "layout": sha256_bytes(desk.reader.layout_bytes(feed)),
        **desk.rulebook.hashes,
        "settings": desk.settings.settings_sha,
        "rates": book.last_payload(FeedKind.RATES),
        "calendar": book.last_payload(FeedKind.CALENDAR),
    }


def _skipped(book: Lookups, feed: Feed, record: PostingRecord) -> list[str]:
    """The identities of the files before it that have not come, where the layout lets the gap pass."""
    marks = Marks(business_date=record.business_date, epoch=record.epoch, sequence=record.sequence, empty=False)
    found = gap(book, feed, marks, record.business_date)
    numbers: Sequence[int] = range(found[0], min(found[1], found[0] + SKIPPED_NAMED_MAX)) if found else ()
    return [identity.sequence_identity(feed, record.epoch, number, record.business_date) for number in numbers]


def _posted(
    desk: Archive, book: Writer, record: PostingRecord, parsed: Parsed, in_force: _InForce, *, seal: Callable[[], str]
) -> Posted:
    feed = in_force.feed
    corrects = record.verdict is Verdict.CORRECTION and feed.kind in CORRECTABLE
    work = Work(
        feed=feed,
        accepted=parsed.accepted,
        file_id=record.n,
        business_date=record.business_date,
        on_day=record.business_date if feed.kind is FeedKind.CALENDAR else book.programme_day(record.business_date),
        policy=in_force.policy,
        rules=in_force.rulebook.rules,
        chart=in_force.rulebook.chart,
        schema=record.book_schema,
        sender=record.sender,
        payload_sha=record.payload_sha,
        former=former_of(desk, book, record.feed, record.identity) if corrects else None,
    )
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
            verdict=record.verdict,
            book_schema=record.book_schema,
            sender=record.sender,
        ),
        stages(work, book, identity=record.identity, skipped=_skipped(book, feed, record)),
        figures=partial(balance.stage_one, parsed),
        controls=parsed.control,
        rules=in_force.rulebook.rules,
        rule_hashes=record.hashes,
        seal=seal,
    )
