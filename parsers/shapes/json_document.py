"""JSON documents: one array of records, and around it what the document says once.

Here: where the records lie, found without parsing them, so that a document of any size is read block by block; the rest
of it is parsed as a document of its own. Not here: what an object holds (``json_text``).
"""

import codecs
import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterfoil.errors import PermanentError
from counterfoil.schemas.gate import bound_rows
from counterfoil.schemas.tables import RAW_BYTES_MAX
from parsers.faults import bound_bytes, broken, empty_file, wrong_encoding
from parsers.fields import FieldSpec
from parsers.layout import Layout
from parsers.layout_shapes import Json
from parsers.lines import SCAN_BYTES, Block, map_bytes
from parsers.shapes import json_text
from parsers.shapes.cut import Cut, Places, is_plain, join_codes, with_whole
from parsers.text import LINE_BYTES_MAX, read_text

PIECE_BYTES: Final = 4 * 1024 * 1024
"""Bytes searched, and read, at a time."""

AROUND_BYTES_MAX: Final = 1024 * 1024
"""What stands before the records, and behind them: an envelope is small."""

_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_DEPTH: Final = np.zeros(256, np.int8)
_DEPTH[list(b"{[")], _DEPTH[list(b"}]")] = 1, -1
_MARK: Final = (_DEPTH != 0) | (np.arange(256) == _COMMA)


@dataclass
class _State:
    """What a piece leaves to the next: whether a string is open, how many backslashes stand last, how deep it is."""

    quoted: bool = False
    backslashes: int = 0
    depth: int = 0


class JsonFile:
    """A JSON document, opened; FILE_EMPTY, FILE_TOO_LARGE, ENVELOPE_INVALID."""

    envelope_lines = 0

    def __init__(self, layout: Layout, shape: Json, path: Path, name: str) -> None:
        self.layout, self.shape, self.name = layout, shape, name
        if bound_bytes(path, layout, name) == 0:
            raise empty_file(layout, name, "no bytes")
        try:
            self.data = map_bytes(path, layout.encoding)
        except UnicodeDecodeError:
            raise wrong_encoding(layout, name, layout.encoding) from None
        self.first = self.last = self._begin()
        for marks in self._marks():
            self.last = int(marks[-1]) if marks.size else self.last
        self.empty = json_text.FILLED.search(self.data, self.first, self.last) is None
        self.envelope: Mapping[str, str] = self._envelope()

    def cuts(self) -> Iterator[Cut]:
        """The records in file order, numbered from 1."""
        if self.empty:
            return
        count, start = 0, self.first
        for marks in self._marks():
            bound_rows(count + marks.size, self.layout, self.name)
            for block in _blocks(self.data, start, marks, count + 1):
                yield self._cut(block, start)
                start += int(block.sizes.sum()) + block.sizes.size
            count += marks.size

    def places(self, content: bytes) -> Places:
        """Where the values of an object lie, and the keys that the layout knows."""
        return json_text.places(content, self.layout.fields)

    def _cut(self, block: Block, start: int) -> Cut:
        text = read_text(block, "utf-8", None, ())
        fields = {name: spec for name, spec in self.layout.fields.items() if spec.joined is None}
        # Each text ends in the comma or bracket behind the record.
        content = pl.lit(text.clean.binary()).cast(pl.String).str.head(-1)
        content = pl.when(pl.col("line.size") <= LINE_BYTES_MAX).then(content).otherwise(pl.lit(""))
        texts = text.rows.select(content).to_series()
        rows = text.rows.hstack(json_text.cut(texts, fields))
        unread = rows.select(~pl.col("line.parsed") & (pl.col("line.fault") == 0)).to_series().arg_true()
        if unread.len():
            raise self._broken_at(start + int(block.starts[unread[0]]), "a record that is no JSON")
        rows, raw = _bare(rows, texts, text.raw.binary())
        return Cut(with_whole(join_codes(rows, self.layout.fields)), raw)

    def _begin(self) -> int:
        """Behind the bracket that opens the records."""
        head = self.data[:AROUND_BYTES_MAX]
        start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        place = json_text.array_at(head[start:], self.shape.records or "")
        if place is None:
            raise self._broken(f"no array {self.shape.records or 'of records'} in the first {len(head):,} bytes")
        self.head = head[start : start + place]
        return start + place

    def _marks(self) -> Iterator[NDArray[np.int64]]:
        """The places of the commas between records, and last that of the bracket behind them, piece by piece."""
        state, place = _State(), self.first
        while place < len(self.data):
            size = min(PIECE_BYTES, len(self.data) - place)
            marks, closed = _marks(np.frombuffer(self.data, np.uint8, size, place), state)
            yield marks + place
            if closed:
                return
            place += size
        raise self._broken_at(len(self.data), "records that do not end")

    def _envelope(self) -> dict[str, str]:
        """The texts of envelope fields, from the document without its records."""
        if len(self.data) - self.last > AROUND_BYTES_MAX:
            raise self._broken(f"more than {AROUND_BYTES_MAX:,} bytes behind the records")
        objects = np.fromiter([self._parsed(self.head, self.data[self.last :])], np.object_, 1)
        return {field: self._text(objects, field, spec) for field, spec in self.layout.envelope.items()}

    def _text(self, objects: json_text.Objects, field: str, spec: FieldSpec) -> str:
        try:
            texts, nested = json_text.texts_at(objects, (spec.path or "").split("."))
        except UnicodeEncodeError:
            raise self._broken(f"{field}, half of a character") from None
        text = str(texts[0])
        if nested.any() or not is_plain(text):
            raise self._broken(f"{field}, nested or with a control character")
        return text

    def _parsed(self, head: bytes, rest: bytes) -> Any:
        try:
            return json_text.decoder().decode((head + rest).decode())
        except json_text.KeyTwiceError:
            raise self._broken("an object around the records that names a key twice") from None
        except json.JSONDecodeError as error:
            at = len(error.doc[: error.pos].encode())
            place = at if at < len(head) else at - len(head) + self.last
            raise self._broken_at(place, "no JSON") from None
        except (ValueError, RecursionError):
            raise self._broken("no JSON in UTF-8 around the records") from None

    def _broken_at(self, place: int, found: str) -> PermanentError:
        """The error of a document that breaks at a place."""
        line, column = _line_of(self.data, place)
        return self._broken(f"line {line:,}, column {column:,}: {found}")

    def _broken(self, found: str) -> PermanentError:
        return broken(self.layout, self.name, found, expected="one JSON document as agreed")


