"""Orders beside earlier ones, the catalogue, the stock and what their payer holds. Pure.

Here: the event of each order, and why one is refused. Not here: where earlier orders and prices come from, or what an
event books (``ledger.voucher_orders``).
"""

from datetime import date, timedelta
from typing import Final

import polars as pl

from counterfoil.ledger.model import Event

PRODUCT: Final = "product_unknown"
DENOMINATION: Final = "denomination_not_offered"
QUANTITY: Final = "quantity_above_limit"
PRICE: Final = "price_differs"
STOCK: Final = "out_of_stock"
DATE: Final = "date_too_far_off"
COMPANY: Final = "company_closed"
ADDRESS: Final = "no_address"
"""Why an order is refused; kept as its reason."""

AHEAD_DAYS: Final = 1
BEHIND_DAYS: Final = 31
"""How far an order's date may be from the day on which it is booked: as much as clocks and late files explain, since it
settles the price."""

_TERMS: Final = ("product", "denomination", "quantity", "member", "email", "points")
"""What two orders under one reference must agree in to be the same."""


def judged(asked: pl.DataFrame, known: pl.DataFrame, company_id: int) -> pl.DataFrame:
    """Add ``event`` and ``about_id``, the order that a row makes, repeats or contradicts.

    ``known``: orders under the same references, of any company: ref, item_id, company_id and _TERMS. The same again is
    ORDER_KNOWN, as are all but the first of equal rows. Rows that differ under one reference are a conflict.
    """
    same = pl.struct(*_TERMS)
    here = asked.with_columns(
        first_id=pl.col("item_id").min().over("ref"), agree=same.n_unique().over("ref") == 1, terms=same
    )
    before = known.select("ref", was_id="item_id", was_terms=same, was_company="company_id")
    seen = here.join(before, on="ref", how="left", maintain_order="left")
    repeats = pl.col("terms").eq_missing(pl.col("was_terms")) & (pl.col("was_company") == company_id)
    was = pl.col("was_id").is_not_null()
    event = (
        pl.when(~pl.col("agree") | (was & ~repeats))
        .then(_event(Event.ORDER_CONFLICT))
        .when(was | (pl.col("first_id") != pl.col("item_id")))
        .then(_event(Event.ORDER_KNOWN))
        .otherwise(_event(Event.ORDERED))
    )
    return seen.with_columns(
        event=event,
        about_id=pl.when(event == Event.ORDER_CONFLICT.value)
        .then("was_id")
        .otherwise(pl.coalesce("was_id", "first_id")),
    ).select(*asked.columns, "event", "about_id")


def offered(rows: pl.DataFrame, on_day: date, *, closed: bool) -> pl.DataFrame:
    """Refuse what is not on offer: adds ``refusal`` (null where there is none) and ``price`` in points.

    ``rows`` have what ``ledger.catalogue.priced`` adds. Points are the price, or 0 where the order is paid in money. A
    company that is ``closed`` pays for nothing; codes go to an address, goods need none.
    """
    new = pl.col("event") == Event.ORDERED.value
    price = (pl.col("unit_points").cast(pl.Int128) * pl.col("quantity")).cast(pl.Int64, strict=False)
    agreed = (pl.col("points") == 0) | (pl.col("points") == price)
    earliest, latest = on_day - timedelta(days=BEHIND_DAYS), on_day + timedelta(days=AHEAD_DAYS)
    refusal = (
        pl.when(~pl.col("value_date").is_between(earliest, latest))
        .then(pl.lit(DATE))
        .when(pl.col("member").is_null() & closed)
        .then(pl.lit(COMPANY))
        .when(pl.col("supplier_id").is_null() | (pl.col("quantity_max") == 0))
        .then(pl.lit(PRODUCT))
        .when(~pl.col("offered"))
        .then(pl.lit(DENOMINATION))
        .when(pl.col("quantity") > pl.col("quantity_max"))
        .then(pl.lit(QUANTITY))
        .when(pl.col("email").is_null() & (pl.col("type") != "goods"))
        .then(pl.lit(ADDRESS))
        .when(~agreed.fill_null(value=False))
        .then(pl.lit(PRICE))
    )
    priced = rows.with_columns(refusal=pl.when(new).then(refusal), price=price)
    return _refused(priced).with_columns(
        unit_points=pl.when(pl.col("points") == 0).then(pl.lit(0, pl.Int64)).otherwise("unit_points")
    )


def from_stock(rows: pl.DataFrame, stock: pl.DataFrame) -> pl.DataFrame:
    """Refuse orders beyond the stock: adds ``first``, the place of an order's first code among those of its kind.

    ``stock``: product, denomination, one row a code. Orders are served by reference, until a kind is first short.
    """
    kind = ["product", "denomination"]
    asks = rows.filter((pl.col("supply") == "stock") & (pl.col("event") == Event.ORDERED.value)).sort("ref")
    served = (
        asks.select("line_no", *kind, "quantity", last=pl.col("quantity").cum_sum().over(kind))
        .join(stock.group_by(kind).agg(held=pl.len().cast(pl.Int64)), on=kind, how="left")
        .select("line_no", first=pl.col("last") - pl.col("quantity"), out=pl.col("last") > pl.col("held").fill_null(0))
    )
    placed = rows.join(served, on="line_no", how="left", maintain_order="left")
    return _refused(placed.with_columns(refusal=pl.when("out").then(pl.lit(STOCK)).otherwise("refusal")).drop("out"))


def within_balance(rows: pl.DataFrame, balances: pl.DataFrame) -> pl.DataFrame:
    """Turn orders that their payer cannot cover into ORDER_SHORT; an account pays in order of value date and reference,
    until it is first short. ``balances``: source_account, balance."""
    asks = rows.filter(pl.col("event") == Event.ORDERED.value).sort("source_account", "value_date", "ref")
    spent = asks.join(balances, on="source_account", how="left", maintain_order="left").with_columns(
        beyond=pl.col("points").cum_sum().over("source_account") > pl.col("balance").fill_null(0)
    )
    short = spent.filter(pl.col("beyond") & (pl.col("points") > 0))["line_no"]
    return rows.with_columns(
        event=pl.when(pl.col("line_no").is_in(short.implode())).then(_event(Event.ORDER_SHORT)).otherwise("event")
    )


def _refused(rows: pl.DataFrame) -> pl.DataFrame:
    refused = pl.col("refusal").is_not_null()
    return rows.with_columns(event=pl.when(refused).then(_event(Event.ORDER_REFUSED)).otherwise("event"))


def _event(event: Event) -> pl.Expr:
    return pl.lit(event.value, pl.Int16)
