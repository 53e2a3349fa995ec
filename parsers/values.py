"""Raw field texts turned into typed values, and the rules that each type brings.

Here: one field at a time. A value that cannot be read is null, never zero; ``suspect`` marks at least every row that a
rule of the field fails, so that the exact rules run on few rows. Not here: canonical columns (``records``).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, assert_never

import polars as pl

from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY, NUMBER_ABS_MAX, Check, Rule
from parsers.dates import day_reader
from parsers.fields import BlankField, CodeField, DateField, FieldSpec, FlagsField, IntegerField, TextField
from parsers.numbers import number
from parsers.shapes.cut import RAW

FIELD: Final = "field."
"""Begins the names of typed columns, one a field."""

_INVALID_FLAGS: Final = ""


@dataclass(frozen=True, eq=False)
class Value:
    """How a field's ``raw.`` column becomes its ``field.`` column, and what can be wrong with it; a null ``suspect``
    counts as false."""

    typed: pl.Expr
    suspect: pl.Expr
    checks: tuple[Check, ...]


def value_of(name: str, spec: FieldSpec, zone: str, *, outcome: bool) -> Value:
    """Expressions for one field. ``zone`` is that of days; ``outcome`` marks the code field that the answer's outcome
    comes from. A null raw text is that of a record which has not the field: nothing is wrong with it."""
    value = _value(name, spec, zone, outcome=outcome)
    if spec.line is None:
        return value
    has = pl.col(RAW + name).is_not_null()
    checks = tuple(replace(check, fails=check.fails & has) for check in value.checks)
    return Value(pl.when(has).then(value.typed), value.suspect & has, checks)


def _value(name: str, spec: FieldSpec, zone: str, *, outcome: bool) -> Value:
    raw, typed = pl.col(RAW + name), pl.col(FIELD + name)
    match spec:
        case TextField():
            return _text(name, spec, raw, typed)
        case IntegerField():
            return _integer(name, spec, raw, typed)
        case DateField():
            return _date(name, spec, zone, raw, typed)
        case CodeField():
            return _code(name, spec, raw, typed, Rule.OUTCOME_UNKNOWN if outcome else Rule.CODE_UNKNOWN)
        case FlagsField():
            wrong = typed == _INVALID_FLAGS
            typed_flags = raw.map_batches(_flags(spec.span[1] - spec.span[0]), return_dtype=pl.String)
            return Value(typed_flags, wrong, (Check(Rule.CODE_UNKNOWN, name, wrong),))
        case BlankField():
            return Value(pl.lit(None, pl.String), raw != "", (Check(Rule.NOT_BLANK, name, raw != ""),))
    assert_never(spec)


def _code(name: str, spec: CodeField, raw: pl.Expr, typed: pl.Expr, unknown: Rule) -> Value:
    """A blank that is no code is missing, whatever an unlisted code means."""
    default = None if spec.unknown == "quarantine" else spec.unknown
    meant = raw.replace_strict(spec.codes, default=default, return_dtype=pl.String)
    if default is not None and "" not in spec.codes:
        meant = pl.when(raw != "").then(meant)
    missing = Check(Rule.FIELD_MISSING, name, (raw == "") & typed.is_null())
    return Value(meant, typed.is_null(), (missing, Check(unknown, name, typed.is_null())))


def _text(name: str, spec: TextField, raw: pl.Expr, typed: pl.Expr) -> Value:
    value = raw.str.strip_chars_start("0") if spec.strip_zeros else raw
    if not spec.required:
        value = pl.when(value != "").then(value)
    checks = []
    suspect = pl.lit(value=False)
    if spec.required:
        suspect = typed == ""
        checks.append(Check(Rule.FIELD_MISSING, name, suspect))
    if spec.start is None:
        suspect = suspect | (raw.str.len_bytes() > spec.max_length)
        checks.append(Check(Rule.FIELD_LONG, name, raw.str.len_chars() > spec.max_length))
    if spec.equals is not None:
        other = typed.is_not_null() & (typed != spec.equals)
        suspect = suspect | other
        checks.append(Check(Rule.CODE_UNKNOWN, name, other))
    return Value(value, suspect, tuple(checks))


def _integer(name: str, spec: IntegerField, raw: pl.Expr, typed: pl.Expr) -> Value:
    least = max(-NUMBER_ABS_MAX, spec.minimum if spec.minimum is not None else -NUMBER_ABS_MAX)
    most = min(NUMBER_ABS_MAX, spec.maximum if spec.maximum is not None else NUMBER_ABS_MAX)
    outside = (typed < least) | (typed > most)
    read = number(raw, spec)
    blank = raw.str.strip_chars(" ") == ""
    unread = typed.is_null() if spec.required else typed.is_null() & ~blank
    checks = [
        Check(Rule.NUMBER_INVALID, name, ~blank & ~read.written),
        Check(Rule.NUMBER_RANGE, name, read.written & ~read.inexact & (typed.is_null() | outside)),
        Check(Rule.NUMBER_FRACTION, name, read.written & read.inexact),
    ]
    if spec.required:
        checks.insert(0, Check(Rule.FIELD_MISSING, name, blank))
    value = read.value
    if spec.negative_when is not None:
        ((other, texts),) = spec.negative_when.items()
        value = pl.when(pl.col(RAW + other).is_in(list(texts)).fill_null(value=False)).then(-value).otherwise(value)
    return Value(value, unread | read.odd | outside, tuple(checks))


def _date(name: str, spec: DateField, zone: str, raw: pl.Expr, typed: pl.Expr) -> Value:
    outside = (typed < FIRST_DAY) | (typed > LAST_DAY)
    unread = typed.is_null() & (raw != "")
    checks = [Check(Rule.DATE_INVALID, name, unread), Check(Rule.DATE_RANGE, name, outside)]
    if spec.required:
        checks.insert(0, Check(Rule.FIELD_MISSING, name, raw == ""))
    suspect = (typed.is_null() if spec.required else unread) | outside
    read = day_reader(spec.format, pivot=spec.pivot, zone=spec.zone or zone, into=zone)
    return Value(raw.map_batches(read, return_dtype=pl.Date), suspect, tuple(checks))


def _flags(width: int) -> Callable[[pl.Series], pl.Series]:
    """Areas of ``Y`` and blanks to the numbers of the raised flags; few distinct areas occur, each is read once."""

    def read(raw: pl.Series) -> pl.Series:
        areas = raw.unique()
        area = pl.col("area")
        raised = [pl.when(area.str.slice(i, 1) == "Y").then(pl.lit(str(i + 1))) for i in range(width)]
        numbers = pl.concat_str(raised, separator=",", ignore_nulls=True)
        texts = areas.to_frame("area").select(
            pl.when(~area.str.contains("^[Y ]*$"))
            .then(pl.lit(_INVALID_FLAGS))
            .when(numbers != "")
            .then(numbers)
            .alias("text")
        )
        return raw.replace_strict(areas, texts["text"], return_dtype=pl.String)

    return read
