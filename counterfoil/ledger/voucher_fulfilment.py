"""What a supplier's file does to the book: codes for orders and for the stock, cancellations, money back, redemptions.

Here: the orders, stock and vouchers that its rows name, and the rows that they lead to. Not here: how many an order
gets (``reconcile.fulfilment``). A code that ever came before refuses the file whole.
"""

import polars as pl

from counterfoil.ledger import catalogue, posting, voucher_books
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, State
from counterfoil.ledger.names import Names
from counterfoil.ledger.work import Work
from counterfoil.money import in_minor
from counterfoil.reconcile import breaks, fulfilment

_BECOMES = {
    Event.VOUCHER_ISSUED.value: Disposition.SETTLED,
    Event.STOCKED.value: Disposition.SETTLED,
    Event.ORDER_CANCELLED.value: Disposition.REVERSED,
    Event.REFUND_CAME.value: Disposition.REVERSED,
    Event.REFUND_FAILED.value: Disposition.HELD,
    Event.VOUCHER_REDEEMED.value: Disposition.INFORMATION,
    Event.STEP_KNOWN.value: Disposition.DUPLICATE,
    Event.VOUCHER_UNKNOWN.value: Disposition.OPEN_THEIRS,
    Event.FULFILMENT_UNKNOWN.value: Disposition.OPEN_THEIRS,
    Event.FULFILMENT_DIFFERS.value: Disposition.INFORMATION,
}

_BREAKS = {
    Event.FULFILMENT_UNKNOWN.value: BreakCode.UNKNOWN_THEIRS,
    Event.VOUCHER_UNKNOWN.value: BreakCode.UNKNOWN_THEIRS,
    Event.FULFILMENT_DIFFERS.value: BreakCode.CONFLICT,
    Event.REFUND_FAILED.value: BreakCode.WALLET_DIFFERS,
}

_FITTING = [event.value for event in fulfilment.EVENTS.values()]
_MOVED = [Event.VOUCHER_ISSUED.value, Event.ORDER_CANCELLED.value, Event.REFUND_CAME.value]
_USABLE = [State.ISSUED.value, State.DELIVERED.value]


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one fulfilment file; CODE_USED."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    supplier_id = names.partner(work.feed.partner)
    rows = work.accepted.with_columns(supplier_id=pl.lit(supplier_id, pl.Int32))
    used, stock = pl.col("status") == "redeemed", pl.col("ref").is_null()
    voucher_books.require_unused(rows.filter(pl.col("status") == "delivered")["code"], work, book)
    places = work.feed.places("denomination")
    told = fulfilment.judged(_ordered(rows.filter(~used & ~stock), book, places))
    stocked = _stocked(rows.filter(~used & stock), book, places)
    redeemed = _redeemed(rows.filter(used), book)
    after = fulfilment.afterwards(told.filter(pl.col("event").is_in(_FITTING)))
    ended = after.filter(~pl.col("state").is_in(fulfilment.STANDING))
    issued = told.filter(pl.col("event") == Event.VOUCHER_ISSUED.value)
    loaded = stocked.filter(pl.col("event") == Event.STOCKED.value)
    shown = ["line_no", "event", "item_id", "value_date"]
    every = pl.concat([part.select(shown) for part in (told, stocked, redeemed)]).sort("line_no")
    moved = told.filter(pl.col("event").is_in(_MOVED)).with_columns(moved=pl.col("unit_points") * pl.col("units"))
    file_id = pl.lit(work.file_id)
    return posting.changes(
        {
            "voucher": pl.concat([voucher_books.made(issued, work), voucher_books.made(loaded, work)]).sort(
                "voucher_id"
            ),
            "voucher_change": _changes(issued, loaded, redeemed, work),
            "voucher_cancel": _cancelled(told, work),
            "item_change": after.filter(pl.col("state").is_in(fulfilment.STANDING)).with_columns(file_id=file_id),
            "settled_key": voucher_books.settled(
                ended.with_columns(
                    confirmed=pl.when(pl.col("state") == State.CONFIRMED.value).then("confirmed").otherwise(0)
                ),
                work,
            ),
            "disposition": voucher_books.dispositions(every.with_columns(points=pl.lit(0)), work, _BECOMES),
            "entry": voucher_books.entries(moved, work, names).sort("transfer_id", "leg"),
            **names.rows(),
        },
        closed=ended.select("item_id"),
        breaking=pl.concat([_breaks(told, stocked, redeemed, work), _fewer(told, after, book)]),
        clearing=_cleared(after, book),
    )


