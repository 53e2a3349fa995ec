"""Where a situation is put together: hands out references, members and days, and notes what is true of each line.

Here: the words in which kinds are written, and what follows from them (overdue requests, balances). Not here: the
kinds themselves, or anything of the product.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations
from random import Random
from typing import Any, Final

from bench.labelled import prices, truth
from bench.labelled.days import LAST, working
from bench.labelled.truth import Answer, Break, Deed, Merge, Partner, Request, Settlement, Situation

REASONS: Final = ("0001", "0002", "0003", "0004", "0005")
CHECK: Final = 97
"""References are multiples of it, as bank references are: no two then differ in one digit, or by two that changed
places, unless that is planted."""

REGULARS: Final = 400
"""Members who ask often, so that their requests stand beside others of theirs."""

OVERDUE, UNKNOWN, POINTS, MONEY, DATE, AGAIN, TWICE_OURS, REJECT, MERGED, CONFLICT, CONTROL, MISSING, NO_COVER = (
    2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16,
)  # fmt: skip
"""Break codes."""

SILENCES: Final = (POINTS, DATE, CONFLICT)
"""A request that has one of these has been answered, and does not turn overdue as well."""


class Source:
    """What all situations of a plan draw from: chance, and what must be unique."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 (the same situations again from the same seed)
        self.merges: list[Merge] = []
        self.tolerated: Counter[int] = Counter()
        """Points of difference that a lenient partner's answers are off by and settle, by month."""
        self.poor: set[str] = set()
        """Members without a balance."""
        self._keys = 0
        self._members = 0
        self._refs: set[str] = set()
        self._regulars = [self.member() for _ in range(REGULARS)]

    def key(self) -> int:
        self._keys += 1
        return self._keys

    def member(self) -> str:
        self._members += 1
        return f"7{self._members * 37:09d}"

    def regular(self) -> str:
        """One of the members who ask often."""
        return self.random.choice(self._regulars)

    def ref(self, partner: Partner) -> str:
        return self.fresh(f"{partner.prefix}{self.random.randrange(10**8, 10**9) // CHECK * CHECK:010d}") or self.ref(
            partner
        )

    def fresh(self, ref: str) -> str | None:
        """The reference, if nobody has it yet."""
        if ref in self._refs:
            return None
        self._refs.add(ref)
        return ref


