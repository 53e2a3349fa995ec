"""Asking zygotes for children, and what a clean evening leaves: the side of the tests.

Here: requests, work spread over two zygotes, recovery compared with the clean evening, figures. Not here: any fault, or
what a child does (``acts``).
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Self

from tests.crash.evening import SCENES

AT_ONCE: Final = 2
FORKABLE: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""A process that has started threads is not safe to fork."""
FEWER: Final = {"POLARS_MAX_THREADS", "SLURM_CPUS_ON_NODE"}
"""What `make test` spares; a child has the threads of a user's process, since how memory runs out depends on them."""

FIGURES: Final[Counter[str]] = Counter()
"""What was tried in this session; printed at its end."""

Answer = Mapping[str, Any]


def seed(root: Path) -> str:
    """What chance follows here: COUNTERFOIL_SEED, else the commit, so that each commit tries other instants."""
    named = os.environ.get("COUNTERFOIL_SEED")
    if named:
        return named
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    return head.stdout.strip()[:12] or "no commit"


class Zygote:
    """One zygote; asked for one thing after the other."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            cwd=root,
            env={name: value for name, value in os.environ.items() if name not in FEWER} | FORKABLE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, act: str, kill_after: float | None, given: Mapping[str, Any]) -> Answer:
        """How a child of it ended; see ``tests.crash.zygote``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"act": act, "given": given, "kill_after": kill_after}).encode() + b"\n")
        self._process.stdin.flush()
        answer: Answer = self.hear()
        return answer

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote died"
        return json.loads(line)

    def close(self) -> None:
        self._process.communicate()


class Zygotes:
    """Several zygotes, and work spread over them."""

    def __init__(self, root: Path, number: int = AT_ONCE) -> None:
        self._all = [Zygote(root) for _ in range(number)]
        self._free: SimpleQueue[Zygote] = SimpleQueue()
        for zygote in self._all:
            assert zygote.hear() == "ready"
            self._free.put(zygote)
        self.chance = random.Random(seed(root))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for zygote in self._all:
            zygote.close()

    def ask(self, act: str, kill_after: float | None = None, **given: Any) -> Answer:
        """Have whichever is free do it."""
        zygote = self._free.get()
        try:
            return zygote.ask(act, kill_after, given)
        finally:
            self._free.put(zygote)

    def result(self, act: str, **given: Any) -> Any:
        """What an act returns that must not fail."""
        answer = self.ask(act, **given)
        assert "result" in answer, answer.get("raised") or answer
        return answer["result"]

    def spread(self, work: Sequence[Any], act: Callable[[Any], Any]) -> list[Any]:
        """``act`` for each piece of work, as many at once as there are zygotes."""
        with ThreadPoolExecutor(max_workers=len(self._all)) as pool:
            return list(pool.map(act, work))


@dataclass(frozen=True)
class Evening:
    """A clean evening: how each scene's home begins, how long the scene lasts, and what it leaves."""

    folder: Path
    scenes: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, zygotes: Zygotes, folder: Path) -> Self:
        """Play it, and have it audited."""
        scenes = {scene: zygotes.result("prepare", folder=str(folder), scene=scene) for scene in SCENES}
        assert zygotes.result("audited", folder=str(folder)) == []
        return cls(folder, scenes)

    def begins(self, scene: str) -> str:
        return str(self.folder / scene)

    def lasts(self, scene: str) -> float:
        return float(self.scenes[scene]["lasted"])

    def differs(self, scene: str, state: Mapping[str, str]) -> list[str]:
        """The names of what is not as after a clean scene."""
        clean: Mapping[str, str] = self.scenes[scene]["state"]
        return sorted(name for name in clean.keys() | state.keys() if clean.get(name) != state.get(name))


def chunks(work: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Pieces of some work: what one warm child recovers."""
    return (work[at : at + size] for at in range(0, len(work), size))
