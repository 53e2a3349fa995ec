"""Makes the yardstick's files: opening balances, rates, requests and the hand-back that answers most of them.

Here: synthetic records from a fixed seed, made and written column by column. Not here: what is done with the files.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from bench.places import ANSWERED, HANDBACK, OPENING, RATES, REQUESTED, REQUESTS

SEED: Final = 20261121
RECORD_BYTES: Final = 120
OPEN_TENTHS: Final = 12
"""Requests for every ten answers: a sixth of them stay open."""
MEMBERS_PER_REQUEST: Final = 3
"""Requests that one member makes."""
REJECTED_SHARE: Final = 0.03
ODD_EVERY: Final = 2_000
"""One answer in as many names an unknown reference, and one has another amount."""
REASONS: Final = ("0001", "0002", "0003", "0004")

_RATES: Final = (
    "basis,currency,minor,per_points,effective_from\nprogramme,EUR,50,100,2026-01-01\nbench,EUR,60,100,2026-01-01\n"
)


@dataclass(frozen=True)
class Made:
    """How many records were made, and what an exact reconciliation must find among them."""

    records: int
    open_items: int
    settled: int
    settled_points: int


def make_inputs(folder: Path, records: int) -> Made:
    """Write the four files below ``folder`` for so many hand-back records, always the same bytes."""
    random = np.random.default_rng(SEED)
    requests = _requests(records * OPEN_TENTHS // 10, random)
    answers = _answers(requests, records, random)
    for name in (OPENING, RATES, REQUESTS, HANDBACK):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    _write_opening(folder / OPENING, requests)
    (folder / RATES).write_text(_RATES)
    _write(folder / REQUESTS, requests, REQUESTED, _request_line(REQUESTED))
    _write(folder / HANDBACK, answers, ANSWERED, _answer_line(REQUESTED, ANSWERED))
    settled = answers.filter(~pl.col("unknown") & ~pl.col("differs"))
    return Made(records, requests.height, settled.height, int(settled["points"].sum()))


def make_members(folder: Path, records: int, days: int) -> None:
    """Write rates, and opening balances that last for ``days`` days of so many requests by the same members."""
    (folder / RATES).parent.mkdir(parents=True, exist_ok=True)
    (folder / OPENING).parent.mkdir(parents=True, exist_ok=True)
    (folder / RATES).write_text(_RATES)
    members = pl.int_range(max(records // MEMBERS_PER_REQUEST, 1), eager=True).cast(pl.String).str.zfill(11)
    _write_opening(folder / OPENING, pl.DataFrame({"member": "M" + members, "points": records * 5_000 * days}))


def make_day(folder: Path, day: date, records: int, first: int) -> None:
    """Write one day: so many requests, numbered from ``first``, and their answers, in files named for ``day``."""
    random = np.random.default_rng([SEED, first])
    requests = _requests(records, random, first=first)
    answers = _answers(requests, records, random)
    for name, rows, line in (
        (f"bench/outgoing/BENCH_{day:%Y%m%d}.txt", requests, _request_line(day)),
        (f"bench/incoming/BENCH_{day:%Y%m%d}.HANDBACK.txt", answers, _answer_line(day, day)),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _write(folder / name, rows, day, line)


def _requests(count: int, random: np.random.Generator, *, first: int = 0) -> pl.DataFrame:
    members = max(count // MEMBERS_PER_REQUEST, 1)
    return pl.DataFrame(
        {
            "number": np.arange(first, first + count),
            "member": random.integers(0, members, count),
            "points": random.integers(100, 5_000, count),
        }
    ).select(
        "points",
        ref=pl.format("R{}", pl.col("number").cast(pl.String).str.zfill(15)),
        member=pl.format("M{}", pl.col("member").cast(pl.String).str.zfill(11)),
    )


def _answers(requests: pl.DataFrame, records: int, random: np.random.Generator) -> pl.DataFrame:
    """Answers in the partner's own order, so that a join gets no help from it."""
    chosen = requests[random.permutation(requests.height)[:records]]
    kind = pl.Series(random.integers(0, ODD_EVERY, records))
    return chosen.with_columns(
        rejected=pl.Series(random.random(records) < REJECTED_SHARE),
        reason=pl.Series(random.choice(np.array(REASONS), records)),
        their_id=pl.Series(random.integers(10**15, 10**16, records)),
        unknown=kind == 0,
        differs=kind == 1,
    ).with_columns(
        ref=pl.when("unknown").then(pl.col("ref").str.replace("R", "X", literal=True)).otherwise("ref"),
        points=pl.col("points") + pl.col("differs").cast(pl.Int64),
    )


def _request_line(requested: date) -> pl.Expr:
    """Bytes 1 to 46: type, reference 16, member 12, points 9, request date 8."""
    points = pl.col("points").cast(pl.String).str.zfill(9)
    return pl.format("D{}{}{}{}", "ref", "member", points, pl.lit(f"{requested:%Y%m%d}"))


def _answer_line(requested: date, answered: date) -> pl.Expr:
    """A request line, then processing date 8, outcome 1, reason 4, the partner's id 16, programme 8."""
    outcome = pl.when("rejected").then(pl.lit("R")).otherwise(pl.lit("A"))
    reason = pl.when("rejected").then("reason").otherwise(pl.lit("    "))
    day = pl.lit(f"{answered:%Y%m%d}")
    return pl.format("{}{}{}{}{}{}", _request_line(requested), day, outcome, reason, "their_id", pl.lit("REWARDS "))


def _write(path: Path, records: pl.DataFrame, day: date, line: pl.Expr) -> None:
    """A header with date, count and total, then a line of RECORD_BYTES a record."""
    header = f"H{day:%Y%m%d}{records.height:010d}{records['points'].sum():015d}".ljust(RECORD_BYTES)
    with path.open("wb") as file:
        file.write(f"{header}\n".encode())
        records.select(line.str.pad_end(RECORD_BYTES)).write_csv(file, include_header=False, quote_style="never")


def _write_opening(path: Path, requests: pl.DataFrame) -> None:
    """Each member holds at first what the requests will take, and as much again."""
    held = requests.group_by("member").agg(points=pl.col("points").sum() * 2).sort("member")
    held.select(
        entry=pl.lit("balance"),
        account=pl.lit("member"),
        owner="member",
        partner=pl.lit("bench"),
        ref=pl.lit(None, pl.String),
        points="points",
        value_date=pl.lit(REQUESTED),
    ).write_csv(path)


def main() -> int:
    """``FOLDER RECORDS``: make the files; prints what was made as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("records", type=int)
    given = parser.parse_args()
    json.dump(asdict(make_inputs(given.folder, given.records)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
