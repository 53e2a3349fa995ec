"""Single lines of a file by number, and which of their bytes hold what by the layout.

Here: finding lines without reading records, and where their fields lie; of files that are not made of lines, the text
of single records, all of which counts as somebody's. Not here: what is hidden of them (the core's ``masking``), or
typed values (``reader``).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from counterfoil.protocols import RawLine, Span
from counterfoil.schemas.tables import RAW_BYTES_MAX
from parsers.fields import FieldSpec, TextField
from parsers.layout import Layout
from parsers.layout_shapes import FixedWidth
from parsers.lines import SCAN_BYTES, Payload
from parsers.opening import open_file
from parsers.shapes import delimited, json_text
from parsers.shapes.cut import Opened
from parsers.shapes.json_lines import JsonLinesFile
from parsers.shapes.line_file import LineFile

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
        return _records(opened, numbers)
    payload = opened.payload
    found = {}
    for number, start in _starts(payload, numbers).items():
        end = payload.line_after(start)
        content = payload.content(start, end)
        size = len(content) if len(content) < RAW_BYTES_MAX else _size(payload, start, end)
        places: list[tuple[str, Span]] = []
        if size <= RAW_BYTES_MAX:
            places = _places_in_json(layout, content) if isinstance(opened, JsonLinesFile) else []
            if isinstance(opened, LineFile) and opened.details_start <= start < opened.details_end:
                places = list(_places(opened, content).items())
        found[number] = RawLine(
            content=content[:RAW_BYTES_MAX],
            size=size,
            encoding=payload.encoding,
            plain=_spans(places, _plain(layout)),
            accounts=_spans(places, _mapped(layout, _ACCOUNTS)),
        )
    return found


def _records(opened: Opened, numbers: Iterable[int]) -> dict[int, RawLine]:
    """Records by number, as text."""
    wanted = pl.Series(list(numbers), dtype=pl.Int64).unique()
    found: dict[int, RawLine] = {}
    for cut in opened.cuts():
        here = cut.rows.select("line_no", content=cut.raw).filter(pl.col("line_no").is_in(wanted.implode()))
        found |= {no: RawLine(content[:RAW_BYTES_MAX], len(content), "utf-8") for no, content in here.iter_rows()}
    return found


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


def _places(opened: LineFile, content: bytes) -> dict[str, Span]:
    """Where the fields of a detail lie, by name; none in a line that has not the declared structure."""
    shape, encoding = opened.shape, opened.payload.encoding
    prefix = next((p for p in shape.details if content.startswith(p.encode(encoding))), None)
    if prefix is None:
        return {}
    specs = {name: spec for name, spec in opened.specs.items() if spec.line in (None, prefix)}
    if isinstance(shape, FixedWidth):
        if len(content) != shape.record_length:
            return {}
        return {name: spec.span for name, spec in specs.items()} | {"": (0, len(prefix.encode(encoding)))}
    cells = delimited.spans(content, shape)
    if len(cells) != len(opened.columns):
        return {}
    by_column = dict(zip(opened.columns, cells, strict=True))
    return {name: by_column[spec.column] for name, spec in specs.items() if spec.column in by_column}


def _places_in_json(layout: Layout, content: bytes) -> list[tuple[str, Span]]:
    """Where the fields of a record lie in its object, and without a name the keys that the layout knows."""
    keys, values = json_text.spans(content)
    paths = {name: spec.path for name, spec in layout.fields.items() if spec.path is not None}
    known = {path.rsplit(".", cut)[0] for path in paths.values() for cut in range(path.count(".") + 1)}
    return [("", keys[path]) for path in known if path in keys] + [
        (name, values[path]) for name, path in paths.items() if path in values
    ]


def _mapped(layout: Layout, columns: set[str]) -> set[str]:
    """The fields that these canonical columns come from."""
    return {field for column, origin in layout.record.items() if column in columns for field in origin.fields}


def _plain(layout: Layout) -> set[str]:
    """Fields that name no person: codes, dates and numbers, and texts that name a thing."""
    accounts, things = _mapped(layout, _ACCOUNTS), _mapped(layout, _NOBODYS)

    def names_nobody(name: str, spec: FieldSpec) -> bool:
        return name not in accounts and (name in things or not isinstance(spec, TextField))

    return {name for name, spec in layout.fields.items() if names_nobody(name, spec)} | {""}


def _spans(places: list[tuple[str, Span]], names: set[str]) -> tuple[Span, ...]:
    return tuple(sorted({span for name, span in places if name in names}))
