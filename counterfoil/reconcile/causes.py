"""Causes, not rows: the smallest change that would clear each open break, and equal changes as one line. Pure.

Here: the cause of a break by its code, and the grouping. Not here: the words for causes (``cause``), which request an
unknown answer almost met (``near_misses``) or where the frames come from (``ledger.break_causes``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger.model import BreakCode, ItemKind
from counterfoil.reconcile import breaks, tariffs
from counterfoil.reconcile.cause import Cause

BROKEN: Final[dict[str, type[pl.DataType]]] = {
    "break_id": pl.String,
    "code": pl.Int16,
    "partner": pl.String,
    "item_id": pl.Int64,
    "points_ours": pl.Int64,
    "points_theirs": pl.Int64,
    "age_days": pl.Int64,
    "ref": pl.String,
    "member": pl.String,
    "kind": pl.Int16,
    "asked_on": pl.Date,
    "due_date": pl.Date,
    "answered_on": pl.Date,
    "in_parts": pl.Boolean,
    "file": pl.String,
    "earlier_file": pl.String,
    "before": pl.String,
    "reason": pl.String,
    "reason_text": pl.String,
    "missing": pl.String,
    "missing_on": pl.Date,
    "refused": pl.Boolean,
    **tariffs.CHARGED,
}
"""An open break with what its cause shows in; columns that its code has no use for may be null.

