"""SSH keys as files and lines: public key lines to pin or to let in, private key files to log in with.

Here: reading and writing them, with errors in our words. Not here: which key belongs where.
"""

import base64
import io
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey, SSHException
from paramiko.pkey import UnknownKeyType

HOST_KEY_ALGORITHMS: Final = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Signature algorithms by key type; RSA with SHA-1 is no longer understood by paramiko at all."""


def parse_public_key(line: str) -> PKey:
    """An OpenSSH public key line (``type base64 [comment]``) as a key; raises ValueError."""
    words = line.split()
    if len(words) < 2 or words[0] not in HOST_KEY_ALGORITHMS:
        raise ValueError("not a public key line of a known type")
    try:
        key = PKey.from_type_string(words[0], base64.b64decode(words[1], validate=True))
    except (ValueError, SSHException, UnknownKeyType, UnsupportedAlgorithm) as error:
        raise ValueError("not a public key") from error
    if key.get_name() != words[0]:
        raise ValueError("not a public key of the type beside it")
    return key


def read_private_key(path: Path, passphrase: str | None) -> PKey:
    """A private key file in OpenSSH, PEM or PKCS #8 form; raises OSError, and ValueError that says why in our words.

    The file is decoded by cryptography: paramiko's own loader takes no passphrase (release 5.1 hands it on as text
    where bytes are wanted) and knows no PKCS #8.
    """
    content = path.read_bytes()
    secret = None if passphrase is None else passphrase.encode()
    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in content else load_pem_private_key
    try:
        key = load(content, secret)
    except TypeError as error:
        raise ValueError("it has a passphrase and none is given, or the other way round") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("it is no private key, or the passphrase is wrong") from error
    if isinstance(key, Ed25519PrivateKey):
        return Ed25519Key.from_private_key(_plain_text(key))
    if isinstance(key, EllipticCurvePrivateKey):
        return ECDSAKey.from_private_key(_plain_text(key))
    if isinstance(key, RSAPrivateKey):
        return RSAKey.from_private_key(_plain_text(key))
    raise ValueError("its type is none of Ed25519, ECDSA and RSA")


def _plain_text(key: Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey) -> io.StringIO:
    """The key in the form that paramiko reads, in memory only."""
    return io.StringIO(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode())


def public_key_line(key: PKey) -> str:
    """The key as a line of known_hosts or authorized_keys has it, without a comment."""
    return f"{key.get_name()} {key.get_base64()}"
