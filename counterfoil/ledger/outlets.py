"""Stage 2 of the mass balance: every outcome is in a CRM batch and in a journal, will be, or is in none for a reason.

Here: what each event owes to either side, and counting it. Not here: stage 1 (``reconcile.balance``), the batches and
journals themselves (``updates``, ``journal``), or their ranges (``landing``).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import polars as pl

from counterfoil.errors import Code
from counterfoil.invariants import require
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Event
from counterfoil.ledger.updates import PLAIN, other_changes

STAGE_TWO: Final[dict[str, type[pl.DataType]]] = {
    "posting": pl.Int64,
    "feed": pl.String,
    "event": pl.String,
    "side": pl.String,
    "records": pl.Int64,
    "in_batch": pl.Int64,
    "pending": pl.Int64,
    "none": pl.Int64,
    "cause": pl.String,
    "batch": pl.String,
}


class Outlet(NamedTuple):
    """Why an outcome may have no CRM key or no journal source link; None where it must have one."""

    crm: str | None
    journal: str | None


_WAITS: Final = "awaiting the answer"
_AGAIN: Final = "the same answer again"
_DIFFERS: Final = "stays open until the difference is agreed"
_CONFLICT: Final = "answers conflict, so none counts"
_WITH_LAST: Final = "the request is told with the last of its answers"
_UNKNOWN: Final = "no request of ours"
_NO_POINTS: Final = "a decision that moves no points"
_STATED: Final = "what the general ledger holds moves no points"
_PROMISED: Final = "waits for its day or its recipient"
_REFUSED: Final = "refused, no points moved"
_COMPANY: Final = "no member's balance"
_UNDID: Final = "what it undid had moved no points"
_LISTED: Final = "a catalogue moves no points"
_UNPAID: Final = "told once its vouchers are issued"
_NO_ORDER: Final = "no order of ours"
_TOLD_AGAIN: Final = "told before"
_LAST_TELLS: Final = "the order is told with the last of its vouchers"
_A_VOUCHER: Final = "what becomes of a voucher moves no points"
_COMPANY_PAID: Final = "the company paid, no member"

OUTLETS: Final[Mapping[Event, Outlet]] = MappingProxyType(
    {
        Event.REQUEST: Outlet(_WAITS, None),
        Event.RECALL: Outlet(_WAITS, None),
        Event.DUPLICATE_REQUEST: Outlet("the same request again", "the same request again"),
        Event.BALANCE_SHORT: Outlet("refused, the balance is short", "refused, the balance is short"),
        Event.ACCEPTED: Outlet(None, None),
        Event.REJECTED: Outlet(None, None),
        Event.HELD: Outlet(None, "held, the points stay in flight"),
        Event.REVERSED: Outlet(None, None),
        Event.RECALL_ACCEPTED: Outlet(None, None),
        Event.RECALL_REJECTED: Outlet(None, None),
        Event.AMOUNT_DIFFERS: Outlet(_DIFFERS, _DIFFERS),
        Event.CONFLICT: Outlet(_CONFLICT, _CONFLICT),
        Event.ACCEPTED_AFTER_END: Outlet("the request had ended, a decision is due", None),
        Event.DUPLICATE_ANSWER: Outlet(_AGAIN, _AGAIN),
        Event.AGREED_AFTER_END: Outlet("confirms what was decided", "confirms what was decided"),
        Event.UNKNOWN_ACCEPTED: Outlet(_UNKNOWN, None),
        Event.UNKNOWN_OTHER: Outlet(_UNKNOWN, _UNKNOWN),
        Event.IDENTIFIED: Outlet(None, None),
        Event.UNBOOKED: Outlet(None, None),
        Event.LATE_ACCEPT: Outlet(None, None),
        Event.LATE_REJECT: Outlet(None, None),
        Event.OPENING_BALANCE: Outlet(_COMPANY, None),
        Event.OPENING_ITEM: Outlet(_WAITS, None),
        Event.RATE: Outlet("a rate moves no points", "a rate moves no points"),
        Event.DAY_CLOSED: Outlet("the close of a day moves no points", "the close of a day moves no points"),
        Event.REFUNDED: Outlet(None, None),
        Event.WRITTEN_OFF: Outlet(None, None),
        Event.TAKEN: Outlet(None, None),
        Event.TAKEN_FROM_SUSPENSE: Outlet(None, None),
        Event.TAKEN_AFTER_END: Outlet(None, None),
        Event.REFUSED: Outlet(_UNKNOWN, None),
        Event.RESOLVED: Outlet(_NO_POINTS, _NO_POINTS),
        Event.PERMITTED: Outlet(_NO_POINTS, _NO_POINTS),
        Event.LOCKED: Outlet(_NO_POINTS, _NO_POINTS),
        Event.REOPENED: Outlet(_NO_POINTS, _NO_POINTS),
        Event.UNDONE: Outlet(_UNDID, _UNDID),
        Event.DECISION_UNDONE: Outlet(_UNDID, _UNDID),
        Event.UNCHANGED: Outlet("as the file before said", "as the file before said"),
        Event.CHANGED_TOO_LATE: Outlet("its item has gone on since", "its item has gone on since"),
        Event.EXPIRED: Outlet(None, None),
        Event.MERGED: Outlet("the account that was merged held no points", None),
        Event.MERGE_KNOWN: Outlet("the merge is known", "the merge is known"),
        Event.MERGE_REFUSED: Outlet("the merge is not possible", "the merge is not possible"),
        Event.ACCEPTED_PART: Outlet(_WITH_LAST, None),
        Event.PARTS_MET: Outlet(None, None),
        Event.NETTED: Outlet(None, None),
        Event.DATE_DIFFERS: Outlet(_DIFFERS, _DIFFERS),
        Event.MATCHED: Outlet(_WITH_LAST, None),
        Event.ASSIGNED: Outlet(_NO_POINTS, _NO_POINTS),
        Event.POSTPONED: Outlet(_NO_POINTS, _NO_POINTS),
        Event.DECLINED: Outlet(_NO_POINTS, _NO_POINTS),
        Event.ACCRUED: Outlet(None, None),
        Event.REDEEMED: Outlet(None, None),
        Event.REDEEMED_BEYOND: Outlet("beyond the member's balance, a decision is due", None),
        Event.ACTIVITY_KNOWN: Outlet("the same activity again", "the same activity again"),
        Event.GL_STATED: Outlet(_STATED, _STATED),
        Event.DISTRIBUTED: Outlet(None, None),
        Event.DISTRIBUTED_UNCLAIMED: Outlet(_PROMISED, None),
        Event.SCHEDULED: Outlet(_PROMISED, None),
        Event.DISTRIBUTION_REFUSED: Outlet(_REFUSED, _REFUSED),
        Event.DISTRIBUTION_KNOWN: Outlet("the same distribution again", "the same distribution again"),
        Event.FIRED: Outlet(None, None),
        Event.FIRED_UNCLAIMED: Outlet(_PROMISED, None),
        Event.FIRED_BACK: Outlet(_COMPANY, None),
        Event.CLAIMED: Outlet(None, None),
        Event.RETURNED: Outlet(_COMPANY, None),
        Event.CANCELLED: Outlet(_COMPANY, None),
        Event.RECHARGED: Outlet(_COMPANY, None),
        Event.RECHARGE_KNOWN: Outlet("the same recharge again", "the same recharge again"),
        Event.RECHARGE_BEYOND: Outlet(_REFUSED, _REFUSED),
        Event.BUDGETED: Outlet(_COMPANY, None),
        Event.BUDGET_REFUSED: Outlet(_REFUSED, _REFUSED),
        Event.BUDGET_STRETCHED: Outlet(_COMPANY, None),
        Event.COMPANY_TOLD: Outlet("a company moves no points", "a company moves no points"),
        Event.COMPANY_REFUSED: Outlet("a company moves no points", "a company moves no points"),
        Event.REGISTERED: Outlet("a registration moves no points", "a registration moves no points"),
        Event.REGISTRATION_KNOWN: Outlet("the registration is known", "the registration is known"),
        Event.REGISTRATION_REFUSED: Outlet("the registration is not possible", "the registration is not possible"),
        Event.MEMBER_CLOSED: Outlet("a closure moves no points", "a closure moves no points"),
        Event.LEFT_OUT: Outlet("left out by a decision", "left out by a decision"),
        Event.PRODUCT_LISTED: Outlet(_LISTED, _LISTED),
        Event.PRODUCT_TAKEN: Outlet(_LISTED, _LISTED),
        Event.ORDERED: Outlet(_COMPANY_PAID, None),
        Event.ORDER_KNOWN: Outlet(_TOLD_AGAIN, _TOLD_AGAIN),
        Event.ORDER_CONFLICT: Outlet(_CONFLICT, _CONFLICT),
        Event.ORDER_REFUSED: Outlet("refused, not on offer", "refused, not on offer"),
        Event.ORDER_SHORT: Outlet("refused, the balance is short", "refused, the balance is short"),
        Event.PAID: Outlet(_UNPAID, _UNPAID),
        Event.PAID_FROM_STOCK: Outlet(None, None),
        Event.PAYMENT_UNKNOWN: Outlet(_NO_ORDER, _NO_ORDER),
        Event.PAYMENT_KNOWN: Outlet(_TOLD_AGAIN, _TOLD_AGAIN),
        Event.PAYMENT_DIFFERS: Outlet(_DIFFERS, _DIFFERS),
        Event.PAYMENT_LATE: Outlet("its order had ended unpaid", "its order had ended unpaid"),
        Event.PAYMENT_USED: Outlet("it paid another order", "it paid another order"),
        Event.LAPSED: Outlet(None, None),
        Event.VOUCHER_ISSUED: Outlet(_LAST_TELLS, None),
        Event.STEP_KNOWN: Outlet(_TOLD_AGAIN, _TOLD_AGAIN),
        Event.STOCKED: Outlet(_A_VOUCHER, _A_VOUCHER),
        Event.FULFILMENT_UNKNOWN: Outlet(_NO_ORDER, _NO_ORDER),
        Event.FULFILMENT_DIFFERS: Outlet(_DIFFERS, _DIFFERS),
        Event.ORDER_CANCELLED: Outlet(_COMPANY_PAID, None),
        Event.REFUND_FAILED: Outlet(_LAST_TELLS, "the points stay reserved until the money is back"),
        Event.REFUND_CAME: Outlet(_COMPANY_PAID, None),
        Event.VOUCHER_REDEEMED: Outlet(_A_VOUCHER, _A_VOUCHER),
        Event.VOUCHER_EXPIRED: Outlet(_A_VOUCHER, _A_VOUCHER),
        Event.VOUCHER_UNKNOWN: Outlet("no voucher of ours", "no voucher of ours"),
        Event.DELIVERED: Outlet(_A_VOUCHER, _A_VOUCHER),
        Event.DELIVERY_TRIED: Outlet(_A_VOUCHER, _A_VOUCHER),
        Event.DELIVERY_UNKNOWN: Outlet(_NO_ORDER, _NO_ORDER),
        Event.DELIVERY_KNOWN: Outlet(_TOLD_AGAIN, _TOLD_AGAIN),
        Event.RESENT: Outlet(_A_VOUCHER, _A_VOUCHER),
        Event.CREDITED: Outlet(None, None),
        Event.PAYMENT_TAKEN: Outlet(_UNPAID, _UNPAID),
        Event.ORDER_REFUNDED: Outlet(None, None),
    }
)
"""Every event. A request that a member paid for has that member's balance as its CRM key, so its cause is for those
that a company or the programme paid for."""

ZERO: Final = "an amount of zero moves nothing"
"""Why an outcome that must have a journal link may have none."""

CrmRange = tuple[str, int, int, bool]
"""Batch id, postings from (exclusive) and to (inclusive), and whether its files are written."""

JournalRange = tuple[str, int, int]
"""Journal id, postings from (exclusive) and to (inclusive)."""


def stage_two(
    book: Lookups, *, from_n: int, to_n: int, crm: Sequence[CrmRange], journals: Sequence[JournalRange]
) -> pl.DataFrame:
    """STAGE_TWO of postings ``from_n`` (exclusive) to ``to_n`` (inclusive): a row for each posting, event and side.

    An outcome is ``in_batch`` when it has a key on that side and its posting is in the range of a written batch,
    ``pending`` when no written batch covers it yet, ``none`` when it has no key and its event says why (``cause``).
    Whatever is none of these is missing from the sum: ``unaccounted``. Where several CRM targets hold a posting, each
    in a batch of its own, ``batch`` names them all. Raises MASS_BALANCE when two journals hold one posting.
    """
    counted = _counted(book, from_n, to_n)
    written = [(batch, low, high) for batch, low, high, done in crm if done]
    sides = [_side(counted, "crm", written), _side(counted, "journal", journals)]
    return (
        pl.concat(sides)
        .sort("posting", "event_no", "side")
        .select(pl.col(name).cast(kind) for name, kind in STAGE_TWO.items())
    )


def unaccounted(stage: pl.DataFrame) -> int:
    """Outcomes of STAGE_TWO that are neither in a batch, nor pending, nor in none for a reason; 0 when it balances."""
    rest = pl.col("records") - pl.col("in_batch") - pl.col("pending") - pl.col("none")
    return int(stage.select(rest.abs().sum()).item())


def _counted(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """Per posting and event: feed, records, those with a key (crm, journal), and those of 0 points that booked nothing
    (zero)."""
    in_range = f"file_id > {from_n} AND file_id <= {to_n}"
    plain = ", ".join(str(event.value) for event in PLAIN)
    total = book.frame(
        f"""SELECT d.*, p.feed FROM (
                SELECT file_id, event, count(*) AS records FROM book.disposition WHERE {in_range} GROUP BY ALL
            ) d JOIN book.posting p ON p.n = d.file_id"""
    )
    linked = _linked(book, f"SELECT file_id, line_no FROM book.entry WHERE {in_range} AND leg % 2 = 0", in_range)
    rest = f"{in_range} AND event NOT IN ({plain})"
    told = _linked(
        book,
        f"""SELECT e.file_id, e.line_no FROM (SELECT * FROM book.entry WHERE {rest}) e
            JOIN book.account a ON a.account_id = e.account_id AND a.kind = 'member'
            UNION ALL SELECT file_id, line_no FROM others""",
        rest,
        others=other_changes(book, from_n, to_n),
    )
    zero = book.frame(
        f"""SELECT d.file_id, d.event, count(*) AS zero
            FROM (SELECT file_id, line_no, event FROM book.disposition WHERE {in_range} AND points = 0) d
            ANTI JOIN (SELECT file_id, line_no FROM book.entry WHERE {in_range}) e
              ON e.file_id = d.file_id AND e.line_no = d.line_no GROUP BY ALL"""
    )
    key = ["file_id", "event"]
    return (
        total.join(told.rename({"keyed": "told"}), on=key, how="left")
        .join(linked.rename({"keyed": "journal"}), on=key, how="left")
        .join(zero, on=key, how="left")
        .with_columns(
            # A plain answer always changes its request, and ``updates`` proves that each change is told.
            crm=pl.when(pl.col("event").is_in([event.value for event in PLAIN])).then("records").otherwise("told")
        )
        .with_columns(pl.col("crm", "journal", "zero").fill_null(0))
    )


def _linked(book: Lookups, keyed: str, within: str, **frames: pl.DataFrame) -> pl.DataFrame:
    """Per posting and event, how many dispositions stand at a line that ``keyed`` (file_id, line_no) names."""
    return book.frame(
        f"""SELECT d.file_id, d.event, count(*) AS keyed
            FROM (SELECT file_id, line_no, event FROM book.disposition WHERE {within}) d
            SEMI JOIN ({keyed}) k ON k.file_id = d.file_id AND k.line_no = d.line_no GROUP BY ALL""",
        **frames,
    )


def _side(counted: pl.DataFrame, side: str, ranges: Sequence[tuple[str, int, int]]) -> pl.DataFrame:
    causes = pl.DataFrame(
        [(event.value, event.name.lower(), getattr(outlet, side)) for event, outlet in OUTLETS.items()],
        schema={"event": pl.Int16, "name": pl.String, "declared": pl.String},
        orient="row",
    )
    unkeyed = pl.col("records") - pl.col(side)
    bound_to = pl.min_horizontal(unkeyed, "zero") if side == "journal" else pl.lit(0)
    excused = pl.when(pl.col("declared").is_not_null()).then(unkeyed).otherwise(bound_to)
    return (
        counted.join(causes, on="event", how="left")
        .join(_covered(counted["file_id"], ranges, once=side == "journal"), on="file_id", how="left")
        .with_columns(none=excused)
        .select(
            "feed",
            "records",
            "none",
            posting="file_id",
            event="name",
            event_no="event",
            side=pl.lit(side),
            in_batch=pl.when(pl.col("batch").is_not_null()).then(side).otherwise(0),
            pending=pl.when(pl.col("batch").is_null()).then(side).otherwise(0),
            cause=pl.when(pl.col("none") > 0).then(pl.col("declared").fill_null(ZERO)),
            batch=pl.when(pl.col(side) > 0).then("batch"),
        )
    )


def _covered(postings: pl.Series, ranges: Sequence[tuple[str, int, int]], *, once: bool) -> pl.DataFrame:
    """The batches whose ranges hold each posting: file_id, batch."""
    batches = pl.DataFrame(ranges, schema={"batch": pl.String, "low": pl.Int64, "high": pl.Int64}, orient="row")
    held = (
        pl.DataFrame({"file_id": postings})
        .unique()
        .join(batches, how="cross")
        .filter((pl.col("file_id") > pl.col("low")) & (pl.col("file_id") <= pl.col("high")))
    )
    require(not once or held["file_id"].is_unique().all(), "one journal holds a posting", code=Code.MASS_BALANCE)
    return held.group_by("file_id").agg(pl.col("batch").sort().str.join(" "))
