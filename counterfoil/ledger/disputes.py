"""What a partner must act on, break by break, with its own references and member numbers as it wrote them.

Here: the read behind a dispute pack. Not here: the pack itself (``reports.dispute``) or any list that other people see:
members are not masked here, for the rows go to the partner whose members they are, and nowhere else.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from counterfoil.feed import Feed
from counterfoil.ledger import break_money, charged
from counterfoil.ledger.figures import made_at, made_in, reasons_in_words
from counterfoil.ledger.known import Known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, BreakCode, Event, ItemKind, State
from counterfoil.ledger.open_breaks import standing
from counterfoil.ledger.scorecard import THEIRS, asked_of_partner
from counterfoil.reconcile import breaks

DISPUTED: Final = {
    "break_id": pl.String,
    "code": pl.Int16,
    "subject": pl.String,
    "ref": pl.String,
    "member": pl.String,
    "asked_on": pl.Date,
    "asked_points": pl.Int64,
    "due": pl.Date,
    "said_on": pl.Date,
    "said_points": pl.Int64,
    "outcome": pl.String,
    "reason": pl.String,
    "text": pl.String,
    "file": pl.String,
    "line": pl.Int64,
    "opened_on": pl.Date,
    "age_days": pl.Int64,
    "at_stake": pl.Int64,
    **break_money.AMOUNTS,
}
"""``asked_*`` is our request, ``said_*`` the partner's answer with its ``outcome`` (null where the book does not keep
it), its reason code and what that means, file and line; ``amount_*`` the money that it charged beside what we expected;
what does not exist is null. ``ref`` is null where the partner
gave none, and for a file, which ``subject`` names."""

_NAMELESS: Final = r"\?[0-9]+:[0-9]+"
"""What stands for the reference of an answer that has none."""

_SAYS: Final = {
    ItemKind.THEIR_ACCEPT: "accepted",
    ItemKind.THEIR_REJECT: "rejected",
    ItemKind.THEIR_HOLD: "held",
    ItemKind.THEIR_REVERSAL: "reversed",
}
_DID: Final = {
    Event.ACCEPTED: "accepted",
    Event.ACCEPTED_PART: "accepted",
    Event.NETTED: "accepted",
    Event.RECALL_ACCEPTED: "accepted",
    Event.LATE_ACCEPT: "accepted",
    Event.REJECTED: "rejected",
    Event.LATE_REJECT: "rejected",
    Event.HELD: "held",
    Event.REVERSED: "reversed",
    Event.ACCRUED: "accrued",
    Event.REDEEMED: "redeemed",
    Event.REDEEMED_BEYOND: "redeemed",
}

_THEIRS: Final = ", ".join(f"'{kind}'" for kind in THEIRS)


def disputed(book: Lookups, at: Known, partner: str, feeds: Sequence[Feed]) -> pl.DataFrame:
    """DISPUTED of a partner at the end of a day: by break code, oldest first. ``feeds`` are the partners' feeds.

    The answer a break is about is the one that waits as theirs, else the record that opened it; for an overdue request
    it is the one that put it off.
    """
    theirs = [feed.feed for feed in feeds if feed.kind in THEIRS]
    found = book.frame(
        f"""WITH disputed AS (
                SELECT b.* FROM ({standing(at)}) b JOIN book.partner p ON p.partner_id = b.partner_id
                WHERE p.partner = (SELECT partner FROM asked) AND {asked_of_partner("b")}
            ), put_off AS (
                SELECT item_id, max(CAST(file_id AS BIGINT) * {RECORD_SPAN} + line_no) AS record
                FROM book.item_change
                WHERE state = {State.HELD:d} AND {at.counts()} AND item_id IN (SELECT item_id FROM disputed)
                GROUP BY item_id
            ), named AS (
                SELECT item_id, kind, ref, member, amount, value_date, due_date FROM book.item
                WHERE item_id IN (SELECT unnest([item_id, theirs_id]) FROM disputed)
            ), told AS (
                SELECT b.*, CASE WHEN b.theirs_id IS NOT NULL THEN b.theirs_id
                                 WHEN b.line_no > 0 AND f.kind IN ({_THEIRS})
                                     THEN CAST(b.file_id AS BIGINT) * {RECORD_SPAN} + b.line_no
                                 ELSE h.record END AS record
                FROM disputed b JOIN book.posting f ON f.n = b.file_id
                LEFT JOIN put_off h ON h.item_id = b.item_id AND b.code = {BreakCode.OVERDUE:d}
            ), answered AS (
                SELECT (CAST(d.file_id AS BIGINT) * {RECORD_SPAN}) + d.line_no AS record, d.event, d.points,
                       d.value_date, r.reason
                FROM book.disposition d LEFT JOIN book.reason r ON r.reason_id = d.reason_id
                WHERE d.file_id IN (SELECT {made_in("record")} FROM told WHERE record IS NOT NULL)
                  AND (CAST(d.file_id AS BIGINT) * {RECORD_SPAN}) + d.line_no IN (SELECT record FROM told)
            )
            SELECT b.break_id, b.code, b.subject, coalesce(t.ref, i.ref, b.subject) AS ref,
                   -- who ordered a voucher is nothing that its supplier need know
                   coalesce(t.member, CASE WHEN i.kind <> {ItemKind.ORDER:d} THEN i.member END) AS member,
                   i.value_date AS asked_on, i.amount AS asked_points,
                   i.due_date AS due, a.value_date AS said_on, a.points AS said_points, a.reason, t.kind AS their_kind,
                   a.event, f.name AS file, {made_at("b.record")} AS line, b.opened_on, b.points_ours, b.points_theirs,
                   coalesce(b.value_date, b.opened_on) AS since, m.* EXCLUDE (break_id)
            FROM told b LEFT JOIN ({charged.of_breaks("SELECT * FROM disputed", at.counts())}) m
                ON m.break_id = b.break_id
            LEFT JOIN named i ON i.item_id = b.item_id LEFT JOIN named t ON t.item_id = b.theirs_id
            LEFT JOIN answered a ON a.record = b.record
            LEFT JOIN book.posting f ON f.n = {made_in("b.record")}""",
        asked=pl.DataFrame({"partner": [partner]}),
        theirs=pl.DataFrame({"feed": theirs}, schema={"feed": pl.String}),
    )
    nameless = pl.col("ref").str.contains(f"^{_NAMELESS}$") | pl.col("code").is_in(breaks.OF_FILES)
    said = pl.coalesce(_words("their_kind", _SAYS), _words("event", _DID))
    described = found.with_columns(
        ref=pl.when(~nameless).then("ref"),
        outcome=said,
        age_days=(pl.lit(at.day) - pl.col("since")).dt.total_days().clip(lower_bound=0),
        at_stake=breaks.at_stake(),
        partner=pl.lit(partner),
    )
    given = described.select("partner", "reason").drop_nulls().unique().sort("partner", "reason")
    texts = reasons_in_words(given, feeds).select("reason", "text")
    ordered = described.join(texts, on="reason", how="left").sort(
        "code", pl.col("age_days"), "break_id", descending=[False, True, False]
    )
    return ordered.select(pl.col(name).cast(kind) for name, kind in DISPUTED.items())


def _words(column: str, words: dict[ItemKind, str] | dict[Event, str]) -> pl.Expr:
    plain = {key.value: word for key, word in words.items()}
    return pl.col(column).replace_strict(plain, default=None, return_dtype=pl.String)
