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

from counterfoil.feed import Feed, FeedKind
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
    NUMBER_RANGE = "NUMBER_RANGE", "a number is beyond 64 bits or outside its bounds"
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

JOURNAL_ID: Final = "^CF.{1,4}[0-9]{8}$"
"""The id of a journal of ours: the entity, and the last posting that it holds."""

_ORDER: Final = {rule: place for place, rule in enumerate(Rule)}


@dataclass(frozen=True, eq=False)
class Check:
    """A row breaks ``rule`` at ``field`` where ``fails`` is true (null counts as false)."""

    rule: Rule
    field: str | None
    fails: pl.Expr


EMAIL: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$"
"""An address as mail servers take it without extensions: RFC 5321 and 5322, without quoted parts and comments."""

ALERTS: Final = "^[1-9][0-9]{0,2}(;[1-9][0-9]{0,2})*$"
"""Per cents of a budget, apart by semicolons."""

EXPIRY_MONTHS_MAX: Final = 120

COMPANY: Final = "^[a-z][a-z0-9_]*$"
"""A company's name, written as a partner's."""

BUDGET_TERMS: Final = ("from_day", "until_day", "limit")
"""What creating a budget must say."""

_LOOKS: Final = {"rn": "m", "vv": "w", "cl": "d", "0": "o", "1": "l", "i": "l", "5": "s", "-": "", "_": ""}
"""What is taken for something else at a glance."""


def kind_checks(feed: Feed, fields: dict[str, str]) -> tuple[Check, ...]:
    """What every layout of a kind must hold, over canonical columns; ``fields`` names the layout's field of each."""

    def check(rule: Rule, column: str, fails: pl.Expr) -> Check:
        return Check(rule, fields.get(column), fails)

    match feed.kind:
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
        case FeedKind.MEMBERS:
            change = pl.col("change")
            merges, named = change.is_null() | (change == "merge"), change.is_in(["register", "update"])
            return (
                check(Rule.FIELD_MISSING, "survivor", merges & pl.col("survivor").is_null()),
                check(Rule.NOT_BLANK, "survivor", ~merges & pl.col("survivor").is_not_null()),
                check(Rule.FIELD_MISSING, "email", named.fill_null(value=False) & pl.col("email").is_null()),
                check(Rule.EMAIL_INVALID, "email", ~pl.col("email").str.contains(EMAIL)),
            )
        case FeedKind.COMPANIES:
            administrator = pl.col("unit") == "administrator"
            return (
                check(Rule.FIELD_MISSING, "code", (pl.col("unit") != "company") & pl.col("code").is_null()),
                check(Rule.NOT_BLANK, "code", (pl.col("unit") == "company") & pl.col("code").is_not_null()),
                check(Rule.EMAIL_INVALID, "code", administrator & ~pl.col("code").str.contains(EMAIL)),
                check(Rule.TEXT_INVALID, "company", ~pl.col("company").str.contains(COMPANY)),
            )
        case FeedKind.RECHARGES:
            return (
                check(Rule.POINTS_ZERO, "points", pl.col("points") == 0),
                check(Rule.TEXT_INVALID, "company", ~pl.col("company").str.contains(COMPANY)),
            )
        case FeedKind.BUDGETS:
            create, close = pl.col("change") == "create", pl.col("change") == "close"
            return (
                *(check(Rule.FIELD_MISSING, name, create & pl.col(name).is_null()) for name in BUDGET_TERMS),
                check(Rule.DATE_RANGE, "until_day", pl.col("until_day") < pl.col("from_day")),
                check(Rule.TEXT_INVALID, "alerts", ~pl.col("alerts").str.contains(ALERTS)),
                check(
                    Rule.NUMBER_RANGE,
                    "points",
                    pl.when(close).then(pl.col("points") != 0).otherwise(pl.col("points") < 0),
                ),
                check(Rule.TEXT_INVALID, "company", ~pl.col("company").str.contains(COMPANY)),
            )
        case FeedKind.BULK_UPLOAD:
            domain = pl.col("email").str.to_lowercase().str.extract("@(.*)$")
            return (
                check(Rule.POINTS_ZERO, "points", pl.col("points") == 0),
                check(Rule.NUMBER_RANGE, "points", pl.col("points") < 0),
                check(Rule.EMAIL_LOOKALIKE, "email", _lookalike(domain, feed.own_domains)),
                check(Rule.EMAIL_INVALID, "email", ~pl.col("email").str.contains(EMAIL)),
                check(
                    Rule.FIELD_MISSING,
                    "country_code",
                    pl.col("mobile").is_not_null() & pl.col("country_code").is_null(),
                ),
                check(Rule.TEXT_INVALID, "country_code", ~pl.col("country_code").str.contains(r"^\+?[1-9][0-9]{0,2}$")),
                check(Rule.TEXT_INVALID, "mobile", ~pl.col("mobile").str.contains(r"^[0-9][0-9 -]{3,18}[0-9]$")),
                check(Rule.NUMBER_RANGE, "expiry_months", ~pl.col("expiry_months").is_between(1, EXPIRY_MONTHS_MAX)),
                check(Rule.TEXT_INVALID, "company", ~pl.col("company").str.contains(COMPANY)),
            )
        case FeedKind.HANDBACK | FeedKind.DECISIONS:
            return ()


def _lookalike(domain: pl.Expr, own: Sequence[str]) -> pl.Expr:
    """Whether a domain has letters beyond a to z, among which are many twins, or reads like one of the company's own
    and is another."""
    strange = domain.str.contains(r"[^\x00-\x7f]") | domain.str.contains(r"(^|\.)xn--")
    if not own:
        return strange
    glance = domain.str.replace_many(list(_LOOKS), list(_LOOKS.values()))
    looks = pl.Series(list(own)).str.replace_many(list(_LOOKS), list(_LOOKS.values()))
    return strange | (glance.is_in(looks.implode()) & ~domain.is_in(list(own)))


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
