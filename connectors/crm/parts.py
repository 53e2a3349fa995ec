"""Writes one CSV, split under a size limit, into a folder: streamed, fsynced, renamed.

Here: rendering slices of a frame and the files they go to. Not here: what the columns mean.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal
from uuid import uuid4

import polars as pl
import pyarrow as pa

from counterfoil.errors import Code, PermanentError
from counterfoil.files import room_for_write

CHUNK_ROWS: Final = 100_000
"""Rows rendered at once: ten of Salesforce's internal batches, about 15 MB, so that memory stays small."""

WRITER_BATCH_ROWS: Final = 32_768
"""Rows a writer thread takes at a time: twice as fast as the library's 1,024 for rows of this width."""

Chunk = tuple[int, int, bytes]
"""First row, rows, rendered rows."""


@dataclass(frozen=True)
class WrittenPart:
    """One file: rows ``first_row`` .. ``first_row + rows`` of the frame, its size and hash."""

    name: str
    first_row: int
    rows: int
    bytes: int
    sha256: str


class PartFile:
    """A file that appears under its name only when it is whole and on the disk.

    Until then it has a hidden name of its own, so that two processes that write the same batch do not mix.
    """

    def __init__(self, folder: Path, name: str, first_row: int, header: bytes) -> None:
        self._path = folder / name
        self._partial = folder / f".{uuid4().hex}.part"
        with room_for_write(folder):
            self._file: BinaryIO = self._partial.open("xb")
        self._hash = hashlib.sha256()
        self.first_row = first_row
        self.rows = 0
        self.bytes = 0
        self._append(header)

    def add(self, rows: int, content: bytes) -> None:
        """Append rendered rows; raises DISK_FULL."""
        self.rows += rows
        self._append(content)

    def _append(self, content: bytes) -> None:
        with room_for_write(self._path.parent):
            self._file.write(content)
        self._hash.update(content)
        self.bytes += len(content)

    def finish(self) -> WrittenPart:
        """Make the bytes durable, then give the file its name; raises DISK_FULL."""
        with room_for_write(self._path.parent):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)
        return WrittenPart(self._path.name, self.first_row, self.rows, self.bytes, self._hash.hexdigest())

    def discard(self) -> None:
        """Leave nothing of an unfinished file; a finished one stays."""
        with suppress(OSError):  # a full disk refuses the last flush too; the file goes away anyway
            self._file.close()
        self._partial.unlink(missing_ok=True)


def write_parts(
    frame: pl.DataFrame, *, columns: list[pl.Expr], stem: str, folder: Path, bytes_max: int
) -> tuple[WrittenPart, ...]:
    """Write ``columns`` of ``frame`` to ``<stem>-001.csv`` and on: the header in each, none above ``bytes_max`` bytes.

    CSV as Bulk API 2.0 wants it: UTF-8, LF, comma, quotes where a value needs them, dates in ISO form, null as an empty
    cell. The same frame and limit give the same files. Raises RULES_INVALID when one row exceeds the limit, DISK_FULL.
    The names are durable once the caller has synced the folder.
    """

    def render(offset: int, rows: int) -> bytes:
        return _csv(frame.slice(offset, rows).select(columns), header=False)

    header = _csv(frame.clear().select(columns), header=True)
    written: list[WrittenPart] = []
    part: PartFile | None = None
    with ExitStack() as opened:
        for offset, rows, content in _ahead(_chunks(render, frame.height, bytes_max - len(header))):
            if part is not None and part.bytes + len(content) > bytes_max:
                written.append(part.finish())
                part = None
            if part is None:
                part = PartFile(folder, f"{stem}-{len(written) + 1:03d}.csv", offset, header)
                opened.callback(part.discard)
            part.add(rows, content)
        if part is not None:
            written.append(part.finish())
    return tuple(written)


def _csv(table: pl.DataFrame, *, header: bool) -> bytes:
    """The table as CSV. Values hardly ever need quotes, and to prove that afterwards is cheaper than to look first."""
    bare = _written(table, header, "never")
    lines = table.height + header
    shape = (lines * (table.width - 1), lines)
    plain = (_count(bare, b","), _count(bare, b"\n")) == shape and b'"' not in bare and b"\r" not in bare
    return bare if plain else _written(table, header, "necessary")


def _written(table: pl.DataFrame, header: bool, quotes: Literal["never", "necessary"]) -> bytes:
    buffer = io.BytesIO()
    table.write_csv(
        buffer,
        include_header=header,
        date_format="%Y-%m-%d",
        quote_style=quotes,
        batch_size=WRITER_BATCH_ROWS,
    )
    return buffer.getvalue()


def _count(text: bytes, letter: bytes) -> int:
    """How often a byte occurs; ``bytes.count`` takes ten times as long for a byte as frequent as a delimiter."""
    letters = pl.Series(pa.Array.from_buffers(pa.uint8(), len(text), [None, pa.py_buffer(text)]))
    return int((letters == letter[0]).sum())


def _ahead(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same chunks, each rendered by a thread while the one before is hashed and written: a third less time."""
    with ThreadPoolExecutor(max_workers=1) as renderer:
        following = renderer.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = renderer.submit(next, chunks, None)
            yield chunk


def _chunks(render: Callable[[int, int], bytes], height: int, room: int) -> Iterator[Chunk]:
    """Rendered slices in row order, none larger than ``room``: a slice that is too large is halved."""
    waiting = [(offset, min(CHUNK_ROWS, height - offset)) for offset in range(0, height, CHUNK_ROWS)]
    waiting.reverse()
    while waiting:
        offset, rows = waiting.pop()
        content = render(offset, rows)
        if len(content) <= room:
            yield offset, rows, content
        elif rows > 1:
            half = rows // 2
            waiting += [(offset + half, rows - half), (offset, half)]
        else:
            raise PermanentError(
                Code.RULES_INVALID,
                f"row {offset + 1} of a batch",
                found=f"{len(content)} bytes in one row",
                expected=f"at most {room} bytes, so that a row fits one part",
                remedy="Map fewer or shorter columns",
            )
