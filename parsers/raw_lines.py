"""Single lines of a file by number, and which of their bytes hold what by the layout.

Here: finding lines without reading records, and where their fields lie. Not here: what is hidden of them (the core's
``masking``), or typed values (``reader``).
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from counterfoil.protocols import RawLine, Span
from counterfoil.schemas.tables import RAW_BYTES_MAX
from parsers.envelope import read_envelope
from parsers.fields import FieldSpec, TextField
from parsers.layout import Layout
from parsers.layout_parts import Delimited, FixedWidth
from parsers.lines import SCAN_BYTES, Payload, open_payload

_ACCOUNTS: Final = {"member", "to_account", "owner", "survivor"}
"""Canonical columns that hold somebody's number or name."""

_NOBODYS: Final = {
    "ref", "entry", "account", "partner", "feed", "status", "basis", "currency", "action", "subject", "payload",
}  # fmt: skip
"""Canonical columns of text that name a thing and no person; ``account`` is a kind of account."""


def read_lines(layout: Layout, name: str, path: Path, numbers: Iterable[int]) -> dict[int, RawLine]:
    """The lines of a file with these numbers (from 1), those that it has; raises what ``read_file`` raises about the
    envelope. One pass over the bytes up to the last of them.
    """
    payload = open_payload(path, layout, name)
    envelope = read_envelope(payload, layout, name)
    found = {}
    for number, start in _starts(payload, numbers).items():
        end = payload.line_after(start)
        content = payload.content(start, end)
        size = len(content) if len(content) < RAW_BYTES_MAX else _size(payload, start, end)
        places: dict[str, Span] = {}
        if envelope.details_start <= start < envelope.details_end and size <= RAW_BYTES_MAX:
            places = _places(layout, content, envelope.columns)
        found[number] = RawLine(
            content=content[:RAW_BYTES_MAX],
            size=size,
            encoding=layout.encoding,
            plain=_spans(places, _plain(layout)),
            accounts=_spans(places, _mapped(layout, _ACCOUNTS)),
        )
    return found


def _size(payload: Payload, start: int, end: int) -> int:
    """Bytes of a line that may be longer than ``content`` takes in, without its line end."""
    tail = payload.data[max(start, end - 2) : end].removesuffix(payload.separator)
    bare = tail.removesuffix(b"\r") if payload.line_end == "crlf" else tail
    return max(start, end - 2) + len(bare) - start


def _starts(payload: Payload, numbers: Iterable[int]) -> dict[int, int]:
    """Where the lines with these numbers begin. Line ends are counted; only pieces with a wanted one are looked at."""
    ends_before = np.unique(np.fromiter((number - 1 for number in numbers), np.int64))
    starts = {1: payload.start} if ends_before.size and ends_before[0] == 0 else {}
    wanted = ends_before[ends_before > 0]
    separator, seen, place = payload.separator[0], 0, payload.start
    while wanted.size and place < payload.end:
        size = min(SCAN_BYTES, payload.end - place)
        marks = np.frombuffer(payload.data, np.uint8, size, place) == separator
        count = int(np.count_nonzero(marks))
        here = wanted[wanted <= seen + count]
        if here.size:
            behind = np.flatnonzero(marks)[here - seen - 1] + place + 1
            pairs = zip(here.tolist(), behind.tolist(), strict=True)
            starts |= {ordinal + 1: start for ordinal, start in pairs if start < payload.end}
        wanted = wanted[here.size :]
        seen, place = seen + count, place + size
    return starts


def _places(layout: Layout, content: bytes, columns: Sequence[str]) -> dict[str, Span]:
    """Where the fields of a record lie, by name; none in a line that has not the declared structure."""
    if isinstance(layout.shape, FixedWidth):
        if len(content) != layout.shape.record_length:
            return {}
        return {name: spec.span for name, spec in layout.fields.items()} | {"": (0, len(layout.shape.detail.encode()))}
    cells = _cells(content, layout.shape)
    if len(cells) != len(columns):
        return {}
    by_column = dict(zip(columns, cells, strict=True))
    return {name: by_column[spec.column or ""] for name, spec in layout.fields.items()}


def _cells(content: bytes, shape: Delimited) -> list[Span]:
    """The cells of a line, quotes included; none where quotes are out of place, as for ``shapes``."""
    delimiter = re.escape(shape.delimiter.encode())
    quote = shape.quote_character
    bare = b"[^%b]*" % delimiter
    if quote is not None:
        q = re.escape(quote.encode())
        bare = b"(?:%b(?:[^%b]|%b%b)*%b|[^%b%b]*)" % (q, q, q, q, q, delimiter, q)
    cell = re.compile(b"%b%b" % (delimiter, bare))
    line = shape.delimiter.encode() + content
    found = [match.span() for match in cell.finditer(line)]
    whole = sum(end - start for start, end in found) == len(line)
    return [(start, end - 1) for start, end in found] if whole else []


def _mapped(layout: Layout, columns: set[str]) -> set[str]:
    """The fields that these canonical columns come from."""
    return {origin.field or "" for column, origin in layout.record.items() if column in columns}


def _plain(layout: Layout) -> set[str]:
    """Fields that name no person: codes, dates and numbers, and texts that name a thing."""
    accounts, things = _mapped(layout, _ACCOUNTS), _mapped(layout, _NOBODYS)

    def names_nobody(name: str, spec: FieldSpec) -> bool:
        return name not in accounts and (name in things or not isinstance(spec, TextField))

    return {name for name, spec in layout.fields.items() if names_nobody(name, spec)} | {""}


def _spans(places: dict[str, Span], names: set[str]) -> tuple[Span, ...]:
    return tuple(sorted({span for name, span in places.items() if name in names}))
