"""Points that expire: what every posting does to the lots of members' accounts, first in first out.

Here: lots made, drawn on, returned to and expired, from the entries of a stage. Not here: moving the lots of a merged
account (``members``), or laying intervals on one another (``reconcile.intervals``). Only points that expire have a lot;
the rest of a balance never does and is used last.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.invariants import require
from counterfoil.ledger import merged, posting
from counterfoil.ledger.audit import in_order
from counterfoil.ledger.lot_stock import DRAWS, MADE, USES, Arrivals, Lots, Reads, settled, sum_at
from counterfoil.ledger.model import BEYOND_LINES, RECORD_SPAN, TRANSFERS_PER_RECORD, Event, LotUse
from counterfoil.ledger.names import HOUSE, Names
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work
from counterfoil.reconcile import distributing
from counterfoil.reconcile.intervals import met

SCHEMA: Final = 2
"""The first schema of a book that knows lots."""

MOVEMENTS: Final = {
    "line_no": pl.Int64,
    "item_id": pl.Int64,
    "account_id": pl.Int32,
    "amount": pl.Int64,
    "event": pl.Int16,
    "value_date": pl.Date,
    "turn": pl.Int64,
    "expires": pl.Date,
}
"""What a record does to a member's account; ``turn`` orders draws, ``expires`` is given where the record itself says
when what it brings does."""

_GAINS: Final = (Event.OPENING_BALANCE, Event.RECALL_ACCEPTED, Event.ACCRUED, Event.DISTRIBUTED)
"""Events that bring points which no item has drawn before."""

_APART: Final = (Event.EXPIRED, Event.MERGED, Event.FIRED, Event.CLAIMED)
"""Events whose lots are moved where they are composed."""

_RECORD_TRANSFERS: Final = RECORD_SPAN * TRANSFERS_PER_RECORD
"""Transfer ids that one file can have."""

_ORDINAL: Final = 1
"""Transfers that are not what a record itself books have an ordinal above 0."""


@dataclass(frozen=True, eq=False)
class Expiries:
    """Rows of ``entry`` and ``lot_use``, and what ``posting.Changes`` calls drawn_lots."""

    entry: pl.DataFrame
    lot_use: pl.DataFrame
    drawn: pl.DataFrame


def added(changes: posting.Changes, work: Work, book: Reads) -> posting.Changes:
    """Changes with the lots that their entries make, draw on and return to; what would stay on an account that was
    merged away goes on to its survivor."""
    if work.schema < SCHEMA:
        return changes
    moved = movements(changes, work, book)
    changes = merged.forwarded(changes, work, book)
    if moved.is_empty():
        return changes
    found = followed(moved, book, work)
    rows = {"lot": found.lot, "lot_use": found.lot_use}
    return replace(
        changes,
        rows={**changes.rows, **{name: pl.concat([changes.rows[name], frame]) for name, frame in rows.items()}},
        opened_lots=pl.concat([changes.opened_lots, found.opened]),
        drawn_lots=pl.concat([changes.drawn_lots, found.drawn]),
    )


def movements(changes: posting.Changes, work: Work, book: Reads) -> pl.DataFrame:
    """MOVEMENTS of the accounts that have or get lots: one row an item and account, one a line where there is no item.

    What stays on an account that was merged away counts for its survivor.
    """
    stated = _stated(work)
    dated = stated["expires"].null_count() < stated.height or work.policy.points_live_days is not None
    nothing = pl.DataFrame(schema=MOVEMENTS)
    known = book.frame("SELECT DISTINCT account_id FROM book.lot")["account_id"]
    if not (dated or known.len()):
        return nothing
    stands = merged.redirected("account_id", book)
    moving = changes.rows["entry"].select("transfer_id", "line_no", stands, "amount", "event", "value_date")
    known = known.to_frame("account_id").select(stands).to_series()
    gaining = _gaining(moving, changes, book) if dated else known.clear()
    apart = pl.col("event").is_in([event.value for event in _APART])
    touched = moving.filter(pl.col("account_id").is_in(pl.concat([known, gaining]).implode()) & ~apart)
    return _netted(_named(touched, changes, work, book)) if touched.height else nothing


def followed(moved: pl.DataFrame, book: Reads, work: Work) -> Lots:
    """What MOVEMENTS do to the lots of their accounts, whatever their order: returns and gains first, then draws."""
    raises, draws = moved.filter(pl.col("amount") > 0), moved.filter(pl.col("amount") < 0)
    returned = _returned(raises, book)
    uses, arrivals = _arrived(raises, returned, work)
    wanted = draws.with_columns(amount=-pl.col("amount")).select(*DRAWS)
    return settled(arrivals, wanted, uses, book, work)


def expired(book: Reads, names: Names, work: Work) -> Expiries:
    """What the close of a day ends: what is left of each lot that lives no longer goes to breakage."""
    ending = book.frame(
        f"""SELECT lot_id, account_id, remaining FROM book.open_lot WHERE expires <= DATE '{work.business_date}'
            ORDER BY account_id, lot_id"""
    )
    uses = ending.select(
        "lot_id",
        "account_id",
        item_id=pl.lit(None),
        use=pl.lit(LotUse.EXPIRED.value),
        amount="remaining",
        file_id=pl.lit(work.file_id),
        line_no=pl.lit(0),
    )
    effects = ending.select(
        line_no=pl.int_range(pl.len(), dtype=pl.Int64) + BEYOND_LINES,
        ordinal=pl.lit(_ORDINAL, pl.Int64),
        event=pl.lit(Event.EXPIRED.value, pl.Int16),
        source_account=pl.lit(None, pl.Int32),
        target_account="account_id",
        sent="remaining",
        answered="remaining",
        value_date=pl.lit(work.business_date),
    )
    roles = {"breakage": names.role("breakage", HOUSE)} if ending.height else {}
    entries = posting.entries(effects, work.rules, roles, work.file_id).with_columns(line_no=pl.lit(0, pl.Int64))
    booked = entries.filter(pl.col("amount") < 0)["amount"].sum()
    require(-booked == ending["remaining"].sum(), "what expires is booked, lot by lot")
    return Expiries(
        entry=posting.shaped(entries, TABLES["entry"]),
        lot_use=posting.shaped(uses, TABLES["lot_use"]),
        drawn=ending.select("lot_id", remaining=pl.lit(0, pl.Int64)),
    )


def _gaining(entries: pl.DataFrame, changes: posting.Changes, book: Reads) -> pl.Series:
    """Members' accounts that gain points which no item has drawn before."""
    gains = entries.filter(pl.col("event").is_in([event.value for event in _GAINS]) & (pl.col("amount") > 0))
    new = changes.rows["account"].filter(pl.col("kind") == "member")["account_id"]
    known = book.frame(
        "SELECT a.account_id FROM book.account a SEMI JOIN gains g ON g.account_id = a.account_id "
        "WHERE a.kind = 'member'",
        gains=gains.select("account_id").unique(),
    )["account_id"]
    members = pl.concat([new, known])
    return gains["account_id"].filter(gains["account_id"].is_in(members.implode())).unique()


