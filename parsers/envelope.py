"""What a file says of itself: the values of its envelope, and its marks from there and from its name.

Here: texts of the envelope and of the name turned into values. A value that cannot be read rejects the file whole. Not
here: where the texts lie (``shapes``), records, or the proof of declared totals (``control``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from counterfoil.protocols import Marks
from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY, Rule
from parsers.dates import day_of
from parsers.faults import broken
from parsers.fields import FieldSpec
from parsers.layout import Layout
from parsers.layout_parts import Said
from parsers.shapes.cut import RAW, Opened, blanks_of, without_blanks
from parsers.values import FIELD, value_of

Scalar = str | int | date | None
"""A typed value of one envelope field."""


@dataclass(frozen=True)
class Envelope:
    """Declared values by field, and the marks."""

    values: Mapping[str, Scalar]
    marks: Marks


def read_envelope(opened: Opened, layout: Layout, name: str) -> Envelope:
    """The values that a file says once; ENVELOPE_INVALID."""
    specs = {field: layout.envelope[field] for field in opened.envelope}
    row = pl.DataFrame({RAW + field: [text] for field, text in opened.envelope.items()})
    typed = read_values(row, specs, layout, name)
    values = {field: typed[FIELD + field].item() for field in specs}
    return Envelope(values, _marks(layout, values, name, empty=opened.empty))


def read_values(rows: pl.DataFrame, specs: Mapping[str, FieldSpec], layout: Layout, name: str) -> pl.DataFrame:
    """Add the typed value of each ``raw.`` text of envelope fields; ENVELOPE_INVALID for one that cannot be read."""
    for field, spec in specs.items():
        value = value_of(field, spec, layout.zone, outcome=False)
        blanks = blanks_of(spec)
        rows = rows if blanks is None else rows.with_columns(without_blanks(pl.col(RAW + field), blanks))
        rows = rows.with_columns(value.typed.alias(FIELD + field))
        for check in value.checks:
            if rows.select(check.fails.fill_null(value=False).any()).item():
                raise broken(layout, name, f"{spec.placed(field)}: {check.rule.summary}")
    return rows


def _marks(layout: Layout, values: Mapping[str, Scalar], name: str, *, empty: bool) -> Marks:
    def said(source: Said | None) -> Scalar:
        if source is None:
            return None
        return name_part(layout, name, source.name) if source.name is not None else values[source.envelope or ""]

    day, sequence, epoch = (said(s) for s in (layout.marks.business_date, layout.marks.sequence, layout.marks.epoch))
    try:
        day = _day(day, layout)
        number = None if sequence is None else int(str(sequence))
    except ValueError:
        raise broken(layout, name, "no day of the calendar or number in the name") from None
    if day is None and any(origin.use is not None for origin in layout.record.values()):
        raise broken(layout, name, "no business date in the name, which the records need")
    return Marks(business_date=day, epoch="" if epoch is None else str(epoch), sequence=number, empty=empty)


def named_day(layout: Layout, name: str) -> date | None:
    """The business date in a file's name, where the layout has one there and it can be read."""
    source = layout.marks.business_date
    if source is None or source.name is None:
        return None
    try:
        return _day(name_part(layout, name, source.name), layout)
    except ValueError:
        return None


def name_part(layout: Layout, name: str, group: str) -> str | None:
    """What a named group of the layout's pattern holds in a file's name."""
    match = re.fullmatch(layout.recognise.name, name)
    return None if match is None else match[group]


def _day(said: Scalar, layout: Layout) -> date | None:
    """A day as it was said; ValueError for a text that is none, and for years that cannot be meant."""
    source = layout.marks.business_date
    if not isinstance(said, str) or source is None:
        return said if isinstance(said, date) else None
    day = day_of(said, source.format, pivot=source.pivot, zone=layout.zone, into=layout.zone)
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(Rule.DATE_RANGE.summary)
    return day


def first_line_fits(content: bytes, pattern: str, encoding: str) -> bool:
    """True when a file's first line begins as a layout's ``first_line`` says."""
    return re.match(pattern, content.decode(encoding, errors="replace")) is not None
