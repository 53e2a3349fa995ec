"""Files made of lines, by position or by delimiter: their first and last lines, and the details between in blocks.

Here: which bytes are envelope and which are details. Not here: how lines end (``lines``), how one is cut
(``fixed_width``, ``delimited``), or lines of several kinds (``mixed``).
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import polars as pl

from counterfoil.errors import Code
from counterfoil.schemas.gate import bound_rows
from parsers.faults import broken
from parsers.fields import FieldSpec
from parsers.layout import Layout
from parsers.layout_shapes import Delimited, FixedWidth
from parsers.lines import Block, blocks, open_payload
from parsers.shapes import delimited, fixed_width
from parsers.shapes.cut import Cut, Places, begins, join_codes, strip, with_whole
from parsers.shapes.heading import heading
from parsers.shapes.mixed import Sorter
from parsers.text import Text, read_text


class LineFile:
    """A file of lines, opened; FILE_EMPTY, FILE_TOO_LARGE, HEADER_MISSING, ENVELOPE_INVALID."""

    def __init__(self, layout: Layout, shape: FixedWidth | Delimited, path: Path, name: str) -> None:
        self.layout, self.shape, self.name = layout, shape, name
        self.payload = open_payload(path, layout, name)
        self.columns: tuple[str | None, ...] = ()
        said = self._read_envelope()
        self.empty = self.details_start >= self.details_end
        self.envelope: Mapping[str, str] = {
            field: self._piece(said[spec.line or ""], spec)
            for field, spec in layout.envelope.items()
            if not layout.of_groups(spec)
        }

    @property
    def header_lines(self) -> int:
        """Lines before the first detail."""
        return len(self.shape.headers) + (isinstance(self.shape, Delimited) and self.shape.names)

    @property
    def envelope_lines(self) -> int:
        """Header and trailer lines, the line of column names included."""
        return self.header_lines + len(self.shape.trailers)

    @cached_property
    def placed(self) -> dict[str, FieldSpec]:
        """The fields that lie in a line of any kind."""
        return {name: spec for name, spec in self.layout.fields.items() if spec.joined is None}

    @cached_property
    def specs(self) -> dict[str, FieldSpec]:
        """The fields that lie in details."""
        of_others = set(self.shape.between)
        return {name: spec for name, spec in self.placed.items() if spec.line not in of_others}

    def cuts(self) -> Iterator[Cut]:
        """The details in blocks; line numbers go on after the header lines."""
        sorter = Sorter(self.layout, self.shape, self.name) if self.shape.mixed else None
        lines = blocks(
            self.payload, self.details_start, self.details_end, self.header_lines + 1, together=self.shape.addenda
        )
        count = 0
        for block in lines:
            count += len(block.sizes)
            bound_rows(count, self.layout, self.name)
            text = self._text(block)
            cut = Cut(self._cut(text), text.raw.binary())
            if sorter is not None:
                cut = sorter.sort(text, cut, self.payload.line_end)
            yield Cut(with_whole(join_codes(cut.rows, self.layout.fields)), cut.raw, cut.passed, cut.groups)
        if sorter is not None:
            sorter.close()

    def holds_record(self, start: int) -> bool:
        """True where a line between header and trailer begins."""
        return self.details_start <= start < self.details_end

    def places(self, content: bytes) -> Places:
        """Where the fields of a detail lie, and the prefix that it begins with."""
        shape, encoding = self.shape, self.payload.encoding
        prefix = next((p for p in shape.details if content.startswith(p.encode(encoding))), None)
        if prefix is None:
            return ()
        specs = {name: spec for name, spec in self.specs.items() if spec.line in (None, prefix)}
        if isinstance(shape, FixedWidth):
            if len(content) != shape.record_length:
                return ()
            return [*((name, spec.span) for name, spec in specs.items()), ("", (0, len(prefix.encode(encoding))))]
        cells = delimited.spans(content, shape)
        if len(cells) != len(self.columns):
            return ()
        by_column = dict(zip(self.columns, cells, strict=True))
        return [(name, by_column[spec.column]) for name, spec in specs.items() if spec.column in by_column]

    def _text(self, block: Block) -> Text:
        shape, encoding = self.shape, self.payload.encoding
        if isinstance(shape, Delimited):
            return read_text(block, encoding, None, ())
        binary = tuple(fixed_width.packed(self.placed).values())
        return read_text(block, encoding, shape.record_length, fixed_width.boundaries(shape, self.placed), binary)

    def _cut(self, text: Text) -> pl.DataFrame:
        """All lines as if they were details; line.type says which begin like one."""
        if isinstance(self.shape, FixedWidth):
            rows = fixed_width.cut(text, self.shape, self.placed)
            return rows.with_columns(pl.lit(value=True).alias("line.columns"))
        rows = delimited.cells(text, self.shape, len(self.columns), self.payload.line_end)
        places = {
            name: self.columns.index(spec.column) if spec.column in self.columns else None
            for name, spec in self.specs.items()
        }
        detail = begins(pl.lit(text.clean.binary()), self.shape.details).alias("line.type")
        rows = rows.with_columns(*delimited.named(places), detail).drop("^cell\\..*$")
        return strip(rows, self.specs)

    def _read_envelope(self) -> dict[str, str]:
        """The header and trailer lines by prefix; sets where details begin and end, and the columns."""
        payload, shape = self.payload, self.shape
        start, end = payload.start, payload.end
        found: dict[str, str] = {}
        for prefix in shape.headers:
            after = payload.line_after(start)
            found[prefix] = self._line(payload.content(start, after), prefix, Code.HEADER_MISSING)
            start = after
        if isinstance(shape, Delimited):
            start = self._read_names(start, shape)
        for prefix in reversed(shape.trailers):
            before = payload.line_before(end) if end > start else end
            found[prefix] = self._line(payload.content(before, end), prefix, Code.ENVELOPE_INVALID)
            end = before
        self.details_start, self.details_end = start, end
        return found

    def _line(self, content: bytes, prefix: str, missing: Code) -> str:
        """One envelope line as text; fixed width ones must have the record's length."""
        encoding = self.payload.encoding
        if not content.startswith(prefix.encode(encoding)):
            raise broken(self.layout, self.name, f"no line that begins with {prefix!r} in its place", missing)
        if isinstance(self.shape, FixedWidth) and len(content) != self.shape.record_length:
            found = f"a {prefix!r} line of {len(content):,} bytes instead of {self.shape.record_length:,}"
            raise broken(self.layout, self.name, found)
        return self._decode(content, f"the {prefix!r} line")

    def _decode(self, content: bytes, what: str) -> str:
        encoding = self.payload.encoding
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            raise broken(self.layout, self.name, f"{what} is not {encoding}") from None
        if "\0" in text and "none" not in self.layout.line_ends:
            raise broken(self.layout, self.name, f"{what} holds a NUL byte")
        return text

    def _read_names(self, start: int, shape: Delimited) -> int:
        """Take the columns from their line, or from the layout; returns where details begin."""
        if not shape.names:
            self.columns = tuple(column.name for column in shape.columns)
            return start
        after = self.payload.line_after(start)
        given = delimited.split_names(
            self._decode(self.payload.content(start, after), "the line of column names"), shape
        )
        if given is None:
            raise broken(self.layout, self.name, "no readable line of column names", Code.HEADER_MISSING)
        columns = heading(given, shape)
        if columns.problems:
            found = f"{' and '.join(columns.problems)} in the line of column names"
            raise broken(self.layout, self.name, found, Code.HEADER_MISSING)
        self.columns = columns.columns
        return after

    def _piece(self, line: str, spec: FieldSpec) -> str:
        """The text of one envelope field in its line."""
        if isinstance(self.shape, Delimited):
            cells = delimited.split_names(line, self.shape) or []
            place = int(spec.column or "0") - 1
            return cells[place] if 0 <= place < len(cells) else ""
        start, end = spec.span
        if self.payload.encoding == "utf-8":
            return line.encode()[start:end].decode(errors="replace")
        return line[start:end]
