"""What the later passes cost: a hand-back that the exact key settles, beside one of which a part needs more, and a day
made to be hard.

Here: accepted rows posted into a real book, each case in turn over a copy of the same one. Not here: parsing and
outputs (``run``), or whether matches are right (``labelled``).
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import polars as pl

from bench.by_hand import post
from bench.places import PROJECT
from bench.run import bind, positive, say
from counterfoil.feed import Arrival, Feed, FeedKind, Identity, Window
from counterfoil.ledger.chart import Rulebook, load_rulebook
from counterfoil.ledger.model import MatchPass
from counterfoil.ledger.store import Book
from counterfoil.schemas.tables import ACCEPTED

RECORDS: Final = 2_000_000
EQUALS: Final = 100_000
"""Requests and answers of one member and one amount, on the day made to be hard."""
TURNS: Final = 3
LATER_SHARE: Final = 20
"""One answer in as many needs a later pass."""
ASKED: Final = date(2026, 11, 18)
ANSWERED: Final = ASKED + timedelta(days=1)
POINTS: Final = 1_000

Rows = pl.DataFrame


@dataclass(frozen=True)
class Case:
    """One kind of day: seconds to post its answers, how many they were, and how many each pass took."""

    seconds: float
    records: int
    passes: Mapping[str, int]


@dataclass(frozen=True)
class Result:
    """``later_ratio``: the mixed day beside the exact one; ``hard_ratio``: the hard day's seconds a record beside the
    exact day's at as many records."""

    exact: Case
    mixed: Case
    small: Case
    hard: Case
    later_ratio: float
    hard_ratio: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench passes", description=__doc__)
    parser.add_argument("--records", type=positive, default=RECORDS)
    parser.add_argument("--equals", type=positive, default=EQUALS)
    parser.add_argument("--turns", type=positive, default=TURNS)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    given = parser.parse_args(arguments)
    bind(2)
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-", dir=given.work) as root:
        result = measured(Path(root), given.records, given.equals, given.turns)
    print(json.dumps(asdict(result), indent=2) if given.format == "json" else table(result))
    return 0


