"""Names that servers and folders show us: data from outside, judged before any of them becomes part of a path.

Here: the one rule for a safe name, how a name is shown in a message, and names for archived files. Not here: any access
to a server or a disk.
"""

from collections.abc import Callable
from typing import Final

from counterfoil.errors import Code, PermanentError
from counterfoil.limits import NAME_BYTES_MAX

SHOWN_CHARACTERS_MAX: Final = 80
"""Of a name in a message: enough to recognise it, too few to flood a log."""

DOUBLINGS_MAX: Final = 20
"""A million archived files of one name; at one a day that is far beyond any programme's life."""

PUT_SUFFIX: Final = ".part"
"""Behind the name of a file that we are still writing on the other side."""

MOVE_TRIES: Final = 5
"""Attempts to archive a file that another run archives at the same time; each step of the other costs at most one."""


def decoded(raw: bytes) -> str:
    r"""A name as text. Bytes that are not UTF-8 become ``\xNN``, and the backslash makes the name unsafe."""
    return raw.decode("utf-8", "backslashreplace")


def is_safe(name: str) -> bool:
    """True when the name can only mean one entry of one folder, on every system, and prints as it is.

    No separators of any system, no ``.`` or ``..``, nothing invisible (control and format characters, line separators,
    lone surrogates), at most ``NAME_BYTES_MAX`` bytes.
    """
    if name in {"", ".", ".."} or "/" in name or "\\" in name or not name.isprintable():
        return False
    return len(name.encode()) <= NAME_BYTES_MAX


def shown(name: str) -> str:
    """The name for a message: quoted, ASCII only, cut at ``SHOWN_CHARACTERS_MAX``."""
    text = ascii(name[: SHOWN_CHARACTERS_MAX + 1])
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + "…"


def place_of(alias: str, folder: str, name: str | None = None) -> str:
    """Where something was found, for a message: ``alias:folder/'name'``, fit for every terminal and log."""
    where = f"{alias}:{folder if folder.isprintable() else shown(folder)}"
    return where if name is None else f"{where}/{shown(name)}"


def require_safe(name: str, where: str) -> None:
    """Raise NAME_UNSAFE (permanent) unless the name is safe."""
    if not is_safe(name):
        raise PermanentError(
            Code.NAME_UNSAFE,
            where,
            found=f"the name {shown(name)} holds a separator, something invisible, or is empty or too long",
            expected="a plain file name",
            remedy="The file was left where it is; ask the sender to rename it",
        )


def folder_parts(folder: str, where: str) -> tuple[str, ...]:
    """A folder below a connection's root as its parts; ``""`` and ``"."`` are the root. Raises NAME_UNSAFE."""
    if folder in {"", "."}:
        return ()
    parts = tuple(folder.split("/"))
    if not all(is_safe(part) for part in parts):
        raise PermanentError(
            Code.NAME_UNSAFE,
            where,
            found=f"the folder {shown(folder)} is absolute, leaves the connection's root or holds an odd name",
            expected="a folder below the connection's root, such as northstar/outgoing",
            remedy="Correct the folder in the layout",
        )
    return parts


def free_name(name: str, taken: Callable[[str], bool]) -> str:
    """``name``, or ``name.1``, ``name.2`` …: one that is not taken, found in about 2·log2(n) questions.

    Numbers are given out without gaps, so doubling and halving find the first free one; where somebody removed some,
    another free one is found.
    """
    if not taken(name):
        return name
    for doubling in range(DOUBLINGS_MAX):
        high = 2**doubling
        if not taken(f"{name}.{high}"):
            return f"{name}.{_lowest_free(name, taken, low=high // 2, high=high)}"
    raise PermanentError(
        Code.LISTING_TOO_LONG,
        shown(name),
        found=f"the archive folder holds {2 ** (DOUBLINGS_MAX - 1)} files of this name",
        expected="fewer",
        remedy="Empty the archive folder",
    )


def given_before(name: str, free: str) -> str | None:
    """The name that ``free_name`` gave out before this one; None where ``name`` itself is free."""
    number = int(free.removeprefix(f"{name}.")) if free != name else 0
    return f"{name}.{number - 1}" if number > 1 else (name if number else None)


def _lowest_free(name: str, taken: Callable[[str], bool], *, low: int, high: int) -> int:
    """Halve between a number that is taken (0 is the plain name) and one that is free."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(f"{name}.{middle}") else (low, middle)
    return high
