"""Too little memory, for DuckDB alone or for the whole process: a clear error, and going on with more ends as if
nothing had been."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import Code
from tests.crash.asking import FIGURES, Evening, Zygotes

SCENE = "answers"

LIMITS = ("1MB", "4MB", "8MB", "12MB", "20MB")
"""What DuckDB may take: it fails as the book is opened or read, as rows are written, at the commit, not at all."""

MORE = (100_000, 2_000_000, 8_000_000, 24_000_000, 200_000_000)
"""Bytes that a process may take in addition to what it has."""

FRESH = (4_000_000, 30_000_000, 100_000_000, 200_000_000, 300_000_000, 400_000_000, 600_000_000, 900_000_000)
"""The same for one that has not computed anything yet, and has its threads to start."""

PATIENCE_S = 30.0

NO_THREAD = "Resource temporarily unavailable"
"""What Polars says in its panic when the system gives it no thread."""

TOLD = {None, Code.OUT_OF_MEMORY, Code.DISK_FAULT, "exit 127"}
"""SQLite says of memory that it cannot map what it says of a disk. With 127 the C library itself ends a process that
has no room for the data of one more thread."""


def test_duckdb_has_too_little(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> None:
    given = {"source": evening.begins(SCENE), "home": str(tmp_path / "home"), "scene": SCENE, "limits": LIMITS}
    found = zygotes.result("little_for_book", **given)
    FIGURES["limits of DuckDB's memory"] += len(found)
    assert [names for one in found if (names := evening.differs(SCENE, one["state"]))] == []
    said = [one["said"] for one in found]
    assert said[:2] == [Code.OUT_OF_MEMORY] * 2
    assert set(said) == {None, Code.OUT_OF_MEMORY}


def little(zygotes: Zygotes, evening: Evening, home: Path, more: int, *, fresh: bool) -> str | None:
    """What became of a process with little memory: what it said, or the signal that ended it."""
    given = {"source": evening.begins(SCENE), "home": str(home), "scene": SCENE, "more": more, "fresh": fresh}
    answer = zygotes.ask("little_memory", PATIENCE_S, **given)
    assert "raised" not in answer, answer["raised"]
    found: Mapping[str, Any] = answer.get("result", {})
    if not found:
        (found,) = zygotes.result("recover", homes=[(str(home), SCENE, ())])
    FIGURES["limits of a process's memory"] += 1
    assert evening.differs(SCENE, found["state"]) == []
    ends = [f"{how} {answer[how]}" for how in ("signal", "exit") if how in answer]
    return ends[0] if ends else found["said"]


def test_a_process_has_too_little(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> None:
    said = zygotes.spread(MORE, lambda more: little(zygotes, evening, tmp_path / f"home-{more}", more, fresh=False))
    assert set(said) <= TOLD
    assert said[-1] is None
    assert said.count(Code.OUT_OF_MEMORY) >= 2


@pytest.mark.crash
def test_a_process_has_too_little_from_the_start(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> None:
    """Where not even threads can be started, Polars panics or aborts and PyArrow waits for ever: then it is killed."""
    said = zygotes.spread(FRESH, lambda more: little(zygotes, evening, tmp_path / f"home-{more}", more, fresh=True))
    told = {one if one is None or NO_THREAD not in one else NO_THREAD for one in said}
    assert told <= {*TOLD, NO_THREAD, "signal 6", "signal 9", "signal 11"}
