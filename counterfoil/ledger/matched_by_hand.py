"""Answers that a person matched: one acceptance in suspense with the requests of ours that make it up to the point, or
several with the one request that they make up.

Here: which requests a decision names, whether they fit, and what the group leads to. Not here: groups that the passes
find themselves (``later_passes``), or the ends that all decisions share (``decisions``).
"""

from dataclasses import dataclass

import polars as pl

from counterfoil.ledger.fitting import ACTIONS, NEEDS, PARTS_MAX, WAITING, acting, require_fit
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import (
    Action,
    Agreed,
    BreakCode,
    Disposition,
    Event,
    ItemKind,
    MatchPass,
    MatchRole,
    Side,
    State,
)
from counterfoil.ledger.work import Work
from counterfoil.money import value_points


@dataclass(frozen=True, eq=False)
class Matched:
    """``done``: the decisions in the shape of all, with ``partner_id``; ``parts``: a row each answer and request, as
    ``decisions`` describes what ends; ``matches``: rows of ``match``, no file_id."""

    done: pl.DataFrame
    parts: pl.DataFrame
    matches: pl.DataFrame


def parts(rows: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """The requests that fitting decisions name, a row each; a decision that does not fit has no row. Whether one fits
    depends on the others where several name one request alone.

    ``rows``: line_no, subject, ref (references apart by blanks), and more, which stays. Added: break_id, code,
    partner_id, theirs_id, their_amount, their_date, their_member, item_id, amount, member, asked_on.
    """
    named = rows.with_columns(
        pl.col("ref").fill_null("").str.strip_chars().str.replace_all(r"\s+", " ").str.split(" ")
    ).explode("ref")
    found = book.frame(
        f"""SELECT n.*, b.break_id, b.code, b.partner_id, b.theirs_id, w.amount AS their_amount,
                   w.value_date AS their_date, w.member AS their_member,
                   o.item_id, o.amount, o.member, o.value_date AS asked_on
            FROM named n JOIN book.open_break b ON b.break_id = n.subject
                 AND b.code IN ({BreakCode.UNKNOWN_THEIRS:d}, {BreakCode.CONFLICT:d})
            JOIN book.open_item w ON w.item_id = b.theirs_id AND w.kind = {ItemKind.THEIR_ACCEPT:d}
                 AND w.remaining = w.amount AND w.amount > 0
            LEFT JOIN book.open_item o ON o.ref = n.ref AND o.partner_id = b.partner_id AND o.amount > 0
                 AND o.side = {Side.OURS:d} AND o.kind = {ItemKind.REQUEST:d}
                 AND o.state IN ({", ".join(map(str, WAITING))})
            ORDER BY n.line_no, o.item_id""",
        named=named,
    )
    whole = pl.col("item_id").is_not_null().all() & (pl.len() <= PARTS_MAX) & pl.col("ref").is_unique().all()
    exact = pl.col("amount").sum() == pl.col("their_amount").first()
    alone = found.filter((pl.len() == 1).over("line_no"))
    made_up = (pl.len() <= PARTS_MAX) & (pl.col("their_amount").sum() == pl.col("amount").first())
    together = alone.filter(made_up.over("item_id"))["line_no"]
    fits = exact.over("line_no") | pl.col("line_no").is_in(together.implode())
    return found.filter(whole.over("line_no") & fits)


def composed(work: Work, book: Lookups) -> Matched:
    """Everything that a decisions file matches; DECISION_UNFIT where a row does not fit."""
    rows = acting(work, Action.MATCH)
    found = parts(rows, book).filter(pl.col("points") == pl.col("their_amount"))
    expected = f"{NEEDS[Action.MATCH]}; and its points stated"
    require_fit(rows, rows["line_no"].is_in(found["line_no"].implode()), expected)
    rate = book.programme_rate(work.policy.currency, work.on_day)
    done = found.unique("line_no", keep="first", maintain_order=True).select(
        "line_no",
        "subject",
        "points",
        "reason",
        "theirs_id",
        "break_id",
        "partner_id",
        event=pl.lit(Event.MATCHED.value, pl.Int16),
        action=pl.lit(ACTIONS["match"], pl.Int16),
        item_id=pl.lit(None, pl.Int64),
        minor=value_points(pl.col("points"), *rate) if rate else pl.lit(None, pl.Int64),
        disposition=pl.lit(Disposition.SETTLED_GROUP.value),
        value_date="their_date",
    )
    return Matched(done, _concerned(found), _matches(found))


def _concerned(found: pl.DataFrame) -> pl.DataFrame:
    """What the decisions concern. Of several answers that make up one request, the last ends it."""
    ends = ~_part() | (pl.col("line_no") == pl.col("line_no").max().over("item_id"))
    return found.with_columns(
        event=pl.lit(Event.MATCHED.value, pl.Int16),
        next_state=pl.when(ends).then(pl.lit(State.CONFIRMED.value, pl.Int16)),
        was_open=pl.lit(value=True),
        confirmed="amount",
    )


def _part() -> pl.Expr:
    """Of fitting decisions: the answer makes up its one request only together with others."""
    return (pl.len() == 1).over("line_no") & (pl.col("their_amount") != pl.col("amount"))


def _matches(found: pl.DataFrame) -> pl.DataFrame:
    days = (pl.col("their_date") - pl.col("asked_on")).dt.total_days()

    def bit(agrees: pl.Expr, field: Agreed) -> pl.Expr:
        return pl.when(agrees).then(field.value).otherwise(0)

    return found.select(
        "line_no",
        "item_id",
        match_pass=pl.when(_part()).then(MatchPass.SPLIT.value).otherwise(MatchPass.NETTED.value),
        role=pl.lit(MatchRole.PART.value),
        agreed=bit(pl.col("member") == pl.col("their_member"), Agreed.MEMBER)
        + bit(pl.col("amount") == pl.col("their_amount"), Agreed.POINTS)
        + bit(days == 0, Agreed.DATE),
        difference=pl.col("their_amount") - pl.col("amount"),
        days=days,
    )
