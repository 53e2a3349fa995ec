"""Texts to values: exact spellings only, and the quick look that finds suspects never misses a row."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY, NUMBER_ABS_MAX
from parsers.fields import BlankField, CodeField, DateField, FieldSpec, FlagsField, IntegerField, TextField
from parsers.values import value_of

SIGNS = "{ABCDEFGHI}JKLMNOPQR"
PLACE: dict[str, Any] = {"from": 1, "length": 20}


def judge(spec: FieldSpec, texts: Sequence[str]) -> tuple[list[Any], list[str | None]]:
    """Typed values, and the first failing rule of each text; fails when the quick look missed one."""
    value = value_of("x", spec, "UTC", outcome=False)
    rows = pl.DataFrame({"raw.x": texts}, schema={"raw.x": pl.String}).with_columns(value.typed.alias("field.x"))
    suspects = rows.select(value.suspect.fill_null(value=False)).to_series().to_list()
    fails = rows.select(check.fails.fill_null(value=False).alias(str(i)) for i, check in enumerate(value.checks))
    codes = [
        next((check.rule.value for check, failed in zip(value.checks, row, strict=True) if failed), None)
        for row in fails.rows()
    ]
    assert all(suspect or code is None for suspect, code in zip(suspects, codes, strict=True))
    return rows["field.x"].to_list(), codes


numbers = st.integers(-NUMBER_ABS_MAX, NUMBER_ABS_MAX)


@given(st.lists(numbers, min_size=1), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_overpunch_round_trip(values: list[int], zeros: int) -> None:
    texts = []
    for value in values:
        digits = "0" * zeros + str(abs(value))
        texts.append(digits[:-1] + SIGNS[int(digits[-1]) + (10 if value < 0 else 0)])
    spec = IntegerField(type="points", sign="overpunch", **PLACE)
    assert judge(spec, texts) == (values, [None] * len(values))


def test_overpunch_examples() -> None:
    spec = IntegerField(type="points", sign="overpunch", **PLACE)
    texts = ["10}", "45A", "451", "{", "}", "R", "0000", "00000000000000000001I"]
    assert judge(spec, texts)[0] == [-100, 451, 451, 0, 0, -9, 0, 19]


@given(st.lists(numbers, min_size=1))
@settings(max_examples=30, deadline=None)
def test_plain_numbers_round_trip(values: list[int]) -> None:
    spec = IntegerField(type="integer", sign="minus", column="x")
    assert judge(spec, [str(value) for value in values]) == (values, [None] * len(values))


odd_texts = st.text(alphabet=" +-_.,eExX0123456789{}AJRSé٣\0", max_size=24)


@given(st.lists(odd_texts, min_size=1, max_size=40), st.sampled_from(["none", "minus", "overpunch"]), st.booleans())
@settings(max_examples=120, deadline=None)
def test_odd_numbers_are_read_exactly_or_refused(texts: list[str], sign: Any, required: bool) -> None:
    spec = IntegerField(type="integer", sign=sign, required=required, column="x")
    values, codes = judge(spec, texts)
    for text, value, code in zip(texts, values, codes, strict=True):
        if code is None and (required or text.strip(" ")):
            body, last = text[:-1], text[-1]
            if sign == "overpunch" and last in SIGNS:
                place = SIGNS.index(last)
                assert value == int(f"{body}{place % 10}") * (-1 if place > 9 else 1)
            else:
                assert value == int(text)
            digits = (body + "0" if sign == "overpunch" else text).removeprefix("-" if sign == "minus" else "\n")
            assert digits.isascii()
            assert digits.isdigit()
        elif code is None:
            assert value is None


@pytest.mark.parametrize("spelling", ["YYYYMMDD", "YYYY-MM-DD", "DD/MM/YYYY", "MM/DD/YYYY"])
@given(day=st.dates(), noise=st.text(alphabet="0123456789-/ +", min_size=6, max_size=11))
@settings(max_examples=60, deadline=None)
def test_dates_are_spelled_exactly(spelling: Any, day: date, noise: str) -> None:
    parts = {"YYYY": f"{day.year:04d}", "MM": f"{day.month:02d}", "DD": f"{day.day:02d}"}
    text = spelling
    for part, digits in parts.items():
        text = text.replace(part, digits)
    values, codes = judge(DateField(type="date", format=spelling, column="x"), [text, noise, ""])
    assert (codes[0] is None) == (FIRST_DAY <= day <= LAST_DAY)
    assert values[0] in (day, None)
    assert codes[2] == "FIELD_MISSING"
    if codes[1] is None:
        assert len(noise) == len(spelling)
        assert values[1] == date(*(int(noise[spelling.index(p) : spelling.index(p) + len(p)]) for p in parts))


def test_flags_are_numbered() -> None:
    spec = FlagsField(type="flags", **(PLACE | {"length": 6}))
    texts = ["      ", "Y     ", "Y   Y ", "     Y", "YYYYYY", "N     ", "y     "]
    values, codes = judge(spec, texts)
    assert values[:5] == [None, "1", "1,5", "6", "1,2,3,4,5,6"]
    assert codes == [None] * 5 + ["CODE_UNKNOWN"] * 2


def test_texts() -> None:
    spec = TextField(type="text", strip_zeros=True, column="x", max_length=4)
    assert judge(spec, ["0012", "", "000", "12345", "été"]) == (
        ["12", "", "", "12345", "été"],
        [None, "FIELD_MISSING", "FIELD_MISSING", "FIELD_LONG", None],
    )
    optional = TextField(type="text", required=False, equals="NSTR", column="x")
    assert judge(optional, ["NSTR", "", "nstr"]) == (["NSTR", None, "nstr"], [None, None, "CODE_UNKNOWN"])


def test_codes_and_blanks() -> None:
    spec = CodeField(type="code", codes={"1": "accepted", "": "held"}, unknown="quarantine", column="x")
    assert judge(spec, ["1", "", "01"]) == (["accepted", "held", None], [None, None, "CODE_UNKNOWN"])
    demanded = CodeField(type="code", codes={"1": "accepted"}, unknown="quarantine", column="x")
    assert judge(demanded, [""])[1] == ["FIELD_MISSING"]
    assert judge(BlankField(type="blank", **PLACE), ["", "x"])[1] == [None, "NOT_BLANK"]


def test_bounds() -> None:
    spec = IntegerField(type="integer", minimum=1, maximum=235959, column="x")
    assert judge(spec, ["0", "1", "235959", "235960"])[1] == ["NUMBER_RANGE", None, None, "NUMBER_RANGE"]
    wide = IntegerField(type="integer", maximum=10**18, column="x")
    assert judge(wide, [str(NUMBER_ABS_MAX), str(NUMBER_ABS_MAX + 1), str(10**30)])[1] == [
        None,
        "NUMBER_RANGE",
        "NUMBER_RANGE",
    ]
