"""The facts that the landing store keeps beside the bytes, and their one spelling as JSON.

Here: frozen records of arrivals, outcomes, postings, reports, journals, replies. Not here: where they are kept.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from counterfoil.clock import utc_text
from counterfoil.errors import Code, CounterfoilError, PermanentError
from counterfoil.feed import FeedKind
from counterfoil.files import canonical_json, sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.mail_records import MailRecord
from counterfoil.letters import Letter

Record = TypeVar("Record")

_SURROGATE_OR_BACKSLASH = re.compile(r"[\ud800-\udfff\\]")


class OutcomeState(StrEnum):
    """What became of a delivery."""

    POSTED = "posted"
    REPLAY = "replay"
    REJECTED = "rejected"
    HELD = "held"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One file as it arrived and what it says of itself; layout and identity are None where none could be found."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    connection: str
    folder: str
    name: str
    size: int
    mtime_ns: int
    payload_sha: str
    feed: str | None
    layout_version: int | None
    layout_sha: str | None
    business_date: date | None
    epoch: str
    sequence: int | None
    empty: bool
    identity: str | None
    received_at: datetime
    sender: str = ""
    """Who sent it, as far as was authenticated: ``os:<account>`` or ``connection:<alias>``."""
    received_sha: str = ""
    """The hash of the bytes as received, where the payload came out of wrappers."""
    wrapped: str = ""
    """The wrappers that were taken off, outermost first: ``pgp zip``."""
    signer: str = ""
    """The fingerprint of the key that signed it."""
    archive: str = ""
    """The remote file's name, where ``name`` is that of a member."""
    members: int = 0
    """How many deliveries that archive makes: until all are there it was not delivered."""
    companions: str = ""
    """The hashes of what came beside it, apart by blanks."""


@dataclass(frozen=True, kw_only=True)
class Delivery(Arrival):
    """An arrival with its place in the order of deliveries and the verdict it got on arrival."""

    order: int
    verdict: Verdict
    code: str | None
    message: str | None

    @property
    def kept(self) -> set[str]:
        """The hashes of all bytes that landed with it."""
        return {self.payload_sha, self.received_sha or self.payload_sha, *self.companions.split()}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a file is not compared with others at all: the verdict is ``held`` or ``rejected``."""

    verdict: Verdict
    code: Code
    message: str

    @classmethod
    def of(cls, verdict: Verdict, error: CounterfoilError) -> "Refusal":
        """The refusal that an error stands for."""
        return cls(verdict=verdict, code=error.code, message=str(error))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a delivery, the ``k``-th finding; ``n`` is its posting when it was posted."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    order: int
    k: int
    state: OutcomeState
    n: int | None
    code: str | None
    message: str | None
    at: datetime
    run_id: str


@dataclass(frozen=True, kw_only=True)
class PostingRecord:
    """One posting: what was posted, under which rules, by whom. Fsynced just before the ledger commits.

    ``hashes`` names the SHA-256 of each thing in force: layout, rules, chart, settings, rates, calendar.
    ``frame_digest`` is that of the accepted frame, ``book_schema`` what the digest of its rows covers, ``sender`` who
    sent the file.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    n: int
    order: int
    payload_sha: str
    feed: str
    kind: FeedKind
    name: str
    identity: str
    business_date: date
    sequence: int | None
    epoch: str
    verdict: Verdict
    hashes: dict[str, str]
    run_id: str
    actor: str
    posted_at: datetime
    software: str
    frame_digest: str
    book_schema: int = 1
    sender: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportVersion:
    """One version of a day's report: made at posting ``n``; ``inputs_sha`` covers all else its bytes depend on."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    date: date
    version: int
    n: int
    inputs_sha: str
    made_at: datetime


JOURNALS: Final = "journal"
"""The one range of journals; every target writes the same journal in its own format."""


@dataclass(frozen=True, kw_only=True)
class Journal:
    """One journal that was written: postings ``from_n`` (exclusive) to ``to_n`` (inclusive) for one target."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    journal_id: str
    target: str
    date: date
    from_n: int
    to_n: int
    sha256: str
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class ReplySent:
    """The answer that a partner got for a delivery after its ``k``-th outcome (0: what was found on arrival).

    Without ``name`` and ``sha256`` it is settled that none is wanted.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    order: int
    k: int
    feed: str
    status: str
    folder: str
    name: str
    sha256: str
    at: datetime


def refused(known: Sequence[Delivery], outcomes: Mapping[int, Outcome]) -> list[Delivery]:
    """Deliveries that were held or rejected, not discarded, and that no later one of the same identity has replaced."""
    posted = {
        one.identity: one.order
        for one in known
        if one.order in outcomes and outcomes[one.order].state is OutcomeState.POSTED
    }
    return [
        one
        for one in known
        if (_stands(outcomes[one.order]) if one.order in outcomes else one.code is not None)
        and posted.get(one.identity, 0) < one.order
    ]


def _stands(outcome: Outcome) -> bool:
    """Whether a refusal still wants somebody to act: a file that a person discarded does not."""
    return outcome.state in {OutcomeState.HELD, OutcomeState.REJECTED} and outcome.code != Code.FILE_DISCARDED


MAIL_RECORD: Final = cast("type[MailRecord]", MailRecord)
"""Any record about letters, told apart by what it says it is: a union is no class."""

_KINDS: Final[tuple[Any, ...]] = (
    Delivery, Outcome, PostingRecord, ReportVersion, Journal, ReplySent, MailRecord, Letter
)  # fmt: skip
_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {kind: TypeAdapter(kind) for kind in _KINDS}


def plain_name(text: str) -> str:
    r"""A server-sent name as text that every store can hold; different names stay different.

    Names come as bytes that need not be UTF-8; Python then keeps lone surrogates, which SQLite, JSON readers and
    terminals refuse. Such a name is spelt ``\xdc80`` for each of them and ``\\`` for a backslash; so is a name that
    already looks spelt like that.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        pass
    else:
        if "\\x" not in text:
            return text
    return _SURROGATE_OR_BACKSLASH.sub(lambda hit: "\\\\" if hit[0] == "\\" else f"\\x{ord(hit[0]):04x}", text)


