"""Texts to values: exact spellings only, and the quick look that finds suspects never misses a row."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY, NUMBER_ABS_MAX
from parsers.dates import DATE_FORMATS
from parsers.fields import BlankField, CodeField, DateField, FieldSpec, FlagsField, IntegerField, TextField
from parsers.values import value_of

SIGNS = "{ABCDEFGHI}JKLMNOPQR"
PLACE: dict[str, Any] = {"from": 1, "length": 20}


def judge(spec: FieldSpec, texts: Sequence[str], zone: str = "UTC") -> tuple[list[Any], list[str | None]]:
    """Typed values, and the first failing rule of each text; fails when the quick look missed one."""
    value = value_of("x", spec, zone, outcome=False)
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


WRITTEN: dict[str, dict[str, Any]] = {
    "either": {"sign": "either"},
    "trailing": {"sign": "trailing"},
    "parentheses": {"sign": "parentheses"},
    "marks": {"sign": "minus", "thousands_mark": ",", "decimal_mark": ".", "scale": 2},
    "other marks": {"sign": "trailing", "thousands_mark": ".", "decimal_mark": ",", "decimals": 4, "scale": 4},
    "implied": {"sign": "parentheses", "decimals": 2, "scale": 2},
    "whole of implied": {"sign": "either", "decimals": 3, "scale": 0},
    "more than implied": {"sign": "minus", "decimals": 1, "scale": 3},
    "cents of whole": {"sign": "overpunch", "scale": 2},
    "whole of overpunched": {"sign": "overpunch", "decimals": 2, "scale": 1},
}


def written(value: int, spec: IntegerField) -> str:
    """A number as its field says it is written; written anew here, so that reading it proves something."""
    places = max(spec.scale, spec.decimals) if spec.decimal_mark or spec.decimals else spec.scale
    digits = f"{abs(value)}{'0' * (places - spec.scale)}"
    if spec.decimal_mark:
        digits = digits.zfill(spec.scale + 1)
        whole, behind = digits[: len(digits) - spec.scale], digits[len(digits) - spec.scale :].rstrip("0")
        whole = f"{int(whole):,}".replace(",", spec.thousands_mark)
        digits = f"{whole}{spec.decimal_mark}{behind}" if behind else whole
    elif spec.scale > spec.decimals:
        digits = digits[: len(digits) - (spec.scale - spec.decimals)] or "0"
    if spec.sign == "overpunch":
        return digits[:-1] + SIGNS[int(digits[-1]) + (10 if value < 0 else 0)]
    if value >= 0:
        return digits
    return {"trailing": f"{digits}-", "parentheses": f"({digits})"}.get(spec.sign, f"-{digits}")


@pytest.mark.parametrize("way", WRITTEN)
@given(values=st.lists(st.integers(-(10**9), 10**9), min_size=1))
@settings(max_examples=40, deadline=None)
def test_numbers_are_read_as_they_are_written(way: str, values: list[int]) -> None:
    spec = IntegerField(type="points", column="x", **WRITTEN[way])
    step = 10 ** max(0, spec.scale - spec.decimals) if not spec.decimal_mark else 1
    kept = [value * step for value in values]
    assert judge(spec, [written(value, spec) for value in kept]) == (kept, [None] * len(kept))


@pytest.mark.parametrize(
    ("keys", "text", "code"),
    [
        ({"decimal_mark": ".", "scale": 0}, "12.0", None),
        ({"decimal_mark": ".", "scale": 0}, "12.5", "NUMBER_FRACTION"),
        ({"decimal_mark": ".", "scale": 2, "decimals": 4}, "1.2345", "NUMBER_FRACTION"),
        ({"decimal_mark": ".", "scale": 2}, "1.234", "NUMBER_INVALID"),
        ({"decimal_mark": ".", "scale": 2}, ".5", "NUMBER_INVALID"),
        ({"decimal_mark": ".", "scale": 2}, "5.", "NUMBER_INVALID"),
        ({"decimal_mark": ",", "scale": 2}, "1.5", "NUMBER_INVALID"),
        ({"decimal_mark": ".", "scale": 2}, "1e3", "NUMBER_INVALID"),
        ({"decimal_mark": ".", "scale": 2}, "1.5.0", "NUMBER_INVALID"),
        ({"decimals": 2}, "1250", "NUMBER_FRACTION"),
        ({"decimals": 2, "sign": "overpunch"}, "125{", "NUMBER_FRACTION"),
        ({"thousands_mark": ","}, "1,23", "NUMBER_INVALID"),
        ({"thousands_mark": ","}, "1234,567", "NUMBER_INVALID"),
        ({"thousands_mark": ","}, "1234567", None),
        ({"thousands_mark": " "}, "1 234", None),
        ({"sign": "trailing"}, "-5", "NUMBER_INVALID"),
        ({"sign": "trailing"}, "5+", None),
        ({"sign": "parentheses"}, "(5", "NUMBER_INVALID"),
        ({"sign": "parentheses"}, "-5", "NUMBER_INVALID"),
        ({"sign": "either"}, "+5", None),
        ({"sign": "either"}, "+-5", "NUMBER_INVALID"),
        ({"sign": "minus"}, "+5", "NUMBER_INVALID"),
        ({"scale": 9}, str(10**14), "NUMBER_RANGE"),
        ({"decimal_mark": ".", "scale": 9}, f"{10**14}.5", "NUMBER_RANGE"),
    ],
)
def test_numbers_that_cannot_be_kept_are_refused(keys: dict[str, Any], text: str, code: str | None) -> None:
    assert judge(IntegerField(type="integer", column="x", **keys), [text])[1] == [code]


DIGITS = {"YYYY": "%Y", "YY": "%y", "DDD": "%j", "HH": "%H", "SS": "%S"}


def spelled(moment: datetime, spelling: str) -> str:
    """An instant in a spelling of the layout language, by Python's own clockwork."""
    text = spelling.replace("HH:MM", "HH:%M").replace("HHMM", "HH%M")
    for part, code in DIGITS.items():
        text = text.replace(part, code)
    return moment.strftime(text.replace("MM", "%m").replace("DD", "%d"))


