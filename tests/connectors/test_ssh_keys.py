"""Key lines and key files: what is one, and what is said of everything else."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.ssh_keys import HOST_KEY_ALGORITHMS, parse_public_key, public_key_line, read_private_key
from tests.plugins.servers import KeyPair


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_line_is_read_and_written_back(new_key: Callable[..., KeyPair], kind: str) -> None:
    line = new_key(kind).line
    assert public_key_line(parse_public_key(line)) == line
    assert public_key_line(parse_public_key(f"  {line}   partner key 2026 ")) == line


@settings(deadline=None)
@given(st.sampled_from(sorted(HOST_KEY_ALGORITHMS)), st.binary(max_size=200))
@example("ssh-ed25519", b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x01x")
@example("ssh-rsa", b"\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00")
@example("ecdsa-sha2-nistp256", b"\x00\x00\x00\x13ecdsa-sha2-nistp256\x00\x00\x00\x08nistp256\x00\x00\x00\x01\x04")
def test_noise_is_no_key(kind: str, noise: bytes) -> None:
    with pytest.raises(ValueError, match="not a public key"):
        parse_public_key(f"{kind} {base64.b64encode(noise).decode()}")


@settings(deadline=None)
@given(st.text())
def test_text_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="not a public key"):
        parse_public_key(text)


@pytest.mark.parametrize("form", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8])
def test_a_private_key_is_read_in_either_form(tmp_path: Path, form: PrivateFormat) -> None:
    key = Ed25519PrivateKey.generate()
    file = tmp_path / "key"
    file.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert public_key_line(read_private_key(file, None)) == line


def sealed_in_pem(key: EllipticCurvePrivateKey, secret: bytes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(secret))


def sealed_in_openssh(key: EllipticCurvePrivateKey, secret: bytes) -> bytes:
    sealing = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1).build(secret)
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, sealing)


@pytest.mark.parametrize("sealed", [sealed_in_pem, sealed_in_openssh])
def test_a_passphrase_is_used_and_a_wrong_one_named(
    tmp_path: Path, sealed: Callable[[EllipticCurvePrivateKey, bytes], bytes]
) -> None:
    key = generate_private_key(SECP256R1())
    file = tmp_path / "key"
    file.write_bytes(sealed(key, "pässphrase".encode()))
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert public_key_line(read_private_key(file, "pässphrase")) == line
    with pytest.raises(ValueError, match="passphrase is wrong"):
        read_private_key(file, "another")
    with pytest.raises(ValueError, match="has a passphrase and none is given"):
        read_private_key(file, None)


@settings(deadline=None)
@given(st.binary())
@example(b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
@example(b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")
def test_noise_is_no_private_key(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "noise"
    file.write_bytes(noise)
    with pytest.raises(ValueError, match="no private key"):
        read_private_key(file, None)
