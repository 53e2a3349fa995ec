"""Accounting periods: what a lock moves, and to where."""

from datetime import date

import polars as pl
import pytest

from counterfoil.ledger.model import Action
from counterfoil.ledger.periods import accounted, first_open, last_day, locked_after


@pytest.mark.parametrize(
    ("day", "locked", "expected"),
    [
        (date(2026, 10, 31), set(), date(2026, 10, 31)),
        (date(2026, 10, 31), {"2026-10"}, date(2026, 11, 1)),
        (date(2026, 12, 5), {"2026-12"}, date(2027, 1, 1)),
        (date(2026, 11, 5), {"2026-11", "2026-12"}, date(2027, 1, 1)),
        (date(2026, 11, 5), {"2026-10", "2026-12"}, date(2026, 11, 5)),
    ],
)
def test_what_counts_for_a_locked_period_goes_to_the_next_open_one(day: date, locked: set[str], expected: date) -> None:
    assert first_open(day, locked) == expected


def test_the_newest_decision_on_a_period_counts() -> None:
    told = pl.DataFrame(
        {
            "subject": ["2026-09", "2026-10", "2026-09", "2026-09"],
            "action": [int(one) for one in (Action.LOCK, Action.LOCK, Action.REOPEN, Action.LOCK)],
        }
    )
    assert locked_after(told) == {"2026-09", "2026-10"}
    assert locked_after(told.head(3)) == {"2026-10"}
    assert locked_after(told.clear()) == frozenset()


def test_only_entries_of_locked_periods_move() -> None:
    days = [date(2026, 9, 30), date(2026, 10, 1), date(2026, 10, 31)]
    entries = pl.DataFrame({"accounting_date": days, "amount": [1, 2, 3]})
    assert accounted(entries, {"2026-10"})["accounting_date"].to_list() == [days[0], *[date(2026, 11, 1)] * 2]
    assert accounted(entries, set()).equals(entries)


def test_the_last_day_of_a_month() -> None:
    assert [last_day(month) for month in ("2026-02", "2028-02", "2026-12")] == [
        date(2026, 2, 28),
        date(2028, 2, 29),
        date(2026, 12, 31),
    ]
