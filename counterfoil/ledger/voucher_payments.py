"""What a payments file does to the book: orders are paid; those from stock are issued there and then.

Here: the orders that payments name, and the rows that each payment leads to. Not here: which payments count
(``reconcile.payments``), or vouchers that are made or bought once an order is paid (``voucher_steps``,
``voucher_fulfilment``). A payment that comes before its order waits for it; the program then takes the step.
"""

from typing import Final

import polars as pl

from counterfoil.ledger import catalogue, posting, voucher_books
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, Action, BreakCode, Disposition, Event, State
from counterfoil.ledger.names import Names
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work
from counterfoil.money import in_minor
from counterfoil.reconcile import breaks, payments

_BECOMES = {
    Event.PAID.value: Disposition.SETTLED,
    Event.PAID_FROM_STOCK.value: Disposition.SETTLED,
    Event.PAYMENT_UNKNOWN.value: Disposition.OPEN_THEIRS,
    Event.PAYMENT_KNOWN.value: Disposition.DUPLICATE,
    Event.PAYMENT_DIFFERS.value: Disposition.INFORMATION,
    Event.PAYMENT_LATE.value: Disposition.INFORMATION,
    Event.PAYMENT_USED.value: Disposition.INFORMATION,
}

_BREAKS = {
    Event.PAYMENT_UNKNOWN.value: BreakCode.UNKNOWN_THEIRS,
    Event.PAYMENT_KNOWN.value: BreakCode.DUPLICATE_THEIRS,
    Event.PAYMENT_DIFFERS.value: BreakCode.POINTS_DIFFER,
    Event.PAYMENT_LATE.value: BreakCode.CONFLICT,
    Event.PAYMENT_USED.value: BreakCode.CONFLICT,
}

PAID: Final = [Event.PAID.value, Event.PAID_FROM_STOCK.value]
"""What a payment is that pays its order."""

_COUNTS: Final = f"""(p.event IN ({Event.PAID:d}, {Event.PAID_FROM_STOCK:d}) OR (p.file_id, p.line_no) IN (
    SELECT (b.file_id, b.line_no) FROM book.decision d JOIN book.break b ON b.break_id = d.break_id
    WHERE d.action = {Action.PAY:d}))"""
"""A condition on a row ``p`` of ``voucher_payment``: it paid an order, by itself or because a person counted it."""

CLEARED = [BreakCode.POINTS_DIFFER.value, BreakCode.MONEY_DIFFERS.value]
"""What another sum than the order's opened, and the right one closes."""


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one payments file."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    partner_id = names.partner(work.feed.partner)
    ids = {company: names.partner(company) for company in work.accepted["company"].drop_nulls().unique().sort()}
    payer = pl.col("company").replace_strict(ids, default=partner_id, return_dtype=pl.Int32)
    minor = in_minor(pl.col("money"), pl.col("currency"), work.feed.places("money"))
    rows = work.accepted.with_columns(company_id=payer, money=minor)
    known = voucher_books.orders(book, rows["ref"]).with_columns(due_currency="currency")
    told = payments.judged(rows, known, _before(book, rows))
    counted = paying(told.filter(pl.col("event").is_in(PAID)), book, work, names, own=True)
    others = told.filter(~pl.col("event").is_in(PAID))
    return posting.merged(
        [
            counted,
            posting.changes(
                {
                    "voucher_payment": _payments(others, work),
                    "disposition": voucher_books.dispositions(told, work, _BECOMES),
                    **names.rows(),
                },
                breaking=_breaks(others),
            ),
        ]
    )


def paying(paid: pl.DataFrame, book: Lookups, work: Work, names: Names, *, own: bool) -> posting.Changes:
    """What becomes of orders that rows pay (``payments.judged``, PAID or PAID_FROM_STOCK); those from stock are issued.

    ``own``: the records of the file are the payments.
    """
    issued = paid.filter(pl.col("event") == Event.PAID_FROM_STOCK.value)
    waiting = paid.filter(pl.col("event") == Event.PAID.value)
    return posting.changes(
        {
            "voucher_payment": _payments(paid, work),
            "item_change": waiting.with_columns(
                state=pl.lit(State.PAID.value), remaining="order_points", file_id=pl.lit(work.file_id)
            ),
            "settled_key": voucher_books.settled(
                issued.with_columns(state=pl.lit(State.CONFIRMED.value), confirmed="order_points"), work
            ),
            "voucher_change": from_stock(issued, book, work),
            "entry": voucher_books.entries(issued.with_columns(moved="order_points"), work, names, own=own),
        },
        closed=issued.select("item_id"),
        clearing=voucher_books.open_breaks_of(book, paid["item_id"]).filter(pl.col("code").is_in(CLEARED)),
    )


