"""Lines cut into raw field texts by position.

Here: text at byte positions, and packed decimals. Not here: which lines are details (``mixed``), or delimiters.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from parsers.fields import FieldSpec, IntegerField
from parsers.layout_shapes import FixedWidth
from parsers.shapes.cut import RAW, begins, strip
from parsers.text import Text
from parsers.views import Lines, slice_grid

Specs = Mapping[str, FieldSpec]

_MINUS, _PLUS = 0xD, (0xC, 0xF)
"""The sign in the last half byte; F says that the number has none."""


def boundaries(shape: FixedWidth, specs: Specs) -> tuple[int, ...]:
    """The byte offsets inside a record at which its fields begin or end."""
    spans = {edge for spec in specs.values() for edge in spec.span}
    return tuple(sorted(spans - {0, shape.record_length}))


def packed(specs: Specs) -> dict[str, tuple[int, int]]:
    """The spans of packed decimals, which are no text."""
    return {name: spec.span for name, spec in specs.items() if isinstance(spec, IntegerField) and spec.sign == "packed"}


def cut(text: Text, shape: FixedWidth, specs: Specs) -> pl.DataFrame:
    """Lines with ``raw.`` texts without padding, and line.type: whether a line begins as a detail does.

    By numpy where all lines are equally long, which only a damaged file breaks; else by polars.
    """
    binary = packed(specs)
    texts = {name: spec for name, spec in specs.items() if name not in binary}
    grid = None if text.by_characters else text.clean.grid(shape.record_length)
    if grid is None:
        rows = _slice_lines(text, shape, texts)
    else:
        sliced = slice_grid(text.clean, grid, [spec.span for spec in texts.values()])
        columns = {RAW + name: column for name, column in zip(texts, sliced.columns, strict=True)}
        rows = text.rows.with_columns(pl.Series("line.type", _begin(grid, shape)), **columns)
        padded = dict(zip(texts, sliced.blank_left | sliced.blank_right, strict=True))
        texts = {name: spec for name, spec in texts.items() if padded[name]}
    numbers = {RAW + name: _unpacked(text.raw, span, shape.record_length) for name, span in binary.items()}
    return strip(rows.with_columns(**numbers), texts)


def _begin(grid: NDArray[np.uint8], shape: FixedWidth) -> NDArray[np.bool_]:
    """The rows of a grid that begin as a detail does."""
    begin = np.zeros(len(grid), np.bool_)
    for prefix in shape.details:
        code = np.frombuffer(prefix.encode(), np.uint8)
        begin |= (grid[:, : len(code)] == code).all(axis=1)
    return begin


def _slice_lines(text: Text, shape: FixedWidth, specs: Specs) -> pl.DataFrame:
    line = pl.col("line.text")

    def slice_of(spec: FieldSpec) -> pl.Expr:
        start, end = spec.span
        if text.by_characters:
            return line.cast(pl.String).str.slice(start, end - start)
        return line.bin.slice(start, end - start).cast(pl.String)

    return (
        text.rows.with_columns(text.clean.binary().alias("line.text"))
        .with_columns(
            begins(line, shape.details).alias("line.type"),
            *(slice_of(spec).alias(RAW + name) for name, spec in specs.items()),
        )
        .drop("line.text")
    )


def _unpacked(lines: Lines, span: tuple[int, int], record_length: int) -> pl.Series:
    """Packed decimals as texts of digits; one that is not packed as a text that is no number."""
    count = len(lines.starts) - 1
    whole = len(lines.buffer) // record_length
    areas = lines.buffer[: whole * record_length].reshape(whole, record_length)[:, span[0] : span[1]]
    halves = np.stack([areas >> 4, areas & 0xF], axis=2).reshape(whole, -1).astype(np.int64)
    digits, sign = halves[:, :-1], halves[:, -1]
    value = digits @ (10 ** np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int64))
    valid = (digits <= 9).all(axis=1) & ((sign == _MINUS) | np.isin(sign, _PLUS))
    numbers = pl.Series(np.where(sign == _MINUS, -value, value)).cast(pl.String)
    texts = numbers.set(pl.Series(~valid), "not packed")
    return texts.extend(pl.repeat("", count - whole, dtype=pl.String, eager=True))
