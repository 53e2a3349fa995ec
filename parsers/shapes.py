"""Lines cut into raw field texts: by position or by delimiter.

Here: structure, and the rules for lines that have not the declared one. Not here: what a field's text means
(``values``).
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import polars as pl

from counterfoil.schemas.rules import Check, Rule
from parsers.fields import FieldSpec, FlagsField, IntegerField
from parsers.layout import Layout
from parsers.layout_parts import Delimited, FixedWidth, LineEnd
from parsers.text import LINE_BYTES_MAX, LINE_FAULTS, Text
from parsers.views import slice_grid

RAW: Final = "raw."
"""Begins the names of raw text columns, one a field."""

WHOLE: Final = "line.whole"
"""Boolean column: the line has the declared structure, so that each text is the field's own."""

LINE_CHECKS: Final = (
    *(Check(rule, None, pl.col("line.fault") == value) for rule, value in LINE_FAULTS.items()),
    Check(Rule.QUOTES, None, ~pl.col("line.quotes")),
    Check(Rule.COLUMNS, None, ~pl.col("line.columns")),
    Check(Rule.RECORD_TYPE_UNKNOWN, None, ~pl.col("line.type")),
)
"""The rules for whole lines, over the columns that ``cut`` gives."""


def field_boundaries(layout: Layout) -> tuple[int, ...]:
    """The byte offsets inside a record at which its fields begin or end; empty for delimited files."""
    if not isinstance(layout.shape, FixedWidth):
        return ()
    spans = {edge for spec in layout.fields.values() for edge in spec.span}
    return tuple(sorted(spans - {0, layout.shape.record_length}))


def cut(text: Text, layout: Layout, columns: Sequence[str], line_end: LineEnd) -> pl.DataFrame:
    """Add to the lines one ``raw.<field>`` String a field, without surrounding blanks, and what holds of each line.

    ``columns`` are those of a delimited file in its own order. Also added: line.quotes, line.columns, line.type
    (Boolean, what LINE_CHECKS look at) and line.whole.
    """
    if isinstance(layout.shape, FixedWidth):
        rows = _cut_positions(text, layout.shape, layout.fields)
    else:
        rows = _cut_columns(text, layout.shape, layout.fields, columns, line_end)
    sized = pl.col("line.fault") != LINE_FAULTS[Rule.LINE_LENGTH]
    whole = sized & pl.col("line.quotes") & pl.col("line.columns") & pl.col("line.type")
    return rows.with_columns(whole.alias(WHOLE))


def _cut_positions(text: Text, shape: FixedWidth, fields: dict[str, FieldSpec]) -> pl.DataFrame:
    """By numpy where all lines are equally long, which only a damaged file breaks; else by polars."""
    grid = None if text.by_characters else text.clean.grid(shape.record_length)
    if grid is None:
        rows = _slice_lines(text, shape, fields)
    else:
        sliced = slice_grid(text.clean, grid, [spec.span for spec in fields.values()])
        detail = np.frombuffer(shape.detail.encode(), np.uint8)
        right_type = (grid[:, : len(detail)] == detail).all(axis=1)
        columns = {RAW + name: column for name, column in zip(fields, sliced.columns, strict=True)}
        rows = text.rows.with_columns(pl.Series("line.type", right_type), **columns)
        padded = dict(zip(fields, sliced.blank_left | sliced.blank_right, strict=True))
        fields = {name: spec for name, spec in fields.items() if padded[name]}
    yes = pl.lit(value=True)
    return _strip(rows.with_columns(yes.alias("line.quotes"), yes.alias("line.columns")), fields)


def _slice_lines(text: Text, shape: FixedWidth, fields: dict[str, FieldSpec]) -> pl.DataFrame:
    line = pl.col("line.text")

    def slice_of(spec: FieldSpec) -> pl.Expr:
        start, end = spec.span
        if text.by_characters:
            return line.cast(pl.String).str.slice(start, end - start)
        return line.bin.slice(start, end - start).cast(pl.String)

    return (
        text.rows.with_columns(text.clean.binary().alias("line.text"))
        .with_columns(
            line.bin.starts_with(shape.detail.encode()).alias("line.type"),
            *(slice_of(spec).alias(RAW + name) for name, spec in fields.items()),
        )
        .drop("line.text")
    )


