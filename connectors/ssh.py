"""SSH connections to partners' servers: pinned host keys first, then log-in, then one channel with the SFTP subsystem.

Here: everything until the channel stands, each step with a time limit. Not here: files, or where settings come from.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from paramiko import AuthenticationException, BadAuthenticationType, Channel, PKey, SSHException, Transport
from paramiko.ssh_exception import IncompatiblePeer

from connectors.names import shown
from connectors.ssh_keys import HOST_KEY_ALGORITHMS, parse_public_key, public_key_line, read_private_key
from counterfoil.errors import Code, PermanentError, TransientError, UsageError

PINS_MAX: Final = 2
"""The key in force and, during a rotation, the one before or after it."""

CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
"""GCM first: 171 MB/s against 148 with paramiko's own order. No CBC and no 3DES, which paramiko still offers."""

MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
"""No MD5 and no SHA-1, which paramiko still offers."""

LOG_NAME: Final = "counterfoil.ssh"

LAST_WORDS_S: Final = 0.2
"""How long a failed step waits for paramiko's thread to end, to tell a refusal from a lost connection."""


@dataclass(frozen=True)
class Endpoint:
    """Where and as whom to connect. ``host_keys`` are OpenSSH public key lines.

    With a key file, ``password`` is its passphrase (None: it has none); without, it logs in.
    """

    alias: str
    host: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    password: str | None = field(repr=False)
    key_file: Path | None
    connect_timeout_s: float

    @property
    def where(self) -> str:
        """How messages name the connection."""
        return f"connection {self.alias} ({self.host}:{self.port})"


def connect(endpoint: Endpoint) -> tuple[Transport, Channel]:
    """A logged-in transport and a channel on its SFTP subsystem.

    Raises HOST_KEY_UNKNOWN, HOST_KEY_CHANGED, LOGIN_REFUSED, SECRET_MISSING, REMOTE_REFUSED (permanent),
    SETTINGS_INVALID (usage) and CONNECTION_LOST (transient). Nothing secret is sent before the host key has been
    compared with the pins.
    """
    pins = read_pins(endpoint)
    key = _read_key(endpoint)
    transport = _negotiated(endpoint, pins)
    try:
        _require_pinned(endpoint, pins, transport.get_remote_server_key())
        with _deadline(endpoint, transport):
            _log_in(endpoint, transport, key)
            channel = _open_channel(endpoint, transport)
    except BaseException:
        disconnect(transport)
        raise
    return transport, channel


def disconnect(transport: Transport) -> None:
    """End the connection and its thread; never fails."""
    # Its thread notices the end of the socket at once, and a mere close only a tenth of a second later.
    with contextlib.suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()
    transport.join(LAST_WORDS_S)


def hush(transport: Transport) -> None:
    """Keep paramiko's own log lines out of ours: they hold names and texts from outside, and our errors say it all."""
    transport.set_log_channel(LOG_NAME)
    logging.getLogger(LOG_NAME).setLevel(logging.CRITICAL)


def read_pins(endpoint: Endpoint) -> tuple[PKey, ...]:
    """The pinned keys of a connection; raises SETTINGS_INVALID naming the line, not its content."""
    if len(endpoint.host_keys) > PINS_MAX:
        raise _setting_invalid(endpoint, found=f"{len(endpoint.host_keys)} keys are pinned")
    pins = []
    for number, line in enumerate(endpoint.host_keys, start=1):
        try:
            pins.append(parse_public_key(line))
        except ValueError as error:
            raise _setting_invalid(endpoint, found=f"key {number} cannot be read") from error
    return tuple(pins)


