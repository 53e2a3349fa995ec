"""Points from a company to its people: what becomes of each row of a file, and who pays for it. Pure.

Here: the event of each row, and whether balances and budgets cover the whole. Not here: where people, budgets and
balances come from, or what an event books (``ledger.distributions``). No result depends on the order of rows but that
of equal rows the first counts.
"""

from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple

import polars as pl

from counterfoil.ledger.model import Event, Standing

PERSONS: Final = {"partner_id": pl.Int32, "member": pl.String, "email": pl.String, "standing": pl.Int16}
"""People by the address that finds them: one row an address and company."""

KNOWN: Final = {"partner_id": pl.Int32, "ref": pl.String, "email": pl.String, "points": pl.Int64, "item_id": pl.Int64}
"""Distributions that were booked before, among references."""

BUDGETS: Final = {
    "partner_id": pl.Int32,
    "department": pl.String,
    "from_day": pl.Date,
    "until_day": pl.Date,
    "hard": pl.Int16,
    "account_id": pl.Int32,
    "balance": pl.Int64,
}
"""Budgets that are open, ``hard`` 1 or 0; of one department no two cover a day."""


class Reason(StrEnum):
    """Why a row is refused, as the company reads it in its result file."""

    FOREIGN_COMPANY = "foreign_company"
    OTHER_COMPANY = "other_company"
    MEMBER_CLOSED = "member_closed"
    DEPARTMENT_UNKNOWN = "department_unknown"
    REFERENCE_USED = "reference_used"


class Shortage(NamedTuple):
    """What a file lacks: of which account, how much it needs and has, and the last line up to which all rows fit."""

    account_id: int
    needs: int
    has: int
    fits_until: int


def sent_on(on_day: date) -> pl.Expr:
    """The day on which the points of a row are sent: reads ``send_date``."""
    return pl.max_horizontal(pl.col("send_date").fill_null(on_day), pl.lit(on_day))


def expires(sent: pl.Expr) -> pl.Expr:
    """When points that reach somebody on a day expire: reads ``expiry_months``; null where no months are given."""
    return sent.dt.offset_by(pl.format("{}mo", "expiry_months"))


def judged(
    rows: pl.DataFrame, persons: pl.DataFrame, known: pl.DataFrame, departments: pl.DataFrame, on_day: date
) -> pl.DataFrame:
    """Add ``event``, ``reason``, ``member`` (of a registered recipient), ``about_id`` (the item that a row repeats) and
    ``value_date``, the day on which its points are sent.

    ``rows``: line_no, item_id, partner_id, foreign (whether another company stands on it than the one whose file it
    is), ref?, email (lower case), points, department?, send_date?, left_out and all else that tells rows apart;
    ``persons``: PERSONS; ``known``: KNOWN; ``departments``: partner_id, department of those that are open.
    """
    own = persons.select("partner_id", "email", member="member", standing="standing")
    elsewhere = persons.filter(pl.col("standing") == Standing.OPEN.value).select("email", home="partner_id").unique()
    abroad = elsewhere.group_by("email").agg(pl.col("home"))
    earlier = known.select("partner_id", "ref", was_email="email", was_points="points", was_id="item_id")
    told = (
        _told_twice(rows)
        .join(own, on=["partner_id", "email"], how="left", maintain_order="left")
        .join(abroad, on="email", how="left", maintain_order="left")
        .join(
            earlier.unique(["partner_id", "ref"], keep="first"),
            on=["partner_id", "ref"],
            how="left",
            maintain_order="left",
        )
        .join(
            departments.with_columns(there=pl.lit(value=True)),
            on=["partner_id", "department"],
            how="left",
            maintain_order="left",
        )
        .with_columns(value_date=sent_on(on_day))
    )
    again = (pl.col("was_email") == pl.col("email")) & (pl.col("was_points") == pl.col("points"))
    foreign = pl.col("home").list.set_difference(pl.concat_list("partner_id")).list.len() > 0
    reason = (
        pl.when("foreign")
        .then(pl.lit(Reason.FOREIGN_COMPANY.value))
        .when(pl.col("was_id").is_not_null() | pl.col("differs"))
        .then(pl.lit(Reason.REFERENCE_USED.value))
        .when(pl.col("department").is_not_null() & pl.col("there").is_null())
        .then(pl.lit(Reason.DEPARTMENT_UNKNOWN.value))
        .when(foreign.fill_null(value=False))
        .then(pl.lit(Reason.OTHER_COMPANY.value))
        .when(pl.col("standing") == Standing.CLOSED.value)
        .then(pl.lit(Reason.MEMBER_CLOSED.value))
    )
    return (
        told.with_columns(reason=reason)
        .with_columns(
            event=pl.when("left_out")
            .then(_event(Event.LEFT_OUT))
            .when(again.fill_null(value=False) & ~pl.col("foreign"))
            .then(_event(Event.DISTRIBUTION_KNOWN))
            # Equal rows are refused alike: what repeats a refused row repeats no payment.
            .when(pl.col("reason").is_not_null())
            .then(_event(Event.DISTRIBUTION_REFUSED))
            .when("repeats")
            .then(_event(Event.DISTRIBUTION_KNOWN))
            .when(pl.col("value_date") > on_day)
            .then(_event(Event.SCHEDULED))
            .when(pl.col("member").is_not_null())
            .then(_event(Event.DISTRIBUTED))
            .otherwise(_event(Event.DISTRIBUTED_UNCLAIMED))
        )
        .with_columns(reason=pl.when(pl.col("event") == Event.DISTRIBUTION_REFUSED.value).then("reason"))
        .select(*rows.columns, "event", "reason", "member", "value_date", about_id=pl.coalesce("was_id", "first_id"))
    )


