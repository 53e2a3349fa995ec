"""What a child of the zygote is asked to do, by name: play a scene under a fault, recover, try every failing write.

Here: acts made of scenes and faults. Not here: either of them, or any judgement of the outcome.
"""

import os
import shutil
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from counterfoil.errors import CounterfoilError
from counterfoil.ledger import store
from counterfoil.ledger.chart import load_rulebook
from counterfoil.steps import record
from parsers.registry import LayoutReader
from pipelines import wiring
from tests.crash import evening, faults
from tests.crash.watch import Watched

CONTROL: Final[list[socket.socket]] = []
"""In a child: its line to the zygote."""


def warm() -> None:
    """Read layouts and rules once for all children, those in force and those kept. Starts no thread."""
    data = evening.settings(Path(), "rates").data
    reader, rulebook = LayoutReader(data), load_rulebook(data)
    layouts = [path.read_bytes() for path in data.glob("partners/*/*/layout*.yaml")]
    feeds = {layout: reader.feed_from_bytes(layout) for layout in layouts}
    kept: list[tuple[object, str, Callable[..., Any]]] = [
        (reader, "feed_from_bytes", feeds.__getitem__),
        (record, "Rulebook", lambda _rules, _chart: rulebook),
        (wiring, "LayoutReader", lambda _data, **_: reader),
        (wiring, "load_rulebook", lambda _data: rulebook),
    ]
    for owner, name, instead in kept:
        setattr(owner, name, instead)


def watchable() -> bool:
    """Whether the system lets calls be watched."""
    try:
        Watched(CONTROL[0]).begin()
    except OSError:
        return False
    return True


# To be killed


def play(
    source: str,
    home: str,
    scene: str,
    point: str | None = None,
    in_checkpoint: bool = False,
    call: int | None = None,
) -> None:
    """Play a scene in a new home, to its end or until it dies: at a point, in the checkpoint, or instead of a call."""
    shutil.copytree(source, home)
    if point is not None:
        faults.die_at(faults.POINTS[point])
    if in_checkpoint:
        faults.die_in_checkpoint(nth=2)
    if call is not None:
        watched = Watched(CONTROL[0])
        watched.begin()
        watched.arm(Path(home), call, "KILL")
    Watched(CONTROL[0]).started()
    evening.play(home, scene)


def recover(homes: Sequence[tuple[str, str, Sequence[str]]]) -> list[dict[str, Any]]:
    """Prove each home as it was left, play its scene (or some steps) to the end, and tell what the home holds then."""
    return [_recovered(home, scene, steps) for home, scene, steps in homes]


def _recovered(home: str, scene: str, steps: Sequence[str] = ()) -> dict[str, Any]:
    _forget_books()
    left = evening.prove(home)
    evening.play(home, scene, steps)
    state = evening.state(home)
    shutil.rmtree(home)
    return {"left": left, "state": state}


def count(source: str, home: str, scene: str) -> list[str]:
    """Every call that writes, of a scene without a fault."""
    shutil.copytree(source, home)
    watched = Watched(CONTROL[0])
    watched.begin()
    watched.arm(Path(home), 0, "")
    evening.play(home, scene)
    calls = watched.arm(Path(home), 0, "")
    shutil.rmtree(home)
    return calls


# To be told no


def fail_writes(
    source: str, home: str, scene: str, tries: Sequence[tuple[int, str]], watched: bool
) -> list[dict[str, Any]]:
    """For each of ``tries`` (k, errno) let the k-th writing call of a scene fail, and go on without the fault.

    Calls are those of the whole process where it is ``watched``, else Python's own. Adds to ``_tried`` which call it
    was, or none where there are not so many.
    """
    fault: faults.Failing | Watching = Watching(Path(home)) if watched else faults.Failing()
    found = []
    for k, error in tries:
        made = _tried(source, home, scene, fault.armed(k, error))
        found.append({"k": k, "error": error, "call": fault.seen[k - 1] if len(fault.seen) >= k else None, **made})
    return found


