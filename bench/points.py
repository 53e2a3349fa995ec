"""A company's bulk upload beside a hand-back of as many records: what a recipient costs, as a ratio in one run.

Here: accepted rows posted into a real book, each case in turn over a copy of the same one. Not here: parsing and
outputs (``run``).
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import polars as pl

from bench.by_hand import post
from bench.passes import book, feed
from bench.places import PROJECT
from bench.run import bind, positive, say
from counterfoil.feed import Feed, FeedKind
from counterfoil.ledger.chart import Rulebook, load_rulebook
from counterfoil.ledger.model import Event
from counterfoil.schemas.tables import ACCEPTED

RECIPIENTS: Final = 10_000
TURNS: Final = 5
DAY: Final = date(2026, 11, 18)
POINTS: Final = 100


@dataclass(frozen=True)
class Result:
    """Medians of seconds to post each file, and the ratio; how the upload's rows ended."""

    recipients: int
    upload_seconds: float
    handback_seconds: float
    ratio: float
    sent: int
    to_register: int
    scheduled: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench points", description=__doc__)
    parser.add_argument("--recipients", type=positive, default=RECIPIENTS)
    parser.add_argument("--turns", type=positive, default=TURNS)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    given = parser.parse_args(arguments)
    bind(2)
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-", dir=given.work) as root:
        result = measured(Path(root), given.recipients, given.turns)
    print(json.dumps(asdict(result), indent=2) if given.format == "json" else table(result))
    return 0


def measured(root: Path, recipients: int, turns: int) -> Result:
    """Prepare a book with people and requests, then post an upload and a hand-back in turn, each on a fresh copy."""
    rulebook = load_rulebook(PROJECT / "data")
    prepared = root / "prepared"
    prepared.mkdir()
    say(f"preparing a company of {recipients:,} people and as many requests")
    with book(prepared).writing(purpose="bench") as writer:
        for kind, rows in _before(recipients).items():
            post(writer, _terms(kind), rows, DAY, rulebook)
    files = {FeedKind.BULK_UPLOAD: _upload(recipients), FeedKind.HANDBACK: _answers(recipients)}
    seconds: dict[FeedKind, list[float]] = {kind: [] for kind in files}
    ended: dict[int, int] = {}
    for turn in range(turns):
        for kind, rows in files.items():
            say(f"turn {turn + 1}: {kind}")
            taken, events = _posted(root / f"{kind}-{turn}", prepared, kind, rows, rulebook)
            seconds[kind].append(taken)
            ended = events if kind is FeedKind.BULK_UPLOAD else ended
    upload, handback = median(seconds[FeedKind.BULK_UPLOAD]), median(seconds[FeedKind.HANDBACK])
    names = (Event.DISTRIBUTED, Event.DISTRIBUTED_UNCLAIMED, Event.SCHEDULED)
    return Result(recipients, upload, handback, upload / handback, *(ended.get(event.value, 0) for event in names))


def table(result: Result) -> str:
    """Figures for people."""
    ended = f"{result.sent:,} sent, {result.to_register:,} to register, {result.scheduled:,} scheduled"
    took = f"bulk upload {result.upload_seconds:.2f} s, hand-back of as many records {result.handback_seconds:.2f} s"
    return f"{result.recipients:,} recipients: {ended}\n{took}: ratio {result.ratio:.2f}"


def _posted(
    folder: Path, prepared: Path, kind: FeedKind, rows: pl.DataFrame, rulebook: Rulebook
) -> tuple[float, dict[int, int]]:
    """Seconds to post a file into a copy of the book, and its events."""
    shutil.copytree(prepared, folder)
    with book(folder).writing(purpose="bench") as writer:
        start = time.perf_counter()
        n = post(writer, _terms(kind), rows, DAY, rulebook).n
        taken = time.perf_counter() - start
        events = writer.frame(
            f"SELECT event, count(*) AS rows FROM book.disposition WHERE file_id = {n} GROUP BY event"
        )
    shutil.rmtree(folder)
    return taken, dict(events.iter_rows())


def _terms(kind: FeedKind) -> Feed:
    terms: dict[FeedKind, dict[str, object]] = {
        FeedKind.REQUESTS: {"source": "issued", "beyond_balance": "already_gone"},
        FeedKind.BULK_UPLOAD: {"partner": "acme"},
    }
    return feed(kind, **terms.get(kind, {}))


def _rows(kind: FeedKind, count: int, **columns: pl.Expr | str | int | date) -> pl.DataFrame:
    """Accepted rows: columns given, the others null."""
    given = {name: value if isinstance(value, pl.Expr) else pl.lit(value) for name, value in columns.items()}
    numbered = pl.DataFrame({"line_no": range(2, count + 2)}, schema={"line_no": pl.Int64})
    return numbered.select(
        (pl.col("line_no") if name == "line_no" else given.get(name, pl.lit(None))).cast(dtype).alias(name)
        for name, dtype in ACCEPTED[kind].items()
    )


_EMAIL: Final = pl.format("p{}@acme.example", "line_no")
_REF: Final = pl.format("R{}", "line_no")


def _before(count: int) -> dict[FeedKind, pl.DataFrame]:
    """What must be in the book: the company, half of its people, points for all, and requests that wait."""
    half: dict[str, pl.Expr | str] = {
        "partner": "acme",
        "member": pl.format("M{}", "line_no"),
        "email": _EMAIL,
        "change": "register",
    }
    return {
        FeedKind.COMPANIES: _rows(FeedKind.COMPANIES, 1, unit="company", change="open", company="acme", value_date=DAY),
        FeedKind.MEMBERS: _rows(FeedKind.MEMBERS, count // 2, value_date=DAY, **half),
        FeedKind.RECHARGES: _rows(
            FeedKind.RECHARGES, 1, company="acme", ref="R", points=count * POINTS, value_date=DAY
        ),
        FeedKind.REQUESTS: _rows(
            FeedKind.REQUESTS, count, ref=_REF, member=pl.format("M{}", "line_no"), points=POINTS, value_date=DAY
        ),
    }


def _upload(count: int) -> pl.DataFrame:
    """A row for each of the people and as many who are not registered; every fourth is scheduled."""
    later = pl.when(pl.col("line_no") % 4 == 0).then(pl.lit(DAY + timedelta(days=7)))
    return _rows(
        FeedKind.BULK_UPLOAD, count, company="acme", name="A", email=_EMAIL, points=POINTS, ref=_REF, send_date=later,
        expiry_months=12,
    )  # fmt: skip


def _answers(count: int) -> pl.DataFrame:
    return _rows(
        FeedKind.HANDBACK, count, ref=_REF, member=pl.format("M{}", "line_no"), points=POINTS, outcome="accepted",
        value_date=DAY,
    )  # fmt: skip
