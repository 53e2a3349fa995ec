"""Candidates for answers whose reference nobody knows: equal points of the same member within a window. Pure.

Here: what a person may be shown, and whether it is the only one. Nothing here settles anything. Not here: matches by
reference (``passes``) or sums (``groups``).
"""

from typing import Final

import polars as pl

from counterfoil.feed import Window
from counterfoil.ledger.model import MatchPass
from counterfoil.reconcile.terms import days_apart

LISTED_MAX: Final = 5
"""Candidates kept of each answer, nearest first."""

EQUALS_MAX: Final = 50
"""Requests of one member with equal points that are looked at one by one; of more, none can be the only one."""


def candidates(
    theirs: pl.DataFrame, ours: pl.DataFrame, window: Window, *, declined: pl.DataFrame | None = None
) -> pl.DataFrame:
    """theirs_id, item_id, days, match_pass: the nearest LISTED_MAX candidates of each answer that has any.

    ``theirs``: theirs_id, member, points, value_date; ``ours``: item_id, member, amount, value_date; members are those
    that stand for them. ``match_pass`` is SUGGESTED where an answer has one candidate that no other answer has,
    AMBIGUOUS otherwise, GAVE_UP where there are too many equals to look at. ``declined``: theirs_id, item_id of pairs
    that are no candidates, as a person has said.
    """
    key, pair = ["member", "points"], ["theirs_id", "item_id"]
    never = pl.DataFrame(schema=dict.fromkeys(pair, pl.Int64)) if declined is None else declined
    asked = ours.select("item_id", "member", points="amount", asked_on="value_date")
    equals = asked.group_by(key).agg(equals=pl.len())
    few = asked.join(equals.filter(pl.col("equals") <= EQUALS_MAX), on=key, how="semi")
    apart = days_apart(window, pl.col("asked_on"), pl.col("value_date"))
    near = (
        theirs.join(few, on=key)
        .join(never, on=pair, how="anti")
        .with_columns(days=apart)
        .filter(pl.col("days").is_between(-window.early_days, window.late_days))
    )
    only = (pl.len().over("theirs_id") == 1) & (pl.len().over("item_id") == 1)
    judged = near.with_columns(
        match_pass=pl.when(only).then(MatchPass.SUGGESTED.value).otherwise(MatchPass.AMBIGUOUS.value)
    )
    first = (
        asked.join(equals.filter(pl.col("equals") > EQUALS_MAX), on=key, how="semi")
        .sort("asked_on", "item_id")
        .group_by(key, maintain_order=True)
        .head(LISTED_MAX)
    )
    many = (
        theirs.join(first, on=key)
        .join(never, on=pair, how="anti")
        .with_columns(days=apart, match_pass=pl.lit(MatchPass.GAVE_UP.value))
    )
    listed = pl.concat([frame.select("theirs_id", "item_id", "days", "match_pass") for frame in (judged, many)])
    return (
        listed.sort("theirs_id", pl.col("days").abs(), "item_id")
        .group_by("theirs_id", maintain_order=True)
        .head(LISTED_MAX)
        .with_columns(pl.col("days").cast(pl.Int32), pl.col("match_pass").cast(pl.Int16))
    )
