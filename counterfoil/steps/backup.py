"""A backup: the book copied under its lock, and beside it whatever has landed since the backup before.

Here: the form of a backup folder, and how a backup is added to it. Not here: bringing one back (``restore``), how the
book itself is copied (``ledger.store``).

    landing/…, out/crm/…        as in the home: files that never change, copied once
    book-00000007.duckdb        the book as of backup 7
    counterfoil-00000007.yaml   the settings, if there are any
    files-00000007.sha256       every file that backup 7 consists of; ``sha256sum -c`` proves it
    backup-00000007.json        the manifest; a backup without one was never finished
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from counterfoil import limits
from counterfoil.clock import utc_text
from counterfoil.errors import Code, PermanentError, UsageError
from counterfoil.files import canonical_json, copy_synced, ensure_folder, sha256_bytes, sync_folder, write_durably
from counterfoil.landing.mail_records import Bounced, LettersDue
from counterfoil.landing.records import MAIL_RECORD, Delivery, PostingRecord, read_record_file
from counterfoil.landing.store import LandingStore
from counterfoil.ledger import lock
from counterfoil.ledger.store import Book, Heads
from counterfoil.settings import Home
from counterfoil.steps.desk import SOFTWARE, Progress
from counterfoil.steps.record import ALWAYS_LANDED

KEPT: Final = 2
"""Backups whose book is kept: the newest, and the one before it in case the newest turns out to be damaged."""

LOCK: Final = "backup.lock"
PAYLOADS: Final = "landing/payloads"
DELIVERIES: Final = "landing/deliveries"
POSTINGS: Final = "landing/postings"
MAIL: Final = "landing/mail"

_COPYING: Final = "copying"
_LATER: Final = ("postings", "deliveries", "payloads")
"""Folders of the landing store that are listed last, in this order: what other records name is then always listed."""

_UNFINISHED: Final = "incoming"
_NUMBERED: Final = re.compile(r"(backup|book|counterfoil|files)-(\d{8})\.(json|duckdb|yaml|sha256)")
_LINE: Final = re.compile(r"([0-9a-f]{64})  ((?:landing|out|book-\d{8}\.|counterfoil-\d{8}\.)[^\n\\]+)")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One finished backup: the heads of its book, its files and bytes, and what was new among them."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    number: int
    n: int
    content_head: str
    chain_head: str
    book_schema: int
    files: int
    bytes: int
    new_files: int
    new_bytes: int
    made_at: datetime
    software: str
    inventory_sha: str

    @property
    def heads(self) -> Heads:
        """The heads of the copied book."""
        return Heads(self.n, self.content_head, self.chain_head)

    def fields(self) -> dict[str, object]:
        """The manifest as JSON values."""
        return {**asdict(self), "made_at": utc_text(self.made_at)}


_MANIFEST: Final = TypeAdapter(Manifest)


def backup(book: Book, home: Home, to: Path, *, at: datetime, progress: Progress) -> Manifest:
    """Add a backup of a home to the folder ``to``; killed at any instant, it leaves the backups before as they were.

    The book is copied and the landing store listed while nobody can post, so every posting in the copy has its record
    in the list. What is listed never changes, and is copied afterwards. Secrets are never copied.

    Raises FOLDER_TAKEN for a folder that holds something else, PAYLOAD_DAMAGED and SIDECAR_DAMAGED where the home has
    lost or changed a file, BACKUP_DAMAGED, NOTHING_FOUND, DISK_FULL, BOOK_BUSY, and what ``Book.copying`` raises.
    """
    _require_place(home, to)
    ensure_folder(to)
    with lock.held(to / LOCK, exclusive=True, wait_s=limits.LOCK_WAIT_S, purpose="backup"):
        done = manifests(to)
        _sweep(to, done)
        manifest = _add(book, home, to, read_manifest(to, done[-1]) if done else None, at=at, progress=progress)
        kept = [*done, manifest.number][-KEPT:]
        for number in set(done) - set(kept):
            (to / manifest_name(number)).unlink()
        _sweep(to, kept)
    return manifest


def _add(book: Book, home: Home, to: Path, last: Manifest | None, *, at: datetime, progress: Progress) -> Manifest:
    """Copy what the last backup lacks; the manifest is written last."""
    number = last.number + 1 if last else 1
    known = {path: sha for path, sha in inventory(to, last).items() if _stays(path)} if last else {}
    telling = _Told(progress, "copying the book", _size(home.book) or 0)
    with book.copying(to / _COPYING, since=last.heads if last else None, copied=telling) as copy:
        listed = _listed(home)
    if not copy.continues:
        raise _taken(to, "backups of another book, or of postings that this one does not have")
    _require_whole(home, listed, known, copy.heads.n)
    own = {book_name(number): copy.sha256}
    own_bytes = _keep(to, book_name(number))
    if home.settings_file.exists():
        own[settings_name(number)] = copy_synced(home.settings_file, to / _COPYING, copied=_silent)
        own_bytes += _keep(to, settings_name(number))
    there = {path: _size(to / path) for path in known}
    lacking = {path: size for path, size in listed.items() if there.get(path) != size}
    fresh = _copy(home, to, lacking, known, progress)
    cleared = {path: size for path, size in there.items() if path not in listed and size is not None}
    lines = {path: known[path] for path in known if path in listed or path in cleared} | fresh | own
    data = "".join(f"{sha}  {path}\n" for path, sha in sorted(lines.items())).encode()
    write_durably(to / inventory_name(number), data)
    manifest = Manifest(
        number=number,
        n=copy.heads.n,
        content_head=copy.heads.content_head,
        chain_head=copy.heads.chain_head,
        book_schema=copy.schema,
        files=len(lines),
        bytes=own_bytes + sum(listed.values()) + sum(cleared.values()),
        new_files=len(fresh) + len(own),
        new_bytes=own_bytes + sum(lacking.values()),
        made_at=at,
        software=SOFTWARE,
        inventory_sha=sha256_bytes(data),
    )
    write_durably(to / manifest_name(number), canonical_json(manifest.fields()))
    return manifest


# The form of the folder


def manifest_name(number: int) -> str:
    """The file that finishes a backup."""
    return f"backup-{number:08d}.json"


def inventory_name(number: int) -> str:
    """The list of a backup's files."""
    return f"files-{number:08d}.sha256"


