"""Calls that write fail, each once, and files and disks are too small: a clear error, and going on without the fault
ends as if nothing had been."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import Code
from tests.crash.asking import FIGURES, Evening, Zygotes

SMALL = "opening"
"""The smallest scene: one posting of one row."""

EVERY = int(os.environ.get("COUNTERFOIL_FAIL_EVERY", "3"))
"""Of the calls that write, this many-th fails; which one it begins with follows the seed."""

ERRORS = ("EIO", "ENOSPC")
CLEAR = {Code.DISK_FULL, Code.DISK_FAULT}

SIZES = (0, 4_096, 20_000, 40_000, 100_000, 270_000, 600_000, 1_200_000, 2_000_000, 2_700_000, 4_000_000)
"""Bytes that a file may have: from none at all to more than any of the scene's has."""

FREE = (0, 4_096, 16_384, 40_000, 80_000, 160_000, 400_000, 800_000, 1_600_000, 3_200_000, 6_400_000)
"""Bytes left on a disk: it fills while files land, while a posting is written, at its commit, or at the log's end."""


def judged(what: str, evening: Evening, scene: str, found: Sequence[Mapping[str, Any]]) -> Counter[str | None]:
    """Every try ended as a clean scene; what was noticed was told clearly. Returns how often each error was told."""
    differing = [evening.differs(scene, one["state"]) for one in found]
    FIGURES[f"{what} tried"] += len(found)
    FIGURES[f"{what} that the program told of"] += sum(one["said"] is not None for one in found)
    FIGURES[f"{what} after which the end is the clean one"] += sum(not names for names in differing)
    told = [({**one, "state": names}) for one, names in zip(found, differing, strict=True)]
    assert [one for one in told if one["state"] or one["said"] not in {None, *CLEAR}] == []
    return Counter(one["said"] for one in found)


@pytest.mark.parametrize("watched", [True, False], ids=["of the whole process", "of Python"])
def test_writing_calls_fail_once(zygotes: Zygotes, evening: Evening, tmp_path: Path, watched: bool) -> None:
    if watched != zygotes.result("watchable"):
        return  # Python's own calls are among those of the whole process, where those can be made to fail
    first = 1 + zygotes.chance.randrange(EVERY)

    def half(begin: int) -> list[Mapping[str, Any]]:
        """Every second of the calls that are tried, until there is none of that number."""
        found: list[Mapping[str, Any]] = []
        begins, home = evening.begins(SMALL), str(tmp_path / f"home-{begin}")
        while not found or found[-1]["call"] is not None:
            tries = [(begin + 2 * EVERY * at, ERRORS[(at + begin) % 2]) for at in range(len(found), len(found) + 12)]
            given = {"source": begins, "home": home, "scene": SMALL, "tries": tries, "watched": watched}
            found += zygotes.result("fail_writes", **given)
        return [one for one in found if one["call"] is not None]

    found = [one for of_half in zygotes.spread([first, first + EVERY], half) for one in of_half]
    told = judged("failing calls " + ("of the whole process" if watched else "of Python"), evening, SMALL, found)
    assert sorted(one["k"] for one in found) == list(range(first, first + EVERY * len(found), EVERY))
    assert min(told[Code.DISK_FULL], told[Code.DISK_FAULT]) >= 10 // EVERY
    calls = {one["call"].split(" ")[0] for one in found}
    assert calls >= (
        {"openat", "pwrite64", "fsync", "fdatasync", "rename"} if watched else {"open", "fsync", "replace"}
    )


def test_no_file_may_grow(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> None:
    found = zygotes.result(
        "small_files", source=evening.begins("rates"), home=str(tmp_path / "home"), scene="rates", sizes=SIZES
    )
    told = judged("sizes of files", evening, "rates", found)
    assert found[0]["said"] is not None
    assert found[-1]["said"] is None
    assert sum(told[code] for code in CLEAR) >= 5


def test_the_disk_fills(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> None:
    found = zygotes.result(
        "small_disk", source=evening.begins("rates"), folder=str(tmp_path / "disk"), scene="rates", free=FREE
    )
    if found is None:
        return  # without a disk of its own, the sizes of files must do
    told = judged("sizes of disks", evening, "rates", found)
    assert found[-1]["said"] is None
    assert told[Code.DISK_FULL] >= 5
