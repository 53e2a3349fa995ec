"""Who the server is, who we are, and servers that are not quite there: each ends in a log-in or in the right error."""

import base64
import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paramiko import Channel, ServerInterface, Transport
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from connectors.sftp import SftpSource
from connectors.sftp_server import EmbeddedServer
from connectors.ssh_keys import read_private_key
from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError, UsageError
from counterfoil.protocols import RemoteFile
from tests.plugins.servers import KeyPair, OpenSsh

Serve = Callable[..., EmbeddedServer]
SourceTo = Callable[..., SftpSource]

SIZE = 1_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A served folder with one file."""
    root = tmp_path / "served"
    (root / "out").mkdir(parents=True)
    (root / "out" / "a.bin").write_bytes(bytes(SIZE))
    return root


def listed(source: SftpSource) -> RemoteFile:
    [file] = source.listing("out")
    return file


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
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[..., KeyPair]
) -> None:
    server, other = serve(root), new_key("ed25519").line
    error = entering(sftp_to(server, host_keys=[other]))
    assert isinstance(error, PermanentError)
    assert error.code is Code.HOST_KEY_CHANGED
    for part in (fingerprint(other), fingerprint(server.host_key_line), "connections.northstar.sftp.host_keys"):
        assert part in str(error)


def test_two_keys_are_pinned_during_a_rotation(
    serve: Serve, sftp_to: SourceTo, root: Path, tmp_path: Path, new_key: Callable[..., KeyPair]
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
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[..., KeyPair]
) -> None:
    server = serve(root)
    error = entering(sftp_to(server, host_keys=[new_key("rsa").line]))
    assert error.code is Code.HOST_KEY_UNKNOWN
    assert fingerprint(server.host_key_line) in str(error)


def test_nothing_is_sent_before_the_host_key_is_known(
    openssh: OpenSsh, sshd_to: SourceTo, root: Path, new_key: Callable[..., KeyPair]
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
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[..., KeyPair], client_key: KeyPair
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
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[..., KeyPair], kind: str, passphrase: str | None
) -> None:
    key = new_key(kind, passphrase)
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
        self.wait.wait(10)
        return False


@pytest.mark.parametrize(("stalls", "code"), [(False, Code.REMOTE_REFUSED), (True, Code.CONNECTION_LOST)])
def test_a_server_without_file_transfer(
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[..., KeyPair], stalls: bool, code: Code
) -> None:
    host_key, wait = new_key("ed25519"), threading.Event()
    limit_s = 1 if stalls else 20
    if not stalls:
        wait.set()

    def answer(connection: socket.socket) -> None:
        transport = Transport(connection)
        transport.add_server_key(read_private_key(host_key.path, None))
        transport.start_server(event=threading.Event(), server=LetsEverybodyIn(wait))
        transport.join(10)

    started = time.monotonic()
    with one_connection(answer) as port:
        error = entering(sftp_to(serve(root), port=port, host_keys=[host_key.line], connect_timeout_s=limit_s))
        wait.set()
    assert error.code is code
    assert time.monotonic() - started < 8


def test_nothing_of_paramiko_reaches_the_terminal(
    serve: Serve, sftp_to: SourceTo, root: Path, new_key: Callable[..., KeyPair], capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(root)
    entering(sftp_to(server, host_keys=[new_key("rsa").line]))
    entering(sftp_to(server, password="wrong"))
    server.disconnect_all()
    assert capfd.readouterr() == ("", "")
