"""Sums that fit: which parts of a group add up to its target, each way to do it counted, within bounds. Pure.

Here: the search, level by level over all groups at once. Not here: what a group is, or what a fitting sum leads to
(``groups``).
"""

from dataclasses import dataclass
from math import comb
from typing import Final

import polars as pl

PARTS_MAX: Final = 12
"""Parts among which sums are looked for; a group with more is given up."""

WORK_MAX: Final = 2_000_000
"""Sums that one search may try; groups beyond it, in their order, are given up."""


@dataclass(frozen=True, eq=False)
class Found:
    """``sums``: group, sum (numbered within its group), part of every sum that fits; ``gave_up``: group of those that
    were not searched."""

    sums: pl.DataFrame
    gave_up: pl.Series

    @property
    def ways(self) -> pl.DataFrame:
        """How many sums fit: group, ways; groups without any are left out."""
        return self.sums.group_by("group").agg(ways=pl.col("sum").n_unique())


def fitting(targets: pl.DataFrame, parts: pl.DataFrame, *, least: int, most: int) -> Found:
    """Every set of ``least`` to ``most`` parts that adds up to its group's target.

    ``targets``: group Int64 (unique), target Int64; ``parts``: group, part Int64, amount Int64, all above zero. Groups
    count in ascending order, so that which of them are given up depends on no order of rows.
    """
    placed = (
        parts.join(targets, on="group")
        .filter(pl.col("amount") <= pl.col("target"))
        .sort("group", "part")
        .with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64).over("group"))
    )
    searched, gave_up = _bounded(placed, most)
    found, sums = [], searched.select("group", "target", "place", total="amount", mask=_bit(pl.col("place")))
    others = searched.select("group", "amount", next="place")
    for size in range(2, most + 1):
        sums = (
            sums.join(others, on="group")
            .filter((pl.col("next") > pl.col("place")) & (pl.col("total") + pl.col("amount") <= pl.col("target")))
            .select(
                "group",
                "target",
                place="next",
                total=pl.col("total") + pl.col("amount"),
                mask=pl.col("mask") | _bit(pl.col("next")),
            )
        )
        if size >= least:
            found.append(sums.filter(pl.col("total") == pl.col("target")).select("group", "mask"))
    return Found(_listed(pl.concat(found), searched), gave_up)


def _bounded(placed: pl.DataFrame, most: int) -> tuple[pl.DataFrame, pl.Series]:
    """The parts of groups that are searched, and the groups that are not."""
    work = {size: sum(comb(size, chosen) for chosen in range(2, most + 1)) for size in range(PARTS_MAX + 1)}
    sizes = placed.group_by("group").agg(size=pl.len()).sort("group")
    small = sizes.filter(pl.col("size") <= PARTS_MAX)
    tried = small.select(pl.col("size").replace_strict(work, return_dtype=pl.Int64).cum_sum() <= WORK_MAX).to_series()
    within = small.filter(tried)["group"]
    searched = placed.filter(pl.col("group").is_in(within.implode()))
    return searched, sizes.filter(~pl.col("group").is_in(within.implode()))["group"]


def _listed(masks: pl.DataFrame, searched: pl.DataFrame) -> pl.DataFrame:
    numbered = masks.sort("group", "mask").with_columns(sum=pl.int_range(pl.len(), dtype=pl.Int64).over("group"))
    return (
        numbered.join(searched.select("group", "part", "place"), on="group")
        .filter((pl.col("mask") & _bit(pl.col("place"))) != 0)
        .select("group", "sum", "part")
        .sort("group", "sum", "part")
    )


def _bit(place: pl.Expr) -> pl.Expr:
    return place.replace_strict({number: 1 << number for number in range(PARTS_MAX)}, default=0, return_dtype=pl.Int64)
