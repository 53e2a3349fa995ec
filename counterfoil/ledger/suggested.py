"""Which of our open requests an answer that nobody knows may be for, as the book stands now.

Here: what is read of the book for it. Not here: what makes a candidate (``reconcile.suggestions``), what a posting kept
of its own search (``later_passes``), or taking and declining one (``decisions``, ``break_life``).
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from counterfoil.feed import Feed
from counterfoil.ledger import decided
from counterfoil.ledger.figures import made_in
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.merged import with_requests
from counterfoil.ledger.model import Agreed, BreakCode, ItemKind, MatchPass, Side
from counterfoil.ledger.story_parts import FIELDS
from counterfoil.reconcile.suggestions import candidates
from counterfoil.reconcile.terms import SUGGESTING

SUGGESTED: Final = {
    "break_id": pl.String,
    "partner": pl.String,
    "our_ref": pl.String,
    "points": pl.Int64,
    "days": pl.Int64,
    "agreed": pl.String,
    "only": pl.Boolean,
}
"""Columns of suggestions: ``days`` from our value date to theirs; ``agreed``: the fields that are equal, in words;
``only``: this answer has no other candidate, and no other answer has this one."""

_ALWAYS: Final = f"{FIELDS[Agreed.MEMBER]}, {FIELDS[Agreed.POINTS]}"
_ON_THE_DAY: Final = f"{_ALWAYS}, {FIELDS[Agreed.DATE]}"

_FOUND: Final = {"theirs_id": pl.Int64, "item_id": pl.Int64, "days": pl.Int32, "match_pass": pl.Int16}


def suggested(book: Lookups, feeds: Sequence[Feed], partner: str | None = None) -> pl.DataFrame:
    """SUGGESTED of all open B03 whose answer is an acceptance with a member: oldest answer first, nearest candidate
    first. Those that a person has declined are left out, and requests that another open answer names. ``feeds`` say
    within how many days a partner answers."""
    theirs = _unknown(book)
    found = [_of_feed(part, book, feeds) for part in theirs.partition_by("partner_id", "feed", maintain_order=True)]
    listed = pl.concat([pl.DataFrame(schema=_FOUND), *found])
    alone = (pl.col("match_pass") == MatchPass.SUGGESTED.value) & (pl.len().over("item_id") == 1)
    named = book.frame(
        """SELECT l.*, i.ref AS our_ref, i.amount AS points FROM listed l JOIN book.item i ON i.item_id = l.item_id""",
        listed=listed.with_columns(only=alone),
    ).join(theirs.select("theirs_id", "break_id", "partner"), on="theirs_id")
    agreed = pl.when(pl.col("days") == 0).then(pl.lit(_ON_THE_DAY)).otherwise(pl.lit(_ALWAYS))
    of_partner = named if partner is None else named.filter(pl.col("partner") == partner)
    return (
        of_partner.with_columns(agreed=agreed)
        .sort("theirs_id", pl.col("days").abs(), "item_id")
        .select(pl.col(name).cast(kind) for name, kind in SUGGESTED.items())
    )


def _unknown(book: Lookups) -> pl.DataFrame:
    """Answers that wait for an owner: break_id, partner_id, partner, feed, theirs_id, member, points, value_date."""
    return book.frame(
        f"""SELECT b.break_id, b.partner_id, p.partner, f.feed, o.item_id AS theirs_id, o.member, o.amount AS points,
                   o.value_date
            FROM book.open_break b JOIN book.open_item o ON o.item_id = b.theirs_id
            JOIN book.partner p ON p.partner_id = b.partner_id JOIN book.posting f ON f.n = {made_in("o.item_id")}
            WHERE b.code = {BreakCode.UNKNOWN_THEIRS:d} AND o.kind = {ItemKind.THEIR_ACCEPT:d} AND o.amount > 0
              AND o.remaining <> 0 AND o.member IS NOT NULL
            ORDER BY o.item_id"""
    )


def _of_feed(theirs: pl.DataFrame, book: Lookups, feeds: Sequence[Feed]) -> pl.DataFrame:
    """Candidates for the answers of one feed; members that were merged are whoever stands for them."""
    partner_id, feed = int(theirs["partner_id"][0]), theirs["feed"][0]
    windows = [one.answer_window for one in feeds if one.feed == feed and one.answer_window is not None]
    named, ours = with_requests(theirs, book.aliases(partner_id), book, partner_id)
    spoken_of = book.open_items(partner_id, Side.THEIRS)["ref"]
    free = ours.filter(~pl.col("ref").is_in(spoken_of.implode()))
    window = windows[-1] if windows else SUGGESTING
    return candidates(named, free, window, declined=decided.declined(book).select("theirs_id", "item_id"))
