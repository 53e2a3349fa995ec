"""Writing files so that they are whole or absent, even after a crash, and reading them back.

Here: durable writes, hashes, the one spelling of JSON. Not here: what is written, or where.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from counterfoil.errors import Code, TransientError, UsageError
from counterfoil.limits import MEBIBYTE

_WRITERS: Final = 8
"""Threads that wait for the disk at once: the file system then makes their files durable together."""

_NO_ROOM: Final = {errno.ENOSPC: "the file system is full", errno.EDQUOT: "a quota is used up"} | {
    errno.EFBIG: "the file would pass the size limit of the file system or the process"
}
_FAULTY: Final = {errno.EIO, errno.EROFS, errno.ESTALE}
"""A disk that fails, one that the system has therefore made read-only, a server that lost the file."""


def canonical_json(value: object) -> bytes:
    """``value`` as JSON with sorted keys, an indent of two, UTF-8 and a last newline: same value, same bytes."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def sha256_bytes(data: bytes) -> str:
    """The SHA-256 of bytes in memory, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file, as 64 hex digits; reads it as a stream."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def room_for_write(folder: Path) -> Iterator[None]:
    """Turn what stops a write into an error that names ``folder``; both are transient.

    DISK_FULL: a full disk, a used-up quota, a file size limit. DISK_FAULT: a disk that does not take it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FAULTY:
            raise disk_fault(folder, os.strerror(error.errno)) from error
        reason = _NO_ROOM.get(error.errno or 0)
        if reason is None:
            raise
        raise TransientError(
            Code.DISK_FULL,
            str(folder),
            found=f"no room to write: {reason}",
            expected="room for the whole file",
            remedy="Free space there or raise the limit, then run again; the unfinished file was not accepted",
        ) from error


def disk_fault(where: Path, found: str) -> TransientError:
    """A write that the disk did not take, ``found`` being what the system or a database says of it."""
    return TransientError(
        Code.DISK_FAULT,
        str(where),
        found=found,
        expected="a disk that keeps what is written to it",
        remedy="See that it is sound, has room and is not mounted read-only, then run again; nothing was half accepted",
    )


def sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ensure_folder(folder: Path) -> None:
    """Make ``folder`` and its missing parents, durably; there already counts as done.

    Raises FOLDER_TAKEN where a file lies in its place or the system lets nobody make one there, and DISK_FULL.
    """
    if folder.is_dir():
        return
    ensure_folder(folder.parent)
    try:
        with room_for_write(folder.parent):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
    except OSError as error:
        raise UsageError(
            Code.FOLDER_TAKEN,
            str(folder),
            found=f"no folder, and none can be made there ({os.strerror(error.errno or 0)})",
            expected="a folder, or room for one",
            remedy="Name another folder, or make this one and give this account the right to write there",
        ) from error


def write_durably(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write ``path`` whole or not at all, replacing what was there; DISK_FULL leaves the old file as it was.

    A ``private`` file is for this account alone, also while it is being written.
    """
    with _written_part(path.parent, data, private=private) as part, room_for_write(path.parent):
        part.replace(path)
        sync_folder(path.parent)


def write_once(path: Path, data: bytes) -> None:
    """Write ``path`` whole or not at all; raises FileExistsError, atomically, when the name is taken."""
    with _written_part(path.parent, data) as part, room_for_write(path.parent):
        path.hardlink_to(part)
        part.unlink()
        sync_folder(path.parent)


def write_together(files: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write many files, each whole or not at all; none has its name before all are durable. DISK_FULL, DISK_FAULT.

    Waiting for the disk side by side costs a fraction of what it does one after another.
    """
    with ExitStack() as parts, ThreadPoolExecutor(_WRITERS) as pool:

        def written(item: tuple[Path, bytes]) -> tuple[Path, Path]:
            path, data = item
            return parts.enter_context(_written_part(path.parent, data, private=private)), path

        for part, path in list(pool.map(written, files.items())):
            with room_for_write(path.parent):
                part.replace(path)
        for folder in {path.parent for path in files}:
            with room_for_write(folder):
                sync_folder(folder)


def copy_synced(source: Path, target: Path, *, copied: Callable[[int], object]) -> str:
    """Copy a file's bytes, mode and time to ``target``, made anew, and fsync it; returns the SHA-256 of the bytes.

    Not atomic: whoever needs that renames ``target`` once this has returned. ``copied`` is told each piece's bytes.
    Raises DISK_FULL, FileNotFoundError; nothing of ``target`` is left then.
    """
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with source.open("rb") as stream:
        facts = os.fstat(stream.fileno())
        target.unlink(missing_ok=True)
        try:
            with room_for_write(target.parent), open(os.open(target, flags, stat.S_IMODE(facts.st_mode)), "wb") as into:
                while piece := stream.read(MEBIBYTE):
                    digest.update(piece)
                    into.write(piece)
                    copied(len(piece))
                into.flush()
                os.utime(into.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))
                os.fsync(into.fileno())
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return digest.hexdigest()


def sweep_parts(folder: Path, older_than: datetime) -> int:
    """Remove the unfinished ``.part`` files of ``folder`` that nobody wrote to since; returns how many."""
    stale = [part for part in folder.glob("*.part") if part.stat().st_mtime < older_than.timestamp()]
    for part in stale:
        part.unlink(missing_ok=True)
    return len(stale)


@contextmanager
def _written_part(folder: Path, data: bytes, *, private: bool = False) -> Iterator[Path]:
    """A durable, uniquely named copy of ``data`` to rename; gone again when the rename does not happen.

    The name begins with a dot, so whoever collects files from ``folder`` does not see it, and is unique, so that two
    processes that write the same file do not write into each other's.
    """
    ensure_folder(folder)
    part = folder / f".{uuid4().hex}.part"
    try:
        with room_for_write(folder), open(part, "xb", opener=_for_this_account if private else None) as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _for_this_account(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
