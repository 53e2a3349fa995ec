"""The life of a request as one table: (kind, state, outcome, relation) → event, next state, disposition, break.

Here: which answers a request may get in which state. Not here: finding the request (``passes``) or what an event books
(``data/ledger/posting.yaml``). A pair that is not listed is a conflict: it books nothing and opens B11.
"""

from itertools import product
from typing import Final, NamedTuple

import polars as pl

from counterfoil.ledger.model import BreakCode, Disposition, Event, ItemKind, Outcome, Relation, State


class Step(NamedTuple):
    """What one answer does: ``state`` is the item's next state, ``opens`` a break code or None."""

    event: Event
    state: State
    disposition: Disposition
    opens: BreakCode | None


ANY: Final = tuple(Relation)
FITS: Final = (Relation.EQUAL, Relation.WITHIN)
EQUAL: Final = (Relation.EQUAL,)
OFF: Final = (Relation.BEYOND,)
WAITING: Final = (State.PENDING, State.HELD)
NOBODYS: Final = (State.UNKNOWN, State.SHORT)
BOTH: Final = (ItemKind.REQUEST, ItemKind.RECALL)

_CONFIRM = Step(Event.ACCEPTED, State.CONFIRMED, Disposition.SETTLED, None)
_REJECT = Step(Event.REJECTED, State.REJECTED, Disposition.REJECTED, BreakCode.REJECTED)
_RECALLED = Step(Event.RECALL_ACCEPTED, State.CONFIRMED, Disposition.SETTLED, None)
_RECALL_REFUSED = Step(Event.RECALL_REJECTED, State.REJECTED, Disposition.REJECTED, BreakCode.REJECTED)
DUPLICATE: Final = Step(Event.DUPLICATE_ANSWER, State.UNKNOWN, Disposition.DUPLICATE, BreakCode.DUPLICATE_THEIRS)
OTHER_DATE: Final = Step(Event.DATE_DIFFERS, State.UNKNOWN, Disposition.OPEN_THEIRS, BreakCode.DATE_DIFFERS)
PART: Final = Step(Event.ACCEPTED_PART, State.UNKNOWN, Disposition.SETTLED_GROUP, None)
NETTED: Final = Step(Event.NETTED, State.UNKNOWN, Disposition.SETTLED_GROUP, None)
CONFLICT: Final = Step(Event.CONFLICT, State.UNKNOWN, Disposition.OPEN_THEIRS, BreakCode.CONFLICT)
_ACCEPTED_AFTER_END = Step(Event.ACCEPTED_AFTER_END, State.UNKNOWN, Disposition.OPEN_THEIRS, BreakCode.CONFLICT)
_AGREED_AFTER_END = Step(Event.AGREED_AFTER_END, State.UNKNOWN, Disposition.INFORMATION, None)
_HOLD = Step(Event.HELD, State.HELD, Disposition.HELD, None)
_LATE_ACCEPT = Step(Event.LATE_ACCEPT, State.CONFIRMED, Disposition.SETTLED, None)
_LATE_REJECT = Step(Event.LATE_REJECT, State.REJECTED, Disposition.REJECTED, BreakCode.REJECTED)
_REVERSE = Step(Event.REVERSED, State.REVERSED, Disposition.REVERSED, None)


PART_WAITS: Final = Step(Event.AMOUNT_DIFFERS, State.UNKNOWN, Disposition.OPEN_THEIRS, BreakCode.POINTS_DIFFER)


def _differs(state: State) -> Step:
    return Step(Event.AMOUNT_DIFFERS, state, Disposition.OPEN_THEIRS, BreakCode.POINTS_DIFFER)


def _unknown(event: Event) -> Step:
    return Step(event, State.UNIDENTIFIED, Disposition.OPEN_THEIRS, BreakCode.UNKNOWN_THEIRS)


UNKNOWN_PART: Final = _unknown(Event.UNKNOWN_ACCEPTED)


