"""What a second person must approve, and what an approvals file does to the book.

Here: how much is at stake in a file, by cause, and whether that is beyond what one person may decide in a day. Not
here: decisions themselves (``decisions``), or holding a file until it is approved (``steps.post``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.ledger import break_money, charges, posting, voucher_decisions
from counterfoil.ledger.chart import Chart
from counterfoil.ledger.fitting import ACTIONS
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Action, Disposition, Event, MatchPass
from counterfoil.ledger.names import HOUSE_NAME
from counterfoil.ledger.work import Work
from counterfoil.money import value_points
from counterfoil.settings import ProgrammeSettings

APPROVED_KINDS: Final = (FeedKind.DECISIONS, FeedKind.OPENING, FeedKind.RATES)
"""Files that one person may not put into effect alone beyond the limit."""

STAKES: Final = {"cause": pl.String, "points": pl.Int64, "minor": pl.Int64}
"""Gross points and money of a file by cause: the action of its decisions, or its kind."""


def compose(work: Work, _book: Lookups) -> posting.Changes:
    """Approvals as decisions about whole files."""
    rows = work.accepted.select(
        "line_no",
        "reason",
        subject="payload",
        action=pl.lit(Action.APPROVE.value),
        points=pl.lit(0),
        file_id=pl.lit(work.file_id),
        item_id=pl.lit(None),
        event=pl.lit(Event.PERMITTED.value),
        disposition=pl.lit(Disposition.INFORMATION.value),
        match_pass=pl.lit(MatchPass.NONE.value),
        value_date=pl.lit(work.on_day),
    )
    decided = rows.with_columns(theirs_id=pl.lit(None), break_id=pl.lit(None), minor=pl.lit(None))
    return posting.changes({"decision": decided, "disposition": rows.with_columns(reason_id=pl.lit(None))})


@dataclass(frozen=True)
class Sent:
    """By whom a file was sent, and the programme day on which it counts."""

    by: str
    day: date


def beyond(
    kind: FeedKind, accepted: pl.DataFrame, book: Lookups, *, policy: ProgrammeSettings, chart: Chart, sent: Sent
) -> list[str]:
    """Causes for which a file goes beyond what its sender may decide alone on a day; reopening a period always does."""
    at_stake = _stakes(kind, accepted, book, policy, chart, sent)
    causes = {action: name for name, action in ACTIONS.items()}
    before = book.decided(sent.by, sent.day).with_columns(
        cause=pl.col("action").replace_strict(causes, return_dtype=pl.String)
    )
    both = pl.concat([at_stake, before.select(*STAKES)]).group_by("cause").agg(pl.col("points", "minor").sum())
    wide = (
        (pl.col("points") > policy.approval_points)
        | (pl.col("minor") > policy.approval_minor)
        | (pl.col("cause") == Action.REOPEN.name.lower())
    )
    return both.join(at_stake, on="cause", how="semi").filter(wide)["cause"].sort().to_list()


def _stakes(
    kind: FeedKind, accepted: pl.DataFrame, book: Lookups, policy: ProgrammeSettings, chart: Chart, sent: Sent
) -> pl.DataFrame:
    if kind is FeedKind.RATES:
        return _revalued(accepted, book, policy, chart, sent)
    cause = pl.col("action") if kind is FeedKind.DECISIONS else pl.lit(kind.value)
    rate = book.programme_rate(policy.currency, sent.day)
    gross = accepted.group_by(cause=cause).agg(pl.col("points").abs().sum())
    minor = value_points(pl.col("points"), *rate) if rate else pl.lit(0, pl.Int64)
    valued = gross.with_columns(minor=minor).select(*STAKES)
    if kind is not FeedKind.DECISIONS:
        return valued
    return pl.concat([valued, _claims(accepted, book), _orders(accepted, book)])


def _claims(accepted: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """STAKES of breaks about money that are resolved: whoever closes one gives up, or accepts, what it is about."""
    resolved = accepted.filter(pl.col("action") == Action.RESOLVE.name.lower())
    found = break_money.at_stake(book, resolved["subject"])
    return found.select(
        pl.lit(Action.RESOLVE.name.lower()).alias("cause"), pl.lit(0, pl.Int64).alias("points"), "minor"
    )


def _orders(accepted: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """STAKES of orders in money that are decided on: they have no points by which to value them."""
    return (
        voucher_decisions.moves(accepted, book)
        .select(pl.lit(0, pl.Int64).alias("points"), cause="action", minor=pl.col("minor").fill_null(0))
        .select(*STAKES)
    )


def _revalued(
    accepted: pl.DataFrame, book: Lookups, policy: ProgrammeSettings, chart: Chart, sent: Sent
) -> pl.DataFrame:
    """What new rates add to or take from the value of the points that stand open, against the rates there were before
    this sender's of the same day; and what the breaks about charges are about that they close."""
    kinds = {kind: known.basis for kind, known in chart.accounts.items() if known.open}
    standing = _standing(book, kinds)
    before = book.rates_before(sent.by, sent.day, policy.currency)
    pairs = (
        accepted.filter(pl.col("currency") == policy.currency)
        .join(standing, on="basis")
        .join(before, on="basis", suffix="_before")
        .with_columns(new=_value("minor", "per_points"), old=_value("minor_before", "per_points_before"))
    )
    minor = int(pairs.select((pl.col("new") - pl.col("old")).abs().sum()).item())
    minor += charges.conceded(accepted, policy.currency, book)
    return pl.DataFrame({"cause": [FeedKind.RATES.value], "points": [0], "minor": [minor]}, schema=STAKES)


def _standing(book: Lookups, kinds: Mapping[str, str]) -> pl.DataFrame:
    """Points that stand open by rate basis: basis, points."""
    of_kinds = book.balances_by_kind().filter(pl.col("kind").is_in(list(kinds)))
    basis = pl.col("kind").replace_strict(kinds, return_dtype=pl.String)
    rated = of_kinds.with_columns(basis=pl.when(basis == "partner").then("partner").otherwise(pl.lit(HOUSE_NAME)))
    return rated.group_by("basis").agg(pl.col("points").sum())


def _value(minor: str, per_points: str) -> pl.Expr:
    return pl.col("points").cast(pl.Int128) * pl.col(minor) // pl.col(per_points)


def named(causes: Sequence[str]) -> str:
    """Causes for a message."""
    return ", ".join(cause.replace("_", " ") for cause in causes)
