"""What a file says of itself: the line of column names, header and trailer values, marks.

Here: the first and last lines, and the file's name. A value that cannot be read rejects the file whole. Not here:
records, or the proof of declared totals (``control``).
"""

import csv
import re
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.protocols import Marks
from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY, Rule
from parsers.fields import DATE_FORMATS, FieldSpec
from parsers.layout import Layout
from parsers.layout_parts import Delimited, FixedWidth, Said
from parsers.lines import Payload
from parsers.shapes import RAW, blanks_of, without_blanks
from parsers.values import FIELD, value_of

Scalar = str | int | date | None
"""A typed value of one envelope field."""


@dataclass(frozen=True)
class Envelope:
    """Declared values by field, a delimited file's columns in its own order, and the bytes in which details lie."""

    values: dict[str, Scalar]
    columns: tuple[str, ...]
    details_start: int
    details_end: int
    marks: Marks


def read_envelope(payload: Payload, layout: Layout, name: str) -> Envelope:
    """Read header and trailer lines; HEADER_MISSING, ENVELOPE_INVALID."""
    start = payload.start
    headers = []
    for prefix in layout.shape.headers:
        after = payload.line_after(start)
        headers.append(_line(payload.content(start, after), prefix, layout, name, Code.HEADER_MISSING))
        start = after
    columns: tuple[str, ...] = ()
    if isinstance(layout.shape, Delimited):
        after = payload.line_after(start)
        columns = _column_names(payload.content(start, after), layout, layout.shape, name)
        start = after
    end = payload.end
    trailers: list[str] = []
    for prefix in reversed(layout.shape.trailers):
        before = payload.line_before(end) if end > start else end
        trailers.insert(0, _line(payload.content(before, end), prefix, layout, name, Code.ENVELOPE_INVALID))
        end = before
    prefixes = (*layout.shape.headers, *layout.shape.trailers)
    values = _values(dict(zip(prefixes, (*headers, *trailers), strict=True)), layout, name)
    return Envelope(values, columns, start, end, _marks(layout, values, name, empty=start >= end))


def _line(content: bytes, prefix: str, layout: Layout, name: str, missing: Code) -> str:
    """One envelope line as text; fixed width ones must have the record's length."""
    if not content.startswith(prefix.encode()):
        raise _broken(layout, name, missing, f"no line that begins with {prefix!r} in its place")
    if isinstance(layout.shape, FixedWidth) and len(content) != layout.shape.record_length:
        found = f"a {prefix!r} line of {len(content):,} bytes instead of {layout.shape.record_length:,}"
        raise _broken(layout, name, Code.ENVELOPE_INVALID, found)
    return _decode(content, layout, name, f"the {prefix!r} line")


def _decode(content: bytes, layout: Layout, name: str, what: str) -> str:
    try:
        text = content.decode(layout.encoding)
    except UnicodeDecodeError:
        raise _broken(layout, name, Code.ENVELOPE_INVALID, f"{what} is not {layout.encoding}") from None
    if "\0" in text:
        raise _broken(layout, name, Code.ENVELOPE_INVALID, f"{what} holds a NUL byte")
    return text


def _column_names(content: bytes, layout: Layout, shape: Delimited, name: str) -> tuple[str, ...]:
    """The file's columns under the layout's names. What stands in the line is not shown: it may be a record."""
    text = _decode(content, layout, name, "the line of column names")
    quote = shape.quote_character
    try:
        if quote is None:
            cells = text.split(shape.delimiter)
        else:
            cells = next(csv.reader([text], delimiter=shape.delimiter, quotechar=quote), [])
    except csv.Error:
        raise _broken(layout, name, Code.HEADER_MISSING, "no readable line of column names") from None
    given = [cell.strip() for cell in cells]
    known = {spelling: column.name for column in shape.columns for spelling in (column.name, *column.also)}
    found = [known.get(cell) for cell in given]
    missing = [column.name for column in shape.columns if column.name not in found]
    strange = found.count(None)
    problems = [f"no column {', '.join(missing)}"] if missing else []
    problems += [f"{strange} columns that are not in the layout"] if strange else []
    names = tuple(column for column in found if column is not None)
    if not problems and len(names) != len(shape.columns):
        problems.append("a column given twice")
    if not problems and shape.order == "fixed" and names != tuple(column.name for column in shape.columns):
        problems.append("columns in another order")
    if problems:
        raise _broken(layout, name, Code.HEADER_MISSING, f"{' and '.join(problems)} in the line of column names")
    return names


