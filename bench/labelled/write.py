"""The files of a plan in the partners' own layouts, in an order of lines that means nothing, and when each arrives.

Here: bytes, names and days of arrival, and which line of which bytes is which line of the plan. Not here: what the
lines say (``kinds``) or putting them where the program finds them (``run``).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from random import Random
from typing import Final

from bench.labelled import days, prices
from bench.labelled.truth import ACCRUAL, MEADOWLARK, PARTNERS, Answer, Deed, Merge, Partner, Plan, Request, comes_on

Line = Request | Answer | Deed

OUTCOMES: Final = {"accepted": "A", "rejected": "R", "held": "H", "reversed": "V"}

HEADS: Final[Mapping[type[Line], str]] = {
    Request: "ref|member|points|date",
    Answer: "ref|member|points|result|reason|processed|merged to|charge",
    Deed: "ref|member|points|date|what",
}
"""Meadowlark's names of columns."""

LENGTHS: Final[Mapping[type[Line], int]] = {Request: 60, Answer: 80, Deed: 60}
"""Tidewater's record lengths."""

RATES_HEAD: Final = "basis,currency,minor,per_points,effective_from\n"
PROGRAMME: Final = "programme,EUR,60,100,2026-01-01\n"


@dataclass(frozen=True)
class File:
    """A file below the inbox as it arrives: ``keys`` of the plan by line number, from 1."""

    path: str
    arrives: date
    content: bytes
    keys: Mapping[int, int]

    @property
    def sha(self) -> str:
        """By it a posting names the bytes that it posted."""
        return sha256(self.content).hexdigest()


def files(plan: Plan) -> list[File]:
    """Every file of a plan, in the order in which it arrives."""
    random = Random(plan.seed)  # noqa: S311 (the same files again from the same seed)
    made = [_opening(plan), *_rates(), *_members(plan.merges)]
    asked: dict[tuple[Partner, date], list[Request]] = defaultdict(list)
    done: dict[tuple[Partner, date], list[Deed]] = defaultdict(list)
    answered: dict[tuple[Partner, date, int], list[Answer]] = defaultdict(list)
    for request in plan.requests:
        asked[request.partner, request.file_day].append(request)
    for answer in plan.answers:
        answered[answer.partner, answer.file_day, answer.version].append(answer)
    for deed in plan.deeds:
        done[deed.partner, deed.file_day].append(deed)
    for partner in PARTNERS:
        for day in days.DAYS:
            if day.isoweekday() <= days.SATURDAY:
                made.append(_requests(partner, day, _shuffled(asked[partner, day], random)))
                made.append(_activity(partner, day, _shuffled(done[partner, day], random)))
                made += _handbacks(partner, day, _shuffled(answered[partner, day, 1], random))
        made.append(_handback(partner, days.CORRECTED, 2, _shuffled(answered[partner, days.CORRECTED, 2], random)))
    return sorted(made, key=lambda file: (file.arrives, file.path))


def _shuffled(lines: Sequence[Line], random: Random) -> list[Line]:
    return random.sample(lines, len(lines))


def _opening(plan: Plan) -> File:
    rows = "".join(
        f"balance,member,{member},{partner},,{points},{days.FIRST}\n"
        for (partner, member), points in sorted(plan.balances.items())
    )
    content = f"entry,account,owner,partner,ref,points,value_date\n{rows}"
    return File(f"opening/opening_{days.FIRST:%Y%m%d}.csv", days.FIRST, content.encode(), {})


def _rates() -> Iterator[File]:
    """Our own prices, each in the file of the day on which it is told."""
    for day in sorted({one.told for of in prices.PRICES.values() for one in of}):
        rows = "".join(
            f"{partner},EUR,{one.cents},{prices.PER},{one.since}\n"
            for partner, of in prices.PRICES.items()
            for one in of
            if one.told == day
        )
        content = f"{RATES_HEAD}{PROGRAMME if day == days.FIRST else ''}{rows}"
        yield File(f"rates/rates_{day:%Y%m%d}.csv", day, content.encode(), {})


def _members(merges: Sequence[Merge]) -> Iterator[File]:
    for day in sorted({merge.day for merge in merges}):
        rows = "".join(
            f"{merge.partner.name},{merge.member},{merge.survivor},{merge.day}\n"
            for merge in merges
            if merge.day == day
        )
        content = f"partner,member,survivor,value_date\n{rows}"
        yield File(f"members/members_{day:%Y%m%d}.csv", day, content.encode(), {})


def _requests(partner: Partner, day: date, lines: Sequence[Line]) -> File:
    name = f"ML_REQ_{day:%Y%m%d}.txt" if partner is MEADOWLARK else f"TW{day:%Y%m%d}.REQ"
    return _file(f"{partner.name}/outgoing/{name}", day, day, lines, partner=partner, of=Request)


def _activity(partner: Partner, day: date, lines: Sequence[Line]) -> File:
    name = f"ML_ACT_{day:%Y%m%d}.txt" if partner is MEADOWLARK else f"TW{day:%Y%m%d}.ACT"
    return _file(f"{partner.name}/activity/{name}", day, day, lines, partner=partner, of=Deed)


def _handbacks(partner: Partner, day: date, lines: Sequence[Line]) -> Iterator[File]:
    """The file of a day; where its total is wrong at first, that one and the right one."""
    if day == days.DAMAGED and not partner.lenient:
        damaged = _handback(partner, day, 1, lines, off=1)
        yield File(damaged.path, day, damaged.content, {})
    yield _handback(partner, day, 1, lines)


def _handback(partner: Partner, day: date, version: int, lines: Sequence[Line], *, off: int = 0) -> File:
    name = f"ML_ANS_{day:%Y%m%d}.txt" if partner is MEADOWLARK else f"TW{day:%Y%m%d}.ANS"
    path = f"{partner.name}/incoming/{name}"
    return _file(path, day, comes_on(partner, day, version), lines, partner=partner, of=Answer, off=off)


def _file(
    path: str, day: date, arrives: date, lines: Sequence[Line], *, partner: Partner, of: type[Line], off: int = 0
) -> File:
    """``off``: by how much the declared total is wrong."""
    if partner is MEADOWLARK:
        rows = [HEADS[of], *(_columns(line) for line in lines)]
    else:
        total = sum(line.points for line in lines) + off
        header = f"H{day:%Y%m%d}{len(lines):010d}{total:>15d}"
        rows = [row.ljust(LENGTHS[of]) for row in (header, *(_positions(line) for line in lines))]
    content = "".join(f"{row}\n" for row in rows).encode()
    return File(path, arrives, content, {number: line.key for number, line in enumerate(lines, start=2)})


def _columns(line: Line) -> str:
    shown: tuple[object, ...] = (line.ref, line.member, line.points)
    if isinstance(line, Answer):
        shown += (OUTCOMES[line.outcome], line.reason, line.dated, line.merged_to, line.charge)
    else:
        shown += (line.dated, line.activity) if isinstance(line, Deed) else (line.dated,)
    return "|".join("" if value is None else str(value) for value in shown)


def _positions(line: Line) -> str:
    both = f"D{line.ref or '':16}{line.member or '':12}{line.points:>10d}"
    if isinstance(line, Answer):
        charge = "" if line.charge is None else line.charge
        return f"{both}{OUTCOMES[line.outcome]}{line.reason:4}{line.dated:%Y%m%d}{line.merged_to or '':12}{charge:>10}"
    what = ("+" if line.activity == ACCRUAL else "-") if isinstance(line, Deed) else ""
    return f"{both}{line.dated:%Y%m%d}{what}"
