"""What movements of points are worth: at the rate of their day, revalued when a rate changes, the difference named.

Here: pure arithmetic over small frames, half even in whole minor units. Not here: reading the book or the columns of a
journal (``journal``). Every row belongs to one posting and depends on nothing later, so batching cannot change it.
"""

from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.invariants import require
from counterfoil.ledger.names import HOUSE_NAME
from counterfoil.money import value_points

MOVES: Final = {"line": pl.Int64, "n": pl.Int64, "day": pl.Date, "points": pl.Int64}
"""Points that an account line gained in posting ``n`` on an accounting day; credit positive."""

LINES: Final = {
    "line": pl.Int64,
    "basis": pl.String,
    "partner": pl.String,
    "open": pl.Boolean,
    "before": pl.Int64,
}
"""An account as the journal sees it: the basis of its rate, whether its points are still owed (a new rate revalues
them) or spent (it does not), and its points before the first move."""

RATES: Final = {
    "basis": pl.String,
    "minor": pl.Int64,
    "per_points": pl.Int64,
    "effective_from": pl.Date,
    "file_id": pl.Int64,
    "line_no": pl.Int64,
}

DAYS: Final = {"n": pl.Int64, "horizon": pl.Date}
"""The newest programme day that a posting or one before it fell on; the first row is the posting before the moves."""

AMOUNTS: Final = {
    "n": pl.Int64,
    "day": pl.Date,
    "what": pl.String,
    "line": pl.Int64,
    "basis": pl.String,
    "partner": pl.String,
    "points": pl.Int64,
    "money": pl.Int64,
}
"""One amount a row, credit positive. ``what``: points (a move), revalued (an account after a new rate), revaluation,
margin, rounding (their counter-accounts; ``line`` is null there)."""

_KEYS: Final = ("basis", "n", "day")


