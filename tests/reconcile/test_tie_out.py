"""The tie-out statement: each line by hand, H whatever is posted there, and which differences open and close B15."""

from datetime import date, timedelta
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.ledger.model import BreakCode
from counterfoil.reconcile.tie_out import (
    BY_HAND,
    LINES,
    MOVES,
    STANDING,
    STATED,
    STATEMENT,
    clearing,
    opening,
    statement,
    with_differences,
)

DAY = date(2026, 11, 16)
EVE, NEXT = DAY - timedelta(days=1), DAY + timedelta(days=1)
B15 = BreakCode.LEDGER_DIFFERS.value


class Move(NamedTuple):
    """What posting ``n`` of ``on_day`` did to an account on ``day``."""

    account: str
    n: int
    on_day: date
    day: date
    minor: int


def tied(
    stated: dict[str, int],
    moves: list[Move],
    *,
    last_n: int,
    by_hand: list[tuple[str, int]] | None = None,
    currency: str = "EUR",
) -> dict[str, dict[str, Any]]:
    """The statement of accounts as of DAY, by account."""
    balances = [
        (number, account, currency, DAY, last_n, minor) for number, (account, minor) in enumerate(stated.items(), 2)
    ]
    found = statement(
        pl.DataFrame(balances, schema=STATED, orient="row"),
        pl.DataFrame([(account, currency, minor) for account, minor in by_hand or []], schema=BY_HAND, orient="row"),
        pl.DataFrame([(one.account, "EUR", *one[1:]) for one in moves], schema=MOVES, orient="row"),
    )
    assert dict(found.schema) == STATEMENT
    return {row["account"]: row for row in with_differences(found).to_dicts()}


def lines(row: dict[str, Any]) -> str:
    return " ".join(f"{letter}{row[name]}" for letter, name, _ in LINES)


MOVED = [
    Move("2410", 3, EVE, EVE, 1000),
    Move("2410", 5, DAY, DAY, -200),
    Move("2410", 6, NEXT, DAY, 30),
    Move("2410", 6, NEXT, NEXT, 7),
    Move("2420", 5, DAY, DAY, 200),
]
"""Posting 3 of the eve, 5 of the day; 6 of the next day with something that still counts for the day."""


@pytest.mark.parametrize(
    ("last_n", "per_gl", "expected"),
    [
        (0, 0, "A0 B800 C0 D800 E830 F-30 G800 H0"),
        (3, 1000, "A1000 B-200 C0 D800 E830 F-30 G800 H0"),
        (5, 800, "A800 B0 C0 D800 E830 F-30 G800 H0"),
        (6, 830, "A830 B0 C0 D830 E830 F0 G830 H0"),
        (5, 1000, "A1000 B0 C0 D1000 E830 F-30 G800 H200"),
    ],
)
def test_lines_by_what_the_general_ledger_has_posted(last_n: int, per_gl: int, expected: str) -> None:
    assert lines(tied({"2410": per_gl}, MOVED, last_n=last_n)["2410"]) == expected


def test_what_people_posted_there_is_taken_off() -> None:
    found = tied({"2410": 815, "2420": 200}, MOVED, last_n=5, by_hand=[("2410", 20), ("2410", -5)])
    assert lines(found["2410"]) == "A815 B0 C15 D800 E830 F-30 G800 H0"
    assert lines(found["2420"]) == "A200 B0 C0 D200 E200 F0 G200 H0"


def test_a_currency_that_we_do_not_journal_is_all_unexplained() -> None:
    assert lines(tied({"2410": 40}, MOVED, last_n=5, currency="USD")["2410"]) == "A40 B0 C0 D40 E0 F0 G0 H40"


def test_an_account_that_never_moved_must_be_empty() -> None:
    assert lines(tied({"9999": -3}, MOVED, last_n=5)["9999"]) == "A-3 B0 C0 D-3 E0 F0 G0 H-3"


