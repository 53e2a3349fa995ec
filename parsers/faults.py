"""The errors of files that cannot be read as their layout says.

Here: the errors that files of any shape may raise. Not here: rules for single records
(``counterfoil.schemas.rules``).
"""

from pathlib import Path
from typing import Final

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed

_ENVELOPE: Final = "header and trailer as the layout declares them"


def broken(
    layout: Feed, name: str, found: str, code: Code = Code.ENVELOPE_INVALID, *, expected: str = _ENVELOPE
) -> PermanentError:
    """The error of a file that is not built as declared; nothing of it counts."""
    return PermanentError(
        code,
        f"{layout.key} {name!r}",
        found=found,
        expected=expected,
        remedy="Nothing of the file was read; ask the partner to send it again",
    )


def bound_bytes(path: Path, layout: Feed, name: str, most: int | None = None) -> int:
    """The size of a file; FILE_TOO_LARGE beyond the layout's limit, or ``most``, of what is read whole."""
    size = path.stat().st_size
    limit = layout.limits.bytes_max if most is None else min(most, layout.limits.bytes_max)
    if size > limit:
        raise PermanentError(
            Code.FILE_TOO_LARGE,
            f"{layout.key} {name!r}",
            found=f"{size:,} bytes",
            expected=f"at most {limit:,}",
            remedy="Ask the partner to split the file"
            + (", or raise limits.bytes_max in a new layout version" if limit == layout.limits.bytes_max else ""),
        )
    return size


def wrong_encoding(layout: Feed, name: str, encoding: str) -> PermanentError:
    """The error of a file that is not even text in the declared encoding."""
    return PermanentError(
        Code.ENVELOPE_INVALID,
        f"{layout.key} {name!r}",
        found=f"bytes that are not {encoding}",
        expected=f"{encoding}, as the layout says",
        remedy="Ask the partner for the declared encoding, or declare this one in a new layout version",
    )


def empty_file(layout: Feed, name: str, found: str) -> PermanentError:
    """The error of a file that says nothing, not even that there was nothing to say."""
    return PermanentError(
        Code.FILE_EMPTY,
        f"{layout.key} {name!r}",
        found=found,
        expected="a header at least, also on a day without records",
        remedy="Ask the partner to send the file again",
    )
