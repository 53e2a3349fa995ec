"""The rule behind amounts that differ: points off by a number or a ratio, money by a price or an amount. Pure.

Here: finding it among several amounts of a partner. Not here: breaks and their causes in words (``causes``), or what a
charge should have been (``charges``).
"""

from typing import Final

import polars as pl

from counterfoil.money import decimal_texts, has_value, value_points

CHARGED: Final[dict[str, type[pl.DataType]]] = {
    "charged_points": pl.Int64,
    "rated_on": pl.Date,
    "currency": pl.String,
    "amount_ours_minor": pl.Int64,
    "amount_theirs_minor": pl.Int64,
    "rate_minor": pl.Int64,
    "rate_per": pl.Int64,
}
"""A charge that is not what we expect: ``amount_theirs_minor`` for so many points, negative where they were given back,
and the rate of the day: ``rate_minor`` for ``rate_per`` points, null where none was used."""

SEVERAL: Final = 3
"""Different amounts that must agree before a difference or a ratio is a rule and not a chance."""

PRICES_MAX: Final = 8
"""Prices of one rate that are tried on ever so many charges, those of the most points first: a rate card has a few, and
small charges are rounded too much to tell."""

PAIRS_MAX: Final = 500_000
"""Charges times prices up to which more prices are tried: all of them, on less than several hundred charges."""

SCALES: Final = (1, 100)
"""How many times the points of a rate a price may be for: two more digits than the rate card."""

_RATE: Final = ["partner", "currency", "rate_minor", "rate_per"]


def compared(differing: pl.DataFrame) -> pl.DataFrame:
    """Add ``rule`` to points that differ: sign_flipped, points_ratio (``times`` for ``per``), part_missing or
    points_off (by ``off``).

    ``differing``: partner, item_id, points_ours, points_theirs, in_parts. Amounts are compared as magnitudes, so that a
    recall tells of the same tariff as a request.
    """
    sign = pl.when(pl.col("points_ours") < 0).then(-1).otherwise(1)
    amounts = differing.with_columns(sent=pl.col("points_ours").abs(), answered=pl.col("points_theirs") * sign)
    flipped = pl.col("answered") == -pl.col("sent")
    compared = _by_rule(amounts.filter(~flipped))
    return pl.concat([compared, amounts.filter(flipped).with_columns(rule=pl.lit("sign_flipped"))], how="diagonal")


def _by_rule(amounts: pl.DataFrame) -> pl.DataFrame:
    divisor = _common_divisor(amounts.select(a="sent", b=pl.col("answered").abs()))
    off = ["partner", "off"]
    ratio = ["partner", "times", "per"]
    found = amounts.with_columns(
        off=pl.col("answered") - pl.col("sent"), times=pl.col("answered") // divisor, per=pl.col("sent") // divisor
    ).with_columns(
        waits=(pl.col("in_parts").fill_null(value=False) & (pl.col("answered") > 0)).all().over("item_id")
        & (pl.col("answered").sum().over("item_id") < pl.col("sent")),
        same_off=pl.len().over(off),
        same_ratio=pl.len().over(ratio),
        off_is_rule=pl.col("sent").n_unique().over(off) >= SEVERAL,
        ratio_is_rule=pl.col("sent").n_unique().over(ratio) >= SEVERAL,
    )
    by_ratio = pl.col("ratio_is_rule") & (pl.col("same_ratio") > pl.col("same_off"))
    rule = pl.when(by_ratio).then(pl.lit("points_ratio"))
    in_part = ~pl.col("off_is_rule") & pl.col("waits")
    return found.with_columns(rule=rule.when(in_part).then(pl.lit("part_missing")).otherwise(pl.lit("points_off")))


def _common_divisor(pairs: pl.DataFrame) -> pl.Series:
    """The greatest common divisor of ``a`` and ``b``, neither negative nor both 0; Euclid's steps for all rows at
    once, of which 64-bit numbers need fewer than a hundred."""
    a, b = pl.col("a"), pl.col("b")
    while (pairs["b"] != 0).any():
        pairs = pairs.select(a=pl.when(b == 0).then(a).otherwise(b), b=(a % b).fill_null(0))
    return pairs["a"]


def priced(charged: pl.DataFrame) -> pl.DataFrame:
    """Add ``price`` and ``our_price`` (for ``per`` points) where one price explains a charge, and ``way`` (plus or
    less) and ``off`` from ours; all but ``per`` are text. ``charged``: break_id, partner and CHARGED, full but for the
    rate."""
    off = pl.col("amount_theirs_minor") - pl.col("amount_ours_minor")
    known = charged.with_columns(off=off).with_columns(
        alike=pl.len().over("partner", "currency", "off"),
        is_rule=pl.col("amount_ours_minor").n_unique().over("partner", "currency", "off") >= SEVERAL,
    )
    fitting = known.join(_fitting(known), on="break_id", how="left")
    of_price = pl.col("support").fill_null(0)
    by_price = ~(pl.col("is_rule") & (pl.col("alike") > of_price))
    codes = charged["currency"].drop_nulls().unique().to_list()

    def written(minor: pl.Expr) -> pl.Expr:
        return decimal_texts(minor, pl.col("currency"), codes).cast(pl.String)

    return fitting.with_columns(
        price=pl.when(by_price).then(written(pl.col("candidate"))),
        our_price=written(pl.col("rate_minor") * pl.col("scale")),
        per=pl.col("rate_per") * pl.col("scale"),
        way=pl.when(pl.col("off") > 0).then(pl.lit("plus")).otherwise(pl.lit("less")),
        off=written(pl.col("off").abs()),
    )


def _fitting(charged: pl.DataFrame) -> pl.DataFrame:
    """break_id, candidate, scale, support: of the prices that explain a charge to the last minor unit the one that
    explains most. A price is whole minor units for ``rate_per`` times ``scale`` points: as rate cards have it, or finer
    where only that explains several charges, as behind a foreign currency."""
    found = pl.concat([_fitting_at(charged, scale) for scale in SCALES])
    several = pl.col("support") >= SEVERAL
    return found.sort("break_id", ~several, "scale", -pl.col("support"), "candidate").unique(
        "break_id", keep="first", maintain_order=True
    )


def _fitting_at(charged: pl.DataFrame, scale: int) -> pl.DataFrame:
    sign, per = pl.col("charged_points").sign(), pl.col("rate_per") * scale
    rated = charged.filter(has_value(pl.col("amount_theirs_minor"), per, pl.col("charged_points").abs()))
    # The points and the charge change places: so many minor units are how many for so many points.
    single = value_points(pl.col("amount_theirs_minor") * sign, per, pl.col("charged_points").abs())
    tried = (
        rated.with_columns(candidate=single)
        .group_by(*_RATE, "candidate")
        .agg(pl.col("charged_points").abs().sum())
        .sort(*_RATE, -pl.col("charged_points"), "candidate")
        .group_by(_RATE, maintain_order=True)
        .head(max(PRICES_MAX, PAIRS_MAX // max(rated.height, 1)))
    )
    worth = value_points(pl.col("charged_points"), pl.col("candidate"), per)
    pairs = rated.join(tried.select(*_RATE, "candidate"), on=_RATE)
    valued = pairs.filter(has_value(pl.col("charged_points"), pl.col("candidate"), per))
    fits = valued.filter(worth == pl.col("amount_theirs_minor"))
    support = pl.len().over(*_RATE, "candidate").cast(pl.Int64)
    return fits.select("break_id", "candidate", scale=pl.lit(scale, pl.Int64), support=support)
