"""OpenPGP by the ``gpg`` program: decrypts and proves signatures, the content as a stream.

Here: keys, the program, and what its status lines mean. Not here: limits on what comes out, or what becomes of it. Each
file has a keyring of its own, made from the partner's public keys and our private one, and gone afterwards with its
agent: no key of another partner, and nothing that somebody trusted once, can ever count.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.feed import Pgp
from counterfoil.limits import MEBIBYTE
from counterfoil.settings import Credentials

_ALWAYS: Final = (
    "--batch", "--no-tty", "--no-options", "--quiet", "--trust-model", "always", "--no-auto-key-retrieve",
    "--no-auto-key-locate", "--disable-dirmngr", "--pinentry-mode", "loopback",
)  # fmt: skip
_STATUS: Final = "[GNUPG:] "
_ENDS_S: Final = 60.0
"""Longer than gpg or its agent take to end once their input has."""

_EXPIRED_KEY, _REVOKED_KEY, _EXPIRED, _BAD = "EXPKEYSIG", "REVKEYSIG", "EXPSIG", "BADSIG"
_VERDICTS: Final = {"GOODSIG", _EXPIRED_KEY, _REVOKED_KEY, _EXPIRED, _BAD, "ERRSIG"}


@dataclass(frozen=True)
class GnuPG:
    """The core's ``PgpOpener``. Public keys lie in ``<partners>/<partner>/keys/*.asc``."""

    partners: Path
    secrets: Callable[[str], Credentials]

    def open(
        self, path: Path, wrapper: Pgp, *, partner: str, alias: str, write: Callable[[bytes], object], where: str
    ) -> str:
        """See ``counterfoil.protocols.PgpOpener``."""
        ours = self.secrets(alias) if wrapper.encrypted else Credentials(None, None)
        if wrapper.encrypted and ours.key_file is None:
            raise _key_missing(where, "no private key to decrypt with", f"{alias}.asc in the secrets folder")
        with _keyring() as home:
            keys = sorted((self.partners / partner / "keys").glob("*.asc")) if wrapper.signed_by else []
            if ours.key_file is not None:
                keys.append(ours.key_file)
            _import(home, keys, ours)
            _require_pinned(home, wrapper, where)
            status, ended = _decrypt(home, path, ours, write)
            return _judged(status, wrapper, ended=ended, where=where)


@contextmanager
def _keyring() -> Iterator[Path]:
    """An empty keyring for this account alone; its path is short, as the agent's socket wants."""
    if shutil.which("gpg") is None:
        raise _unusable("no gpg program")
    with tempfile.TemporaryDirectory(prefix="cf-") as folder:
        try:
            yield Path(folder)
        finally:
            subprocess.run(
                ["gpgconf", "--homedir", folder, "--kill", "all"], check=False, capture_output=True, timeout=_ENDS_S
            )


def _command(home: Path, *arguments: str) -> list[str]:
    return ["gpg", "--homedir", str(home), *_ALWAYS, "--status-file", str(home / "status"), *arguments]


def _passphrase(ours: Credentials) -> bytes:
    return (ours.password.get_secret_value() if ours.password else "").encode() + b"\n"


