"""An SFTP server of our own, for the demo, for trying a feed out and for tests: loopback only, confined to one folder.

Here: the port, its connections, who may log in, and the host key. Not here: what a session may do, which is
``sftp_folder``'s, or anything that a server on a network would need.
"""

import contextlib
import hmac
import os
import socket
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko import PKey, ServerInterface, SFTPServer, Transport
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, OPEN_SUCCEEDED

from connectors import confined
from connectors.sftp_folder import ServedFolder
from connectors.ssh import disconnect, hush
from connectors.ssh_keys import parse_public_key, public_key_line, read_private_key
from counterfoil.errors import Code, UsageError

LOOPBACK: Final = "127.0.0.1"

CONNECTIONS_MAX: Final = 64
"""Open at once; a further one is closed unanswered. The demo needs one, the fullest test a dozen."""

ACCEPT_WAIT_S: Final = 0.1
"""How soon the accepting thread notices that the server stops."""

HOST_KEY_NAME: Final = "sftp_host_ed25519_key"


class EmbeddedServer:
    """Serves ``root`` on 127.0.0.1; use as a context manager, or ``start`` and ``stop``.

    ``state`` holds the host key (Ed25519, mode 600, made at the first start and kept). ``user`` logs in with
    ``password`` or with one of ``authorized_keys`` (OpenSSH public key lines). ``port`` 0 takes a free one; ``port``
    and ``host_key_line`` are known once started. Raises SETTINGS_INVALID (usage) where no log-in is possible, a key
    line cannot be read, or root or port cannot be opened.
    """

    host: Final = LOOPBACK
    folder_class: ClassVar[type[ServedFolder]] = ServedFolder

    def __init__(
        self,
        *,
        root: Path,
        state: Path,
        user: str,
        password: str | None = None,
        authorized_keys: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        if password is None and not authorized_keys:
            raise _unusable("neither a password nor an authorised key is given")
        try:
            self._keys = tuple(parse_public_key(line) for line in authorized_keys)
        except ValueError as error:
            raise _unusable("an authorised key is not an OpenSSH public key line") from error
        self._root_path = root
        self._state = state
        self._user = user
        self._password = password
        self._lock = threading.Lock()
        self._transports: list[Transport] = []
        self._stopping = threading.Event()
        self._stack = contextlib.ExitStack()
        self.port = port
        self.host_key_line = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Open root, key and port, and serve from threads of our own until ``stop``."""
        with contextlib.ExitStack() as stack:
            try:
                self._root = confined.open_root(self._root_path)
                stack.callback(os.close, self._root)
                self._host_key = load_host_key(self._state)
                listener = stack.enter_context(socket.create_server((LOOPBACK, self.port)))
            except (OSError, ValueError) as error:
                raise _unusable(f"folder, host key or port cannot be opened ({type(error).__name__})") from error
            listener.settimeout(ACCEPT_WAIT_S)
            self.port = listener.getsockname()[1]
            self.host_key_line = public_key_line(self._host_key)
            self._stopping.clear()
            thread = threading.Thread(target=self._accept, args=(listener,), name="sftp-accept", daemon=True)
            thread.start()
            stack.callback(self.disconnect_all)
            stack.callback(thread.join)
            stack.callback(_wake, listener)
            stack.callback(self._stopping.set)
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """End every connection and free the port; a second call does nothing."""
        self._stack.close()

    def wait(self) -> None:
        """Block until another thread or a signal handler calls ``stop``, or KeyboardInterrupt."""
        self._stopping.wait()

    def disconnect_all(self) -> None:
        """Drop every connection, as a server that goes away does."""
        with self._lock:
            transports, self._transports = self._transports, []
        for transport in transports:
            disconnect(transport)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                # The server stops, the client is gone again, or the process has no descriptor left for now.
                self._stopping.wait(ACCEPT_WAIT_S)
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._transports = [transport for transport in self._transports if transport.is_alive()]
                crowded = len(self._transports) >= CONNECTIONS_MAX
            if crowded:
                connection.close()
            else:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        """Hand a connection to paramiko, which gives it a thread and each SFTP session another."""
        transport = Transport(connection)
        hush(transport)
        transport.add_server_key(self._host_key)
        transport.set_subsystem_handler("sftp", SFTPServer, sftp_si=self.folder_class, root=self._root)
        transport.start_server(event=threading.Event(), server=_LogIn(self._user, self._password, self._keys))
        with self._lock:
            self._transports.append(transport)


class _LogIn(ServerInterface):
    """Who may log in, and that only SFTP sessions are to be had."""

    def __init__(self, user: str, password: str | None, keys: tuple[PKey, ...]) -> None:
        self._user = user
        self._password = password
        self._keys = keys

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - paramiko's signature
        kinds = [("password", self._password is not None), ("publickey", bool(self._keys))]
        return ",".join(kind for kind, offered in kinds if offered)

    def check_auth_password(self, username: str, password: str) -> int:
        if self._password is None:
            return AUTH_FAILED
        same = hmac.compare_digest(password.encode(), self._password.encode())
        return AUTH_SUCCESSFUL if same and username == self._user else AUTH_FAILED

    def check_auth_publickey(self, username: str, key: PKey) -> int:
        known = any(key.asbytes() == allowed.asbytes() for allowed in self._keys)
        return AUTH_SUCCESSFUL if known and username == self._user else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002 - paramiko's signature
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


def _wake(listener: socket.socket) -> None:
    """End a waiting ``accept`` at once; where a system does not allow that, it ends by its own time limit."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


def load_host_key(state: Path) -> PKey:
    """The server's Ed25519 key in ``state``, made there (mode 600) when it is not yet; raises OSError, ValueError."""
    path = state / HOST_KEY_NAME
    if not path.exists():
        _make_host_key(state)
    return read_private_key(path, None)


def _make_host_key(state: Path) -> None:
    """Write a new key beside its final name and move it there; whoever else was first keeps theirs."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with tempfile.NamedTemporaryFile(dir=state, suffix=".part") as part:
        part.write(content)
        part.flush()
        os.fsync(part.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part.name, state / HOST_KEY_NAME)


def _unusable(found: str) -> UsageError:
    return UsageError(
        Code.SETTINGS_INVALID,
        "sftp-server",
        found=found,
        expected="a folder to serve, a free port, a user and a password or authorised keys",
        remedy="Correct the options and start it again",
    )
