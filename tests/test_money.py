"""Money is exact: every columnar result equals the one of Python's own big integers and fractions."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import Code, PermanentError
from counterfoil.money import (
    decimal_text,
    decimal_texts,
    exponent,
    format_minor,
    plain_minor,
    value_points,
    value_points_int,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
CURRENCY = st.sampled_from(["EUR", "JPY", "KWD", "CLF"])


@pytest.mark.parametrize(("currency", "places"), [("EUR", 2), ("CAD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
def test_exponents_are_those_of_iso_4217(currency: str, places: int) -> None:
    assert exponent(currency) == places


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "E1R", "ÄÖÜ"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(PermanentError) as caught:
        exponent(currency)
    assert caught.value.code is Code.RULES_INVALID
    assert not currency or currency not in str(caught.value)


def test_amounts_for_people_are_grouped_and_those_for_machines_are_not() -> None:
    assert format_minor(-123456789, "EUR") == "-1,234,567.89"
    assert plain_minor(-123456789, "EUR") == "-1234567.89"
    assert format_minor(5, "EUR") == "0.05"
    assert format_minor(1234567, "JPY") == "1,234,567"
    assert format_minor(-5, "KWD") == "-0.005"


@given(st.lists(st.none() | INT64, max_size=30), CURRENCY)
def test_decimal_text_is_the_exact_decimal(amounts: list[int | None], currency: str) -> None:
    frame = pl.DataFrame({"amount": amounts}, schema={"amount": pl.Int64})
    texts = frame.select(text=decimal_text(pl.col("amount"), currency))["text"]
    with localcontext(prec=40):
        for amount, text in zip(amounts, texts.to_list(), strict=True):
            if amount is None:
                assert text is None
                continue
            assert text == plain_minor(amount, currency)
            assert Decimal(text) == Decimal(amount).scaleb(-exponent(currency))


def test_a_column_of_several_currencies_is_written_row_by_row() -> None:
    frame = pl.DataFrame({"amount": [1234, 1234, 1234], "currency": ["EUR", "JPY", "KWD"]})
    texts = frame.select(text=decimal_texts(pl.col("amount"), pl.col("currency"), frame["currency"]))
    assert texts["text"].to_list() == ["12.34", "1234", "1.234"]
    assert frame.clear().select(text=decimal_texts(pl.col("amount"), pl.col("currency"), [])).height == 0


@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(-(10**6), 10**6)), max_size=20), st.data())
def test_points_are_valued_half_even_in_whole_numbers(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    per = data.draw(st.integers(10**6, 10**12) | st.integers(1, 20))
    rows = [(points, minor) for points, minor in rows if abs(points * minor) <= (2**62) * per]
    frame = pl.DataFrame(rows, schema={"points": pl.Int64, "minor": pl.Int64}, orient="row")
    columnar = frame.select(value=value_points(pl.col("points"), pl.col("minor"), per))["value"].to_list()
    for (points, minor), value in zip(rows, columnar, strict=True):
        assert value == round(Fraction(points * minor, per)) == value_points_int(points, minor, per)


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**4), st.integers(1, 1000))
def test_valuing_agrees_with_decimal_rounding(points: int, minor: int, per: int) -> None:
    with localcontext(prec=60):
        exact = (Decimal(points) * minor / per).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    assert value_points_int(points, minor, per) == exact


def test_the_half_goes_to_the_even_side_for_both_signs() -> None:
    points = pl.Series("points", [1, 3, 5, -1, -3, -5, None])
    value = points.to_frame().select(value=value_points(pl.col("points"), 1, 2))["value"].to_list()
    assert value == [0, 2, 2, 0, -2, -2, None]


@pytest.mark.parametrize(("minor", "per"), [(2, 1), (1, 0), (1, -1)])
def test_overflow_and_impossible_rates_never_pass_silently(minor: int, per: int) -> None:
    frame = pl.DataFrame({"points": [2**63 - 1]})
    with pytest.raises(pl.exceptions.InvalidOperationError):
        frame.select(value_points(pl.col("points"), minor, per))
    with pytest.raises(PermanentError):
        value_points_int(2**63 - 1, minor, per)
