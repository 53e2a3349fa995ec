"""Several for one: answers that together credit one request, and one answer for several requests. Pure.

Here: which groups fit, and when a fit must not be believed. Not here: the search for sums (``subsets``), where rows
come from or what a verdict books (``ledger``).
"""

from dataclasses import dataclass
from enum import IntEnum

import polars as pl

from counterfoil.feed import Window
from counterfoil.reconcile.subsets import PARTS_MAX, fitting
from counterfoil.reconcile.terms import inside


class Verdict(IntEnum):
    """What is to be thought of a line beside its group."""

    SETTLED = 1
    WAITS = 2
    """The parts that have come are less than the whole."""
    AGAINST = 3
    """They are more, or do not fit together."""
    AMBIGUOUS = 4
    """They fit in more than one way."""
    GAVE_UP = 5


@dataclass(frozen=True, eq=False)
class Groups:
    """``lines``: line_no, verdict of every line that has something to be grouped with; ``members``: line_no, part of
    every sum that fits its line's group, settled or not."""

    lines: pl.DataFrame
    members: pl.DataFrame


def split(today: pl.DataFrame, waiting: pl.DataFrame, most: int) -> Groups:
    """Answers that are parts of one request, today's beside those that wait.

    ``today``: part, line_no, group, points, value_date, sent, all accepted; ``waiting``: part, group, points,
    value_date. Part and group are Int64 ids, a group being a request. Exactly one sum must fit, and it must hold all of
    today's parts. A group in which one of today's answers is the whole or more is no split and is left out, as is an
    answer that stands alone. One with the points and the day of a part that waits is that part again: it is left out,
    and no sum settles that would need both.
    """
    whole = today.group_by("group").agg(
        target=pl.col("sent").first(), here=pl.len(), bare=(pl.col("points") >= pl.col("sent")).any()
    )
    partial = today.join(whole.filter(~pl.col("bare")).select("group"), on="group", how="semi")
    own = partial.select("group", "part", amount="points")
    pool = pl.concat([own, waiting.select("group", "part", amount="points").join(own, on="group", how="semi")])
    pool = pool.filter(pl.col("amount") > 0)
    again = partial.join(waiting, on=["group", "points", "value_date"], how="semi")
    repeated = again["group"].unique()
    sizes = pool.group_by("group").agg(size=pl.len(), total=pl.col("amount").sum()).filter(pl.col("size") > 1)
    known = sizes.join(whole, on="group")
    found = fitting(known.select("group", "target"), pool, least=2, most=most)
    held = (
        found.sums.join(partial.select("group", "part"), on=["group", "part"], how="semi")
        .group_by("group", "sum")
        .agg(held=pl.len())
        .group_by("group")
        .agg(held=pl.col("held").max())
    )
    judged = (
        known.join(found.ways, on="group", how="left")
        .join(held, on="group", how="left")
        .select(
            "group",
            verdict=pl.when(pl.col("group").is_in(found.gave_up.implode()))
            .then(Verdict.GAVE_UP.value)
            .when(pl.col("ways") > 1)
            .then(Verdict.AMBIGUOUS.value)
            .when(
                (pl.col("ways") == 1) & (pl.col("held") == pl.col("here")) & ~pl.col("group").is_in(repeated.implode())
            )
            .then(Verdict.SETTLED.value)
            .when(pl.col("ways").is_null() & (pl.col("total") < pl.col("target")))
            .then(Verdict.WAITS.value)
            .otherwise(Verdict.AGAINST.value),
        )
    )
    settled = pl.col("verdict") != Verdict.AMBIGUOUS.value
    lines = partial.select("line_no", "group").join(judged, on="group")
    lines = lines.filter(~(settled & pl.col("line_no").is_in(again["line_no"].implode())))
    members = lines.join(found.sums.select("group", "part").unique(), on="group")
    return Groups(
        lines.select("line_no", "verdict").sort("line_no"), members.select("line_no", "part").sort("line_no", "part")
    )


def gathered(waiting: pl.DataFrame, most: int) -> Groups:
    """Requests whose answers came before them in parts; ``line_no`` is the request's.

    ``waiting``: line_no, points (of the request), theirs_id, their_points, all accepted, several a request.
    """
    wholes = waiting.group_by(group="line_no").agg(target=pl.col("points").first(), total=pl.col("their_points").sum())
    parts = waiting.select(group="line_no", part="theirs_id", amount="their_points")
    found = fitting(wholes.select("group", "target"), parts.filter(pl.col("amount") > 0), least=2, most=most)
    lines = wholes.join(found.ways, on="group", how="left").select(
        line_no="group",
        verdict=pl.when(pl.col("ways") == 1)
        .then(Verdict.SETTLED.value)
        .when(pl.col("ways").is_null() & (pl.col("total") < pl.col("target")))
        .then(Verdict.WAITS.value)
        .otherwise(Verdict.AMBIGUOUS.value),
    )
    return Groups(lines.sort("line_no"), found.sums.select("part", line_no="group").select("line_no", "part").unique())


def net(answers: pl.DataFrame, ours: pl.DataFrame, *, most: int, window: Window) -> Groups:
    """Answers that stand for several open requests of one member and one day.

    ``answers``: line_no, ref, member, points, value_date; ``ours``: part (item_id), member, amount, value_date; members
    are those that stand for them. Exactly one sum must fit, no single request may have the same points, and no other
    answer may want a request of it.
    """
    by_day = ours.group_by("member", "value_date").agg(size=pl.len()).filter(pl.col("size") > 1)
    near = (
        answers.select("member", "value_date")
        .unique()
        .join(by_day.rename({"value_date": "asked_on"}), on="member")
        .filter(inside(window, pl.col("asked_on"), pl.col("value_date")))
    )
    days = answers.join(near, on=["member", "value_date"])
    groups = days.filter(pl.col("size") <= PARTS_MAX).sort("ref", "line_no", "asked_on").with_row_index("group")
    groups = groups.with_columns(pl.col("group").cast(pl.Int64))
    parts = groups.select("group", "member", value_date="asked_on").join(ours, on=["member", "value_date"])
    found = fitting(
        groups.select("group", target="points"), parts.select("group", "part", "amount"), least=2, most=most
    )
    unsearched = pl.concat(
        [
            days.filter(pl.col("size") > PARTS_MAX)["line_no"],
            groups.filter(pl.col("group").is_in(found.gave_up.implode()))["line_no"],
        ]
    ).unique()
    sums = found.sums.join(groups.select("group", "line_no"), on="group")
    ways = sums.group_by("line_no").agg(ways=pl.struct("group", "sum").n_unique())
    alone = answers.join(ours.select("member", points="amount"), on=["member", "points"], how="semi")["line_no"]
    members = sums.select("line_no", "part").unique()
    wanted_twice = members.filter(pl.col("part").is_duplicated())["line_no"]
    touched = answers.filter(
        pl.col("line_no").is_in(ways["line_no"].implode()) | pl.col("line_no").is_in(unsearched.implode())
    )
    line = pl.col("line_no")
    lines = touched.join(ways, on="line_no", how="left").select(
        "line_no",
        verdict=pl.when(line.is_in(unsearched.implode()))
        .then(Verdict.GAVE_UP.value)
        .when((pl.col("ways") > 1) | line.is_in(wanted_twice.unique().implode()) | line.is_in(alone.unique().implode()))
        .then(Verdict.AMBIGUOUS.value)
        .otherwise(Verdict.SETTLED.value),
    )
    return Groups(lines.sort("line_no"), members.sort("line_no", "part"))
