"""Secrets that lie in files: read only when no other account can.

Here: the check of a file's mode and owner, and its text. Not here: which secret lies where (``settings``).
"""

import os
import stat
from pathlib import Path

from counterfoil.errors import Code, UsageError


def private_file(path: Path) -> Path | None:
    """``path`` if it is there and only this account can get at it; None if it is not there; SECRET_EXPOSED."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO) or found.st_uid not in {os.getuid(), 0}:
        raise UsageError(
            Code.SECRET_EXPOSED,
            str(path),
            found=f"mode {mode:03o}, owner {found.st_uid}: other accounts can get at the secret",
            expected=f"mode 600, owner {os.getuid()}",
            remedy="Run chmod 600 on it, and change the secret if others may have read it",
        )
    return path


def private_text(path: Path) -> str | None:
    """The text of a private file without its last line break; None if it is not there or has none."""
    if private_file(path) is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        # The decoder's own error quotes the bytes.
        raise UsageError(
            Code.SECRET_MISSING,
            str(path),
            found="bytes that are no UTF-8 text",
            expected="the password on one line",
            remedy="Write it again with a plain text editor",
        ) from None
    return text.removesuffix("\n").removesuffix("\r") or None
