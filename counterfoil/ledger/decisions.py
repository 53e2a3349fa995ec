"""What a person decided: requests refunded, written off or taken at the partner's figure; breaks closed.

Here: which decision fits which break, and the rows it leads to. Not here: groups matched by hand (``matched_by_hand``),
breaks that stay open (``break_life``), orders (``voucher_decisions``), what concerns no break (``other_decisions``),
who may decide what (``approvals``), taking back (``undoing``), or letting held files post (``steps.post``). A file with
one row that does not fit has no effect.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from counterfoil.ledger import (
    break_life,
    break_money,
    charges,
    matched_by_hand,
    other_decisions,
    posting,
    undoing,
    voucher_decisions,
)
from counterfoil.ledger.fitting import ACTIONS, WAITING, acting, require_fit
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import (
    RECORD_SPAN,
    Action,
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
from counterfoil.money import value_points

ENDING: Final = (Action.RESOLVE, Action.IDENTIFY, Action.REFUSE, Action.REFUND, Action.WRITE_OFF, Action.TAKE)
"""Actions on one break and at most one request, after which the break is closed."""
ON_BREAKS: Final = (*ENDING, Action.MATCH, *break_life.EVENTS)

CONCERNED: Final = (
    "line_no", "break_id", "code", "item_id", "theirs_id", "event", "next_state", "confirmed", "was_open",
)  # fmt: skip
"""What a decision that closes a break concerns, a row each request: ``next_state`` of one that it ends, else null."""

_GAVE_BACK: Final = [State.REJECTED.value, State.REFUNDED.value]
"""Ended requests whose points went back to their source."""
_AT_THEIR_DATE: Final = [Event.TAKEN.value, Event.TAKEN_FROM_SUSPENSE.value, Event.TAKEN_AFTER_END.value]
"""What takes the partner's figure counts when the partner processed it; all else on the day of the decision."""

_ENDING: Final[Mapping[Event, State]] = {
    Event.REFUNDED: State.REFUNDED,
    Event.WRITTEN_OFF: State.WRITTEN_OFF,
    Event.TAKEN: State.CONFIRMED,
    Event.TAKEN_FROM_SUSPENSE: State.CONFIRMED,
    Event.TAKEN_AFTER_END: State.CONFIRMED,
}


def undone(work: Work, book: Lookups) -> pl.DataFrame:
    """The decisions that this file takes back, as ``undoing.RECORDS``; DECISION_UNFIT names those that cannot be."""
    rows = acting(work, Action.UNDO)
    places = rows.select(
        file_id=pl.col("subject").str.extract(r"^(\d{1,9}):\d{1,9}$").cast(pl.Int32),
        line_no=pl.col("subject").str.extract(r"^\d{1,9}:(\d{1,9})$").cast(pl.Int32),
        by_line=pl.col("line_no").cast(pl.Int32),
        points="points",
    )
    known = book.frame(
        f"""SELECT p.by_line, d.file_id IS NOT NULL AND d.points = p.points AND NOT EXISTS (
                SELECT 1 FROM book.decision u
                WHERE u.action = {Action.UNDO:d} AND u.subject = concat(p.file_id, ':', p.line_no)) AS fits
            FROM places p LEFT JOIN book.decision d ON d.file_id = p.file_id AND d.line_no = p.line_no
                AND d.action IN ({", ".join(str(action.value) for action in ON_BREAKS)})""",
        places=places,
    )
    fitting = places.join(known.filter("fits"), on="by_line", how="semi").select(*undoing.RECORDS)
    possible = fitting.filter(undoing.undoable(fitting, book))
    require_fit(rows, rows["line_no"].is_in(possible["by_line"].cast(pl.Int64).implode()), "an earlier decision")
    require_once = possible.select(pl.struct("file_id", "line_no").is_duplicated()).to_series()
    require_fit(rows, ~require_once, "each decision undone once")
    return possible


