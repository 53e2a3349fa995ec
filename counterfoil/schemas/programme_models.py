"""Pandera models of the programme's own files: companies, recharges, budgets, uploads, vouchers and goods.

Here: what must be true of these frames. Not here: partners' files (``models``), or routing rows (``rules``).
"""

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from counterfoil.schemas.kind_rules import ALERTS, COMPANY, CONCEALED, DENOMINATIONS, EMAIL, EXPIRY_MONTHS_MAX
from counterfoil.schemas.model_parts import (
    CASES_MAX,
    Records,
    day_field,
    form_field,
    number_field,
    one_of,
    points_field,
    text_field,
)
from counterfoil.schemas.tables import (
    BUDGET_CHANGES,
    BUDGET_LIMITS,
    DELIVERY_STATUSES,
    FULFILMENTS,
    STEPS,
    SUPPLIES,
    UNIT_CHANGES,
    UNITS,
    VOUCHER_TYPES,
)


class Companies(Records):
    """Companies, their departments and administrators; ``code`` is null for the company itself."""

    unit: str = one_of(UNITS)
    change: str = one_of(UNIT_CHANGES)
    company: str = form_field(COMPANY)
    code: str = text_field(nullable=True)
    name: str = text_field(nullable=True)
    value_date: pl.Date = day_field()


class Recharges(Records):
    """Points that a company has paid for; negative ones take a payment back."""

    company: str = form_field(COMPANY)
    ref: str = text_field()
    points: int = points_field()
    value_date: pl.Date = day_field()


class Budgets(Records):
    """Changes of budgets. ``limit`` says whether a budget refuses what is beyond it, or only warns."""

    change: str = one_of(BUDGET_CHANGES)
    company: str = form_field(COMPANY)
    budget: str = text_field()
    points: int = number_field(least=0)
    department: str = text_field(nullable=True)
    from_day: pl.Date = day_field(nullable=True)
    until_day: pl.Date = day_field(nullable=True)
    limit: str = pa.Field(nullable=True, isin=BUDGET_LIMITS, n_failure_cases=CASES_MAX)
    alerts: str = pa.Field(nullable=True, str_matches=ALERTS, n_failure_cases=CASES_MAX)
    value_date: pl.Date = day_field()


class BulkUpload(Records):
    """Points for people of a company; ``send_date`` is null for at once, ``expiry_months`` counts from it."""

    company: str = form_field(COMPANY)
    ref: str = text_field(nullable=True)
    name: str = text_field()
    email: str = form_field(EMAIL)
    points: int = number_field(least=1)
    country_code: str = text_field(nullable=True)
    mobile: str = text_field(nullable=True)
    citation: str = text_field(nullable=True)
    department: str = text_field(nullable=True)
    send_date: pl.Date = day_field(nullable=True)
    expiry_months: int = pa.Field(nullable=True, ge=1, le=EXPIRY_MONTHS_MAX, n_failure_cases=CASES_MAX)
    campaign: str = text_field(nullable=True)


class Catalogue(Records):
    """What can be ordered, one row a product: ``denominations`` in major units, apart by blanks, commas or semicolons;
    ``points_per_unit`` is the price of one of them."""

    product: str = text_field()
    name: str = text_field()
    currency: str = form_field("^[A-Z]{3}$")
    denominations: str = form_field(DENOMINATIONS)
    points_per_unit: int = number_field(least=0)
    quantity_max: int = number_field(least=1)
    type: str = one_of(VOUCHER_TYPES)
    supply: str = one_of(SUPPLIES)
    expiry_days: int = number_field(least=1, nullable=True)
    expiry_months: int = number_field(least=1, nullable=True)
    terms: str = text_field(nullable=True)
    instructions: str = text_field(nullable=True)
    effective_from: pl.Date = day_field()

    @pa.check("expiry_days", name="one_expiry_rule", n_failure_cases=CASES_MAX)
    def one_expiry_rule(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col(data.key).is_null() | pl.col("expiry_months").is_null())


class VoucherOrders(Records):
    """What was chosen from a catalogue; ``denomination`` in minor units. Points of 0: it is paid in money."""

    ref: str = text_field()
    product: str = text_field()
    denomination: int = number_field(least=1)
    quantity: int = number_field(least=1)
    member: str = text_field(nullable=True)
    email: str = form_field(EMAIL, nullable=True)
    points: int = number_field(least=0)
    value_date: pl.Date = day_field()

    @pa.check("email", name="somebody_gets_it", n_failure_cases=CASES_MAX)
    def somebody_gets_it(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col(data.key).is_not_null() | pl.col("member").is_not_null())


class VoucherPayments(Records):
    """What was paid for orders: points, or minor units of a currency. ``company``: whose order it is; null where it is
    the partner's own."""

    ref: str = text_field()
    payment: str = text_field()
    points: int = points_field(nullable=True)
    money: int = points_field(nullable=True)
    currency: str = form_field("^[A-Z]{3}$", nullable=True)
    value_date: pl.Date = day_field()
    company: str = form_field(COMPANY, nullable=True)

    @pa.check("payment", name="paid_in_one_of_both", n_failure_cases=CASES_MAX)
    def paid_in_one_of_both(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        money = pl.col("money").is_not_null()
        return data.lazyframe.select(
            (money == pl.col("points").is_null()) & (money == pl.col("currency").is_not_null())
        )


class VoucherFulfilment(Records):
    """What a supplier delivered, cancelled or paid back; a row without ``ref`` is a code for the stock. Codes and PINs
    are concealed: no table ever holds one."""

    ref: str = text_field(nullable=True)
    product: str = text_field()
    denomination: int = number_field(least=1)
    type: str = one_of(VOUCHER_TYPES)
    status: str = one_of(FULFILMENTS)
    code: str = form_field(CONCEALED, nullable=True)
    pin: str = form_field("^given$", nullable=True)
    quantity: int = number_field(least=1, nullable=True)
    valid_until: pl.Date = day_field(nullable=True)
    value_date: pl.Date = day_field()


class Vouchers(Records):
    """What the program itself did: vouchers made (their codes ``sealed``), orders lapsed, vouchers expired, mailed."""

    step: str = one_of(STEPS)
    ref: str = text_field()
    unit: int = number_field(least=1, nullable=True)
    code: str = form_field(CONCEALED, nullable=True)
    sealed: str = text_field(nullable=True)
    valid_until: pl.Date = day_field(nullable=True)
    value_date: pl.Date = day_field()


class Deliveries(Records):
    """How goods fared on their way."""

    ref: str = text_field()
    status: str = one_of(DELIVERY_STATUSES)
    attempt: int = number_field(least=1, nullable=True)
    value_date: pl.Date = day_field()