def _read_key(endpoint: Endpoint) -> PKey | None:
    """The private key, or None for a password; raises SECRET_MISSING."""
    if endpoint.key_file is not None:
        try:
            return read_private_key(endpoint.key_file, endpoint.password)
        except OSError as error:
            raise _secret_missing(endpoint, found="the key file cannot be opened") from error
        except ValueError as error:
            raise _secret_missing(endpoint, found=f"the key file cannot be used: {error}") from error
    if endpoint.password is None:
        raise _secret_missing(endpoint, found="neither a password nor a key file is configured")
    return None


def _negotiated(endpoint: Endpoint, pins: tuple[PKey, ...]) -> Transport:
    """A transport after key exchange. Only the pinned key types are asked for, so a server may have others beside."""
    algorithms = tuple(name for pin in pins for name in HOST_KEY_ALGORITHMS[pin.get_name()])
    transport, error = _key_exchange(endpoint, algorithms)
    if isinstance(error, IncompatiblePeer) and algorithms:
        # Perhaps the server has no key of a pinned type. Ask again for any key, to be able to name it.
        transport, error = _key_exchange(endpoint, ())
    if isinstance(error, IncompatiblePeer):
        raise PermanentError(
            Code.REMOTE_REFUSED,
            endpoint.where,
            found="the server offers none of the key exchanges, ciphers and digests that are safe today",
            expected="AES in GCM or CTR mode, SHA-2, and host keys of type Ed25519, ECDSA or RSA with SHA-2",
            remedy="Ask the partner to bring the server up to date",
        )
    if transport is None:
        raise _lost(endpoint, "the connection closed or stayed silent before the keys were exchanged")
    return transport


def _key_exchange(
    endpoint: Endpoint, host_key_algorithms: tuple[str, ...]
) -> tuple[Transport, None] | tuple[None, Exception | None]:
    """Connect and exchange keys: the transport, or what went wrong.

    The outcome is asked for and not caught: whatever a server's bytes make paramiko's thread raise arrives as a value.
    """
    transport = Transport(_socket(endpoint))
    hush(transport)
    limit_s = endpoint.connect_timeout_s
    transport.banner_timeout = transport.handshake_timeout = transport.channel_timeout = limit_s
    # Longer than the deadline around the log-in, so that silence is always told by the connection's end.
    transport.auth_timeout = 2 * limit_s
    options = transport.get_security_options()
    options.ciphers, options.digests = CIPHERS, MACS
    if host_key_algorithms:
        options.key_types = host_key_algorithms
    done = threading.Event()
    transport.start_client(event=done)
    if done.wait(limit_s) and transport.is_active():
        return transport, None
    transport.join(LAST_WORDS_S)
    error = transport.get_exception()
    disconnect(transport)
    return None, error


def _socket(endpoint: Endpoint) -> socket.socket:
    """Our own socket: paramiko's never sets TCP_NODELAY, which costs reads a factor of nineteen."""
    try:
        connection = socket.create_connection((endpoint.host, endpoint.port), timeout=endpoint.connect_timeout_s)
    except OSError as error:
        raise _lost(endpoint, f"no connection was made ({type(error).__name__})") from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _require_pinned(endpoint: Endpoint, pins: tuple[PKey, ...], key: PKey) -> None:
    """Raise unless the server's key is one of the pins, byte for byte."""
    if any(pin.asbytes() == key.asbytes() for pin in pins):
        return
    setting = f"connections.{endpoint.alias}.sftp.host_keys in counterfoil.yaml"
    line = public_key_line(key)
    if any(pin.get_name() == key.get_name() for pin in pins):
        pinned = " or ".join(pin.fingerprint for pin in pins if pin.get_name() == key.get_name())
        raise PermanentError(
            Code.HOST_KEY_CHANGED,
            endpoint.where,
            found=f"the server shows {key.get_name()} {key.fingerprint}",
            expected=f"the pinned {pinned}",
            remedy="Somebody may be in between: nothing was sent. Ask the partner, over another channel, whether the "
            f'key was changed; only then put "{line}" beside or instead of the old line under {setting}',
        )
    raise PermanentError(
        Code.HOST_KEY_UNKNOWN,
        endpoint.where,
        found=f"the server shows {key.get_name()} {key.fingerprint}, and no key of this type is pinned",
        expected="a host key that is pinned",
        remedy="Compare the fingerprint with the one the partner gives you over another channel; if they are equal, "
        f'put "{line}" under {setting}',
    )


