"""Files of one JSON object a line.

Here: lines, which of them are headers and trailers, and which are blank. Not here: how lines end (``lines``) or what an
object holds (``json_text``).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from counterfoil.errors import Code
from counterfoil.schemas.gate import bound_rows
from parsers.faults import broken
from parsers.fields import FieldSpec, TextField
from parsers.layout import Layout
from parsers.layout_shapes import JsonLines
from parsers.lines import Block, blocks, open_payload
from parsers.shapes import json_text
from parsers.shapes.cut import RAW, SINGLE, Cut, Places, join_codes, with_whole
from parsers.text import content, read_text

_KIND: Final = ""
"""The discriminator among the fields of a line: what the layout itself says has no name."""


class JsonLinesFile:
    """A file of JSON lines, opened; FILE_EMPTY, FILE_TOO_LARGE, HEADER_MISSING, ENVELOPE_INVALID."""

    def __init__(self, layout: Layout, shape: JsonLines, path: Path, name: str) -> None:
        self.layout, self.shape, self.name = layout, shape, name
        self.payload = open_payload(path, layout, name)
        self.kind: Mapping[str, FieldSpec] = (
            {} if shape.discriminator is None else {_KIND: TextField(type="text", path=shape.discriminator)}
        )
        self.envelope: Mapping[str, str] = self._read_envelope()
        self.envelope_lines = len(shape.headers) + len(shape.trailers)
        self.empty = json_text.FILLED.search(self.payload.data, self.start, self.end) is None

    def cuts(self) -> Iterator[Cut]:
        """The records in blocks; blank lines are counted and passed over."""
        count = 0
        for block in blocks(self.payload, self.start, self.end, len(self.shape.headers) + 1):
            count += len(block.sizes)
            bound_rows(count, self.layout, self.name)
            yield self._cut(block)

    def holds_record(self, start: int) -> bool:
        """True of every line between headers and trailers."""
        return self.start <= start < self.end

    def places(self, content: bytes) -> Places:
        """Where the values of an object lie, and the keys that the layout knows."""
        return json_text.places(content, {**self.layout.fields, **self.kind})

    def _cut(self, block: Block) -> Cut:
        text = read_text(block, self.payload.encoding, None, ())
        rows = text.rows.with_columns(content(text, self.payload.line_end).alias("line.content"))
        blank = pl.col("line.content").str.strip_chars(json_text.BLANKS) == ""
        filled = rows.select(~blank | (pl.col("line.fault") != 0)).to_series()
        passed = rows.height - int(filled.sum())
        rows, raw = (rows, text.raw.binary()) if not passed else (rows.filter(filled), text.raw.binary().filter(filled))
        fields = {name: spec for name, spec in self.layout.fields.items() if spec.joined is None}
        if rows.height:
            rows = rows.hstack(json_text.cut(rows["line.content"], {**fields, **self.kind}))
            rows = with_whole(join_codes(self._typed(rows), self.layout.fields))
        return Cut(rows.drop("line.content", "line.parsed", strict=False), raw, passed)

    def _typed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Add line.type, of objects that are whole: whether one says that it is a record."""
        if not self.kind:
            return rows
        said, details = pl.col(RAW + _KIND), list(self.shape.details)
        record = said.is_in(details) if details else ~said.is_in([*self.shape.headers, *self.shape.trailers])
        whole = pl.col("line.object") & pl.col("line.once")
        return rows.with_columns((~whole | record).alias("line.type")).drop(RAW + _KIND, SINGLE + _KIND)

    def _read_envelope(self) -> dict[str, str]:
        """The texts of envelope fields, from the first and the last lines; sets where records begin and end."""
        payload = self.payload
        start, end = payload.start, payload.end
        said: dict[str, str] = {}
        for kind in self.shape.headers:
            after = payload.line_after(start)
            said |= self._texts(payload.content(start, after), kind, Code.HEADER_MISSING)
            start = after
        for kind in reversed(self.shape.trailers):
            before = payload.line_before(end) if end > start else end
            said |= self._texts(payload.content(before, end), kind, Code.ENVELOPE_INVALID)
            end = before
        self.start, self.end = start, end
        return said

    def _texts(self, line: bytes, kind: str, missing: Code) -> dict[str, str]:
        """The texts of the envelope fields in a line that must be of this kind."""
        specs = {name: spec for name, spec in self.layout.envelope.items() if spec.line == kind}
        try:
            texts = pl.Series([line.decode()], dtype=pl.String)
        except UnicodeDecodeError:
            raise broken(self.layout, self.name, f"a {kind!r} line that is not {self.layout.encoding}") from None
        row = json_text.cut(texts, {**specs, **self.kind}).row(0, named=True)
        whole = row["line.object"] and row["line.once"]
        if not whole or row[RAW + _KIND] != kind:
            found = f"no object whose {self.shape.discriminator} is {kind!r} in its place"
            raise broken(self.layout, self.name, found, missing)
        if not row["line.plain"]:
            raise broken(self.layout, self.name, f"a {kind!r} line with a control character")
        for name, spec in specs.items():
            if not row[SINGLE + name]:
                raise broken(self.layout, self.name, f"{spec.placed(name)}, nested")
        return {name: row[RAW + name] for name in specs}
