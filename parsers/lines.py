"""A file as physical lines: mapped bytes, line ends, the end-of-file tail, blocks of lines by offset.

Here: where lines begin and end, and nothing of what they say. Not here: characters (``text``) or records (``shapes``).

What is a line: every line end closes one, also a blank one between others; the last may lack its line end. What follows
the last line that is not blank (line ends, the DOS end-of-file mark 0x1A) is no line. A byte order mark before the
first line belongs to none. Where a layout knows no line ends, a line is so many bytes, and every byte belongs to one.
UTF-16 is turned into UTF-8 first, since none of its bytes alone is a line end.
"""

import codecs
import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from counterfoil.errors import Code, PermanentError
from counterfoil.schemas.tables import RAW_BYTES_MAX
from parsers.faults import bound_bytes, empty_file, wrong_encoding
from parsers.layout import Layout
from parsers.layout_shapes import Encoding, FixedWidth, LineEnd

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
    """The bytes of a file from behind its byte order mark to the end of its last line, how its lines end, and in what
    encoding they are. ``width``: the bytes of a line where lines have no end."""

    data: mmap.mmap
    start: int
    end: int
    line_end: LineEnd
    encoding: Encoding
    width: int | None = None

    @property
    def separator(self) -> bytes:
        """The byte that lines are split at; none where they have one width."""
        return {"cr": b"\r", "none": b""}.get(self.line_end, b"\n")

    def line_after(self, start: int) -> int:
        """Where the next line begins, or ``end``."""
        if self.width is not None:
            return min(start + self.width, self.end)
        place = self.data.find(self.separator, start, self.end)
        return self.end if place < 0 else place + 1

    def line_before(self, end: int) -> int:
        """Where the line that ends at ``end`` (its line end included) begins."""
        if self.width is not None:
            return self.start + max(end - self.start - 1, 0) // self.width * self.width
        return self.data.rfind(self.separator, self.start, max(end - 1, self.start)) + 1 or self.start

    def last_end(self, start: int, limit: int) -> int:
        """The end of the last line that begins at ``start`` or later and ends by ``limit``; else ``start`` or less."""
        if self.width is not None:
            return start + (limit - start) // self.width * self.width
        return self.data.rfind(self.separator, start, limit) + 1

    def content(self, start: int, end: int) -> bytes:
        """One line without its line end, cut at the longest envelope line."""
        line = self.data[start : min(end, start + ENVELOPE_LINE_BYTES_MAX + 2)].removesuffix(self.separator)
        return line.removesuffix(b"\r") if self.line_end == "crlf" else line

    def begins(self, start: int, prefix: str) -> bool:
        """True when the bytes at ``start`` begin with a text, in the file's own encoding."""
        code = prefix.encode(self.encoding)
        return self.data[start : start + len(code)] == code


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
    size = bound_bytes(path, layout, name)
    try:
        payload = map_layout(path, layout)
    except UnicodeDecodeError:
        raise wrong_encoding(layout, name, layout.encoding) from None
    if payload is None:
        raise empty_file(layout, name, f"no line in {size:,} bytes")
    if payload.line_end not in layout.line_ends and payload.line_after(payload.start) != payload.end:
        raise PermanentError(
            Code.ENVELOPE_INVALID,
            f"{layout.key} {name!r}",
            found=f"lines that end in {payload.line_end.upper()}",
            expected=" or ".join(layout.line_ends).upper(),
            remedy="Ask the partner for the declared line ends, or declare these in a new layout version",
        )
    return payload


def map_layout(path: Path, layout: Layout) -> Payload | None:
    """The lines of a file by a layout, or None when it has none. UnicodeDecodeError for what is not UTF-16."""
    width = layout.shape.record_length if isinstance(layout.shape, FixedWidth) else None
    return map_lines(path, layout.line_ends, layout.encoding, width)


def map_lines(
    path: Path, line_ends: tuple[LineEnd, ...], encoding: Encoding = "utf-8", width: int | None = None
) -> Payload | None:
    """The lines of a file, or None when it has none. The file must not shrink while the result is in use.

    ``width`` is that of a line where ``line_ends`` is none.
    """
    if path.stat().st_size == 0:
        return None
    data = map_bytes(path, encoding)
    encoding = "utf-8" if encoding == "utf-16" else encoding
    if line_ends == ("none",):
        return Payload(data, 0, len(data), "none", encoding, width)
    start = len(codecs.BOM_UTF8) if encoding == "utf-8" and data[:3] == codecs.BOM_UTF8 else 0
    end = _before_tail(data, start)
    if end == start:
        return None
    line_end = _line_end(data, start, end, line_ends)
    closing = next((mark for mark in _MARKS[line_end] if data[end : end + len(mark)] == mark), b"")
    return Payload(data, start, end + len(closing), line_end, encoding)


def map_bytes(path: Path, encoding: Encoding) -> mmap.mmap:
    """The bytes of a file that holds any; UTF-16 as UTF-8, or UnicodeDecodeError for what is not."""
    with path.open("rb") as file:
        return _map(file) if encoding != "utf-16" else _map_transcoded(file)


def _map(file: BinaryIO) -> mmap.mmap:
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _map_transcoded(source: BinaryIO) -> mmap.mmap:
    """UTF-16 as UTF-8, piece by piece, in a file without a name; a newline stands for a file of nothing else."""
    decoder = codecs.getincrementaldecoder("utf-16")()
    with tempfile.TemporaryFile() as target:
        while piece := source.read(SCAN_BYTES):
            target.write(decoder.decode(piece).encode())
        target.write(decoder.decode(b"", final=True).encode() or b"\n" * (target.tell() == 0))
        target.flush()
        return _map(target)


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


def blocks(payload: Payload, start: int, end: int, first_no: int, *, together: str | None = None) -> Iterator[Block]:
    """The lines from ``start`` to ``end`` in blocks of about BLOCK_BYTES; a longer line comes alone, cut short.

    A line that begins with ``together`` stays in the block of the line before it.
    """
    while start < end:
        stop = min(start + BLOCK_BYTES, end)
        if stop < end:
            stop = payload.last_end(start, stop)
        if stop <= start:
            stop = min(payload.line_after(start), end)
            block = _cut_line(payload, start, stop, first_no)
        else:
            if together is not None and stop < end and payload.begins(stop, together):
                stop = payload.line_after(stop)
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
    if payload.width is not None:
        starts = np.append(np.arange(0, len(buffer), payload.width, dtype=np.int64), len(buffer))
        return Block(first_no, buffer, starts, np.diff(starts))
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
