"""Pandera models of every table that crosses a room: the proof that a frame is what its type says.

Here: what must be true of a frame, cross-column rules as column checks. Not here: routing rows (``rules``), or the call
that proves a frame (``gate``), which imports this module late because pandera is slow to import.
"""

from collections.abc import Sequence
from typing import Any, Final

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from counterfoil.feed import FeedKind
from counterfoil.schemas.kind_rules import ALERTS, COMPANY, DENOMINATIONS, EMAIL, EXPIRY_MONTHS_MAX, JOURNAL_ID
from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY, NUMBER_ABS_MAX, Rule
from counterfoil.schemas.tables import (
    ACTIONS,
    ACTIVITIES,
    BUDGET_CHANGES,
    BUDGET_LIMITS,
    CONCEALED,
    DAY_STATUSES,
    DELIVERY_STATUSES,
    ENTRIES,
    FULFILMENTS,
    GL_KINDS,
    MEMBER_CHANGES,
    OUTCOMES,
    RAW_BYTES_MAX,
    STEPS,
    SUPPLIES,
    UNIT_CHANGES,
    UNITS,
    VOUCHER_TYPES,
)

CASES_MAX: Final = 100
"""Failing cells kept of one check: with all of 1 M rows failing, unbounded cases cost 5.9 s and 1.4 GB."""


def _text(*, nullable: bool = False) -> Any:
    return pa.Field(nullable=nullable, ne="", n_failure_cases=CASES_MAX)


def _one_of(values: Sequence[str]) -> Any:
    return pa.Field(isin=values, n_failure_cases=CASES_MAX)


def _form(pattern: str, *, nullable: bool = False) -> Any:
    return pa.Field(nullable=nullable, str_matches=pattern, n_failure_cases=CASES_MAX)


def _number(*, least: int, nullable: bool = False) -> Any:
    return pa.Field(nullable=nullable, ge=least, n_failure_cases=CASES_MAX)


def _points(*, nullable: bool = False) -> Any:
    return pa.Field(nullable=nullable, ge=-NUMBER_ABS_MAX, le=NUMBER_ABS_MAX, n_failure_cases=CASES_MAX)


def _day(*, nullable: bool = False) -> Any:
    return pa.Field(nullable=nullable, ge=FIRST_DAY, le=LAST_DAY, n_failure_cases=CASES_MAX)


class Table(pa.DataFrameModel):
    """Base of all: exactly the columns, in order, of exactly the types; nothing is coerced or dropped."""

    class Config:
        """Pandera's switches."""

        strict = True
        ordered = True
        coerce = False


