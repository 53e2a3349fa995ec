"""The judgement: what the book made of a plan beside what is true of it, situation by situation and as proportions.

Here: comparing a plan's truth with what was read of the book, and counting. Not here: reading it (``seen``), tables
(``report``), or any of the product's own notions of a match: this module knows lines, states and codes alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from bench.labelled.seen import Seen, SeenBreak
from bench.labelled.stage import MONEY
from bench.labelled.truth import BOOKED, ENDED, PENDING, Break, Plan, Settlement, Situation

Z_95: Final = 1.959963984540054

SUGGESTED: Final = "SUGGESTED"

FALSE_MATCH: Final = "false match"
NOT_MATCHED: Final = "not matched"
OTHER_STATE: Final = "other state"
NO_BREAK: Final = "break missing or other code"
BREAK_STANDS: Final = "break open that should be cleared, or the reverse"
MORE_BREAKS: Final = "break that should not be"
NOT_SHOWN: Final = "suggestion missing"
WRONGLY_SHOWN: Final = "suggestion that should not be"
BOOKED_WRONGLY: Final = "activity booked that must not be"
NOT_BOOKED: Final = "activity not taken as it must be"
OTHER_BALANCE: Final = "other balance"
"""What can be wrong with a situation."""


@dataclass(frozen=True)
class Ratio:
    """So many of so many."""

    right: int = 0
    of: int = 0

    def __add__(self, other: "Ratio") -> "Ratio":
        return Ratio(self.right + other.right, self.of + other.of)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval at 95 %, as shares: it holds for few and for none, which the usual one does not."""
        if not self.of:
            return 0.0, 1.0
        share, z = self.right / self.of, Z_95
        middle = share + z * z / (2 * self.of)
        half = z * sqrt(share * (1 - share) / self.of + z * z / (4 * self.of * self.of))
        least, most = ((middle + sign * half) / (1 + z * z / self.of) for sign in (-1, 1))
        return max(least, 0.0), min(most, 1.0)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one situation."""

    seed: int
    kind: str
    partner: str
    number: int
    what: str
    detail: str


@dataclass
class KindScore:
    """How one kind did: situations planted, those right in everything, causes, and what was wrong how often."""

    planted: int = 0
    right: int = 0
    causes: Ratio = Ratio()
    wrong: Counter[str] = field(default_factory=Counter)


@dataclass
class Score:
    """Everything that is published. ``figures`` by name, in order; ``kinds`` by name."""

    figures: dict[str, Ratio] = field(default_factory=dict)
    kinds: dict[str, KindScore] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    tells_causes: bool = True

    def count(self, figure: str, right: int, of: int) -> None:
        self.figures[figure] = self.figures.get(figure, Ratio()) + Ratio(right, of)


FALSE: Final = "False matches, of requests that were settled"
AUTO: Final = "Settled without a person, of requests that were answered"
MATCHED: Final = "Settled rightly, of requests that can be settled with a proof"
FOUND: Final = "Found by the right pass, of those"
REFUSED: Final = "Refusals that were right, of answers that were refused"
KEPT: Final = "Refused, of answers that must be refused"
SHOWN: Final = "Right request suggested, of answers that one request fits"
MISLED: Final = "Suggestions that should not be, of suggestions"
CODES: Final = "Right break, of breaks that must open"
STANDING: Final = "Open or cleared as it must be, of those"
CHARGED: Final = "Rightly judged, of charges in answers that settled"
BOOKED_FALSE: Final = "Booked that must not be, of activity that was booked"
TAKEN: Final = "Taken as it must be, of lines of activity"
BALANCED: Final = "Right balance at the end, of members who did something at a partner"
STRAY: Final = "Breaks that should not be, of breaks that opened"
CAUSED: Final = "Right cause, of open breaks with a known cause"
WHOLE: Final = "Situations right in everything"


def score(plan: Plan, seen: Seen) -> Score:
    """Judge one seed."""
    judged = Score(tells_causes=seen.tells_causes)
    same = _alike(plan)
    book = _Book(seen, same)
    for situation in plan.situations:
        _Judge(plan.seed, situation, book, judged).judge()
    return judged


def added(scores: Iterable[Score]) -> Score:
    """Several seeds as one."""
    total = Score()
    for one in scores:
        total.tells_causes &= one.tells_causes
        total.findings += one.findings
        for name, ratio in one.figures.items():
            total.count(name, ratio.right, ratio.of)
        for name, kind in one.kinds.items():
            into = total.kinds.setdefault(name, KindScore())
            into.planted, into.right = into.planted + kind.planted, into.right + kind.right
            into.causes, into.wrong = into.causes + kind.causes, into.wrong + kind.wrong
    return total


def _alike(plan: Plan) -> dict[int, int]:
    """Key → the first key of the lines that show the same in the same file: nobody can tell those apart."""
    first: dict[tuple[object, ...], int] = {}
    lines = [(line.key, line.says) for side in (plan.requests, plan.answers, plan.deeds) for line in side]
    return {key: first.setdefault(says, key) for key, says in lines}


class _Book:
    """What was seen, with lines that cannot be told apart under one key."""

    def __init__(self, seen: Seen, same: Mapping[int, int]) -> None:
        self.same, self.seen = same, seen
        self.effects: dict[int, set[int]] = {}
        for request, answers in seen.effects.items():
            self.effects.setdefault(same[request], set()).update(same[answer] for answer in answers)
        self.effective = {answer for answers in self.effects.values() for answer in answers}
        self.stands = {same[key]: stand for key, stand in seen.stands.items()}
        self.charged = {same[one.answer] for one in seen.breaks if one.code == MONEY and one.answer is not None}
        self.by_key: dict[int | str, list[SeenBreak]] = {}
        for found in seen.breaks:
            for about in {self.one(about) for about in found.about}:
                self.by_key.setdefault(about, []).append(found)

    def one(self, about: int | str) -> int | str:
        return about if isinstance(about, str) else self.same[about]


class _Judge:
    """One situation beside the book."""

    def __init__(self, seed: int, situation: Situation, book: _Book, into: Score) -> None:
        self.seed, self.situation, self.book, self.into = seed, situation, book, into
        self.kind = into.kinds.setdefault(situation.kind, KindScore())
        self.wrong: set[str] = set()
        self.settled = {book.same[one.request.key]: one for one in situation.settlements}

    def judge(self) -> None:
        for request in {self.book.same[request.key] for request in self.situation.requests}:
            self._request(request)
        self._refusals()
        self._suggestions()
        self._charges()
        self._activity()
        self._breaks()
        self.kind.planted += 1
        self.kind.right += not self.wrong
        self.kind.wrong.update(self.wrong)
        self.into.count(WHOLE, not self.wrong, 1)

    def _request(self, request: int) -> None:
        """Which lines took effect on a request, and how it stands."""
        must = self.settled.get(request)
        owed = {self.book.same[answer.key] for answer in must.answers} if must else set()
        took = self.book.effects.get(request, set())
        if took:
            self.into.count(FALSE, bool(took - owed), 1)
        if took - owed:
            self._finds(FALSE_MATCH, f"request {request} by {sorted(took - owed)}")
        right = took == owed and self._stands(request, must)
        if must is not None:
            self.into.count(MATCHED, right, 1)
            if owed - took:
                self._finds(NOT_MATCHED, f"request {request} by {sorted(owed - took)}")
            elif right and must.by:
                self.into.count(FOUND, self._passes(request) <= set(must.by), 1)
        if request in {self.book.same[key] for key in self.situation.meant}:
            self.into.count(AUTO, right and must is not None, 1)

    def _passes(self, request: int) -> set[str]:
        seen = self.book.seen.passes
        return {name for key, names in seen.items() if self.book.same[key] == request for name in names}

    def _stands(self, request: int, must: Settlement | None) -> bool:
        """Whether the request is in the right state, with the right points confirmed and taken back."""
        state = must.state if must else self.situation.states.get(request, PENDING)
        stands = self.book.stands.get(request, ("ABSENT", 0, 0))
        right = stands[0] == state and (must is None or stands[1:] == (must.points, must.reversed))
        if not right and (must is None or stands[0] in ENDED):
            self._finds(OTHER_STATE, f"request {request} is {stands}, not {state}")
        return right

    def _refusals(self) -> None:
        """Answers of the situation that the book let take no effect, and those that must not have any."""
        owed = {self.book.same[answer.key] for one in self.situation.settlements for answer in one.answers}
        told = {self.book.same[key] for key in self.situation.information}
        posted = {self.book.same[one.key] for one in self.situation.answers if one.key in self.book.seen.posted}
        for answer in posted - told:
            took, right = answer in self.book.effective, answer not in owed
            if not took:
                self.into.count(REFUSED, right, 1)
            if right:
                self.into.count(KEPT, not took, 1)

    def _suggestions(self) -> None:
        for answer, request in self.situation.suggestions.items():
            shown = {self.book.same[key]: how for key, how in self.book.seen.shown.get(answer, {}).items()}
            right = shown == {self.book.same[request]: SUGGESTED}
            self.into.count(SHOWN, right, 1)
            if not right:
                self._finds(NOT_SHOWN, f"answer {answer} is shown {shown or 'nothing'}, not request {request}")
        for answer in (one.key for one in self.situation.answers):
            suggested = [key for key, how in self.book.seen.shown.get(answer, {}).items() if how == SUGGESTED]
            owed = self.situation.suggestions.get(answer)
            for request in suggested:
                misled = owed is None or self.book.same[request] != self.book.same[owed]
                self.into.count(MISLED, misled, 1)
                if misled:
                    self._finds(WRONGLY_SHOWN, f"answer {answer} is shown request {request}")

    def _charges(self) -> None:
        """Of answers that settled and state a charge: whether a person hears of it where one must, and only there."""
        must = {key for one in self.situation.breaks if MONEY in one.codes for key in one.about}
        for answer in {answer for one in self.situation.settlements for answer in one.answers}:
            if answer.charge is not None:
                self.into.count(CHARGED, (self.book.same[answer.key] in self.book.charged) == (answer.key in must), 1)

    def _activity(self) -> None:
        """What became of lines of activity, equal ones together, and what their members hold at the end."""
        owed, became = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
        for deed in self.situation.deeds:
            group = self.book.same[deed.key]
            owed[group, self.situation.becomes.get(deed.key, BOOKED)] += 1
            became[group, self.book.seen.done.get(deed.key, "ABSENT")] += 1
        for group, state in became - owed:
            self._finds(BOOKED_WRONGLY if state == BOOKED else NOT_BOOKED, f"activity {group} is {state}")
        booked = Counter({one: times for one, times in became.items() if one[1] == BOOKED})
        self.into.count(BOOKED_FALSE, (booked - owed).total(), booked.total())
        self.into.count(TAKEN, (became & owed).total(), owed.total())
        for member, points in self.situation.left.items():
            holds = self.book.seen.left.get((self.situation.partner.name, member), 0)
            self.into.count(BALANCED, holds == points, 1)
            if holds != points:
                self._finds(OTHER_BALANCE, f"member {member} holds {holds}, not {points}")

    def _breaks(self) -> None:
        """Pair the breaks that must open with those that did; what is left over should not be."""
        keys = {self.book.one(about) for must in self.situation.breaks for about in must.about}
        keys |= {self.book.same[request.key] for request in self.situation.requests}
        keys |= {self.book.same[answer.key] for answer in self.situation.answers}
        keys |= {self.book.same[deed.key] for deed in self.situation.deeds}
        left = {id(found): found for key in keys for found in self.book.by_key.get(key, ())}
        opened = len(left)
        for must in sorted(self.situation.breaks, key=lambda one: (one.optional, len(one.about))):
            found = self._pair(must, list(left.values()))
            if found is not None:
                del left[id(found)]
            if found is not None or not must.optional:
                self._compare(must, found)
        self.into.count(STRAY, len(left), opened)
        for found in left.values():
            self._finds(MORE_BREAKS, f"B{found.code:02d} about {sorted(map(str, found.about))}")

    def _pair(self, must: Break, left: Sequence[SeenBreak]) -> SeenBreak | None:
        """Of the breaks of a right code about a right line, one that stands as it must, if there is one."""
        about = {self.book.one(key) for key in must.about}
        fitting = [
            found for found in left if found.code in must.codes and about & {self.book.one(key) for key in found.about}
        ]
        return max(fitting, key=lambda found: must.open in (None, found.open), default=None)

    def _compare(self, must: Break, found: SeenBreak | None) -> None:
        label = "/".join(f"B{code:02d}" for code in must.codes)
        self.into.count(CODES, found is not None, 1)
        if found is None:
            self._finds(NO_BREAK, f"{label} about {list(must.about)}")
            return
        stands = must.open in (None, found.open)
        self.into.count(STANDING, stands, 1)
        if not stands:
            self._finds(BREAK_STANDS, f"{label} about {list(must.about)} is {'open' if found.open else 'cleared'}")
        if must.causes and found.open and self.book.seen.tells_causes:
            right = found.cause in must.causes and must.change in found.change
            self.into.count(CAUSED, right, 1)
            self.kind.causes += Ratio(int(right), 1)
            if not right:
                self._finds(
                    f"cause {found.cause}",
                    f"{label} about {list(must.about)}, not {'/'.join(must.causes)} {must.change}",
                )

    def _finds(self, what: str, detail: str) -> None:
        if not what.startswith("cause"):
            self.wrong.add(what)
        one = self.situation
        self.into.findings.append(Finding(self.seed, one.kind, one.partner.name, one.number, what, detail))
