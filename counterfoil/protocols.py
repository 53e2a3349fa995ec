"""What the core asks of the outside: sources of files, readers of files, targets for results, a postman for letters.

Here: protocols and the plain values that cross them. Not here: any implementation; ``pipelines.wiring`` binds those.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self

import polars as pl

from counterfoil.feed import Feed, Pgp


@dataclass(frozen=True, order=True)
class RemoteFile:
    """One file as a listing showed it. ``name`` is data from outside, never a local path."""

    folder: str
    name: str
    size: int
    mtime_ns: int
    owner: str = field(default="", compare=False)
    """The account that owns it, ``os:<name>``, where the place knows; it does not make another file of it."""


class Source(Protocol):
    """A place partners put files: an SFTP server or a folder. Used as a context manager; one connection a use."""

    alias: str

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def listing(self, folder: str) -> list[RemoteFile]:
        """All regular files of a folder (not below it), sorted by name; unsafe names raise NAME_UNSAFE for none but
        are returned as they are: the landing store never uses them as paths."""
        ...

    def stat(self, file: RemoteFile) -> RemoteFile:
        """The file as it is now; raises REMOTE_MISSING."""
        ...

    def fetch(self, file: RemoteFile, into: BinaryIO, offset: int) -> None:
        """Append the file's bytes from ``offset`` to ``into``; raises CONNECTION_LOST (transient) on a drop."""
        ...

    def archive(self, file: RemoteFile, folder: str) -> None:
        """Move the file to ``folder`` (made if absent); done already counts as done."""
        ...

    def delete(self, file: RemoteFile) -> None:
        """Remove the file; gone already counts as done."""
        ...

    def put(self, folder: str, name: str, data: bytes) -> None:
        """Make a file of these bytes, whole or not at all; the very same file there counts as made. Raises
        REMOTE_REFUSED where another has its name."""
        ...


class PgpOpener(Protocol):
    """Takes an OpenPGP wrapper off."""

    def open(
        self, path: Path, wrapper: Pgp, *, partner: str, alias: str, write: Callable[[bytes], object], where: str
    ) -> str:
        """Hand the content on piece by piece, and return the fingerprint of the pinned key that signed it, or nothing
        where none need have. What was handed on counts only once this has returned.

        ``partner`` is whose public keys count, ``alias`` the connection whose private key decrypts. Raises
        PACKING_DAMAGED, DECRYPTION_FAILED, SIGNATURE_MISSING, SIGNATURE_INVALID, SIGNER_UNTRUSTED for faults of the
        file; GPG_UNUSABLE (transient) and PGP_KEY_MISSING for ours.
        """
        ...


@dataclass(frozen=True)
class Marks:
    """What a file says of itself in its name and envelope, before its records are read.

    ``epoch`` is whatever scopes the sequence (provider code, year); ``empty`` is true when it holds no detail record.
    """

    business_date: date | None
    epoch: str
    sequence: int | None
    empty: bool


@dataclass(frozen=True, eq=False)
class Parsed:
    """A file as three tables. Columns are those of ``counterfoil.schemas.models``.

    ``lines`` counts physical lines, ``envelope_lines`` headers and trailers; lines - envelope_lines = records
    = accepted + quarantined.
    """

    marks: Marks
    lines: int
    envelope_lines: int
    accepted: pl.DataFrame
    quarantined: pl.DataFrame
    control: pl.DataFrame

    @property
    def records(self) -> int:
        """Detail records, readable or not."""
        return self.lines - self.envelope_lines


@dataclass(frozen=True)
class Term:
    """One column as a partner names and writes it: its heading, the format of its dates (strftime), and the digits up
    to which leading zeros fill a text that the core keeps without them."""

    name: str
    date_format: str = "%Y-%m-%d"
    digits: int = 0


@dataclass(frozen=True)
class Terms:
    """A layout in its partner's terms: its columns by ours, and the code of each outcome that has just one.

    ``sheet``: of a workbook, the one that holds the records.
    """

    columns: Mapping[str, Term]
    outcomes: Mapping[str, str]
    sheet: str | None = None


Span = tuple[int, int]
"""The first byte of a part and the one behind its last."""


@dataclass(frozen=True)
class RawLine:
    """A line as it lies in a file, without its line end.

    ``content`` is cut at ``RAW_BYTES_MAX`` and ``size`` is that of the whole line. ``plain`` are the parts that by the
    layout name no person (codes, dates, numbers, references), ``accounts`` those that hold a member's number.
    """

    content: bytes
    size: int
    encoding: str
    plain: tuple[Span, ...] = ()
    accounts: tuple[Span, ...] = ()


