"""A month of two partners' files, day by day: in order and late, twice and renamed, wrong, held, and merged.

Here: what arrives on which day. Each entry of ``plan`` is one thing that somebody does on a day, before the night; add
to it what a month should also have. Not here: what must hold afterwards.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random
from typing import Final

import polars as pl

from pipelines.demo import northstar
from tests.plugins.homes import MONDAY, Office, skybridge_handback, skybridge_requests

DAYS: Final = tuple(MONDAY + timedelta(days=number) for number in range(30))
MEMBERS: Final = ("1111111111", "2222222222", "3333333333", "4444444444")
SATURDAY: Final = 6

Act = Callable[[Office], object]
Plan = dict[date, list[Act]]


def plan(seed: int = 20261116) -> Plan:
    """What happens on each of DAYS."""
    random = Random(seed)
    acts: Plan = {day: [] for day in DAYS}
    acts[MONDAY].append(lambda office: office.begin([(member, 20_000) for member in MEMBERS]))
    for day, act in [*_skybridge(random), *_northstar(random)]:
        if day in acts:
            acts[day].append(act)
    return acts


def play(office: Office, acts: Plan) -> None:
    """Live through the month, a night after each day."""
    for day in DAYS:
        for act in acts[day]:
            act(office)
        office.book_day(day)


def _put(path: str, content: str | bytes) -> Act:
    return lambda office: office.put(path, content)


def _skybridge(random: Random) -> Iterator[tuple[date, Act]]:
    waiting: list[tuple[str, int]] = []
    for number, day in enumerate(day for day in DAYS if day.isoweekday() in (1, 3, 5)):
        asked = [(f"{day:%m%d}{row:02d}", random.randrange(10, 400), random.choice(MEMBERS)) for row in range(8)]
        if number % 5 == 3:  # one that was asked before, and one that nobody can pay
            asked += [(waiting[0][0], waiting[0][1], MEMBERS[0]), (f"{day:%m%d}99", 90_000, MEMBERS[1])]
        yield day, _put(f"skybridge/outgoing/SKYBRIDGE_{day:%Y%m%d}.txt", skybridge_requests(day, asked))
        name = f"skybridge/incoming/SKYBRIDGE_{day:%Y%m%d}.HANDBACK.txt"
        answers = [_answer(random, *request) for request in waiting if random.random() < 0.9]
        if number % 4 == 2:
            answers += [(f"9{number:05d}", 77, "0000"), answers[0], (f"{day + timedelta(days=1):%m%d}00", 50, "0000")]
        content = skybridge_handback(day, answers)
        late = timedelta(days=2 if number % 7 == 5 else 0)
        yield day + late, _put(name, content)
        if number % 6 == 3:  # the same file again, and once more under another day's name
            yield day + late + timedelta(days=1), _put(name, content)
            stray = day + timedelta(days=SATURDAY - day.isoweekday())
            yield stray, _put(f"skybridge/incoming/SKYBRIDGE_{stray:%Y%m%d}.HANDBACK.txt", content)
        if number == 7:  # other content for a day that has posted
            yield day + timedelta(days=1), _put(name, skybridge_handback(day, answers[1:]))
        if number == 10:  # a file with more bad rows than the layout bears, and then a good one
            good = day + timedelta(days=1)
            path = f"skybridge/incoming/SKYBRIDGE_{good:%Y%m%d}.HANDBACK.txt"
            yield good, _put(path, skybridge_handback(good, [(f"x{row}", 5, "7777") for row in range(20)]))
            yield good + timedelta(days=1), _put(path, skybridge_handback(good, [(waiting[0][0], 5, "0000")]))
        waiting = [(ref, points) for ref, points, _ in asked[:8]]


def _answer(random: Random, ref: str, points: int) -> tuple[str, int, str]:
    chance = random.random()
    if chance < 0.1:
        return ref, points, "0001"
    if chance < 0.2:
        return ref, points, "0099"
    return ref, points + (chance < 0.25), "0000"


def _northstar(random: Random) -> Iterator[tuple[date, Act]]:
    """A numbered file every fifth day; number 13 comes before number 12."""
    for turn, day in enumerate(DAYS[1::5]):
        number = 11 + turn
        rows = pl.DataFrame(
            {
                "ref": [str(number * 100 + row) for row in range(6)],
                "member": [f"{80_000_000_000 + row}" for row in range(6)],
                "points": [random.randrange(50, 500) for _ in range(6)],
                "sent": [day] * 6,
                "says": ["", "", "E:5", "W", "M", ""],
                "merge_to": [" " * 11] * 4 + [f"{85_000_000_000 + number}", " " * 11],
            }
        )
        out, back = (f"northstar/{folder}/NSTR{number:04d}" for folder in ("outgoing", "incoming"))
        sent = day + timedelta(days=6) if number == 12 else day
        for path, content in ((out, northstar.request_file(rows, day, number)), (f"{out}.done", b"")):
            yield sent, _put(path, content)
        answered = day + timedelta(days=1)
        yield answered, _put(back, northstar.handback_file(rows.head(5), answered, number, declared_off=0))
