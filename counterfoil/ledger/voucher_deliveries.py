"""How goods fared on their way: attempts are told, deliveries noted, and what comes back is credited.

Here: the rows that each record of a deliveries file leads to. Not here: vouchers that go by mail (``voucher_steps``).
"""

import polars as pl

from counterfoil.ledger import posting, voucher_books
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, State
from counterfoil.ledger.names import Names
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks

_EVENTS = {
    "attempted": Event.DELIVERY_TRIED.value,
    "delivered": Event.DELIVERED.value,
    "returned": Event.CREDITED.value,
}

_BECOMES = {
    Event.DELIVERY_TRIED.value: Disposition.INFORMATION,
    Event.DELIVERED.value: Disposition.INFORMATION,
    Event.CREDITED.value: Disposition.REVERSED,
    Event.DELIVERY_KNOWN.value: Disposition.DUPLICATE,
    Event.DELIVERY_UNKNOWN.value: Disposition.OPEN_THEIRS,
}

_BREAKS = {
    Event.DELIVERY_UNKNOWN.value: BreakCode.UNKNOWN_THEIRS,
    Event.DELIVERY_KNOWN.value: BreakCode.DUPLICATE_THEIRS,
}


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one deliveries file. Goods that come back are paid for no longer: their points return."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    partner_id = names.partner(work.feed.partner)
    orders = voucher_books.orders(book, work.accepted["ref"])
    vouchers = voucher_books.vouchers_of(book, orders["item_id"])
    # A supplier tells of its own goods alone.
    own = orders.filter(pl.col("supplier_id") == partner_id)
    told = _judged(work.accepted.join(own, on="ref", how="left", maintain_order="left"), vouchers)
    credited, arrived = (told.filter(pl.col("event") == event.value) for event in (Event.CREDITED, Event.DELIVERED))
    known = vouchers.select("voucher_id", "item_id", "valid_until")
    back = known.join(credited.select("item_id", "line_no"), on="item_id")
    there = known.join(arrived.select("item_id", "line_no"), on="item_id")
    ended = voucher_books.settled(credited.with_columns(state=pl.lit(State.REVERSED.value)), work)
    return posting.changes(
        {
            "voucher_change": pl.concat(
                [
                    voucher_books.changed(there, work, State.DELIVERED),
                    voucher_books.changed(back, work, State.RETURNED),
                ]
            ),
            "settled_key": ended.with_columns(reversed="confirmed"),
            "disposition": voucher_books.dispositions(told.with_columns(points=pl.lit(0)), work, _BECOMES),
            "entry": voucher_books.entries(credited.with_columns(moved="confirmed"), work, names),
            **names.rows(),
        },
        breaking=breaks.opening(
            told.filter(pl.col("event").is_in(list(_BREAKS))),
            line_no="line_no",
            item_id="item_id",
            code=pl.col("event").replace_strict(_BREAKS, default=None, return_dtype=pl.Int16),
            subject="ref",
            value_date="value_date",
            their_date="value_date",
            partner_id=pl.lit(partner_id),
            at_once=pl.lit(value=False),
        ),
    )


def _judged(rows: pl.DataFrame, vouchers: pl.DataFrame) -> pl.DataFrame:
    """Rows with their event. What came back once comes back no more, and what is there is brought no more; of several
    rows that say so in one file the first counts. An order that waits for more of its goods is not credited yet."""
    by_order = vouchers.group_by("item_id").agg(
        unsent=(pl.col("state") == State.ISSUED.value).any(), gone=(pl.col("state") == State.RETURNED.value).any()
    )
    seen = rows.join(by_order, on="item_id", how="left", maintain_order="left")
    ended = pl.col("state").is_in([State.CONFIRMED.value, State.REVERSED.value])
    sent = pl.col("unsent").is_not_null() & (ended | (pl.col("status") != "returned"))
    goods = (pl.col("type") == "goods") & sent
    returned = (pl.col("status") == "returned").any().over("ref")
    first = pl.col("line_no") == pl.col("line_no").min().over("ref", "status")
    open_now = (
        pl.when(pl.col("status") == "returned")
        .then(~pl.col("gone") & first)
        .when(pl.col("status") == "delivered")
        .then(pl.col("unsent") & first & ~returned)
        .otherwise(~pl.col("gone"))
    )
    return seen.with_columns(
        item_id=pl.when(goods).then("item_id"),
        event=pl.when(~goods.fill_null(value=False))
        .then(pl.lit(Event.DELIVERY_UNKNOWN.value, pl.Int16))
        .when(open_now)
        .then(pl.col("status").replace_strict(_EVENTS, return_dtype=pl.Int16))
        .otherwise(pl.lit(Event.DELIVERY_KNOWN.value, pl.Int16)),
    )
