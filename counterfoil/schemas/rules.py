"""Why a row is not accepted: the quarantine codes, in the order in which the first one wins, and the split itself.

Here: codes, bounds, the rules that a kind of feed brings along, and ``route``. Not here: rules of a single layout,
which parsers add, or the proof of the accepted frame (``gate``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.invariants import require
from counterfoil.money import EXPONENT_DEFAULT, EXPONENTS


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
    NUMBER_RANGE = "NUMBER_RANGE", "a number is beyond 64 bits or outside its bounds"
    POINTS_ZERO = "POINTS_ZERO", "a request moves no points"
    DATE_INVALID = "DATE_INVALID", "a date is not a day of the calendar, written as declared"
    DATE_RANGE = "DATE_RANGE", "a date lies outside the years that can be meant"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN", "an outcome code is not in the layout"
    CODE_UNKNOWN = "CODE_UNKNOWN", "a coded value is not in the layout"


NUMBER_ABS_MAX: Final = 10**15
"""Points or any other number in one line, either way. Below 2^53, so that every JSON reader and spreadsheet downstream
keeps it exact; no programme has issued as many points in all."""

FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)
"""Dates outside are typing errors or fillers such as 9999-12-31: no open item is as old, nor as far off."""

JOURNAL_ID: Final = "^CF.{1,4}[0-9]{8}$"
"""The id of a journal of ours: the entity, and the last posting that it holds."""

DENOMINATIONS: Final = r"^[0-9]{1,9}(\.[0-9]{1,4})?([ ,;]+[0-9]{1,9}(\.[0-9]{1,4})?)*$"
"""Face values in major units, apart by blanks, commas or semicolons."""

UNITS_MAX: Final = 100_000
"""Vouchers in one order, and days or months that one lives."""

ATTEMPTS_MAX: Final = 3
"""Times that goods are brought to somebody before they go back."""

_ORDER: Final = {rule: place for place, rule in enumerate(Rule)}


@dataclass(frozen=True, eq=False)
class Check:
    """A row breaks ``rule`` at ``field`` where ``fails`` is true (null counts as false)."""

    rule: Rule
    field: str | None
    fails: pl.Expr


def kind_checks(kind: FeedKind, fields: dict[str, str]) -> tuple[Check, ...]:
    """What every layout of a kind must hold, over canonical columns; ``fields`` names the layout's field of each."""

    def check(rule: Rule, column: str, fails: pl.Expr) -> Check:
        return Check(rule, fields.get(column), fails)

    match kind:
        case FeedKind.REQUESTS | FeedKind.ACTIVITY:
            return (check(Rule.POINTS_ZERO, "points", pl.col("points") == 0),)
        case FeedKind.OPENING:
            item = pl.col("entry") == "item"
            of_partner = ~pl.col("account").is_in(["member", "issued"])
            of_member = ~item & (pl.col("account") == "member") & (pl.col("points") > 0)
            return (
                check(Rule.FIELD_MISSING, "owner", (pl.col("account") == "member") & pl.col("owner").is_null()),
                check(Rule.FIELD_MISSING, "partner", (item | of_partner) & pl.col("partner").is_null()),
                check(Rule.FIELD_MISSING, "ref", item & pl.col("ref").is_null()),
                check(Rule.POINTS_ZERO, "points", item & (pl.col("points") == 0)),
                check(Rule.NOT_BLANK, "expires", pl.col("expires").is_not_null() & ~of_member),
            )
        case FeedKind.CALENDAR:
            return (check(Rule.NUMBER_RANGE, "files", pl.col("files") < 0),)
        case FeedKind.RATES:
            return (
                check(Rule.TEXT_INVALID, "currency", ~pl.col("currency").str.contains("^[A-Z]{3}$")),
                check(Rule.NUMBER_RANGE, "minor", pl.col("minor") < 0),
                check(Rule.NUMBER_RANGE, "per_points", pl.col("per_points") < 1),
            )
        case FeedKind.APPROVALS:
            return (check(Rule.TEXT_INVALID, "payload", ~pl.col("payload").str.contains("^[0-9a-f]{64}$")),)
        case FeedKind.GL_BALANCES:
            by_hand = pl.col("kind") == "by_hand"
            return (
                check(Rule.TEXT_INVALID, "currency", ~pl.col("currency").str.contains("^[A-Z]{3}$")),
                check(Rule.FIELD_MISSING, "reference", by_hand & pl.col("reference").is_null()),
                check(Rule.NOT_BLANK, "reference", ~by_hand & pl.col("reference").is_not_null()),
                check(Rule.NOT_BLANK, "last_journal", by_hand & pl.col("last_journal").is_not_null()),
                check(Rule.TEXT_INVALID, "last_journal", ~pl.col("last_journal").str.contains(JOURNAL_ID)),
            )
        case FeedKind.CATALOGUE | FeedKind.VOUCHER_ORDERS | FeedKind.VOUCHER_PAYMENTS | FeedKind.VOUCHER_FULFILMENT:
            return _voucher_checks(kind, check)
        case FeedKind.DELIVERIES:
            return (check(Rule.NUMBER_RANGE, "attempt", ~pl.col("attempt").is_between(1, ATTEMPTS_MAX)),)
        case FeedKind.HANDBACK | FeedKind.DECISIONS | FeedKind.MEMBERS | FeedKind.VOUCHERS:
            return ()


