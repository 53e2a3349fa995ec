"""Why a break stands: in words, with the open items that nearly fit it and the fields that would settle it.

Here: the words, and reading what near misses are looked for among. Not here: comparing them (``reconcile.lookalikes``)
or the cause that many breaks share (``break_causes``). One read finds the candidates of all breaks.
"""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from counterfoil.ledger.extracts import masked
from counterfoil.ledger.figures import made_at, made_in, open_at
from counterfoil.ledger.known import Known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Event, MatchPass, Side
from counterfoil.ledger.story import Compared, NearMiss, Why
from counterfoil.money import format_minor
from counterfoil.reconcile.lookalikes import HEAD, SIDE, near_misses

EQUALS_MAX: Final = 2000
"""Candidates of one value date and the same points that are looked at: first those of the member, then those whose
reference begins alike. Where amounts are few, more would say nothing."""

_LOOKED_FOR: Final = (
    BreakCode.OVERDUE,
    BreakCode.UNKNOWN_THEIRS,
    BreakCode.POINTS_DIFFER,
    BreakCode.DATE_DIFFERS,
    BreakCode.CONFLICT,
)
"""Codes of which one side stands alone, or beside one that does not fit."""

_TEXTS: Final[Mapping[BreakCode, str]] = {
    BreakCode.IN_TRANSIT: "Its answer is not due yet.",
    BreakCode.OVERDUE: "No answer came by the day it was due.",
    BreakCode.UNKNOWN_THEIRS: "No open request bears the reference.",
    BreakCode.POINTS_DIFFER: "The request was found by its reference; the points differ by more than is tolerated.",
    BreakCode.MONEY_DIFFERS: "The request was found; the money differs by more than is tolerated.",
    BreakCode.DATE_DIFFERS: "The value date lies further off than the days allow.",
    BreakCode.DUPLICATE_THEIRS: "The same answer had come before; nothing was booked twice.",
    BreakCode.DUPLICATE_OURS: "The reference had been requested before.",
    BreakCode.REJECTED: "The partner rejected the request; its points went back to where they came from.",
    BreakCode.OTHER_ACCOUNT: "It was accepted to another account, and only a person can tell whether that is right.",
    BreakCode.CONFLICT: "Answers to one request contradict each other, so none of them counts.",
    BreakCode.CONTROL_WRONG: "A total that the file declares is not what its records add up to.",
    BreakCode.SEQUENCE: "A file that was due has not come, or came out of turn.",
    BreakCode.WALLET_DIFFERS: "The wallet and the vouchers paid from it differ.",
    BreakCode.LEDGER_DIFFERS: "The general ledger holds another balance of the account than our journals make.",
    BreakCode.BALANCE_SHORT: "The balance that the points were to come from did not cover them.",
}

_BY_PASS: Final[Mapping[MatchPass, str]] = {
    MatchPass.SUGGESTED: "No open request bears the reference; exactly one of the member has its points, and only a "
    "person can tell that it is the one.",
    MatchPass.AMBIGUOUS: "Several open requests fit it equally well, so none was chosen.",
    MatchPass.GAVE_UP: "More open requests could add up to it than a posting may try, so the search was given up.",
}

_BY_EVENT: Final[Mapping[Event, str]] = {
    Event.ACCEPTED_AFTER_END: "It was accepted after the request had ended.",
    Event.CHANGED_TOO_LATE: "A corrected file changes a record whose item has gone on since.",
    Event.COMPANY_REFUSED: "It is of no company or unit that was opened, or rows of one day contradict each other.",
    Event.REGISTRATION_REFUSED: "The number or the address is somebody else's, or no such company is known.",
    Event.PRODUCT_TAKEN: "Another supplier offers a product of this name; a product has one supplier.",
    Event.ORDER_KNOWN: "The same order had come before; nothing was reserved twice.",
    Event.ORDER_CONFLICT: "Orders under one reference differ, so that none but the first that counted stands.",
    Event.ORDER_REFUSED: "The order is for what the catalogue does not offer so; its reason says what. Nothing moved.",
    Event.ORDER_SHORT: "The account that was to pay the order does not cover it. Nothing moved.",
    Event.PAYMENT_UNKNOWN: "No order of the company bears the reference of the payment; it waits for one of its sum.",
    Event.PAYMENT_KNOWN: "The order was paid before; what came again belongs to whoever paid it.",
    Event.PAYMENT_DIFFERS: "Another sum was paid than the order costs; it waits for the rest, or for a decision.",
    Event.PAYMENT_LATE: "It was paid after the order had ended, and belongs to whoever paid it.",
    Event.PAYMENT_USED: "The payment of this reference has paid another order; it does not pay twice.",
    Event.FULFILMENT_UNKNOWN: "No order bears the reference, or nothing of the kind is sold from stock.",
    Event.FULFILMENT_DIFFERS: "What the supplier sent is not what was ordered of it; none of it counts.",
    Event.VOUCHER_ISSUED: "The supplier sent fewer vouchers than were ordered; the order waits for the rest.",
    Event.ORDER_CANCELLED: "The supplier sent fewer vouchers than were ordered; the order waits for the rest.",
    Event.REFUND_FAILED: "The supplier cancelled vouchers and did not pay back what our wallet had paid for them.",
    Event.VOUCHER_UNKNOWN: "A voucher was used that we never issued, or that had ended.",
    Event.DELIVERY_UNKNOWN: "No goods were ordered under the reference, or none were sent yet.",
    Event.DELIVERY_KNOWN: "The goods had arrived or come back before.",
}