def book_name(number: int) -> str:
    """The copy of the book."""
    return f"book-{number:08d}.duckdb"


def settings_name(number: int) -> str:
    """The copy of the settings file."""
    return f"counterfoil-{number:08d}.yaml"


def manifests(folder: Path) -> list[int]:
    """The numbers of the finished backups in a folder, in order."""
    found = (_NUMBERED.fullmatch(path.name) for path in folder.glob("backup-*.json"))
    return sorted(int(name[2]) for name in found if name)


def read_manifest(folder: Path, number: int) -> Manifest:
    """The manifest of a finished backup; BACKUP_DAMAGED."""
    path = folder / manifest_name(number)
    try:
        return _MANIFEST.validate_json(path.read_bytes(), strict=True)
    except (FileNotFoundError, ValidationError) as error:
        raise damaged(path, "no manifest of a backup") from error


def inventory(folder: Path, manifest: Manifest) -> dict[str, str]:
    """The SHA-256 of each file of a backup by its path; BACKUP_DAMAGED."""
    path = folder / inventory_name(manifest.number)
    data = path.read_bytes() if path.exists() else b""
    if sha256_bytes(data) != manifest.inventory_sha:
        raise damaged(path, "another list of files than the manifest seals")
    lines = [_LINE.fullmatch(line) for line in data.decode().splitlines()]
    listed = {line[2]: line[1] for line in lines if line and ".." not in PurePosixPath(line[2]).parts}
    if len(listed) != len(lines):
        raise damaged(path, "a line that names no file of a backup")
    return listed


def lacking_records(paths: Iterable[str], n: int) -> list[int]:
    """The postings up to ``n`` whose record is not among the paths."""
    there = {PurePosixPath(path).stem for path in paths if path.startswith(f"{POSTINGS}/")}
    return [number for number in range(1, n + 1) if f"{number:08d}" not in there]


def damaged(path: Path, found: str) -> PermanentError:
    """BACKUP_DAMAGED."""
    return PermanentError(
        Code.BACKUP_DAMAGED,
        str(path),
        found=found,
        expected="every file as it was backed up",
        remedy="Bring it back from another copy of this folder, or name the backup before it with --backup",
    )


# Inside


class _Told:
    """Tells progress in bytes, piece by piece."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress, self._what, self._total, self._done = progress, what, total, 0

    def __call__(self, size: int) -> None:
        self._done += size
        self._progress(self._what, self._done, self._total)


def _silent(_size: int) -> None:
    """For files that are too small to tell of."""


def _require_place(home: Home, to: Path) -> None:
    """A backup inside the home is lost with it; one in somebody's folder would write over what lies there."""
    if to.resolve().is_relative_to(home.root.resolve()):
        raise _taken(to, "the home that is to be backed up")
    if to.is_dir() and not (to / LOCK).exists() and any(to.iterdir()):
        raise _taken(to, "something that is no backup")


