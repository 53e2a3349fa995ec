"""All layouts of a data folder, and the one that claims a file: the core's ``Reader``.

Here: loading ``partners/<partner>/<feed>/layout*.yaml``, recognition, versions by date. Not here: reading a file
(``reader``).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import SECRET_KINDS, Feed
from counterfoil.protocols import Marks, Parsed, RawLine, Terms
from counterfoil.vault import Vault, throwaway
from parsers.envelope import first_line_fits, named_day
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.lines import map_layout
from parsers.raw_lines import read_lines
from parsers.reader import inspect_file, read_codes, read_file
from parsers.sealed import in_the_clear
from parsers.terms import terms

NEAREST_MAX: Final = 5
"""Layouts named in the message about a file that none claims."""

_MISNAMED: Final = "its name does not fit"


@dataclass(frozen=True)
class _Entry:
    layout: Layout
    content: bytes


class LayoutReader:
    """The core's ``Reader`` over a data folder. Raises LAYOUT_INVALID when a layout there is not valid.

    ``vault`` opens what is sealed and conceals what is secret. Without one, codes are concealed for the moment only,
    which is enough to look at a file and never enough to post one.
    """

    def __init__(self, data_dir: Path, *, vault: Callable[[], Vault] = throwaway) -> None:
        self._vault = vault
        paths = sorted(data_dir.glob("partners/*/*/layout*.yaml"))
        loaded = [_load(path, data_dir) for path in paths]
        self._entries = {(entry.layout.feed, entry.layout.version): entry for entry in loaded}
        if len(self._entries) != len(loaded):
            raise _invalid(str(data_dir), "a feed's version is given twice")
        self._versions: dict[str, list[Layout]] = {}
        for feed, version in sorted(self._entries):
            self._versions.setdefault(feed, []).append(self._entries[feed, version].layout)
        for feed, layouts in self._versions.items():
            if any(later.effective_from <= earlier.effective_from for earlier, later in pairwise(layouts)):
                raise _invalid(f"feed {feed}", "a later version that is not effective later")
        _require_shared_archives(self.layouts())

    def feeds(self) -> Sequence[Feed]:
        """The newest version of every feed, by name."""
        return self.layouts()

    def since(self, feed: Feed) -> date:
        """The day from which the feed's first version is in force: no file is due before it."""
        return self._versions[feed.feed][0].effective_from

    def layouts(self) -> list[Layout]:
        """The same, as the layouts that they are."""
        return [layouts[-1] for _, layouts in sorted(self._versions.items())]

    def candidates(self, *, connection: str, folder: str, name: str) -> Sequence[Feed]:
        """The newest version of each feed whose connection, folder and name pattern fit."""
        fitting = (
            [layout for layout in layouts if _misfit(layout, connection, folder, name) is None]
            for _, layouts in sorted(self._versions.items())
        )
        return [layouts[-1] for layouts in fitting if layouts]

    def named_day(self, feed: Feed, *, name: str) -> date | None:
        """The business date in a file's name, where the layout has one there and it can be read."""
        return named_day(self._layout(feed), name)

    def claim(self, *, connection: str, folder: str, name: str, payload: Path) -> Feed:
        """The one layout that claims a file, in the version in force on its business date.

        Raises FILE_UNCLAIMED naming the nearest layouts and why they do not fit, and FILE_AMBIGUOUS naming all that do.
        """
        reasons: dict[str, str] = {}
        claims = []
        for layouts in self._versions.values():
            placed = [layout for layout in layouts if _misfit(layout, connection, folder, name) is None]
            with ExitStack() as opened:
                path = opened.enter_context(in_the_clear(payload, placed[0], self._vault)) if placed else payload
                fitting = [layout for layout in placed if _begins_right(layout, path)]
                chosen = _in_force(fitting, name, path)
            if chosen is not None:
                claims.append(chosen)
            begins = f"no version was in force on its business date, the first is from {layouts[0].effective_from}"
            late = begins if fitting else "its first line does not fit"
            reasons[layouts[-1].key] = late if placed else str(_misfit(layouts[-1], connection, folder, name))
        return _the_one(claims, f"{connection}:{folder}/{name!r}", reasons)

    def layout_bytes(self, feed: Feed) -> bytes:
        """The layout file as it lies on disk; NOTHING_FOUND for a version that is not there."""
        entry = self._entries.get((feed.feed, feed.version))
        if entry is None:
            raise PermanentError(
                Code.NOTHING_FOUND,
                feed.key,
                found="no layout of this feed and version",
                expected="a layout of the data folder",
                remedy="Put the layout file back",
            )
        return entry.content

    def feed_from_bytes(self, layout: bytes) -> Feed:
        """The feed of a layout kept elsewhere; LAYOUT_INVALID."""
        return parse_layout(layout, "kept layout")

    def terms(self, feed: Feed) -> Terms:
        """How a feed's files name and write the columns of their records."""
        return terms(self._layout(feed))

    def places(self, feed: Feed) -> Mapping[str, str]:
        """Where each field of the feed's records lies, in words for the partner."""
        return {name: spec.placed(name) for name, spec in self._layout(feed).fields.items()}

    def encoding(self, feed: Feed) -> str:
        """The encoding of the raw bytes that are kept of the feed's quarantined records."""
        layout = self._layout(feed)
        # UTF-16 is turned into UTF-8 before lines are cut, and records of documents are written as it.
        return layout.encoding if layout.lines is not None and layout.encoding != "utf-16" else "utf-8"

    def inspect(self, feed: Feed, *, name: str, payload: Path) -> Marks:
        """What a file says of itself; FILE_EMPTY, FILE_TOO_LARGE, HEADER_MISSING, ENVELOPE_INVALID."""
        layout = self._layout(feed)
        with in_the_clear(payload, layout, self._vault) as path:
            return inspect_file(layout, name, path)

    def read(self, feed: Feed, *, name: str, payload: Path) -> Parsed:
        """Every record of a file, typed and gated; see ``parsers.reader.read_file``."""
        layout = self._layout(feed)
        with in_the_clear(payload, layout, self._vault) as path:
            return read_file(layout, name, path, self._vault)

    def codes(self, feed: Feed, *, name: str, payload: Path) -> pl.DataFrame:
        """What no table holds; see ``parsers.reader.read_codes``."""
        layout = self._layout(feed)
        with in_the_clear(payload, layout, self._vault) as path:
            return read_codes(layout, name, path)

    def lines(self, feed: Feed, *, name: str, payload: Path, numbers: Iterable[int]) -> dict[int, RawLine]:
        """The physical lines with these numbers; see ``parsers.raw_lines.read_lines``. None of a feed of secrets."""
        layout = self._layout(feed)
        return {} if layout.kind in SECRET_KINDS else read_lines(layout, name, payload, numbers)

    def _layout(self, feed: Feed) -> Layout:
        return feed if isinstance(feed, Layout) else parse_layout(self.layout_bytes(feed), feed.key)


