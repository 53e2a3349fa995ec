"""Columns that refer to the bytes of a block instead of copying them.

Here: Arrow's string and binary layouts, built with numpy. Not here: which bytes make a field (``shapes``), or whether
they are valid text (``text``): both must be settled before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

INLINE_BYTES: Final = 12
"""Texts up to this length lie in the view itself (Arrow's variable-size binary view layout)."""

STEP_LINES: Final = 8192
"""Lines copied at a time for all columns: about 1 MB of records, which stays in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Bytes and where each line begins in them; line i ends, its line end included, where the next begins."""

    buffer: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def binary(self) -> pl.Series:
        """The lines as a Binary column."""
        buffers = [None, pa.py_buffer(self.starts), pa.py_buffer(self.buffer)]
        return pl.Series(pa.Array.from_buffers(pa.large_binary(), len(self.starts) - 1, buffers))

    def grid(self, least: int) -> NDArray[np.uint8] | None:
        """The lines as rows of a table of bytes, or None unless all are equally long and at least so many bytes."""
        count = len(self.starts) - 1
        width = len(self.buffer) // count
        even = count * width == len(self.buffer) and np.array_equal(self.starts[:-1], np.arange(count) * width)
        return self.buffer.reshape(count, width) if even and width >= least else None


@dataclass(frozen=True, eq=False)
class Sliced:
    """One text column a span, and for each whether any text has a blank at its left, at its right."""

    columns: list[pl.Series]
    blank_left: NDArray[np.bool_]
    blank_right: NDArray[np.bool_]


def slice_grid(lines: Lines, grid: NDArray[np.uint8], spans: Sequence[tuple[int, int]]) -> Sliced:
    """Cut the same spans out of all lines. Every slice must be valid UTF-8.

    Measured on 2 M lines of 120 bytes and 5 columns: reading the file takes 0.86 s of processor time, and 1.01 s with
    slices by polars.
    """
    count = len(grid)
    views = [np.zeros((count, 16), np.uint8) for _ in spans]
    left, right = np.zeros(len(spans), np.bool_), np.zeros(len(spans), np.bool_)
    for first in range(0, count, STEP_LINES):
        rows = slice(first, first + STEP_LINES)
        for i, (start, end) in enumerate(spans):
            kept = end - start if end - start <= INLINE_BYTES else 4
            views[i][rows, 4 : 4 + kept] = grid[rows, start : start + kept]
            left[i] |= (grid[rows, start] == ord(" ")).any()
            right[i] |= (grid[rows, end - 1] == ord(" ")).any()
    return Sliced([_column(lines, view, *span) for view, span in zip(views, spans, strict=True)], left, right)


def _column(lines: Lines, views: NDArray[np.uint8], start: int, end: int) -> pl.Series:
    """A String column of views: length, then the text itself or its first bytes, buffer number and offset."""
    words = views.view("<u4")
    words[:, 0] = end - start
    buffers = [None, pa.py_buffer(views)]
    if end - start > INLINE_BYTES:
        words[:, 3] = lines.starts[:-1] + start
        buffers.append(pa.py_buffer(lines.buffer))
    return pl.Series(pa.Array.from_buffers(pa.string_view(), len(views), buffers))
