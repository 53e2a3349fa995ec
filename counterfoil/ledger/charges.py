"""What postings make of partners' charges: those that are not what we expected are kept, and too much opens a break.

Here: which answers are charged for, when the break (B05) opens, and what new rates change. Not here: the arithmetic
(``reconcile.charges``) or reads (``charged``). Points alone decide what becomes of a request; a charge books nothing.
"""

from typing import Final

import polars as pl

from counterfoil.ledger import break_money, charged, posting
from counterfoil.ledger.charged import Frames
from counterfoil.ledger.model import BreakCode, Event, MatchPass, Outcome
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks, charges

_SETTLING: Final = [
    event.value
    for event in (
        Event.ACCEPTED,
        Event.RECALL_ACCEPTED,
        Event.LATE_ACCEPT,
        Event.ACCEPTED_PART,
        Event.NETTED,
        Event.REVERSED,
    )
]
"""Events of answers that settle at once. One that waits is judged at once, too, and its break opens when it settles."""

WAITED: Final = {"line_no": pl.Int64, "item_id": pl.Int64, "theirs_id": pl.Int64}
"""An answer that had waited and that a record of this file settles; ``item_id`` is its request, if it is one alone."""

_NOT_LANDED: Final = (1 << 31) - 1
"""The number of a posting that comes after every other: of rates that are only looked at."""

_NONE: Final = pl.DataFrame(schema=breaks.OPENING)


def of_answers(decided: pl.DataFrame, work: Work, book: Frames, partner_id: int) -> pl.DataFrame:
    """Rows of ``charge`` for the answers of a hand-back: those whose charge is not what we expect.

    Rejections, holds and repeats are not charged for, whatever they state. A rate that has not landed yet is no reason
    to hold an answer: its points settle, and its charge is kept as one that nobody can judge.
    """
    gives_back = pl.col("event") == Event.REVERSED.value
    accepted = (pl.col("outcome") == Outcome.ACCEPTED.value) & (pl.col("event") != Event.DUPLICATE_ANSWER.value)
    stated = decided.filter(pl.col("money").is_not_null() & (accepted | gives_back))
    if stated.is_empty():
        return posting.shaped(None, TABLES["charge"])
    # Partners write what they give back with either sign.
    signed = stated.select(
        "line_no",
        "event",
        item_id=pl.when(pl.col("event").is_in(_SETTLING)).then("item_id"),
        points=pl.when(gives_back).then(-pl.col("points").abs()).otherwise("points"),
        theirs=pl.when(gives_back).then(-pl.col("money").abs()).otherwise("money"),
        rated_on="value_date",
        answer_id=posting.record_id(work.file_id, "line_no"),
        partner_id=pl.lit(partner_id, pl.Int32),
        currency=pl.lit(work.policy.currency),
        tolerance=pl.lit(work.feed.tolerance_money, pl.Int64),
        basis_points=pl.lit(work.feed.tolerance_money_basis_points, pl.Int32),
        file_id=pl.lit(work.file_id, pl.Int32),
    )
    rates = charged.rates(book, work.policy.currency).filter(pl.col("basis") == work.feed.partner)
    of_partner = posting.shaped(rates.with_columns(partner_id=pl.lit(partner_id)), charges.RATES)
    refunds = signed.filter(gives_back)
    parts = [charges.expected(signed.filter(~gives_back), of_partner)]
    if refunds.height:
        parts += _given_back(refunds, of_partner, book)
    judged = pl.concat([posting.shaped(part, TABLES["charge"]) for part in parts])
    return judged.filter(pl.col("theirs").ne_missing(pl.col("ours"))).sort("line_no")


