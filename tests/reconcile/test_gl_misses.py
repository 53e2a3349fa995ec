"""Near misses of a difference with the general ledger: each kind, which comes first, and several that fit alike."""

from typing import Any

import polars as pl
import pytest

from counterfoil.reconcile.cause import TITLES, Cause
from counterfoil.reconcile.gl_misses import DIFFERING, ENTRIES, FOUND, JOURNALS, nearest

Told = list[tuple[str, str]]

MADE = [("J1", True, 500), ("J2", True, -120), ("J3", False, 77)]
"""Journals of the account: id, whether the general ledger should have it, amount."""

BY_HAND = [("GL-1", 40), ("GL-2", -9)]


def cause(off: int, **facts: Any) -> Told:
    """Cause and change of one break of account 2410 that is so much off; its balance is 10,000 otherwise."""
    row = {
        "break_id": "b", "account": "2410", "currency": "EUR", "per_gl": 10_000, "by_hand": 31, "unexplained": off,
        "last_journal": "J2", "in_chart": True, "journalled": True, "made": True,
    } | facts  # fmt: skip
    found = nearest(
        pl.DataFrame([row], schema=DIFFERING),
        pl.DataFrame([("b", *one) for one in MADE], schema=JOURNALS, orient="row"),
        pl.DataFrame([("b", *one) for one in BY_HAND], schema=ENTRIES, orient="row"),
    )
    assert dict(found.schema) == FOUND
    return list(found.select("cause", "change").iter_rows())


@pytest.mark.parametrize(
    ("off", "expected", "named"),
    [
        (-500, Cause.JOURNAL_MISSING, "journal J1 on account 2410"),
        (120, Cause.JOURNAL_MISSING, "journal J2 on account 2410"),
        (500, Cause.JOURNAL_TWICE, "journal J1"),
        (-1000, Cause.SIGN_FLIPPED, "journal J1"),
        (77, Cause.JOURNAL_EARLY, "journal J3"),
        (-40, Cause.BY_HAND_OFF, "entry GL-1 on account 2410: listed"),
        (-9, Cause.BY_HAND_OFF, "entry GL-2 on account 2410: posted by hand twice"),
        (18, Cause.BY_HAND_OFF, "entry GL-2 on account 2410: listed with the wrong sign"),
        (2 * (10_000 - 31), Cause.SIGN_FLIPPED, "the sign of account 2410"),
        (20_000, Cause.SIGN_FLIPPED, "the sign of account 2410"),
    ],
)
def test_the_one_thing_that_the_difference_is(off: int, expected: Cause, named: str) -> None:
    ((found, change),) = cause(off)
    assert found == expected.value
    assert named in change


@pytest.mark.parametrize("off", [1, -77, 1000, -240])
def test_what_nothing_fits_has_no_cause(off: int) -> None:
    assert cause(off) == []


def test_an_account_that_is_none_of_ours_comes_first() -> None:
    assert [found for found, _ in cause(-500, in_chart=False)] == [Cause.NOT_JOURNALLED]
    assert "chart" in cause(-500, in_chart=False)[0][1]
    assert cause(-500, journalled=False, currency="USD")[0] == (
        Cause.NOT_JOURNALLED,
        "USD on account 2410: we make no journals in it, find out who did",
    )


def test_a_journal_that_we_never_made() -> None:
    assert cause(-500, made=False, last_journal="CFE100000004")[0][1].startswith("journal CFE100000004: none of ours")


def test_several_that_fit_are_all_named_and_none_is_chosen() -> None:
    row = dict.fromkeys(DIFFERING) | {"break_id": "b", "account": "2410", "per_gl": 0, "by_hand": 0, "unexplained": -5}
    known = row | {"in_chart": True, "journalled": True, "made": True}
    made = [("b", f"J{number}", True, 5) for number in range(5)]
    found = nearest(
        pl.DataFrame([known], schema=DIFFERING),
        pl.DataFrame(made, schema=JOURNALS, orient="row"),
        pl.DataFrame(schema=ENTRIES),
    )
    assert found["change"].to_list() == [
        "one journal of J0, J1, J2 and more on account 2410: not in the general ledger: post it"
    ]


def test_every_cause_has_a_title() -> None:
    assert set(TITLES) == set(Cause)
