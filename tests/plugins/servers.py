"""SFTP servers for every suite that wants one: the embedded one, and OpenSSH's own where it is installed.

Here: starting and stopping them without changing the system. Not here: what is tested against them.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from connectors.sftp_server import EmbeddedServer

START_TIMEOUT_S = 10.0

MAKERS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


@dataclass(frozen=True)
class KeyPair:
    """A private key file (mode 600) and its public key line."""

    path: Path
    line: str


@dataclass(frozen=True)
class OpenSsh:
    """A running ``sshd``; every absolute path of this machine can be reached over it as ``user`` with ``key``."""

    host: str
    port: int
    user: str
    key: KeyPair
    host_keys: dict[str, KeyPair]
    log: Path


def make_key(path: Path, kind: str, passphrase: str | None = None) -> KeyPair:
    """One round of key derivation: these keys guard nothing."""
    key = MAKERS[kind]()
    sealing: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        sealing = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1).build(passphrase.encode())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, sealing))
    path.chmod(0o600)
    return KeyPair(path, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


@pytest.fixture(scope="session")
def new_key(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., KeyPair]:
    """``new_key(kind, passphrase=None)``: a new key pair of a kind (ed25519, ecdsa, rsa)."""

    def new(kind: str, passphrase: str | None = None) -> KeyPair:
        return make_key(tmp_path_factory.mktemp("keys") / f"id_{kind}", kind, passphrase)

    return new


@pytest.fixture(scope="session")
def client_key(new_key: Callable[..., KeyPair]) -> KeyPair:
    """One key pair to log in with."""
    return new_key("ed25519")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., EmbeddedServer]]:
    """``serve(root, **options)`` starts an embedded server (or a subclass, ``server=``) that ends with the test."""
    with contextlib.ExitStack() as stack:

        def start(root: Path, server: type[EmbeddedServer] = EmbeddedServer, **options: Any) -> EmbeddedServer:
            usual: dict[str, Any] = {"state": tmp_path / "server-state", "user": "partner", "password": "a password"}
            return stack.enter_context(server(root=root, **(usual | options)))

        yield start


@pytest.fixture(scope="session")
def openssh(tmp_path_factory: pytest.TempPathFactory, client_key: KeyPair) -> Iterator[OpenSsh]:
    """OpenSSH's server on a high loopback port with its own configuration and host keys; skipped where it is absent."""
    folder = tmp_path_factory.mktemp("sshd")
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if sshd is None:
        pytest.skip("OpenSSH's sshd is not installed (package openssh-server)")
    host_keys = {kind: make_key(folder / f"host_{kind}", kind) for kind in MAKERS}
    authorized = folder / "authorized_keys"
    authorized.write_text(client_key.line + "\n")
    port = free_port()
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nPidFile none\nLogLevel DEBUG1\n"
        + "".join(f"HostKey {pair.path}\n" for pair in host_keys.values())
        + f"AuthorizedKeysFile {authorized}\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
    )
    log = folder / "sshd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(sshd_command(sshd, config), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_for_port(process, port, log)
            user = pwd.getpwuid(os.getuid()).pw_name
            yield OpenSsh("127.0.0.1", port, user, client_key, host_keys, log)
        finally:
            process.terminate()
            process.wait()


def sshd_command(sshd: str, config: Path) -> list[str]:
    """As root, sshd insists on /run/sshd, which only a started service makes: one in a mount namespace will do."""
    command = [sshd, "-D", "-e", "-f", str(config)]
    if os.geteuid() != 0 or Path("/run/sshd").is_dir():
        return command
    if shutil.which("unshare") is None:
        pytest.skip("as root, sshd needs the folder /run/sshd, or `unshare` to make one that nobody else sees")
    private = 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 /run/sshd && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", private, "sshd", *command]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.skip(f"sshd cannot start here: {log.read_text().strip()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    pytest.fail(f"sshd did not listen within {START_TIMEOUT_S:g} s: {log.read_text()}")
