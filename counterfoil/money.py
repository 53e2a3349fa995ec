"""Amounts of money as whole minor units: exponents, decimal text and the valuing of points.

Here: pure integer arithmetic, for one amount and for a column. Not here: which rate is in force, or how it is booked.
"""

from collections.abc import Iterable
from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.invariants import require

INT64_MAX: Final = 2**63 - 1
EXPONENT_DEFAULT: Final = 2

# ISO 4217, the currencies whose minor unit is not a hundredth.
EXPONENTS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def exponent(currency: str) -> int:
    """Decimal places of a currency's minor unit (ISO 4217): EUR 2, JPY 0, KWD 3. Raises RULES_INVALID."""
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise PermanentError(
            Code.RULES_INVALID,
            "currency",
            found="a currency code that is not three capital letters",
            expected="an ISO 4217 code such as EUR",
            remedy="Correct the rates or the chart that names it",
        )
    return EXPONENTS.get(currency, EXPONENT_DEFAULT)


def plain_minor(minor: int, currency: str) -> str:
    """``-1234.56``: an amount for machines, no grouping, ``.`` as decimal point."""
    return _signed(minor, currency, grouping="")


def format_minor(minor: int, currency: str) -> str:
    """``-1,234.56``: an amount for people, grouped by thousands; the currency is shown beside it, not in it."""
    return _signed(minor, currency, grouping=",")


def _signed(minor: int, currency: str, *, grouping: str) -> str:
    places = exponent(currency)
    whole, part = divmod(abs(minor), 10**places)
    text = f"{whole:{grouping}d}" + (f".{part:0{places}d}" if places else "")
    return f"-{text}" if minor < 0 else text


def in_minor(amount: pl.Expr, currency: pl.Expr, places: int | None) -> pl.Expr:
    """Amounts that were read with so many decimal places as minor units of their currency (three capital letters), null
    where one is no whole number of them; without ``places`` they are minor units already."""
    if places is None:
        return amount
    finer = pl.lit(10, pl.Int64).pow((exponents(currency) - places).clip(lower_bound=0))
    coarser = pl.lit(10, pl.Int64).pow((places - exponents(currency)).clip(lower_bound=0))
    return pl.when(amount % coarser == 0).then(amount // coarser * finer)


def exponents(currency: pl.Expr) -> pl.Expr:
    """``exponent`` of a column."""
    return currency.replace_strict(EXPONENTS, default=EXPONENT_DEFAULT, return_dtype=pl.Int64)


def decimal_text(amount: pl.Expr, currency: str) -> pl.Expr:
    """A column of Int64 minor units of one currency as plain decimal text; null stays null; give it a name."""
    places = exponent(currency)
    if places == 0:
        return amount.cast(pl.String)
    # Int128, because the magnitude of the smallest Int64 does not fit Int64.
    magnitude = amount.cast(pl.Int128).abs()
    unit = pl.lit(10**places, dtype=pl.Int128)
    part = (magnitude % unit).cast(pl.String).str.zfill(places)
    sign = pl.when(amount < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.concat_str(sign, (magnitude // unit).cast(pl.String), pl.lit("."), part)


def decimal_texts(amount: pl.Expr, currency: pl.Expr, currencies: Iterable[str]) -> pl.Expr:
    """As ``decimal_text`` for a column whose rows name their currency; ``currencies`` lists all that occur."""
    ordered = sorted(set(currencies))
    if not ordered:
        return amount.cast(pl.String)
    return pl.coalesce(pl.when(currency == code).then(decimal_text(amount, code)) for code in ordered)


def value_points_int(points: int, minor: int, per_points: int) -> int:
    """``points`` at ``minor`` minor units per ``per_points`` points, rounded half to even; must fit Int64."""
    require(per_points > 0, "a rate is for a positive number of points", code=Code.RATE_MISSING)
    whole, rest = divmod(points * minor, per_points)
    value = whole + (2 * rest > per_points or (2 * rest == per_points and whole % 2 == 1))
    require(-INT64_MAX - 1 <= value <= INT64_MAX, "a value in minor units fits 64 bits", code=Code.RULES_INVALID)
    return value


def value_points(points: pl.Expr, minor: pl.Expr | int, per_points: pl.Expr | int) -> pl.Expr:
    """The columnar ``value_points_int``: Int64 in, Int64 out, 128 bits in between; null stays null.

    Collecting raises ``polars.exceptions.InvalidOperationError`` when a value does not fit Int64 or a ``per_points``
    is not positive.
    """
    product = points.cast(pl.Int128) * _wide(minor)
    divisor = _wide(per_points)
    whole = product // divisor
    twice = (product - whole * divisor) * 2
    up = (twice > divisor) | ((twice == divisor) & (whole % 2 == 1))
    rounded = whole + up.cast(pl.Int128)
    # Polars divides by zero into null; a value that cannot be cast makes a bad rate an error instead.
    impossible = pl.lit(2**64, dtype=pl.Int128)
    return pl.when(divisor > 0).then(rounded).otherwise(impossible).cast(pl.Int64, strict=True)


def has_value(points: pl.Expr, minor: pl.Expr, per_points: pl.Expr) -> pl.Expr:
    """Whether ``value_points`` has a value for a row; null where any of the three is."""
    whole = _wide(points) * _wide(minor) // _wide(per_points)
    return (per_points > 0) & (whole.abs() < INT64_MAX)


def _wide(value: pl.Expr | int) -> pl.Expr:
    return value.cast(pl.Int128) if isinstance(value, pl.Expr) else pl.lit(value, dtype=pl.Int128)
