"""The spellings of days and instants that a layout may name, and reading them exactly.

Here: texts to days of the calendar, a column at a time. Not here: which days are believed (``values``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, get_args

import polars as pl

DateFormat = Literal[
    "YYYYMMDD", "YYYY-MM-DD", "YYYY/MM/DD", "DD/MM/YYYY", "MM/DD/YYYY", "DD.MM.YYYY", "DD-MM-YYYY", "DDMMYYYY",
    "MMDDYYYY", "YYYYDDD", "YYMMDD", "DDMMYY", "MMDDYY", "YYYYMMDDHHMMSS", "MMDDYYYYHHMMSS", "YYYY-MM-DD HH:MM:SS",
    "YYYY-MM-DDTHH:MM:SS", "YYYY-MM-DDTHH:MM:SSZ",
]  # fmt: skip

_PARTS: Final = (
    ("YYYY", "%Y"), ("DDD", "%j"), ("HH:MM", "%H:%M"), ("HHMM", "%H%M"), ("SSZ", "%S%z"), ("SS", "%S"), ("MM", "%m"),
    ("DD", "%d"), ("YY", "%Y"),
)  # fmt: skip
"""Longer parts first: minutes only stand behind hours, and a two-digit year is read with its century before it."""

_FRACTION: Final = r"\.[0-9]{1,9}"
_OFFSET: Final = r"(Z|[+-][0-9]{2}:[0-9]{2})$"


@dataclass(frozen=True)
class Spelling:
    """One spelling as polars and Python know it. ``offset``: each text states its own zone, as ``Z`` or ``+08:00``."""

    strptime: str
    two_digit_year: bool
    instant: bool
    offset: bool

    @property
    def of_day(self) -> str:
        """How a day is written back in it: the part before the time, where it has one."""
        form = self.strptime.replace("%Y", "%y") if self.two_digit_year else self.strptime
        return form.split("%H")[0].rstrip("T ")


def _spelling(text: str) -> Spelling:
    form = text
    for part, meaning in _PARTS:
        form = form.replace(part, meaning)
    return Spelling(form, "YYYY" not in text, "HH" in text, text.endswith("Z"))


DATE_FORMATS: Final[dict[str, Spelling]] = {name: _spelling(name) for name in get_args(DateFormat)}
"""Spelling in a layout → how it is read. Fractions of a second are read over where there are seconds."""


def require_pivot(name: DateFormat, pivot: int | None) -> None:
    """Raise ValueError unless a pivot is given with two-digit years, and only with them."""
    if DATE_FORMATS[name].two_digit_year != (pivot is not None):
        raise ValueError("pivot goes with two-digit years, which need it")


def day_reader(name: DateFormat, *, pivot: int | None, zone: str, into: str) -> Callable[[pl.Series], pl.Series]:
    """Reads texts (String) as days (Date), null where a text is not in exactly this spelling.

    Each distinct text is parsed once and written back to compare, because polars also reads ``2026 105`` and
    ``02026015`` as days of 2026. Instants are of ``zone`` and become days in ``into``.
    """
    spelling = DATE_FORMATS[name]

    def parse(raw: pl.Series) -> pl.Series:
        texts = raw.unique()
        return raw.replace_strict(texts, _days(texts, name, spelling, pivot, zone, into), return_dtype=pl.Date)

    return parse


def day_of(text: str, name: DateFormat, *, pivot: int | None, zone: str, into: str) -> date | None:
    """One text read as ``day_reader`` reads a column."""
    day: date | None = day_reader(name, pivot=pivot, zone=zone, into=into)(pl.Series([text])).item()
    return day


def _days(texts: pl.Series, name: str, spelling: Spelling, pivot: int | None, zone: str, into: str) -> pl.Series:
    if spelling.two_digit_year:
        texts = _with_century(texts, name.index("YY"), pivot or 0)
    if not spelling.instant:
        days = texts.str.to_date(spelling.strptime, strict=False)
        return days.set(~(days.dt.to_string(spelling.strptime) == texts).fill_null(value=False), None)
    form = spelling.strptime.removesuffix("%z")
    offset = texts.str.extract(_OFFSET, 1) if spelling.offset else None
    bare = (texts.str.replace(_OFFSET, "") if spelling.offset else texts).str.replace(_FRACTION, "")
    times = bare.str.to_datetime(form, strict=False)
    exact = (times.dt.to_string(form) == bare).fill_null(value=False)
    if offset is not None:
        exact &= offset.is_not_null()
        times = (times - _east(offset)).dt.replace_time_zone("UTC")
    else:
        times = times.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return times.dt.convert_time_zone(into).dt.date().set(~exact, None)


def _with_century(texts: pl.Series, place: int, pivot: int) -> pl.Series:
    """Texts with 20 before years below the pivot and 19 before the others; what has no such year stays as it is."""
    frame = texts.to_frame("text")
    year = pl.col("text").str.slice(place, 2)
    century = pl.when(year.cast(pl.Int16, strict=False) < pivot).then(pl.lit("20")).otherwise(pl.lit("19"))
    whole = pl.concat_str(pl.col("text").str.slice(0, place), century, pl.col("text").str.slice(place))
    return frame.select(pl.when(year.str.contains("^[0-9]{2}$")).then(whole).otherwise("text")).to_series()


def _east(offset: pl.Series) -> pl.Series:
    """Durations that texts such as ``+08:00`` lie ahead of UTC."""
    frame = offset.to_frame("text")
    text = pl.col("text")
    minutes = text.str.slice(1, 2).cast(pl.Int64, strict=False) * 60 + text.str.slice(4, 2).cast(pl.Int64, strict=False)
    signed = pl.when(text.str.starts_with("-")).then(-minutes).otherwise(minutes)
    return frame.select(pl.duration(minutes=signed.fill_null(0))).to_series()