def opening(rows: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    """Breaks of the answers that settle now, from ``of_answers``: ``breaks.OPENING``."""
    far = rows.filter(charges.beyond()).select(pl.col("line_no").cast(pl.Int64), "partner_id")
    if far.is_empty():
        return _NONE
    about = decided.join(far, on="line_no").filter(pl.col("event").is_in(_SETTLING))
    return _breaks(about.select("line_no", "ref", "item_id", "theirs_id", "value_date", "partner_id"))


def opening_after(waited: pl.DataFrame, book: Frames) -> pl.DataFrame:
    """The same of answers that had waited (WAITED), under the terms by which they were judged when they came."""
    if waited.is_empty():
        return _NONE
    known = charged.waiting(book, waited["theirs_id"])
    far = known.filter(charges.beyond()).select("partner_id", "ref", "value_date", theirs_id="answer_id")
    return _breaks(waited.select(*WAITED).join(far, on="theirs_id"))


def clearing(decided: pl.DataFrame, taken_back: pl.Series, book: Frames) -> pl.DataFrame:
    """Breaks about charges for requests that are taken back whole by answers that say what they give back, which is
    judged by itself (``posting.CLEARING``)."""
    if taken_back.is_empty():
        return posting.shaped(None, posting.CLEARING)
    says = pl.col("money").is_not_null() & (pl.col("event") == Event.REVERSED.value)
    told = decided.filter(says & pl.col("item_id").is_in(taken_back.implode()))
    return charged.of_requests(book, told["item_id"])


def parts_met(matches: pl.DataFrame, decided: pl.DataFrame, waiting: pl.DataFrame) -> pl.DataFrame:
    """WAITED: parts that had waited for the others, from rows of ``match``. ``waiting``: open theirs."""
    parts = matches.filter(
        (pl.col("match_pass") == MatchPass.SPLIT.value) & pl.col("item_id").is_in(waiting["item_id"].implode())
    )
    asked = decided.select("line_no", "item_id")
    found = parts.select(pl.col("line_no").cast(pl.Int64), theirs_id="item_id").join(asked, on="line_no")
    return posting.shaped(found, WAITED)


def rejudged(work: Work, book: Frames) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the rates of this file change: rows of ``charge``, and the breaks that they close (``posting.CLEARING``).

    Only what is still open is looked at: a charge that was settled with stays as it was judged.
    """
    changed = _changed_by(work.accepted, work.policy.currency, book, work.file_id)
    if changed.is_empty():
        return posting.shaped(None, TABLES["charge"]), posting.shaped(None, posting.CLEARING)
    rows = changed.with_columns(file_id=pl.lit(work.file_id), line_no="rate_line")
    closed = _agreed(changed).select("break_id", code=pl.lit(BreakCode.MONEY_DIFFERS.value, pl.Int16))
    return posting.shaped(rows, TABLES["charge"]), closed


def conceded(rates: pl.DataFrame, currency: str, book: Frames) -> int:
    """Minor units that the breaks are about which these rates would close."""
    closed = _agreed(_changed_by(rates, currency, book, _NOT_LANDED))
    return int(break_money.at_stake(book, closed["break_id"])["minor"].sum()) if closed.height else 0


def _changed_by(landing: pl.DataFrame, currency: str, book: Frames, file_id: int) -> pl.DataFrame:
    """``charged.unsettled`` as judged anew with rates that land: those of which we now expect something else."""
    open_charges = charged.unsettled(book)
    if open_charges.is_empty():
        return open_charges
    fresh = landing.filter(pl.col("currency") == currency).with_columns(file_id=pl.lit(file_id))
    partners = open_charges.select("partner_id", basis="partner").unique()
    rates = [
        posting.shaped(rows.join(partners, on="basis"), charges.RATES)
        for rows in (charged.rates(book, currency), fresh)
    ]
    again = charges.expected(open_charges, pl.concat(rates))
    return again.filter(again["ours"].ne_missing(open_charges["ours"]))


def _agreed(changed: pl.DataFrame) -> pl.DataFrame:
    return changed.filter(~charges.beyond()).drop_nulls("break_id") if changed.height else changed


def _given_back(refunds: pl.DataFrame, rates: pl.DataFrame, book: Frames) -> list[pl.DataFrame]:
    """What is given back should be what was charged: at the price of then, or the rate of the day of the answer."""
    then = refunds.join(charged.accepted(book, refunds["item_id"]), on="item_id", how="left").with_columns(
        rated_on=pl.coalesce("accepted_on", "rated_on")
    )
    priced = pl.col("was_theirs").is_not_null()
    return [
        charges.as_charged(then.filter(priced)),
        charges.expected(then.filter(~priced), rates),
    ]


def _breaks(rows: pl.DataFrame) -> pl.DataFrame:
    """B05 has no points: those agree, or another break says that they do not."""
    return breaks.opening(
        rows.sort("line_no", "theirs_id"),
        line_no="line_no",
        item_id="item_id",
        theirs_id="theirs_id",
        code=pl.lit(BreakCode.MONEY_DIFFERS.value),
        subject="ref",
        value_date="value_date",
        their_date="value_date",
        partner_id="partner_id",
        at_once=pl.lit(value=False),
    )
