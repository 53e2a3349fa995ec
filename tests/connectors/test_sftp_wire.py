"""The SFTP client against a scripted peer: bytes that no real server sends, and order that real ones seldom use."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paramiko import Channel

from connectors.sftp_packets import BrokenProtocolError, Packet, Status, StatusError, StreamError, packed
from connectors.sftp_wire import LISTS_OUTSTANDING, READ_BYTES, READS_OUTSTANDING, SftpWire

VERSION = struct.pack(">IBI", 5, Packet.VERSION, 3)

Script = Callable[["Peer"], None]


class Peer:
    """The server's end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def receive(self, size: int) -> bytes:
        """Less than ``size`` bytes once the client hung up."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while len(data) < size and (more := self.connection.recv(size - len(data))):
                data += more
        return data

    def request(self) -> tuple[int, int, bytes]:
        """Type, id and body of the next request; all zero at the end."""
        head = self.receive(9)
        if len(head) < 9:
            return 0, 0, b""
        size, kind, number = struct.unpack(">IBI", head)
        return kind, number, self.receive(size - 5)

    def answer(self, kind: int, number: int, body: bytes = b"") -> None:
        with contextlib.suppress(OSError):
            self.connection.sendall(struct.pack(">IBI", 5 + len(body), kind, number) + body)

    def status(self, number: int, code: int) -> None:
        self.answer(Packet.STATUS, number, struct.pack(">I", code) + packed(b"\xff text of the server") + packed(b""))


@contextlib.contextmanager
def wire_to(script: Script, *, timeout_s: float = 5, greeting: bytes = VERSION) -> Iterator[SftpWire]:
    """A wire whose peer greets, follows the script and hangs up."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            Peer(theirs).receive(9)
            theirs.sendall(greeting)
            script(Peer(theirs))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield SftpWire(cast("Channel", ours), timeout_s)
    finally:
        ours.close()
        thread.join(5)
        assert not thread.is_alive()


def name_entry(name: bytes) -> bytes:
    return packed(name) + packed(b"a long line") + struct.pack(">I", 0)


def read_requests(peer: Peer, count: int) -> list[tuple[int, int, int]]:
    """Id, offset and length of reads; the handle is one byte long."""
    requests = [peer.request() for _ in range(count)]
    assert {kind for kind, _, _ in requests} == {Packet.READ}
    return [(number, *struct.unpack(">QI", body[5:])) for _, number, body in requests]


@pytest.mark.parametrize(
    "greeting",
    [
        struct.pack(">IBI", 5, Packet.VERSION, 2),
        struct.pack(">IBI", 5, Packet.STATUS, 3),
        struct.pack(">I", 2**31),
        struct.pack(">I", 0),
        struct.pack(">IB", 1, Packet.VERSION),
    ],
)
def test_a_greeting_that_is_none(greeting: bytes) -> None:
    with pytest.raises(BrokenProtocolError), wire_to(lambda peer: None, greeting=greeting):
        pytest.fail("the greeting passed")


def test_a_packet_that_drips_is_given_up() -> None:
    """Each byte comes in time; the whole does not."""

    def drip(peer: Peer) -> None:
        peer.request()
        with contextlib.suppress(OSError):
            for byte in struct.pack(">I", 200) + bytes(200):
                peer.connection.sendall(bytes([byte]))
                time.sleep(0.02)

    started = time.monotonic()
    with wire_to(drip, timeout_s=0.2) as wire, pytest.raises(StreamError):
        wire.attributes(b"x", follow=False)
    assert time.monotonic() - started < 3


def test_answers_in_any_order_come_out_in_order() -> None:
    content = bytes(range(256)) * 2_000
    whole, rest = divmod(len(content), READ_BYTES)

    def backwards(peer: Peer) -> None:
        for number, offset, length in reversed(read_requests(peer, whole + bool(rest))):
            peer.answer(Packet.DATA, number, packed(content[offset : offset + length]))

    with wire_to(backwards) as wire:
        assert b"".join(wire.read(b"h", 0, len(content))) == content


