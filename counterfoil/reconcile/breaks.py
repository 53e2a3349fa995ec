"""Breaks: how one is opened, counted, aged and weighed. Pure: frames in, frames out.

Here: families, titles, next steps, buckets, severity and the rows a posting adds. Not here: which answers open one
(``life``) or what stays open (the book).
"""

from datetime import date
from typing import Final, NamedTuple

import polars as pl

from counterfoil.ledger.model import BreakCode, BreakEvent, Event


class Kind(NamedTuple):
    """What people read about a break code. ``due_days`` counts from the day it opened."""

    title: str
    owner: str
    next_step: str
    due_days: int


KINDS: Final[dict[BreakCode, Kind]] = {
    BreakCode.IN_TRANSIT: Kind("In transit", "operations", "Wait for the next hand-back", 3),
    BreakCode.OVERDUE: Kind("Answer overdue", "operations", "Ask the partner for the missing answer", 1),
    BreakCode.UNKNOWN_THEIRS: Kind("Unknown to us", "operations", "Identify the request or refuse the item", 3),
    BreakCode.POINTS_DIFFER: Kind("Points differ", "operations", "Agree the amount with the partner", 3),
    BreakCode.MONEY_DIFFERS: Kind("Money differs", "finance", "Check the partner's rate card", 3),
    BreakCode.DATE_DIFFERS: Kind("Date differs", "finance", "Judge whether the period needs an accrual", 1),
    BreakCode.DUPLICATE_THEIRS: Kind("Answered twice", "partner desk", "Tell the partner; nothing was booked twice", 5),
    BreakCode.DUPLICATE_OURS: Kind("Requested twice", "operations", "Recall the second request", 1),
    BreakCode.REJECTED: Kind("Rejected by partner", "member services", "Correct and send again, or tell the member", 5),
    BreakCode.OTHER_ACCOUNT: Kind("Accepted to another account", "member services", "Update the member's number", 5),
    BreakCode.CONFLICT: Kind("Answers conflict", "operations", "Agree the outcome with the partner", 1),
    BreakCode.CONTROL_WRONG: Kind("Control total wrong", "operations", "Ask the partner for a whole file", 1),
    BreakCode.SEQUENCE: Kind("File missing or repeated", "operations", "Ask the partner for the file", 1),
    BreakCode.WALLET_DIFFERS: Kind("Wallet differs from vouchers", "finance", "Claim the refund from the supplier", 3),
    BreakCode.LEDGER_DIFFERS: Kind("Ledger differs from GL", "finance", "Find the entry that one side lacks", 1),
    BreakCode.BALANCE_SHORT: Kind("Balance short", "operations", "Find out why points were sent without cover", 1),
}

STEPS: Final[dict[Event, str]] = {
    Event.DISTRIBUTION_KNOWN: "Tell the company; the row was not paid twice",
    Event.RECHARGE_KNOWN: "Tell the sender; the payment was not counted twice",
    Event.RECHARGE_BEYOND: "Ask for the money; the points have been given on",
    Event.COMPANY_REFUSED: "Ask which company or unit it is, and which row counts; send that in another file",
    Event.REGISTRATION_REFUSED: "Ask whose address or number it is, or which company",
    Event.ORDER_KNOWN: "Tell the company; the order was not taken twice",
    Event.ORDER_CONFLICT: "Ask the company which of the orders it means",
    Event.ORDER_REFUSED: "Tell the buyer why; counterfoil explain has the reason",
    Event.ORDER_SHORT: "Tell the buyer; the balance does not cover the order",
    Event.PAYMENT_UNKNOWN: "Have an order of that sum sent, and it is paid; or have the payment given back",
    Event.PAYMENT_KNOWN: "Have the second payment given back",
    Event.PAYMENT_LATE: "Have the payment given back; the order has ended",
    Event.PAYMENT_USED: "Ask the payer which order the payment is for",
    Event.FULFILMENT_UNKNOWN: "Ask the supplier what it delivered, and for whom",
    Event.VOUCHER_UNKNOWN: "Ask the supplier which voucher was used",
    Event.DELIVERY_UNKNOWN: "Ask the supplier which goods it means",
}
"""Next steps where the code alone does not say what to do: by what the record that opened the break turned out to
be."""

CLEARABLE: Final = (
    BreakCode.OVERDUE, BreakCode.UNKNOWN_THEIRS, BreakCode.POINTS_DIFFER, BreakCode.DATE_DIFFERS, BreakCode.SEQUENCE,
    BreakCode.CONTROL_WRONG, BreakCode.LEDGER_DIFFERS,
)  # fmt: skip
"""Codes that a later answer, request or file can close. A later rate can close B05; the others wait for a decision."""

ANSWERED: Final = (BreakCode.OVERDUE, BreakCode.POINTS_DIFFER, BreakCode.DATE_DIFFERS, BreakCode.CONFLICT)
"""Codes of a request that say more of it than that it waits: it is no longer listed as in transit as well."""

OF_FILES: Final = (BreakCode.SEQUENCE, BreakCode.CONTROL_WRONG)
"""Codes of files: the subject names feed and day, and the right file closes them."""

