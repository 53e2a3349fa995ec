"""A layout: the typed model of ``layout.yaml``, which a partner manager can read and sign.

Here: the whole and the checks across its parts that need no data. Not here: the keys of fields (``fields``) and other
parts (``layout_parts``), reading YAML (``layout_file``) or reading partners' files (``reader``).
"""

import re
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final

import polars as pl
from pydantic import Field, model_validator

from counterfoil.feed import Feed, FeedKind
from counterfoil.schemas.tables import ACCEPTED, CLOSED_SETS, DECLARED_POINTS, NULLABLE, OUTCOMES
from parsers.fields import CodeField, DateField, FieldSpec, FlagsField, IntegerField, TextField
from parsers.layout_parts import Delimited, Encoding, FixedWidth, LineEnd, MarksSpec, Origin, Proof, Recognise, Said

_IDENTITY: Final = re.compile(r"(\w+) = (?:(count|sum) of (\w+)|(\w+(?: \+ \w+)+))")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class Layout(Feed):
    """Everything about one version of one feed's files.

    Positions count bytes from 1. Values are read without their surrounding blanks, but for fixed width numbers.
    """

    recognise: Recognise
    encoding: Encoding = "utf-8"
    line_ends: tuple[LineEnd, ...] = Field(min_length=1)
    shape: Annotated[FixedWidth | Delimited, Field(discriminator="type")]
    envelope: dict[str, FieldSpec] = Field(default_factory=dict)
    marks: MarksSpec = MarksSpec()
    identities: dict[str, str] = Field(default_factory=dict)
    fields: dict[str, FieldSpec]
    record: dict[str, Origin]

    @cached_property
    def proofs(self) -> tuple[Proof, ...]:
        """The identities to prove, parsed."""
        return tuple(_proof(name, text) for name, text in self.identities.items())

    @cached_property
    def envelope_lines(self) -> int:
        """Header and trailer lines, the line of column names included."""
        names = isinstance(self.shape, Delimited)
        return len(self.shape.headers) + names + len(self.shape.trailers)

    @model_validator(mode="after")
    def _is_whole(self) -> "Layout":
        for name in (*self.fields, *self.envelope):
            _need(_NAME.fullmatch(name) is not None, f"{name}: a field's name is lower case letters, digits and _")
        for name, spec in self.fields.items():
            _need(spec.line is None, f"fields.{name}: line is for envelope fields")
            _check_place(f"fields.{name}", spec, self.shape)
        for name, spec in self.envelope.items():
            envelope_lines = (*self.shape.headers, *self.shape.trailers)
            _need(spec.line in envelope_lines, f"envelope.{name}: line must be one of {', '.join(envelope_lines)}")
            if isinstance(self.shape, FixedWidth):
                _check_place(f"envelope.{name}", spec, self.shape)
            else:
                _need((spec.column or "").isdecimal(), f"envelope.{name}: column is a number from 1")
        _check_overlaps(self)
        _check_marks(self)
        _check_record(self)
        for proof in self.proofs:
            _check_proof(self, proof)
        return self


