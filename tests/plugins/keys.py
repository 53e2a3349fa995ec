"""OpenPGP keys made for one run of the tests by the real ``gpg``, and messages by them.

Here: making keys and messages. Not here: any expectation.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_ALWAYS = ("gpg", "--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--trust-model", "always")


@dataclass(frozen=True)
class Keyring:
    """Somebody's keys."""

    home: Path

    def run(self, *arguments: str, given: bytes = b"", passphrase: str = "") -> bytes:
        return subprocess.run(
            [*_ALWAYS, "--homedir", str(self.home), "--passphrase", passphrase, *arguments],
            input=given, check=True, capture_output=True,
        ).stdout  # fmt: skip

    def make(self, name: str, *, expires: str = "never", passphrase: str = "", at: str = "20261101T000000") -> str:
        """A key that signs and a subkey that encrypts; its fingerprint."""
        self.run(
            "--faked-system-time", at, "--quick-gen-key", f"{name} <{name.lower()}@partner.example>", "ed25519", "sign",
            expires, passphrase=passphrase,
        )  # fmt: skip
        key = self.fingerprint(name)
        self.run("--faked-system-time", at, "--quick-add-key", key, "cv25519", "encr", expires, passphrase=passphrase)
        return key

    def fingerprint(self, name: str) -> str:
        listed = self.run("--with-colons", "--list-keys", name).decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def public(self, name: str) -> bytes:
        return self.run("--armor", "--export", name)

    def private(self, name: str, passphrase: str = "") -> bytes:
        return self.run("--armor", "--export-secret-keys", name, passphrase=passphrase)

    def message(self, data: bytes, *, to: str | None = None, by: str | None = None, at: str = "") -> bytes:
        """Signed, encrypted or both."""
        options = ["--local-user", by, "--sign"] if by else []
        options += ["--recipient", to, "--encrypt"] if to else []
        when = ["--faked-system-time", at] if at else []
        return self.run(*when, *options, "--output", "-", given=data)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyring]:
    """Two partners' keys, ``Signer`` and ``Stranger``, one that has expired, ``Lapsed``, and our own, ``Ours``."""
    home = tmp_path_factory.mktemp("k", numbered=True)
    home.chmod(0o700)
    ring = Keyring(home)
    try:
        for name in ("Signer", "Stranger", "Ours"):
            ring.make(name)
        ring.make("Lapsed", expires="2026-11-03")
        yield ring
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
