"""Kinds about who is meant: references missing, mistyped, cut or spelled otherwise, and members who are not the same.

Here: answers that do not name their request, so that a person must look. Not here: what the partner says (``lives``).
"""

from bench.labelled import days
from bench.labelled.kind import kind
from bench.labelled.stage import AGAIN, CONFLICT, MERGED, POINTS, Stage
from bench.labelled.truth import MEADOWLARK, TIDEWATER, Request

FAR = 8
"""Working days after which nobody looks for a request any more that no reference names."""


def misspelled(s: Stage, request: Request, ref: str | None, cause: str) -> None:
    """The answer is right but for its reference; only one request fits."""
    s.company(request.member)
    s.suggests(s.answer(request, ref=ref), request, cause)


@kind(rate=30)
def no_reference(s: Stage) -> None:
    """No reference, and one request fits."""
    misspelled(s, s.ask(), None, "no_reference")


@kind(rate=5)
def no_reference_two_fit(s: Stage) -> None:
    """No reference, and two equal requests of the member fit."""
    request = s.ask()
    s.ask(request.points, member=request.member)
    s.unknown(s.answer(request, ref=None), "ambiguous")


@kind(rate=5)
def equals_without_reference(s: Stage) -> None:
    """Two equal requests of one member, and two answers without a reference."""
    first = s.ask()
    for request in (first, s.ask(first.points, member=first.member)):
        s.unknown(s.answer(request, ref=None), "ambiguous")


@kind(rate=5)
def equals_one_without_reference(s: Stage) -> None:
    """Two equal requests of one member, one answered by its reference and one without."""
    first = s.ask()
    second = s.ask(first.points, member=first.member)
    s.confirms(first, s.answer(first))
    s.suggests(s.answer(second, ref=None), second, "no_reference")


@kind(rate=5)
def no_reference_already_answered(s: Stage) -> None:
    """No reference, and the one request that would fit is answered under its own in the same file."""
    request = s.ask()
    s.confirms(request, s.answer(request))
    s.unknown(s.stray(request, request.points, ref=None))


@kind(rate=5)
def no_reference_none_fits(s: Stage) -> None:
    """No reference, and no request of the member has these points."""
    request = s.ask(s.points(100, 3_000))
    s.confirms(request, s.answer(request))
    s.unknown(s.stray(request, s.points(4_000, 9_000), ref=None), "none")


@kind(rate=5)
def no_reference_twice(s: Stage) -> None:
    """Two answers without a reference for the same single request."""
    request = s.ask()
    for _ in range(2):
        s.unknown(s.answer(request, ref=None), "ambiguous")


@kind(rate=5, on=days.anchors(FAR))
def no_reference_too_late(s: Stage) -> None:
    """No reference, and a request that is too old to be looked for."""
    request = s.ask()
    s.unknown(s.answer(request, ref=None, on=s.after(FAR), dated=s.after(FAR)))


@kind(rate=5)
def no_reference_rejected(s: Stage) -> None:
    """A rejection without a reference."""
    s.unknown(s.answer(s.ask(), ref=None, outcome="rejected"))


@kind(rate=10)
def reference_of_theirs(s: Stage) -> None:
    """A reference of the partner's own, and one request fits."""
    misspelled(s, s.ask(), s.their_ref(), "no_reference")


@kind(rate=10)
def reference_mistyped(s: Stage) -> None:
    """One digit of the reference is wrong."""
    request = s.ask()
    misspelled(s, request, s.near(request.ref), "ref_typed")


@kind(rate=5)
def reference_transposed(s: Stage) -> None:
    """Two digits of the reference have changed places."""
    request = s.ask()
    ref = request.ref
    at = next(place for place in range(len(ref) - 2, 2, -1) if ref[place] != ref[place + 1])
    misspelled(s, request, f"{ref[:at]}{ref[at + 1]}{ref[at]}{ref[at + 2 :]}", "ref_typed")


@kind(rate=5)
def reference_cut(s: Stage) -> None:
    """The reference lacks its last two digits."""
    request = s.ask()
    misspelled(s, request, request.ref[:-2], "ref_truncated")


@kind(rate=5)
def reference_padded(s: Stage) -> None:
    """The reference has zeros before it."""
    request = s.ask()
    misspelled(s, request, f"00{request.ref}", "ref_spelled")


@kind(rate=5)
def reference_without_zero(s: Stage) -> None:
    """The zero with which the reference's number begins is lost."""
    request = s.ask()
    prefix = s.partner.prefix
    misspelled(s, request, prefix + request.ref.removeprefix(prefix).lstrip("0"), "ref_spelled")


@kind(rate=5)
def reference_lower_case(s: Stage) -> None:
    """The reference is in small letters."""
    request = s.ask()
    misspelled(s, request, request.ref.lower(), "ref_spelled")


@kind(rate=5)
def reference_dashed(s: Stage) -> None:
    """The reference has a dash in it."""
    request = s.ask()
    misspelled(s, request, f"{request.ref[:2]}-{request.ref[2:]}", "ref_spelled")


# Neighbours: two real references one digit apart


@kind(rate=10)
def neighbours(s: Stage) -> None:
    """Two equal requests of one member, their references one digit apart, each answered rightly."""
    first = s.ask()
    for request in (first, s.ask(first.points, member=first.member, ref=s.near(first.ref))):
        s.confirms(request, s.answer(request))


@kind(rate=5)
def neighbour_of_another(s: Stage) -> None:
    """An answer under the reference of another member's request, one digit off."""
    request = s.ask(s.points(100, 2_000))
    other = s.ask(s.points(3_000, 5_000), ref=s.near(request.ref))
    s.suggests(s.answer(request, ref=other.ref), request, "ref_typed")
    s.confirms(other, s.answer(other))


