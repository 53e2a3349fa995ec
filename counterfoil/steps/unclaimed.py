"""Files, and members of archives, that no layout claimed when they came: what is said of them, and who claims them now.

Here: what does not depend on how a file is delivered. Not here: delivering it anew (``arrive``).
"""

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.landing.records import Delivery
from counterfoil.steps.beside import Said
from counterfoil.steps.desk import Desk
from counterfoil.steps.unwrap import Payload


def claimed_by(desk: Desk, known: Delivery) -> Feed | None:
    """The one layout that claims a landed file by now, if there is one."""
    if not desk.reader.candidates(connection=known.connection, folder=known.folder, name=known.name):
        return None
    payload = desk.landing.verify(known.payload_sha)
    try:
        return desk.reader.claim(connection=known.connection, folder=known.folder, name=known.name, payload=payload)
    except PermanentError as error:
        if error.code in (Code.FILE_UNCLAIMED, Code.FILE_AMBIGUOUS):
            return None
        raise


def of_member(error: PermanentError, payload: Payload) -> PermanentError:
    """The same error, where no layout claims a member: it lies nowhere that anybody could move it."""
    if error.code is not Code.FILE_UNCLAIMED or not payload.archive:
        return error
    return PermanentError(
        error.code,
        f"{error.where} of archive {payload.archive!r}",
        found=error.found,
        expected=error.expected,
        remedy="It is kept and the other members count; add a layout for it, with arrival: and wrappers: of theirs, "
        "and the next run takes it",
    )


def payload_of(known: Delivery) -> Payload:
    """What a delivery took out of a file, to be delivered anew."""
    return Payload(
        name=known.name,
        sha=known.payload_sha,
        received_sha=known.received_sha,
        wrapped=known.wrapped,
        signer=known.signer,
        archive=known.archive,
        members=known.members,
        said=Said(tuple(known.companions.split())),
    )