def record_fields(record: Any) -> dict[str, Any]:
    """The fields of a record as JSON values: dates and instants as text."""
    return {field.name: _plain(getattr(record, field.name)) for field in fields(record)}


def record_bytes(record: Any) -> bytes:
    """The canonical JSON of a record."""
    later = {field.name: field.default for field in fields(record) if field.default is not MISSING}
    kept = record_fields(record).items()
    # A field that came later is left out while it has its default: records of before keep their bytes and hashes.
    return canonical_json({name: value for name, value in kept if name not in later or value != later[name]})


def record_sha(record: PostingRecord) -> str:
    """The SHA-256 of a posting record's bytes: what the chain head seals."""
    return sha256_bytes(record_bytes(record))


def read_record_file(kind: type[Record], path: Path) -> Record:
    """Read one record; SIDECAR_DAMAGED when the file is not exactly such a record. Raises FileNotFoundError."""
    data = path.read_bytes()
    return _checked(kind, str(path), lambda adapter: adapter.validate_json(data, strict=True))


def record_from_row(kind: type[Record], row: dict[str, Any]) -> Record:
    """Make a record from the columns of an index row."""
    return _checked(kind, "arrival index", lambda adapter: adapter.validate_python(row))


def _checked(kind: type[Record], where: str, read: Callable[[TypeAdapter[Record]], Record]) -> Record:
    try:
        return read(_ADAPTERS[kind])
    except ValidationError as error:
        keys = sorted({str(problem["loc"][0]) for problem in error.errors(include_input=False) if problem["loc"]})
        raise PermanentError(
            Code.SIDECAR_DAMAGED,
            where,
            found=f"no {getattr(kind, '__name__', 'mail')} record ({', '.join(keys) or 'not JSON'})",
            expected="the bytes that were written, which nobody changes",
            remedy="Restore the file from a backup of the landing store",
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return utc_text(value)
    return value.isoformat() if isinstance(value, date) else value
