"""What members did at a partner of their own accord: told before or new, and covered by what they hold. Pure.

Here: the event of each record. Not here: where earlier records and balances come from, or what an event books
(``ledger.activity``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger.model import Event

KNOWN: Final = {
    "ref": pl.String,
    "activity": pl.String,
    "member": pl.String,
    "points": pl.Int64,
    "item_id": pl.Int64,
    "source_account": pl.Int32,
    "stands": pl.Boolean,
}
"""Records that were booked before, the item of each, and whether it moved points of the member's account: not so what
waits beyond the balance, or was refused."""

_SAME: Final = ["ref", "activity", "back"]
"""What no second record may bear. Something and its taking back share a reference."""


def judged(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Add ``event`` and ``about_id``: the item that a record repeats, contradicts or takes back; else its own, or null
    where it contradicts what is no item.

    ``rows``: line_no, item_id, ref?, member, activity, points, source_account; ``known``: KNOWN. The same again is
    ACTIVITY_KNOWN, and so is all but the first of equal rows in one file. Records that differ under one reference, and
    what takes back more than there was, or from another account than it went to, are a CONFLICT and book nothing.
    """
    back = pl.col("points") < 0
    told = rows.with_columns(back=back)
    before = known.with_columns(back=back).unique(_SAME, keep="first", maintain_order=True)
    group = told.filter(pl.col("ref").is_not_null()).select(
        "line_no",
        first_id=pl.col("item_id").min().over(_SAME),
        agree=pl.struct("points", "member").n_unique().over(_SAME) == 1,
    )
    earlier = before.select(*_SAME, was_id="item_id", was_points="points", was_member="member")
    seen = (
        told.join(group, on="line_no", how="left", maintain_order="left")
        .join(earlier, on=_SAME, how="left", maintain_order="left")
        .with_columns(repeats=(pl.col("points") == pl.col("was_points")) & (pl.col("member") == pl.col("was_member")))
    )
    differs = ~pl.col("agree").fill_null(value=True) | (pl.col("was_id").is_not_null() & ~pl.col("repeats"))
    again = pl.col("was_id").is_not_null() | (pl.col("first_id") != pl.col("item_id")).fill_null(value=False)
    booked = pl.when(pl.col("activity") == "accrual").then(_event(Event.ACCRUED)).otherwise(_event(Event.REDEEMED))
    new = seen.with_columns(
        event=pl.when(differs)
        .then(_event(Event.CONFLICT))
        .when(again)
        .then(_event(Event.ACTIVITY_KNOWN))
        .otherwise(booked)
    )
    event = pl.col("event")
    return _taking_back(new, before).select(
        *rows.columns,
        "event",
        about_id=pl.when(event == Event.CONFLICT.value)
        .then(pl.coalesce("was_id", "of_id"))
        .when(event == Event.ACTIVITY_KNOWN.value)
        .then(pl.coalesce("was_id", "first_id"))
        .otherwise(pl.coalesce("of_id", "item_id")),
    )


def within_balance(rows: pl.DataFrame, balances: pl.DataFrame) -> pl.DataFrame:
    """Turn redemptions that their member cannot pay into REDEEMED_BEYOND, and add ``short``: what is taken back of an
    account that does not hold it any more, which makes its balance negative.

    ``rows``: of ``judged``; ``balances``: source_account, balance. An account pays in order of value date and
    reference, what it gains on a day first, whatever the order of lines, until it is first short. What takes back a
    payment of the same file that is not covered is a CONFLICT: there is nothing to give back.
    """
    beyond = _beyond(rows, balances)
    back = (pl.col("event") == Event.REDEEMED.value) & (pl.col("points") < 0)
    in_vain = back & pl.col("about_id").is_in(beyond["item_id"].implode())
    if rows.select(in_vain.any()).item():
        accounts = rows.filter(in_vain)["source_account"]
        here = back & pl.col("about_id").is_in(rows["item_id"].implode()) & (pl.col("about_id") != pl.col("item_id"))
        # No payment is covered by what another one of the file may give back, or may not.
        beyond = _beyond(rows.filter(~(here & pl.col("source_account").is_in(accounts.implode()))), balances)
        in_vain = back & pl.col("about_id").is_in(beyond["item_id"].implode())
    decided = rows.with_columns(
        event=pl.when(pl.col("item_id").is_in(beyond["item_id"].implode()))
        .then(_event(Event.REDEEMED_BEYOND))
        .when(in_vain)
        .then(_event(Event.CONFLICT))
        .otherwise("event")
    )
    overdrawn = _running(decided, balances).filter((pl.col("moved") < 0) & (pl.col("running") < 0))["line_no"]
    return decided.with_columns(short=pl.col("line_no").is_in(overdrawn.implode()))


def _beyond(rows: pl.DataFrame, balances: pl.DataFrame) -> pl.DataFrame:
    """The payments from each account's first one on that it cannot make."""
    redeems = (pl.col("event") == Event.REDEEMED.value) & (pl.col("points") > 0)
    return _running(rows, balances).filter(redeems & (pl.col("running") < 0).cum_max().over("source_account"))


def _taking_back(rows: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """``rows`` with the item that each one takes back (``of_id``); more than stands on its account is a CONFLICT."""
    key = ["ref", "activity"]
    kept = pl.col("event") != Event.CONFLICT.value
    here = rows.filter(~pl.col("back") & pl.col("ref").is_not_null() & kept).with_columns(stands=True)
    originals = (
        pl.concat(
            frame.select(*key, of_id="item_id", of_points="points", of_account="source_account", of_stands="stands")
            for frame in (before.filter(~pl.col("back")), here)
        ).unique(key, keep="first", maintain_order=True)
    )  # fmt: skip
    takes = pl.col("back") & pl.col("event").is_in([Event.ACCRUED.value, Event.REDEEMED.value])
    beside = rows.join(originals, on=key, how="left", maintain_order="left")
    there = (
        pl.col("of_stands")
        & (pl.col("points").abs() <= pl.col("of_points"))
        & (pl.col("source_account") == pl.col("of_account"))
    )
    return beside.with_columns(
        of_id=pl.when(takes).then("of_id"),
        event=pl.when(takes & pl.col("of_id").is_not_null() & ~there).then(_event(Event.CONFLICT)).otherwise("event"),
    )


def _running(rows: pl.DataFrame, balances: pl.DataFrame) -> pl.DataFrame:
    """Rows that move a member's points in their order: with ``moved`` (signed) and ``running``, what the account holds
    after each."""
    gains = pl.when(pl.col("event") == Event.ACCRUED.value).then("points").otherwise(-pl.col("points"))
    return (
        rows.filter(pl.col("event").is_in([Event.ACCRUED.value, Event.REDEEMED.value]))
        .with_columns(moved=gains)
        .sort("source_account", "value_date", pl.col("moved") < 0, "ref", "line_no")
        .join(balances, on="source_account", how="left", maintain_order="left")
        .with_columns(running=pl.col("moved").cum_sum().over("source_account") + pl.col("balance").fill_null(0))
    )


def _event(event: Event) -> pl.Expr:
    return pl.lit(event.value, pl.Int16)
