"""What rows of each kind of feed must hold, whatever their layout.

Here: the checks of a kind over canonical columns, and the forms that they share with the models. Not here: what a rule
is and how rows are routed (``rules``), or the proof of a whole frame (``models``).
"""

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from counterfoil.feed import Feed, FeedKind
from counterfoil.letters import ADDRESS_MAX, LABEL, LOCAL, LOCAL_MAX
from counterfoil.money import EXPONENT_DEFAULT, EXPONENTS, exponents, in_minor
from counterfoil.schemas.rules import Check, Rule

JOURNAL_ID: Final = "^CF.{1,4}[0-9]{8}$"
"""The id of a journal of ours: the entity, and the last posting that it holds."""

CONCEALED: Final = r"^[0-9a-f]{64}:.{0,4}$"
"""A voucher's code as tables hold it: its keyed digest, and its last characters as far as people may see them."""

EMAIL: Final = rf"^{LOCAL}@(?i:({LABEL}\.)+[a-z]{{2,63}})$"
"""An address that a letter can go to, but for its length. A domain has no letters of other scripts here."""

ALERTS: Final = "^[1-9][0-9]{0,2}(;[1-9][0-9]{0,2})*$"
"""Per cents of a budget, apart by semicolons."""

DENOMINATIONS: Final = r"^[0-9]{1,9}(\.[0-9]{1,4})?([ ,;]+[0-9]{1,9}(\.[0-9]{1,4})?)*$"
"""Face values in major units, apart by blanks, commas or semicolons."""

UNITS_MAX: Final = 100_000
"""Vouchers in one order, and days or months that one lives."""

ATTEMPTS_MAX: Final = 3
"""Times that goods are brought to somebody before they go back."""

EXPIRY_MONTHS_MAX: Final = 120

COMPANY: Final = "^[a-z][a-z0-9_]*$"
"""A company's name, written as a partner's."""

BUDGET_TERMS: Final = ("from_day", "until_day", "limit")
"""What creating a budget must say."""

_LOOKS: Final = {"rn": "m", "vv": "w", "cl": "d", "0": "o", "1": "l", "i": "l", "5": "s", "-": "", "_": ""}
"""What is taken for something else at a glance."""

CheckOf = Callable[[Rule, str, pl.Expr], Check]


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
            return _of_members(check)
        case FeedKind.COMPANIES:
            return _of_companies(check)
        case FeedKind.RECHARGES:
            return (check(Rule.POINTS_ZERO, "points", pl.col("points") == 0), _company(check))
        case FeedKind.BUDGETS:
            return _of_budgets(check)
        case FeedKind.BULK_UPLOAD:
            return _of_uploads(check, feed.own_domains)
        case FeedKind.CATALOGUE | FeedKind.VOUCHER_ORDERS | FeedKind.VOUCHER_PAYMENTS | FeedKind.VOUCHER_FULFILMENT:
            return _voucher_checks(feed, check)
        case FeedKind.DELIVERIES:
            return (check(Rule.NUMBER_RANGE, "attempt", ~pl.col("attempt").is_between(1, ATTEMPTS_MAX)),)
        case FeedKind.VOUCHERS:
            return (check(Rule.TEXT_INVALID, "code", ~pl.col("code").str.contains(CONCEALED)),)
        case FeedKind.HANDBACK | FeedKind.DECISIONS:
            return ()


def no_address(column: str) -> pl.Expr:
    """Whether a text is no address that a letter can go to (``letters.valid_address``); null of a missing one."""
    text = pl.col(column)
    too_long = (text.str.find("@", literal=True) > LOCAL_MAX) | (text.str.len_chars() > ADDRESS_MAX)
    return ~text.str.contains(EMAIL) | too_long


def _company(check: CheckOf) -> Check:
    return check(Rule.TEXT_INVALID, "company", ~pl.col("company").str.contains(COMPANY))


def _of_members(check: CheckOf) -> tuple[Check, ...]:
    change = pl.col("change")
    merges, named = change.is_null() | (change == "merge"), change.is_in(["register", "update"])
    return (
        check(Rule.FIELD_MISSING, "survivor", merges & pl.col("survivor").is_null()),
        check(Rule.NOT_BLANK, "survivor", ~merges & pl.col("survivor").is_not_null()),
        check(Rule.FIELD_MISSING, "email", named.fill_null(value=False) & pl.col("email").is_null()),
        check(Rule.EMAIL_INVALID, "email", no_address("email")),
    )


def _of_companies(check: CheckOf) -> tuple[Check, ...]:
    administrator = pl.col("unit") == "administrator"
    return (
        check(Rule.FIELD_MISSING, "code", (pl.col("unit") != "company") & pl.col("code").is_null()),
        check(Rule.NOT_BLANK, "code", (pl.col("unit") == "company") & pl.col("code").is_not_null()),
        check(Rule.EMAIL_INVALID, "code", administrator & no_address("code")),
        _company(check),
    )


