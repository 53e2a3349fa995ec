"""Lines as text: which of them can be read in the declared encoding, and all of them as valid UTF-8 columns.

Here: faults of whole lines (length, NUL bytes, encoding). A line that cannot be decoded keeps its ASCII characters, the
rest turn into question marks, so that an amount in it can still be read. Not here: fields (``shapes``, ``values``).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterfoil.schemas.rules import Rule
from parsers.layout_shapes import EBCDIC, Encoding, LineEnd
from parsers.lines import Block
from parsers.views import Lines

LINE_BYTES_MAX: Final = 65_536
"""Longest line, but of fixed width, that is looked into; real records stay under 2 KB."""

LINE_FAULTS: Final = {Rule.LINE_LENGTH: 3, Rule.NUL_BYTE: 2, Rule.ENCODING: 1}
"""Values of the ``line.fault`` column; the higher one wins, as the rules are ordered."""

_UNDEFINED: Final[dict[Encoding, NDArray[np.bool_]]] = {
    "latin-1": np.zeros(256, np.bool_),
    "cp1252": np.isin(np.arange(256), [0x81, 0x8D, 0x8F, 0x90, 0x9D]),
}
_PIECE: Final = 1024 * 1024
_MASK: Final = ord("?")


@dataclass(frozen=True, eq=False)
class Text:
    """Lines ready to be cut into fields.

    ``rows``: line_no Int64, line.size Int64 (without line end), line.fault UInt8 (0 or one of LINE_FAULTS). ``raw``:
    the lines as in the file. ``clean``: the same as valid UTF-8, line ends included. ``by_characters``: positions count
    characters of ``clean``, because its bytes are no longer those of the file.
    """

    rows: pl.DataFrame
    raw: Lines
    clean: Lines
    by_characters: bool


def content(text: Text, line_end: LineEnd) -> pl.Expr:
    """The lines without their ends; nothing of those that are too long to be looked into."""
    line = pl.lit(text.clean.binary()).cast(pl.String).str.strip_suffix("\r" if line_end == "cr" else "\n")
    if line_end == "crlf":
        line = line.str.strip_suffix("\r")
    return pl.when(pl.col("line.size") <= LINE_BYTES_MAX).then(line).otherwise(pl.lit(""))


def read_text(
    block: Block,
    encoding: Encoding,
    record_length: int | None,
    boundaries: tuple[int, ...],
    binary: tuple[tuple[int, int], ...] = (),
) -> Text:
    """Judge and decode the lines of a block.

    ``record_length`` is that of fixed width records, ``boundaries`` the byte offsets at which their fields begin and
    end: a line whose characters straddle one cannot be cut and is an ENCODING fault too. The bytes of ``binary`` spans
    are no text: they are blanks in ``clean``.
    """
    starts, sizes = block.starts, block.sizes
    wrong_length = sizes > LINE_BYTES_MAX if record_length is None else sizes != record_length
    fault = np.zeros(len(sizes), np.uint8)
    buffer = block.buffer if not binary else _blanked(block, binary, record_length or 1, " ".encode(encoding))
    clean = Lines(buffer, starts)
    by_characters = encoding in EBCDIC
    if by_characters:
        clean = _transcode(clean, encoding)
    elif buffer.max() >= 0x80:
        undecodable = _lines_at(_undecodable(buffer, encoding), starts)
        if encoding == "utf-8" and record_length is not None:
            undecodable |= _straddling(buffer, starts, ~wrong_length, boundaries)
        fault[undecodable] = LINE_FAULTS[Rule.ENCODING]
        masked = undecodable | wrong_length
        if masked.any():
            clean = _mask(clean, masked)
        if encoding != "utf-8":
            clean = _transcode(clean, encoding)
            by_characters = True
    if buffer.min() == 0:
        fault[_lines_at(np.flatnonzero(buffer == 0), starts)] = LINE_FAULTS[Rule.NUL_BYTE]
    fault[wrong_length] = LINE_FAULTS[Rule.LINE_LENGTH]
    rows = pl.DataFrame(
        {
            "line_no": pl.int_range(block.first_no, block.first_no + len(sizes), dtype=pl.Int64, eager=True),
            "line.size": pl.Series(sizes),
            "line.fault": pl.Series(fault),
        }
    )
    return Text(rows, Lines(block.buffer, starts), clean, by_characters)


def _blanked(block: Block, binary: tuple[tuple[int, int], ...], record_length: int, blank: bytes) -> NDArray[np.uint8]:
    """A copy of a block of records without line ends, in which some spans of all whole records are blank."""
    buffer = block.buffer.copy()
    whole = buffer[: len(buffer) // record_length * record_length].reshape(-1, record_length)
    for start, end in binary:
        whole[:, start:end] = blank[0]
    return buffer


def _lines_at(positions: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which lines the byte positions fall into."""
    hit = np.zeros(len(starts) - 1, np.bool_)
    hit[np.searchsorted(starts, positions, side="right") - 1] = True
    return hit


