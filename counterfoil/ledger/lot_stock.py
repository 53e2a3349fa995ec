"""The lots of accounts while points come and go: arrivals first, then what draws on them, first in first out.

Here: bringing arrivals to lots, filling what an account owes, drawing, and the proof that it adds up. Not here: which
records do so (``lots``, ``members``), or laying intervals on one another (``reconcile.intervals``).
"""

from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl

from counterfoil.invariants import require
from counterfoil.ledger import posting
from counterfoil.ledger.model import RECORD_SPAN, LotUse
from counterfoil.ledger.tables import OPEN_LOT, TABLES
from counterfoil.ledger.work import Work
from counterfoil.reconcile.intervals import met

DRAWS: Final = {
    "line_no": pl.Int64,
    "item_id": pl.Int64,
    "account_id": pl.Int32,
    "amount": pl.Int64,
    "turn": pl.Int64,
}
"""What is drawn on an account, for which item, and when it is its turn."""

MADE: Final = {"line_no": pl.Int64, "account_id": pl.Int32, "amount": pl.Int64, "earned": pl.Date, "expires": pl.Date}
"""Points that come with an expiry, before they are a lot."""

USES: Final = {name: kind for name, kind in TABLES["lot_use"].items() if name != "file_id"}

FIRST_IN: Final = ("account_id", "earned", "expires", "lot_id")
"""The order in which lots are used."""


class Reads(Protocol):
    """The open book."""

    def frame(self, query: str, **frames: pl.DataFrame) -> pl.DataFrame: ...
    def last_id(self, table: str, column: str) -> int: ...


@dataclass(frozen=True, eq=False)
class Lots:
    """Rows of ``lot`` and ``lot_use``, and what ``posting.Changes`` calls opened_lots and drawn_lots."""

    lot: pl.DataFrame
    lot_use: pl.DataFrame
    opened: pl.DataFrame
    drawn: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Points that come to accounts.

    ``back``: MADE and lot_id, of lots that get points back; ``made``: MADE; ``rest``: line_no, account_id, amount of
    points that never expire (below 0 where a debt comes).
    """

    back: pl.DataFrame
    made: pl.DataFrame
    rest: pl.DataFrame


def settled(arrivals: Arrivals, draws: pl.DataFrame, uses: pl.DataFrame, book: Reads, work: Work) -> Lots:
    """Bring arrivals to their accounts, then draw; ``draws`` (DRAWS) have amounts above 0, ``uses`` are rows of
    USES that the arrivals themselves make.

    What an account owes beyond its lots is filled first.
    """
    accounts = pl.concat([frame["account_id"] for frame in (draws, arrivals.back, arrivals.made, arrivals.rest)])
    open_now = _open_lots(accounts, book)
    lots = _numbered(arrivals.made, book)
    stock = _stock(open_now, arrivals.back, lots).sort(FIRST_IN)
    takers = _in_turn(_holes(arrivals, open_now, book), draws)
    taken = met(stock, takers, "account_id")
    used = pl.concat([uses, _uses(taken, stock, takers)])
    after = stock.with_columns(remaining=pl.col("amount") - sum_at(taken, "stock", stock.height))
    _prove(open_now, lots, used, after)
    return Lots(
        lot=posting.shaped(lots.with_columns(file_id=pl.lit(work.file_id)), TABLES["lot"]),
        lot_use=posting.shaped(used.with_columns(file_id=pl.lit(work.file_id)), TABLES["lot_use"]),
        opened=after.filter(pl.col("before").is_null() & (pl.col("remaining") > 0)).select(*OPEN_LOT),
        drawn=after.filter(pl.col("before") != pl.col("remaining")).select("lot_id", "remaining"),
    )


def _open_lots(accounts: pl.Series, book: Reads) -> pl.DataFrame:
    """OPEN_LOT of the accounts."""
    return book.frame(
        f"SELECT {', '.join(f'o.{name}' for name in OPEN_LOT)} FROM book.open_lot o "
        "SEMI JOIN wanted w ON w.account_id = o.account_id",
        wanted=accounts.unique().to_frame("account_id"),
    )


def _numbered(made: pl.DataFrame, book: Reads) -> pl.DataFrame:
    """MADE as lots: those of one line, account and date are one; lot_id counts on from the book's last."""
    lots = made.group_by("line_no", "account_id", "earned", "expires").agg(pl.col("amount").sum())
    first = book.last_id("lot", "lot_id") + 1 if lots.height else 1
    return lots.sort("line_no", "account_id", "earned", "expires").with_columns(
        lot_id=pl.int_range(first, pl.len() + first, dtype=pl.Int64)
    )


