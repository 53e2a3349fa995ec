"""What can be ordered: catalogue rows in the book, and which of them is in force for a product on a day.

Here: products and their prices. Not here: what is ordered (``voucher_orders``).
"""

from datetime import date
from typing import Final

import polars as pl

from counterfoil.ledger import posting
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, MatchPass
from counterfoil.ledger.names import Names
from counterfoil.ledger.work import Work
from counterfoil.money import exponents, in_minor
from counterfoil.reconcile import breaks

LISTED: Final = (
    "product",
    "name",
    "supplier",
    "type",
    "supply",
    "currency",
    "denominations",
    "points_per_unit",
    "quantity_max",
    "expiry_days",
    "expiry_months",
    "in_stock",
    "effective_from",
    "terms",
    "instructions",
)
"""Columns of a list of products, in order; denominations are minor units."""

_SCALE: Final = pl.Decimal(38, 4)


def compose(work: Work, book: Lookups) -> posting.Changes:
    """Products of one catalogue; one that another supplier offers already is a conflict (B11) and changes nothing."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    partner_id = names.partner(work.feed.partner)
    owners = book.frame(
        "SELECT product, min(partner_id) AS owner FROM book.product SEMI JOIN wanted USING (product) GROUP BY product",
        wanted=work.accepted.select("product").unique(),
    )
    taken = (pl.col("owner") != partner_id).fill_null(value=False)
    rows = (
        work.accepted.join(owners, on="product", how="left", maintain_order="left")
        .with_columns(event=pl.when(taken).then(Event.PRODUCT_TAKEN.value).otherwise(Event.PRODUCT_LISTED.value))
        .with_columns(partner_id=pl.lit(partner_id), file_id=pl.lit(work.file_id))
    )
    listed = rows.filter(pl.col("event") == Event.PRODUCT_LISTED.value)
    return posting.changes(
        {
            "product": listed.drop("denominations").join(_in_minor(listed), on="line_no", maintain_order="left"),
            "disposition": rows.select(
                "line_no",
                "event",
                "file_id",
                disposition=pl.lit(Disposition.INFORMATION.value),
                match_pass=pl.lit(MatchPass.NONE.value),
                item_id=pl.lit(None),
                points=pl.lit(0),
                reason_id=pl.lit(None),
                value_date="effective_from",
            ),
            **names.rows(),
        },
        breaking=breaks.opening(
            rows.filter(pl.col("event") == Event.PRODUCT_TAKEN.value),
            line_no="line_no",
            code=pl.lit(BreakCode.CONFLICT.value),
            subject="product",
            value_date="effective_from",
            partner_id="partner_id",
            at_once=pl.lit(value=False),
        ),
    )


def _in_minor(rows: pl.DataFrame) -> pl.DataFrame:
    """line_no, denominations: minor units, rising, apart by blanks."""
    factor = 10 ** exponents(pl.col("currency"))
    return (
        rows.select("line_no", "currency", face=pl.col("denominations").str.extract_all(r"[0-9]+(\.[0-9]+)?"))
        .explode("face")
        .select("line_no", minor=(pl.col("face").cast(_SCALE) * factor.cast(_SCALE)).cast(pl.Int64))
        .unique()
        .sort("line_no", "minor")
        .group_by("line_no", maintain_order=True)
        .agg(denominations=pl.col("minor").cast(pl.String).str.join(" "))
    )


def priced(orders: pl.DataFrame, book: Lookups, places: int | None) -> pl.DataFrame:
    """Orders with the row of their product that is in force on their day: adds supplier_id, type, supply, currency,
    quantity_max, offered (whether the denomination is), unit_points (of one; null where it is no whole number),
    product_file, product_line; all null where there is none. Denominations, read with so many decimal ``places``, are
    minor units then, wherever they are a whole number of them."""
    newest = book.frame(
        """SELECT w.line_no, p.partner_id AS supplier_id, p.type, p.supply, p.currency, p.denominations,
                  p.points_per_unit, p.quantity_max, p.file_id AS product_file, p.line_no AS product_line
           FROM wanted w JOIN book.product p ON p.product = w.product AND p.effective_from <= w.value_date
           QUALIFY row_number() OVER (PARTITION BY w.line_no
                                      ORDER BY p.effective_from DESC, p.file_id DESC, p.line_no DESC) = 1""",
        wanted=orders.select("line_no", "product", "value_date"),
    )
    factor = 10 ** exponents(pl.col("currency"))
    minor = in_minor(pl.col("denomination"), pl.col("currency"), places)
    cost = pl.col("denomination").cast(pl.Int128) * pl.col("points_per_unit")
    return (
        orders.join(newest, on="line_no", how="left", maintain_order="left")
        .with_columns(denomination=pl.coalesce(minor, "denomination"), whole=minor.is_not_null())
        .with_columns(
            offered=pl.col("whole")
            & pl.col("denominations").str.split(" ").list.contains(pl.col("denomination").cast(pl.String)),
            unit_points=pl.when(cost % factor == 0).then((cost // factor).cast(pl.Int64, strict=False)),
        )
        .drop("denominations", "points_per_unit", "whole")
    )


def expires(day: pl.Expr) -> pl.Expr:
    """The last day of a voucher that is issued on a day, by ``expiry_days`` and ``expiry_months``; null: never ends."""
    days, months = pl.col("expiry_days"), pl.col("expiry_months")
    return (
        pl.when(days.is_not_null())
        .then(day.dt.offset_by(pl.format("{}d", days.fill_null(0))))
        .when(months.is_not_null())
        .then(day.dt.offset_by(pl.format("{}mo", months.fill_null(0))))
    )


def products(book: Lookups, day: date) -> pl.DataFrame:
    """What is on offer on a day: LISTED, sorted by product. ``in_stock`` counts codes that nobody has ordered yet and
    that have not ended; null where a product is not sold from stock."""
    return book.frame(
        f"""WITH newest AS (
                SELECT * FROM book.product WHERE effective_from <= DATE '{day}'
                QUALIFY row_number() OVER (PARTITION BY product
                                           ORDER BY effective_from DESC, file_id DESC, line_no DESC) = 1
            ), stock AS (
                SELECT v.product, count(*) AS in_stock
                FROM book.open_voucher l JOIN book.voucher v ON v.voucher_id = l.voucher_id
                WHERE l.item_id IS NULL AND (l.valid_until IS NULL OR l.valid_until > DATE '{day}') GROUP BY v.product
            )
            SELECT n.*, p.partner AS supplier, CASE WHEN n.supply = 'stock' THEN coalesce(s.in_stock, 0) END AS in_stock
            FROM newest n JOIN book.partner p ON p.partner_id = n.partner_id LEFT JOIN stock s ON s.product = n.product
            WHERE n.quantity_max > 0 ORDER BY n.product"""
    ).select(LISTED)
