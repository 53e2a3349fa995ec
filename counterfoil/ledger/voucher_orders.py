"""What an orders file does to the book: points are reserved, and codes of the stock put aside, until somebody pays.

Here: earlier orders, prices, balances and stock, and the rows that each order leads to. Not here: which orders are
taken (``reconcile.orders``), or what is paid (``voucher_payments``). A reference is one order's for ever.
"""

from datetime import timedelta

import polars as pl

from counterfoil.ledger import catalogue, companies, merged, people, posting, voucher_books
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, ItemKind, Side, State
from counterfoil.ledger.names import Names
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks, orders

_BECOMES = {
    Event.ORDERED.value: Disposition.SETTLED,
    Event.ORDER_KNOWN.value: Disposition.DUPLICATE,
    Event.ORDER_CONFLICT.value: Disposition.INFORMATION,
    Event.ORDER_REFUSED.value: Disposition.REJECTED,
    Event.ORDER_SHORT.value: Disposition.REJECTED,
}

_BREAKS = {
    Event.ORDER_KNOWN.value: BreakCode.DUPLICATE_OURS,
    Event.ORDER_CONFLICT.value: BreakCode.CONFLICT,
    Event.ORDER_REFUSED.value: BreakCode.UNKNOWN_THEIRS,
    Event.ORDER_SHORT.value: BreakCode.BALANCE_SHORT,
}


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one orders file."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    company_id = names.partner(work.feed.partner)
    known = voucher_books.orders(book, work.accepted["ref"]).with_columns(email="recipient", points="order_points")
    asked = _asked(work, book, names, company_id, known)
    priced = catalogue.priced(asked, book, work.feed.places("denomination"))
    judged = orders.judged(priced, known, company_id)
    offered = orders.offered(judged, work.on_day, closed=companies.is_closed(book, company_id, work.on_day))
    stock = _stock(book, offered, work)
    taken = orders.within_balance(orders.from_stock(offered, stock), _balances(book, asked))
    reasons = names.reasons(company_id, taken["refusal"])
    decided = taken.join(reasons, left_on="refusal", right_on="reason", how="left", maintain_order="left")
    ordered = decided.filter(pl.col("event") == Event.ORDERED.value)
    there = pl.concat([known["item_id"], ordered["item_id"]])
    decided = decided.with_columns(about_id=pl.when(pl.col("about_id").is_in(there.implode())).then("about_id"))
    items = _items(ordered, company_id, work)
    moves = ordered.with_columns(company_id=pl.lit(company_id), moved="points")
    return posting.changes(
        {
            "item": items,
            "voucher_order": ordered.with_columns(recipient="email", file_id=pl.lit(work.file_id)),
            "voucher_change": _put_aside(ordered, stock, work),
            "disposition": voucher_books.dispositions(decided.with_columns(item_id="about_id"), work, _BECOMES),
            "entry": voucher_books.entries(moves, work, names, own=True),
            **names.rows(),
        },
        opened=items,
        breaking=_breaks(decided, company_id),
    )


def _asked(work: Work, book: Lookups, names: Names, company_id: int, known: pl.DataFrame) -> pl.DataFrame:
    """Orders with their ids, the account that pays (the member's, or the company's where no member is named), and the
    address that the vouchers go to: where a row names none, that of the order it repeats, or the member's."""
    before = known.select("ref", address="recipient")
    people_of = people.addresses(book, company_id, work.accepted["member"]).select("member", registered="email")
    rows = (
        work.accepted.join(before, on="ref", how="left", maintain_order="left")
        .join(people_of, on="member", how="left", maintain_order="left")
        .with_columns(
            item_id=posting.record_id(work.file_id, "line_no"),
            email=pl.coalesce(pl.col("email").str.to_lowercase(), "address", "registered"),
        )
        .drop("address", "registered")
    )
    accounts = merged.standing(names.members(company_id, rows["member"].drop_nulls()), book)
    paid = merged.paid_from(rows, accounts)
    if rows["member"].null_count():
        company = pl.lit(names.role("company", company_id), pl.Int32)
        paid = paid.with_columns(pl.coalesce("source_account", company))
    return paid