@kind(rate=5, on=days.anchors(2))
def neighbour_of_same_member(s: Stage) -> None:
    """An answer under the reference of the member's other request, of another amount, which is answered a day later."""
    request = s.ask()
    other = s.ask(request.points + s.points(500, 1_000), member=request.member, ref=s.near(request.ref))
    s.breaks(POINTS, s.answer(request, ref=other.ref), other, open_=None)
    s.confirms(other, s.answer(other, on=s.after(1)))


@kind(rate=5)
def neighbour_same_day(s: Stage) -> None:
    """An answer under the reference of the member's other request, of another amount, beside that one's own answer."""
    request = s.ask()
    other = s.ask(request.points + s.points(500, 1_000), member=request.member, ref=s.near(request.ref))
    wrong, right = s.answer(request, ref=other.ref), s.answer(other)
    s.breaks(CONFLICT, wrong, other, others=[right], causes=("conflict",))


@kind(rate=5)
def neighbour_answered_twice(s: Stage) -> None:
    """Two equal requests of one member, references one digit apart, and two answers under the one reference."""
    request = s.ask()
    other = s.ask(request.points, member=request.member, ref=s.near(request.ref))
    right, wrong = s.answer(other), s.answer(request, ref=other.ref)
    s.confirms(other, right)
    s.breaks(AGAIN, wrong)


@kind(rate=3)
def neighbour_without_member(s: Stage) -> None:
    """An answer without a member under another member's reference of equal points, beside that one's own answer."""
    request = s.ask()
    other = s.ask(request.points, ref=s.near(request.ref))
    wrong, right = s.answer(request, ref=other.ref, member=None), s.answer(other)
    s.breaks(CONFLICT, wrong, other, others=[right], causes=("conflict",))


@kind(rate=5, on=days.anchors(2))
def neighbour_to_come(s: Stage) -> None:
    """A mistyped reference that another member's equal request has on the next day."""
    request = s.ask()
    coming = s.ask(request.points, ref=s.near(request.ref), on=s.after(1))
    s.suggests(s.answer(request, ref=coming.ref), request, "ref_typed")
    s.confirms(coming, s.answer(coming))


@kind(rate=5)
def between_neighbours(s: Stage) -> None:
    """Two equal requests of one member, and an answer whose reference is one digit from either."""
    request = s.ask()
    place = len(request.ref) - 3
    s.ask(request.points, member=request.member, ref=s.near(request.ref, place))
    s.unknown(s.answer(request, ref=s.near(request.ref, place)), "ambiguous")


@kind(rate=5)
def between_neighbours_one_answered(s: Stage) -> None:
    """The same, and the other request is answered under its own reference."""
    request = s.ask()
    place = len(request.ref) - 3
    other = s.ask(request.points, member=request.member, ref=s.near(request.ref, place))
    s.confirms(other, s.answer(other))
    s.suggests(s.answer(request, ref=s.near(request.ref, place)), request, "ref_typed")


# Members and partners


@kind(rate=5)
def other_partner(s: Stage) -> None:
    """Answered under another partner's code."""
    request = s.ask()
    other = TIDEWATER if s.partner is MEADOWLARK else MEADOWLARK
    s.unknown(s.answer(request, partner=other), "other_partner")


@kind(rate=5)
def same_reference_at_both(s: Stage) -> None:
    """Equal requests under one reference at two partners, of whom one answers."""
    request = s.ask()
    other = TIDEWATER if s.partner is MEADOWLARK else MEADOWLARK
    s.ask(request.points, ref=request.ref, member=request.member, partner=other)
    s.confirms(request, s.answer(request))


@kind(rate=5)
def other_member(s: Stage) -> None:
    """The right reference with a member whom nobody knows."""
    request = s.ask()
    s.unknown(s.answer(request, member=s.member()), "other_member")


@kind(rate=5)
def members_crossed(s: Stage) -> None:
    """Two members' equal requests, each answered with the other's member."""
    first = s.ask()
    second = s.ask(first.points)
    for request, member in ((first, second.member), (second, first.member)):
        s.unknown(s.answer(request, member=member))


@kind(rate=10)
def merged_told(s: Stage) -> None:
    """Accepted to the account that the member was merged into, as the answer says."""
    request = s.ask()
    answer = s.answer(request, merged_to=s.member())
    s.confirms(request, answer)
    s.breaks(MERGED, answer, open_=False)


@kind(rate=5, on=days.anchors(2))
def merged_told_before(s: Stage) -> None:
    """Answered for the account that an earlier answer said the member was merged into."""
    first, survivor = s.ask(), s.member()
    told = s.answer(first, merged_to=survivor)
    s.confirms(first, told)
    s.breaks(MERGED, told, open_=False)
    second = s.ask(member=first.member, on=s.after(1))
    s.confirms(second, s.answer(second, member=survivor))


@kind(rate=5, on=days.anchors(2))
def merged_by_file(s: Stage) -> None:
    """Answered for the account that a members file said the member was merged into."""
    request, survivor = s.ask(), s.member()
    s.merges(request.member, survivor, s.after(1))
    s.confirms(request, s.answer(request, member=survivor, on=s.after(1), dated=s.after(1)))


@kind(rate=5, on=days.anchors(2))
def merged_without_reference(s: Stage) -> None:
    """No reference, and the merged member and the survivor have asked for the same."""
    request, survivor = s.ask(), s.member()
    s.ask(request.points, member=survivor)
    s.merges(request.member, survivor, s.after(1))
    s.unknown(s.answer(request, ref=None, member=survivor, on=s.after(1), dated=s.after(1)), "ambiguous")
