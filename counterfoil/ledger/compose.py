"""From an accepted file to everything it changes: the composer of its kind, then what every arrival does to breaks.

Here: the choice and what all kinds share. Not here: what a kind does, or SQL.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.invariants import require
from counterfoil.ledger import (
    activity,
    answers,
    approvals,
    budgets,
    catalogue,
    companies,
    corrections,
    decisions,
    distributions,
    gl_balances,
    lots,
    members,
    own_feeds,
    people,
    periods,
    recharges,
    requests,
    undoing,
    voucher_deliveries,
    voucher_fulfilment,
    voucher_orders,
    voucher_payments,
    voucher_steps,
)
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode
from counterfoil.ledger.names import HOUSE
from counterfoil.ledger.posting import CLEARING, Changes, merged, shaped
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks

COMPOSERS: Final[Mapping[FeedKind, Callable[[Work, Lookups], Changes]]] = {
    FeedKind.REQUESTS: requests.compose,
    FeedKind.HANDBACK: answers.compose,
    FeedKind.ACTIVITY: activity.compose,
    FeedKind.OPENING: own_feeds.compose_opening,
    FeedKind.RATES: own_feeds.compose_rates,
    FeedKind.CALENDAR: own_feeds.compose_calendar,
    FeedKind.DECISIONS: decisions.compose,
    FeedKind.APPROVALS: approvals.compose,
    FeedKind.MEMBERS: members.compose,
    FeedKind.GL_BALANCES: gl_balances.compose,
    FeedKind.COMPANIES: companies.compose,
    FeedKind.RECHARGES: recharges.compose,
    FeedKind.BUDGETS: budgets.compose,
    FeedKind.BULK_UPLOAD: distributions.compose,
    FeedKind.CATALOGUE: catalogue.compose,
    FeedKind.VOUCHER_ORDERS: voucher_orders.compose,
    FeedKind.VOUCHER_PAYMENTS: voucher_payments.compose,
    FeedKind.VOUCHER_FULFILMENT: voucher_fulfilment.compose,
    FeedKind.VOUCHERS: voucher_steps.compose,
    FeedKind.DELIVERIES: voucher_deliveries.compose,
}

_GROSS_MAX: Final = 1 << 62


def stages(work: Work, book: Lookups, *, identity: str, skipped: Sequence[str]) -> list[Callable[[], Changes]]:
    """Composers of everything the file does to the book, breaks included; each sees the book as the one before left it.

    ``skipped`` are identities that should have come before it, where the layout lets a gap pass with a warning.
    """
    for amount in {"points", "money"} & set(work.accepted.columns):
        gross = work.accepted[amount].cast(pl.Int128).abs().sum()
        # So that no sum in the book can overflow.
        require(gross < _GROSS_MAX, f"the {amount} of one file add up within 62 bits")
    do = COMPOSERS[work.feed.kind]
    undone = pl.DataFrame(schema=undoing.RECORDS)
    if work.former is not None:
        correction = corrections.sorted_out(work, work.former, book)
        do, undone = partial(_anew, correction), correction.undone
    elif work.feed.kind is FeedKind.DECISIONS:
        undone = decisions.undone(work, book)
    last = partial(_whole, do, work, book, identity, skipped)
    if undone.height:
        return [partial(_first, partial(undoing.compose, undone), work, book, identity), last]
    if work.feed.kind is FeedKind.MEMBERS and not work.accepted.select(members.MERGES.all()).item():
        # What waits for somebody who registers is theirs before they are merged.
        return [partial(_first, people.compose, work, book, identity), last]
    return [last]


def _first(do: Callable[[Work, Lookups], Changes], work: Work, book: Lookups, identity: str) -> Changes:
    """What a file does before the rest of it."""
    nothing = shaped(None, CLEARING)
    return _finished(do(work, book), work, book, identity, opening=[], clearing=nothing)


def _anew(correction: corrections.Correction, work: Work, book: Lookups) -> Changes:
    """What of a corrected file is done anew, and what becomes of its other records."""
    accepted = work.accepted.filter(pl.col("line_no").is_in(correction.anew.implode()))
    done = COMPOSERS[work.feed.kind](replace(work, accepted=accepted), book)
    partner_id = dict(book.partners().select("partner", "partner_id").iter_rows())[work.feed.partner]
    return merged([done, corrections.rest(work, correction, book, partner_id)])


def _whole(
    do: Callable[[Work, Lookups], Changes], work: Work, book: Lookups, identity: str, skipped: Sequence[str]
) -> Changes:
    changed = do(work, book)
    gap = _skipped(work, skipped, _partner_id(changed, work, book))
    return _finished(changed, work, book, identity, opening=[gap], clearing=_arrived(work, book, identity))


def _partner_id(changed: Changes, work: Work, book: Lookups) -> int:
    known = pl.concat([book.partners(), changed.rows["partner"]])
    return int(dict(known.select("partner", "partner_id").iter_rows()).get(work.feed.partner, HOUSE))


def _finished(
    changed: Changes,
    work: Work,
    book: Lookups,
    identity: str,
    *,
    opening: Sequence[pl.DataFrame],
    clearing: pl.DataFrame,
) -> Changes:
    """Add accounting dates, and the rows of the breaks that the changes, and the arrival of the file itself, open and
    clear."""
    changed = lots.added(changed, work, book)
    entries = changed.rows["entry"]
    if work.former is not None:
        # What a correction takes back and does anew counts on the day of the correction.
        entries = entries.with_columns(accounting_date=pl.lit(work.on_day))
    dated = periods.accounted(entries, book.locked_periods())
    late = _late(entries, dated, work, identity, _partner_id(changed, work, book))
    opened = book.with_break_ids(pl.concat([changed.breaking, *opening, late]))
    cleared = pl.concat([shaped(changed.clearing, CLEARING), clearing])
    added = breaks.rows(opened, cleared, changed.reopening, on_day=work.on_day, file_id=work.file_id)
    rows = {table: shaped(frame, TABLES[table]) for table, frame in added.items()}
    return replace(changed, rows={**changed.rows, **rows, "entry": dated})


def _late(entries: pl.DataFrame, dated: pl.DataFrame, work: Work, identity: str, partner_id: int) -> pl.DataFrame:
    """B06, one a locked period: what of the file counts for it and is booked later. It asks for no more than a look."""
    moved = entries.filter(entries["accounting_date"] != dated["accounting_date"])
    by_period = moved.group_by(period=pl.col("value_date").dt.strftime("%Y-%m")).agg(
        pl.col("value_date").min(), points=pl.col("amount").filter(pl.col("amount") > 0).sum()
    )
    return breaks.opening(
        by_period.sort("period"),
        line_no=pl.lit(0),
        code=pl.lit(BreakCode.DATE_DIFFERS.value),
        subject=pl.concat_str(pl.lit(f"{work.feed.feed}:{identity}:"), "period"),
        points_ours="points",
        value_date="value_date",
        partner_id=pl.lit(partner_id),
        at_once=pl.lit(value=True),
    )


def _arrived(work: Work, book: Lookups, identity: str) -> pl.DataFrame:
    """B12 and B13 that waited for this very file."""
    if work.feed.kind is FeedKind.CALENDAR:
        return pl.DataFrame(schema=CLEARING)
    subjects = [f"{work.feed.feed}:{work.business_date}", f"{work.feed.feed}:{identity}"]
    return shaped(book.file_breaks().filter(pl.col("subject").is_in(subjects)), CLEARING)


def _skipped(work: Work, skipped: Sequence[str], partner_id: int) -> pl.DataFrame:
    subjects = [f"{work.feed.feed}:{identity}" for identity in skipped]
    return breaks.opening(
        pl.DataFrame({"subject": subjects}, schema={"subject": pl.String}),
        line_no=pl.lit(0),
        code=pl.lit(BreakCode.SEQUENCE.value),
        subject="subject",
        value_date=pl.lit(work.business_date),
        partner_id=pl.lit(partner_id),
        at_once=pl.lit(value=False),
    )
