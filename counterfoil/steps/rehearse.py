"""What decisions would do, before anybody takes them: composed, proved and looked at as a posting, then rolled back.

Here: the rehearsal of a decisions file. Not here: taking decisions (``decide``), or what they do (``ledger``). Nothing
is landed and nothing stays in the book.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from counterfoil.errors import PermanentError
from counterfoil.feed import Feed
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict, identity_text
from counterfoil.landing.records import Delivery
from counterfoil.ledger import approvals, decided
from counterfoil.ledger.writing import Writer
from counterfoil.protocols import Parsed
from counterfoil.schemas.gate import prove_control
from counterfoil.steps.decide import Written, decisions_file
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import HELD_CODES, REJECTED_CODES, finish_interrupted
from counterfoil.steps.record import rehearse


@dataclass(frozen=True, eq=False)
class Rehearsed:
    """What a decisions file would do as the book is now.

    ``booked``, ``breaks``, ``items``: what ``ledger.decided`` reads of the posting; ``second_person``: causes for which
    another person must approve it first; ``why_not``: the message of what speaks against it, in which case it would do
    nothing.
    """

    booked: pl.DataFrame
    breaks: pl.DataFrame
    items: pl.DataFrame
    second_person: tuple[str, ...]
    why_not: str | None


_NOTHING = pl.DataFrame()


def rehearsed(desk: Desk, told: Sequence[Mapping[str, object]], *, reason: str) -> Rehearsed:
    """What ``decide_all`` would do with the same; like every writer it first finishes what a crash left half done."""
    written = decisions_file(desk, told, reason=reason)
    with desk.book.writing(purpose="rehearse decisions") as book:
        finish_interrupted(desk, book)
        try:
            return _rehearsed(desk, book, written)
        except PermanentError as error:
            if error.code not in HELD_CODES | REJECTED_CODES:
                raise
            return Rehearsed(_NOTHING, _NOTHING, _NOTHING, (), str(error))


def _rehearsed(desk: Desk, book: Writer, written: Written) -> Rehearsed:
    feed = written.feed
    parsed = _parsed(desk, written)
    delivery = _delivery(desk, written, parsed)
    prove_control(parsed, feed, written.name, released=False)
    causes = approvals.beyond(
        feed.kind,
        parsed.accepted,
        book,
        policy=desk.settings,
        chart=desk.rulebook.chart,
        sent=approvals.Sent(delivery.sender, book.programme_day(written.day)),
    )

    def look(n: int) -> Rehearsed:
        seen = (decided.booked(book, n), decided.breaks_moved(book, n), decided.items_moved(book, n))
        return Rehearsed(*seen, tuple(causes), None)

    return rehearse(desk, book, delivery, parsed, feed=feed, look=look)


def _parsed(desk: Desk, written: Written) -> Parsed:
    """The file read as one that has landed; it lies elsewhere, and only while it is read."""
    with tempfile.TemporaryDirectory() as folder:
        payload = Path(folder) / "payload"
        payload.write_bytes(written.data)
        return desk.reader.read(written.feed, name=written.name, payload=payload)


def _delivery(desk: Desk, written: Written, parsed: Parsed) -> Delivery:
    """The delivery that the file would become. Its number is nobody's: it is seen by none but the posting."""
    feed: Feed = written.feed
    sha = sha256_bytes(written.data)
    return Delivery(
        connection=feed.arrival.connection,
        folder=feed.arrival.folder,
        name=written.name,
        size=len(written.data),
        mtime_ns=0,
        payload_sha=sha,
        feed=feed.feed,
        layout_version=feed.version,
        layout_sha=sha256_bytes(desk.reader.layout_bytes(feed)),
        business_date=written.day,
        epoch=parsed.marks.epoch,
        sequence=parsed.marks.sequence,
        empty=parsed.marks.empty,
        identity=identity_text(feed, parsed.marks, name=written.name, payload_sha=sha, day=written.day),
        received_at=desk.now(),
        sender=desk.settings.actor,
        order=0,
        verdict=Verdict.NEW,
        code=None,
        message=None,
    )
