"""Faults that a process meets by itself: death at a named point, a call that fails, too little room or memory.

Here: wrapping functions of the program and the limits of the process. Not here: calls below Python (``watch``), or what
must come of it.
"""

import builtins
import ctypes
import errno
import io
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.store import LandingStore
from counterfoil.ledger import store
from counterfoil.ledger.store import Book
from counterfoil.ledger.writing import Writer


def die() -> None:
    """kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


# Named points


@dataclass(frozen=True)
class Point:
    """Before or after the ``nth`` call of a method or the ``nth`` time a statement is run that begins so."""

    scene: str
    what: tuple[object, str] | str
    after: bool
    nth: int = 1


CLOSE: Final = "close"

POINTS: Final = {
    "a payload has landed, its delivery has no number": Point("rates", (LandingStore, "land_stream"), True, 2),
    "a file is in the archive, and still where it came from": Point("correction", (os, "link"), True, 2),
    "a delivery's sidecar is written, the index has no row": Point("rates", (LandingStore, "write_delivery"), True, 2),
    "the day's close has landed, its delivery has no number": Point("close", (LandingStore, "land_bytes"), True),
    "the book is being made": Point("rates", "INSERT INTO book.migration", True),
    "before BEGIN": Point("answers", (Writer, "post"), False),
    "after BEGIN": Point("answers", "BEGIN", True),
    "the first rows are written": Point("requests", "INSERT INTO book.entry", True),
    "rows are written, working sets are half moved": Point("answers", "DELETE FROM book.open_item", True),
    "a correction is undone, nothing is done anew": Point("correction", "INSERT INTO book.reversal", True),
    "all rows are written, nothing is proved": Point("requests", "INSERT INTO book.mass_balance", True),
    "before the posting record": Point("answers", (LandingStore, "write_record"), False),
    "after the posting record": Point("answers", (LandingStore, "write_record"), True),
    "after the posting record of a correction": Point("correction", (LandingStore, "write_record"), True),
    "after the posting record of a decision": Point("decision", (LandingStore, "write_record"), True),
    "after the posting record of a day's close": Point("close", (LandingStore, "write_record"), True),
    "before COMMIT": Point("answers", "COMMIT", False),
    "after COMMIT, no outcome": Point("answers", "COMMIT", True),
    "before an outcome's sidecar": Point("requests", (LandingStore, "write_outcome"), False),
    "after an outcome's sidecar, the index has no row": Point("answers", (LandingStore, "write_outcome"), True),
    "between two postings, the book open": Point("opening", (ArrivalIndex, "record_outcome"), True),
    "committed, the heads not published": Point("answers", (Book, "publish"), False),
    "the heads published, the book open": Point("answers", (Book, "publish"), True),
    "before the log is folded in": Point("answers", CLOSE, False, 2),
    "after the log is folded in": Point("answers", CLOSE, True, 2),
    "a batch's range is allotted, nothing written": Point("out", (ArrivalIndex, "allot_range"), True),
    "a batch is written, its range is not marked": Point("out", (ArrivalIndex, "mark_range_written"), False),
    "a journal is claimed, not written": Point("out", (ArrivalIndex, "claim_journal"), True),
}
"""A point by what has been done there and what has not."""


def die_at(point: Point, end: Callable[[], None] = die) -> None:
    """Have this process end there."""
    left = [point.nth]

    def come() -> None:
        left[0] -= 1
        if left[0] == 0:
            end()

    if isinstance(point.what, str):
        _connections(lambda text, after: come() if after == point.after and text.startswith(str(point.what)) else None)
        return
    owner, name = point.what
    original = getattr(owner, name)

    def around(*given: Any, **named: Any) -> Any:
        if not point.after:
            come()
        result = original(*given, **named)
        if point.after:
            come()
        return result

    setattr(owner, name, around)


def die_in_checkpoint(nth: int) -> None:
    """Have the system end this process in the middle of the first page that the ``nth`` close of the book folds in."""
    left = [nth]

    def limit(text: str, after: bool) -> None:
        if text == CLOSE and not after:
            left[0] -= 1
            if left[0] == 0:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    _connections(limit)


def _connections(told: Callable[[str, bool], None]) -> None:
    """Have every statement on the book, and the closing of it, told of before and after."""
    connect = duckdb.connect

    class Connection:
        def __init__(self, *given: Any, **named: Any) -> None:
            self._inner = connect(*given, **named)

        def execute(self, statement: str, *values: Any) -> Any:
            told(statement, False)
            result = self._inner.execute(statement, *values)
            told(statement, True)
            return result

        def close(self) -> None:
            told(CLOSE, False)
            self._inner.close()
            told(CLOSE, True)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    duckdb.connect = Connection  # type: ignore[assignment]


# Calls that fail

CALLS: Final = ("open", "write", "fsync", "replace", "link", "unlink", "mkdir", "rename", "ftruncate")
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Failing:
    """Python's own calls that write, counted; the ``at``-th of them fails. Undone on leaving."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._at = 0
        self._error = 0

    @contextmanager
    def armed(self, at: int, error: str) -> Iterator[None]:
        self.seen, self._at, self._error = [], at, getattr(errno, error)
        kept: list[tuple[Any, str, Any]] = [(os, name, getattr(os, name)) for name in CALLS]
        kept += [(module, "open", module.open) for module in (io, builtins)]
        for module, name, original in kept:
            setattr(module, name, self._counted(name, original))
        try:
            yield
        finally:
            for module, name, original in kept:
                setattr(module, name, original)

    def _counted(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            if name != "open" or _writes(given, named):
                self.seen.append(name)
                if len(self.seen) == self._at:
                    raise OSError(self._error, os.strerror(self._error))
            return original(*given, **named)

        return counted


def _writes(given: Sequence[Any], named: dict[str, Any]) -> bool:
    """Whether ``open`` was asked for something to write to, by flags or by a mode."""
    how = given[1] if len(given) > 1 else named.get("mode", named.get("flags", "r"))
    return bool(how & _WRITING) if isinstance(how, int) else any(sign in how for sign in "wax+")


# Limits


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes: the write that would fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def memory_of(more: int) -> Iterator[None]:
    """Let this process have so many bytes of address space more than it has now."""
    with open("/proc/self/statm") as text:
        now = int(text.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def between(before: Callable[[], object], after: Callable[[], object]) -> Iterator[None]:
    """Something done before, and something after whatever happens."""
    before()
    try:
        yield
    finally:
        after()


@contextmanager
def book_memory_of(limit: str) -> Iterator[None]:
    """Let DuckDB have so much memory."""
    kept = store.MEMORY_LIMIT
    store.MEMORY_LIMIT = limit  # type: ignore[misc]
    try:
        yield
    finally:
        store.MEMORY_LIMIT = kept  # type: ignore[misc]


DISK_BYTES: Final = 64 * 1024 * 1024
_NEW_MOUNTS, _NEW_USERS, _PRIVATE_BELOW = 0x20000, 0x10000000, 0x44000


def mounted(folder: Path) -> Path | None:
    """Mount a small disk at ``folder``, for this process alone; None where the system does not permit it."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if sys.platform != "linux" or libc.unshare(_NEW_MOUNTS | (_NEW_USERS if user else 0)) != 0:
        return None
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    libc.mount(b"none", b"/", None, _PRIVATE_BELOW, None)
    folder.mkdir()
    size = f"size={DISK_BYTES}".encode()
    return folder if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, size) == 0 else None


@contextmanager
def disk_with(folder: Path, free: int) -> Iterator[None]:
    """Have so many bytes left on the disk of a folder."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - free)
    try:
        yield
    finally:
        ballast.unlink()
