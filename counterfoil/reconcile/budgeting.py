"""Which changes of a company's budgets can be made. Pure: frames in, frames out.

Here: the changes of one file beside the budgets that stand. Not here: what a change books (``ledger.budgets``). A file
means its changes as one: what it closes and cuts first goes back to the company, then it creates and tops up, whatever
the order of its rows.
"""

from enum import StrEnum
from typing import Final

import polars as pl

from counterfoil.ledger.model import Event, Standing

BUDGETS: Final = {
    "account_id": pl.Int32,
    "partner_id": pl.Int32,
    "code": pl.String,
    "department": pl.String,
    "from_day": pl.Date,
    "until_day": pl.Date,
    "hard": pl.Int16,
    "alerts": pl.String,
    "funded": pl.Int64,
    "stretched": pl.Int64,
    "standing": pl.Int16,
    "balance": pl.Int64,
}
"""Budgets as they stand, open and closed, and what is left of them."""


class Reason(StrEnum):
    """Why a change of a budget is refused."""

    BUDGET_KNOWN = "budget_known"
    BUDGET_UNKNOWN = "budget_unknown"
    BUDGET_OVERLAPS = "budget_overlaps"
    DEPARTMENT_UNKNOWN = "department_unknown"
    BUDGET_SPENT = "budget_spent"
    BALANCE_SHORT = "balance_short"


_TURNS: Final = {"close": 0, "cut": 1, "create": 2, "top_up": 3}


def judged(rows: pl.DataFrame, known: pl.DataFrame, departments: pl.Series, balance: int) -> pl.DataFrame:
    """The changes of one company in the order in which they are made, with ``event`` (BUDGETED, BUDGET_REFUSED),
    ``reason`` and ``moved``: points that go to the budget, below 0 where they come back.

    ``rows``: line_no, change, budget, points, department?, from_day?, until_day?; ``known``: BUDGETS of the company;
    ``departments``: those that are open; ``balance``: what the company holds.
    """
    stands = known.select(budget="code", was_standing="standing", left="balance", was=pl.lit(value=True))
    ordered = (
        rows.with_columns(turn=pl.col("change").replace_strict(_TURNS, return_dtype=pl.Int8))
        .sort("turn", "budget", "points", "line_no")
        .join(stands, on="budget", how="left", maintain_order="left")
        .with_columns(pl.col("was").fill_null(value=False), pl.col("left").fill_null(0))
    )
    made = pl.col("change") == "create"
    opened = (pl.col("was_standing") == Standing.OPEN.value).fill_null(value=False)
    closing = pl.col("change") == "close"
    closed_here = closing.any().over("budget")
    once = pl.col("line_no") == pl.col("line_no").min().over("budget", "change")
    twice = made & (pl.col("was") | ~once)
    nobodys = made & pl.col("department").is_not_null() & ~pl.col("department").is_in(departments.implode())
    laps = _overlapping(ordered.filter(~(twice | nobodys)), known)
    alone = _reason(
        (twice, Reason.BUDGET_KNOWN),
        (nobodys, Reason.DEPARTMENT_UNKNOWN),
        (made & pl.col("line_no").is_in(laps.implode()), Reason.BUDGET_OVERLAPS),
        (~made & ~opened & ~((pl.col("change") == "top_up") & made.any().over("budget") & ~pl.col("was")),
         Reason.BUDGET_UNKNOWN),
        (closing & ~once, Reason.BUDGET_UNKNOWN),
        ((pl.col("change") == "top_up") & closed_here, Reason.BUDGET_UNKNOWN),
    )  # fmt: skip
    told = ordered.with_columns(reason=alone)
    return _covered(_topped(_cut(told)), balance).with_columns(
        event=pl.when(pl.col("reason").is_null())
        .then(pl.lit(Event.BUDGETED.value, pl.Int16))
        .otherwise(pl.lit(Event.BUDGET_REFUSED.value, pl.Int16))
    )