def _taken(to: Path, found: str) -> UsageError:
    return UsageError(
        Code.FOLDER_TAKEN,
        str(to),
        found=found,
        expected="an empty or absent folder on another disk, or this home's backups",
        remedy="Name another one with --to",
    )


def _listed(home: Home) -> dict[str, int]:
    """The size of each file to keep, by its path below the home; records before what they name."""
    batches = [path.parent for path in sorted(home.out_crm.glob("*/*/manifest.json"))]
    kinds = {path.name: path for path in home.landing.iterdir()} if home.landing.is_dir() else {}
    order = sorted(kinds.keys() - {_UNFINISHED, *_LATER}) + [name for name in _LATER if name in kinds]
    found: dict[str, int] = {}
    for folder in [*batches, *(kinds[name] for name in order)]:
        found |= {path.relative_to(home.root).as_posix(): path.stat().st_size for path in _files(folder)}
    return found


def _files(folder: Path) -> Iterator[Path]:
    """The finished files below a folder: no part of one, nothing hidden."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if not name.startswith(".") and name[-5:] != ".part")


def _stays(path: str) -> bool:
    return path.startswith(("landing/", "out/"))


def _require_whole(home: Home, listed: Mapping[str, int], known: Mapping[str, str], n: int) -> None:
    """Prove that the home still has what was backed up before, a record of each posting, and what new records name."""
    gone = sorted(path for path in known.keys() - listed.keys() if path.startswith("landing/"))
    if gone:
        raise _lost(home, gone[0], "no such file, which the backup before has")
    records = lacking_records(listed, n)
    if records:
        raise _lost(home, f"{POSTINGS}/{records[0]:08d}.json", "no record of a posting that the book has")
    missing = sorted(_named(home, listed.keys() - known.keys()) - listed.keys())
    if missing:
        raise _lost(home, missing[0], "no such payload, which a record names")


def _named(home: Home, paths: Iterable[str]) -> set[str]:
    """The payloads, by their paths below the home, that the records among ``paths`` cannot do without.

    SIDECAR_DAMAGED for one that cannot be read.
    """
    shas: set[str] = set()
    for path in paths:
        if path.startswith(f"{DELIVERIES}/"):
            shas |= read_record_file(Delivery, home.root / path).kept
        elif path.startswith(f"{POSTINGS}/"):
            hashes = read_record_file(PostingRecord, home.root / path).hashes
            shas |= {hashes[name] for name in ALWAYS_LANDED if name in hashes}
        elif path.startswith(f"{MAIL}/"):
            record = read_record_file(MAIL_RECORD, home.root / path)
            shas |= {record.payload_sha} if isinstance(record, LettersDue | Bounced) else set()
    landing = LandingStore(home.landing)
    return {landing.path(sha).relative_to(home.root).as_posix() for sha in shas}


def _copy(
    home: Home, to: Path, lacking: Mapping[str, int], known: Mapping[str, str], progress: Progress
) -> dict[str, str]:
    """Copy files into the backup, each proved by the hash it is named by or was backed up with."""
    telling = _Told(progress, f"copying {len(lacking):,} files", sum(lacking.values()))
    copied: dict[str, str] = {}
    for path in lacking:
        sha = copy_synced(home.root / path, to / _COPYING, copied=telling)
        proved = known.get(path) or (PurePosixPath(path).name if path.startswith(f"{PAYLOADS}/") else sha)
        if sha != proved:
            raise _lost(home, path, "other bytes than those that were kept")
        _keep(to, path)
        copied[path] = sha
    return copied


def _keep(to: Path, path: str) -> int:
    """Give what was copied its name, durably; returns its size."""
    target = to / path
    ensure_folder(target.parent)
    (to / _COPYING).replace(target)
    sync_folder(target.parent)
    return target.stat().st_size


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sweep(to: Path, finished: Iterable[int]) -> None:
    """Remove what a killed backup left, and what belonged to backups that are no longer kept."""
    kept = set(finished)
    for path in to.iterdir():
        name = _NUMBERED.fullmatch(path.name)
        if (
            path.name == _COPYING
            or path.suffix == ".part"
            or (name and name[1] != "backup" and int(name[2]) not in kept)
        ):
            path.unlink()


def _lost(home: Home, path: str, found: str) -> PermanentError:
    return PermanentError(
        Code.PAYLOAD_DAMAGED if path.startswith(PAYLOADS) else Code.SIDECAR_DAMAGED,
        str(home.root / path),
        found=found,
        expected="files that never change once they are there",
        remedy="Keep the disk as it is and bring the file back from the backup, where it has the same path",
    )
