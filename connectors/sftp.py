"""A partner's SFTP server as a source of files.

Here: the Source contract over one SSH connection at a time, with every answer of the server checked. Not here: SSH
(``ssh``), packets (``sftp_wire``), readiness and landing, which the core does.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

from paramiko import Transport

from connectors.names import MOVE_TRIES, PUT_SUFFIX, decoded, folder_parts, free_name, is_safe, place_of, require_safe
from connectors.outcomes import cut_short, listing_too_long, missing, moved, name_taken, refused, require_offset
from connectors.sftp_packets import Attributes, BrokenProtocolError, Status, StatusError, StreamError
from connectors.sftp_wire import SftpWire
from connectors.ssh import Endpoint, connect, disconnect
from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.invariants import require
from counterfoil.limits import CONNECT_TIMEOUT_S, LISTING_FILES_MAX, READ_TIMEOUT_S
from counterfoil.protocols import RemoteFile

SIZE_MAX: Final = 2**63 - 1
"""What every store of ours can hold; a server that claims more is taken to mean this much, far above any file limit."""

SECOND_NS: Final = 1_000_000_000


class SftpSource:
    """Files below ``root`` on a server (a path there; ``""`` or ``"."`` is where the log-in starts).

    ``host_keys``: one or two OpenSSH public key lines (``ssh-ed25519 AAAA…``). Log-in is with ``key_file``, whose
    passphrase is ``password``, or else with ``password`` itself. All are checked on entering the ``with`` block, so
    that one wrong connection stops no other.

    Entering raises what ``ssh.connect`` raises. Every method raises CONNECTION_LOST (transient), REMOTE_MISSING,
    REMOTE_REFUSED and NAME_UNSAFE (permanent). After CONNECTION_LOST leave the block and enter it again.
    """

    def __init__(
        self,
        *,
        alias: str,
        host: str,
        port: int,
        user: str,
        host_keys: Sequence[str],
        root: str,
        password: str | None = None,
        key_file: Path | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self.alias = alias
        self._root = root
        self._read_timeout_s = read_timeout_s
        self._endpoint = Endpoint(
            alias=alias,
            host=host,
            port=port,
            user=user,
            host_keys=tuple(host_keys),
            password=password,
            key_file=key_file,
            connect_timeout_s=connect_timeout_s,
        )
        self._transport: Transport | None = None
        self._session: SftpWire | None = None

    def __enter__(self) -> Self:
        require(self._transport is None, "a source is entered once at a time")
        transport, channel = connect(self._endpoint)
        try:
            with _told(self._endpoint.where):
                self._session = SftpWire(channel, self._read_timeout_s)
        except BaseException:
            disconnect(transport)
            raise
        self._transport = transport
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._transport is not None:
            disconnect(self._transport)
        self._transport = self._session = None

    def listing(self, folder: str) -> list[RemoteFile]:
        """All regular files of the folder, sorted by name; unsafe names come back as they are. LISTING_TOO_LONG."""
        where = place_of(self.alias, folder)
        parts = folder_parts(folder, where)
        found: list[tuple[str, Attributes]] = []
        with _told(where):
            with contextlib.closing(self._wire().entries(self._folder_path(parts))) as entries:
                for raw_name, attributes in entries:
                    if len(found) == LISTING_FILES_MAX:
                        raise listing_too_long(where)
                    found.append((decoded(raw_name), attributes))
            told = [(name, self._completed(parts, name, attributes)) for name, attributes in found]
        return sorted(_file(folder, name, attributes) for name, attributes in told if attributes.is_regular)

    def stat(self, file: RemoteFile) -> RemoteFile:
        """The file as it is now; anything but a regular file counts as missing."""
        path, where = self._path(file)
        with _told(where):
            found = self._wire().attributes(path, follow=False)
        if found is None or not found.is_regular:
            raise missing(where)
        return _file(file.folder, file.name, found)

    def fetch(self, file: RemoteFile, into: BinaryIO, offset: int) -> None:
        """Append the file's bytes from ``offset`` to ``into``.

        Returns only when ``into`` received exactly the bytes from ``offset`` to ``file.size``, the server has no byte
        beyond them and the file is still the one that was listed. CONNECTION_LOST: what ``into`` received is right and
        may be resumed. FILE_CUT_SHORT (transient): the server has no more; resume only what a second reading of its end
        confirms. FILE_MOVED (transient): start again from nothing; a server that ignores the offset ends here too.
        Errors of ``into`` itself pass through.
        """
        path, where = self._path(file)
        require_offset(file, offset, where)
        wire = self._wire()
        with _told(where), wire.opened(path) as handle:
            self._require_same(file, path, handle, where)
            at = offset
            for chunk in wire.read(handle, offset, file.size):
                into.write(chunk)
                at += len(chunk)
            if at < file.size:
                raise cut_short(where, arrived=at, announced=file.size)
            # A server that ignores offsets still has bytes to give here, as one whose file has grown does.
            if wire.holds_byte(handle, file.size):
                raise moved(where, "the server holds more bytes than it announced")
            self._require_same(file, path, handle, where)

    def archive(self, file: RemoteFile, folder: str) -> None:
        """Move the file to ``folder`` (made if absent); done already counts as done.

        Nothing is overwritten: a taken name gets ``.1``, ``.2`` …, and SFTP's own rename fails rather than replace.
        FILE_MOVED (transient) when another file has taken the listed one's place: that one was never fetched, so it
        stays.
        """
        path, where = self._path(file)
        parts = folder_parts(folder, where)
        target = self._folder_path(parts)
        with _told(where):
            for tries_left in reversed(range(MOVE_TRIES)):
                found = self._wire().attributes(path, follow=False)
                if found is None and not self._taken(_joined(target, file.name)):
                    raise missing(where)
                if found is None:
                    return
                _require_unchanged(file, found, where)
                self._make_folders(parts)
                name = free_name(file.name, lambda name: self._taken(_joined(target, name)))
                try:
                    self._wire().rename(path, _joined(target, name))
                except StatusError:
                    # Another run that archives the same file may be faster: then its work is looked at afresh.
                    if not tries_left:
                        raise
                else:
                    return

    def delete(self, file: RemoteFile) -> None:
        """Remove the file; gone already counts as done. FILE_MOVED (transient) when another took its place."""
        path, where = self._path(file)
        with _told(where):
            found = self._wire().attributes(path, follow=False)
            if found is not None:
                _require_unchanged(file, found, where)
                self._wire().remove(path)

    def put(self, folder: str, name: str, data: bytes) -> None:
        """Make a file of these bytes, under a temporary name until it is whole; one that is there with these very bytes
        counts as made. REMOTE_REFUSED where another file has its name.
        """
        where = place_of(self.alias, folder, name)
        require_safe(name, where)
        parts = folder_parts(folder, where)
        path = _joined(self._folder_path(parts), name)
        with _told(where):
            if self._holds(path, data, where):
                return
            self._make_folders(parts)
            unfinished = _joined(self._folder_path(parts), name + PUT_SUFFIX)
            self._wire().write(unfinished, data)
            found = self._wire().attributes(unfinished, follow=False)
            if found is not None and found.size not in (None, len(data)):
                raise cut_short(where, arrived=found.size or 0, announced=len(data))
            try:
                self._wire().rename(unfinished, path)
            except StatusError:
                # Another run may have been faster with the same file.
                if not self._holds(path, data, where):
                    raise

    def _holds(self, path: bytes, data: bytes, where: str) -> bool:
        """Whether a file of these bytes is there; REMOTE_REFUSED for another one."""
        found = self._wire().attributes(path, follow=False)
        if found is None:
            return False
        if found.is_regular and found.size in (None, len(data)):
            with self._wire().opened(path) as handle:
                if b"".join(self._wire().read(handle, 0, len(data))) == data:
                    return True
        raise name_taken(where)

    def _wire(self) -> SftpWire:
        require(self._session is not None, "a source is used inside its with block")
        return cast("SftpWire", self._session)

    def _folder_path(self, parts: tuple[str, ...]) -> bytes:
        path = self._root.encode() or b"."
        for part in parts:
            path = _joined(path, part)
        return path

    def _path(self, file: RemoteFile) -> tuple[bytes, str]:
        """The file's path on the server and its name in messages; raises NAME_UNSAFE."""
        where = place_of(self.alias, file.folder, file.name)
        require_safe(file.name, where)
        return _joined(self._folder_path(folder_parts(file.folder, where)), file.name), where

    def _completed(self, parts: tuple[str, ...], name: str, attributes: Attributes) -> Attributes:
        """Some servers tell kind, size or time only when asked about a file by itself."""
        if None not in {attributes.mode, attributes.size, attributes.mtime} or not is_safe(name):
            return attributes
        return self._wire().attributes(_joined(self._folder_path(parts), name), follow=False) or attributes

    def _require_same(self, file: RemoteFile, path: bytes, handle: bytes, where: str) -> None:
        """The open file is the listed one; a server that cannot say so of a handle is asked by path."""
        try:
            found: Attributes | None = self._wire().handle_attributes(handle)
        except StatusError:
            found = self._wire().attributes(path, follow=False)
        if found is None:
            raise missing(where)
        _require_unchanged(file, found, where)

    def _taken(self, path: bytes) -> bool:
        return self._wire().attributes(path, follow=False) is not None

    def _make_folders(self, parts: tuple[str, ...]) -> None:
        """Make the folder and those above it. Losing the race for one to another run is no failure."""
        for depth in range(1, len(parts) + 1):
            path = self._folder_path(parts[:depth])
            if self._wire().attributes(path, follow=True) is None:
                try:
                    self._wire().make_folder(path)
                except StatusError:
                    if self._wire().attributes(path, follow=True) is None:
                        raise


