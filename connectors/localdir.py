"""A local folder as a source of files, under the same contract as an SFTP server.

Here: listing, reading and clearing away below one root. Not here: readiness, landing, and what a file means.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

from connectors import confined
from connectors.names import (
    MOVE_TRIES,
    PUT_SUFFIX,
    decoded,
    folder_parts,
    free_name,
    given_before,
    place_of,
    require_safe,
)
from connectors.outcomes import cut_short, listing_too_long, missing, moved, name_taken, refused, require_offset
from counterfoil.invariants import require
from counterfoil.limits import FETCH_CHUNK_BYTES, LISTING_FILES_MAX
from counterfoil.protocols import RemoteFile
from counterfoil.settings import os_account

OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Never over a link, and never waiting for the other end of a named pipe that took a file's place."""


class LocalSource:
    """Files below ``root``. Symbolic links are neither listed nor followed.

    Every method raises REMOTE_MISSING (the file or folder is not there), REMOTE_REFUSED (the system said no) and
    NAME_UNSAFE (permanent, all three).
    """

    def __init__(self, *, alias: str, root: Path) -> None:
        self.alias = alias
        self._root_path = root
        self._root_fd: int | None = None

    def __enter__(self) -> Self:
        require(self._root_fd is None, "a source is entered once at a time")
        with _told(f"connection {self.alias}"):
            self._root_fd = confined.open_root(self._root_path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._root_fd is not None:
            os.close(self._root_fd)
            self._root_fd = None

    def listing(self, folder: str) -> list[RemoteFile]:
        """All regular files of the folder, sorted by name; unsafe names come back as they are. LISTING_TOO_LONG."""
        where = place_of(self.alias, folder)
        files: list[RemoteFile] = []
        with self._folder(folder, where) as fd, _told(where), os.scandir(fd) as entries:
            for number, entry in enumerate(entries, start=1):
                if number > LISTING_FILES_MAX:
                    raise listing_too_long(where)
                # An entry that is gone before it is looked at is no longer part of the folder.
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        files.append(_file(folder, decoded(os.fsencode(entry.name)), found))
        return sorted(files)

    def stat(self, file: RemoteFile) -> RemoteFile:
        """The file as it is now; anything but a regular file counts as missing."""
        where = self._where(file)
        with self._folder(file.folder, where) as fd, _told(where):
            found = _regular(fd, file.name)
        if found is None:
            raise missing(where)
        return _file(file.folder, file.name, found)

    def fetch(self, file: RemoteFile, into: BinaryIO, offset: int) -> None:
        """Append the file's bytes from ``offset`` to ``into``.

        Returns only when ``into`` received exactly the bytes from ``offset`` to ``file.size`` and the file is still the
        one that was listed. FILE_MOVED and FILE_CUT_SHORT (transient): it changed, so start again at the next
        look. Errors of ``into`` itself pass through.
        """
        where = self._where(file)
        require_offset(file, offset, where)
        with contextlib.ExitStack() as stack:
            folder_fd = stack.enter_context(self._folder(file.folder, where))
            with _told(where):
                fd = os.open(file.name, OPEN_FLAGS, dir_fd=folder_fd)
            stack.callback(os.close, fd)
            _require_same(fd, file, where)
            at = offset
            while at < file.size:
                with _told(where):
                    chunk = os.pread(fd, min(FETCH_CHUNK_BYTES, file.size - at), at)
                if not chunk:
                    raise cut_short(where, arrived=at, announced=file.size)
                into.write(chunk)
                at += len(chunk)
            _require_same(fd, file, where)

    def archive(self, file: RemoteFile, folder: str) -> None:
        """Move the file to ``folder`` (made if absent) and sync both folders; done already counts as done.

        Nothing is overwritten: a taken name gets ``.1``, ``.2`` …. FILE_MOVED (transient) when another file has taken
        the listed one's place: that one was never fetched, so it stays.
        """
        where = self._where(file)
        parts = folder_parts(folder, where)
        with self._folder(file.folder, where) as source, _told(where):
            confined.make_folders(self._root(), parts)
            with confined.opened_folder(self._root(), parts) as target:
                for _ in range(MOVE_TRIES):
                    found = confined.lstat_below(source, file.name)
                    if found is None and confined.lstat_below(target, file.name) is None:
                        raise missing(where)
                    if found is None:
                        return
                    _require_unchanged(file, found, where)
                    # Another run that archives the same file may be faster: then its work is looked at afresh.
                    with contextlib.suppress(FileNotFoundError, FileExistsError):
                        _move(file.name, found, source=source, target=target)
                        return
        raise moved(where, "other runs kept taking the names it was to get in the archive")

    def delete(self, file: RemoteFile) -> None:
        """Remove the file; gone already counts as done. FILE_MOVED (transient) when another took its place."""
        where = self._where(file)
        with self._folder(file.folder, where) as fd, _told(where):
            found = confined.lstat_below(fd, file.name)
            if found is not None:
                _require_unchanged(file, found, where)
                os.unlink(file.name, dir_fd=fd)
                os.fsync(fd)

    def put(self, folder: str, name: str, data: bytes) -> None:
        """Make a file of these bytes, under a temporary name until it is whole; one that is there with these very bytes
        counts as made. REMOTE_REFUSED where another file has its name.
        """
        where = place_of(self.alias, folder, name)
        require_safe(name, where)
        with _told(where):
            confined.make_folders(self._root(), folder_parts(folder, where))
        with self._folder(folder, where) as fd:
            if _holds(fd, name, data, where):
                return
            with _told(where):
                _write_anew(fd, name + PUT_SUFFIX, data)
                try:
                    confined.move_without_replacing(name + PUT_SUFFIX, name, source=fd, target=fd)
                except FileExistsError:
                    # Another run may have been faster with the same file.
                    os.unlink(name + PUT_SUFFIX, dir_fd=fd)
            if not _holds(fd, name, data, where):
                raise missing(where)

    def _where(self, file: RemoteFile) -> str:
        where = place_of(self.alias, file.folder, file.name)
        require_safe(file.name, where)
        return where

    def _root(self) -> int:
        require(self._root_fd is not None, "a source is used inside its with block")
        return cast("int", self._root_fd)

    @contextlib.contextmanager
    def _folder(self, folder: str, where: str) -> Iterator[int]:
        """The folder's descriptor; only opening it is translated, not what is done with it."""
        with contextlib.ExitStack() as stack:
            with _told(where):
                fd = stack.enter_context(confined.opened_folder(self._root(), folder_parts(folder, where)))
            yield fd


def _file(folder: str, name: str, found: os.stat_result) -> RemoteFile:
    return RemoteFile(
        folder=folder, name=name, size=found.st_size, mtime_ns=found.st_mtime_ns, owner=os_account(found.st_uid)
    )


def _holds(folder: int, name: str, data: bytes, where: str) -> bool:
    """Whether a file of these bytes is there; REMOTE_REFUSED for another one."""
    with _told(where):
        if confined.lstat_below(folder, name) is None:
            return False
        found = _regular(folder, name)
        if found is not None and found.st_size == len(data):
            with os.fdopen(os.open(name, OPEN_FLAGS, dir_fd=folder), "rb") as file:
                if file.read() == data:
                    return True
    raise name_taken(where)


def _write_anew(folder: int, name: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o666, dir_fd=folder), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _regular(folder: int, name: str) -> os.stat_result | None:
    found = confined.lstat_below(folder, name)
    return found if found is not None and stat.S_ISREG(found.st_mode) else None


def _require_unchanged(file: RemoteFile, found: os.stat_result, where: str) -> None:
    if not stat.S_ISREG(found.st_mode) or _file(file.folder, file.name, found) != file:
        raise moved(where, "its size or time differs from the listing, or it is no longer a regular file")


def _move(name: str, found: os.stat_result, *, source: int, target: int) -> None:
    """Into the archive under a free name; a crash in the middle of an earlier move left only the old name to remove."""
    new_name = free_name(name, lambda candidate: confined.lstat_below(target, candidate) is not None)
    last = given_before(name, new_name)
    there = confined.lstat_below(target, last) if last is not None else None
    if there is not None and os.path.samestat(found, there):
        os.unlink(name, dir_fd=source)
        os.fsync(source)
        return
    confined.move_without_replacing(name, new_name, source=source, target=target)


def _require_same(fd: int, file: RemoteFile, where: str) -> None:
    with _told(where):
        _require_unchanged(file, os.fstat(fd), where)


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Say what the system refused as one of our errors; a full disk while writing elsewhere never passes here."""
    try:
        yield
    except FileNotFoundError as error:
        raise missing(where) from error
    except OSError as error:
        raise refused(where, f"the system answered {errno.errorcode.get(error.errno or 0, 'an error')}") from error
