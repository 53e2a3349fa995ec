"""What recharges do to the book: points that a company has paid for come to its balance, once.

Here: earlier recharges, cover for what is taken back, and the rows that each record leads to. Not here: which are new
(``reconcile.activities`` judges both alike) or booking (``posting``).
"""

from datetime import timedelta
from typing import Final

import polars as pl

from counterfoil.ledger import posting
from counterfoil.ledger.companies import require_open, with_company
from counterfoil.ledger.lookups import Lookups
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
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work, month_of
from counterfoil.reconcile import activities, breaks

_EVENTS: Final = {
    Event.ACCRUED.value: Event.RECHARGED.value,
    Event.ACTIVITY_KNOWN.value: Event.RECHARGE_KNOWN.value,
    Event.CONFLICT.value: Event.CONFLICT.value,
}
_BREAKS: Final = {
    Event.RECHARGE_KNOWN.value: BreakCode.DUPLICATE_THEIRS.value,
    Event.RECHARGE_BEYOND.value: BreakCode.BALANCE_SHORT.value,
    Event.CONFLICT.value: BreakCode.CONFLICT.value,
}
_DISPOSITIONS: Final = {
    Event.RECHARGED.value: Disposition.SETTLED.value,
    Event.RECHARGE_KNOWN.value: Disposition.DUPLICATE.value,
    Event.RECHARGE_BEYOND.value: Disposition.HELD.value,
    Event.CONFLICT.value: Disposition.INFORMATION.value,
}


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one file of recharges."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    rows = with_company(work.accepted, names)
    require_open(rows, work, book)
    parts = [_of_company(part, work, book, names) for part in rows.partition_by("partner_id", maintain_order=True)]
    if not parts:
        return posting.changes(names.rows())
    told = pl.concat([decided for decided, _ in parts]).sort("line_no")
    items = _items(told, work)
    return posting.changes(
        {
            "item": items,
            "settled_key": _settled(items, work),
            "disposition": told.select(
                "line_no",
                "event",
                "points",
                "value_date",
                disposition=pl.col("event").replace_strict(_DISPOSITIONS, return_dtype=pl.Int16),
                match_pass=pl.lit(MatchPass.NONE.value),
                item_id="about_id",
                reason_id=pl.lit(None),
                file_id=pl.lit(work.file_id),
            ),
            "entry": pl.concat([entries for _, entries in parts]).sort("transfer_id", "leg"),
            **names.rows(),
        },
        breaking=_breaks(told),
    )


def _of_company(part: pl.DataFrame, work: Work, book: Lookups, names: Names) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of one company with their events, and the entries that they make."""
    company_id = part["partner_id"][0]
    roles = names.company_roles(company_id)
    account = pl.lit(roles["company"], pl.Int32)
    told = part.with_columns(
        item_id=posting.record_id(work.file_id, "line_no"),
        member="company",
        activity=pl.lit("accrual"),
        source_account=account,
    )
    known = _known(book, company_id, told["ref"], work).with_columns(source_account=account, stands=pl.lit(value=True))
    judged = activities.judged(told, posting.shaped(known, activities.KNOWN)).with_columns(
        event=pl.col("event").replace_strict(_EVENTS, return_dtype=pl.Int16)
    )
    decided = covered(judged, book.balance_of(roles["company"]))
    effects = decided.select(
        "line_no",
        "event",
        "value_date",
        ordinal=pl.lit(0, pl.Int64),
        source_account=pl.lit(None, pl.Int32),
        target_account=pl.lit(None, pl.Int32),
        sent="points",
        answered="points",
    )
    return decided, posting.shaped(posting.entries(effects, work.rules, roles, work.file_id), TABLES["entry"])


def covered(rows: pl.DataFrame, balance: int) -> pl.DataFrame:
    """Turn what is taken back of a balance that does not hold it into RECHARGE_BEYOND. Gains count first, then what is
    taken back, the least first."""
    booked = rows.filter(pl.col("event") == Event.RECHARGED.value)
    running = booked.sort(-pl.col("points"), "ref", "line_no").with_columns(sum=pl.col("points").cum_sum() + balance)
    beyond = running.filter((pl.col("points") < 0) & (pl.col("sum") < 0).cum_max())["line_no"]
    short = pl.lit(Event.RECHARGE_BEYOND.value, pl.Int16)
    return rows.with_columns(event=pl.when(pl.col("line_no").is_in(beyond.implode())).then(short).otherwise("event"))


def _known(book: Lookups, company_id: int, refs: pl.Series, work: Work) -> pl.DataFrame:
    """``activities.KNOWN`` of recharges among references, no accounts: each that has an item was booked."""
    since = work.business_date - timedelta(days=work.feed.reference_lifetime_days)
    return book.frame(
        f"""SELECT i.ref, 'accrual' AS activity, i.member, i.amount AS points, i.item_id
            FROM book.item i SEMI JOIN wanted w ON w.ref = i.ref
            WHERE i.partner_id = {company_id} AND i.kind = {ItemKind.RECHARGE:d} AND i.item_id >= (
                SELECT coalesce(min(n), 0) FROM book.posting WHERE on_day >= DATE '{since}') * {RECORD_SPAN}
            ORDER BY i.item_id""",
        wanted=pl.DataFrame({"ref": refs.unique()}),
    )


def _items(told: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Items of recharges that count; they wait for nothing, and are kept for their references."""
    return told.filter(pl.col("event") == Event.RECHARGED.value).select(
        "item_id",
        "partner_id",
        "ref",
        "value_date",
        side=pl.lit(Side.PROMISED.value),
        kind=pl.lit(ItemKind.RECHARGE.value),
        member="company",
        source_account=pl.lit(None),
        amount="points",
        unit=pl.lit(work.unit),
        their_amount="points",
        their_unit=pl.lit(work.unit),
        ratio_ours=pl.lit(1),
        ratio_theirs=pl.lit(1),
        due_date="value_date",
    )


def _settled(items: pl.DataFrame, work: Work) -> pl.DataFrame:
    return items.select(
        "item_id",
        state=pl.lit(State.CREDITED.value),
        confirmed=pl.lit(0),
        reversed=pl.lit(0),
        reason_id=pl.lit(None),
        month=pl.lit(month_of(work.on_day)),
        file_id=pl.lit(work.file_id),
        line_no=pl.col("item_id") % RECORD_SPAN,
    )


def _breaks(told: pl.DataFrame) -> pl.DataFrame:
    return breaks.opening(
        told.filter(pl.col("event").is_in(list(_BREAKS))),
        line_no="line_no",
        code=pl.col("event").replace_strict(_BREAKS, return_dtype=pl.Int16),
        subject="ref",
        points_theirs="points",
        value_date="value_date",
        their_date="value_date",
        partner_id="partner_id",
        at_once=pl.lit(value=False),
    )