ACCOUNTS = ("2410", "2420", "2450")
AMOUNTS = st.integers(-(10**12), 10**12)
DAYS = st.integers(-3, 3).map(lambda number: DAY + timedelta(days=number))
HISTORIES = st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.integers(1, 12), DAYS, AMOUNTS), max_size=30).map(
    lambda rows: [Move(account, n, DAY + timedelta(days=n // 2 - 3), day, minor) for account, n, day, minor in rows]
)
ENTRIES = st.lists(st.tuples(st.sampled_from(ACCOUNTS), AMOUNTS), max_size=5)


def general_ledger(moves: list[Move], entries: list[tuple[str, int]], last_n: int) -> dict[str, int]:
    """What a general ledger holds that has posted our journals up to a posting, and those entries."""
    held = dict.fromkeys(ACCOUNTS, 0)
    for one in moves:
        held[one.account] += one.minor if one.n <= last_n and one.day <= DAY else 0
    for account, minor in entries:
        held[account] += minor
    return held


@given(HISTORIES, ENTRIES, st.integers(0, 13))
def test_nothing_is_unexplained_whatever_is_not_yet_posted(
    moves: list[Move], entries: list[tuple[str, int]], last_n: int
) -> None:
    found = tied(general_ledger(moves, entries, last_n), moves, last_n=last_n, by_hand=entries)
    assert {account: row["unexplained"] for account, row in found.items()} == dict.fromkeys(ACCOUNTS, 0)
    # The ledger's side is what our journals make of all accounting days up to the statement's.
    assert all(row["adjusted_ledger"] - row["after_cut_off"] == row["per_ledger"] for row in found.values())
    assert all(row["per_ledger"] == sum(one.minor for one in moves if one.account == account and one.day <= DAY)
               for account, row in found.items())  # fmt: skip


@given(HISTORIES, ENTRIES, st.integers(0, 13), st.data())
def test_one_wrong_amount_is_the_difference_and_its_account_alone_differs(
    moves: list[Move], entries: list[tuple[str, int]], last_n: int, data: st.DataObject
) -> None:
    held = general_ledger(moves, entries, last_n)
    posted = [one for one in moves if one.n <= last_n and one.day <= DAY]
    faults = ["balance", *(["missing", "twice"] if posted else []), *(["unlisted"] if entries else [])]
    fault = data.draw(st.sampled_from(faults))
    listed = list(entries)
    if fault == "balance":
        account, off = data.draw(st.sampled_from(ACCOUNTS)), data.draw(AMOUNTS)
    elif fault == "unlisted":
        account, off = listed.pop(data.draw(st.integers(0, len(entries) - 1)))
    else:
        one = data.draw(st.sampled_from(posted))
        account, off = one.account, -one.minor if fault == "missing" else one.minor
    held[account] += off if fault != "unlisted" else 0
    found = tied(held, moves, last_n=last_n, by_hand=listed)
    assert {name: row["unexplained"] for name, row in found.items()} == dict.fromkeys(ACCOUNTS, 0) | {account: off}


def stood(*rows: tuple[str, str, date, int]) -> pl.DataFrame:
    """Open breaks: id, account, day, difference."""
    return pl.DataFrame(
        [(break_id, B15, account, "EUR", as_of, off) for break_id, account, as_of, off in rows],
        schema=STANDING,
        orient="row",
    )


def stated(account: str, as_of: date, off: int) -> pl.DataFrame:
    balance = pl.DataFrame([(2, account, "EUR", as_of, 0, off)], schema=STATED, orient="row")
    return with_differences(statement(balance, pl.DataFrame(schema=BY_HAND), pl.DataFrame(schema=MOVES)))


@pytest.mark.parametrize(
    ("now", "opens", "clears"),
    [
        ((DAY, 0), False, ["eve", "same"]),
        ((EVE, 0), False, ["eve"]),
        ((NEXT, 0), False, ["eve", "same", "after"]),
        ((DAY, 5), False, []),
        ((NEXT, 5), False, ["after"]),
        ((DAY, 8), True, ["same"]),
        ((date(2026, 12, 1), 8), True, []),
    ],
)
def test_what_opens_and_what_clears(now: tuple[date, int], opens: bool, clears: list[str]) -> None:
    """A tie clears up to its own day; the same difference goes on; another balance of one day takes its place."""
    standing = stood(
        ("eve", "2410", EVE, 3), ("same", "2410", DAY, 5), ("after", "2410", NEXT, 6), ("other", "2420", EVE, 5)
    )
    found = stated("2410", *now)
    assert (opening(found, standing).height == 1) is opens
    assert sorted(clearing(found, standing)["break_id"]) == sorted(clears)
