"""Open items that nearly fit one that stands alone: what agrees, and by how much the rest differs. Pure: frames in,
frames out.

Here: finding a few candidates without comparing all with all, comparing them field by field, the best first. Not here:
which items are open (``ledger.whys``), what settles (``passes``), or the cause that many breaks share (``causes``).
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from counterfoil.reconcile.terms import NEAR_DAYS

SHOWN_MAX: Final = 5
"""Near misses of one item: as many candidates as the book keeps of a record."""

HEAD: Final = 6
"""Characters with which references that differ in their end begin."""

_REACH: Final = 4
"""Candidates looked at on either side of an item, in each order."""

_CLOSE: Final = 3
"""Characters by which a reference may differ and still speak for a candidate."""

_DIFFERING_MAX: Final = 2

SIDE: Final = {
    "item_id": pl.Int64,
    "within": pl.Int64,
    "ref": pl.String,
    "member": pl.String,
    "points": pl.Int64,
    "value_date": pl.Date,
}
"""An item as it is compared; ``ref`` and ``member`` are null where they are not named. Only items of one
``within`` can meet."""

NEAR: Final = {
    "item_id": pl.Int64,
    "other_id": pl.Int64,
    "place": pl.Int64,
    "ref_agrees": pl.Boolean,
    "member_agrees": pl.Boolean,
    "points_agree": pl.Boolean,
    "date_agrees": pl.Boolean,
    "ref_off": pl.Int64,
    "ref_at": pl.Int64,
    "points_off": pl.Int64,
    "days": pl.Int64,
}
"""One near miss a row. ``place``: 1 is the best. A field that one side does not name neither agrees nor differs: null.
``ref_off``: characters from the first that differs to the last, ``ref_at`` the first of them (from 1, null where none
differs). ``points_off`` and ``days``: the item's less the other's."""

_KEYS: Final = (("ref",), ("member",), ("head", "points"), ("points",))
"""What a candidate has in common with the item, one of these."""

_ORDERS: Final = (("ref",), ("mirrored",), ("value_date",), ("points", "value_date"))
"""Among those that have it in common, the nearest in each order: references that begin alike, that end alike, that day,
that amount."""

_AGREEMENTS: Final = ("ref_agrees", "member_agrees", "points_agree", "date_agrees")


def near_misses(items: pl.DataFrame, others: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """NEAR of each item, at most SHOWN_MAX, best first; sorted by item and place.

    ``items`` and ``others`` have the columns of SIDE. A near miss agrees in all but one or two of reference, member,
    points and date. ``named``: item_id, other_id of pairs that are shown whatever they agree in, in the first places.
    Work grows with the rows of ``others`` and the items, never with their product.
    """
    keyed, pool = (
        frame.select(*SIDE).with_columns(head=pl.col("ref").str.slice(0, HEAD), mirrored=pl.col("ref").str.reverse())
        for frame in (items, others)
    )
    orders = {(keys, tuple(name for name in by if name not in keys)): None for keys in _KEYS for by in _ORDERS}
    found = [_beside(keyed, pool, keys, by) for keys, by in orders if by]
    pairs = pl.concat([named.select("item_id", "other_id"), *found]).unique(maintain_order=True)
    told = pairs.join(
        named.select("item_id", "other_id", named=pl.lit(value=True)), on=["item_id", "other_id"], how="left"
    )
    return _ranked(_compared(told.with_columns(pl.col("named").fill_null(value=False)), items, others))


def _beside(items: pl.DataFrame, others: pl.DataFrame, keys: Sequence[str], by: Sequence[str]) -> pl.DataFrame:
    """item_id, other_id of the candidates next to each item in an order, among those that are equal in the keys."""
    on = ["within", *keys]
    known = pl.all_horizontal(pl.col(*on, *by).is_not_null())
    line = pl.concat(
        [
            items.filter(known).select(*on, *by, "item_id", other_id=pl.lit(None, pl.Int64)),
            others.filter(known).select(*on, *by, item_id=pl.lit(None, pl.Int64), other_id="item_id"),
        ]
    )
    # Items come before the candidates that are equal, so both sides of an item are within its reach.
    line = line.sort(*by, "other_id", "item_id", nulls_last=[*(False for _ in by), False, False])
    line = line.with_columns(place=pl.col("other_id").is_not_null().cum_sum().over(on).cast(pl.Int64))
    reach = pl.int_ranges(pl.col("place") - _REACH + 1, pl.col("place") + _REACH + 1, dtype=pl.Int64)
    wanted = line.filter(pl.col("item_id").is_not_null()).select(*on, "item_id", place=reach).explode("place")
    there = line.filter(pl.col("other_id").is_not_null()).select(*on, "other_id", "place")
    return wanted.join(there, on=[*on, "place"]).select("item_id", "other_id")


def _compared(pairs: pl.DataFrame, items: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the columns of NEAR but ``place``."""
    told = [name for name in SIDE if name != "within"]
    theirs = others.select(*told).rename({name: f"other_{name}" for name in told if name != "item_id"})
    both = pairs.join(items.select(*told), on="item_id", maintain_order="left").join(
        theirs.rename({"item_id": "other_id"}), on="other_id", maintain_order="left"
    )
    same = _shared(both["ref"], both["other_ref"])
    lengths = (pl.col("ref").str.len_chars(), pl.col("other_ref").str.len_chars())
    # What begins and what ends alike never overlap in the shorter of the two.
    behind = pl.min_horizontal(
        _shared(both["ref"].str.reverse(), both["other_ref"].str.reverse()), pl.min_horizontal(*lengths) - same
    )
    agrees = pl.col("ref") == pl.col("other_ref")
    return both.with_columns(
        ref_agrees=agrees,
        member_agrees=pl.col("member") == pl.col("other_member"),
        points_agree=pl.col("points") == pl.col("other_points"),
        ref_off=(pl.max_horizontal(*lengths).cast(pl.Int64) - same - behind),
        ref_at=pl.when(~agrees).then(same + 1),
        points_off=pl.col("points") - pl.col("other_points"),
        days=(pl.col("value_date") - pl.col("other_value_date")).dt.total_days(),
    ).with_columns(date_agrees=pl.col("days").abs() <= NEAR_DAYS)