def compose(work: Work, book: Lookups) -> posting.Changes:
    """Everything in a decisions file but what it takes back; raises DECISION_UNFIT when a row does not fit."""
    alone = _alone(work, book)
    matched = matched_by_hand.composed(work, book)
    life = break_life.composed(work, book)
    names = Names(book, file_id=work.file_id, unit=work.unit)
    on_orders = voucher_decisions.composed(work, book, names)
    concerned = pl.concat([part.select(CONCERNED) for part in (alone, matched.parts, on_orders.concerned)])
    _require_once(work, concerned, life.done)
    # What was taken back or let post counts towards what one person may decide, in points and in money.
    elsewhere = other_decisions.composed(work, names, book)
    plainly = pl.concat([part.select(elsewhere.done.columns) for part in (elsewhere.done, on_orders.done)])
    others = pl.concat([life.done, plainly.with_columns(minor=pl.coalesce("minor", _value(work, book)))])
    shape = others.columns
    done = pl.concat([alone.select(shape), matched.done.select(shape), others]).sort("line_no")
    effects = pl.concat([_effects(alone.filter(pl.col("points") != 0)), _group_effects(matched.done)])
    booked = [
        posting.entries(part, work.rules, names.roles(part["partner_id"][0]), work.file_id)
        for part in effects.partition_by("partner_id", maintain_order=True)
    ]
    ended = concerned.filter(pl.col("next_state").is_not_null())
    emptied = _emptied(concerned, book)
    file_id = pl.lit(work.file_id).alias("file_id")
    return posting.changes(
        {
            "settled_key": pl.concat([_settled(ended, emptied, work), elsewhere.settled_key]),
            "disposition": _dispositions(done, work),
            "entry": pl.concat(
                [posting.shaped(part, TABLES["entry"]) for part in [elsewhere.entry, on_orders.rows["entry"], *booked]]
            ).sort("transfer_id", "leg"),
            "decision": done.with_columns(file_id),
            "match": matched.matches.with_columns(file_id),
            "break_state": life.states.with_columns(file_id),
            **{name: frame for name, frame in on_orders.rows.items() if name != "entry"},
            **names.rows(),
        },
        closed=pl.concat(
            [
                ended.filter("was_open").select("item_id"),
                emptied.select("item_id"),
                elsewhere.settled_key.select("item_id"),
            ]
        ),
        breaking=charges.opening_after(_waited(concerned), book),
        clearing=_cleared(concerned, emptied, book),
    )


def moves(book: Lookups, rows: pl.DataFrame) -> pl.Series:
    """The points that decisions on breaks would move as the book is now, in the order of rows; null where the action
    does not fit its break. ``rows``: action, subject, ref?."""
    numbered = rows.select("action", "subject", pl.col("ref").cast(pl.String)).with_row_index("line_no")
    judged = _judged(numbered, book).filter(pl.col("line_no").is_unique()).select("line_no", "moves")
    groups = matched_by_hand.parts(numbered.filter(pl.col("action") == "match"), book)
    sums = groups.unique("line_no").select("line_no", moves="their_amount")
    staying = numbered.filter(pl.col("action").is_in([action.name.lower() for action in break_life.EVENTS]))
    lives = staying.filter(break_life.standing(staying["subject"], book)).select("line_no", moves=pl.lit(0, pl.Int64))
    known = pl.concat([judged, sums, lives, voucher_decisions.moves(numbered, book).select("line_no", "moves")])
    return numbered.join(known.drop_nulls(), on="line_no", how="left", maintain_order="left")["moves"]


