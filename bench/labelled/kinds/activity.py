"""Kinds about what members do at a partner of their own accord: told once or again, covered or not, taken back.

Here: lines of activity files. Not here: requests and their answers, but for one that such a line pays for.
"""

from bench.labelled import days
from bench.labelled.kind import LENIENT, kind
from bench.labelled.stage import Stage
from bench.labelled.truth import Deed

LATER = days.anchors(2)
AFTER_FIRST = days.anchors(before=1)


@kind(rate=300)
def earned(s: Stage) -> None:
    """A member gains points."""
    s.earns(s.points(), s.holds(s.random.choice([0, 500])))


@kind(rate=200)
def paid(s: Stage) -> None:
    """A member pays with points and has more."""
    points = s.points()
    s.pays(points, s.holds(points + s.points()))


@kind(rate=10)
def paid_to_the_last(s: Stage) -> None:
    """A member pays with all points there are."""
    points = s.points()
    s.pays(points, s.holds(points))


@kind(rate=10)
def paid_with_todays(s: Stage) -> None:
    """A member pays with points gained on the same day, whichever line stands first."""
    member, points = s.holds(0), s.points()
    s.earns(points, member)
    s.pays(points, member)


@kind(rate=10)
def earned_and_paid_under_one_reference(s: Stage) -> None:
    """Points gained and points paid with under one reference."""
    member = s.holds(5_000)
    s.pays(s.points(), member, ref=s.earns(s.points(), member).ref)


@kind(rate=5)
def earned_by_two(s: Stage) -> None:
    """Two members gain the same under references that differ in one digit."""
    first = s.earns(s.points(), s.holds(0), ref=s.ref())
    s.earns(first.points, s.holds(0), ref=s.near(str(first.ref)))


@kind(rate=5, on=LATER)
def earned_then_asked(s: Stage) -> None:
    """A member without points gains some, and asks for a transfer of them on the next day."""
    member, points = s.holds(0), s.points()
    s.earns(points, member)
    request = s.ask(points, member=member, on=s.after(1))
    s.confirms(request, s.answer(request))


@kind(rate=5, on=LATER)
def paid_then_asked(s: Stage) -> None:
    """A member pays with nearly all points, and asks for a transfer of more than is left."""
    member, points = s.holds(5_000), s.points(100, 900)
    s.pays(5_000 - points, member)
    request = s.ask(points + 1, member=member, on=s.after(1))
    s.lacks(request)


@kind(rate=5, on=LATER)
def earned_after_merge(s: Stage) -> None:
    """Points gained under the number of a member that was merged into another."""
    member, survivor = s.holds(700), s.holds(200)
    s.merges(member, survivor, s.day)
    s.earns(s.points(), member, on=s.after(1))
    s.pays(850, survivor, on=s.after(1))


# Beyond the balance


@kind(rate=10)
def paid_beyond(s: Stage) -> None:
    """A member pays with one point more than there is."""
    points = s.points()
    s.waits(s.pays(points + 1, s.holds(points)))


@kind(rate=5)
def paid_with_nothing(s: Stage) -> None:
    """A member of whom nobody knows pays with points."""
    s.waits(s.pays(s.points(), s.member()))


@kind(rate=5, on=AFTER_FIRST)
def paid_before_it_was_earned(s: Stage) -> None:
    """A member pays the day before the points are gained that would cover it, and one file tells both."""
    member, points = s.holds(0), s.points()
    s.earns(points, member)
    s.waits(s.pays(points, member, dated=s.after(-1)))


@kind(rate=5, on=AFTER_FIRST)
def paid_in_order(s: Stage) -> None:
    """Two payments of which the balance covers one: the earlier, however the lines stand."""
    member, points = s.holds(1_000), s.points(501, 1_000)
    s.pays(points, member, dated=s.after(-1))
    s.waits(s.pays(points, member))


@kind(rate=5, on=AFTER_FIRST)
def paid_after_one_beyond(s: Stage) -> None:
    """A payment beyond the balance, and a later one of that file that the balance would cover alone."""
    member = s.holds(1_000)
    s.waits(s.pays(s.points(1_001, 2_000), member, dated=s.after(-1)))
    s.waits(s.pays(s.points(100, 900), member))


@kind(rate=5, on=LATER)
def paid_beyond_then_within(s: Stage) -> None:
    """A payment beyond the balance, and one on the next day that the balance covers."""
    member = s.holds(1_000)
    s.waits(s.pays(s.points(1_001, 2_000), member))
    s.pays(s.points(100, 900), member, on=s.after(1))


@kind(rate=5, on=LATER)
def paid_beyond_then_earned(s: Stage) -> None:
    """A payment beyond the balance, and points on the next day that would have covered it: a person decides."""
    member, points = s.holds(0), s.points()
    s.waits(s.pays(points, member))
    s.earns(points, member, on=s.after(1))


@kind(rate=5, on=LATER)
def paid_beyond_told_again(s: Stage) -> None:
    """A payment beyond the balance, and the same line again on the next day."""
    beyond = s.pays(s.points(), s.holds(0))
    s.waits(beyond)
    s.repeats(again(s, beyond, 1))


# Told again, and otherwise


