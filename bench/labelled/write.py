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

from bench.labelled import days
from bench.labelled.truth import MEADOWLARK, PARTNERS, Answer, Merge, Partner, Plan, Request, comes_on

OUTCOMES: Final = {"accepted": "A", "rejected": "R", "held": "H", "reversed": "V"}
REQUEST_BYTES: Final = 60
ANSWER_BYTES: Final = 80
"""Tidewater's record lengths."""

RATES: Final = "basis,currency,minor,per_points,effective_from\n" + "".join(
    f"{basis},EUR,60,100,2026-01-01\n" for basis in ("programme", *(partner.name for partner in PARTNERS))
)


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
    made = [*_opening(plan), *_members(plan.merges)]
    asked: dict[tuple[Partner, date], list[Request]] = defaultdict(list)
    answered: dict[tuple[Partner, date, int], list[Answer]] = defaultdict(list)
    for request in plan.requests:
        asked[request.partner, request.file_day].append(request)
    for answer in plan.answers:
        answered[answer.partner, answer.file_day, answer.version].append(answer)
    for partner in PARTNERS:
        for day in days.DAYS:
            if day.isoweekday() <= days.SATURDAY:
                made.append(_requests(partner, day, _shuffled(asked[partner, day], random)))
                made += _handbacks(partner, day, _shuffled(answered[partner, day, 1], random))
        made.append(_handback(partner, days.CORRECTED, 2, _shuffled(answered[partner, days.CORRECTED, 2], random)))
    return sorted(made, key=lambda file: (file.arrives, file.path))


def _shuffled(lines: Sequence[Request] | Sequence[Answer], random: Random) -> list[Request | Answer]:
    return random.sample(lines, len(lines))


def _opening(plan: Plan) -> Iterator[File]:
    rows = "".join(
        f"balance,member,{member},{partner},,{points},{days.FIRST}\n"
        for (partner, member), points in sorted(plan.balances.items())
    )
    content = f"entry,account,owner,partner,ref,points,value_date\n{rows}"
    yield File(f"opening/opening_{days.FIRST:%Y%m%d}.csv", days.FIRST, content.encode(), {})
    yield File(f"rates/rates_{days.FIRST:%Y%m%d}.csv", days.FIRST, RATES.encode(), {})


def _members(merges: Sequence[Merge]) -> Iterator[File]:
    for day in sorted({merge.day for merge in merges}):
        rows = "".join(
            f"{merge.partner.name},{merge.member},{merge.survivor},{merge.day}\n"
            for merge in merges
            if merge.day == day
        )
        content = f"partner,member,survivor,value_date\n{rows}"
        yield File(f"members/members_{day:%Y%m%d}.csv", day, content.encode(), {})


def _requests(partner: Partner, day: date, lines: Sequence[Request | Answer]) -> File:
    name = f"ML_REQ_{day:%Y%m%d}.txt" if partner is MEADOWLARK else f"TW{day:%Y%m%d}.REQ"
    return _file(f"{partner.name}/outgoing/{name}", day, day, lines, partner=partner)


def _handbacks(partner: Partner, day: date, lines: Sequence[Request | Answer]) -> Iterator[File]:
    """The file of a day; where its total is wrong at first, that one and the right one."""
    if day == days.DAMAGED and not partner.lenient:
        damaged = _handback(partner, day, 1, lines, off=1)
        yield File(damaged.path, day, damaged.content, {})
    yield _handback(partner, day, 1, lines)


def _handback(partner: Partner, day: date, version: int, lines: Sequence[Request | Answer], *, off: int = 0) -> File:
    name = f"ML_ANS_{day:%Y%m%d}.txt" if partner is MEADOWLARK else f"TW{day:%Y%m%d}.ANS"
    path = f"{partner.name}/incoming/{name}"
    return _file(path, day, comes_on(partner, day, version), lines, partner=partner, answers=True, off=off)


def _file(
    path: str,
    day: date,
    arrives: date,
    lines: Sequence[Request | Answer],
    *,
    partner: Partner,
    answers: bool = False,
    off: int = 0,
) -> File:
    """``off``: by how much the declared total is wrong."""
    if partner is MEADOWLARK:
        first = "ref|member|points|result|reason|processed|merged to" if answers else "ref|member|points|date"
        rows = [first, *(_columns(line) for line in lines)]
    else:
        length = ANSWER_BYTES if answers else REQUEST_BYTES
        total = sum(line.points for line in lines) + off
        header = f"H{day:%Y%m%d}{len(lines):010d}{total:>15d}"
        rows = [row.ljust(length) for row in (header, *(_positions(line) for line in lines))]
    content = "".join(f"{row}\n" for row in rows).encode()
    return File(path, arrives, content, {number: line.key for number, line in enumerate(lines, start=2)})


def _columns(line: Request | Answer) -> str:
    if isinstance(line, Request):
        return f"{line.ref}|{line.member}|{line.points}|{line.dated}"
    shown = (line.ref, line.member, line.points, OUTCOMES[line.outcome], line.reason, line.dated, line.merged_to)
    return "|".join("" if value is None else str(value) for value in shown)


def _positions(line: Request | Answer) -> str:
    both = f"D{line.ref or '':16}{line.member or '':12}{line.points:>10d}"
    if isinstance(line, Request):
        return f"{both}{line.dated:%Y%m%d}"
    return f"{both}{OUTCOMES[line.outcome]}{line.reason:4}{line.dated:%Y%m%d}{line.merged_to or '':12}"
