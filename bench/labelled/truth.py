"""What a labelled plan holds: the lines of both sides and what is true of them.

Here: requests, answers, activity, and the truth as plain values. Not here: how a kind makes them (``stage``,
``kinds``), their bytes (``write``) or what the book made of them (``seen``, ``score``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from bench.labelled import days

EXACT: Final = "EXACT"
DATE_WINDOW: Final = "DATE_WINDOW"
TOLERANCE: Final = "TOLERANCE"
SPLIT: Final = "SPLIT"
NETTED: Final = "NETTED"
THEIRS_FIRST: Final = "THEIRS_FIRST"
"""Passes that settle."""

CONFIRMED: Final = "CONFIRMED"
REJECTED: Final = "REJECTED"
REVERSED: Final = "REVERSED"
PENDING: Final = "PENDING"
HELD: Final = "HELD"
SHORT: Final = "SHORT"
ABSENT: Final = "ABSENT"
"""States in which a request can be left; ABSENT: the book never took it."""

ACCRUAL: Final = "accrual"
REDEMPTION: Final = "redemption"

ENDED: Final = (CONFIRMED, REJECTED, REVERSED)

BOOKED: Final = "BOOKED"
WAITING: Final = "WAITING"
REPEATED: Final = "REPEATED"
REFUSED: Final = "REFUSED"
"""What becomes of activity: it moves the member's points; it waits, for the member has not so many; it says again what
was said; it contradicts what was said."""


@dataclass(frozen=True)
class Partner:
    """A partner of the run: ``lenient`` has every tolerance and group on, the other none; see their layouts."""

    name: str
    prefix: str
    lenient: bool
    answer_due_days: int

    @property
    def feeds(self) -> tuple[str, str]:
        return f"{self.name}_requests", f"{self.name}_handback"


MEADOWLARK: Final = Partner("meadowlark", "ML", lenient=True, answer_due_days=14)
TIDEWATER: Final = Partner("tidewater", "TW", lenient=False, answer_due_days=3)
PARTNERS: Final = (MEADOWLARK, TIDEWATER)

TOLERANCE_POINTS: Final = 3
TOLERANCE_BASIS_POINTS: Final = 50
TOLERANCE_MONTHLY: Final = 900
SPLIT_MAX: Final = 5
NET_MAX: Final = 5
EARLY_DAYS: Final = 1
LATE_DAYS: Final = 5
"""What meadowlark's layout says."""


@dataclass(frozen=True)
class Request:
    """One line of a requests file; ``key`` is unique in the plan, ``file_day`` names the file."""

    key: int
    partner: Partner
    file_day: date
    ref: str
    member: str
    points: int
    dated: date

    @property
    def says(self) -> tuple[object, ...]:
        """All that its line shows: equal lines of one file cannot be told apart."""
        return self.partner.name, self.file_day, self.ref, self.member, self.points, self.dated

    @property
    def comes_on(self) -> date:
        return self.file_day


@dataclass(frozen=True)
class Answer:
    """One line of a hand-back. ``charge``: in cents, if it states one. ``version`` 2 stands in the file that corrects
    the first of its day."""

    key: int
    partner: Partner
    file_day: date
    ref: str | None
    member: str | None
    points: int
    outcome: str
    reason: str
    dated: date
    merged_to: str | None
    charge: int | None
    version: int

    @property
    def says(self) -> tuple[object, ...]:
        """All that its line shows, and in which file."""
        file = (self.partner.name, self.file_day, self.version)
        said = (self.ref, self.member, self.points, self.outcome, self.reason, self.dated, self.merged_to, self.charge)
        return file + said

    @property
    def comes_on(self) -> date:
        return comes_on(self.partner, self.file_day, self.version)


@dataclass(frozen=True)
class Deed:
    """One line of an activity file: what a member did at the partner. ``points`` below 0 take it back."""

    key: int
    partner: Partner
    file_day: date
    ref: str | None
    member: str
    activity: str
    points: int
    dated: date

    @property
    def says(self) -> tuple[object, ...]:
        """All that its line shows, and in which file."""
        said = (self.ref, self.member, self.activity, self.points, self.dated)
        return "activity", self.partner.name, self.file_day, *said

    @property
    def gains(self) -> int:
        """Points that the member has more when it is booked."""
        return self.points if self.activity == ACCRUAL else -self.points


def comes_on(partner: Partner, file_day: date, version: int = 1) -> date:
    """The day on which the bytes of a hand-back that count arrive."""
    late = file_day == days.LATE or (file_day == days.DAMAGED and not partner.lenient)
    return file_day + timedelta(days=2 if late else version - 1)


@dataclass(frozen=True)
class Settlement:
    """A request and the lines that had to take effect on it: all of them, and no other.

    ``by``: passes that may have found them; none says that it does not matter. ``points``: what stands confirmed.
    """

    request: Request
    answers: tuple[Answer, ...]
    by: tuple[str, ...]
    state: str
    points: int
    reversed: int


@dataclass(frozen=True)
class Break:
    """A break that had to open. ``about``: keys of lines (or feed and day of a file), one of which must be its own.

    ``codes``: any of these is right. ``open``: how it must stand at the end, None where either is right. ``causes``:
    any of these is right; none says that it is not judged. ``change``: words that the change must have in it which
    would clear it. ``optional``: right if it is there, right if it is not.
    """

    codes: tuple[int, ...]
    about: tuple[int | str, ...]
    open: bool | None
    causes: tuple[str, ...] = ()
    optional: bool = False
    change: str = ""


@dataclass
class Situation:
    """One planted situation: its lines and its truth. Lines that settle nothing here must settle nothing."""

    kind: str
    partner: Partner
    number: int
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    """States, by key, of requests that nothing settles, where they are not PENDING."""
    suggestions: dict[int, int] = field(default_factory=dict)
    """Answer → the one request that a person must be shown."""
    meant: set[int] = field(default_factory=set)
    """Requests that the partner did answer, rightly written or not."""
    information: set[int] = field(default_factory=set)
    """Answers that settle nothing because there is nothing to settle: neither settled nor refused."""
    deeds: list[Deed] = field(default_factory=list)
    becomes: dict[int, str] = field(default_factory=dict)
    """Activity, by key, that is not simply BOOKED."""
    holds: dict[str, int] = field(default_factory=dict)
    """What members hold at first of whom there is activity."""
    left: dict[str, int] = field(default_factory=dict)
    """What they must hold at the end."""


@dataclass(frozen=True)
class Merge:
    """A row of a members file."""

    partner: Partner
    day: date
    member: str
    survivor: str


@dataclass(frozen=True)
class Plan:
    """Everything of one seed. ``balances``: what each member holds at first, by partner and member."""

    seed: int
    situations: Sequence[Situation]
    merges: Sequence[Merge]
    balances: Mapping[tuple[str, str], int]

    @property
    def requests(self) -> list[Request]:
        return [request for situation in self.situations for request in situation.requests]

    @property
    def answers(self) -> list[Answer]:
        return [answer for situation in self.situations for answer in situation.answers]

    @property
    def deeds(self) -> list[Deed]:
        return [deed for situation in self.situations for deed in situation.deeds]
