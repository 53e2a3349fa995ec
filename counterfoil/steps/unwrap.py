"""A received file without its wrappers: what lies in the landing store afterwards, and which faults are the file's own.

Here: from received bytes to payloads. Not here: how a wrapper comes off (``landing.unpack``), or what a payload is.
"""

from dataclasses import dataclass
from typing import Final

from counterfoil.errors import Code
from counterfoil.feed import Feed
from counterfoil.landing.unpack import Parts, unpack
from counterfoil.steps.desk import Desk

FAULTS: Final = {
    Code.PACKING_DAMAGED,
    Code.UNPACKED_TOO_LARGE,
    Code.MEMBER_UNFIT,
    Code.NAME_UNSAFE,
    Code.DECRYPTION_FAILED,
    Code.SIGNATURE_MISSING,
    Code.SIGNATURE_INVALID,
    Code.SIGNER_UNTRUSTED,
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


def unwrapped(desk: Desk, feed: Feed, name: str, received_sha: str) -> list[Payload]:
    """Everything in a received file, landed: all of it or, where a wrapper does not come off, nothing."""
    parts = Parts(desk.landing.new_part)
    try:
        opened = unpack(desk.landing.path(received_sha), name, feed, parts, desk.pgp)
        in_archive = feed.archive_name is not None
        return [
            Payload(
                name=file.name,
                sha=desk.landing.land_part(file.path),
                received_sha=received_sha,
                wrapped=way(feed),
                signer=opened.signer,
                archive=name if in_archive else "",
                members=len(opened.files) if in_archive else 0,
            )
            for file in opened.files
        ]
    finally:
        parts.clear()


def way(feed: Feed) -> str:
    """A feed's wrappers in words."""
    return " ".join(wrapper.type for wrapper in feed.wrappers)
