"""Points that were promised to people and wait: for their day, or until whoever they are for has registered.

Here: what the close of a day, a registration and a decision do to them. Not here: how they come to wait
(``distributions``), or who is registered (``people``).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from counterfoil.ledger import merged, people, posting
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.lot_stock import DRAWS, MADE, USES, Arrivals, Lots, settled
from counterfoil.ledger.model import (
    BEYOND_LINES,
    BreakCode,
    Event,
    ItemKind,
    Side,
    Standing,
    State,
)
from counterfoil.ledger.names import Names
from counterfoil.ledger.tables import OPEN_LOT, TABLES
from counterfoil.ledger.work import Work, month_of
from counterfoil.reconcile import breaks, distributing

_ORDINAL: Final = 3
"""Transfers of promises that belong to no line: those of lots and merges have lower ordinals."""

_AT_A_LINE: Final = 1
"""A claim is not what a registration itself books, which is nothing."""

WAITING: Final = {
    "item_id": pl.Int64,
    "partner_id": pl.Int32,
    "ref": pl.String,
    "email": pl.String,
    "points": pl.Int64,
    "state": pl.Int16,
    "source_account": pl.Int32,
    "value_date": pl.Date,
    "due_date": pl.Date,
    "member": pl.String,
    "expiry_months": pl.Int16,
}
"""Promises that wait. ``member``: who one is for, where that was known when it was made; ``source_account``: where it
goes back to, which for a closed budget is its company's balance."""


@dataclass(frozen=True, eq=False)
class Cancelled:
    """Rows of ``entry`` and ``settled_key``."""

    entry: pl.DataFrame
    settled_key: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Moved:
    """What becomes of promises: rows of ``entry``, ``settled_key`` and ``item_change``, breaks to open, and lots."""

    entry: pl.DataFrame
    settled_key: pl.DataFrame
    item_change: pl.DataFrame
    breaking: pl.DataFrame
    lots: Lots


def waiting(book: Lookups, names: Names, condition: str, **frames: pl.DataFrame) -> pl.DataFrame:
    """WAITING among open items ``o`` that a condition holds for."""
    found = book.frame(
        f"""SELECT o.item_id, o.partner_id, o.ref, o.member AS email, o.remaining AS points, o.state, o.source_account,
                   o.value_date, o.due_date, p.member, p.expiry_months, g.standing
            FROM book.open_item o LEFT JOIN book.promise p ON p.item_id = o.item_id
            LEFT JOIN (
                SELECT account_id, arg_max(standing, (file_id, line_no)) AS standing
                FROM book.budget GROUP BY account_id
            ) g ON g.account_id = o.source_account
            WHERE o.side = {Side.PROMISED:d} AND o.kind = {ItemKind.DISTRIBUTION:d} AND {condition}
            ORDER BY o.item_id""",
        **frames,
    )
    balances = {company: names.company_roles(company)["company"] for company in found["partner_id"].unique().sort()}
    company = pl.col("partner_id").replace_strict(balances, default=None, return_dtype=pl.Int32)
    closed = (pl.col("standing") == Standing.CLOSED.value).fill_null(value=False)
    back = pl.when(closed).then(company).otherwise("source_account")
    return posting.shaped(found.with_columns(source_account=back), WAITING)


def claimed(registered: pl.DataFrame, names: Names, work: Work, book: Lookups) -> Moved:
    """What waited for people who register: ``registered`` has line_no, partner_id, member, email, value_date."""
    found = waiting(
        book,
        names,
        f"""o.state = {State.UNCLAIMED:d} AND EXISTS (
                SELECT 1 FROM registered r WHERE r.partner_id = o.partner_id AND r.email = o.member)""",
        registered=registered.select("partner_id", "email"),
    )
    who = registered.select("partner_id", "email", "line_no", "member")
    items = found.drop("member").join(_accounts(who, names, book), on=["partner_id", "email"], maintain_order="left")
    by_line = items.group_by("line_no", "partner_id", maintain_order=True).agg(
        pl.col("account_id").first(), pl.col("points").sum()
    )
    effects = by_line.select(
        "partner_id",
        "line_no",
        # Whatever day the registration states: points are claimed when it comes.
        value_date=pl.lit(work.on_day),
        event=pl.lit(Event.CLAIMED.value, pl.Int16),
        ordinal=pl.lit(_AT_A_LINE, pl.Int64),
        source_account=pl.lit(None, pl.Int32),
        target_account="account_id",
        sent="points",
        answered="points",
    )
    return Moved(
        entry=_entries(effects, names, work),
        settled_key=_ended(items.with_columns(state=pl.lit(State.CREDITED.value, pl.Int16)), work),
        item_change=posting.shaped(None, TABLES["item_change"]),
        breaking=posting.shaped(None, breaks.OPENING),
        lots=_credited(items.with_columns(earned=pl.lit(work.on_day)), work, book),
    )