@contextlib.contextmanager
def _deadline(endpoint: Endpoint, transport: Transport) -> Iterator[None]:
    """Close the transport when the steps inside take too long: paramiko waits for some answers without a limit."""
    timer = threading.Timer(endpoint.connect_timeout_s, transport.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _log_in(endpoint: Endpoint, transport: Transport, key: PKey | None) -> None:
    """Show one secret, once."""
    try:
        if key is not None:
            further = transport.auth_publickey(endpoint.user, key)
        else:
            further = transport.auth_password(endpoint.user, endpoint.password or "")
    except BadAuthenticationType as error:
        offered = ", ".join(shown(kind) for kind in error.allowed_types)
        raise _refused_login(endpoint, f"the server does not take a {_secret(endpoint)}, only {offered}") from error
    except AuthenticationException as error:
        transport.join(LAST_WORDS_S)
        if transport.is_active():
            raise _refused_login(endpoint, f"the server refused the user or the {_secret(endpoint)}") from error
        raise _lost(endpoint, "the connection closed during log-in, which may also be a silent refusal") from error
    except (SSHException, EOFError, OSError) as error:
        raise _lost(endpoint, "the connection closed during log-in") from error
    if further:
        raise _refused_login(endpoint, "the server wants a second secret after the first")


def _open_channel(endpoint: Endpoint, transport: Transport) -> Channel:
    try:
        channel = transport.open_session(timeout=endpoint.connect_timeout_s)
        channel.invoke_subsystem("sftp")
    except (SSHException, EOFError, OSError) as error:
        transport.join(LAST_WORDS_S)
        if not transport.is_active():
            raise _lost(endpoint, "the connection closed after log-in") from error
        raise PermanentError(
            Code.REMOTE_REFUSED,
            endpoint.where,
            found="the server let the user in and then refused file transfer (the sftp subsystem)",
            expected="SFTP to be allowed for this user",
            remedy="Ask the partner to allow SFTP for the user",
        ) from error
    return channel


def _secret(endpoint: Endpoint) -> str:
    return "password" if endpoint.key_file is None else "key"


def _refused_login(endpoint: Endpoint, found: str) -> PermanentError:
    return PermanentError(
        Code.LOGIN_REFUSED,
        endpoint.where,
        found=found,
        expected="the log-in to be accepted",
        remedy="Check the user in counterfoil.yaml and the secret; it was tried once, so no account is locked by us",
    )


def _secret_missing(endpoint: Endpoint, *, found: str) -> PermanentError:
    return PermanentError(
        Code.SECRET_MISSING,
        endpoint.where,
        found=found,
        expected="a password, or an Ed25519, ECDSA or RSA private key with its passphrase if it has one",
        remedy=f"Put it into secrets/{endpoint.alias}.password or secrets/{endpoint.alias}.key in the home folder",
    )


def _setting_invalid(endpoint: Endpoint, *, found: str) -> UsageError:
    return UsageError(
        Code.SETTINGS_INVALID,
        f"connections.{endpoint.alias}.sftp.host_keys",
        found=found,
        expected=f"at most {PINS_MAX} lines such as ssh-ed25519 AAAA…",
        remedy="Copy the public key lines that the partner confirmed into counterfoil.yaml",
    )


def _lost(endpoint: Endpoint, found: str) -> TransientError:
    return TransientError(
        Code.CONNECTION_LOST,
        endpoint.where,
        found=found,
        expected=f"each step to be answered within {endpoint.connect_timeout_s:g} s",
        remedy="Check the host, the port and the network if this stays so",
    )
