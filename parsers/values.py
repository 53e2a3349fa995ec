"""Raw field texts turned into typed values, and the rules that each type brings.

Here: one field at a time. A value that cannot be read is null, never zero; ``suspect`` marks at least every row that a
rule of the field fails, so that the exact rules run on few rows. Not here: canonical columns (``records``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

import polars as pl

from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY, NUMBER_ABS_MAX, Check, Rule
from parsers.fields import (
    DATE_FORMATS,
    BlankField,
    CodeField,
    DateField,
    DateFormat,
    FieldSpec,
    FlagsField,
    IntegerField,
    TextField,
)
from parsers.shapes import RAW

FIELD: Final = "field."
"""Begins the names of typed columns, one a field."""

POSITIVE: Final = "{ABCDEFGHI"
NEGATIVE: Final = "}JKLMNOPQR"
"""The signed last digit, 0 to 9 (https://new.infogalactic.com/info/Signed_overpunch)."""

_LAST_BYTES: Final = {ord(last): i for i, last in enumerate(POSITIVE + NEGATIVE + "0123456789")}
_DIGIT: Final = pl.Series([_LAST_BYTES[byte] % 10 if byte in _LAST_BYTES else None for byte in range(256)])
_SIGN: Final = pl.Series([-1 if chr(byte) in NEGATIVE else 1 for byte in range(256)])
_NUMBER: Final = {"none": "^[0-9]+$", "minus": "^-?[0-9]+$", "overpunch": "^[0-9]*[0-9{}A-R]$"}
_INVALID_FLAGS: Final = ""


@dataclass(frozen=True, eq=False)
class Value:
    """How a field's ``raw.`` column becomes its ``field.`` column, and what can be wrong with it; a null ``suspect``
    counts as false."""

    typed: pl.Expr
    suspect: pl.Expr
    checks: tuple[Check, ...]


def value_of(name: str, spec: FieldSpec, *, outcome: bool) -> Value:
    """Expressions for one field. ``outcome`` marks the code field that the answer's outcome comes from."""
    raw, typed = pl.col(RAW + name), pl.col(FIELD + name)
    match spec:
        case TextField():
            return _text(name, spec, raw, typed)
        case IntegerField():
            return _integer(name, spec, raw, typed)
        case DateField():
            return _date(name, spec, raw, typed)
        case CodeField():
            unknown = Rule.OUTCOME_UNKNOWN if outcome else Rule.CODE_UNKNOWN
            return Value(
                raw.replace_strict(spec.codes, default=None, return_dtype=pl.String),
                typed.is_null(),
                (
                    Check(Rule.FIELD_MISSING, name, (raw == "") & typed.is_null()),
                    Check(unknown, name, typed.is_null()),
                ),
            )
        case FlagsField():
            wrong = typed == _INVALID_FLAGS
            typed_flags = raw.map_batches(_flags(spec.span[1] - spec.span[0]), return_dtype=pl.String)
            return Value(typed_flags, wrong, (Check(Rule.CODE_UNKNOWN, name, wrong),))
        case BlankField():
            return Value(pl.lit(None, pl.String), raw != "", (Check(Rule.NOT_BLANK, name, raw != ""),))
    assert_never(spec)


def _text(name: str, spec: TextField, raw: pl.Expr, typed: pl.Expr) -> Value:
    value = raw.str.strip_chars_start("0") if spec.strip_zeros else raw
    if not spec.required:
        value = pl.when(value != "").then(value)
    checks = []
    suspect = pl.lit(value=False)
    if spec.required:
        suspect = typed == ""
        checks.append(Check(Rule.FIELD_MISSING, name, suspect))
    if spec.column is not None:
        suspect = suspect | (raw.str.len_bytes() > spec.max_length)
        checks.append(Check(Rule.FIELD_LONG, name, raw.str.len_chars() > spec.max_length))
    if spec.equals is not None:
        other = typed.is_not_null() & (typed != spec.equals)
        suspect = suspect | other
        checks.append(Check(Rule.CODE_UNKNOWN, name, other))
    return Value(value, suspect, tuple(checks))


def _integer(name: str, spec: IntegerField, raw: pl.Expr, typed: pl.Expr) -> Value:
    """Digits are read by a cast, which also takes a leading plus sign: such rows are suspect."""
    least = max(-NUMBER_ABS_MAX, spec.minimum if spec.minimum is not None else -NUMBER_ABS_MAX)
    most = min(NUMBER_ABS_MAX, spec.maximum if spec.maximum is not None else NUMBER_ABS_MAX)
    outside = (typed < least) | (typed > most)
    value = _overpunched(raw) if spec.sign == "overpunch" else _digits(raw)
    odd = raw.str.starts_with("+")
    if spec.sign != "minus":
        odd = odd | raw.str.starts_with("-")
    blank = raw.str.strip_chars(" ") == ""
    unread = typed.is_null() if spec.required else typed.is_null() & ~blank
    written = raw.str.contains(_NUMBER[spec.sign])
    checks = [
        Check(Rule.NUMBER_INVALID, name, ~blank & ~written),
        Check(Rule.NUMBER_RANGE, name, written & (typed.is_null() | outside)),
    ]
    if spec.required:
        checks.insert(0, Check(Rule.FIELD_MISSING, name, blank))
    return Value(value, unread | odd | outside, tuple(checks))


def _overpunched(raw: pl.Expr) -> pl.Expr:
    """Digits with the sign in the last one. A body beyond any number we take is null, so that nothing can wrap."""
    last = raw.cast(pl.Binary).bin.tail(1).bin.reinterpret(dtype=pl.UInt8)
    body = pl.when(raw.str.len_bytes() == 1).then(pl.lit(0, pl.Int64)).otherwise(_digits(raw.str.head(-1)))
    value = (body * 10 + pl.lit(_DIGIT).gather(last)) * pl.lit(_SIGN).gather(last)
    return pl.when(body.is_between(0, NUMBER_ABS_MAX)).then(value)


def _digits(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Int64, strict=False)


def _date(name: str, spec: DateField, raw: pl.Expr, typed: pl.Expr) -> Value:
    outside = (typed < FIRST_DAY) | (typed > LAST_DAY)
    unread = typed.is_null() & (raw != "")
    checks = [Check(Rule.DATE_INVALID, name, unread), Check(Rule.DATE_RANGE, name, outside)]
    if spec.required:
        checks.insert(0, Check(Rule.FIELD_MISSING, name, raw == ""))
    suspect = (typed.is_null() if spec.required else unread) | outside
    return Value(raw.map_batches(_days(spec.format), return_dtype=pl.Date), suspect, tuple(checks))


def _days(spelling: DateFormat) -> Callable[[pl.Series], pl.Series]:
    """Texts to days, exactly in one spelling. Each distinct text is parsed once and written back to compare, because
    polars also reads ``2026 105`` and ``02026015`` as days of 2026."""
    text_format = DATE_FORMATS[spelling]

    def parse(raw: pl.Series) -> pl.Series:
        texts = raw.unique()
        days = texts.str.to_date(text_format, strict=False)
        exact = days.dt.to_string(text_format) == texts
        return raw.replace_strict(texts, days.set(~exact.fill_null(value=False), None), return_dtype=pl.Date)

    return parse


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