PAYS: Final = [Event.DISTRIBUTED.value, Event.DISTRIBUTED_UNCLAIMED.value, Event.SCHEDULED.value]
"""Events of rows that take points from their company."""


def sourced(rows: pl.DataFrame, budgets: pl.DataFrame, companies: pl.DataFrame) -> pl.DataFrame:
    """Add ``source_account``: the budget of the row's department (or of the company, for rows that name none) that
    covers the day its points are sent, else the company's balance.

    ``budgets``: BUDGETS; ``companies``: partner_id, account_id.
    """
    covering = rows.select("line_no", "partner_id", "department", "value_date").join(
        budgets, on=["partner_id", "department"], nulls_equal=True
    )
    inside = pl.col("value_date").is_between("from_day", "until_day")
    of_budget = covering.filter(inside).select("line_no", budget="account_id").unique("line_no", keep="first")
    return (
        rows.join(of_budget, on="line_no", how="left", maintain_order="left")
        .join(companies.select("partner_id", own="account_id"), on="partner_id", how="left", maintain_order="left")
        .with_columns(source_account=pl.coalesce("budget", "own"))
        .drop("budget", "own")
    )


def stretched(rows: pl.DataFrame, budgets: pl.DataFrame) -> pl.DataFrame:
    """What budgets that only warn lack for the rows that pay from them, which their company adds: line_no (the first
    of them), partner_id, account_id, points."""
    lack = (pl.col("needs") - pl.col("balance")).clip(lower_bound=0)
    return (
        rows.filter(pl.col("event").is_in(PAYS))
        .group_by(account_id=pl.col("source_account"))
        .agg(needs=pl.col("points").sum(), line_no=pl.col("line_no").min())
        .join(budgets.filter(pl.col("hard") == 0), on="account_id")
        .select("line_no", "partner_id", "account_id", points=lack)
        .filter(pl.col("points") > 0)
        .sort("line_no")
    )


def shortages(rows: pl.DataFrame, more: pl.DataFrame, balances: pl.DataFrame) -> list[Shortage]:
    """Accounts that cannot pay for all rows. ``more``: ``stretched``, with the ``company_account`` that adds it;
    ``balances``: account_id, balance. Budgets that only warn are made up for and never short."""
    pays = rows.filter(pl.col("event").is_in(PAYS)).select("line_no", "points", account_id="source_account")
    own = pays.filter(~pl.col("account_id").is_in(more["account_id"].implode()))
    # The company adds to a budget that only warns from the row on at which it runs out.
    over = (pl.col("points").cum_sum().over("account_id") - pl.col("balance")).clip(lower_bound=0)
    adding = (
        pays.join(more.select("account_id", "company_account"), on="account_id")
        .join(balances, on="account_id")
        .sort("account_id", "line_no")
        .with_columns(over=over)
        .select(
            "line_no",
            points=pl.col("over") - pl.col("over").shift(1, fill_value=0).over("account_id"),
            account_id="company_account",
        )
    )
    running = (
        pl.concat([own, adding])
        .sort("account_id", "line_no")
        .join(balances, on="account_id", how="left", maintain_order="left")
        .with_columns(sum=pl.col("points").cum_sum().over("account_id"))
    )
    needs = running.group_by("account_id").agg(
        needs=pl.col("points").sum(),
        has=pl.col("balance").first(),
        fits=pl.col("line_no").filter(pl.col("sum") <= pl.col("balance")).max().fill_null(0),
    )
    return [Shortage(*row) for row in needs.filter(pl.col("needs") > pl.col("has")).sort("account_id").iter_rows()]


def _told_twice(rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``first_id`` and ``repeats`` (a row like one before it), and ``differs`` (one of several under a reference
    that are not alike)."""
    content = [name for name in rows.columns if name not in ("line_no", "item_id", "left_out")]
    named = pl.col("ref").is_not_null()
    first = pl.col("item_id").filter(~pl.col("left_out")).min().over(content)
    return rows.with_columns(
        first_id=first,
        repeats=(first != pl.col("item_id")).fill_null(value=False),
        differs=named & (pl.struct(content).filter(~pl.col("left_out")).n_unique().over("partner_id", "ref") > 1),
    )


def _event(event: Event) -> pl.Expr:
    return pl.lit(event.value, pl.Int16)