def _undecodable(buffer: NDArray[np.uint8], encoding: Encoding) -> NDArray[np.int64]:
    """Positions of bytes at which the encoding is broken."""
    if encoding != "utf-8":
        return np.flatnonzero(_UNDEFINED[encoding][buffer])
    try:
        buffer.tobytes().decode()
    except UnicodeDecodeError:
        pieces = [_utf8_faults(buffer, i, min(i + _PIECE, len(buffer))) for i in range(0, len(buffer), _PIECE)]
        return np.concatenate(pieces)
    return np.empty(0, np.int64)


def _utf8_faults(buffer: NDArray[np.uint8], begin: int, end: int) -> NDArray[np.int64]:
    """Positions in ``begin:end`` where UTF-8 is broken (RFC 3629, table of well-formed byte sequences).

    A sequence that breaks off is reported at the byte that should have continued it: the line end at the latest, so
    that no fault spills into the next line.
    """
    before = min(begin, 3)
    window = np.zeros(end - begin + 4, np.uint8)
    window[3 - before : -1] = buffer[begin - before : end]
    here, back1, back2, back3 = window[3:], window[2:-1], window[1:-2], window[:-3]
    continues = (here & 0xC0) == 0x80
    continued1 = (back1 & 0xC0) == 0x80
    continued2 = (back2 & 0xC0) == 0x80
    due = (back1 >= 0xC2) & (back1 <= 0xF4)
    due |= (back2 >= 0xE0) & (back2 <= 0xF4) & continued1
    due |= (back3 >= 0xF0) & (back3 <= 0xF4) & continued2 & continued1
    broken = (due != continues) | (here == 0xC0) | (here == 0xC1) | (here >= 0xF5)
    broken |= continues & (
        ((back1 == 0xE0) & (here < 0xA0))
        | ((back1 == 0xED) & (here > 0x9F))
        | ((back1 == 0xF0) & (here < 0x90))
        | ((back1 == 0xF4) & (here > 0x8F))
    )
    if end < len(buffer):
        broken[-1] = False  # the next piece judges its own first byte
    return np.minimum(np.flatnonzero(broken) + begin, len(buffer) - 1)


def _straddling(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], whole: NDArray[np.bool_], boundaries: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Lines of the right length in which a field would begin or end inside a character."""
    hit = np.zeros(len(whole), np.bool_)
    for boundary in boundaries:
        hit[whole] |= (buffer[starts[:-1][whole] + boundary] & 0xC0) == 0x80
    return hit


def _mask(lines: Lines, masked: NDArray[np.bool_]) -> Lines:
    """A copy in which all but the ASCII characters of some lines are question marks; every byte keeps its place."""
    copy = lines.buffer.copy()
    copy[np.repeat(masked, np.diff(lines.starts)) & (copy >= 0x80)] = _MASK
    return Lines(copy, lines.starts)


def _transcode(lines: Lines, encoding: Encoding) -> Lines:
    """Single-byte text as UTF-8."""
    text = lines.buffer.tobytes().decode(encoding).encode()
    widths = np.array([len(bytes([i]).decode(encoding, "replace").encode()) for i in range(256)], np.uint8)
    starts = np.zeros_like(lines.starts)
    np.cumsum(np.add.reduceat(widths[lines.buffer], lines.starts[:-1], dtype=np.int64), out=starts[1:])
    return Lines(np.frombuffer(text, np.uint8), starts)