def small_files(source: str, home: str, scene: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """For each size let no file grow beyond it, and go on without the limit."""
    return [{"size": size, **_tried(source, home, scene, faults.files_up_to(size))} for size in sizes]


def small_disk(source: str, folder: str, scene: str, free: Sequence[int]) -> list[dict[str, Any]] | None:
    """For each number of bytes have a disk with so many left, and go on with room; None where none can be mounted."""
    disk = faults.mounted(Path(folder))
    if disk is None:
        return None
    home = str(Path(folder) / "home")
    return [{"free": left, **_tried(source, home, scene, faults.disk_with(Path(folder), left))} for left in free]


def little_for_book(source: str, home: str, scene: str, limits: Sequence[str]) -> list[dict[str, Any]]:
    """For each limit let DuckDB have so much memory, and go on without."""
    return [{"limit": limit, **_tried(source, home, scene, faults.book_memory_of(limit))} for limit in limits]


def little_memory(source: str, home: str, scene: str, more: int, fresh: bool) -> dict[str, Any]:
    """Play a scene with so many bytes of address space more than before, and go on without the limit.

    A process that is not ``fresh`` has played it before and started its threads; another lacks the room for them.
    """
    if not fresh:
        evening.play(shutil.copytree(source, f"{home}-before"), scene)
    Watched(CONTROL[0]).started()
    return _tried(source, home, scene, faults.memory_of(more))


# Together


def copy(source: str, home: str) -> None:
    """A home to be played in."""
    shutil.copytree(source, home)


def race(home: str, scene: str, steps: Sequence[str], at: float) -> None:
    """Take steps of a scene at an instant of the system's clock that only goes on, beside others who do."""
    time.sleep(max(0.0, at - time.monotonic()))
    evening.play(home, scene, steps)


def land_next_day(source: str, home: str, scene: str) -> None:
    """A scene's home, in which the next day's requests have landed as well."""
    shutil.copytree(source, home)
    evening.land_next_day(home, scene)


def in_order(source: str, home: str, scene: str, steps: Sequence[str]) -> dict[str, Any]:
    """Take steps one after the other, each as a run of its own."""
    shutil.copytree(source, home)
    for step in steps:
        evening.play(home, scene, [step])
    return _recovered(home, scene, [*steps])


def read(home: str, through: int) -> list[int]:
    """Read the book again and again, as two processes, until it holds so many postings; the numbers that were seen."""
    other = os.fork()
    seen: list[int] = []
    while not seen or seen[-1] < through:
        with evening.book_of(Path(home)).reading() as book:
            assert book.row("SELECT CAST(coalesce(sum(balance), 0) AS BIGINT) FROM book.balance") == (0,)
            assert book.row("SELECT count(*) FROM book.posting") == (book.last_posting(),)
            assert book.frame(evening.NOTHING["no row without its posting"]).is_empty()
            seen.append(book.last_posting())
    assert seen == sorted(seen), "what was known is never forgotten"
    if other == 0:
        os._exit(0)
    assert os.waitpid(other, 0)[1] == 0, "the other reader found a fault"
    return seen


def hold(source: str, home: str) -> None:
    """Hold the book's lock until the end comes."""
    shutil.copytree(source, home)
    with evening.book_of(Path(home)).writing(purpose="post skybridge_handback"):
        Watched(CONTROL[0]).started()
        time.sleep(600)


def take(home: str, wait_s: float) -> None:
    """Wait for the book's lock for so long."""
    with evening.book_of(Path(home)).writing(purpose="take", wait_s=wait_s):
        pass


class Watching:
    """Every writing call of this process below a folder, counted by the zygote."""

    def __init__(self, home: Path) -> None:
        self.seen: list[str] = []
        self._home = home
        self._watched = Watched(CONTROL[0])
        self._watched.begin()

    def armed(self, at: int, error: str) -> AbstractContextManager[None]:
        return faults.between(
            lambda: self._watched.arm(self._home, at, error),
            lambda: self.seen.__setitem__(slice(None), self._watched.arm(self._home, 0, "")),
        )


def _tried(source: str, home: str, scene: str, fault: AbstractContextManager[None]) -> dict[str, Any]:
    """What the program said under a fault, and all that ``recover`` tells."""
    shutil.copytree(source, home)
    _forget_books()
    said: str | None = None
    try:
        with fault:
            evening.play(home, scene)
    except CounterfoilError as error:
        said = error.code
    except BaseException:  # noqa: BLE001 - whatever else it is, is the finding
        said = traceback.format_exc()
    return {"said": said, **_recovered(home, scene)}


def _forget_books() -> None:
    """A new home may have an inode that one before it had, of which this process remembers that its book is current."""
    store._SEEN_CURRENT.clear()


ACTS: Final[dict[str, Callable[..., Any]]] = {
    "copy": copy,
    "hold": hold,
    "in_order": in_order,
    "land_next_day": land_next_day,
    "prepare": evening.prepare,
    "race": race,
    "read": read,
    "take": take,
    "audited": evening.audited,
    "watchable": watchable,
    "play": play,
    "recover": recover,
    "count": count,
    "fail_writes": fail_writes,
    "small_files": small_files,
    "small_disk": small_disk,
    "little_for_book": little_for_book,
    "little_memory": little_memory,
}
