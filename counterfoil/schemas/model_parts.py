"""What the models of all tables are made of: columns of common kinds, and the classes that they extend.

Here: those. Not here: any table (``models``, ``programme_models``).
"""

from collections.abc import Sequence
from typing import Any, Final

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY, NUMBER_ABS_MAX

CASES_MAX: Final = 100
"""Failing cells kept of one check: with all of 1 M rows failing, unbounded cases cost 5.9 s and 1.4 GB."""


def text_field(*, nullable: bool = False) -> Any:
    """A text, never empty."""
    return pa.Field(nullable=nullable, ne="", n_failure_cases=CASES_MAX)


def one_of(values: Sequence[str]) -> Any:
    """A text from a fixed list."""
    return pa.Field(isin=values, n_failure_cases=CASES_MAX)


def form_field(pattern: str, *, nullable: bool = False) -> Any:
    """A text of one form."""
    return pa.Field(nullable=nullable, str_matches=pattern, n_failure_cases=CASES_MAX)


def number_field(*, least: int, nullable: bool = False) -> Any:
    """A whole number from ``least`` up."""
    return pa.Field(nullable=nullable, ge=least, n_failure_cases=CASES_MAX)


def points_field(*, nullable: bool = False) -> Any:
    """Points or money, within what a line may state."""
    return pa.Field(nullable=nullable, ge=-NUMBER_ABS_MAX, le=NUMBER_ABS_MAX, n_failure_cases=CASES_MAX)


def day_field(*, nullable: bool = False) -> Any:
    """A day that can be meant."""
    return pa.Field(nullable=nullable, ge=FIRST_DAY, le=LAST_DAY, n_failure_cases=CASES_MAX)


class Table(pa.DataFrameModel):
    """Base of all: exactly the columns, in order, of exactly the types; nothing is coerced or dropped."""

    class Config:
        """Pandera's switches."""

        strict = True
        ordered = True
        coerce = False


class Records(Table):
    """Rows that came from lines of a file, in the file's order."""

    line_no: int = number_field(least=1)

    @pa.check("line_no", name="line_no_rises", n_failure_cases=CASES_MAX)
    def line_no_rises(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805 - pandera makes it a class method
        column = pl.col(data.key)
        return data.lazyframe.select((column > column.shift(1)).fill_null(value=True))
