"""The vault: what nobody may read at rest is sealed under a key from secrets, and recognised by a keyed digest.

Here: sealing, opening and concealing, and the keys as text. Not here: where keys lie (``settings``), which files are
sealed (``steps.arrive``), or making codes (``codes``).

AES-256 in SIV mode (RFC 5297): the same bytes under the same key seal to the same bytes, so that a file that comes
again is seen to have come, and there is no nonce that two runs could use twice. The first key seals, every key opens:
a key is changed by putting another before it. The digest's key is never changed, since codes must stay known for ever.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from counterfoil.errors import Code, PermanentError, UsageError

MARK: Final = b"counterfoil sealed 1\n"
"""Begins every sealed text and file."""

FILE: Final = "file"
"""What a landed file is sealed as."""

KEY_BYTES: Final = 64
_NAME_BYTES: Final = 8
_SHOWN: Final = 4
_SHOWN_FROM: Final = 12
"""Characters of a code that people may see, and the shortest code that any are shown of."""


class Vault:
    """Seals under the first of its keys, opens under any. Holds secrets: never shown, logged or kept."""

    def __init__(self, keys: Sequence[bytes], digest_key: bytes) -> None:
        # Imported here: it takes 20 ms, and most commands meet no secret.
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415

        self._ciphers = {_name(key): AESSIV(key) for key in keys}
        self._digest_key = digest_key

    def seal(self, data: bytes, about: str, *, known: Callable[[bytes], bool] | None = None) -> bytes:
        """Bytes sealed under the first key; or under an older one, where what it makes of them is ``known`` already.

        ``about`` is bound to them: they open only as what they were sealed as.
        """
        sealed = [MARK + name + cipher.encrypt(data, [about.encode()]) for name, cipher in self._ciphers.items()]
        return next((one for one in sealed if known is not None and known(one)), sealed[0])

    def open(self, sealed: bytes, about: str) -> bytes:
        """What was sealed; SECRET_MISSING where its key is not here, PAYLOAD_DAMAGED where it is not as it was."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        body = sealed.removeprefix(MARK)
        name, text = body[:_NAME_BYTES], body[_NAME_BYTES:]
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise UsageError(
                Code.SECRET_MISSING,
                "vouchers.keys",
                found=f"no key {name.hex()}, which sealed what was to be opened",
                expected="every key that anything was ever sealed under",
                remedy="Put it back, below the others",
            )
        try:
            return cipher.decrypt(text, [about.encode()])
        except InvalidTag:
            raise PermanentError(
                Code.PAYLOAD_DAMAGED,
                f"sealed {about.partition(' ')[0]}",
                found="bytes that do not open under the key they name",
                expected="what was sealed, and as what it was sealed",
                remedy="Restore the landing store from a backup",
            ) from None

    def seal_text(self, text: str, about: str) -> str:
        """A sealed text for a column."""
        return b64encode(self.seal(text.encode(), about)).decode()

    def open_text(self, sealed: str, about: str) -> str:
        """What ``seal_text`` sealed."""
        try:
            return self.open(b64decode(sealed, validate=True), about).decode()
        except NotBase64:
            return self.open(b"", about).decode()

    def conceal(self, code: str) -> str:
        """A code as tables hold it: a digest that nobody without the key can make, and its last characters."""
        digest = hmac.digest(self._digest_key, code.encode(), hashlib.sha256).hex()
        return f"{digest}:{code[-_SHOWN:] if len(code) >= _SHOWN_FROM else ''}"


def is_sealed(head: bytes) -> bool:
    """Whether bytes begin as sealed ones do."""
    return head.startswith(MARK)


def vault(keys: Iterable[str], digest_key: str) -> Vault:
    """A vault of keys as text; SECRET_MISSING without any, or for what is none."""
    try:
        made = [bytes.fromhex(key) for key in keys]
        digest = bytes.fromhex(digest_key)
    except ValueError:
        made, digest = [], b""
    if not made or any(len(key) != KEY_BYTES for key in made) or len(digest) < hashlib.sha256().digest_size:
        raise UsageError(
            Code.SECRET_MISSING,
            "vouchers.keys",
            found="no keys for voucher codes, or texts that are none",
            expected="COUNTERFOIL_VOUCHERS_KEYS and COUNTERFOIL_VOUCHERS_DIGEST, or vouchers.keys and vouchers.digest "
            "in the secrets folder",
            remedy="Run counterfoil vouchers rotate to make them, and keep a copy where the backups are not",
        )
    return Vault(made, digest)


def new_key() -> str:
    """A key as text."""
    return secrets.token_hex(KEY_BYTES)


def throwaway() -> Vault:
    """A vault for looking at a file here and now; what it conceals means nothing to any other."""
    return vault([new_key()], new_key())


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"counterfoil key name" + key).digest()[:_NAME_BYTES]
