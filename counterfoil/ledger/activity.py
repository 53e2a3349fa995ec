"""What a partner's activity does to the book: members gain or spend points that nobody had asked the partner for.

Here: earlier records, accounts, and the rows that each record leads to. Not here: which are new or covered
(``reconcile.activities``), or booking (``posting``). It was done when the file tells it: what a member has not the
points for waits in suspense, as a break, for a person.
"""

from datetime import date, timedelta

import polars as pl

from counterfoil.ledger import merged, posting
from counterfoil.ledger.answers import Lookups
from counterfoil.ledger.model import (
    RECORD_SPAN,
    BreakCode,
    Disposition,
    Event,
    ItemKind,
    MatchPass,
    Side,
    State,
)
from counterfoil.ledger.names import Names
from counterfoil.ledger.work import Work, month_of
from counterfoil.reconcile import activities, breaks

_BOOKED = [Event.ACCRUED.value, Event.REDEEMED.value]
_KEPT = [*_BOOKED, Event.REDEEMED_BEYOND.value]
"""Events of records that become items: what is told again, or contradicts another, is none."""

_BREAKS = {
    Event.REDEEMED_BEYOND.value: BreakCode.BALANCE_SHORT,
    Event.ACTIVITY_KNOWN.value: BreakCode.DUPLICATE_THEIRS,
    Event.CONFLICT.value: BreakCode.CONFLICT,
}


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one file of activity."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    partner_id = names.partner(work.feed.partner)
    since = work.business_date - timedelta(days=work.feed.reference_lifetime_days)
    before = _known(book, partner_id, work.accepted["ref"], since)
    members = pl.concat([work.accepted["member"], before["member"]])
    accounts = merged.standing(names.members(partner_id, members), book)
    told = work.accepted.with_columns(item_id=posting.record_id(work.file_id, "line_no"))
    known = posting.shaped(merged.paid_from(before, accounts), activities.KNOWN)
    new = activities.judged(merged.paid_from(told, accounts), known)
    balances = accounts.select("balance", source_account="account_id").unique()
    decided = activities.within_balance(new, balances).with_columns(
        # One without a reference goes by its place.
        ref=pl.col("ref").fill_null(pl.format(f"?{work.file_id}:{{}}", "line_no"))
    )
    items = _items(decided, partner_id, work)
    beyond = pl.col("state") == State.UNIDENTIFIED.value
    return posting.changes(
        {
            "item": items,
            "settled_key": _settled(items.filter(~beyond), work),
            "disposition": _dispositions(decided, work.file_id),
            "entry": posting.entries(_effects(decided), work.rules, names.roles(partner_id), work.file_id),
            **names.rows(),
        },
        opened=items.filter(beyond),
        breaking=_breaks(decided, partner_id),
    )


def _known(book: Lookups, partner_id: int, refs: pl.Series, since: date) -> pl.DataFrame:
    """``activities.KNOWN`` among references, no accounts, of postings since a day: ids of items rise with postings.

    What was beyond the balance stands once a person has let the member pay.
    """
    return book.frame(
        f"""WITH named AS (
                SELECT i.* FROM book.item i SEMI JOIN wanted w ON w.ref = i.ref
                WHERE i.partner_id = {partner_id} AND i.kind = {ItemKind.THEIR_ACTIVITY:d} AND i.item_id >= (
                    SELECT coalesce(min(n), 0) FROM book.posting WHERE on_day >= DATE '{since}') * {RECORD_SPAN}
            ), judged AS (
                SELECT d.item_id, arg_max(d.event, (d.file_id, d.line_no)) = {Event.TAKEN_AFTER_END:d} AS pays
                FROM book.disposition d SEMI JOIN named USING (item_id)
                WHERE d.event IN ({Event.TAKEN_AFTER_END:d}, {Event.REFUSED:d}) GROUP BY d.item_id
            )
            SELECT n.ref, CASE WHEN d.event = {Event.ACCRUED:d} THEN 'accrual' ELSE 'redemption' END AS activity,
                   n.member, n.amount AS points, n.item_id,
                   d.event <> {Event.REDEEMED_BEYOND:d} OR (coalesce(j.pays, false) AND NOT EXISTS (
                       SELECT 1 FROM book.open_item o WHERE o.item_id = n.item_id)) AS stands
            FROM named n LEFT JOIN judged j ON j.item_id = n.item_id
            JOIN book.disposition d ON d.file_id = CAST(n.item_id // {RECORD_SPAN} AS INTEGER)
                AND d.line_no = CAST(n.item_id % {RECORD_SPAN} AS INTEGER)
            ORDER BY n.item_id""",
        wanted=pl.DataFrame({"ref": refs.drop_nulls().unique()}, schema={"ref": pl.String}),
    )


