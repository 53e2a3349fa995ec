"""Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02; OpenSSH speaks this version) and their fields.

Here: types, codes, and reading fields without ever trusting a length. Not here: sending, waiting, or any state.
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

SFTP_VERSION: Final = 3

_SIZE_FLAG, _OWNER_FLAG, _MODE_FLAG, _TIMES_FLAG, _EXTENDED_FLAG = 0x1, 0x2, 0x4, 0x8, 0x8000_0000


class Packet(IntEnum):
    """Packet types that this client sends or understands."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105


class Status(IntEnum):
    """Status codes of version 3."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8


class StatusError(Exception):
    """The server answered a request with a status other than the hoped-for one."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    @property
    def name(self) -> str:
        """The code's name in the draft, or its number."""
        return Status(self.code).name if self.code in set(Status) else f"status {self.code}"


class StreamError(Exception):
    """The channel closed or stayed silent; nothing more can be asked on it."""


class BrokenProtocolError(Exception):
    """The server sent what the protocol does not allow; nothing it says can be trusted."""


@dataclass(frozen=True)
class Attributes:
    """What a server says of a file; None where it says nothing. ``mtime`` in whole seconds since 1970."""

    size: int | None
    mode: int | None
    mtime: int | None

    @property
    def is_regular(self) -> bool:
        """A server that tells no mode tells no kind; then it is taken for a file, and opening it decides."""
        return self.mode is None or stat.S_ISREG(self.mode)


class Fields:
    """Reads the fields of one packet and never beyond its end; raises BrokenProtocolError there."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, size: int) -> bytes:
        taken = self._body[self._at : self._at + size]
        if len(taken) < size:
            raise BrokenProtocolError("a packet shorter than its fields")
        self._at += size
        return taken

    def u32(self) -> int:
        return int.from_bytes(self.take(4))

    def u64(self) -> int:
        return int.from_bytes(self.take(8))

    def string(self) -> bytes:
        return self.take(self.u32())

    def attributes(self) -> Attributes:
        flags = self.u32()
        size = self.u64() if flags & _SIZE_FLAG else None
        if flags & _OWNER_FLAG:
            self.take(8)
        mode = self.u32() if flags & _MODE_FLAG else None
        _, mtime = (self.u32(), self.u32()) if flags & _TIMES_FLAG else (None, None)
        if flags & _EXTENDED_FLAG:
            for _ in range(2 * self.u32()):
                self.string()
        return Attributes(size=size, mode=mode, mtime=mtime)


def packed(value: bytes) -> bytes:
    """A string field: its length, then its bytes."""
    return struct.pack(">I", len(value)) + value


def status_of(fields: Fields) -> int:
    """The code alone: the text beside it is the server's and goes nowhere."""
    return fields.u32()


def require_kind(wanted: Packet, kind: int, fields: Fields) -> None:
    """Raise StatusError for a refusal and BrokenProtocolError for any other reply than the wanted one."""
    if kind == Packet.STATUS:
        raise StatusError(status_of(fields))
    if kind != wanted:
        raise BrokenProtocolError(f"packet type {kind} instead of {wanted.name}")


def names_of(kind: int, fields: Fields) -> Iterator[tuple[bytes, Attributes]]:
    """One reply's part of a folder; at least one name, so that a listing cannot go on for ever."""
    require_kind(Packet.NAME, kind, fields)
    count = fields.u32()
    if count == 0:
        raise BrokenProtocolError("a list of no names")
    for _ in range(count):
        name = fields.string()
        fields.string()  # the line `ls -l` would print
        yield name, fields.attributes()


def data_of(kind: int, fields: Fields, length: int) -> bytes | None:
    """What a read brought; None at the end of the file."""
    if kind == Packet.STATUS and (code := status_of(fields)) == Status.EOF:
        return None
    if kind == Packet.STATUS:
        raise StatusError(code)
    require_kind(Packet.DATA, kind, fields)
    data = fields.string()
    if not 0 < len(data) <= length:
        raise BrokenProtocolError(f"{len(data)} bytes where at most {length} were asked for")
    return data
