"""The life of a request: every pair of state and answer leads where the table says, and to a conflict elsewhere."""

from itertools import product

import polars as pl
import pytest

from counterfoil.ledger.model import BreakCode, Disposition, Event, ItemKind, Outcome, Relation, State
from counterfoil.reconcile import life

REQUEST, RECALL = ItemKind.REQUEST, ItemKind.RECALL
A, R, H, V = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.HELD, Outcome.REVERSED
EQ, IN, OFF = Relation.EQUAL, Relation.WITHIN, Relation.BEYOND


def advance(kind: ItemKind, state: State, outcome: Outcome, relation: Relation) -> dict[str, int | None]:
    row = pl.DataFrame({"kind": [kind], "state": [state], "outcome": [outcome], "relation": [relation]})
    return life.advance(row).select("event", "next_state", "disposition", "opens").row(0, named=True)


@pytest.mark.parametrize(
    ("answer", "event", "state", "disposition", "opens"),
    [
        ((REQUEST, State.PENDING, A, EQ), Event.ACCEPTED, State.CONFIRMED, Disposition.SETTLED, None),
        ((REQUEST, State.PENDING, A, IN), Event.ACCEPTED, State.CONFIRMED, Disposition.SETTLED, None),
        ((REQUEST, State.PENDING, A, OFF), Event.AMOUNT_DIFFERS, State.PENDING, Disposition.OPEN_THEIRS, 4),
        ((REQUEST, State.PENDING, R, EQ), Event.REJECTED, State.REJECTED, Disposition.REJECTED, 9),
        ((REQUEST, State.HELD, R, EQ), Event.REJECTED, State.REJECTED, Disposition.REJECTED, 9),
        ((REQUEST, State.PENDING, R, OFF), Event.AMOUNT_DIFFERS, State.PENDING, Disposition.OPEN_THEIRS, 4),
        ((REQUEST, State.PENDING, H, OFF), Event.HELD, State.HELD, Disposition.HELD, None),
        ((REQUEST, State.HELD, H, EQ), Event.DUPLICATE_ANSWER, State.UNKNOWN, Disposition.DUPLICATE, 7),
        ((REQUEST, State.CONFIRMED, A, EQ), Event.DUPLICATE_ANSWER, State.UNKNOWN, Disposition.DUPLICATE, 7),
        ((REQUEST, State.CONFIRMED, R, EQ), Event.CONFLICT, State.UNKNOWN, Disposition.OPEN_THEIRS, 11),
        ((REQUEST, State.CONFIRMED, V, EQ), Event.REVERSED, State.REVERSED, Disposition.REVERSED, None),
        ((REQUEST, State.CONFIRMED, V, OFF), Event.CONFLICT, State.UNKNOWN, Disposition.OPEN_THEIRS, 11),
        ((REQUEST, State.REJECTED, A, EQ), Event.ACCEPTED_AFTER_END, State.UNKNOWN, Disposition.OPEN_THEIRS, 11),
        ((REQUEST, State.REFUNDED, A, EQ), Event.ACCEPTED_AFTER_END, State.UNKNOWN, Disposition.OPEN_THEIRS, 11),
        ((REQUEST, State.WRITTEN_OFF, A, EQ), Event.LATE_ACCEPT, State.CONFIRMED, Disposition.SETTLED, None),
        ((REQUEST, State.WRITTEN_OFF, R, EQ), Event.LATE_REJECT, State.REJECTED, Disposition.REJECTED, 9),
        ((REQUEST, State.UNKNOWN, A, EQ), Event.UNKNOWN_ACCEPTED, State.UNIDENTIFIED, Disposition.OPEN_THEIRS, 3),
        ((REQUEST, State.UNKNOWN, R, EQ), Event.UNKNOWN_OTHER, State.UNIDENTIFIED, Disposition.OPEN_THEIRS, 3),
        ((REQUEST, State.SHORT, A, EQ), Event.UNKNOWN_ACCEPTED, State.UNIDENTIFIED, Disposition.OPEN_THEIRS, 3),
        ((RECALL, State.PENDING, A, EQ), Event.RECALL_ACCEPTED, State.CONFIRMED, Disposition.SETTLED, None),
        ((RECALL, State.PENDING, R, EQ), Event.RECALL_REJECTED, State.REJECTED, Disposition.REJECTED, 9),
        ((RECALL, State.PENDING, A, IN), Event.AMOUNT_DIFFERS, State.PENDING, Disposition.OPEN_THEIRS, 4),
    ],
)
def test_an_answer_leads_where_the_table_says(
    answer: tuple[ItemKind, State, Outcome, Relation],
    event: Event,
    state: State,
    disposition: Disposition,
    opens: int | None,
) -> None:
    assert advance(*answer) == {"event": event, "next_state": state, "disposition": disposition, "opens": opens}


def test_every_pair_that_is_not_listed_books_nothing_and_conflicts() -> None:
    unlisted = [key for key in product((REQUEST, RECALL), State, Outcome, Relation) if key not in life.STEPS]
    assert unlisted
    for key in unlisted:
        assert advance(*key) == {
            "event": Event.CONFLICT,
            "next_state": State.UNKNOWN,
            "disposition": Disposition.OPEN_THEIRS,
            "opens": BreakCode.CONFLICT,
        }


def test_an_ended_request_never_settles_a_second_time() -> None:
    ended = (State.CONFIRMED, State.REJECTED, State.REVERSED, State.REFUNDED)
    for kind, state, relation in product((REQUEST, RECALL), ended, Relation):
        for outcome in (A, R, H):
            assert advance(kind, state, outcome, relation)["disposition"] not in (
                Disposition.SETTLED,
                Disposition.REJECTED,
            )
