"""A supplier's rows beside what was ordered: as many as ordered, fewer, or more; and what it pays back. Pure.

Here: the event of each row, and how each order stands afterwards. Not here: where orders come from, codes, or what an
event books (``ledger.voucher_fulfilment``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger.model import Event, State

EVENTS: Final = {
    "delivered": Event.VOUCHER_ISSUED,
    "cancelled": Event.ORDER_CANCELLED,
    "refund_failed": Event.REFUND_FAILED,
    "refunded": Event.REFUND_CAME,
}
"""What a row is that fits its order."""

STANDING: Final = [State.PAID.value, State.REFUND_DUE.value]
"""States of orders that a supplier still has something to say about."""


def judged(rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``event``, ``units`` (vouchers that a row speaks of) and ``too_many``.

    ``rows``: line_no, ref, product, denomination, type, status, quantity, supplier_id, and of the order (all null where
    there is none) state, order_product, order_denomination, order_type, order_supplier, order_supply, outstanding (not
    delivered or cancelled yet) and refund_due (cancelled, and our money not back). All rows of an order count or none
    does: one of another product, or more units than are outstanding, is no reason to guess which of them are right.
    """
    status = pl.col("status")
    units = pl.when(status == "delivered").then(pl.lit(1, pl.Int64)).otherwise("quantity")
    named = rows.with_columns(units=units)
    ending = pl.when(status != "refunded").then("units").otherwise(0).sum().over("ref")
    back = pl.when(status == "refunded").then("units").otherwise(0).sum().over("ref")
    alike = (
        (pl.col("product") == pl.col("order_product"))
        & (pl.col("denomination") == pl.col("order_denomination"))
        & (pl.col("type") == pl.col("order_type"))
        & (pl.col("supplier_id") == pl.col("order_supplier"))
        & (pl.col("order_supply") == "supplier")
        & pl.col("state").is_in(STANDING)
    )
    within = (ending <= pl.col("outstanding")) & (back <= pl.col("refund_due"))
    fits = (alike & within).all().over("ref")
    event = status.replace_strict({name: event.value for name, event in EVENTS.items()}, return_dtype=pl.Int16)
    return named.with_columns(
        too_many=(~within & alike).fill_null(value=False),
        event=pl.when(pl.col("state").is_null())
        .then(pl.lit(Event.FULFILMENT_UNKNOWN.value, pl.Int16))
        .when(fits)
        .then(event)
        .otherwise(pl.lit(Event.FULFILMENT_DIFFERS.value, pl.Int16)),
    )


def afterwards(fitting: pl.DataFrame) -> pl.DataFrame:
    """How orders stand after rows that fit them, one row an order: item_id, line_no (of the last), state, remaining,
    confirmed, outstanding, refund_due, and was_due.

    ``fitting``: ``judged`` with item_id, remaining, unit_points and issued (vouchers of the order before). The state is
    PAID while more is to come, REFUND_DUE while only money is; else CONFIRMED, or REFUNDED where nothing was issued.
    """

    def units(*statuses: str) -> pl.Expr:
        return pl.when(pl.col("status").is_in(statuses)).then("units").otherwise(0).sum()

    summed = fitting.group_by("item_id").agg(
        pl.col("line_no").max(),
        pl.col("remaining", "unit_points", "outstanding", "issued").first(),
        was_due=pl.col("refund_due").first(),
        delivered=units("delivered"),
        settling=units("delivered", "cancelled", "refunded"),
        ending=units("delivered", "cancelled", "refund_failed"),
        owed=units("refund_failed") - units("refunded"),
    )
    counted = summed.with_columns(
        outstanding=pl.col("outstanding") - pl.col("ending"),
        refund_due=pl.col("was_due") + pl.col("owed"),
        issued=pl.col("issued") + pl.col("delivered"),
        remaining=pl.col("remaining") - pl.col("unit_points") * pl.col("settling"),
    )
    return (
        counted.with_columns(
            state=pl.when(pl.col("outstanding") > 0)
            .then(State.PAID.value)
            .when(pl.col("refund_due") > 0)
            .then(State.REFUND_DUE.value)
            .when(pl.col("issued") > 0)
            .then(State.CONFIRMED.value)
            .otherwise(State.REFUNDED.value),
            confirmed=pl.col("issued") * pl.col("unit_points"),
        )
        .select("item_id", "line_no", "state", "remaining", "confirmed", "outstanding", "refund_due", "was_due")
        .sort("item_id")
    )
