"""The landing store: bytes under their hash, and the immutable records beside them.

Here: payloads, sidecars, posting records, all fsynced and renamed. Not here: looking things up, which ``index`` does.
"""

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from counterfoil.errors import Code, CounterfoilError, PermanentError
from counterfoil.files import (
    canonical_json,
    ensure_folder,
    room_for_write,
    sha256_bytes,
    sha256_file,
    sweep_parts,
    sync_folder,
    write_once,
)
from counterfoil.invariants import require
from counterfoil.landing.mail_records import MailRecord
from counterfoil.landing.part_file import PartFile
from counterfoil.landing.records import (
    MAIL_RECORD,
    Delivery,
    Journal,
    Outcome,
    PostingRecord,
    Record,
    ReplySent,
    ReportVersion,
    read_record_file,
    record_bytes,
)

_RESUMABLE: Final = frozenset({Code.CONNECTION_LOST, Code.FILE_CUT_SHORT})
_JOURNAL_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = r"(?:\d{8}|[1-9]\d{8,})"
_RECORDS: Final = {
    folder: re.compile(rf"{name}\.json")
    for folder, name in {
        "deliveries": _NUMBER,
        "outcomes": rf"{_NUMBER}-\d+",
        "postings": _NUMBER,
        "reports": r"\d{4}-\d\d-\d\d-v\d+",
        "journals": _JOURNAL_ID.pattern,
        "replies": rf"{_NUMBER}-\d+",
        "mail": _NUMBER,
    }.items()
}
"""What records are called, by folder."""

_WRITTEN: Final = re.compile(r"payloads/([0-9a-f]{2})/\1[0-9a-f]{62}|incoming/.+\.part|[a-z]+/\.[0-9a-f]{32}\.part")
"""What else the program writes here: payloads, unfinished fetches, unfinished records."""

_STALE_PART: Final = timedelta(days=7)
"""A fetch that nobody resumed for a week never will be: its file changed or went away."""


