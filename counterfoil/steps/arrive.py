"""Arrival: look at a source, take what is ready, land it, say what it is, and tidy up on the other side.

Here: readiness and the order of these acts. Not here: how a source is read (``connectors``), what makes a file new
(``identity``), or what becomes of it (``post``).
"""

import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import BinaryIO, Final

from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError
from counterfoil.feed import LANDED_HERE, SECRET_KINDS, Feed, FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict, business_date, counted_on, far, identity_text
from counterfoil.landing.index import Look
from counterfoil.landing.records import Arrival, Delivery, Refusal
from counterfoil.landing.store import fetch_token
from counterfoil.protocols import Marks, RemoteFile, Source
from counterfoil.steps.beside import (
    Beside,
    FileSet,
    beside,
    file_sets,
    is_beside,
    left_with,
    prove_declared,
    read_companions,
    said_again,
)
from counterfoil.steps.desk import Desk
from counterfoil.steps.unclaimed import claimed_by, of_member, payload_of
from counterfoil.steps.unwrap import FAULTS, Payload, dropped, opened, require_way, unopened

UNCLAIMED_STABLE_S: Final = 30
"""How long a file that no layout claims by name must stay unchanged before it is landed for a person to see."""

_UNREADABLE = {Code.FILE_EMPTY, Code.HEADER_MISSING, Code.ENVELOPE_INVALID, Code.CONTROL_TOTAL_WRONG} | FAULTS
"""Whole files that the partner must send again; anything else about a claim is for us to settle."""


_STOPS_ALL = {Code.CONNECTION_LOST, Code.DISK_FULL, Code.DISK_FAULT}
"""Troubles that the next file would meet as well; it is not charged with them."""

OWN_KINDS: Final = {
    FeedKind.OPENING,
    FeedKind.RATES,
    FeedKind.CALENDAR,
    FeedKind.DECISIONS,
    FeedKind.APPROVALS,
    FeedKind.MEMBERS,
    FeedKind.COMPANIES,
    FeedKind.RECHARGES,
    FeedKind.BUDGETS,
    FeedKind.VOUCHERS,
}
"""Feeds of the programme itself: their dates may lie as far back as the programme goes."""


@dataclass
class Received:
    """What a look brought: landed files, files that could not be taken and why, and files not ready yet."""

    delivered: list[Delivery] = field(default_factory=list)
    troubles: list[CounterfoilError] = field(default_factory=list)
    waiting: list[RemoteFile] = field(default_factory=list)


def connections(desk: Desk) -> list[str]:
    """The connections that any layout names, by alias."""
    return sorted({feed.arrival.connection for feed in _sent(desk)})


def _sent(desk: Desk) -> list[Feed]:
    """The feeds that others send."""
    return [feed for feed in desk.reader.feeds() if feed.kind not in LANDED_HERE]


def receive(desk: Desk, connection: str, *, patient: bool) -> Received:
    """Take everything that is ready at a connection.

    ``patient`` waits as long as the layouts ask for a file to stay unchanged and looks again; otherwise an earlier
    look by any process counts. Raises what the connection itself raises; what is wrong with one file only is among
    the troubles and stops no other.
    """
    received = Received()
    with desk.open_source(connection) as source:
        seen = look(desk, source, connection, received.troubles)
        quiet_s = max((sight.quiet_s or 0 for sight in seen if not sight.ready), default=0)
        if patient and quiet_s:
            desk.progress(f"waiting {quiet_s} s: files at {connection} must stay unchanged", 0, 0)
            time.sleep(quiet_s)
            before = {sight.file for sight in seen}
            seen = [
                replace(sight, ready=sight.ready or (sight.file in before and sight.quiet_s is not None))
                for sight in look(desk, source, connection, [])
            ]
        received.waiting = [sight.file for sight in seen if not sight.ready]
        ready = [sight for sight in seen if sight.ready]
        for done, sight in enumerate(ready):
            desk.progress(f"receiving from {connection}", done, len(ready))
            try:
                received.delivered += _deliver(desk, source, connection, sight)
            except CounterfoilError as error:
                if error.code is Code.REMOTE_MISSING and desk.index.delivered(connection, sight.file):
                    continue  # another run was faster, and has cleared it away
                desk.index.note_failure(connection, sight.file, error.code)
                received.troubles.append(error)
                if error.code in _STOPS_ALL:
                    break
        received.delivered += _claimed_by_now(desk, source, connection)
    return received