_LISTED: Final[tuple[tuple[tuple[ItemKind, ...], tuple[State, ...], Outcome, tuple[Relation, ...], Step], ...]] = (
    # A request waits for its answer.
    ((ItemKind.REQUEST,), WAITING, Outcome.ACCEPTED, FITS, _CONFIRM),
    ((ItemKind.REQUEST,), WAITING, Outcome.REJECTED, EQUAL, _REJECT),
    ((ItemKind.RECALL,), WAITING, Outcome.ACCEPTED, EQUAL, _RECALLED),
    ((ItemKind.RECALL,), WAITING, Outcome.REJECTED, EQUAL, _RECALL_REFUSED),
    (BOTH, (State.PENDING,), Outcome.ACCEPTED, OFF, _differs(State.PENDING)),
    (BOTH, (State.PENDING,), Outcome.REJECTED, (Relation.WITHIN, Relation.BEYOND), _differs(State.PENDING)),
    (BOTH, (State.HELD,), Outcome.ACCEPTED, OFF, _differs(State.HELD)),
    (BOTH, (State.HELD,), Outcome.REJECTED, (Relation.WITHIN, Relation.BEYOND), _differs(State.HELD)),
    ((ItemKind.RECALL,), (State.PENDING,), Outcome.ACCEPTED, (Relation.WITHIN,), _differs(State.PENDING)),
    ((ItemKind.RECALL,), (State.HELD,), Outcome.ACCEPTED, (Relation.WITHIN,), _differs(State.HELD)),
    (BOTH, (State.PENDING,), Outcome.HELD, ANY, _HOLD),
    (BOTH, (State.HELD,), Outcome.HELD, ANY, DUPLICATE),
    # The same answer again.
    (BOTH, (State.CONFIRMED,), Outcome.ACCEPTED, EQUAL, DUPLICATE),
    (BOTH, (State.REJECTED,), Outcome.REJECTED, EQUAL, DUPLICATE),
    ((ItemKind.REQUEST,), (State.REVERSED,), Outcome.ACCEPTED, EQUAL, DUPLICATE),
    # Another answer after the end.
    ((ItemKind.REQUEST,), (State.REJECTED, State.REFUNDED), Outcome.ACCEPTED, ANY, _ACCEPTED_AFTER_END),
    ((ItemKind.REQUEST,), (State.REFUNDED,), Outcome.REJECTED, EQUAL, _AGREED_AFTER_END),
    ((ItemKind.REQUEST,), (State.CONFIRMED, State.REVERSED), Outcome.REVERSED, FITS, _REVERSE),
    ((ItemKind.REQUEST,), (State.WRITTEN_OFF,), Outcome.ACCEPTED, EQUAL, _LATE_ACCEPT),
    ((ItemKind.REQUEST,), (State.WRITTEN_OFF,), Outcome.REJECTED, EQUAL, _LATE_REJECT),
    # Nobody asked for it, or we refused to book what we asked.
    (BOTH, NOBODYS, Outcome.ACCEPTED, ANY, _unknown(Event.UNKNOWN_ACCEPTED)),
    (BOTH, NOBODYS, Outcome.REJECTED, ANY, _unknown(Event.UNKNOWN_OTHER)),
    (BOTH, NOBODYS, Outcome.HELD, ANY, _unknown(Event.UNKNOWN_OTHER)),
    (BOTH, NOBODYS, Outcome.REVERSED, ANY, _unknown(Event.UNKNOWN_OTHER)),
)

STEPS: Final[dict[tuple[ItemKind, State, Outcome, Relation], Step]] = {
    key: step
    for kinds, states, outcome, relations, step in _LISTED
    for key in product(kinds, states, (outcome,), relations)
}


def _code(kind: int, state: int, outcome: int, relation: int) -> int:
    return ((kind * 64 + state) * 8 + outcome) * 4 + relation


def _code_of(kind: pl.Expr, state: pl.Expr, outcome: pl.Expr, relation: pl.Expr) -> pl.Expr:
    return ((kind * 64 + state) * 8 + outcome) * 4 + relation


TABLE: Final = pl.DataFrame(
    [
        (_code(*key), step.event, step.state, step.disposition, step.opens)
        for key in product(BOTH, State, Outcome, Relation)
        for step in (STEPS.get(key, CONFLICT),)
    ],
    schema={"step": pl.Int32, "event": pl.Int16, "next_state": pl.Int16, "disposition": pl.Int16, "opens": pl.Int16},
    orient="row",
)
"""Every pair, listed or refused, under one small integer."""


def advance(answers: pl.DataFrame) -> pl.DataFrame:
    """Add ``event, next_state, disposition, opens`` (Int16; ``opens`` null when no break opens) to one answer a row.

    Reads ``kind, state, outcome, relation`` (small integers); keeps the order of the rows.
    """
    step = _code_of(pl.col("kind").cast(pl.Int32), pl.col("state"), pl.col("outcome"), pl.col("relation"))
    return answers.with_columns(step=step).join(TABLE, on="step", how="left", maintain_order="left").drop("step")
