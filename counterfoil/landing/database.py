"""The SQLite file behind the arrival index: opening, migrating, transactions, errors.

Here: what any table in ``arrival.db`` needs. Not here: what the tables mean.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.files import disk_fault, ensure_folder

Values = Mapping[str, Any]

BUSY_WAIT_S: Final = 30.0
"""A transaction here takes milliseconds, rebuilding a year of deliveries seconds; 30 s means that a process hangs."""

# Each delivery with its last outcome and the effect it has: identity.Effect in words of SQL. One held for a gap
# whose identity another file took since is passed over for good.
_STANDING: Final = """CREATE VIEW standing AS SELECT d.*, o.k, o.state, o.n, CASE
        WHEN o.state = 'posted' THEN 'posted'
        WHEN o.state IN ('rejected', 'replay') THEN 'none'
        WHEN o.state = 'held' AND o.code IS NOT 'SEQUENCE_GAP' THEN 'held'
        WHEN o.state = 'held' AND EXISTS (
            SELECT 1 FROM deliveries later WHERE later.feed = d.feed AND later.identity = d.identity
                AND later."order" > d."order" AND later.verdict = 'replacement') THEN 'none'
        WHEN o.state = 'held' OR d.verdict IN ('new', 'replacement') THEN 'waiting'
        WHEN d.verdict IN ('replay', 'rejected') THEN 'none'
        ELSE 'held' END AS effect
    FROM deliveries d LEFT JOIN outcomes o ON o."order" = d."order"
        AND o.k = (SELECT max(k) FROM outcomes WHERE "order" = d."order")"""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE looks (
            connection TEXT NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, code TEXT,
            PRIMARY KEY (connection, folder, name, size, mtime_ns)) WITHOUT ROWID""",
        """CREATE TABLE deliveries (
            "order" INTEGER PRIMARY KEY, connection TEXT NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL,
            size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, payload_sha TEXT NOT NULL, feed TEXT,
            layout_version INTEGER, layout_sha TEXT, business_date TEXT, epoch TEXT NOT NULL, sequence INTEGER,
            empty INTEGER NOT NULL, identity TEXT, received_at TEXT NOT NULL, verdict TEXT NOT NULL, code TEXT,
            message TEXT)""",
        "CREATE INDEX deliveries_file ON deliveries (connection, folder, name)",
        "CREATE INDEX deliveries_identity ON deliveries (feed, identity)",
        "CREATE INDEX deliveries_payload ON deliveries (feed, payload_sha)",
        "CREATE INDEX deliveries_day ON deliveries (business_date, feed)",
        """CREATE TABLE outcomes (
            "order" INTEGER NOT NULL, k INTEGER NOT NULL, state TEXT NOT NULL, n INTEGER, code TEXT, message TEXT,
            at TEXT NOT NULL, run_id TEXT NOT NULL, PRIMARY KEY ("order", k)) WITHOUT ROWID""",
        "CREATE UNIQUE INDEX outcomes_posting ON outcomes (n) WHERE n IS NOT NULL",
        _STANDING,
        """CREATE TABLE ranges (
            target TEXT NOT NULL, from_n INTEGER NOT NULL, to_n INTEGER NOT NULL, batch_id TEXT NOT NULL,
            mapping_sha TEXT NOT NULL, state TEXT NOT NULL, made_at TEXT NOT NULL,
            PRIMARY KEY (target, from_n)) WITHOUT ROWID""",
        """CREATE TABLE reports (
            date TEXT NOT NULL, version INTEGER NOT NULL, n INTEGER NOT NULL, inputs_sha TEXT NOT NULL,
            made_at TEXT NOT NULL, sha TEXT, path TEXT, PRIMARY KEY (date, version)) WITHOUT ROWID""",
        """CREATE TABLE journals (
            journal_id TEXT PRIMARY KEY, target TEXT NOT NULL, date TEXT NOT NULL, from_n INTEGER NOT NULL,
            to_n INTEGER NOT NULL, sha256 TEXT NOT NULL, made_at TEXT NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE events (
            cause TEXT PRIMARY KEY, kind TEXT NOT NULL, feed TEXT, day TEXT, code TEXT NOT NULL, message TEXT NOT NULL,
            at TEXT NOT NULL) WITHOUT ROWID""",
    ),
    # The view names the columns of ``deliveries`` that there were when it was made.
    (
        "DROP VIEW standing",
        "ALTER TABLE deliveries ADD COLUMN sender TEXT NOT NULL DEFAULT ''",
        _STANDING,
    ),
    (
        """CREATE TABLE replies (
            "order" INTEGER NOT NULL, k INTEGER NOT NULL, feed TEXT NOT NULL, status TEXT NOT NULL,
            folder TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, at TEXT NOT NULL,
            PRIMARY KEY ("order", k)) WITHOUT ROWID""",
    ),
    (
        "DROP VIEW standing",
        "ALTER TABLE deliveries ADD COLUMN received_sha TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE deliveries ADD COLUMN wrapped TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE deliveries ADD COLUMN signer TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE deliveries ADD COLUMN archive TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE deliveries ADD COLUMN members INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE deliveries ADD COLUMN companions TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX deliveries_archive ON deliveries (connection, folder, archive) WHERE archive <> ''",
        _STANDING,
    ),
    # Letters, each with where it stands by the records up to the last number of ``mail_records``.
    (
        """CREATE TABLE letters (
            letter_key TEXT PRIMARY KEY, kind TEXT NOT NULL, campaign TEXT NOT NULL, company TEXT NOT NULL,
            recipient TEXT NOT NULL, name TEXT, points INTEGER, citation TEXT, link TEXT, reference TEXT, expires TEXT,
            due TEXT NOT NULL, posting INTEGER NOT NULL, message TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
            attempts INTEGER NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT '', sending INTEGER, at TEXT NOT NULL,
            resends TEXT, actor TEXT, reason TEXT) WITHOUT ROWID""",
        "CREATE INDEX letters_state ON letters (state, due, letter_key)",
        "CREATE INDEX letters_message ON letters (message)",
        "CREATE INDEX letters_recipient ON letters (recipient, at)",
        """CREATE TABLE mail_records (
            number INTEGER PRIMARY KEY, what TEXT NOT NULL, at TEXT NOT NULL)""",
        """CREATE TABLE bounces (
            payload_sha TEXT NOT NULL, number INTEGER NOT NULL, letter_key TEXT, action TEXT NOT NULL,
            status TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (payload_sha, number)) WITHOUT ROWID""",
    ),
)
"""Migration i brings ``user_version`` to i + 1. A published one is never edited."""