def _claimed_by_now(desk: Desk, source: Source, connection: str) -> list[Delivery]:
    """Files that no layout, or more than one, claimed when they came, and that one claims by now: delivered anew, from
    what has landed."""
    delivered: list[Delivery] = []
    for known in desk.index.unclaimed(connection):
        owner = "" if known.sender.startswith("connection:") else known.sender
        file = RemoteFile(known.folder, known.name, known.size, known.mtime_ns, owner=owner)
        if known.wrapped:
            delivered += _inside_by_now(desk, known, file)
            continue
        feed = _by_name(desk, connection, file)
        if feed is None or not (feed.wrappers or claimed_by(desk, known)):
            continue
        sight = Sight(file, feed, ready=True, quiet_s=None, attempts=0)
        delivered += _recorded(desk, source, connection, sight, known.payload_sha)
    return delivered


def _inside_by_now(desk: Desk, known: Delivery, file: RemoteFile) -> list[Delivery]:
    """What came out of a file, alone: a member's neighbours were delivered. One full of secrets lies here in the clear,
    and is sealed only when the file is put there anew."""
    feed = claimed_by(desk, known)
    if feed is None or feed.kind in SECRET_KINDS:
        return []
    payload = payload_of(known)
    try:
        said = said_again(desk, feed, known.archive or known.name, payload.said.shas)
    except PermanentError as error:
        return [_record(desk, known.connection, file, payload, refused=(feed, error))]
    return [_record(desk, known.connection, file, replace(payload, said=said))]


def land_own(desk: Desk, feed: Feed, *, name: str, data: bytes) -> Delivery:
    """Land a file that the program itself has written, as any other."""
    sha = desk.landing.land_bytes(data)
    file = RemoteFile(feed.arrival.folder, name, len(data), 0, owner=desk.settings.actor)
    return _record(desk, feed.arrival.connection, file, Payload(name, sha))


@dataclass(frozen=True)
class Sight:
    """One file of a look that is not delivered yet.

    ``feed`` is the one that takes such a name; ``quiet_s`` how long the file must stay unchanged, None where a marker
    decides or something is missing beside it; ``attempts`` how many runs have ended without a verdict on it.
    """

    file: RemoteFile
    feed: Feed | None
    ready: bool
    quiet_s: int | None
    attempts: int
    around: Beside = field(default_factory=Beside)


def look(desk: Desk, source: Source, connection: str, troubles: list[CounterfoilError]) -> list[Sight]:
    """One look at every folder: the files that are not delivered yet, in order of name.

    A folder that cannot be listed is added to ``troubles`` and stops no other; one that is not there, and in which no
    file is ever due, is as good as empty.
    """
    feeds = [feed for feed in _sent(desk) if feed.arrival.connection == connection]
    seen: list[Sight] = []
    for folder in sorted({feed.arrival.folder for feed in feeds}):
        now = desk.now()
        here = [feed for feed in feeds if feed.arrival.folder == folder]
        markers = tuple({feed.arrival.marker_suffix for feed in here if _marked(feed)})
        try:
            listing = source.listing(folder)
        except PermanentError as error:
            if error.code is not Code.REMOTE_MISSING or any(feed.expected for feed in here):
                troubles.append(error)
            continue
        known = {one.file.name: one for one in desk.index.note_looks(connection, listing, now)}
        sets = file_sets(source, here, list(known.values()), troubles)
        for one in known.values():
            feed = _by_name(desk, connection, one.file)
            if one.delivered:
                listed = next((each for each in sets if one.file.name in each.names), None)
                _tidy_up(source, feed, one.file, listed, troubles)
            elif not one.file.name.endswith(markers) and not is_beside(here, one.file.name):
                around = Beside() if feed is None else beside(desk, connection, feed, one, known, sets)
                seen.append(_sight(one, feed, around, known.keys(), now))
    return seen


