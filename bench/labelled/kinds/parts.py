"""Kinds about one request answered in parts: on one day or several, never whole, too much, or in more ways than one.

Here: several answers under one reference. Not here: one answer for several requests (``nets``).
"""

from bench.labelled import days
from bench.labelled.kind import LENIENT, STRICT, kind
from bench.labelled.stage import AGAIN, CONFLICT, DATE, POINTS, Stage
from bench.labelled.truth import LATE_DAYS, SPLIT, SPLIT_MAX, THEIRS_FIRST, Answer, Request


def waits(s: Stage, part: Answer, request: Request, *causes: str, open_: bool = True) -> None:
    """The part has come, the rest has not."""
    s.breaks(POINTS, part, request, causes=causes, open_=open_)


@kind(partners=LENIENT, rate=30)
def split_same_day(s: Stage) -> None:
    """Answered in two to five parts on one day."""
    amounts = s.parts(s.random.randint(2, SPLIT_MAX))
    request = s.ask(sum(amounts))
    s.confirms(request, *(s.answer(request, points=points) for points in amounts), by=(SPLIT,))


@kind(partners=LENIENT, rate=10)
def split_halves(s: Stage) -> None:
    """Answered in two equal halves on one day."""
    half = s.points()
    request = s.ask(2 * half)
    s.confirms(request, *(s.answer(request, points=half) for _ in range(2)), by=(SPLIT,))


@kind(partners=LENIENT, rate=10, on=days.anchors(2))
def split_halves_next_day(s: Stage) -> None:
    """Answered in two equal halves on two days."""
    half = s.points()
    request = s.ask(2 * half)
    first = s.answer(request, points=half)
    second = s.answer(request, points=half, on=s.after(1), dated=s.after(1))
    waits(s, first, request, open_=False)
    s.confirms(request, first, second, by=(SPLIT,))


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def half_repeated(s: Stage) -> None:
    """Half of a request, and the very same line again in the next file, of the same processing date."""
    half = s.points()
    request = s.ask(2 * half)
    waits(s, s.answer(request, points=half), request)
    s.breaks((POINTS, AGAIN, CONFLICT), s.answer(request, points=half, on=s.after(1)), request)


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def part_repeated(s: Stage) -> None:
    """A part, and in the next file the same line again beside the other part."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    waits(s, s.answer(request, points=amounts[0]), request)
    first, second = (s.answer(request, points=points, on=s.after(1)) for points in amounts)
    s.breaks((AGAIN, CONFLICT), first, request, others=[second])


@kind(partners=LENIENT, rate=15, on=days.anchors(2))
def split_two_days(s: Stage) -> None:
    """Answered in parts over two days."""
    amounts = s.parts(s.random.randint(2, SPLIT_MAX))
    request = s.ask(sum(amounts))
    parts = [s.answer(request, points=points, on=s.after(int(number > 0))) for number, points in enumerate(amounts)]
    waits(s, parts[0], request, open_=False)
    s.confirms(request, *parts, by=(SPLIT,))


@kind(partners=LENIENT, rate=10, on=days.anchors(3))
def split_three_days(s: Stage) -> None:
    """Answered in parts over three days."""
    amounts = s.parts(3)
    request = s.ask(sum(amounts))
    parts = [s.answer(request, points=points, on=s.after(number)) for number, points in enumerate(amounts)]
    for part in parts[:-1]:
        waits(s, part, request, open_=False)
    s.confirms(request, *parts, by=(SPLIT,))


@kind(partners=LENIENT, rate=5, on=days.among((11, 27)))
def split_over_late_file(s: Stage) -> None:
    """Answered in two parts, one of them in a file that comes as late as the other's."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    first = s.answer(request, points=amounts[0], on=days.LATE)
    second = s.answer(request, points=amounts[1], on=s.after(1))
    s.breaks(POINTS, first, request, others=[second], open_=False)
    s.confirms(request, first, second, by=(SPLIT,))


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def split_then_reversed(s: Stage) -> None:
    """Answered in two parts, and taken back whole on the next day."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    parts = [s.answer(request, points=points) for points in amounts]
    reversal = s.answer(request, outcome="reversed", on=s.after(1))
    s.reverses(request, *parts, reversal, points=request.points, reversed_=request.points)


@kind(partners=LENIENT, rate=10, on=days.anchors(2))
def split_never_completed(s: Stage) -> None:
    """Answered in parts, the last of which never comes."""
    amounts = s.parts(3)
    request = s.ask(sum(amounts))
    for number, points in enumerate(amounts[:-1]):
        waits(s, s.answer(request, points=points, on=s.after(number)), request, "part_missing")


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def split_two_ways(s: Stage) -> None:
    """A last part that completes the request with the first part that waits, and with the other two as well."""
    second, third, more = s.parts(3)
    first = second + third
    request = s.ask(2 * first + more)
    for points in (first, second, third):
        waits(s, s.answer(request, points=points), request)
    last = s.answer(request, points=first + more, on=s.after(1))
    s.breaks(CONFLICT, last, request, causes=("ambiguous", "conflict"))


@kind(partners=LENIENT, rate=5)
def split_overshoots(s: Stage) -> None:
    """Parts of one day that are more than the request."""
    first, second = s.parts(2)
    request = s.ask(first + second - min(first, second) // 2)
    parts = [s.answer(request, points=points) for points in (first, second)]
    s.breaks(CONFLICT, parts[0], request, others=parts[1:], causes=("conflict",))


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def split_overshoots_next_day(s: Stage) -> None:
    """A part that waits, and one that is more than the rest."""
    first, second = s.parts(2)
    request = s.ask(first + second - min(first, second) // 2)
    waits(s, s.answer(request, points=first), request)
    s.breaks(CONFLICT, s.answer(request, points=second, on=s.after(1)), request, causes=("conflict",))


@kind(partners=LENIENT, rate=3)
def split_in_too_many(s: Stage) -> None:
    """Answered in one part more than the layout allows."""
    amounts = s.parts(SPLIT_MAX + 1)
    request = s.ask(sum(amounts))
    first, *others = (s.answer(request, points=points) for points in amounts)
    s.breaks((POINTS, CONFLICT), first, request, others=others)
    for part in others:
        s.breaks((POINTS, CONFLICT), part, others=[first, *others], optional=True)


@kind(partners=STRICT, rate=5)
def split_not_allowed(s: Stage) -> None:
    """Two parts on one day, from a partner who does not answer in parts."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    first, second = (s.answer(request, points=points) for points in amounts)
    s.breaks(CONFLICT, first, request, others=[second], causes=("conflict",))


