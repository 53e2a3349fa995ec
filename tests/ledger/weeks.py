"""One scripted week at one partner and what its extracts say, for the tests of ``figures``, ``extracts`` and breaks.

Here: rows, days and the shorthand around them. Not here: the fixtures that post them (``conftest``) or expectations.
"""

from datetime import date, timedelta
from typing import Any

import polars as pl

from counterfoil.ledger import extracts, figures, open_breaks
from counterfoil.ledger.known import known
from counterfoil.ledger.lookups import Lookups

MONDAY = date(2026, 11, 16)
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=number) for number in (1, 2, 3))
DAYS = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)

Snapshot = dict[str, list[tuple[Any, ...]]]


def request(ref: str, points: int, member: str = "M1000001") -> dict[str, Any]:
    return {"ref": ref, "points": points, "member": member}


def answer(ref: str, points: int, outcome: str = "accepted", **more: Any) -> dict[str, Any]:
    return {"ref": ref, "points": points, "outcome": outcome, **more}


REQUESTS = [
    *(request(ref, points) for ref, points in (("A", 100), ("B", 200), ("C", 300), ("D", 400), ("E", 500), ("F", 600))),
    request("G", 700),
    request("H", -50),
    request("I", 80, "M1000002"),
    request("J", 90, "M1000003"),
    request("K", 60, "M1000004"),
]
ANSWERS = [
    answer("A", 100),
    answer("B", 200, "rejected", reason="0001"),
    answer("C", 300, "held", reason="0099"),
    answer("D", 450),
    answer("E", 497),
    answer("G", 700),
    answer("H", -50),
    answer("I", 80),
    answer("I", 80),
    answer("J", 90),
    answer("J", 90, "rejected", reason="0005"),
    answer("K", 60, member="M1000004", to_account="M1000009"),
    answer("Z", 900),
    answer("Y", 70, "rejected", reason="0005"),
]


LATE_ANSWERS = [answer("G", 300, "reversed"), answer("D", 400), answer("C", 300), answer("A", 100)]
LATE_REQUESTS = [request("Z", 900), request("Y", 70), request("A", 100), request("N", 10)]
LAST_ANSWERS = [answer("F", 600), answer("N", 10, "held")]


def snapshot(book: Lookups, day: date, n: int | None = None) -> Snapshot:
    """Everything a report says of a day, as known at a posting or now."""
    at = known(book, day, n)
    numbers = extracts.postings_of(book, day, n)["n"]
    return {
        "summary": figures.summary(book, at, "EUR").rows(),
        "rejects": figures.rejects(book, at, []).rows(),
        "clearing": figures.clearing(book, at).rows(),
        "matches": extracts.matches(book, numbers).rows(),
        "stage1": extracts.stage1(book, numbers).rows(),
        "breaks": open_breaks.open_breaks(book, at).rows(),
        "in_transit": open_breaks.in_transit(book, at).rows(),
        "movements": open_breaks.movements(book, at).rows(),
    }


def codes(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame.group_by("code").len().sort("code").iter_rows())