def _alone(work: Work, book: Lookups) -> pl.DataFrame:
    """Decisions on one break and at most one request, with what they concern and the event that each one is."""
    rows = acting(work, *ENDING)
    judged = _judged(rows, book).join(
        break_money.at_stake(book, rows["subject"]), on="break_id", how="left", maintain_order="left"
    )
    fitting = judged.filter((pl.col("points") == pl.col("moves")) & pl.col("line_no").is_unique())["line_no"]
    require_fit(rows, rows["line_no"].is_in(fitting.implode()), "an open break that the action fits, and its points")
    ends = pl.col("event").replace_strict(
        {event.value: state.value for event, state in _ENDING.items()}, default=None, return_dtype=pl.Int16
    )
    next_state = pl.when(pl.col("item_id").is_not_null()).then(ends)
    confirmed = next_state == State.CONFIRMED.value
    return judged.with_columns(
        next_state=next_state,
        confirmed=pl.when(confirmed).then("their_amount").otherwise(pl.lit(0, pl.Int64)),
        was_open=pl.col("open_state").is_not_null(),
        action=pl.col("action").replace_strict(ACTIONS, return_dtype=pl.Int16),
        minor=pl.coalesce("minor", _value(work, book)),
        disposition=pl.when(pl.col("points") == 0)
        .then(pl.lit(Disposition.INFORMATION.value))
        .otherwise(pl.lit(Disposition.SETTLED.value)),
        value_date=pl.when(pl.col("event").is_in(_AT_THEIR_DATE)).then("their_date").otherwise(pl.lit(work.on_day)),
    )


def _value(work: Work, book: Lookups) -> pl.Expr:
    """What the points are worth at the programme's rate of the day, in minor units; null where there is no rate."""
    rate = book.programme_rate(work.policy.currency, work.on_day)
    return value_points(pl.col("points").abs(), *rate) if rate else pl.lit(None, pl.Int64)


def _require_once(work: Work, concerned: pl.DataFrame, life: pl.DataFrame) -> None:
    """One decision on each break, but that several candidates can be declined; one end of each request."""
    declined = pl.col("event") == Event.DECLINED.value
    on_breaks = pl.concat(
        [
            concerned.select("line_no", "break_id").unique(),
            life.filter(~declined).select("line_no", "break_id"),
        ]
    )
    ended = concerned.filter(pl.col("next_state").is_not_null())
    again = pl.concat(
        [
            on_breaks.filter(pl.col("break_id").is_duplicated())["line_no"],
            ended.filter(pl.col("item_id").is_duplicated())["line_no"],
            life.filter(declined).filter(pl.struct("break_id", "item_id").is_duplicated())["line_no"],
        ]
    )
    rows = acting(work, *ON_BREAKS)
    require_fit(rows, ~rows["line_no"].is_in(again.implode()), "one decision on each break and each request")


