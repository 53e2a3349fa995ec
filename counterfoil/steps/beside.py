"""Small files that come beside others: check sums, control totals, and lists of the files that belong together.

Here: which of them there are, when a file's are all there, and whether it is what they say. Not here: when the file
itself is ready, or how it is fetched and landed (``arrive``).
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from counterfoil.errors import Code, CounterfoilError, PermanentError
from counterfoil.feed import Companion, Feed, Manifest
from counterfoil.landing.index import Look
from counterfoil.limits import MEBIBYTE
from counterfoil.protocols import Parsed, RemoteFile, Source
from counterfoil.schemas.gate import prove_control
from counterfoil.schemas.tables import CONTROL, empty
from counterfoil.steps.desk import Desk

_DIGITS: Final = {"md5": 32, "sha256": 64}
"""Hexadecimal digits of a check sum."""


@dataclass(frozen=True)
class FileSet:
    """A manifest, and the files that it lists: by name, with the SHA-256 it states or nothing."""

    file: RemoteFile
    names: Mapping[str, str]


@dataclass(frozen=True)
class Beside:
    """What lies beside a file and is all there: its companions, and the manifest that lists it."""

    companions: tuple[tuple[Companion, RemoteFile], ...] = ()
    listed: FileSet | None = None


@dataclass(frozen=True)
class Said:
    """What companions said of a file that fits them. ``shas``: the hashes under which they landed; ``declared``:
    records and points, as far as one of them states any."""

    shas: tuple[str, ...] = ()
    declared: Mapping[str, int] = field(default_factory=dict)


def is_beside(feeds: Iterable[Feed], name: str) -> bool:
    """Whether a name is that of a companion or manifest of these feeds, and so of no file of its own."""
    return any(
        name.endswith(tuple(one.suffix for one in feed.arrival.companions)) or lists(feed.arrival.manifest, name)
        for feed in feeds
    )


def file_sets(
    source: Source, feeds: Sequence[Feed], looks: Sequence[Look], troubles: list[CounterfoilError]
) -> list[FileSet]:
    """The manifests of a folder, read. One that cannot be read is a trouble, and what it lists waits."""
    if all(look.delivered or is_beside(feeds, look.file.name) for look in looks):
        return []
    found = []
    for look in looks:
        manifest = next((one for feed in feeds if lists(one := feed.arrival.manifest, look.file.name)), None)
        if manifest is None:
            continue
        try:
            found.append(FileSet(look.file, listed_in(manifest, _content(source, look.file), look.file.name)))
        except PermanentError as error:
            troubles.append(error)
    return found


def beside(
    desk: Desk, connection: str, feed: Feed, look: Look, looks: Mapping[str, Look], sets: Sequence[FileSet]
) -> Beside | None:
    """What lies beside a file; None while something of it is missing.

    ``looks``: of the folder, by name. A manifest's files need not lie there still: those that were delivered since the
    manifest came have been there.
    """
    names = [(one, look.file.name + one.suffix) for one in feed.arrival.companions]
    if any(name not in looks for _, name in names):
        return None
    companions = tuple((one, looks[name].file) for one, name in names)
    if feed.arrival.manifest is None:
        return Beside(companions)
    for one in sets:
        missing = [name for name in one.names if name not in looks]
        if look.file.name in one.names and (
            not missing
            or desk.index.delivered_since(connection, look.file.folder, missing, looks[one.file.name].first_seen)
        ):
            return Beside(companions, one)
    return None


def read_companions(desk: Desk, source: Source, feed: Feed, file: RemoteFile, received: str, around: Beside) -> Said:
    """Land what lies beside a received file, and hold the file against it. COMPANION_DIFFERS tells both sides."""
    where = f"{feed.key} {file.name!r}"
    said = Said()
    for companion, small in around.companions:
        content = _content(source, small)
        said = replace(said, shas=(*said.shas, desk.landing.land_bytes(content)))
        if companion.holds == "control":
            said = replace(said, declared=declared_in(companion, content, small.name))
        else:
            found = received if companion.holds == "sha256" else md5_of(desk.landing.path(received))
            require_sum(where, small.name, sum_in(companion, content, small.name), found)
    stated = around.listed.names[file.name] if around.listed else ""
    if around.listed and stated:
        require_sum(where, around.listed.file.name, stated, received)
    return said


def said_again(desk: Desk, feed: Feed, name: str, shas: Sequence[str]) -> Said:
    """What companions said of a file that was found to be what they say, read anew from what landed of them."""
    companions = feed.arrival.companions if len(feed.arrival.companions) == len(shas) else ()
    declared: dict[str, int] = {}
    for companion, sha in zip(companions, shas, strict=False):
        if companion.holds == "control":
            declared = declared_in(companion, desk.landing.verify(sha).read_bytes(), name + companion.suffix)
    return Said(tuple(shas), declared)


def prove_declared(desk: Desk, feed: Feed, name: str, payload: Path, declared: Mapping[str, int]) -> None:
    """Hold a file's records against the count and points that its companion states; raises what ``prove_control``
    does."""
    if declared:
        prove_stated(desk.reader.read(feed, name=name, payload=payload), feed, name, declared)


def prove_stated(parsed: Parsed, feed: Feed, name: str, declared: Mapping[str, int]) -> None:
    """The same for a file that is read."""
    found = counted(parsed)
    rows = [(f"{what}_companion", number, found[what]) for what, number in declared.items()]
    control = pl.DataFrame(rows, schema=["name", "declared", "computed"], orient="row").with_columns(
        holds=pl.col("declared") == pl.col("computed")
    )
    prove_control(replace(parsed, control=empty(CONTROL).vstack(control.select(*CONTROL))), feed, name)


def counted(parsed: Parsed) -> dict[str, int]:
    """What a control file may state of records, as it is."""
    points = sum(
        int(part["points"].sum()) for part in (parsed.accepted, parsed.quarantined) if "points" in part.columns
    )
    return {"records": parsed.records, "points": points}


def left_with(feed: Feed, file: RemoteFile, listed: FileSet | None, still: Iterable[str]) -> list[str]:
    """The names of what goes away with a file: its companions, and its manifest when no other file of it is left."""
    names = [file.name + one.suffix for one in feed.arrival.companions]
    if listed is not None and not (set(listed.names) - {file.name}) & set(still):
        names.append(listed.file.name)
    return names


def lists(manifest: Manifest | None, name: str) -> bool:
    """Whether a file of this name is a manifest."""
    return manifest is not None and re.fullmatch(manifest.name, name) is not None


def _content(source: Source, file: RemoteFile) -> bytes:
    require_small(file.name, file.size)
    into = io.BytesIO()
    source.fetch(file, into, 0)
    return into.getvalue()


def require_small(name: str, size: int) -> None:
    """COMPANION_DIFFERS for what is too large to be read whole."""
    if size > MEBIBYTE:
        raise _differs(name, f"{size:,} bytes", f"at most {MEBIBYTE:,} in a file that comes beside another")


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _differs(name, "bytes that are no UTF-8", "text") from None


def sum_in(companion: Companion, content: bytes, name: str) -> str:
    """The one check sum that a companion holds."""
    digits = _DIGITS[companion.holds]
    found = re.finditer(rf"(?<![0-9A-Za-z])[0-9A-Fa-f]{{{digits}}}(?![0-9A-Za-z])", _text(content, name))
    sums = {match[0].lower() for match in found}
    if len(sums) != 1:
        raise _differs(name, f"{len(sums)} check sums", f"one of {digits} hexadecimal digits")
    return sums.pop()


def md5_of(path: Path) -> str:
    """The other check sum of a file than that under which it lies."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def require_sum(where: str, beside_it: str, stated: str, found: str) -> None:
    """COMPANION_DIFFERS with both sides."""
    if stated != found:
        raise _differs(where, f"bytes with the check sum {found}", f"{stated}, as {beside_it!r} says")