class Database:
    """One process's connection to the index; use it in one thread."""

    def __init__(self, path: Path, *, on_create: Callable[["Database"], None]) -> None:
        """Open, make or migrate; ``on_create`` fills a new file within the transaction that makes it."""
        self.path = path
        ensure_folder(path.parent)
        with self._errors():
            self._connection = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare(on_create)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One writer at a time; all of it or nothing. INDEX_BUSY, DISK_FULL, DISK_FAULT."""
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def execute(self, statement: str, values: Values | None = None) -> int:
        """Run one statement; returns the rows it changed."""
        with self._errors():
            return self._connection.execute(statement, values or {}).rowcount

    def execute_all(self, statement: str, values: list[dict[str, Any]]) -> None:
        """Run one statement once for each set of values."""
        with self._errors():
            self._connection.executemany(statement, values)

    def rows(self, query: str, values: Values | None = None) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries."""
        with self._errors():
            return [dict(row) for row in self._connection.execute(query, values or {})]

    def value(self, query: str, values: Values | None = None) -> Any:
        """The single value of a query that always has one."""
        with self._errors():
            return self._connection.execute(query, values or {}).fetchone()[0]

    def _prepare(self, on_create: Callable[["Database"], None]) -> None:
        self._write_ahead()
        self.execute("PRAGMA synchronous=FULL")
        if self.value("PRAGMA user_version") == len(MIGRATIONS):
            return
        with self.transaction():
            version = int(self.value("PRAGMA user_version"))
            if version > len(MIGRATIONS):
                raise _unusable(
                    self.path, f"version {version}", f"at most {len(MIGRATIONS)}", "Install the newer program"
                )
            for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in statements:
                    self.execute(statement)
                # A pragma takes no parameters; the number is ours.
                self.execute(f"PRAGMA user_version={number}")
            if version == 0:
                on_create(self)

    def _write_ahead(self) -> None:
        """Switch to WAL. SQLite does not wait for others while it switches, so this does."""
        deadline = time.monotonic() + BUSY_WAIT_S
        while True:
            try:
                self.execute("PRAGMA journal_mode=WAL")
            except TransientError as error:
                if error.code != Code.INDEX_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """SQLite's errors in our form; those that mean a mistake of ours pass as they are."""
        try:
            yield
        except sqlite3.Error as error:
            # The low byte is the error's family.
            family = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if family in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise _busy(self.path) from error
            if family == sqlite3.SQLITE_FULL:
                raise _full(self.path) from error
            if family in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
                raise disk_fault(self.path, f"the arrival index could not be written: {error}") from error
            if family in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                remedy = "Move it away and run again: all but the looks is rebuilt from the landing store"
                raise _unusable(self.path, "a file SQLite cannot read", "the index as it was left", remedy) from error
            raise


def _busy(path: Path) -> TransientError:
    return TransientError(
        Code.INDEX_BUSY,
        str(path),
        found=f"another process writing for more than {BUSY_WAIT_S:.0f} s",
        expected="writers that take milliseconds",
        remedy="Look for a stopped counterfoil process, end it and run again",
    )


def _full(path: Path) -> TransientError:
    return TransientError(
        Code.DISK_FULL,
        str(path.parent),
        found="no room to write the arrival index",
        expected="room for a few kilobytes",
        remedy="Free space there, then run again; nothing was changed",
    )


def _unusable(path: Path, found: str, expected: str, remedy: str) -> PermanentError:
    return PermanentError(Code.INDEX_UNUSABLE, str(path), found=found, expected=expected, remedy=remedy)
