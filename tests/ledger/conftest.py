"""The scripted week as a book, shared by the tests that read it.

Here: its fixtures. Not here: books in general (``tests.plugins.books``) or the week's rows (``weeks``).
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from tests.ledger.weeks import (
    ANSWERS,
    DAYS,
    LAST_ANSWERS,
    LATE_ANSWERS,
    LATE_REQUESTS,
    MONDAY,
    REQUESTS,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Snapshot,
    snapshot,
)

ScriptedWeek = tuple[Book, dict[date, Snapshot]]


@pytest.fixture(scope="session")
def scripted_week(
    make_book: Callable[[], Book], make_feed: Callable[..., Any], post: Callable[..., Any]
) -> ScriptedWeek:
    """The book, and what each day said when it had just closed.

    Monday: requests. Tuesday: answers of every kind. Wednesday: later answers, and two requests that were answered
    before. Thursday: an answer to what was overdue.
    """
    book, told = make_book(), {}
    requests, handback = make_feed("requests", answer_due_days=1), make_feed("handback", tolerance_points=5)
    files = {
        MONDAY: [(requests, REQUESTS)],
        TUESDAY: [(handback, ANSWERS)],
        WEDNESDAY: [(handback, LATE_ANSWERS), (requests, LATE_REQUESTS)],
        THURSDAY: [(handback, LAST_ANSWERS)],
    }
    with book.writing(purpose="test") as writer:
        post(writer, make_feed("rates", partner="counterfoil"), [{"minor": 50}], MONDAY)
        for day in DAYS:
            for feed, rows in files[day]:
                post(writer, feed, rows, day)
            closing = {
                "day": day,
                "feed": "p_handback",
                "partner": "p",
                "status": "missing" if day == MONDAY else "received",
            }
            post(writer, make_feed("calendar", partner="counterfoil"), [closing], day)
            told[day] = snapshot(writer, day)
    return book, told


@pytest.fixture
def week_book(scripted_week: ScriptedWeek) -> Iterator[Lookups]:
    """The week's book, open to read."""
    with scripted_week[0].reading() as lookups:
        yield lookups