def _items(decided: pl.DataFrame, partner_id: int, work: Work) -> pl.DataFrame:
    """Items of what was done; one beyond the balance stays open, with its points in suspense."""
    beyond = pl.col("event") == Event.REDEEMED_BEYOND.value
    return decided.filter(pl.col("event").is_in(_KEPT)).select(
        "item_id",
        "ref",
        "member",
        "value_date",
        "source_account",
        side=pl.lit(Side.THEIRS.value),
        kind=pl.lit(ItemKind.THEIR_ACTIVITY.value),
        state=pl.when(beyond).then(State.UNIDENTIFIED.value).otherwise(State.CLOSED.value),
        partner_id=pl.lit(partner_id),
        amount="points",
        remaining=pl.when(beyond).then("points").otherwise(0),
        unit=pl.lit(work.unit),
        their_amount="points",
        their_unit=pl.lit(work.unit),
        ratio_ours=pl.lit(1),
        ratio_theirs=pl.lit(1),
        due_date="value_date",
    )


def _settled(items: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Settled keys of items that wait for nothing."""
    return items.select(
        "item_id",
        "state",
        confirmed=pl.lit(0),
        reversed=pl.lit(0),
        reason_id=pl.lit(None),
        month=pl.lit(month_of(work.on_day)),
        file_id=pl.lit(work.file_id),
        line_no=pl.col("item_id") % RECORD_SPAN,
    )


def _dispositions(decided: pl.DataFrame, file_id: int) -> pl.DataFrame:
    disposition = {
        **dict.fromkeys(_BOOKED, Disposition.SETTLED.value),
        Event.REDEEMED_BEYOND.value: Disposition.OPEN_THEIRS.value,
        Event.ACTIVITY_KNOWN.value: Disposition.DUPLICATE.value,
        Event.CONFLICT.value: Disposition.INFORMATION.value,
    }
    return decided.select(
        "line_no",
        "event",
        "points",
        "value_date",
        disposition=pl.col("event").replace_strict(disposition, return_dtype=pl.Int16),
        match_pass=pl.lit(MatchPass.NONE.value),
        item_id=pl.when(pl.col("event") == Event.REDEEMED_BEYOND.value).then("item_id").otherwise("about_id"),
        reason_id=pl.lit(None),
        file_id=pl.lit(file_id),
    )


def _effects(decided: pl.DataFrame) -> pl.DataFrame:
    return decided.select(
        "line_no",
        "event",
        "source_account",
        "value_date",
        ordinal=pl.lit(0, pl.Int64),
        target_account=pl.lit(None, pl.Int32),
        sent="points",
        answered="points",
    )


def _breaks(decided: pl.DataFrame, partner_id: int) -> pl.DataFrame:
    """B16 of what a member had not the points for, B07 of what was told again, B11 of what contradicts another."""
    beyond = pl.col("event") == Event.REDEEMED_BEYOND.value
    return breaks.opening(
        decided.filter(pl.col("event").is_in(list(_BREAKS)) | pl.col("short")),
        line_no="line_no",
        code=pl.col("event").replace_strict(_BREAKS, default=BreakCode.BALANCE_SHORT.value, return_dtype=pl.Int16),
        theirs_id=pl.when(beyond).then("item_id"),
        subject="ref",
        points_theirs="points",
        value_date="value_date",
        their_date="value_date",
        partner_id=pl.lit(partner_id),
        at_once=pl.lit(value=False),
    )