``item_id``, ``asked_on``, ``due_date``: the request it names. ``ref`` (null where the partner named none), ``member``,
``kind`` (``ItemKind``), ``answered_on``: the answer that waits. ``in_parts``: its feed credits a request in several
answers. ``file``: where the record lies; ``earlier_file``: where the request was answered first; ``before``: the state
that the request had come to. ``missing``: feed and identity of a missing or damaged file; ``missing_on``: its day, of
hand-backs only. ``refused``: none of the requests under its reference was booked. A break about money: see ``tariffs``.
"""

NEAR: Final[dict[str, type[pl.DataType]]] = {
    "break_id": pl.String,
    "cause": pl.String,
    "detail": pl.String,
    "candidate_item_id": pl.Int64,
}
"""What an unknown answer almost met. ``detail``: what of the reference is missing, or which partner was asked."""

GROUPED: Final = (
    "cause",
    "change",
    "partner",
    "breaks",
    "points",
    "minor",
    "currency",
    "oldest_days",
    "weight",
    "codes",
    "example",
    "break_ids",
)
"""Columns of the grouped table, in order."""

TOGETHER: Final = (BreakCode.UNKNOWN_THEIRS, BreakCode.POINTS_DIFFER, BreakCode.MONEY_DIFFERS)
"""Codes of which one break's cause shows in all of the same code; that of any other shows in itself and in breaks of
files."""

_NO_CHANGE: Final = "no change of one thing would clear it"

_OUTCOMES: Final = {
    ItemKind.THEIR_ACCEPT.value: "accepted",
    ItemKind.THEIR_REJECT.value: "rejected",
    ItemKind.THEIR_HOLD.value: "held",
    ItemKind.THEIR_REVERSAL.value: "reversed",
}

_SIGN: Final = pl.format("the sign of the points at {}: check how the file marks a debit", "partner")
_REFUND: Final = pl.format("the refund of vouchers that {} cancelled: claim it", "partner")
_COVER: Final = pl.format("cover for the points sent at {}: find out why it was short", "partner")


def told(broken: pl.DataFrame, near: pl.DataFrame) -> pl.DataFrame:
    """The cause of every break of BROKEN, sorted by break_id; ``near``: NEAR, at most one row a break.

    break_id, code, partner, cause, change (text; equal where one change clears several), candidate_item_id Int64? (the
    request that an unknown answer would meet), at_stake (points), minor? (money at stake), currency?, heft, age_days.
    """
    parts = (
        _differing(broken),
        _dated(broken),
        _unanswered(broken),
        _unknown(broken, near),
        _charged(broken),
        _plain(broken),
    )
    return (
        broken.join(pl.concat(parts), on="break_id", how="left", validate="1:1")
        .select(
            "break_id",
            "code",
            "partner",
            pl.col("cause").fill_null(Cause.NONE.value),
            pl.col("change").fill_null(_NO_CHANGE),
            "candidate_item_id",
            "age_days",
            "currency",
            at_stake=breaks.at_stake(),
            minor=pl.when(pl.col("amount_theirs_minor").is_not_null()).then(breaks.money_at_stake()),
            heft=breaks.heft(),
        )
        .sort("break_id")
    )


def grouped(causes: pl.DataFrame) -> pl.DataFrame:
    """Breaks of ``told`` by cause, change and partner: GROUPED, heaviest first.

    ``points`` and ``minor`` (units of ``currency``) are at stake; ``weight`` sums ``breaks.heft`` times days, counting
    the day it began; ``codes`` are the break codes (``B02, B13``); ``example`` is the oldest break, of those the
    largest; ``break_ids`` are all, sorted.
    """
    label = pl.format("B{}", pl.col("code").cast(pl.String).str.zfill(2))
    return (
        causes.group_by("cause", "change", "partner")
        .agg(
            breaks=pl.len().cast(pl.Int64),
            points=pl.col("at_stake").sum(),
            minor=pl.when(pl.col("minor").is_not_null().any()).then(pl.col("minor").sum()),
            currency=pl.col("currency").min(),
            oldest_days=pl.col("age_days").max(),
            weight=(pl.col("heft") * (pl.col("age_days") + 1)).sum(),
            codes=label.unique().sort().str.join(", "),
            example=pl.col("break_id").sort_by(-pl.col("age_days"), -pl.col("heft"), "break_id").first(),
            break_ids=pl.col("break_id").sort(),
        )
        .sort(-pl.col("weight"), "cause", "partner", "change")
        .select(GROUPED)
    )


def _differing(broken: pl.DataFrame) -> pl.DataFrame:
    """B04: a tariff where several amounts say so, else what this one amount says."""
    told = tariffs.compared(_of(broken, BreakCode.POINTS_DIFFER).drop_nulls(["points_ours", "points_theirs"]))
    way = pl.when(pl.col("off") < 0).then(pl.lit("less")).otherwise(pl.lit("plus"))
    changes = {
        Cause.SIGN_FLIPPED: _SIGN,
        Cause.POINTS_RATIO: pl.format(
            "our points times {}/{} at {}: check the tariff or the rate", "times", "per", "partner"
        ),
        Cause.PART_MISSING: pl.format("the rest of the points at {}: ask for the missing part", "partner"),
        Cause.POINTS_OFF: pl.format("our points {} {} at {}: check the tariff", way, pl.col("off").abs(), "partner"),
    }
    return pl.concat(
        [_caused(told.filter(pl.col("rule") == cause.value), cause, text) for cause, text in changes.items()]
    )


def _dated(broken: pl.DataFrame) -> pl.DataFrame:
    """B06: an answer so many days off its request, or what of a file counts for a locked period."""
    dated = _of(broken, BreakCode.DATE_DIFFERS).with_columns(
        days=(pl.col("answered_on") - pl.col("asked_on")).dt.total_days()
    )
    off = pl.col("days").abs()
    much = pl.when(off == 1).then(pl.lit("1 day")).otherwise(pl.format("{} days", off))
    way = pl.when(pl.col("days") > 0).then(pl.lit("later")).otherwise(pl.lit("earlier"))
    check = pl.when(off == 1).then(pl.lit("a time zone or cut-off")).otherwise(pl.lit("check which date they send"))
    return pl.concat(
        [
            _caused(
                dated.filter(off > 0),
                Cause.DATE_SHIFTED,
                pl.format("value dates {} {} at {}: {}", much, way, "partner", check),
            ),
            _caused(
                dated.filter(pl.col("item_id").is_null() & ~(off > 0).fill_null(value=False)),
                Cause.LATER_PERIOD,
                pl.format("a locked period at {}: judge whether it needs an accrual", "partner"),
            ),
        ]
    )


def _unanswered(broken: pl.DataFrame) -> pl.DataFrame:
    """B02, and the missing or damaged files (B12, B13) that explain it: the first one between a request's value date
    and its due date."""
    files = _of(broken, BreakCode.CONTROL_WRONG, BreakCode.SEQUENCE)
    days = (
        files.drop_nulls("missing_on")
        .sort("missing_on", "break_id")
        .unique(["partner", "missing_on"], keep="first", maintain_order=True)
        .select("partner", "missing", "missing_on")
    )
    overdue = _of(broken, BreakCode.OVERDUE).drop("missing", "missing_on").drop_nulls("asked_on")
    beside = overdue.sort("asked_on").join_asof(
        days,
        left_on="asked_on",
        right_on="missing_on",
        by="partner",
        strategy="forward",
        coalesce=False,
        check_sortedness=False,
    )
    explained = (pl.col("missing_on") <= pl.col("due_date")).fill_null(value=False)
    ask = pl.format("the file {} of {}: ask for it", "missing", "partner")
    silence = pl.format("answers to the requests of {} at {}: ask for them", "asked_on", "partner")
    return pl.concat(
        [
            _caused(files, Cause.FILE_MISSING, ask),
            _caused(beside.filter(explained), Cause.FILE_MISSING, ask),
            _caused(beside.filter(~explained), Cause.SILENT, silence),
        ]
    )


def _unknown(broken: pl.DataFrame, near: pl.DataFrame) -> pl.DataFrame:
    """B03: what it almost met; one that names a request lacks that request's cover."""
    unknown = _of(broken, BreakCode.UNKNOWN_THEIRS)
    changes = {
        Cause.SIGN_FLIPPED: _SIGN,
        Cause.REF_SPELLED: pl.format("references spelled as ours at {}: drop zeros, case, blanks and marks", "partner"),
        Cause.REF_TRUNCATED: pl.format("the {} of the reference at {}: check the field's width", "detail", "partner"),
        Cause.REF_TYPED: pl.format("one character, or two that changed places, of the reference at {}", "partner"),
        Cause.OTHER_MEMBER: pl.format("the member under our reference at {}: ask for the merge", "partner"),
        Cause.OTHER_PARTNER: pl.format("requested of {}, answered by {}: check the partner code", "detail", "partner"),
        Cause.NO_REFERENCE: pl.format("our reference at {}: accept or decline the one request that fits", "partner"),
        Cause.AMBIGUOUS: pl.format(
            "our reference at {}: ask which request is meant, more than one pair fits", "partner"
        ),
    }
    named = unknown.drop("item_id").join(near, on="break_id", validate="1:1")
    change = pl.coalesce(pl.when(pl.col("cause") == cause.value).then(text) for cause, text in changes.items())
    return pl.concat(
        [
            named.select("break_id", "cause", change=change, candidate_item_id="candidate_item_id"),
            _caused(unknown.filter(pl.col("item_id").is_not_null()), Cause.SHORT_BALANCE, _COVER),
        ]
    )