def test_read_ahead_is_bounded() -> None:
    """Nothing more is asked while the first answer is missing."""
    most = []

    def withhold(peer: Peer) -> None:
        requests = read_requests(peer, READS_OUTSTANDING)
        for number, _, length in requests[1:]:
            peer.answer(Packet.DATA, number, packed(bytes(length)))
        peer.connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            most.append(peer.receive(1))

    with wire_to(withhold, timeout_s=0.5) as wire, pytest.raises(StreamError):
        list(wire.read(b"h", 0, 100 * READS_OUTSTANDING * READ_BYTES))
    assert most == []


def test_an_early_end_of_file_ends_the_bytes() -> None:
    def end(peer: Peer) -> None:
        for number, offset, length in read_requests(peer, 4):
            if offset < 2 * READ_BYTES:
                peer.answer(Packet.DATA, number, packed(bytes(length)))
            else:
                peer.status(number, Status.EOF)

    with wire_to(end) as wire:
        assert b"".join(wire.read(b"h", 0, 4 * READ_BYTES)) == bytes(2 * READ_BYTES)


@pytest.mark.parametrize("data", [b"", bytes(READ_BYTES + 1)], ids=["nothing", "more than asked"])
def test_data_of_a_wrong_length(data: bytes) -> None:
    def answer(peer: Peer) -> None:
        [(number, _, _)] = read_requests(peer, 1)
        peer.answer(Packet.DATA, number, packed(data))

    with wire_to(answer) as wire, pytest.raises(BrokenProtocolError):
        list(wire.read(b"h", 0, READ_BYTES))


def test_crumbs_out_of_order_fill_no_memory() -> None:
    """Each request but the first is answered by single bytes."""

    def crumbs(peer: Peer) -> None:
        while True:
            kind, number, body = peer.request()
            if kind != Packet.READ:
                return
            if struct.unpack(">QI", body[5:])[0] > 0:
                peer.answer(Packet.DATA, number, packed(b"x"))

    with wire_to(crumbs) as wire, pytest.raises(BrokenProtocolError, match="crumbs"):
        list(wire.read(b"h", 0, 10 * READS_OUTSTANDING * READ_BYTES))


def test_an_answer_to_nothing() -> None:
    def answer(peer: Peer) -> None:
        peer.answer(Packet.ATTRS, peer.request()[1] + 1, struct.pack(">I", 0))

    with wire_to(answer) as wire, pytest.raises(BrokenProtocolError, match="nothing that was asked"):
        wire.attributes(b"x", follow=True)


def test_answers_that_nobody_waits_for_any_more_are_dropped() -> None:
    def answer(peer: Peer) -> None:
        reads = read_requests(peer, 3)
        peer.answer(Packet.DATA, reads[0][0], packed(bytes(READ_BYTES)))
        _, number, _ = peer.request()
        for late, _, length in reads[1:]:
            peer.answer(Packet.DATA, late, packed(bytes(length)))
        peer.answer(Packet.ATTRS, number, struct.pack(">IQ", 1, 77))

    with wire_to(answer) as wire:
        assert next(wire.read(b"h", 0, 3 * READ_BYTES)) == bytes(READ_BYTES)
        assert wire.handle_attributes(b"h").size == 77


def folder_of(reply: Callable[[Peer, int], None]) -> Script:
    """A folder whose every READDIR is answered by ``reply``."""

    def script(peer: Peer) -> None:
        while True:
            kind, number, _ = peer.request()
            if kind == Packet.OPENDIR:
                peer.answer(Packet.HANDLE, number, packed(b"h"))
            elif kind == Packet.READDIR:
                reply(peer, number)
            elif kind == Packet.CLOSE:
                peer.status(number, Status.OK)
            else:
                return

    return script


