"""What a hand-back does to the book: each answer finds its request, and the request's life goes on.

Here: the order of the passes and the rows they lead to. Not here: the rules of a life (``reconcile.life``), finding
(``reconcile.passes``) or booking (``posting``).
"""

from datetime import date
from typing import Protocol

import polars as pl

from counterfoil.ledger import charges, later_passes, merged, posting
from counterfoil.ledger.model import (
    BreakCode,
    Disposition,
    Event,
    ItemKind,
    MatchPass,
    Outcome,
    Side,
    State,
)
from counterfoil.ledger.names import Dimensions, Names
from counterfoil.ledger.work import Work, month_of
from counterfoil.reconcile import breaks, life, passes
from counterfoil.reconcile.terms import Terms

WAITING = [state.value for state in life.WAITING]
ENDS = [State.CONFIRMED.value, State.REJECTED.value, State.REVERSED.value]
BOOKS_SUSPENSE = [Event.UNKNOWN_ACCEPTED.value, Event.ACCEPTED_AFTER_END.value]


class Lookups(Dimensions, Protocol):
    """What composing asks of the open book; every frame is limited to one partner and to what is open or named."""

    def requests_of(self, partner_id: int, members: pl.Series) -> pl.DataFrame: ...
    def tolerated(self, partner: str, day: date) -> int: ...
    def netted(self, partner_id: int, refs: pl.Series) -> pl.DataFrame: ...
    def rivals(self, partner_id: int, tolerated: pl.DataFrame) -> pl.DataFrame: ...
    def named_items(self, partner_id: int, refs: pl.Series, members: pl.Series) -> pl.DataFrame: ...
    def awaiting(self, partner_id: int, refs: pl.Series) -> pl.DataFrame: ...
    def open_items(self, partner_id: int, side: Side) -> pl.DataFrame: ...
    def settled_items(self, partner_id: int, refs: pl.Series, since: date) -> pl.DataFrame: ...
    def aliases(self, partner_id: int) -> pl.DataFrame: ...
    def known_members(self, partner_id: int, members: pl.Series) -> pl.Series: ...
    def clearable_breaks(self, partner_id: int) -> pl.DataFrame: ...
    def late_rejections(self, partner_id: int) -> pl.DataFrame: ...
    def frame(self, query: str, **frames: pl.DataFrame) -> pl.DataFrame: ...
    def with_break_ids(self, opening: pl.DataFrame) -> pl.DataFrame: ...


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one hand-back file."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    partner_id = names.partner(work.feed.partner)
    waiting = book.open_items(partner_id, Side.THEIRS)
    known = merged.aliases(work, book, partner_id)
    by_reference = _against_open_theirs(_decided(work, book, partner_id), waiting)
    later = later_passes.run(by_reference, waiting, work, book, partner_id=partner_id, aliases=known)
    outdated = _outdated_holds(later.decided, waiting)
    decided = _numbered(later.decided, names, partner_id, work)
    ended = pl.concat([_ended(decided, work), _ended_by_groups(later.ends, work)], how="vertical_relaxed")
    netted = decided.filter(pl.col("event") == Event.NETTED.value)
    theirs = _theirs(decided, partner_id, work)
    aliases, moved = _merges(work, book, partner_id, decided)
    own = _effects(decided)
    effects = pl.concat([own, later.effects.select(own.columns)])
    clearing = book.clearable_breaks(partner_id).filter(
        pl.col("item_id").is_in(ended["item_id"].implode()) | pl.col("theirs_id").is_in(outdated.implode())
    )
    taken_back = ended.filter((pl.col("reversed") > 0) & (pl.col("reversed") == pl.col("confirmed")))["item_id"]
    if taken_back.len():
        # What had been rejected too late is reversed as it should have been.
        agreed = book.late_rejections(partner_id).filter(pl.col("item_id").is_in(taken_back.implode()))
        clearing = pl.concat([clearing, agreed])
    emptied = clearing.filter(pl.col("theirs_id").is_not_null())
    charge = charges.of_answers(decided, work, book, partner_id)
    money = [
        charges.opening(charge, decided),
        charges.opening_after(charges.parts_met(later.matches, decided, waiting), book),
    ]
    return posting.changes(
        {
            "alias": aliases,
            "item": theirs,
            "settled_key": pl.concat(
                [ended.drop("was_open"), _emptied(emptied, work), _emptied(netted, work, at="line_no")],
                how="vertical_relaxed",
            ),
            "disposition": _dispositions(decided, work.file_id),
            "entry": posting.entries(effects, work.rules, names.roles(partner_id), work.file_id),
            "match": later.matches.with_columns(file_id=pl.lit(work.file_id)),
            "item_change": decided.filter(pl.col("event") == Event.HELD.value).select(
                "item_id",
                "line_no",
                state="next_state",
                remaining=pl.col("sent").abs(),
                file_id=pl.lit(work.file_id),
            ),
            "charge": charge,
            **names.rows(),
        },
        opened=theirs.filter(~pl.col("item_id").is_in(netted["theirs_id"].implode())),
        closed=pl.concat([ended.filter("was_open").select("item_id"), emptied.select(item_id="theirs_id")]),
        breaking=pl.concat([_breaks(decided, partner_id), moved, *money]),
        clearing=pl.concat([clearing.select(*posting.CLEARING), charges.clearing(decided, taken_back, book)]),
    )


