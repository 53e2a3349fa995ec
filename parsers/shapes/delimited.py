"""Lines cut into raw field texts by delimiter.

Here: cells and quotes. Not here: which lines are details (``mixed``), what the columns are (``heading``), or positions.
"""

import csv
import re

import polars as pl

from counterfoil.protocols import Span
from parsers.layout_shapes import Delimited, LineEnd
from parsers.shapes.cut import RAW
from parsers.text import Text, content


def split_names(line: str, shape: Delimited) -> list[str] | None:
    """The cells of a line of column names; None where its quotes do not pair."""
    quote = shape.quote_character
    if quote is None:
        return line.split(shape.delimiter)
    try:
        return next(csv.reader([line], delimiter=shape.delimiter, quotechar=quote), [])
    except csv.Error:
        return None


def cells(text: Text, shape: Delimited, count: int, line_end: LineEnd) -> pl.DataFrame:
    """Lines with ``cell.0`` … ``cell.<count - 1>``, null beyond a line's last, and line.columns and line.quotes."""
    rows = text.rows.with_columns(content(text, line_end).alias("line.content"))
    quote = shape.quote_character
    quoted = rows["line.content"].str.contains(quote, literal=True) if quote is not None else None
    if quote is None or quoted is None or not quoted.any():
        return _split_plain(rows, shape.delimiter, count).drop("line.content")
    parts = [
        _split_plain(rows.filter(~quoted), shape.delimiter, count),
        _split_quoted(rows.filter(quoted), shape.delimiter, quote, count),
    ]
    return pl.concat(parts).sort("line_no").drop("line.content")


def named(places: dict[str, int | None]) -> list[pl.Expr]:
    """Cells under their fields' names: the empty text where a line has no such cell, and for a column that the file
    has not."""
    return [
        (pl.lit("") if place is None else pl.col(f"cell.{place}").fill_null("")).alias(RAW + name)
        for name, place in places.items()
    ]


def _split_plain(rows: pl.DataFrame, delimiter: str, count: int) -> pl.DataFrame:
    """Every delimiter separates."""
    found = pl.col("line.cells").struct
    return (
        rows.with_columns(pl.col("line.content").str.split_exact(delimiter, count).alias("line.cells"))
        .with_columns(
            *(found.field(f"field_{i}").alias(f"cell.{i}") for i in range(count)),
            (found.field(f"field_{count - 1}").is_not_null() & found.field(f"field_{count}").is_null()).alias(
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
    found = pl.col("line.cells").list
    bare = rows.with_columns(
        line.str.contains(f"^(?:{cell})+$").alias("line.quotes"), line.str.extract_all(cell).alias("line.cells")
    ).with_columns(
        *(found.get(i, null_on_oob=True).str.strip_prefix(delimiter).alias(f"cell.{i}") for i in range(count)),
        (found.len() == count).alias("line.columns"),
    )
    every = pl.col("^cell\\..*$").str
    unquoted = every.strip_prefix(quote).str.strip_suffix(quote).str.replace_all(quote * 2, quote, literal=True)
    names = [column for column in bare.columns if column != "line.quotes"]
    return bare.with_columns(unquoted).select(*names, "line.quotes").drop("line.cells")


def spans(content: bytes, shape: Delimited) -> list[Span]:
    """Where the cells of a line lie, quotes included; none where quotes are out of place."""
    delimiter = re.escape(shape.delimiter.encode())
    quote = shape.quote_character
    bare = b"(?:(?!%b).)*" % delimiter
    if quote is not None:
        q = re.escape(quote.encode())
        bare = b"(?:%b(?:[^%b]|%b%b)*%b|[^%b%b]*)" % (q, q, q, q, q, delimiter, q)
    cell = re.compile(b"%b(%b)" % (delimiter, bare), re.DOTALL)
    line = shape.delimiter.encode() + content
    found = list(cell.finditer(line))
    whole = sum(len(match[0]) for match in found) == len(line)
    shift = len(shape.delimiter)
    return [(match.start(1) - shift, match.end(1) - shift) for match in found] if whole else []