def scheduled(decisions: pl.DataFrame, names: Names, book: Lookups) -> pl.DataFrame:
    """Decisions on scheduled promises with what they are about: ``decisions`` has line_no, subject (``company:ref``)
    and points; added are item_id, partner_id, source_account and ``promised``."""
    named = book.frame(
        """SELECT d.line_no, c.partner_id, substr(d.subject, length(c.partner) + 2) AS ref
           FROM decisions d JOIN book.partner c ON starts_with(d.subject, concat(c.partner, ':'))""",
        decisions=decisions.select("line_no", "subject"),
    )
    found = waiting(
        book,
        names,
        f"""o.state = {State.SCHEDULED:d} AND EXISTS (
                SELECT 1 FROM named n WHERE n.partner_id = o.partner_id AND n.ref = o.ref)""",
        named=named,
    )
    about = found.select("item_id", "partner_id", "ref", "source_account", promised="points")
    return decisions.join(named.join(about, on=["partner_id", "ref"]).drop("ref"), on="line_no", maintain_order="left")


def cancelled(decided: pl.DataFrame, names: Names, work: Work) -> Cancelled:
    """What decisions (of ``scheduled``) cancel goes back to where it came from."""
    effects = decided.select(
        "partner_id",
        "line_no",
        "source_account",
        event=pl.lit(Event.CANCELLED.value, pl.Int16),
        ordinal=pl.lit(0, pl.Int64),
        target_account=pl.lit(None, pl.Int32),
        value_date=pl.lit(work.on_day),
        sent="promised",
        answered="promised",
    )
    ended = decided.with_columns(state=pl.lit(State.CANCELLED.value, pl.Int16))
    return Cancelled(_entries(effects, names, work), _ended(ended, work))


def at_close(names: Names, work: Work, book: Lookups) -> Moved:
    """What the close of a day does: what is scheduled for the day that begins is sent, and what nobody has claimed in
    time goes back."""
    begins = work.business_date + timedelta(days=1)
    due = waiting(
        book,
        names,
        f"""(o.state = {State.SCHEDULED:d} AND o.value_date <= DATE '{begins}'
             OR o.state = {State.UNCLAIMED:d} AND o.due_date <= DATE '{work.business_date}')""",
    )
    decided = _fired(due.filter(pl.col("state") == State.SCHEDULED.value), names, book)
    late = due.filter(pl.col("state") == State.UNCLAIMED.value).with_columns(
        event=pl.lit(Event.RETURNED.value, pl.Int16), account_id=pl.lit(None, pl.Int32)
    )
    # In the order of the items, by which a statement finds the reference of each that went back.
    moved = (
        pl.concat([decided, late.select(decided.columns)])
        .sort("item_id")
        .with_columns(
            line_no=pl.lit(0, pl.Int64),
            state=pl.col("event").replace_strict(_ENDS, default=None, return_dtype=pl.Int16),
        )
    )
    effects = moved.select(
        "partner_id",
        "event",
        "source_account",
        line_no=pl.int_range(pl.len(), dtype=pl.Int64) + BEYOND_LINES,
        ordinal=pl.lit(_ORDINAL, pl.Int64),
        value_date=_day_of(begins, work.business_date),
        target_account="account_id",
        sent="points",
        answered="points",
    )
    return Moved(
        entry=_entries(effects, names, work).with_columns(line_no=pl.lit(0, pl.Int32)),
        settled_key=_ended(moved.filter(pl.col("event") != Event.FIRED_UNCLAIMED.value), work),
        item_change=_changed(moved.filter(pl.col("event") == Event.FIRED_UNCLAIMED.value), work),
        breaking=_refused(moved.filter(pl.col("event") == Event.FIRED_BACK.value)),
        lots=_credited(
            moved.filter(pl.col("event") == Event.FIRED.value).with_columns(earned=pl.lit(begins)), work, book
        ),
    )


_ENDS: Final = {
    Event.FIRED.value: State.CREDITED.value,
    Event.FIRED_BACK.value: State.RETURNED.value,
    Event.RETURNED.value: State.RETURNED.value,
    Event.FIRED_UNCLAIMED.value: State.UNCLAIMED.value,
}


def _day_of(begins: date, ends: date) -> pl.Expr:
    """What is sent counts from the day that begins, what goes back on the day that ends."""
    return pl.when(pl.col("event") == Event.RETURNED.value).then(pl.lit(ends)).otherwise(pl.lit(begins))