def _charged(broken: pl.DataFrame) -> pl.DataFrame:
    """B05: no rate to judge by, another price, or the same amount more or less on each."""
    charged = _of(broken, BreakCode.MONEY_DIFFERS).drop_nulls(["amount_theirs_minor", "charged_points"])
    unrated = charged.filter(pl.col("amount_ours_minor").is_null())
    priced = tariffs.priced(charged.filter(pl.col("amount_ours_minor").is_not_null()))
    return pl.concat(
        [
            _caused(
                unrated.with_columns(since=pl.col("rated_on").min().over("partner")),
                Cause.RATE_MISSING,
                pl.format("a rate of {} in force from {} on: land it", "partner", "since"),
            ),
            _caused(
                priced.drop_nulls("price"),
                Cause.PRICE_CHANGED,
                pl.format(
                    "priced at {} {} per {} points at {} instead of {}: check the rate card",
                    "price", "currency", "per", "partner", "our_price",
                ),
            ),
            _caused(
                priced.filter(pl.col("price").is_null()),
                Cause.MONEY_OFF,
                pl.format("our price {} {} {} on each at {}: ask what for", "way", "off", "currency", "partner"),
            ),
        ]
    )  # fmt: skip


def _plain(broken: pl.DataFrame) -> pl.DataFrame:
    """Breaks whose code and record say it all."""
    within = pl.col("file") == pl.col("earlier_file")
    again = pl.coalesce(
        pl.when(within).then(pl.format("{} at {} answers twice: refuse the second", "file", "partner")),
        pl.format("{} at {} answers again what {} answered: refuse the second", "file", "partner", "earlier_file"),
        pl.format("{} at {} answers again: refuse the second", "file", "partner"),
    )
    rejected = pl.coalesce(
        pl.format("rejection {} at {}: {}", "reason", "partner", "reason_text"),
        pl.format("rejection {} at {}: correct and send again", "reason", "partner"),
        pl.format("rejection without a reason at {}: ask for it", "partner"),
    )
    outcome = pl.col("kind").replace_strict(_OUTCOMES, default="corrected", return_dtype=pl.String)
    conflict = pl.format(
        "{} after {} at {}: agree the outcome", outcome, pl.col("before").fill_null("another answer"), "partner"
    )
    twice = _of(broken, BreakCode.DUPLICATE_OURS)
    refused = pl.col("refused").fill_null(value=False)
    return pl.concat(
        [
            _caused(_of(broken, BreakCode.DUPLICATE_THEIRS), Cause.ANSWERED_AGAIN, again),
            _caused(
                twice.filter(refused),
                Cause.REFUSED_TWICE,
                pl.format(
                    "requests of {} to {} that differ under one reference: send the right one", "file", "partner"
                ),
            ),
            _caused(
                twice.filter(~refused),
                Cause.DUPLICATE_REQUEST,
                pl.format("requests of {} to {} under references used before: recall them", "file", "partner"),
            ),
            _caused(_of(broken, BreakCode.REJECTED), Cause.REJECTED, rejected),
            _caused(
                _of(broken, BreakCode.OTHER_ACCOUNT),
                Cause.MERGED_ELSEWHERE,
                pl.format("members' numbers at {}: update them to the accounts credited", "partner"),
            ),
            _caused(_of(broken, BreakCode.CONFLICT), Cause.CONFLICT, conflict),
            _caused(_of(broken, BreakCode.BALANCE_SHORT), Cause.SHORT_BALANCE, _COVER),
            _caused(_of(broken, BreakCode.WALLET_DIFFERS), Cause.REFUND_DUE, _REFUND),
        ]
    )


def _of(broken: pl.DataFrame, *codes: BreakCode) -> pl.DataFrame:
    return broken.filter(pl.col("code").is_in([code.value for code in codes]))


def _caused(rows: pl.DataFrame, cause: Cause, change: pl.Expr) -> pl.DataFrame:
    """Rows that share a cause and name their request themselves, if there is one."""
    return rows.select("break_id", cause=pl.lit(cause.value), change=change, candidate_item_id=pl.lit(None, pl.Int64))
