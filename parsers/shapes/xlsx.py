"""Workbooks: one sheet, its line of column names, and a record a row below.

Here: which rows and columns are records and fields. Not here: how a sheet is read (``workbook``) or names compared
(``heading``).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.schemas.gate import bound_rows
from parsers.dates import DATE_FORMATS
from parsers.faults import bound_bytes, broken, empty_file
from parsers.fields import DateField, FieldSpec
from parsers.layout import Layout
from parsers.layout_shapes import Xlsx
from parsers.shapes.cut import RAW, Cut, Places, is_plain, join_codes, strip, with_whole, without_controls
from parsers.shapes.heading import heading
from parsers.shapes.workbook import FILE_BYTES_MAX, WorkbookError, letters, number_of, read_sheet

STEP_ROWS: Final = 100_000
"""Rows read at a time."""

_BETWEEN: Final = "\t"
"""Between the cells of a row that is kept or shown as it came."""

_MIDNIGHT: Final = " 00:00:00"
"""What the reader writes behind a cell that holds a day and no time."""


class XlsxFile:
    """A workbook, opened; FILE_EMPTY, FILE_TOO_LARGE, HEADER_MISSING, ENVELOPE_INVALID."""

    def __init__(self, layout: Layout, shape: Xlsx, path: Path, name: str) -> None:
        self.layout, self.shape, self.name = layout, shape, name
        if bound_bytes(path, layout, name, FILE_BYTES_MAX) == 0:
            raise empty_file(layout, name, "no bytes")
        try:
            self.sheet = read_sheet(path, shape.sheet, shape.header_row)
        except WorkbookError as error:
            raise self._broken(str(error)) from None
        self.columns = self._columns()
        filled = self._filled()
        self.last = self._trailers(filled.tail(len(shape.trailers)))
        self.records = filled.head(filled.height - len(shape.trailers))
        self.envelope: Mapping[str, str] = {
            field: self._cell(spec, self._place(spec)) for field, spec in layout.envelope.items()
        }
        self.envelope_lines = shape.header_row + len(shape.trailers)
        self.empty = self.records.is_empty()

    def cuts(self) -> Iterator[Cut]:
        """The rows below the column names; those without a value are counted and passed over."""
        rows = self.records
        bound_rows(rows.height, self.layout, self.name)
        passed = self.sheet.cells.height - self.envelope_lines - rows.height
        for some in rows.iter_slices(STEP_ROWS):
            yield self._cut(some, passed)
            passed = 0
        if passed:
            yield Cut(rows.clear(), pl.Series([], dtype=pl.Binary), passed)

    def _cut(self, rows: pl.DataFrame, passed: int) -> Cut:
        fields = {name: spec for name, spec in self.layout.fields.items() if spec.joined is None}
        cells = [pl.col(letters(i)).fill_null("") for i in range(self.sheet.cells.width)]
        raw = rows.select(pl.concat_str(cells, separator=_BETWEEN).cast(pl.Binary)).to_series()
        cut = rows.select(
            "line_no",
            raw.bin.size().cast(pl.Int64).alias("line.size"),
            pl.lit(0, pl.UInt8).alias("line.fault"),
            ~pl.col("line_no").is_in(list(self.sheet.long_numbers)).alias("line.digits"),
            *(self._text(spec).alias(RAW + name) for name, spec in fields.items()),
        )
        cut = without_controls(strip(cut, fields), fields)
        return Cut(with_whole(join_codes(cut, self.layout.fields)), raw, passed)

    def places(self, content: bytes) -> Places:
        """Where the cells of a row lie."""
        cells = [*re.finditer(rb"(?:^|(?<=\t))[^\t]*", content)]
        if len(cells) != self.sheet.cells.width:
            return ()
        by_column = {column: cell.span() for column, cell in zip(self.columns, cells, strict=False)}
        return [(n, by_column[s.column]) for n, s in self.layout.fields.items() if s.column in by_column]

    def _filled(self) -> pl.DataFrame:
        """The rows below the column names that hold anything, with their numbers."""
        numbered = self.sheet.cells.with_row_index("line_no", 1).cast({"line_no": pl.Int64})
        filled = pl.any_horizontal(pl.exclude("line_no").is_not_null())
        return numbered.slice(self.shape.header_row).filter(filled)

    def _trailers(self, rows: pl.DataFrame) -> dict[str, int]:
        """The numbers of the last rows that are no records, by how they begin; ENVELOPE_INVALID for any that is not
        there."""
        trailers = self.shape.trailers
        first = rows.select(pl.coalesce(pl.exclude("line_no"))).to_series().to_list()
        begun = [""] * (len(trailers) - len(first)) + first
        for prefix, text in zip(trailers, begun, strict=True):
            if not text.lstrip().startswith(prefix):
                raise self._broken(f"no row that begins with {prefix!r} in its place")
        return dict(zip(trailers, rows["line_no"], strict=True))

    def _place(self, spec: FieldSpec) -> str:
        """The cell of an envelope field."""
        if spec.line is None:
            return spec.cell or ""
        return f"{letters(self.columns.index(spec.column))}{self.last[spec.line]}"

    def _text(self, spec: FieldSpec) -> pl.Expr:
        if spec.column not in self.columns:
            return pl.lit("")
        text = pl.col(letters(self.columns.index(spec.column))).fill_null("")
        return text.str.strip_suffix(_MIDNIGHT) if _is_day(spec) else text

    def _columns(self) -> tuple[str | None, ...]:
        """The layout's name of each column."""
        cells, at = self.sheet.cells, self.shape.header_row - 1
        if cells.height <= at:
            raise broken(self.layout, self.name, "no line of column names", Code.HEADER_MISSING)
        given = ["" if cell is None else str(cell) for cell in cells.row(at)]
        below = cells.slice(at + 1)
        used = [bool(name.strip()) or below[letters(i)].null_count() < below.height for i, name in enumerate(given)]
        while used and not used[-1]:
            used.pop()
        columns = heading(given[: len(used)], self.shape)
        if columns.problems:
            found = f"{' and '.join(columns.problems)} in row {self.shape.header_row} of sheet {self.shape.sheet!r}"
            raise broken(self.layout, self.name, found, Code.HEADER_MISSING)
        return columns.columns

    def _cell(self, spec: FieldSpec, cell: str) -> str:
        column, row = cell.rstrip("0123456789"), int(cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        if row in self.sheet.long_numbers:
            raise self._broken(f"a number in row {row} with more digits than a workbook keeps")
        cells = self.sheet.cells
        inside = row <= cells.height and number_of(column) < cells.width
        text = (cells[column][row - 1] if inside else None) or ""
        if not is_plain(text):
            raise self._broken(f"a control character in {cell}")
        return text.removesuffix(_MIDNIGHT) if _is_day(spec) else text

    def _broken(self, found: str) -> PermanentError:
        return broken(self.layout, self.name, found, expected=f"a workbook with sheet {self.shape.sheet!r} as agreed")


def _is_day(spec: FieldSpec) -> bool:
    return isinstance(spec, DateField) and not DATE_FORMATS[spec.format].instant
