"""What the program itself did to orders and vouchers, as it landed it: made codes, let orders lapse, sent mail.

Here: the rows that each step leads to; a step that is done already, or that something else overtook, does nothing, so
that two runs at once do no harm. Not here: which steps are due, or making codes (``steps.vouchers``).
"""

import polars as pl

from counterfoil.ledger import posting, voucher_books, voucher_payments
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, State
from counterfoil.ledger.names import Names
from counterfoil.ledger.work import Work

_EVENTS = {
    "issue": Event.VOUCHER_ISSUED,
    "lapse": Event.LAPSED,
    "expire": Event.VOUCHER_EXPIRED,
    "deliver": Event.DELIVERED,
    "resend": Event.RESENT,
}

_BECOMES = {
    Event.PAID.value: Disposition.SETTLED,
    Event.PAID_FROM_STOCK.value: Disposition.SETTLED,
    Event.VOUCHER_ISSUED.value: Disposition.SETTLED,
    Event.LAPSED.value: Disposition.REVERSED,
    Event.VOUCHER_EXPIRED.value: Disposition.INFORMATION,
    Event.DELIVERED.value: Disposition.INFORMATION,
    Event.RESENT.value: Disposition.INFORMATION,
    Event.STEP_KNOWN.value: Disposition.DUPLICATE,
}

_OUT = [State.ISSUED.value, State.DELIVERED.value]
"""States of vouchers that somebody may still use."""


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one file of steps."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    names.partner(work.feed.partner)
    voucher_books.require_unused(work.accepted.filter(pl.col("step") == "issue")["code"], work, book)
    orders = voucher_books.orders(book, work.accepted["ref"])
    vouchers = voucher_books.vouchers_of(book, orders["item_id"])
    told = _judged(work.accepted.join(orders, on="ref", how="left", maintain_order="left"), vouchers)
    told, paid = _paid(told, book)
    issued, lapsed = (told.filter(pl.col("event") == event.value) for event in (Event.VOUCHER_ISSUED, Event.LAPSED))
    ended = pl.concat(
        [
            issued.group_by("item_id").agg(
                pl.col("line_no").max(), state=pl.lit(State.CONFIRMED.value), confirmed=pl.col("order_points").first()
            ),
            lapsed.select("item_id", "line_no", state=pl.lit(State.WITHDRAWN.value), confirmed=pl.lit(0, pl.Int64)),
        ]
    ).sort("item_id")
    moved = pl.concat([issued.with_columns(moved="unit_points"), lapsed.with_columns(moved="remaining")])
    of_payments = voucher_payments.paying(paid, book, work, names, own=False)
    of_steps = posting.changes(
        {
            "voucher": voucher_books.made(issued, work),
            "voucher_change": _changes(told, vouchers, work),
            "settled_key": voucher_books.settled(ended, work),
            "disposition": voucher_books.dispositions(told.with_columns(points=pl.lit(0)), work, _BECOMES),
            "entry": voucher_books.entries(moved.sort("line_no"), work, names).sort("transfer_id", "leg"),
            **names.rows(),
        },
        closed=ended.select("item_id"),
        clearing=paid.select(break_id="breaks", code=pl.lit(BreakCode.UNKNOWN_THEIRS.value)).explode("break_id"),
    )
    return posting.merged([of_payments, of_steps])


def _paid(told: pl.DataFrame, book: Lookups) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Steps with the events of those that pay, and those with the payment that had waited; of two rows about one order
    the first counts."""
    asked = told.filter(pl.col("step") == "pay").unique("ref", keep="first", maintain_order=True)
    met = voucher_payments.met(book, asked["ref"]).drop("line_no")
    paid = asked.select("line_no", "ref", "value_date").join(met, on="ref", maintain_order="left")
    events = paid.select("line_no", paying="event")
    named = told.join(events, on="line_no", how="left", maintain_order="left")
    return named.with_columns(event=pl.coalesce("paying", "event")).drop("paying"), paid


def _judged(rows: pl.DataFrame, vouchers: pl.DataFrame) -> pl.DataFrame:
    """Rows with their event: that of their step while it is due, else STEP_KNOWN."""
    out = vouchers.filter(pl.col("state").is_in(_OUT))
    unsent = out.filter(pl.col("state") == State.ISSUED.value)
    step, state = pl.col("step"), pl.col("state")
    whole = (pl.len().over("ref", "step") == pl.col("quantity")) & (pl.col("supply") == "generated")
    first = pl.col("line_no") == pl.col("line_no").min().over("ref", "step", "code")
    expiring = pl.struct("item_id", digest=pl.col("code").str.slice(0, 64)).is_in(
        out.select(pl.struct("item_id", "digest")).to_series().implode()
    )
    due = (
        pl.when(step == "issue")
        .then((state == State.PAID.value) & whole)
        .when(step == "lapse")
        .then((state == State.PENDING.value) & first)
        .when(step == "expire")
        .then(expiring & first)
        # What pays is judged beside the payments (``_paid``).
        .when(step == "pay")
        .then(pl.lit(value=False))
        .when(step == "deliver")
        .then(pl.col("item_id").is_in(unsent["item_id"].implode()) & first)
        .otherwise(pl.col("item_id").is_in(out["item_id"].implode()) & first)
    )
    event = step.replace_strict({name: event.value for name, event in _EVENTS.items()}, return_dtype=pl.Int16)
    known = pl.lit(Event.STEP_KNOWN.value, pl.Int16)
    return rows.with_columns(event=pl.when(due.fill_null(value=False)).then(event).otherwise(known))


def _changes(told: pl.DataFrame, vouchers: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Vouchers made, put back into the stock, expired and delivered."""

    def of(event: Event) -> pl.DataFrame:
        return told.filter(pl.col("event") == event.value)

    made = of(Event.VOUCHER_ISSUED).with_columns(voucher_id=posting.record_id(work.file_id, "line_no"))
    known = vouchers.select("voucher_id", "item_id", "valid_until", "digest", "state")
    back = known.join(of(Event.LAPSED).select("item_id", "line_no"), on="item_id").with_columns(
        item_id=pl.lit(None, pl.Int64)
    )
    ended = of(Event.VOUCHER_EXPIRED).select("item_id", "line_no", digest=pl.col("code").str.slice(0, 64))
    sent = of(Event.DELIVERED).select("item_id", "line_no")
    unsent = known.filter(pl.col("state") == State.ISSUED.value)
    return pl.concat(
        [
            voucher_books.changed(made, work, State.ISSUED),
            voucher_books.changed(back, work, State.STOCKED),
            voucher_books.changed(known.join(ended, on=["item_id", "digest"]), work, State.EXPIRED),
            voucher_books.changed(unsent.join(sent, on="item_id"), work, State.DELIVERED),
        ]
    )
