"""Servers that are wrong, lie, stall, drop or are not who they should be: each ends in the right error, none in bytes
that differ from the source."""

import base64
import contextlib
import hashlib
import io
import os
import random
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paramiko import Channel, ServerInterface, SFTPAttributes, SFTPHandle, Transport
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.sftp import SFTP_FAILURE

from connectors.sftp import SftpSource
from connectors.sftp_folder import ServedFile, ServedFolder
from connectors.sftp_server import EmbeddedServer
from connectors.ssh_keys import read_private_key
from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError, UsageError
from counterfoil.protocols import RemoteFile
from tests.plugins.servers import KeyPair, OpenSsh

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


def fingerprint(line: str) -> str:
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def entering(source: SftpSource) -> CounterfoilError:
    with pytest.raises(CounterfoilError) as caught, source:
        pytest.fail("the source let us in")
    return caught.value


# Who the server is


def test_an_unknown_host_key_is_shown_and_not_trusted(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    server = serve(root)
    error = entering(sftp_to(server, host_keys=[]))
    assert isinstance(error, PermanentError)
    assert error.code is Code.HOST_KEY_UNKNOWN
    for part in (fingerprint(server.host_key_line), "connections.northstar.sftp.host_keys", server.host_key_line):
        assert part in str(error)
    with sftp_to(server, host_keys=[server.host_key_line + " a comment"]) as source:
        assert listed(source).size == SIZE


def test_a_changed_host_key_is_refused(
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[[str], KeyPair]
) -> None:
    server, other = serve(root), new_key("ed25519").line
    error = entering(sftp_to(server, host_keys=[other]))
    assert isinstance(error, PermanentError)
    assert error.code is Code.HOST_KEY_CHANGED
    for part in (fingerprint(other), fingerprint(server.host_key_line), "connections.northstar.sftp.host_keys"):
        assert part in str(error)


def test_two_keys_are_pinned_during_a_rotation(
    serve: Serve, sftp_to: SourceTo, root: Path, tmp_path: Path, new_key: Callable[[str], KeyPair]
) -> None:
    before, after = serve(root, state=tmp_path / "before"), serve(root, state=tmp_path / "after")
    assert before.host_key_line != after.host_key_line
    pins = [before.host_key_line, after.host_key_line]
    for server in (before, after):
        with sftp_to(server, host_keys=pins) as source:
            assert listed(source).size == SIZE
    error = entering(sftp_to(before, host_keys=[after.host_key_line, new_key("rsa").line]))
    assert error.code is Code.HOST_KEY_CHANGED


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_each_pinned_type_is_asked_for_of_a_server_with_several(
    openssh: OpenSsh, sshd_to: SourceTo, root: Path, kind: str
) -> None:
    with sshd_to(openssh, root, host_keys=[openssh.host_keys[kind].line]) as source:
        assert listed(source).size == SIZE


def test_a_server_without_a_key_of_the_pinned_type(
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[[str], KeyPair]
) -> None:
    server = serve(root)
    error = entering(sftp_to(server, host_keys=[new_key("rsa").line]))
    assert error.code is Code.HOST_KEY_UNKNOWN
    assert fingerprint(server.host_key_line) in str(error)


def test_nothing_is_sent_before_the_host_key_is_known(
    openssh: OpenSsh, sshd_to: SourceTo, root: Path, new_key: Callable[[str], KeyPair]
) -> None:
    def attempts() -> int:
        return openssh.log.read_text(errors="replace").count("userauth-request for user")

    before = attempts()
    with sshd_to(openssh, root):
        one_log_in = attempts() - before
    assert one_log_in > 0
    assert entering(sshd_to(openssh, root, host_keys=[new_key("ed25519").line])).code is Code.HOST_KEY_CHANGED
    assert entering(sshd_to(openssh, root, host_keys=[])).code is Code.HOST_KEY_UNKNOWN
    with sshd_to(openssh, root):
        assert attempts() - before == 2 * one_log_in


@pytest.mark.parametrize(
    "lines",
    [
        ["ssh-ed25519"],
        ["ssh-ed25519 %%%"],
        ["ssh-ed25519 AAAA"],
        ["ssh-dss AAAAB3NzaC1kc3MAAACB"],
        ["ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIN0FrOyL1B4gp/k7N8/vf4Xg/CRzNFKNSMpjq7yeqSu4"],
        ["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"],
        [""],
        ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN0FrOyL1B4gp/k7N8/vf4Xg/CRzNFKNSMpjq7yeqSu4"] * 3,
    ],
)
def test_a_pin_that_is_no_key_is_a_wrong_setting(serve: Serve, sftp_to: SourceTo, root: Path, lines: list[str]) -> None:
    error = entering(sftp_to(serve(root), host_keys=lines))
    assert isinstance(error, UsageError)
    assert error.code is Code.SETTINGS_INVALID
    assert "connections.northstar.sftp.host_keys" in str(error)


# Who we are


def test_a_wrong_secret_is_permanent_and_stays_secret(
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[[str], KeyPair], client_key: KeyPair
) -> None:
    canary = "canary-8s7d6f"
    both = serve(root, authorized_keys=[client_key.line])
    keys_only = serve(root, authorized_keys=[client_key.line], password=None)
    cases = {
        "wrong password": sftp_to(both, password=canary),
        "wrong user": sftp_to(both, user="somebody"),
        "wrong key": sftp_to(both, password=None, key_file=new_key("ed25519").path),
        "no passwords here": sftp_to(keys_only, password=canary),
    }
    for case, source in cases.items():
        error = entering(source)
        assert isinstance(error, PermanentError), case
        assert error.code is Code.LOGIN_REFUSED, case
        causes = f"{error!r} {error.__cause__!r} {source!r} {vars(source)!r}"
        assert canary not in causes, case
    assert "only 'publickey'" in str(entering(cases["no passwords here"]))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("passphrase", [None, "pässphrase"])
def test_every_kind_of_key_logs_in(
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[[str], KeyPair], kind: str, passphrase: str | None
) -> None:
    key = new_key(kind)
    if passphrase:
        command = ["ssh-keygen", "-q", "-p", "-a", "1", "-P", "", "-N", passphrase, "-f", str(key.path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    server = serve(root, authorized_keys=[key.line])
    with sftp_to(server, password=passphrase, key_file=key.path) as source:
        assert listed(source).size == SIZE


def test_a_secret_that_cannot_be_used_is_named_before_any_connection(
    tmp_path: Path, serve: Serve, sftp_to: SourceTo, root: Path, client_key: KeyPair
) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\xff\x00 no key")
    cut = tmp_path / "cut"
    cut.write_bytes(client_key.path.read_bytes()[:200])
    server = serve(root)
    server.stop()
    for changes in (
        {"password": None},
        {"password": None, "key_file": tmp_path / "nowhere"},
        {"password": None, "key_file": garbage},
        {"password": None, "key_file": cut},
        {"password": "no passphrase is needed", "key_file": client_key.path},
    ):
        error = entering(sftp_to(server, **changes))
        assert isinstance(error, PermanentError)
        assert error.code is Code.SECRET_MISSING


# Servers that are not there, or not quite


@contextlib.contextmanager
def one_connection(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port on which ``answer`` deals with the first connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)
        assert not thread.is_alive()


def test_a_server_that_is_not_there_is_transient(serve: Serve, sftp_to: SourceTo, root: Path) -> None:
    server = serve(root)
    gone = sftp_to(server)
    server.stop()
    nowhere = sftp_to(server, host="no-such-host.example")
    for source in (gone, nowhere):
        error = entering(source)
        assert isinstance(error, TransientError)
        assert error.code is Code.CONNECTION_LOST


@pytest.mark.parametrize(
    "greeting", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"SSH-2.0-x\r\n" + b"\xff" * 5000]
)
def test_a_server_that_speaks_no_ssh_is_given_up(
    serve: Serve, sftp_to: SourceTo, root: Path, greeting: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    done = threading.Event()

    def answer(connection: socket.socket) -> None:
        if greeting is not None:
            connection.sendall(greeting)
        if greeting != b"":
            done.wait(5)

    server = serve(root)
    with one_connection(answer) as port:
        error = entering(sftp_to(server, port=port, connect_timeout_s=0.3))
        done.set()
    assert isinstance(error, TransientError)
    assert error.code is Code.CONNECTION_LOST
    assert capfd.readouterr() == ("", "")


class LetsEverybodyIn(ServerInterface):
    """Logs anybody in, opens any channel, and answers a request for SFTP as told, after a wait."""

    def __init__(self, wait: threading.Event) -> None:
        self.wait = wait

    def check_auth_password(self, username: str, password: str) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: Channel, name: str) -> bool:
        self.wait.wait(5)
        return False


@pytest.mark.parametrize(("stalls", "code"), [(False, Code.REMOTE_REFUSED), (True, Code.CONNECTION_LOST)])
def test_a_server_without_file_transfer(
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[[str], KeyPair], stalls: bool, code: Code
) -> None:
    host_key, wait = new_key("ed25519"), threading.Event()
    limit_s = 1 if stalls else 20
    if not stalls:
        wait.set()

    def answer(connection: socket.socket) -> None:
        transport = Transport(connection)
        transport.add_server_key(read_private_key(host_key.path, None))
        transport.start_server(event=threading.Event(), server=LetsEverybodyIn(wait))
        transport.join(5)

    with one_connection(answer) as port:
        error = entering(sftp_to(serve(root), port=port, host_keys=[host_key.line], connect_timeout_s=limit_s))
        wait.set()
    assert error.code is code


# Fetching from servers that drop, stall, cut, grow, lie


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


def test_nothing_of_paramiko_reaches_the_terminal(
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[[str], KeyPair], capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(root)
    entering(sftp_to(server, host_keys=[new_key("rsa").line]))
    entering(sftp_to(server, password="wrong"))
    server.disconnect_all()
    assert capfd.readouterr() == ("", "")
