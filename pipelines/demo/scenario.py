"""The demo week as files, in the order in which they arrive, with what was planted in them.

Here: which file comes on which day, and the count of every planted trouble. Not here: how many stories there are
(``plan``), the rows they make (``story``), a partner's bytes (``northstar``, ``skybridge``) or delivering anything.
"""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import chain
from typing import Final

import polars as pl

from counterfoil.invariants import require
from counterfoil.settings import INBOX
from pipelines.demo import northstar, skybridge
from pipelines.demo.plan import (
    CUTOVER,
    DAYS,
    EXPECTATIONS,
    FILES,
    FRIDAY,
    GENERAL_LEDGER,
    MONDAY,
    NORTHSTAR_ANSWERS,
    RECORDS_MIN,
    SKYBRIDGE_ANSWERS,
    THURSDAY,
    TUESDAY,
    UNREADABLE,
    WEDNESDAY,
    by_report,
    plan,
)
from pipelines.demo.story import answers, noise, stories

SEED: Final = 20_261_120

NORTHSTAR_OUT, NORTHSTAR_IN = "northstar/outgoing", "northstar/incoming"
SKYBRIDGE_OUT, SKYBRIDGE_IN = "skybridge/outgoing", "skybridge/incoming"

SHORT_BALANCE: Final = 10
"""Points of a member who asks for more: every request is for at least 50."""


@dataclass(frozen=True)
class DemoFile:
    """One file as it arrives on ``day``.

    ``marker``: a marker file comes right behind it; ``complete`` is false for one whose sender is still at it.
    ``plants`` is the kind of trouble the file itself stands for, or empty.
    """

    connection: str
    folder: str
    name: str
    data: bytes
    day: date
    marker: bool = False
    complete: bool = True
    plants: str = ""


@dataclass(frozen=True)
class Scenario:
    """A week: ``opening`` and ``rates`` come first, then ``files`` day by day in this order.

    ``records`` counts the records of the last day's hand-backs, both partners together; ``planted`` counts what was
    made, by the kinds of ``plan.EXPECTATIONS``.
    """

    records: int
    days: tuple[date, ...]
    opening: DemoFile
    rates: DemoFile
    files: tuple[DemoFile, ...]
    planted: dict[str, int]


@dataclass(frozen=True)
class _Week:
    """Stories and answers of both partners."""

    north: pl.DataFrame
    north_answers: pl.DataFrame
    sky: pl.DataFrame
    sky_answers: pl.DataFrame


def build(records: int, seed: int = SEED) -> Scenario:
    """The week whose last hand-backs have ``records`` records, at least RECORDS_MIN. Same arguments, same bytes."""
    require(records >= RECORDS_MIN, f"a demo has at least {RECORDS_MIN} records")
    planned = plan(records)
    north = stories(planned.northstar, northstar.NUMBERS, seed)
    sky = stories(planned.skybridge, skybridge.NUMBERS, seed)
    week = _Week(
        north,
        northstar.merged(answers(north, NORTHSTAR_ANSWERS), north),
        sky,
        answers(sky, SKYBRIDGE_ANSWERS),
    )
    files = tuple(file for day in DAYS for file in (*_northstar_day(week, day), *_skybridge_day(week, day)))
    return Scenario(
        records=records,
        days=DAYS,
        opening=_own("opening", _opening(week, seed)),
        rates=_own("rates", _rates()),
        files=files,
        planted=_planted(week, files),
    )


def expected(scenario: Scenario) -> dict[str, int]:
    """What must be found, by kind: from the plan alone, not from the files."""
    alone = (UNREADABLE, FILES, GENERAL_LEDGER)
    counts = plan(scenario.records).stories + Counter(chain(*alone)) + Counter(empty_day=1)
    return {kind: counts[kind] for kind in EXPECTATIONS}


def _planted(week: _Week, files: tuple[DemoFile, ...]) -> dict[str, int]:
    """What the rows and files hold, counted. A day's missing hand-back is found by its absence."""
    kinds = pl.concat([week.north["kind"], week.sky["kind"]]).value_counts().rows()
    came = {(file.folder, file.day) for file in files}
    missing = sum((folder, day) not in came for folder in (NORTHSTAR_IN, SKYBRIDGE_IN) for day in DAYS)
    later = Counter(GENERAL_LEDGER.keys())  # the extract is made of the journals that the week leads to
    counts = by_report([dict(kinds), Counter(file.plants for file in files), Counter(UNREADABLE.keys()), later])
    counts.update(missing_file=missing, late_file=counts["replaced_file"])
    return {kind: counts[kind] for kind in EXPECTATIONS}