BUCKETS: Final = ((1, "0-1"), (3, "2-3"), (7, "4-7"), (30, "8-30"), (60, "31-60"), (90, "61-90"))
OLDEST_BUCKET: Final = "over 90"

SEVERITIES: Final = (("critical", 100_000, 5), ("high", 10_000, 3), ("medium", 1_000, 1))
"""Name, points or minor units from which, age in days from which: any is enough."""

OPENING: Final = {
    "line_no": pl.Int64,
    "item_id": pl.Int64,
    "theirs_id": pl.Int64,
    "code": pl.Int16,
    "subject": pl.String,
    "points_ours": pl.Int64,
    "points_theirs": pl.Int64,
    "value_date": pl.Date,
    "their_date": pl.Date,
    "partner_id": pl.Int32,
    "at_once": pl.Boolean,
}
"""A break about to open; the book adds break_id and occurrence. ``at_once``: its own file closes it, too."""


def opening(rows: pl.DataFrame, **columns: pl.Expr | str) -> pl.DataFrame:
    """Breaks about to open from ``rows``: OPENING's columns by name or expression; those not given are null."""
    given = {name: pl.col(value) if isinstance(value, str) else value for name, value in columns.items()}
    return rows.select(given.get(name, pl.lit(None)).cast(kind).alias(name) for name, kind in OPENING.items())


def label(code: int) -> str:
    """``B04``."""
    return f"B{code:02d}"


def family(code: pl.Expr) -> pl.Expr:
    """The code that names a break for life: an item in transit that turns overdue keeps its id."""
    in_transit = pl.lit(BreakCode.IN_TRANSIT.value, pl.Int16)
    return pl.when(code == BreakCode.OVERDUE.value).then(in_transit).otherwise(code)


def once_a_subject(breaking: pl.DataFrame) -> pl.DataFrame:
    """Disagreeing answers of one file make one conflict, at the first of their lines."""
    conflict = pl.col("code") == BreakCode.CONFLICT.value
    first = pl.col("line_no") == pl.col("line_no").min().over("code", "subject")
    return breaking.filter(~conflict | first)


def rows(
    opened: pl.DataFrame, cleared: pl.DataFrame, again: pl.DataFrame, *, on_day: date, file_id: int
) -> dict[str, pl.DataFrame]:
    """Rows of ``break`` and ``break_event``.

    ``opened``: OPENING plus break_id, occurrence; ``cleared``: break_id, code of breaks that were open before;
    ``again``: the same of breaks that had been cleared and open again.
    """
    first = opened.select("break_id", "code", "line_no", event=pl.lit(BreakEvent.OPENED.value))
    returned = again.select("break_id", "code", line_no=pl.lit(0, pl.Int64), event=pl.lit(BreakEvent.REOPENED.value))
    last = pl.concat([opened.filter("at_once").select("break_id", "code"), cleared]).select(
        "break_id", "code", line_no=pl.lit(0, pl.Int64), event=pl.lit(BreakEvent.CLEARED.value)
    )
    stamp = {"on_day": pl.lit(on_day), "opened_on": pl.lit(on_day), "file_id": pl.lit(file_id)}
    return {
        "break": opened.with_columns(**stamp).sort("line_no", "code", "break_id"),
        "break_event": pl.concat([first, returned, last]).with_columns(**stamp).sort("event", "line_no", "break_id"),
    }


def bucket(age_days: pl.Expr) -> pl.Expr:
    """The ageing bucket of an age in calendar days."""
    expression = pl.lit(OLDEST_BUCKET)
    for upper, name in reversed(BUCKETS):
        expression = pl.when(age_days <= upper).then(pl.lit(name)).otherwise(expression)
    return expression


def severity(amount: pl.Expr, age_days: pl.Expr) -> pl.Expr:
    """critical, high, medium or low, by amount or by age, whichever is worse."""
    expression = pl.lit("low")
    for name, from_amount, from_days in reversed(SEVERITIES):
        expression = (
            pl.when((amount.abs() >= from_amount) | (age_days >= from_days)).then(pl.lit(name)).otherwise(expression)
        )
    return expression


def at_stake() -> pl.Expr:
    """Points a break is about, never negative: the difference or, where there is none, the points of the item.

    Reads ``points_ours`` and ``points_theirs``.
    """
    ours, theirs = pl.col("points_ours").fill_null(0), pl.col("points_theirs").fill_null(0)
    return pl.when(ours != theirs).then((ours - theirs).abs()).otherwise(ours.abs())


def money_at_stake() -> pl.Expr:
    """Minor units a break is about, never negative: the difference or, where no rate says what we expect, the charge.

    Reads ``amount_ours_minor`` and ``amount_theirs_minor``.
    """
    return (pl.col("amount_ours_minor").fill_null(0) - pl.col("amount_theirs_minor").fill_null(0)).abs()


def heft() -> pl.Expr:
    """What severity and weight go by: points or, of a break about money, minor units. No amount to show or to sum."""
    return pl.max_horizontal(at_stake(), money_at_stake())
