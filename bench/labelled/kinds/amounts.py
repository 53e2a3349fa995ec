"""Kinds about points: right, off within and beyond a tolerance, off by a rule, of the wrong sign, corrected later.

Here: one answer to one request by its own reference. Not here: parts and sums (``parts``, ``nets``).
"""

from bench.labelled import days
from bench.labelled.kind import LENIENT, ONCE, REST, STRICT, kind
from bench.labelled.stage import AGAIN, CONFLICT, POINTS, UNKNOWN, Stage
from bench.labelled.truth import SPLIT_MAX, TOLERANCE_BASIS_POINTS, TOLERANCE_MONTHLY, TOLERANCE_POINTS, Request

DECEMBER = days.among((12, 1), (12, 2), (12, 3))
TOLERANT_DAYS = (*days.anchors()[:4], *DECEMBER)
"""Days on which the month has budget left, their answers' days as well."""

USED_UP_DAYS = days.among((11, 27), (11, 30))
RULE_ROWS = 4
"""Answers that are off by one rule: enough to tell it from chance."""


def tolerance(request: Request) -> int:
    """The largest difference that meadowlark's layout lets pass: the wider of the two."""
    return max(TOLERANCE_POINTS, request.points * TOLERANCE_BASIS_POINTS // 10_000)


def missing_points(s: Stage) -> tuple[str, ...]:
    """What may be wrong when points are missing: a rest may still come from a partner who answers in parts."""
    return ("points_off", "part_missing") if s.lenient and SPLIT_MAX > 1 else ("points_off",)


def tolerated(s: Stage, request: Request, off: int) -> None:
    """The answer is off and settles; the month has so much less to tolerate."""
    s.confirms(request, s.answer(request, points=request.points + off))
    s.source.tolerated[request.dated.month] += abs(off)


@kind(rate=REST)
def exact(s: Stage) -> None:
    """The answer is right in every field."""
    request = s.ask(member=s.source.regular())
    s.confirms(request, s.answer(request, on=s.after(s.random.randrange(2))))


@kind(rate=100)
def exact_without_member(s: Stage) -> None:
    """Right, and no member is named."""
    request = s.ask()
    s.confirms(request, s.answer(request, member=None))


@kind(rate=20)
def equal_transfers(s: Stage) -> None:
    """Two equal transfers of one member on one day, each under its own reference."""
    first = s.ask()
    second = s.ask(first.points, member=first.member)
    for request in (first, second):
        s.confirms(request, s.answer(request))


@kind(partners=LENIENT, rate=15, on=TOLERANT_DAYS)
def short_within_points(s: Stage) -> None:
    """Short within the absolute tolerance."""
    tolerated(s, s.ask(s.points(100, 500)), -s.random.randint(1, TOLERANCE_POINTS))


@kind(partners=LENIENT, rate=15, on=TOLERANT_DAYS)
def excess_within_points(s: Stage) -> None:
    """In excess within the absolute tolerance."""
    tolerated(s, s.ask(s.points(100, 500)), s.random.randint(1, TOLERANCE_POINTS))


@kind(partners=LENIENT, rate=10, on=TOLERANT_DAYS)
def short_within_share(s: Stage) -> None:
    """Short within the relative tolerance, at its edge or inside."""
    request = s.ask(s.points(1_000, 4_000))
    tolerated(s, request, -s.random.choice([tolerance(request), TOLERANCE_POINTS + 1]))


@kind(partners=LENIENT, rate=10, on=TOLERANT_DAYS)
def excess_within_share(s: Stage) -> None:
    """In excess within the relative tolerance, at its edge or inside."""
    request = s.ask(s.points(1_000, 4_000))
    tolerated(s, request, s.random.choice([tolerance(request), TOLERANCE_POINTS + 1]))


@kind(partners=LENIENT, rate=5, on=TOLERANT_DAYS[:3])
def tolerated_twice(s: Stage) -> None:
    """Short within the tolerance, and the same answer again on the next day."""
    request = s.ask(s.points(1_000, 4_000))
    tolerated(s, request, -1)
    s.breaks(AGAIN, s.answer(request, points=request.points - 1, on=s.after(1)), causes=("answered_again",))


@kind(partners=LENIENT, rate=3, on=DECEMBER)
def neighbour_within_tolerance(s: Stage) -> None:
    """An answer under the reference of the member's other request, one digit off; it is only within the tolerance."""
    request = s.ask(s.points(1_000, 4_000))
    s.ask(request.points - 1, member=request.member, ref=(other := s.near(request.ref)))
    s.breaks((UNKNOWN, POINTS, CONFLICT), s.answer(request, ref=other))


@kind(partners=LENIENT, rate=ONCE, on=(days.BUDGET_FILLED,))
def last_of_budget(s: Stage) -> None:
    """Differences that use up the month's budget to the last point."""
    while left := TOLERANCE_MONTHLY - s.source.tolerated[days.BUDGET_FILLED.month]:
        request = s.ask(40_000)
        tolerated(s, request, s.random.choice([-1, 1]) * min(left, tolerance(request)))


@kind(partners=LENIENT, rate=10, on=USED_UP_DAYS)
def budget_used_up(s: Stage) -> None:
    """Off within the tolerance, when the month's budget is used up."""
    request = s.ask(s.points(1_000, 4_000))
    off = s.random.choice([-1, 1]) * s.random.randint(1, tolerance(request))
    answer = s.answer(request, points=request.points + off)
    s.breaks(POINTS, answer, request, causes=missing_points(s) if off < 0 else ("points_off",))


@kind(rate=15)
def short_just_beyond(s: Stage) -> None:
    """Short by one point more than is tolerated."""
    request = s.ask()
    answer = s.answer(request, points=request.points - (tolerance(request) if s.lenient else 0) - 1)
    s.breaks(POINTS, answer, request, causes=missing_points(s))


@kind(rate=15)
def excess_just_beyond(s: Stage) -> None:
    """In excess by one point more than is tolerated."""
    request = s.ask()
    answer = s.answer(request, points=request.points + (tolerance(request) if s.lenient else 0) + 1)
    s.breaks(POINTS, answer, request, causes=("points_off",))


@kind(partners=STRICT, rate=3)
def fee_kept(s: Stage) -> None:
    """Several answers of a day short by the same points: a fee."""
    fee = s.random.randint(11, 60)
    for _ in range(RULE_ROWS):
        request = s.ask()
        s.breaks(POINTS, s.answer(request, points=request.points - fee), request, causes=("points_off",))


@kind(partners=STRICT, rate=3)
def rate_changed(s: Stage) -> None:
    """Several answers of a day off by the same ratio: another rate."""
    parts = s.random.choice([(9, 10), (4, 5), (11, 10), (5, 4)])
    for _ in range(RULE_ROWS):
        request = s.ask(s.points(10, 250) * 20)
        answered = request.points * parts[0] // parts[1]
        s.breaks(POINTS, s.answer(request, points=answered), request, causes=("points_ratio",))


@kind(rate=3)
def sign_flipped(s: Stage) -> None:
    """The points come back with the other sign."""
    request = s.ask()
    s.breaks(POINTS, s.answer(request, points=-request.points), request, causes=("sign_flipped",))


@kind(rate=3, on=days.anchors(2))
def corrected_by_next_answer(s: Stage) -> None:
    """A wrong amount, and the right one on the next day."""
    request = s.ask()
    wrong = s.answer(request, points=request.points + s.random.randint(50, 90))
    s.breaks(POINTS, wrong, request, open_=False)
    s.confirms(request, s.answer(request, on=s.after(1), dated=s.after(1)))