class LandingStore:
    """Everything that ever arrived, by content; safe for several processes at once.

    ``payloads/<ab>/<sha256>`` bytes · ``incoming/*.part`` unfinished fetches · ``deliveries/``, ``outcomes/``,
    ``postings/``, ``reports/``, ``journals/``, ``replies/`` and ``mail/`` records.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    # Payloads

    def path(self, sha: str) -> Path:
        """Where the payload with this hash lies, or would."""
        require(_SHA256.fullmatch(sha) is not None, "payloads are named by a SHA-256")
        return self.root / "payloads" / sha[:2] / sha

    def open(self, sha: str) -> BinaryIO:
        """The payload as a stream; PAYLOAD_DAMAGED when it is missing."""
        try:
            return self.path(sha).open("rb")
        except FileNotFoundError as error:
            raise _damaged(sha, "no such payload") from error
        except OSError as error:
            raise _damaged(sha, "something that cannot be read") from error

    def verify(self, sha: str) -> Path:
        """Prove a payload by its hash and give its path; PAYLOAD_DAMAGED."""
        path = self.path(sha)
        try:
            found = sha256_file(path)
        except FileNotFoundError as error:
            raise _damaged(sha, "no such payload") from error
        except OSError as error:
            raise _damaged(sha, "something that cannot be read") from error
        if found != sha:
            raise _damaged(sha, f"bytes with the hash {found}")
        return path

    def land_bytes(self, data: bytes) -> str:
        """Land bytes made here; returns their hash. Bytes that are there already count as landed. DISK_FULL."""
        part, sink = self._private_part("made", limit=len(data))
        with sink:
            try:
                sink.write(data)
                return self._accept(part, sink, sha256_bytes(data))
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    def land_stream(
        self, token: str, *, size: int, fill: Callable[[BinaryIO, int], None], confirm: Callable[[], None]
    ) -> str:
        """Land ``size`` bytes that ``fill(into, offset)`` appends from ``offset``; returns their hash.

        ``token`` (see ``fetch_token``) names the unfinished part: after a drop the next call with it resumes, reading
        the last bytes again. ``confirm`` is called when all bytes are here, and raises if the source moved meanwhile.
        Raises FILE_CUT_SHORT, FILE_MOVED and DISK_FULL (all transient) and whatever the two functions raise; only
        CONNECTION_LOST and FILE_CUT_SHORT keep the part.
        """
        part, sink = self._part(token, limit=size)
        with sink:
            try:
                sink.resume(fill)
                confirm()
                return self._accept(part, sink, sha256_file(part))
            except CounterfoilError as error:
                if error.code in _RESUMABLE and part.stem == token:
                    os.fsync(sink.fileno())
                else:
                    part.unlink(missing_ok=True)
                raise

    def forget(self, sha: str) -> None:
        """Remove bytes that must not stay, and that no delivery names; gone already counts as done."""
        path = self.path(sha)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)

    def new_part(self) -> Path:
        """A path for a file that is being made here; ``land_part`` lands it, and whoever asked removes it otherwise."""
        incoming = self.root / "incoming"
        ensure_folder(incoming)
        return incoming / f"made.{uuid4().hex}.part"

    def land_part(self, part: Path) -> str:
        """Land a whole file that was made under a ``new_part``; returns its hash. DISK_FULL."""
        with PartFile(os.open(part, os.O_RDWR | os.O_CLOEXEC), part.parent, 0) as sink:
            return self._accept(part, sink, sha256_file(part))

    def sweep(self, now: datetime) -> int:
        """Remove unfinished parts that nobody has touched for a week; returns how many."""
        return sum(sweep_parts(self.root / folder, now - _STALE_PART) for folder in ("incoming", *_RECORDS))

    # Records

    def write_delivery(self, delivery: Delivery) -> None:
        """Write a sidecar; raises FileExistsError when the order number is taken."""
        write_once(self._delivery_path(delivery.order), record_bytes(delivery))

    def read_delivery(self, order: int) -> Delivery | None:
        """The sidecar with this order number, if there is one."""
        return _read(Delivery, self._delivery_path(order))

    def deliveries(self) -> Iterator[Delivery]:
        """All sidecars in order."""
        return (read_record_file(Delivery, path) for path in self.records("deliveries"))

    def write_outcome(self, outcome: Outcome) -> None:
        """Append an outcome; raises FileExistsError when its number is taken."""
        write_once(self._outcome_path(outcome.order, outcome.k), record_bytes(outcome))

    def read_outcome(self, order: int, k: int) -> Outcome | None:
        """The ``k``-th outcome of a delivery, if there is one."""
        return _read(Outcome, self._outcome_path(order, k))

    def outcomes(self) -> Iterator[Outcome]:
        """All outcomes, by delivery and number."""
        return (read_record_file(Outcome, path) for path in self.records("outcomes"))

    def write_record(self, record: PostingRecord) -> None:
        """Write the next posting record. Numbers have no gaps and no record is ever written over."""
        last = self.last_n()
        require(record.n == last + 1, f"posting {record.n} follows posting {last}")
        previous = self.read_record(last) if last else None
        require(previous is None or previous.posted_at <= record.posted_at, "posting times never go back")
        write_once(self._record_path(record.n), record_bytes(record))

    def read_record(self, n: int) -> PostingRecord:
        """The record of posting ``n``; SIDECAR_DAMAGED when it is missing or not as written."""
        record = _read(PostingRecord, self._record_path(n))
        if record is None:
            raise PermanentError(
                Code.SIDECAR_DAMAGED,
                str(self._record_path(n)),
                found="no such posting record",
                expected="one record for each posting, without gaps",
                remedy="Restore the file from a backup of the landing store",
            )
        return record

    def record_sha(self, n: int) -> str:
        """The SHA-256 of a posting record as it lies there: what the chain seals."""
        return sha256_file(self._record_path(n))

    def last_n(self) -> int:
        """The number of the last posting record; 0 before the first."""
        return max(self.record_numbers(), default=0)

    def record_numbers(self) -> list[int]:
        """The numbers of the posting records that are there, rising; files by other names are none."""
        return [int(path.stem) for path in self.records("postings")]

    def records_after(self, n: int) -> Iterator[PostingRecord]:
        """The posting records after ``n``, in order; SIDECAR_DAMAGED at a gap."""
        return (self.read_record(number) for number in range(n + 1, self.last_n() + 1))

    def write_report_version(self, report: ReportVersion) -> None:
        """Record that a version of a day's report was allotted; FileExistsError when it was already."""
        write_once(self._report_path(report.date, report.version), record_bytes(report))

    def read_report_version(self, day: date, version: int) -> ReportVersion | None:
        """One version of a day's report, if it was ever allotted."""
        return _read(ReportVersion, self._report_path(day, version))

    def report_versions(self) -> Iterator[ReportVersion]:
        """All report versions that were ever allotted."""
        return (read_record_file(ReportVersion, path) for path in self.records("reports"))

    def write_journal(self, journal: Journal) -> None:
        """Record a journal that was written; FileExistsError when it was already."""
        write_once(self._journal_path(journal.journal_id), record_bytes(journal))

    def read_journal(self, journal_id: str) -> Journal | None:
        """The journal with this id, if it was ever recorded."""
        return _read(Journal, self._journal_path(journal_id))

    def journals(self) -> Iterator[Journal]:
        """All journals that were ever recorded."""
        return (read_record_file(Journal, path) for path in self.records("journals"))

    def records(self, folder: str) -> list[Path]:
        """The files of one kind of record, in the order of their names; files by other names are none."""
        return sorted(path for path in (self.root / folder).glob("*.json") if _RECORDS[folder].fullmatch(path.name))

    def strays(self) -> Iterator[str]:
        """Files that this program never wrote and never reads, by their path below the root."""
        for place, folders, names in os.walk(self.root):
            folders.sort()
            folder = Path(place).relative_to(self.root).as_posix()
            record = _RECORDS.get(folder)
            for name in sorted(names):
                if not (record and record.fullmatch(name)) and not _WRITTEN.fullmatch(f"{folder}/{name}"):
                    yield f"{folder}/{name}".removeprefix("./")

    def write_reply(self, reply: ReplySent) -> None:
        """Record an answer that reached its partner; FileExistsError when it was already."""
        write_once(self._reply_path(reply.order, reply.k), record_bytes(reply))

    def read_reply(self, order: int, k: int) -> ReplySent | None:
        """The answer after the ``k``-th outcome of a delivery, if it was ever recorded."""
        return _read(ReplySent, self._reply_path(order, k))

    def replies(self) -> Iterator[ReplySent]:
        """All answers that were ever recorded."""
        return (read_record_file(ReplySent, path) for path in self.records("replies"))

    def write_mail(self, record: MailRecord) -> None:
        """Append a record about letters; FileExistsError when its number is taken."""
        write_once(self._mail_path(record.number), record_bytes(record))

    def read_mail(self, number: int) -> MailRecord | None:
        """The record about letters with this number, if there is one."""
        return _read(MAIL_RECORD, self._mail_path(number))

    def diary(self, number: int) -> Path:
        """Where a run notes, as it hands letters over, which of the sending with this number left."""
        return self.root / "incoming" / f"sending-{number:08d}.part"

    # Inside

    def _mail_path(self, number: int) -> Path:
        return self.root / "mail" / f"{number:08d}.json"

    def _delivery_path(self, order: int) -> Path:
        return self.root / "deliveries" / f"{order:08d}.json"

    def _outcome_path(self, order: int, k: int) -> Path:
        return self.root / "outcomes" / f"{order:08d}-{k}.json"

    def _record_path(self, n: int) -> Path:
        return self.root / "postings" / f"{n:08d}.json"

    def _report_path(self, day: date, version: int) -> Path:
        return self.root / "reports" / f"{day.isoformat()}-v{version}.json"

    def _journal_path(self, journal_id: str) -> Path:
        require(_JOURNAL_ID.fullmatch(journal_id) is not None, "a journal id is a plain name")
        return self.root / "journals" / f"{journal_id}.json"

    def _reply_path(self, order: int, k: int) -> Path:
        return self.root / "replies" / f"{order:08d}-{k}.json"

    def _part(self, token: str, limit: int) -> "tuple[Path, PartFile]":
        """The part of a token, resumed where it lies; one of our own while another process is at work on it."""
        incoming = self.root / "incoming"
        ensure_folder(incoming)
        path = incoming / f"{token}.part"
        with room_for_write(incoming):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The other may have finished between open and lock; its file is then an accepted payload.
            ours = os.path.samestat(path.stat(), os.fstat(handle))
        except (BlockingIOError, FileNotFoundError):
            ours = False
        if ours:
            return path, PartFile(handle, incoming, limit)
        os.close(handle)
        return self._private_part(token, limit)

    def _private_part(self, token: str, limit: int) -> "tuple[Path, PartFile]":
        incoming = self.root / "incoming"
        ensure_folder(incoming)
        path = incoming / f"{token}.{uuid4().hex}.part"
        with room_for_write(incoming):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        return path, PartFile(handle, incoming, limit)

    def _accept(self, part: Path, sink: "PartFile", sha: str) -> str:
        """Make a whole part durable under its hash. Bytes there already are the same, so replacing them is safe."""
        target = self.path(sha)
        ensure_folder(target.parent)
        with room_for_write(target.parent):
            os.fchmod(sink.fileno(), stat.S_IMODE(os.fstat(sink.fileno()).st_mode) & ~0o222)
            os.fsync(sink.fileno())
            part.replace(target)
            sync_folder(target.parent)
        return sha


def fetch_token(connection: str, folder: str, name: str, *, size: int, mtime_ns: int) -> str:
    """A safe local name for the unfinished fetch of one version of one remote file."""
    return sha256_bytes(canonical_json([connection, folder, name, size, mtime_ns]))


def posting_time(now: datetime, previous: PostingRecord | None) -> datetime:
    """The time of the next posting: now, but never before the last one, whatever the clock says."""
    return now if previous is None else max(now, previous.posted_at)


def _read(kind: type[Record], path: Path) -> Record | None:
    try:
        return read_record_file(kind, path)
    except FileNotFoundError:
        return None


def _damaged(sha: str, found: str) -> PermanentError:
    return PermanentError(
        Code.PAYLOAD_DAMAGED,
        f"payload {sha}",
        found=found,
        expected="the bytes that landed under this hash",
        remedy="Restore the file from a backup of the landing store, or have the partner send it again",
    )