def _judged(rows: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """Rows of open breaks with the request and the answer they concern, ``event`` and ``moves``; both are null where
    the action does not fit."""
    known = book.frame(
        f"""SELECT r.*, b.break_id, b.code, b.partner_id, b.theirs_id,
                   coalesce(b.item_id, asked.item_id) AS item_id
            FROM rows r JOIN book.open_break b ON b.break_id = r.subject
            LEFT JOIN book.open_item asked ON r.action = 'identify' AND asked.ref = r.ref
                 AND asked.partner_id = b.partner_id AND asked.side = {Side.OURS:d}""",
        rows=rows,
    )
    found = book.frame(
        """SELECT k.*, i.kind, i.amount, coalesce(i.source_account, t.source_account) AS source_account,
                  o.state AS open_state, e.state AS end_state,
                  t.kind AS their_kind, t.amount AS their_amount, w.remaining AS in_suspense, t.value_date AS their_date
           FROM known k LEFT JOIN book.item i ON i.item_id = k.item_id
           LEFT JOIN book.open_item o ON o.item_id = k.item_id
           LEFT JOIN (SELECT s.item_id, arg_max(s.state, (s.file_id, s.line_no)) AS state
                      FROM book.settled_key s WHERE s.item_id IN (SELECT item_id FROM known) GROUP BY s.item_id
           ) e ON e.item_id = k.item_id
           LEFT JOIN book.item t ON t.item_id = k.theirs_id LEFT JOIN book.open_item w ON w.item_id = k.theirs_id
           ORDER BY k.line_no""",
        known=known,
    )
    return found.with_columns(event=_event()).with_columns(moves=_moves())


def _event() -> pl.Expr:
    """The event of a decision on a break; null where the action does not fit what it concerns."""
    action, waits = pl.col("action"), pl.col("open_state").is_in(WAITING)
    asked = pl.col("kind") == ItemKind.REQUEST.value
    accepted = (pl.col("their_kind") == ItemKind.THEIR_ACCEPT.value) & pl.col("in_suspense").is_not_null()
    booked = pl.col("in_suspense").fill_null(0) != 0
    unknown = pl.col("code") == BreakCode.UNKNOWN_THEIRS.value
    # Neither is over while points wait: in flight, or reserved for vouchers that were cancelled.
    unpaid = pl.col("code").is_in([BreakCode.OVERDUE.value, BreakCode.WALLET_DIFFERS.value])
    # A request paid back or written off while an answer waits in suspense would be booked twice over.
    free = waits & asked & ~booked
    return (
        pl.when((action == "resolve") & ~unpaid & ~booked)
        .then(pl.lit(Event.RESOLVED.value, pl.Int16))
        .when((action == "refund") & free)
        .then(pl.lit(Event.REFUNDED.value, pl.Int16))
        .when((action == "write_off") & free)
        .then(pl.lit(Event.WRITTEN_OFF.value, pl.Int16))
        .when((action == "refuse") & booked)
        .then(pl.lit(Event.REFUSED.value, pl.Int16))
        .when((action == "identify") & unknown & accepted & booked & waits & asked & (pl.col("their_amount") > 0))
        .then(pl.lit(Event.TAKEN_FROM_SUSPENSE.value, pl.Int16))
        .when((action == "take") & accepted & ~booked & waits & asked & (pl.col("their_amount") > 0))
        .then(pl.lit(Event.TAKEN.value, pl.Int16))
        .when((action == "take") & (pl.col("their_kind") == ItemKind.THEIR_ACTIVITY.value) & booked)
        .then(pl.lit(Event.TAKEN_AFTER_END.value, pl.Int16))
        .when((action == "take") & accepted & booked & asked & pl.col("end_state").is_in(_GAVE_BACK)
              & pl.col("open_state").is_null() & (pl.col("their_amount") > 0))
        .then(pl.lit(Event.TAKEN_AFTER_END.value, pl.Int16))
    )  # fmt: skip


def _moves() -> pl.Expr:
    """The points that the decision moves, as the person must have stated them; null where the action does not fit."""
    event = pl.col("event")
    return (
        pl.when(event.is_in([Event.REFUNDED.value, Event.WRITTEN_OFF.value]))
        .then("amount")
        .when(event == Event.REFUSED.value)
        .then("in_suspense")
        .when(event == Event.RESOLVED.value)
        .then(pl.lit(0, pl.Int64))
        .when(event.is_not_null())
        .then("their_amount")
    )


def _waited(concerned: pl.DataFrame) -> pl.DataFrame:
    """Answers that the decisions settle: ``charges.WAITED``."""
    taking = [*_AT_THEIR_DATE, Event.MATCHED.value]
    by_answer = (
        concerned.filter(pl.col("event").is_in(taking))
        .group_by("line_no", "theirs_id")
        .agg(item_id=pl.when(pl.col("item_id").n_unique() == 1).then(pl.col("item_id").first()))
    )
    return posting.shaped(by_answer, charges.WAITED)


def _effects(done: pl.DataFrame) -> pl.DataFrame:
    """What decisions on single requests book: ``posting.EFFECTS`` and partner_id."""
    return done.select(
        "partner_id",
        "line_no",
        "event",
        "source_account",
        "value_date",
        ordinal=pl.lit(0, pl.Int64),
        target_account=pl.lit(None, pl.Int32),
        sent=pl.col("amount").abs(),
        answered=pl.when(pl.col("event") == Event.REFUSED.value).then("in_suspense").otherwise("their_amount"),
    )


def _group_effects(matched: pl.DataFrame) -> pl.DataFrame:
    """What groups matched by hand book, the same columns."""
    return matched.select(
        "partner_id",
        "line_no",
        "event",
        pl.lit(None, pl.Int32).alias("source_account"),
        "value_date",
        ordinal=pl.lit(0, pl.Int64),
        target_account=pl.lit(None, pl.Int32),
        sent="points",
        answered="points",
    )


def _settled(ended: pl.DataFrame, emptied: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Settled keys of the requests that a decision ends, and of answers that wait no longer."""
    ours = ended.select("item_id", "line_no", pl.col("next_state").alias("state"), "confirmed")
    theirs = emptied.select(
        "item_id", "line_no", state=pl.lit(State.CLOSED.value, pl.Int16), confirmed=pl.lit(0, pl.Int64)
    )
    settled = pl.concat([ours, theirs]).with_columns(
        reversed=pl.lit(0),
        reason_id=pl.lit(None),
        month=pl.lit(month_of(work.on_day)),
        file_id=pl.lit(work.file_id),
    )
    return posting.shaped(settled, TABLES["settled_key"])


def _emptied(done: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """Items that wait no longer: item_id, line_no.

    The answer that a decision speaks of, but not where its break is only closed and another stands on the same answer;
    answers that came with it and have no break of their own; every other answer without a suspense entry under the
    reference of a request that it ends; and a request that was refused for want of balance, once that break is closed.
    """
    return book.frame(
        f"""WITH listed AS (
                SELECT theirs_id FROM book.open_break
                WHERE theirs_id IS NOT NULL AND break_id NOT IN (SELECT break_id FROM done)
            )
            SELECT item_id, min(line_no) AS line_no FROM (
                SELECT o.item_id, d.line_no FROM done d JOIN book.open_item o ON o.item_id = d.theirs_id
                WHERE d.event <> {Event.RESOLVED:d} OR o.item_id NOT IN (SELECT theirs_id FROM listed)
                UNION ALL
                SELECT o.item_id, d.line_no FROM done d JOIN book.item t ON t.item_id = d.theirs_id
                JOIN book.open_item o ON o.partner_id = t.partner_id AND o.ref = t.ref
                WHERE o.side = {Side.THEIRS:d} AND o.remaining = 0 AND o.item_id NOT IN (SELECT theirs_id FROM listed)
                  AND o.item_id // {RECORD_SPAN} = t.item_id // {RECORD_SPAN}
                UNION ALL
                SELECT o.item_id, d.line_no FROM done d JOIN book.item i ON i.item_id = d.item_id
                JOIN book.open_item o ON o.partner_id = i.partner_id AND o.ref = i.ref
                WHERE d.next_state IS NOT NULL AND o.side = {Side.THEIRS:d} AND o.remaining = 0
                UNION ALL
                SELECT o.item_id, d.line_no FROM done d JOIN book.open_item o ON o.item_id = d.item_id
                WHERE d.event = {Event.RESOLVED:d} AND d.code = {BreakCode.BALANCE_SHORT:d}
                  AND o.state = {State.SHORT:d}
            ) GROUP BY item_id ORDER BY item_id""",
        done=done.select("line_no", "break_id", "code", "item_id", "theirs_id", "next_state", "event"),
    )


def _cleared(done: pl.DataFrame, emptied: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """The breaks decided on, and all others of a request that ends or of an answer that goes with it."""
    return book.frame(
        f"""SELECT b.break_id, b.code FROM book.open_break b JOIN done d
                ON b.break_id = d.break_id OR (d.next_state IS NOT NULL AND b.item_id = d.item_id
                    AND (b.theirs_id IS NULL OR b.theirs_id NOT IN (
                        SELECT item_id FROM book.open_item WHERE side = {Side.THEIRS:d} AND remaining <> 0)))
            UNION SELECT b.break_id, b.code FROM book.open_break b JOIN emptied e ON b.theirs_id = e.item_id
            ORDER BY break_id""",
        done=done.select("break_id", "item_id", "next_state"),
        emptied=emptied,
    )


def _dispositions(done: pl.DataFrame, work: Work) -> pl.DataFrame:
    return done.with_columns(
        item_id=pl.coalesce("item_id", "theirs_id"),
        match_pass=pl.lit(MatchPass.NONE.value),
        reason_id=pl.lit(None),
        file_id=pl.lit(work.file_id),
    )
