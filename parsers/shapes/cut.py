"""Records cut into raw field texts: what every shape hands to the reading of values.

Here: the tables that a shape gives, the rules for records that have not the declared structure, and padding. Not here:
any shape, or what a field's text means (``values``).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import polars as pl

from counterfoil.protocols import Span
from counterfoil.schemas.rules import Check, Rule
from parsers.fields import FieldSpec, FlagsField, IntegerField
from parsers.text import LINE_FAULTS

RAW: Final = "raw."
"""Begins the names of raw text columns, one a field."""

SINGLE: Final = "single."
"""Begins the names of Boolean columns, one a field that has a path: false where the value is nested deeper or less."""

WHOLE: Final = "line.whole"
"""Boolean column: the line has the declared structure, so that each text is the field's own."""

STRUCTURE: Final = {
    "line.quotes": Rule.QUOTES,
    "line.columns": Rule.COLUMNS,
    "line.type": Rule.RECORD_TYPE_UNKNOWN,
    "line.object": Rule.RECORD_INVALID,
    "line.once": Rule.VALUE_TWICE,
    "line.single": Rule.VALUE_NESTED,
    "line.digits": Rule.DIGITS_LOST,
    "line.plain": Rule.CONTROL_CHARACTER,
}
"""Boolean columns of a cut and the rule that a record breaks where one is false."""

_CONTROLS: Final = r"[\x00-\x1f\x7f]"

LINE_CHECKS: Final = (
    *(Check(rule, None, pl.col("line.fault") == value) for rule, value in LINE_FAULTS.items()),
    *(Check(rule, None, ~pl.col(column)) for column, rule in STRUCTURE.items() if rule is not Rule.VALUE_NESTED),
)
"""The rules for whole lines, over the columns of a cut; of what is nested a field's own check says which it is."""


@dataclass(frozen=True, eq=False)
class Cut:
    """Some records in file order.

    ``rows``: line_no Int64, line.size Int64, line.fault UInt8 (0 or one of LINE_FAULTS), the columns of STRUCTURE,
    ``line.whole``, and one ``raw.<field>`` String a field, without padding; null where a record of this kind has not
    the field. ``raw``: Binary, the bytes of each record. ``passed``: lines among them that are no records. ``groups``:
    one row a header or trailer of a group: line_no, kind (its prefix) and ``raw.<envelope field>``.
    """

    rows: pl.DataFrame
    raw: pl.Series
    passed: int = 0
    groups: pl.DataFrame | None = None


@dataclass(frozen=True)
class Names:
    """How many of so many records have each name; a name is the path of what holds it and its own."""

    records: int
    counts: Counter[tuple[str, str]]


Places = Sequence[tuple[str, Span]]


class Opened(Protocol):
    """A file opened by its shape."""

    @property
    def empty(self) -> bool:
        """It holds no record."""
        ...

    @property
    def envelope(self) -> Mapping[str, str]:
        """The text of each envelope field that the file says once."""
        ...

    @property
    def envelope_lines(self) -> int:
        """Physical lines of headers and trailers, column names included."""
        ...

    def cuts(self) -> Iterator[Cut]:
        """The records in file order. ROWS_TOO_MANY before memory is spent on them."""
        ...

    def places(self, content: bytes) -> Places:
        """Where the fields lie in the bytes of a record, by name, and without a name what the layout itself says; none
        in a record that has not the declared structure."""
        ...


def with_whole(rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``line.whole``, and of the columns of STRUCTURE those for what cannot go wrong in a shape."""
    singles = [column for column in rows.columns if column.startswith(SINGLE)]
    rows = rows.with_columns(pl.all_horizontal(singles).alias("line.single")) if singles else rows
    rows = rows.with_columns(pl.lit(value=True).alias(column) for column in STRUCTURE if column not in rows.columns)
    sized = pl.col("line.fault") != LINE_FAULTS[Rule.LINE_LENGTH]
    return rows.with_columns((sized & pl.all_horizontal(list(STRUCTURE))).alias(WHOLE))


def begins(line: pl.Expr, prefixes: Sequence[str]) -> pl.Expr:
    """True for the lines (Binary, in UTF-8) that begin with one of these; every line begins with nothing."""
    if "" in prefixes:
        return pl.lit(value=True)
    return pl.any_horizontal([line.bin.starts_with(prefix.encode()) for prefix in prefixes])


def blanks_of(spec: FieldSpec) -> Literal["both", "left"] | None:
    """Where blanks are mere padding. Flags are told by position; a fixed width number has none on the right."""
    if isinstance(spec, FlagsField):
        return None
    if isinstance(spec, IntegerField) and spec.start is not None:
        return "left" if spec.pad == "blanks" else None
    return "both"


def without_blanks(text: pl.Expr, blanks: Literal["both", "left"]) -> pl.Expr:
    """A text without its padding."""
    return text.str.strip_chars(" ") if blanks == "both" else text.str.strip_chars_start(" ")


def strip(rows: pl.DataFrame, fields: Mapping[str, FieldSpec]) -> pl.DataFrame:
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


def without_controls(rows: pl.DataFrame, fields: Mapping[str, FieldSpec]) -> pl.DataFrame:
    """Add ``line.plain``, of texts in which a line end or another control character can be written."""
    texts = [pl.col(RAW + name) for name in fields]
    return rows.with_columns(~pl.any_horizontal(text.str.contains(_CONTROLS) for text in texts).alias("line.plain"))


def is_plain(text: str) -> bool:
    """True for a text without control characters."""
    return re.search(_CONTROLS, text) is None


def join_codes(rows: pl.DataFrame, fields: Mapping[str, FieldSpec]) -> pl.DataFrame:
    """Add the texts of codes that several fields make, with a slash between them."""
    joins = {name: spec.joined for name, spec in fields.items() if spec.joined}
    return rows.with_columns(
        pl.concat_str([pl.col(RAW + part) for part in parts], separator="/").alias(RAW + name)
        for name, parts in joins.items()
    )