def _ordered(rows: pl.DataFrame, book: Lookups, places: int | None) -> pl.DataFrame:
    """Rows with what the book knows of the orders they name, as ``fulfilment.judged`` takes them. Denominations were
    read with so many decimal ``places``."""
    orders = voucher_books.orders(book, rows["ref"])
    counted = book.frame(
        f"""WITH came AS (SELECT item_id, count(DISTINCT voucher_id) AS issued FROM book.voucher_change
                          SEMI JOIN wanted USING (item_id) GROUP BY item_id), gone AS (
                SELECT item_id, sum(quantity) AS cancelled,
                       sum(quantity) FILTER (WHERE state = {State.REFUND_DUE:d}) AS due
                FROM book.voucher_cancel SEMI JOIN wanted USING (item_id) GROUP BY item_id
            )
            SELECT w.item_id, CAST(coalesce(c.issued, 0) AS BIGINT) AS issued,
                   CAST(coalesce(g.cancelled, 0) AS BIGINT) AS cancelled,
                   CAST(coalesce(g.due, 0) AS BIGINT) AS refund_due
            FROM wanted w LEFT JOIN came c ON c.item_id = w.item_id LEFT JOIN gone g ON g.item_id = w.item_id""",
        wanted=orders.select("item_id"),
    )
    known = orders.join(counted, on="item_id").select(
        "ref", "item_id", "company_id", "source_account", "order_points", "state", "remaining", "unit_points", "issued",
        "refund_due", "expiry_days", "expiry_months", order_quantity="quantity", order_product="product",
        order_denomination="denomination", order_type="type", order_supplier="supplier_id", order_supply="supply",
        order_currency="currency",
        outstanding=pl.col("quantity") - pl.col("issued") - pl.col("cancelled"),
    )  # fmt: skip
    minor = in_minor(pl.col("denomination"), pl.col("order_currency"), places)
    # What is no whole number of minor units is no denomination of the order's.
    return rows.join(known, on="ref", how="left", maintain_order="left").with_columns(
        denomination=pl.when(pl.col("order_currency").is_null()).then("denomination").otherwise(minor.fill_null(0))
    )


def _stocked(rows: pl.DataFrame, book: Lookups, places: int | None) -> pl.DataFrame:
    """Rows for the stock: STOCKED where this supplier offers just that from stock."""
    named = rows.select("line_no", "product", "denomination", "value_date", of_supplier="supplier_id", of_type="type")
    same = (pl.col("supplier_id") == pl.col("of_supplier")) & (pl.col("type") == pl.col("of_type"))
    offered = catalogue.priced(named, book, places).select(
        "line_no", minor="denomination", fits=pl.col("offered") & (pl.col("supply") == "stock") & same
    )
    known = rows.join(offered, on="line_no", how="left", maintain_order="left")
    return known.with_columns(
        denomination=pl.coalesce("minor", "denomination"),
        item_id=pl.lit(None, pl.Int64),
        event=pl.when(pl.col("fits").fill_null(value=False))
        .then(pl.lit(Event.STOCKED.value, pl.Int16))
        .otherwise(pl.lit(Event.FULFILMENT_UNKNOWN.value, pl.Int16)),
    )