_OWN_FIELD: Final = {BreakCode.POINTS_DIFFER: ("points",), BreakCode.DATE_DIFFERS: ("date",)}
"""What two items that were found to belong together differ in."""


def whys(book: Lookups, at: Known, breaks: pl.DataFrame) -> dict[str, Why]:
    """Why each break stands, by id, its cause not known. ``breaks``: ``story_parts.breaks`` of those that are open."""
    nearest = _nearest(book, at, breaks)
    return {row["break_id"]: _why(row, nearest.get(row["break_id"], ())) for row in breaks.to_dicts()}


def _why(row: Mapping[str, Any], nearest: tuple[NearMiss, ...]) -> Why:
    code = BreakCode(row["code_no"])
    text = _TEXTS[code]
    if row["opened_event"] is not None:
        text = _BY_EVENT.get(Event(row["opened_event"]), text)
    if row["amount_theirs_minor"] is not None:
        text = _of_money(row)
    if code is BreakCode.UNKNOWN_THEIRS and row["opened_pass"] is not None:
        text = _BY_PASS.get(MatchPass(row["opened_pass"]), text)
    paired = bool(nearest) and nearest[0].item_id == row["item_id"]
    own = _OWN_FIELD.get(code, ()) if paired else ()
    settles = own or (nearest[0].differing() if nearest else ())
    return Why(text, code in _LOOKED_FOR, settles, None, nearest)


def _of_money(row: Mapping[str, Any]) -> str:
    """What the partner charged, and what we expected and by which rate."""
    currency = row["currency"]
    theirs, points = format_minor(row["amount_theirs_minor"], currency), f"{row['charged_points']:,} points"
    if row["amount_ours_minor"] is None:
        return (
            f"The partner charged {theirs} {currency} for {points}, and no rate of {row['partner']} was in force on "
            f"{row['rated_on']} to judge it by."
        )
    expected = (
        f"The partner charged {theirs} {currency} for {points}; {format_minor(row['amount_ours_minor'], currency)}"
    )
    if row["rate_minor"] is None:
        return f"{expected} {currency} is what it had charged for them before it gave them back."
    rate = f"{format_minor(row['rate_minor'], currency)} {currency} per {row['rate_per']:,} points"
    return f"{expected} {currency} were expected, at {rate} on {row['rated_on']}."


def _nearest(book: Lookups, at: Known, breaks: pl.DataFrame) -> dict[str, tuple[NearMiss, ...]]:
    codes = [code.value for code in _LOOKED_FOR]
    overdue = pl.col("code_no") == BreakCode.OVERDUE.value
    alone = (
        breaks.filter(pl.col("code_no").is_in(codes))
        .select(
            "break_id",
            alone_id=pl.coalesce("theirs_id", pl.when(overdue).then("item_id")),
            other_id=pl.when(pl.col("theirs_id").is_not_null()).then("item_id"),
        )
        .drop_nulls("alone_id")
    )
    if alone.is_empty():
        return {}
    subjects = _subjects(book, alone)
    pool = _pool(book, at, subjects, alone["other_id"].drop_nulls())
    named = alone.select("other_id", item_id="alone_id").drop_nulls().unique(maintain_order=True)
    near = near_misses(subjects.unique("item_id", maintain_order=True), pool, named)
    ours = subjects.select("item_id", is_ours=pl.col("side") == Side.OURS.value).unique("item_id")
    shown = near.join(ours, on="item_id").join(
        _described(book, near["other_id"]), left_on="other_id", right_on="item_id"
    )
    by_item: dict[int, list[NearMiss]] = {}
    for row in shown.sort("item_id", "place").to_dicts():
        by_item.setdefault(row["item_id"], []).append(_near_miss(row))
    return {row["break_id"]: tuple(by_item.get(row["alone_id"], ())) for row in alone.to_dicts()}