def _marks(piece: NDArray[np.uint8], state: _State) -> tuple[NDArray[np.int64], bool]:
    """Where commas stand between records, and last the bracket that closes them; and whether that was met."""
    quotes = _unescaped(piece, state)
    marks = np.flatnonzero(_MARK[piece])
    inside = (np.searchsorted(quotes, marks) + state.quoted) % 2 == 1
    marks = marks[~inside]
    depths = state.depth + np.cumsum(_DEPTH[piece[marks]], dtype=np.int64)
    state.quoted ^= bool(quotes.size % 2)
    state.depth = int(depths[-1]) if depths.size else state.depth
    closing = np.flatnonzero(depths < 0)
    end = int(closing[0]) if closing.size else len(marks)
    here = (depths[:end] == 0) & (piece[marks[:end]] == _COMMA)
    found = marks[:end][here]
    return (np.append(found, marks[end]), True) if closing.size else (found, False)


def _unescaped(piece: NDArray[np.uint8], state: _State) -> NDArray[np.int64]:
    """Where strings begin and end: quotes behind an even number of backslashes."""
    quotes = np.flatnonzero(piece == _QUOTE)
    slashes = piece == _BACKSLASH
    if not state.backslashes and not slashes.any():
        return quotes
    others = np.append(-1, np.flatnonzero(~slashes))
    before = others[np.searchsorted(others, quotes) - 1]
    runs = quotes - 1 - before + np.where(before < 0, state.backslashes, 0)
    trailing = len(piece) - 1 - int(others[-1])
    state.backslashes = trailing + (state.backslashes if others[-1] < 0 else 0)
    plain: NDArray[np.int64] = quotes[runs % 2 == 0]
    return plain


def _blocks(data: mmap.mmap, start: int, marks: NDArray[np.int64], first_no: int) -> Iterator[Block]:
    """The records that end at some marks, the mark behind each taken for its line end; a huge one alone, cut short."""
    if marks.size and marks[0] - start > PIECE_BYTES:
        kept = min(int(marks[0]) - start, RAW_BYTES_MAX) + 1
        sizes = np.array([marks[0] - start], np.int64)
        yield Block(first_no, np.frombuffer(data, np.uint8, kept, start), np.array([0, kept], np.int64), sizes)
        start, marks, first_no = int(marks[0]) + 1, marks[1:], first_no + 1
    if marks.size:
        buffer = np.frombuffer(data, np.uint8, int(marks[-1]) + 1 - start, start)
        starts = np.append(0, marks + 1 - start)
        yield Block(first_no, buffer, starts, np.diff(starts) - 1)


def _bare(rows: pl.DataFrame, texts: pl.Series, raw: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """Records without the blanks around them; one that was too long to be looked into stays as it is."""
    begun = texts.str.strip_chars_start(json_text.BLANKS)
    bare = begun.str.strip_chars_end(json_text.BLANKS).str.len_bytes().cast(pl.Int64)
    before = texts.str.len_bytes().cast(pl.Int64) - begun.str.len_bytes().cast(pl.Int64)
    size = pl.when(pl.col("line.size") <= LINE_BYTES_MAX).then(bare).otherwise(pl.col("line.size"))
    rows = rows.with_columns(size.alias("line.size"))
    return rows, pl.select(pl.lit(raw).bin.slice(before, rows["line.size"])).to_series()


def _line_of(data: mmap.mmap, place: int) -> tuple[int, int]:
    """Line and column of a byte, from 1."""
    pieces = (data[at : min(at + SCAN_BYTES, place)] for at in range(0, place, SCAN_BYTES))
    return sum(piece.count(b"\n") for piece in pieces) + 1, place - data.rfind(b"\n", 0, place)