def _joined(folder: bytes, name: str) -> bytes:
    return folder.rstrip(b"/") + b"/" + name.encode()


def _file(folder: str, name: str, attributes: Attributes) -> RemoteFile:
    """A server that keeps its size or time to itself is taken to mean 0, which no fetch of a real file agrees with."""
    return RemoteFile(
        folder=folder,
        name=name,
        size=min(attributes.size or 0, SIZE_MAX),
        mtime_ns=(attributes.mtime or 0) * SECOND_NS,
    )


def _require_unchanged(file: RemoteFile, found: Attributes, where: str) -> None:
    if not found.is_regular or _file(file.folder, file.name, found) != file:
        raise moved(where, "its size or time differs from the listing, or it is no longer a regular file")


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Say what went wrong on the wire as one of our errors."""
    try:
        yield
    except StreamError as error:
        raise _lost(where, str(error)) from error
    except BrokenProtocolError as error:
        raise PermanentError(
            Code.REMOTE_REFUSED,
            where,
            found=f"the server broke the SFTP protocol: {error}",
            expected="a server that keeps to it",
            remedy="Nothing was taken over; tell the partner",
        ) from error
    except StatusError as error:
        if error.code == Status.NO_SUCH_FILE:
            raise missing(where) from error
        if error.code in {Status.NO_CONNECTION, Status.CONNECTION_LOST}:
            raise _lost(where, f"the server answered {error.name}") from error
        raise refused(where, f"the server answered {error.name}") from error


def _lost(where: str, found: str) -> TransientError:
    return TransientError(
        Code.CONNECTION_LOST,
        where,
        found=found,
        expected="an answer",
        remedy="What arrived so far is right and is resumed",
    )
