"""The errors of files that cannot be read as their layout says.

Here: one error in one form. Not here: rules for single records (``counterfoil.schemas.rules``).
"""

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed


def broken(layout: Feed, name: str, found: str, code: Code = Code.ENVELOPE_INVALID) -> PermanentError:
    """The error of a file that is not built as declared; nothing of it counts."""
    return PermanentError(
        code,
        f"{layout.key} {name!r}",
        found=found,
        expected="header and trailer as the layout declares them",
        remedy="Nothing of the file was read; ask the partner to send it again",
    )
