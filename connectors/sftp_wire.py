"""The client side of SFTP over a paramiko channel.

Here: requests, replies and bounded read-ahead. Not here: SSH itself, which paramiko does, and what an answer means.

paramiko's own SFTPClient is not used: one file name that is not UTF-8 ends its listing with UnicodeDecodeError, its
``read`` takes an end-of-file answer in the middle of a file for the end, and its prefetch keeps answers it no longer
needs in memory. Every reply here is checked, counted and timed.
"""

import struct
import time
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from typing import Final

from paramiko import Channel, SSHException

from connectors.sftp_packets import (
    SFTP_VERSION,
    Attributes,
    BrokenProtocolError,
    Fields,
    Packet,
    Status,
    StatusError,
    StreamError,
    data_of,
    names_of,
    packed,
    require_kind,
    status_of,
)
from counterfoil.limits import FETCH_CHUNK_BYTES, MEBIBYTE

READ_BYTES: Final = 32_768
"""One read request. Every server must take it (draft §3); some refuse more."""

READS_OUTSTANDING: Final = 2 * FETCH_CHUNK_BYTES // READ_BYTES
"""64 requests, as OpenSSH's client keeps: 2 MiB, exactly paramiko's channel window, so 100 MB/s at 20 ms."""

CRUMBS_MAX: Final = 64 * READS_OUTSTANDING
"""Pieces held back until the one before them arrives. Servers that answer in 512 bytes stay below; no sane one is."""

LISTS_OUTSTANDING: Final = 8
"""Folder reads under way; OpenSSH answers each with 100 names, so 10,000 names cost 13 round trips, not 100."""

PACKET_BYTES_MAX: Final = 4 * MEBIBYTE
"""A longer reply is refused unread. OpenSSH stops at 256 KiB; some servers put a whole folder in one reply."""

RECEIVE_BYTES: Final = 131_072
"""Asked of the channel at once; larger values measured no faster."""

_OPEN_FOR_READING: Final = 0x1
_OPEN_ANEW: Final = 0x2 | 0x8 | 0x10
"""For writing, made where it is not there, and emptied where it is."""


