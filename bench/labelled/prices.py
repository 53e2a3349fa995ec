"""What points are worth to each partner, since when, and when our own file of rates tells of it. Counted by hand.

Here: prices as they are agreed, and money in whole cents, half to even. Not here: the files that tell them (``write``),
or any of the product's own valuing, which these amounts are there to judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final

from bench.labelled.days import FIRST

PER: Final = 100
"""Points that a price is for."""

BEFORE: Final = date(2026, 11, 17)
"""The day before the first: our rates of then come late for one partner, and never for the other."""
WEEKEND: Final = date(2026, 11, 28)
"""A Saturday on which a price of its own begins, for two days, of which our rates tell only after the month's end."""
AFTER_WEEKEND: Final = date(2026, 11, 30)
DECEMBER: Final = date(2026, 12, 1)
"""A new tariff begins, of which our rates tell in time."""
TOLD_IN_TIME: Final = date(2026, 11, 20)
TOLD_LATE: Final = date(2026, 12, 2)

MONEY_TOLERANCE: Final = 2
MONEY_BASIS_POINTS: Final = 20
"""What meadowlark's layout lets a charge be off; tidewater's lets none."""


@dataclass(frozen=True)
class Price:
    """Cents for PER points, in force ``since`` a day; ``told``: the day on which our file of rates lands."""

    since: date
    cents: int
    told: date


PRICES: Final[Mapping[str, tuple[Price, ...]]] = {
    "meadowlark": (
        Price(FIRST, 65, FIRST),
        Price(WEEKEND, 90, TOLD_LATE),
        Price(AFTER_WEEKEND, 65, TOLD_LATE),
        Price(DECEMBER, 71, TOLD_IN_TIME),
    ),
    "tidewater": (
        Price(BEFORE, 45, TOLD_LATE),
        Price(FIRST, 45, FIRST),
        Price(WEEKEND, 60, TOLD_LATE),
        Price(AFTER_WEEKEND, 45, TOLD_LATE),
        Price(DECEMBER, 42, TOLD_IN_TIME),
    ),
}


def price(partner: str, day: date) -> int | None:
    """The cents in force on a day, if any price was agreed by then."""
    return next((one.cents for one in reversed(PRICES[partner]) if one.since <= day), None)


def valued(points: int, cents: int, per: int = PER) -> int:
    """So many points at a price, in whole cents."""
    return round(Fraction(points * cents, per))


def worth(partner: str, points: int, day: date) -> int | None:
    """What points of a day are worth, where a price was agreed by then."""
    cents = price(partner, day)
    return None if cents is None else valued(points, cents)
