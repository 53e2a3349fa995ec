"""The lock beside the book: one writer, or several readers, across processes; freed by the system when a holder dies.

Here: flock with a deadline and the name of the holder. Not here: what is done under it.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterfoil.errors import Code, TransientError
from counterfoil.files import room_for_write

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.2
"""Pauses double from 5 ms: opening and closing the book costs 15–25 ms, so most waits end in the first few."""


@contextmanager
def held(path: Path, *, exclusive: bool, wait_s: float, purpose: str) -> Iterator[None]:
    """Hold the lock; BOOK_BUSY (transient) after ``wait_s`` names the last writer that took it. DISK_FULL, DISK_FAULT.

    Who waits to write is next: readers that come later wait behind him. So whoever reads must not begin to read again
    before it is done.
    """
    deadline = time.monotonic() + wait_s
    with room_for_write(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
    with file:
        with _in_line(path.parent) as line:
            for descriptor in (line, file.fileno()):
                if not _acquired(descriptor, exclusive=exclusive, deadline=deadline):
                    raise _busy(path, wait_s)
        if exclusive:
            with room_for_write(path.parent):
                file.truncate(0)
                file.write(json.dumps({"pid": os.getpid(), "purpose": purpose}).encode())
        try:
            yield
        finally:
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


@contextmanager
def _in_line(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, whose own lock is held only while waiting for the other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _acquired(descriptor: int, *, exclusive: bool, deadline: float) -> bool:
    mode = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    pause = _FIRST_PAUSE_S
    while True:
        try:
            fcntl.flock(descriptor, mode)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
        else:
            return True
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def _busy(path: Path, wait_s: float) -> TransientError:
    return TransientError(
        Code.BOOK_BUSY,
        path.name,
        found=f"it was held for {wait_s:.0f} s, last by {path.read_text() or 'a reader'}",
        expected="it to be free",
        remedy="Wait for that process, then run again",
    )
