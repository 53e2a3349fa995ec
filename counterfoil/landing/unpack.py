"""Takes a file's wrappers off, one after the other, as streams under limits.

Here: gzip, zip, and the order and limits of all wrappers. Not here: PGP itself (``connectors.pgp``), or what the files
inside are. Nothing that a file says of its own size is believed: bytes are counted as they come out.
"""

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil import limits
from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed, Gzip, Pgp, Zip
from counterfoil.files import room_for_write
from counterfoil.protocols import PgpOpener

_GZIP_BEGINS: Final = b"\x1f\x8b"
_WINDOW: Final = 16 + zlib.MAX_WBITS
"""A gzip member with its header and check sum, which zlib proves."""

_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The two that every program writes, and the two whose memory is bounded."""

_ENCRYPTED: Final = 0x1
_MADE_ON_UNIX: Final = 3
_LISTED_BYTES: Final = 1024
"""The room that one member may take in an archive's list: its name and what goes with it."""


@dataclass(frozen=True)
class Inside:
    """One file that came out, and its name: a member's own, else that of the file it came in."""

    name: str
    path: Path


@dataclass(frozen=True)
class Opened:
    """All that came out, in the archive's order, and who signed."""

    files: list[Inside]
    signer: str


class Parts:
    """Unfinished files of one unpacking, below a folder of the landing store."""

    def __init__(self, make: Callable[[], Path]) -> None:
        self._make = make
        self._made: list[Path] = []

    def new(self) -> Path:
        """The path of a new file."""
        self._made.append(self._make())
        return self._made[-1]

    def clear(self, *, but: frozenset[Path] = frozenset()) -> None:
        """Remove what is there, but for these."""
        for path in self._made:
            if path not in but:
                path.unlink(missing_ok=True)


def unpack(received: Path, name: str, feed: Feed, parts: Parts, pgp: PgpOpener) -> Opened:
    """Take all wrappers of a feed off a received file; what is between them is removed again.

    PACKING_DAMAGED, UNPACKED_TOO_LARGE, MEMBER_UNFIT, NAME_UNSAFE, DISK_FULL, and what ``pgp`` raises.
    """
    files, signers = [Inside(name, received)], []
    where = f"{feed.key} {name!r}"
    for wrapper in feed.wrappers:
        budget = _Budget(feed, received.stat().st_size, where)
        opened: list[Inside] = []
        for file in files:
            if isinstance(wrapper, Zip):
                _require_name(file.name, wrapper, where)
                opened += _members(file, parts, budget)
                continue
            path = parts.new()
            with budget.writing(path) as write:
                if isinstance(wrapper, Gzip):
                    _gunzip(file.path, write, where)
                else:
                    signers.append(_opened_by(pgp, feed, wrapper, file.path, write, where))
            opened.append(Inside(file.name, path))
        files = opened
        parts.clear(but=frozenset(file.path for file in files))
    _require_names_apart(files, where)
    return Opened(files, " ".join(sorted({signer for signer in signers if signer})))


def _opened_by(
    pgp: PgpOpener, feed: Feed, wrapper: Pgp, path: Path, write: Callable[[bytes], object], where: str
) -> str:
    return pgp.open(path, wrapper, partner=feed.partner, alias=feed.arrival.connection, write=write, where=where)


class _Budget:
    """What may come out of one wrapper, counted while it does."""

    def __init__(self, feed: Feed, received: int, where: str) -> None:
        by_ratio = max(received * feed.limits.ratio_max, limits.UNPACKED_SMALL_BYTES)
        self._most = min(feed.limits.unpacked_bytes_max, by_ratio)
        self._key = "ratio_max" if by_ratio <= feed.limits.unpacked_bytes_max else "unpacked_bytes_max"
        self._bytes = self._members = 0
        self._members_max = feed.limits.members_max
        self._where = where

    @property
    def list_bytes_max(self) -> int:
        """The longest list of members that an archive within its limits can have."""
        return self._members_max * _LISTED_BYTES + limits.MEBIBYTE

    def count_members(self, members: int) -> None:
        """UNPACKED_TOO_LARGE beyond the limit."""
        self._members += members
        if self._members > self._members_max:
            raise self.passed("members", self._members_max, "members_max")

    @contextmanager
    def writing(self, path: Path) -> Iterator[Callable[[bytes], None]]:
        """A function that appends to a new file; UNPACKED_TOO_LARGE at the first byte beyond the limit, DISK_FULL."""
        with path.open("xb") as into:

            def write(data: bytes) -> None:
                self._bytes += len(data)
                if self._bytes > self._most:
                    raise self.passed("bytes", self._most, self._key)
                with room_for_write(path.parent):
                    into.write(data)

            yield write
            with room_for_write(path.parent):
                into.flush()

    def passed(self, what: str, most: int, key: str) -> PermanentError:
        return PermanentError(
            Code.UNPACKED_TOO_LARGE,
            self._where,
            found=f"a packed file that comes to more than {most:,} {what}",
            expected=f"no more than limits.{key} allows",
            remedy="Ask the partner what it sent; where it is right, raise the limit in a new layout version",
        )