def _sight(known: Look, feed: Feed | None, around: Beside | None, names: Collection[str], now: datetime) -> Sight:
    if around is None:
        return Sight(known.file, feed, ready=False, quiet_s=None, attempts=known.attempts)
    if feed is not None and _marked(feed):
        marked = known.file.name + feed.arrival.marker_suffix in names
        return Sight(known.file, feed, marked, quiet_s=None, attempts=known.attempts, around=around)
    quiet_s = feed.arrival.stable_s if feed is not None else UNCLAIMED_STABLE_S
    quiet = (now - known.first_seen).total_seconds() >= quiet_s
    return Sight(known.file, feed, quiet, quiet_s=quiet_s, attempts=known.attempts, around=around)


def _marked(feed: Feed) -> bool:
    return feed.arrival.ready == "marker"


def _by_name(desk: Desk, connection: str, file: RemoteFile) -> Feed | None:
    """The feed whose arrival rules a file follows; None where no or several feeds take such a name.

    Feeds that share an archive say the same about it, so any of them stands for all.
    """
    fitting = [
        feed
        for feed in desk.reader.candidates(connection=connection, folder=file.folder, name=file.name)
        if feed.archive_name is None
    ]
    fitting += [
        feed
        for feed in desk.reader.feeds()
        if feed.archive_name is not None
        and (feed.arrival.connection, feed.arrival.folder.strip("/")) == (connection, file.folder.strip("/"))
        and re.fullmatch(feed.archive_name, file.name)
    ]
    ways = {(feed.arrival, feed.wrappers, feed.feed if feed.archive_name is None else "") for feed in fitting}
    return fitting[0] if len(ways) == 1 else None


def _deliver(desk: Desk, source: Source, connection: str, sight: Sight) -> list[Delivery]:
    file, feed = sight.file, sight.feed
    if feed is not None and file.size > feed.limits.bytes_max:
        raise PermanentError(
            Code.FILE_TOO_LARGE,
            feed.key,
            found=f"{file.size:,} bytes",
            expected=f"at most {feed.limits.bytes_max:,}",
            remedy="Ask the partner to split the file, or raise limits.bytes_max in a new layout version",
        )

    if feed is not None and feed.kind in SECRET_KINDS:
        desk.vault()  # without keys nothing is fetched that could not be sealed

    def fill(into: BinaryIO, offset: int) -> None:
        source.fetch(file, into, offset)

    sha = desk.landing.land_stream(
        fetch_token(connection, file.folder, file.name, size=file.size, mtime_ns=file.mtime_ns),
        size=file.size,
        fill=fill,
        confirm=lambda: _same(source, file),
    )
    deliveries = _recorded(desk, source, connection, sight, sha)
    _tidy(source, feed, file, sight.around.listed)
    return deliveries


def _recorded(desk: Desk, source: Source, connection: str, sight: Sight, sha: str) -> list[Delivery]:
    """Record what is in a landed file: itself, or all that comes out of its wrappers; or that they do not come off, or
    that it is not what the files beside it say."""
    file, feed = sight.file, sight.feed
    if feed is None:
        return [_record(desk, connection, file, Payload(file.name, sha))]
    try:
        said = read_companions(desk, source, feed, file, sha, sight.around)
        payloads = opened(desk, feed, file.name, sha)
    except CounterfoilError as error:
        if error.code not in FAULTS:
            dropped(desk, feed, sha)
            raise
        return [_record(desk, connection, file, unopened(desk, feed, file.name, sha), refused=(feed, error))]
    return [_record(desk, connection, file, replace(payload, said=said)) for payload in payloads]


def _same(source: Source, file: RemoteFile) -> None:
    if source.stat(file) != file:
        raise TransientError(
            Code.FILE_MOVED,
            f"{file.folder}",
            found="another size or time than when the fetch began",
            expected="a file that stays as it is",
            remedy="The next look fetches it anew once it has stopped changing",
        )