@pytest.mark.parametrize("spelling", sorted(DATE_FORMATS))
@given(moment=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2068, 12, 31)))  # noqa: DTZ001
@settings(max_examples=25, deadline=None)
def test_every_spelling_of_a_day_is_read(spelling: Any, moment: datetime) -> None:
    pivot = 69 if DATE_FORMATS[spelling].two_digit_year else None
    spec = DateField(type="date", format=spelling, pivot=pivot, column="x")
    assert judge(spec, [spelled(moment, spelling)]) == ([moment.date()], [None])


@pytest.mark.parametrize(
    ("keys", "text", "day"),
    [
        ({"format": "YYYY-MM-DDTHH:MM:SSZ"}, "2026-11-20T23:30:00Z", date(2026, 11, 21)),
        ({"format": "YYYY-MM-DDTHH:MM:SSZ"}, "2026-11-20T23:30:00.123456-05:00", date(2026, 11, 21)),
        ({"format": "YYYY-MM-DDTHH:MM:SSZ"}, "2026-11-21T00:30:00+09:00", date(2026, 11, 20)),
        ({"format": "YYYY-MM-DDTHH:MM:SSZ"}, "2026-11-20T23:30:00", None),
        ({"format": "YYYY-MM-DDTHH:MM:SS"}, "2026-11-20T23:30:00Z", None),
        ({"format": "MMDDYYYYHHMMSS", "zone": "UTC"}, "11202026170000", date(2026, 11, 21)),
        ({"format": "MMDDYYYYHHMMSS"}, "11202026170000", date(2026, 11, 20)),
        ({"format": "MMDDYYYYHHMMSS"}, "11202026250000", None),
        ({"format": "DDMMYY", "pivot": 30}, "201126", date(2026, 11, 20)),
        ({"format": "DDMMYY", "pivot": 20}, "201126", date(1926, 11, 20)),
        ({"format": "YYYYDDD"}, "2026366", None),
        ({"format": "YYYYDDD"}, "2024366", date(2024, 12, 31)),
    ],
)
def test_instants_count_for_their_day_in_the_layout_s_zone(keys: dict[str, Any], text: str, day: date | None) -> None:
    assert judge(DateField(type="date", column="x", **keys), [text], zone="Asia/Singapore")[0] == [day]


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


@pytest.mark.parametrize("name", list(DATE_FORMATS))
def test_a_day_is_written_back_without_a_time(name: str) -> None:
    written = pl.Series([date(2026, 11, 9)]).dt.strftime(DATE_FORMATS[name].of_day).item()
    year = "2026" if name.count("Y") == 4 else "26"
    of_year = "313" if "DDD" in name else "1109"
    assert sorted(filter(str.isdigit, written)) == sorted(year + of_year)