class Reader(Protocol):
    """Knows every layout: claims a file for one, and reads it."""

    def feeds(self) -> Sequence[Feed]:
        """The newest version of every feed."""
        ...

    def since(self, feed: Feed) -> date:
        """The day from which the feed's first version is in force: no file is due before it."""
        ...

    def candidates(self, *, connection: str, folder: str, name: str) -> Sequence[Feed]:
        """The feeds whose connection, folder and name pattern fit, before any byte is read."""
        ...

    def named_day(self, feed: Feed, *, name: str) -> date | None:
        """The business date in a file's name, where the layout has one there and it can be read."""
        ...

    def claim(self, *, connection: str, folder: str, name: str, payload: Path) -> Feed:
        """The one layout (feed and version, by business date) that claims the file; FILE_UNCLAIMED, FILE_AMBIGUOUS."""
        ...

    def layout_bytes(self, feed: Feed) -> bytes:
        """The layout file as it lies on disk; its SHA-256 names the layout in every posting record."""
        ...

    def feed_from_bytes(self, layout: bytes) -> Feed:
        """The feed of a layout kept in the landing store."""
        ...

    def terms(self, feed: Feed) -> Terms:
        """How the feed's files name and write the columns of their records."""
        ...

    def inspect(self, feed: Feed, *, name: str, payload: Path) -> Marks:
        """What the file says of itself; FILE_EMPTY, HEADER_MISSING, ENVELOPE_INVALID."""
        ...

    def read(self, feed: Feed, *, name: str, payload: Path) -> Parsed:
        """Every record of the file, typed and gated; control totals computed but not yet judged."""
        ...

    def codes(self, feed: Feed, *, name: str, payload: Path) -> pl.DataFrame:
        """Codes and PINs of a feed of secrets, for a letter alone: line_no, code, pin?."""
        ...

    def places(self, feed: Feed) -> Mapping[str, str]:
        """Where each field of the feed's records lies, in words for the partner."""
        ...

    def encoding(self, feed: Feed) -> str:
        """The encoding of the raw bytes that are kept of the feed's quarantined records."""
        ...

    def lines(self, feed: Feed, *, name: str, payload: Path, numbers: Iterable[int]) -> dict[int, RawLine]:
        """The physical lines with these numbers, from 1, as far as the file has them."""
        ...


@dataclass(frozen=True, eq=False)
class Updates:
    """What one range of postings changed for the CRM, already one row an external id.

    ``redemptions``: event_key String, partner String, ref String, member String?, status String (confirmed, rejected,
    reversed, held, refunded, written_off, withdrawn, pending), points Int64 (as sent), answered Int64? (as answered),
    value_date Date (of the request), answered_on Date, reason String?, posting Int64.
    ``balances``: event_key String, member String, unit String, balance Int64, last_activity Date, posting Int64.
    ``distributions``: event_key String, company String, ref String, member String, points Int64, credited_on Date,
    posting Int64. All are sorted by event_key.
    """

    redemptions: pl.DataFrame
    balances: pl.DataFrame
    distributions: pl.DataFrame

    @property
    def height(self) -> int:
        """Rows in all."""
        return self.redemptions.height + self.balances.height + self.distributions.height


@dataclass(frozen=True)
class Batch:
    """One CRM batch: postings ``from_n`` (exclusive) to ``to_n`` (inclusive) under one mapping."""

    target: str
    batch_id: str
    mapping_sha: str
    from_n: int
    to_n: int


@dataclass(frozen=True)
class BatchPart:
    """One file of a batch: an object's CSV, or a slice of it under the size limit."""

    object: str
    name: str
    rows: int
    points: int
    bytes: int
    sha256: str


class CrmTarget(Protocol):
    """Writes a batch in a CRM's own format into a folder. Same inputs, same bytes."""

    name: str

    def mapping_bytes(self) -> bytes:
        """The target's mapping file; its SHA-256 is part of every batch id."""
        ...

    def write(self, batch: Batch, updates: Updates, folder: Path) -> tuple[BatchPart, ...]:
        """Write parts and ``manifest.json`` into ``folder`` (.part, fsync, rename); returns the parts."""
        ...


JOURNAL: Final[dict[str, pl.DataType]] = {
    "journal_id": pl.String(),
    "journal_line": pl.Int64(),
    "accounting_date": pl.Date(),
    "period": pl.String(),
    "entity": pl.String(),
    "ledger": pl.String(),
    "source": pl.String(),
    "category": pl.String(),
    "account": pl.String(),
    "account_name": pl.String(),
    "cost_center": pl.String(),
    "programme": pl.String(),
    "partner": pl.String(),
    "currency": pl.String(),
    "debit_minor": pl.Int64(),
    "credit_minor": pl.Int64(),
    "points": pl.Int64(),
    "line_text": pl.String(),
    "event_key": pl.String(),
}
"""One row a line, no nulls, in order of ``journal_line``. At most one of ``debit_minor`` and ``credit_minor`` (in minor
units of ``currency``) is above zero; where neither is, ``points`` is not 0. ``points`` counts a credit as positive.
``cost_center`` is empty; ``partner`` is empty for the programme itself. ``event_key`` (posting, account, day, basis,
partner and what it is) is unique."""


class JournalTarget(Protocol):
    """Writes the neutral journal (JOURNAL) in a general ledger's own format."""

    name: str

    def write(self, journal: pl.DataFrame, folder: Path) -> tuple[Path, ...]:
        """Write the import file or files for one journal; returns their paths."""
        ...


@dataclass(frozen=True)
class Envelope:
    """A letter that is ready to go: from whom, to whom, and the whole message (RFC 5322)."""

    letter_key: str
    sender: str
    recipient: str
    message: bytes


class Answer(StrEnum):
    """What a mail server said of a letter, which is certain."""

    SENT = "sent"
    REFUSED = "refused"
    """For good."""
    DEFERRED = "deferred"
    """Not now: it may be tried again."""


class Postman(Protocol):
    """Takes letters away. Used as a context manager; one connection for all of them."""

    name: str

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def hand_over(self, letter: Envelope, *, leaving: Callable[[], None]) -> tuple[Answer, str]:
        """Hand one letter over: what became of it, and the answer's codes without any address.

        ``leaving`` is called just before the first byte leaves of which it would be uncertain what became; when this
        raises before, nothing left. Raises CONNECTION_LOST (transient), LOGIN_REFUSED, REMOTE_REFUSED (permanent): none
        of them is about this letter alone.
        """
        ...

    def settle(self) -> None:
        """Make sure of all that was handed over so far; before it is recorded as sent. When this raises, only ``took``
        knows what became of it."""
        ...

    def took(self, letter_key: str) -> bool | None:
        """Whether a letter was handed over by an earlier run that died; None where nobody can tell."""
        ...
