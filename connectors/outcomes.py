"""The failures that every source shares, so that a folder and a server say the same thing in the same words.

Here: constructors of errors. Not here: deciding when one applies.
"""

from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.limits import LISTING_FILES_MAX
from counterfoil.protocols import RemoteFile


def missing(where: str) -> PermanentError:
    """REMOTE_MISSING."""
    return PermanentError(
        Code.REMOTE_MISSING,
        where,
        found="it is not there",
        expected="a regular file, or a folder, of this name",
        remedy="If somebody took the file away, ask for it again; if the folder was never there, correct its name",
    )


def refused(where: str, answer: str) -> PermanentError:
    """REMOTE_REFUSED; ``answer`` in our own words, never a text from outside."""
    return PermanentError(
        Code.REMOTE_REFUSED,
        where,
        found=answer,
        expected="the operation to be allowed",
        remedy="Check the rights of the user and the state of the folder on that side",
    )


def name_taken(where: str) -> PermanentError:
    """REMOTE_REFUSED: what was to be put there has the name of another file."""
    return PermanentError(
        Code.REMOTE_REFUSED,
        where,
        found="another file of this name",
        expected="a name that is free, or a file of the very same bytes",
        remedy="Move that file away, or have the names told apart in the layout; nothing was written over",
    )


def moved(where: str, how: str) -> TransientError:
    """FILE_MOVED: bytes fetched so far must not be kept."""
    return TransientError(
        Code.FILE_MOVED,
        where,
        found=f"the file changed while it was handled: {how}",
        expected="the file as it was listed, from the first byte to the last",
        remedy="Nothing was taken over; the next look fetches it from the start",
    )


def cut_short(where: str, *, arrived: int, announced: int) -> TransientError:
    """FILE_CUT_SHORT: bytes fetched so far are what the other side had, and by themselves not the file."""
    return TransientError(
        Code.FILE_CUT_SHORT,
        where,
        found=f"the file ended after {arrived} of {announced} bytes",
        expected="as many bytes as the listing announced",
        remedy="Nothing was taken over; the next look fetches it again",
    )


def listing_too_long(where: str) -> PermanentError:
    """LISTING_TOO_LONG."""
    return PermanentError(
        Code.LISTING_TOO_LONG,
        where,
        found=f"the folder holds more than {LISTING_FILES_MAX} entries",
        expected="a folder that is cleared after files are fetched",
        remedy="Move old files away there, or let the layout archive them",
    )


def require_offset(file: RemoteFile, offset: int, where: str) -> None:
    """Raise FILE_MOVED when more bytes are already here than the file now has."""
    if not 0 <= offset <= file.size:
        raise moved(where, f"{offset} bytes were fetched before and it has {file.size} now")