def again(s: Stage, deed: Deed, number: int, *, points: int | None = None, member: str | None = None) -> Deed:
    """The line once more, so many working days later; or nearly so."""
    tells = s.earns if deed.activity == "accrual" else s.pays
    said = deed.points if points is None else points
    return tells(said, member or deed.member, ref=deed.ref, on=s.after(number), dated=deed.dated)


def either(s: Stage) -> Deed:
    """Points gained or paid with."""
    tells = s.random.choice([s.earns, s.pays])
    return tells(s.points(), s.holds(15_000))


@kind(rate=10)
def told_twice(s: Stage) -> None:
    """The same line twice in one file."""
    s.repeats(again(s, either(s), 0))


@kind(rate=10, on=LATER)
def told_again_next_day(s: Stage) -> None:
    """The same line again in the next file."""
    s.repeats(again(s, either(s), 1))


@kind(rate=5, on=days.anchors(8))
def told_again_much_later(s: Stage) -> None:
    """The same line again more than a week later."""
    s.repeats(again(s, either(s), 8))


@kind(rate=10)
def told_twice_without_reference(s: Stage) -> None:
    """Two equal lines without a reference in one file: nobody can say that they are one."""
    member, points = s.holds(0), s.points()
    for _ in range(2):
        s.earns(points, member, ref=None)


@kind(rate=5, on=LATER)
def told_again_without_reference(s: Stage) -> None:
    """Equal lines without a reference on two days."""
    first = s.pays(s.points(), s.holds(15_000), ref=None)
    again(s, first, 1)


@kind(rate=5)
def told_otherwise(s: Stage) -> None:
    """Two lines of other points under one reference in one file: neither is booked."""
    first = either(s)
    s.contradicts(first)
    s.contradicts(again(s, first, 0, points=first.points + 1))


@kind(rate=5, on=LATER)
def told_otherwise_next_day(s: Stage) -> None:
    """Other points under the same reference in the next file."""
    first = either(s)
    s.contradicts(again(s, first, 1, points=first.points + 1))


@kind(rate=5, on=LATER)
def told_of_another_member(s: Stage) -> None:
    """The same points and reference on the next day, of another member."""
    first = either(s)
    s.contradicts(again(s, first, 1, member=s.holds(15_000)))


@kind(partners=LENIENT, rate=5)
def told_otherwise_and_again(s: Stage) -> None:
    """Three lines under one reference in one file, of which two are equal: none is booked."""
    first = either(s)
    for deed in (first, again(s, first, 0), again(s, first, 0, points=first.points + 1)):
        s.contradicts(deed)


# Taken back


@kind(rate=15, on=LATER)
def taken_back(s: Stage) -> None:
    """Told, and taken back whole on the next day."""
    first = either(s)
    again(s, first, 1, points=-first.points)


@kind(rate=5)
def taken_back_at_once(s: Stage) -> None:
    """Told and taken back whole in one file."""
    first = either(s)
    again(s, first, 0, points=-first.points)


@kind(rate=10, on=LATER)
def taken_back_in_part(s: Stage) -> None:
    """Told, and taken back in part on the next day."""
    first = either(s)
    again(s, first, 1, points=-(first.points // 3))


@kind(rate=5, on=LATER)
def taken_back_beyond(s: Stage) -> None:
    """Told, and one point more taken back on the next day."""
    first = either(s)
    s.contradicts(again(s, first, 1, points=-first.points - 1))


@kind(rate=5)
def taken_back_beyond_at_once(s: Stage) -> None:
    """Told, and one point more taken back in the same file."""
    first = either(s)
    s.contradicts(again(s, first, 0, points=-first.points - 1))


@kind(rate=5, on=days.anchors(3))
def taken_back_twice(s: Stage) -> None:
    """Taken back, and the same line again in the next file."""
    first = either(s)
    back = again(s, first, 1, points=-first.points)
    s.repeats(again(s, back, 2))


@kind(rate=5, on=days.anchors(3))
def taken_back_in_two_parts(s: Stage) -> None:
    """Taken back in part, and another part under the same reference, which may stand once."""
    first = either(s)
    again(s, first, 1, points=-(first.points // 3))
    s.contradicts(again(s, first, 2, points=-(first.points // 4)))


@kind(rate=5, on=LATER)
def taken_back_from_another(s: Stage) -> None:
    """Told of one member, and taken back of another under the same reference."""
    first = either(s)
    s.contradicts(again(s, first, 1, points=-first.points, member=s.holds(15_000)))


@kind(rate=5)
def taken_back_of_nothing(s: Stage) -> None:
    """Points taken back under a reference that nobody knows, of a member who has them."""
    s.earns(-s.points(), s.holds(15_000))


@kind(rate=5, on=days.anchors(3))
def taken_back_when_spent(s: Stage) -> None:
    """Points gained, paid with, and taken back: the member owes them."""
    member, points = s.holds(0), s.points()
    first = s.earns(points, member)
    s.pays(points, member, on=s.after(1))
    s.overdraws(again(s, first, 2, points=-points))


@kind(rate=5, on=LATER)
def taken_back_when_beyond(s: Stage) -> None:
    """A payment beyond the balance, and taken back on the next day: nothing had been paid that could be given back."""
    beyond = s.pays(s.points(), s.holds(0))
    s.waits(beyond)
    s.contradicts(again(s, beyond, 1, points=-beyond.points))