def valued(moves: pl.DataFrame, lines: pl.DataFrame, rates: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """AMOUNTS of MOVES: zero in sum for each posting and day.

    A move is worth what it adds to the rounded value of its line's points, at the rate in force on its day (not beyond
    the horizon: no rate is used before its day has come). After each posting the money of an open line is its points at
    the newest rate in force, rounded once; what a new or passed-over rate adds to that is ``revalued``, dated when the
    rate took effect. ``margin`` is what a move between two bases gains or loses. Raises RATE_MISSING.
    """
    _prove_opening(lines, rates, days)
    dated = (
        moves.join(days, on="n")
        .join(lines, on="line")
        .sort("line", "n", "day")
        .with_columns(rate_day=pl.min_horizontal("day", "horizon"), after=_running("points") + pl.col("before"))
        .with_columns(before=pl.col("after") - pl.col("points"))
    )
    rated = _rated(dated, rates, "basis", "rate_day")
    standing = _standing(lines, rates, days)
    moved = rated.with_columns(what=pl.lit("points"), money=_worth("after", "rate") - _worth("before", "rate"))
    margin = _margin(rated, lines, rates)
    revalued = _revalued(rated, lines, rates, standing)
    parts = [moved, margin, _rounding(moved, margin), revalued, _countered(revalued)]
    shaped = pl.concat([_shaped(part) for part in parts])
    return shaped.filter((pl.col("points") != 0) | (pl.col("money") != 0)).sort(
        "n", "day", "what", "basis", "partner", "line"
    )


def in_force(wanted: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """Add ``rate`` {minor, per_points, effective_from} to distinct ``basis, n, day``; null where there is none.

    The newest rate effective by the day among those that had landed with posting n or before it. Where none had, the
    first to land later: points may be posted before their first rate, but not journalled.
    """
    landed = pl.col("file_id") <= pl.col("n")
    best = (
        wanted.join(rates, on="basis")
        .filter(pl.col("effective_from") <= pl.col("day"))
        .with_columns(lateness=pl.when(landed).then(0).otherwise("file_id"))
        .sort("lateness", "effective_from", "file_id", "line_no", descending=[False, True, True, True])
        .unique(_KEYS, keep="first", maintain_order=True)
    )
    return wanted.join(best.select(*_KEYS, rate=_as_rate()), on=_KEYS, how="left", maintain_order="left")


def _rated(rows: pl.DataFrame, rates: pl.DataFrame, basis: str, day: str) -> pl.DataFrame:
    """Rows with the rate in force for their basis and day; RATE_MISSING names the first that has none."""
    keys = rows.select(basis=basis, n="n", day=day)
    wanted = in_force(keys.unique().sort("n", "day", "basis"), rates)
    missing = wanted.filter(pl.col("rate").is_null())
    if missing.height:
        first = missing.row(0, named=True)
        raise PermanentError(
            Code.RATE_MISSING,
            f"posting {first['n']}",
            found=f"no rate of basis {first['basis']} in force on {first['day']}",
            expected="a rate in the journal's currency for every basis and day with points",
            remedy=f"Land a rates file with basis {first['basis']}, effective from {first['day']} or earlier",
        )
    return rows.with_columns(keys.join(wanted, on=_KEYS, how="left", maintain_order="left")["rate"])


def _prove_opening(lines: pl.DataFrame, rates: pl.DataFrame, days: pl.DataFrame) -> None:
    """Points from before the moves were journalled, so they had a rate by then; RATE_MISSING for a range that skips."""
    first = days.sort("n").head(1)
    owed = lines.filter(pl.col("open") & (pl.col("before") != 0)).join(first, how="cross")
    landed = rates.join(first.select("n"), how="cross").filter(pl.col("file_id") <= pl.col("n")).drop("n")
    _rated(owed, landed, "basis", "horizon")


def _standing(lines: pl.DataFrame, rates: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """The newest rate in force at each posting: basis, n, standing, and the one before it."""
    bases = lines.filter("open").select("basis").unique().sort("basis")
    wanted = bases.join(days.rename({"horizon": "day"}), how="cross").drop_nulls().sort("basis", "n")
    return in_force(wanted, rates).select("basis", "n", standing="rate", earlier=pl.col("rate").shift(1).over("basis"))


def _revalued(rated: pl.DataFrame, lines: pl.DataFrame, rates: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Open lines after a new rate, and late moves carried from the rate of their day to the newest."""
    late = (
        rated.filter("open")
        .join(standing, on=["basis", "n"])
        .filter(pl.col("rate") != pl.col("standing"))
        .select("n", "line", "basis", "partner", "before", "after", old="rate", new="standing")
    )
    reached = rated.group_by("line", "n").agg(after=pl.col("after").last()).sort("n")
    changed = (
        standing.filter(pl.col("earlier").is_not_null() & (pl.col("standing") != pl.col("earlier")))
        .join(lines.filter("open"), on="basis")
        .sort("n")
        .join_asof(reached, on="n", by="line", strategy="backward", allow_exact_matches=False, check_sortedness=False)
        .select(
            "n",
            "line",
            "basis",
            "partner",
            before=pl.lit(0, pl.Int64),
            after=pl.coalesce("after", "before"),
            old="earlier",
            new="standing",
        )
    )
    steps = _steps(pl.concat([late, changed]).with_row_index("event"), rates)
    gained = (_worth("after", "rate") - _worth("before", "rate")) - (_worth("after", "old") - _worth("before", "old"))
    return (
        steps.with_columns(money=gained, day=pl.col("rate").struct.field("effective_from"))
        .group_by("n", "day", "line", "basis", "partner")
        .agg(pl.col("money").sum())
        .with_columns(what=pl.lit("revalued"), points=pl.lit(0, pl.Int64))
    )


def _steps(events: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """One row for each rate that an event passes on its way from ``old`` to ``new``, each from the one before it."""
    effective = pl.col("effective_from")
    passed = (
        events.join(rates, on="basis")
        .filter(
            (pl.col("file_id") <= pl.col("n"))
            & (effective > pl.col("old").struct.field("effective_from"))
            & (effective < pl.col("new").struct.field("effective_from"))
        )
        .sort("event", "effective_from", "file_id", "line_no")
        .unique(["event", "effective_from"], keep="last", maintain_order=True)
        .with_columns(rate=_as_rate())
    )
    last = events.with_columns(rate=pl.col("new"))
    return (
        pl.concat([passed.select(last.columns), last])
        .sort("event", pl.col("rate").struct.field("effective_from"))
        .with_columns(old=pl.coalesce(pl.col("rate").shift(1).over("event"), "old"))
    )


def _margin(rated: pl.DataFrame, lines: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """For each partner, posting and day: the points that changed basis, at the programme's rate and at the partner's.

    Both are valued cumulatively, like the lines they explain.
    """
    theirs = pl.col("basis") != HOUSE_NAME
    before = lines.filter(theirs).group_by("basis").agg(before=pl.col("before").sum())
    crossed = (
        rated.filter(theirs)
        .group_by("n", "day", "rate_day", "basis")
        .agg(pl.col("points").sum(), rate=pl.col("rate").first())
        .join(before, on="basis")
        .sort("basis", "n", "day")
        .with_columns(after=_running("points", over="basis") + pl.col("before"), house=pl.lit(HOUSE_NAME))
        .with_columns(before=pl.col("after") - pl.col("points"), theirs="rate")
    )
    both = _rated(crossed, rates, "house", "rate_day")
    # The house has given up what the partner's accounts have gained, hence the negative points at its rate.
    house = _worth("after", "rate", negative=True) - _worth("before", "rate", negative=True)
    gained = _worth("after", "theirs") - _worth("before", "theirs")
    return both.with_columns(
        what=pl.lit("margin"),
        line=pl.lit(None, pl.Int64),
        partner="basis",
        points=pl.lit(0, pl.Int64),
        money=-(gained + house),
    )


def _rounding(moved: pl.DataFrame, margin: pl.DataFrame) -> pl.DataFrame:
    """What is left of each posting and day: at most one minor unit for each value that was rounded into it."""
    terms = pl.concat(
        [
            moved.select("n", "day", "money", terms=pl.lit(1)),
            margin.select("n", "day", "money", terms=pl.lit(2)),
        ]
    )
    rest = terms.group_by("n", "day").agg(money=-pl.col("money").sum(), bound=pl.col("terms").sum())
    require(
        bool((rest["money"].abs() <= rest["bound"]).all()),
        "rounding takes at most one minor unit for each value",
        code=Code.MASS_BALANCE,
    )
    return rest.with_columns(what=pl.lit("rounding"), points=pl.lit(0, pl.Int64))


def _countered(revalued: pl.DataFrame) -> pl.DataFrame:
    return (
        revalued.group_by("n", "day", "partner")
        .agg(money=-pl.col("money").sum())
        .with_columns(what=pl.lit("revaluation"), points=pl.lit(0, pl.Int64))
    )


def _running(points: str, *, over: str = "line") -> pl.Expr:
    return pl.col(points).cum_sum().over(over)


def _worth(points: str, rate: str, *, negative: bool = False) -> pl.Expr:
    """Points at a rate, rounded half even; ``negative`` values as many points the other way."""
    amount = -pl.col(points) if negative else pl.col(points)
    fields = pl.col(rate).struct
    return value_points(amount, fields.field("minor"), fields.field("per_points"))


def _as_rate() -> pl.Expr:
    return pl.struct("minor", "per_points", "effective_from")


def _shaped(part: pl.DataFrame) -> pl.DataFrame:
    """The columns of AMOUNTS; a text that a part does not have is empty."""
    return part.select(
        pl.col(name).cast(kind) if name in part.columns else pl.lit("" if kind == pl.String else None, kind).alias(name)
        for name, kind in AMOUNTS.items()
    )