@pytest.mark.parametrize(
    "names",
    [
        struct.pack(">I", 0),
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 2) + name_entry(b"a"),
        struct.pack(">I", 1) + struct.pack(">I", 2**32 - 1) + b"a",
        struct.pack(">I", 1) + packed(b"a") + packed(b"") + struct.pack(">II", 0x8000_0000, 2**32 - 1),
        b"",
    ],
)
def test_lists_of_names_that_do_not_add_up(names: bytes) -> None:
    with (
        wire_to(folder_of(lambda peer, number: peer.answer(Packet.NAME, number, names))) as wire,
        pytest.raises(BrokenProtocolError),
    ):
        list(wire.entries(b"x"))


def test_a_folder_without_end_is_left_when_the_caller_has_enough() -> None:
    endless = struct.pack(">I", 2) + name_entry(b"\xff") + name_entry(b"b")
    with wire_to(folder_of(lambda peer, number: peer.answer(Packet.NAME, number, endless))) as wire:
        with contextlib.closing(wire.entries(b"x")) as entries:
            taken = [next(entries)[0] for _ in range(1_001)]
        assert taken[:3] == [b"\xff", b"b", b"\xff"]
        with contextlib.closing(wire.entries(b"x")) as entries:
            assert next(entries)[0] == b"\xff"


def test_a_drop_in_mid_listing_is_no_end_of_it() -> None:
    """paramiko's own iterator takes the connection's end for the folder's."""

    def one_page(peer: Peer) -> None:
        peer.answer(Packet.HANDLE, peer.request()[1], packed(b"h"))
        numbers = [peer.request()[1] for _ in range(LISTS_OUTSTANDING)]
        peer.answer(Packet.NAME, numbers[0], struct.pack(">I", 1) + name_entry(b"a"))

    with wire_to(one_page) as wire, contextlib.closing(wire.entries(b"x")) as entries:
        assert next(entries)[0] == b"a"
        with pytest.raises(StreamError):
            next(entries)


def test_a_refusal_keeps_the_servers_words_out() -> None:
    for code, name in ((3, "PERMISSION_DENIED"), (4, "FAILURE"), (11, "status 11")):
        with (
            wire_to(lambda peer, code=code: peer.status(peer.request()[1], code)) as wire,  # type: ignore[misc]
            pytest.raises(StatusError) as caught,
        ):
            wire.remove(b"x")
        assert (caught.value.name, str(caught.value)) == (name, str(code))


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 5))
def test_noise_ends_in_an_error_of_ours(noise: bytes, use: int) -> None:
    """Whatever comes after the greeting: an answer or one of three errors, at once."""

    def answer(peer: Peer) -> None:
        peer.request()
        with contextlib.suppress(OSError):
            peer.connection.sendall(noise)

    uses: list[Callable[[SftpWire], object]] = [
        lambda wire: wire.attributes(b"x", follow=True),
        lambda wire: wire.handle_attributes(b"h"),
        lambda wire: list(wire.entries(b"x")),
        lambda wire: list(wire.read(b"h", 0, 1_000)),
        lambda wire: wire.remove(b"x"),
        lambda wire: wire.holds_byte(b"h", 7),
    ]
    with wire_to(answer) as wire, contextlib.suppress(StatusError, StreamError, BrokenProtocolError):
        uses[use](wire)


@settings(deadline=None)
@given(
    st.sampled_from([Packet.STATUS, Packet.HANDLE, Packet.DATA, Packet.NAME, Packet.ATTRS]),
    st.binary(max_size=60),
    st.integers(0, 5),
)
def test_well_addressed_noise_does_too(kind: Packet, body: bytes, use: int) -> None:
    def answer(peer: Peer) -> None:
        while True:
            asked, number, _ = peer.request()
            if not asked:
                return
            peer.answer(kind, number, body)

    uses: list[Callable[[SftpWire], object]] = [
        lambda wire: wire.attributes(b"x", follow=True),
        lambda wire: wire.handle_attributes(b"h"),
        lambda wire: [next(wire.entries(b"x"), None) for _ in range(3)],
        lambda wire: list(wire.read(b"h", 0, 1_000)),
        lambda wire: wire.make_folder(b"x"),
        lambda wire: wire.holds_byte(b"h", 7),
    ]
    with wire_to(answer) as wire, contextlib.suppress(StatusError, StreamError, BrokenProtocolError):
        uses[use](wire)
