"""Files of one JSON object a line.

Here: lines, and which of them are blank. Not here: how lines end (``lines``) or what an object holds (``json_text``).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from counterfoil.schemas.gate import bound_rows
from parsers.layout import Layout
from parsers.lines import Block, blocks, open_payload
from parsers.shapes import json_text
from parsers.shapes.cut import Cut, Places, join_codes, with_whole
from parsers.text import content, read_text


class JsonLinesFile:
    """A file of JSON lines, opened; FILE_EMPTY, FILE_TOO_LARGE, ENVELOPE_INVALID for other line ends."""

    def __init__(self, layout: Layout, path: Path, name: str) -> None:
        self.layout, self.name = layout, name
        self.payload = open_payload(path, layout, name)
        self.envelope: Mapping[str, str] = {}
        self.envelope_lines = 0
        self.empty = json_text.FILLED.search(self.payload.data, self.payload.start, self.payload.end) is None

    def cuts(self) -> Iterator[Cut]:
        """The records in blocks; blank lines are counted and passed over."""
        count = 0
        for block in blocks(self.payload, self.payload.start, self.payload.end, 1):
            count += len(block.sizes)
            bound_rows(count, self.layout, self.name)
            yield self._cut(block)

    def holds_record(self, _start: int) -> bool:
        """True of every line."""
        return True

    def places(self, content: bytes) -> Places:
        """Where the values of an object lie, and the keys that the layout knows."""
        return json_text.places(content, self.layout.fields)

    def _cut(self, block: Block) -> Cut:
        text = read_text(block, self.payload.encoding, None, ())
        rows = text.rows.with_columns(content(text, self.payload.line_end).alias("line.content"))
        blank = pl.col("line.content").str.strip_chars(json_text.BLANKS) == ""
        filled = rows.select(~blank | (pl.col("line.fault") != 0)).to_series()
        passed = rows.height - int(filled.sum())
        rows, raw = (rows, text.raw.binary()) if not passed else (rows.filter(filled), text.raw.binary().filter(filled))
        fields = {name: spec for name, spec in self.layout.fields.items() if spec.joined is None}
        if rows.height:
            rows = rows.hstack(json_text.cut(rows["line.content"], fields))
            rows = with_whole(join_codes(rows, self.layout.fields))
        return Cut(rows.drop("line.content", "line.parsed", strict=False), raw, passed)