@kind(partners=STRICT, rate=5)
def halves_not_allowed(s: Stage) -> None:
    """Two equal halves on one day, from a partner who does not answer in parts: one amount, said twice."""
    half = s.points()
    request = s.ask(2 * half)
    first, second = (s.answer(request, points=half) for _ in range(2))
    s.breaks(POINTS, first, request)
    s.breaks(AGAIN, second, causes=("answered_again",))


@kind(partners=STRICT, rate=5, on=days.anchors(2))
def split_not_allowed_next_day(s: Stage) -> None:
    """Two parts on two days, from a partner who does not answer in parts."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    first, second = (s.answer(request, points=points, on=s.after(number)) for number, points in enumerate(amounts))
    s.breaks(POINTS, first, request)
    s.breaks(CONFLICT, second, request, causes=("conflict",))


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def split_before_request(s: Stage) -> None:
    """Answered in two parts, one day before the request comes."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts), on=s.after(1), dated=s.day)
    parts = [s.answer(request, points=points, on=s.day) for points in amounts]
    for part in parts:
        s.unknown(part, open_=False)
    s.confirms(request, *parts, by=(SPLIT, THEIRS_FIRST))


@kind(partners=LENIENT, rate=3)
def split_thirds(s: Stage) -> None:
    """Answered in three equal parts, each rounded down: a point less than the request in all."""
    third = s.points()
    request = s.ask(3 * third + 1)
    first, *others = (s.answer(request, points=third) for _ in range(3))
    waits(s, first, request)
    for part in others:
        s.breaks((POINTS, AGAIN), part, optional=True)


@kind(partners=LENIENT, rate=3, on=days.anchors(2))
def part_repeated_when_settled(s: Stage) -> None:
    """A part that comes again on the day after all parts had come."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    s.confirms(request, *(s.answer(request, points=points) for points in amounts), by=(SPLIT,))
    s.breaks((AGAIN, CONFLICT), s.answer(request, points=amounts[0], on=s.after(1)))


@kind(partners=LENIENT, rate=3, on=days.anchors(LATE_DAYS + 1))
def part_too_late(s: Stage) -> None:
    """The part that would complete the request dates outside the window."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    waits(s, s.answer(request, points=amounts[0]), request)
    day = s.after(LATE_DAYS + 1)
    s.breaks((DATE, POINTS, CONFLICT), s.answer(request, points=amounts[1], on=day, dated=day), request)


@kind(partners=LENIENT, rate=3, on=days.anchors(2))
def held_then_split(s: Stage) -> None:
    """Held, and answered in two parts on the next day."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    s.informs(s.answer(request, outcome="held"))
    s.confirms(request, *(s.answer(request, points=points, on=s.after(1)) for points in amounts), by=(SPLIT,))