def _cut_columns(
    text: Text, shape: Delimited, fields: dict[str, FieldSpec], columns: Sequence[str], line_end: LineEnd
) -> pl.DataFrame:
    content = pl.lit(text.clean.binary()).cast(pl.String).str.strip_suffix("\r" if line_end == "cr" else "\n")
    if line_end == "crlf":
        content = content.str.strip_suffix("\r")
    rows = text.rows.with_columns(
        pl.when(pl.col("line.size") <= LINE_BYTES_MAX).then(content).otherwise(pl.lit("")).alias("line.content")
    )
    quote = shape.quote_character
    quoted = rows["line.content"].str.contains(quote, literal=True) if quote is not None else None
    if quote is None or quoted is None or not quoted.any():
        return _name_fields(_split_plain(rows, shape.delimiter, len(columns)), fields, columns)
    parts = [
        _split_plain(rows.filter(~quoted), shape.delimiter, len(columns)),
        _split_quoted(rows.filter(quoted), shape.delimiter, quote, len(columns)),
    ]
    return _name_fields(pl.concat(parts).sort("line_no"), fields, columns)


def _split_plain(rows: pl.DataFrame, delimiter: str, count: int) -> pl.DataFrame:
    """``cell.0`` … and line.columns, line.quotes: every delimiter separates."""
    cells = pl.col("line.cells").struct
    return (
        rows.with_columns(pl.col("line.content").str.split_exact(delimiter, count).alias("line.cells"))
        .with_columns(
            *(cells.field(f"field_{i}").alias(f"cell.{i}") for i in range(count)),
            (cells.field(f"field_{count - 1}").is_not_null() & cells.field(f"field_{count}").is_null()).alias(
                "line.columns"
            ),
            pl.lit(value=True).alias("line.quotes"),
        )
        .drop("line.cells")
    )


def _split_quoted(rows: pl.DataFrame, delimiter: str, quote: str, count: int) -> pl.DataFrame:
    """As ``_split_plain`` for lines with quotes: a cell is all quoted (quotes inside doubled) or holds none.

    A delimiter is put before the line, so that every cell is matched as delimiter and content and none is empty.
    """
    d, q = f"\\x{ord(delimiter):02x}", f"\\x{ord(quote):02x}"
    cell = f"{d}(?:{q}(?:[^{q}]|{q}{q})*{q}|[^{d}{q}]*)"
    line = pl.concat_str(pl.lit(delimiter), pl.col("line.content"))
    cells = pl.col("line.cells").list
    bare = rows.with_columns(
        line.str.contains(f"^(?:{cell})+$").alias("line.quotes"), line.str.extract_all(cell).alias("line.cells")
    ).with_columns(
        *(cells.get(i, null_on_oob=True).str.strip_prefix(delimiter).alias(f"cell.{i}") for i in range(count)),
        (cells.len() == count).alias("line.columns"),
    )
    every = pl.col("^cell\\..*$").str
    unquoted = every.strip_prefix(quote).str.strip_suffix(quote).str.replace_all(quote * 2, quote, literal=True)
    names = [column for column in bare.columns if column != "line.quotes"]
    return bare.with_columns(unquoted).select(*names, "line.quotes").drop("line.cells")


def _name_fields(rows: pl.DataFrame, fields: dict[str, FieldSpec], columns: Sequence[str]) -> pl.DataFrame:
    """Cells under their fields' names; cells of a line without the right number are the empty text."""
    places = {column: i for i, column in enumerate(columns)}
    named = (
        pl.col(f"cell.{places[spec.column or '']}").fill_null("").alias(RAW + name) for name, spec in fields.items()
    )
    rows = rows.with_columns(*named, pl.lit(value=True).alias("line.type")).drop("^cell\\..*$", "line.content")
    return _strip(rows, fields)


def blanks_of(spec: FieldSpec) -> Literal["both", "left"] | None:
    """Where blanks are mere padding. Flags are told by position; a fixed width number has none on the right."""
    if isinstance(spec, FlagsField):
        return None
    if isinstance(spec, IntegerField) and spec.column is None:
        return "left" if spec.pad == "blanks" else None
    return "both"


def without_blanks(text: pl.Expr, blanks: Literal["both", "left"]) -> pl.Expr:
    """A text without its padding."""
    return text.str.strip_chars(" ") if blanks == "both" else text.str.strip_chars_start(" ")


def _strip(rows: pl.DataFrame, fields: dict[str, FieldSpec]) -> pl.DataFrame:
    """Without padding. Looking first costs half of stripping, and most columns have none."""
    places = {RAW + name: blanks for name, spec in fields.items() if (blanks := blanks_of(spec))}
    edges = {
        name: pl.col(name).str.starts_with(" ") | (pl.col(name).str.ends_with(" ") if blanks == "both" else False)
        for name, blanks in places.items()
    }
    padded = rows.select(edge.any().alias(name) for name, edge in edges.items())
    return rows.with_columns(
        without_blanks(pl.col(name), blanks) for name, blanks in places.items() if padded[name].item()
    )
