"""How a file differs from its layout as a whole, in words that can be sent to the partner.

Here: fields most of whose values are of another kind than agreed, and where a field lies. Not here: columns that are
missing or new (``shapes.heading``), which keep a file from being read, or single records.
"""

from typing import Final, assert_never

import polars as pl

from counterfoil.protocols import Parsed
from counterfoil.schemas.rules import Rule
from parsers.fields import BlankField, CodeField, DateField, FieldSpec, FlagsField, IntegerField, TextField
from parsers.layout import Layout

RETYPED_FROM: Final = 0.5
"""Share of a file's records from which a field is not a matter of single records any more."""


def drift(parsed: Parsed, layout: Layout) -> list[str]:
    """One sentence for each field, or structure of lines, that more than half of the records do not keep to."""
    counts = parsed.quarantined.group_by("code", "field").len().sort("code", "field", nulls_last=True)
    most = counts.filter(pl.col("len") > parsed.records * RETYPED_FROM)
    return [_sentence(layout, code, field, count, parsed.records) for code, field, count in most.iter_rows()]


def _sentence(layout: Layout, code: str, field: str | None, count: int, records: int) -> str:
    share = f"{count:,} of {records:,} records"
    if field is None:
        return f"{share}: {Rule[code].summary}"
    spec = layout.fields[field]
    return f"{place(spec, field)}: {share} hold no {_agreed(spec)} as agreed; {Rule[code].summary}"


def place(spec: FieldSpec, name: str) -> str:
    """Where a field lies, as the partner's own description would say it."""
    if spec.start is not None:
        start, end = spec.span
        where = f"bytes {start + 1}-{end}"
    elif spec.column is not None:
        where = f"column {spec.column}"
    else:
        where = f"at {spec.path}" if spec.path is not None else spec.cell or " and ".join(spec.joined or ())
    line = f" of line {spec.line}" if spec.line is not None else ""
    return f"{name} ({where}{line})"


def _agreed(spec: FieldSpec) -> str:
    match spec:
        case TextField():
            return f"text {spec.equals!r}" if spec.equals is not None else "text"
        case IntegerField():
            return "whole number" if spec.plain else f"number of {spec.decimals or spec.scale} decimals"
        case DateField():
            return f"date {spec.format}"
        case CodeField():
            return f"code of {', '.join(code or 'blank' for code in spec.codes)}"
        case FlagsField():
            return "flags Y or blank"
        case BlankField():
            return "blanks"
    assert_never(spec)
