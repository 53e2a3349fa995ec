"""What a requests file does to the book: points leave their source and wait in flight for an answer.

Here: known references, balances, and answers that came before their request. Not here: the life after an answer
(``answers``) or booking (``posting``).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import polars as pl

from counterfoil.ledger import charges, merged, posting
from counterfoil.ledger.answers import Lookups
from counterfoil.ledger.model import (
    Agreed,
    BreakCode,
    Disposition,
    Event,
    ItemKind,
    MatchPass,
    MatchRole,
    Relation,
    Side,
    State,
)
from counterfoil.ledger.names import HOUSE, Names
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work, month_of
from counterfoil.reconcile import breaks, groups, life, passes
from counterfoil.reconcile.terms import Terms

ASKS = [Event.REQUEST.value, Event.RECALL.value]
ENDS = [State.CONFIRMED.value, State.REJECTED.value]
_PARTS: Final[Mapping[str, type[pl.DataType]]] = {**TABLES["match"], "line_no": pl.Int64, "theirs_id": pl.Int64}
"""Answers in parts that a request met: rows of ``match``, and the answer."""


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one requests file."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    partner_id = names.partner(work.feed.partner)
    asked = _sourced(_known(work, book, partner_id), work, names, partner_id, book)
    met, parts = _met(asked, book.open_items(partner_id, Side.THEIRS), merged.aliases(work, book, partner_id), work)
    items = _items(asked, met, partner_id, work)
    taken = met.filter(pl.col("next_state").is_in([*ENDS, State.HELD.value]))
    answered = pl.concat([taken.select("line_no", "theirs_id"), parts.select("line_no", "theirs_id")]).drop_nulls()
    return posting.changes(
        {
            "member": _members(asked, book, partner_id, work),
            "item": items,
            "settled_key": _settled(taken, answered, work),
            "disposition": _dispositions(asked, parts, work.file_id),
            "match": parts,
            "item_change": _changed(met, work.file_id),
            "entry": posting.entries(
                pl.concat([_effects(asked), *_later_effects(met)]), work.rules, names.roles(partner_id), work.file_id
            ),
            **names.rows(),
        },
        opened=items.filter(~pl.col("state").is_in(ENDS)),
        closed=answered.select(item_id="theirs_id"),
        breaking=pl.concat([_breaks(asked, met, partner_id), charges.opening_after(_waited(taken, parts, work), book)]),
        clearing=book.clearable_breaks(partner_id).filter(
            (pl.col("code") == BreakCode.UNKNOWN_THEIRS.value)
            & pl.col("theirs_id").is_in(pl.concat([met["theirs_id"], parts["theirs_id"]]).drop_nulls().implode())
        ),
    )


def _known(work: Work, book: Lookups, partner_id: int) -> pl.DataFrame:
    refs = work.accepted["ref"].unique()
    since = work.business_date - timedelta(days=work.feed.reference_lifetime_days)
    settled = book.settled_items(partner_id, refs, since)
    open_now = book.awaiting(partner_id, refs)
    known = pl.concat([frame.select("ref", "item_id") for frame in (open_now, settled)])
    requests = work.accepted.with_columns(item_id=posting.record_id(work.file_id, "line_no"))
    return passes.new_requests(requests, known)


def _sourced(asked: pl.DataFrame, work: Work, names: Names, partner_id: int, book: Lookups) -> pl.DataFrame:
    """Add the account each request is paid from, and refuse what that account cannot pay."""
    if work.feed.source == "issued":
        return asked.with_columns(source_account=pl.lit(names.role("issued", HOUSE), pl.Int32))
    accounts = merged.standing(names.members(partner_id, asked["member"]), book)
    sourced = merged.paid_from(asked, accounts)
    if work.feed.beyond_balance == "already_gone":
        return sourced
    return passes.within_balance(sourced, accounts.select("balance", source_account="account_id").unique())


def _met(
    asked: pl.DataFrame, theirs: pl.DataFrame, aliases: pl.DataFrame, work: Work
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Requests that an answer was waiting for, and rows of ``match`` (with ``theirs_id``) of answers in parts."""
    kind = (
        pl.when(pl.col("event") == Event.RECALL.value)
        .then(pl.lit(ItemKind.RECALL.value, pl.Int16))
        .otherwise(pl.lit(ItemKind.REQUEST.value, pl.Int16))
    )
    asking = asked.filter(pl.col("event").is_in(ASKS)).select(
        "line_no", "item_id", "ref", "member", "points", "value_date", "source_account", "record_type", kind=kind
    )
    met = passes.answered_before(asking, theirs, aliases, Terms.of(work.feed))
    if work.feed.split_max == 1:
        return met, posting.shaped(None, _PARTS)
    together, parts = _in_parts(asking, theirs, aliases, work)
    return pl.concat([met, together.select(met.columns)], how="vertical_relaxed"), parts