def _fired(due: pl.DataFrame, names: Names, book: Lookups) -> pl.DataFrame:
    """Scheduled promises with what becomes of each on its day (``event``), and whose account gets it.

    One for a member goes to that member, whatever address is whose by then; one for an address, or for a member who has
    left, to whoever has the address.
    """
    persons = people.found(book, due["email"])
    known = people.standing(book, due.filter(pl.col("member").is_not_null()))
    by_address = persons.select("partner_id", "email", by_address="member", of_address="standing")
    homes = persons.filter(pl.col("standing") == Standing.OPEN.value).select("email", home="partner_id")
    abroad = due.join(homes, on="email").filter(pl.col("home") != pl.col("partner_id"))["item_id"]
    gone = pl.col("member").is_null() | (pl.col("standing") == Standing.CLOSED.value)
    who = (
        due.join(known, on=["partner_id", "member"], how="left", maintain_order="left")
        .join(by_address, on=["partner_id", "email"], how="left", maintain_order="left")
        .with_columns(
            standing=pl.when(gone).then(pl.coalesce("of_address", "standing")).otherwise("standing"),
            member=pl.when(gone).then(pl.coalesce("by_address", "member")).otherwise("member"),
        )
    )
    opened = who.filter(pl.col("standing") == Standing.OPEN.value).select("partner_id", "member").unique()
    stands = pl.col("standing")
    paid = who.join(_accounts(opened, names, book), on=["partner_id", "member"], how="left", maintain_order="left")
    return paid.select(
        *due.columns,
        "account_id",
        event=pl.when(stands == Standing.OPEN.value)
        .then(pl.lit(Event.FIRED.value, pl.Int16))
        .when((stands == Standing.CLOSED.value) | pl.col("item_id").is_in(abroad.implode()))
        .then(pl.lit(Event.FIRED_BACK.value, pl.Int16))
        .otherwise(pl.lit(Event.FIRED_UNCLAIMED.value, pl.Int16)),
    )


def _accounts(members: pl.DataFrame, names: Names, book: Lookups) -> pl.DataFrame:
    """Members (partner_id, member, …) with the account that stands for each of them."""
    parts = [
        part.join(
            merged.standing(names.members(part["partner_id"][0], part["member"]), book).select(
                "account_id", member="owner"
            ),
            on="member",
            how="left",
            maintain_order="left",
        )
        for part in members.partition_by("partner_id", maintain_order=True)
    ]
    return pl.concat(parts) if parts else members.with_columns(account_id=pl.lit(None, pl.Int32))


def _entries(effects: pl.DataFrame, names: Names, work: Work) -> pl.DataFrame:
    """Entries of effects that have a ``partner_id``, company by company."""
    booked = [
        posting.entries(part, work.rules, names.company_roles(part["partner_id"][0]), work.file_id)
        for part in effects.partition_by("partner_id", maintain_order=True)
    ]
    return pl.concat([posting.shaped(part, TABLES["entry"]) for part in [None, *booked]])


def _ended(items: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Settled keys of promises that wait no longer: ``items`` has item_id, line_no, state."""
    return posting.shaped(
        items.select(
            "item_id",
            "line_no",
            "state",
            confirmed=pl.lit(0),
            reversed=pl.lit(0),
            reason_id=pl.lit(None),
            month=pl.lit(month_of(work.on_day)),
            file_id=pl.lit(work.file_id),
        ),
        TABLES["settled_key"],
    )


def _changed(items: pl.DataFrame, work: Work) -> pl.DataFrame:
    """What goes on waiting, for its recipient now."""
    return posting.shaped(items.with_columns(remaining="points", file_id=pl.lit(work.file_id)), TABLES["item_change"])


def _refused(items: pl.DataFrame) -> pl.DataFrame:
    """A break (B10) for each promise whose recipient by its day was another company's, or gone."""
    return breaks.opening(
        items,
        line_no="line_no",
        code=pl.lit(BreakCode.OTHER_ACCOUNT.value),
        item_id="item_id",
        subject="ref",
        points_ours="points",
        value_date="value_date",
        partner_id="partner_id",
        at_once=pl.lit(value=False),
    )


def _credited(items: pl.DataFrame, work: Work, book: Lookups) -> Lots:
    """Lots of what comes to members' accounts: ``items`` has line_no, account_id, points, expiry_months?, earned."""
    if items.is_empty():
        return Lots(
            lot=posting.shaped(None, TABLES["lot"]),
            lot_use=posting.shaped(None, TABLES["lot_use"]),
            opened=posting.shaped(None, OPEN_LOT),
            drawn=posting.shaped(None, posting.WORKING["drawn_lots"]),
        )
    days = work.policy.points_live_days
    lives = pl.col("earned").dt.offset_by(f"{days}d") if days else pl.lit(None, pl.Date)
    coming = items.with_columns(amount="points", expires=pl.coalesce(distributing.expires(pl.col("earned")), lives))
    made = coming.filter(pl.col("expires").is_not_null())
    rest = coming.filter(pl.col("expires").is_null())
    arrivals = Arrivals(
        back=pl.DataFrame(schema={**MADE, "lot_id": pl.Int64}),
        made=posting.shaped(made, MADE),
        rest=rest.select("line_no", "account_id", "amount"),
    )
    return settled(arrivals, pl.DataFrame(schema=DRAWS), pl.DataFrame(schema=USES), book, work)