def _named(entries: pl.DataFrame, changes: posting.Changes, work: Work, book: Reads) -> pl.DataFrame:
    """Entries with the item that they are about, and what its record says of them; MOVEMENTS and transfer_id."""
    said = _turns(_stated(work))
    items = changes.rows["disposition"].select("item_id", line_no=pl.col("line_no").cast(pl.Int64))
    if items["line_no"].equals(said["line_no"]):
        told = said.hstack(items.select("item_id"))
    else:
        told = said.join(items, on="line_no", how="left", maintain_order="left")
    named = _beside(entries.with_columns(pl.col("line_no").cast(pl.Int64)), told)
    pairs = changes.rows["reversal"]
    if pairs.is_empty():
        return named
    mirrored = book.frame(
        f"""SELECT p.transfer_id, d.item_id AS mirrored FROM pairs p JOIN book.disposition d
            ON d.file_id = CAST(p.reverses // {_RECORD_TRANSFERS} AS INTEGER)
            AND d.line_no = CAST(p.reverses % {_RECORD_TRANSFERS} // {TRANSFERS_PER_RECORD} AS INTEGER)""",
        pairs=pairs,
    )
    return named.join(mirrored, on="transfer_id", how="left", maintain_order="left").with_columns(
        item_id=pl.coalesce("mirrored", "item_id")
    )