def _in_parts(
    asking: pl.DataFrame, theirs: pl.DataFrame, aliases: pl.DataFrame, work: Work
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same where several answers wait: one row a request that they are together, one an answer where more is to
    come. An answer that is together with others has no row of its own in the first frame, and one in the second."""
    accepted = (pl.col("kind") == ItemKind.THEIR_ACCEPT.value) & (pl.col("remaining") != 0)
    several = theirs.filter((pl.len().over("ref") > 1) & accepted.all().over("ref"))
    requests = asking.filter(pl.col("kind") == ItemKind.REQUEST.value)
    waiting = passes.waiting_for(requests, several, aliases)
    found = groups.gathered(waiting, work.feed.split_max)
    judged = waiting.join(found.lines, on="line_no", maintain_order="left")
    in_sum = judged.join(found.members, left_on=["line_no", "theirs_id"], right_on=["line_no", "part"], how="semi")
    whole = (
        in_sum.filter(pl.col("verdict") == groups.Verdict.SETTLED.value)
        .group_by("line_no", maintain_order=True)
        .agg(pl.all().exclude("their_date").first(), pl.col("their_date").max())
        .with_columns(
            theirs_id=pl.lit(None, pl.Int64), their_points="points", booked="points", relation=_relation(Relation.EQUAL)
        )
    )
    short = judged.filter(pl.col("verdict") == groups.Verdict.WAITS.value).with_columns(
        relation=_relation(Relation.BEYOND)
    )
    pending = pl.concat([whole.select(short.columns), short]).with_columns(state=pl.lit(State.PENDING.value, pl.Int16))
    parts = in_sum.join(whole, on="line_no", how="semi").select(
        "line_no",
        "theirs_id",
        item_id="theirs_id",
        match_pass=pl.lit(MatchPass.SPLIT.value),
        role=pl.lit(MatchRole.PART.value),
        agreed=pl.lit(Agreed.REF.value),
        difference=pl.lit(None),
        days=(pl.col("their_date") - pl.col("value_date")).dt.total_days(),
        file_id=pl.lit(work.file_id),
    )
    return life.advance(pending), posting.shaped(parts, _PARTS)


def _waited(taken: pl.DataFrame, parts: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Answers that had waited and whose request this file brings: ``charges.WAITED``."""
    accepted = taken.filter(pl.col("next_state") == State.CONFIRMED.value)
    both = pl.concat([accepted.select("line_no", "theirs_id"), parts.select("line_no", "theirs_id")]).drop_nulls()
    return posting.shaped(both.with_columns(item_id=posting.record_id(work.file_id, "line_no")), charges.WAITED)


def _relation(relation: Relation) -> pl.Expr:
    return pl.lit(relation.value, pl.Int16)


def _items(asked: pl.DataFrame, met: pl.DataFrame, partner_id: int, work: Work) -> pl.DataFrame:
    """Items of every request that is not a duplicate, with the state this file leaves them in."""
    short = pl.col("event") == Event.BALANCE_SHORT.value
    return (
        asked.filter(pl.col("event") != Event.DUPLICATE_REQUEST.value)
        .join(_ending(met), on="item_id", how="left", maintain_order="left")
        .select(
            "item_id",
            "ref",
            "member",
            "source_account",
            "value_date",
            side=pl.lit(Side.OURS.value),
            kind=pl.when(pl.col("points") < 0).then(ItemKind.RECALL.value).otherwise(ItemKind.REQUEST.value),
            state=pl.when(short).then(State.SHORT.value).otherwise(pl.col("next_state").fill_null(State.PENDING.value)),
            partner_id=pl.lit(partner_id),
            amount="points",
            remaining=pl.when(short).then(0).otherwise(pl.col("points").abs()),
            unit=pl.lit(work.unit),
            their_amount="points",
            their_unit=pl.lit(work.unit),
            ratio_ours=pl.lit(1),
            ratio_theirs=pl.lit(1),
            due_date=pl.col("value_date").dt.offset_by(f"{work.feed.answer_due_days}d"),
        )
    )


def _ending(met: pl.DataFrame) -> pl.DataFrame:
    """item_id, next_state of requests that their waiting answer moves on; one that it conflicts with stays pending."""
    moved = met.filter(pl.col("next_state") != State.UNKNOWN.value)
    return moved.select("item_id", "next_state").unique("item_id", keep="first", maintain_order=True)


def _effects(asked: pl.DataFrame) -> pl.DataFrame:
    return asked.select(
        "line_no",
        ordinal=pl.lit(0, pl.Int64),
        event="event",
        source_account="source_account",
        target_account=pl.lit(None, pl.Int32),
        sent=pl.col("points").abs(),
        answered=pl.col("points").abs(),
        value_date="value_date",
    )


def _later_effects(met: pl.DataFrame) -> list[pl.DataFrame]:
    """What the waiting answers book once their request is known.

    An equal acceptance in suspense goes there from in flight in one move (identified). Anything else first takes the
    suspense entry back, if there is one, and then books as an ordinary answer.
    """
    equal = pl.col("their_points") == pl.col("points")
    straight = (pl.col("event") == Event.ACCEPTED.value) & equal & (pl.col("booked") != 0)
    columns = {
        "source_account": pl.col("source_account"),
        "target_account": pl.lit(None, pl.Int32),
        "sent": pl.col("points").abs(),
        "answered": pl.col("their_points").abs(),
        "value_date": pl.col("their_date"),
    }
    identified = met.filter(straight).select(
        "line_no", ordinal=pl.lit(1, pl.Int64), event=pl.lit(Event.IDENTIFIED.value, pl.Int16), **columns
    )
    # Of answers that come in parts, all of them at once: a record has one transfer of a kind.
    in_suspense = met.filter(~straight & (pl.col("booked") != 0))
    taken_back = in_suspense.with_columns(pl.col("booked").sum().over("line_no")).unique("line_no", maintain_order=True)
    unbooked = taken_back.select(
        "line_no",
        ordinal=pl.lit(1, pl.Int64),
        event=pl.lit(Event.UNBOOKED.value, pl.Int16),
        **{**columns, "answered": pl.col("booked")},
    )
    answered = met.filter(~straight).select("line_no", ordinal=pl.lit(2, pl.Int64), event="event", **columns)
    return [identified, unbooked, answered]


def _changed(met: pl.DataFrame, file_id: int) -> pl.DataFrame:
    """Requests that are held from the start, and waiting answers that stay open and gave their suspense entry back."""
    held = met.filter(pl.col("next_state") == State.HELD.value).select(
        "item_id", "line_no", state="next_state", remaining=pl.col("points").abs(), file_id=pl.lit(file_id)
    )
    differing = met.filter(pl.col("event").is_in([Event.AMOUNT_DIFFERS.value, Event.DATE_DIFFERS.value])).select(
        "line_no",
        item_id="theirs_id",
        state=pl.lit(State.UNIDENTIFIED.value, pl.Int16),
        remaining=pl.lit(0, pl.Int64),
        file_id=pl.lit(file_id),
    )
    return pl.concat([held, differing.select(held.columns)])


def _settled(taken: pl.DataFrame, answered: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Settled keys: of requests that what waited for them ends, and of those answers."""
    stamp = {
        "reversed": pl.lit(0),
        "reason_id": pl.lit(None, pl.Int32),
        "month": pl.lit(month_of(work.on_day)),
        "file_id": pl.lit(work.file_id),
        "line_no": pl.col("line_no"),
    }
    confirmed = pl.when(pl.col("next_state") == State.CONFIRMED.value).then(pl.col("their_points")).otherwise(0)
    ours = taken.filter(pl.col("next_state").is_in(ENDS)).select(
        "item_id", state=pl.col("next_state").cast(pl.Int32), confirmed=confirmed, **stamp
    )
    theirs = answered.select(
        item_id="theirs_id", state=pl.lit(State.CLOSED.value), confirmed=pl.lit(0, pl.Int64), **stamp
    )
    return pl.concat([ours, theirs])


def _dispositions(asked: pl.DataFrame, parts: pl.DataFrame, file_id: int) -> pl.DataFrame:
    disposition = (
        pl.when(pl.col("event") == Event.DUPLICATE_REQUEST.value)
        .then(pl.lit(Disposition.DUPLICATE.value))
        .when(pl.col("event") == Event.BALANCE_SHORT.value)
        .then(pl.lit(Disposition.HELD.value))
        .otherwise(pl.lit(Disposition.SETTLED.value))
    )
    duplicate = pl.col("event") == Event.DUPLICATE_REQUEST.value
    return asked.select(
        "line_no",
        disposition=disposition,
        event="event",
        match_pass=pl.when(pl.col("line_no").is_in(parts["line_no"].implode()))
        .then(pl.lit(MatchPass.SPLIT.value))
        .otherwise(pl.lit(MatchPass.NONE.value)),
        item_id=pl.when(duplicate).then("known_id").otherwise("item_id"),
        points="points",
        reason_id=pl.lit(None),
        value_date="value_date",
        file_id=pl.lit(file_id),
    )


def _breaks(asked: pl.DataFrame, met: pl.DataFrame, partner_id: int) -> pl.DataFrame:
    """Breaks the requests open themselves, and those of answers that waited for them."""
    own = {Event.DUPLICATE_REQUEST.value: BreakCode.DUPLICATE_OURS, Event.BALANCE_SHORT.value: BreakCode.BALANCE_SHORT}
    duplicate = pl.col("event") == Event.DUPLICATE_REQUEST.value
    common: dict[str, pl.Expr | str] = {
        "line_no": "line_no",
        "subject": "ref",
        "points_ours": "points",
        "value_date": "value_date",
        "partner_id": pl.lit(partner_id),
        "at_once": pl.lit(value=False),
    }
    refused = breaks.opening(
        asked.filter(pl.col("event").is_in(list(own))),
        item_id=pl.when(duplicate).then("known_id").otherwise("item_id"),
        code=pl.col("event").replace_strict(own, return_dtype=pl.Int16),
        **common,
    )
    answered = breaks.opening(
        met.filter(pl.col("opens").is_not_null()),
        item_id="item_id",
        theirs_id="theirs_id",
        code="opens",
        points_theirs="their_points",
        their_date="their_date",
        **common,
    )
    return pl.concat([refused, answered])


def _members(asked: pl.DataFrame, book: Lookups, partner_id: int, work: Work) -> pl.DataFrame:
    """Members whose account at the partner the book sees for the first time."""
    first = asked.unique("member", keep="first", maintain_order=True)
    known = book.known_members(partner_id, first["member"])
    return first.filter(~pl.col("member").is_in(known.implode())).select(
        "member", "line_no", partner_id=pl.lit(partner_id), file_id=pl.lit(work.file_id)
    )