def measured(root: Path, records: int, equals: int, turns: int) -> Result:
    """Every case, in turn."""
    rulebook = load_rulebook(PROJECT / "data")
    asked, alike = requests(records), requests(equals)
    hard = alike.with_columns(member=pl.lit("M"), points=pl.lit(POINTS, pl.Int64))
    homes = {
        "exact": prepared(root / "exact", asked, rulebook),
        "small": prepared(root / "small", alike, rulebook),
        "hard": prepared(root / "hard", hard, rulebook),
    }
    days: dict[str, tuple[str, Rows, Feed]] = {
        "exact": ("exact", _answers(asked), feed(FeedKind.HANDBACK)),
        "mixed": ("exact", mixed(asked), every_pass()),
        "small": ("small", _answers(alike), feed(FeedKind.HANDBACK)),
        "hard": ("hard", _answers(hard).with_columns(ref=pl.format("X{}", "line_no")), every_pass()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in days}
    passes: dict[str, dict[str, int]] = {}
    for turn in range(turns):
        for name, (home, rows, terms) in days.items():
            say(f"{name}, turn {turn + 1}")
            took, passes[name] = _posted(homes[home], root / "turn", rows, terms, rulebook)
            seconds[name].append(took)
    cases = {name: Case(median(seconds[name]), days[name][1].height, passes[name]) for name in days}
    return Result(
        **cases,
        later_ratio=cases["mixed"].seconds / cases["exact"].seconds,
        hard_ratio=cases["hard"].seconds / cases["small"].seconds,
    )


def table(result: Result) -> str:
    """The result for people."""
    cases = {"exact key only": result.exact, "one in twenty later": result.mixed,
             "as many as hard": result.small, "one member, one amount": result.hard}  # fmt: skip
    lines = [f"{'':24}{'records':>12}{'seconds':>10}  passes"]
    for name, case in cases.items():
        found = ", ".join(f"{word} {count:,}" for word, count in case.passes.items())
        lines.append(f"{name:24}{case.records:12,}{case.seconds:10.2f}  {found}")
    lines += [
        "",
        f"later passes beside exact: {result.later_ratio:.2f}; hard day beside as many exact: {result.hard_ratio:.2f}",
        "Only the ratios are claims: seconds are those of this machine, now.",
    ]
    return "\n".join(lines)


# Rows


def requests(count: int) -> Rows:
    """So many requests, four a member."""
    number = pl.int_range(count, dtype=pl.Int64, eager=True)
    return pl.DataFrame({"line_no": number + 2, "number": number}).select(
        "line_no",
        ref=pl.format("R{}", pl.col("number").cast(pl.String).str.zfill(12)),
        member=pl.format("M{}", (pl.col("number") // 4).cast(pl.String).str.zfill(9)),
        points=POINTS + pl.col("number") % 4 * 7 + pl.col("number") % 1_009,
        value_date=pl.lit(ASKED),
        record_type=pl.lit(None, pl.String),
    )


def _answers(asked: Rows) -> Rows:
    return _shaped(asked.with_columns(value_date=pl.lit(ASKED)))


def mixed(asked: Rows) -> Rows:
    """Of every twenty requests' answers: one a day late, one off by one, one in two parts, one without a reference; and
    of every forty, two as one."""
    place = pl.col("line_no") % LATER_SHARE
    late = asked.with_columns(value_date=pl.when(place == 0).then(pl.lit(ANSWERED)).otherwise(pl.lit(ASKED)))
    fifth = (pl.col("line_no") // LATER_SHARE) % 5
    kind = pl.when(place == 0).then(fifth)
    told = late.with_columns(kind=kind, value_date=pl.when(kind == 0).then("value_date").otherwise(pl.lit(ASKED)))
    parts = told.filter(pl.col("kind") == 2)
    halves = [
        parts.with_columns(points=pl.col("points") // 2),
        parts.with_columns(points=pl.col("points") - pl.col("points") // 2),
    ]
    nameless = told.filter(pl.col("kind") == 3).with_columns(ref=pl.lit(None, pl.String))
    # The request behind a netted one is the same member's in three cases of four.
    second = told.with_columns(pl.col("points", "member").shift(-1).name.suffix("_next")).filter(pl.col("kind") == 4)
    together = second.filter(pl.col("member") == pl.col("member_next"))
    taken = pl.concat([together["line_no"], together["line_no"] + 1])
    netted = together.with_columns(ref=pl.format("N{}", "ref"), points=pl.col("points") + pl.col("points_next"))
    plain = told.filter(
        ~pl.col("kind").is_in([2, 3]).fill_null(value=False) & ~pl.col("line_no").is_in(taken.implode())
    )
    off = plain.with_columns(points=pl.col("points") + (pl.col("kind") == 1).fill_null(value=False).cast(pl.Int64))
    return _shaped(pl.concat([frame.select(asked.columns) for frame in (off, *halves, nameless, netted)]))


def _shaped(rows: Rows) -> Rows:
    numbered = rows.with_columns(line_no=pl.int_range(2, rows.height + 2, dtype=pl.Int64))
    whole = numbered.with_columns(
        outcome=pl.lit("accepted"),
        **dict.fromkeys(("reason", "to_account", "money", "record_type"), pl.lit(None)),
    )
    return whole.select(pl.col(name).cast(kind) for name, kind in ACCEPTED[FeedKind.HANDBACK].items())


# Posting


def feed(kind: FeedKind, **terms: object) -> Feed:
    """A feed of a kind, with terms of its own."""
    return Feed.model_validate(
        {
            "feed": f"bench_{kind}",
            "partner": "bench",
            "kind": kind,
            "version": 1,
            "effective_from": date(2026, 1, 1),
            "arrival": Arrival(folder="bench", ready="stable"),
            "identity": Identity(by="date"),
            **terms,
        }
    )


def every_pass() -> Feed:
    """A hand-back layout that lets every pass run."""
    return feed(
        FeedKind.HANDBACK,
        tolerance_points=3,
        tolerance_monthly_points=10_000_000,
        answer_window=Window(early_days=1, late_days=3),
        split_max=5,
        net_max=5,
    )


def prepared(home: Path, asked: Rows, rulebook: Rulebook) -> Path:
    """A home whose book holds these requests."""
    home.mkdir()
    asking = feed(FeedKind.REQUESTS, source="issued", beyond_balance="already_gone")
    with book(home).writing(purpose="bench") as writer:
        post(writer, asking, asked, ASKED, rulebook)
    return home


def _posted(home: Path, turn: Path, rows: Rows, feed: Feed, rulebook: Rulebook) -> tuple[float, dict[str, int]]:
    """Seconds to post rows into a copy of a home's book, and how many of them each pass took."""
    shutil.copytree(home, turn)
    with book(turn).writing(purpose="bench") as writer:
        began = time.perf_counter()
        n = post(writer, feed, rows, ASKED, rulebook).n
        seconds = time.perf_counter() - began
        found = writer.frame(
            f"""SELECT match_pass, count(*) AS rows FROM book.disposition WHERE file_id = {n}
                GROUP BY match_pass ORDER BY match_pass"""
        )
    shutil.rmtree(turn)
    return seconds, {MatchPass(number).name.lower(): count for number, count in found.rows()}


def book(home: Path) -> Book:
    """A home's book."""
    return Book(home / "book.duckdb", home / "book.lock", home / "book.head.json")


if __name__ == "__main__":
    sys.exit(main())
