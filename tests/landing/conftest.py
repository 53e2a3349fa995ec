"""A landing store with its index in a folder of the test, files that arrive, and processes that are killed."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from counterfoil.files import sha256_bytes
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.records import Arrival
from counterfoil.landing.store import LandingStore

OpenIndex = Callable[[], ArrivalIndex]
MakeArrival = Callable[..., Arrival]
KillEach = Callable[[Callable[[int], object], Callable[[], object]], int]
KillEverywhere = Callable[[Callable[[], object], Callable[[], object]], int]

KILL_POINTS_MAX = 200
CALLS = ("open", "write", "fsync", "replace", "link", "unlink", "mkdir", "fchmod", "truncate")


@pytest.fixture
def store(tmp_path: Path) -> LandingStore:
    return LandingStore(tmp_path / "landing")


@pytest.fixture
def open_index(tmp_path: Path) -> OpenIndex:
    """Opens the index of the test's folder with a store of its own, as another process would."""
    return lambda: ArrivalIndex(
        tmp_path / "arrival.db", LandingStore(tmp_path / "landing"), batches=tmp_path / "out" / "crm"
    )


@pytest.fixture
def make_arrival() -> MakeArrival:
    def make(content: str = "content", **changes: Any) -> Arrival:
        arrival = Arrival(
            connection="northstar",
            folder="northstar/outgoing",
            name="NSTR0011",
            size=len(content),
            mtime_ns=1_795_000_000_000_000_000,
            payload_sha=sha256_bytes(content.encode()),
            feed="northstar_requests",
            layout_version=1,
            layout_sha="f" * 64,
            business_date=date(2026, 11, 20),
            epoch="NSTR",
            sequence=11,
            empty=False,
            identity="NSTR:000011",
            received_at=datetime(2026, 11, 20, 22, 15, tzinfo=UTC),
        )
        return replace(arrival, **changes)

    return make


@pytest.fixture
def kill_each() -> KillEach:
    """Run ``action(i)`` in a child for i = 0, 1, … until it ends without having been killed.

    The action kills itself at its i-th instant. After each kill the check runs here. Returns how many kills there were.
    """

    def run(action: Callable[[int], object], check: Callable[[], object]) -> int:
        for instant in range(KILL_POINTS_MAX):
            if not killed(action, instant):
                return instant
            check()
        raise AssertionError("the action never came to its end")

    return run


@pytest.fixture
def kill_everywhere(kill_each: KillEach) -> KillEverywhere:
    """As ``kill_each`` for any action: killed before and after each of its system calls."""

    def run(action: Callable[[], object], check: Callable[[], object]) -> int:
        def act(instant: int) -> None:
            kill_self_at(instant)
            action()

        return kill_each(act, check)

    return run


def killed(action: Callable[[int], object], instant: int) -> bool:
    """True when a child that runs the action was killed; False when the action came to its end."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action(instant)
            status = 0
        finally:
            os._exit(status)
    ended = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(ended):
        assert os.WTERMSIG(ended) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(ended) == 0, "the action failed instead of being killed"
    return False


def kill_self_at(instant: int) -> None:
    left = instant

    def tick() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            tick()
            result = call(*given, **named)
            tick()
            return result

        return counted

    for name in CALLS:
        setattr(os, name, around(getattr(os, name)))