def _gunzip(path: Path, write: Callable[[bytes], object], where: str) -> None:
    """All gzip members of a file, one after the other, and nothing behind them."""
    with path.open("rb") as source:
        rest = source.read(limits.MEBIBYTE)
        first = True
        while rest or first:
            if not rest.startswith(_GZIP_BEGINS):
                raise _damaged(where, "no gzip file" if first else "bytes behind the end of the gzip data")
            first = False
            member = zlib.decompressobj(_WINDOW)
            while not member.eof:
                try:
                    data = member.decompress(rest, limits.MEBIBYTE)
                except zlib.error:
                    raise _damaged(where, "gzip data that is damaged") from None
                write(data)
                rest = member.unconsumed_tail
                if not rest and not member.eof:
                    rest = source.read(limits.MEBIBYTE)
                    if not rest and not data:
                        raise _damaged(where, "gzip data that is cut short")
            # The two bytes that begin the next member must be looked at together.
            rest = member.unused_data
            if len(rest) < len(_GZIP_BEGINS):
                rest += source.read(limits.MEBIBYTE)


def _members(archive: Inside, parts: Parts, budget: _Budget) -> Iterator[Inside]:
    """The files of an archive, each into a part; folders are passed over."""
    where = f"archive {archive.name!r}"
    with _Listed(archive.path, budget) as source:
        try:
            with zipfile.ZipFile(source) as opened:
                members = [member for member in opened.infolist() if not member.is_dir()]
                budget.count_members(len(members))
                for member in members:
                    _require_fit(member, where)
                if not members:
                    raise _unfit(where, "an archive without any file")
                _require_names_apart([Inside(member.orig_filename, archive.path) for member in members], where)
                for member in members:
                    path = parts.new()
                    with opened.open(member) as stream, budget.writing(path) as write:
                        while data := stream.read(limits.MEBIBYTE):
                            write(data)
                    yield Inside(member.orig_filename, path)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError):
            raise _damaged(where, "no zip archive, or one that is damaged") from None


class _Listed(io.FileIO):
    """An archive whose list of members is refused when it is longer than any within limits: it is read at one go."""

    def __init__(self, path: Path, budget: _Budget) -> None:
        super().__init__(path, "rb")
        self._budget = budget

    def read(self, size: int | None = -1, /) -> bytes:
        most = self._budget.list_bytes_max
        if size is not None and size > most:
            raise self._budget.passed("bytes of list", most, "members_max")
        return super().read(-1 if size is None else size) or b""


def _require_fit(member: zipfile.ZipInfo, where: str) -> None:
    """A member is a plain file that everybody can read, by a name that leads nowhere else."""
    name = member.orig_filename
    pieces = name.split("/")
    unsafe = (
        not name.isprintable()
        or "\\" in name
        or ":" in pieces[0]
        or any(piece in {"", ".", ".."} for piece in pieces)
        or len(name.encode()) > limits.NAME_BYTES_MAX
    )
    if unsafe:
        raise PermanentError(
            Code.NAME_UNSAFE,
            where,
            found="a member whose name leads elsewhere or cannot be shown",
            expected="plain names, without .., backslashes or a leading slash",
            remedy="Nothing of the archive was taken; ask the partner for one made anew",
        )
    if member.flag_bits & _ENCRYPTED:
        raise _unfit(where, f"member {name!r}, which is encrypted with a password")
    if member.compress_type not in _METHODS:
        raise _unfit(where, f"member {name!r}, which is packed by method {member.compress_type}")
    kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == _MADE_ON_UNIX else 0
    if kind not in {0, stat.S_IFREG}:
        raise _unfit(where, f"member {name!r}, which is a link or a device")


def _require_name(name: str, wrapper: Zip, where: str) -> None:
    if not re.fullmatch(wrapper.name, name):
        raise _unfit(where, f"member {name!r}, whose name is not that of an inner archive")


def _require_names_apart(files: list[Inside], where: str) -> None:
    names = [file.name for file in files]
    if len(set(names)) != len(names):
        raise _unfit(where, f"{len(names) - len(set(names))} members whose name another one has as well")


def _unfit(where: str, found: str) -> PermanentError:
    return PermanentError(
        Code.MEMBER_UNFIT,
        where,
        found=found,
        expected="one or more plain files, each by its own name, stored or deflated and without a password",
        remedy="Nothing of the archive was taken; ask the partner for one made anew",
    )


def _damaged(where: str, found: str) -> PermanentError:
    return PermanentError(
        Code.PACKING_DAMAGED,
        where,
        found=found,
        expected="a file that is packed as wrappers: in its layout says, whole and with nothing behind it",
        remedy="Nothing of it was read; ask the partner to send it again",
    )