def _import(home: Path, keys: Sequence[Path], ours: Credentials) -> None:
    if not keys:
        return
    done = subprocess.run(
        _command(home, "--passphrase-fd", "0", "--import", *(str(key) for key in keys)),
        input=_passphrase(ours), capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise _unusable(f"gpg does not take the keys in {', '.join(sorted(key.name for key in keys))}")


def _require_pinned(home: Path, wrapper: Pgp, where: str) -> None:
    """Every pinned key must be here: then a key that gpg does not know is another one for sure."""
    if not wrapper.signed_by:
        return
    listed = subprocess.run(
        _command(home, "--with-colons", "--fingerprint", "--list-keys"), capture_output=True, check=False, text=True
    )
    known = {line.split(":")[9] for line in listed.stdout.splitlines() if line.startswith("fpr:")}
    missing = sorted(set(wrapper.signed_by) - known)
    if missing:
        raise _key_missing(where, f"no public key {', '.join(missing)}", "an .asc file in the partner's keys folder")


def _decrypt(home: Path, path: Path, ours: Credentials, write: Callable[[bytes], object]) -> tuple[list[str], int]:
    """Hand the content on; status lines and exit status. Whatever ``write`` raises ends the program."""
    (home / "status").unlink(missing_ok=True)
    with subprocess.Popen(
        _command(home, "--passphrase-fd", "0", "--output", "-", "--decrypt", str(path)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as program:  # fmt: skip
        if program.stdin is None or program.stdout is None:
            raise _unusable("gpg without its pipes")
        try:
            program.stdin.write(_passphrase(ours))
            program.stdin.close()
            while data := program.stdout.read(MEBIBYTE):
                write(data)
            ended = program.wait(_ENDS_S)
        except BrokenPipeError:
            ended = program.wait(_ENDS_S)
        except BaseException:
            program.kill()
            raise
    told = (home / "status").read_text("utf-8", errors="replace") if (home / "status").exists() else ""
    return [line.removeprefix(_STATUS) for line in told.splitlines() if line.startswith(_STATUS)], ended


def _judged(status: Sequence[str], wrapper: Pgp, *, ended: int, where: str) -> str:
    """The fingerprint that counts, or the error that the status lines stand for; the gravest comes first."""
    words = [line.split() for line in status]
    said = {word[0] for word in words if word}
    if not said & {"PLAINTEXT", "BEGIN_DECRYPTION", "ENC_TO", "NEWSIG"}:
        raise _file_fault(Code.PACKING_DAMAGED, where, "no OpenPGP message, or one that is damaged")
    if wrapper.encrypted and not said & {"BEGIN_DECRYPTION", "ENC_TO"}:
        raise _file_fault(Code.PACKING_DAMAGED, where, "a message that is not encrypted")
    if not wrapper.encrypted and "ENC_TO" in said:
        raise _file_fault(Code.PACKING_DAMAGED, where, "a message that is encrypted, which its layout does not say")
    if wrapper.encrypted and "DECRYPTION_OKAY" not in said:
        told = (
            "a message for another key than ours" if "NO_SECKEY" in said else "a message that is damaged or cut short"
        )
        raise _file_fault(Code.DECRYPTION_FAILED, where, told)
    signer = _signer(words, wrapper, where) if wrapper.signed_by else ""
    if _BAD in said or (ended != 0 and (wrapper.signed_by or "ERRSIG" not in said)):
        raise _file_fault(Code.PACKING_DAMAGED, where, "a message that gpg does not pass")
    if sum(word[0] == "PLAINTEXT" for word in words if word) != 1:
        raise _file_fault(Code.PACKING_DAMAGED, where, "more than one message, or none")
    return signer


def _signer(words: Sequence[Sequence[str]], wrapper: Pgp, where: str) -> str:
    verdicts = [word for word in words if word and word[0] in _VERDICTS]
    said = {word[0] for word in verdicts}
    if not verdicts:
        raise _file_fault(Code.SIGNATURE_MISSING, where, "no signature")
    if _BAD in said:
        raise _file_fault(Code.SIGNATURE_INVALID, where, "a signature that does not fit the content")
    # The signing key first, its primary key last.
    valid = [{word[1], word[-1]} for word in words if word and word[0] == "VALIDSIG"]
    pinned = sorted(key for keys in valid for key in keys & set(wrapper.signed_by))
    if "ERRSIG" in said or not pinned:
        by = ", ".join(sorted({word[1] for word in verdicts}))
        raise _file_fault(Code.SIGNER_UNTRUSTED, where, f"a signature by key {by}, which is not pinned")
    if _REVOKED_KEY in said:
        raise _file_fault(Code.SIGNER_UNTRUSTED, where, "a signature by a key that was revoked")
    if _EXPIRED_KEY in said:
        raise _key_missing(where, "a signature by a key that has expired", "the partner's key with its new date")
    if _EXPIRED in said:
        raise _file_fault(Code.SIGNATURE_INVALID, where, "a signature that has expired")
    return pinned[0]


def _file_fault(code: Code, where: str, found: str) -> PermanentError:
    return PermanentError(
        code,
        where,
        found=found,
        expected="one OpenPGP message, encrypted to our key and signed by a pinned one as wrappers: says",
        remedy="Nothing of it was read; ask the partner to send it again",
    )


def _key_missing(where: str, found: str, expected: str) -> PermanentError:
    return PermanentError(
        Code.PGP_KEY_MISSING,
        where,
        found=found,
        expected=expected,
        remedy="Put the key there; the file stays where it is, and the next run takes it",
    )


def _unusable(found: str) -> TransientError:
    return TransientError(
        Code.GPG_UNUSABLE,
        "gpg",
        found=found,
        expected="GnuPG 2.2 or later",
        remedy="Install gnupg, or mend the key files; the file stays where it is, and the next run takes it",
    )