def _need(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


def _check_place(where: str, spec: FieldSpec, shape: FixedWidth | Delimited) -> None:
    if isinstance(shape, FixedWidth):
        _need(spec.column is None, f"{where}: a fixed width field has from and length")
        _need(spec.span[1] <= shape.record_length, f"{where}: ends beyond the record's {shape.record_length} bytes")
    else:
        names = {column.name for column in shape.columns}
        _need(spec.column in names, f"{where}: column is not among shape.columns")
        _need(not isinstance(spec, FlagsField), f"{where}: flags have from and length")


def _check_overlaps(layout: Layout) -> None:
    """Two fields share exactly the same bytes or none: anything else is a slip in a position."""
    if not isinstance(layout.shape, FixedWidth):
        return
    for section in (layout.fields, layout.envelope):
        placed = sorted((spec.line or "", *spec.span, name) for name, spec in section.items())
        for (line, start, end, name), (next_line, next_start, next_end, next_name) in pairwise(placed):
            apart = line != next_line or next_start >= end or (start, end) == (next_start, next_end)
            _need(apart, f"{name} and {next_name} overlap")


def _check_marks(layout: Layout) -> None:
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
            _need(isinstance(spec, kind), f"marks.{mark}: no envelope field {said.envelope} of a fitting type")
    _need(
        layout.identity.by != "sequence" or layout.marks.sequence is not None,
        "identity.by is sequence, so marks.sequence is needed",
    )
    _need(
        layout.identity.by != "date" or layout.marks.business_date is not None,
        "identity.by is date, so marks.business_date is needed",
    )


def _check_record(layout: Layout) -> None:
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


def _check_origin(layout: Layout, column: str, origin: Origin, dtype: type[pl.DataType], *, nullable: bool) -> None:
    where = f"record.{column}"
    allowed = CLOSED_SETS.get((layout.kind, column))
    if origin.use is not None:
        _need(dtype == pl.Date, f"{where}: the business date is a date")
        _need(layout.marks.business_date is not None, f"{where}: marks.business_date is needed")
    elif origin.constant is not None:
        _need(dtype == pl.String, f"{where}: constants are texts")
        _need(allowed is None or origin.constant in allowed, f"{where}: not one of {', '.join(allowed or ())}")
    else:
        spec = layout.fields.get(origin.field or "")
        if spec is None:
            raise ValueError(f"{where}: there is no field {origin.field}")
        kinds = {pl.String: (TextField, CodeField, FlagsField), pl.Int64: (IntegerField,), pl.Date: (DateField,)}
        _need(isinstance(spec, kinds[dtype]), f"{where}: field {origin.field} is of another type")
        filled = origin.when is None and not isinstance(spec, FlagsField) and getattr(spec, "required", True)
        _need(filled or nullable, f"{where}: may not be null, so its field must be required and without when")
        amount = column in ("points", "money")
        _need(not amount or getattr(spec, "type", "") == column, f"{where}: its field is of type {column}")
        if allowed is not None:
            _need(isinstance(spec, CodeField), f"{where}: its field is of type code")
            meant = set(spec.codes.values()) if isinstance(spec, CodeField) else set()
            _need(meant <= set(allowed), f"{where}: codes may only mean {', '.join(allowed)}")
    for other in origin.when or ():
        fits = isinstance(layout.fields.get(other), TextField | CodeField)
        _need(fits, f"{where}.when: no text or code field {other}")


def _proof(name: str, text: str) -> Proof:
    match = _IDENTITY.fullmatch(text)
    if match is None:
        raise ValueError(
            f"identities.{name}: write 'field = count of details', 'field = sum of rejected' or 'field = field + field'"
        )
    declared, measure, over, parts = match.groups()
    if parts is not None:
        return Proof(name, declared, "add", None, tuple(parts.split(" + ")))
    return Proof(name, declared, "count" if measure == "count" else "sum", None if over == "details" else over, ())


def _check_proof(layout: Layout, proof: Proof) -> None:
    where = f"identities.{proof.name}"
    for name in (proof.declared, *proof.parts):
        spec = layout.envelope.get(name)
        _need(isinstance(spec, IntegerField) and spec.required, f"{where}: no required number {name} in the envelope")
    if proof.outcome is not None:
        _need(layout.kind == FeedKind.HANDBACK, f"{where}: only answers have outcomes")
        _need(proof.outcome in OUTCOMES, f"{where}: details, or one of {', '.join(OUTCOMES)}")
    if proof.measure == "sum":
        _need("points" in layout.record, f"{where}: records of this kind have no points")
    kind = getattr(layout.envelope[proof.declared], "type", "")
    prefix = "points_" if kind == "points" else "records_"
    if proof.measure == "add":
        prefix += DECLARED_POINTS.removeprefix("points_")
    unit = {"count": "integer", "sum": "points", "add": kind}[proof.measure]
    _need(kind == unit, f"{where}: {proof.declared} must be of type {unit}")
    _need(proof.name.startswith(prefix), f"{where}: its name must begin with {prefix}")
