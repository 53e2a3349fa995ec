"""A kind of situation: its name, who it happens to, how often, on which days, and the function that plants one.

Here: the type, and the decorator that makes a kind of a function. Not here: any kind (``kinds``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from bench.labelled import days
from bench.labelled.stage import Stage
from bench.labelled.truth import MEADOWLARK, PARTNERS, TIDEWATER, Partner

LENIENT = (MEADOWLARK,)
STRICT = (TIDEWATER,)

ONCE = -1
"""A rate: once a run, after everything else."""
REST = -2
"""A rate: as many as are wanted beside all the others."""


@dataclass(frozen=True)
class Kind:
    """``plant`` writes one situation on both sides and says what is true of it. ``title`` is for people; ``rate``: in
    10,000 requests of a partner, or ONCE, or REST; ``days``: those it may begin on."""

    name: str
    title: str
    partners: Sequence[Partner]
    rate: int
    days: Sequence[date]
    plant: Callable[[Stage], None]


def kind(
    *, partners: Sequence[Partner] = PARTNERS, rate: int = 5, on: Sequence[date] = days.anchors()
) -> Callable[[Callable[[Stage], None]], Kind]:
    """Make a kind of a function: its name is the kind's, the first line of its docstring the title."""

    def made(plant: Callable[[Stage], None]) -> Kind:
        title = (plant.__doc__ or "").splitlines()[0].rstrip(".")
        return Kind(plant.__name__, title, partners, rate, on, plant)

    return made