class SftpWire:
    """One SFTP session. Not for use by two threads. Paths are bytes, as the server knows them.

    Methods raise StatusError, StreamError and BrokenProtocolError, nothing else.
    """

    def __init__(self, channel: Channel, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s
        self._buffer = bytearray()
        self._last_id = 0
        self._outstanding: set[int] = set()
        self._send(bytes([Packet.INIT]) + struct.pack(">I", SFTP_VERSION))
        kind, fields = self._packet()
        if kind != Packet.VERSION or fields.u32() != SFTP_VERSION:
            raise BrokenProtocolError("no common version")

    def attributes(self, path: bytes, *, follow: bool) -> Attributes | None:
        """Of the entry, or with ``follow`` of what a link points to; None where there is none."""
        try:
            return self._attributes(self._request(Packet.STAT if follow else Packet.LSTAT, packed(path)))
        except StatusError as error:
            if error.code == Status.NO_SUCH_FILE:
                return None
            raise

    def handle_attributes(self, handle: bytes) -> Attributes:
        """Of an open file."""
        return self._attributes(self._request(Packet.FSTAT, packed(handle)))

    @contextmanager
    def opened(self, path: bytes) -> Iterator[bytes]:
        """The handle of a file that is open for reading."""
        request = self._request(Packet.OPEN, packed(path), struct.pack(">II", _OPEN_FOR_READING, 0))
        with self._closing(self._handle(request)) as handle:
            yield handle

    def entries(self, path: bytes) -> Generator[tuple[bytes, Attributes]]:
        """Names and attributes of a folder, ``.`` and ``..`` included, as the server orders them.

        Nothing else may be asked before it is closed. The caller limits how many it takes, and every reply holds one.
        """
        with self._closing(self._handle(self._request(Packet.OPENDIR, packed(path)))) as handle:
            under_way: list[int] = []
            while True:
                while len(under_way) < LISTS_OUTSTANDING:
                    under_way.append(self._request(Packet.READDIR, packed(handle)))
                kind, fields = self._reply(under_way.pop(0))
                if kind == Packet.STATUS and status_of(fields) == Status.EOF:
                    return
                yield from names_of(kind, fields)

    def read(self, handle: bytes, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from ``start`` to ``stop`` in order; ends early where the server says the file ends.

        At most ``READS_OUTSTANDING`` requests are under way, and never more bytes in memory than they asked for. The
        remainder of a short answer is asked for again.
        """
        asked: dict[int, tuple[int, int]] = {}
        early: dict[int, bytes] = {}
        at, next_ask, end = start, start, stop
        while at < end:
            while next_ask < end and len(asked) + len(early) < READS_OUTSTANDING:
                length = min(READ_BYTES, end - next_ask)
                asked[self._ask(handle, next_ask, length)] = (next_ask, length)
                next_ask += length
            number, kind, fields = self._any_reply(asked)
            offset, length = asked.pop(number)
            data = data_of(kind, fields, length)
            if data is None:
                end = min(end, offset)
                continue
            if len(data) < length:
                rest = offset + len(data)
                asked[self._ask(handle, rest, length - len(data))] = (rest, length - len(data))
            early[offset] = data
            if len(early) > CRUMBS_MAX:
                raise BrokenProtocolError("answers in crumbs and out of order")
            while at in early:
                chunk = early.pop(at)
                at += len(chunk)
                yield chunk

    def write(self, path: bytes, data: bytes) -> None:
        """Write a file anew; at most ``READS_OUTSTANDING`` pieces wait for their answers."""
        request = self._request(Packet.OPEN, packed(path), struct.pack(">II", _OPEN_ANEW, 0))
        with self._closing(self._handle(request)) as handle:
            under_way: list[int] = []
            for at in range(0, len(data), READ_BYTES):
                if len(under_way) == READS_OUTSTANDING:
                    self._expect_ok(under_way.pop(0))
                piece = packed(data[at : at + READ_BYTES])
                under_way.append(self._request(Packet.WRITE, packed(handle), struct.pack(">Q", at), piece))
            for request in under_way:
                self._expect_ok(request)

    def holds_byte(self, handle: bytes, offset: int) -> bool:
        """Whether a read at ``offset`` brings anything."""
        return data_of(*self._reply(self._ask(handle, offset, 1)), 1) is not None

    def rename(self, old: bytes, new: bytes) -> None:
        """Version 3's own rename, which fails where ``new`` exists (draft §6.5); every server has it."""
        self._expect_ok(self._request(Packet.RENAME, packed(old), packed(new)))

    def remove(self, path: bytes) -> None:
        """Remove a file."""
        self._expect_ok(self._request(Packet.REMOVE, packed(path)))

    def make_folder(self, path: bytes) -> None:
        """Make one folder, with the server's usual rights."""
        self._expect_ok(self._request(Packet.MKDIR, packed(path), struct.pack(">I", 0)))

    def _ask(self, handle: bytes, offset: int, length: int) -> int:
        return self._request(Packet.READ, packed(handle), struct.pack(">QI", offset, length))

    def _request(self, kind: Packet, *fields: bytes) -> int:
        self._last_id = (self._last_id + 1) % 2**32
        self._send(bytes([kind]) + struct.pack(">I", self._last_id) + b"".join(fields))
        self._outstanding.add(self._last_id)
        return self._last_id

    def _reply(self, number: int) -> tuple[int, Fields]:
        _, kind, fields = self._any_reply((number,))
        return kind, fields

    def _any_reply(self, numbers: Collection[int]) -> tuple[int, int, Fields]:
        """The next reply to one of ``numbers``; replies to requests that nobody waits for any more are dropped."""
        while True:
            kind, fields = self._packet()
            number = fields.u32()
            if number not in self._outstanding:
                raise BrokenProtocolError("an answer to nothing that was asked")
            self._outstanding.remove(number)
            if number in numbers:
                return number, kind, fields

    def _attributes(self, request: int) -> Attributes:
        kind, fields = self._reply(request)
        require_kind(Packet.ATTRS, kind, fields)
        return fields.attributes()

    def _handle(self, request: int) -> bytes:
        kind, fields = self._reply(request)
        require_kind(Packet.HANDLE, kind, fields)
        return fields.string()

    @contextmanager
    def _closing(self, handle: bytes) -> Iterator[bytes]:
        """Close the handle afterwards, unless there is no session left to close it on."""
        usable = True
        try:
            yield handle
        except (StreamError, BrokenProtocolError):
            usable = False
            raise
        finally:
            if usable:
                self._expect_ok(self._request(Packet.CLOSE, packed(handle)))

    def _expect_ok(self, request: int) -> None:
        kind, fields = self._reply(request)
        if kind != Packet.STATUS:
            raise BrokenProtocolError(f"packet type {kind} instead of a status")
        code = status_of(fields)
        if code != Status.OK:
            raise StatusError(code)

    def _send(self, packet: bytes) -> None:
        try:
            self._channel.settimeout(self._timeout_s)
            self._channel.sendall(struct.pack(">I", len(packet)) + packet)
        except (OSError, EOFError, SSHException) as error:
            raise StreamError("the connection closed") from error

    def _packet(self) -> tuple[int, Fields]:
        """One whole packet within the time limit, however slowly it drips."""
        deadline = time.monotonic() + self._timeout_s
        self._fill(4, deadline)
        size = int.from_bytes(self._buffer[:4])
        if not 5 <= size <= PACKET_BYTES_MAX:
            raise BrokenProtocolError(f"a packet of {size} bytes")
        self._fill(4 + size, deadline)
        kind, body = self._buffer[4], bytes(self._buffer[5 : 4 + size])
        del self._buffer[: 4 + size]
        return kind, Fields(body)

    def _fill(self, size: int, deadline: float) -> None:
        while len(self._buffer) < size:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise StreamError(f"the server took more than {self._timeout_s:g} s for one answer")
            try:
                self._channel.settimeout(left_s)
                received = self._channel.recv(RECEIVE_BYTES)
            except TimeoutError:
                continue
            except (OSError, EOFError, SSHException) as error:
                raise StreamError("the connection closed") from error
            if not received:
                raise StreamError("the connection closed")
            self._buffer += received
