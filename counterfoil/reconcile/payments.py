"""Payments beside the orders that they name. Pure.

Here: the event of each payment. Not here: where orders come from, or what an event books (``ledger.voucher_payments``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger.model import Event, State

ORDER: Final = (
    "ref", "item_id", "state", "order_points", "unit_points", "denomination", "quantity", "supply", "supplier_id",
    "company_id", "source_account", "due_currency", "expiry_days", "expiry_months",
)  # fmt: skip
"""What a payment must be told of its order."""

_SAID: Final = ["company_id", "ref", "payment", "points", "money", "currency"]
"""Two records that agree in these tell of one payment."""


def judged(paid: pl.DataFrame, orders: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Add ``event`` and the order's columns (null where there is none), and ``due``: what the order costs in what was
    paid, minor units or points.

    A payment counts for orders of its ``company_id`` alone. ``orders``: ORDER, each reference once; ``known``: _SAID of
    payments that came before, and ``counts`` of those that paid. Of several payments in one file that would do, the
    first by its own reference does. One that came before, or whose order is paid already, is PAYMENT_KNOWN; one whose
    order ended unpaid is PAYMENT_LATE. What paid one order in an earlier file pays no other (PAYMENT_USED).
    """
    told = known.select(*_SAID).unique().with_columns(before=pl.lit(value=True))
    used = known.filter("counts").select("company_id", "payment").unique().with_columns(used=pl.lit(value=True))
    seen = (
        paid.join(orders.select(ORDER), on=["ref", "company_id"], how="left", maintain_order="left")
        .join(told, on=_SAID, how="left", nulls_equal=True, maintain_order="left")
        .join(used, on=["company_id", "payment"], how="left", maintain_order="left")
    )
    money = pl.col("money").is_not_null()
    due = pl.when(money).then(pl.col("denomination") * pl.col("quantity")).otherwise("order_points")
    in_money = pl.col("order_points") == 0
    covers = (
        pl.when(money)
        .then(in_money & (pl.col("money") == due) & (pl.col("currency") == pl.col("due_currency")))
        .otherwise(~in_money & (pl.col("points") == due))
    )
    open_now = pl.col("state") == State.PENDING.value
    elsewhere = pl.col("used") & pl.col("before").is_null()
    settles = open_now & covers & pl.col("before").is_null() & pl.col("used").is_null()
    first = (settles & (pl.col("payment") == pl.col("payment").filter(settles).min().over("ref"))) & (
        pl.col("line_no") == pl.col("line_no").filter(settles).min().over("ref", "payment")
    )
    done = pl.col("state").is_in([State.PAID.value, State.CONFIRMED.value, State.REVERSED.value])
    from_stock = pl.col("supply") == "stock"
    return seen.with_columns(due=due).with_columns(
        event=pl.when(pl.col("item_id").is_null())
        .then(_event(Event.PAYMENT_UNKNOWN))
        .when(first)
        .then(pl.when(from_stock).then(_event(Event.PAID_FROM_STOCK)).otherwise(_event(Event.PAID)))
        .when(pl.col("before") | settles | done)
        .then(_event(Event.PAYMENT_KNOWN))
        .when(elsewhere)
        .then(_event(Event.PAYMENT_USED))
        .when(open_now)
        .then(_event(Event.PAYMENT_DIFFERS))
        .otherwise(_event(Event.PAYMENT_LATE))
    )


def _event(event: Event) -> pl.Expr:
    return pl.lit(event.value, pl.Int16)
