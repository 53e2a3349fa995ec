"""Finds the item each answer or request speaks of, each row used at most once. Pure: frames in, frames out.

Here: the exact key, repeats inside a file, settled references and the aliases of merged accounts. Not here: what a
match means (``life``) or where frames come from (``ledger``). Later passes are added below the exact one.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from counterfoil.invariants import require
from counterfoil.ledger.model import Event, ItemKind, MatchPass, Outcome, Relation, State
from counterfoil.reconcile import life
from counterfoil.reconcile.terms import Terms, within_budget

OUTCOMES = {
    "accepted": Outcome.ACCEPTED.value,
    "rejected": Outcome.REJECTED.value,
    "held": Outcome.HELD.value,
    "reversed": Outcome.REVERSED.value,
}

ITEM_COLUMNS = ("item_id", "kind", "state", "source_account", "sent", "asked_on", "confirmed", "reversed")
"""What a candidate brings to a match; ``sent`` is signed, ``confirmed`` and ``reversed`` are 0 for open items."""


_SETTLING: Final = [
    event.value for event in (Event.ACCEPTED, Event.REJECTED, Event.RECALL_ACCEPTED, Event.RECALL_REJECTED)
]
"""What ends a request that waits, if its day allows it."""


def surviving(members: pl.Series, on: pl.Series, aliases: pl.DataFrame) -> pl.Series:
    """The accounts that stand for a partner's accounts on each row's day; a chain is followed while its hops count.

    ``aliases``: member String, survivor String, since Date: one hop a member, acyclic. A hop counts from its day on.
    """
    stands = members
    for _ in range(aliases.height):
        since = stands.replace_strict(aliases["member"], aliases["since"], default=None, return_dtype=pl.Date)
        hops = (since <= on).fill_null(value=False)
        if not hops.any():
            break
        stands = stands.replace(aliases["member"], aliases["survivor"]).zip_with(hops, stands)
    return stands


def by_reference(
    answers: pl.DataFrame, candidates: pl.DataFrame, aliases: pl.DataFrame, match_pass: MatchPass
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split answers into those that name a candidate and the rest.

    ``candidates``: ref, item_member and ITEM_COLUMNS, one row a reference. A reference matches when it is equal and the
    member, where the partner sends one, is the item's or merged with it on the answer's value date. Both results keep
    the order of lines; the first adds ITEM_COLUMNS and ``match_pass``.
    """
    joined = answers.join(candidates, on="ref", how="left", maintain_order="left")
    agrees = pl.col("member").is_null() | (pl.col("member") == pl.col("item_member"))
    if aliases.height:
        ours, theirs = (surviving(joined[name], joined["value_date"], aliases) for name in ("item_member", "member"))
        agrees |= pl.lit(ours) == pl.lit(theirs)
    named = joined.select(pl.col("item_id").is_not_null() & agrees).to_series()
    found = joined.drop("item_member").filter(named).with_columns(match_pass=pl.lit(match_pass.value, pl.Int16))
    return found, joined.select(answers.columns).filter(~named)


