"""What one session of the embedded SFTP server sees: a single folder, which it takes for ``/``.

Here: SFTP requests as calls on descriptors below the root. Not here: connections and log-in (``sftp_server``).
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import Final

from paramiko import ServerInterface, SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface
from paramiko.sftp import SFTP_FAILURE, SFTP_NO_SUCH_FILE, SFTP_OK, SFTP_PERMISSION_DENIED

from connectors import confined

READ_BYTES_MAX: Final = 262_144
"""Of one read request; a client that asks for more gets less, as the protocol allows."""

NEVER_OUTSIDE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Added to every open: not over a link, and not waiting for the other end of a named pipe."""


class ServedFile(SFTPHandle):
    """An open file, read and written at offsets. Answers are status codes, as paramiko wants them."""

    def __init__(self, fd: int, *, append: bool) -> None:
        super().__init__()
        self.fd = fd
        self._append = append
        self._stack = contextlib.ExitStack()
        self._stack.callback(os.close, fd)

    def close(self) -> None:
        self._stack.close()

    def read(self, offset: int, length: int) -> bytes | int:
        try:
            return os.pread(self.fd, min(length, READ_BYTES_MAX), offset)
        except OSError as error:
            return _code(error)

    def write(self, offset: int, data: bytes) -> int:  # type: ignore[override]  # paramiko only ever hands over bytes
        rest = memoryview(data)
        try:
            while rest:
                written = os.write(self.fd, rest) if self._append else os.pwrite(self.fd, rest, offset)
                rest, offset = rest[written:], offset + written
        except OSError as error:
            return _code(error)
        return SFTP_OK

    def stat(self) -> SFTPAttributes | int:
        return SFTPAttributes.from_stat(os.fstat(self.fd))

    def chattr(self, attr: SFTPAttributes) -> int:
        return _set_attributes(self.fd, attr)


class ServedFolder(SFTPServerInterface):
    """The requests of one session. Symbolic links are listed as such, never followed and never made."""

    def __init__(self, server: ServerInterface, *, root: int) -> None:
        super().__init__(server)
        self._root = os.dup(root)

    def session_ended(self) -> None:
        os.close(self._root)

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        mode = 0o666 if attr.st_mode is None else attr.st_mode & 0o777
        try:
            with self._parent(path) as (parent, name):
                fd = os.open(name, flags | NEVER_OUTSIDE, mode, dir_fd=parent)
        except (OSError, ValueError) as error:
            return _code(error)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return SFTP_FAILURE
        return self.opened_file(fd, append=bool(flags & os.O_APPEND))

    def opened_file(self, fd: int, *, append: bool) -> SFTPHandle:
        """The handle that a client reads and writes through."""
        return ServedFile(fd, append=append)

    def list_folder(self, path: str) -> list[SFTPAttributes] | int:
        try:
            with confined.opened_folder(self._root, _parts(path)) as folder, os.scandir(folder) as entries:
                return list(_listed(entries))
        except (OSError, ValueError) as error:
            return _code(error)

    def stat(self, path: str) -> SFTPAttributes | int:
        found = self.lstat(path)
        if isinstance(found, SFTPAttributes) and stat.S_ISLNK(found.st_mode or 0):
            return SFTP_NO_SUCH_FILE
        return found

    def lstat(self, path: str) -> SFTPAttributes | int:
        try:
            if not _parts(path):
                return SFTPAttributes.from_stat(os.fstat(self._root))
            with self._parent(path) as (parent, name):
                return SFTPAttributes.from_stat(os.stat(name, dir_fd=parent, follow_symlinks=False))
        except (OSError, ValueError) as error:
            return _code(error)

    def remove(self, path: str) -> int:
        return self._change(path, lambda parent, name: os.unlink(name, dir_fd=parent))

    def rename(self, oldpath: str, newpath: str) -> int:
        return self._move(oldpath, newpath, replace=False)

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        return self._move(oldpath, newpath, replace=True)

    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        # Clients that send no mode, or 0, mean the usual rights.
        mode = (attr.st_mode or 0o777) & 0o777
        return self._change(path, lambda parent, name: os.mkdir(name, mode, dir_fd=parent))

    def rmdir(self, path: str) -> int:
        return self._change(path, lambda parent, name: os.rmdir(name, dir_fd=parent))

    def chattr(self, path: str, attr: SFTPAttributes) -> int:
        access = os.O_RDONLY if attr.st_size is None else os.O_WRONLY
        try:
            with self._parent(path) as (parent, name):
                fd = os.open(name, access | NEVER_OUTSIDE, dir_fd=parent)
        except (OSError, ValueError) as error:
            return _code(error)
        try:
            return _set_attributes(fd, attr)
        finally:
            os.close(fd)

    def _change(self, path: str, change: Callable[[int, str], None]) -> int:
        try:
            with self._parent(path) as (parent, name):
                change(parent, name)
        except (OSError, ValueError) as error:
            return _code(error)
        return SFTP_OK

    def _move(self, old: str, new: str, *, replace: bool) -> int:
        try:
            with self._parent(old) as (source, name), self._parent(new) as (target, new_name):
                if replace:
                    os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
                else:
                    confined.move_without_replacing(name, new_name, source=source, target=target)
        except (OSError, ValueError) as error:
            return _code(error)
        return SFTP_OK

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The open folder that holds ``path``, and its last part; OSError, and ValueError for the root itself."""
        parts = _parts(path)
        if not parts:
            raise ValueError("the root itself")
        with confined.opened_folder(self._root, parts[:-1]) as folder:
            yield folder, parts[-1]


def _parts(path: str) -> tuple[str, ...]:
    """A client's path as parts below the root; as in a real root folder, ``..`` stops there."""
    return tuple(part for part in os.path.normpath("/" + path).split("/") if part)


def _listed(entries: Iterator[os.DirEntry[str]]) -> Iterator[SFTPAttributes]:
    """Each entry with its own attributes; one that is gone before it is looked at is left out."""
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            attributes = SFTPAttributes.from_stat(entry.stat(follow_symlinks=False), entry.name)
            if not entry.name.isprintable():
                # Names that are not UTF-8 go out as the bytes they are; paramiko fails to encode them.
                attributes.filename = os.fsencode(entry.name)  # type: ignore[assignment]
            yield attributes


def _set_attributes(fd: int, attr: SFTPAttributes) -> int:
    """Mode, times and size as far as given. paramiko's own helper empties a file that is to be shortened."""
    if attr.st_uid is not None or attr.st_gid is not None:
        return SFTP_PERMISSION_DENIED
    try:
        if attr.st_size is not None:
            os.ftruncate(fd, attr.st_size)
        if attr.st_mode is not None:
            os.fchmod(fd, attr.st_mode & 0o777)
        if attr.st_atime is not None and attr.st_mtime is not None:
            os.utime(fd, (attr.st_atime, attr.st_mtime))
    except OSError as error:
        return _code(error)
    return SFTP_OK


def _code(error: OSError | ValueError) -> int:
    """The status code of a failure; a path with a NUL byte or of the root itself is a plain failure."""
    return SFTPServer.convert_errno(error.errno or 0) if isinstance(error, OSError) else SFTP_FAILURE
