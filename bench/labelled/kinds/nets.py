"""Kinds about several requests answered as one, and sums that only look so.

Here: one answer under a reference of the partner's own. Not here: one request in parts (``parts``).
"""

from bench.labelled import days
from bench.labelled.kind import LENIENT, STRICT, kind
from bench.labelled.stage import AGAIN, UNKNOWN, Stage
from bench.labelled.truth import LATE_DAYS, NET_MAX, NETTED, Answer, Request

NOT_OVERDUE = days.anchors(before=3)
"""Days late enough for what is left open not to turn overdue at the lenient partner."""

COMBINED_MAX = 12
"""Requests of one member and day among which sums are looked for."""


def asked(s: Stage, amounts: list[int]) -> list[Request]:
    """Requests of one member on one day."""
    member = s.member()
    return [s.ask(points, member=member) for points in amounts]


def nets(s: Stage, requests: list[Request], answer: Answer) -> None:
    """The one answer settles all of them."""
    for request in requests:
        s.confirms(request, answer, by=(NETTED,), points=request.points)


@kind(partners=LENIENT, rate=30)
def netted(s: Stage) -> None:
    """Two to five requests of one member and day answered as one, among others of the member."""
    requests = asked(s, s.parts(s.random.randint(2, NET_MAX)))
    s.company(requests[0].member)
    dated = s.after(s.random.randrange(2))
    nets(s, requests, s.net(requests, on=dated, dated=dated))


@kind(partners=LENIENT, rate=5)
def netted_some(s: Stage) -> None:
    """Two of a member's three requests answered as one; only these two have that sum."""
    requests = asked(s, s.parts(3))
    nets(s, requests[:2], s.net(requests[:2]))


@kind(partners=LENIENT, rate=5)
def netted_equals(s: Stage) -> None:
    """Two equal requests of one member and day answered as one."""
    requests = asked(s, [s.points()] * 2)
    nets(s, requests, s.net(requests))


@kind(partners=LENIENT, rate=10)
def netted_beside_another(s: Stage) -> None:
    """Two requests answered as one, while another member has asked for the same amounts."""
    amounts = s.parts(2)
    requests, others = asked(s, amounts), asked(s, amounts)
    nets(s, requests, s.net(requests))
    for request in others:
        s.confirms(request, s.answer(request, on=s.after(1)))


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def netted_then_itemised(s: Stage) -> None:
    """Two requests answered as one, and on the next day each by itself as well."""
    requests = asked(s, s.parts(2))
    nets(s, requests, s.net(requests))
    for request in requests:
        s.breaks(AGAIN, s.answer(request, on=s.after(1)), causes=("answered_again",))


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def netted_then_reversed(s: Stage) -> None:
    """Two requests answered as one, and one of them taken back on the next day."""
    requests = asked(s, s.parts(2))
    sum_ = s.net(requests)
    s.confirms(requests[0], sum_, by=(NETTED,), points=requests[0].points)
    reversal = s.answer(requests[1], outcome="reversed", on=s.after(1))
    s.reverses(requests[1], sum_, reversal, points=requests[1].points, reversed_=requests[1].points)


@kind(partners=LENIENT, rate=5, on=days.anchors(2, before=3))
def net_over_days(s: Stage) -> None:
    """A sum of two requests of two days, from a partner who nets by the day."""
    first = s.ask()
    second = s.ask(member=first.member, on=s.after(1))
    s.unknown(s.net([second, first]))


@kind(partners=LENIENT, rate=5, on=days.anchors(2, before=3))
def net_on_either_day(s: Stage) -> None:
    """A sum that the member's requests of two days have alike."""
    amounts = s.parts(2)
    first = asked(s, amounts)
    second = [s.ask(points, member=first[0].member, on=s.after(1)) for points in amounts]
    s.unknown(s.net(second), "ambiguous")


@kind(partners=LENIENT, rate=5, on=NOT_OVERDUE)
def net_two_ways(s: Stage) -> None:
    """Two pairs of a member's requests have the sum that was answered."""
    first, second, more = s.parts(3)
    requests = asked(s, [first + more, second, second + more, first])
    s.unknown(s.net(requests[:2]), "ambiguous")