def _values(lines: dict[str, str], layout: Layout, name: str) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {}
    for field, spec in layout.envelope.items():
        text = _piece(lines[spec.line or ""], spec, layout)
        value = value_of(field, spec, outcome=False)
        blanks = blanks_of(spec)
        row = pl.DataFrame({RAW + field: [text]})
        row = row if blanks is None else row.with_columns(without_blanks(pl.col(RAW + field), blanks))
        row = row.with_columns(value.typed.alias(FIELD + field))
        for check in value.checks:
            if row.select(check.fails).item() is True:
                raise _broken(layout, name, Code.ENVELOPE_INVALID, f"{field}: {check.rule.summary}")
        values[field] = row[FIELD + field].item()
    return values


def _piece(line: str, spec: FieldSpec, layout: Layout) -> str:
    if isinstance(layout.shape, Delimited):
        cells = line.split(layout.shape.delimiter)
        place = int(spec.column or "0") - 1
        return cells[place] if 0 <= place < len(cells) else ""
    start, end = spec.span
    return line.encode()[start:end].decode(errors="replace") if layout.encoding == "utf-8" else line[start:end]


def _marks(layout: Layout, values: dict[str, Scalar], name: str, *, empty: bool) -> Marks:
    def said(source: Said | None) -> Scalar:
        if source is None:
            return None
        return _name_part(layout, name, source.name) if source.name is not None else values[source.envelope or ""]

    day, sequence, epoch = (said(s) for s in (layout.marks.business_date, layout.marks.sequence, layout.marks.epoch))
    try:
        day = _day(day, layout)
        number = None if sequence is None else int(str(sequence))
    except ValueError:
        raise _broken(layout, name, Code.ENVELOPE_INVALID, "no day of the calendar or number in the name") from None
    if day is None and any(origin.use is not None for origin in layout.record.values()):
        raise _broken(layout, name, Code.ENVELOPE_INVALID, "no business date in the name, which the records need")
    return Marks(business_date=day, epoch="" if epoch is None else str(epoch), sequence=number, empty=empty)


def named_day(layout: Layout, name: str) -> date | None:
    """The business date in a file's name, where the layout has one there and it can be read."""
    source = layout.marks.business_date
    if source is None or source.name is None:
        return None
    try:
        return _day(_name_part(layout, name, source.name), layout)
    except ValueError:
        return None


def _name_part(layout: Layout, name: str, group: str) -> str | None:
    match = re.fullmatch(layout.recognise.name, name)
    return None if match is None else match[group]


def _day(said: Scalar, layout: Layout) -> date | None:
    """A day as it was said; ValueError for a text that is none, and for years that cannot be meant."""
    if not isinstance(said, str) or layout.marks.business_date is None:
        return said if isinstance(said, date) else None
    # A day has no zone; only its date is kept.
    day = datetime.strptime(said, DATE_FORMATS[layout.marks.business_date.format]).date()  # noqa: DTZ007
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(Rule.DATE_RANGE.summary)
    return day


def _broken(layout: Layout, name: str, code: Code, found: str) -> PermanentError:
    return PermanentError(
        code,
        f"{layout.key} {name!r}",
        found=found,
        expected="header and trailer as the layout declares them",
        remedy="Nothing of the file was read; ask the partner to send it again",
    )


def first_line_fits(content: bytes, pattern: str, encoding: str) -> bool:
    """True when a file's first line begins as a layout's ``first_line`` says."""
    return re.match(pattern, content.decode(encoding, errors="replace")) is not None