def _require_shared_archives(layouts: Sequence[Layout]) -> None:
    """LAYOUT_INVALID where feeds that take members of one archive disagree on how it arrives and is opened, or on
    whether it is full of secrets, of which nothing is kept in the clear."""
    ways: dict[tuple[str, str, str | None], Layout] = {}
    for layout in layouts:
        place = (layout.arrival.connection, layout.arrival.folder.strip("/"), layout.archive_name)
        first = ways.setdefault(place, layout)
        said = [(one.arrival, one.wrappers, one.kind in SECRET_KINDS) for one in (first, layout)]
        if layout.archive_name is not None and said[0] != said[1]:
            found = "one archive's name with different arrival: or wrappers:, or for secrets and for other things"
            raise _invalid(f"{first.key} and {layout.key}", found)


def _load(path: Path, data_dir: Path) -> _Entry:
    where = path.relative_to(data_dir).as_posix()
    content = path.read_bytes()
    layout = parse_layout(content, where)
    feed, partner = path.parent.name, path.parent.parent.name
    if (layout.feed, layout.partner) != (feed, partner):
        raise _invalid(where, f"feed {layout.feed} of {layout.partner} in the folder of {feed} of {partner}")
    return _Entry(layout, content)


def _misfit(layout: Layout, connection: str, folder: str, name: str) -> str | None:
    """Why a layout does not fit a place and name, or None when it does."""
    misplaced = _misplaced(layout, connection, folder)
    if re.fullmatch(layout.recognise.name, name) is None:
        return _MISNAMED if misplaced is None else f"{_MISNAMED}, and {misplaced}"
    return misplaced


def _misplaced(layout: Layout, connection: str, folder: str) -> str | None:
    if layout.arrival.connection != connection:
        return f"it is expected on connection {layout.arrival.connection}"
    if layout.arrival.folder.strip("/") != folder.strip("/"):
        return f"it is expected in folder {layout.arrival.folder}"
    return None


def _begins_right(layout: Layout, path: Path) -> bool:
    if layout.recognise.first_line is None:
        return True
    try:
        payload = map_layout(path, layout)
    except UnicodeDecodeError:
        return False
    if payload is None:
        return False
    first = payload.content(payload.start, payload.line_after(payload.start))
    return first_line_fits(first, layout.recognise.first_line, payload.encoding)


def _in_force(layouts: Sequence[Layout], name: str, path: Path) -> Layout | None:
    """Of one feed's versions, the one in force on the business date that the file states under it.

    A file that states none, or cannot be read so far, goes to the newest: reading it says what is wrong.
    """
    if not layouts:
        return None
    dated = [(layout, _business_date(layout, name, path)) for layout in layouts]
    ends = [later.effective_from for later in layouts[1:]] + [date.max]
    for (layout, day), end in zip(dated, ends, strict=True):
        if day is not None and layout.effective_from <= day < end:
            return layout
    return None if dated[-1][1] is not None else layouts[-1]


def _business_date(layout: Layout, name: str, path: Path) -> date | None:
    try:
        return inspect_file(layout, name, path).business_date
    except PermanentError:
        return None


def _the_one(claims: Sequence[Layout], where: str, reasons: dict[str, str]) -> Layout:
    if len(claims) == 1:
        return claims[0]
    if claims:
        raise PermanentError(
            Code.FILE_AMBIGUOUS,
            where,
            found=f"a file that {len(claims)} layouts claim: {', '.join(sorted(layout.key for layout in claims))}",
            expected="exactly one",
            remedy="Tell them apart by folder, name or first_line in their recognise: keys",
        )
    # Nearer is one that only lies elsewhere than one that only has another name, and that than one with neither.
    nearest = sorted(reasons.items(), key=lambda item: (item[1].startswith(_MISNAMED), item[1] != _MISNAMED, item[0]))
    named = "; ".join(f"{key}: {why}" for key, why in nearest[:NEAREST_MAX])
    raise PermanentError(
        Code.FILE_UNCLAIMED,
        where,
        found=f"a file that no layout claims; nearest: {named or 'none'}",
        expected="exactly one layout that fits its connection, folder, name and first line",
        remedy="Move or rename the file, or mend its layout: the next run then takes it as it landed",
    )


def _invalid(where: str, found: str) -> PermanentError:
    return PermanentError(
        Code.LAYOUT_INVALID,
        where,
        found=found,
        expected="one layout a feed and version, in the folder of its partner and feed",
        remedy="Correct the layout files",
    )
