"""kill -9 at named points, at random instants and instead of writing calls: going on ends as if nothing had been.

The end state compared is every file, every row of the index and of the book, and its heads.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.crash.asking import FIGURES, Evening, Zygotes, chunks
from tests.crash.evening import SCENES
from tests.crash.faults import POINTS

INSTANTS = int(os.environ.get("COUNTERFOIL_INSTANTS", "16"))
EVERY = int(os.environ.get("COUNTERFOIL_EVERY", "40"))
"""Of the calls that write, this many-th is tried; which one it begins with follows the seed."""

AT_A_TIME = 6
"""Homes that are killed in before one child recovers them all."""

Try = Mapping[str, Any]


@pytest.fixture
def tried(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> Any:
    """``tried(what, tries)``: kill in each; returns (signal, differing names, calls or not) of each."""

    def kill(at: tuple[int, Try]) -> tuple[str, str, int]:
        number, how = at
        home = str(tmp_path / f"home-{number}")
        died = zygotes.ask("play", source=evening.begins(how["scene"]), home=home, **how)
        assert "raised" not in died, died["raised"]
        return home, how["scene"], died.get("signal", 0)

    def attempt(chunk: Sequence[tuple[int, Try]]) -> list[tuple[int, list[str]]]:
        killed = [kill(at) for at in chunk]
        left = zygotes.result("recover", homes=[(home, scene, ()) for home, scene, _ in killed])
        return [
            (end, evening.differs(scene, found["state"])) for (_, scene, end), found in zip(killed, left, strict=True)
        ]

    def every(what: str, tries: Sequence[Try]) -> list[int]:
        done = zygotes.spread(list(chunks(list(enumerate(tries)), AT_A_TIME)), attempt)
        found = [one for chunk in done for one in chunk]
        FIGURES[f"kills {what}"] += len(found)
        FIGURES[f"kills {what} that hit a running process"] += sum(end != 0 for end, _ in found)
        FIGURES[f"kills {what} after which the end is the clean one"] += sum(not names for _, names in found)
        assert {str(how): names for how, (_, names) in zip(tries, found, strict=True) if names} == {}
        return [end for end, _ in found]

    return every


def test_dying_at_a_named_point(tried: Any) -> None:
    points = [{"scene": point.scene, "point": named} for named, point in POINTS.items()]
    ends = tried("at named points", [*points, {"scene": "answers", "in_checkpoint": True}])
    assert ends == [signal.SIGKILL] * len(points) + [signal.SIGXFSZ], "each is reached"


def test_dying_at_a_random_instant(zygotes: Zygotes, evening: Evening, tried: Any) -> None:
    scenes = zygotes.chance.choices(list(SCENES), weights=[evening.lasts(scene) for scene in SCENES], k=INSTANTS)
    tries = [{"scene": scene, "kill_after": evening.lasts(scene) * zygotes.chance.random()} for scene in scenes]
    ends = tried("at random instants", tries)
    assert sum(end == signal.SIGKILL for end in ends) >= INSTANTS * 3 // 4, "most kills must hit a running process"


def test_dying_instead_of_a_writing_call(zygotes: Zygotes, evening: Evening, tmp_path: Path, tried: Any) -> None:
    if not zygotes.result("watchable"):
        return  # without this only chance kills inside the calls of DuckDB and SQLite
    tries = []
    for scene in SCENES:
        home = str(tmp_path / "counted")
        calls = len(zygotes.result("count", source=evening.begins(scene), home=home, scene=scene))
        first = zygotes.chance.randrange(EVERY)
        tries += [{"scene": scene, "call": call} for call in range(1 + first, calls + 1, EVERY)]
    ends = tried("instead of a writing call", tries)
    assert ends.count(signal.SIGKILL) >= len(ends) * 9 // 10, "calls are the same in each run, but for a few"
