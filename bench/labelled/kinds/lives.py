"""Kinds about what the partner decided and when: rejections, holds, reversals, second answers, answers too early.

Here: answers under their own reference whose meaning depends on what came before. Not here: amounts, dates, sums.
"""

from bench.labelled import days
from bench.labelled.kind import LENIENT, STRICT, kind
from bench.labelled.kinds.amounts import DECEMBER, tolerance
from bench.labelled.stage import AGAIN, CONFLICT, POINTS, TWICE_OURS, Stage
from bench.labelled.truth import ABSENT, HELD, THEIRS_FIRST, TOLERANCE, Request

EARLY_DAYS = days.among((11, 18), (11, 19), (11, 20))
"""Days from which even the lenient partner's answers become overdue."""


@kind(rate=200)
def rejected(s: Stage) -> None:
    """Rejected, each reason in turn."""
    request = s.ask()
    s.rejects(request, s.answer(request, outcome="rejected"))


@kind(rate=3)
def rejected_points_off(s: Stage) -> None:
    """Rejected with other points than were asked for."""
    request = s.ask()
    s.breaks(POINTS, s.answer(request, outcome="rejected", points=request.points - 1), request)


@kind(rate=10, on=days.anchors(2))
def held_then_accepted(s: Stage) -> None:
    """Held, and accepted on the next day."""
    request = s.ask()
    s.informs(s.answer(request, outcome="held"))
    s.confirms(request, s.answer(request, on=s.after(1)))


@kind(rate=5)
def held(s: Stage) -> None:
    """Held, and nothing more."""
    request = s.ask()
    s.informs(s.answer(request, outcome="held"))
    s.leaves(request, HELD)


@kind(rate=50, on=EARLY_DAYS)
def never_answered(s: Stage) -> None:
    """Never answered, and overdue."""
    s.ask()


@kind(partners=LENIENT, rate=50, on=days.anchors(before=6))
def not_due_yet(s: Stage) -> None:
    """Not answered yet, and not overdue."""
    s.ask()


@kind(partners=STRICT, rate=10, on=days.anchors(6))
def answered_when_overdue(s: Stage) -> None:
    """Answered after it had become overdue."""
    request = s.ask()
    s.confirms(request, s.answer(request, on=s.after(6)))


@kind(rate=10)
def answered_twice(s: Stage) -> None:
    """The same answer twice in one file."""
    request = s.ask()
    s.confirms(request, s.answer(request))
    s.breaks(AGAIN, s.answer(request), causes=("answered_again",))


@kind(rate=10, on=days.anchors(2))
def answered_again_next_day(s: Stage) -> None:
    """The same answer again in the next file."""
    request = s.ask()
    s.confirms(request, s.answer(request))
    s.breaks(AGAIN, s.answer(request, on=s.after(1)), causes=("answered_again",))


@kind(rate=5)
def answers_disagree(s: Stage) -> None:
    """Accepted and rejected in one file."""
    request = s.ask()
    accepted, rejected_ = s.answer(request), s.answer(request, outcome="rejected")
    s.breaks(CONFLICT, accepted, request, others=[rejected_], causes=("conflict",))


@kind(rate=5, on=days.anchors(2))
def rejected_after_confirmed(s: Stage) -> None:
    """Rejected on the day after it was accepted, with no reversal declared."""
    request = s.ask()
    s.confirms(request, s.answer(request))
    s.breaks(CONFLICT, s.answer(request, outcome="rejected", on=s.after(1)), causes=("conflict",))


@kind(rate=5, on=days.anchors(2))
def accepted_after_rejected(s: Stage) -> None:
    """Accepted on the day after it was rejected."""
    request = s.ask()
    s.rejects(request, s.answer(request, outcome="rejected"))
    s.breaks(CONFLICT, s.answer(request, on=s.after(1)), causes=("conflict",))


def reverse(s: Stage, points: int, request: Request) -> None:
    """Accepted, and so many points taken back on the next day."""
    accepted = s.answer(request)
    reversal = s.answer(request, outcome="reversed", points=points, on=s.after(1))
    s.reverses(request, accepted, reversal, points=request.points, reversed_=points)


@kind(rate=10, on=days.anchors(2))
def reversed_whole(s: Stage) -> None:
    """Accepted, and taken back whole on the next day."""
    request = s.ask()
    reverse(s, request.points, request)


