"""A score as Markdown, for a terminal and for the page that publishes it.

Here: two tables and their words. Not here: what is counted (``score``).
"""

from collections.abc import Sequence
from typing import Final

from bench.labelled import score as sc
from bench.labelled.situations import CATALOGUE

FIGURES: Final = (
    sc.FALSE, sc.AUTO, sc.MATCHED, sc.FOUND, sc.REFUSED, sc.KEPT, sc.SHOWN, sc.MISLED,
    sc.CODES, sc.STANDING, sc.STRAY, sc.CAUSED, sc.CHARGED, sc.BOOKED_FALSE, sc.TAKEN, sc.BALANCED, sc.WHOLE,
)  # fmt: skip
"""In the order of their importance to a reader."""


def markdown(judged: sc.Score, seeds: Sequence[int], size: int) -> str:
    """The figures, then the kinds."""
    return "\n".join(
        [
            f"Seeds {', '.join(map(str, seeds))}; about {size:,} requests of each of two partners a seed.",
            "",
            "| figure | count | of | share | 95 % interval |",
            "|---|---|---|---|---|",
            *(_figure(name, judged.figures[name]) for name in FIGURES if name in judged.figures),
            "",
            _kinds_head(judged),
            *(
                _kind(kind.name, kind.title, judged.kinds[kind.name], told=judged.tells_causes)
                for kind in CATALOGUE
                if kind.name in judged.kinds
            ),
        ]
    )


def _figure(name: str, ratio: sc.Ratio) -> str:
    least, most = ratio.interval
    share = f"{ratio.right / ratio.of:.2%}" if ratio.of else ""
    return f"| {name} | {ratio.right:,} | {ratio.of:,} | {share} | {least:.2%} to {most:.2%} |"


def _kinds_head(judged: sc.Score) -> str:
    causes = ["causes"] if judged.tells_causes else []
    names = ["kind", "what is planted", "planted", "right", *causes, "what was wrong"]
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _kind(name: str, title: str, kind: sc.KindScore, *, told: bool) -> str:
    causes = [f"{kind.causes.right:,} of {kind.causes.of:,}" if kind.causes.of else ""] if told else []
    wrong = "; ".join(f"{what}: {times:,}" for what, times in sorted(kind.wrong.items()))
    cells = [f"`{name}`", title, f"{kind.planted:,}", f"{kind.right:,}", *causes, wrong]
    return f"| {' | '.join(cells)} |"
