"""What the book knows of orders and their vouchers, and the rows that every step of them adds.

Here: reads by reference, and the shapes that the composers of orders, payments, fulfilment and steps share. Not here:
what a step is (those composers).
"""

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger import posting
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Disposition, ItemKind, MatchPass, State
from counterfoil.ledger.names import Names
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work, month_of


def latest(among: str = "") -> str:
    """A query for where each voucher stands, of all or, by a join, of some: columns of ``voucher_change``."""
    return f"""SELECT * FROM book.voucher_change {among}
               QUALIFY row_number() OVER (PARTITION BY voucher_id ORDER BY file_id DESC, line_no DESC) = 1"""


def orders(book: Lookups, refs: pl.Series) -> pl.DataFrame:
    """Orders by reference, each of which is one order's for ever: ref, item_id, company_id, member, source_account,
    order_points, state, remaining, confirmed, ``voucher_order``'s columns, currency, expiry_days, expiry_months."""
    return book.frame(
        f"""WITH named AS (
                SELECT i.* FROM book.item i SEMI JOIN wanted w ON w.ref = i.ref WHERE i.kind = {ItemKind.ORDER:d}
            ), ended AS (
                SELECT item_id, state, confirmed FROM book.settled_key SEMI JOIN named USING (item_id)
                QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY file_id DESC, line_no DESC) = 1
            )
            SELECT n.ref, n.item_id, n.partner_id AS company_id, n.member, n.source_account, n.amount AS order_points,
                   CAST(coalesce(o.state, e.state) AS SMALLINT) AS state, coalesce(o.remaining, 0) AS remaining,
                   coalesce(e.confirmed, 0) AS confirmed,
                   v.* EXCLUDE (item_id, file_id, line_no), p.currency, p.expiry_days, p.expiry_months
            FROM named n JOIN book.voucher_order v ON v.item_id = n.item_id
            JOIN book.product p ON p.file_id = v.product_file AND p.line_no = v.product_line
            LEFT JOIN book.open_item o ON o.item_id = n.item_id LEFT JOIN ended e ON e.item_id = n.item_id
            ORDER BY n.item_id""",
        wanted=pl.DataFrame({"ref": refs.drop_nulls().unique()}, schema={"ref": pl.String}),
    )


def vouchers_of(book: Lookups, item_ids: pl.Series) -> pl.DataFrame:
    """Vouchers of orders where they stand: columns of ``voucher_change`` and digest."""
    return book.frame(
        f"""WITH named AS (
                SELECT DISTINCT c.voucher_id FROM book.voucher_change c SEMI JOIN wanted w ON w.item_id = c.item_id
            ), last AS ({latest("SEMI JOIN named USING (voucher_id)")})
            SELECT l.*, v.digest FROM last l SEMI JOIN wanted w ON w.item_id = l.item_id
            JOIN book.voucher v ON v.voucher_id = l.voucher_id ORDER BY l.voucher_id""",
        wanted=pl.DataFrame({"item_id": item_ids.unique()}, schema={"item_id": pl.Int64}),
    )


def require_unused(codes: pl.Series, work: Work, book: Lookups) -> None:
    """Raise CODE_USED, which refuses the file whole, where a code came before, in this file or in any other."""
    digests = codes.drop_nulls().str.slice(0, 64).to_frame("digest")
    known = book.frame("SELECT digest FROM book.voucher SEMI JOIN digests USING (digest)", digests=digests)
    again = digests.height - digests.n_unique()
    if known.height or again:
        raise PermanentError(
            Code.CODE_USED,
            work.feed.key,
            found=f"{known.height:,} codes that came before, and {again:,} that stand in the file twice",
            expected="codes that no other voucher has or ever had",
            remedy="Nothing of the file was posted; have the supplier send other codes, and ask how these came twice",
        )


def settled(ended: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Settled keys. ``ended``: item_id, state, confirmed, line_no."""
    return ended.select(
        "item_id",
        "state",
        "confirmed",
        "line_no",
        reversed=pl.lit(0),
        reason_id=pl.lit(None),
        month=pl.lit(month_of(work.on_day)),
        file_id=pl.lit(work.file_id),
    )


def dispositions(told: pl.DataFrame, work: Work, becomes: dict[int, Disposition]) -> pl.DataFrame:
    """One row a record. ``told``: line_no, event, item_id, points, value_date, and reason_id where any has one."""
    reason = pl.col("reason_id") if "reason_id" in told.columns else pl.lit(None)
    return told.select(
        "line_no",
        "event",
        "item_id",
        "value_date",
        disposition=pl.col("event").replace_strict(becomes, return_dtype=pl.Int16),
        match_pass=pl.lit(MatchPass.NONE.value),
        points=pl.col("points").fill_null(0),
        reason_id=reason,
        file_id=pl.lit(work.file_id),
    )


def entries(told: pl.DataFrame, work: Work, names: Names, *, own: bool = False) -> pl.DataFrame:
    """What rows book: points of an order between its source, what its company has reserved, and what its supplier is
    owed. ``told``: line_no, event, company_id, supplier_id, source_account, moved, value_date.

    ``own``: the records themselves state the points; otherwise their transfers are none that a record's points must
    agree with.
    """
    booked = []
    for part in told.partition_by("company_id", maintain_order=True):
        company_id = part["company_id"][0]
        roles = {"reserved": names.role("reserved", company_id)}
        owed = {supplier: names.role("payable", supplier) for supplier in part["supplier_id"].unique().sort()}
        effects = part.select(
            "line_no",
            "event",
            "source_account",
            "value_date",
            ordinal=pl.lit(0 if own else 1, pl.Int64),
            target_account=pl.col("supplier_id").replace_strict(owed, return_dtype=pl.Int32),
            sent="moved",
            answered="moved",
        )
        booked.append(posting.entries(effects, work.rules, roles, work.file_id))
    return pl.concat([posting.shaped(None, TABLES["entry"]), *(posting.shaped(one, TABLES["entry"]) for one in booked)])


def open_breaks_of(book: Lookups, item_ids: pl.Series) -> pl.DataFrame:
    """Open breaks of orders: break_id, code, item_id."""
    return book.frame(
        """SELECT b.break_id, b.code, b.item_id FROM book.open_break b SEMI JOIN wanted w ON w.item_id = b.item_id
           ORDER BY b.break_id""",
        wanted=pl.DataFrame({"item_id": item_ids.drop_nulls().unique()}, schema={"item_id": pl.Int64}),
    )


def made(rows: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Rows of ``voucher`` for records that bring one: line_no, supplier_id, product, denomination, code (concealed)."""
    named = rows.with_columns(
        voucher_id=posting.record_id(work.file_id, "line_no"),
        digest=pl.col("code").str.slice(0, 64),
        tail=pl.col("code").str.slice(65),
        file_id=pl.lit(work.file_id),
    )
    return posting.shaped(named, TABLES["voucher"])


def changed(rows: pl.DataFrame, work: Work, state: State) -> pl.DataFrame:
    """Rows of ``voucher_change``: voucher_id, item_id, valid_until, line_no that come to a state."""
    return posting.shaped(
        rows.with_columns(state=pl.lit(state.value), file_id=pl.lit(work.file_id)), TABLES["voucher_change"]
    )