def _subjects(book: Lookups, alone: pl.DataFrame) -> pl.DataFrame:
    """SIDE of the items that stand alone, and side; ``within`` is the other side at the same partner."""
    return book.frame(
        f"""SELECT i.item_id, i.side, CAST(i.partner_id AS BIGINT) * 4 + 3 - i.side AS within,
                   {_REF.format("i")} AS ref, i.member, i.amount AS points, i.value_date
            FROM book.item i WHERE i.item_id IN (SELECT alone_id FROM alone) ORDER BY i.item_id""",
        alone=alone,
    )


_REF: Final = "CASE WHEN {0}.ref NOT LIKE '?%' THEN {0}.ref END"
"""An answer that names no reference bears its posting and line behind a question mark."""


def _pool(book: Lookups, at: Known, subjects: pl.DataFrame, named: pl.Series) -> pl.DataFrame:
    """SIDE of open items that share a reference, a member or an amount with a subject, and of those that are named.

    One pass over what is open; of many that share only amount and date, EQUALS_MAX.
    """
    return book.frame(
        f"""WITH found AS MATERIALIZED (
                SELECT o.item_id, CAST(o.partner_id AS BIGINT) * 4 + o.side AS within, {_REF.format("o")} AS ref,
                       o.member, o.amount AS points, o.value_date
                FROM ({open_at(at)}) o
                WHERE o.amount IN (SELECT points FROM subjects) OR o.ref IN (SELECT ref FROM subjects)
                   OR o.member IN (SELECT member FROM subjects)
            ), few AS (
                SELECT * FROM found WHERE within IN (SELECT within FROM subjects)
                QUALIFY ref IN (SELECT ref FROM subjects) OR row_number() OVER (
                    PARTITION BY within, points, value_date
                    ORDER BY (member IN (SELECT member FROM subjects)) IS NOT TRUE,
                             (left(ref, {HEAD}) IN (SELECT left(ref, {HEAD}) FROM subjects)) IS NOT TRUE, item_id
                ) <= {EQUALS_MAX}
            )
            SELECT * FROM few
            UNION SELECT i.item_id, CAST(i.partner_id AS BIGINT) * 4 + i.side, {_REF.format("i")}, i.member, i.amount,
                         i.value_date
            FROM book.item i SEMI JOIN named USING (item_id) ORDER BY item_id""",
        subjects=subjects,
        named=pl.DataFrame({"item_id": named}),
    ).select(*SIDE)


def _described(book: Lookups, item_ids: pl.Series) -> pl.DataFrame:
    """What people see of items: item_id, side, ref, member (masked), points, value_date, posting, file, line."""
    return book.frame(
        f"""SELECT i.item_id, CASE i.side WHEN {Side.OURS:d} THEN 'ours' ELSE 'theirs' END AS side,
                   {_REF.format("i")} AS ref, i.member, i.amount AS points, CAST(i.value_date AS VARCHAR) AS value_date,
                   {made_in("i.item_id")} AS posting, p.name AS file, {made_at("i.item_id")} AS line
            FROM book.item i SEMI JOIN named USING (item_id) JOIN book.posting p ON p.n = {made_in("i.item_id")}""",
        named=pl.DataFrame({"item_id": item_ids.unique()}),
    ).with_columns(masked("member"))


def _near_miss(row: Mapping[str, Any]) -> NearMiss:
    theirs_less_ours = -1 if row["is_ours"] else 1
    fields = (
        Compared("reference", row["ref_agrees"], row["ref_off"], row["ref_at"]),
        Compared("member", row["member_agrees"], None, None),
        Compared("points", row["points_agree"], theirs_less_ours * row["points_off"], None),
        Compared("date", row["date_agrees"], theirs_less_ours * row["days"], None),
    )
    kept = ("side", "ref", "member", "points", "value_date", "posting", "file", "line")
    return NearMiss(item_id=row["other_id"], fields=fields, **{name: row[name] for name in kept})
