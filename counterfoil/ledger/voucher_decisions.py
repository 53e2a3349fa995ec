"""Decisions on orders: counted as paid though another sum came, or given back before the supplier's money is.

Here: which of them fit, and the rows that they lead to beside those of every decision. Not here: the file as a whole
(``decisions``). Neither can be taken back: codes may be out, and a member has been told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.ledger import posting, voucher_books, voucher_payments
from counterfoil.ledger.fitting import ACTIONS, acting, require_fit
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action, BreakCode, Disposition, Event, ItemKind, State
from counterfoil.ledger.names import Names
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work

ON_ORDERS: Final = (Action.PAY, Action.CREDIT)

_ANOTHER_SUM: Final = [BreakCode.POINTS_DIFFER.value, BreakCode.MONEY_DIFFERS.value]
_STANDING: Final = [State.PAID.value, State.REFUND_DUE.value]


@dataclass(frozen=True, eq=False)
class OnOrders:
    """``concerned``: ``decisions.CONCERNED``; ``done``: the shape of ``fitting.plain``; ``rows``: more, by table."""

    concerned: pl.DataFrame
    done: pl.DataFrame
    rows: Mapping[str, pl.DataFrame]


def composed(work: Work, book: Lookups, names: Names) -> OnOrders:
    """Decisions on the breaks of orders; raises DECISION_UNFIT when one does not fit."""
    rows = acting(work, *ON_ORDERS)
    judged = _judged(rows, book)
    fitting = judged.filter((pl.col("points") == pl.col("moves")) & ~pl.col("item_id").is_duplicated())
    require_fit(
        rows, rows["line_no"].is_in(fitting["line_no"].implode()), "an order that the action fits, and its points"
    )
    done = fitting.with_columns(
        theirs_id=pl.lit(None, pl.Int64),
        action=pl.col("action").replace_strict(ACTIONS, return_dtype=pl.Int16),
        disposition=pl.lit(Disposition.SETTLED.value),
        value_date=pl.lit(work.on_day),
        was_open=pl.lit(value=True),
    )
    waiting = done.filter(pl.col("event") == Event.PAYMENT_TAKEN.value)
    moved = done.filter(pl.col("event") != Event.PAYMENT_TAKEN.value).with_columns(moved="moves")
    stocked = done.filter(pl.col("event") == Event.PAID_FROM_STOCK.value)
    file_id = pl.lit(work.file_id)
    return OnOrders(
        concerned=done,
        done=done,
        rows={
            "entry": voucher_books.entries(moved, work, names, own=True),
            "item_change": waiting.with_columns(
                state=pl.lit(State.PAID.value), remaining="order_points", file_id=file_id
            ),
            "voucher_change": posting.shaped(
                voucher_payments.from_stock(stocked, book, work), TABLES["voucher_change"]
            ),
            "voucher_cancel": _given_up(done.filter(pl.col("event") == Event.ORDER_REFUNDED.value), book, work),
        },
    )


def moves(rows: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """What decisions on orders would move: line_no, action, moves, and in money minor?; of ``rows`` (line_no, action,
    subject) those that fit."""
    of_orders = rows.filter(pl.col("action").is_in([action.name.lower() for action in ON_ORDERS]))
    return _judged(of_orders, book).select("line_no", "action", "moves", "minor")


def _judged(rows: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """Rows with the order that their break is about, ``event``, ``moves`` (points; null where the action does not fit),
    ``minor`` (the price of an order in money), next_state and confirmed."""
    breaks = book.frame(
        f"""SELECT r.line_no, b.break_id, b.code, b.partner_id, i.ref AS order_ref FROM rows r
            JOIN book.open_break b ON b.break_id = r.subject
            JOIN book.item i ON i.item_id = b.item_id AND i.kind = {ItemKind.ORDER:d}""",
        rows=rows.select("line_no", "subject"),
    )
    orders = voucher_books.orders(book, breaks["order_ref"])
    issued = voucher_books.vouchers_of(book, orders["item_id"]).filter(pl.col("state") != State.RESERVED.value)
    counted = issued.group_by("item_id").agg(issued=pl.len().cast(pl.Int64))
    known = (
        rows.join(breaks, on="line_no", maintain_order="left")
        .join(orders, left_on="order_ref", right_on="ref", maintain_order="left")
        .join(counted, on="item_id", how="left", maintain_order="left")
        .with_columns(pl.col("issued").fill_null(0))
    )
    another_sum = pl.col("code").is_in(_ANOTHER_SUM) & (pl.col("state") == State.PENDING.value)
    owed = (pl.col("supply") == "supplier") & pl.col("state").is_in(_STANDING)
    from_stock = pl.col("supply") == "stock"
    event = (
        pl.when((pl.col("action") == "pay") & another_sum & from_stock)
        .then(pl.lit(Event.PAID_FROM_STOCK.value, pl.Int16))
        .when((pl.col("action") == "pay") & another_sum)
        .then(pl.lit(Event.PAYMENT_TAKEN.value, pl.Int16))
        .when((pl.col("action") == "credit") & owed)
        .then(pl.lit(Event.ORDER_REFUNDED.value, pl.Int16))
    )
    return known.with_columns(event=event).with_columns(
        moves=pl.when(pl.col("event") == Event.ORDER_REFUNDED.value)
        .then("remaining")
        .when(pl.col("event").is_not_null())
        .then("order_points"),
        next_state=pl.when(pl.col("event") == Event.PAID_FROM_STOCK.value)
        .then(State.CONFIRMED.value)
        .when(pl.col("event") == Event.ORDER_REFUNDED.value)
        .then(pl.when(pl.col("issued") > 0).then(State.CONFIRMED.value).otherwise(State.REFUNDED.value))
        .cast(pl.Int16),
        confirmed=pl.when(pl.col("event") == Event.PAID_FROM_STOCK.value)
        .then("order_points")
        .otherwise(pl.col("issued") * pl.col("unit_points")),
        minor=pl.when(pl.col("order_points") == 0).then(pl.col("denomination") * pl.col("quantity")),
    )


def _given_up(refunded: pl.DataFrame, book: Lookups, work: Work) -> pl.DataFrame:
    """Rows of ``voucher_cancel``: vouchers that were still to come, or whose money was, count as paid back."""
    due = book.frame(
        f"""SELECT w.item_id, w.line_no, CAST(coalesce(sum(c.quantity), 0) AS INTEGER) AS gone,
                   CAST(coalesce(sum(c.quantity) FILTER (WHERE c.state = {State.REFUND_DUE:d}), 0) AS INTEGER) AS due
            FROM wanted w LEFT JOIN book.voucher_cancel c ON c.item_id = w.item_id GROUP BY w.item_id, w.line_no""",
        wanted=refunded.select("item_id", "line_no"),
    )
    counted = refunded.select("item_id", "quantity", "issued").join(due, on="item_id")
    owed = counted.with_columns(quantity=-pl.col("due"), state=pl.lit(State.REFUND_DUE.value))
    back = counted.with_columns(
        quantity=pl.col("quantity") - pl.col("issued") - pl.col("gone") + pl.col("due"),
        state=pl.lit(State.REFUNDED.value),
    )
    shown = ("item_id", "quantity", "state", "line_no")
    both = pl.concat([part.select(pl.col(name).cast(pl.Int64) for name in shown) for part in (owed, back)])
    return posting.shaped(
        both.filter(pl.col("quantity") != 0).with_columns(file_id=pl.lit(work.file_id)), TABLES["voucher_cancel"]
    )
