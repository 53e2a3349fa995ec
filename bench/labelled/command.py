"""``python -m bench labelled``: plant situations whose truth is known, and count what the program makes of them.

Here: arguments, one run a seed, the output. Not here: anything that is planted (``situations``) or judged (``score``).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.labelled import report, score, situations
from bench.labelled.run import run
from bench.run import positive, say

SEEDS = "1-2"
"""Seeds to build with; those that are published were never looked at while building."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every seed and print tables or JSON; 1 when a request was settled by an answer that is not its own,
    or activity booked that must not be."""
    parser = argparse.ArgumentParser(prog="python -m bench labelled", description="How answers find their requests.")
    parser.add_argument("--seeds", type=seeds, default=seeds(SEEDS), help="such as 7, or 101-105, or 7,9")
    parser.add_argument("--size", type=positive, default=situations.SIZE, help="requests of each partner, about")
    parser.add_argument("--least", type=positive, default=situations.LEAST, help="situations of each kind and partner")
    parser.add_argument("--work", type=Path, help="a folder to work in; what is put there is removed again")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown")
    parser.add_argument("--findings", action="store_true", help="say of each wrong situation what is wrong")
    given = parser.parse_args(arguments)
    if given.work is not None:
        given.work.mkdir(parents=True, exist_ok=True)
    judged = score.added(judge(seed, given.size, given.least, given.work) for seed in given.seeds)
    if given.findings:
        for finding in judged.findings:
            say(" ".join(map(str, asdict(finding).values())))
    if given.format == "json":
        print(json.dumps(as_json(judged, given.seeds), sort_keys=True, indent=2))
    else:
        print(report.markdown(judged, given.seeds, given.size))
    return int(any(judged.figures[name].right for name in (score.FALSE, score.BOOKED_FALSE)))


def judge(seed: int, size: int, least: int, work: Path | None) -> score.Score:
    """One seed, from its plan to its score."""
    say(f"seed {seed}")
    plan = situations.make_plan(seed, size=size, least=least)
    with tempfile.TemporaryDirectory(prefix="counterfoil-labelled-", dir=work) as root:
        return score.score(plan, run(plan, Path(root)))


def seeds(text: str) -> list[int]:
    """``101-105`` or ``7,9``: the seeds, in order."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            raise argparse.ArgumentTypeError("seeds such as 7, or 101-105, or 7,9") from None
    return found


def as_json(judged: score.Score, of: Sequence[int]) -> dict[str, object]:
    """Everything that was counted and found."""
    return {
        "seeds": list(of),
        "figures": {
            name: {"count": ratio.right, "of": ratio.of, "interval": ratio.interval}
            for name, ratio in judged.figures.items()
        },
        "kinds": {name: asdict(kind) for name, kind in judged.kinds.items()},
        "findings": [asdict(finding) for finding in judged.findings],
    }


if __name__ == "__main__":
    sys.exit(main())