@kind(partners=LENIENT, rate=5, on=NOT_OVERDUE)
def net_of_equals(s: Stage) -> None:
    """A sum of two requests, one of which has an equal."""
    one, other = s.parts(2)
    requests = asked(s, [one, one, other])
    s.unknown(s.net(requests[1:]), "ambiguous")


@kind(partners=LENIENT, rate=5, on=NOT_OVERDUE)
def net_wanted_twice(s: Stage) -> None:
    """Two sums that both want the same request."""
    requests = asked(s, s.parts(3))
    for pair in (requests[:2], requests[1:]):
        s.unknown(s.net(pair), "ambiguous")


@kind(partners=LENIENT, rate=5, on=NOT_OVERDUE)
def net_beside_single(s: Stage) -> None:
    """A sum of two requests that a third has alone."""
    amounts = s.parts(2)
    requests = asked(s, [*amounts, sum(amounts)])
    s.unknown(s.net(requests[:2]), "ambiguous", "no_reference")


@kind(partners=LENIENT, rate=3, on=NOT_OVERDUE)
def net_of_too_many(s: Stage) -> None:
    """One request more than the layout allows, answered as one."""
    s.unknown(s.net(asked(s, s.parts(NET_MAX + 1))))


@kind(partners=LENIENT, rate=2, on=NOT_OVERDUE)
def net_among_too_many(s: Stage) -> None:
    """A sum of three among more requests than are combined."""
    requests = asked(s, [s.points() for _ in range(COMBINED_MAX + 1)])
    s.unknown(s.net(requests[:3]))


@kind(partners=LENIENT, rate=5, on=NOT_OVERDUE)
def net_with_one_answered(s: Stage) -> None:
    """A sum of two requests, one of which is also answered by itself."""
    requests = asked(s, s.parts(2))
    s.confirms(requests[1], s.answer(requests[1]))
    s.unknown(s.net(requests))


@kind(partners=LENIENT, rate=5, on=days.anchors(3))
def net_repeated(s: Stage) -> None:
    """A sum that comes again on the next day, when the member has asked for the same amounts again."""
    amounts = s.parts(2)
    requests = asked(s, amounts)
    first = s.net(requests)
    nets(s, requests, first)
    again = [s.ask(points, member=requests[0].member, on=s.after(1)) for points in amounts]
    repeated = s.stray(requests[0], first.points, ref=first.ref, on=s.after(1))
    s.breaks((UNKNOWN, AGAIN), repeated)
    nets(s, again, s.net(again, on=s.after(2)))


@kind(partners=STRICT, rate=5)
def net_not_allowed(s: Stage) -> None:
    """A sum of two requests, from a partner who does not answer several as one."""
    s.unknown(s.net(asked(s, s.parts(2))))


@kind(rate=10)
def partner_only(s: Stage) -> None:
    """A credit that only the partner knows, to a member who has asked for other amounts."""
    requests = asked(s, s.parts(2))
    for request in requests:
        s.confirms(request, s.answer(request))
    s.unknown(s.stray(requests[0], s.points(10_000, 20_000)), "none")


@kind(partners=LENIENT, rate=3, on=days.anchors(2))
def netted_after_merge(s: Stage) -> None:
    """Requests of a merged member and of the survivor, answered as one for the survivor."""
    amounts = s.parts(2)
    request = s.ask(amounts[0])
    other = s.ask(amounts[1])
    s.merges(request.member, other.member, s.after(1))
    nets(s, [request, other], s.net([other, request], on=s.after(1), dated=s.after(1)))


@kind(partners=LENIENT, rate=3, on=days.anchors(LATE_DAYS + 1))
def net_too_late(s: Stage) -> None:
    """A sum of two requests that dates outside their window."""
    day = s.after(LATE_DAYS + 1)
    s.unknown(s.net(asked(s, s.parts(2)), on=day, dated=day))


@kind(partners=LENIENT, rate=3)
def net_rejected(s: Stage) -> None:
    """A rejection of a sum of two requests."""
    s.unknown(s.net(asked(s, s.parts(2)), outcome="rejected"))
