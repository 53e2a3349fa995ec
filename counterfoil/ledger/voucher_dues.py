"""What is due of orders: payments that waited, vouchers to be made, orders to lapse, vouchers to end, orders for
suppliers; and their status.

Here: reads of the book for what the program does next, and for people who look. Not here: doing it
(``steps.vouchers``, ``steps.supplier_orders``).
"""

from datetime import date
from typing import Final

import polars as pl

from counterfoil.ledger import voucher_books, voucher_payments
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Event, ItemKind, State

ORDERS: Final = (
    "reference", "company", "supplier", "product", "denomination", "currency", "quantity", "points", "status", "issued",
    "delivered", "redeemed", "expired", "refund_due", "ordered_on", "due",
)  # fmt: skip
"""Columns of a list of orders."""

STATUSES: Final = ("pending", "paid", "issued", "delivered", "redeemed", "expired", "cancelled", "refunded")

_WORDS: Final = {
    State.PENDING.value: "pending",
    State.PAID.value: "paid",
    State.REFUND_DUE.value: "cancelled",
    State.CONFIRMED.value: "issued",
    State.REFUNDED.value: "refunded",
    State.REVERSED.value: "refunded",
    State.WITHDRAWN.value: "cancelled",
}
"""Where an order stands, in words; one that is issued goes on with its vouchers."""


def to_pay(book: Lookups) -> pl.DataFrame:
    """Orders whose payment came before them: ref."""
    named = book.frame(
        f"""SELECT DISTINCT o.ref FROM book.open_break b
            JOIN book.open_item o ON o.ref = b.subject AND o.partner_id = b.partner_id AND o.kind = {ItemKind.ORDER:d}
                AND o.state = {State.PENDING:d}
            WHERE b.code = {BreakCode.UNKNOWN_THEIRS:d}"""
    )
    return voucher_payments.met(book, named["ref"]).select("ref").sort("ref")


def to_make(book: Lookups) -> pl.DataFrame:
    """Paid orders whose codes are made here, in their order: ref, quantity, expiry_days, expiry_months."""
    return book.frame(
        f"""SELECT o.ref, v.quantity, p.expiry_days, p.expiry_months
            FROM book.open_item o JOIN book.voucher_order v ON v.item_id = o.item_id AND v.supply = 'generated'
            JOIN book.product p ON p.file_id = v.product_file AND p.line_no = v.product_line
            WHERE o.kind = {ItemKind.ORDER:d} AND o.state = {State.PAID:d} ORDER BY o.item_id"""
    )


def to_lapse(book: Lookups, day: date) -> pl.DataFrame:
    """Orders that nobody has paid by the end of the day after the last one for it: ref. Payments of a day are often
    told on the next."""
    return book.frame(
        f"""SELECT ref FROM book.open_item WHERE kind = {ItemKind.ORDER:d} AND state = {State.PENDING:d}
              AND due_date < DATE '{day}' ORDER BY item_id"""
    )


def to_end(book: Lookups, day: date) -> pl.DataFrame:
    """Vouchers whose last day is over and that nobody used: ref, code (concealed)."""
    return book.frame(
        f"""SELECT i.ref, concat(v.digest, ':', v.tail) AS code
            FROM book.open_voucher l JOIN book.voucher v ON v.voucher_id = l.voucher_id
            JOIN book.item i ON i.item_id = l.item_id
            WHERE l.state IN ({State.ISSUED:d}, {State.DELIVERED:d}) AND l.valid_until <= DATE '{day}'
              AND v.digest IS NOT NULL ORDER BY v.voucher_id"""
    )


def for_suppliers(book: Lookups, after: int) -> pl.DataFrame:
    """Paid orders that their supplier must fill, of postings after a number: posting, supplier, ref, product,
    denomination, currency, quantity, type; by posting, supplier and reference."""
    return book.frame(
        f"""SELECT CAST(d.file_id AS BIGINT) AS posting, s.partner AS supplier, i.ref, v.product, v.denomination,
                   p.currency, CAST(v.quantity AS BIGINT) AS quantity, v.type
            FROM book.disposition d JOIN book.voucher_order v ON v.item_id = d.item_id AND v.supply = 'supplier'
            JOIN book.item i ON i.item_id = d.item_id JOIN book.partner s ON s.partner_id = v.supplier_id
            JOIN book.product p ON p.file_id = v.product_file AND p.line_no = v.product_line
            WHERE d.file_id > {after} AND d.event IN ({Event.PAID:d}, {Event.PAYMENT_TAKEN:d})
            ORDER BY d.file_id, s.partner, i.ref"""
    )


def orders(book: Lookups) -> pl.DataFrame:
    """Every order with its status: ORDERS, oldest first. The status is pending, paid, issued, delivered, redeemed,
    expired, cancelled or refunded; of several vouchers, what the least of them has come to."""
    refs = book.frame(f"SELECT ref FROM book.item WHERE kind = {ItemKind.ORDER:d}")["ref"]
    known = voucher_books.orders(book, refs)
    counted = _counted(voucher_books.vouchers_of(book, known["item_id"]))
    told = book.frame(
        f"""SELECT k.item_id, c.partner AS company, s.partner AS supplier, i.value_date AS ordered_on,
                   i.due_date AS due, CAST(coalesce(g.due, 0) AS BIGINT) AS refund_due
            FROM known k JOIN book.item i ON i.item_id = k.item_id JOIN book.partner c ON c.partner_id = k.company_id
            JOIN book.partner s ON s.partner_id = k.supplier_id LEFT JOIN (
                SELECT item_id, sum(quantity) AS due FROM book.voucher_cancel WHERE state = {State.REFUND_DUE:d}
                GROUP BY item_id
            ) g ON g.item_id = k.item_id""",
        known=known,
    )
    out = pl.col("issued") + pl.col("delivered") + pl.col("redeemed") + pl.col("expired")
    further = (
        pl.when(pl.col("issued") > 0)
        .then(pl.lit("issued"))
        .when(pl.col("delivered") > 0)
        .then(pl.lit("delivered"))
        .when(pl.col("redeemed") > 0)
        .then(pl.lit("redeemed"))
        .otherwise(pl.lit("expired"))
    )
    status = pl.col("state").replace_strict(_WORDS, return_dtype=pl.String)
    return (
        known.join(told, on="item_id", maintain_order="left")
        .join(counted, on="item_id", how="left", maintain_order="left")
        .with_columns(pl.col("issued", "delivered", "redeemed", "expired").fill_null(0))
        .with_columns(status=pl.when((status == "issued") & (out > 0)).then(further).otherwise(status))
        .rename({"ref": "reference", "order_points": "points"})
        .select(ORDERS)
    )


def _counted(vouchers: pl.DataFrame) -> pl.DataFrame:
    """Vouchers of each order by where they stand."""
    states = (State.ISSUED, State.DELIVERED, State.REDEEMED, State.EXPIRED)
    return vouchers.group_by("item_id").agg(
        **{state.name.lower(): (pl.col("state") == state.value).sum().cast(pl.Int64) for state in states}
    )