class Records(Table):
    """Rows that came from lines of a file, in the file's order."""

    line_no: int = _number(least=1)

    @pa.check("line_no", name="line_no_rises", n_failure_cases=CASES_MAX)
    def line_no_rises(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805 - pandera makes it a class method
        column = pl.col(data.key)
        return data.lazyframe.select((column > column.shift(1)).fill_null(value=True))


class Requests(Records):
    """What we asked of a partner; negative points are a recall. ``record_type``: what terms it is compared by."""

    ref: str = _text()
    member: str = _text()
    points: int = _points()
    value_date: pl.Date = _day()
    record_type: str = _text(nullable=True)

    @pa.check("points", name="points_move", n_failure_cases=CASES_MAX)
    def points_move(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col(data.key) != 0)


class Handback(Records):
    """What a partner answered; ``ref`` is null where the partner names none, ``money`` where it states no charge,
    ``record_type`` where answers of all types are compared by the same terms."""

    ref: str = _text(nullable=True)
    member: str = _text(nullable=True)
    points: int = _points()
    outcome: str = _one_of(OUTCOMES)
    reason: str = _text(nullable=True)
    to_account: str = _text(nullable=True)
    value_date: pl.Date = _day()
    money: int = _points(nullable=True)
    record_type: str = _text(nullable=True)


class Activity(Records):
    """What members did at a partner of their own accord; negative points take it back."""

    ref: str = _text(nullable=True)
    member: str = _text()
    activity: str = _one_of(ACTIVITIES)
    points: int = _points()
    value_date: pl.Date = _day()


class Opening(Records):
    """Balances and open requests at cut-over."""

    entry: str = _one_of(ENTRIES)
    account: str = _text()
    owner: str = _text(nullable=True)
    partner: str = _text(nullable=True)
    ref: str = _text(nullable=True)
    points: int = _points()
    value_date: pl.Date = _day()
    expires: pl.Date = _day(nullable=True)

    @pa.check("expires", name="members_points_expire", n_failure_cases=CASES_MAX)
    def members_points_expire(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        balance = (pl.col("entry") == "balance") & (pl.col("account") == "member") & (pl.col("points") > 0)
        return data.lazyframe.select(pl.col(data.key).is_null() | balance)

    @pa.check("entry", name="item_is_named", n_failure_cases=CASES_MAX)
    def item_is_named(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        named = pl.col("ref").is_not_null() & pl.col("partner").is_not_null() & (pl.col("points") != 0)
        return data.lazyframe.select((pl.col(data.key) != "item") | named)

    @pa.check("account", name="account_is_owned", n_failure_cases=CASES_MAX)
    def account_is_owned(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        account = pl.col(data.key)
        owned = pl.when(account == "member").then(pl.col("owner").is_not_null())
        return data.lazyframe.select(
            owned.when(account == "issued").then(True).otherwise(pl.col("partner").is_not_null())
        )


class Calendar(Records):
    """The close of a day: what became of each feed."""

    day: pl.Date = _day()
    feed: str = _text()
    partner: str = _text()
    status: str = _one_of(DAY_STATUSES)
    files: int = _number(least=0)
    name: str = _text(nullable=True)


class Rates(Records):
    """What points are worth: ``minor`` units of ``currency`` for ``per_points`` points."""

    basis: str = _text()
    currency: str = _form("^[A-Z]{3}$")
    minor: int = _number(least=0)
    per_points: int = _number(least=1)
    effective_from: pl.Date = _day()


class Decisions(Records):
    """What a person decided; ``points`` is what they expect to move, and is proved."""

    action: str = _one_of(ACTIONS)
    subject: str = _text()
    ref: str = _text(nullable=True)
    points: int = _points()
    reason: str = _text()
    owner: str = _text(nullable=True)
    until: pl.Date = _day(nullable=True)


class Approvals(Records):
    """Files that a second person lets post, by the hash of their bytes."""

    payload: str = _form("^[0-9a-f]{64}$")
    reason: str = _text()


class Members(Records):
    """Members registered, changed, closed, or merged into others: then the account of one goes over to the survivor's,
    points and all. ``email`` is what finds them."""

    partner: str = _text()
    member: str = _text()
    survivor: str = _text(nullable=True)
    value_date: pl.Date = _day()
    change: str = pa.Field(nullable=True, isin=MEMBER_CHANGES, n_failure_cases=CASES_MAX)
    email: str = pa.Field(nullable=True, str_matches=EMAIL, n_failure_cases=CASES_MAX)

    @pa.check("survivor", name="merges_have_a_survivor", n_failure_cases=CASES_MAX)
    def merges_have_a_survivor(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        merges = pl.col("change").is_null() | (pl.col("change") == "merge")
        return data.lazyframe.select(pl.col(data.key).is_not_null() == merges)


class GlBalances(Records):
    """What the general ledger holds, credit positive; rows by hand are the journals that nobody but it knows."""

    as_of: pl.Date = _day()
    account: str = _text()
    currency: str = _form("^[A-Z]{3}$")
    kind: str = _one_of(GL_KINDS)
    minor: int = _points()
    last_journal: str = pa.Field(nullable=True, str_matches=JOURNAL_ID, n_failure_cases=CASES_MAX)
    reference: str = _text(nullable=True)

    @pa.check("kind", name="by_hand_has_a_reference", n_failure_cases=CASES_MAX)
    def by_hand_has_a_reference(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        by_hand, named = pl.col(data.key) == "by_hand", pl.col("reference").is_not_null()
        return data.lazyframe.select((by_hand == named) & (~by_hand | pl.col("last_journal").is_null()))


class Companies(Records):
    """Companies, their departments and administrators; ``code`` is null for the company itself."""

    unit: str = _one_of(UNITS)
    change: str = _one_of(UNIT_CHANGES)
    company: str = _form(COMPANY)
    code: str = _text(nullable=True)
    name: str = _text(nullable=True)
    value_date: pl.Date = _day()


class Recharges(Records):
    """Points that a company has paid for; negative ones take a payment back."""

    company: str = _form(COMPANY)
    ref: str = _text()
    points: int = _points()
    value_date: pl.Date = _day()


class Budgets(Records):
    """Changes of budgets. ``limit`` says whether a budget refuses what is beyond it, or only warns."""

    change: str = _one_of(BUDGET_CHANGES)
    company: str = _form(COMPANY)
    budget: str = _text()
    points: int = _number(least=0)
    department: str = _text(nullable=True)
    from_day: pl.Date = _day(nullable=True)
    until_day: pl.Date = _day(nullable=True)
    limit: str = pa.Field(nullable=True, isin=BUDGET_LIMITS, n_failure_cases=CASES_MAX)
    alerts: str = pa.Field(nullable=True, str_matches=ALERTS, n_failure_cases=CASES_MAX)
    value_date: pl.Date = _day()


class BulkUpload(Records):
    """Points for people of a company; ``send_date`` is null for at once, ``expiry_months`` counts from it."""

    company: str = _form(COMPANY)
    ref: str = _text(nullable=True)
    name: str = _text()
    email: str = _form(EMAIL)
    points: int = _number(least=1)
    country_code: str = _text(nullable=True)
    mobile: str = _text(nullable=True)
    citation: str = _text(nullable=True)
    department: str = _text(nullable=True)
    send_date: pl.Date = _day(nullable=True)
    expiry_months: int = pa.Field(nullable=True, ge=1, le=EXPIRY_MONTHS_MAX, n_failure_cases=CASES_MAX)
    campaign: str = _text(nullable=True)


class Catalogue(Records):
    """What can be ordered, one row a product: ``denominations`` in major units, apart by blanks, commas or semicolons;
    ``points_per_unit`` is the price of one of them."""

    product: str = _text()
    name: str = _text()
    currency: str = _form("^[A-Z]{3}$")
    denominations: str = _form(DENOMINATIONS)
    points_per_unit: int = _number(least=0)
    quantity_max: int = _number(least=1)
    type: str = _one_of(VOUCHER_TYPES)
    supply: str = _one_of(SUPPLIES)
    expiry_days: int = _number(least=1, nullable=True)
    expiry_months: int = _number(least=1, nullable=True)
    terms: str = _text(nullable=True)
    instructions: str = _text(nullable=True)
    effective_from: pl.Date = _day()

    @pa.check("expiry_days", name="one_expiry_rule", n_failure_cases=CASES_MAX)
    def one_expiry_rule(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col(data.key).is_null() | pl.col("expiry_months").is_null())


class VoucherOrders(Records):
    """What was chosen from a catalogue; ``denomination`` in minor units. Points of 0: it is paid in money."""

    ref: str = _text()
    product: str = _text()
    denomination: int = _number(least=1)
    quantity: int = _number(least=1)
    member: str = _text(nullable=True)
    email: str = _form(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", nullable=True)
    points: int = _number(least=0)
    value_date: pl.Date = _day()

    @pa.check("email", name="somebody_gets_it", n_failure_cases=CASES_MAX)
    def somebody_gets_it(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col(data.key).is_not_null() | pl.col("member").is_not_null())


class VoucherPayments(Records):
    """What was paid for orders: points, or minor units of a currency."""

    ref: str = _text()
    payment: str = _text()
    points: int = _points(nullable=True)
    money: int = _points(nullable=True)
    currency: str = _form("^[A-Z]{3}$", nullable=True)
    value_date: pl.Date = _day()

    @pa.check("payment", name="paid_in_one_of_both", n_failure_cases=CASES_MAX)
    def paid_in_one_of_both(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        money = pl.col("money").is_not_null()
        return data.lazyframe.select(
            (money == pl.col("points").is_null()) & (money == pl.col("currency").is_not_null())
        )


class VoucherFulfilment(Records):
    """What a supplier delivered, cancelled or paid back; a row without ``ref`` is a code for the stock. Codes and PINs
    are concealed: no table ever holds one."""

    ref: str = _text(nullable=True)
    product: str = _text()
    denomination: int = _number(least=1)
    type: str = _one_of(VOUCHER_TYPES)
    status: str = _one_of(FULFILMENTS)
    code: str = _form(CONCEALED, nullable=True)
    pin: str = _form("^given$", nullable=True)
    quantity: int = _number(least=1, nullable=True)
    valid_until: pl.Date = _day(nullable=True)
    value_date: pl.Date = _day()


class Vouchers(Records):
    """What the program itself did: vouchers made (their codes ``sealed``), orders lapsed, vouchers expired, mailed."""

    step: str = _one_of(STEPS)
    ref: str = _text()
    unit: int = _number(least=1, nullable=True)
    code: str = _form(CONCEALED, nullable=True)
    sealed: str = _text(nullable=True)
    valid_until: pl.Date = _day(nullable=True)
    value_date: pl.Date = _day()


class Deliveries(Records):
    """How goods fared on their way."""

    ref: str = _text()
    status: str = _one_of(DELIVERY_STATUSES)
    attempt: int = _number(least=1, nullable=True)
    value_date: pl.Date = _day()


class Quarantined(Records):
    """Rows that could not be accepted, each with its code."""

    code: str = _one_of([rule.value for rule in Rule])
    field: str = _text(nullable=True)
    raw: bytes = pa.Field()
    points: int = _points(nullable=True)

    @pa.check("raw", name="raw_is_short", n_failure_cases=CASES_MAX)
    def raw_is_short(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col(data.key).bin.size() <= RAW_BYTES_MAX)


class Control(Table):
    """What a file says of itself beside what its records add up to."""

    name: str = _form("^(records|points)_[a-z0-9_]+( of group [0-9]+)?$")
    declared: int = pa.Field()
    computed: int = pa.Field()
    holds: bool = pa.Field()


MODELS: Final[dict[FeedKind, type[Table]]] = {
    FeedKind.REQUESTS: Requests,
    FeedKind.HANDBACK: Handback,
    FeedKind.ACTIVITY: Activity,
    FeedKind.OPENING: Opening,
    FeedKind.CALENDAR: Calendar,
    FeedKind.RATES: Rates,
    FeedKind.DECISIONS: Decisions,
    FeedKind.APPROVALS: Approvals,
    FeedKind.MEMBERS: Members,
    FeedKind.GL_BALANCES: GlBalances,
    FeedKind.COMPANIES: Companies,
    FeedKind.RECHARGES: Recharges,
    FeedKind.BUDGETS: Budgets,
    FeedKind.BULK_UPLOAD: BulkUpload,
    FeedKind.CATALOGUE: Catalogue,
    FeedKind.VOUCHER_ORDERS: VoucherOrders,
    FeedKind.VOUCHER_PAYMENTS: VoucherPayments,
    FeedKind.VOUCHER_FULFILMENT: VoucherFulfilment,
    FeedKind.VOUCHERS: Vouchers,
    FeedKind.DELIVERIES: Deliveries,
}
"""The accepted rows of each kind."""
