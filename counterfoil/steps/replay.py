"""The book made again from the landing store alone, posting by posting, and compared with what was sealed.

Here: where it is made, going on with one that was stopped, and what is compared. Not here: one posting (``record``), or
finding out where a book was changed (``audit``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil.errors import Code, PermanentError, UsageError
from counterfoil.files import canonical_json, ensure_folder, write_durably
from counterfoil.landing.records import record_sha
from counterfoil.ledger import verify
from counterfoil.ledger.differences import Finding
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book, Heads
from counterfoil.ledger.writing import Posted, Writer
from counterfoil.settings import Home
from counterfoil.steps.desk import ProofDesk
from counterfoil.steps.record import post_recorded

MARK: Final = "replay.json"
"""The file that tells a replayed book from the book of a home, and of which records it was made."""

Judge = Callable[[Posted, str], Finding | None]
"""Given a posting made again and the name of its file: how it differs from what it was, or None."""


@dataclass(frozen=True)
class Replayed:
    """A book made again.

    ``heads`` are those of its last posting; ``compared`` postings had both heads in ``against`` (``book``, or ``head
    file`` where the book cannot be read) and are equal but for ``difference``, the first that is not.
    """

    heads: Heads
    against: str
    compared: int
    difference: Finding | None


def replay(desk: ProofDesk, into: Path, *, through: int | None = None) -> Replayed:
    """Make the book again in a folder, up to a posting, and compare both heads after each.

    Stops at the first posting that differs or cannot be made again. A replay that was stopped goes on where it is.
    Nothing of the home changes. Raises FOLDER_TAKEN for a folder in the home, with another book or with a finished
    replay, and NOTHING_FOUND where there is nothing to replay.
    """
    place = Home(into)
    if into.resolve().is_relative_to(desk.settings.home.root.resolve()):
        raise _taken(place, "the home itself, or a folder in it")
    last = _last(desk, through)
    target = Book(place.book, place.book_lock, place.book_head)
    _claim(desk, place)
    against, known = _known(desk)
    with target.writing(purpose="replay") as writer:
        done = _resumed(desk, writer, place, last)
        judge = _judge(known)
        difference = next((found for one in done if (found := judge(*one))), None)
        difference = difference or fold(desk, writer, last, judge)
        heads = target.heads(writer)
        if difference is None and through is None:
            difference = _beyond(desk, known, heads.n)
        if difference is None and against == "book":
            difference = _unsealed(desk, writer, heads.n)
    return Replayed(heads, against, sum(n <= heads.n for n in known), difference)


def fold(desk: ProofDesk, book: Writer, last: int, judge: Judge) -> Finding | None:
    """Post the records that follow the book's last posting, until one cannot be posted or ``judge`` finds it to differ.

    Returns that difference, or None when the book has come to posting ``last``.
    """
    for n in range(book.last_posting() + 1, last + 1):
        desk.progress("replaying", n - 1, last)
        name = None
        try:
            record = desk.landing.read_record(n)
            name = record.name
            posted = post_recorded(desk, book, record)
        except PermanentError as error:
            told = f"{error.code} {error.where}: {error.found}"
            return Finding("replay", told, error.expected, posting=n, file=name)
        difference = judge(posted, record.name)
        if difference is not None:
            return difference
    desk.progress("replaying", last, last)
    return None


def published(book: Book) -> Heads | None:
    """The heads in the file beside the book; None where there is none that can be read."""
    if not book.head_path.exists():
        return None
    try:
        return book.published()
    except PermanentError:
        return None


def _last(desk: ProofDesk, through: int | None) -> int:
    last = desk.landing.last_n()
    if last == 0 or (through is not None and not 1 <= through <= last):
        raise UsageError(
            Code.NOTHING_FOUND,
            str(desk.landing.root),
            found=f"{last} posting records",
            expected="records to replay" if through is None else f"posting {through} to be among them",
            remedy="Name a home that has posted, and a posting that it has",
        )
    return last if through is None else through


def _claim(desk: ProofDesk, place: Home) -> None:
    """Mark the folder as a replay of these records, unless it is something else."""
    mark, ours = place.root / MARK, canonical_json({"first_record": record_sha(desk.landing.read_record(1))})
    if mark.exists() and mark.read_bytes() != ours:
        raise _taken(place, "a replay of another landing store")
    if not mark.exists() and (place.book.exists() or place.landing.exists()):
        raise _taken(place, "a home, or another book")
    ensure_folder(place.root)
    write_durably(mark, ours)


def _resumed(desk: ProofDesk, book: Lookups, place: Home, last: int) -> list[tuple[Posted, str]]:
    """The postings that a replay made before it was stopped."""
    rows = book.frame(
        "SELECT n, rows_digest, content_head, chain_head, name, record_sha FROM book.posting ORDER BY n"
    ).rows()
    if any(record_sha(desk.landing.read_record(n)) != sha for n, *_, sha in rows):
        raise _taken(place, "a replay of other posting records")
    if rows and rows[-1][0] >= last:
        raise _taken(place, f"a replay that has come to posting {rows[-1][0]}")
    return [(Posted(n, digest, content, chain, {}), name) for n, digest, content, chain, name, _ in rows]


def _known(desk: ProofDesk) -> tuple[str, Mapping[int, Heads]]:
    """Where heads can be compared, and those that are known there by posting."""
    try:
        with desk.book.as_it_is() as book:
            rows = book.frame("SELECT n, content_head, chain_head FROM book.posting ORDER BY n").rows()
        return "book", {n: Heads(n, content, chain) for n, content, chain in rows}
    except PermanentError:
        heads = published(desk.book)
        return ("head file", {heads.n: heads}) if heads else ("nothing", {})


def _judge(known: Mapping[int, Heads]) -> Judge:
    def judge(posted: Posted, name: str) -> Finding | None:
        heads = known.get(posted.n)
        if heads is None:
            return None
        for kind, made, sealed in (
            ("content", posted.content_head, heads.content_head),
            ("chain", posted.chain_head, heads.chain_head),
        ):
            if made != sealed:
                return Finding("replay", f"another {kind} head", "the one it was sealed under", posted.n, name)
        return None

    return judge


def _beyond(desk: ProofDesk, known: Mapping[int, Heads], last: int) -> Finding | None:
    """The first posting that the book holds, or published, behind the last record."""
    heads = published(desk.book)
    if max([*known, heads.n if heads else 0, last]) == last:
        return None
    return Finding("replay", "no posting record", "a record of each posting", posting=last + 1)


def _unsealed(desk: ProofDesk, book: Lookups, last: int) -> Finding | None:
    """The first posting of which the home's book states something else that no digest covers."""
    with desk.book.as_it_is() as original:
        return next(iter(verify.unsealed(book, original, last)), None)


def _taken(place: Home, found: str) -> UsageError:
    return UsageError(
        Code.FOLDER_TAKEN,
        str(place.root),
        found=found,
        expected="an empty or absent folder outside the home, or a replay of these records that was stopped",
        remedy="Name another folder with --into",
    )
