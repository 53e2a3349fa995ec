"""Single lines of a file by number, and which of their bytes hold what by the layout.

Here: finding lines without reading records, and of files that are not made of lines the records themselves. Not here:
where fields lie in one (``shapes``), what is hidden of them (the core's ``masking``), or typed values (``reader``).
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from counterfoil.protocols import RawLine, Span
from counterfoil.schemas.tables import RAW_BYTES_MAX
from parsers.fields import FieldSpec, TextField
from parsers.layout import Layout
from parsers.lines import SCAN_BYTES, Payload
from parsers.opening import open_file
from parsers.shapes.cut import Opened, Places
from parsers.shapes.json_lines import JsonLinesFile
from parsers.shapes.line_file import LineFile

_LINE_BREAK: Final = re.compile(rb"\s*[\r\n]\s*")

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
    opened = open_file(layout, path, name)
    if not isinstance(opened, LineFile | JsonLinesFile):
        return _records(layout, opened, numbers)
    payload = opened.payload
    found = {}
    for number, start in _starts(payload, numbers).items():
        end = payload.line_after(start)
        content = payload.content(start, end)
        size = len(content) if len(content) < RAW_BYTES_MAX else _size(payload, start, end)
        places = opened.places(content) if opened.holds_record(start) and size <= RAW_BYTES_MAX else ()
        found[number] = _raw(layout, content[:RAW_BYTES_MAX], size, payload.encoding, places)
    return found


def _records(layout: Layout, opened: Opened, numbers: Iterable[int]) -> dict[int, RawLine]:
    """Records by number, each on one line."""
    wanted = pl.Series(list(numbers), dtype=pl.Int64).unique()
    found: dict[int, RawLine] = {}
    for cut in opened.cuts():
        here = cut.rows.select("line_no", "line.size", content=cut.raw)
        for number, size, raw in here.filter(pl.col("line_no").is_in(wanted.implode())).iter_rows():
            content = _LINE_BREAK.sub(b" ", raw[:size].strip(b" \r\n"))
            whole = size <= RAW_BYTES_MAX
            places = opened.places(content) if whole else ()
            shown = content[:RAW_BYTES_MAX]
            found[number] = _raw(layout, shown, len(shown) if whole else size, "utf-8", places)
    return found


def _raw(layout: Layout, content: bytes, size: int, encoding: str, places: Places) -> RawLine:
    return RawLine(
        content=content,
        size=size,
        encoding=encoding,
        plain=_spans(places, _plain(layout)),
        accounts=_spans(places, _mapped(layout, _ACCOUNTS)),
    )


def _size(payload: Payload, start: int, end: int) -> int:
    """Bytes of a line that may be longer than ``content`` takes in, without its line end."""
    tail = payload.data[max(start, end - 2) : end].removesuffix(payload.separator)
    bare = tail.removesuffix(b"\r") if payload.line_end == "crlf" else tail
    return max(start, end - 2) + len(bare) - start


def _starts(payload: Payload, numbers: Iterable[int]) -> dict[int, int]:
    """Where the lines with these numbers begin. Line ends are counted; only pieces with a wanted one are looked at."""
    ends_before = np.unique(np.fromiter((number - 1 for number in numbers), np.int64))
    if payload.width is not None:
        places = zip(ends_before.tolist(), (payload.start + ends_before * payload.width).tolist(), strict=True)
        return {before + 1: start for before, start in places if start < payload.end}
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


def _mapped(layout: Layout, columns: set[str]) -> set[str]:
    """The fields that these canonical columns come from."""
    return {field for column, origin in layout.record.items() if column in columns for field in origin.fields}


def _plain(layout: Layout) -> set[str]:
    """Fields that name no person: codes, dates and numbers, and texts that name a thing."""
    accounts, things = _mapped(layout, _ACCOUNTS), _mapped(layout, _NOBODYS)

    def names_nobody(name: str, spec: FieldSpec) -> bool:
        return name not in accounts and (name in things or not isinstance(spec, TextField))

    return {name for name, spec in layout.fields.items() if names_nobody(name, spec)} | {""}


def _spans(places: Places, names: set[str]) -> tuple[Span, ...]:
    return tuple(sorted({span for name, span in places if name in names}))
