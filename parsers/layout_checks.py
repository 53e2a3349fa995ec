"""What must hold across the parts of a layout, as far as it can be told without a file.

Here: checks, each a ValueError that names the key, and the identities as parsed. Not here: what a part checks alone
(``fields``, ``layout_shapes``, ``layout_parts``).
"""

import re
from itertools import pairwise
from string import ascii_uppercase
from typing import TYPE_CHECKING, Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.schemas.tables import ACCEPTED, CLOSED_SETS, DECLARED_POINTS, NULLABLE, OUTCOMES
from parsers.fields import CodeField, DateField, FieldSpec, FlagsField, IntegerField, TextField
from parsers.layout_parts import Origin, Proof, Said
from parsers.layout_shapes import EBCDIC, Delimited, FixedWidth, Json, JsonLines, Table, Xlsx, Xml

if TYPE_CHECKING:
    from parsers.layout import Layout

_IDENTITY: Final = re.compile(r"(\w+) = (?:(count|sum) of (\w+)|(\w+(?: \+ \w+)+))")
_SIGNS: Final = {"credits": 1, "debits": -1}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_KINDS: Final = {pl.String: (TextField, CodeField, FlagsField), pl.Int64: (IntegerField,), pl.Date: (DateField,)}
_AMOUNTS: Final = ("points", "money")
"""Columns whose fields are of the type of the same name."""


def check(layout: "Layout") -> None:
    """Raise ValueError for the first thing that does not fit together."""
    _check_bytes(layout)
    for name in (*layout.fields, *layout.envelope):
        _need(_NAME.fullmatch(name) is not None, f"{name}: a field's name is lower case letters, digits and _")
    for name, spec in layout.fields.items():
        _check_field(layout, f"fields.{name}", spec)
    for name, spec in layout.envelope.items():
        _check_envelope(layout, f"envelope.{name}", spec)
    _check_overlaps(layout)
    _check_marks(layout)
    _check_record(layout)
    for parsed in layout.proofs:
        _check_proof(layout, parsed)