def _cut(told: pl.DataFrame) -> pl.DataFrame:
    """What each budget gives back: cuts while it lasts, and a close the rest."""
    cuts = (pl.col("change") == "cut") & pl.col("reason").is_null()
    running = pl.when(cuts).then("points").otherwise(0).cum_sum().over("budget")
    spent = cuts & (running > pl.col("left"))
    judged_cuts = told.with_columns(reason=pl.when(spent).then(pl.lit(Reason.BUDGET_SPENT.value)).otherwise("reason"))
    taken = pl.when((pl.col("change") == "cut") & pl.col("reason").is_null()).then("points").otherwise(0)
    rest = pl.col("left") - taken.sum().over("budget")
    back = pl.when(pl.col("change") == "close").then(rest).otherwise(taken)
    return judged_cuts.with_columns(moved=pl.when(pl.col("reason").is_null()).then(-back))


def _topped(told: pl.DataFrame) -> pl.DataFrame:
    """What each budget gets."""
    gives = pl.col("change").is_in(["create", "top_up"]) & pl.col("reason").is_null()
    return told.with_columns(moved=pl.when(gives).then("points").otherwise("moved"))


def _covered(told: pl.DataFrame, balance: int) -> pl.DataFrame:
    """Refuse what the company cannot pay, from the first change that it cannot; and what tops up a budget that is not
    created for that."""
    moved = pl.col("moved").fill_null(0)
    short = (moved > 0) & (pl.lit(balance) - moved.cum_sum() < 0)
    first = told.with_columns(
        reason=pl.when((moved > 0) & short.cum_max()).then(pl.lit(Reason.BALANCE_SHORT.value)).otherwise("reason")
    )
    uncreated = (pl.col("change") == "create") & pl.col("reason").is_not_null()
    orphaned = (pl.col("change") == "top_up") & uncreated.any().over("budget") & ~pl.col("was")
    refused = first.with_columns(
        reason=pl.when(orphaned & pl.col("reason").is_null())
        .then(pl.lit(Reason.BUDGET_UNKNOWN.value))
        .otherwise("reason")
    )
    return refused.with_columns(moved=pl.when(pl.col("reason").is_null()).then("moved").otherwise(0))


def _overlapping(rows: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    """Lines that create a budget for days which another one of the same department has: one that stands and that the
    file does not close, or one that it creates before."""
    columns = ["department", "from_day", "until_day", "budget", "line_no"]
    closed = rows.filter(pl.col("change") == "close")["budget"]
    standing = known.filter(
        (pl.col("standing") == Standing.OPEN.value) & ~pl.col("code").is_in(closed.implode())
    ).with_columns(budget="code", line_no=pl.lit(0, pl.Int64))
    made = rows.filter(pl.col("change") == "create").select(columns)
    others = pl.concat([standing.select(columns), made])
    pairs = made.join(others, on="department", nulls_equal=True, suffix="_other")
    laps = (pl.col("from_day") <= pl.col("until_day_other")) & (pl.col("until_day") >= pl.col("from_day_other"))
    return pairs.filter(laps & (pl.col("line_no_other") < pl.col("line_no")))["line_no"].unique()


def _reason(*cases: tuple[pl.Expr, Reason]) -> pl.Expr:
    return pl.coalesce(*(pl.when(fails).then(pl.lit(reason.value)) for fails, reason in cases))


def alerts(used: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Thresholds that budgets have passed and nobody was told of, as they are funded now: account_id, percent, used,
    funded.

    ``used``: account_id, alerts?, funded, used; ``told``: account_id, percent, funded of alerts before.
    """
    marks = used.filter(pl.col("alerts").is_not_null() & (pl.col("funded") > 0)).with_columns(
        percent=pl.col("alerts").str.split(";")
    )
    each = marks.explode("percent").with_columns(pl.col("percent").cast(pl.Int16)).unique(["account_id", "percent"])
    mark = pl.col("percent").cast(pl.Int64) * pl.col("funded")
    passed = each.filter(pl.col("used") * 100 >= mark).join(told, on=["account_id", "percent", "funded"], how="anti")
    return passed.select("account_id", "percent", "used", "funded").sort("account_id", "percent")