def _of_budgets(check: CheckOf) -> tuple[Check, ...]:
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
        _company(check),
    )


def _of_uploads(check: CheckOf, own_domains: Sequence[str]) -> tuple[Check, ...]:
    domain = pl.col("email").str.to_lowercase().str.extract("@(.*)$")
    return (
        check(Rule.POINTS_ZERO, "points", pl.col("points") == 0),
        check(Rule.NUMBER_RANGE, "points", pl.col("points") < 0),
        # A row without a reference goes by its place, written so.
        check(Rule.TEXT_INVALID, "ref", pl.col("ref").str.starts_with("?")),
        check(Rule.EMAIL_LOOKALIKE, "email", _lookalike(domain, own_domains)),
        check(Rule.EMAIL_INVALID, "email", no_address("email")),
        check(
            Rule.FIELD_MISSING,
            "country_code",
            pl.col("mobile").is_not_null() & pl.col("country_code").is_null(),
        ),
        check(Rule.TEXT_INVALID, "country_code", ~pl.col("country_code").str.contains(r"^\+?[1-9][0-9]{0,2}$")),
        check(Rule.TEXT_INVALID, "mobile", ~pl.col("mobile").str.contains(r"^[0-9][0-9 -]{3,18}[0-9]$")),
        check(Rule.NUMBER_RANGE, "expiry_months", ~pl.col("expiry_months").is_between(1, EXPIRY_MONTHS_MAX)),
        _company(check),
    )


def _voucher_checks(feed: Feed, check: CheckOf) -> tuple[Check, ...]:
    """What files about vouchers must hold."""

    def at_least(column: str, least: int) -> Check:
        return check(Rule.NUMBER_RANGE, column, pl.col(column) < least)

    def some(column: str) -> Check:
        return check(Rule.NUMBER_RANGE, column, ~pl.col(column).is_between(1, UNITS_MAX))

    currency = check(Rule.TEXT_INVALID, "currency", ~pl.col("currency").str.contains("^[A-Z]{3}$"))
    match feed.kind:
        case FeedKind.CATALOGUE:
            form = pl.col("denominations").str.contains(DENOMINATIONS)
            places = exponents(pl.col("currency"))
            finest = [(most, f"\\.[0-9]{{{most + 1}}}") for most in sorted({EXPONENT_DEFAULT, *EXPONENTS.values()})]
            too_fine = [(places == most) & pl.col("denominations").str.contains(digits) for most, digits in finest]
            both = pl.col("expiry_days").is_not_null() & pl.col("expiry_months").is_not_null()
            return (
                currency,
                check(Rule.TEXT_INVALID, "denominations", ~form),
                check(Rule.NUMBER_FRACTION, "denominations", pl.any_horizontal(too_fine)),
                at_least("points_per_unit", 0),
                check(Rule.NUMBER_RANGE, "quantity_max", ~pl.col("quantity_max").is_between(0, UNITS_MAX)),
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
                check(Rule.EMAIL_INVALID, "email", no_address("email")),
            )
        case FeedKind.VOUCHER_PAYMENTS:
            money = pl.col("money").is_not_null()
            minor = in_minor(pl.col("money"), pl.col("currency"), feed.places("money"))
            return (
                currency,
                check(Rule.NUMBER_FRACTION, "money", money & pl.col("currency").is_not_null() & minor.is_null()),
                check(Rule.FIELD_MISSING, "points", ~money & pl.col("points").is_null()),
                check(Rule.NOT_BLANK, "points", money & pl.col("points").is_not_null()),
                check(Rule.FIELD_MISSING, "currency", money & pl.col("currency").is_null()),
                check(Rule.NOT_BLANK, "currency", ~money & pl.col("currency").is_not_null()),
                _company(check),
            )
        case _:
            return _fulfilment_checks(check)


def _fulfilment_checks(check: CheckOf) -> tuple[Check, ...]:
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


def _lookalike(domain: pl.Expr, own: Sequence[str]) -> pl.Expr:
    """Whether a domain has letters beyond a to z, among which are many twins, or reads like one of the company's own
    and is another."""
    strange = domain.str.contains(r"[^\x00-\x7f]") | domain.str.contains(r"(^|\.)xn--")
    if not own:
        return strange
    glance = domain.str.replace_many(list(_LOOKS), list(_LOOKS.values()))
    looks = pl.Series(list(own)).str.replace_many(list(_LOOKS), list(_LOOKS.values()))
    return strange | (glance.is_in(looks.implode()) & ~domain.is_in(list(own)))