def _need(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


def _check_bytes(layout: "Layout") -> None:
    """Encoding, line ends and shape must go together."""
    fixed = isinstance(layout.shape, FixedWidth)
    blocks = layout.line_ends == ("none",)
    _need(layout.encoding not in EBCDIC or blocks, f"encoding: {layout.encoding} goes with line_ends: [none]")
    _need("none" not in layout.line_ends or fixed, "line_ends: none is for fixed width records")
    _need("none" not in layout.line_ends or len(layout.line_ends) == 1, "line_ends: none stands alone")
    if layout.lines is None and not isinstance(layout.shape, JsonLines):
        _need(layout.recognise.first_line is None, "recognise.first_line: the file is not made of lines")
    unicode = layout.encoding in ("utf-8", "utf-16")
    _need(unicode or not isinstance(layout.shape, Json | JsonLines), "encoding: JSON is utf-8 or utf-16")
    _need(layout.encoding == "utf-8" or not isinstance(layout.shape, Xlsx), "encoding: a workbook is utf-8 inside")
    specs = (*layout.fields.values(), *layout.envelope.values())
    if any(isinstance(spec, IntegerField) and spec.sign == "packed" for spec in specs):
        _need("none" in layout.line_ends, "packed decimals may look like line ends, so line_ends must be [none]")


def _check_field(layout: "Layout", where: str, spec: FieldSpec) -> None:
    if isinstance(spec, CodeField) and spec.join is not None:
        known = {name for name, other in layout.fields.items() if isinstance(other, TextField | CodeField)}
        _need(set(spec.join) <= known, f"{where}.join: text or code fields, such as {', '.join(sorted(known))}")
        _need(all(not layout.fields[name].joined for name in spec.join), f"{where}.join: one code is itself joined")
        return
    if isinstance(spec, IntegerField) and spec.negative_when is not None:
        (other,) = spec.negative_when
        fits = isinstance(layout.fields.get(other), TextField)
        _need(fits, f"{where}.negative_when: {other} must be a field of type text")
    lines = layout.lines
    if spec.line is not None:
        if lines is None:
            raise ValueError(f"{where}: line is for files of lines")
        group = [lines.group.header] if lines.group else []
        kinds = [*(lines.details if lines.mixed else ()), *group, *([lines.addenda] if lines.addenda else [])]
        _need(spec.line in kinds, f"{where}: line is the prefix of a detail, a group's header or an addenda")
    _check_place(
        layout, where, spec, numbered=spec.line is not None and spec.line not in (lines.details if lines else ())
    )


def _check_envelope(layout: "Layout", where: str, spec: FieldSpec) -> None:
    _need(spec.joined is None, f"{where}: join is for fields of records")
    _need(
        not (isinstance(spec, IntegerField) and spec.negative_when), f"{where}: negative_when is for fields of records"
    )
    lines = layout.lines
    if isinstance(layout.shape, JsonLines):
        ends = (*layout.shape.headers, *layout.shape.trailers)
        _need(bool(ends), f"{where}: JSON lines have no envelope without headers or trailers")
        _need(spec.line in ends, f"{where}: line must be one of {', '.join(ends)}")
    elif lines is not None:
        group = (lines.group.header, lines.group.trailer or lines.group.header) if lines.group else ()
        known = [prefix for prefix in (*lines.headers, *lines.trailers, *group) if prefix]
        _need(spec.line in known, f"{where}: line must be one of {', '.join(known)}")
    else:
        bare = isinstance(layout.shape, Json) and layout.shape.records is None
        _need(not bare, f"{where}: a document that is an array has no envelope")
        totals = layout.shape.trailers if isinstance(layout.shape, Xlsx) else ()
        _need(spec.line is None or spec.line in totals, f"{where}: line is for files of lines and rows of totals")
    _check_place(layout, where, spec, numbered=True)


def _check_place(layout: "Layout", where: str, spec: FieldSpec, *, numbered: bool) -> None:
    """The kind of place that the shape asks for; ``numbered`` columns go by number and not by name."""
    shape = layout.shape
    _need(isinstance(shape, FixedWidth) or not isinstance(spec, FlagsField), f"{where}: flags have from and length")
    match shape:
        case FixedWidth():
            _need(spec.start is not None, f"{where}: a fixed width field has from and length")
            _need(spec.span[1] <= shape.record_length, f"{where}: ends beyond the record's {shape.record_length} bytes")
        case Json() | JsonLines() | Xml():
            _need(spec.path is not None, f"{where}: a field of this shape has a path")
            _need("@" not in (spec.path or "") or isinstance(shape, Xml), f"{where}: attributes are for XML")
        case Xlsx() if numbered and spec.line is None:
            row = int((spec.cell or "0").lstrip(ascii_uppercase))
            _need(0 < row < shape.header_row, f"{where}: an envelope field has a cell above shape.header_row")
        case Delimited() if numbered:
            _need((spec.column or "").isdecimal(), f"{where}: column is a number from 1")
        case Table():
            names = {column.name for column in shape.columns}
            _need(spec.column in names, f"{where}: column is not among shape.columns")
            _need(_may_be_absent(layout, spec), f"{where}: its column is optional, so it may not be required")


def _may_be_absent(layout: "Layout", spec: FieldSpec) -> bool:
    shape = layout.shape
    optional = isinstance(shape, Table) and any(c.optional for c in shape.columns if c.name == spec.column)
    return not optional or not getattr(spec, "required", False)


def _check_overlaps(layout: "Layout") -> None:
    """Two fields share exactly the same bytes or none: anything else is a slip in a position."""
    if not isinstance(layout.shape, FixedWidth):
        return
    for section in (layout.fields, layout.envelope):
        placed = sorted((spec.line or "", *spec.span, name) for name, spec in section.items() if spec.joined is None)
        for (line, start, end, name), (next_line, next_start, next_end, next_name) in pairwise(placed):
            apart = line != next_line or next_start >= end or (start, end) == (next_start, next_end)
            _need(apart, f"{name} and {next_name} overlap")


def _check_marks(layout: "Layout") -> None:
    groups = re.compile(layout.recognise.name).groupindex
    wanted = {"business_date": DateField, "sequence": IntegerField, "epoch": TextField}
    for mark, kind in wanted.items():
        said: Said | None = getattr(layout.marks, mark)
        if said is None:
            continue
        if said.name is not None:
            _need(said.name in groups, f"marks.{mark}: recognise.name has no group {said.name}")
        else:
            spec = layout.envelope.get(said.envelope or "")
            _need(spec is None or not layout.of_groups(spec), f"marks.{mark}: no envelope field of the whole file")
            _need(isinstance(spec, kind), f"marks.{mark}: no envelope field {said.envelope} of a fitting type")
    _need(
        layout.identity.by != "sequence" or layout.marks.sequence is not None,
        "identity.by is sequence, so marks.sequence is needed",
    )
    _need(
        layout.identity.by != "arrival" or layout.marks.business_date is None,
        "identity.by is arrival, so marks.business_date would say something else",
    )
    _need(
        layout.identity.by != "date" or layout.marks.business_date is not None,
        "identity.by is date, so marks.business_date is needed",
    )


def _check_record(layout: "Layout") -> None:
    columns = {name: dtype for name, dtype in ACCEPTED[layout.kind].items() if name != "line_no"}
    unknown = sorted(set(layout.record) - set(columns))
    _need(not unknown, f"record: {', '.join(unknown)} is no column of {layout.kind}")
    for column, dtype in columns.items():
        origin = layout.record.get(column)
        nullable = column in NULLABLE[layout.kind]
        _need(origin is not None or nullable, f"record.{column}: missing, and {layout.kind} needs it")
        if origin is not None:
            _check_origin(layout, column, origin, dtype, nullable=nullable)
    for column in layout.record_key:
        _need(column in layout.record, f"record_key: {column} is not in record")
    _check_types(layout)


def _check_types(layout: "Layout") -> None:
    """A tolerance for a record type that no record can have would be a slip that nobody sees."""
    if not layout.record_tolerances:
        return
    origin = layout.record.get("record_type")
    if origin is None:
        raise ValueError("record_tolerances: record.record_type is needed")
    specs = [layout.fields[name] for name in origin.fields]
    known = {origin.constant} | {told for spec in specs if isinstance(spec, CodeField) for told in spec.codes.values()}
    closed = origin.constant is not None or (bool(specs) and all(isinstance(spec, CodeField) for spec in specs))
    for name in layout.record_tolerances:
        _need(name in known or not closed, f"record_tolerances: {name} is no type that record.record_type can be")


def _check_origin(layout: "Layout", column: str, origin: Origin, dtype: type[pl.DataType], *, nullable: bool) -> None:
    where = f"record.{column}"
    allowed = CLOSED_SETS.get((layout.kind, column))
    if origin.use is not None:
        _need(dtype == pl.Date, f"{where}: the business date is a date")
        _need(layout.marks.business_date is not None, f"{where}: marks.business_date is needed")
    elif origin.constant is not None:
        _need(dtype == pl.String, f"{where}: constants are texts")
        _need(allowed is None or origin.constant in allowed, f"{where}: not one of {', '.join(allowed or ())}")
    elif origin.name is not None:
        named = origin.name in re.compile(layout.recognise.name).groupindex
        _need(named, f"{where}: recognise.name has no group {origin.name}")
        _need(dtype == pl.String and allowed is None, f"{where}: a part of the name is a text")
    elif origin.envelope is not None:
        spec = layout.envelope.get(origin.envelope)
        fits = isinstance(spec, _KINDS[dtype]) and not layout.of_groups(spec)
        _need(fits, f"{where}: no envelope field {origin.envelope} of the column's type")
        _check_meaning(where, spec, allowed)
    else:
        _check_fields(layout, where, origin, dtype, nullable=nullable, amount=column if column in _AMOUNTS else None)
        for name in origin.fields:
            _check_meaning(where, layout.fields[name], allowed)
    for other in origin.when or ():
        fits = isinstance(layout.fields.get(other), TextField | CodeField)
        _need(fits, f"{where}.when: no text or code field {other}")


def _check_fields(
    layout: "Layout", where: str, origin: Origin, dtype: type[pl.DataType], *, nullable: bool, amount: str | None
) -> None:
    """The fields that a column comes from; one of ``first_of`` must be filled where the column may not be null."""
    for name in origin.fields:
        spec = layout.fields.get(name)
        if spec is None:
            raise ValueError(f"{where}: there is no field {name}")
        _need(isinstance(spec, _KINDS[dtype]), f"{where}: field {name} is of another type")
        filled = origin.when is None and not isinstance(spec, FlagsField) and getattr(spec, "required", True)
        told = bool(origin.first_of) or (filled and not _of_some_details(layout, spec))
        _need(
            told or nullable,
            f"{where}: may not be null, so its field must be required, on every record, without when",
        )
        _need(amount is None or getattr(spec, "type", "") == amount, f"{where}: its field is of type {amount}")


def _of_some_details(layout: "Layout", spec: FieldSpec) -> bool:
    lines = layout.lines
    return lines is not None and spec.line in lines.details and len(lines.details) > 1


def _check_meaning(where: str, spec: FieldSpec | None, allowed: tuple[str, ...] | None) -> None:
    if allowed is None:
        return
    _need(isinstance(spec, CodeField), f"{where}: its field is of type code")
    meant = set(spec.codes.values()) if isinstance(spec, CodeField) else set()
    _need(meant <= set(allowed), f"{where}: codes may only mean {', '.join(allowed)}")


def proof(layout: "Layout", name: str, text: str) -> Proof:
    """An identity as written in a layout. ValueError for one that cannot be read."""
    match = _IDENTITY.fullmatch(text)
    if match is None:
        raise ValueError(
            f"identities.{name}: write 'field = count of X', 'field = sum of X' (X: details, credits, debits, lines, "
            f"groups, {', '.join(OUTCOMES)}) or 'field = field + field'"
        )
    declared, measure, over, parts = match.groups()
    spec = layout.envelope.get(declared)
    in_group = spec is not None and layout.of_groups(spec)
    if parts is not None:
        return Proof(name, declared, "add", None, tuple(parts.split(" + ")), in_group)
    if measure == "count" and over in ("lines", "groups"):
        return Proof(name, declared, "lines" if over == "lines" else "groups", None, (), in_group)
    sign = _SIGNS.get(over, 0)
    outcome = None if sign or over == "details" else over
    return Proof(name, declared, "count" if measure == "count" else "sum", outcome, (), in_group, sign)


def _check_proof(layout: "Layout", parsed: Proof) -> None:
    where = f"identities.{parsed.name}"
    for name in (parsed.declared, *parsed.parts):
        spec = layout.envelope.get(name)
        _need(isinstance(spec, IntegerField) and spec.required, f"{where}: no required number {name} in the envelope")
        same = spec is not None and layout.of_groups(spec) == parsed.in_group
        _need(same, f"{where}: {name} is said elsewhere: by each group, or by the file")
    if parsed.outcome is not None:
        _need(layout.kind == FeedKind.HANDBACK, f"{where}: only answers have outcomes")
        _need(
            parsed.outcome in OUTCOMES,
            f"{where}: details, credits, debits, lines, groups, or one of {', '.join(OUTCOMES)}",
        )
    if parsed.measure == "sum" or parsed.sign:
        _need("points" in layout.record, f"{where}: records of this kind have no points")
    if parsed.measure == "groups":
        grouped = layout.lines is not None and layout.lines.group is not None and not parsed.in_group
        _need(grouped, f"{where}: shape.group is needed, and the file's own envelope counts the groups")
    if parsed.measure == "lines":
        lines = layout.lines is not None or isinstance(layout.shape, JsonLines)
        _need(lines, f"{where}: the file is not made of lines")
    kind = getattr(layout.envelope[parsed.declared], "type", "")
    prefix = "points_" if kind == "points" else "records_"
    if parsed.measure == "add":
        prefix += DECLARED_POINTS.removeprefix("points_")
    unit = {"sum": "points", "add": kind}.get(parsed.measure, "integer")
    _need(kind == unit, f"{where}: {parsed.declared} must be of type {unit}")
    _need(parsed.name.startswith(prefix), f"{where}: its name must begin with {prefix}")
