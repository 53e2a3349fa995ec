"""A file as physical lines: mapped bytes, line ends, the end-of-file tail, blocks of lines by offset.

Here: where lines begin and end, and nothing of what they say. Not here: encodings (``text``) or records (``shapes``).

What is a line: every line end closes one, also a blank one between others; the last may lack its line end. What follows
the last line that is not blank (line ends, the DOS end-of-file mark 0x1A) is no line. A UTF-8 byte order mark before
the first line belongs to none.
"""

import codecs
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from counterfoil.errors import Code, PermanentError
from counterfoil.schemas.tables import RAW_BYTES_MAX
from parsers.layout import Layout
from parsers.layout_parts import LineEnd

BLOCK_BYTES: Final = 32 * 1024 * 1024
"""Bytes parsed at a time. Measured on 2 M lines of 120 bytes: 4 MiB take half as long again, more than 32 MiB gain
nothing, and temporary columns stay small."""

SCAN_BYTES: Final = 256 * 1024
"""Bytes compared at a time while looking for line ends: the mask stays in the processor's cache."""

ENVELOPE_LINE_BYTES_MAX: Final = 65_536
"""Longest header or trailer line: the longest record length a layout may declare."""

_TAIL: Final = frozenset(b"\r\n\x1a")
_MARKS: Final = {"cr": (b"\r",), "lf": (b"\n",), "crlf": (b"\r\n", b"\n")}


@dataclass(frozen=True, eq=False)
class Payload:
    """The bytes of a file from behind its byte order mark to the end of its last line, and how its lines end."""

    data: mmap.mmap
    start: int
    end: int
    line_end: LineEnd

    @property
    def separator(self) -> bytes:
        """The byte that lines are split at."""
        return b"\r" if self.line_end == "cr" else b"\n"

    def line_after(self, start: int) -> int:
        """Where the next line begins, or ``end``."""
        place = self.data.find(self.separator, start, self.end)
        return self.end if place < 0 else place + 1

    def line_before(self, end: int) -> int:
        """Where the line that ends at ``end`` (its line end included) begins."""
        return self.data.rfind(self.separator, self.start, max(end - 1, self.start)) + 1 or self.start

    def content(self, start: int, end: int) -> bytes:
        """One line without its line end, cut at the longest envelope line."""
        line = self.data[start : min(end, start + ENVELOPE_LINE_BYTES_MAX + 2)].removesuffix(self.separator)
        return line.removesuffix(b"\r") if self.line_end == "crlf" else line


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive lines: line i is ``buffer[starts[i]:starts[i + 1]]``, its first ``sizes[i]`` bytes without line end.

    ``sizes`` may exceed what the buffer holds of a line that was too long to take in.
    """

    first_no: int
    buffer: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


def open_payload(path: Path, layout: Layout, name: str) -> Payload:
    """Map a file. Raises FILE_TOO_LARGE, FILE_EMPTY when it holds no line, ENVELOPE_INVALID for other line ends."""
    where = f"{layout.key} {name!r}"
    size = path.stat().st_size
    if size > layout.limits.bytes_max:
        raise PermanentError(
            Code.FILE_TOO_LARGE,
            where,
            found=f"{size:,} bytes",
            expected=f"at most {layout.limits.bytes_max:,}",
            remedy="Ask the partner to split the file, or raise limits.bytes_max in a new layout version",
        )
    payload = map_lines(path, layout.line_ends, bom=layout.encoding == "utf-8")
    if payload is None:
        raise PermanentError(
            Code.FILE_EMPTY,
            where,
            found=f"no line in {size:,} bytes",
            expected="a header at least, also on a day without records",
            remedy="Ask the partner to send the file again",
        )
    if payload.line_end not in layout.line_ends and payload.line_after(payload.start) != payload.end:
        raise PermanentError(
            Code.ENVELOPE_INVALID,
            where,
            found=f"lines that end in {payload.line_end.upper()}",
            expected=" or ".join(layout.line_ends).upper(),
            remedy="Ask the partner for the declared line ends, or declare these in a new layout version",
        )
    return payload


def map_lines(path: Path, line_ends: tuple[LineEnd, ...], *, bom: bool) -> Payload | None:
    """The lines of a file, or None when it has none. The file must not shrink while the result is in use."""
    if path.stat().st_size == 0:
        return None
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = len(codecs.BOM_UTF8) if bom and data[:3] == codecs.BOM_UTF8 else 0
    end = _before_tail(data, start)
    if end == start:
        return None
    line_end = _line_end(data, start, end, line_ends)
    closing = next((mark for mark in _MARKS[line_end] if data[end : end + len(mark)] == mark), b"")
    return Payload(data, start, end + len(closing), line_end)


def _before_tail(data: mmap.mmap, start: int) -> int:
    end = len(data)
    while end > start and data[end - 1] in _TAIL:
        begin = max(start, end - SCAN_BYTES)
        end = begin + len(data[begin:end].rstrip(bytes(_TAIL)))
    return end


def _line_end(data: mmap.mmap, start: int, end: int, allowed: tuple[LineEnd, ...]) -> LineEnd:
    """How the first line ends; a carriage return inside it counts only where the layout knows such line ends."""
    feed = data.find(b"\n", start, end)
    if "cr" in allowed:
        carriage = data.find(b"\r", start, end if feed < 0 else feed)
        if carriage >= 0 and carriage + 1 != feed:
            return "cr"
        if feed < 0:
            return "cr"
    if feed < 0:
        return allowed[0]
    return "crlf" if feed > start and data[feed - 1] == ord("\r") else "lf"


def blocks(payload: Payload, start: int, end: int, first_no: int) -> Iterator[Block]:
    """The lines from ``start`` to ``end`` in blocks of about BLOCK_BYTES; a longer line comes alone, cut short."""
    separator = payload.separator
    while start < end:
        stop = min(start + BLOCK_BYTES, end)
        if stop < end:
            stop = payload.data.rfind(separator, start, stop) + 1
        if stop <= start:
            stop = payload.data.find(separator, start, end) + 1 or end
            block = _cut_line(payload, start, stop, first_no)
        else:
            block = _whole_lines(payload, start, stop, first_no)
        yield block
        first_no += len(block.sizes)
        start = stop


def _cut_line(payload: Payload, start: int, stop: int, first_no: int) -> Block:
    kept = min(stop - start, RAW_BYTES_MAX)
    buffer = np.frombuffer(payload.data, np.uint8, kept, start)
    return Block(first_no, buffer, np.array([0, kept], np.int64), np.array([stop - start], np.int64))


def _whole_lines(payload: Payload, start: int, stop: int, first_no: int) -> Block:
    buffer = np.frombuffer(payload.data, np.uint8, stop - start, start)
    separator = payload.separator[0]
    ends = np.concatenate(
        [np.flatnonzero(buffer[i : i + SCAN_BYTES] == separator) + i for i in range(0, len(buffer), SCAN_BYTES)]
    )
    open_end = ends.size == 0 or ends[-1] != len(buffer) - 1
    starts = np.empty(ends.size + 1 + open_end, np.int64)
    starts[0] = 0
    starts[1 : ends.size + 1] = ends + 1
    sizes = np.empty(len(starts) - 1, np.int64)
    sizes[: ends.size] = ends - starts[: ends.size]
    if open_end:
        starts[-1] = len(buffer)
        sizes[-1] = len(buffer) - starts[-2]
    if payload.line_end == "crlf":
        filled = sizes > 0
        sizes[filled] -= buffer[starts[:-1][filled] + sizes[filled] - 1] == ord("\r")
    return Block(first_no, buffer, starts, sizes)
