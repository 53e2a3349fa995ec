"""The programme's days in a labelled run: two and a half weeks with weekends, a holiday, a month's end and odd files.

Here: days, and counting working days by hand. Not here: what happens on them (``kinds``), or any of the product's own
counting, which these days are there to judge.
"""

from datetime import date, timedelta
from typing import Final

FIRST: Final = date(2026, 11, 18)
LAST: Final = date(2026, 12, 7)
DAYS: Final = tuple(FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1))
HOLIDAY: Final = date(2026, 11, 26)
"""A Thursday on which files come and nobody counts the day."""

DAMAGED: Final = date(2026, 11, 21)
LATE: Final = date(2026, 11, 28)
CORRECTED: Final = date(2026, 12, 5)
"""Saturdays whose answers come in a file with a wrong total, in one that is two days late, in one that is corrected."""

BUDGET_FILLED: Final = date(2026, 11, 25)
"""From the day after to the end of the month nothing is tolerated any more."""

SATURDAY: Final = 6


def counts(day: date) -> bool:
    """Whether a day is a working day."""
    return day.isoweekday() < SATURDAY and day != HOLIDAY


def working(day: date, number: int) -> date:
    """The working day so many working days after ``day``, or before it."""
    step = timedelta(days=1 if number > 0 else -1)
    while number:
        day += step
        number -= (1 if number > 0 else -1) * counts(day)
    return day


WORKING: Final = tuple(day for day in DAYS if counts(day))


def anchors(after: int = 1, *, before: int = 0) -> tuple[date, ...]:
    """Working days that have so many more behind and ahead of them in the period."""
    return WORKING[before : len(WORKING) - after]


def among(*days: tuple[int, int]) -> tuple[date, ...]:
    """Days of 2026 by month and day."""
    return tuple(date(2026, month, day) for month, day in days)
