"""What history costs: posting one ordinary day, proving, replaying and opening the book, with 1, 10 and 100 days in it.

Here: homes with a history of each size, posted by the product itself, and turns over them. Not here: the yardstick
(``run``), or what a day's files hold (``inputs``).
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import polars as pl

from bench.inputs import make_day, make_members
from bench.places import REQUESTED, SETTINGS, Places, make_data_folder
from bench.run import bind, positive, say
from counterfoil import journey
from counterfoil.invariants import require
from counterfoil.ledger import audit as form
from counterfoil.ledger.store import Book
from counterfoil.ledger.tables import BOOK_SCHEMA, TABLES, empty
from counterfoil.settings import INBOX, Settings, load_settings
from counterfoil.steps.audit import audit
from counterfoil.steps.close import close_days
from counterfoil.steps.desk import ProofDesk
from counterfoil.steps.replay import replay
from pipelines.wiring import open_desk, proof_desk

RECORDS: Final = 2_000
SIZES: Final = (1, 10, 100)
TURNS: Final = 5
FILE_DAYS: Final = 10
"""Ordinary days that one file of the history stands for, so that a long history is made in seconds."""
OPENINGS: Final = 20
PROOFS: Final = 3
DIGEST_RECORDS: Final = 2_000_000
FEEDS: Final = ("bench_requests", "bench_handback")

Seconds = dict[str, float]


@dataclass
class Home:
    """A home that grows: days and requests posted so far."""

    root: Path
    days: int = 0
    records: int = 0


@dataclass(frozen=True)
class Size:
    """A home with so many days: medians in seconds. ``stages`` are those of one day, and within its postings."""

    days: int
    entries: int
    postings: int
    day: float
    stages: Mapping[str, float]
    verify: float
    replay: float
    opening: float


@dataclass(frozen=True)
class Result:
    """Every size, and by days its cost beside the first size: of a day, of opening the book, of verifying an entry, of
    replaying one. ``digest``: seconds for a posting of DIGEST_RECORDS records."""

    records: int
    cores: int
    sizes: Sequence[Size]
    day_ratio: Mapping[int, float]
    open_ratio: Mapping[int, float]
    verify_ratio: Mapping[int, float]
    replay_ratio: Mapping[int, float]
    verify_million: float
    digest: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench history", description="What history costs, as ratios.")
    parser.add_argument("--records", type=positive, default=RECORDS, help="requests, and answers, of one day")
    parser.add_argument("--sizes", type=positive, nargs="+", default=SIZES, help="days of history, rising")
    parser.add_argument("--turns", type=positive, default=TURNS, help="days posted on each size, in turn")
    parser.add_argument("--cores", type=positive, default=2, help="processor cores to use")
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure; what is put there is removed again")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    given = parser.parse_args(arguments)
    cores = bind(given.cores)
    with tempfile.TemporaryDirectory(prefix="counterfoil-history-", dir=given.work) as root:
        places = Places(Path(root))
        make_data_folder(places)
        homes = build(places, given.records, sorted(given.sizes))
        sizes = measure(places, homes, given.records, given.turns)
    result = summed_up(given.records, cores, sizes, digest_seconds())
    print(json.dumps(asdict(result), sort_keys=True, indent=2) if given.format == "json" else table(result))
    return 0


def build(places: Places, records: int, sizes: Sequence[int]) -> dict[int, Home]:
    """A home for each size, its history posted in files of up to FILE_DAYS ordinary days each."""
    opening = places.root / "opening"
    make_members(opening, records * FILE_DAYS, max(sizes))
    homes = {}
    for size in sizes:
        say(f"posting a history of {size} ordinary days")
        homes[size] = Home(places.root / f"days-{size}")
        shutil.copytree(opening, homes[size].root / INBOX)
        (homes[size].root / "counterfoil.yaml").write_text(SETTINGS)
        for _ in range(0, size, FILE_DAYS):
            post_day(places, homes[size], records * min(size, FILE_DAYS), defaultdict(list))
    return homes


def post_day(places: Places, home: Home, records: int, seconds: dict[str, list[float]]) -> None:
    """The next day, from its files to its close."""
    day = REQUESTED + timedelta(days=home.days)
    for folder in ("outgoing", "incoming"):
        shutil.rmtree(home.root / INBOX / "bench" / folder, ignore_errors=True)
    make_day(home.root / INBOX, day, records, home.records)
    stages: Seconds = defaultdict(float)
    with open_desk(_settings(places, home.root, day)) as desk:
        with _timed(stages, "arrive"):
            journey.arrive(desk, INBOX, patient=True)
        if home.days == 0:
            for own in desk.feeds(journey.OWN_FIRST):
                journey.intake(desk, own.feed, day)
        postings = []
        for feed in FEEDS:
            with _timed(stages, feed):
                settled = journey.intake(desk, feed, day)
            require(len(settled.postings) == 1, "each file of an ordinary day posts")
            postings += settled.postings
        with _timed(stages, "close"):
            postings += close_days(desk, day)
    home.days += 1
    home.records += records
    seconds["day"].append(sum(stages.values()))
    for posted in postings:
        for stage, spent in posted.seconds.items():
            stages[f"  {stage}"] += spent
    for stage, spent in stages.items():
        seconds[stage].append(spent)


def measure(places: Places, homes: Mapping[int, Home], records: int, turns: int) -> list[Size]:
    """Every figure of every size, the sizes in turn, so that a slower minute falls on all of them."""
    days: dict[int, dict[str, list[float]]] = {size: defaultdict(list) for size in homes}
    for turn in range(turns):
        say(f"posting one more day on each, turn {turn + 1} of {turns}")
        for size, home in homes.items():
            post_day(places, home, records, days[size])
    desks = {size: proof_desk(_settings(places, home.root, REQUESTED)) for size, home in homes.items()}
    say("opening and proving each")
    opening = in_turn(desks, lambda desk: _open(desk.book), OPENINGS)
    verified = in_turn(desks, _proved, PROOFS)
    say("replaying each")
    replayed = in_turn(desks, lambda desk: _replayed(desk, places.root / "again"), 1)
    return [
        Size(
            days=size,
            entries=_entries(desk),
            postings=desk.landing.last_n(),
            day=median(days[size]["day"]),
            stages={stage: median(spent) for stage, spent in days[size].items() if stage != "day"},
            verify=verified[size],
            replay=replayed[size],
            opening=opening[size],
        )
        for size, desk in desks.items()
    ]


def in_turn(desks: Mapping[int, ProofDesk], act: Callable[[ProofDesk], None], times: int) -> dict[int, float]:
    """Median seconds of an act on each home."""
    spent: dict[int, list[float]] = {size: [] for size in desks}
    for _ in range(times):
        for size, desk in desks.items():
            start = time.perf_counter()
            act(desk)
            spent[size].append(time.perf_counter() - start)
    return {size: median(seconds) for size, seconds in spent.items()}


def digest_seconds() -> float:
    """The digest of one posting of DIGEST_RECORDS answers: a disposition, a settled key and two entries each."""
    line = np.arange(1, DIGEST_RECORDS + 1)
    of = {"disposition": line, "settled_key": line, "entry": line.repeat(2)}
    rows = {table: empty(table) for table in TABLES} | {
        table: pl.DataFrame(dict.fromkeys(TABLES[table], lines)).cast(
            {name: pl.Int32 if kind is pl.Date else kind for name, kind in TABLES[table].items()}, strict=False
        )
        for table, lines in of.items()
    }
    start = time.perf_counter()
    form.rows_digest(rows, BOOK_SCHEMA)
    return time.perf_counter() - start


def summed_up(records: int, cores: int, sizes: Sequence[Size], digest: float) -> Result:
    """Ratios between the sizes."""
    least, most = sizes[0], sizes[-1]
    return Result(
        records=records,
        cores=cores,
        sizes=sizes,
        day_ratio={size.days: size.day / least.day for size in sizes},
        open_ratio={size.days: size.opening / least.opening for size in sizes},
        verify_ratio={size.days: size.verify / size.entries * least.entries / least.verify for size in sizes},
        replay_ratio={size.days: size.replay / size.entries * least.entries / least.replay for size in sizes},
        verify_million=most.verify / most.entries * 1_000_000,
        digest=digest,
    )


def table(result: Result) -> str:
    """The result for people."""
    sizes = result.sizes
    rows: list[tuple[str, Sequence[float], int]] = [
        ("one more day, s", [size.day for size in sizes], 2),
        ("  beside the first", [result.day_ratio[size.days] for size in sizes], 2),
        *(
            (f"  {stage}", [size.stages.get(stage, 0.0) for size in sizes], 3)
            for stage in dict.fromkeys(stage for size in sizes for stage in size.stages)
        ),
        ("open and close, ms", [size.opening * 1_000 for size in sizes], 1),
        ("  beside the first", [result.open_ratio[size.days] for size in sizes], 2),
        ("entries in the book", [size.entries for size in sizes], 0),
        ("verify, s", [size.verify for size in sizes], 2),
        ("  an entry, beside the first", [result.verify_ratio[size.days] for size in sizes], 2),
        ("replay, s", [size.replay for size in sizes], 1),
        ("  an entry, beside the first", [result.replay_ratio[size.days] for size in sizes], 2),
    ]
    return "\n".join(
        [
            f"{result.records:,} requests and as many answers a day, {result.cores} cores, medians",
            "",
            f"{'days of history':34}" + "".join(f"{size.days:>12,}" for size in sizes),
            *(f"{name:34}" + "".join(f"{one:12,.{places}f}" for one in figures) for name, figures, places in rows),
            "",
            f"verify of a million entries: {result.verify_million:.1f} s",
            f"digest of a posting of {DIGEST_RECORDS:,} records: {result.digest:.2f} s",
            "",
            "Only the ratios are claims: seconds are those of this machine, now.",
        ]
    )


def _settings(places: Places, home: Path, day: date) -> Settings:
    """The home's settings, the clock standing in the night after a day."""
    night = datetime(day.year, day.month, day.day, 1, tzinfo=UTC) + timedelta(days=1)
    return load_settings(home).model_copy(update={"data": places.data, "clock": lambda: night, "run_id": "bench"})


def _open(book: Book) -> None:
    with book.reading():
        pass


def _proved(desk: ProofDesk) -> None:
    require(audit(desk).proved, "what was just posted is proved")


def _replayed(desk: ProofDesk, into: Path) -> None:
    require(replay(desk, into).difference is None, "what was just posted replays")
    shutil.rmtree(into)


def _entries(desk: ProofDesk) -> int:
    with desk.book.reading() as book:
        return int(book.frame("SELECT count(*) AS entries FROM book.entry").item())


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] += time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
