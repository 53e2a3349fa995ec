"""The speed harness: both sides of the yardstick in turn, and the ratios between them.

Here: set-up, turns, the table. Not here: the inputs (``inputs``) or either side (``product``, ``plain_duckdb``). This
process imports nothing heavy and holds no data, because on Linux a child's peak memory begins with its parent's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.places import HANDBACK, PROJECT, REQUESTS, Places, copy_home, copy_plain, make_data_folder, make_home

RECORDS: Final = 2_000_000
TURNS: Final = 3
CORES: Final = 2
MEBIBYTE: Final = 1024 * 1024

NIGHT_BEFORE: Final = "2026-11-19T01:00:00Z"
NIGHT: Final = "2026-11-20T01:00:00Z"
"""The product's clock stands still at these instants, each in the night after its files."""


@dataclass(frozen=True)
class Turn:
    """One run of one side: seconds by its own clock and from process to process, peak memory, what it settled."""

    seconds: float
    process_seconds: float
    peak_mib: float
    stages: Mapping[str, float]
    found: Mapping[str, int]


@dataclass(frozen=True)
class Side:
    """Medians over the turns of one side."""

    seconds: float
    process_seconds: float
    peak_mib: float
    stages: Mapping[str, float]
    turns: Sequence[Turn]


@dataclass(frozen=True)
class Result:
    """Both sides over the same inputs. Ratios are ours to plain: below 1 we take less."""

    records: int
    open_items: int
    cores: int
    product: Side
    plain: Side
    ratio_work: float
    ratio_process: float
    ratio_memory: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table or JSON; 1 when a side settled other answers than were planted."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="The speed harness: ratios to a plain script.")
    parser.add_argument("--records", type=positive, default=RECORDS, help="hand-back records of 120 bytes")
    parser.add_argument("--turns", type=positive, default=TURNS, help="runs of each side, taken in turn")
    parser.add_argument("--cores", type=positive, default=CORES, help="processor cores that either side may use")
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure; what is put there is removed again")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    given = parser.parse_args(arguments)
    cores = bind(given.cores)
    if given.work is not None:
        given.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-", dir=given.work) as root:
        places = Places(Path(root))
        made = prepare(places, given.records)
        turns = [(product_turn(places), plain_turn(places)) for _ in range(given.turns)]
    result = summed_up(made, cores, turns)
    print(json.dumps(asdict(result), sort_keys=True, indent=2) if given.format == "json" else table(result))
    planted = {name: made[name] for name in ("settled", "settled_points")}
    if any(turn.found != planted for pair in turns for turn in pair):
        print("A side settled other answers than were planted: the figures mean nothing.", file=sys.stderr)
        return 1
    return 0


def prepare(places: Places, records: int) -> dict[str, int]:
    """Make the inputs, post the night before, and fill the plain side's database; returns what was planted."""
    say(f"making {records:,} records")
    made: dict[str, int] = json.loads(_run("bench.inputs", places.inputs, records))
    make_data_folder(places)
    make_home(places)
    say("posting the night before: opening balances, rates, requests")
    _run("bench.product", "prepare", places.prepared_home, settings=_told(places, NIGHT_BEFORE))
    places.prepared_plain.mkdir()
    _run("bench.plain_duckdb", "prepare", places.prepared_plain / "book.duckdb", places.inputs / REQUESTS)
    return made


def product_turn(places: Places) -> Turn:
    """Our side once, over a fresh copy of the prepared home."""
    say("counterfoil")
    home = copy_home(places)
    return _turn("bench.product", "turn", home, settings=_told(places, NIGHT))


def plain_turn(places: Places) -> Turn:
    """The plain script once, over a fresh copy of its database."""
    say("plain script")
    folder = copy_plain(places)
    return _turn("bench.plain_duckdb", "run", folder / "book.duckdb", places.inputs / HANDBACK, folder / "out")


def summed_up(made: Mapping[str, int], cores: int, turns: Sequence[tuple[Turn, Turn]]) -> Result:
    """Medians and ratios."""
    product, plain = _side([ours for ours, _ in turns]), _side([theirs for _, theirs in turns])
    return Result(
        records=made["records"],
        open_items=made["open_items"],
        cores=cores,
        product=product,
        plain=plain,
        ratio_work=product.seconds / plain.seconds,
        ratio_process=product.process_seconds / plain.process_seconds,
        ratio_memory=product.peak_mib / plain.peak_mib,
    )


def table(result: Result) -> str:
    """The result for people."""
    ours, plain = result.product, result.plain
    what = f"{result.records:,} hand-back records against {result.open_items:,} open items"
    measures = (
        ("work, s", ours.seconds, plain.seconds, result.ratio_work, 2),
        ("process to process, s", ours.process_seconds, plain.process_seconds, result.ratio_process, 2),
        ("peak memory, MiB", ours.peak_mib, plain.peak_mib, result.ratio_memory, 0),
    )
    lines = [
        f"{what}, {result.cores} cores, median of {len(ours.turns)}",
        "",
        f"{'':24}{'counterfoil':>12}{'plain':>12}{'ratio':>8}",
        *(f"{name:24}{a:12.{places}f}{b:12.{places}f}{ratio:8.2f}" for name, a, b, ratio, places in measures),
        "",
        f"{'stages of counterfoil':24}{'s':>12}{'of plain':>12}",
        *(f"{name:24}{seconds:12.2f}{seconds / plain.seconds:12.0%}" for name, seconds in ours.stages.items()),
        "",
        "Only the ratios are claims: seconds are those of this machine, now.",
    ]
    return "\n".join(lines)


def _side(turns: Sequence[Turn]) -> Side:
    return Side(
        seconds=median(turn.seconds for turn in turns),
        process_seconds=median(turn.process_seconds for turn in turns),
        peak_mib=median(turn.peak_mib for turn in turns),
        stages={name: median(turn.stages[name] for turn in turns) for name in turns[0].stages},
        turns=turns,
    )


def _turn(module: str, *arguments: object, settings: Mapping[str, str] | None = None) -> Turn:
    start = time.perf_counter()
    output = _run(module, *arguments, settings=settings)
    process_seconds = time.perf_counter() - start
    figures: dict[str, Any] = json.loads(output)
    return Turn(
        seconds=figures["seconds"],
        process_seconds=process_seconds,
        peak_mib=figures["peak_bytes"] / MEBIBYTE,
        stages=figures.get("stages", {}),
        found=figures["found"],
    )


def _run(module: str, *arguments: object, settings: Mapping[str, str] | None = None) -> bytes:
    """Run one of our modules in a process of its own; returns what it prints."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(
        command, cwd=PROJECT, env=ours | dict(settings or {}), stdout=subprocess.PIPE, check=True
    ).stdout


def _told(places: Places, now: str) -> dict[str, str]:
    return {"COUNTERFOIL_DATA": str(places.data), "COUNTERFOIL_NOW": now, "COUNTERFOIL_RUN_ID": "bench"}


def bind(cores: int) -> int:
    """Keep this process and its children on so many cores, where the system can; returns how many they have."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or cores
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    return len(os.sched_getaffinity(0))


def positive(text: str) -> int:
    """A number from 1, of an argument."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1")
    return number


def say(text: str) -> None:
    """Tell on standard error what is being done."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
