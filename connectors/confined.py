"""Folders below a root, opened part by part so that neither ``..`` nor a symbolic link leads out.

Here: descriptor-based access that the local source and the embedded server share. Not here: what they do with it.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""How file systems without hard links (exFAT, many network shares) answer ``link``."""


def open_root(root: Path) -> int:
    """A descriptor of the root; the root itself may be reached over links, nothing below it may. Raises OSError."""
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


@contextlib.contextmanager
def opened_folder(root: int, parts: tuple[str, ...]) -> Iterator[int]:
    """A descriptor of the folder ``parts`` below ``root``; raises OSError (ELOOP or ENOTDIR at a link)."""
    folder = os.dup(root)
    try:
        for part in parts:
            below = os.open(part, FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def make_folders(root: int, parts: tuple[str, ...]) -> None:
    """Make the folder and those above it, durably; what is there already stays as it is. Raises OSError."""
    for depth, part in enumerate(parts):
        with opened_folder(root, parts[:depth]) as above, contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=above)
            os.fsync(above)


def lstat_below(folder: int, name: str) -> os.stat_result | None:
    """The entry itself, never what a link points to; None where there is none. Raises other OSErrors."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def move_without_replacing(name: str, new_name: str, *, source: int, target: int) -> None:
    """Move a file between two open folders and sync both; raises FileExistsError instead of overwriting.

    A hard link is the one portable call that takes a name only if it is free. A crash between link and unlink leaves
    one file under two names, which a repeated move recognises. Without hard links the check comes just before the
    rename.
    """
    try:
        os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        if lstat_below(target, new_name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
    else:
        os.unlink(name, dir_fd=source)
    os.fsync(target)
    os.fsync(source)