def _ended_by_groups(ends: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Settled keys of requests that several answers settled, or one with others."""
    return ends.select(
        "item_id",
        state=pl.lit(State.CONFIRMED.value),
        confirmed="confirmed",
        reversed=pl.lit(0),
        reason_id=pl.lit(None),
        month=pl.lit(month_of(work.on_day)),
        file_id=pl.lit(work.file_id),
        line_no="line_no",
        was_open=pl.lit(value=True),
    )


def _emptied(rows: pl.DataFrame, work: Work, at: str | None = None) -> pl.DataFrame:
    """Settled keys of *theirs* that wait no longer, or never did: at a line of their own, or at none because what they
    disagreed with has ended."""
    return rows.select(
        item_id="theirs_id",
        state=pl.lit(State.CLOSED.value),
        confirmed=pl.lit(0),
        reversed=pl.lit(0),
        reason_id=pl.lit(None),
        month=pl.lit(month_of(work.on_day)),
        file_id=pl.lit(work.file_id),
        line_no=pl.col(at) if at else pl.lit(0),
    )


def _decided(work: Work, book: Lookups, partner_id: int) -> pl.DataFrame:
    """Every answer with the item it speaks of and what it does to it, in order of lines."""
    answers = work.accepted.with_columns(
        outcome=pl.col("outcome").replace_strict(passes.OUTCOMES, return_dtype=pl.Int16)
    )
    if answers["ref"].null_count():
        # One without a reference goes by its place, so that genuine equal ones are not taken for one another.
        answers = answers.with_columns(pl.col("ref").fill_null(pl.format(f"?{work.file_id}:{{}}", "line_no")))
    matched = passes.placed(answers, book.named_items(partner_id, answers["ref"], answers["member"]))
    rest = answers.filter(matched["item_id"].is_null())
    if rest.height:
        matched = passes.resolved(matched, _resolve(rest, work, book, partner_id))
    paid = matched.with_columns(merged.redirected("source_account", book))
    monthly = work.feed.tolerance_monthly_points
    used = book.tolerated(work.feed.partner, work.on_day) if monthly is not None else 0
    terms = Terms.of(work.feed, used)
    decided = passes.decide(paid, terms)
    near = passes.tolerated(decided)
    if near.height:
        # Another request fits exactly: which of the two is meant is not for a tolerance to say.
        decided = passes.not_tolerated(decided, near.join(book.rivals(partner_id, near), on="line_no", how="semi"))
    return passes.limited(decided, terms)


def _resolve(rest: pl.DataFrame, work: Work, book: Lookups, partner_id: int) -> pl.DataFrame:
    """The few answers that name no open item of the same member: merged accounts, ended items, unknown references."""
    aliases = merged.aliases(work, book, partner_id)
    refs = rest["ref"].unique()
    since = date.fromordinal(work.business_date.toordinal() - work.feed.reference_lifetime_days)
    waits, rest = passes.by_reference(rest, book.awaiting(partner_id, refs), aliases, MatchPass.EXACT)
    again, rest = passes.by_reference(rest, book.settled_items(partner_id, refs, since), aliases, MatchPass.SETTLED_KEY)
    found = [frame.select(waits.columns) for frame in (waits, again, passes.unknown(rest))]
    return pl.concat(found).sort("line_no")


def _against_open_theirs(decided: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """An answer that already waits as *theirs* is a duplicate; another one beside it is a conflict.

    An answer after a hold is neither: to hold is to say that the answer comes later.
    """
    if theirs.is_empty():
        return decided
    kind = pl.col("outcome").replace_strict(passes.THEIR_KINDS, return_dtype=pl.Int16)
    waiting = theirs.select("ref", their_kind="kind", their_points="amount", theirs_id="item_id")
    judged = (
        decided.filter(pl.col("disposition") == Disposition.OPEN_THEIRS.value)
        .join(waiting, on="ref")
        .filter((pl.col("their_kind") != ItemKind.THEIR_HOLD.value) | (pl.col("outcome") == Outcome.HELD.value))
        .group_by("line_no")
        .agg(same=((kind == pl.col("their_kind")) & (pl.col("points") == pl.col("their_points"))).any())
    )
    return passes.overrule(
        decided, {life.DUPLICATE: judged.filter("same"), life.CONFLICT: judged.filter(~pl.col("same"))}
    )


def _outdated_holds(decided: pl.DataFrame, theirs: pl.DataFrame) -> pl.Series:
    """Holds that wait as *theirs* and that an answer of this file takes the place of: their item_id."""
    answered = decided.filter(
        pl.col("event").is_in([Event.UNKNOWN_ACCEPTED.value, Event.UNKNOWN_OTHER.value])
        & (pl.col("outcome") != Outcome.HELD.value)
    )["ref"]
    holds = theirs.filter(pl.col("kind") == ItemKind.THEIR_HOLD.value)
    return holds.filter(pl.col("ref").is_in(answered.implode()))["item_id"]


def _numbered(decided: pl.DataFrame, names: Names, partner_id: int, work: Work) -> pl.DataFrame:
    """Add reason_id, and the id that the record would have as an item of its own."""
    reasons = names.reasons(partner_id, decided["reason"])
    return decided.with_columns(
        reason_id=pl.col("reason").replace_strict(
            reasons["reason"], reasons["reason_id"], default=None, return_dtype=pl.Int32
        ),
        theirs_id=pl.when(
            (pl.col("disposition") == Disposition.OPEN_THEIRS.value) | (pl.col("event") == Event.NETTED.value)
        ).then(posting.record_id(work.file_id, "line_no")),
    )


def _effects(decided: pl.DataFrame) -> pl.DataFrame:
    unknown = pl.col("event").is_in(BOOKS_SUSPENSE)
    return decided.select(
        "line_no",
        "event",
        "source_account",
        "value_date",
        ordinal=pl.lit(0, pl.Int64),
        target_account=pl.lit(None, pl.Int32),
        sent=pl.col("sent").abs(),
        answered=pl.when(unknown).then(pl.col("points")).otherwise(pl.col("points").abs()),
    )


def _dispositions(decided: pl.DataFrame, file_id: int) -> pl.DataFrame:
    return decided.select(
        "line_no",
        "disposition",
        "event",
        "match_pass",
        "points",
        "reason_id",
        "value_date",
        item_id=pl.coalesce("item_id", "theirs_id"),
        file_id=pl.lit(file_id, pl.Int32),
    )


def _theirs(decided: pl.DataFrame, partner_id: int, work: Work) -> pl.DataFrame:
    """Items and open items of answers that found no home."""
    booked = pl.col("event").is_in(BOOKS_SUSPENSE)
    return decided.filter(pl.col("theirs_id").is_not_null()).select(
        "ref",
        "member",
        "value_date",
        item_id="theirs_id",
        side=pl.lit(Side.THEIRS.value),
        kind=pl.col("outcome").replace_strict(passes.THEIR_KINDS, return_dtype=pl.Int16),
        state=pl.lit(State.UNIDENTIFIED.value),
        partner_id=pl.lit(partner_id),
        source_account=pl.lit(None, pl.Int32),
        amount="points",
        remaining=pl.when(booked).then(pl.col("points")).otherwise(0),
        unit=pl.lit(work.unit),
        their_amount="points",
        their_unit=pl.lit(work.unit),
        ratio_ours=pl.lit(1),
        ratio_theirs=pl.lit(1),
        due_date="value_date",
    )


def _ended(decided: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Settled keys of requests whose life this file ends or, for a reversal, goes on after its end."""
    undone = pl.when(pl.col("event") == Event.REVERSED.value).then(pl.col("points").abs()).otherwise(0)
    confirmed = (
        pl.when(pl.col("event") == Event.REVERSED.value)
        .then(pl.col("confirmed"))
        .when(pl.col("next_state") == State.CONFIRMED.value)
        .then(pl.col("points"))
        .otherwise(0)
    )
    return decided.filter(pl.col("next_state").is_in(ENDS)).select(
        "item_id",
        state="next_state",
        confirmed=confirmed,
        reversed=pl.col("reversed") + undone,
        reason_id="reason_id",
        month=pl.lit(month_of(work.on_day)),
        file_id=pl.lit(work.file_id),
        line_no="line_no",
        was_open=pl.col("state").is_in(WAITING),
    )


def _breaks(decided: pl.DataFrame, partner_id: int) -> pl.DataFrame:
    """Breaks that the answers open."""
    return breaks.once_a_subject(_breaking(decided.filter(pl.col("opens").is_not_null()), partner_id, code="opens"))


def _breaking(rows: pl.DataFrame, partner_id: int, **columns: pl.Expr | str) -> pl.DataFrame:
    given: dict[str, pl.Expr | str] = {
        "line_no": "line_no",
        "item_id": "item_id",
        "theirs_id": "theirs_id",
        "subject": "ref",
        "points_ours": "sent",
        "points_theirs": "points",
        "value_date": "value_date",
        "their_date": "value_date",
        "partner_id": pl.lit(partner_id),
        "at_once": pl.lit(value=False),
    }
    return breaks.opening(rows, **(given | columns))


def _merges(work: Work, book: Lookups, partner_id: int, decided: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Accepted to another account: aliases to record, and their breaks (B10).

    The alias closes its break at once. No alias is made, and the break stays for a person, where the survivor is
    another of our own members or is itself merged away, or where a member was merged into two accounts. A merge that is
    known already says nothing new.
    """
    known = merged.aliases(work, book, partner_id)
    moved = decided.filter(
        (pl.col("outcome") == Outcome.ACCEPTED.value)
        & (pl.col("to_account") != pl.col("member"))
        & ~pl.col("event").is_in([Event.DUPLICATE_ANSWER.value, Event.CONFLICT.value])
    )
    # A late answer may be older than the merge that it speaks of.
    days = (moved["value_date"], pl.repeat(date.max, moved.height, dtype=pl.Date, eager=True))
    told = [passes.surviving(moved["member"], day, known) == moved["to_account"] for day in days]
    moved = moved.filter(~(told[0] | told[1]))
    ours = book.known_members(partner_id, moved["to_account"].unique())
    away = pl.concat([known["member"], moved["member"]])
    clean = (
        ~pl.col("to_account").is_in(pl.concat([ours, away]).implode())
        & ~pl.col("member").is_in(known["member"].implode())
        & (pl.col("to_account").n_unique().over("member") == 1)
    )
    aliases = moved.filter(clean).sort("line_no").unique("member", keep="first", maintain_order=True)
    return aliases.select(
        "member",
        "line_no",
        partner_id=pl.lit(partner_id),
        survivor="to_account",
        since="value_date",
        file_id=pl.lit(work.file_id),
    ), _breaking(moved, partner_id, code=pl.lit(BreakCode.OTHER_ACCOUNT.value), at_once=clean)