def placed(answers: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """Answers with what the exact key found: ITEM_COLUMNS and ``match_pass``; item columns are null where nothing.

    ``named``: row (of ``answers``, each at most once, in any order), item_id, kind, state, source_account, sent,
    asked_on.
    """
    columns = [column for column in named.iter_columns() if column.name != "row"]
    blank = (pl.repeat(None, answers.height, dtype=column.dtype, eager=True) for column in columns)
    found = (none.scatter(named["row"], column).alias(column.name) for none, column in zip(blank, columns, strict=True))
    beside = answers.hstack(list(found))
    require(beside.height - beside["item_id"].null_count() == named.height, "a reference names one open item")
    return beside.with_columns(
        confirmed=pl.lit(0, pl.Int64), reversed=pl.lit(0, pl.Int64), match_pass=pl.lit(MatchPass.EXACT.value, pl.Int16)
    )


def resolved(matched: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """``matched`` with what later passes found for the rows that have no item yet, in the same order."""
    rows = matched["item_id"].is_null().arg_true()
    return matched.with_columns(
        matched[name].clone().scatter(rows, later[name]) for name in (*ITEM_COLUMNS, "match_pass")
    )


def unknown(rest: pl.DataFrame) -> pl.DataFrame:
    """Answers that nothing in the book matches, in the shape of ``by_reference``."""
    return rest.with_columns(
        item_id=pl.lit(None, pl.Int64),
        kind=pl.lit(ItemKind.REQUEST.value, pl.Int16),
        state=pl.lit(State.UNKNOWN.value, pl.Int16),
        source_account=pl.lit(None, pl.Int32),
        sent=pl.lit(None, pl.Int64),
        asked_on=pl.lit(None, pl.Date),
        confirmed=pl.lit(0, pl.Int64),
        reversed=pl.lit(0, pl.Int64),
        match_pass=pl.lit(MatchPass.NONE.value, pl.Int16),
    )


def decide(matched: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """What each answer does: the rows of ``by_reference`` plus ``relation, event, next_state, disposition, opens``.

    All answers to one item, or under one unknown reference, must be among the rows. What a month may tolerate and when
    an answer may date is not asked yet: ``limited``.
    """
    base = (
        pl.when(pl.col("state").is_in([State.CONFIRMED.value, State.REVERSED.value]))
        .then(pl.col("confirmed"))
        .otherwise(pl.col("sent"))
    )
    left = pl.col("confirmed") - pl.col("reversed")
    relation = (
        pl.when(pl.col("outcome") == Outcome.REVERSED.value)
        .then(
            pl.when(pl.col("points").abs() <= left)
            .then(pl.lit(Relation.EQUAL.value, pl.Int16))
            .otherwise(pl.lit(Relation.BEYOND.value, pl.Int16))
        )
        .otherwise(terms.relation(pl.col("points"), base))
    )
    return _repeats(life.advance(matched.with_columns(relation=relation)))


def tolerated(decided: pl.DataFrame) -> pl.DataFrame:
    """Answers that settle although they are off."""
    return decided.filter((pl.col("relation") == Relation.WITHIN.value) & (pl.col("event") == Event.ACCEPTED.value))


def not_tolerated(decided: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Judge these of ``tolerated`` anew, as if nothing were tolerated."""
    beyond = lines.with_columns(relation=pl.lit(Relation.BEYOND.value, pl.Int16))
    return with_verdicts(decided, life.advance(beyond.drop("event", "next_state", "disposition", "opens")))


def limited(decided: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Settle no more than the month's budget tolerates, and nothing outside the window.

    ``match_pass`` becomes TOLERANCE or DATE_WINDOW where points or day differ and the answer settles all the same.
    """
    if terms.tolerant:
        decided = _within_budget(decided, terms)
    if terms.timed:
        decided = _within_window(decided, terms)
    return decided


def _within_budget(decided: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    off = tolerated(decided)
    if terms.budget is not None and off.height:
        fits = within_budget(off, terms.budget)
        decided, off = not_tolerated(decided, off.filter(~fits)), off.filter(fits)
    return with_verdicts(decided, off.with_columns(match_pass=pl.lit(MatchPass.TOLERANCE.value, pl.Int16)))


def _within_window(decided: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    moved = decided.filter(pl.col("event").is_in(_SETTLING) & (pl.col("asked_on") != pl.col("value_date")))
    fits = moved.select(terms.in_time(pl.col("asked_on"), pl.col("value_date"))).to_series()
    moved, fits = moved.filter(fits.is_not_null()), fits.drop_nulls()
    timed = moved.filter(fits & (moved["match_pass"] == MatchPass.EXACT.value))
    return with_verdicts(
        overrule(decided, {life.OTHER_DATE: moved.filter(~fits)}),
        timed.with_columns(match_pass=pl.lit(MatchPass.DATE_WINDOW.value, pl.Int16)),
    )


def _repeats(decided: pl.DataFrame) -> pl.DataFrame:
    """Several answers to one item in one file: equal ones count once, disagreeing ones not at all."""
    nobodys = pl.col("item_id").is_null()
    items = _twice(decided["item_id"].drop_nulls())
    refs = _twice(decided.select(pl.col("ref").filter(nobodys)).to_series())
    if items.is_empty() and refs.is_empty():
        return decided
    repeated = decided.filter(
        pl.col("item_id").is_in(items.implode()).fill_null(value=False)
        | (nobodys & pl.col("ref").is_in(refs.implode()))
    )
    group = ["item_id", "ref"]
    says = pl.struct("outcome", "points", "reason", "to_account", "member", "money")
    judged = repeated.select(
        "line_no",
        first=pl.col("line_no") == pl.col("line_no").min().over(group),
        agree=(says.n_unique().over(group) == 1) & (pl.col("outcome") != Outcome.REVERSED.value),
    )
    again = judged.filter(pl.col("agree") & ~pl.col("first"))
    return overrule(decided, {life.DUPLICATE: again, life.CONFLICT: judged.filter(~pl.col("agree"))})


def _twice(keys: pl.Series) -> pl.Series:
    """Values that occur more than once. Counting first is five times as fast, and most files have none."""
    return keys.clear() if keys.n_unique() == keys.len() else keys.filter(keys.is_duplicated()).unique()


def overrule(decided: pl.DataFrame, steps: Mapping[life.Step, pl.DataFrame]) -> pl.DataFrame:
    """Give the lines of each frame the step that they stand under, whatever was decided for them."""
    return with_verdicts(decided, pl.concat([_verdict(lines, step) for step, lines in steps.items()]))


def with_verdicts(decided: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Put columns of ``verdicts``, by ``line_no``, in the place of those that were decided."""
    if verdicts.is_empty():
        return decided
    # Few rows change, so they are written in place of copying the whole frame.
    places = decided["line_no"].is_in(verdicts["line_no"].implode()).arg_true()
    new = decided.select(pl.col("line_no").gather(places)).join(verdicts, on="line_no", maintain_order="left")
    changed = [name for name in verdicts.columns if name != "line_no"]
    return decided.with_columns(decided[name].clone().scatter(places, new[name]) for name in changed)


def _verdict(lines: pl.DataFrame, step: life.Step) -> pl.DataFrame:
    return lines.select(
        "line_no",
        event=pl.lit(step.event.value, pl.Int16),
        next_state=pl.lit(step.state.value, pl.Int16),
        disposition=pl.lit(step.disposition.value, pl.Int16),
        opens=pl.lit(step.opens, pl.Int16),
    )


def new_requests(requests: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Add ``event`` and ``known_id`` to requests: a reference the book or the file already has is a duplicate.

    ``known``: ref String, item_id Int64 of every reference of the file that the book has. Inside the file the first of
    equal rows counts; where rows under one reference differ, none does.
    """
    group = pl.struct("points", "member").n_unique().over("ref")
    repeated = (pl.len().over("ref") > 1) & ((group > 1) | (pl.col("line_no") != pl.col("line_no").min().over("ref")))
    request = pl.when(pl.col("points") < 0).then(pl.lit(Event.RECALL.value)).otherwise(pl.lit(Event.REQUEST.value))
    return requests.join(
        known.select("ref", known_id="item_id").unique("ref", keep="first", maintain_order=True),
        on="ref",
        how="left",
        maintain_order="left",
    ).with_columns(
        event=pl.when(pl.col("known_id").is_not_null() | repeated)
        .then(pl.lit(Event.DUPLICATE_REQUEST.value))
        .otherwise(request)
        .cast(pl.Int16)
    )


def within_balance(requests: pl.DataFrame, balances: pl.DataFrame) -> pl.DataFrame:
    """Turn requests that their source cannot pay into BALANCE_SHORT.

    Adds nothing; reads ``event, source_account, points, value_date, ref``. ``balances``: source_account Int32, balance
    Int64. A source pays in order of value date and reference, whatever the order of lines, until it is first short.
    """
    asks = requests.filter(pl.col("event") == Event.REQUEST.value).sort("source_account", "value_date", "ref")
    spent = asks.join(balances, on="source_account", how="left").with_columns(
        short=pl.col("points").cum_sum().over("source_account") > pl.col("balance").fill_null(0)
    )
    short = spent.filter("short").select("line_no", event=pl.lit(Event.BALANCE_SHORT.value, pl.Int16))
    return requests.update(short, on="line_no", how="left")


THEIR_KINDS = {
    Outcome.ACCEPTED.value: ItemKind.THEIR_ACCEPT.value,
    Outcome.REJECTED.value: ItemKind.THEIR_REJECT.value,
    Outcome.HELD.value: ItemKind.THEIR_HOLD.value,
    Outcome.REVERSED.value: ItemKind.THEIR_REVERSAL.value,
}

THEIR_OUTCOMES = {kind: outcome for outcome, kind in THEIR_KINDS.items()}


def answered_before(requests: pl.DataFrame, theirs: pl.DataFrame, aliases: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Requests whose answer already waits as *theirs*, in the shape of ``decide``.

    ``requests``: line_no, ref, member, points, kind, value_date, record_type; ``theirs``: open items. A reference under
    which several answers wait is left alone; merges count on the answer's value date. Adds ``theirs_id, their_points,
    booked`` (what waits in suspense) and ``their_date``.
    """
    met = waiting_for(requests, theirs.filter(pl.len().over("ref") == 1), aliases)
    relation = terms.relation(pl.col("their_points"), pl.col("points"))
    advanced = life.advance(met.with_columns(state=pl.lit(State.PENDING.value, pl.Int16), relation=relation))
    if not terms.timed:
        return advanced
    outside = ~terms.in_time(pl.col("value_date"), pl.col("their_date")) & pl.col("event").is_in(_SETTLING)
    return overrule(advanced, {life.OTHER_DATE: advanced.filter(outside)})


def waiting_for(requests: pl.DataFrame, theirs: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """Each request with each answer that waits under its reference and speaks of its member or of none: adds
    ``theirs_id, their_points, booked, their_date, outcome``."""
    waiting = theirs.select(
        "ref",
        theirs_id="item_id",
        their_member="member",
        their_points="amount",
        booked="remaining",
        their_date="value_date",
        outcome=pl.col("kind").replace_strict(THEIR_OUTCOMES, return_dtype=pl.Int16),
    )
    met = requests.join(waiting, on="ref", maintain_order="left")
    ours, theirs_named = (surviving(met[name], met["their_date"], aliases) for name in ("member", "their_member"))
    return met.filter(pl.col("their_member").is_null() | (pl.lit(ours) == pl.lit(theirs_named)))