def _shared(left: pl.Series, right: pl.Series) -> pl.Series:
    """How many characters two columns of texts have in common from the first on, row by row; null beside a null."""
    texts = pl.DataFrame({"left": left, "right": right}).with_row_index("row")
    letters = texts.drop_nulls().select(
        "row",
        pl.col("left", "right").str.split(""),
        place=pl.int_ranges(0, pl.min_horizontal(pl.col("left", "right").str.len_chars()) + 1, dtype=pl.Int64),
    )
    each = letters.explode("place").select(
        "row", "place", *(pl.col(side).list.get(pl.col("place"), null_on_oob=True) for side in ("left", "right"))
    )
    # Behind the shorter text one letter is missing, or both are: that ends what is shared.
    stops = each.filter(pl.col("left").is_null() | pl.col("right").is_null() | (pl.col("left") != pl.col("right")))
    first = stops.group_by("row").agg(pl.col("place").min())
    return texts.join(first, on="row", how="left", maintain_order="left")["place"]


def _ranked(compared: pl.DataFrame) -> pl.DataFrame:
    agreeing = pl.sum_horizontal(pl.col(name).fill_null(value=False).cast(pl.Int64) for name in _AGREEMENTS)
    differing = pl.sum_horizontal((~pl.col(name)).fill_null(value=False).cast(pl.Int64) for name in _AGREEMENTS)
    judged = compared.with_columns(agreeing=agreeing, differing=differing)
    by_reference = pl.col("ref_agrees").fill_null(value=False)
    close = (pl.col("ref_off") <= _CLOSE).fill_null(value=False) & (pl.col("agreeing") > 0)
    near = (pl.col("differing") <= _DIFFERING_MAX) & (by_reference | close | (pl.col("agreeing") > 1))
    best = judged.filter(pl.col("named") | near).sort(
        "item_id",
        ~pl.col("named"),
        "differing",
        -pl.col("agreeing"),
        pl.col("ref_off"),
        pl.col("points_off").abs(),
        pl.col("days").abs(),
        "other_id",
        nulls_last=True,
    )
    placed = best.with_columns(place=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("item_id"))
    return placed.filter(pl.col("place") <= SHOWN_MAX).select(pl.col(name).cast(kind) for name, kind in NEAR.items())