class Stage:
    """One situation in the making. ``day`` is the working day it begins on."""

    def __init__(self, source: Source, kind: str, partner: Partner, *, number: int, day: date) -> None:
        self.source, self.random = source, source.random
        self.partner, self.number, self.day = partner, number, day
        self.lenient = partner.lenient
        self.made = Situation(kind, partner, number)
        self._answered: dict[int, date] = {}
        self._survivors: dict[str, str] = {}

    # What it draws

    def after(self, number: int) -> date:
        """The working day so many after the first."""
        return working(self.day, number)

    def member(self) -> str:
        return self.source.member()

    def ref(self) -> str:
        return self.source.ref(self.partner)

    def near(self, ref: str, place: int | None = None) -> str:
        """Another reference that nobody has, with one digit changed."""
        while True:
            at = len(ref) - 1 - self.random.randrange(6) if place is None else place
            digit = self.random.choice("0123456789".replace(ref[at], ""))
            fresh = self.source.fresh(f"{ref[:at]}{digit}{ref[at + 1 :]}")
            if fresh:
                return fresh

    def points(self, low: int = 100, high: int = 5_000) -> int:
        return self.random.randrange(low, high)

    def parts(self, count: int, low: int = 100, high: int = 900) -> list[int]:
        """Different amounts of which no two choices have the same sum."""
        while True:
            amounts = self.random.sample(range(low, high), count)
            sums = [sum(some) for size in range(1, count + 1) for some in combinations(amounts, size)]
            if len(set(sums)) == len(sums):
                return amounts

    # What both sides write

    def ask(
        self,
        points: int | None = None,
        *,
        member: str | None = None,
        ref: str | None = None,
        on: date | None = None,
        dated: date | None = None,
        partner: Partner | None = None,
    ) -> Request:
        """A request: in the file of ``on``, by default of the first day, dated the same day."""
        file_day = on or self.day
        request = Request(
            key=self.source.key(),
            partner=partner or self.partner,
            file_day=file_day,
            ref=ref or self.ref(),
            member=member or self.member(),
            points=points if points is not None else self.points(),
            dated=dated or file_day,
        )
        self.made.requests.append(request)
        return request

    def answer(
        self,
        request: Request,
        *,
        points: int | None = None,
        outcome: str = "accepted",
        on: date | None = None,
        dated: date | None = None,
        ref: str | None = "",
        member: str | None = "",
        merged_to: str | None = None,
        partner: Partner | None = None,
        charge: int | None = None,
        over: int = 0,
        charged: bool = True,
        version: int = 1,
    ) -> Answer:
        """An answer to a request: right, but for what is given; in the file of ``on``, by default of the request's day.

        None leaves reference or member out; an empty text is the request's own. ``charge``: by default what the points
        are worth, where they are credited or taken back; ``over`` so many cents more; not ``charged``: none.
        """
        rejects = outcome == "rejected"
        credited = request.points if points is None else points
        right = prices.worth((partner or request.partner).name, credited, dated or request.dated)
        if charge is None and charged and right is not None and outcome in ("accepted", "reversed"):
            charge = right + over
        answer = Answer(
            key=self.source.key(),
            partner=partner or request.partner,
            file_day=on or request.file_day,
            ref=request.ref if ref == "" else ref,
            member=request.member if member == "" else member,
            points=credited,
            outcome=outcome,
            reason=REASONS[self.number % len(REASONS)] if rejects else "",
            dated=dated or request.dated,
            merged_to=merged_to,
            charge=charge,
            version=version,
        )
        self.made.answers.append(answer)
        self.made.meant.add(request.key)
        return answer

    def their_ref(self) -> str:
        """A reference of the partner's own."""
        return f"N{self.source.key():09d}"

    def net(self, requests: Sequence[Request], **fields: Any) -> Answer:
        """One answer to several requests and to their sum, under a reference of the partner's own."""
        self.made.meant |= {request.key for request in requests}
        total = sum(request.points for request in requests)
        return self.answer(requests[0], **{"points": total, "ref": self.their_ref(), **fields})

    def stray(self, like: Request, points: int, **fields: Any) -> Answer:
        """An answer to nothing that was asked, for the member and day of a request."""
        meant = like.key in self.made.meant
        answer = self.answer(like, **{"points": points, "ref": self.their_ref(), **fields})
        if not meant:
            self.made.meant.discard(like.key)
        return answer

    def company(self, member: str, most: int = 2) -> None:
        """Other requests of the member on the same day, answered well: what a look-alike is seen among."""
        for _ in range(self.random.randrange(most + 1)):
            request = self.ask(self.points(6_000, 9_000), member=member)
            self.confirms(request, self.answer(request))

    def holds(self, points: int) -> str:
        """A member who has so many points at first, and none if so few."""
        member = self.member()
        self.made.holds[member] = points
        return member

    def earns(self, points: int, member: str, **fields: Any) -> Deed:
        """A line of activity that says that the member gained points; with a minus, that this is taken back."""
        return self._does(truth.ACCRUAL, points, member, **fields)

    def pays(self, points: int, member: str, **fields: Any) -> Deed:
        """A line of activity that says that the member paid with points; with a minus, that this is taken back."""
        return self._does(truth.REDEMPTION, points, member, **fields)

    def _does(
        self,
        activity: str,
        points: int,
        member: str,
        *,
        ref: str | None = "",
        on: date | None = None,
        dated: date | None = None,
    ) -> Deed:
        file_day = on or self.day
        said = (self.their_ref() if ref == "" else ref, member, activity, points)
        deed = Deed(self.source.key(), self.partner, file_day, *said, dated or file_day)
        self.made.deeds.append(deed)
        return deed

    def merges(self, member: str, survivor: str, day: date) -> None:
        self.source.merges.append(Merge(self.partner, day, member, survivor))
        self._survivors[member] = survivor

    # What is true of it

    def confirms(
        self, request: Request, *answers: Answer, by: Sequence[str] | None = None, points: int | None = None
    ) -> None:
        """These lines settle the request. By default the pass follows from date and points of the one answer."""
        stands = points if points is not None else sum(answer.points for answer in answers)
        passes = tuple(by or (self.expected_pass(request, answers[0]),))
        self._settles(Settlement(request, answers, passes, truth.CONFIRMED, stands, 0), answers)

    def rejects(self, request: Request, answer: Answer, *, by: Sequence[str] | None = None) -> None:
        """The line rejects the request, which a person must hear of."""
        passes = tuple(by or (self.expected_pass(request, answer),))
        self._settles(Settlement(request, (answer,), passes, truth.REJECTED, 0, 0), (answer,))
        self.breaks(REJECT, answer, request, causes=("rejected",))

    def reverses(self, request: Request, *answers: Answer, points: int, reversed_: int) -> None:
        """The first line confirms the request; those after it take so many of its points back."""
        self._settles(Settlement(request, answers, (), truth.REVERSED, points, reversed_), answers[:1])

    def leaves(self, request: Request, state: str) -> None:
        """Nothing ends the request, and it is left in another state than PENDING."""
        self.made.states[request.key] = state

    def file_breaks(self, code: int, feed: str, day: date, *, optional: bool = False) -> None:
        """A break about the file of a feed for a day, which a later file clears."""
        self.made.breaks.append(Break((code,), (f"{feed}:{day}",), open=False, optional=optional))

    def breaks(
        self,
        codes: int | tuple[int, ...],
        about: Request | Answer,
        names: Request | None = None,
        *,
        causes: Sequence[str] = (),
        open_: bool | None = True,
        optional: bool = False,
        others: Sequence[Request | Answer] = (),
        change: str = "",
    ) -> None:
        """A break opens that is ``about`` this line, or one of the others; ``names``: the request it speaks of."""
        codes = (codes,) if isinstance(codes, int) else codes
        keys = tuple(line.key for line in (about, *others))
        self.made.breaks.append(Break(codes, keys, open_, tuple(causes), optional, change))
        if names is not None and set(codes) & set(SILENCES):
            self._note(names, max(about.comes_on, names.comes_on))

    def unknown(self, answer: Answer, *causes: str, open_: bool = True) -> None:
        """The answer finds no home (B03)."""
        self.breaks(UNKNOWN, answer, causes=causes if open_ else (), open_=open_)

    def suggests(self, answer: Answer, request: Request, *causes: str) -> None:
        """The answer finds no home, and a person is shown the one request that fits."""
        self.unknown(answer, *causes)
        self.made.suggestions[answer.key] = request.key

    def informs(self, *answers: Answer) -> None:
        self.made.information |= {answer.key for answer in answers}

    def overcharges(self, answer: Answer, *causes: str, open_: bool = True, change: str = "") -> None:
        """What the answer charges is not what its points are worth (B05)."""
        self.breaks(MONEY, answer, causes=causes or ("price_changed", "money_off"), open_=open_, change=change)

    def lacks(self, request: Request) -> None:
        """The member's balance does not cover the request (B16)."""
        self.leaves(request, truth.SHORT)
        self.breaks(NO_COVER, request, causes=("short_balance",))

    def waits(self, deed: Deed) -> None:
        """The member has not so many points (B16), and nothing is taken of those that are there."""
        self._becomes(deed, truth.WAITING, NO_COVER, "short_balance")

    def repeats(self, deed: Deed) -> None:
        """The line says again what was said (B07)."""
        self._becomes(deed, truth.REPEATED, AGAIN, "answered_again")

    def contradicts(self, deed: Deed) -> None:
        """The line cannot be true beside what was said (B11)."""
        self._becomes(deed, truth.REFUSED, CONFLICT, "conflict")

    def overdraws(self, deed: Deed) -> None:
        """The line is booked, and leaves the member with less than nothing (B16)."""
        self.made.breaks.append(Break((NO_COVER,), (deed.key,), open=True, causes=("short_balance",)))

    def _becomes(self, deed: Deed, state: str, code: int, cause: str) -> None:
        self.made.becomes[deed.key] = state
        self.made.breaks.append(Break((code,), (deed.key,), open=True, causes=(cause,)))

    def expected_pass(self, request: Request, answer: Answer) -> str:
        """The first pass that can settle this one answer."""
        if answer.comes_on < request.comes_on:
            return truth.THEIRS_FIRST
        if answer.points != request.points:
            return truth.TOLERANCE
        return truth.DATE_WINDOW if answer.partner.lenient and answer.dated != request.dated else truth.EXACT

    def done(self) -> Situation:
        """The situation, with the breaks of requests that stay without an answer for too long."""
        for request in self.made.requests:
            self._overdue(request)
        self._count_up()
        return self.made

    def _count_up(self) -> None:
        """What members of whom there is activity hold at the end, requests that stand counted."""
        moved = [(member, points) for member, points in self.made.holds.items()]
        moved += [(one.member, one.gains * (self.made.becomes.get(one.key) is None)) for one in self.made.deeds]
        moved += [(one.request.member, one.reversed - one.points) for one in self.made.settlements if moved]
        for member, points in moved:
            account = self._survivors.get(member, member)
            self.made.left[account] = self.made.left.get(account, 0) + points

    def _settles(self, settlement: Settlement, ending: Sequence[Answer]) -> None:
        self.made.settlements.append(settlement)
        request = settlement.request
        self._note(request, max([request.comes_on, *(answer.comes_on for answer in ending)]))

    def _note(self, request: Request, day: date) -> None:
        self._answered[request.key] = min(day, self._answered.get(request.key, date.max))

    def _overdue(self, request: Request) -> None:
        """A request is overdue (B02) at the close of the day after its last one, unless it was answered by then."""
        turns = request.dated + timedelta(days=request.partner.answer_due_days + 1)
        answered = self._answered.get(request.key, date.max)
        taken = self.made.states.get(request.key) not in (truth.ABSENT, truth.SHORT)
        if turns > LAST or answered <= turns or not taken:
            return
        ended = any(settlement.request.key == request.key for settlement in self.made.settlements)
        causes = () if request.key in self.made.meant else ("silent",)
        stands = None if answered < date.max and not ended else not ended
        self.made.breaks.append(Break((OVERDUE,), (request.key,), stands, causes))
