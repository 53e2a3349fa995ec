"""Servers that drop, stall, cut, grow and lie: none ends in bytes that differ from the source."""

import contextlib
import io
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paramiko import SFTPAttributes, SFTPHandle
from paramiko.sftp import SFTP_FAILURE

from connectors.sftp import SftpSource
from connectors.sftp_folder import ServedFile, ServedFolder
from connectors.sftp_server import EmbeddedServer
from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError
from counterfoil.protocols import RemoteFile

Serve = Callable[..., EmbeddedServer]
SourceTo = Callable[..., SftpSource]

SIZE = 3_000_000
CONTENT = random.Random(20261120).randbytes(SIZE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A served folder with one file of three megabytes."""
    root = tmp_path / "served"
    (root / "out").mkdir(parents=True)
    (root / "out" / "a.bin").write_bytes(CONTENT)
    return root


def serving(
    file_class: type[ServedFile] = ServedFile, folder_class: type[ServedFolder] = ServedFolder
) -> type[EmbeddedServer]:
    """An embedded server whose files, or folders, behave otherwise."""

    class Folder(folder_class):  # type: ignore[misc, valid-type]
        def opened_file(self, fd: int, *, append: bool) -> SFTPHandle:
            return file_class(fd, append=append)

    class Server(EmbeddedServer):
        pass

    Server.folder_class = Folder
    return Server


def listed(source: SftpSource) -> RemoteFile:
    [file] = source.listing("out")
    return file


def error_of(source: SftpSource, *, offset: int = 0, into: io.BytesIO | None = None) -> CounterfoilError:
    """The error of fetching the one file there is."""
    with source, pytest.raises(CounterfoilError) as caught:
        source.fetch(listed(source), into or io.BytesIO(), offset)
    return caught.value


def test_a_drop_in_mid_file_is_resumed_to_the_same_bytes(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    running: list[EmbeddedServer] = []

    class Dropping(ServedFile):
        given = 0

        def read(self, offset: int, length: int) -> bytes | int:
            left, self.given = 700_000 - self.given, self.given + length
            if 0 < left <= length:
                running[0].disconnect_all()
            return super().read(offset, length)

    running.append(serve(root, serving(Dropping)))
    source, into, drops = sftp_to(running[0]), io.BytesIO(), 0
    # A drop may swallow what was under way, so that some attempts bring nothing new.
    while into.tell() < SIZE and drops < 100:
        with contextlib.suppress(TransientError), source:
            source.fetch(listed(source), into, into.tell())
        assert into.getvalue() == CONTENT[: into.tell()]
        drops += 1
    assert drops > 3
    assert into.getvalue() == CONTENT


def test_bytes_that_are_all_here_are_still_checked(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    """A drop after the last byte: the next fetch has nothing to fetch, and proves that nothing is missing."""
    into = io.BytesIO()
    with sftp_to(serve(root)) as source:
        file = listed(source)
        source.fetch(file, into, SIZE)
        (root / "out" / "a.bin").write_bytes(CONTENT + b"more")
        with pytest.raises(TransientError) as caught:
            source.fetch(file, into, SIZE)
    assert caught.value.code is Code.FILE_MOVED
    assert into.getvalue() == b""


def test_a_stalled_server_is_given_up(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    go_on = threading.Event()

    class Stalling(ServedFile):
        def read(self, offset: int, length: int) -> bytes | int:
            if offset > 1_000_000:
                go_on.wait(10)
            return super().read(offset, length)

    into = io.BytesIO()
    error = error_of(sftp_to(serve(root, serving(Stalling)), read_timeout_s=1), into=into)
    go_on.set()
    assert isinstance(error, TransientError)
    assert error.code is Code.CONNECTION_LOST
    assert into.getvalue() == CONTENT[: into.tell()]
    assert 0 < into.tell() < SIZE


def test_a_file_cut_during_the_fetch_is_not_taken(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    class Cutting(ServedFile):
        def read(self, offset: int, length: int) -> bytes | int:
            if offset > 1_000_000:
                os.truncate(root / "out" / "a.bin", 1_000_000)
            return super().read(offset, length)

    error = error_of(sftp_to(serve(root, serving(Cutting))))
    assert isinstance(error, TransientError)
    assert error.code is Code.FILE_CUT_SHORT


def test_a_file_cut_and_filled_up_again_is_not_taken(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    """Every byte count agrees; the time tells."""
    os.utime(root / "out" / "a.bin", (1_790_000_000, 1_790_000_000))

    class Rewriting(ServedFile):
        def read(self, offset: int, length: int) -> bytes | int:
            if offset == 0:
                (root / "out" / "a.bin").write_bytes(CONTENT[::-1])
            return super().read(offset, length)

    error = error_of(sftp_to(serve(root, serving(Rewriting))))
    assert error.code is Code.FILE_MOVED


def test_a_file_that_grows_during_the_fetch_is_not_taken(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    class Growing(ServedFile):
        def read(self, offset: int, length: int) -> bytes | int:
            with (root / "out" / "a.bin").open("ab") as file:
                file.write(b"more")
            return super().read(offset, length)

    into = io.BytesIO()
    error = error_of(sftp_to(serve(root, serving(Growing))), into=into)
    assert isinstance(error, TransientError)
    assert error.code is Code.FILE_MOVED
    assert into.tell() == SIZE


@pytest.mark.parametrize("everywhere", [True, False], ids=["everywhere", "in listings only"])
@pytest.mark.parametrize("lie", [-1, 1, -SIZE, 2**63], ids=["one less", "one more", "none", "beyond 63 bits"])
def test_a_server_that_lies_about_sizes_gets_nothing_taken(
    serve: Serve, sftp_to: SourceTo, root: Path, lie: int, everywhere: bool
) -> None:
    def lying(found: Any) -> Any:
        if isinstance(found, SFTPAttributes) and found.st_size == SIZE:
            found.st_size += lie
        return found

    class File(ServedFile):
        def stat(self) -> SFTPAttributes | int:
            return lying(super().stat()) if everywhere else super().stat()

    class Folder(ServedFolder):
        def list_folder(self, path: str) -> list[SFTPAttributes] | int:
            found = super().list_folder(path)
            return [lying(entry) for entry in found] if isinstance(found, list) else found

    error = error_of(sftp_to(serve(root, serving(File, Folder))))
    assert isinstance(error, TransientError)
    assert error.code in {Code.FILE_MOVED, Code.FILE_CUT_SHORT}


@pytest.mark.parametrize("ignores", ["the offset of the first read", "every offset"])
def test_a_server_that_ignores_offsets_gets_no_resumption(
    serve: Serve, sftp_to: SourceTo, root: Path, ignores: str
) -> None:
    class Ignoring(ServedFile):
        at = 0

        def read(self, offset: int, length: int) -> bytes | int:
            data = super().read(0 if ignores == "every offset" else self.at, length)
            self.at += len(data) if isinstance(data, bytes) else 0
            return data

    into = io.BytesIO(CONTENT[:1_000_000])
    into.seek(0, io.SEEK_END)
    error = error_of(sftp_to(serve(root, serving(Ignoring))), offset=1_000_000, into=into)
    assert isinstance(error, TransientError)
    assert error.code is Code.FILE_MOVED


def test_short_answers_are_asked_for_again(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    class Short(ServedFile):
        def read(self, offset: int, length: int) -> bytes | int:
            return super().read(offset, min(length, 1 + offset % 7_001))

    into = io.BytesIO()
    with sftp_to(serve(root, serving(Short))) as source:
        source.fetch(listed(source), into, 0)
    assert into.getvalue() == CONTENT


def test_an_error_in_the_middle_is_not_the_end(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    class Failing(ServedFile):
        def read(self, offset: int, length: int) -> bytes | int:
            return SFTP_FAILURE if offset > 1_000_000 else super().read(offset, length)

    source = sftp_to(serve(root, serving(Failing)))
    error = error_of(source)
    assert isinstance(error, PermanentError)
    assert error.code is Code.REMOTE_REFUSED


def test_names_that_only_a_liar_sends_are_listed_and_never_used(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    names = ["../../etc/x", "/etc/x", "a\nb", "..", "", "x" * 300, "a.bin"]

    class Folder(ServedFolder):
        def list_folder(self, path: str) -> list[SFTPAttributes] | int:
            return [SFTPAttributes.from_stat(os.stat(root / "out" / "a.bin"), name) for name in names]

    with sftp_to(serve(root, serving(folder_class=Folder))) as source:
        listing = source.listing("out")
        assert [file.name for file in listing] == sorted(names)
        for file in listing[:-1]:
            if file.name != "a.bin":
                with pytest.raises(PermanentError) as caught:
                    source.fetch(file, io.BytesIO(), 0)
                assert caught.value.code is Code.NAME_UNSAFE


def test_a_server_that_tells_little_in_listings_is_asked_again(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    (root / "out" / "deep").mkdir()

    class Folder(ServedFolder):
        def list_folder(self, path: str) -> list[SFTPAttributes] | int:
            found = super().list_folder(path)
            for entry in found if isinstance(found, list) else []:
                entry.st_mode = entry.st_size = entry.st_mtime = None
            return found

    into = io.BytesIO()
    with sftp_to(serve(root, serving(folder_class=Folder))) as source:
        source.fetch(listed(source), into, 0)
    assert into.getvalue() == CONTENT