def _tidy_up(
    source: Source, feed: Feed | None, file: RemoteFile, listed: FileSet | None, troubles: list[CounterfoilError]
) -> None:
    """Tidy a file that was delivered earlier; a server that does not let us must not keep the others waiting."""
    try:
        _tidy(source, feed, file, listed)
    except CounterfoilError as error:
        if error.code is Code.CONNECTION_LOST:
            raise
        troubles.append(error)


def _tidy(source: Source, feed: Feed | None, file: RemoteFile, listed: FileSet | None) -> None:
    """Clear a delivered file away as its layout says, and what lies beside it; a file of no feed stays where it is."""
    if feed is None or feed.arrival.afterwards == "leave":
        return
    found = {other.name: other for other in source.listing(file.folder)}
    if found.get(file.name, file) != file:
        return  # another version has taken its place; it, and its marker, are for the next look
    marker = [file.name + feed.arrival.marker_suffix] if _marked(feed) else []
    names = [file.name, *marker, *left_with(feed, file, listed, found)]
    for known in (found[name] for name in dict.fromkeys(names) if name in found):
        if feed.arrival.afterwards == "archive":
            source.archive(known, feed.arrival.archive_folder)
        else:
            source.delete(known)


def _record(
    desk: Desk,
    connection: str,
    file: RemoteFile,
    payload: Payload,
    *,
    refused: tuple[Feed, CounterfoilError] | None = None,
) -> Delivery:
    """Say what a landed file is, and give it its number and verdict; ``refused`` says of what feed it is and why it
    counts for nothing."""
    received_at = desk.now()
    feed: Feed | None = None
    path = desk.landing.path(payload.sha)
    marks = Marks(business_date=None, epoch="", sequence=None, empty=path.stat().st_size == 0)
    refusal: Refusal | None = None
    identity = day = None
    try:
        if refused is not None:
            feed = refused[0]
            raise refused[1]
        feed = desk.reader.claim(connection=connection, folder=file.folder, name=payload.name, payload=path)
        require_way(feed, payload)
        said = desk.reader.inspect(feed, name=payload.name, payload=path)
        marks = counted_on(feed, said, desk.index.highest_sequence(feed.feed, said.epoch))
        day = business_date(marks, feed, received_at)
        identity = identity_text(feed, marks, name=payload.name, payload_sha=payload.sha, day=day)
        refusal = _far(feed, day, received_at)
        prove_declared(desk, feed, payload.name, path, payload.said.declared)
    except PermanentError as error:
        error = of_member(error, payload)
        refusal = Refusal.of(Verdict.REJECTED if error.code in _UNREADABLE else Verdict.HELD, error)
    return desk.index.record_delivery(
        Arrival(
            connection=connection,
            folder=file.folder,
            name=payload.name,
            size=file.size,
            mtime_ns=file.mtime_ns,
            payload_sha=payload.sha,
            feed=feed.feed if feed else None,
            layout_version=feed.version if feed else None,
            layout_sha=sha256_bytes(desk.reader.layout_bytes(feed)) if feed else None,
            business_date=day,
            epoch=marks.epoch,
            sequence=marks.sequence,
            empty=marks.empty,
            identity=identity,
            received_at=received_at,
            sender=file.owner or f"connection:{connection}",
            received_sha=payload.received_sha,
            wrapped=payload.wrapped,
            signer=payload.signer,
            archive=payload.archive,
            members=payload.members,
            companions=" ".join(payload.said.shas),
        ),
        refusal,
    )


def _far(feed: Feed, day: date, received_at: datetime) -> Refusal | None:
    if feed.kind in OWN_KINDS or not far(day, received_at, feed.zone):
        return None
    error = PermanentError(
        Code.BUSINESS_DATE_FAR,
        feed.key,
        found=f"business date {day}",
        expected="a day close to its arrival",
        remedy="Ask the partner; this file is kept and has no effect",
    )
    return Refusal.of(Verdict.HELD, error)
