"""Digits with signs, marks and implied decimals as whole numbers, exactly.

Here: the ways to write a number that a layout may declare. Not here: bounds, or what a blank means (``values``).
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.schemas.rules import NUMBER_ABS_MAX
from parsers.fields import IntegerField

POSITIVE: Final = "{ABCDEFGHI"
NEGATIVE: Final = "}JKLMNOPQR"
"""The signed last digit, 0 to 9 (https://new.infogalactic.com/info/Signed_overpunch)."""

_LAST_BYTES: Final = {ord(last): i for i, last in enumerate(POSITIVE + NEGATIVE + "0123456789")}
_DIGIT: Final = pl.Series([_LAST_BYTES[byte] % 10 if byte in _LAST_BYTES else None for byte in range(256)])
_SIGN: Final = pl.Series([-1 if chr(byte) in NEGATIVE else 1 for byte in range(256)])
_OVERPUNCHED: Final = "^[0-9]*[0-9{}A-R]$"
_SIGNED: Final = {
    "none": "^{}$",
    "minus": "^-?{}$",
    "packed": "^-?{}$",
    "either": "^[+-]?{}$",
    "trailing": "^{}[+-]?$",
    "parentheses": r"^(?:{0}|\({0}\))$",
}
"""A number by its ``sign``, around its digits."""


@dataclass(frozen=True, eq=False)
class Number:
    """How a raw text becomes a whole number (Int64, null where it cannot), and what can be wrong with it.

    ``written``: it is written as declared. ``inexact``: it has digits behind the mark that the value cannot keep.
    ``odd`` is true at least where ``value`` is a number and ``written`` is not true.
    """

    value: pl.Expr
    written: pl.Expr
    inexact: pl.Expr
    odd: pl.Expr


def number(raw: pl.Expr, spec: IntegerField) -> Number:
    """Expressions that read one number by its field."""
    if spec.sign == "overpunch":
        written = raw.str.contains(_OVERPUNCHED)
        return _scaled(Number(_overpunched(raw), written, pl.lit(value=False), _signs(raw)), spec)
    pattern = _SIGNED[spec.sign].format(_digits_pattern(spec))
    written = raw.str.contains(pattern)
    if spec.plain and spec.sign in ("none", "minus", "packed"):
        # A cast reads digits alone fastest; that it also takes a leading plus sign makes such rows odd.
        odd = raw.str.starts_with("+") | (raw.str.starts_with("-") if spec.sign == "none" else False)
        return Number(_whole(raw), written, pl.lit(value=False), odd)
    negative = raw.str.contains(r"^[-(]|-$")
    digits = raw.str.strip_chars("+-()")
    if spec.thousands_mark:
        digits = digits.str.replace_all(spec.thousands_mark, "", literal=True)
    inexact = pl.lit(value=False)
    if spec.decimal_mark:
        digits, inexact = _kept(digits, spec)
    value = pl.when(written & ~inexact).then(pl.when(negative).then(-_whole(digits)).otherwise(_whole(digits)))
    read = Number(value, written, inexact, ~written)
    return read if spec.decimal_mark else _scaled(read, spec)


def _digits_pattern(spec: IntegerField) -> str:
    whole = "[0-9]+"
    if spec.thousands_mark:
        whole = rf"(?:[0-9]+|[0-9]{{1,3}}(?:\x{ord(spec.thousands_mark):02x}[0-9]{{3}})+)"
    if not spec.decimal_mark:
        return whole
    return rf"{whole}(?:\x{ord(spec.decimal_mark):02x}[0-9]{{1,{spec.decimals or spec.scale or 1}}})?"


def _kept(digits: pl.Expr, spec: IntegerField) -> tuple[pl.Expr, pl.Expr]:
    """Digits around a written mark as one text of ``scale`` decimals, and whether others than zeros were cut off."""
    parts = digits.str.split_exact(spec.decimal_mark, 1).struct
    behind = parts.field("field_1").fill_null("")
    kept = behind.str.pad_end(spec.scale, "0").str.head(spec.scale) if spec.scale else pl.lit("")
    cut = behind.str.slice(spec.scale)
    return pl.concat_str(parts.field("field_0"), kept), cut.str.strip_chars("0") != ""


def _scaled(read: Number, spec: IntegerField) -> Number:
    """With as many decimals as the value keeps, of those that are implied."""
    if spec.scale >= spec.decimals:
        factor = 10 ** (spec.scale - spec.decimals)
        fits = read.value.abs() <= NUMBER_ABS_MAX
        return (
            read
            if factor == 1
            else Number(pl.when(fits).then(read.value * factor), read.written, read.inexact, read.odd)
        )
    divisor = 10 ** (spec.decimals - spec.scale)
    inexact = (read.value % divisor != 0).fill_null(value=False)
    return Number(pl.when(~inexact).then(read.value // divisor), read.written, inexact, read.odd)


def _signs(raw: pl.Expr) -> pl.Expr:
    return raw.str.starts_with("+") | raw.str.starts_with("-")


def _overpunched(raw: pl.Expr) -> pl.Expr:
    """Digits with the sign in the last one. A body beyond any number we take is null, so that nothing can wrap."""
    last = raw.cast(pl.Binary).bin.tail(1).bin.reinterpret(dtype=pl.UInt8)
    body = pl.when(raw.str.len_bytes() == 1).then(pl.lit(0, pl.Int64)).otherwise(_whole(raw.str.head(-1)))
    value = (body * 10 + pl.lit(_DIGIT).gather(last)) * pl.lit(_SIGN).gather(last)
    return pl.when(body.is_between(0, NUMBER_ABS_MAX)).then(value)


def _whole(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Int64, strict=False)
