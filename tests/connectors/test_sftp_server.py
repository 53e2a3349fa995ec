"""The embedded server as clients meet it: OpenSSH's own, paramiko's, and those that try to get out of the folder."""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from paramiko import AuthenticationException, ChannelException, PKey, SFTPClient, SSHException, Transport

from connectors import sftp_server
from connectors.sftp_server import EmbeddedServer
from counterfoil.errors import Code, UsageError
from tests.plugins.servers import KeyPair

Serve = Callable[..., EmbeddedServer]

OUTSIDE = ["../secret.txt", "/../../secret.txt", "out/../../secret.txt", "link.txt", "linked/secret.txt"]
OUTSIDE_FOLDERS = ["linked", "linked/served", "link.txt", "out/../linked"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A served folder with links that lead out of it, and a secret beside it."""
    root = tmp_path / "served"
    (root / "out").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "linked").symlink_to(tmp_path)
    return root


@contextlib.contextmanager
def logged_in(server: EmbeddedServer, user: str = "partner", password: str = "a password") -> Iterator[Transport]:
    with contextlib.closing(Transport((server.host, server.port))) as transport:
        transport.start_client(timeout=5)
        transport.auth_password(user, password)
        yield transport


@contextlib.contextmanager
def client(server: EmbeddedServer) -> Iterator[SFTPClient]:
    with logged_in(server) as transport:
        session = SFTPClient.from_transport(transport)
        assert session is not None
        yield session


def openssh_sftp(
    server: EmbeddedServer, key: KeyPair, tmp_path: Path, *commands: str
) -> subprocess.CompletedProcess[str]:
    """Run OpenSSH's sftp with a batch; it trusts only the server's pinned key."""
    sftp = shutil.which("sftp")
    if sftp is None:
        pytest.skip("OpenSSH's sftp is not installed (package openssh-client)")
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[{server.host}]:{server.port} {server.host_key_line}\n")
    options = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={hosts}", "IdentitiesOnly=yes", "BatchMode=yes"]
    arguments = [argument for option in options for argument in ("-o", option)]
    target = f"partner@{server.host}"
    return subprocess.run(
        [sftp, "-F", "none", *arguments, "-i", str(key.path), "-P", str(server.port), "-b", "-", target],
        input="\n".join(commands) + "\n",
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_opensshs_client_does_all_a_partner_does(serve: Serve, root: Path, tmp_path: Path, client_key: KeyPair) -> None:
    content = os.urandom(2_000_000)
    local = tmp_path / "local.bin"
    local.write_bytes(content)
    os.utime(local, (1_790_000_000, 1_790_000_000))
    server = serve(root, authorized_keys=[client_key.line], password=None)
    done = openssh_sftp(
        server,
        client_key,
        tmp_path,
        "pwd",
        "mkdir in",
        "cd in",
        "pwd",
        f"put -p {local} part.bin",
        "rename part.bin whole.bin",
        "ls -l",
        "chmod 640 whole.bin",
        f"get whole.bin {tmp_path / 'back.bin'}",
        f"put {local} twice.bin",
        f"put {local} twice.bin",
        "rm twice.bin",
        "mkdir empty",
        "rmdir empty",
    )
    assert done.returncode == 0, done.stderr
    assert "Remote working directory: /\n" in done.stdout
    assert "Remote working directory: /in\n" in done.stdout
    assert "2000000" in done.stdout
    assert (tmp_path / "back.bin").read_bytes() == content
    assert [path.name for path in (root / "in").iterdir()] == ["whole.bin"]
    arrived = (root / "in" / "whole.bin").stat()
    assert (stat.S_IMODE(arrived.st_mode), arrived.st_mtime, arrived.st_size) == (0o640, 1_790_000_000, 2_000_000)


def test_opensshs_client_stops_at_another_key(serve: Serve, root: Path, tmp_path: Path, client_key: KeyPair) -> None:
    server = serve(root, authorized_keys=[client_key.line])
    other = serve(root, authorized_keys=[client_key.line], state=tmp_path / "other")
    server.host_key_line = other.host_key_line
    done = openssh_sftp(server, client_key, tmp_path, "pwd")
    assert done.returncode != 0
    assert "Host key verification failed" in done.stderr


def test_no_path_leads_out(serve: Serve, root: Path, tmp_path: Path) -> None:
    def refused(use: Callable[[], object]) -> bool:
        try:
            use()
        except OSError:
            return True
        return False

    with client(serve(root)) as session:
        for path in OUTSIDE:
            assert refused(partial(session.stat, path)), path
            assert refused(partial(session.open, path)), path
            assert refused(partial(session.truncate, path, 0)), path
            assert refused(partial(session.utime, path, (1, 1))), path
            assert refused(partial(session.chmod, path, 0o777)), path
        for folder in OUTSIDE_FOLDERS:
            assert refused(partial(session.listdir, folder)), folder
            assert refused(partial(session.mkdir, f"{folder}/new")), folder
            assert refused(partial(session.rename, f"{folder}/secret.txt", "out/taken.txt")), folder
            assert refused(partial(session.posix_rename, f"{folder}/secret.txt", "out/taken.txt")), folder
            assert refused(partial(session.remove, f"{folder}/secret.txt")), folder
            assert refused(partial(session.open, f"{folder}/new.txt", "w")), folder
        assert refused(partial(session.open, "link.txt", "w"))
        assert refused(partial(session.symlink, "/etc", "out/etc"))
        assert refused(partial(session.readlink, "link.txt"))
        assert refused(partial(session.rmdir, "/"))
        # As in a real root folder, ".." stops at the top, so these stay inside.
        assert session.normalize("../../..") == "/"
        assert sorted(session.listdir("../..")) == ["link.txt", "linked", "out"]
        with session.open("../../new.txt", "w") as file:
            file.write(b"inside")
    assert (root / "new.txt").read_bytes() == b"inside"
    assert (tmp_path / "secret.txt").read_text() == "secret"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt", "served", "server-state"]


def test_moving_a_link_moves_the_link(serve: Serve, root: Path, tmp_path: Path) -> None:
    with client(serve(root)) as session:
        session.posix_rename("link.txt", "out/link.txt")
        session.remove("out/link.txt")
    assert (tmp_path / "secret.txt").read_text() == "secret"


def test_rename_replaces_only_when_asked_to(serve: Serve, root: Path) -> None:
    (root / "out" / "a.txt").write_text("a")
    (root / "out" / "b.txt").write_text("b")
    with client(serve(root)) as session:
        with pytest.raises(OSError, match="Failure"):
            session.rename("out/a.txt", "out/b.txt")
        assert (root / "out" / "b.txt").read_text() == "b"
        session.posix_rename("out/a.txt", "out/b.txt")
        session.rename("out", "moved")
    assert (root / "moved" / "b.txt").read_text() == "a"


def test_shortening_a_file_keeps_its_beginning(serve: Serve, root: Path) -> None:
    (root / "out" / "a.txt").write_text("beginning and end")
    with client(serve(root)) as session:
        session.truncate("out/a.txt", 9)
        with session.open("out/a.txt", "a") as file:
            file.write(b"!")
        with session.open("out/a.txt", "r+") as file:
            file.seek(0)
            file.write(b"B")
        with pytest.raises(PermissionError):
            session.chown("out/a.txt", 0, 0)
    assert (root / "out" / "a.txt").read_text() == "Beginning!"


def test_only_the_known_get_in(serve: Serve, root: Path, new_key: Callable[..., KeyPair], client_key: KeyPair) -> None:
    server = serve(root, authorized_keys=[client_key.line])
    for user, password in (("partner", "wrong"), ("partner", ""), ("somebody", "a password")):
        with pytest.raises(AuthenticationException), logged_in(server, user, password):
            pytest.fail("it let us in")
    with contextlib.closing(Transport((server.host, server.port))) as transport:
        transport.start_client(timeout=5)
        with pytest.raises(AuthenticationException):
            transport.auth_publickey("partner", PKey.from_path(new_key("rsa").path))
        with pytest.raises(AuthenticationException):
            transport.auth_publickey("somebody", PKey.from_path(client_key.path))
        with pytest.raises(SSHException):
            transport.open_session(timeout=5)


def test_files_are_all_there_is(serve: Serve, root: Path) -> None:
    with logged_in(serve(root)) as transport:
        with pytest.raises(SSHException):
            transport.open_session(timeout=5).exec_command("id")
        with pytest.raises(SSHException):
            transport.open_session(timeout=5).invoke_shell()
        with pytest.raises(ChannelException):
            transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 1), timeout=5)


def test_it_listens_on_loopback_alone(serve: Serve, root: Path) -> None:
    port = serve(root).port
    # Another loopback address is this machine too, and not the one that is served.
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port), timeout=1):
        pytest.fail("it listens elsewhere")


def test_the_host_key_is_made_once_and_private(serve: Serve, root: Path, tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    first = serve(root, state=state)
    file = state / "sftp_host_ed25519_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == [file.name]
    assert serve(root, state=state).host_key_line == first.host_key_line
    assert serve(root, state=tmp_path / "another").host_key_line != first.host_key_line


def test_servers_that_start_at_once_agree_on_the_key(serve: Serve, root: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: sftp_server.load_host_key(tmp_path / "state").get_base64(), range(8)))
    assert len(set(keys)) == 1


def test_it_stops_cleanly_and_starts_again_on_its_port(serve: Serve, root: Path) -> None:
    before = threading.active_count()
    server = serve(root)
    port = server.port
    with client(server) as session:
        assert session.listdir("out") == []
        server.stop()
        server.stop()
        with pytest.raises((OSError, SSHException)):
            session.listdir("out")
    with pytest.raises(OSError, match="refused"), socket.create_connection((server.host, port), timeout=1):
        pytest.fail("the port is still open")
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
    server.start()
    assert server.port == port
    with client(server) as session:
        assert session.listdir("out") == []


def test_waiting_ends_when_it_stops(serve: Serve, root: Path) -> None:
    server = serve(root)
    thread = threading.Thread(target=server.wait)
    thread.start()
    assert thread.is_alive()
    server.stop()
    thread.join(2)
    assert not thread.is_alive()


def test_many_clients_at_once_each_get_their_file(serve: Serve, root: Path) -> None:
    contents = {f"{number}.bin": os.urandom(300_000) for number in range(8)}
    for name, content in contents.items():
        (root / "out" / name).write_bytes(content)
    server = serve(root)

    def fetch(name: str) -> bytes:
        with client(server) as session, session.open(f"out/{name}") as file:
            return bytes(file.read())

    with ThreadPoolExecutor(8) as pool:
        assert dict(zip(contents, pool.map(fetch, contents), strict=True)) == contents


def test_one_client_too_many_is_turned_away(serve: Serve, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_server, "CONNECTIONS_MAX", 1)
    server = serve(root)
    with client(server) as session:
        with pytest.raises((SSHException, OSError, EOFError)), logged_in(server):
            pytest.fail("a second one was let in")
        assert session.listdir("out") == []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        # The server notices the first one's end a moment later.
        with contextlib.suppress(SSHException, OSError, EOFError), client(server) as session:
            assert session.listdir("out") == []
            return
    pytest.fail("nobody is let in any more")


@pytest.mark.parametrize(
    "changes",
    [
        {"password": None},
        {"authorized_keys": ["no key"]},
        {"root": Path("/no/such/folder")},
        {"state": Path("/dev/null/state")},
    ],
)
def test_what_cannot_be_served_is_said_at_once(serve: Serve, root: Path, changes: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        serve(**({"root": root} | changes))
    assert caught.value.code is Code.SETTINGS_INVALID


def test_a_host_key_file_that_is_none_is_said_at_once(serve: Serve, root: Path, tmp_path: Path) -> None:
    (tmp_path / "server-state").mkdir()
    (tmp_path / "server-state" / "sftp_host_ed25519_key").write_text("no key")
    with pytest.raises(UsageError) as caught:
        serve(root)
    assert caught.value.code is Code.SETTINGS_INVALID


def test_a_port_in_use_is_said_at_once(serve: Serve, root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        serve(root, port=serve(root).port)
    assert caught.value.code is Code.SETTINGS_INVALID
