"""A received file without its wrappers: what lies in the landing store afterwards, and what may be wrong with that.

Here: from received bytes to payloads. Not here: how a wrapper comes off (``landing.unpack``), or what a payload is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import SECRET_KINDS, Feed, Pgp
from counterfoil.files import sha256_bytes
from counterfoil.landing.unpack import Parts, unpack
from counterfoil.steps.beside import Said
from counterfoil.steps.desk import Desk
from counterfoil.vault import FILE

FAULTS: Final = {
    Code.PACKING_DAMAGED,
    Code.UNPACKED_TOO_LARGE,
    Code.MEMBER_UNFIT,
    Code.NAME_UNSAFE,
    Code.DECRYPTION_FAILED,
    Code.SIGNATURE_MISSING,
    Code.SIGNATURE_INVALID,
    Code.SIGNER_UNTRUSTED,
    Code.COMPANION_DIFFERS,
}
"""Faults of the file, which only another file mends. Any other error is ours: the file stays where it is meanwhile."""


@dataclass(frozen=True)
class Payload:
    """One file as a layout reads it: its name and hash, and what it was taken out of."""

    name: str
    sha: str
    received_sha: str = ""
    wrapped: str = ""
    signer: str = ""
    archive: str = ""
    members: int = 0
    said: Said = field(default_factory=Said)


def opened(desk: Desk, feed: Feed, name: str, received_sha: str) -> list[Payload]:
    """Everything in a received file, landed: all of it or, where a wrapper does not come off, nothing. Of a feed full
    of secrets it is sealed, and what lay here in the clear, even wrapped, is removed.

    A crash before the delivery is recorded leaves clear bytes until the next look, which finds the file undelivered and
    does all of this again.
    """
    payloads = _unwrapped(desk, feed, name, received_sha) if feed.wrappers else [Payload(name, received_sha)]
    if feed.kind not in SECRET_KINDS:
        return payloads
    first = next(iter(feed.wrappers), None)
    if isinstance(first, Pgp) and first.encrypted:  # its bytes may stay as they came
        return _all_sealed(desk, payloads, keep=received_sha)
    return _all_sealed(desk, payloads, clear=received_sha)


def unopened(desk: Desk, feed: Feed, name: str, received_sha: str) -> Payload:
    """A received file that cannot be taken, as it is kept: as it came or, of a feed full of secrets, sealed. What its
    layout says of encryption counts for nothing here: such a file may have come without any."""
    received = Payload(name, received_sha)
    return _all_sealed(desk, [received], clear=received_sha)[0] if feed.kind in SECRET_KINDS else received


def dropped(desk: Desk, feed: Feed, received_sha: str) -> None:
    """Keep nothing of a file full of secrets that is not recorded, for a reason of ours: the next look fetches it."""
    if feed.kind in SECRET_KINDS:
        _forget(desk, {received_sha})


def _unwrapped(desk: Desk, feed: Feed, name: str, received_sha: str) -> list[Payload]:
    parts = Parts(desk.landing.new_part)
    try:
        found = unpack(desk.landing.path(received_sha), name, feed, parts, desk.pgp)
        in_archive = feed.archive_name is not None
        return [
            Payload(
                name=file.name,
                sha=desk.landing.land_part(file.path),
                received_sha=received_sha,
                wrapped=way(feed),
                signer=found.signer,
                archive=name if in_archive else "",
                members=len(found.files) if in_archive else 0,
            )
            for file in found.files
        ]
    finally:
        parts.clear()


def _all_sealed(desk: Desk, payloads: Sequence[Payload], *, keep: str = "", clear: str = "") -> list[Payload]:
    """Payloads sealed, and what they were made of removed but for the received file that may be kept."""
    made = [_sealed(desk, payload, received_sha=keep) for payload in payloads]
    _forget(desk, {clear, *(payload.sha for payload in payloads)} - {"", *(payload.sha for payload in made)})
    return made


def _forget(desk: Desk, shas: Iterable[str]) -> None:
    """Remove bytes that may hold secrets; what an earlier delivery names is a fact, and stays."""
    for sha in shas:
        if not desk.index.names(sha):
            desk.landing.forget(sha)


def _sealed(desk: Desk, payload: Payload, *, received_sha: str) -> Payload:
    """One payload sealed. The same file seals to the same bytes, under the key it was sealed under when it first came,
    so that a second delivery is seen to be one."""
    data = desk.landing.path(payload.sha).read_bytes()
    if not data:
        return replace(payload, received_sha=received_sha)  # an empty file is a fact of its own, and no secret
    bytes_ = desk.vault().seal(data, FILE, known=lambda one: desk.landing.path(sha256_bytes(one)).exists())
    return replace(payload, sha=desk.landing.land_bytes(bytes_), received_sha=received_sha)


def way(feed: Feed) -> str:
    """A feed's wrappers in words."""
    return " ".join(wrapper.type for wrapper in feed.wrappers)


def require_way(feed: Feed, payload: Payload) -> None:
    """A file that came without the wrappers of its layout, or in others, may be anybody's."""
    pinned = {key for wrapper in feed.wrappers if isinstance(wrapper, Pgp) for key in wrapper.signed_by}
    if payload.wrapped != way(feed) or (pinned and not pinned & set(payload.signer.split())):
        raise PermanentError(
            Code.WRAPPING_DIFFERS,
            f"{feed.key} {payload.name!r}",
            found=f"a file that came in {payload.wrapped or 'no wrapper'}, signed by {payload.signer or 'nobody'}",
            expected=f"{way(feed) or 'no wrapper'}, signed by {' or '.join(sorted(pinned)) or 'anybody'}",
            remedy="Ask the partner to send it as agreed; this file is kept and has no effect",
        )