def met(book: Lookups, refs: pl.Series) -> pl.DataFrame:
    """Payments that came before the orders of these references, one an order that they pay: ``payments.judged``, and
    ``breaks``, those that keep it, and the same told again, waiting. Once they close, a payment waits no more."""
    orders = voucher_books.orders(book, refs).with_columns(due_currency="currency")
    # One transfer may stand for several orders of one file; what paid any other has paid.
    waiting = book.frame(
        f"""WITH counted AS (
                SELECT p.payment, p.company_id, p.ref FROM book.voucher_payment p WHERE {_COUNTS}
            )
            SELECT p.ref, p.company_id, p.payment, p.points, p.minor AS money, p.currency,
                   list(b.break_id ORDER BY b.break_id) AS breaks,
                   min({RECORD_SPAN} * CAST(p.file_id AS BIGINT) + p.line_no) AS line_no
            FROM book.open_break o JOIN book.break b ON b.break_id = o.break_id
            JOIN book.voucher_payment p ON p.file_id = b.file_id AND p.line_no = b.line_no AND p.item_id IS NULL
            SEMI JOIN wanted w ON w.ref = p.ref AND w.company_id = p.company_id
            WHERE o.code = {BreakCode.UNKNOWN_THEIRS:d} AND NOT EXISTS (
                SELECT 1 FROM counted u WHERE u.payment = p.payment AND u.company_id = p.company_id
                    AND NOT EXISTS (SELECT 1 FROM book.voucher_payment s
                                    WHERE s.file_id = p.file_id AND s.payment = p.payment AND s.ref = u.ref))
            GROUP BY ALL ORDER BY line_no""",
        wanted=orders.filter(pl.col("state") == State.PENDING.value).select("ref", "company_id"),
    )
    nothing = waiting.clear().with_columns(counts=pl.lit(value=True))
    paying_now = payments.judged(waiting, orders, nothing).filter(pl.col("event").is_in(PAID))
    # Of orders that wait under one transfer of several files, those of the first.
    of_file = pl.col("line_no") // RECORD_SPAN
    return paying_now.filter(of_file == of_file.min().over("company_id", "payment"))


def from_stock(issued: pl.DataFrame, book: Lookups, work: Work) -> pl.DataFrame:
    """The codes that were put aside for orders, issued. ``issued``: item_id, line_no, expiry_days, expiry_months."""
    return (
        voucher_books.vouchers_of(book, issued["item_id"])
        .select("voucher_id", "item_id", "valid_until")
        .join(issued.select("item_id", "line_no", "expiry_days", "expiry_months"), on="item_id")
        .with_columns(
            valid_until=pl.coalesce("valid_until", catalogue.expires(pl.lit(work.on_day))),
            state=pl.lit(State.ISSUED.value),
            file_id=pl.lit(work.file_id),
        )
    )


def _payments(told: pl.DataFrame, work: Work) -> pl.DataFrame:
    return posting.shaped(told.with_columns(minor="money", file_id=pl.lit(work.file_id)), TABLES["voucher_payment"])


def _before(book: Lookups, paid: pl.DataFrame) -> pl.DataFrame:
    """Payments under these references of their own that were told before, as they were told."""
    return book.frame(
        f"""SELECT DISTINCT p.company_id, p.ref, p.payment, p.points, p.minor AS money, p.currency, {_COUNTS} AS counts
            FROM book.voucher_payment p SEMI JOIN wanted w ON w.payment = p.payment ORDER BY ALL""",
        wanted=paid.select("payment").unique(),
    )


def _breaks(told: pl.DataFrame) -> pl.DataFrame:
    """B03 of a payment for no order of the company, B07 of a second one, B04 of other points and B05 of other money
    than the order costs, B11 of one for an order that has ended, or that paid another."""
    money = pl.col("money").is_not_null()
    differs = (pl.col("event") == Event.PAYMENT_DIFFERS.value) & money
    return breaks.opening(
        told,
        line_no="line_no",
        item_id="item_id",
        code=pl.when(differs)
        .then(pl.lit(BreakCode.MONEY_DIFFERS.value, pl.Int16))
        .otherwise(pl.col("event").replace_strict(_BREAKS, default=None, return_dtype=pl.Int16)),
        subject="ref",
        points_ours=pl.when(~money).then("due"),
        points_theirs="points",
        value_date="value_date",
        their_date="value_date",
        partner_id="company_id",
        at_once=pl.lit(value=False),
    )