def _voucher_checks(kind: FeedKind, check: Callable[[Rule, str, pl.Expr], Check]) -> tuple[Check, ...]:
    """What files about vouchers must hold."""

    def at_least(column: str, least: int) -> Check:
        return check(Rule.NUMBER_RANGE, column, pl.col(column) < least)

    def some(column: str) -> Check:
        return check(Rule.NUMBER_RANGE, column, ~pl.col(column).is_between(1, UNITS_MAX))

    currency = check(Rule.TEXT_INVALID, "currency", ~pl.col("currency").str.contains("^[A-Z]{3}$"))
    match kind:
        case FeedKind.CATALOGUE:
            form = pl.col("denominations").str.contains(DENOMINATIONS)
            places = pl.col("currency").replace_strict(EXPONENTS, default=EXPONENT_DEFAULT, return_dtype=pl.Int32)
            finest = [(most, f"\\.[0-9]{{{most + 1}}}") for most in sorted({EXPONENT_DEFAULT, *EXPONENTS.values()})]
            too_fine = [(places == most) & pl.col("denominations").str.contains(digits) for most, digits in finest]
            both = pl.col("expiry_days").is_not_null() & pl.col("expiry_months").is_not_null()
            return (
                currency,
                check(Rule.TEXT_INVALID, "denominations", ~form),
                check(Rule.NUMBER_FRACTION, "denominations", pl.any_horizontal(too_fine)),
                at_least("points_per_unit", 0),
                some("quantity_max"),
                some("expiry_days"),
                some("expiry_months"),
                check(Rule.NOT_BLANK, "expiry_months", both),
                check(Rule.CODE_UNKNOWN, "supply", (pl.col("supply") == "generated") & (pl.col("type") != "code")),
                check(Rule.CODE_UNKNOWN, "supply", (pl.col("type") == "goods") & (pl.col("supply") != "supplier")),
            )
        case FeedKind.VOUCHER_ORDERS:
            nobody = pl.col("email").is_null() & pl.col("member").is_null()
            return (
                at_least("denomination", 1),
                some("quantity"),
                at_least("points", 0),
                check(Rule.FIELD_MISSING, "email", nobody),
                check(Rule.TEXT_INVALID, "email", ~pl.col("email").str.contains(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")),
            )
        case FeedKind.VOUCHER_PAYMENTS:
            money = pl.col("money").is_not_null()
            return (
                currency,
                check(Rule.FIELD_MISSING, "points", ~money & pl.col("points").is_null()),
                check(Rule.NOT_BLANK, "points", money & pl.col("points").is_not_null()),
                check(Rule.FIELD_MISSING, "currency", money & pl.col("currency").is_null()),
                check(Rule.NOT_BLANK, "currency", ~money & pl.col("currency").is_not_null()),
            )
        case _:
            return _fulfilment_checks(check)


def _fulfilment_checks(check: Callable[[Rule, str, pl.Expr], Check]) -> tuple[Check, ...]:
    """A supplier's rows, whose codes are still in the clear: a PIN exactly where the type wants one, an address that is
    https, nothing of either for goods."""
    kind, given, used = pl.col("type"), pl.col("status") == "delivered", pl.col("status") == "redeemed"
    code, pin, goods = pl.col("code").is_not_null(), pl.col("pin").is_not_null(), pl.col("type") == "goods"
    secure = pl.col("code").str.contains(r"^https://[^\s]+$")
    whole = ~given & ~used & pl.col("quantity").is_null()
    return (
        check(Rule.NUMBER_RANGE, "denomination", pl.col("denomination") < 1),
        check(Rule.FIELD_MISSING, "code", (given | used) & ~goods & ~code),
        check(Rule.NOT_BLANK, "code", goods & code),
        check(Rule.TEXT_INVALID, "code", kind.str.starts_with("url") & code & ~secure),
        check(Rule.FIELD_MISSING, "pin", given & kind.str.ends_with("Pin") & ~pin),
        check(Rule.NOT_BLANK, "pin", pin & ~kind.str.ends_with("Pin")),
        check(Rule.FIELD_MISSING, "quantity", whole),
        check(Rule.NUMBER_RANGE, "quantity", ~pl.col("quantity").is_between(1, UNITS_MAX)),
        check(Rule.FIELD_MISSING, "ref", pl.col("ref").is_null() & ~given & ~used),
        check(Rule.DATE_RANGE, "valid_until", given & (pl.col("valid_until") < pl.col("value_date"))),
    )


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