def _beside(entries: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Entries with what was told of their lines, null (turn 0) where nothing was: lines rise, so that finding a place
    takes a third of a join."""
    if told.is_empty():
        return entries.with_columns(
            expires=pl.lit(None, pl.Date), turn=pl.lit(0, pl.Int64), item_id=pl.lit(None, pl.Int64)
        )
    lines = entries["line_no"]
    places = told["line_no"].search_sorted(lines).clip(upper_bound=told.height - 1)
    found = told[places]
    known = found["line_no"] == lines
    return entries.hstack(
        found.select(
            expires=pl.when(known).then("expires"),
            turn=pl.when(known).then("turn").otherwise(0),
            item_id=pl.when(known).then("item_id"),
        )
    )


def _stated(work: Work) -> pl.DataFrame:
    """The accepted rows with ``expires``: when what they bring does, as far as they say so themselves."""
    if "expires" in work.accepted.columns:
        return work.accepted
    if work.feed.kind is FeedKind.BULK_UPLOAD:
        return work.accepted.with_columns(expires=distributing.expires(distributing.sent_on(work.on_day)))
    return work.accepted.with_columns(expires=pl.lit(None, pl.Date))


def _turns(accepted: pl.DataFrame) -> pl.DataFrame:
    """When it is each record's turn to draw: line_no, turn, expires. By value date and reference (of decisions by what
    they are about), as which records mostly lie, so that it does not depend on the order of lines."""
    said = accepted.select("line_no", "expires")
    keys = [name for name in ("value_date", "ref", "subject", "line_no") if name in accepted.columns]
    ordered = in_order(accepted.select(keys), keys)
    if ordered["line_no"].is_sorted():
        return said.with_columns(turn="line_no")
    turns = ordered.select("line_no", turn=pl.int_range(pl.len(), dtype=pl.Int64))
    return said.join(turns, on="line_no", maintain_order="left")


def _netted(named: pl.DataFrame) -> pl.DataFrame:
    """What a file gives and takes for one item counts as one: in the lots it leaves no trace between."""
    columns = list(MOVEMENTS)
    items = named["item_id"]
    if not items.has_nulls() and items.n_unique() == items.len():
        return named.select(columns)
    parts = []
    for about, key in ((items.is_not_null(), "item_id"), (items.is_null(), "line_no")):
        rest = pl.exclude("account_id", key, "amount").first()
        whole = named.filter(about).sort("transfer_id", maintain_order=True)
        summed = whole.group_by("account_id", key, maintain_order=True).agg(pl.col("amount").sum(), rest)
        parts.append(summed.select(columns))
    return pl.concat(parts).filter(pl.col("amount") != 0)


def _returned(raises: pl.DataFrame, book: Reads) -> pl.DataFrame:
    """What goes back where items drew it, last drawn first: row (of ``raises``), lot_id, lot_account, earned, expires,
    amount. ``lot_id`` is null for what was no lot's."""
    places = raises.with_row_index("row").filter(pl.col("item_id").is_not_null())
    drawn = book.frame(
        f"""SELECT u.item_id, u.lot_id, u.account_id AS lot_account, l.earned, l.expires,
                   CAST(sum(u.amount) AS BIGINT) AS amount
            FROM book.lot_use u SEMI JOIN wanted w ON w.item_id = u.item_id
            LEFT JOIN book.lot l ON l.lot_id = u.lot_id
            WHERE u.use = {LotUse.SPENT:d}
            GROUP BY u.item_id, u.lot_id, u.account_id, l.earned, l.expires HAVING sum(u.amount) > 0
            ORDER BY u.item_id, l.earned DESC NULLS FIRST, l.expires DESC, u.lot_id DESC, u.account_id""",
        wanted=places.select("item_id").unique(),
    )
    takers = places.sort("item_id", "account_id")
    back = met(drawn, takers, "item_id")
    return drawn[back["stock"]].select(
        "lot_id", "lot_account", "earned", "expires", amount=back["amount"], row=takers["row"][back["taker"]]
    )


def _arrived(raises: pl.DataFrame, returned: pl.DataFrame, work: Work) -> tuple[pl.DataFrame, Arrivals]:
    """Where raises go: USES of what returns to lots, and the arrivals themselves.

    What returns to a lot that has expired lives for the grace; what returns to a lot of an account that was merged away
    becomes one of the survivor's, as old as it was.
    """
    stamp = raises.select("line_no", "item_id", "account_id")
    back = returned.hstack(stamp[returned["row"]])
    spent = back.select(
        "lot_id",
        "item_id",
        "line_no",
        account_id="lot_account",
        use=pl.lit(LotUse.SPENT.value),
        amount=-pl.col("amount"),
    )
    of_lots = back.filter(pl.col("lot_id").is_not_null())
    late = pl.col("expires") < work.on_day
    moves = late | (pl.col("lot_account") != pl.col("account_id"))
    moved = of_lots.filter(moves)
    moving = moved.select(
        "lot_id",
        "item_id",
        "line_no",
        "amount",
        account_id="lot_account",
        use=pl.when(late).then(LotUse.RENEWED.value).otherwise(LotUse.MERGED.value),
    )
    renewed = moved.with_columns(
        earned=pl.when(late).then(work.on_day).otherwise("earned"),
        expires=pl.when(late).then(work.on_day + timedelta(days=work.policy.return_grace_days)).otherwise("expires"),
    )
    gained, rest = _beyond(raises, returned, work)
    unlotted = back.filter(pl.col("lot_id").is_null()).select("line_no", "account_id", "amount")
    uses = [posting.shaped(frame, USES) for frame in (spent, moving)]
    return pl.concat(uses), Arrivals(
        back=of_lots.filter(~moves).select(*MADE, "lot_id"),
        made=pl.concat([renewed.select(*MADE), gained]),
        rest=pl.concat([unlotted, rest]),
    )


def _beyond(raises: pl.DataFrame, returned: pl.DataFrame, work: Work) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What raises bring beyond what their items drew from lots: MADE of what expires, and the rest."""
    beyond = raises.with_columns(
        amount=pl.col("amount") - sum_at(returned.rename({"row": "at"}), "at", raises.height)
    ).filter(pl.col("amount") > 0)
    days = work.policy.points_live_days
    gain = pl.col("event").is_in([event.value for event in _GAINS])
    lives = pl.when(gain).then(pl.col("value_date").dt.offset_by(f"{days}d")) if days else pl.lit(None, pl.Date)
    dated = beyond.with_columns(expires=pl.coalesce("expires", lives), earned="value_date")
    return (
        dated.filter(pl.col("expires").is_not_null()).select(*MADE),
        dated.filter(pl.col("expires").is_null()).select("line_no", "account_id", "amount"),
    )