def declared_in(companion: Companion, content: bytes, name: str) -> dict[str, int]:
    """The records and points that a control file states."""
    match = re.search(companion.pattern or "", _text(content, name))
    if match is None:
        raise _differs(name, "no text that its pattern finds", "count and points as the layout's pattern has them")
    try:
        return {what: int(number) for what, number in match.groupdict().items() if number is not None}
    except ValueError:
        raise _differs(name, "a count or total that is no number", "whole numbers") from None


def listed_in(manifest: Manifest, content: bytes, name: str) -> dict[str, str]:
    """The files that a manifest lists, each with its SHA-256 or nothing."""
    text = _text(content, name)
    if manifest.files is None:
        pairs = [_line(line) for line in text.splitlines() if line.strip()]
    else:
        pairs = [_entry(one, name) for one in _json_list(text, manifest.files, name)]
    names = dict(pairs)
    if not names or len(names) != len(pairs):
        raise _differs(name, "no file listed, or one twice", "each file of the set once")
    return names


def _line(line: str) -> tuple[str, str]:
    """``<name>``, or ``<SHA-256>  <name>`` as sha256sum writes it."""
    match = re.fullmatch(r"([0-9A-Fa-f]{64}) [ *](.+)", line)
    return (match[2], match[1].lower()) if match else (line.strip(), "")


def _json_list(text: str, path: str, name: str) -> list[Any]:
    try:
        found = json.loads(text)
        for key in path.split("."):
            found = found[key]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _differs(name, f"no JSON with a list at {path}", "a list of file names") from None
    if not isinstance(found, list):
        raise _differs(name, f"no list at {path}", "a list of file names")
    return found


def _entry(one: object, name: str) -> tuple[str, str]:
    """A name, or an object with ``name`` and ``sha256``."""
    if isinstance(one, str):
        return one, ""
    if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("sha256", ""), str):
        return one["name"], one.get("sha256", "").lower()
    raise _differs(name, "an entry that names no file", "a name, or an object with name and sha256")


def _differs(where: str, found: str, expected: str) -> PermanentError:
    return PermanentError(
        Code.COMPANION_DIFFERS,
        where,
        found=found,
        expected=expected,
        remedy="Ask the partner to send the file and what goes with it again",
    )