def _balances(book: Lookups, asked: pl.DataFrame) -> pl.DataFrame:
    return book.frame(
        "SELECT account_id AS source_account, balance FROM book.balance SEMI JOIN wanted USING (account_id)",
        wanted=asked.select(account_id="source_account").unique(),
    )


def _stock(book: Lookups, offered: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Codes that nobody has ordered, of the products and denominations that are: product, denomination, voucher_id,
    valid_until and ``place``, from 0; what ends first goes first, and what may end before it is paid for never."""
    paid_by = work.on_day + timedelta(days=orders.AHEAD_DAYS + work.feed.pay_within_days + 1)
    wanted = offered.filter((pl.col("supply") == "stock") & (pl.col("event") == Event.ORDERED.value))
    return book.frame(
        f"""SELECT v.product, v.denomination, v.voucher_id, l.valid_until,
                   row_number() OVER (PARTITION BY v.product, v.denomination
                                      ORDER BY l.valid_until NULLS LAST, v.voucher_id) - 1 AS place
            FROM book.voucher v SEMI JOIN wanted w ON w.product = v.product AND w.denomination = v.denomination
            JOIN book.open_voucher l ON l.voucher_id = v.voucher_id AND l.state = {State.STOCKED:d}
                AND (l.valid_until IS NULL OR l.valid_until > DATE '{paid_by}')
            ORDER BY v.product, v.denomination, place""",
        wanted=wanted.select("product", "denomination").unique(),
    )


def _put_aside(ordered: pl.DataFrame, stock: pl.DataFrame, work: Work) -> pl.DataFrame:
    """The codes that each order of a product from stock gets."""
    places = ordered.filter(pl.col("supply") == "stock").select(
        "line_no",
        "item_id",
        "product",
        "denomination",
        place=pl.int_ranges("first", pl.col("first") + pl.col("quantity")),
    )
    return (
        places.explode("place")
        .join(stock, on=["product", "denomination", "place"], how="inner", maintain_order="left")
        .with_columns(state=pl.lit(State.RESERVED.value), file_id=pl.lit(work.file_id))
    )


def _items(ordered: pl.DataFrame, company_id: int, work: Work) -> pl.DataFrame:
    return ordered.select(
        "item_id",
        "ref",
        "member",
        "source_account",
        "value_date",
        side=pl.lit(Side.PROMISED.value),
        kind=pl.lit(ItemKind.ORDER.value),
        state=pl.lit(State.PENDING.value),
        partner_id=pl.lit(company_id),
        amount="points",
        remaining="points",
        unit=pl.lit(work.unit),
        their_amount="points",
        their_unit=pl.lit(work.unit),
        ratio_ours=pl.lit(1),
        ratio_theirs=pl.lit(1),
        # Days to pay in count from when the order was known.
        due_date=pl.max_horizontal("value_date", pl.lit(work.on_day)).dt.offset_by(f"{work.feed.pay_within_days}d"),
    )


def _breaks(decided: pl.DataFrame, company_id: int) -> pl.DataFrame:
    """B08 of what was ordered before, B11 of what contradicts it, B03 of what is not on offer, B04 where only the price
    is another, B16 beyond the balance."""
    other_price = pl.col("refusal") == orders.PRICE
    return breaks.opening(
        decided.filter(pl.col("event").is_in(list(_BREAKS))),
        line_no="line_no",
        item_id="about_id",
        code=pl.when(other_price)
        .then(pl.lit(BreakCode.POINTS_DIFFER.value, pl.Int16))
        .otherwise(pl.col("event").replace_strict(_BREAKS, default=None, return_dtype=pl.Int16)),
        subject="ref",
        points_ours=pl.when(other_price).then("price"),
        points_theirs="points",
        value_date="value_date",
        their_date="value_date",
        partner_id=pl.lit(company_id),
        at_once=pl.lit(value=False),
    )
