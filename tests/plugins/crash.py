"""Processes to try faults on: two zygotes for the whole session, and the evening that their children play.

Here: asking a zygote, and what a clean evening leaves. Not here: any fault or expectation.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Self

import pytest

AT_ONCE: Final = 2
FORKABLE: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""A process that has started threads is not safe to fork."""

Answer = Mapping[str, Any]


class Zygote:
    """One zygote; asked for one thing after the other."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            cwd=root,
            env={**os.environ, **FORKABLE},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, act: str, kill_after: float | None = None, **given: Any) -> Answer:
        """What a child made of it; see ``tests.crash.zygote``."""
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
        made = [Zygote(root) for _ in range(number)]
        for zygote in made:
            assert zygote.hear() == "ready"
        self._all = made
        self._free: SimpleQueue[Zygote] = SimpleQueue()
        for zygote in made:
            self._free.put(zygote)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for zygote in self._all:
            zygote.close()

    def ask(self, act: str, kill_after: float | None = None, **given: Any) -> Answer:
        """Have whichever is free do it."""
        zygote = self._free.get()
        try:
            return zygote.ask(act, kill_after, **given)
        finally:
            self._free.put(zygote)

    def result(self, act: str, **given: Any) -> Any:
        """What an act returns that must not fail."""
        answer = self.ask(act, **given)
        assert "result" in answer, answer.get("raised") or answer
        return answer["result"]

    def spread(self, tries: Sequence[Any], act: Callable[[Any], Any]) -> list[Any]:
        """``act`` for each of ``tries``, as many at once as there are zygotes."""
        with ThreadPoolExecutor(max_workers=len(self._all)) as pool:
            return list(pool.map(act, tries))


@dataclass(frozen=True)
class Evening:
    """A clean evening: how each scene's home begins, how long the scene lasts, and what it leaves."""

    folder: Path
    scenes: Mapping[str, Mapping[str, Any]]

    def begins(self, scene: str) -> str:
        return str(self.folder / scene)

    def state(self, scene: str) -> Mapping[str, str]:
        state: Mapping[str, str] = self.scenes[scene]["state"]
        return state


    def resumed(self, zygotes: Zygotes, home: Path, scene: str) -> tuple[int, Sequence[str]]:
        """Prove a home that a fault left and play its scene to the end.

        Returns the postings that were left, and the names of what is not as after a clean evening.
        """
        answer = zygotes.result("recover", home=str(home), scene=scene)
        expected, found = self.state(scene), answer["state"]
        differing = (name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        return answer["left"], sorted(differing)


@pytest.fixture(scope="session")
def zygotes(root: Path) -> Iterator[Zygotes]:
    """Two zygotes."""
    with Zygotes(root) as made:
        yield made


@pytest.fixture(scope="session")
def evening(zygotes: Zygotes, tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """The evening without a fault."""
    folder = tmp_path_factory.mktemp("evening")
    return Evening(folder, zygotes.result("prepare", folder=str(folder)))
