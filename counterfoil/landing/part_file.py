"""An unfinished payload on its way into the landing store.

Here: taking bytes within a limit, and going on after a drop. Not here: what becomes of it (``store``).
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from counterfoil.errors import Code, TransientError
from counterfoil.files import room_for_write

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_OVERLAP_BYTES: Final = 64 * 1024
"""Read again when a fetch resumes: a server that ignores the offset, or swapped the file, shows itself here."""


class PartFile(io.FileIO):
    """An unfinished payload: takes at most ``limit`` bytes, each write whole."""

    def __init__(self, handle: int, folder: Path, limit: int) -> None:
        super().__init__(handle, "r+")
        self._folder = folder
        self._limit = limit

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data).cast("B")
        if self.tell() + len(view) > self._limit:
            raise _moved(f"more than the {self._limit} bytes announced")
        written = 0
        with room_for_write(self._folder):
            while written < len(view):
                written += os.write(self.fileno(), view[written:])
        return written

    def resume(self, fill: Callable[[BinaryIO, int], None]) -> None:
        """Have the rest filled in, then prove that it fits what was there and that nothing lacks."""
        if os.fstat(self.fileno()).st_size > self._limit:
            self.truncate(0)
        offset = max(0, os.fstat(self.fileno()).st_size - _OVERLAP_BYTES)
        before = os.pread(self.fileno(), _OVERLAP_BYTES, offset)
        self.seek(offset)
        fill(self, offset)
        if os.pread(self.fileno(), len(before), offset) != before:
            raise _moved("other bytes on resuming than before the drop")
        if self.tell() != self._limit:
            raise TransientError(
                Code.FILE_CUT_SHORT,
                "fetch",
                found=f"{self.tell()} bytes",
                expected=f"the {self._limit} that the server announced",
                remedy="The next look resumes the fetch",
            )


def _moved(found: str) -> TransientError:
    return TransientError(
        Code.FILE_MOVED,
        "fetch",
        found=found,
        expected="one file that stays as it is",
        remedy="The next look fetches it anew once it has stopped changing",
    )
