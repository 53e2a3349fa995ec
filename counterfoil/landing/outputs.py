"""The part of the arrival index about what leaves: batch ranges, report versions, journals, replies, events.

Here: who was given which postings, so that nothing goes out twice. Not here: writing any of it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from counterfoil.clock import utc_text
from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.invariants import require
from counterfoil.landing.database import Database
from counterfoil.landing.outbox import Outbox
from counterfoil.landing.records import Delivery, Journal, ReplySent, ReportVersion, record_fields, record_from_row
from counterfoil.landing.store import LandingStore
from counterfoil.protocols import Batch

_INSERT_RANGE = """INSERT OR REPLACE INTO ranges (target, from_n, to_n, batch_id, mapping_sha, state, made_at)
    VALUES (:target, :from_n, :to_n, :batch_id, :mapping_sha, :state, :made_at)"""
_INSERT_REPORT = """INSERT OR IGNORE INTO reports (date, version, n, inputs_sha, made_at)
    VALUES (:date, :version, :n, :inputs_sha, :made_at)"""
_INSERT_JOURNAL = """INSERT OR IGNORE INTO journals (journal_id, target, date, from_n, to_n, sha256, made_at)
    VALUES (:journal_id, :target, :date, :from_n, :to_n, :sha256, :made_at)"""
_INSERT_REPLY = """INSERT OR IGNORE INTO replies ("order", k, feed, status, folder, name, sha256, at)
    VALUES (:order, :k, :feed, :status, :folder, :name, :sha256, :at)"""


@dataclass(frozen=True)
class Range:
    """A batch that was allotted, and whether its files are written."""

    batch: Batch
    state: Literal["allotted", "written"]
    made_at: datetime


@dataclass(frozen=True)
class Event:
    """Something a person should hear of, once for each cause."""

    cause: str
    kind: str
    feed: str | None
    day: date | None
    code: str
    message: str
    at: datetime


class OutputIndex:
    """What went out. ``ArrivalIndex`` adds what came in."""

    def __init__(self, db: Database, store: LandingStore) -> None:
        self._db = db
        self._store = store
        self.outbox = Outbox(db, store)

    def allot_range(
        self, *, target: str, to_n: int, mapping_sha: str, batch_id: Callable[[str, str, int, int], str], at: datetime
    ) -> Batch | None:
        """The next batch of a target to write, or None when everything up to ``to_n`` is written.

        Ranges are contiguous. One that was allotted but never written is given again, even when later postings have
        come since, so call until None. ``batch_id(target, mapping_sha, from_n, to_n)`` names it; if the mapping has
        changed since an unwritten range was allotted, the same postings are named anew.
        """
        with self._db.transaction():
            ranges = self.ranges(target)
            last = ranges[-1] if ranges else None
            from_n = last.batch.to_n if last else 0
            if last is not None and last.state == "allotted":
                if last.batch.mapping_sha == mapping_sha:
                    return last.batch
                from_n, to_n = last.batch.from_n, last.batch.to_n
            if from_n >= to_n:
                return None
            batch = Batch(
                target=target,
                batch_id=batch_id(target, mapping_sha, from_n, to_n),
                mapping_sha=mapping_sha,
                from_n=from_n,
                to_n=to_n,
            )
            self._db.execute(_INSERT_RANGE, {**vars(batch), "state": "allotted", "made_at": utc_text(at)})
            return batch

    def mark_range_written(self, batch: Batch) -> None:
        """Record that all files of a batch are durable; again changes nothing."""
        changed = self._db.execute(
            "UPDATE ranges SET state = 'written' WHERE target = :target AND batch_id = :batch_id", vars(batch)
        )
        require(changed == 1, "a written batch was allotted before", code=Code.MASS_BALANCE)

    def ranges(self, target: str) -> list[Range]:
        """All ranges of a target, in order."""
        rows = self._db.rows("SELECT * FROM ranges WHERE target = :target ORDER BY from_n", {"target": target})
        return [
            Range(
                Batch(**{key: row[key] for key in ("target", "batch_id", "mapping_sha", "from_n", "to_n")}),
                row["state"],
                datetime.fromisoformat(row["made_at"]),
            )
            for row in rows
        ]

    def report_version(self, *, day: date, n: int, inputs_sha: str, at: datetime) -> ReportVersion:
        """The version of a day's report to make at posting ``n``: the same one for the same inputs, else the next.

        ``inputs_sha`` covers whatever else its bytes depend on (lock file, settings), so no version is written over.
        """
        with self._db.transaction():
            known = self.report_versions(day)
            version = max((report.version for report in known), default=0)
            # A crash may have left versions that were recorded beside the payloads only.
            while (report := self._store.read_report_version(day, version + 1)) is not None:
                version = report.version
                known.append(report)
                self._db.execute(_INSERT_REPORT, record_fields(report))
            same = [report for report in known if (report.n, report.inputs_sha) == (n, inputs_sha)]
            if same:
                return same[-1]
            report = ReportVersion(date=day, version=version + 1, n=n, inputs_sha=inputs_sha, made_at=at)
            self._store.write_report_version(report)
            self._db.execute(_INSERT_REPORT, record_fields(report))
            return report

    def report_versions(self, day: date) -> list[ReportVersion]:
        """All versions of a day's report, in order."""
        query = "SELECT date, version, n, inputs_sha, made_at FROM reports WHERE date = :date ORDER BY version"
        return [record_from_row(ReportVersion, row) for row in self._db.rows(query, {"date": day.isoformat()})]

    def note_report(self, report: ReportVersion, *, sha: str, path: str) -> None:
        """Record the written report's hash and its path below the home folder."""
        self._db.execute(
            "UPDATE reports SET sha = :sha, path = :path WHERE date = :date AND version = :version",
            {**record_fields(report), "sha": sha, "path": path},
        )

    def report_path(self, report: ReportVersion) -> str | None:
        """Where a report was written, below the home folder; None when it was not, or the index was rebuilt since."""
        rows = self._db.rows(
            "SELECT path FROM reports WHERE date = :date AND version = :version", record_fields(report)
        )
        return rows[0]["path"] if rows else None

    def claim_journal(self, journal: Journal) -> Journal:
        """Claim a range of postings for a journal, before it is written; claimed again it is the journal that was.

        Ranges are contiguous. Raises BATCH_TAKEN (transient) when another run has taken the range meanwhile, and
        POSTING_DIFFERS when the journal is not as it was.
        """
        with self._db.transaction():
            self._adopt_journals()
            known = self._store.read_journal(journal.journal_id)
            if known is None:
                last = max((other.to_n for other in self._journals(journal.target)), default=0)
                if last != journal.from_n:
                    raise TransientError(
                        Code.BATCH_TAKEN,
                        f"journal {journal.journal_id}",
                        found=f"postings up to {last} in a journal already",
                        expected=f"postings up to {journal.from_n} there",
                        remedy="Run again: the next run begins where the other one ended",
                    )
                self._store.write_journal(journal)
                self._db.execute(_INSERT_JOURNAL, record_fields(journal))
                return journal
            facts = ("target", "from_n", "to_n", "sha256")
            require(
                all(getattr(known, fact) == getattr(journal, fact) for fact in facts),
                f"journal {journal.journal_id} is made again as it was",
                code=Code.POSTING_DIFFERS,
            )
            return known

    def journals(self, target: str) -> list[Journal]:
        """All journals of a target, by the postings they hold; those a crash kept from the index among them."""
        with self._db.transaction():
            self._adopt_journals()
            return self._journals(target)

    def _journals(self, target: str) -> list[Journal]:
        query = "SELECT * FROM journals WHERE target = :target ORDER BY from_n, to_n, journal_id"
        return [record_from_row(Journal, row) for row in self._db.rows(query, {"target": target})]

    def _adopt_journals(self) -> None:
        self._db.execute_all(_INSERT_JOURNAL, [record_fields(journal) for journal in self._store.journals()])

    def unanswered(self, feed: str) -> list[tuple[Delivery, int]]:
        """Deliveries of a feed of which it is certain what became, or that wait for cover, and that were not answered
        since; with the number of that outcome, 0 where it was certain on arrival. In order."""
        rows = self._db.rows(
            """SELECT d.*, coalesce(s.k, 0) AS k FROM standing s JOIN deliveries d ON d."order" = s."order"
            WHERE s.feed = :feed AND (s.state IN ('posted', 'rejected', 'replay')
                                      OR EXISTS (SELECT 1 FROM outcomes o WHERE o."order" = s."order" AND o.k = s.k
                                                 AND o.state = 'held' AND o.code = 'POINTS_SHORT')
                                      OR (s.state IS NULL AND s.verdict IN ('rejected', 'replay')))
                AND NOT EXISTS (SELECT 1 FROM replies r WHERE r."order" = s."order" AND r.k = coalesce(s.k, 0))
            ORDER BY s."order" """,
            {"feed": feed},
        )
        # A crash may have kept an answer from the index whose record is there.
        strays = [self._store.read_reply(row["order"], row["k"]) for row in rows]
        self._db.execute_all(_INSERT_REPLY, [record_fields(stray) for stray in strays if stray is not None])
        left = [row for row, stray in zip(rows, strays, strict=True) if stray is None]
        numbers = [int(row.pop("k")) for row in left]
        return [(record_from_row(Delivery, row), k) for row, k in zip(left, numbers, strict=True)]

    def record_reply(self, reply: ReplySent) -> None:
        """Record an answer that reached its partner."""
        with self._db.transaction():
            self._store.write_reply(reply)
            self._db.execute(_INSERT_REPLY, record_fields(reply))

    def replies(self) -> list[ReplySent]:
        """All answers, in order of deliveries."""
        return [record_from_row(ReplySent, row) for row in self._db.rows('SELECT * FROM replies ORDER BY "order", k')]

    def note_event(self, event: Event) -> bool:
        """Record an event; True the first time its cause is met, so that people hear of it once."""
        values = vars(event) | {"day": event.day and event.day.isoformat(), "at": utc_text(event.at)}
        changed = self._db.execute(
            """INSERT OR IGNORE INTO events (cause, kind, feed, day, code, message, at)
            VALUES (:cause, :kind, :feed, :day, :code, :message, :at)""",
            values,
        )
        return changed == 1

    def events(self, day: date | None = None) -> list[Event]:
        """The events of a day, or all, by time."""
        query = "SELECT * FROM events WHERE :day IS NULL OR day = :day ORDER BY at, cause"
        return [_event(row) for row in self._db.rows(query, {"day": day and day.isoformat()})]

    def _rebuild_outputs(self, batches: Path) -> None:
        """Report versions and journals from their records, ranges from the manifests of written batches."""
        self._db.execute_all(_INSERT_REPORT, [record_fields(report) for report in self._store.report_versions()])
        self._adopt_journals()
        self._db.execute_all(_INSERT_REPLY, [record_fields(reply) for reply in self._store.replies()])
        self._db.execute_all(
            _INSERT_RANGE, [_written_range(path) for path in sorted(batches.glob("*/*/manifest.json"))]
        )
        self.outbox.rebuild()


def _written_range(manifest: Path) -> dict[str, Any]:
    try:
        content = json.loads(manifest.read_bytes())
        values = {key: content[key] for key in ("target", "batch_id", "from_n", "to_n", "mapping_sha")}
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentError(
            Code.SIDECAR_DAMAGED,
            str(manifest),
            found="no batch manifest",
            expected="target, batch_id, from_n, to_n and mapping_sha as JSON",
            remedy="Restore the batch folder from a backup",
        ) from error
    # When it was allotted is not known any more; the manifest's own time is the closest there is.
    made_at = utc_text(datetime.fromtimestamp(manifest.stat().st_mtime, tz=UTC))
    return {**values, "state": "written", "made_at": made_at}


def _event(row: dict[str, Any]) -> Event:
    day = date.fromisoformat(row["day"]) if row["day"] else None
    return Event(**{**row, "day": day, "at": datetime.fromisoformat(row["at"])})