@kind(rate=5, on=days.anchors(2))
def reversed_in_part(s: Stage) -> None:
    """Accepted, and taken back in part on the next day."""
    request = s.ask()
    reverse(s, request.points // 3, request)


@kind(rate=3, on=days.anchors(2))
def reversed_beyond(s: Stage) -> None:
    """Accepted, and more than that taken back on the next day."""
    request = s.ask()
    s.confirms(request, s.answer(request))
    beyond = s.answer(request, outcome="reversed", points=request.points + 1, on=s.after(1))
    s.breaks(CONFLICT, beyond, causes=("conflict",))


@kind(rate=3)
def reversal_of_nothing(s: Stage) -> None:
    """A reversal under a reference that nobody knows."""
    request = s.ask()
    s.confirms(request, s.answer(request))
    s.unknown(s.stray(request, request.points, outcome="reversed"))


@kind(rate=3, on=days.anchors(3))
def reversed_after_late_rejection(s: Stage) -> None:
    """Accepted, rejected a day later, and then taken back whole, which settles the conflict."""
    request = s.ask()
    accepted = s.answer(request)
    s.breaks(CONFLICT, s.answer(request, outcome="rejected", on=s.after(1)), open_=False)
    reversal = s.answer(request, outcome="reversed", on=s.after(2))
    s.reverses(request, accepted, reversal, points=request.points, reversed_=request.points)


# Answers that are there before their request


def asked_later(s: Stage) -> Request:
    """A request whose file comes a day after its date."""
    return s.ask(on=s.after(1), dated=s.day)


@kind(rate=10, on=days.anchors(2))
def before_request(s: Stage) -> None:
    """Accepted on the day before the request comes."""
    request = asked_later(s)
    answer = s.answer(request, on=s.day)
    s.unknown(answer, open_=False)
    s.confirms(request, answer)


@kind(rate=5, on=days.anchors(2))
def before_request_rejected(s: Stage) -> None:
    """Rejected on the day before the request comes."""
    request = asked_later(s)
    answer = s.answer(request, on=s.day, outcome="rejected")
    s.unknown(answer, open_=False)
    s.rejects(request, answer)


@kind(rate=5, on=days.anchors(2))
def before_request_points_off(s: Stage) -> None:
    """Answered with points beyond any tolerance on the day before the request comes."""
    request = asked_later(s)
    answer = s.answer(request, on=s.day, points=request.points + tolerance(request) + 1)
    s.unknown(answer, open_=False)
    s.breaks(POINTS, answer, request, causes=("points_off",))


@kind(partners=LENIENT, rate=5, on=DECEMBER)
def before_request_tolerated(s: Stage) -> None:
    """Answered with points within the tolerance on the day before the request comes."""
    request = asked_later(s)
    answer = s.answer(request, on=s.day, points=request.points - 1)
    s.unknown(answer, open_=False)
    s.confirms(request, answer, by=(THEIRS_FIRST, TOLERANCE))
    s.source.tolerated[s.day.month] += 1


@kind(rate=5, on=days.anchors(3))
def held_before_request(s: Stage) -> None:
    """Held on the day before the request comes, and accepted on the day after."""
    request = asked_later(s)
    hold = s.answer(request, on=s.day, outcome="held")
    s.unknown(hold, open_=False)
    s.informs(hold)
    s.confirms(request, s.answer(request, on=s.after(2)))


# Our own side


@kind(rate=5)
def requested_twice(s: Stage) -> None:
    """The same request twice in one file."""
    request = s.ask()
    again = s.ask(request.points, member=request.member, ref=request.ref)
    s.leaves(again, ABSENT)
    s.breaks(TWICE_OURS, again, causes=("duplicate_request",))
    s.confirms(request, s.answer(request))


@kind(rate=5, on=days.anchors(2))
def requested_again_next_day(s: Stage) -> None:
    """The same request again on the next day."""
    request = s.ask()
    again = s.ask(request.points, member=request.member, ref=request.ref, on=s.after(1))
    s.leaves(again, ABSENT)
    s.breaks(TWICE_OURS, again, causes=("duplicate_request",))
    s.confirms(request, s.answer(request))


@kind(rate=5, on=days.anchors(2))
def requested_again_when_answered(s: Stage) -> None:
    """Another request under a reference that was answered, and its answer."""
    request = s.ask()
    s.confirms(request, s.answer(request))
    again = s.ask(request.points + 50, member=request.member, ref=request.ref, on=s.after(1))
    s.leaves(again, ABSENT)
    s.breaks(TWICE_OURS, again, causes=("duplicate_request",))
    s.breaks(CONFLICT, s.answer(again), causes=("conflict",))


@kind(rate=3)
def requested_twice_differing(s: Stage) -> None:
    """Two requests of different points under one reference in one file: neither is taken."""
    request = s.ask(s.points(100, 2_000))
    other = s.ask(s.points(3_000, 5_000), member=request.member, ref=request.ref)
    for one, optional in ((request, False), (other, True)):
        s.leaves(one, ABSENT)
        s.breaks(TWICE_OURS, one, others=[request, other], optional=optional, causes=("refused_twice",))
    s.unknown(s.answer(request))


@kind(rate=5)
def without_cover(s: Stage) -> None:
    """A request that the member's balance does not cover."""
    request = s.ask()
    s.source.poor.add(request.member)
    s.lacks(request)


@kind(rate=5)
def recalled(s: Stage) -> None:
    """A recall that the partner accepts."""
    recall = s.ask(-s.points())
    s.confirms(recall, s.answer(recall))


@kind(rate=5)
def recall_refused(s: Stage) -> None:
    """A recall that the partner refuses."""
    recall = s.ask(-s.points())
    s.rejects(recall, s.answer(recall, outcome="rejected"))


@kind(rate=3)
def recall_points_off(s: Stage) -> None:
    """A recall that is accepted with a point less."""
    recall = s.ask(-s.points())
    s.breaks(POINTS, s.answer(recall, points=recall.points + 1), recall, causes=("points_off",))
