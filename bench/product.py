"""Our side of the yardstick: the real journey over a prepared home, stage by stage, in a process of its own.

Here: calls of public functions and the clock around them. Not here: any shortcut that a night would not take.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandera.errors  # noqa: F401 (the product imports these late; the clock starts after imports)

import counterfoil.reports.html
import counterfoil.schemas.models  # noqa: F401
from bench.places import ANSWERED, REQUESTED
from counterfoil import journey
from counterfoil.invariants import require
from counterfoil.settings import INBOX, load_settings
from counterfoil.steps.close import close_days
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import read
from counterfoil.steps.publish import publish_crm, publish_journal, publish_report
from pipelines.wiring import open_desk

FEED = "bench_handback"
STATUS_OBJECT = "TransactionJournal"


def prepare(home: Path) -> None:
    """The day before: opening, rates and requests are posted, handed on and closed; not timed."""
    with open_desk(load_settings(home)) as desk:
        night = journey.run(desk, REQUESTED)
    for who, error in night.failures:
        print(f"{who}: {error}", file=sys.stderr)
    require(not night.failures and not night.refused, "the day before the hand-back posts whole")


def turn(home: Path) -> dict[str, object]:
    """One hand-back from the inbox to the report; returns seconds in all and by stage, and what was settled."""
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    with open_desk(load_settings(home)) as desk:
        found = _night(desk, seconds)
    return {"seconds": time.perf_counter() - start, "stages": seconds, "found": found}


def _night(desk: Desk, seconds: dict[str, float]) -> dict[str, int]:
    with _timed(seconds, "land"):
        received = journey.arrive(desk, INBOX, patient=True)
    (delivery,) = received.delivered
    with _timed(seconds, "parse and gate"):
        parsed = {delivery.order: read(desk, delivery)}
    with _timed(seconds, "match and compose"):
        settled = journey.intake(desk, FEED, ANSWERED, parsed=parsed)
    del parsed
    (posted,) = settled.postings
    for stage, spent in posted.seconds.items():
        seconds[stage] = spent
        seconds["match and compose"] -= spent
    with _timed(seconds, "CRM batches"):
        batches = [batch for target in desk.crm_targets for batch in publish_crm(desk, target)]
    with _timed(seconds, "close of the day"):
        close_days(desk, ANSWERED)
    with _timed(seconds, "journal"):
        publish_journal(desk, ANSWERED)
    with _timed(seconds, "report"):
        publish_report(desk, ANSWERED)
    status = [part for batch in batches for part in batch.parts if part.object == STATUS_OBJECT]
    return {"settled": sum(part.rows for part in status), "settled_points": sum(part.points for part in status)}


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def main() -> int:
    """``prepare HOME`` or ``turn HOME``; the second prints its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=("prepare", "turn"))
    parser.add_argument("home", type=Path)
    given = parser.parse_args()
    if given.act == "prepare":
        prepare(given.home)
        return 0
    figures = turn(given.home)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    json.dump({**figures, "peak_bytes": peak_bytes}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