def _redeemed(rows: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """Rows about vouchers that were used, with the voucher: a second telling is STEP_KNOWN."""
    named = rows.drop("valid_until").with_columns(digest=pl.col("code").str.slice(0, 64))
    known = book.frame(
        f"""WITH named AS (SELECT v.* FROM book.voucher v SEMI JOIN wanted w ON w.digest = v.digest), last AS (
                {voucher_books.latest("SEMI JOIN named USING (voucher_id)")}
            )
            SELECT n.digest, n.supplier_id AS of_supplier, l.voucher_id, l.item_id, l.state, l.valid_until
            FROM named n JOIN last l ON l.voucher_id = n.voucher_id""",
        wanted=named.select("digest").unique(),
    )
    found = named.join(known, on="digest", how="left", maintain_order="left")
    first = pl.col("line_no") == pl.col("line_no").min().over("digest")
    # A use of its last day may be told after the day has closed.
    in_time = (pl.col("state") == State.EXPIRED.value) & (pl.col("value_date") <= pl.col("valid_until"))
    usable = (pl.col("state").is_in(_USABLE) | in_time) & (pl.col("of_supplier") == pl.col("supplier_id"))
    return found.with_columns(
        event=pl.when(usable & first)
        .then(pl.lit(Event.VOUCHER_REDEEMED.value, pl.Int16))
        .when(usable | (pl.col("state") == State.REDEEMED.value))
        .then(pl.lit(Event.STEP_KNOWN.value, pl.Int16))
        .otherwise(pl.lit(Event.VOUCHER_UNKNOWN.value, pl.Int16))
    )


def _changes(issued: pl.DataFrame, loaded: pl.DataFrame, redeemed: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Vouchers issued, laid into the stock and used."""
    made = {"voucher_id": posting.record_id(work.file_id, "line_no")}
    ends = pl.coalesce("valid_until", catalogue.expires(pl.lit(work.on_day)))
    return pl.concat(
        [
            voucher_books.changed(issued.with_columns(**made, valid_until=ends), work, State.ISSUED),
            voucher_books.changed(loaded.with_columns(**made), work, State.STOCKED),
            voucher_books.changed(
                redeemed.filter(pl.col("event") == Event.VOUCHER_REDEEMED.value), work, State.REDEEMED
            ),
        ]
    )


def _cancelled(told: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Rows of ``voucher_cancel``: what comes back is no longer due."""

    def rows(event: Event, state: State, sign: int) -> pl.DataFrame:
        return told.filter(pl.col("event") == event.value).select(
            "item_id",
            "line_no",
            quantity=pl.col("units") * sign,
            state=pl.lit(state.value),
            file_id=pl.lit(work.file_id),
        )

    return pl.concat(
        [
            rows(Event.ORDER_CANCELLED, State.REFUNDED, 1),
            rows(Event.REFUND_FAILED, State.REFUND_DUE, 1),
            rows(Event.REFUND_CAME, State.REFUND_DUE, -1),
            rows(Event.REFUND_CAME, State.REFUNDED, 1),
        ]
    )


def _breaks(told: pl.DataFrame, stocked: pl.DataFrame, redeemed: pl.DataFrame, work: Work) -> pl.DataFrame:
    """One break an order and code: B14 of what was cancelled without our money back, B04 of more than was ordered, B11
    of anything else that is not as ordered, B03 of what nobody ordered."""
    shown = ["line_no", "event", "item_id", "value_date", "supplier_id", "ref"]
    nothing = {name: pl.lit(None, pl.Int64) for name in ("order_points", "points")}
    sums = [*shown, *nothing, "too_many"]
    of_orders = told.with_columns(points=pl.col("unit_points") * pl.col("units").sum().over("ref"))
    others = [part.with_columns(**nothing, too_many=pl.lit(value=False)) for part in (stocked, redeemed)]
    parts = [part.select(sums) for part in (of_orders, *others)]
    opening = pl.concat(parts).filter(pl.col("event").is_in(list(_BREAKS)))
    coded = opening.with_columns(
        subject=pl.coalesce("ref", pl.format(f"?{work.file_id}:{{}}", "line_no")),
        code=pl.when((pl.col("event") == Event.FULFILMENT_DIFFERS.value) & pl.col("too_many"))
        .then(pl.lit(BreakCode.POINTS_DIFFER.value, pl.Int16))
        .otherwise(pl.col("event").replace_strict(_BREAKS, default=None, return_dtype=pl.Int16)),
    ).unique(["subject", "code"], keep="first", maintain_order=True)
    return breaks.opening(
        coded,
        line_no="line_no",
        item_id="item_id",
        code="code",
        subject="subject",
        points_ours="order_points",
        points_theirs="points",
        value_date="value_date",
        their_date="value_date",
        partner_id="supplier_id",
        at_once=pl.lit(value=False),
    )


def _fewer(told: pl.DataFrame, after: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """B04 of orders that got fewer vouchers than ordered, and have no such break yet."""
    known = voucher_books.open_breaks_of(book, after["item_id"]).filter(pl.col("code") == BreakCode.POINTS_DIFFER.value)
    short = after.filter((pl.col("outstanding") > 0) & ~pl.col("item_id").is_in(known["item_id"].implode()))
    orders = told.select("item_id", "ref", "order_points", "supplier_id", "value_date").unique("item_id", keep="last")
    return breaks.opening(
        short.join(orders, on="item_id", maintain_order="left"),
        line_no="line_no",
        item_id="item_id",
        code=pl.lit(BreakCode.POINTS_DIFFER.value),
        subject="ref",
        points_ours="order_points",
        points_theirs="confirmed",
        value_date="value_date",
        their_date="value_date",
        partner_id="supplier_id",
        at_once=pl.lit(value=False),
    )


def _cleared(after: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """B04 of orders that are complete now, and B14 of those whose money has come back."""
    standing = voucher_books.open_breaks_of(book, after["item_id"]).join(
        after.select("item_id", "outstanding", "refund_due"), on="item_id"
    )
    whole = (pl.col("code") == BreakCode.POINTS_DIFFER.value) & (pl.col("outstanding") == 0)
    paid_back = (pl.col("code") == BreakCode.WALLET_DIFFERS.value) & (pl.col("refund_due") == 0)
    return standing.filter(whole | paid_back)
