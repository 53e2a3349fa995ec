"""The arrival index: what was seen, what was delivered and what became of it, over the landing store.

Here: looks, deliveries, outcomes, verdicts against those before. Not here: bytes and records themselves (``store``).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from counterfoil.clock import utc_text
from counterfoil.identity import Earlier, Effect, Judgement, judgement_message, verdict
from counterfoil.invariants import require
from counterfoil.landing.database import Database
from counterfoil.landing.outputs import OutputIndex
from counterfoil.landing.records import (
    Arrival,
    Delivery,
    Outcome,
    OutcomeState,
    Refusal,
    plain_name,
    record_fields,
    record_from_row,
)
from counterfoil.landing.store import LandingStore
from counterfoil.protocols import RemoteFile

_INSERT_DELIVERY = """INSERT INTO deliveries VALUES (:order, :connection, :folder, :name, :size, :mtime_ns,
    :payload_sha, :feed, :layout_version, :layout_sha, :business_date, :epoch, :sequence, :empty, :identity,
    :received_at, :verdict, :code, :message, :sender,
    :received_sha, :wrapped, :signer, :archive, :members, :companions)"""

_INSERT_OUTCOME = """INSERT INTO outcomes VALUES (:order, :k, :state, :n, :code, :message, :at, :run_id)
    ON CONFLICT ("order", k) DO NOTHING"""

# Another version seen in between means that the file changed and changed back: its quiet time starts anew.
_NOTE_LOOK = """INSERT INTO looks (connection, folder, name, size, mtime_ns, first_seen, last_seen)
    VALUES (:connection, :folder, :name, :size, :mtime_ns, :at, :at)
    ON CONFLICT DO UPDATE SET
        first_seen = CASE WHEN EXISTS (
            SELECT 1 FROM looks other
            WHERE other.connection = looks.connection AND other.folder = looks.folder AND other.name = looks.name
                AND other.last_seen > looks.last_seen
        ) THEN excluded.first_seen ELSE first_seen END,
        last_seen = max(last_seen, excluded.last_seen)"""

# An archive was delivered once each of its members was.
_DELIVERED = """EXISTS (
        SELECT 1 FROM deliveries d
        WHERE d.connection = {0}connection AND d.folder = {0}folder AND d.name = {0}name
            AND d.size = {0}size AND d.mtime_ns = {0}mtime_ns AND d.archive = ''
    ) OR EXISTS (
        SELECT 1 FROM deliveries d
        WHERE d.connection = {0}connection AND d.folder = {0}folder AND d.archive <> '' AND d.archive = {0}name
            AND d.size = {0}size AND d.mtime_ns = {0}mtime_ns
        GROUP BY d.received_sha HAVING count(DISTINCT d.name) = max(d.members)
    )"""

_LOOKS = f"""SELECT name, size, mtime_ns, first_seen, attempts, code, {_DELIVERED.format("looks.")} AS delivered
    FROM looks WHERE connection = :connection AND folder = :folder AND last_seen >= :at"""  # noqa: S608 (both texts are ours)


@dataclass(frozen=True)
class Look:
    """One file of a listing beside what is known of it.

    ``first_seen`` is when exactly this size and mtime were first seen; ``attempts`` counts runs that ended without a
    verdict, and ``code`` is why the last one did.
    """

    file: RemoteFile
    first_seen: datetime
    attempts: int
    code: str | None
    delivered: bool


class ArrivalIndex(OutputIndex):
    """``arrival.db``. A context manager; each process (and thread) opens its own.

    Deliveries, outcomes, report versions, journals and what became of letters are written to the landing store first,
    so the index can be lost: a new one fills itself from the store, and from the manifests below ``batches``
    (``<target>/<batch id>/``). Only looks, events and ranges that were allotted but never written are not restored.
    All methods may raise INDEX_BUSY, DISK_FULL, DISK_FAULT (transient), INDEX_UNUSABLE, SIDECAR_DAMAGED.
    """

    def __init__(self, path: Path, store: LandingStore, *, batches: Path) -> None:
        self._batches = batches

        def fill(db: Database) -> None:
            super(ArrivalIndex, self).__init__(db, store)
            self._fill()

        super().__init__(Database(path, on_create=fill), store)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def has_facts(self) -> bool:
        """Whether anything was delivered, handed on or told of; looks alone are made anew."""
        return bool(
            self._db.value(
                """SELECT EXISTS (SELECT 1 FROM deliveries) OR EXISTS (SELECT 1 FROM ranges)
                       OR EXISTS (SELECT 1 FROM reports) OR EXISTS (SELECT 1 FROM journals)
                       OR EXISTS (SELECT 1 FROM events) OR EXISTS (SELECT 1 FROM letters)"""
            )
        )

    def rebuild(self) -> None:
        """Restore deliveries, outcomes, reports, journals and written ranges from the landing store and the batches."""
        with self._db.transaction():
            self._db.execute("DELETE FROM deliveries")
            self._db.execute("DELETE FROM outcomes")
            self._fill()

    # Looks

    def note_looks(self, connection: str, listing: Sequence[RemoteFile], at: datetime) -> list[Look]:
        """Record one look at one or more folders; what is known of each file, in the listing's order."""
        files = {(plain_name(file.folder), plain_name(file.name), file.size, file.mtime_ns): file for file in listing}
        keys = ("folder", "name", "size", "mtime_ns")
        common = {"connection": connection, "at": utc_text(at)}
        with self._db.transaction():
            self._db.execute_all(_NOTE_LOOK, [common | dict(zip(keys, known, strict=True)) for known in files])
            rows = {
                (folder, row["name"], row["size"], row["mtime_ns"]): row
                for folder in {known[0] for known in files}
                for row in self._db.rows(_LOOKS, common | {"folder": folder})
            }
        return [
            Look(
                file=file,
                first_seen=datetime.fromisoformat(rows[known]["first_seen"]),
                attempts=rows[known]["attempts"],
                code=rows[known]["code"],
                delivered=bool(rows[known]["delivered"]),
            )
            for known, file in files.items()
        ]

    def note_failure(self, connection: str, file: RemoteFile, code: str) -> int:
        """Record that a run ended without a verdict on a file that was seen; returns how many have by now."""
        values = _file_values(connection, file) | {"code": code}
        with self._db.transaction():
            self._db.execute(
                """UPDATE looks SET attempts = attempts + 1, code = :code WHERE connection = :connection
                AND folder = :folder AND name = :name AND size = :size AND mtime_ns = :mtime_ns""",
                values,
            )
            query = """SELECT coalesce(max(attempts), 0) FROM looks WHERE connection = :connection
                AND folder = :folder AND name = :name AND size = :size AND mtime_ns = :mtime_ns"""
            return int(self._db.value(query, values))

    # Deliveries

    def delivered(self, connection: str, file: RemoteFile) -> bool:
        """Whether exactly this file, by its name, size and time, was delivered."""
        return bool(self._db.value(f"SELECT {_DELIVERED.format(':')}", _file_values(connection, file)))

    def delivered_since(self, connection: str, folder: str, names: Sequence[str], since: datetime) -> bool:
        """Whether a file by each of these names, or an archive, was delivered since a time."""
        query = """SELECT EXISTS (SELECT 1 FROM deliveries WHERE connection = :connection AND folder = :folder
            AND :name IN (name, archive) AND received_at >= :since)"""
        common = {"connection": connection, "folder": plain_name(folder), "since": utc_text(since)}
        return all(self._db.value(query, common | {"name": plain_name(name)}) for name in names)

    def record_delivery(self, arrival: Arrival, refusal: Refusal | None = None) -> Delivery:
        """Give a landed file its order number and verdict, and write its sidecar.

        The same file with the same bytes, feed and identity again (two runs at once, a crash before the index knew)
        gives the delivery that exists. A ``refusal`` says why the file is not compared with others; without one it
        must have a feed and an identity.
        """
        folder, name, archive = map(plain_name, (arrival.folder, arrival.name, arrival.archive))
        arrival = replace(arrival, folder=folder, name=name, archive=archive)
        with self._db.transaction():
            order = self._adopt_deliveries() + 1
            known = self._known(arrival)
            if known is not None:
                return known
            if refusal is None:
                judgement = self._judge(arrival, order)
                found = (judgement.verdict, judgement.code, _message(arrival, judgement))
            else:
                found = (refusal.verdict, refusal.code, refusal.message)
            facts = {**vars(arrival), **dict(zip(("verdict", "code", "message"), found, strict=True))}
            delivery = Delivery(order=order, **facts)
            self._store.write_delivery(delivery)
            self._db.execute(_INSERT_DELIVERY, record_fields(delivery))
            return delivery

    def judge(self, delivery: Delivery) -> Judgement:
        """The verdict as things stand now. Whoever posts asks again under the book's lock, and this answer counts.

        Compared with what was delivered before, and with what was posted at any time.
        """
        return self._judge(delivery, delivery.order)

    def delivery(self, order: int) -> Delivery | None:
        """One delivery by its order number."""
        rows = self._db.rows('SELECT * FROM deliveries WHERE "order" = :order', {"order": order})
        return record_from_row(Delivery, rows[0]) if rows else None

    def names(self, sha: str) -> bool:
        """Whether a delivery names these bytes, as it is read or as it came."""
        query = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE :sha IN (payload_sha, received_sha))"
        return bool(self._db.value(query, {"sha": sha}))

    def highest_sequence(self, feed: str, epoch: str) -> int | None:
        """The highest number delivered of a feed's sequence; None before the first."""
        query = "SELECT max(sequence) FROM deliveries WHERE feed = :feed AND epoch = :epoch"
        number = self._db.value(query, {"feed": feed, "epoch": epoch})
        return None if number is None else int(number)

    def deliveries(
        self, *, feed: str | None = None, day: date | None = None, since: date | None = None
    ) -> list[Delivery]:
        """Deliveries of a feed, of a business date, of both, or all, in order; with ``since`` only those of that
        business date or later, and those that have none."""
        query = """SELECT * FROM deliveries WHERE (:feed IS NULL OR feed = :feed)
            AND (:day IS NULL OR business_date = :day)
            AND (:since IS NULL OR business_date IS NULL OR business_date >= :since) ORDER BY "order" """
        days = {"day": day and day.isoformat(), "since": since and since.isoformat()}
        return _deliveries(self._db.rows(query, {"feed": feed, **days}))

    def pending(self, *, feed: str | None = None, day: date | None = None) -> list[Delivery]:
        """Deliveries that may post now: no final outcome yet, or held only for a gap; in order.

        One that waits for a gap is left out once another delivery has replaced it. Their verdicts are those of
        arrival: ``judge`` each before posting.
        """
        self._adopt_waiting()
        self._adopt_outcomes()
        query = """SELECT * FROM deliveries WHERE "order" IN (
                SELECT "order" FROM standing WHERE effect = 'waiting' AND verdict IN ('new', 'replacement')
                    AND (:feed IS NULL OR feed = :feed) AND (:day IS NULL OR business_date = :day))
            ORDER BY "order" """
        return _deliveries(self._db.rows(query, {"feed": feed, "day": day and day.isoformat()}))

    def held(self, feed: str) -> list[Delivery]:
        """Deliveries of a feed that are in hand and without effect until a person decides, in order."""
        query = """SELECT * FROM deliveries WHERE "order" IN (
            SELECT "order" FROM standing WHERE effect = 'held' AND feed = :feed) ORDER BY "order" """
        return _deliveries(self._db.rows(query, {"feed": feed}))

    def unclaimed(self, connection: str) -> list[Delivery]:
        """Files of a connection that are in hand because no layout, or more than one, claimed them, in order; not those
        out of which all that was inside was delivered since."""
        later = """EXISTS (SELECT 1 FROM deliveries later WHERE later."order" > d."order"
            AND later.connection = d.connection AND later.folder = d.folder AND """
        query = f"""SELECT * FROM deliveries d WHERE connection = :connection AND feed IS NULL
                AND code IN ('FILE_UNCLAIMED', 'FILE_AMBIGUOUS')
                AND NOT {later} later.feed IS NOT NULL AND later.payload_sha = d.payload_sha)
                AND NOT {later} later.received_sha = d.payload_sha
                    GROUP BY later.received_sha HAVING count(DISTINCT later.name) >= max(later.members))
            ORDER BY "order" """  # noqa: S608 (both texts are ours)
        return _deliveries(self._db.rows(query, {"connection": connection}))

    # Outcomes

    def record_outcome(
        self,
        order: int,
        state: OutcomeState,
        *,
        n: int | None,
        code: str | None,
        message: str | None,
        at: datetime,
        run_id: str,
    ) -> Outcome:
        """Append what became of a delivery; the same finding as the last one writes nothing and gives that one."""
        with self._db.transaction():
            last = self.latest_outcomes([order]).get(order)
            while (stray := self._store.read_outcome(order, last.k + 1 if last else 1)) is not None:
                self._db.execute(_INSERT_OUTCOME, record_fields(stray))
                last = stray
            if last is not None and (last.state, last.n, last.code, last.message) == (state, n, code, message):
                return last
            k = last.k + 1 if last else 1
            outcome = Outcome(order=order, k=k, state=state, n=n, code=code, message=message, at=at, run_id=run_id)
            self._store.write_outcome(outcome)
            self._db.execute(_INSERT_OUTCOME, record_fields(outcome))
            return outcome

    def latest_outcomes(self, orders: Iterable[int], *, until: datetime | None = None) -> dict[int, Outcome]:
        """The last outcome of each of these deliveries that has one, or had one by an instant."""
        query = """SELECT * FROM outcomes o WHERE "order" IN (SELECT value FROM json_each(:orders))
            AND k = (SELECT max(k) FROM outcomes WHERE "order" = o."order" AND (:until IS NULL OR at <= :until))"""
        rows = self._db.rows(query, {"orders": json.dumps(list(orders)), "until": until and utc_text(until)})
        return {row["order"]: record_from_row(Outcome, row) for row in rows}

    def posted_through(self) -> int:
        """The highest posting number among outcomes; records after it were left by a crash."""
        return int(self._db.value("SELECT coalesce(max(n), 0) FROM outcomes"))

    # Inside

    def _fill(self) -> None:
        for delivery in self._store.deliveries():
            self._db.execute(_INSERT_DELIVERY, record_fields(delivery))
        for outcome in self._store.outcomes():
            self._db.execute(_INSERT_OUTCOME, record_fields(outcome))
        self._rebuild_outputs(self._batches)

    def _adopt_deliveries(self) -> int:
        """Index sidecars that a crash left without a row; returns the last order number."""
        last = self._last_order()
        while (stray := self._store.read_delivery(last + 1)) is not None:
            self._db.execute(_INSERT_DELIVERY, record_fields(stray))
            last += 1
        return last

    def _adopt_waiting(self) -> None:
        """Index a sidecar that a crash left without a row, and that nobody may ever deliver again."""
        if self._store.read_delivery(self._last_order() + 1) is not None:
            with self._db.transaction():
                self._adopt_deliveries()

    def _last_order(self) -> int:
        return int(self._db.value('SELECT coalesce(max("order"), 0) FROM deliveries'))

    def _adopt_outcomes(self) -> None:
        """Index outcomes that a crash left without a row, where their absence would look like work to do."""
        waiting = self._db.rows("""SELECT "order", coalesce(k, 0) AS k FROM standing WHERE effect = 'waiting'""")
        strays = [self._store.read_outcome(row["order"], row["k"] + 1) for row in waiting]
        found = [record_fields(stray) for stray in strays if stray is not None]
        if found:
            with self._db.transaction():
                self._db.execute_all(_INSERT_OUTCOME, found)

    def _known(self, arrival: Arrival) -> Delivery | None:
        query = """SELECT * FROM deliveries WHERE connection = :connection AND folder = :folder AND name = :name
            AND size = :size AND mtime_ns = :mtime_ns AND payload_sha = :payload_sha AND feed IS :feed
            AND archive = :archive AND identity IS :identity ORDER BY "order" LIMIT 1"""
        rows = self._db.rows(query, record_fields(arrival))
        return record_from_row(Delivery, rows[0]) if rows else None

    def _judge(self, arrival: Arrival, order: int) -> Judgement:
        require(arrival.feed is not None and arrival.identity is not None, "a compared file has a feed and an identity")
        query = """SELECT "order", identity, payload_sha, empty, effect FROM standing
            WHERE feed = :feed AND identity IS NOT NULL AND (identity = :identity OR payload_sha = :payload_sha)
                AND ("order" < :order OR ("order" > :order AND effect = 'posted'))"""
        rows = self._db.rows(query, record_fields(arrival) | {"order": order})
        others = [
            Earlier(
                order=row["order"],
                identity=row["identity"],
                payload_sha=row["payload_sha"],
                empty=bool(row["empty"]),
                effect=Effect(row["effect"]),
            )
            for row in rows
        ]
        return verdict(
            identity=arrival.identity or "", payload_sha=arrival.payload_sha, empty=arrival.empty, others=others
        )


def _message(arrival: Arrival, judgement: Judgement) -> str | None:
    return judgement_message(arrival.feed or "", arrival.identity or "", judgement)


def _file_values(connection: str, file: RemoteFile) -> dict[str, Any]:
    return {
        "connection": connection,
        "folder": plain_name(file.folder),
        "name": plain_name(file.name),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
    }


def _deliveries(rows: list[dict[str, Any]]) -> list[Delivery]:
    return [record_from_row(Delivery, row) for row in rows]
