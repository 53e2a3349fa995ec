"""Members that were merged into others: whose account stands for whose, and which numbers mean the same member when.

Here: reading merges and aliases, and sending to the survivor what is meant for an account that was merged away. Not
here: merging (``members``) or comparing numbers (``reconcile.passes``).
"""

from dataclasses import replace
from datetime import date
from typing import Final, Protocol

import polars as pl

from counterfoil.ledger import posting
from counterfoil.ledger.model import BEYOND_LINES, Event
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work
from counterfoil.reconcile.merges import chain_ends

FORWARDING: Final = 2
"""The ordinal of transfers that send points on to a survivor."""


class Aliases(Protocol):
    """What knows aliases; the open book."""

    def aliases(self, partner_id: int) -> pl.DataFrame: ...


class Reads(Protocol):
    """The open book."""

    def frame(self, query: str, **frames: pl.DataFrame) -> pl.DataFrame: ...


def aliases(work: Work, book: Aliases, partner_id: int) -> pl.DataFrame:
    """Hops from a merged account to its survivor, as ``passes.surviving`` takes them: member, survivor, since.

    Before schema 2 an alias counted from the posting that made it, whatever the date.
    """
    known = book.aliases(partner_id)
    return known if work.schema > 1 else known.with_columns(since=pl.lit(date.min))


class Requests(Protocol):
    """What finds open requests by their members; the open book."""

    def requests_of(self, partner_id: int, members: pl.Series) -> pl.DataFrame: ...


def with_requests(
    answers: pl.DataFrame, hops: pl.DataFrame, book: Requests, partner_id: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Answers, and the open requests of their members under any of their numbers (item_id, ref, member, amount,
    value_date), each with the member that stands for it when the newest of the answers was given.

    ``answers``: member, value_date among others; ``hops``: as of ``aliases``.
    """
    ends = chain_ends(hops.filter(pl.col("since") <= answers["value_date"].max()))
    stands = pl.col("member").replace(ends["member"], ends["end"])
    named = answers.with_columns(stands)
    merged_away = ends.filter(pl.col("end").is_in(named["member"].implode()))["member"]
    ours = book.requests_of(partner_id, pl.concat([named["member"], merged_away]))
    return named, ours.with_columns(stands)


def survivors(book: Reads) -> pl.DataFrame:
    """Accounts that were merged away with the one that stands for them today: account_id, survivor. Mostly empty."""
    hops = book.frame("SELECT from_account AS account_id, to_account AS survivor FROM book.merge ORDER BY 1")
    ends = hops
    while ends["survivor"].is_in(hops["account_id"].implode()).any():
        ends = ends.with_columns(pl.col("survivor").replace(hops["account_id"], hops["survivor"]))
    return ends


def redirected(column: str, book: Reads) -> pl.Expr:
    """A column of accounts with those that were merged away replaced by the one that stands for them."""
    ends = survivors(book)
    return pl.col(column).replace(ends["account_id"], ends["survivor"]) if ends.height else pl.col(column)


def standing(accounts: pl.DataFrame, book: Reads) -> pl.DataFrame:
    """Members' accounts (owner, account_id, balance) with those of survivors for those that were merged away."""
    ends = survivors(book)
    away = accounts.join(ends, on="account_id", maintain_order="left")
    if away.is_empty():
        return accounts
    balances = book.frame(
        """SELECT w.survivor, CAST(coalesce(b.balance, 0) AS BIGINT) AS stands FROM wanted w
           LEFT JOIN book.balance b ON b.account_id = w.survivor""",
        wanted=away.select("survivor").unique(),
    )
    return (
        accounts.join(away.select("account_id", "survivor"), on="account_id", how="left", maintain_order="left")
        .join(balances, on="survivor", how="left", maintain_order="left")
        .select("owner", account_id=pl.coalesce("survivor", "account_id"), balance=pl.coalesce("stands", "balance"))
    )


def paid_from(rows: pl.DataFrame, accounts: pl.DataFrame) -> pl.DataFrame:
    """Rows with the account (``source_account``) of each one's member, of ``standing``."""
    owned = accounts.select(member="owner", source_account="account_id")
    return rows.join(owned, on="member", how="left", maintain_order="left")


def forwarded(changes: posting.Changes, work: Work, book: Reads) -> posting.Changes:
    """Changes in which nothing stays on an account that was merged away: what mirrors an old transfer books there, and
    a transfer of its own sends it on to the survivor."""
    ends = survivors(book)
    entries = changes.rows["entry"]
    if ends.is_empty() or entries.is_empty():
        return changes
    stayed = (
        entries.join(ends, on="account_id")
        .group_by("account_id", "survivor")
        .agg(sent=pl.col("amount").sum())
        .filter(pl.col("sent") != 0)
        .sort("account_id")
    )
    if stayed.is_empty():
        return changes
    effects = stayed.select(
        line_no=pl.int_range(pl.len(), dtype=pl.Int64) + BEYOND_LINES,
        ordinal=pl.lit(FORWARDING, pl.Int64),
        event=pl.lit(Event.MERGED.value, pl.Int16),
        source_account="account_id",
        target_account="survivor",
        sent="sent",
        answered="sent",
        value_date=pl.lit(work.on_day),
    )
    sent_on = posting.entries(effects, work.rules, {}, work.file_id).with_columns(line_no=pl.lit(0, pl.Int64))
    sent_on = posting.shaped(sent_on, TABLES["entry"])
    return replace(changes, rows={**changes.rows, "entry": pl.concat([entries, sent_on])})
