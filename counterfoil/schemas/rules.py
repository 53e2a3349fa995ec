"""Why a row is not accepted: the quarantine codes, in the order in which the first one wins, and the split itself.

Here: codes, bounds, the rules that a kind of feed brings along, and ``route``. Not here: rules of a single layout,
which parsers add, or the proof of the accepted frame (``gate``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

import polars as pl

from counterfoil.invariants import require


class Rule(StrEnum):
    """Quarantine codes. Of several that a row breaks, the one declared first here is reported."""

    summary: str

    def __new__(cls, code: str, summary: str) -> "Rule":
        member = str.__new__(cls, code)
        member._value_ = code
        member.summary = summary
        return member

    # The record as a whole: nothing in it can be trusted
    LINE_LENGTH = "LINE_LENGTH", "the line is shorter or longer than a record"
    NUL_BYTE = "NUL_BYTE", "the line holds a NUL byte"
    ENCODING = "ENCODING", "the line is not text in the declared encoding"
    QUOTES = "QUOTES", "the line's quote characters do not pair"
    COLUMNS = "COLUMNS", "the line has more or fewer columns than the header"
    RECORD_TYPE_UNKNOWN = "RECORD_TYPE_UNKNOWN", "the line is of no declared record type, or belongs to no record"
    RECORD_INVALID = "RECORD_INVALID", "the record is not one JSON object"
    VALUE_TWICE = "VALUE_TWICE", "a value is given twice in one record"
    VALUE_NESTED = "VALUE_NESTED", "a value is nested where a single one belongs, or single where others belong in it"
    DIGITS_LOST = "DIGITS_LOST", "a number in a cell has more digits than a workbook keeps"
    CONTROL_CHARACTER = "CONTROL_CHARACTER", "a text holds a control character, such as a line end"
    # One field
    FIELD_MISSING = "FIELD_MISSING", "a required value is blank"
    FIELD_LONG = "FIELD_LONG", "a text is longer than the layout allows"
    NOT_BLANK = "NOT_BLANK", "an area that must be blank is not"
    TEXT_INVALID = "TEXT_INVALID", "a text is not of the required form"
    NUMBER_INVALID = "NUMBER_INVALID", "a number is not written in digits as declared"
    NUMBER_FRACTION = "NUMBER_FRACTION", "a number has decimals that its field does not keep"
    NUMBER_RANGE = "NUMBER_RANGE", "a number is below or above what its field allows"
    POINTS_ZERO = "POINTS_ZERO", "a request moves no points"
    DATE_INVALID = "DATE_INVALID", "a date is not a day of the calendar, written as declared"
    DATE_RANGE = "DATE_RANGE", "a date lies outside the years that can be meant"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN", "an outcome code is not in the layout"
    CODE_UNKNOWN = "CODE_UNKNOWN", "a coded value is not in the layout"
    EMAIL_LOOKALIKE = "EMAIL_LOOKALIKE", "the domain of an e-mail address only looks like another one"
    EMAIL_INVALID = "EMAIL_INVALID", "an e-mail address is not written as one"


NUMBER_ABS_MAX: Final = 10**15
"""Points or any other number in one line, either way. Below 2^53, so that every JSON reader and spreadsheet downstream
keeps it exact; no programme has issued as many points in all."""

FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)
"""Dates outside are typing errors or fillers such as 9999-12-31: no open item is as old, nor as far off."""

_ORDER: Final = {rule: place for place, rule in enumerate(Rule)}


@dataclass(frozen=True, eq=False)
class Check:
    """A row breaks ``rule`` at ``field`` where ``fails`` is true (null counts as false)."""

    rule: Rule
    field: str | None
    fails: pl.Expr


def route(rows: pl.DataFrame, suspect: pl.Series, checks: Sequence[Check]) -> tuple[pl.Series, pl.DataFrame]:
    """Split rows into accepted and quarantined in one pass, the checks being evaluated on suspects only.

    ``suspect`` (Boolean, no nulls) must be true for every row that fails a check; it may be true for others. ``checks``
    come in field order; of those that fail, the one whose rule is declared first wins, then the first field. Returns a
    Boolean series (true = quarantined) as long as ``rows``, and the quarantined rows with ``code`` and ``field`` added.
    """
    require(suspect.len() == rows.height and suspect.null_count() == 0, "each row is suspect or not")
    ranked = sorted(checks, key=lambda check: _ORDER[check.rule])
    doubtful = rows.filter(suspect)
    places = [pl.when(check.fails).then(pl.lit(place, pl.Int32)) for place, check in enumerate(ranked)]
    first = doubtful.select(first=pl.coalesce(*places, pl.lit(None, pl.Int32))).to_series()
    guilty = doubtful.with_columns(
        code=first.replace_strict({place: c.rule.value for place, c in enumerate(ranked)}, return_dtype=pl.String),
        field=first.replace_strict({place: c.field for place, c in enumerate(ranked)}, return_dtype=pl.String),
    ).filter(first.is_not_null())
    quarantined = suspect.clone()
    if guilty.height != doubtful.height:
        quarantined = quarantined.scatter(suspect.arg_true().filter(first.is_null()), values=False)
    return quarantined, guilty