def _stock(open_now: pl.DataFrame, back: pl.DataFrame, lots: pl.DataFrame) -> pl.DataFrame:
    """The lots that can be drawn on, one row each: OPEN_LOT without remaining, amount, and ``before``: what the book
    has of it, null where it has none."""
    columns = ["lot_id", "account_id", "earned", "expires", "amount", "before"]
    parts = [
        open_now.with_columns(amount="remaining", before="remaining"),
        back.with_columns(before=pl.lit(None, pl.Int64)),
        lots.with_columns(before=pl.lit(None, pl.Int64)),
    ]
    rows = pl.concat([part.select(columns) for part in parts])
    if back.is_empty():
        return rows
    # The sum of nothing is 0, and a lot that is used up has nothing in the book.
    before = pl.col("before").sum()
    return rows.group_by("lot_id", "account_id", "earned", "expires").agg(
        pl.col("amount").sum(), before=pl.when(before > 0).then(before)
    )


def _holes(arrivals: Arrivals, open_now: pl.DataFrame, book: Reads) -> pl.DataFrame:
    """What accounts owe beyond their lots after the arrivals that never expire, as takers: it is filled first."""
    came = pl.concat([frame.select("line_no", "account_id") for frame in (arrivals.back, arrivals.made, arrivals.rest)])
    first = came.group_by("account_id").agg(pl.col("line_no").min())
    standing = open_now.join(first, on="account_id", how="semi")
    held = pl.concat(
        [
            standing.select("account_id", amount=-pl.col("remaining")),
            arrivals.rest.select("account_id", "amount"),
            book.frame(
                """SELECT b.account_id, CAST(b.balance AS BIGINT) AS amount FROM book.balance b
                   SEMI JOIN wanted w ON w.account_id = b.account_id""",
                wanted=first.select("account_id"),
            ),
        ]
    )
    owed = held.group_by("account_id").agg(amount=-pl.col("amount").sum()).filter(pl.col("amount") > 0)
    return _takers(
        owed.join(first, on="account_id").with_columns(item_id=pl.lit(None, pl.Int64), use=LotUse.OVERDRAWN.value)
    )


def _in_turn(holes: pl.DataFrame, draws: pl.DataFrame) -> pl.DataFrame:
    """Takers by account: first what it owes, then draws as it is their turn."""
    ordered = draws if draws["turn"].is_sorted() else draws.sort("turn", "line_no", "item_id")
    # One integer key sorts twice as fast as the account alone, kept in order.
    key = ordered.select(pl.col("account_id").cast(pl.Int64) * RECORD_SPAN + pl.int_range(pl.len())).to_series()
    spending = _takers(ordered[key.arg_sort()].with_columns(use=LotUse.SPENT.value))
    return pl.concat([holes, spending]).sort("account_id", maintain_order=True) if holes.height else spending


def _takers(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(USES[name]) for name in USES if name != "lot_id")


def _uses(taken: pl.DataFrame, stock: pl.DataFrame, takers: pl.DataFrame) -> pl.DataFrame:
    """USES of what was taken: from each lot, and where an item took from lots, from the rest as well."""
    of_lots = takers[taken["taker"]].with_columns(lot_id=stock["lot_id"][taken["stock"]], amount=taken["amount"])
    covered = sum_at(taken, "taker", takers.height)
    beyond = takers.with_columns(covered=covered, lot_id=pl.lit(None, pl.Int64)).filter(
        pl.col("item_id").is_not_null() & (pl.col("covered") > 0) & (pl.col("covered") < pl.col("amount"))
    )
    rest = beyond.with_columns(amount=pl.col("amount") - pl.col("covered"))
    return pl.concat([posting.shaped(frame, USES) for frame in (of_lots, rest)])


def sum_at(rows: pl.DataFrame, place: str, height: int) -> pl.Series:
    """Amounts added up by row number; 0 where there is none."""
    sums = rows.group_by(place).agg(pl.col("amount").sum())
    return pl.zeros(height, dtype=pl.Int64, eager=True).scatter(sums[place], sums["amount"])


def _prove(open_now: pl.DataFrame, lots: pl.DataFrame, used: pl.DataFrame, after: pl.DataFrame) -> None:
    """What was there and what came is what was used and what is left."""
    came = pl.concat([open_now["remaining"], lots["amount"]]).sum()
    gone = pl.concat([used.filter(pl.col("lot_id").is_not_null())["amount"], after["remaining"]]).sum()
    require(came == gone, "lots add up")
    require(after["lot_id"].is_unique().all() and not (after["remaining"] < 0).any(), "lots hold points, once each")