def _northstar_day(week: _Week, day: date) -> Iterator[DemoFile]:
    """Northstar's files of a day: what comes back, then what goes out.

    Wednesday's hand-back states a wrong total and is sent again, mended, on Thursday morning.
    """
    number = northstar.sequence(day)
    if day == THURSDAY:
        yield replace(_northstar_back(week, WEDNESDAY, declared_off=0), day=day, plants="replaced_file")
    if day == WEDNESDAY:
        yield replace(_northstar_back(week, day, declared_off=1), plants="wrong_control_total")
    else:
        yield _northstar_back(week, day, declared_off=0)
    requests = week.north.filter(pl.col("sent") == day)
    sent = DemoFile(
        INBOX, NORTHSTAR_OUT, northstar.file_name(number), northstar.request_file(requests, day, number), day
    )
    yield replace(sent, marker=True)
    if day == FRIDAY:
        following = northstar.request_file(requests, day, number + 1)
        yield replace(
            sent,
            name=northstar.file_name(number + 1),
            data=following[: len(following) * 2 // 3],
            complete=False,
            plants="half_uploaded_file",
        )


def _northstar_back(week: _Week, day: date, *, declared_off: int) -> DemoFile:
    """The file that went out the day before, coming back."""
    number = northstar.sequence(day) - 1
    rows = week.north_answers.filter(pl.col("day") == day)
    data = northstar.handback_file(rows, day, number, declared_off=declared_off)
    return DemoFile(INBOX, NORTHSTAR_IN, northstar.file_name(number), data, day)


def _skybridge_day(week: _Week, day: date) -> Iterator[DemoFile]:
    """Skybridge's files of a day. On Monday and Thursday it has nothing to answer; on Wednesday it forgets to.

    On Friday Tuesday's answers come once more, under Wednesday's name, and a file that nobody knows.
    """
    if day != WEDNESDAY:
        yield _skybridge_back(week, day)
    if day == FRIDAY:
        again = _skybridge_back(week, TUESDAY)
        yield replace(again, name=skybridge.file_name(WEDNESDAY, back=True), day=day, plants="renamed_replay")
        stray = b"Please see the hand-back of Wednesday, which follows.\n"
        yield DemoFile(INBOX, SKYBRIDGE_IN, "READ_ME_FIRST.txt", stray, day, plants="unclaimed_file")
    # A request sent twice goes out the next day again, under its old reference.
    twice = (pl.col("kind") == "duplicate_request") & (pl.col("sent") == day - timedelta(days=1))
    requests = week.sky.filter((pl.col("sent") == day) | twice)
    yield DemoFile(INBOX, SKYBRIDGE_OUT, skybridge.file_name(day, back=False), skybridge.request_file(requests), day)


def _skybridge_back(week: _Week, day: date) -> DemoFile:
    rows = week.sky_answers.filter(pl.col("day") == day)
    data = skybridge.handback_file(rows, day)
    if day == FRIDAY:
        waiting = week.sky.filter((pl.col("kind") == "in_transit") & (pl.col("sent") == THURSDAY))
        data += b"".join(skybridge.unreadable_rows(waiting).values())
    name = skybridge.file_name(day, back=True)
    return DemoFile(INBOX, SKYBRIDGE_IN, name, data, day, plants="" if rows.height else "empty_day")


def _own(feed: str, table: pl.DataFrame) -> DemoFile:
    """A file of the programme itself, there before the first day's others."""
    buffer = io.BytesIO()
    table.write_csv(buffer)
    return DemoFile(INBOX, feed, f"{feed}_{MONDAY:%Y%m%d}.csv", buffer.getvalue(), MONDAY)


def _opening(week: _Week, seed: int) -> pl.DataFrame:
    """Balances at cut-over that cover every request but those planted to be short, payables, and open requests."""
    short = pl.col("kind") == "balance_short"
    asked = (
        week.sky.filter(pl.col("sent").is_not_null())
        .group_by("member")
        .agg(asked=pl.col("points").sum(), short=short.any())
    )
    members = asked.sort("member").with_columns(spare=noise(seed, 0, asked.height) % 20_000)
    balance = pl.when("short").then(SHORT_BALANCE).otherwise(pl.col("asked") + pl.col("spare").cast(pl.Int64))
    common = {"entry": pl.lit("balance"), "ref": pl.lit(None, pl.String), "value_date": pl.lit(CUTOVER)}
    columns = ("entry", "account", "owner", "partner", "ref", "points", "value_date")
    payable = pl.DataFrame({"partner": ["northstar", "skybridge"], "points": [48_250, 131_700]})
    parts = [
        members.select(owner="member", account=pl.lit("member"), partner=pl.lit("skybridge"), points=balance, **common),
        payable.with_columns(owner=pl.lit(None, pl.String), account=pl.lit("payable"), **common),
        week.north.filter(pl.col("sent") == CUTOVER).select(
            "ref",
            "points",
            owner="member",
            account=pl.lit("issued"),
            partner=pl.lit("northstar"),
            entry=pl.lit("item"),
            value_date="sent",
        ),
    ]
    return pl.concat([part.select(columns) for part in parts])


def _rates() -> pl.DataFrame:
    """What 1,000 points are worth, in cents: to the programme, and to each partner."""
    return pl.DataFrame(
        {
            "basis": ["programme", "northstar", "skybridge"],
            "currency": "EUR",
            "minor": [800, 850, 725],
            "per_points": 1000,
            "effective_from": CUTOVER,
        }
    )
